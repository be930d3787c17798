"""``./run`` calls ``stagegraph.host`` with any Python, before it installs anything."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
OWN = {
    *("stagegraph", "stagegraph.errors", "stagegraph.output", "stagegraph.oci", "stagegraph.oci.platform"),
    *(
        "stagegraph.waits",
        *(f"stagegraph.waits.{path.stem}" for path in (ROOT / "stagegraph/waits").glob("*.py")),
    ),
}
MODULES = sorted(path.stem for path in (ROOT / "stagegraph/host").glob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_host_needs_only_the_standard_library(module: str) -> None:
    """Python runs without site-packages (-S), and ignores variables and the user's folders (-I)."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); old = set(sys.modules)\n"
        f"import stagegraph.host.{module}\nprint(*set(sys.modules) - old)"
    )
    command = [sys.executable, "-I", "-S", "-B", "-c", code, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    others = {name for name in loaded if not name.startswith("stagegraph.host")}
    assert f"stagegraph.host.{module}" in loaded and others <= OWN


@pytest.mark.parametrize("module", MODULES)
def test_imports_inside_functions_are_found_too(module: str) -> None:
    tree = ast.parse((ROOT / f"stagegraph/host/{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert (
                node.level == 1
                or (node.level == 2 and f"stagegraph.{node.module}" in OWN)
                or (node.module and node.module.partition(".")[0] in sys.stdlib_module_names)
            )
        elif isinstance(node, ast.Import):
            assert {name.name.partition(".")[0] for name in node.names} <= sys.stdlib_module_names


def test_modules_in_the_folder_of_the_caller_are_not_imported(tmp_path: Path) -> None:
    """The folder of the caller may contain files with the names of modules."""
    (tmp_path / "stagegraph.py").write_text("raise SystemExit('wrong')")
    (tmp_path / "json.py").write_text("raise SystemExit('wrong')")
    done = subprocess.run(
        [ROOT / "run", "down"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "STAGEGRAPH_ENGINE_DIR": str(tmp_path / "e")[:60]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "wrong" not in done.stderr and done.returncode in (0, 72)
