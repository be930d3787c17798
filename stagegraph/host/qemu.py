"""Registration of QEMU with the kernel, from the file in which the distribution describes it."""

from __future__ import annotations

import shlex
from pathlib import Path

from . import emulation
from .messages import say
from .system import as_root, call

#: The folder of systemd's binfmt.d(5), in which packages describe their interpreters.
CONFIGURATIONS = Path("/usr/lib/binfmt.d")


def configuration(platform: str) -> Path | None:
    """The file that describes QEMU for an OCI platform; None if no package brought one."""
    name = emulation.processor(platform)
    files = (CONFIGURATIONS / f"qemu-{name}{suffix}.conf" for suffix in ("", "-static"))
    return next((file for file in files if file.is_file() and _line(file)), None)


def _line(file: Path) -> str:
    """The line to register, "" if the file has none.

    It has flag F, without which containers would need QEMU in them.
    """
    line = next((line for line in file.read_text().splitlines() if line.startswith(":")), "")
    return line if not line or "F" in line.rpartition(":")[2] else f"{line}F"


def register(platform: str) -> None:
    """Register QEMU for an OCI platform. If that fails, a message says so: other platforms do not need it."""
    file, kernel = configuration(platform), emulation.BINFMT
    # The kernel has one list for all. Once it is mounted, it may show that QEMU is registered already.
    if file and _mounted() and not emulation.registered(platform):
        say(f"registering QEMU for {emulation.processor(platform)} programs")
        line = _line(file)
        entry = kernel / line.split(":")[1]
        try:
            if entry.exists():  # of no use to containers, else it would count as registered
                entry.write_text("-1")
            (kernel / "register").write_text(line)
        except OSError:
            pass  # the message below says it
    if not emulation.registered(platform):
        name = emulation.processor(platform)
        say(f"note: could not register QEMU, {name} images cannot be built; fix: {fix(platform)}")


def _mounted() -> bool:
    kernel = emulation.BINFMT
    mount = ("mount", "-t", "binfmt_misc", "binfmt_misc", str(kernel))
    return (kernel / "register").exists() or call(*mount).returncode == 0


def fix(platform: str) -> str:
    """The command that registers QEMU; "" if no package describes QEMU here."""
    file, kernel = configuration(platform), emulation.BINFMT
    if not file:
        return ""
    steps = [f"[ -e {kernel}/register ] || mount -t binfmt_misc binfmt_misc {kernel}"]
    steps += [
        f"echo -1 >{entry}" for entry in emulation.entries(emulation.processor(platform)) if entry.exists()
    ]
    complete = _line(file) in file.read_text().splitlines()
    text = f"cat {file}" if complete else f"sed -n 's/^:.*/&F/p' {file}"
    return as_root(f"sh -c {shlex.quote('; '.join([*steps, f'{text} >{kernel}/register']))}")
