"""Programs that the tests call: compiled ones beside this file, those of the image, and a server of Redis."""

import os
import pathlib
import platform
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).parent


def out(*words: str, stdin: bytes = b"", **environment: str) -> bytes:
    """Return the standard output of a program, which must succeed.

    A name is looked for beside this file. ``environment`` is added to that of the test.
    """
    done = subprocess.run(
        [HERE / words[0], *words[1:]],
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise AssertionError(f"{words}: status {done.returncode}: {said}")
    return done.stdout


class RedisTest(unittest.TestCase):
    """A test with a server of its own, which listens on the Unix socket ``socket`` only."""

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.socket = f"{self.folder.name}/redis.sock"
        command = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            self.socket,
            "--dir",
            self.folder.name,
            "--save",
            "",
        ]
        if platform.machine() == "aarch64":
            # Redis asks the kernel for a bug of arm64's and takes QEMU's answer for it
            command += ["--ignore-warnings", "ARM64-COW-BUG"]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(600):
            if pathlib.Path(self.socket).exists() or self.server.poll() is not None:
                break
            time.sleep(0.1)

    def tearDown(self) -> None:
        self.server.terminate()
        self.server.wait(60)
        self.folder.cleanup()
