"""``stagegraph init`` and ``stagegraph import``: write ``stages.toml`` and ``dodo.py`` of a new project."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ProjectError, StoreError
from ...output import say, tell
from ...system.text import counted
from .. import program
from ..help import Example
from .base import Detached, flag

if TYPE_CHECKING:
    from ...migration.family import Draft
    from ...project.model import Project

#: What to call in a new project.
_NEXT = (
    ("list", "what there is to build"),
    ("plan", "what a run would build, and why"),
    ("", "build the images for this machine"),
)


@dataclass(frozen=True)
class Options:
    force: bool = flag("overwrite stages.toml and dodo.py")


class Init(Detached[Options]):
    options_type = Options
    section = "move"
    doc_purpose = "write stages.toml and dodo.py for the Dockerfiles below a folder"
    doc_usage = "[FOLDER]"
    doc_description = (
        "Every Dockerfile becomes a stage. Its name is that of its folder, or NAME of Dockerfile.NAME. A "
        "name in FROM or COPY --from means the stage of that name. Stages that no other is based on become "
        "images. Dockerfiles stay as they are. What stages.toml cannot express is printed, one line each. "
        "Without FOLDER: this folder."
    )
    completes = ("@folders",)
    examples = (
        Example("init", "a project of the Dockerfiles below this folder"),
        Example("init images --force", "the folder images, and overwrite"),
    )

    def answer(self, words: list[str], options: Options) -> int:
        if len(words) > 1:
            raise ProjectError(
                "command line",
                f"stagegraph init takes one folder, not {len(words)}",
                "stagegraph init --help",
            )
        root = Path(*words)
        _refuse_existing(root, options.force)
        return _init(root)


class Import(Detached[Options]):
    options_type = Options
    section = "move"
    doc_purpose = "write stages.toml and dodo.py for a bake or Compose file"
    doc_usage = "FILE"
    doc_description = (
        "FILE is what `docker buildx bake --print` prints, or a Compose file; - is standard input. Paths in "
        "a bake file are relative to this folder. The project is written into this folder. Dockerfiles stay "
        "as they are. What stages.toml cannot express is printed with the name of the target, one line each."
    )
    completes = ("@files",)
    examples = (
        Example("import compose.yaml", "a project of the services of a Compose file"),
        Example("import bake.json --force", "what `docker buildx bake --print` wrote"),
    )

    def answer(self, words: list[str], options: Options) -> int:
        if len(words) != 1:
            what = f"stagegraph import takes one file, not {len(words)}"
            raise ProjectError("command line", what, "stagegraph import --help")
        _refuse_existing(Path(), options.force)
        return _import(words[0])


def _init(root: Path) -> int:
    from ...migration.family import assemble
    from ...migration.scan import sources

    if not root.is_dir():
        raise ProjectError(str(root), "is not a folder")
    found, notes = sources(root)
    return _write(assemble(root, found, by_name=True, notes=notes), root)


def _import(where: str) -> int:
    from ...migration import bake, compose
    from ...migration.family import assemble

    root = Path()
    if not (text := _read(where)).strip():
        name = "standard input" if where == "-" else where
        raise ProjectError(name, "is empty", "did the command before the pipe fail?" if where == "-" else "")
    if bake.is_bake(text, where):
        imported = bake.sources(bake.parse(text, where), where, root)
    else:
        folder = "." if where == "-" else os.path.relpath(Path(where).parent)
        tables, notes = compose.as_bake(compose.parse(text, where), where, folder, _variables(Path(folder)))
        imported = bake.sources(tables, where, root, kind="service")
        imported.notes[:0] = notes
    if not imported.sources:
        raise ProjectError(where, "nothing of it can be imported", "\n  ".join(map(str, imported.notes)))
    draft = assemble(root, imported.sources, by_name=False, notes=imported.notes, groups=imported.groups)
    draft.tables["secrets"] = imported.secrets
    return _write(draft, root)


def _variables(folder: Path) -> dict[str, str]:
    """Return the variables of the environment and of the file ``.env`` beside a Compose file."""
    from ...migration.interpolation import env_file

    path = folder / ".env"
    return env_file(_read(str(path)), os.environ, str(path)) if path.is_file() else dict(os.environ)


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProjectError(name, f"is not UTF-8: {error}") from None
    except OSError as error:
        raise ProjectError(name, f"cannot be read: {error.strerror}") from None


def _refuse_existing(root: Path, force: bool) -> None:
    """Raise ``ProjectError`` for a project that is there already."""
    for name in ("stages.toml", "dodo.py"):
        if not force and os.path.lexists(root / name):
            hint = "move it away, or call with --force to overwrite stages.toml and dodo.py"
            raise ProjectError(str(root / name), "exists, so nothing is written", hint)


def _write(draft: Draft, root: Path) -> int:
    """Write the project. Print what it has and what was left out. Raises ``ProjectError``, ``StoreError``."""
    from ...migration.settle import DODO, settled
    from ...system.files import write_atomically

    text, project = settled(draft, root)
    for note in draft.notes:
        tell(f"note: {note}")
    for stage, why in draft.left_out.items():
        tell(f"left out: {draft.origins[stage]}: {why}")
    for name, content in (("stages.toml", text), ("dodo.py", DODO)):
        try:
            write_atomically(root / name, content.encode())
        except OSError as error:
            raise StoreError(str(root / name), f"cannot be written: {error.strerror}") from None
    say(_summary(project, draft))
    say(_next(root))
    return 0


def _next(root: Path) -> str:
    """Return the calls that come next, below each other."""
    away = [f"cd {root}"] if root.resolve() != Path.cwd() else []
    calls = [(f"{program.name()} {words}".rstrip(), meaning) for words, meaning in _NEXT]
    width = max(len(call) for call, _ in calls)
    lines = [*away, *(f"{call:<{width}}  {meaning}" for call, meaning in calls)]
    return "\n".join(f"{'' if number else 'next:':<6}{line}" for number, line in enumerate(lines))


def _summary(project: Project, draft: Draft) -> str:
    """Return what was found: each stage with its Dockerfile or target, and whether it is an image."""
    counts = {
        "stage": len(draft.origins) - len(draft.left_out),
        "image": len(project.images),
        "platform": len(project.platforms),
    }
    said = [counted(count, word) for word, count in counts.items()]
    lines = [f"wrote stages.toml and dodo.py: {', '.join(said)}"]
    width = max(map(len, draft.origins))
    for stage, origin in draft.origins.items():
        kind = "image" if stage in project.images else "left out" if stage in draft.left_out else "stage"
        lines.append(f"  {kind:<8}  {stage:<{width}}  {origin}")
    return "\n".join(lines)
