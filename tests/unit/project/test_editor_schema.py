"""The schema for editors is up to date. It agrees with the loader about keys, types and words."""

from __future__ import annotations

import copy
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import write
from jsonschema import Draft4Validator

from stagegraph.ci import config as ci_config
from stagegraph.errors import ProjectError
from stagegraph.project import loader, schema
from stagegraph.project.editor_schema import FILE, KEYS, KINDS, document

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
FILES = sorted(
    path
    for pattern in ("stages.toml", "examples/*/stages.toml", "benchmarks/*/*.toml", "tests/fixtures/*/*.toml")
    for path in ROOT.glob(pattern)
)
VALIDATOR = Draft4Validator(document())

#: Every key of every table.
EVERYTHING = """
[project]
repo = "example/all"
registry = "registry.example.com:5000"
push = "all"
builder = ["farm", "default"]
source_date_epoch = 1
version = "1.2"
[defaults]
network = "none"
labels = { "org.example.team" = "x" }
ssh = ["default", "git=key"]
allow = ["network.host"]
extra_hosts = ["a:1.2.3.4"]
shm_size = "64m"
ulimits = ["nofile=1:2"]
cgroup_parent = "x"
frontend = "builder"
args = { JOBS = "2" }
path = "a"
dockerfile = "Dockerfile"
target = ""
unpinned = "allow"
archive = true
timeout = 10
native = "linux/amd64"
[platforms.amd64]
docker = "linux/amd64"
[platforms.aarch64]
docker = "linux/arm64"
args = { CPU = "a72", LEVEL = 1, FAST = true }
builder = "farm"
[platforms.jetson]
docker = "linux/arm64"
[platforms.rpi]
docker = "linux/arm64"
[base]
bootstrap = "trixie"
include = ["ca-certificates"]
[base.platforms."linux/arm64"]
path = "a"
dockerfile = "Dockerfile"
target = ""
network = "default"
args = { A = "1" }
unpinned = "allow"
archive = true
timeout = 10
native = "linux/amd64"
contexts = { "debian:sid" = "debian:trixie" }
labels = { "org.example.team" = "x" }
ssh = ["default", "git=key"]
allow = ["network.host"]
extra_hosts = ["a:1.2.3.4"]
shm_size = "64m"
ulimits = ["nofile=1:2"]
cgroup_parent = "x"
frontend = "syntax"
[base.platforms.jetson]
image = "l4t:r36"
[base.platforms.rpi]
bootstrap = "forky"
include = ["gpg"]
[contexts]
"debian:trixie" = "mirror.example.com/debian:trixie"
redis = "redis:7"
[stages.low]
path = "a"
description = "the lowest"
dockerfile = "Dockerfile"
target = ""
network = "default"
args = { A = "1" }
unpinned = "allow"
archive = true
timeout = 10
native = "linux/amd64"
contexts = { "debian:sid" = "debian:trixie" }
labels = { "org.example.team" = "x" }
ssh = ["default", "git=key"]
allow = ["network.host"]
extra_hosts = ["a:1.2.3.4"]
shm_size = "64m"
ulimits = ["nofile=1:2"]
cgroup_parent = "x"
frontend = "syntax"
names = ["ros:jazzy-ros-core"]
[stages.low.platforms."linux/arm64"]
path = "a"
dockerfile = "Dockerfile"
target = ""
network = "default"
args = { A = "1" }
unpinned = "allow"
archive = true
timeout = 10
native = "linux/amd64"
contexts = { "debian:sid" = "debian:trixie" }
labels = { "org.example.team" = "x" }
ssh = ["default", "git=key"]
allow = ["network.host"]
extra_hosts = ["a:1.2.3.4"]
shm_size = "64m"
ulimits = ["nofile=1:2"]
cgroup_parent = "x"
frontend = "syntax"
alternative = "other"
[stages.low.alternatives.other]
path = "a"
dockerfile = "Dockerfile"
target = ""
network = "default"
args = { A = "1" }
unpinned = "allow"
archive = true
timeout = 10
native = "linux/amd64"
contexts = { "debian:sid" = "debian:trixie" }
labels = { "org.example.team" = "x" }
ssh = ["default", "git=key"]
allow = ["network.host"]
extra_hosts = ["a:1.2.3.4"]
shm_size = "64m"
ulimits = ["nofile=1:2"]
cgroup_parent = "x"
frontend = "syntax"
[stages.high]
path = "a"
needs = ["low"]
only = ["amd64", "linux/arm64"]
[stages."wide-{word.name}-{other}"]
matrix = { word = [{ name = "b", folder = "a" }, { name = "c", folder = "a" }], other = ["x", 2, true] }
exclude = [{ word.name = "c", other = 2 }]
path = "{word.folder}"
description = "wide"
dockerfile = "Dockerfile"
target = ""
network = "default"
args = { A = "{other}" }
unpinned = "allow"
archive = true
timeout = 10
native = "linux/amd64"
contexts = { "debian:{word.name}" = "debian:{other}" }
labels = { "org.example.{word.name}" = "{other}" }
ssh = ["default", "git=key"]
allow = ["network.host"]
extra_hosts = ["{word.name}:1.2.3.4"]
shm_size = "64m"
ulimits = ["nofile=1:2"]
cgroup_parent = "{word.name}"
frontend = "syntax"
needs = ["low"]
only = ["amd64", "linux/{word.folder}rm64"]
names = ["ros:{word.name}-{other}"]
[stages."wide-{word.name}-{other}".platforms."linux/arm64"]
native = "linux/amd64"
[stages."wide-{word.name}-{other}".alternatives.other]
path = "{word.folder}"
[stages."glob-*"]
path = ["*"]
[images.low]
stage = "low"
description = "an image"
platforms = ["amd64"]
test = "a"
test_timeout = 5
default = false
repo = "example/low"
tags = ["{version}-{arch}", "py{prints.python}", "{prints.words}", "latest"]
[images.low.prints]
words = ["/bin/true", "x"]
text = "true"
[images.low.prints.python]
command = "python3 --version"
match = "[0-9]+"
[images.high]
stack = ["low", "high"]
[images."{word}"]
matrix = { word = ["d", "e"] }
exclude = [{ word = "e" }]
stage = "low"
description = "an image, {word}"
platforms = ["amd64"]
test = "a"
test_timeout = 5
default = false
repo = "example/{image}"
tags = ["{word}-{version}"]
prints = { x = "echo {word}" }
[images."glob-*"]
stack = ["low", "glob-*"]
[groups]
most = ["low", "h*", "low:amd64"]
all = ["most", "d"]
[secrets.token]
file = "~/.token"
[secrets.other]
env = "TOKEN"
[trust]
level = "warn"
threshold = 1
thresholds = { "l*" = 2 }
[trust.keys.one]
public = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
[trust.keys.two]
public = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
stages = ["l*", "h*"]
[ci]
command = "doit"
prepare = "x"
check = "y"
images = ["low:amd64"]
registry = "registry.example.com"
branch = "main"
publish = true
dynamic = true
limit = 300
setup = 3
unknown = 60
waiting = 0.01
contexts = ["docker"]
[ci.circleci.amd64]
docker = "linux/amd64"
resource_class = "medium"
image = "ubuntu-2404:current"
price = 0.006
speed = 1.0
emulated = 0.1
[ci.github.amd64]
docker = "linux/amd64"
runs_on = ["ubuntu-24.04"]
price = 1
speed = 1
emulated = 0
"""
#: The loader's messages about a wrong key, type or name. The schema need not know the loader's other rules.
WRONG = re.compile(
    r"unknown (key|table) |must be (a string|a whole number|a number|true or false|a list|a table)\b|"
    r"is not a name|is not an OCI platform"
)
#: Values of each type.
VALUES: tuple[object, ...] = ("a b", "", 7, 1.5, 2.0, True, [], [7], {}, {"x": 7})
Place = tuple[str | int, ...]


def refused(tables: object) -> list[str]:
    """Return the schema's errors for these tables."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(tables)]


def inline(value: object) -> str:
    """Return a value as TOML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)


def fault(root: Path, tables: dict[str, Any]) -> str:
    """Return the error of a run or of ``doit ci``; "" for none. A run on arm64 reads the alternative."""
    text = "".join(f"{json.dumps(key)} = {inline(value)}\n" for key, value in tables.items())
    (root / loader.FILE).write_text(text)
    load = inspect.unwrap(loader.load)  # without the wrapper of conftest, which checks the schema
    try:
        load(root, {}, {})
        ci_config.read(*loader.parse(text))
    except ProjectError as error:
        return str(error)
    return ""


def places(value: object, place: Place = ()) -> Iterator[Place]:
    """Yield the places of all values in a value."""
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    )
    for key, item in items:
        yield (*place, key)
        yield from places(item, (*place, key))


def mutations(tables: dict[str, Any], top: str) -> Iterator[tuple[Place, object, dict[str, Any]]]:
    """Yield tables with one value below ``top`` replaced, removed (None), or added by an unknown name."""
    for place in [(top,), *places(tables[top], (top,))]:
        changes: list[tuple[Place, object]] = [(place, value) for value in VALUES]
        if isinstance(_at(tables, place)[1], dict):
            changes += [
                ((*place, name), value) for name in ("zzz", "Z Z") for value in (7, dict[str, object]())
            ]
        for where, value in changes:
            changed, holder = _at(tables, where[:-1])
            holder[where[-1]] = value
            yield where, value, changed
        if isinstance(place[-1], str):
            changed, holder = _at(tables, place[:-1])
            del holder[place[-1]]
            yield place, None, changed


def _at(tables: dict[str, Any], place: Place) -> tuple[dict[str, Any], Any]:
    """Return a copy of the tables, and the value at a place of the copy."""
    changed = copy.deepcopy(tables)
    holder: Any = changed
    for part in place:
        holder = holder[part]
    return changed, holder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, {"a/Dockerfile": "FROM base\n"})


def test_the_file_is_up_to_date() -> None:
    command = [sys.executable, "-m", "stagegraph.project.editor_schema"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / FILE).read_text() == printed, f"{' '.join(command)} >{FILE}"
    Draft4Validator.check_schema(json.loads(printed))


def test_each_key_has_a_description_and_no_other_has() -> None:
    used = {
        f"{kind}.{key}" if f"{kind}.{key}" in KEYS else key for kind in KINDS for key in schema.TABLES[kind]
    }
    assert used == KEYS.keys() and KINDS.keys() == schema.TABLES.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_of_the_repository(path: Path) -> None:
    text = path.read_text()
    assert refused(tomllib.loads(text)) == []
    named = re.match(r"#:schema (\S+)\n", text)
    assert named and (path.parent / named[1]).resolve() == ROOT / FILE


def test_a_file_with_every_key(root: Path) -> None:
    tables = tomllib.loads(EVERYTHING)
    assert (refused(tables), fault(root, tables)) == ([], "")
    kinds = {
        "project": tables["project"],
        "defaults": tables["defaults"],
        "platform": tables["platforms"]["aarch64"],
        "base": tables["base"] | {"image": ""},
        "base on a platform": {
            k: v for base in tables["base"]["platforms"].values() for k, v in base.items()
        },
        "stage": tables["stages"]["low"] | tables["stages"]["high"],
        "family of stages": tables["stages"]["wide-{word.name}-{other}"],
        "stage on a platform": tables["stages"]["low"]["platforms"]["linux/arm64"],
        "alternative": tables["stages"]["low"]["alternatives"]["other"],
        "image": tables["images"]["low"] | tables["images"]["high"],
        "family of images": tables["images"]["{word}"] | tables["images"]["glob-*"],
        "print": tables["images"]["low"]["prints"]["python"],
        "secret": tables["secrets"]["token"] | tables["secrets"]["other"],
        "trust": tables["trust"],
        "trusted key": tables["trust"]["keys"]["two"],
        "ci": tables["ci"],
        "circleci executor": tables["ci"]["circleci"]["amd64"],
        "github executor": tables["ci"]["github"]["amd64"],
    }
    assert {kind: set(keys) for kind, keys in kinds.items()} == {k: set(v) for k, v in schema.TABLES.items()}
    assert tables.keys() == set(schema.TOP)


def test_defaults_are_those_of_the_loader() -> None:
    text = '[ci.github.x]\ndocker = "linux/amd64"\nruns_on = "x"\nprice = 1\n'
    ci = ci_config.read(*loader.parse(text))
    keys = document()["definitions"]["ci"]["properties"]
    defaults = {key: rule["default"] for key, rule in keys.items() if "default" in rule}
    assert defaults == {key: getattr(ci, key) for key in defaults}
    assert {"command", "branch", "limit", "setup", "unknown", "dynamic", "publish"} == defaults.keys()


@pytest.mark.parametrize("top", schema.TOP)
def test_mutations(root: Path, top: str) -> None:
    """If the schema or the loader reports a change, the other one reports it, too."""
    tables = tomllib.loads(EVERYTHING)
    differences = []
    for place, value, changed in mutations(tables, top):
        fits, said = VALIDATOR.is_valid(changed), fault(root, changed)
        lenient = value == "" or "runs_on" in place or place[:2] in (("ci", "images"), ("ci", "contexts"))
        if "matrix" in place and "is not a name" in said:
            continue  # the schema does not know the names that come out
        if (fits and WRONG.search(said)) or not (fits or said or lenient):
            differences.append(f"{place} = {value!r}: the schema: {refused(changed)}, the loader: {said}")
    assert differences == []


def test_an_unknown_table(root: Path) -> None:
    tables = tomllib.loads(EVERYTHING) | {"zzz": {}}
    assert refused(tables) and WRONG.search(fault(root, tables))
