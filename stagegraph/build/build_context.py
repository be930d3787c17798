"""The build context of a node: a tar of exactly the files that were hashed, or a folder with them."""

from __future__ import annotations

import uuid
from typing import IO, TYPE_CHECKING

from ..context.archive import write_tar

if TYPE_CHECKING:
    from pathlib import Path

    from ..keys.spec import NodeSpec


def write_context(spec: NodeSpec, root: Path, view: Path, tar: IO[bytes]) -> str:
    """Write the context of a node to ``tar``; return what buildx gets as its context.

    Return "-" for the tar on standard input, or the path of a folder below ``view``.

    BuildKit does not let COPY see a Dockerfile that ``.dockerignore`` hides, yet a tar must hold the
    Dockerfile. So a folder is sent if the whole context is copied and hides the Dockerfile. The folder has a
    name that was never used before: BuildKit compares a folder with the last one from the same path by size
    and time alone, and would take an edited file for the old one.

    A front end that the Dockerfile names gets a folder, too: the builder's own front end reads the tar first,
    and buildx sends a tar only once (BuildKit, session/upload/uploadprovider/provider.go).
    """
    is_entry = any(entry.path == spec.config.dockerfile for entry in spec.entries)
    # the builder must read another Dockerfile than COPY may see
    separate = spec.exposed or (is_entry and spec.sent_text != spec.text) or spec.frontend is not None
    extra = {} if is_entry or separate else {spec.config.dockerfile: spec.sent_text.encode()}
    write_tar(spec.entries, root / spec.config.context, extra, spec.epoch, tar)
    if not separate:
        return "-"
    tar.seek(0)
    return str(_unpack(tar, view, spec.sent_text))


def write_folder(spec: NodeSpec, text: str, root: Path, view: Path, tar: IO[bytes]) -> Path:
    """Write the context of a node to a folder, with the Dockerfile ``text`` beside it; return its path."""
    write_tar(spec.entries, root / spec.config.context, {}, spec.epoch, tar)
    tar.seek(0)
    return _unpack(tar, view, text)


def _unpack(tar: IO[bytes], view: Path, text: str) -> Path:
    """Unpack the context into a new folder, with the Dockerfile beside that folder."""
    import tarfile

    folder = view / uuid.uuid4().hex
    folder.mkdir()
    with tarfile.open(fileobj=tar) as archive:
        # this program wrote the tar, from files that the user wants to send; links may point anywhere
        archive.extractall(folder, filter="fully_trusted", numeric_owner=True)  # noqa: S202
    (view / "Dockerfile").write_text(text, encoding="utf-8")
    # it takes precedence over .dockerignore, which either has been applied or was not in force
    (view / "Dockerfile.dockerignore").write_text("")
    return folder
