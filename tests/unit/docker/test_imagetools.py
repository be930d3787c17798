"""References resolved from answers of a registry. The registry is a mapping; engine tests use a real one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from helpers import sha

from stagegraph.docker import imagetools as module
from stagegraph.docker.imagetools import resolve
from stagegraph.errors import (
    AccessError,
    BuilderError,
    RegistryError,
    ResolveError,
    StagegraphError,
    ToolError,
)
from stagegraph.oci.platform import OciPlatform
from stagegraph.oci.reference import ResolvedReference

pytestmark = pytest.mark.unit

LINUX, ARM, ARM32, RISCV = map(OciPlatform, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"))
NAME = "r.example/x:1"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("docker: 'buildx' is not a docker command.", ToolError),
        ("ERROR: mkdir /proc/1/.docker: no such file or directory", AccessError),
        ('ERROR: no builder "nope" found', BuilderError),
        # words of a registry
        ("ERROR: invalid character '<' looking for beginning of value", ResolveError),
        ("ERROR: failed to do request: Head: dial tcp: lookup r.example: no such host", ResolveError),
        ("ERROR: r.example/x:1: not found", ResolveError),
    ],
)
def test_a_client_that_cannot_ask_is_not_the_fault_of_the_registry(
    monkeypatch: pytest.MonkeyPatch, said: str, kind: type[StagegraphError]
) -> None:
    def fails(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 1, b"", said.encode())

    monkeypatch.setattr(module, "run", fails)
    with pytest.raises(kind) as caught:
        resolve(NAME, [LINUX])
    assert type(caught.value) is kind


class Buildx:
    """A fake ``docker buildx imagetools inspect --raw``. ``asked`` has the requested names."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []

    def __call__(
        self, command: Sequence[str], *, timeout: float | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        assert timeout and list(command[:-1]) in (
            ["docker", "buildx", "imagetools", "inspect", "--raw"],
            ["docker", "image", "inspect"],
        )
        if command[1] == "image":
            return subprocess.CompletedProcess(command, 1, b"[]", b"")
        self.asked.append(command[-1])
        found = self.documents.get(command[-1])
        return subprocess.CompletedProcess(
            command, found is None, found or b"", b"" if found else b"not found"
        )

    def add(self, document: object, name: str = "") -> str:
        """Add a document under a name, or under its digest. Return its digest."""
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.documents[name or f"r.example/x@{sha(raw)}"] = raw
        return sha(raw)

    def image(self, platform: str, *triggers: str) -> dict[str, Any]:
        """Add an image to the registry. Return its entry in an index."""
        system, architecture, variant = (*platform.split("/"), "")[:3]
        own = {"os": system, "architecture": architecture, **({"variant": variant} if variant else {})}
        config = self.add({**own, "config": {"OnBuild": list(triggers) or None}})
        return {"digest": self.add({"config": {"digest": config}}), "platform": own}


@pytest.fixture
def buildx(monkeypatch: pytest.MonkeyPatch) -> Buildx:
    buildx = Buildx()
    monkeypatch.setattr(module, "run", buildx)
    return buildx


def trigger_flags(found: ResolvedReference) -> tuple[bool, bool]:
    return found.onbuild, found.onbuild_from


def test_only_images_of_the_wanted_platforms_are_read(buildx: Buildx) -> None:
    images = [buildx.image(LINUX), buildx.image(ARM, "RUN x"), buildx.image(ARM32, "COPY --from=a / /")]
    images.append({"digest": sha("attestation"), "platform": {"os": "unknown", "architecture": "unknown"}})
    buildx.add({"manifests": images}, NAME)
    found = resolve(NAME, [LINUX])
    assert found.manifests == {
        platform: image["digest"] for platform, image in zip((LINUX, ARM, ARM32), images, strict=False)
    }
    assert trigger_flags(found) == (False, False)
    assert len(buildx.asked) == 3  # the index, a manifest, a configuration
    assert trigger_flags(resolve(NAME, {LINUX, ARM, RISCV})) == (True, False)
    assert trigger_flags(resolve(NAME, {LINUX, ARM32})) == (True, True)
    assert trigger_flags(resolve(NAME, ())) == (False, False)


def test_an_index_that_a_mirror_has_only_in_part(buildx: Buildx) -> None:
    other = {"digest": sha("other"), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
    buildx.add({"manifests": [buildx.image(LINUX, "RUN x"), other]}, NAME)
    found = resolve(NAME, [LINUX])
    assert (found.manifests[ARM], found.onbuild) == (sha("other"), True)
    assert not found.unread
    found = resolve(NAME, [LINUX, ARM])
    assert (found.onbuild, list(found.unread)) == (True, [ARM])
    assert found.unread[ARM].what == f"its part {sha('other')} could not be read"


def test_image_without_an_index(buildx: Buildx) -> None:
    image = buildx.image(LINUX, "ADD https://x/y /y")
    buildx.documents[NAME] = buildx.documents[f"r.example/x@{image['digest']}"]
    found = ResolvedReference(image["digest"], {LINUX: image["digest"]}, onbuild=True, onbuild_from=True)
    assert resolve(NAME, [ARM]) == found


@pytest.mark.parametrize(
    "trigger",
    [
        "COPY --from=a / /",
        "copy --link --from=$A /a /b",
        "RUN --mount=type=bind,from=a,target=/a x",
        'RUN --mount=target=/a,"from=a" x',
        "RUN --mount=FROM=a,target=/a x",
        "ADD https://a/b /b",
        "add git@a.example:b/c.git /",
        "ADD $URL /x",
        "ADD ${BASE}/f /x",
        "ADD bob@host:repo /x",
        "ADD git@github.com:a/b.git#main /x",
        'ADD ["https://a/b", "/b"]',
        "ADD --checksum=$SUM https://a/b /b",
        "ADD --checksum= https://a/b /b",
        "ADD ${A /x",
        "FETCH a /b",
        "",
        "RUN a\nRUN b",
        'RUN --mount=from="a\rb" x',
    ],
)
def test_triggers_that_copy_from_another_image_are_found(buildx: Buildx, trigger: str) -> None:
    buildx.add({"manifests": [buildx.image(LINUX, "RUN x", trigger)]}, NAME)
    assert trigger_flags(resolve(NAME, [LINUX])) == (True, True)


@pytest.mark.parametrize(
    "trigger",
    [
        "COPY . .",
        "COPY . /from=x",
        "RUN curl https://a/b",
        "COPY $A --from=b /x/",  # --from after the flags is a word
        "ADD a.tar /",
        "ADD --chown=1:1 a@b /x",
        f"ADD --checksum={sha('x')} https://a/b /b",
        f"ADD --checksum={sha('x')} $URL /b",
        f"ADD https://a/b.git#{'1' * 40} /b",
        "ADD <<E /x\nhttps://a/b\nE",
        "RUN git clone https://a/b --from=c",
        "RUN --mount=type=cache,target=/c x",
        'LABEL x="COPY --from=a"',
    ],
)
def test_triggers_that_copy_only_from_the_context_are_found(buildx: Buildx, trigger: str) -> None:
    buildx.add({"manifests": [buildx.image(LINUX, trigger)]}, NAME)
    assert trigger_flags(resolve(NAME, [LINUX])) == (True, False)


ENTRY = {"digest": sha("x"), "platform": {"os": "linux", "architecture": "amd64"}}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>", "the registry's answer is not a manifest"),
        (b"[" * 100_000, "the registry's answer is not a manifest"),
        ([], "the registry's answer is not a manifest"),
        ({}, "the registry's answer is not the manifest of an image"),
        ({"manifests": None}, "manifests is null"),
        ({"manifests": {}}, "manifests is {}"),
        ({"manifests": [5]}, "an entry of manifests is 5"),
        ({"manifests": [{**ENTRY, "platform": None}]}, "platform is null"),
        ({"manifests": [{**ENTRY, "platform": "linux/amd64"}]}, 'platform is "linux/amd64"'),
        ({"manifests": [{**ENTRY, "platform": {"os": 5}}]}, "os is 5"),
        ({"manifests": [{**ENTRY, "platform": {"os": "linux", "variant": []}}]}, "variant is []"),
        ({"manifests": [{"platform": ENTRY["platform"]}]}, "digest is null"),
        ({"manifests": [{**ENTRY, "digest": 5}]}, "digest is 5"),
        ({"config": "x"}, 'config is "x"'),
        ({"config": {"digest": 5}}, "digest is 5"),
    ],
)
def test_an_invalid_answer_is_an_error(buildx: Buildx, answer: object, said: str) -> None:
    buildx.add(answer, NAME)
    with pytest.raises(RegistryError) as error:
        resolve(NAME, [LINUX])
    assert said in error.value.what and error.value.where == NAME


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"config": "x"}, 'config is "x"'),
        ({"config": {"OnBuild": 5}}, "OnBuild is 5"),
        ({"config": {"OnBuild": "RUN x"}}, 'OnBuild is "RUN x"'),
        ({"config": {"OnBuild": ["RUN x", 5]}}, "an entry of OnBuild is 5"),
        (b"x", "the registry's answer is not a manifest"),
    ],
)
@pytest.mark.parametrize("index", [True, False])
def test_an_invalid_configuration_is_an_error(buildx: Buildx, config: object, said: str, index: bool) -> None:
    manifest = {"config": {"digest": buildx.add(config)}}
    entry = {**ENTRY, "digest": buildx.add(manifest)}
    buildx.add({"manifests": [entry]} if index else manifest, NAME)
    if index:
        error = resolve(NAME, [LINUX]).unread[LINUX]
    else:
        with pytest.raises(RegistryError) as raised:
            resolve(NAME, [LINUX])
        error = raised.value
    assert isinstance(error, RegistryError)
    assert said in error.what and error.where == NAME


@pytest.mark.parametrize("config", [{}, {"config": None}, {"config": {"OnBuild": None}}])
def test_a_configuration_without_triggers(buildx: Buildx, config: dict[str, Any]) -> None:
    manifest = {"config": {"digest": buildx.add(config)}}
    buildx.add({"manifests": [{**ENTRY, "digest": buildx.add(manifest)}]}, NAME)
    assert trigger_flags(resolve(NAME, [LINUX])) == (False, False)
