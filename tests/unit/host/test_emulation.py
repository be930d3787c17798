"""Emulation of other processors. Python and the quick check in ``./run`` use the same rule."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fake_machine import Machine

from stagegraph.host import emulation, qemu

pytestmark = pytest.mark.unit

RUN = Path(__file__).parents[3] / "run"
ENTRY = "{}\ninterpreter /usr/bin/qemu-aarch64\nflags: {}\noffset 0\nmagic 7f454c46\nmask ffffffff\n"


@pytest.mark.parametrize("name", ["qemu-aarch64", "qemu-aarch64-static"])
@pytest.mark.parametrize(
    ("text", "runs"),
    [
        (ENTRY.format("enabled", "POF"), True),
        (ENTRY.format("enabled", "F"), True),
        (ENTRY.format("enabled", "OCF"), True),
        (ENTRY.format("enabled", "OC"), False),  # without F, containers cannot see the interpreter
        (ENTRY.format("enabled", ""), False),
        (ENTRY.format("disabled", "POF"), False),
        ("", False),
    ],
)
def test_run_and_doctor_use_one_rule(machine: Machine, name: str, text: str, runs: bool) -> None:
    machine.registers(name, text)
    assert emulation.registered("linux/arm64") is runs
    assert emulation.missing(["linux/arm64"], "linux/amd64") == ([] if runs else ["linux/arm64"])
    copy = machine.folder / "run"
    copy.write_text(RUN.read_text().replace("/proc/sys/fs/binfmt_misc", str(emulation.BINFMT)))
    script = f'source "{copy}"; HOSTTYPE=x86_64 OSTYPE=linux-gnu; foreign_runs'
    quick = subprocess.run(["/bin/bash", "-c", script], env={"PATH": "/usr/bin:/bin"}, check=False)
    assert (quick.returncode == 0) is runs


def test_platforms_that_need_no_emulation(machine: Machine) -> None:
    assert emulation.missing(["linux/amd64", "linux/amd64/v3", "linux/386"], "linux/amd64") == []
    # many processors run these programs themselves
    assert emulation.missing(["linux/arm64", "linux/arm/v7"], "linux/arm64") == []
    assert emulation.missing(["linux/unheard-of"], "linux/amd64") == []


def test_each_processor_has_an_entry(machine: Machine) -> None:
    foreign = [
        "linux/arm64",
        "linux/arm/v7",
        "linux/riscv64",
        "linux/ppc64le",
        "linux/s390x",
        "linux/mips64le",
    ]
    assert emulation.missing(foreign, "linux/amd64") == foreign
    machine.registers("qemu-arm")
    machine.registers("qemu-mips64el")
    assert emulation.missing(foreign, "linux/amd64") == [
        platform for platform in foreign if platform not in ("linux/arm/v7", "linux/mips64le")
    ]


def test_emulation_is_checked_only_on_linux(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert emulation.missing(["linux/arm64"], "linux/amd64") == []


@pytest.mark.parametrize(
    ("name", "platform"),
    [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("riscv64", "linux/riscv64")],
)
def test_this_machine(machine: Machine, name: str, platform: str) -> None:
    machine.processor(name)
    assert emulation.host_platform() == platform


# -- registration ----------------------------------------------------------------------------------


def test_qemu_is_registered_for_containers(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    line = machine.describes_qemu()
    qemu.register("linux/arm64")
    assert (emulation.BINFMT / "register").read_text() == f"{line}F"
    assert "registering QEMU for aarch64" in capsys.readouterr().err


def test_a_registration_that_containers_cannot_use_is_replaced(machine: Machine) -> None:
    machine.describes_qemu("OPF")
    old = machine.registers("qemu-aarch64", ENTRY.format("enabled", "OC"))
    qemu.register("linux/arm64")
    assert old.read_text() == "-1"
    assert (emulation.BINFMT / "register").read_text().endswith(":OPF")


@pytest.mark.parametrize("described", [True, False])
def test_a_registration_that_fails_is_only_a_note(
    machine: Machine, capsys: pytest.CaptureFixture[str], described: bool
) -> None:
    if described:
        machine.describes_qemu()
        (emulation.BINFMT / "register").unlink()
        machine.stub("mount", "exit 1")
    qemu.register("linux/arm64")
    assert "note: could not register QEMU, aarch64 images cannot be built" in capsys.readouterr().err


def test_the_kernels_list_is_mounted(machine: Machine) -> None:
    machine.describes_qemu()
    register = emulation.BINFMT / "register"
    register.unlink()
    machine.stub("mount", f"touch {register}")
    qemu.register("linux/arm64")
    assert machine.calls == [f"mount -t binfmt_misc binfmt_misc {emulation.BINFMT}"]
    assert register.read_text().endswith("OPF")


def test_a_registration_that_the_mount_shows_is_kept(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a chroot, the mount shows the QEMU that the machine registered for all."""
    machine.describes_qemu()
    register, entry = emulation.BINFMT / "register", emulation.BINFMT / "qemu-aarch64"
    register.unlink()
    text = ENTRY.format("enabled", "POF")
    machine.stub("mount", f"touch {register}; printf '{text}' >{entry}".replace("\n", "\\n"))
    qemu.register("linux/arm64")
    assert (entry.read_text(), register.read_text()) == (text, "")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("flags", ["OP", "OPF"])
def test_the_suggested_command_does_the_same(machine: Machine, flags: str) -> None:
    assert qemu.fix("linux/arm64") == ""
    line = machine.describes_qemu(flags)
    old = machine.registers("qemu-aarch64", ENTRY.format("enabled", "OC"))
    command = qemu.fix("linux/arm64")
    subprocess.run(["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin"}, check=True)
    assert old.read_text() == "-1\n"
    assert (emulation.BINFMT / "register").read_text() == f"{line.removesuffix('F')}F\n"
    machine.user_is_root(False)
    assert qemu.fix("linux/arm64").startswith("sudo sh -c ")
