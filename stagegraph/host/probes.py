"""Facts for the doctor: each function returns what is there, "" if it is missing. None changes anything."""

from __future__ import annotations

import os
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from ..waits.threads import bounded
from ..waits.waiting import patience
from . import docker, system
from .system import call

#: GiB that must be free, and the oldest buildx that is enough.
FREE, BUILDX = 5, (0, 13)


def client() -> str:
    return _first_line("docker", "--version")


def engine() -> str:
    return _first_line("docker", "version", "--format={{.Server.Version}} ({{.Server.Os}}/{{.Server.Arch}})")


def store() -> str:
    status = _first_line("docker", "info", "--format={{.DriverStatus}}")
    return "on" if "io.containerd.snapshotter" in status else ""


def buildx() -> tuple[str, str]:
    """The version of buildx, and what is wrong with it."""
    version = _first_line("docker", "buildx", "version")
    numbers = re.search(r"\bv?(\d+)\.(\d+)\.\d", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < BUILDX:
        return "", f"{'.'.join(map(str, BUILDX))} or later is needed, this is {version}"
    return version, ""


def running(builder: dict[str, list[str]]) -> str:
    """The platforms of a builder that ``docker.inspect`` read, if a machine of it runs."""
    return ", ".join(builder.get("Platforms", ())) if "running" in builder.get("Status", ()) else ""


def disk(folder: Path) -> str:
    """The free space of a folder, which need not exist yet."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free // 2**30
    return f"{free} GiB free for {folder}" if free >= FREE else ""


def ca_bundle() -> str:
    files = (os.environ.get("SSL_CERT_FILE", ""), *system.CA_BUNDLES)
    file = next((file for file in files if file and os.access(file, os.R_OK)), "")
    return f"{file} (a proxy that intercepts TLS must have its CA in it)" if file else ""


def registry(url: str) -> tuple[str, str]:
    """The answer of a registry, or the reason why there is none.

    Every answer below 500 counts: one that wants a login has answered. Source: the distribution
    specification, "Determining Support".
    """
    try:
        bounded(lambda _: _open(f"{url}/v2/"), docker.PING, url)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            return f"{url} answers, and requires a login", ""
        return (f"{url} answers", "") if error.code < 500 else ("", f"{url} answers {error.code}")
    except (OSError, ValueError) as error:
        return "", f"{url} does not answer: {getattr(error, 'reason', error)}"
    return f"{url} answers", ""


def _open(url: str) -> None:
    limit = patience() * docker.PING  # for each read from the socket
    with urllib.request.urlopen(url, timeout=limit):  # noqa: S310 - http or https
        pass


def _first_line(*command: str) -> str:
    done = call(*command, timeout=docker.ASK)
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
