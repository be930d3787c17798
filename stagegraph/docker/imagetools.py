"""The digests that an image reference names now: asked of its registry through buildx, else of the engine."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING

from ..dockerfile.triggers import takes_from_elsewhere
from ..errors import LoginError, RegistryError, ResolveError, StagegraphError
from ..oci.digest import Digest, sha256
from ..oci.reference import ResolvedReference, host, split
from ..system.messages import NO_AUTHORITY, UNAUTHORIZED, UNKNOWN_AUTHORITY
from ..system.processes import run
from . import client_faults
from .image_document import ImageDocument

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..oci.platform import OciPlatform

#: Seconds for one question.
_TIMEOUT = 60

#: Questions at once about the images of one index.
_PARALLEL = 8


def resolve(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
    """Resolve a reference to digests by OCI platform, and look at the triggers of ``platforms``.

    The images of other platforms are not read, since Docker Hub counts each manifest that is read. A mirror
    may hold an index without the images of all platforms. So an image that cannot be read is no error for
    the others (``ResolvedReference.unread``).

    Raises ``LoginError`` if the registry wants a login, ``RegistryError`` if its answer is malformed, the
    errors of ``client_faults`` if docker or buildx cannot even ask, or else ``ResolveError``.
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
    if fault := client_faults.error(reference, message):
        return fault
    if re.search(UNAUTHORIZED, message, re.IGNORECASE) and "not found" not in message:
        what = "the registry requires a login, or has no such image"
        return LoginError(reference, what, f"docker login {host(reference)}\n  it said: {message}")
    if re.search(UNKNOWN_AUTHORITY, message):
        hint = f"add it to this machine's bundle, or name it in SSL_CERT_FILE\n  buildx said: {message}"
        return ResolveError(reference, NO_AUTHORITY, hint)
    if not re.search(r"not found|manifest unknown", message):
        hint = f"is the registry reachable? it said: {message}"
        return ResolveError(reference, "cannot be resolved to a digest", hint)
    what = "no such image, in its registry or in the engine"
    return ResolveError(reference, what, f"check the name; it said: {message}")


# -- the registry's answer -------------------------------------------------------------------------


def _from_registry(reference: str, raw: bytes, platforms: Collection[OciPlatform]) -> ResolvedReference:
    document, digest = ImageDocument.parse(reference, raw), sha256(raw)
    if "manifests" in document:
        return _from_index(document, digest, platforms)
    config = _config(document)
    if not config:
        raise RegistryError(reference, "the registry's answer is not the manifest of an image")
    return _resolved(digest, {config.platform(): digest}, config.triggers())


def _from_index(
    index: ImageDocument, digest: Digest, platforms: Collection[OciPlatform]
) -> ResolvedReference:
    from ..system.workers import DaemonPool

    manifests = _manifests(index)
    wanted = sorted(manifests.keys() & set(platforms))
    pool = DaemonPool(_PARALLEL)
    reads = [pool.submit(partial(_image_triggers, index.reference, manifests[docker])) for docker in wanted]
    images = [read.result() for read in reads]
    triggers: list[str] = []
    unread: dict[OciPlatform, StagegraphError] = {}
    for docker, image in zip(wanted, images, strict=True):
        if isinstance(image, RegistryError):
            unread[docker] = image
        else:
            triggers += image
    return _resolved(digest, manifests, triggers, unread)


def _image_triggers(reference: str, digest: Digest) -> list[str] | RegistryError:
    """The triggers of one image of an index, or the error why it cannot be read."""
    try:
        return _config(_read(reference, digest)).triggers()
    except RegistryError as error:
        return error


def _manifests(index: ImageDocument) -> dict[OciPlatform, Digest]:
    """The digests in an index by OCI platform; entries without a platform (attestations) are left out."""
    manifests: dict[OciPlatform, Digest] = {}
    for fields in index.items("manifests", dict):
        item = ImageDocument(index.reference, fields)
        platform = item.child("platform") if "platform" in item else ImageDocument(index.reference, {})
        if platform.get("os", str, "") not in ("", "unknown"):
            manifests[platform.platform()] = Digest(item.get("digest", str))
    return manifests


def _config(manifest: ImageDocument) -> ImageDocument:
    """The configuration of an image as it is stored; empty if the manifest names none.

    ``imagetools inspect --format`` would leave out ``OnBuild``, which is not in OCI's specification.
    """
    digest = manifest.child("config", {}).get("digest", str, "")
    return _read(manifest.reference, digest) if digest else ImageDocument(manifest.reference, {})


def _read(reference: str, digest: str) -> ImageDocument:
    """Read a manifest or a configuration of the image's repository.

    If there is no such manifest, containerd's resolver, which buildx uses, asks for the blob
    (core/remotes/docker/resolver.go).
    """
    name = f"{split(reference).repository}@{digest}"
    done = run(["docker", "buildx", "imagetools", "inspect", "--raw", name], timeout=_TIMEOUT)
    if done.returncode != 0:
        message = done.stderr.decode(errors="replace").strip()[-300:]
        hint = f"copy it there, or run again; it said: {message}"
        raise RegistryError(reference, f"its part {digest} could not be read", hint)
    return ImageDocument.parse(reference, done.stdout)


# -- the engine's answer ---------------------------------------------------------------------------


def _from_engine(reference: str) -> ResolvedReference | None:
    """Resolve an image that only the engine has: the engine's own builder can use it, by its digest."""
    done = run(["docker", "image", "inspect", reference], timeout=_TIMEOUT)
    try:
        (image,) = json.loads(done.stdout)
        fields = {"os": image["Os"], "architecture": image["Architecture"], "variant": image.get("Variant")}
        platform, digest = ImageDocument(reference, fields).platform(), Digest(image["Id"])
        return _resolved(digest, {platform: digest}, ImageDocument(reference, image).triggers())
    except (ValueError, KeyError, TypeError):
        return None


def _resolved(
    index: Digest,
    manifests: dict[OciPlatform, Digest],
    triggers: Collection[str],
    unread: Mapping[OciPlatform, StagegraphError] | None = None,
) -> ResolvedReference:
    from_elsewhere = any(map(takes_from_elsewhere, triggers))
    return ResolvedReference(index, manifests, bool(triggers), from_elsewhere, unread or {})
