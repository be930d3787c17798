"""The page as HTML: one file, without anything from elsewhere. All texts are escaped."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from ..drawing.colours import DONE
from ..output import cleaned

if TYPE_CHECKING:
    from .model import PageView


def render(page: PageView) -> bytes:
    """Return the page as HTML in UTF-8."""
    import jinja2

    page = cleaned(page)  # names of files and texts of logs may have any character
    files = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath("page.html").read_text(encoding="utf-8"))
    own = {name: files.joinpath(f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    nodes = [{**node._asdict(), "steps": [step._asdict() for step in node.steps]} for node in page.nodes]
    return template.render(page=page, done=DONE, data={"nodes": nodes, "first": page.first}, **own).encode()
