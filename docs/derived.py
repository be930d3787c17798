"""Reference pages that are written from the code: commands, settings, ``stages.toml``, exit statuses.

As a Sphinx extension it replaces each block ``{derived} NAME`` of a page by Markdown, before the page is
parsed. The texts come from the code, so a page cannot differ from the program. It also reads the tables of
JSON fields on ``reference/json.md``: tests compare them with the output of commands.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagegraph import errors
from stagegraph.audit import rules
from stagegraph.cli import help
from stagegraph.project import editor_schema, schema
from stagegraph.project.settings import ENV_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
_NODE = re.compile(r"[a-z0-9._-]+:[a-z0-9._-]+")
_BLOCK = re.compile(r"^```\{derived\} (\S+)\n```$", re.MULTILINE)

#: The headings of the tables of ``stages.toml``, by their names in ``schema.TABLES``.
TITLES = {
    "project": "[project]",
    "defaults": "[defaults]",
    "platform": "[platforms.NAME]",
    "base": "[base]",
    "base on a platform": "[base.platforms.NAME]",
    "stage": "[stages.NAME]",
    "stage on a platform": "[stages.NAME.platforms.NAME]",
    "alternative": "[stages.NAME.alternatives.NAME]",
    "family of stages": '[stages."PATTERN"]',
    "image": "[images.NAME]",
    "family of images": '[images."PATTERN"]',
    "print": "[images.NAME.prints.NAME]",
    "secret": "[secrets.NAME]",
    "trust": "[trust]",
    "trusted key": "[trust.keys.NAME]",
    "ci": "[ci]",
    "circleci executor": "[ci.circleci.NAME]",
    "github executor": "[ci.github.NAME]",
}
#: Exit statuses that no class of ``errors`` has.
OTHER_STATUSES = {
    0: "Success.",
    2: "doit's own: an error while a task ran.",
    3: "doit's own: an error before the first task ran.",
    4: "`doit plan --exit-code`: there is work to do. `doit diff --exit-code`: the images differ.",
    5: "`doit lint`: there are findings.",
    130: "The run was interrupted (SIGINT).",
    141: "The reader of the output closed it, as `head` does.",
    143: "The run was terminated (SIGTERM).",
}
#: Up to so many values of a key are listed, and keys of a table repeated.
_FEW = 6
_TYPES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}


def commands() -> str:
    """One section for each command that this project gives to doit, with its usage, text and options."""
    found = {name: kind for name, kind in sorted(command_classes().items()) if kind.section != "replaced"}
    order = [*help.SECTIONS, "more"]
    names = sorted(found, key=lambda name: (order.index(found[name].section), name != "run"))
    return "\n\n".join(_command(name, found[name]) for name in names)


def command_classes() -> dict[str, Any]:
    """The classes of this project's commands, by the word of the command line."""
    return {point.name: point.load() for point in entry_points(group="doit.COMMAND")}


def _command(name: str, kind: Any) -> str:
    call = "doit" if name == "run" else f"doit {name}"
    purpose = kind.doc_purpose[:1].upper() + kind.doc_purpose[1:]
    parts = [f"## {call}", f"{_inline(purpose)}.", f"```\n{call} {kind.doc_usage}".rstrip() + "\n```"]
    parts += [_inline(text) for text in (kind.doc_description or "").split("\n\n") if text]
    if options := kind.shown_options():
        rows = [
            (f"`{help.written(option)}`".replace(", ", "`, `"), _inline(option.help)) for option in options
        ]
        parts.append(_table(("option", "meaning"), rows))
    words = help.placeholders(None)
    calls = [(f"`doit {each.call.format(**words)}".rstrip() + "`", each.meaning) for each in kind.examples]
    return "\n\n".join([*parts, _table(("example", "meaning"), calls)])


def settings() -> str:
    """A table of all settings: how each is written, and what it does."""
    rows = []
    for name in (*schema.SETTINGS, *schema.ENV_ONLY_SETTINGS):
        variable = ENV_PREFIX + name.upper().replace("-", "_")
        called = f"`{name}=VALUE`" if name in schema.SETTINGS else "only in the environment"
        rows.append((called, f"`{variable}`", schema.SETTING_MEANINGS[name]))
    rows.append(
        ("`STAGE=ALTERNATIVE`", f"`{ENV_PREFIX}STAGE`", "The alternative to use of a stage: `blas=netlib`.")
    )
    return _table(("on the command line", "in the environment", "meaning"), rows)


def stages_toml() -> str:
    """One section for each table of ``stages.toml``, with its keys, types and meanings."""
    kinds = editor_schema.document()["definitions"]
    return "\n\n".join(
        _toml_table(kinds[name], title, "image" if name == "family of images" else "stage", kinds)
        for name, title in TITLES.items()
    )


def _toml_table(kind: Mapping[str, Any], title: str, like: str, kinds: Mapping[str, Any]) -> str:
    """A section. Keys that mean the same as those of the table ``like`` are named, not repeated."""
    keys, of_other = kind["properties"], {} if kind is kinds[like] else kinds[like]["properties"]
    same = [
        k for k, rule in keys.items() if k in of_other and of_other[k]["description"] == rule["description"]
    ]
    same = same if len(same) > _FEW else []
    required = kind.get("required", [])
    rows = [_toml_key(key, rule, key in required) for key, rule in keys.items() if key not in same]
    parts = [f"## `{title}`", kind["description"]]
    if rows:
        parts.append(_table(("key", "type", "meaning"), rows))
    if same:
        parts.append(f"As in `{TITLES[like]}`: {', '.join(f'`{key}`' for key in same)}.")
    return "\n\n".join(parts)


def _toml_key(key: str, rule: Mapping[str, Any], required: bool) -> tuple[str, str, str]:
    one = rule["anyOf"][0] if "anyOf" in rule else rule
    text = [_inline(rule["description"])]
    if "enum" in one and len(one["enum"]) <= _FEW:
        text.append(f"Values: {', '.join(f'`{value}`' for value in one['enum'])}.")
    if "default" in one:
        text.append(f"Default: `{json.dumps(one['default'])}`.".replace('"', ""))
    kinds = one["type"] if isinstance(one["type"], list) else [one["type"]]
    kind = " or ".join([*(_TYPES[each] for each in kinds), *(["a list"] if "anyOf" in rule else [])])
    return f"`{key}`", kind, " ".join([*text, *(["Required."] if required else [])])


def exit_statuses() -> str:
    """A table of all exit statuses of ``doit``, from the classes of ``errors``."""
    rows = {status: ("", text) for status, text in OTHER_STATUSES.items()}
    for kind in kinds(errors.StagegraphError):
        if "exit_status" in vars(kind):
            rows[kind.exit_status] = (f"`{kind.__name__}`", _inline(" ".join((kind.__doc__ or "").split())))
    return _table(
        ("status", "meaning", "class in `stagegraph/errors.py`"),
        ((f"{status}", text, name) for status, (name, text) in sorted(rows.items())),
    )


def kinds(of: type[errors.StagegraphError]) -> Iterator[type[errors.StagegraphError]]:
    """All subclasses of an error."""
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def json_fields(page: str) -> dict[str, set[str]]:
    """The fields that ``reference/json.md`` documents, by command: ``nodes[].reason``, and so on.

    A section's heading names the command; the first column of its table has the fields.
    """
    found: dict[str, set[str]] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        command = section.partition("\n")[0].strip().strip("`")
        found[command] = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))
    return found


def fields_of(value: object, prefix: str = "") -> set[str]:
    """The fields without fields of their own of a JSON value, in the form of ``json_fields``.

    A list without items is ``NAME[]``.
    """
    if isinstance(value, list) and value:
        return {field for item in value for field in fields_of(item, f"{prefix}[]")}
    if isinstance(value, dict) and value:
        dot = f"{prefix}." if prefix else ""
        named = {("STAGE:PLATFORM" if _NODE.fullmatch(key) else key): item for key, item in value.items()}
        return {field for key, item in named.items() for field in fields_of(item, f"{dot}{key}")}
    return {f"{prefix}[]" if isinstance(value, list) else prefix}


def differences(command: str, value: object, *, optional: Collection[str] = ()) -> set[str]:
    """The fields that only the page has, or only the value; empty if they agree.

    ``optional`` are documented fields that this value need not have. What is inside a documented field needs
    no entry of its own.
    """
    documented = json_fields((DOCS / "reference" / "json.md").read_text(encoding="utf-8"))[command]
    found = fields_of(value)
    covered = {f for f in found for d in documented if f == d or f.startswith((f"{d}.", f"{d}["))}
    empty = {f for f in found for d in documented if f.endswith("[]") and d.startswith(f)}
    there = {d for d in documented for f in covered if f == d or f.startswith((f"{d}.", f"{d}["))}
    return (found - covered - empty) | (documented - there - {*optional})


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def _inline(text: str) -> str:
    """Text of the program as Markdown: names of options, settings and files as code."""
    text = " ".join(text.split()).replace("``", "`")
    if "`" in text:
        return text
    return re.sub(
        r"(?<![\w-])(--[a-z][a-z-]*|stages\.\w+|cache/|\[[a-z]+\]|[A-Z]+[:/=-][A-Z:/=-]*[A-Z]|'[^']+')",
        _code,
        text,
    )


def _code(match: re.Match[str]) -> str:
    word = match[0].strip("'")
    return f"`{word}`"


def lint_rules() -> str:
    """A table of the rules of ``doit lint``."""
    rows = ((f"`{rule.name}`", rule.what, _inline(rule.pin)) for rule in rules.RULES)
    return _table(("rule", "what a step fetches", "how to pin it"), rows)


PAGES = {
    "lint-rules": lint_rules,
    "commands": commands,
    "settings": settings,
    "stages.toml": stages_toml,
    "exit-statuses": exit_statuses,
}


def expanded(text: str) -> str:
    """A page with its ``{derived}`` blocks replaced."""
    return _BLOCK.sub(lambda match: PAGES[match[1]](), text)


def _expand(_: Sphinx, __: str, source: list[str]) -> None:
    source[0] = expanded(source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _expand)
    return {"parallel_read_safe": True}
