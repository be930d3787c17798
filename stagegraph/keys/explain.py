"""The difference between two lists of key inputs, in words that name the line that changed. Pure."""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from ..oci.digest import is_digest
from ..system.text import LIMIT, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .inputs import Input

#: What an explanation tells first.
_ROLES = (
    "schema",
    "platform",
    "option",
    "package",
    "instruction",
    "argument",
    "file",
    "parent",
    "image",
    "archive",
)

_KINDS = {"file": "a file", "exec": "an executable file", "dir": "a folder", "link": "a link"}


# -- explanation ---------------------------------------------------------------------------------


class Change(NamedTuple):
    """One difference between two lists of inputs; ``old`` or ``new`` is None where there is none."""

    old: Input | None
    new: Input | None

    @property
    def role(self) -> str:
        """What kind of input it is about."""
        return self._now.role

    @property
    def _now(self) -> Input:
        now = self.new or self.old
        assert now is not None
        return now

    def __str__(self) -> str:
        now = self._now
        subject = f"{now.role} {now.subject}".strip()
        if self.new is None:
            what = f"{subject} is gone{_shown(now, ' (was ', ')')}"
        elif self.old is None:
            what = f"{subject} is new{_shown(now, ': ')}"
        elif now.role == "file":
            what = f"{subject} {_file_change(self.old.value, self.new.value)}"
        else:
            old, new = _both(self.old, self.new)
            what = f"{subject} changed: {old} -> {new}"
        # the line of something that is gone would be looked for in vain
        where = f"{now.where}: " if now.where and self.new is not None else ""
        return printable(where + what)


def _file_change(old: str, new: str) -> str:
    (old_kind, _, old_digest), (new_kind, _, new_digest) = old.partition(" "), new.partition(" ")
    if old_kind != new_kind:
        return f"was {_KINDS.get(old_kind, old_kind)} and is {_KINDS.get(new_kind, new_kind)}"
    return f"changed: {old_digest[:12]} -> {new_digest[:12]}"


def _shown(item: Input, before: str, after: str = "") -> str:
    return "" if not item.value or item.role == "file" else f"{before}{_readable(item)}{after}"


def _both(old: Input, new: Input) -> tuple[str, str]:
    """Two values for people. Of long instructions that part which differs, with a word before and after."""
    if new.role != "instruction":
        return _readable(old), _readable(new)
    words = [_instruction(item.written).split() for item in (old, new)]
    if max(len(" ".join(part)) for part in words) <= LIMIT:
        return " ".join(words[0]), " ".join(words[1])
    start = _common(*words)
    end = min(_common(words[0][::-1], words[1][::-1]), *(len(part) - start for part in words))
    first, last = max(start - 1, 0), max(end - 1, 0)
    before, after = (
        " ".join(
            [
                *([part[0], "…"] if first > 1 else part[:first]),
                shortened(" ".join(part[first : len(part) - last])),
                *(["…"] if last else []),
            ]
        )
        for part in words
    )
    return before, after


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words two sequences share at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _readable(item: Input) -> str:
    """A value for people: an instruction as it is written, a digest short, nothing as such."""
    if item.role == "instruction":
        return shortened(_instruction(item.written))
    if is_digest(item.value):
        return item.value[7:19]
    return shortened(item.value) or '""'


def _instruction(value: str) -> str:
    try:
        cmd, sub, as_json, flags, words, heredocs, original = json.loads(value)
        told = [json.dumps(words, ensure_ascii=False)] if as_json else words
        text = original or " ".join(filter(None, [cmd, sub, *flags, *told]))
        return text + "".join(f" <<{name} {content!r}" for name, _, content in heredocs)
    except (ValueError, TypeError):  # of a record that another version wrote
        return value


def diff(old: Sequence[Input], new: Sequence[Input]) -> list[Change]:
    """What changed from ``old`` to ``new``, in the order of the recipe.

    Instructions are aligned as a sequence, everything else by role and name. Names of parents and parts may
    be compared as people wrote them, or by their places, as the key has them. A name more moves the places
    of those behind it, so names explain more; but where all that is taken from elsewhere is the same, another
    name for it is no reason.
    """
    written = _changes(old, new, lambda item: item.subject, lambda item: item.written)
    placed = _changes(old, new, lambda item: item.name, lambda item: item.value)
    same = not any(change.role in ("parent", "image") for change in placed)
    changes = placed if same or not written else written
    order = {role: place for place, role in enumerate(_ROLES)}
    return sorted(changes, key=lambda change: order.get(change.role, len(order)))


def _changes(
    old: Sequence[Input],
    new: Sequence[Input],
    name: Callable[[Input], str],
    text: Callable[[Input], str],
) -> list[Change]:
    """``name`` tells inputs of one role apart, ``text`` is what of an instruction counts."""
    return [*_named_changes(old, new, name), *_instruction_changes(old, new, text)]


def _named_changes(
    old: Sequence[Input], new: Sequence[Input], name: Callable[[Input], str]
) -> Iterator[Change]:
    before = {(i.role, name(i)): i for i in old if i.role != "instruction"}
    after = {(i.role, name(i)): i for i in new if i.role != "instruction"}
    for key in {**after, **before}:
        was, now = before.get(key), after.get(key)
        if was is None or now is None or was.value != now.value:
            yield Change(was, now)


def _instruction_changes(
    old: Sequence[Input], new: Sequence[Input], text: Callable[[Input], str]
) -> Iterator[Change]:
    before = [i for i in old if i.role == "instruction"]
    after = [i for i in new if i.role == "instruction"]
    matcher = SequenceMatcher(None, list(map(text, before)), list(map(text, after)), autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "equal":
            for index in range(max(b - a, d - c)):
                was = before[a + index] if a + index < b else None
                now = after[c + index] if c + index < d else None
                yield Change(was, now)
