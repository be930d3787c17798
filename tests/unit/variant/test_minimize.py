"""minimize keeps programs with their libraries and Python packages with their imports, and nothing else."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from minimize.__main__ import Request, collect, main
from minimize.closure import Closure, script_interpreters
from minimize.dpkg import packages_of, read_status
from minimize.elf import ElfObject, read_elf
from minimize.errors import MinimizeError
from minimize.python import Python, imported_packages, module_name
from minimize.rootfs import Rootfs

pytestmark = pytest.mark.unit

AMD64, ARM64 = 62, 183  # e_machine in elf.h
SITE_PACKAGES = "opt/venv/lib/python3.13/site-packages"


def elf(
    *needed: str, interpreter: str = "", runpath: str = "", rpath: str = "", machine: int = ARM64
) -> bytes:
    """Return a 64-bit ELF file that has a dynamic section and no code.

    Structures and numbers: elf(5). The strings are behind the headers and the dynamic section.
    """
    tags = [*((1, name) for name in needed), *((15, rpath),) * bool(rpath), *((29, runpath),) * bool(runpath)]
    segments = 3 if interpreter else 2
    dynamic_at = 64 + 56 * segments
    strings_at = dynamic_at + 16 * (len(tags) + 3)
    strings, dynamic = interpreter.encode() + b"\0", b""
    for tag, text in tags:
        dynamic += struct.pack("<qQ", tag, len(strings))
        strings += text.encode() + b"\0"
    dynamic += struct.pack("<qQqQqQ", 5, strings_at, 10, len(strings), 0, 0)  # DT_STRTAB, DT_STRSZ, DT_NULL
    size = strings_at + len(strings)
    table = [(1, 0, size), (2, dynamic_at, len(dynamic)), (3, strings_at, len(interpreter) + 1)]
    header = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 3, machine, 1, 0, 64, 0, 0, 64, 56, segments, 64, 0, 0
    )
    for kind, at, length in table[:segments]:
        header += struct.pack("<IIQQQQQQ", kind, 4, at, at, at, length, length, 1)
    return header + dynamic + strings


def write(root: Path, files: dict[str, str | bytes]) -> None:
    """Write executable files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o755)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image with merged /usr, a loader, a C library and a shell."""
    root = tmp_path / "root"
    for folder in ("usr/bin", "usr/lib/here", "usr/local/lib", "etc/ld.so.conf.d", "var/lib/dpkg/info"):
        (root / folder).mkdir(parents=True)
    for name in ("bin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    write(
        root,
        {
            "etc/ld.so.conf.d/here.conf": "# comment\n/usr/local/lib\n/lib/here\n",
            "usr/lib/here/ld.so": elf(),
            "usr/lib/here/libc.so.6": elf(),
            "usr/bin/dash": elf("libc.so.6", interpreter="/lib/here/ld.so"),
            "usr/bin/env": elf("libc.so.6", interpreter="/lib/here/ld.so"),
        },
    )
    (root / "usr/bin/sh").symlink_to("dash")
    return root


def kept(root: Path, *paths: str) -> set[str]:
    """Return the paths that minimize keeps if these are requested."""
    closure = Closure(Rootfs(str(root)))
    for path in paths:
        closure.add(path)
    return closure.paths


# -- rootfs


def test_absolute_links_stay_in_the_image(root: Path) -> None:
    write(root, {"usr/lib/real": "here"})
    (root / "etc/link").symlink_to("/usr/lib/real")
    (root / "etc/up").symlink_to("../../../../lib/real")
    assert kept(root, "/etc/link") == {"/etc/link", "/usr/lib/real"}
    assert kept(root, "/etc/up") == {"/etc/up", "/lib", "/usr/lib/real"}


def test_links_in_a_circle(root: Path) -> None:
    (root / "etc/a").symlink_to("b")
    (root / "etc/b").symlink_to("a")
    with pytest.raises(MinimizeError, match="circle"):
        kept(root, "/etc/a")


def test_patterns_stay_in_the_image(root: Path) -> None:
    write(root, {"etc/mine/a.conf": "", "etc/mine/b.txt": ""})
    (root / "opt").mkdir(exist_ok=True)
    (root / "opt/current").symlink_to("/etc/mine")
    rootfs = Rootfs(str(root))
    assert rootfs.glob("/opt/cur*/*.conf") == ["/opt/current/a.conf"]
    assert rootfs.glob("/etc/mine/") == ["/etc/mine"]
    assert rootfs.glob("/etc/pass*") == []
    assert rootfs.glob("/nowhere/*") == []


# -- elf and loader


def test_the_fields_of_an_elf_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(elf("liba.so.1", "libb.so", interpreter="/lib/ld.so", runpath="/a:$ORIGIN", rpath="/b"))
    assert read_elf(file) == ElfObject(
        machine="EM_AARCH64",
        interpreter="/lib/ld.so",
        needed=("liba.so.1", "libb.so"),
        search_folders=("/a", "$ORIGIN"),
    )


def test_rpath_counts_if_there_is_no_runpath(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(elf(rpath="/b", machine=AMD64))
    assert read_elf(file) == ElfObject("EM_X86_64", None, (), ("/b",))


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", elf("libc.so.6")[:80]])
def test_files_that_are_not_elf(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert read_elf(file) is None


def test_a_real_program() -> None:
    """The program is this machine's own shell, if it is an ELF file."""
    shell = Path("/bin/sh").resolve()
    if shell.read_bytes()[:4] != b"\x7fELF":
        pytest.skip("no ELF here")
    found = read_elf(shell)
    assert found
    assert any(name.startswith("libc.so") for name in found.needed)
    assert found.interpreter is not None
    assert kept(Path("/"), str(shell)) >= {str(Path(found.interpreter).resolve())}


def test_the_order_in_which_the_loader_searches(root: Path) -> None:
    """A program's own folders, then the configured ones. A library for another machine is skipped."""
    write(
        root,
        {
            "opt/app/bin/run": elf("libown.so", "libtwo.so", runpath="$ORIGIN/../lib:${ORIGIN}/more"),
            "opt/app/lib/libown.so": elf(),
            "usr/lib/here/libown.so": elf(),
            "usr/local/lib/libtwo.so": elf(machine=AMD64),
            "usr/lib/here/libtwo.so": elf(),
        },
    )
    assert kept(root, "/opt/app/bin/run") == {
        "/opt/app/bin/run", "/opt/app/lib/libown.so", "/lib", "/usr/lib/here/libtwo.so",
    }  # fmt: skip


def test_a_library_that_is_needed_by_its_path(root: Path) -> None:
    write(root, {"usr/bin/run": elf("/opt/app/libown.so"), "opt/app/libown.so": elf()})
    assert kept(root, "/usr/bin/run") == {"/usr/bin/run", "/opt/app/libown.so"}


def test_a_missing_library_is_an_error(root: Path) -> None:
    write(root, {"usr/bin/run": elf("libgone.so.1")})
    with pytest.raises(MinimizeError, match=r"/usr/bin/run needs libgone\.so\.1"):
        kept(root, "/usr/bin/run")


# -- closure


def test_a_program_with_its_loader_its_libraries_and_all_links(root: Path) -> None:
    assert kept(root, "/bin/sh") == {
        "/bin", "/usr/bin/sh", "/usr/bin/dash", "/lib", "/usr/lib/here/ld.so", "/usr/lib/here/libc.so.6",
    }  # fmt: skip


def test_a_missing_path_is_an_error(root: Path) -> None:
    write(root, {"usr/bin/run": elf("/opt/libgone.so")})
    with pytest.raises(MinimizeError, match=r"^/gone is not in the image$"):
        kept(root, "/gone")
    with pytest.raises(MinimizeError, match=r"^/opt/libgone\.so is not in the image; /usr/bin/run needs it$"):
        kept(root, "/usr/bin/run")


def test_a_folder_is_kept_without_dangling_links(root: Path) -> None:
    write(root, {"opt/mine/file": ""})
    (root / "opt/mine/dangling").symlink_to("/nowhere")
    assert kept(root, "/opt/mine") == {"/opt/mine", "/opt/mine/file"}


def test_the_interpreter_of_a_script(root: Path) -> None:
    write(root, {"usr/bin/tool": "#!/usr/bin/env sh\n", "usr/bin/other": "#! /bin/sh -e\n"})
    assert {"/usr/bin/env", "/usr/bin/dash"} <= kept(root, "/usr/bin/tool")
    found = kept(root, "/usr/bin/other")
    assert "/usr/bin/dash" in found
    assert "/usr/bin/env" not in found


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("#!/bin/sh -e", ["/bin/sh"]),
        ("#! /usr/bin/env sh", ["/usr/bin/env", "sh"]),
        ("#!/usr/bin/env -S A=b sh -x", ["/usr/bin/env", "sh"]),
        ("#!", []),
        ("no script", []),
    ],
)
def test_the_first_line_of_a_script(tmp_path: Path, line: str, programs: list[str]) -> None:
    (tmp_path / "script").write_text(f"{line}\necho\n")
    assert script_interpreters(tmp_path / "script") == programs


def test_a_script_without_its_interpreter(root: Path) -> None:
    """An error if the script was requested; a warning if it was added with its folder."""
    write(root, {"opt/tools/helper": "#!/usr/bin/perl\n"})
    with pytest.raises(MinimizeError, match="/opt/tools/helper is a script for /usr/bin/perl"):
        kept(root, "/opt/tools/helper")
    warnings: list[str] = []
    closure = Closure(Rootfs(str(root)), warnings.append)
    closure.add("/opt/tools")
    assert "/opt/tools/helper" in closure.paths
    assert warnings == ["minimize: /opt/tools/helper: no /usr/bin/perl in the image; it will not run"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PROGRAMS": "sh nosuch"}, r"no program nosuch in the image \(PROGRAMS\)"),
        ({"MODULES": "robot"}, r"no program python3 in the image"),
        ({"LIBRARIES": "libno*.so"}, r"no library libno\*\.so in the image \(LIBRARIES\)"),
        ({"FILES": "/nowhere/*"}, r"/nowhere/\*.*\(FILES\)"),
    ],
)
def test_a_request_that_the_image_cannot_meet(root: Path, variables: dict[str, str], message: str) -> None:
    write(root, {"usr/lib/here/libgcc_s.so.1": elf()})
    with pytest.raises(MinimizeError, match=message):
        collect(Rootfs(str(root)), Request.read(variables))


# -- python


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a.py", "a"),
        ("a/b.py", "a.b"),
        ("a/__pycache__/b.cpython-313.pyc", "a.b"),
        ("a/b.cpython-313-x86_64-linux-gnu.so", "a.b"),
    ],
)
def test_the_module_of_a_file(path: str, module: str) -> None:
    assert module_name(path) == module


def test_imports_are_found_anywhere_in_a_module() -> None:
    text = b"import os.path, arm as a\ndef f():\n  from leg.toe import nail\n  from . import near\n"
    assert imported_packages(text) == {"os", "arm", "leg"}
    assert imported_packages(b"import {{ name }}\n") == set()


def python(root: Path) -> None:
    """Write a Python with a standard library and packages."""
    write(
        root,
        {
            "usr/bin/python3.13": elf("libc.so.6"),
            "opt/venv/pyvenv.cfg": "home = /usr/bin\n",
            "usr/lib/python3.13/os.py": "",
            "usr/lib/python3.13/test/big.py": "",
            "usr/lib/python3.13/__pycache__/turtle.cpython-313.pyc": "",
            "usr/lib/python3.13/lib-dynload/_dbm.cpython-313-here.so": elf("libgone.so"),
            f"{SITE_PACKAGES}/robot/__init__.py": "import os, arm.joint\ntry: import absent\nexcept E: 1\n",
            f"{SITE_PACKAGES}/robot/__pycache__/__init__.cpython-313.pyc": "",
            f"{SITE_PACKAGES}/robot/core.cpython-313-here.so": elf("libfast.so", runpath="$ORIGIN"),
            f"{SITE_PACKAGES}/robot/libfast.so": elf(),
            f"{SITE_PACKAGES}/robot/libslow.so": elf(),
            f"{SITE_PACKAGES}/robot/slow.cpython-313-here.so": elf("libslow.so", runpath="$ORIGIN"),
            f"{SITE_PACKAGES}/robot/map.json": "{}",
            f"{SITE_PACKAGES}/robot/core.pyi": "",
            f"{SITE_PACKAGES}/robot/include/core.h": "",
            f"{SITE_PACKAGES}/robot/tests/test_core.py": "import heavy",
            f"{SITE_PACKAGES}/robot-1.dist-info/METADATA": "Name: robot",
            f"{SITE_PACKAGES}/robot-1.dist-info/RECORD": "robot/__init__.py,,\n",
            f"{SITE_PACKAGES}/robot-1.dist-info/licenses/LICENSE": "free",
            f"{SITE_PACKAGES}/arm/__init__.py": "from . import joint\n",
            f"{SITE_PACKAGES}/arm/joint.py": "",
            f"{SITE_PACKAGES}/heavy/__init__.py": "",
            f"{SITE_PACKAGES}/heavy-1.dist-info/METADATA": "Name: heavy",
            f"{SITE_PACKAGES}/heavy-1.dist-info/RECORD": "heavy/__init__.py,,\n",
        },
    )
    (root / "opt/venv/bin").mkdir()
    (root / "opt/venv/bin/python3").symlink_to("/usr/bin/python3.13")
    (root / "opt/venv/bin/python").symlink_to("python3")


def kept_of_packages(root: Path, names: list[str], left_out: list[str]) -> set[str]:
    """Return the kept files of the packages, by their paths in site-packages."""
    python(root)
    closure = Closure(Rootfs(str(root)))
    Python(closure).add(names, ["_dbm", *left_out])
    assert "/usr/lib/python3.13/os.py" in closure.paths
    assert not {path for path in closure.paths if "test/big" in path or "turtle" in path or "_dbm" in path}
    assert {"/opt/venv/bin/python", "/opt/venv/pyvenv.cfg", "/usr/bin/python3.13"} <= closure.paths
    folder = f"/{SITE_PACKAGES}/"
    return {path.removeprefix(folder) for path in closure.paths if path.startswith(folder)}


def test_packages_with_the_packages_that_they_import(root: Path) -> None:
    assert kept_of_packages(root, ["robot"], []) == {
        "robot/__init__.py", "robot/__pycache__/__init__.cpython-313.pyc", "robot/map.json",
        "robot/core.cpython-313-here.so", "robot/libfast.so",
        "robot/slow.cpython-313-here.so", "robot/libslow.so",
        "robot-1.dist-info/METADATA", "robot-1.dist-info/licenses/LICENSE", "arm/__init__.py", "arm/joint.py",
    }  # fmt: skip


def test_the_libraries_of_modules_that_are_left_out_are_left_out(root: Path) -> None:
    found = kept_of_packages(root, ["robot"], ["robot.slow", "arm"])
    assert "robot/libfast.so" in found
    assert not {name for name in found if "slow" in name or name.startswith("arm/")}


def test_the_first_folder_of_sys_path_that_has_a_package_counts(root: Path) -> None:
    python(root)
    later = "usr/lib/python3/dist-packages"
    write(root, {f"{later}/arm.py": "", f"{later}/leg.py": "", f"{later}/space/toe.py": ""})
    found = Python(Closure(Rootfs(str(root))))
    assert found.find("arm") == [f"/{SITE_PACKAGES}/arm"]
    assert found.find("leg") == [f"/{later}/leg.py"]
    assert found.find("space") == [f"/{later}/space"]  # PEP 420: a package without __init__.py
    assert found.find("absent") == []


def test_a_missing_package_is_an_error(root: Path) -> None:
    with pytest.raises(MinimizeError, match="no Python package leg"):
        kept_of_packages(root, ["leg"], [])


def test_a_python3_that_is_not_a_python3(root: Path) -> None:
    (root / "usr/bin/python3").symlink_to("dash")
    with pytest.raises(MinimizeError, match=r"/usr/bin/python3 leads to dash"):
        Python(Closure(Rootfs(str(root))))


# -- dpkg


def test_the_stanzas_of_a_status_file() -> None:
    """The architecture "" stands for the first stanza of a package."""
    one, two = "Package: a\nArchitecture: x\nVersion: 1", "Package: a\nArchitecture: y\nVersion: 2"
    stanzas = read_status(f"{one}\n\n{two}\n\n")
    assert stanzas == {("a", "x"): one, ("a", ""): one, ("a", "y"): two}


def test_the_debian_packages_that_are_kept(root: Path) -> None:
    """A package is kept if it lists a kept path, also by /bin or /lib. Architectures count separately."""
    status = [
        f"Package: {name}\nArchitecture: {architecture}\nVersion: {version}\n"
        for name, architecture, version in (
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
    found = packages_of(Rootfs(str(root)), kept(root, "/bin/sh"))
    assert {name: text.splitlines()[2] for name, text in found.items()} == {
        "dash": "Version: 1", "libc6": "Version: 2",
    }  # fmt: skip


# -- the command


@pytest.mark.skipif(os.geteuid() != 0, reason="it gives files their owners")
def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"usr/lib/here/libgcc_s.so.1": elf(), "etc/os-release": "ID=debian\n"})
    (root / "usr/bin/dash").chmod(0o2755)
    out = tmp_path / "out"
    main([f"{root}/", str(out)], {"PROGRAMS": "dash"})
    assert capsys.readouterr().out == "minimize: 6 files, 0 MB\n"
    assert (out / "usr/bin/dash").stat().st_mode & 0o7777 == 0o2755
    assert not (out / "usr/bin/sh").exists()
    assert not (out / "bin").exists()  # no kept path uses it
    assert (out / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (out / "home/atom").stat().st_uid == 1000
    assert "atom:x:1000:1000::/home/atom:/usr/sbin/nologin" in (out / "etc/passwd").read_text()


def test_a_wrong_call(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^python3 -m minimize ROOT OUT"):
        main([str(root)], {})
    with pytest.raises(SystemExit, match=r"^minimize: no program nosuch in the image \(PROGRAMS\)$"):
        main([str(root), str(tmp_path / "out")], {"PROGRAMS": "nosuch"})
    assert not (tmp_path / "out").exists()
