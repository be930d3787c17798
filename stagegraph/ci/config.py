"""``[ci]`` of ``stages.toml`` -> ``CIConfig``. Only ``doit ci`` reads it."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..project import schema
from ..project.tables import Tables
from .model import MINUTE, PRICE, CIConfig, Executor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..project.positions import Lines

_EXAMPLE = """write a cost table, for example
  [ci.github.amd64]
  docker = "linux/amd64"
  runs_on = "ubuntu-24.04"
  price = 0.006       # a minute
  emulated = 0.1      # speed at which it runs programs of other processors"""

_BRANCH = re.compile(r"[\w./+-]+", re.ASCII)

#: A job is named after its executor; GitHub has the strictest rule for names of jobs.
_JOB = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

#: The service's own settings for a machine; the first one is required.
_OPTIONS = {"circleci": ("resource_class", "image"), "github": ("runs_on",)}

SERVICES = tuple(_OPTIONS)

#: The highest numbers of minutes, and of a price or speed, that make sense.
_LONGEST, _MOST = 999_999, 10**9


def read(tables: dict[str, Any], lines: Lines, *, limit: str = "") -> CIConfig:
    """Read and check ``[ci]``. ``limit`` (minutes) overrides its limit.

    Raises ``ProjectError`` with the line.
    """
    config = _Reader(tables, lines).read()
    if limit:
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 7 and 0 < int(limit) <= _LONGEST):
            raise ProjectError("command line", f"--limit {limit} is not a number of minutes", "--limit 300")
        config = replace(config, limit=int(limit), limit_overridden=True)
    if config.room <= 0:
        planned = f"a job of {config.limit} minutes is planned with {config.planned / MINUTE:.0f}"
        what = f"setup of {config.setup} minutes leaves no time to build: {planned}"
        where = "command line" if limit else lines.where("ci")
        raise ProjectError(where, what, "raise the limit (--limit, [ci] limit), or lower [ci] setup")
    return config


class _Reader(Tables):
    def read(self) -> CIConfig:
        table = self.table(("ci",), "ci")
        for name in ("command", "branch"):
            if table.get(name) == "":
                raise self.error(("ci", name), f"{name} is empty", "remove it for the default")
        for name, least in (("limit", 1), ("setup", 0), ("unknown", 1)):
            if not least <= table.get(name, least) <= _LONGEST:
                raise self.error(("ci", name), f"{name} must be from {least} to {_LONGEST}")
        if not _BRANCH.fullmatch(branch := table.get("branch", "main")):
            raise self.error(("ci", "branch"), f"{branch!r} is not a branch")
        if table.get("images") == []:
            raise self.error(
                ("ci", "images"), "images is empty", "remove it for all images that are built by default"
            )
        services = {name: self.executors(name) for name in SERVICES if name in table}
        if not any(services.values()):
            raise self.error(("ci",), "no executor of a CI service is declared", _EXAMPLE)
        return CIConfig(
            command=table.get("command", "doit"),
            prepare=table.get("prepare", ""),
            check=table.get("check", ""),
            images=tuple(map(str, table.get("images", ()))),
            branch=branch,
            limit=table.get("limit", 300),
            setup=table.get("setup", 3),
            unknown=table.get("unknown", 60),
            # a minute of a person is worth at least one of a machine
            waiting=self.price(table, ("ci",), "waiting")
            if "waiting" in table
            else min(each.price for found in services.values() for each in found),
            dynamic=table.get("dynamic", False),
            publish=table.get("publish", False),
            registry=self.registry(table),
            services=services,
            contexts=tuple(map(str, table.get("contexts", ()))),
            secrets=self.secrets(),
        )

    def secrets(self) -> tuple[str, ...]:
        """The variables of build secrets."""
        names = self.named(("secrets",), schema.SECRET)
        return tuple(
            sorted(
                {str(env) for name in names if (env := self.table(("secrets", name), "secret").get("env"))}
            )
        )

    def registry(self, table: Mapping[str, Any]) -> str:
        """The registry that CI uses: its own, or that of the project."""
        own = str(self.table(("project",), "project").get("registry", ""))
        registry = str(table.get("registry", own))
        if own and not registry:
            what = "jobs would still use the registry of [project], but without a login"
            raise self.error(("ci", "registry"), what, "remove it here, or remove that of [project]")
        if registry and not schema.is_registry(registry):
            hint = "HOST, HOST:PORT or HOST/PATH, without https://"
            raise self.error(("ci", "registry"), f"{registry!r} is not a registry", hint)
        for name in ("dynamic", "publish"):
            if table.get(name) and not registry:
                what = f"{name} needs a registry that tells which images exist"
                raise self.error(("ci", name), what, f'write registry = "HOST" under [ci], or {name} = false')
        if table.get("dynamic") and not table.get("publish"):
            what = "dynamic needs publish = true: no other job sets the tag of an image that exists already"
            raise self.error(("ci", "dynamic"), what, "write publish = true under [ci]")
        return registry.removesuffix("/")

    def executors(self, service: str) -> tuple[Executor, ...]:
        hint = "a letter, then letters, digits, '-' and '_'; jobs are named after it"
        return tuple(self.executor(service, name) for name in self.named(("ci", service), _JOB, hint))

    def executor(self, service: str, name: str) -> Executor:
        path = ("ci", service, name)
        table = self.table(path, f"{service} executor")
        docker = table.get("docker", "")
        if docker not in schema.DOCKER_PLATFORMS:
            hint = nearest(docker, schema.DOCKER_PLATFORMS)
            raise self.error((*path, "docker"), f"docker = {docker!r} is not an OCI platform", hint)
        for key in (_OPTIONS[service][0], "price"):
            if table.get(key) in (None, "", []):
                raise self.error(path, f"executor {name} has no {key}", _EXAMPLE)
        emulated, speed = self.number(table, path, "emulated", 0.0), self.number(table, path, "speed", 1.0)
        if not speed:
            raise self.error((*path, "speed"), "speed must be above 0")
        return Executor(
            name=name,
            docker=docker,
            price=self.price(table, path, "price"),
            speed=speed,
            emulated=emulated,
            options={key: table[key] for key in _OPTIONS[service] if key in table},
        )

    def price(self, table: Mapping[str, Any], path: tuple[str, ...], key: str) -> int:
        """A price in billionths."""
        return round(Fraction(self.number(table, path, key, 0)) * PRICE)

    def number(self, table: Mapping[str, Any], path: tuple[str, ...], key: str, default: float) -> float:
        value = table.get(key, default)
        if not 0 <= value <= _MOST:
            raise self.error((*path, key), f"{key} must be a number from 0 to {_MOST}")
        return float(value)
