"""Messages of ``./run``, the error that ends it, and steps whose output goes to a log."""

from __future__ import annotations

import re
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ..output import tell
from ..waits.waiting import waiting_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Status(IntEnum):
    """Exit statuses of ``./run``. Its ``--help`` explains each of them."""

    WRONG_USAGE = 64
    NO_ENGINE = 69
    STEP_FAILED = 70
    ENGINE_TIMEOUT = 71
    NO_PYTHON = 72


class SetupError(Exception):
    """A reason to end ``./run``: an exit status, and lines that say what is wrong and what to do."""

    def __init__(self, status: Status, *lines: str) -> None:
        super().__init__(*lines)
        self.status, self.lines = status, lines


def say(*lines: str) -> None:
    """Print messages of ``./run`` on stderr."""
    for line in lines:
        tell(f"run: {line}", flush=True)


def run_step(log: Path, *command: str) -> None:
    """Run a command whose output goes to a log. Raises ``SetupError`` with the end of the log if it fails."""
    with log.open("ab") as out:
        try:
            with waiting_for(f"{' '.join(command[:4])} ..., whose output goes to {log}"):
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False
                )
        except FileNotFoundError:
            raise SetupError(Status.STEP_FAILED, f"{command[0]} is not installed") from None
    if done.returncode != 0:
        raise SetupError(Status.STEP_FAILED, *explain(log, done.returncode, command))


def explain(log: Path, status: int, command: Sequence[str]) -> Iterator[str]:
    """The lines that describe a failed step: the command, the end of its log, and the usual cause if any."""
    text = log.read_text(errors="replace")
    yield f"failed (exit {status}): {' '.join(command)}"
    yield from quoted(text, 15)
    yield f"full log: {log}"
    yield from next((advice for pattern, advice in _CAUSES if re.search(pattern, text, re.IGNORECASE)), ())


def quoted(text: str, count: int) -> list[str]:
    """The last lines of a log, marked as such."""
    return [f"  | {line}" for line in text.splitlines()[-count:]]


#: Usual causes of a failed step, and advice. The first match counts.
_CAUSES = (
    (r"no space left", ("the disk is full; 'df -h' shows which",)),
    (
        r"certificate verif|unknown ca|self.signed certificate",
        (
            "a proxy intercepts TLS with a CA that this machine does not know: put the CA's certificate into",
            "/usr/local/share/ca-certificates/NAME.crt, run update-ca-certificates, and for pip",
            "export PIP_CERT=/etc/ssl/certs/ca-certificates.crt",
        ),
    ),
    (
        r"(could not|failed to|failure) resolv|name resolution|connection refused|timed out|unreachable",
        ("no network or no DNS: check the connection and the proxy settings (http_proxy, https_proxy)",),
    ),
)
