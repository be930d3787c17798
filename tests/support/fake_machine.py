"""A fake machine for tests of ``stagegraph.host``: programs are stubs, folders of the system are empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagegraph.host import emulation, qemu, system


class Machine:
    """A fake machine in a folder. ``calls`` are the calls of stubs, one a line."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        self.bin = folder / "bin"
        self.bin.mkdir()

    def stub(self, name: str, script: str = "") -> None:
        """Write a program that records its call, then runs lines of sh."""
        path = self.bin / name
        path.write_text(
            f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "{name} $*" >>"{self.folder}/calls"\n{script}\n'
        )
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def is_system(self, name: str, version: str = "", codename: str = "") -> None:
        release = {"ID": name, "VERSION_ID": version, "VERSION_CODENAME": codename}
        self._patch.setattr(system, "os_release", lambda: release)

    def user_is_root(self, root: bool = True) -> None:
        self._patch.setattr("os.geteuid", lambda: 0 if root else 1000)

    def processor(self, name: str) -> None:
        self._patch.setattr("platform.machine", lambda: name)

    def registers(self, name: str, text: str = "enabled\ninterpreter /q\nflags: POF\n") -> Path:
        """Add an interpreter to the kernel's list. Return its file."""
        file = emulation.BINFMT / name
        file.write_text(text)
        return file

    def describes_qemu(self, flags: str = "OP", name: str = "qemu-aarch64") -> str:
        """Write QEMU's description, as its package does. Return the line."""
        line = f":{name}:M::\\x7f\\x45:\\xff:/usr/bin/{name}:{flags}"
        (qemu.CONFIGURATIONS / f"{name}.conf").write_text(f"{line}\n")
        return line
