"""What engines need of an image's documents: the types of their fields, as Go decodes them.

An engine keeps an image that it cannot decode: ``docker images`` then fails for all images, and the tag
cannot be set anew. So the documents are checked before an engine gets them. Pure.

Sources: OCI image specification, config.md and manifest.md; image-spec, specs-go/v1; moby/docker-image-spec,
specs-go/v1/image.go (containerd's store), and moby, daemon/internal/image/image.go (the older one);
containerd, core/images/image.go (RootFS).
"""

from __future__ import annotations

import datetime
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .digest import is_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    _Check = Callable[[object], str]

#: Go's ``time.Time`` takes RFC 3339 alone.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

_INT64 = 1 << 63


def faults(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    """What an engine cannot read in a configuration and its manifest; nothing if it can read both."""
    yield from _of(_CONFIG, config, "its configuration: ")
    yield from _of(_MANIFEST, manifest, "its manifest: ")
    system = config.get("os")
    if system not in (None, "", "linux"):
        yield f"its configuration: os is {system!r}, not linux"
    rootfs = config.get("rootfs")
    layers = rootfs.get("diff_ids") if isinstance(rootfs, dict) else ()
    if isinstance(rootfs, dict) and isinstance(layers or [], list):
        if not all(map(is_digest, layers or ())):
            yield "its configuration: rootfs.diff_ids has something that is no digest"
        if len(layers or ()) != len(manifest.get("layers") or ()):
            yield "its configuration does not list as many layers as its manifest"
    elif rootfs is None:
        yield "its configuration: rootfs is missing"


def _of(fields: Mapping[str, _Check], value: Mapping[str, Any], where: str) -> Iterator[str]:
    """The faults of an object whose fields have these checks. Go takes names in any case."""
    for name, each in value.items():
        check = fields.get(name) or fields.get(_lower(name))
        if check and each is not None and (fault := check(each)):
            yield f"{where}{name}{fault}"


@lru_cache(1024)
def _lower(name: str) -> str:
    return name.lower()


# -- the checks: each returns "" or what is wrong, to be said behind the name of the field -----------------


def _is(kind: type, words: str) -> _Check:
    return lambda value: "" if type(value) is kind else f" is {_short(value)}, not {words}"


def _integer(value: object) -> str:
    fits = type(value) is int and -_INT64 <= value < _INT64
    return "" if fits else f" is {_short(value)}, not an integer of 64 bits"


def _time(value: object) -> str:
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            datetime.datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return ""
    return f" is {_short(value)}, not a time (RFC 3339)"


def _list(check: _Check) -> _Check:
    def faults_of(value: object) -> str:
        if type(value) is not list:
            return f" is {_short(value)}, not a list"
        found = (
            f"[{n}]{fault}" for n, each in enumerate(value) if each is not None and (fault := check(each))
        )
        return next(found, "")

    return faults_of


def _map(check: _Check) -> _Check:
    def faults_of(value: object) -> str:
        if type(value) is not dict:
            return f" is {_short(value)}, not an object"
        found = (f".{n}{fault}" for n, each in value.items() if each is not None and (fault := check(each)))
        return next(found, "")

    return faults_of


def _object(**fields: _Check) -> _Check:
    checks = _named(fields)

    def faults_of(value: object) -> str:
        return (
            next(_of(checks, value, "."), "")
            if type(value) is dict
            else f" is {_short(value)}, not an object"
        )

    return faults_of


def _named(fields: Mapping[str, _Check]) -> dict[str, _Check]:
    """Fields by their own names and by those in small letters. A double underscore stands for a dot."""
    exact = {name.replace("__", "."): check for name, check in fields.items()}
    return {**{name.lower(): check for name, check in exact.items()}, **exact}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


_TEXT, _BOOL = _is(str, "text"), _is(bool, "true or false")
_TEXTS, _SET = _list(_TEXT), _map(_object())

_HEALTH = _object(
    Test=_TEXTS,
    Interval=_integer,
    Timeout=_integer,
    StartPeriod=_integer,
    StartInterval=_integer,
    Retries=_integer,
)

#: ``DockerOCIImageConfig``, and ``container.Config`` of the older store.
_RUNTIME = _object(
    **dict.fromkeys(
        ("User", "WorkingDir", "StopSignal", "Hostname", "Domainname", "Image", "MacAddress"), _TEXT
    ),
    **dict.fromkeys(
        ("ArgsEscaped", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin"), _BOOL
    ),
    **dict.fromkeys(("StdinOnce", "NetworkDisabled"), _BOOL),
    **dict.fromkeys(("Env", "Entrypoint", "Cmd", "OnBuild", "Shell"), _TEXTS),
    ExposedPorts=_SET,
    Volumes=_SET,
    Labels=_map(_TEXT),
    Healthcheck=_HEALTH,
    StopTimeout=_integer,
)

_CONFIG = _named(
    {
        **dict.fromkeys(("id", "parent", "comment", "container", "docker_version", "author"), _TEXT),
        **dict.fromkeys(("architecture", "variant", "os", "os__version"), _TEXT),
        "created": _time,
        "os__features": _TEXTS,
        "Size": _integer,
        "config": _RUNTIME,
        "container_config": _RUNTIME,
        "rootfs": _object(type=_TEXT, diff_ids=_TEXTS),
        "history": _list(
            _object(created=_time, created_by=_TEXT, author=_TEXT, comment=_TEXT, empty_layer=_BOOL)
        ),
    }
)

_DESCRIPTOR_FIELDS: dict[str, _Check] = {
    **dict.fromkeys(("mediaType", "digest", "data", "artifactType"), _TEXT),
    "size": _integer,
    "urls": _TEXTS,
    "annotations": _map(_TEXT),
    "platform": _object(architecture=_TEXT, os=_TEXT, os__version=_TEXT, os__features=_TEXTS, variant=_TEXT),
}

_DESCRIPTOR = _object(**_DESCRIPTOR_FIELDS)

_MANIFEST = _named(
    {
        "schemaVersion": _integer,
        "mediaType": _TEXT,
        "artifactType": _TEXT,
        "config": _DESCRIPTOR,
        "layers": _list(_DESCRIPTOR),
        "subject": _DESCRIPTOR,
        "annotations": _map(_TEXT),
    }
)
