"""``doit outdated``: which packages of finished images have newer versions now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...audit.outdated import outdated
from ...docker import engine
from ...errors import EngineError, ProjectError, StagegraphError, nearest
from ...output import say, tell
from ...project.tags import is_known
from ..help import Example
from .base import Command, JsonOption, number, print_json

if TYPE_CHECKING:
    from ...audit.outdated import Package
    from ...oci.platform import OciPlatform
    from ...project.model import Project
    from ..app import App


@dataclass(frozen=True)
class Found:
    """What came of asking one image; ``error`` if it could not be asked."""

    image: str
    tag: str
    packages: tuple[Package, ...] = ()
    error: StagegraphError | None = None


@dataclass(frozen=True)
class Options(JsonOption):
    timeout: int = number("seconds that an image may take", 300)


class Outdated(Command[Options]):
    options_type = Options
    section = "maintain"
    completes = ("@images",)
    doc_purpose = "show which packages of finished images have newer versions"
    doc_usage = "[IMAGE:PLATFORM | IMAGE | GROUP ...]"
    doc_description = (
        "Starts a temporary container of each finished image in the engine, with network. The image's "
        "own apt lists the packages that have newer versions in its archives. Security updates come "
        "first. Without arguments: every image that the engine has. The image does not change. To build "
        "it with today's packages, call 'doit lock archive', then build.\n\n"
        "The exit status is 0, also if there are newer packages. If an image could not be examined, it "
        "is the status of the first such error."
    )
    examples = (Example("outdated {goal}", "newer packages, security updates first", "packages"),)

    def answer(self, app: App, words: list[str], options: Options) -> int:
        if options.timeout <= 0:
            raise ProjectError("command line", f"--timeout={options.timeout}: must be 1 or more")
        project, tags = app.workspace.project, app.workspace.tags
        found: list[Found] = []
        for image, platform in wanted(project, words):
            tag = tags.newest(image, platform)
            if not words and (not is_known(tag) or engine.image_id(tag) is None):
                tell(f"   {image}:{platform}: the engine has no {tag}")
                continue
            found.append(
                _ask(f"{image}:{platform}", tag, project.platforms[platform].docker, options.timeout)
            )
            if error := found[-1].error:
                tell(f"ERROR: {found[-1].image}: {error}")
            elif not options.json:
                say(render_text(found[-1]), flush=True)
        if options.json:
            print_json({"schema": 1, "images": [to_json(item) for item in found]})
        if not found:
            raise EngineError("docker", "the engine has none of the images", "build one first; doit list")
        return next((item.error.exit_status for item in found if item.error), 0)


def wanted(project: Project, words: list[str]) -> list[tuple[str, str]]:
    """Images and platforms for words of a command line. Raises ``ProjectError`` with the nearest word."""
    known = {f"{i.name}:{p}": (i.name, p) for i in project.images.values() for p in i.platforms}
    found: list[tuple[str, str]] = []
    for word in words:
        of_group = project.goals(word)
        matches = [pair for name, pair in known.items() if word in (name, pair[0]) or name in of_group]
        if not matches:
            raise ProjectError("command line", f"no image {word!r}", nearest(word, [*known, *project.images]))
        found += matches
    return list(dict.fromkeys(found if words else known.values()))


def _ask(name: str, tag: str, docker: OciPlatform, timeout: float) -> Found:
    tell(f"   {name}: asking its apt", flush=True)
    try:
        if not is_known(tag):
            what = f"its tag {tag} is known once it is delivered"
            raise EngineError(name, what, f"build it and load it: doit {name}")
        packages = outdated(tag, docker, timeout)
        return Found(name, tag, tuple(packages))
    except StagegraphError as error:
        return Found(name, tag, error=error)


def render_text(found: Found) -> str:
    """A table of the packages below the image's name."""
    urgent = sum(package.security for package in found.packages)
    count = len(found.packages)
    noun = "package has a newer version" if count == 1 else "packages have newer versions"
    title = f"{found.image}  {count or 'no'} {noun}{f', {urgent} for security' if urgent else ''}"
    rows = [
        (
            "security" if p.security else "",
            f"{p.name}:{p.arch}",
            p.installed,
            "->",
            p.available,
            ",".join(p.suites),
        )
        for p in found.packages
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def to_json(found: Found) -> dict[str, object]:
    packages = [{**p._asdict(), "security": p.security} for p in found.packages]
    error = str(found.error) if found.error else None
    return {"image": found.image, "tag": found.tag, "error": error, "packages": packages}
