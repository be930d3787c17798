"""The secrets that a Dockerfile mounts, as options of buildx.

A secret is declared in ``stages.toml``. ``ca`` needs no declaration: it is this machine's bundle of
certificate authorities.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ProjectError, nearest
from ..host.system import CA_BUNDLES
from .command import option_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..keys.spec import NodeSpec
    from ..project.model import Secret


def secret_options(
    spec: NodeSpec, declared: Mapping[str, Secret], root: Path, warn: Callable[[str], None]
) -> Iterator[str]:
    """The options for the secrets of one node; paths of ``declared`` are relative to ``root``.

    A secret without a value gets no option, so that a mount with ``required=true`` fails. Raises
    ``ProjectError`` for a secret that is not declared.
    """
    for name in sorted(spec.analysis.secrets):
        secret = declared.get(name)
        if secret is None:
            if name != "ca":
                what = f"its Dockerfile mounts a secret {name!r}, which is not declared"
                hint = (
                    f"declare it in stages.toml: [secrets.{name}] with file or env; {nearest(name, declared)}"
                )
                raise ProjectError(str(spec.node), what, hint)
            if bundle := ca_bundle():
                yield _option(id="ca", src=bundle)
        elif not secret.env:
            yield _option(id=name, src=root / Path(secret.file).expanduser())
        elif os.environ.get(secret.env):
            yield _option(id=name, env=secret.env)
        else:
            # buildx would pass an empty file, which satisfies a mount that is required
            what = f"secret {name}: the variable {secret.env} is not set, or empty"
            warn(f"{spec.node}: {what}; steps that do not require it run without it")


def _option(**fields: object) -> str:
    return f"--secret={option_value(fields)}"


def ca_bundle() -> str:
    """The path of this machine's certificate authorities; "" if there is none."""
    bundles = (os.environ.get("SSL_CERT_FILE", ""), *CA_BUNDLES)
    return next((path for path in bundles if path and Path(path).exists()), "")
