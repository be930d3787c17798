"""Programs of this machine for small images, which the pictures of the site and the tests build."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path


def with_libraries(folder: Path, *programs: str) -> None:
    """Copy programs of this machine into a folder as ``bin/NAME``, with the libraries that they load."""
    for name in programs:
        found = shutil.which(name)
        assert found, name
        loaded = subprocess.run(["ldd", found], capture_output=True, text=True, check=False).stdout
        files = {path[1:]: path for path in re.findall(r"(/\S+) \(0x", loaded)}
        for inside, path in {f"bin/{name}": found, **files}.items():
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / inside)  # follows links
