"""The JSON schema of ``stages.toml``. Editors use it to complete, explain and check the file.

Write it by ``python -m stagegraph.project.editor_schema >stages.schema.json``. The first line of a
``stages.toml`` names it: ``#:schema ./stages.schema.json``.

Keys, types and forms of words come from ``schema``. The loader has more rules: it knows the files, and
compares tables with one another. The schema is stricter only for values that the loader does not read: those
of an alternative that nobody chooses, those of ``[base]`` under ``base=IMAGE``, and empty strings.

The schema is of draft 4. TOML editors read this draft, and its whole numbers do not include 1.0.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..dockerfile.variables import AUTOMATIC_ARGS
from ..output import say
from . import matrix, schema
from .configs import TEST_TIMEOUT
from .model import DEFAULT_EPOCH

Schema = dict[str, Any]

#: The name of the published file, in the root of the repository.
FILE = "stages.schema.json"


def _ascii(match: re.Match[str]) -> str:
    """Spell out the shorthands of one token of a pattern: some editors take any letter for ``\\w``."""
    text = match[0].replace(r"\w", "A-Za-z0-9_").replace(r"\d", "0-9")
    return f"[{text}]" if match[0] in (r"\w", r"\d") else text


def _pattern(*forms: re.Pattern[str] | str, but: frozenset[str] = frozenset()) -> str:
    """A pattern for a whole word of one of these forms that is not one of ``but``."""
    texts = [form if isinstance(form, str) else form.pattern for form in forms]
    text = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", _ascii, "|".join(texts)).replace("?P<port>", "?:")
    words = f"(?!(?:{'|'.join(sorted(but))})$)" if but else ""
    return f"^{words}(?:{text})$"


def _word(form: re.Pattern[str]) -> Schema:
    return {"type": "string", "pattern": _pattern(form)}


def _list(item: Schema, **more: object) -> Schema:
    return {"items": item, **more}


def _map(pattern: str, value: Schema) -> Schema:
    return {"patternProperties": {pattern: value}, "additionalProperties": False}


def _tables(kind: str, pattern: str) -> Schema:
    return _map(pattern, {"$ref": f"#/definitions/{kind}"})


def _with_families(kind: str, family: str) -> Schema:
    single = _tables(kind, _pattern(schema.NAME, but=schema.RESERVED))
    several = _tables(family, _pattern(schema.FAMILY))
    return {**single, "patternProperties": single["patternProperties"] | several["patternProperties"]}


#: The end of a pattern for strings of families.
_OR_PLACEHOLDER = "|[{*]"
_ON_PLATFORM = _pattern("|".join(schema.DOCKER_PLATFORMS), schema.NAME)
_NAME, _REFERENCE, _REGISTRY = _word(schema.NAME), _word(schema.REFERENCE), _word(schema.REGISTRY)
_TEXT: Schema = {"type": "string", "minLength": 1}
_OCI: Schema = {"enum": [*schema.DOCKER_PLATFORMS]}
_FRONTEND: Schema = {"enum": [*schema.FRONTENDS]}
_SECONDS: Schema = {"minimum": 1, "maximum": schema.LONGEST_TIMEOUT}
_SIGNATURES: Schema = {"minimum": 1, "maximum": schema.MOST_SIGNATURES}
_AMOUNT: Schema = {"minimum": 0, "maximum": schema.MOST_PRICE}
_SCALAR: Schema = {"type": ["string", "integer", "boolean"]}
_ARGS = _map(f"^(?!(?:{'|'.join(sorted(AUTOMATIC_ARGS))})$)", _SCALAR)
_COMMAND: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_REPO_OF_EACH = r"[a-z0-9.:/_-]*\{image\}[a-z0-9./_-]*"
_TAG_TEXT = r"^(?:[A-Za-z0-9_.-]|\{[^{}]+\})+$"
_CONTEXTS = _map(_pattern(schema.REFERENCE), _REFERENCE)
_WORDS: Schema = {**_map(_pattern(matrix.KEY), _SCALAR), "type": "object", "minProperties": 1}
_MATRIX = {
    **_map(_pattern(matrix.KEY), _list({"anyOf": [_SCALAR, _WORDS]}, type="array", minItems=1)),
    "minProperties": 1,
}
_EXCLUSION: Schema = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [_SCALAR, _WORDS]},
}


def _minutes(key: str, default: int) -> Schema:
    return {"minimum": schema.LEAST_MINUTES[key], "maximum": schema.MOST_MINUTES, "default": default}


#: For each key: its description, and its rules beside its type. ``TABLE.KEY`` comes before ``KEY``.
KEYS: dict[str, tuple[str, Schema]] = {
    # [project]
    "repo": (
        "The repository of the images: NAME or PATH/NAME, in lower case, without a tag.",
        _word(schema.REPO),
    ),
    "registry": ("The registry to pull from and push to: HOST or HOST:PORT. Default: none.", _REGISTRY),
    "push": (
        "What a run pushes to the registry. nodes: what it builds, without final tags. built: also final "
        "images. all: also what it finds in cache/. never: nothing.",
        {"enum": [*schema.PUSH], "default": "built"},
    ),
    "builder": (
        'The buildx builder, or several, the preferred one first. "default" is the engine of this machine. '
        "Without this key: the current builder.",
        _word(schema.BUILDER),
    ),
    "source_date_epoch": (
        'The time that files and images get, in seconds since 1970. "commit" is the time of the last commit: '
        "it is part of every key, so each commit builds everything again.",
        {
            "minimum": 0,
            "maximum": schema.LAST_EPOCH,
            "pattern": _pattern(schema.COMMIT),
            "default": DEFAULT_EPOCH,
        },
    ),
    "version": (
        'The version of the images, for {version} in tags: a text such as "1.2". '
        '"git": what git describe says.',
        _word(schema.VERSION),
    ),
    # [defaults], and keys that tell how a stage is built
    "args": ("Build arguments: NAME = a string, a whole number, or true or false.", _ARGS),
    "network": (
        "The network of RUN instructions. host: that of the builder's machine; "
        'it needs allow = ["network.host"].',
        {"enum": [*schema.NETWORKS], "default": "default"},
    ),
    "labels": (
        "Labels of the image: NAME = a string, a whole number, or true or false. They override those of the "
        "Dockerfile.",
        _map(_pattern(schema.LABEL, but=frozenset(map(re.escape, schema.CHANGING_LABELS))), _SCALAR),
    ),
    "ssh": (
        "SSH agents and keys for RUN --mount=type=ssh: default, NAME or NAME=PATH. No key contains them.",
        _list(_word(schema.SSH)),
    ),
    "allow": (
        "Entitlements that steps may use: RUN --network=host, RUN --security=insecure.",
        _list({"enum": [*schema.ENTITLEMENTS]}),
    ),
    "extra_hosts": (
        "Hosts for /etc/hosts of RUN instructions: NAME:ADDRESS, or NAME:host-gateway.",
        _list(_word(schema.EXTRA_HOST)),
    ),
    "shm_size": ("The size of /dev/shm for RUN instructions, such as 128m.", _word(schema.SIZE)),
    "ulimits": (
        "Limits for RUN instructions: NAME=SOFT or NAME=SOFT:HARD, such as nofile=1024:2048.",
        _list(_word(schema.ULIMIT)),
    ),
    "cgroup_parent": (
        "The control group of RUN instructions, on the builder's machine. No key contains it.",
        _word(schema.CGROUP),
    ),
    "frontend": (
        "What reads the Dockerfile. syntax: the image that its '# syntax=' line names. "
        "builder: the builder itself.",
        {**_FRONTEND, "default": "syntax"},
    ),
    "path": ("The folder of the stage, relative to this file. It is the context of the build.", _TEXT),
    "dockerfile": ("The Dockerfile, relative to the folder.", {**_TEXT, "default": "Dockerfile"}),
    "target": ("The build stage of the Dockerfile to build. Default: the last one.", {}),
    "unpinned": ("allow: ADD may take a URL without --checksum.", {"enum": ["allow"]}),
    "archive": (
        "true: the stage depends on the package date of stages.lock, even if no RUN names a package manager.",
        {"default": False},
    ),
    "timeout": ("The seconds that a build may take. Default: no limit.", _SECONDS),
    "native": (
        "The OCI platform at whose speed the programs of this stage run. Default: that of the stage.",
        _OCI,
    ),
    "contexts": (
        "Stand-ins for external images, and for base: IMAGE = another image, or a stage of this project.",
        _CONTEXTS,
    ),
    # [platforms.NAME]
    "docker": ("The OCI platform.", _OCI),
    "platform.args": ("Build arguments for this platform: NAME = value.", _ARGS),
    # [base]
    "bootstrap": ("A Debian suite, such as trixie. mmdebstrap builds the base from it.", _word(schema.SUITE)),
    "include": ("More packages for a base that mmdebstrap builds.", _list(_word(schema.PACKAGE))),
    "image": ("An external image as the base. stages.lock pins it.", {"pattern": _pattern(schema.REFERENCE)}),
    "base.platforms": (
        "Another base for one platform, by its name or its OCI platform.",
        _tables("base on a platform", _ON_PLATFORM),
    ),
    # [stages.NAME]
    "description": ("One line that doit list shows.", {}),
    "needs": ("Stages that must be below this one in a stack.", _list(_NAME)),
    "names": ("More references that mean this stage, such as ros:jazzy-ros-core.", _list(_REFERENCE)),
    "only": (
        "The platforms that have the stage, by their names or OCI platforms. Default: all.",
        _list({"type": "string", "pattern": _ON_PLATFORM}, minItems=1),
    ),
    "stage.platforms": (
        "Other values for one platform, by its name or its OCI platform.",
        _tables("stage on a platform", _ON_PLATFORM),
    ),
    "alternatives": (
        "Other ways to build the stage. STAGE=ALTERNATIVE on the command line chooses one.",
        _tables("alternative", _pattern(schema.NAME)),
    ),
    "alternative": ("The alternative to build on this platform.", _word(schema.NAME)),
    # families of stages and images
    "family of stages.path": (
        "The folder. In a glob: the folders, as a pattern with one *. A list of patterns is possible.",
        _TEXT,
    ),
    "matrix": (
        "Keys with their values. The entry stands for each combination. {KEY} in a string is the value. "
        "A value may be a table of words: {KEY.WORD}.",
        _MATRIX,
    ),
    "exclude": (
        "Combinations of the matrix to leave out, as tables of values. In a glob: patterns of what * stands "
        "for.",
        _list({"anyOf": [_TEXT, _EXCLUSION]}),
    ),
    # [images.NAME]
    "stage": ("The stage that gets the tag of the image. Default: the stage of the same name.", _NAME),
    "stack": (
        "Stages, each based on the one before. The image is the last one.",
        _list(_NAME, minItems=1, uniqueItems=True),
    ),
    "platforms": (
        "The platforms of the image. Default: all.",
        _list(_NAME, minItems=1, uniqueItems=True),
    ),
    "test": ("The folder of a test. Its Dockerfile must build before the image gets its tag.", _TEXT),
    "test_timeout": ("The seconds that the test may take.", {**_SECONDS, "default": TEST_TIMEOUT}),
    "default": ("false: built only if you name it. doit alone leaves it out.", {"default": True}),
    "image.repo": (
        "The repository of the final tags of this image. {image} is its name. Default: that of the project.",
        {"pattern": _pattern(schema.REPO, _REPO_OF_EACH)},
    ),
    "tags": (
        "The final tags of the image, with placeholders such as {version} and {platform}. "
        "Default: IMAGE-PLATFORM for a platform, IMAGE for the index.",
        _list({"type": "string", "pattern": _TAG_TEXT}, minItems=1, uniqueItems=True),
    ),
    "prints": (
        "Commands that run in the finished image. {prints.NAME} in a tag is what NAME prints. "
        "Each is a text for the shell, a list of words, or a table.",
        _map(_pattern(schema.NAME), {"anyOf": [_TEXT, _COMMAND, {"$ref": "#/definitions/print"}]}),
    ),
    # [images.NAME.prints.NAME]
    "print.command": ("A text for the image's shell, or a list of words.", {"minLength": 1}),
    "match": (
        "A regular expression for the part of the output that counts: its first group, or all of it.",
        {},
    ),
    # [secrets.NAME]
    "file": ("The file that holds the secret.", {}),
    "env": ("The environment variable that holds the secret.", _word(schema.VARIABLE)),
    # [trust]
    "level": (
        "What a run does with a record that nobody of keys has signed. required: it is as if it were not "
        "there. warn: the run uses it, and says so. none: nobody signs or checks anything.",
        {"enum": [*schema.TRUST_LEVELS], "default": "required"},
    ),
    "threshold": ("How many of the keys must have signed an image.", {**_SIGNATURES, "default": 1}),
    "thresholds": (
        "More signatures for some stages: a pattern of stages = a number.",
        {"additionalProperties": {"type": "integer", **_SIGNATURES}},
    ),
    "keys": ("Who may sign, by name.", _tables("trusted key", _pattern(schema.NAME))),
    "public": (
        "The public key (ed25519): the text between the first and the last line of its PEM file.",
        _word(schema.PUBLIC_KEY),
    ),
    "trusted key.stages": (
        "Patterns of the stages that the key may sign. Default: all stages.",
        _list({"type": "string"}, minItems=1),
    ),
    # [ci]
    "command": ("The command by which jobs call doit.", {**_TEXT, "default": "doit"}),
    "prepare": ("A command that each job runs first.", {}),
    "check": ("A command that gets a job of its own.", {}),
    "images": (
        "The images and groups to build. Default: all images that doit alone builds.",
        _list({"type": "string"}, minItems=1),
    ),
    "branch": (
        "The branch whose pushes start GitHub's workflow, and whose images are published.",
        {**_word(schema.BRANCH), "default": "main"},
    ),
    "ci.registry": (
        'The registry through which jobs exchange nodes. "": none. Default: that of [project].',
        {"pattern": _pattern("", schema.REGISTRY)},
    ),
    "limit": ("The minutes after which the service stops a job.", _minutes("limit", 300)),
    "setup": ("The minutes that a job needs before it builds.", _minutes("setup", 3)),
    "unknown": ("The minutes for a node whose time stages.times does not have.", _minutes("unknown", 60)),
    "waiting": ("The price of a minute until all is done. 0: nothing. Default: the lowest price.", _AMOUNT),
    "dynamic": ("true: jobs exist only for what the registry lacks. Needs publish.", {"default": False}),
    "publish": ("true: one more job publishes all images of the branch.", {"default": False}),
    "ci.contexts": (
        "CircleCI's contexts. All jobs but the check get their variables.",
        _list({"type": "string"}),
    ),
    "circleci": ("Executors of CircleCI, by name.", _tables("circleci executor", _pattern(schema.EXECUTOR))),
    "github": ("Runners of GitHub Actions, by name.", _tables("github executor", _pattern(schema.EXECUTOR))),
    "price": ("The price of a minute.", _AMOUNT),
    "speed": (
        "The speed, where 1.0 is the machine of stages.times.",
        {"minimum": 0, "exclusiveMinimum": True, "maximum": schema.MOST_PRICE, "default": 1.0},
    ),
    "emulated": (
        "The speed of programs of other processors, where 1.0 is its own. Default: it runs none.",
        _AMOUNT,
    ),
    "circleci executor.image": ("The machine image, such as ubuntu-2404:current.", {}),
    "resource_class": ("CircleCI's resource class, such as medium.", _TEXT),
    "runs_on": ("The label of the runner, or a list of labels.", _TEXT),
}

#: For each table: its description, and its rules beside its keys.
KINDS: dict[str, tuple[str, Schema]] = {
    "project": ("The project as a whole.", {"required": ["repo"]}),
    "defaults": ("Values for all stages. Those of a platform, a stage or an alternative override them.", {}),
    "platform": ("A platform: an OCI platform and its build arguments.", {"required": ["docker"]}),
    "base": (
        "The image that a Dockerfile means by FROM base: bootstrap, or image. "
        "Required, even if nothing is FROM base.",
        {"oneOf": [{"required": ["bootstrap"]}, {"required": ["image"]}]},
    ),
    "base on a platform": (
        "The base of one platform: bootstrap, image, or a stage with its path.",
        {"oneOf": [{"required": ["bootstrap"]}, {"required": ["image"]}, {"required": ["path"]}]},
    ),
    "stage": (
        "A stage: a folder with a Dockerfile. Its parents are the names that the Dockerfile uses.",
        {},
    ),
    "stage on a platform": ("Values of the stage for one platform.", {}),
    "alternative": ("An alternative of the stage. Its values override those of the stage.", {}),
    "family of stages": (
        "Several stages: one for each combination of a matrix, or for each folder that a glob matches.",
        {},
    ),
    "image": (
        "An image: a stage, or a stack of stages, that gets a final tag.",
        {"not": {"required": ["stage", "stack"]}},
    ),
    "family of images": (
        "Several images: one for each combination of a matrix, or for each stage of a glob.",
        {"not": {"required": ["stage", "stack"]}},
    ),
    "print": ("A command whose output is part of tags.", {"required": ["command"]}),
    "secret": (
        "A build secret for RUN --mount=type=secret,id=NAME: file, or env. No key contains it.",
        {"minProperties": 1, "maxProperties": 1},
    ),
    "trust": ("Whose records a run uses. Without this table: anybody's.", {}),
    "trusted key": ("Somebody who may sign records.", {"required": ["public"]}),
    "ci": ("The pipelines that doit ci writes.", {}),
    "circleci executor": ("An executor of CircleCI.", {}),
    "github executor": ("A runner of GitHub Actions.", {}),
}

#: For each top-level table that holds tables or values by name: its description, and what it holds.
_BY_NAME: dict[str, tuple[str, Schema]] = {
    "platforms": (
        "The platforms, by name.",
        {**_tables("platform", _pattern(schema.NAME)), "minProperties": 1},
    ),
    "contexts": ("Stand-ins for external images in all stages.", _CONTEXTS),
    "stages": ("The stages, by name.", _with_families("stage", "family of stages")),
    "images": ("The images, by name.", _with_families("image", "family of images")),
    "groups": (
        "Groups of images, by name: doit NAME builds them. Each is a list of images, other groups and "
        "patterns of images, also with a platform: IMAGE:PLATFORM.",
        _map(_pattern(schema.NAME, but=schema.RESERVED), _list({"type": "string"}, type="array", minItems=1)),
    ),
    "secrets": ("The build secrets, by name.", _tables("secret", _pattern(schema.SECRET))),
}
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def document() -> Schema:
    """Return the JSON schema of ``stages.toml``."""
    tables = {name: {"$ref": f"#/definitions/{name}"} for name in schema.TOP if name in schema.TABLES}
    named = {name: {"description": text, "type": "object", **rule} for name, (text, rule) in _BY_NAME.items()}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "stages.toml",
        "description": "The stages, platforms and images of a stagegraph project.",
        "type": "object",
        "properties": {name: (tables | named)[name] for name in schema.TOP},
        "required": ["project", "platforms", "base"],
        "additionalProperties": False,
        "definitions": {kind: _definition(kind) for kind in schema.TABLES},
    }


def _definition(kind: str) -> Schema:
    """The schema of one kind of table."""
    text, rule = KINDS[kind]
    keys = {key: _property(kind, key, type_) for key, type_ in schema.TABLES[kind].items()}
    if kind.startswith("family of "):
        keys |= {
            key: _with_placeholders(rule) for key, rule in keys.items() if key not in ("matrix", "exclude")
        }
    service = kind.removesuffix(" executor")
    required = ["docker", "price", schema.SERVICES[service][0]] if service in schema.SERVICES else []
    return {
        "description": text,
        "type": "object",
        "properties": keys,
        **({"required": required} if required else {}),
        **rule,
        "additionalProperties": False,
    }


def _with_placeholders(rule: Any) -> Any:
    """The rule of a value in a family: every string in it may also have a placeholder or a ``*``."""
    if isinstance(rule, list):
        return [_with_placeholders(item) for item in rule]
    if not isinstance(rule, dict):
        return rule
    if reference := rule.get("$ref"):
        return _with_placeholders(_definition(reference.removeprefix("#/definitions/")))
    relaxed = {key: _with_placeholders(value) for key, value in rule.items() if key != "enum"}
    if words := rule.get("enum"):
        relaxed |= {"type": "string", "pattern": f"^(?:{'|'.join(words)})$"}
    if "pattern" in relaxed:
        relaxed["pattern"] += _OR_PLACEHOLDER
    if patterns := relaxed.get("patternProperties"):
        relaxed["patternProperties"] = {f"{key}{_OR_PLACEHOLDER}": value for key, value in patterns.items()}
    return relaxed


def _property(kind: str, key: str, type_: schema.Kind) -> Schema:
    """The schema of one key. If the key takes a string or a list, its rule is one for the strings."""
    of = {"family of stages": "stage", "family of images": "image"}.get(kind, kind)
    text, rule = KEYS.get(f"{kind}.{key}") or KEYS.get(f"{of}.{key}") or KEYS[key]
    if isinstance(type_, type):
        return {"description": text, "type": _TYPES[type_], **rule}
    if list not in type_:
        return {"description": text, "type": [_TYPES[each] for each in type_], **rule}
    item = {"type": "string", **rule}
    return {"description": text, "anyOf": [item, {"type": "array", "items": item}]}


def main() -> None:
    """Print the schema."""
    say(json.dumps(document(), indent=2))


if __name__ == "__main__":
    main()
