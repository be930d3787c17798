"""What an engine answers about a tag. The engine is a socket, or no socket may be used."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import docker.errors
import pytest
from fake_engine import answering

from stagegraph.docker import engine
from stagegraph.errors import AccessError, EngineError, UnreadableImageError

pytestmark = pytest.mark.unit

NAME = "some/image:tag"


def answer(status: int, **body: str) -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + data


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'e.sock'}")
    return tmp_path / "e.sock"


#: Docker 26.1's words for images with an odd history, an odd time, and bad JSON.
WORDS = [
    "could not deserialize image config: json: cannot unmarshal number into Go struct field "
    "DockerOCIImage.Image.history of type v1.History",
    'could not deserialize image config: parsing time "yesterday" as "2006-01-02T15:04:05": cannot parse',
    "failed to read config of the manifest sha256:1: invalid character 'N' looking for beginning of value",
]


@pytest.mark.parametrize("words", WORDS)
def test_a_tag_of_an_image_that_the_engine_cannot_read(path: Path, words: str) -> None:
    with answering(path, answer(500, message=words)):
        with pytest.raises(UnreadableImageError) as caught:
            engine.image_id(NAME)
        assert not engine.has(NAME, {"sha256:1"})
    assert caught.value.exit_status == 20 and caught.value.hint == f"remove it: docker rmi -f {NAME}"
    assert words in caught.value.what


def test_another_fault_of_the_engine_is_no_unreadable_image(path: Path) -> None:
    with answering(path, answer(500, message="something new")):
        for ask in (engine.image_id, engine.remove_unreadable, lambda name: engine.has(name, {"x"})):
            with pytest.raises(EngineError) as caught:
                ask(NAME)
            assert type(caught.value) is EngineError and caught.value.hint


def test_nothing_is_removed_that_the_engine_can_read(path: Path) -> None:
    with answering(path, answer(200, Id="sha256:1")):
        assert not engine.remove_unreadable(NAME)
    path.unlink()
    with answering(path, answer(404, message="No such image")):
        assert not engine.remove_unreadable(NAME)


def test_a_socket_that_one_may_not_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(AccessError, match="usermod -aG docker"):
        engine.image_id(NAME)


def test_the_sdk_may_not_use_the_socket_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """docker-py, api/client.py (_retrieve_server_version)."""
    words = "('Connection aborted.', PermissionError(13, 'Permission denied'))"

    def refuse(**_: object) -> None:
        raise docker.errors.DockerException(f"Error while fetching server API version: {words}")

    monkeypatch.setattr(docker, "DockerClient", refuse)
    with pytest.raises(AccessError, match="usermod -aG docker"):
        engine._connect(10)
