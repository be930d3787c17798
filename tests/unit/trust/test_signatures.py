"""Signed claims: what is trusted, what is refused and why; keys in files; the field's own verifier agrees."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import sha

from stagegraph.errors import TrustError
from stagegraph.project.model import Trust, TrustedKey
from stagegraph.trust import bundle as bundles
from stagegraph.trust import ed25519, keyring, statement
from stagegraph.trust.ed25519 import KeySigner
from stagegraph.trust.policy import Policy
from stagegraph.trust.statement import Claim

pytestmark = pytest.mark.unit

CLAIM = Claim("app-amd64-1", sha("image"), {"key": "sha256:1", "content": {"files": "f", "image": "i"}})
OTHER = CLAIM._replace(digest=sha("evil"))
CI, BOB, OWN, STRANGER = (KeySigner(sha(name).encode()[:32]) for name in ("ci", "bob", "own", "stranger"))
TRUST = Trust(
    "required",
    {"ci": TrustedKey(CI.public), "bob": TrustedKey(BOB.public, ("app", "tool*"))},
    thresholds={"toolchain": 2},
)
POLICY = Policy(TRUST, {"ci": CI.verifier, "bob": BOB.verifier}, lambda: OWN.verifier)


def signed(by: KeySigner, claim: Claim = CLAIM) -> str:
    return by.sign(statement.write(claim, {"source": "abc"}))


def changed(text: str, change: Callable[[dict[str, object]], object]) -> str:
    """Return a bundle whose payload says something else, under the old signature."""
    document = json.loads(text)
    payload = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    change(payload)
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps(document)


def renamed(text: str, signer: KeySigner) -> str:
    """Return a bundle that says that another key has signed it."""
    document = json.loads(text)
    document["verificationMaterial"]["publicKey"]["hint"] = signer.hint
    return json.dumps(document)


@pytest.mark.parametrize(
    ("signatures", "stage", "why"),
    [
        ([], "app", "not signed"),
        ([signed(CI)], "app", ""),
        ([signed(OWN)], "app", ""),
        ([signed(OWN)], "toolchain", ""),
        ([signed(STRANGER)], "app", "signed by somebody who is not in [trust.keys]"),
        ([renamed(signed(STRANGER), CI)], "app", "the signature of ci is not valid"),
        ([signed(CI, OTHER)], "app", "the signature of ci is for another image"),
        ([signed(CI, CLAIM._replace(facts={**CLAIM.facts, "key": "2"}))], "app",
         "the signature of ci is for another key"),
        ([signed(CI, CLAIM._replace(facts={**CLAIM.facts, "content": {}}))], "app",
         "the signature of ci is for another content"),
        ([changed(signed(CI), lambda said: said.update(more=1))], "app", "the signature of ci is not valid"),
        ([signed(STRANGER), "{}", signed(CI)], "app", ""),
        (["{}"], "app", "its signature is damaged"),
        (["[" * 50_000], "app", "its signature is damaged"),
        ([signed(CI) + " " * bundles.LARGEST], "app", "its signature is damaged"),
        ([signed(BOB)], "app", ""),
        ([signed(BOB)], "base", "bob may not sign it"),
        ([signed(BOB)], "", "bob may not sign it"),
        ([signed(CI)], "", "signed by ci only, 2 signatures are needed"),
        ([signed(CI)], "toolchain", "signed by ci only, 2 signatures are needed"),
        ([signed(CI)] * 3, "toolchain", "signed by ci only, 2 signatures are needed"),
        ([signed(CI), signed(BOB)], "toolchain", ""),
    ],
)  # fmt: skip
def test_what_is_trusted(signatures: list[str], stage: str, why: str) -> None:
    verdict = POLICY.judge(CLAIM, signatures, stage)
    assert (verdict.is_trusted, verdict.why) == (not why, why)


def test_a_signature_is_of_the_documented_form() -> None:
    """The order of the fields in what is signed is canonical, so a statement has one signature."""
    document = json.loads(signed(CI))
    said = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    assert document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [{"name": CLAIM.name, "digest": {"sha256": CLAIM.digest[7:]}}]
    assert said["predicate"] == {**CLAIM.facts, "source": "abc"}
    assert signed(CI) == signed(CI)
    # PAE of the DSSE specification's own example
    assert bundles.to_sign(b"{}") == b"DSSEv1 28 application/vnd.in-toto+json 2 {}"


# -- keys ----------------------------------------------------------------------------------------


def test_a_key_in_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key.pem"
    assert keyring.read(path) is None
    made = keyring.make(path)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o077 == 0
    found = keyring.read(path)
    assert found and found.public == made.public
    assert keyring.make(path).public == made.public  # never in place of another key
    assert [each.name for each in path.parent.iterdir()] == ["key.pem"]
    path.chmod(0o640)
    with pytest.raises(TrustError, match="other users may read or change it"):
        keyring.read(path)
    path.chmod(0o600)
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(TrustError, match="no private key of ed25519"):
        keyring.read(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(TrustError, match="is no regular file"):
        keyring.read(path)


def test_a_key_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrustError, match="cannot be written"):
        keyring.make(tmp_path / "file" / "key.pem")


def test_a_key_in_the_environment() -> None:
    pem = ed25519.private_pem(sha("ci").encode()[:32])
    body = pem.splitlines()[1]
    for text in (pem, body, f"  {body}\n", pem.replace("\n", "\r\n")):
        found = keyring.from_environment({keyring.VARIABLE: text})
        assert found and found.public == CI.public
    assert keyring.from_environment({}) is keyring.from_environment({keyring.VARIABLE: " "}) is None
    with pytest.raises(TrustError) as error:
        keyring.from_environment({keyring.VARIABLE: body[:-4]})
    assert body[:10] not in str(error.value)
    assert body[20:40] not in repr(found)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_reads_our_keys(tmp_path: Path) -> None:
    """OpenSSL takes our private key, and gives it the same public half."""
    keyring.store(tmp_path / "key.pem", sha("ci").encode()[:32])
    command = ["openssl", "pkey", "-in", str(tmp_path / "key.pem"), "-pubout"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == ed25519.public_pem(CI.public)


def test_the_key_of_a_clone_is_outside_of_it(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path / "home"), "XDG_STATE_HOME": "relative"}
    one, other = (keyring.path_of_clone(tmp_path / name, env) for name in ("one", "other"))
    assert one != other and one.is_relative_to(tmp_path / "home" / ".local" / "state" / "stagegraph")
    state = keyring.path_of_clone(tmp_path, {"XDG_STATE_HOME": str(tmp_path / "state")})
    assert state.is_relative_to(tmp_path / "state")


def test_a_project_without_trust_does_not_import_cryptography() -> None:
    code = "import sys, stagegraph.execution.workspace, stagegraph.trust.policy as p; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "stagegraph.project.loader" in done.stdout and "cryptography" not in done.stdout


# -- cosign --------------------------------------------------------------------------------------

EMPTY_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}


@pytest.mark.skipif(shutil.which("cosign") is None, reason="cosign is not installed")
def test_cosign_agrees(tmp_path: Path) -> None:
    """cosign verifies our bundle offline, and refuses another image, another key, another statement."""
    image = tmp_path / "manifest.json"
    image.write_bytes(b"image")
    (tmp_path / "root.json").write_text(json.dumps(EMPTY_ROOT))

    def answer(text: str, key: KeySigner = CI, blob: bytes = b"image") -> bool:
        image.write_bytes(blob)
        (tmp_path / "bundle.json").write_text(text)
        (tmp_path / "key.pub").write_text(ed25519.public_pem(key.public))
        command = ["cosign", "verify-blob-attestation", "--bundle", "bundle.json", "--new-bundle-format"]
        command += ["--key", "key.pub", "--trusted-root", "root.json", "--insecure-ignore-tlog"]
        command.append(str(image))
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == done.stderr.endswith("Verified OK\n")
        return done.returncode == 0

    assert answer(signed(CI))
    assert not answer(signed(CI), blob=b"evil")
    assert not answer(signed(CI, OTHER))
    assert not answer(signed(CI), key=BOB)
    assert not answer(changed(signed(CI), lambda said: said.update(more=1)))
