"""Tables -> the text of a TOML file for people: one table a stage, short tables on one line.

The ``toml`` package writes each nested table as a section of its own, and no comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

#: A longer line is broken: a table becomes a section, a list gets a line for each value.
_WIDTH = 100


def section(path: Sequence[str], table: Mapping[str, Any], comment: str = "") -> str:
    """Return ``[path]`` with its keys. A table in it that is long becomes a section below it."""
    head = f"[{'.'.join(map(key, path))}]"
    lines = [f"{head}  # {comment}" if comment else head]
    below: list[str] = []
    for name, value in table.items():
        line = f"{key(name)} = {text(value)}"
        if isinstance(value, Mapping) and len(line) > _WIDTH:
            below.append(section([*path, name], value))
        elif isinstance(value, list) and len(line) > _WIDTH:
            lines.append(f"{key(name)} = [\n{''.join(f'  {text(item)},{chr(10)}' for item in value)}]")
        else:
            lines.append(line)
    return "\n".join([*lines, *below])


def key(name: str) -> str:
    """Return a key, in quotes if it needs them."""
    return name if _BARE_KEY.fullmatch(name) else text(name)


def text(value: object) -> str:
    """Return a value on one line."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key(name)} = {text(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, too (https://toml.io/en/v1.0.0#string); JSON leaves DEL as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return json.dumps(value)
