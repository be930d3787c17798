"""Threads: one that cannot be started is an error, and a call in a thread of its own has a time limit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ThreadError
from .waiting import patience, waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from .waiting import Wait

_T = TypeVar("_T")


def start(target: Callable[..., object], *arguments: Any, name: str | None = None) -> threading.Thread:
    """Start a daemon thread. Raises ``ThreadError``."""
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        raise no_thread(error) from None
    return thread


def no_thread(error: BaseException) -> ThreadError:
    """The error for a thread that could not be started."""
    hint = (
        "raise the limit of processes (ulimit -u; pids of a container) or of memory (ulimit -v), or use -n 1"
    )
    return ThreadError("", f"this machine gives the program no more threads: {error}", hint)


def bounded(
    call: Callable[[Wait], _T],
    seconds: float,
    what: str,
    is_lost: Callable[[Wait], bool] = lambda _: False,
) -> _T:
    """Make a call that has no time limit of its own, or one that does not hold for slow answers.

    It gets the wait, whose ``heard`` tells of progress. After ``seconds`` without progress, times the user's
    patience, it is left to its thread, which ends with the process. It is left, too, if ``is_lost`` says so,
    which is called twice a second. ``what`` is for ``waiting_for``. Raises ``TimeoutError``, ``ThreadError``,
    and the errors of the call.
    """
    done = threading.Event()
    results: list[_T] = []
    errors: list[BaseException] = []

    def work(wait: Wait) -> None:
        try:
            results.append(call(wait))
        except BaseException as error:  # raised again below
            errors.append(error)
        done.set()

    limit = seconds * patience()
    with waiting_for(what) as wait:
        start(work, wait)
        while not done.wait(min(max(limit - wait.seconds, 0.0), 0.5)):
            if wait.seconds >= limit or is_lost(wait):
                raise TimeoutError(f"no answer within {wait.seconds:.0f} s")
    if errors:
        raise errors[0]
    return results[0]
