"""``[trust]`` with a real registry: a forged record is not pulled, signed ones are, and cosign agrees."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from kit import Project, Registry, header

from stagegraph.trust import ed25519

pytestmark = pytest.mark.engine

STAGES = '[stages.low]\npath = "low"\n[stages.high]\npath = "high"\n[images.high]\nplatforms = ["here"]\n'
RAW = b"a key for tests, known to anyone"
KEY = ed25519.KeySigner(RAW)
TRUST = f'[trust]\n[trust.keys.ci]\npublic = "{KEY.public}"\n'


def elsewhere(project: Project, folder: Path, *, key: str = "") -> Project:
    """Return the project on a machine that has nothing but, if given, a private key."""
    made = project.copy(folder)
    shutil.rmtree(made.folder / "cache", ignore_errors=True)
    made.env |= {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    made.env["STAGEGRAPH_SIGNING_KEY"] = key
    return made


def decisions(run: dict[str, object]) -> dict[str, str]:
    return {node["node"]: node["decision"] for node in run["nodes"]}  # type: ignore[attr-defined]


def test_a_forged_record_is_not_pulled(
    project: Project, registry: Registry, repo: str, tmp_path: Path
) -> None:
    project.env["STAGEGRAPH_REGISTRY"] = registry.host
    project.write(
        {
            "stages.toml": header(repo) + STAGES + TRUST,
            "low/Dockerfile": "FROM scratch\nCOPY file /low\n",
            "low/file": "good\n",
            "high/Dockerfile": "FROM scratch\nCOPY --from=low /low /\nCOPY file /\n",
            "high/file": "high\n",
        }
    )
    ci = elsewhere(project, tmp_path / "ci", key=ed25519.private_pem(RAW))
    made = ci.built("high:here").last
    tags = registry.tags(repo)

    user = elsewhere(project, tmp_path / "user")
    pulled = user.built("push=never", "high:here")
    assert decisions(pulled.last) == {"high:here": "pull"} and "untrusted" not in pulled.output

    # somebody who may push builds another image, and puts it under the good keys
    forger = elsewhere(project, tmp_path / "forger")
    forger.write({"low/file": "evil\n", "stages.toml": header(repo) + STAGES})
    forger.built("high:here")
    evil = {tag.rpartition("-")[0]: registry.index(f"{repo}:{tag}") for tag in registry.tags(repo) - tags}
    for tag in tags & {tag for tag in tags if tag.rpartition("-")[0] in evil}:
        good, bad = registry.index(f"{repo}:{tag}"), evil[tag.rpartition("-")[0]]
        good["manifests"] = bad["manifests"]
        for name in ("stagegraph.files", "stagegraph.image"):
            good["annotations"][name] = bad["annotations"][name]
        registry.put_index(f"{repo}:{tag}", good)

    late = elsewhere(project, tmp_path / "late")
    plan = late.doit("plan", "high:here").output
    assert "its record in the registry is untrusted: the signature of ci is for another image" in plan
    run = late.built("push=never", "high:here")
    assert decisions(run.last) == {"low:here": "build", "high:here": "build"}
    assert {node["digest"] for node in run.last["nodes"]} >= {node["digest"] for node in made["nodes"]}
    assert "untrusted, not used: 2 records" in run.output

    # CI builds again what it no longer finds, and everybody can pull it
    shutil.rmtree(ci.folder / "cache")
    ci.built("high:here")
    again = elsewhere(project, tmp_path / "again").built("push=never", "high:here")
    assert decisions(again.last) == {"high:here": "pull"}
    if shutil.which("cosign"):
        _check_with_cosign(ci, tmp_path)


def _check_with_cosign(ci: Project, folder: Path) -> None:
    """Let cosign verify the signatures of a machine, each with the manifest of its image."""
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
    (folder / "root.json").write_text(json.dumps(root))
    (folder / "ci.pub").write_text(ed25519.public_pem(KEY.public))
    bundles = [*(ci.folder / "cache" / "signatures").glob("*/*.sigstore.json")]
    assert len(bundles) >= 3
    for bundle in bundles:
        record = json.loads((ci.folder / "cache" / "records" / bundle.parent.name).read_text())
        blob = ci.folder / "cache" / "blobs" / "sha256" / record["manifests"][0]["digest"][7:]
        command = ["cosign", "verify-blob-attestation", "--bundle", str(bundle), "--new-bundle-format"]
        command += ["--key", "ci.pub", "--trusted-root", "root.json", "--insecure-ignore-tlog", str(blob)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
