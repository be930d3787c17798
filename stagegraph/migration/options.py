"""The options of a build that bake and Compose have -> keys of ``[stages.NAME]``. One row for each option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..project import schema


class Inexpressible(Exception):  # noqa: N818 - it is an answer, no fault
    """The value has no counterpart in ``stages.toml``. The text tells the user this, and what to do.

    ``kept`` is the part of the value that has one.
    """

    def __init__(self, text: str, kept: Any = None) -> None:
        super().__init__(text)
        self.kept = kept


class Row(NamedTuple):
    """One option: its key in bake, the key of a stage ("" for none), and how its value is read.

    ``note`` says what to do instead, for an option without a counterpart.
    """

    bake: str
    stage: str
    read: Callable[[Any], Any]
    note: str = ""


def _network(value: Any) -> str:
    if value not in schema.NETWORKS:
        raise Inexpressible(f"network = {value!r} is left out: a stage has {', '.join(schema.NETWORKS)}")
    return str(value)


def _labels(value: Any) -> dict[str, str]:
    changing = sorted(value.keys() & {*schema.CHANGING_LABELS})
    labels = {name: str(text) for name, text in value.items() if text is not None and name not in changing}
    if changing:
        what = f"labels {', '.join(changing)} are left out: `doit publish` adds them as annotations"
        raise Inexpressible(what, labels)
    return labels


def _hosts(value: Any) -> list[str]:
    """Return ``HOST:ADDRESS`` for each address. Bake and Compose join several addresses of a host."""
    return [f"{host}:{each}" for host, addresses in value.items() for each in str(addresses).split(",")]


def _ssh(value: Any) -> list[str]:
    """Return agents and keys: texts are as in ``--ssh``, tables have ``id`` and ``paths``."""
    found = []
    for each in value:
        text = (
            each
            if isinstance(each, str)
            else "=".join(filter(None, (each["id"], _joined(each.get("paths")))))
        )
        found.append(text)
    return found


def _joined(paths: Any) -> str:
    return paths if isinstance(paths, str) else ",".join(paths or ())


def _arguments(value: Any) -> dict[str, str]:
    return {name: str(item) for name, item in value.items() if item is not None}


#: The rows in the order in which ``stages.toml`` gets the keys.
ROWS = (
    Row("description", "description", str),
    Row("target", "target", str),
    Row("args", "args", _arguments),
    Row("network", "network", _network),
    Row("labels", "labels", _labels),
    Row("ssh", "ssh", _ssh),
    Row("entitlements", "allow", list),
    Row("extra-hosts", "extra_hosts", _hosts),
    Row("shm-size", "shm_size", str),
    Row("ulimits", "ulimits", list),
    Row("cgroup-parent", "cgroup_parent", str),
    Row("annotations", "", str, "an image has labels, but no annotations of its own"),
    Row("cache-from", "", str, "registry=HOST shares finished images instead"),
    Row("cache-to", "", str, "registry=HOST shares finished images instead"),
    Row("no-cache", "", str, "what is built again is decided by keys alone"),
    Row("no-cache-filter", "", str, "what is built again is decided by keys alone"),
    Row("pull", "", str, "`doit lock images` takes newer external images"),
    Row("output", "", str, "a run loads images into the engine; `doit publish` pushes them"),
    Row("attest", "", str, "`doit publish` adds a bill of materials and provenance"),
    Row("call", "", str, "a stage is always built"),
    Row("privileged", "", str, 'write allow = ["security.insecure"], and RUN --security=insecure in steps'),
    Row("provenance", "", str, "`doit publish` adds a bill of materials and provenance"),
    Row("sbom", "", str, "`doit publish` adds a bill of materials and provenance"),
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
    if not row.stage:
        raise Inexpressible(f"{key} is left out: {row.note}")
    return row.stage, row.read(value)
