"""Debian's and Ubuntu's packages: which are missing, and how they are installed."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..waits.waiting import waiting_for
from . import docker, engine, qemu, system
from .messages import SetupError, Status, run_step, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .engine import Engine

APT = Path("/etc/apt")
_LOCKED = ": another apt-get holds the lock of the package lists; it may take five minutes"

#: A script that packages ask before they start their services: status 101 forbids it.
POLICY = Path("/usr/sbin/policy-rc.d")
VENV_LOG = Path("/var/log/stagegraph-python3-venv.log")
_POLICY_TEXT = "#!/bin/sh\n# by stagegraph, while it installs packages\nexit 101\n"

#: Commands, and the packages that bring them. The docker client has a package of its own on Debian.
_COMMANDS = {
    "dockerd": "docker.io",
    "docker": "docker-cli",
    "containerd": "containerd",
    "iptables": "iptables",
    "ip": "iproute2",
    "docker-registry": "docker-registry",
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
    "skopeo": "skopeo",
    "git": "git",
    "curl": "curl",
}

#: Packages that Debian 12 takes from Debian 13. All others stay at 12's versions, libc above all; runc and
#: skopeo too, since 13's need a newer libc.
_PINNED = (
    "docker.io docker-cli docker-buildx containerd docker-registry qemu-user-static qemu-user "
    "qemu-user-binfmt mmdebstrap arch-test"
)
_PREFERENCES = f"""\
Package: *
Pin: release n=trixie
Pin-Priority: 100

Package: {_PINNED}
Pin: release n=trixie
Pin-Priority: 990
"""


def missing(foreign: str) -> list[str]:
    """The packages that an engine needs and that are not installed. ``foreign``: the platform to emulate."""
    names = dict(_COMMANDS)
    if system.os_release().get("ID") != "debian":
        names["docker"] = "docker.io"  # Ubuntu has the client in it
    wanted = [package for command, package in names.items() if not system.has(command)]
    if not docker.has_buildx():
        wanted.append("docker-buildx")
    if not qemu.configuration(foreign):
        wanted.append("qemu-user-static")
    return list(dict.fromkeys(wanted))


def are_incomplete(target: Engine) -> bool:
    """True if dockerd or buildx is missing, or if an earlier installation did not end."""
    return _mark(target).exists() or not system.has("dockerd") or not docker.has_buildx()


def _mark(target: Engine) -> Path:
    """A file that exists while packages are installed."""
    return target.folder / "installing"


def install(target: Engine, foreign: str) -> None:
    """Install the packages that an engine needs. Raises ``SetupError``."""
    target.folder.mkdir(parents=True, exist_ok=True)
    log, mark = target.folder / "install.log", _mark(target)
    log.write_bytes(b"")
    if mark.exists():
        run_step(log, "dpkg", "--configure", "-a")
    mark.touch()
    say("reading the package lists")
    update(log)
    if system.offered_packages() is system.Packages.WITH_NEXT_RELEASE:
        _add_trixie(log)
    wanted = missing(foreign)
    say(f"installing packages (half a minute or more): {' '.join(wanted)}")
    if target.is_service:
        engine.configure(engine.SERVICE_CONFIGURATION)
        _apt_install(log, "--fix-broken", *wanted)
    else:
        with services_stopped():
            _apt_install(log, "--fix-broken", *wanted)
    mark.unlink()


def install_ensurepip(python: str) -> None:
    """Install the half of Python's venv that Debian packs apart. Raises ``SetupError`` if it cannot."""
    if system.is_root() and system.has("apt-get") and python.startswith("/usr/bin/"):
        say("installing python3-venv")
        update(VENV_LOG)
        _apt_install(VENV_LOG, "python3-venv")
        if system.call(python, "-I", "-c", "import ensurepip").returncode == 0:
            return
    what = f"{python} cannot create virtual environments (no ensurepip)"
    fix = system.as_root("apt-get install -y python3-venv")
    raise SetupError(Status.NO_PYTHON, f"{what}; on Debian: {fix}")


#: What only tests need: a browser for pages, a verifier of signatures, shells for completion, Graphviz for
#: pictures. Each command with its package.
_TEST_COMMANDS = {"chromium": "chromium", "cosign": "cosign", "fish": "fish", "dot": "graphviz", "zsh": "zsh"}


def install_test_packages(target: Engine) -> None:
    """Install what only tests need, as root on Debian, if ``./run`` has set up the engine that runs.

    Ubuntu's chromium is a snap, which needs more than apt. Debian has cosign since 13; 12 has it if 13 is a
    source for the engine's packages. Tests can do without: a failure is only told.
    """
    if not (system.is_root() and system.os_release().get("ID") == "debian" and target.pid()):
        return
    wanted = [package for command, package in _TEST_COMMANDS.items() if not system.has(command)]
    if not wanted or (wanted == ["cosign"] and not _is_offered("cosign")):
        return
    log = target.folder / "test-packages.log"
    say(f"installing what only tests need (a minute): {' '.join(wanted)}")
    try:
        update(log)
        _apt_install(log, *filter(_is_offered, wanted))
    except SetupError as error:
        say(*error.lines, "going on without it: the tests that need it are skipped")


def _is_offered(package: str) -> bool:
    """Return whether a source of this machine has a package, by the lists that were read last."""
    return re.search(r"Candidate: [^(]", system.call("apt-cache", "policy", package).stdout) is not None


def _apt_install(log: Path, *words: str) -> None:
    """Install packages, and remove none."""
    options = ("--no-install-recommends", "--no-remove", "-o", "DPkg::Lock::Timeout=300")
    command = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y")
    run_step(log, *command, *options, *words)


def update(log: Path, *options: str) -> None:
    """Read the package lists. Waits up to five minutes for another apt-get, which does not do so itself."""
    text = ""
    with waiting_for(lambda: f"apt-get update{_LOCKED if 'lists/lock' in text else ''}"):
        for _ in range(60):
            done = system.call("apt-get", "update", *options)
            text = done.stdout + done.stderr
            if done.returncode == 0 or "lists/lock" not in text:
                break
            time.sleep(5)
    with log.open("a") as out:
        out.write(text)
    # A source that fails may not matter. One that matters shows when packages are installed.
    if re.search(r"^[EW]:", text, re.MULTILINE):
        say(f"some package lists could not be read, going on without them: {log}")


@contextlib.contextmanager
def services_stopped() -> Iterator[None]:
    """Keep packages that are installed from starting their services."""
    _restore_policy()  # an earlier call may have been killed
    if os.path.lexists(POLICY):
        POLICY.rename(_kept_policy())
    POLICY.write_text(_POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        _restore_policy()


def _kept_policy() -> Path:
    return POLICY.with_name(f"{POLICY.name}.before-run")


def _restore_policy() -> None:
    with contextlib.suppress(OSError):
        if "by stagegraph" in POLICY.read_text(errors="replace"):
            POLICY.unlink()
    if os.path.lexists(_kept_policy()):
        _kept_policy().replace(POLICY)


# -- Debian 13's packages for Debian 12 ----------------------------------------------------------


def _add_trixie(log: Path) -> None:
    """Add Debian 13 for the pinned packages. Its source is the machine's own one with another suite."""
    suite = system.os_release().get("VERSION_CODENAME", "")
    query = ("Created-By: Packages", "Origin: Debian", f"Codename: {suite}", "Component: main")
    found = system.call("apt-get", "indextargets", "--format", "$(REPO_URI)|$(SOURCESENTRY)", *query).stdout
    if not found:
        raise SetupError(Status.STEP_FAILED, f"found no package source for Debian's {suite} main; see {log}")
    uri, _, entry = found.splitlines()[0].partition("|")
    file = Path(entry.rpartition(":")[0])
    new = APT / f"sources.list.d/stagegraph-trixie{file.suffix}"
    say(f"adding Debian trixie for those packages only: {new}")
    (APT / "preferences.d/stagegraph-trixie").write_text(_PREFERENCES)
    derive = trixie_line if file.suffix == ".list" else trixie_paragraph
    new.write_text(derive(file.read_text(), uri, suite))
    only = (f"Dir::Etc::sourcelist={new}", "Dir::Etc::sourceparts=-", "APT::Get::List-Cleanup=0")
    update(log, *(word for option in only for word in ("-o", option)))


def trixie_line(text: str, uri: str, suite: str) -> str:
    """The line of a one-line source list that names ``uri`` and ``suite``, for trixie main; "" if none does.

    Form of a line: ``deb [options] URI SUITE COMPONENTS`` (sources.list(5)).
    """
    for line in text.splitlines():
        before, found, _ = line.partition(f" {suite} ")
        if found and re.match(r"deb\s", line) and uri.rstrip("/") in line:
            return f"{before} trixie main\n"
    return ""


def trixie_paragraph(text: str, uri: str, suite: str) -> str:
    """The paragraph of a deb822 source list that names ``uri`` and ``suite``, for trixie main; "" if none.

    A field may go on in lines that begin with a space (deb822(5)).
    """
    lines = [line for line in text.splitlines() if not re.match(r"\s*#", line)]
    for paragraph in re.split(r"\n{2,}", "\n".join(lines).strip("\n")):
        text = paragraph
        suites = re.search(r"^Suites:(.*(?:\n[ \t].*)*)", text, re.MULTILINE)
        if suites and suite in suites[1].split() and uri.rstrip("/") in text:
            for field, value in {"Types": "deb", "Suites": "trixie", "Components": "main"}.items():
                text = re.sub(rf"^{field}:.*(?:\n[ \t].*)*", f"{field}: {value}", text, flags=re.MULTILINE)
            return f"{text}\n"
    return ""
