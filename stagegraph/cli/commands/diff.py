"""``doit diff``: what two images have that the other has not; builds nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ProjectError
from ...output import say
from ..help import Example
from .base import Command, JsonOption, flag, print_json
from .plan import WORK_TO_DO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...inspection.image_diff import FileChange, ImageDiff, LayerPair
    from ..app import App
    from ..compared import ComparedImage

#: The status of ``--exit-code`` for images that differ: that of ``doit plan``.
DIFFERENT = WORK_TO_DO


@dataclass(frozen=True)
class Options(JsonOption):
    summary: bool = flag("print numbers only, no files, packages and values")
    exit_code: bool = flag(f"end with status {DIFFERENT} if the images differ")


class Diff(Command[Options]):
    options_type = Options
    doc_purpose = "compare two builds of a node, or two images"
    doc_usage = "NODE | A B"
    doc_description = (
        "Compares files, packages of dpkg and Python, configuration, layers and sizes. Each of A and B is "
        "a node (the image of its key), NODE@last (its last build), the start of a key or of a digest in "
        "cache/, or an image in the engine such as REPO:TAG. NODE alone compares its last build with the one "
        "before. An image that only the registry has is fetched.\n\n"
        "Layers are put together first, so it does not matter which layer has a file. Times of files, "
        "history and compression do not count. `doit verify --rebuild` compares these, too.\n\n"
        f"--exit-code ends with {DIFFERENT} if files, packages or the configuration differ."
    )
    examples = (
        Example("diff {goal}", "the last build and the one before", "two builds"),
        Example("diff {goal}@last {goal} --summary", "only numbers", "two builds"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        from ...inspection.image_diff import diff_images
        from ..compared import opened

        if len(words) not in (1, 2):
            example = next(iter(app.workspace.graph.nodes), "STAGE:PLATFORM")
            hint = f"doit diff {example}@last {example}"
            raise ProjectError("command line", f"doit diff takes one or two images, not {len(words)}", hint)
        with opened(app.workspace, words) as (old, new):
            found = diff_images(old.layout, old.digest, new.layout, new.digest)
            if options.json:
                print_json(to_json(old, new, found, summary=options.summary))
            else:
                say(render_text(old, new, found, summary=options.summary))
        return DIFFERENT if options.exit_code and not found.is_empty else 0


# -- for people --------------------------------------------------------------------------------------


def render_text(old: ComparedImage, new: ComparedImage, found: ImageDiff, *, summary: bool = False) -> str:
    """Return the differences as lines: a title for each kind, then its items."""
    width = max(len(old.name), len(new.name))
    lines = [f"{image.name:<{width}}  {image.shown}{_built(image)}" for image in (old, new)]
    for title, items in _parts(found):
        lines.append(title)
        if not summary:
            lines += (f"  {item}" for item in items)
    return "\n".join(lines)


def _built(image: ComparedImage) -> str:
    from ...output import printable

    created = image.record.created if image.record else ""
    return f"  built {printable(created)}" if created else ""


def _parts(found: ImageDiff) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the title and the items of each kind of difference."""
    yield f"files: {_numbers(found.files)}", map(_file, found.files)
    for kind, title in (("debian", "packages"), ("python", "Python packages")):
        packages = [each for each in found.packages if each.kind == kind]
        lines = (f"{each.name} {_versions(each.old, each.new)}" for each in packages)
        yield f"{title}: {len(packages) or 'the same'}", lines
    values = (f"{each.name}: {_versions(each.old, each.new)}" for each in found.values)
    yield f"configuration: {len(found.values) or 'the same'}", values
    different = [pair for pair in found.layers if not pair.same]
    same = f"{len(found.layers) - len(different)} the same, {len(different)} different"
    sizes = [_sizes(pair.old_bytes, pair.new_bytes) for pair in found.layers]
    width = max(map(len, sizes), default=0)
    rows = zip(found.layers, sizes, strict=True)
    yield (
        f"layers: {same}",
        (f"{_state(p):<7}  {size:<{width}}  {p.instruction}".rstrip() for p, size in rows),
    )
    yield f"size of all files: {_sizes(found.old_bytes, found.new_bytes)}", ()


def _numbers(files: Iterable[FileChange]) -> str:
    kinds: dict[str, str] = {}  # a file may have several changes
    for each in files:
        kinds[each.path] = each.change if each.change in ("added", "removed") else "changed"
    counts = {kind: [*kinds.values()].count(kind) for kind in ("added", "removed", "changed")}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "the same"


def _file(each: FileChange) -> str:
    from ...system.text import human_size

    size = each.old_bytes if each.change == "removed" else each.new_bytes
    if each.change in ("added", "removed"):
        detail = f"{each.detail}, {human_size(size or 0)}" if each.detail == "file" else each.detail
    else:
        detail = each.detail
    return f"{each.change:<11}  {each.path} ({detail})"


def _versions(old: str | None, new: str | None) -> str:
    if not old:
        return f"added: {new}" if new else "added, empty" if old is None else "emptied"
    if not new:
        return f"removed: {old}"
    return f"{old} -> {new}"


def _state(pair: LayerPair) -> str:
    if pair.same:
        return "same"
    return "added" if pair.old_layer is None else "removed" if pair.new_layer is None else "differs"


def _sizes(old: int | None, new: int | None) -> str:
    """Return two sizes, or one if they are equal or there is only one."""
    from ...system.text import human_size

    if old is None or new is None or old == new:
        return human_size((new if old is None else old) or 0)
    return f"{human_size(old)} -> {human_size(new)} ({'+' if new > old else '-'}{human_size(abs(new - old))})"


# -- as JSON -----------------------------------------------------------------------------------------


def to_json(
    old: ComparedImage, new: ComparedImage, found: ImageDiff, *, summary: bool = False
) -> dict[str, Any]:
    return {
        "schema": 1,
        "old": _image_to_json(old, found.old_bytes),
        "new": _image_to_json(new, found.new_bytes),
        "same": found.is_empty,
        "summary": {
            "files": len({each.path for each in found.files}),
            "packages": len(found.packages),
            "values": len(found.values),
            "layers": sum(not pair.same for pair in found.layers),
        },
        "files": [] if summary else [each._asdict() for each in found.files],
        "packages": [] if summary else [each._asdict() for each in found.packages],
        "values": [] if summary else [each._asdict() for each in found.values],
        "layers": [] if summary else [each._asdict() for each in found.layers],
    }


def _image_to_json(image: ComparedImage, size: int) -> dict[str, Any]:
    record = image.record
    return {
        "name": image.name,
        "digest": image.shown,
        "node": record.node if record else None,
        "key": record.key if record else None,
        "created": record.created if record else None,
        "bytes": size,
    }
