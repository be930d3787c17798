"""The secrets that a Dockerfile mounts, as options of buildx.

A secret is declared in ``stages.toml``. ``ca`` needs no declaration: it is this machine's bundle of
certificate authorities.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..host.system import CA_BUNDLES
from ..output import hide
from ..project.model import Secret
from ..system.files import expanded, open_regular
from .command import option_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..keys.spec import NodeSpec

#: The secret that needs no declaration.
AUTHORITIES = "ca"

#: Bytes of the largest secret that BuildKit takes (session/secrets/secrets.go).
_MOST = 500 * 1024

#: Certificates are public, and a bundle of them has thousands of lines.
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Source(NamedTuple):
    """Where the value of a secret comes from: a file or a variable. ``lack`` says why there is no value."""

    file: str = ""
    env: str = ""
    lack: str = ""


def source(secret: Secret | None, root: Path) -> Source:
    """The source of a secret; None for ``ca`` without a declaration. Paths are relative to ``root``."""
    if secret is None:
        bundle = _ca_bundle()
        return Source(bundle, lack="" if bundle else "this machine has no bundle of certificate authorities")
    if not secret.env:
        path = root / expanded(secret.file)
        lack = "" if os.access(path, os.R_OK) and path.is_file() else f"there is no file {path} to read"
        return Source(str(path), lack=lack)
    # buildx would pass an empty variable as an empty file, which satisfies a mount that is required
    lack = "" if os.environ.get(secret.env) else f"the variable {secret.env} is not set, or empty"
    return Source(env=secret.env, lack=lack)


def value(found: Source) -> str:
    """The value of a secret as far as it must not be shown; "" without one."""
    if found.lack:
        return ""
    if found.env:
        return os.environ.get(found.env, "")
    try:
        with open_regular(Path(found.file).resolve()) as file:
            text = file.read(_MOST).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    return _CERTIFICATE.sub("", text)


def hide_declared(declared: Mapping[str, Secret], root: Path) -> None:
    """Let nothing print the values of these secrets. Paths are relative to ``root``."""
    hide(value(source(secret, root)) for secret in declared.values())


def given(spec: NodeSpec, declared: Iterable[str]) -> list[str]:
    """The names of the secrets that a build gets: those that steps mount, or all if only the build knows."""
    every = {*declared, AUTHORITIES} if spec.analysis.needs_all else set[str]()
    return sorted(spec.analysis.secrets | every)


def secret_options(
    spec: NodeSpec, declared: Mapping[str, Secret], root: Path, warn: Callable[[str], None]
) -> Iterator[str]:
    """The options for the secrets of one node; paths of ``declared`` are relative to ``root``.

    A secret without a value gets no option. Steps that require it fail (``requirements``).
    """
    for name in given(spec, declared):
        secret = declared.get(name)
        found = source(secret, root)
        if not found.lack:
            if secret is not None:
                hide([value(found)])
            where = {"env": found.env} if found.env else {"src": found.file}
            yield f"--secret={option_value({'id': name, **where})}"
        elif secret is not None:
            warn(f"{spec.node}: secret {name}: {found.lack}; steps that do not require it run without it")


def _ca_bundle() -> str:
    """The path of this machine's certificate authorities; "" if there is none."""
    bundles = (os.environ.get("SSL_CERT_FILE", ""), *CA_BUNDLES)
    return next((path for path in bundles if path and Path(path).exists()), "")
