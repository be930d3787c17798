"""The core does no I/O except reading files: it imports no processes, doit, docker or network."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

CORE = (
    *(
        "project.model",
        "project.loader",
        "oci.reference",
        "dockerfile.analysis",
        "keys.inputs",
        "keys.explain",
    ),
    *("graph.graph", "graph.dockerfile_names", "graph.native", "execution.plan", "store.record"),
)
FORBIDDEN = (
    "subprocess",
    "doit",
    "docker",
    "socket",
    "ssl",
    "http",
    "urllib.request",
    "requests",
    "asyncio",
    "rich",
)


@pytest.mark.parametrize("module", CORE)
def test_core_modules_import_nothing_forbidden(module: str) -> None:
    code = f"import sys; old = set(sys.modules); import stagegraph.{module}; print(*set(sys.modules) - old)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert f"stagegraph.{module}" in loaded
    assert {name for name in loaded if name.startswith(tuple(FORBIDDEN)) and _is_one(name)} == set()


def _is_one(name: str) -> bool:
    return any(name == word or name.startswith(f"{word}.") for word in FORBIDDEN)


def test_an_import_is_found() -> None:
    code = "import sys; import stagegraph.system.processes; print('subprocess' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_run_imports_no_command_that_it_does_not_use() -> None:
    # import doit first: it imports pdb, which imports asyncio and concurrent.futures from Python 3.14 on
    code = (
        "import sys, doit.doit_cmd; old = set(sys.modules)\n"
        "import stagegraph.cli.tasks, stagegraph.execution.workspace, stagegraph.cli.commands.run\n"
        "import stagegraph.build.builder, stagegraph.docker.imagetools\n"
        "print(*set(sys.modules) - old)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    unwanted = {
        "stagegraph.store.registry",
        "stagegraph.store.skopeo",
        "concurrent.futures",
        "zstandard",
        "argparse",
        "stagegraph.cli.complete",
        "stagegraph.cli.commands.replaced",
        "docker",
        "networkx",
        "stagegraph.drawing.diagram",
        "stagegraph.audit.verify",
        "stagegraph.audit.sizes",
        "stagegraph.audit.outdated",
    }
    unwanted |= {"stagegraph.build.placement"}  # only the choice of a builder needs it
    # families, tags of git, and commands in images cost nothing where a project has none
    unwanted |= {f"stagegraph.project.{name}" for name in ("globs", "matrices", "matrix")}
    unwanted |= {"stagegraph.execution.git_values", "stagegraph.execution.printing"}
    unwanted |= {"stagegraph.docker.containers"}
    unwanted |= {"rich", "stagegraph.execution.live", "stagegraph.execution.outlook"}  # nothing is drawn yet
    loaded = set(done.stdout.split())
    assert "stagegraph.build.builder" in loaded and not loaded & unwanted


def test_a_plan_imports_nothing_that_it_does_not_use() -> None:
    code = (
        "import sys, doit.doit_cmd; old = set(sys.modules)\n"
        "import stagegraph.cli.commands.plan\n"
        "print(*set(sys.modules) - old)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    unwanted = {f"stagegraph.{name}" for name in ("drawing.diagram", "audit.sizes", "graph.revision")}
    unwanted |= {f"stagegraph.execution.{name}" for name in ("edits", "earlier", "estimate", "live")}
    unwanted |= {"stagegraph.keys.explain", "stagegraph.store.registry", "rich"}
    loaded = set(done.stdout.split())
    assert "stagegraph.execution.plan" in loaded and not loaded & unwanted
