"""Values of a file that anybody may have written: each is checked before it is used or shown."""

from __future__ import annotations

import datetime

#: The largest number of seconds or bytes that is believed. Sums and products of such numbers stay finite.
_MOST = 10**18


def text(value: object) -> str:
    """Return a text that every output can hold. Raises ``TypeError``, or ``ValueError`` for half a character.

    JSON can name half of a surrogate pair, which UTF-8 does not have (RFC 8259, 8.2).
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()
    return value


def number(value: object) -> float:
    """Return a number with which one can calculate. Raises ``TypeError`` or ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    if not -_MOST <= value <= _MOST:  # NaN is not either
        raise ValueError("a number is too large")
    return float(value)


def moment(value: object) -> str:
    """Return a time with its zone (ISO 8601). Raises ``TypeError``, or ``ValueError`` for another text.

    The first and last two days of the calendar are none: in another zone they would be outside of it.
    """
    time = datetime.datetime.fromisoformat(text(value))
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no zone")
    first, last = datetime.datetime.min, datetime.datetime.max
    day = datetime.timedelta(days=1)
    if not first + 2 * day < time.replace(tzinfo=None) < last - 2 * day:
        raise ValueError(f"{value!r} is at the calendar's end")
    return text(value)
