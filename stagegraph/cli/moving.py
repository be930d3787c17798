"""``stagegraph init`` and ``stagegraph import``: write the ``stages.toml`` and ``dodo.py`` of a new project.

They are no commands of doit, which needs a ``dodo.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..errors import ProjectError, StagegraphError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..migration.family import Draft
    from ..project.model import Project

#: The commands and what they do, for ``stagegraph --help``.
PURPOSES = {
    "init": "write stages.toml and dodo.py for the Dockerfiles below a folder",
    "import": "write stages.toml and dodo.py for a bake or Compose file",
}

_INIT_TEXT = """\
Every Dockerfile becomes a stage. Its name is that of its folder, or NAME of Dockerfile.NAME. A name in FROM
or COPY --from means the stage of that name. Stages that no other is based on become images. Dockerfiles stay
as they are. What stages.toml cannot express is printed, one line each.
"""

_IMPORT_TEXT = """\
FILE is what `docker buildx bake --print` prints, or a Compose file; - is standard input. Paths in a bake file
are relative to this folder. The project is written into this folder. Dockerfiles stay as they are. What
stages.toml cannot express is printed with the name of the target, one line each.
"""

_NEXT = """\
next: doit list           what there is to build
      doit plan           what a run would build, and why
      doit                build the images for this machine
"""


def run(words: Sequence[str]) -> int:
    """Run ``init`` or ``import`` with the words of the command line. Return the exit status."""
    try:
        options = _parser().parse_args(words)
        _refuse_existing(Path(options.folder if options.command == "init" else "."), options.force)
        status = _init(options) if options.command == "init" else _import(options)
        sys.stdout.flush()
    except StagegraphError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        from .commands.errors import BROKEN_PIPE

        # Python writes what is still buffered at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return status


class _Parser(argparse.ArgumentParser):
    """Reports a wrong call as all commands do."""

    def error(self, message: str) -> NoReturn:
        raise ProjectError("command line", message, f"{self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="stagegraph")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help=PURPOSES["init"], description=_INIT_TEXT)
    init.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="default: this folder")
    importer = commands.add_parser("import", help=PURPOSES["import"], description=_IMPORT_TEXT)
    importer.add_argument("file", metavar="FILE", help="- for standard input")
    for each in (init, importer):
        each.add_argument("--force", action="store_true", help="overwrite stages.toml and dodo.py")
    return parser


def _init(options: argparse.Namespace) -> int:
    from ..migration.family import assemble
    from ..migration.scan import sources

    root = Path(options.folder)
    if not root.is_dir():
        raise ProjectError(str(root), "is not a folder")
    found, notes = sources(root)
    return _write(assemble(root, found, by_name=True, notes=notes), root)


def _import(options: argparse.Namespace) -> int:
    from ..migration import bake, compose
    from ..migration.family import assemble

    root, where = Path(), options.file
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
    from ..migration.interpolation import env_file

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
    from ..migration.settle import DODO, settled
    from ..system.files import write_atomically

    text, project = settled(draft, root)
    for note in draft.notes:
        print(f"note: {note}", file=sys.stderr)
    for stage, why in draft.left_out.items():
        print(f"left out: {draft.origins[stage]}: {why}", file=sys.stderr)
    for name, content in (("stages.toml", text), ("dodo.py", DODO)):
        try:
            write_atomically(root / name, content.encode())
        except OSError as error:
            raise StoreError(str(root / name), f"cannot be written: {error.strerror}") from None
    print(_summary(project, draft))
    print(_NEXT if root.resolve() == Path.cwd() else f"next: cd {root}\n{_NEXT}", end="")
    return 0


def _summary(project: Project, draft: Draft) -> str:
    """Return what was found: each stage with its Dockerfile or target, and whether it is an image."""
    counts = {
        "stage": len(draft.origins) - len(draft.left_out),
        "image": len(project.images),
        "platform": len(project.platforms),
    }
    said = [f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items()]
    lines = [f"wrote stages.toml and dodo.py: {', '.join(said)}"]
    width = max(map(len, draft.origins))
    for stage, origin in draft.origins.items():
        kind = "image" if stage in project.images else "left out" if stage in draft.left_out else "stage"
        lines.append(f"  {kind:<8}  {stage:<{width}}  {origin}")
    return "\n".join(lines)
