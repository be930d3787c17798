"""What an image reference names now: asked of its registry through buildx, else of the engine."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from .errors import LoginError, RegistryError, ResolveError, StagegraphError
from .lock import Resolved
from .tools import run

_TIMEOUT = 60
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
    try:
        found: dict[str, Any] = json.loads(raw)
    except ValueError:
        raise RegistryError(reference, "the registry's answer is not a manifest") from None
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    image = _inspect(reference, "{{json .Image}}")
    if "manifests" not in found:
        return Resolved(digest, {_platform(image): digest}, _onbuild(image))
    manifests = {
        _platform(item["platform"]): item["digest"]
        for item in found["manifests"]
        if item.get("platform", {}).get("os") not in (None, "unknown")
    }
    # of one platform the configuration itself is given, of several a table of them
    return Resolved(digest, manifests, any(map(_onbuild, [image, *image.values()])))


def _inspect(reference: str, template: str) -> dict[str, Any]:
    done = run(
        ["docker", "buildx", "imagetools", "inspect", "--format", template, reference], timeout=_TIMEOUT
    )
    try:
        value = json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise RegistryError(reference, "its configuration could not be read", f"run again; it said: {said}")
    return value


def _onbuild(image: Any) -> bool:
    return isinstance(image, dict) and bool((image.get("config") or {}).get("OnBuild"))


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
        return Resolved(image["Id"], {docker: image["Id"]}, bool((image.get("Config") or {}).get("OnBuild")))
    except (ValueError, KeyError, TypeError):
        return None
