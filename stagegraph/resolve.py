"""What an image reference names now: asked of its registry through buildx, else of the engine."""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .errors import LoginError, RegistryError, ResolveError, StagegraphError
from .lock import Resolved
from .references import split
from .tools import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TIMEOUT = 60
#: Questions at once, of an index for many platforms.
_AT_ONCE = 8
#: A trigger that takes from another image (newer front ends resolve its name, unpinned), or from the network.
_FROM_ELSEWHERE = re.compile(
    r"""[-=,"']from=|^\s*add\b(?!.*--checksum=).*(://|git@)""", re.IGNORECASE | re.DOTALL
)
_LOGIN = re.compile(r"401 Unauthorized|unauthorized|authentication required|no basic auth", re.IGNORECASE)


def resolve(reference: str) -> Resolved:
    """Digests by OCI platform. Raises ``ResolveError``, or ``LoginError`` where the registry wants one."""
    done = run(["docker", "buildx", "imagetools", "inspect", "--raw", reference], timeout=_TIMEOUT)
    if done.returncode == 0:
        return _from_registry(reference, done.stdout)
    local = _from_engine(reference)
    if local is not None:
        return local
    message = done.stderr.decode(errors="replace").strip().removeprefix("ERROR: ")
    raise _error(reference, message)


def _error(reference: str, message: str) -> StagegraphError:
    if _LOGIN.search(message) and "not found" not in message:
        first, slash, _ = reference.partition("/")
        host = first if slash and (set(".:") & set(first) or first == "localhost") else ""  # else Docker Hub
        return LoginError(
            reference,
            "the registry wants a login, or has no such image",
            f"docker login {host}\n  it said: {message}",
        )
    if not re.search(r"not found|manifest unknown", message):
        return ResolveError(
            reference, "cannot be resolved to a digest", f"is the registry reachable? it said: {message}"
        )
    return ResolveError(
        reference, "no such image, in its registry or in the engine", f"check the name; it said: {message}"
    )


def _from_registry(reference: str, raw: bytes) -> Resolved:
    found = _parsed(reference, raw)
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    if "manifests" not in found:
        config = _config(reference, found)
        if not config:
            raise RegistryError(reference, "the registry's answer is the manifest of no image")
        return _resolved(digest, {_platform(config): digest}, [config])
    manifests = {
        _platform(item["platform"]): item["digest"]
        for item in found["manifests"]
        if item.get("platform", {}).get("os") not in (None, "unknown")
    }
    linux = {manifest for docker, manifest in manifests.items() if docker.startswith("linux/")}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        configs = list(pool.map(lambda each: _config(reference, _document(reference, each)), sorted(linux)))
    return _resolved(digest, manifests, configs)


def _config(reference: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of an image as it is stored; empty where the manifest names none.

    ``imagetools inspect --format`` would leave out ``OnBuild``, which OCI's specification does not have.
    """
    digest = (manifest.get("config") or {}).get("digest", "")
    return _document(reference, digest) if digest else {}


def _document(reference: str, digest: str) -> dict[str, Any]:
    """A manifest or a configuration of the image's repository: where there is no such manifest, containerd's
    resolver, which buildx uses, asks for the blob (core/remotes/docker/resolver.go)."""
    name = f"{split(reference).repository}@{digest}"
    done = run(["docker", "buildx", "imagetools", "inspect", "--raw", name], timeout=_TIMEOUT)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise RegistryError(reference, f"{digest} of it could not be read", f"run again; it said: {said}")
    return _parsed(reference, done.stdout)


def _parsed(reference: str, raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RegistryError(reference, "the registry's answer is not a manifest")
    return value


def _resolved(index: str, manifests: dict[str, str], images: Iterable[Mapping[str, Any]]) -> Resolved:
    """With what the images' configurations say of triggers."""
    configs = [image.get("config") or image.get("Config") or {} for image in images]
    triggers = [str(each) for config in configs for each in config.get("OnBuild") or ()]
    return Resolved(index, manifests, bool(triggers), any(map(_FROM_ELSEWHERE.search, triggers)))


def _platform(item: dict[str, Any]) -> str:
    """``linux/arm64``; arm64's only variant, v8, is not written."""
    parts = [item.get("os", ""), item.get("architecture", ""), item.get("variant", "")]
    if parts[1:] == ["arm64", "v8"]:
        parts.pop()
    return "/".join(filter(None, parts))


def _from_engine(reference: str) -> Resolved | None:
    """An image that only the engine has: usable by the engine's own builder, by its digest."""
    done = run(["docker", "image", "inspect", reference], timeout=_TIMEOUT)
    try:
        (image,) = json.loads(done.stdout)
        docker = _platform(
            {"os": image["Os"], "architecture": image["Architecture"], "variant": image.get("Variant", "")}
        )
        return _resolved(image["Id"], {docker: image["Id"]}, [image])
    except (ValueError, KeyError, TypeError):
        return None
