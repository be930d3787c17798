"""What an image reference names now: asked of its registry through buildx, else of the engine."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from ..dockerfile.triggers import takes_from_elsewhere
from ..errors import LoginError, RegistryError, ResolveError, StagegraphError
from ..oci.digest import Digest, sha256
from ..oci.platform import OciPlatform, as_indexed
from ..oci.reference import ResolvedReference, host, split
from ..system.messages import UNAUTHORIZED
from ..system.processes import run

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_Kind = TypeVar("_Kind")

_TIMEOUT = 60

#: Questions at once, of an index for many platforms.
_AT_ONCE = 8


def resolve(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
    """Digests by OCI platform; triggers of ``platforms`` alone, those of others are not looked at.

    Docker Hub counts each manifest that is read, and a mirror may hold an index without the images of all
    its platforms: one of ``platforms`` that cannot be read is no error for the others
    (``ResolvedReference.unread``).
    Raises ``ResolveError``, ``LoginError`` where the registry wants one, or ``RegistryError`` where its
    answer cannot be used.
    """
    done = run(["docker", "buildx", "imagetools", "inspect", "--raw", reference], timeout=_TIMEOUT)
    if done.returncode == 0:
        return _from_registry(reference, done.stdout, platforms)
    local = _from_engine(reference)
    if local is not None:
        return local
    message = done.stderr.decode(errors="replace").strip().removeprefix("ERROR: ")
    raise _error(reference, message)


def _error(reference: str, message: str) -> StagegraphError:
    if re.search(UNAUTHORIZED, message, re.IGNORECASE) and "not found" not in message:
        return LoginError(
            reference,
            "the registry wants a login, or has no such image",
            f"docker login {host(reference)}\n  it said: {message}",
        )
    if not re.search(r"not found|manifest unknown", message):
        return ResolveError(
            reference, "cannot be resolved to a digest", f"is the registry reachable? it said: {message}"
        )
    return ResolveError(
        reference, "no such image, in its registry or in the engine", f"check the name; it said: {message}"
    )


def _from_registry(reference: str, raw: bytes, platforms: Collection[OciPlatform]) -> ResolvedReference:
    found = _parsed(reference, raw)
    digest = sha256(raw)
    if "manifests" not in found:
        config = _config(reference, found)
        if not config:
            raise RegistryError(reference, "the registry's answer is the manifest of no image")
        return _resolved(digest, {_platform(reference, config): digest}, _triggers(reference, config))
    from concurrent.futures import ThreadPoolExecutor

    manifests = _manifests(reference, found)
    wanted = sorted(manifests.keys() & set(platforms))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        images = list(pool.map(lambda docker: _image(reference, manifests[docker]), wanted))
    triggers: list[str] = []
    unread: dict[OciPlatform, StagegraphError] = {}
    for docker, image in zip(wanted, images, strict=True):
        if isinstance(image, RegistryError):
            unread[docker] = image
        else:
            triggers += image
    return _resolved(digest, manifests, triggers, unread)


def _image(reference: str, digest: str) -> list[str] | RegistryError:
    """Triggers of one image of an index, or why it cannot be read."""
    try:
        return _triggers(reference, _config(reference, _document(reference, digest)))
    except RegistryError as error:
        return error


def _manifests(reference: str, index: Mapping[str, Any]) -> dict[OciPlatform, Digest]:
    """Digests by OCI platform, out of an index; what is of no platform (attestations) is left out."""
    found: dict[OciPlatform, Digest] = {}
    for item in _part(reference, index, "manifests", list):
        if not isinstance(item, dict):
            raise _malformed(reference, "an entry of manifests", item)
        platform = _part(reference, item, "platform", dict) if "platform" in item else {}
        if _part(reference, platform, "os", str, "") not in ("", "unknown"):
            found[_platform(reference, platform)] = Digest(_part(reference, item, "digest", str))
    return found


def _config(reference: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of an image as it is stored; empty where the manifest names none.

    ``imagetools inspect --format`` would leave out ``OnBuild``, which OCI's specification does not have.
    """
    digest = _part(reference, _part(reference, manifest, "config", dict, {}), "digest", str, "")
    return _document(reference, digest) if digest else {}


def _document(reference: str, digest: str) -> dict[str, Any]:
    """A manifest or a configuration of the image's repository: where there is no such manifest, containerd's
    resolver, which buildx uses, asks for the blob (core/remotes/docker/resolver.go)."""
    name = f"{split(reference).repository}@{digest}"
    done = run(["docker", "buildx", "imagetools", "inspect", "--raw", name], timeout=_TIMEOUT)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise RegistryError(
            reference, f"{digest} of it could not be read", f"copy it there, or run again; it said: {said}"
        )
    return _parsed(reference, done.stdout)


def _parsed(reference: str, raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RegistryError(reference, "the registry's answer is not a manifest")
    return value


def _part(
    reference: str, found: Mapping[str, Any], name: str, kind: type[_Kind], default: _Kind | None = None
) -> _Kind:
    """A field of an answer. ``default`` is for null, too, as in Go. Raises ``RegistryError`` for others."""
    value = found.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind):
        raise _malformed(reference, name, value)
    return value


def _malformed(reference: str, name: str, value: object) -> RegistryError:
    what = f"its manifest or configuration is malformed: {name} is {json.dumps(value)[:80]}"
    return RegistryError(reference, what, "repair it in its registry, or take another image")


def _triggers(reference: str, image: Mapping[str, Any]) -> list[str]:
    """Triggers of an image's configuration, in the registry's form or the engine's."""
    config = _part(reference, image, "config" if "config" in image else "Config", dict, {})
    triggers = _part(reference, config, "OnBuild", list, [])
    for trigger in triggers:
        if not isinstance(trigger, str):
            raise _malformed(reference, "an entry of OnBuild", trigger)
    return triggers


def _resolved(
    index: Digest,
    manifests: dict[OciPlatform, Digest],
    triggers: Collection[str],
    unread: Mapping[OciPlatform, StagegraphError] | None = None,
) -> ResolvedReference:
    return ResolvedReference(
        index, manifests, bool(triggers), any(map(takes_from_elsewhere, triggers)), unread or {}
    )


def _platform(reference: str, item: Mapping[str, Any]) -> OciPlatform:
    return as_indexed(*(_part(reference, item, name, str, "") for name in ("os", "architecture", "variant")))


def _from_engine(reference: str) -> ResolvedReference | None:
    """An image that only the engine has: usable by the engine's own builder, by its digest."""
    done = run(["docker", "image", "inspect", reference], timeout=_TIMEOUT)
    try:
        (image,) = json.loads(done.stdout)
        item = {"os": image["Os"], "architecture": image["Architecture"], "variant": image.get("Variant")}
        docker = _platform(reference, item)
        digest = Digest(image["Id"])
        return _resolved(digest, {docker: digest}, _triggers(reference, image))
    except (ValueError, KeyError, TypeError):
        return None
