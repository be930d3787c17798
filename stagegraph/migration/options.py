"""The options of a build that bake and Compose have -> keys of ``[stages.NAME]``. One row for each option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..project import schema


class Inexpressible(Exception):  # noqa: N818 - it is an answer, no fault
    """The value has no counterpart in ``stages.toml``. Its text says so to the user, with what to do."""


class Row(NamedTuple):
    """One option: its key in bake, the key of a stage ("" for none), and how its value is read.

    ``note`` is for an option without a counterpart. "": it needs no word.
    """

    bake: str
    stage: str
    read: Callable[[Any], Any]
    note: str = ""


def _network(value: Any) -> str:
    if value not in ("default", "none"):
        raise Inexpressible(f'network = {value!r}: a stage has network = "default" or "none"')
    return str(value)


def _arguments(value: Any) -> dict[str, str]:
    return {name: str(item) for name, item in value.items() if item is not None}


def _as_it_is(value: Any) -> Any:
    return value


#: The rows in the order in which ``stages.toml`` gets the keys.
ROWS = (
    Row("description", "description", str),
    Row("target", "target", str),
    Row("args", "args", _arguments),
    Row("network", "network", _network),
    Row("labels", "labels", _arguments),
    Row("ssh", "ssh", _as_it_is),
    Row("entitlements", "allow", _as_it_is),
    Row("extra-hosts", "extra_hosts", _arguments),
    Row("shm-size", "shm_size", str),
    Row("ulimits", "ulimits", _as_it_is),
    Row("cgroup-parent", "cgroup_parent", str),
    Row("dockerfile-inline", "", str, "write it to a file, and name that file with `dockerfile`"),
    Row("annotations", "", str, "an image has labels, but no annotations of its own"),
    Row("cache-from", "", str, "registry=HOST shares finished images instead"),
    Row("cache-to", "", str, "registry=HOST shares finished images instead"),
    Row("no-cache", "", str, "what is built again is decided by keys alone"),
    Row("no-cache-filter", "", str, "what is built again is decided by keys alone"),
    Row("pull", "", str, "`doit lock images` takes newer external images"),
    Row("output", "", str, "a run loads images into the engine; `doit publish` pushes them"),
    Row("attest", "", str, "`doit publish` adds a bill of materials and provenance"),
    Row("call", "", str, "a stage is always built"),
    Row("matrix", "", str, "print the file with `docker buildx bake --print` first: it expands this"),
    Row("inherits", "", str, "print the file with `docker buildx bake --print` first: it expands this"),
)  # fmt: skip

_BY_KEY = {row.bake: row for row in ROWS}


def place(key: str) -> tuple[int, str]:
    """Return the place of an option in the table, unknown ones last."""
    return (list(_BY_KEY).index(key) if key in _BY_KEY else len(_BY_KEY), key)


def read(key: str, value: Any) -> tuple[str, Any]:
    """Return the key and the value in ``[stages.NAME]`` of an option. Raises ``Inexpressible``."""
    row = _BY_KEY.get(key)
    if row is None:
        raise Inexpressible(f"{key}: stagegraph does not know this option")
    if not row.stage or row.stage not in schema.TABLES["stage"]:
        raise Inexpressible(f"{key} is left out: {row.note or 'a stage has no such option'}")
    return row.stage, row.read(value)
