"""Runs of a project with ``[trust]``: which records they use, what they say, and what they sign."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import BOB, CI, HIGH, LOW, RAW, TRUST, TWO, Clone, FakeRegistry, handed, poisoned

from stagegraph.errors import TrustError
from stagegraph.keys.key import digits
from stagegraph.project.model import Node
from stagegraph.store import record as records
from stagegraph.store import skopeo
from stagegraph.store.record import Record
from stagegraph.store.signatures import claim
from stagegraph.trust import ed25519

pytestmark = pytest.mark.unit

NewClone = Callable[..., Clone]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewClone:
    def make(name: str = "one", trust: str = TRUST, more: str = "") -> Clone:
        return Clone(tmp_path / name, monkeypatch, trust, more)

    return make


# -- cache/ --------------------------------------------------------------------------------------


def test_a_clone_believes_what_it_has_built(clone: NewClone) -> None:
    one = clone()
    made = one.run()
    assert one.built == ["low:amd64", "high:amd64"]
    again = one.run()
    assert (again.digest, one.built) == (made.digest, []) and "untrusted" not in one.said


def test_a_record_whose_image_was_changed_is_not_used(clone: NewClone) -> None:
    one = clone()
    made = one.run()
    evil = one.poison(HIGH)
    why = "its record in cache/ is untrusted: the signature of this clone is for another image"
    assert one.plan()[-1] == ("high:amd64", "build", why)
    after = one.run()
    assert one.built == ["high:amd64"] and after.digest == made.digest != evil.digest
    assert "warning: high:amd64: its record in cache/ is untrusted" in one.said
    assert "untrusted, not used: 1 record: high:amd64 in cache/" in one.said
    assert one.run().digest == made.digest and one.built == []


def test_a_poisoned_parent_is_not_laundered_by_an_honest_build(clone: NewClone) -> None:
    one = clone()
    made = one.run("ci")
    evil = one.poison(LOW, lost=HIGH)
    after = one.run("ci")
    assert one.built == ["low:amd64", "high:amd64"] and after.digest == made.digest
    assert after.materials and all(evil.digest not in word for word in after.materials)


def test_with_the_level_warn_nothing_is_signed_on_what_is_not_trusted(clone: NewClone) -> None:
    one = clone(trust=TRUST.replace("required", "warn"))
    one.run("ci")
    evil = one.poison(LOW, lost=HIGH)
    child = one.run("ci")
    assert one.built == ["high:amd64"] and any(evil.digest in word for word in child.materials)
    assert one.said.count("warning:") == 1 and "it is used all the same" in one.said
    assert child.signatures == ()


def test_what_came_with_a_copied_cache_is_not_local(clone: NewClone) -> None:
    one, two, three = clone("one"), clone("two"), clone("three")
    one.run()
    handed(one, two)
    two.run()
    assert two.built == ["low:amd64", "high:amd64"]
    assert "signed by somebody who is not in [trust.keys]" in two.said
    three.run("ci")
    four = clone("four")
    handed(three, four)
    four.run()
    assert four.built == [] and "untrusted" not in four.said
    assert not (four.root.parent / "four-state").exists()  # it has signed nothing


def test_a_key_that_was_taken_back_is_not_trusted_any_more(clone: NewClone) -> None:
    one = clone()
    one.run("ci")
    one = clone(trust=TRUST.replace(CI.public, BOB.public))
    one.run("bob")
    assert one.built == ["low:amd64", "high:amd64"]


def test_two_builders_that_agree_are_enough_for_a_threshold_of_two(clone: NewClone) -> None:
    ci, bob, user = clone("ci", TWO), clone("bob", TWO), clone("user", TWO)
    made = ci.run("ci")
    handed(ci, bob)
    bob.run("bob")
    assert bob.built == ["low:amd64", "high:amd64"]
    assert "signed by ci only, 2 signatures are needed" in bob.said
    handed(bob, user)
    assert user.run().digest == made.digest and user.built == []


def test_builders_that_disagree_are_not_enough(clone: NewClone) -> None:
    ci, bob, user = clone("ci", TWO), clone("bob", TWO), clone("user", TWO)
    ci.run("ci")
    handed(ci, bob)
    bob.run("bob", layer="other")
    handed(bob, user)
    user.run()
    assert user.built == ["low:amd64", "high:amd64"]
    kept = user.root / "cache" / "signatures"
    assert all(len(list(folder.iterdir())) >= 2 for folder in kept.iterdir())  # what each of them said


def test_a_key_for_some_stages_counts_for_no_other_one_with_the_same_key(clone: NewClone) -> None:
    """Two stages may have one key, and so one record. Each use asks who may sign that stage."""
    bobs = f'[trust.keys.bob]\npublic = "{BOB.public}"\nstages = ["low"]\n'
    trust = f'[stages.twin]\npath = "low"\n{TRUST}{bobs}'
    bob, user, twin = clone("bob", trust), clone("user", trust), Node("twin", "amd64")
    bob.run("bob", goal=LOW)
    handed(bob, user)
    user.run(goal=LOW)
    assert user.built == []
    why = "its record in cache/ is untrusted: bob may not sign it"
    assert user.plan(twin) == [("twin:amd64", "build", why)]
    user.run(goal=twin)
    assert user.built == ["twin:amd64"]


def test_a_crowd_of_signatures_costs_no_more_than_some(clone: NewClone) -> None:
    one = clone()
    made = one.run("ci", goal=LOW)
    folder = one.root / "cache" / "signatures" / digits(made.key)
    (name,) = [path.name for path in folder.iterdir()]
    for number in range(200):
        (folder / f"zz{number}.sigstore.json").write_text("{}")
    (folder / "large.sigstore.json").write_bytes(b" " * 1_000_000)
    (folder / "link.sigstore.json").symlink_to(folder / name)
    assert len(one.opened().layout.signatures.of(made.key)) <= 64
    one.run(goal=LOW)
    assert one.built == []


def test_a_stranger_key_signs_for_this_clone_only(clone: NewClone) -> None:
    one = clone()
    one.run("stranger")
    assert "its public key is not in [trust.keys]" in one.said and one.said.count("not in [trust.keys]") == 1
    one.run()
    assert one.built == []


def test_without_a_place_for_a_key_a_run_that_must_sign_ends_before_it_builds(
    clone: NewClone, tmp_path: Path
) -> None:
    one = clone()
    (tmp_path / "one-state").write_text("a file")
    with pytest.raises(TrustError, match="cannot be written"):
        one.run()
    one.run("ci")  # needs no key of its own
    assert one.built == ["low:amd64", "high:amd64"]
    two = clone("two", TRUST.replace("required", "warn"))
    (tmp_path / "two-state").write_text("a file")
    two.run()
    assert two.said.count("records of this run are not signed") == 1


def test_without_trust_nothing_is_signed(clone: NewClone) -> None:
    for name, trust in (("one", ""), ("two", '[trust]\nlevel = "none"\n')):
        one = clone(name, trust)
        one.run("ci")
        assert not (one.root / "cache" / "signatures").exists()
        assert not (one.root.parent / f"{name}-state").exists()
        evil = one.poison(HIGH)
        assert one.run().digest == evil.digest  # as documented: anybody is believed


def test_no_private_key_is_in_cache(clone: NewClone) -> None:
    one = clone()
    one.run("ci")
    one.run("stranger", goal=LOW)
    secrets = [ed25519.private_pem(RAW[name]).splitlines()[1][22:40] for name in ("ci", "stranger")]
    secrets += [
        path.read_text().splitlines()[1][22:40] for path in one.root.parent.glob("one-state/**/*.pem")
    ]
    for path in one.root.rglob("*"):
        assert not path.is_file() or not any(secret.encode() in path.read_bytes() for secret in secrets)


# -- a registry ----------------------------------------------------------------------------------


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    fake = FakeRegistry()
    monkeypatch.setattr(skopeo, "run", fake.run)
    return fake


REMOTE = 'registry = "127.0.0.1:1"'


def tag_of(record: Record) -> str:
    return f"127.0.0.1:1/atom:{record.tag}"


def test_a_registry_gives_signatures_with_the_record(clone: NewClone, remote: FakeRegistry) -> None:
    ci, user = clone("ci", more=REMOTE), clone("user", more=REMOTE)
    made = ci.run("ci")
    assert records.parse(remote.tags[tag_of(made)], made.key).signatures  # type: ignore[union-attr]
    assert user.run().digest == made.digest and user.built == [] and "untrusted" not in user.said
    handed(user, third := clone("third"))
    third.run()  # what was pulled is kept with its signatures
    assert third.built == []


def test_an_untrusted_record_in_a_registry_is_as_if_it_were_not_there(
    clone: NewClone, remote: FakeRegistry
) -> None:
    ci, user, late = clone("ci", more=REMOTE), clone("user", more=REMOTE), clone("late", more=REMOTE)
    made = ci.run("ci")
    layout, tags = (workspace := ci.opened()).layout, dict(remote.tags)
    for good in [record for record in layout.list() if record.node == "high:amd64"]:
        evil = poisoned(workspace, good)
        # the signature of the good image does not help the evil one
        signatures = layout.signatures.about(good) if good.key == made.key else ()
        remote.tags[tag_of(good)] = evil.to_bytes(layout.blobs.json(evil.digest), signatures)
    remote.blobs |= {path.name: path.read_bytes() for path in layout.blobs.folder.path.iterdir()}
    assert tags.keys() == remote.tags.keys()
    for _ in range(2):
        assert user.plan()[-1][:2] == ("high:amd64", "build")
        assert "its record in the registry is untrusted" in user.plan()[-1][2]
    after = user.run("ci")
    assert user.built == ["high:amd64"] and after.digest == made.digest
    assert late.run().digest == made.digest and late.built == []  # the push has replaced it


def test_signatures_of_others_in_a_registry_are_kept(clone: NewClone, remote: FakeRegistry) -> None:
    ci, bob, user = (clone(name, TWO, REMOTE) for name in ("ci", "bob", "user"))
    ci.run("ci")
    bob.run("bob")
    assert bob.built == ["low:amd64", "high:amd64"] and "continuing without" not in bob.said
    user.run()
    assert user.built == [], user.said


def test_builders_agree_whatever_they_say_about_the_making(clone: NewClone, remote: FakeRegistry) -> None:
    """Another time and another version of the builder make no other claim."""
    made = clone("ci", more=REMOTE).run("ci")
    later = made._replace(created="2030-01-01T00:00:00+00:00", builder="other 2", seconds=9.0)
    assert claim(later) == claim(made)
    for other in (
        made._replace(files=made.image),
        made._replace(packages=("a=1",)),
        made._replace(materials=("a=1",)),
        made._replace(node="x:amd64"),
    ):
        assert claim(other) != claim(made)


def test_words_in_the_name_of_a_signer_displace_no_signature(clone: NewClone, remote: FakeRegistry) -> None:
    ci, user = clone("ci", more=REMOTE), clone("user", more=REMOTE)
    made = ci.run("ci")
    tag = tag_of(made)
    document = json.loads(remote.tags[tag])
    name = next(each for each in document["annotations"] if each.endswith("signatures"))
    (good,) = json.loads(document["annotations"][name])
    junk = json.loads(good)
    junk["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(b"x" * 64).decode()
    document["annotations"][name] = json.dumps([good, json.dumps(junk)])
    remote.tags[tag] = json.dumps(document).encode()
    assert user.run().digest == made.digest and user.built == []
    handed(user, third := clone("third"))
    third.run()
    assert third.built == []
