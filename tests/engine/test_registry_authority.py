"""A registry whose certificate an authority of its own has signed: refused until the authority is known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from kit import serving

from stagegraph.docker import imagetools
from stagegraph.errors import RefusedError, ResolveError
from stagegraph.store.repository import RemoteRepository

pytestmark = pytest.mark.engine

#: An address of this machine for which programs check certificates: unlike 127.0.0.1, they may not skip it.
HOST = "0.0.0.0"  # noqa: S104 - the registry listens on 127.0.0.1


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of an authority. A registry that is started now gets one that it has signed."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (tmp_path / "names").write_text(f"subjectAltName=IP:{HOST}\n")
    openssl(tmp_path, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority")
    openssl(tmp_path, "req", *key, "-keyout", "key", "-out", "request", "-subj", "/CN=registry")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-out", "crt")
    openssl(tmp_path, "x509", "-req", "-in", "request", *signed)
    monkeypatch.setenv("REGISTRY_HTTP_TLS_CERTIFICATE", str(tmp_path / "crt"))
    monkeypatch.setenv("REGISTRY_HTTP_TLS_KEY", str(tmp_path / "key"))
    return tmp_path / "ca.crt"


def test_an_authority_can_be_given_in_each_way_that_the_error_names(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "registry") as registry:
        host = registry.host.replace("127.0.0.1", HOST)
        remote = RemoteRepository(f"{host}/a", tmp_path)
        with pytest.raises(RefusedError, match="does not know the authority") as error:
            remote.read_manifest(f"{host}/a:tag")
        assert f"/etc/docker/certs.d/{host}/ca.crt" in error.value.hint
        with pytest.raises(ResolveError, match="does not know the authority"):
            imagetools.resolve(f"{host}/a:tag", ())
        with monkeypatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(authority))
            assert remote.read_manifest(f"{host}/a:tag") is None
            with pytest.raises(ResolveError, match="no such image"):
                imagetools.resolve(f"{host}/a:tag", ())
        # the folder of a user, which skopeo reads as it reads that of the machine
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        place = tmp_path / "home/.config/containers/certs.d" / host
        place.mkdir(parents=True)
        (place / "ca.crt").write_bytes(authority.read_bytes())
        assert remote.read_manifest(f"{host}/a:tag") is None
