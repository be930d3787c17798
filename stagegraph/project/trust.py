"""``[trust]``: whose records the project uses."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..errors import nearest
from . import schema
from .model import Trust, TrustedKey

if TYPE_CHECKING:
    from collections.abc import Collection

    from .tables import KeyPath, TableReader

_HEAD = ("trust",)


def read(reader: TableReader, stages: Collection[str]) -> Trust:
    """Return whom the project trusts; nobody is asked for without the table. Raises ``ProjectError``."""
    if "trust" not in reader.tables:
        return Trust()
    table = reader.table(_HEAD, "trust")
    level = table.get("level", "required")
    if level not in schema.TRUST_LEVELS:
        what, hint = f"level = {level!r} is no level of trust", nearest(level, schema.TRUST_LEVELS)
        raise reader.error((*_HEAD, "level"), what, hint)
    path = (*_HEAD, "keys")
    keys = {name: _key(reader, (*path, name), stages) for name in reader.named(path)}
    _check_distinct(reader, keys)
    threshold = _number(reader, (*_HEAD, "threshold"), table.get("threshold", 1))
    thresholds = {}
    for pattern, number in table.get("thresholds", {}).items():
        where = (*_HEAD, "thresholds", pattern)
        thresholds[pattern] = _number(reader, where, number)
        _check_pattern(reader, where, pattern, stages)
    found = Trust(level, keys, threshold, thresholds, reader.lines.where(*_HEAD))
    if keys:
        _check_enough(reader, found, stages)
    return found


def _key(reader: TableReader, path: KeyPath, stages: Collection[str]) -> TrustedKey:
    table = reader.table(path, "trusted key")
    public = table.get("public", "")
    if not schema.PUBLIC_KEY.fullmatch(public):
        what = f"public = {public!r} is no public key of ed25519" if public else "has no public key"
        hint = "doit trust init prints it: the text between the first and the last line of a PEM file"
        where = (*path, "public") if public else path
        raise reader.error(where, what if public else f"{'.'.join(path)} {what}", hint)
    patterns = tuple(table.get("stages", ("*",)))
    if not patterns:
        raise reader.error((*path, "stages"), "stages = [] lets the key sign nothing", "remove the key")
    for pattern in patterns:
        _check_pattern(reader, (*path, "stages"), pattern, stages)
    return TrustedKey(public, patterns, reader.lines.where(*path))


def _check_pattern(reader: TableReader, path: KeyPath, pattern: object, stages: Collection[str]) -> None:
    if not isinstance(pattern, str) or not any(fnmatchcase(stage, pattern) for stage in stages):
        hint = nearest(str(pattern), stages)
        raise reader.error(path, f"{pattern!r} matches no stage", hint)


def _number(reader: TableReader, path: KeyPath, number: object) -> int:
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    if not is_whole or not 1 <= number <= schema.MOST_SIGNATURES:  # type: ignore[operator]
        what = f"{path[-1]} = {number!r} is no number of signatures"
        raise reader.error(path, what, f"write a whole number from 1 to {schema.MOST_SIGNATURES}")
    return number  # type: ignore[return-value]


def _check_distinct(reader: TableReader, keys: dict[str, TrustedKey]) -> None:
    """Raise ``ProjectError`` for one key under two names: it would count as two signatures."""
    seen: dict[str, str] = {}
    for name, key in keys.items():
        if (first := seen.setdefault(key.public, name)) != name:
            what = f"{name} and {first} are the same public key"
            raise reader.error((*_HEAD, "keys", name), what, "keep one of them")


def _check_enough(reader: TableReader, trust: Trust, stages: Collection[str]) -> None:
    """Raise ``ProjectError`` for a stage that needs more signatures than it has keys."""
    for stage in stages:
        named = [need for pattern, need in trust.thresholds.items() if fnmatchcase(stage, pattern)]
        need = max([trust.threshold, *named])
        have = sum(any(fnmatchcase(stage, each) for each in key.stages) for key in trust.keys.values())
        if 0 < have < need:
            what = f"stage {stage} needs {need} signatures, but {have} of [trust.keys] may sign it"
            where = "threshold" if need == trust.threshold else "thresholds"
            raise reader.error((*_HEAD, where), what, "add keys, or need fewer")
