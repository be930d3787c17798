"""``doit trust``, ``doit challenge`` and what ``doit verify`` says about signatures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import derived
import pytest
from clones import HIGH, LOW, TRUST, TWO, Builder, Clone, FakeRegistry, handed
from helpers import HEAD, write

from stagegraph.audit import verify
from stagegraph.audit.adoption import Adoption
from stagegraph.audit.challenge import challenge
from stagegraph.cli.commands.challenge import lines, to_json
from stagegraph.project import loader
from stagegraph.store import skopeo
from stagegraph.trust import ed25519, keyring

pytestmark = pytest.mark.unit


def doit(root: Path, *words: str, key: str = "") -> subprocess.CompletedProcess[str]:
    folders = {"XDG_CONFIG_HOME": str(root / "config"), "XDG_STATE_HOME": str(root / "state")}
    env = {**os.environ, **folders, keyring.VARIABLE: key}
    call = [sys.executable, "-m", "stagegraph.cli.main", *words]
    return subprocess.run(call, cwd=root / "project", env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    toml = HEAD + '[stages.low]\npath = "low"\n'
    files = {
        "stages.toml": toml,
        "dodo.py": "from stagegraph.tasks import *\n",
        "low/Dockerfile": "FROM scratch\n",
    }
    write(tmp_path / "project", files)
    return tmp_path


def test_a_new_key_is_outside_of_the_project_and_never_printed(root: Path) -> None:
    done = doit(root, "trust", "init", "ci")
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = (root / "config").rglob("*.pem")
    assert file.stat().st_mode & 0o777 == 0o600
    raw = ed25519.parse_private(file.read_text())
    assert raw and file.read_text().splitlines()[1] not in done.stdout
    # what it prints is what stages.toml takes, and the key is found
    toml = root / "project" / "stages.toml"
    toml.write_text(toml.read_text() + done.stdout.partition("for stages.toml:\n")[2])
    project = loader.load(root / "project", {}, {})
    assert project.trust.level == "warn" and project.trust.keys["ci"].public == ed25519.KeySigner(raw).public
    shown = doit(root, "trust").stdout
    assert "level: warn" in shown and "key ci: *, its private key is here" in shown
    again = doit(root, "trust", "init", "ci")
    assert again.returncode == 10 and "ci is in [trust.keys] already (stages.toml:" in again.stderr
    moved = doit(root, "trust", "init", "other", "--key", "../elsewhere.pem")
    assert moved.returncode == 0 and (root / "elsewhere.pem").exists()
    assert "a run looks for the private key in" in moved.stdout
    taken = doit(root, "trust", "init", "other", "--key", str(file))
    assert taken.returncode == 29 and "is there already" in taken.stderr


def test_a_key_that_others_can_read_is_an_error_with_a_remedy(root: Path) -> None:
    toml = root / "project" / "stages.toml"
    toml.write_text(
        toml.read_text() + doit(root, "trust", "init", "ci").stdout.partition("stages.toml:\n")[2]
    )
    (file,) = (root / "config").rglob("*.pem")
    file.chmod(0o644)
    done = doit(root, "trust")
    assert done.returncode == 29 and f"chmod 600 {file}" in done.stderr
    bad = doit(root, "trust", key="nonsense that is secret")
    assert bad.returncode == 29 and "STAGEGRAPH_SIGNING_KEY: is no private key" in bad.stderr
    assert "nonsense" not in bad.stderr


def test_without_trust_there_is_nobody_to_sign_or_to_challenge(root: Path) -> None:
    for words in (("challenge", "low:amd64"), ("trust", "adopt", "low:amd64")):
        done = doit(root, *words)
        assert done.returncode == 29 and "has no [trust]" in done.stderr
    assert doit(root, "trust", "initt").stderr.endswith("did you mean 'init'?\n")


def test_no_child_gets_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from stagegraph.system.processes import run

    monkeypatch.setenv(keyring.VARIABLE, "secret")
    assert b"secret" not in run(["env"]).stdout


# -- adopt ---------------------------------------------------------------------------------------


def adopted(clone: Clone, layer: str = "good", key: str = "") -> list[tuple[str, str]]:
    """Adopt what ``clone`` has, with a builder that makes images of ``layer``."""
    workspace = clone.opened(key)

    def builder(store: object, _: object) -> Builder:
        made = Builder(workspace, layer)
        made.layout = store  # type: ignore[assignment]
        return made

    rebuilder = verify.Rebuilder(workspace.graph, workspace.layout, builder, workspace.report)  # type: ignore[arg-type]
    found = [*Adoption(rebuilder, workspace.signing).adopt([HIGH])]
    workspace.report.close()
    return [(str(finding.node), finding.result) for finding in found]


def test_what_is_the_same_when_it_is_built_again_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, one = (Clone(tmp_path / name, monkeypatch, TRUST) for name in ("other", "one"))
    made = other.run()
    handed(other, one)
    assert adopted(one) == [("low:amd64", "same"), ("high:amd64", "same")]
    assert adopted(one) == [("low:amd64", "good"), ("high:amd64", "good")]
    assert one.run().digest == made.digest and one.built == []
    # with a key of the project it is signed for everybody
    assert adopted(one, key="ci") == [("low:amd64", "same"), ("high:amd64", "same")]
    handed(one, third := Clone(tmp_path / "third", monkeypatch, TRUST))
    third.run()
    assert third.built == []


def test_an_image_on_a_forged_one_is_not_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Clone(tmp_path / "one", monkeypatch, TRUST.replace("required", "warn"))
    one.run()
    one.poison(LOW, lost=HIGH)
    one.run()  # with a warning: an honest build on what somebody has forged
    assert one.built == ["high:amd64"]
    assert adopted(one) == [("low:amd64", "differs"), ("high:amd64", "unchecked")]


# -- challenge -----------------------------------------------------------------------------------


def test_builders_that_disagree_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ci, bob = Clone(tmp_path / "ci", monkeypatch, TWO), Clone(tmp_path / "bob", monkeypatch, TWO)
    of_ci = ci.run("ci").digest
    agreed = challenge(ci.opened(), HIGH)
    assert [(each.digest, each.stores) for each in agreed.opinions] == [(of_ci, ("cache/",))]
    assert not agreed.is_disputed
    handed(ci, bob)
    of_bob = bob.run("bob", layer="other").digest
    found = challenge(bob.opened(), HIGH)
    assert found.is_disputed
    assert {each.digest: each.signers for each in found.opinions} == {
        of_ci: ("ci",),
        of_bob: ("bob", "this clone"),
    }
    assert lines(found)[0] == "high:amd64: 2 images"
    assert f"  {of_ci}  signed by ci; in no store" in lines(found)
    assert derived.differences("doit challenge --json", {"schema": 1, "nodes": [to_json(found)]}) == set()


def test_a_forged_record_in_a_registry_is_an_opinion_that_nobody_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = FakeRegistry()
    monkeypatch.setattr(skopeo, "run", remote.run)
    one = Clone(tmp_path / "one", monkeypatch, TRUST, 'registry = "127.0.0.1:1"')
    made = one.run("ci")
    evil = one.poison(HIGH)
    workspace = one.opened()
    remote.tags[f"127.0.0.1:1/atom:{made.tag}"] = workspace.layout.document(evil)
    opinions = {each.digest: each for each in challenge(workspace, HIGH).opinions}
    assert opinions[evil.digest].signers == () and opinions[evil.digest].stores == ("cache/", "the registry")
    assert opinions[made.digest].signers == ("ci",) and opinions[made.digest].stores == ()


# -- verify --------------------------------------------------------------------------------------


def test_verify_reports_all_that_is_wrong_with_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Clone(tmp_path / "one", monkeypatch, TRUST)
    one.run()
    workspace = one.opened()
    found = list(verify.check(workspace.graph, workspace.layout, [HIGH]))
    assert [finding.result for finding in found] == ["good", "good"]
    evil = one.poison(HIGH)
    one.opened().layout.blobs.path(evil.digest).write_bytes(b"{}")
    workspace = one.opened()
    low, high = verify.check(workspace.graph, workspace.layout, [HIGH])
    assert (low.result, high.result) == ("good", "bad")
    assert any(
        "is untrusted: the signature of this clone is for another image" in note for note in high.notes
    )
    assert any("does not match its digest" in note for note in high.notes)
