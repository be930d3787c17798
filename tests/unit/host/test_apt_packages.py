"""Packages of Debian and Ubuntu."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_machine import Machine

from stagegraph.host import docker, packages
from stagegraph.host.engine import Engine
from stagegraph.host.messages import SetupError, Status

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


@pytest.fixture
def target(machine: Machine) -> Engine:
    return Engine(machine.folder / "e", machine.folder / "e/docker.sock", "sg-1")


def test_a_package_is_missing_if_its_commands_are_missing(machine: Machine) -> None:
    machine.is_system("debian", "13")
    wanted = set(packages.missing("linux/arm64"))
    assert {"docker.io", "docker-cli", "docker-buildx", "qemu-user-static", "mmdebstrap", "skopeo"} <= wanted
    machine.stub("skopeo")
    machine.stub("docker")  # ``docker buildx`` works, too
    machine.describes_qemu()
    left = set(packages.missing("linux/arm64"))
    assert wanted - left == {"docker-cli", "skopeo", "docker-buildx", "qemu-user-static"}


def test_on_ubuntu_the_package_of_the_engine_contains_the_client(machine: Machine) -> None:
    machine.is_system("ubuntu", "24.04")
    wanted = packages.missing("linux/arm64")
    assert "docker-cli" not in wanted and wanted.count("docker.io") == 1


def test_packages_are_installed(machine: Machine, target: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.is_system("debian", "13")
    policy = machine.folder / "policy/policy-rc.d"
    machine.stub("apt-get", f'test "$1" = update || {{ {policy}; echo "policy says $?"; }}')
    (machine.bin / "env").symlink_to("/usr/bin/env")
    packages.install(target, "linux/arm64")
    update, install = machine.calls
    assert update == "apt-get update"
    assert install.startswith("apt-get install -y --no-install-recommends --no-remove")
    assert "--fix-broken dockerd" not in install and " docker.io " in install
    assert "policy says 101" in (target.folder / "install.log").read_text()
    assert not policy.exists() and not (target.folder / "installing").exists()
    assert "reading the package lists" in capsys.readouterr().err


def test_an_installation_that_did_not_end_is_repeated(machine: Machine, target: Engine) -> None:
    machine.is_system("debian", "13")
    machine.stub("dockerd")
    machine.stub("docker")
    assert not packages.are_incomplete(target)
    (machine.bin / "env").symlink_to("/usr/bin/env")
    machine.stub("apt-get", 'test "$1" = update')
    with pytest.raises(SetupError):
        packages.install(target, "linux/arm64")
    assert packages.are_incomplete(target)
    machine.stub("apt-get")
    machine.stub("dpkg")
    before = len(machine.calls)
    packages.install(target, "linux/arm64")
    assert machine.calls[before] == "dpkg --configure -a"
    assert not packages.are_incomplete(target)


def test_python3_venv_is_installed_for_debians_python_only(machine: Machine) -> None:
    (machine.bin / "env").symlink_to("/usr/bin/env")
    machine.stub("apt-get")
    with pytest.raises(SetupError, match="python3-venv") as caught:
        packages.install_ensurepip("/usr/local/bin/python3")
    assert caught.value.status is Status.NO_PYTHON and machine.calls == []
    with pytest.raises(SetupError):  # the module is still missing
        packages.install_ensurepip("/usr/bin/no-such-python")
    assert machine.calls[-1].endswith(" python3-venv")


@pytest.mark.parametrize(
    ("system", "pid", "status", "said"),
    [
        ("debian", 1, 0, "installing what only tests need"),
        ("debian", 1, 100, "going on without it"),
        ("debian", None, 0, ""),
        ("ubuntu", 1, 0, ""),
    ],
)
def test_packages_for_tests_are_installed_on_debian_beside_an_engine_of_run(
    machine: Machine,
    target: Engine,
    capsys: pytest.CaptureFixture[str],
    system: str,
    pid: int | None,
    status: int,
    said: str,
) -> None:
    machine.is_system(system, "13")
    machine.stub("apt-cache", "echo '  Candidate: 1'")
    (machine.bin / "env").symlink_to("/usr/bin/env")
    machine.stub("apt-get", f'test "$1" = update || exit {status}')
    target.folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "pid", lambda _: pid)
        packages.install_test_packages(target)
    text = capsys.readouterr().err
    assert (said in text) if said else (text == "" and machine.calls == [])
    calls = [call for call in machine.calls if call.startswith("apt-get")]
    assert [call.endswith(" chromium cosign fish graphviz zsh") for call in calls] == (
        [False, True] if said else []
    )


def test_a_test_package_that_no_source_has_is_left_out(
    machine: Machine, target: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.is_system("debian", "12")
    (machine.bin / "env").symlink_to("/usr/bin/env")
    machine.stub("apt-cache", '[ "$2" = cosign ] && echo "  Candidate: (none)" || echo "  Candidate: 1"')
    machine.stub("apt-get", "")
    monkeypatch.setattr(Engine, "pid", lambda _: 1)
    target.folder.mkdir()
    packages.install_test_packages(target)
    assert machine.calls[-1].endswith(" chromium fish graphviz zsh")
    for program in ("chromium", "fish", "dot", "zsh"):
        machine.stub(program, "")
    capsys.readouterr()
    before = len(machine.calls)
    packages.install_test_packages(target)
    assert not any(call.startswith("apt-get") for call in machine.calls[before:])
    assert capsys.readouterr().err == ""


# -- lists -----------------------------------------------------------------------------------------


def test_an_update_waits_for_the_lists_lock(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(packages, "time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic))
    locked = "echo 'E: Could not get lock /var/lib/apt/lists/lock.' >&2; exit 100"
    machine.stub("apt-get", f"test $(wc -l <{machine.folder}/calls) = 3 || {{ {locked}; }}; echo fine")
    packages.update(machine.folder / "log")
    assert (len(machine.calls), waits) == (3, [5, 5])
    assert (machine.folder / "log").read_text() == "fine\n" and capsys.readouterr().err == ""


@pytest.mark.parametrize("status", [0, 100])
def test_an_update_that_fails_in_part_is_not_an_error(
    machine: Machine, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    machine.stub("apt-get", f"echo Get:1; echo 'W: Failed to fetch x' >&2; exit {status}")
    log = machine.folder / "log"
    packages.update(log)
    assert len(machine.calls) == 1 and str(log) in capsys.readouterr().err


# -- services --------------------------------------------------------------------------------------

KILLED = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[1])
from stagegraph.host import packages
packages.POLICY = pathlib.Path(sys.argv[2])
with packages.services_stopped():
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("before", [None, "#!/bin/sh\nexit 7\n"])
@pytest.mark.parametrize("killed", [False, True])
def test_the_policy_is_put_back(machine: Machine, before: str | None, killed: bool) -> None:
    policy = machine.folder / "policy/policy-rc.d"
    if before:
        policy.write_text(before)
    if killed:
        done = subprocess.run([sys.executable, "-c", KILLED, str(ROOT), str(policy)], check=False)
        assert done.returncode == -signal.SIGKILL and "exit 101" in policy.read_text()
    with packages.services_stopped():
        assert subprocess.run([policy], check=False).returncode == 101
    assert (policy.read_text() if policy.exists() else None) == before
    assert os.listdir(policy.parent) == ([policy.name] if before else [])  # noqa: PTH208


# -- Debian 13's packages for Debian 12 --------------------------------------------------------------

DEB822 = """\
# the machine's own
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm-updates bookworm
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://mirror.example/debian bookworm main
deb https://other.example/debian/12/prod bookworm main
deb-src http://mirror.example/debian bookworm main
deb [ arch=amd64 signed-by=/keys/debian.gpg ] http://mirror.example/debian/ bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
"""
DEB822_TRIXIE = """\
Types: deb
URIs: http://mirror.example/debian
Suites: trixie
Components: main
Signed-By: /keys/debian.gpg
"""
ONE_LINE_TRIXIE = "deb [ arch=amd64 signed-by=/keys/debian.gpg ] http://mirror.example/debian/ trixie main\n"


def test_the_source_for_trixie_has_the_mirror_of_the_machine() -> None:
    uri = "http://mirror.example/debian/"
    assert packages.trixie_paragraph(DEB822, uri, "bookworm") == DEB822_TRIXIE
    assert packages.trixie_line(ONE_LINE, uri, "bookworm") == ONE_LINE_TRIXIE
    folded = DEB822.replace("bookworm-updates bookworm", "\n bookworm-updates\n bookworm")
    assert packages.trixie_paragraph(folded, uri, "bookworm") == DEB822_TRIXIE
    assert packages.trixie_paragraph(DEB822, "http://none.example/", "bookworm") == ""
    assert packages.trixie_line(ONE_LINE, uri, "bullseye") == ""


@pytest.mark.parametrize(
    ("suffix", "text", "new"), [("sources", DEB822, DEB822_TRIXIE), ("list", ONE_LINE, ONE_LINE_TRIXIE)]
)
def test_debian_12_takes_named_packages_from_13(
    machine: Machine, target: Engine, monkeypatch: pytest.MonkeyPatch, suffix: str, text: str, new: str
) -> None:
    machine.is_system("debian", "12", "bookworm")
    source = machine.folder / f"etc/apt/debian.{suffix}"
    source.write_text(text)
    answer = f"echo 'http://mirror.example/debian/|{source}:3'"
    machine.stub("apt-get", f'test "$1" != indextargets || {answer}')
    (machine.bin / "env").symlink_to("/usr/bin/env")
    packages.install(target, "linux/arm64")
    added = machine.folder / f"etc/apt/sources.list.d/stagegraph-trixie.{suffix}"
    assert added.read_text() == new
    pins = (machine.folder / "etc/apt/preferences.d/stagegraph-trixie").read_text()
    assert pins.count("release n=trixie") == 2 and " docker-buildx " in pins and "Priority: 100" in pins
    first, query, only, install = machine.calls
    assert first == "apt-get update" and "Codename: bookworm" in query and "apt-get install" in install
    assert f"-o Dir::Etc::sourcelist={added} -o Dir::Etc::sourceparts=-" in only


def test_debian_12_without_a_source_of_debian(machine: Machine, target: Engine) -> None:
    machine.is_system("debian", "12", "bookworm")
    machine.stub("apt-get")
    with pytest.raises(SetupError, match="no package source for Debian's bookworm"):
        packages.install(target, "linux/arm64")
    assert not docker.has_buildx()
