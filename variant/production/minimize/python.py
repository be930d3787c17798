"""Select the interpreter, the standard library, and packages with the packages that they import.

The layout is Debian's: /usr/lib/python3.N, /usr/lib/python3/dist-packages, and a virtual environment in
/opt/venv (PEP 405). Only the text of modules is read. An import by a name that is known at run time only is
not seen.
"""

import ast
import csv
import fnmatch
import posixpath
import re
from collections import deque
from collections.abc import Iterable, Iterator

from minimize.closure import Closure
from minimize.errors import MinimizeError

# Modules of the standard library that test, develop or install.
NOT_FOR_RUNNING = ("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "turtle")
# Files of packages that only compilers and type checkers read.
SOURCE_FILES = (
    *("*.pyi", "*.pxd", "*.pyx", "*.pxi", "*.h", "*.hpp", "*.a", "*.lib", "*.cmake", "*.pc"),
    *("*.c", "*.cc", "*.cpp"),
)
SOURCE_FOLDERS = {"tests", "test", "include", "includes"}
# A library beside the modules, such as libarrow.so.1700. Names of extension modules have a tag (PEP 3149).
BUNDLED_LIBRARY = re.compile(r"lib[^.]+\.so[.\d]*")
# Licence files in a .dist-info folder: the folder of PEP 639, and names that were in use before.
LICENCE = re.compile(r"(?i)licen[cs]es?/|licen[cs]e|copying|notice|authors")


def module_name(path: str) -> str:
    """Return the module of a file, by its path below the folder that Python searches.

    The byte code ``a/__pycache__/b.cpython-313.pyc`` (PEP 3147) and the extension
    ``a/b.cpython-313-x86_64-linux-gnu.so`` (PEP 3149) are both of the module ``a.b``.
    """
    *folders, name = path.split("/")
    return ".".join([*(folder for folder in folders if folder != "__pycache__"), name.partition(".")[0]])


def is_left_out(module: str, left_out: Iterable[str]) -> bool:
    """Return True if the module is one of ``left_out`` or is below one of them."""
    return any(module == name or module.startswith(f"{name}.") for name in left_out)


def is_for_running(path: str) -> bool:
    """Return False for sources, tests, and libraries beside the modules; a module adds those it needs."""
    *folders, name = path.split("/")
    if SOURCE_FOLDERS.intersection(folders) or BUNDLED_LIBRARY.fullmatch(name):
        return False
    return not any(fnmatch.fnmatch(name, pattern) for pattern in SOURCE_FILES)


def imported_packages(text: bytes) -> set[str]:
    """Return the top-level packages that a module imports, anywhere in its text, except by relative imports.

    A text with a syntax error imports nothing: it is a template, or for another Python, and does not run
    here.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names


class Python:
    """The Python of an image.

    Raise MinimizeError if the image has no python3, or one that does not lead to python3.N.
    """

    def __init__(self, closure: Closure) -> None:
        self.closure, self.rootfs = closure, closure.rootfs
        command = closure.program("python3")
        version = posixpath.basename(self.rootfs.resolve(command)[0])
        if not re.fullmatch(r"python3\.\d+", version):
            raise MinimizeError(f"{command} leads to {version}, which is not a python3.N")
        self.configuration = ("/opt/venv/pyvenv.cfg", f"/etc/{version}")
        self.standard_library = f"/usr/lib/{version}"
        # in the order of sys.path
        folders = (
            f"/opt/venv/lib/{version}/site-packages",
            f"/usr/local/lib/{version}/dist-packages",
            "/usr/lib/python3/dist-packages",
        )
        self.entries = {folder: self.rootfs.names(folder) for folder in folders if self.rootfs.exists(folder)}

    def add(self, packages: Iterable[str], left_out: list[str]) -> None:
        """Add the interpreter, the standard library, the packages, and all packages that these import.

        ``left_out`` are modules that are not added, with all modules below them. Raise MinimizeError if a
        package is not in the image. An imported package that is not in the image is ignored: it may be
        optional.
        """
        for name in ("python", "python3"):
            self.closure.add(self.closure.program(name))
        for path in self.configuration:
            if self.rootfs.exists(path):
                self.closure.add(path)
        self._add_standard_library(left_out)
        added, queue = set[str](), deque(packages)
        while queue:
            package = queue.popleft()
            if package in added or package in left_out:
                continue
            added.add(package)
            queue.extend(self._add_package(package, left_out))
        self._add_metadata(added)

    def find(self, package: str) -> list[str]:
        """Return the folder and the modules of a package, in the first folder of sys.path that has any.

        A folder without ``__init__.py`` counts too: it is a namespace package (PEP 420). Its parts in later
        folders of sys.path are not found.
        """
        module = re.compile(rf"{re.escape(package)}(\.[^/]*)?\.(py|so)")
        for folder, names in self.entries.items():
            found = [f"{folder}/{name}" for name in names if name == package or module.fullmatch(name)]
            if found:
                return found
        return []

    def files(self, package: str, left_out: list[str]) -> Iterator[str]:
        """Yield the files of a package that are of use at run time."""
        for top in self.find(package):
            folder = posixpath.dirname(top)
            for path in self.rootfs.walk(top) if self.rootfs.host_path(top).is_dir() else [top]:
                inner = path.removeprefix(f"{folder}/")
                if is_for_running(inner) and not is_left_out(module_name(inner), left_out):
                    yield path

    def _add_standard_library(self, left_out: list[str]) -> None:
        for path in self.rootfs.walk(self.standard_library):
            inner = path.removeprefix(f"{self.standard_library}/").removeprefix("lib-dynload/")
            if not is_left_out(module_name(inner), (*NOT_FOR_RUNNING, *left_out)):
                self.closure.add(path, required=False)

    def _add_package(self, package: str, left_out: list[str]) -> list[str]:
        """Add the files of a package. Return the packages of the image that it imports."""
        files = list(self.files(package, left_out))
        if not files:
            raise MinimizeError(f"no Python package {package} in the image (MODULES)")
        for path in files:
            self.closure.add(path, required=False)
        imported: set[str] = set()
        for path in files:
            if path.endswith(".py"):
                imported |= imported_packages(self.rootfs.host_path(path).read_bytes())
        return [name for name in sorted(imported) if self.find(name)]

    def _add_metadata(self, packages: set[str]) -> None:
        """Add name, version and licences of the distributions that the packages are from.

        importlib.metadata and scanners read them. The format: "Recording installed projects" of the Python
        packaging specifications. Its RECORD is a CSV file of the paths that a distribution installs.
        """
        for folder in self.entries:
            for info in self.rootfs.glob(f"{folder}/*.dist-info"):
                record = self.rootfs.host_path(info) / "RECORD"
                if not record.exists():
                    continue
                with record.open(newline="") as file:
                    tops = {row[0].partition("/")[0].partition(".")[0] for row in csv.reader(file) if row}
                if not tops & packages:
                    continue
                for path in self.rootfs.walk(info):
                    inner = path.removeprefix(f"{info}/")
                    if inner in ("METADATA", "INSTALLER") or LICENCE.match(inner):
                        self.closure.add(path, required=False)
