"""The library ``toml`` reads the project's files exactly as Python's ``tomllib`` does."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import toml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SKIPPED = {".git", ".venv", "cache", "build"}


def project_files() -> list[Path]:
    found = [*ROOT.rglob("*.toml"), *ROOT.rglob("stages.lock")]
    return sorted(path for path in found if not SKIPPED & set(path.relative_to(ROOT).parts))


@pytest.mark.parametrize("path", project_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_same_as_tomllib(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert toml.loads(text) == tomllib.loads(text)


def test_finds_the_files_that_matter() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in project_files()}
    assert {"stages.toml", "pyproject.toml", "tests/fixtures/golden/stages.toml"} <= names
