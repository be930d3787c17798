"""The desktop from outside: who gets in, what is seen, what keys do, what ends it."""

import asyncio
import base64
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # VNC's password is DES, which cryptography would rather not know
    import asyncvnc

VNC, WEB, PASSWORD = 5900, 6080, "robot-77"
SOCKETS = pathlib.Path("/tmp/.X11-unix")
PATIENCE = 120  # seconds; it may run emulated


def eventually(look: Callable[[], object]) -> object:
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError("it did not happen")
        time.sleep(0.1)
    return found


def start(*command: str, **environment: str) -> subprocess.Popen[str]:
    """A desktop that is ready, or has ended."""
    desktop = subprocess.Popen(
        ["desktop", *command], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )
    said = []
    while line := desktop.stderr.readline():
        said.append(line)
        if "browsers:" in line:
            break
    desktop.said = "".join(said)
    for port in map(int, re.findall(r":(\d{4})\b", desktop.said)):
        eventually(lambda port=port: reachable(port))
    return desktop


def end(desktop: subprocess.Popen[str]) -> int:
    desktop.terminate()
    status = desktop.wait(PATIENCE)
    desktop.stderr.close()
    return status


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def listening() -> set[tuple[str, int]]:
    """Address and port of all TCP sockets that listen (proc_pid_net(5): hexadecimal, the machine's order)."""
    found = set()
    for name, size in (("tcp", 8), ("tcp6", 32)):
        path = pathlib.Path("/proc/self/net", name)
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                address, port = local.split(":")
                number = bytes.fromhex(address)[::-1] if size == 8 else bytes.fromhex(address)
                found.add((".".join(map(str, number)), int(port, 16)))
    return found


@asynccontextmanager
async def client(password: str = PASSWORD) -> AsyncIterator[asyncvnc.Client]:
    async with asyncvnc.connect("127.0.0.1", VNC, password=password) as connected:
        yield connected


async def picture(connected: asyncvnc.Client) -> numpy.ndarray:
    return (await connected.screenshot())[..., :3]


def share(seen: numpy.ndarray, colour: tuple[int, int, int]) -> float:
    """Which part of a picture has just this colour."""
    return float((seen == colour).all(axis=-1).mean())


class Doors(unittest.TestCase):
    """What is open, and to whom."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.desktop = start(VNC_PASSWORD=PASSWORD)

    @classmethod
    def tearDownClass(cls) -> None:
        end(cls.desktop)

    def test_loopback_only(self) -> None:
        self.assertEqual(listening(), {("127.0.0.1", VNC), ("127.0.0.1", WEB)})

    def test_no_program_without_the_cookie(self) -> None:
        """No socket that all of the network's name space could see, and none without a cookie."""
        sockets = pathlib.Path("/proc/self/net/unix").read_text()
        self.assertIn(f"{SOCKETS}/X", sockets)
        self.assertNotIn(f"@{SOCKETS}/X", sockets)
        [path] = SOCKETS.iterdir()
        stranger = {**os.environ, "DISPLAY": f":{path.name[1:]}", "XAUTHORITY": "/nowhere"}
        done = subprocess.run(["xterm", "-e", "true"], env=stranger, capture_output=True, check=False)
        self.assertNotEqual(done.returncode, 0)

    def test_handshake_offers_no_way_without_password(self) -> None:
        """RFC 6143, 7.1: version, then the kinds of security; 1 would be none, 2 is the password."""
        with socket.create_connection(("127.0.0.1", VNC)) as wire:
            self.assertEqual(wire.recv(12), b"RFB 003.008\n")
            wire.sendall(b"RFB 003.008\n")
            count = wire.recv(1)[0]
            kinds = set(wire.recv(count))
            self.assertIn(2, kinds)
            self.assertNotIn(1, kinds)

    def test_wrong_password_is_refused(self) -> None:
        async def enter() -> None:
            async with client("robot-78"):
                pass

        with self.assertRaises(PermissionError):
            asyncio.run(enter())

    def test_right_password_sees_the_screen(self) -> None:
        async def look() -> tuple[int, ...]:
            async with client() as connected:
                return (await picture(connected)).shape

        self.assertEqual(asyncio.run(look()), (800, 1280, 3))

    def test_pages_for_browsers(self) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{WEB}/vnc.html") as page:
            self.assertIn(b"noVNC", page.read())

    def test_a_browser_reaches_the_screen(self) -> None:
        """RFC 6455: the upgrade, then a frame with what the VNC server says first."""
        key = base64.b64encode(b"sixteen bytes...").decode()
        ask = ["GET /websockify HTTP/1.1", f"Host: 127.0.0.1:{WEB}", "Upgrade: websocket"]
        ask += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        ask += ["Sec-WebSocket-Protocol: binary", "", ""]
        with socket.create_connection(("127.0.0.1", WEB)) as wire:
            wire.sendall("\r\n".join(ask).encode())
            stream = wire.makefile("rb")
            self.assertIn(b" 101 ", stream.readline())
            while stream.readline() != b"\r\n":
                pass
            self.assertEqual(stream.read(2), bytes([0x82, 12]))  # one binary frame, 12 bytes
            self.assertEqual(stream.read(12), b"RFB 003.008\n")


class Screen(unittest.TestCase):
    def test_drawings_are_seen_and_keys_arrive(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "typed")
            type_here = f"read line; echo $line >{file}"
            terminal = f"xterm -bg '#00c040' -geometry 80x24+100+100 -e sh -c '{type_here}'; exit 7"
            desktop = start("sh", "-c", terminal, VNC_PASSWORD=PASSWORD)

            async def use() -> None:
                async with client() as connected:
                    deadline = time.monotonic() + PATIENCE
                    while share(await picture(connected), (0x00, 0xC0, 0x40)) < 0.1:
                        self.assertLess(time.monotonic(), deadline)
                        await asyncio.sleep(0.2)
                    seen = await picture(connected)
                    self.assertGreater(share(seen[110:400, 110:500], (0x00, 0xC0, 0x40)), 0.6)
                    self.assertEqual(share(seen[:90], (0x00, 0xC0, 0x40)), 0)
                    connected.mouse.move(300, 300)
                    connected.mouse.click()
                    connected.keyboard.write("hello")
                    connected.keyboard.press("Return")
                    await connected.drain()
                    await asyncio.to_thread(eventually, file.exists)

            try:
                asyncio.run(use())
                # the command ended, and with it the desktop, with the command's status
                self.assertEqual(desktop.wait(PATIENCE), 7)
                self.assertEqual(file.read_text(), "hello\n")
            finally:
                end(desktop)
        self.assertEqual(listening(), set())


class Settings(unittest.TestCase):
    def test_a_password_is_made_up_rather_than_none(self) -> None:
        desktop = start(VNC_PASSWORD="")
        try:
            made = re.search(r"the password is (\S{8})\n", desktop.said)[1]

            async def enter(password: str) -> None:
                async with client(password):
                    pass

            asyncio.run(enter(made))
            with self.assertRaises(PermissionError):
                asyncio.run(enter(""))
        finally:
            self.assertEqual(end(desktop), 128 + signal.SIGTERM)
        self.assertEqual(listening(), set())

    def test_told_otherwise(self) -> None:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("from-file\n")
            file.flush()
            desktop = start(
                VNC_PASSWORD_FILE=file.name, VNC_LISTEN="0.0.0.0", VNC_PORT="5999", NOVNC_PORT="6099"
            )
        try:
            self.assertEqual(listening(), {("0.0.0.0", 5999), ("0.0.0.0", 6099)})
        finally:
            end(desktop)

    def test_slips(self) -> None:
        for environment, said in (
            ({"VNC_PASSWORD": "short"}, "too short"),
            ({"VNC_PASSWORD": "two\nlines-of-it"}, "one line"),
            ({"VNC_PASSWORD": "grüß-gott"}, "ASCII"),
            ({"VNC_PASSWORD_FILE": "/nowhere"}, "cannot be read"),
            ({"VNC_LISTEN": "everywhere"}, "VNC_LISTEN"),
            ({"VNC_PASSWORD": PASSWORD, "VNC_PORT": "99999"}, "VNC_PORT"),
            ({"VNC_PASSWORD": PASSWORD, "VNC_GEOMETRY": "wide"}, "VNC_GEOMETRY"),
        ):
            with self.subTest(environment):
                desktop = start(**environment)
                self.assertEqual(desktop.wait(PATIENCE), 1)
                desktop.stderr.close()
                self.assertIn(said, desktop.said)
                self.assertNotIn("Traceback", desktop.said)


if __name__ == "__main__":
    unittest.main()
