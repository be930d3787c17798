"""What a production image keeps: programs with their libraries, packages with their imports, and no more."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytestmark = pytest.mark.unit

SCRIPT = Path(__file__).parents[2] / "variant/production/minimize"


@pytest.fixture
def minimize(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module that takes files of one line, ``ELF NEEDED... [@RUNPATH]``, for programs."""
    loader = importlib.machinery.SourceFileLoader("minimize", str(SCRIPT))
    spec = importlib.util.spec_from_loader("minimize", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    real = module.program

    def program(path: Path) -> object:
        head = path.read_bytes()[:200]
        if not head.startswith(b"ELF "):
            return real(path)
        machine, *words = head.decode().split()[1:]
        needed = [word for word in words if word[0] not in "@/"]
        search = [word[1:] for word in words if word[0] == "@"]
        interpreter = next((word for word in words if word[0] == "/"), None)
        return SimpleNamespace(machine=machine, interpreter=interpreter, needed=needed, search=search)

    monkeypatch.setattr(module, "program", program)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image with merged /usr, a loader, a C library and a shell."""
    made = tmp_path / "root"
    for folder in ("usr/bin", "usr/lib/here", "usr/local/lib", "etc/ld.so.conf.d", "var/lib/dpkg/info"):
        (made / folder).mkdir(parents=True)
    for name in ("bin", "lib"):
        (made / name).symlink_to(f"usr/{name}")
    write(
        made,
        {
            "etc/ld.so.conf.d/here.conf": "# comment\n/usr/local/lib\n/lib/here\n",
            "usr/lib/here/ld.so": "ELF arm",
            "usr/lib/here/libc.so.6": "ELF arm",
            "usr/bin/dash": "ELF arm libc.so.6 /lib/here/ld.so",
            "usr/bin/env": "ELF arm libc.so.6 /lib/here/ld.so",
        },
    )
    (made / "usr/bin/sh").symlink_to("dash")
    return made


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


def kept(minimize: ModuleType, root: Path, *paths: str) -> set[str]:
    selection = minimize.Selection(minimize.Image(str(root)))
    for path in paths:
        selection.add(path)
    return set(selection.paths)


def test_a_program_with_its_loader_its_libraries_and_all_links(minimize: ModuleType, root: Path) -> None:
    assert kept(minimize, root, "/bin/sh") == {
        "/bin", "/usr/bin/sh", "/usr/bin/dash", "/lib", "/usr/lib/here/ld.so", "/usr/lib/here/libc.so.6",
    }  # fmt: skip


def test_absolute_links_stay_in_the_image(minimize: ModuleType, root: Path) -> None:
    write(root, {"usr/lib/real": "here"})
    (root / "etc/link").symlink_to("/usr/lib/real")
    (root / "etc/up").symlink_to("../../../../lib/real")
    assert kept(minimize, root, "/etc/link") == {"/etc/link", "/usr/lib/real"}
    assert kept(minimize, root, "/etc/up") == {"/etc/up", "/lib", "/usr/lib/real"}


def test_links_in_a_circle(minimize: ModuleType, root: Path) -> None:
    (root / "etc/a").symlink_to("b")
    (root / "etc/b").symlink_to("a")
    with pytest.raises(SystemExit, match="circle"):
        kept(minimize, root, "/etc/a")


def test_a_script_s_interpreter(minimize: ModuleType, root: Path) -> None:
    write(root, {"usr/bin/tool": "#!/usr/bin/env sh\n", "usr/bin/other": "#! /bin/sh -e\n"})
    assert {"/usr/bin/env", "/usr/bin/dash"} <= kept(minimize, root, "/usr/bin/tool")
    found = kept(minimize, root, "/usr/bin/other")
    assert "/usr/bin/dash" in found
    assert "/usr/bin/env" not in found


def test_where_libraries_are_looked_for(minimize: ModuleType, root: Path) -> None:
    """Its own folders first, then the configured in their order; one for another machine is passed over."""
    write(
        root,
        {
            "opt/app/bin/run": "ELF arm libown.so libtwo.so @$ORIGIN/../lib @${ORIGIN}/more",
            "opt/app/lib/libown.so": "ELF arm",
            "usr/lib/here/libown.so": "ELF arm",
            "usr/local/lib/libtwo.so": "ELF amd",
            "usr/lib/here/libtwo.so": "ELF arm",
        },
    )
    found = kept(minimize, root, "/opt/app/bin/run")
    assert found == {
        "/opt/app/bin/run", "/opt/app/lib/libown.so", "/lib", "/usr/lib/here/libtwo.so",
    }  # fmt: skip


def test_a_library_that_is_nowhere(minimize: ModuleType, root: Path) -> None:
    write(root, {"usr/bin/run": "ELF arm libgone.so.1"})
    with pytest.raises(SystemExit, match=r"/usr/bin/run needs libgone\.so\.1"):
        kept(minimize, root, "/usr/bin/run")


def python(root: Path) -> None:
    place = "opt/venv/lib/python3.13/site-packages"
    write(
        root,
        {
            "usr/bin/python3.13": "ELF arm libc.so.6",
            "opt/venv/pyvenv.cfg": "home = /usr/bin\n",
            "usr/lib/python3.13/os.py": "",
            "usr/lib/python3.13/test/big.py": "",
            "usr/lib/python3.13/__pycache__/turtle.cpython-313.pyc": "",
            "usr/lib/python3.13/lib-dynload/_dbm.cpython-313-here.so": "ELF arm libgone.so",
            f"{place}/robot/__init__.py": "import os, arm.joint\ntry:\n    import absent\nexcept E: pass\n",
            f"{place}/robot/__pycache__/__init__.cpython-313.pyc": "",
            f"{place}/robot/core.cpython-313-here.so": "ELF arm libfast.so @$ORIGIN",
            f"{place}/robot/libfast.so": "ELF arm",
            f"{place}/robot/libslow.so": "ELF arm",
            f"{place}/robot/slow.cpython-313-here.so": "ELF arm libslow.so @$ORIGIN",
            f"{place}/robot/map.json": "{}",
            f"{place}/robot/core.pyi": "",
            f"{place}/robot/include/core.h": "",
            f"{place}/robot/tests/test_core.py": "import heavy",
            f"{place}/robot-1.dist-info/METADATA": "Name: robot",
            f"{place}/robot-1.dist-info/RECORD": "robot/__init__.py,,\n",
            f"{place}/robot-1.dist-info/licenses/LICENSE": "free",
            f"{place}/arm/__init__.py": "from . import joint\n",
            f"{place}/arm/joint.py": "",
            f"{place}/heavy/__init__.py": "",
            f"{place}/heavy-1.dist-info/METADATA": "Name: heavy",
            f"{place}/heavy-1.dist-info/RECORD": "heavy/__init__.py,,\n",
        },
    )
    (root / "opt/venv/bin").mkdir()
    (root / "opt/venv/bin/python3").symlink_to("/usr/bin/python3.13")
    (root / "opt/venv/bin/python").symlink_to("python3")


def packages(minimize: ModuleType, root: Path, names: list[str], without: list[str]) -> set[str]:
    """Names of what is kept of the packages, without their folder."""
    python(root)
    selection = minimize.Selection(minimize.Image(str(root)))
    minimize.Python(selection).add(names, ["_dbm", *without])
    place = "/opt/venv/lib/python3.13/site-packages/"
    assert "/usr/lib/python3.13/os.py" in selection.paths
    assert not {path for path in selection.paths if "test/big" in path or "turtle" in path or "_dbm" in path}
    assert {"/opt/venv/bin/python", "/opt/venv/pyvenv.cfg", "/usr/bin/python3.13"} <= set(selection.paths)
    return {path.removeprefix(place) for path in selection.paths if path.startswith(place)}


def test_packages_with_what_they_import(minimize: ModuleType, root: Path) -> None:
    assert packages(minimize, root, ["robot"], []) == {
        "robot/__init__.py", "robot/__pycache__/__init__.cpython-313.pyc", "robot/map.json",
        "robot/core.cpython-313-here.so", "robot/libfast.so",
        "robot/slow.cpython-313-here.so", "robot/libslow.so",
        "robot-1.dist-info/METADATA", "robot-1.dist-info/licenses/LICENSE", "arm/__init__.py", "arm/joint.py",
    }  # fmt: skip


def test_modules_that_are_left_out_take_their_libraries_with_them(minimize: ModuleType, root: Path) -> None:
    found = packages(minimize, root, ["robot"], ["robot.slow", "arm"])
    assert not {name for name in found if "slow" in name or name.startswith("arm/")}


def test_a_package_that_is_not_there(minimize: ModuleType, root: Path) -> None:
    with pytest.raises(SystemExit, match="no Python package leg"):
        packages(minimize, root, ["leg"], [])


def test_which_of_debian_s_packages_are_kept(minimize: ModuleType, root: Path) -> None:
    """By the paths that they list, which may go through /bin and /lib; each architecture for itself."""
    status = [
        f"Package: {name}\nArchitecture: {arch}\nVersion: {version}\n"
        for name, arch, version in (
            ("dash", "here", 1),
            ("libc6", "there", 3),
            ("libc6", "here", 2),
            ("apt", "here", 1),
        )
    ]
    write(
        root,
        {
            "var/lib/dpkg/status": "\n".join(status),
            "var/lib/dpkg/info/dash.list": "/.\n/bin\n/bin/sh\n",
            "var/lib/dpkg/info/libc6:here.list": "/lib/here/libc.so.6\n",
            "var/lib/dpkg/info/libc6:there.list": "/lib/there/libc.so.6\n",
            "var/lib/dpkg/info/apt.list": "/usr\n/usr/bin\n/usr/bin/apt\n",
            "var/lib/dpkg/info/removed.list": "/bin/sh\n",
        },
    )
    image = minimize.Image(str(root))
    selection = minimize.Selection(image)
    selection.add("/bin/sh")
    found = minimize.packages(image, selection.paths)
    assert {name: text.splitlines()[2] for name, text in found.items()} == {
        "dash": "Version: 1", "libc6": "Version: 2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("#!/bin/sh -e", ["/bin/sh"]),
        ("#! /usr/bin/env sh", ["/usr/bin/env", "sh"]),
        ("#!/usr/bin/env -S A=b sh -x", ["/usr/bin/env", "sh"]),
        ("#!", []),
        ("no script", []),
    ],
)
def test_the_first_line_of_a_script(
    minimize: ModuleType, tmp_path: Path, line: str, words: list[str]
) -> None:
    (tmp_path / "script").write_text(f"{line}\necho\n")
    assert minimize.interpreters(tmp_path / "script") == words


def test_a_script_without_its_interpreter(
    minimize: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error where it was asked for; where it came along in a folder it stays what it was."""
    write(root, {"opt/tools/helper": "#!/usr/bin/perl\n"})
    with pytest.raises(SystemExit, match="/opt/tools/helper is a script for /usr/bin/perl"):
        kept(minimize, root, "/opt/tools/helper")
    assert "/opt/tools/helper" in kept(minimize, root, "/opt/tools")
    assert "it will not run" in capsys.readouterr().out


def test_patterns_stay_in_the_image(minimize: ModuleType, root: Path) -> None:
    write(root, {"etc/mine/a.conf": "", "etc/mine/b.txt": ""})
    (root / "opt").mkdir(exist_ok=True)
    (root / "opt/current").symlink_to("/etc/mine")
    image = minimize.Image(str(root))
    assert image.glob("/opt/cur*/*.conf") == ["/opt/current/a.conf"]
    assert image.glob("/etc/mine/") == ["/etc/mine"]
    assert image.glob("/etc/pass*") == []
    assert image.glob("/nowhere/*") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="it gives files their owners")
def test_the_whole(minimize: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, {"usr/lib/here/libgcc_s.so.1": "ELF arm", "etc/os-release": "ID=debian\n"})
    (root / "usr/bin/dash").chmod(0o2755)
    out = tmp_path / "out"
    for name in ("MODULES", "LIBRARIES", "FILES", "WITHOUT"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PROGRAMS", "dash")
    monkeypatch.setattr("sys.argv", ["minimize", str(root), str(out)])
    minimize.main()
    assert (out / "usr/bin/dash").stat().st_mode & 0o7777 == 0o2755
    assert not (out / "usr/bin/sh").exists()
    assert not (out / "bin").exists()  # nobody came through it
    assert (out / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (out / "home/atom").stat().st_uid == 1000
    assert "atom:x:1000:1000::/home/atom:/usr/sbin/nologin" in (out / "etc/passwd").read_text()


def test_a_real_program(minimize: ModuleType) -> None:
    """This machine's own shell, if it is one of ELF's."""
    shell = Path("/bin/sh").resolve()
    if shell.read_bytes()[:4] != b"\x7fELF":
        pytest.skip("no ELF here")
    found = minimize.program(shell)
    assert any(name.startswith("libc.so") for name in found.needed)
    assert found.interpreter is not None
    assert kept(minimize, Path("/"), str(shell)) >= {str(Path(found.interpreter).resolve())}
