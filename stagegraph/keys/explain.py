"""The difference between two lists of key inputs, as messages that name the changed line.

Pure. Inputs of records that other versions wrote are read as well.
"""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from ..oci.digest import is_digest
from ..output import printable
from ..system.text import LIMIT, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .inputs import Input

#: Roles of inputs, in the order in which changes are reported.
_ROLES = (
    "schema",
    "platform",
    "option",
    "label",
    "package",
    "instruction",
    "argument",
    "file",
    "parent",
    "image",
    "archive",
)

#: Roles of what a Dockerfile names in FROM, COPY --from and the like.
_ANCESTORS = ("parent", "image")

#: What entries of a context are called.
_NOUNS = {"dir": "folder", "link": "link"}

#: Instructions whose words are names and values in turn.
_PAIRS = ("ENV", "LABEL")

_KINDS = {"file": "a file", "exec": "an executable file", "dir": "a folder", "link": "a link"}


class Change(NamedTuple):
    """One difference between two lists of inputs. ``old`` is None for a new input, ``new`` for a lost one."""

    old: Input | None
    new: Input | None

    @property
    def role(self) -> str:
        """The role of the input that changed."""
        return self._now.role

    @property
    def name(self) -> str:
        """The name of the input that changed."""
        return self._now.name

    @property
    def subject(self) -> str:
        """The name for messages of the input that changed."""
        return self._now.subject

    @property
    def is_same_parent(self) -> bool:
        """Whether it is the same parent with another key. Its own inputs tell more."""
        old, new = self.old, self.new
        return old is not None and new is not None and new.role == "parent" and old.subject == new.subject

    @property
    def _now(self) -> Input:
        now = self.new or self.old
        assert now is not None
        return now

    @property
    def where(self) -> str:
        """The line or file of the change; "" for an input that is gone, which has no line any more."""
        return self.new.where if self.new else ""

    @property
    def values(self) -> tuple[str, str]:
        """The old and the new value for people; "" for none, and for digests of files.

        Of long instructions these are the words that differ, and their neighbours.
        """
        if self.old and self.new:
            if self.role == "file":
                return "", ""
            return (self.old.subject, self.new.subject) if self.is_renamed else _both(self.old, self.new)
        return _shown(self.old) if self.old else "", _shown(self.new) if self.new else ""

    @property
    def is_renamed(self) -> bool:
        """Whether another parent or image has its place now."""
        old, new = self.old, self.new
        return old is not None and new is not None and new.role in _ANCESTORS and old.subject != new.subject

    @property
    def headline(self) -> str:
        """What happened, without values: ``argument X changed``."""
        now = self._now
        subject = f"{now.role} {now.subject}".strip()
        if self.old is None or self.new is None:
            if now.role == "file":
                subject = f"{_NOUNS.get(now.value.partition(' ')[0], now.role)} {now.subject}"
            return printable(f"{subject} is {'new' if self.old is None else 'gone'}")
        if self.is_renamed:
            new = now.subject if now.role == self.old.role else f"{now.role} {now.subject}"
            return printable(f"{self.old.role} {self.old.subject} is now {new}")
        if now.role == "file":
            return printable(f"{subject} {_file_change(self.old.value, self.new.value)}")
        return printable(f"{subject} changed")

    def __str__(self) -> str:
        (old, new), what = map(printable, self.values), self.headline
        if self.old is None:
            what += f": {new}" if new else ""
        elif self.new is None:
            what += f" (was {old})" if old else ""
        elif (old or new) and not self.is_renamed:
            what += f": {old} -> {new}"
        return f"{printable(self.where)}: {what}" if self.where else what


def _file_change(old: str, new: str) -> str:
    (old_kind, _, old_digest), (new_kind, _, new_digest) = old.partition(" "), new.partition(" ")
    if old_kind != new_kind:
        return f"was {_KINDS.get(old_kind, old_kind)} and is {_KINDS.get(new_kind, new_kind)}"
    return f"changed: {old_digest[:12]} -> {new_digest[:12]}"


def _shown(item: Input) -> str:
    return "" if not item.value or item.role == "file" else _readable(item)


def _both(old: Input, new: Input) -> tuple[str, str]:
    """Return two values for a message; of long instructions the words that differ, and their neighbours."""
    if new.role != "instruction":
        return _readable(old), _readable(new)
    before, after = _instruction(old.written).split(), _instruction(new.written).split()
    if before == after:
        return _white_space(_instruction(old.written), _instruction(new.written))
    if max(len(" ".join(before)), len(" ".join(after))) <= LIMIT:
        return " ".join(before), " ".join(after)
    start = _common(before, after)
    end = min(_common(before[::-1], after[::-1]), len(before) - start, len(after) - start)
    first, last = max(start - 1, 0), max(end - 1, 0)
    return _excerpt(before, first, last), _excerpt(after, first, last)


def _white_space(old: str, new: str) -> tuple[str, str]:
    """Return two texts that differ only in white space, in quotes, from shortly before the difference."""
    same = next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    start = max(same - LIMIT // 2, 0)
    before, after = (repr(text[start : start + LIMIT]) for text in (old, new))
    return before, after


def _excerpt(words: Sequence[str], first: int, last: int) -> str:
    """Return the words without the ``first`` first and the ``last`` last ones.

    The instruction's name stays.
    """
    head = [words[0], "…"] if first > 1 else words[:first]
    differing = shortened(" ".join(words[first : len(words) - last]))
    return " ".join([*head, differing, *(["…"] if last else [])])


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the number of words that two sequences share at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _readable(item: Input) -> str:
    """Return a value for a message: an instruction as it is written, a digest shortened, "" in quotes."""
    if item.role == "instruction":
        return shortened(_instruction(item.written))
    if is_digest(item.value):
        return item.value[7:19]
    return shortened(item.value) or '""'


def _instruction(value: str) -> str:
    try:
        cmd, sub, as_json, flags, words, heredocs, original = json.loads(value)
        pairs = cmd in _PAIRS and len(words) % 2 == 0
        written = [f"{k}={v}" for k, v in zip(words[::2], words[1::2], strict=True)] if pairs else words
        arguments = [json.dumps(words, ensure_ascii=False)] if as_json else written
        text = original or " ".join(filter(None, [cmd, sub, *flags, *arguments]))
        return text + "".join(f" {content!r}" for _, _, content in heredocs)
    except (ValueError, TypeError):  # of a record that another version wrote
        return value


def diff(old: Sequence[Input], new: Sequence[Input]) -> list[Change]:
    """Return the changes from ``old`` to ``new``, ordered by role.

    Instructions are aligned as a sequence, other inputs by role and name. If a parent or image changed, names
    are compared as the Dockerfile writes them: by place, every later instruction would seem changed. If none
    changed, names are compared by place, as the key holds them: then a new name changes nothing.
    """
    written = _changes(old, new, lambda item: item.subject, lambda item: item.written)
    placed = _changes(old, new, lambda item: item.name, lambda item: item.value)
    same = not any(change.role in _ANCESTORS for change in placed)
    changes = placed if same or not written else _without_consequences(_replaced(written))
    order = {role: place for place, role in enumerate(_ROLES)}
    return sorted(changes, key=lambda change: order.get(change.role, len(order)))


def _changes(
    old: Sequence[Input],
    new: Sequence[Input],
    name: Callable[[Input], str],
    text: Callable[[Input], str],
) -> list[Change]:
    """Return the changes. ``name`` identifies an input among those of its role; ``text`` is compared for
    instructions.
    """
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


def _replaced(changes: Sequence[Change]) -> list[Change]:
    """Join a parent or image that is gone and the one that has its place now to one change.

    If they are the same under another name, nothing changed.
    """
    gone = {c.name: c for c in changes if c.role in _ANCESTORS and c.new is None}
    new = {c.name: c for c in changes if c.role in _ANCESTORS and c.old is None}
    pairs = {place: Change(gone[place].old, new[place].new) for place in gone.keys() & new.keys()}
    kept = [c for c in changes if c not in gone.values() or c.name not in pairs]
    joined = (pairs.get(c.name) if c in new.values() and c.name in pairs else c for c in kept)
    return [c for c in joined if c and not (c.is_renamed and c.old and c.new and c.old.value == c.new.value)]


def _without_consequences(changes: Sequence[Change]) -> list[Change]:
    """Leave out parents and images that came or went with the instruction that names them."""
    edited = [change for change in changes if change.role == "instruction"]
    old = {change.old.where for change in edited if change.old}
    new = {change.new.where for change in edited if change.new}

    def told(change: Change) -> bool:
        if change.role not in _ANCESTORS or (
            change.old and change.new and change.old.subject == change.new.subject
        ):
            return False
        return (change.old is None or change.old.where in old) and (
            change.new is None or change.new.where in new
        )

    return [change for change in changes if not told(change)]


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
