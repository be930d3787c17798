"""The images of this repository, built and used on both platforms.

This takes an hour if nothing is cached, minutes otherwise. Nothing is mounted: programs get in and out of
containers by standard input and output. So the engine may run anywhere.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from images import MACHINE, OCI, ROOT, File, Image, build, built, copied, doit, files, machine

pytestmark = pytest.mark.stock

PROGRAMS = Path(__file__).parent / "programs"
#: Stages of the images and of their tests.
IMAGES = ("stock", "stock-test", "stock-dev", "stock-dev-test")
#: Stages based on stock, whose keys change with it. opencv-lib is not here: it is slow to compile.
VARIANTS = (
    "stock--opengl",
    "opengl-test",
    "stock--opengl--vnc",
    "opengl-vnc-test",
    "stock--opencv",
    "opencv-test",
    "stock--opengl--opencv",
    "opencv-opengl-test",
    "stock--production",
    "production-stock-test",
    "stock--opencv--production-opencv",
    "production-opencv-test",
)
#: Another processor for OpenBLAS. No ``cache/`` will have a build for it.
OTHER_TARGET = {"amd64": ('"HASWELL"', '"COOPERLAKE"'), "aarch64": ('"ARMV8"', '"THUNDERX3T110"')}


def goals(platform: str) -> tuple[str, ...]:
    return (f"stock:{platform}", f"stock-dev:{platform}")


# -- fixtures ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def images(platform: str) -> dict[str, Image]:
    """``stock`` and ``stock-dev`` of a platform, built and in the engine."""
    return built(platform, "stock", "stock-dev")


@pytest.fixture(scope="session")
def stock(images: dict[str, Image]) -> Image:
    return images["stock"]


@pytest.fixture(scope="session")
def dev(images: dict[str, Image]) -> Image:
    return images["stock-dev"]


@pytest.fixture(scope="session")
def stock_files(stock: Image) -> dict[str, File]:
    return files(stock)


@pytest.fixture(scope="session")
def dev_files(dev: Image) -> dict[str, File]:
    return files(dev)


# -- programs ------------------------------------------------------------------------------------------------


def compiled(dev: Image, source: str, modules: str, compiler: str = "cc") -> bytes:
    """Return the program that ``cc x.c $(pkg-config --cflags --libs MODULES)`` compiles in ``stock-dev``."""
    suffix = {"cc": "c", "c++": "cc"}[compiler]
    script = (
        f"cd /tmp; cat >x.{suffix}; flags=$(pkg-config --cflags --libs {modules}); "
        f"{compiler} -Wall -Wextra -Werror -o x x.{suffix} $flags; cat x"
    )
    return dev.run(script, stdin=source.encode())


#: Saves the program that arrives on standard input.
SAVE = "cd /tmp; cat >x; chmod +x x; "

#: A server on loopback, which a container without network has too. On arm64, Redis checks for a kernel bug
#: and wrongly finds it under QEMU.
REDIS = (
    "redis-server --port 6380 --save '' --ignore-warnings ARM64-COW-BUG --daemonize yes >log "
    "|| { cat log; exit 1; }; "
    'n=0; until [ "$(redis-cli -p 6380 ping 2>/dev/null)" = PONG ]; do '
    'n=$((n + 1)); [ "$n" -lt 300 ]; sleep 0.2; done; '
)


@pytest.mark.parametrize(
    ("name", "module", "before", "argument"),
    [("hiredis", "hiredis", REDIS, "6380"), ("msgpack", "msgpack-c", "", ""), ("blas", "cblas", "", "")],
    ids=["hiredis", "msgpack-c", "cblas"],
)
def test_c_program_compiles_in_stock_dev_and_runs_in_stock(
    stock: Image, dev: Image, name: str, module: str, before: str, argument: str
) -> None:
    program = compiled(dev, (PROGRAMS / f"{name}.c").read_text(), module)
    assert machine(program) == MACHINE[stock.platform][1]
    assert stock.says(f"{SAVE}{before}./x {argument}", stdin=program) == [f"{name} OK"]


def test_googletest_program_compiles_and_runs_in_stock_dev(dev: Image) -> None:
    source = """
        #include <gmock/gmock.h>
        TEST(Sums, AreRight) { EXPECT_THAT(1 + 1, testing::Eq(2)); }
        TEST(Sums, AreWrong) { EXPECT_EQ(1 + 1, 3); }
    """
    program = compiled(dev, source, "gtest gmock_main", "c++")
    assert "[  PASSED  ] 1 test." in dev.says(f"{SAVE}./x --gtest_filter=*Right", stdin=program)
    dev.run(f"{SAVE}./x", stdin=program, status=1)  # the program does compare


def test_msgpack_for_cxx_compiles_and_runs_in_stock_dev(dev: Image) -> None:
    source = """
        #include <iostream>
        #include <map>
        #include <msgpack.hpp>
        #include <string>
        #include <vector>
        using Value = std::map<std::string, std::vector<int>>;
        int main() {
            std::stringstream stream;
            msgpack::pack(stream, Value{{"a", {1, -1, 300}}});
            const std::string bytes = stream.str();
            const auto handle = msgpack::unpack(bytes.data(), bytes.size());
            const auto value = handle.get().as<Value>();
            for (int item : value.at("a")) std::cout << item << std::endl;
            std::cout << (bytes == "\\x81\\xa1\\x61\\x93\\x01\\xff\\xcd\\x01\\x2c") << std::endl;
        }
    """
    program = compiled(dev, source, "msgpack-cxx", "c++")
    assert dev.says(f"{SAVE}./x", stdin=program) == ["1", "-1", "300", "1"]


# -- contents of stock ---------------------------------------------------------------------------------------


def test_redis_runs_on_its_platform(stock: Image) -> None:
    machine_name, version = stock.says("uname -m; redis-server --version")
    assert machine_name == MACHINE[stock.platform][0]
    recipe = (ROOT / "stock" / "redis" / "Dockerfile").read_text()
    pinned = re.search(r"redis_([\d.]+)\.orig\.tar", recipe)
    assert pinned
    assert version.startswith(f"Redis server v={pinned[1]} ")


def test_image_is_declared_for_its_platform(images: dict[str, Image], platform: str) -> None:
    for image in images.values():
        done = subprocess.run(
            ["docker", "image", "inspect", "--format={{.Os}}/{{.Architecture}}", image.tag],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == f"linux/{OCI[platform]}"


def test_python_of_the_environment_comes_first(stock: Image) -> None:
    code = "import sys; print(*sys.version_info[:2]); print(sys.prefix); print(sys.executable)"
    said = stock.says(f"command -v python; command -v python3; python -c '{code}'")
    assert said == [
        "/opt/venv/bin/python",
        "/opt/venv/bin/python3",
        "3 13",
        "/opt/venv",
        "/opt/venv/bin/python",
    ]


@pytest.mark.parametrize("stage", ["stock", "stock-dev"])
def test_every_program_is_for_the_platform(
    stage: str, platform: str, stock_files: dict[str, File], dev_files: dict[str, File]
) -> None:
    found = {"stock": stock_files, "stock-dev": dev_files}[stage]
    machines = {path: file.machine for path, file in found.items() if file.machine is not None}
    names = {PurePosixPath(path).name for path in machines}
    assert {"redis-server", "libblas.so.3", "libc.so.6"} <= names
    assert {p: m for p, m in machines.items() if m != MACHINE[platform][1]} == {}


_COMPILER = re.compile(
    r"(\w+-linux-gnu-)?(gcc|g\+\+|c\+\+|cc|cpp|clang|gfortran|ld|as|make|cmake|ninja)(\.bfd)?(-\d+)?"
    r"|cc1(plus)?|collect2|lto1"
)


def compilers(found: dict[str, File]) -> set[str]:
    """Return the compilers and their parts: executable files with one of their names."""
    return {
        p for p, file in found.items() if file.mode & 0o111 and _COMPILER.fullmatch(PurePosixPath(p).name)
    }


def duplicates(found: dict[str, File]) -> set[str]:
    """Return the static libraries that also exist as a shared library of the same name."""
    shared = {PurePosixPath(path).name.partition(".so")[0] for path in found if ".so" in path}
    return {p for p in found if p.endswith(".a") and PurePosixPath(p).stem in shared}


def test_stock_has_no_compiler(stock_files: dict[str, File], dev_files: dict[str, File]) -> None:
    assert {PurePosixPath(path).name for path in compilers(dev_files)} >= {
        "cc1",
        "cc1plus",
        "collect2",
        "make",
    }
    assert compilers(stock_files) == set()


def test_stock_has_no_static_library_beside_a_shared_one(
    stock_files: dict[str, File], dev_files: dict[str, File]
) -> None:
    assert duplicates(dev_files)  # libc has one, for example
    assert duplicates(stock_files) == set()
    assert {path for path in duplicates(dev_files) if path.startswith("usr/local/")} == set()


def test_package_managers_leave_no_files(stock_files: dict[str, File], dev_files: dict[str, File]) -> None:
    left = re.compile(
        r"var/(lib/apt/lists|cache/apt|log/apt|cache/ldconfig)/.+|var/log/(dpkg|alternatives)\.log"
    )
    for found in (stock_files, dev_files):
        assert "var/lib/dpkg/status" in found
        # apt's own package contains these two files, both empty
        empty = {"var/lib/apt/lists/lock", "var/cache/apt/archives/lock"}
        assert {path for path in found if left.fullmatch(path)} - empty == set()


# -- reuse ---------------------------------------------------------------------------------------------------


def records(folder: Path) -> dict[str, int]:
    """Return the records of a store, with the time when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cache" / "records").iterdir()}


def test_second_call_builds_nothing(images: dict[str, Image], platform: str) -> None:
    before = records(ROOT)
    run = build(*goals(platform))
    assert {node["node"]: node["decision"] for node in run["nodes"]} == dict.fromkeys(
        (f"{stage}:{platform}" for stage in IMAGES), "reuse"
    )
    assert set(run["images"]) == {image.tag for image in images.values()}
    assert records(ROOT) == before


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project with the same store."""
    return copied(tmp_path / "project")


def keys(folder: Path) -> dict[str, str]:
    """Return the keys of all nodes except CUDA's, because not every machine can reach its external images."""
    found: dict[str, str] = json.loads(doit(folder, "keys", "--json"))
    return {node: key for node, key in found.items() if "cuda" not in node}


def plan(folder: Path, platform: str) -> dict[str, dict[str, Any]]:
    """Return the facts of every node in a run for both images."""
    steps = json.loads(doit(folder, "plan", "--json", f"stock:{platform}", f"stock-dev:{platform}"))
    return {step["node"]: step for step in steps["nodes"]}


def test_another_argument_of_blas_rebuilds_only_blas_and_the_images(
    images: dict[str, Image], platform: str, copy: Path
) -> None:
    before = keys(copy)
    assert {node: step["decision"] for node, step in plan(copy, platform).items()} == dict.fromkeys(
        (f"{stage}:{platform}" for stage in IMAGES), "reuse"
    )
    old, new = OTHER_TARGET[platform]
    text = (copy / "stages.toml").read_text()
    assert text.count(old) == 1
    (copy / "stages.toml").write_text(text.replace(old, new))

    due = {f"{stage}:{platform}" for stage in ("blas", *IMAGES)}
    after = keys(copy)
    changed = {node for node in after if after[node] != before[node]}
    assert changed == due | {f"{stage}:{platform}" for stage in VARIANTS}
    steps = plan(copy, platform)
    assert {node for node, step in steps.items() if step["decision"] == "build"} == due
    assert {step["decision"] for node, step in steps.items() if node not in due} == {"reuse"}
    [change] = steps[f"blas:{platform}"]["changes"]
    assert "TARGET" in change
    assert new.strip('"') in change


def edit(copy: Path, name: str, old: str, new: str) -> None:
    text = (copy / name).read_text()
    assert old in text
    (copy / name).write_text(text.replace(old, new))


#: Edits, and the stages whose keys they change on the tested platform.
EDITS = {
    "comment": (("stock/hiredis/Dockerfile", "# hiredis,", "# hiredis is"), set[str]()),
    "another platform": (("stages.toml", "CORTEXA57", "CORTEXA53"), set[str]()),
    "source version": (
        ("stock/hiredis/Dockerfile", "hiredis_1.2.0", "hiredis_1.2.1"),
        # tests are compiled against it
        {"hiredis", *IMAGES},
    ),
    "package version": (
        ("stock/wheels/python-redis.txt", "redis==8.1.0", "redis==8.0.0"),
        {"python-redis", *IMAGES},
    ),
    "only tests": (("stock/test/test_stock.py", "1e-9", "1e-8"), {"stock-test", "stock-dev-test"}),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_rebuilds_only_what_depends_on_it(
    images: dict[str, Image], platform: str, copy: Path, case: str
) -> None:
    before = keys(copy)
    (name, old, new), due = EDITS[case]
    edit(copy, name, old, new)
    after = keys(copy)
    changed = {node for node in after if after[node] != before[node] and node.endswith(f":{platform}")}
    upon = VARIANTS if "stock" in due else ("production-stock-test",) if due else ()
    assert changed == {f"{stage}:{platform}" for stage in (*due, *upon)}
    builds = {node for node, step in plan(copy, platform).items() if step["decision"] == "build"}
    assert builds == {f"{stage}:{platform}" for stage in due}


@pytest.mark.parametrize("blas", ["netlib", "blis"])
def test_another_blas_passes_the_same_tests(images: dict[str, Image], platform: str, blas: str) -> None:
    """Another library passes the image's test within its tolerance.

    numpy and LAPACK are not compiled again.
    """
    last = ROOT / "cache" / "last-run.json"
    doit(ROOT, f"blas={blas}", f"tag=blas-{blas}-{platform}", f"stock:{platform}")
    run: dict[str, Any] = json.loads(last.read_text())
    built = {node["node"] for node in run["nodes"] if node["decision"] == "build"}
    assert built <= {f"{stage}:{platform}" for stage in ("blas", "stock", "stock-test")}
    [tag] = run["images"]
    version = Image(tag, "stock", platform).says("sha256sum /usr/local/lib/libblas.so.3")
    assert version != images["stock"].says("sha256sum /usr/local/lib/libblas.so.3")
