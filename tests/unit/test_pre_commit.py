"""The hooks of ``.pre-commit-config.yaml`` are the checks of ``.ci/run``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


def hooks() -> list[dict[str, Any]]:
    """Return the hooks. All are local, because another repository would bring its own versions."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [each["repo"] for each in config["repos"]] == ["local"]
    found: list[dict[str, Any]] = config["repos"][0]["hooks"]
    assert set(config["default_install_hook_types"]) == {stage for hook in found for stage in hook["stages"]}
    return found


def test_the_hooks_are_the_checks_of_ci() -> None:
    checks = re.findall(r"^\./run .*", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert "./run pytest" in checks and len(checks) > 3
    wanted = [check + " -m unit" * (check == "./run pytest") for check in checks]
    assert [hook["entry"][hook["entry"].index("./run ") :] for hook in hooks()] == wanted


def test_tests_run_before_a_push_and_the_others_before_a_commit() -> None:
    late = ("sphinx-build", "pytest")
    stages = {hook["entry"].rpartition("./run ")[2].split()[0]: hook["stages"] for hook in hooks()}
    assert stages == {
        "ruff": ["pre-commit"],
        "mypy": ["pre-commit"],
        "lint-imports": ["pre-commit"],
        **{name: ["pre-push"] for name in late},
    }


def test_the_hooks_need_no_engine_and_check_the_whole_project() -> None:
    for hook in hooks():
        assert hook["entry"].startswith("env ") and " STAGEGRAPH_NO_ENGINE=1 ./run " in hook["entry"]
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)
