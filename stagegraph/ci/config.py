"""``[ci]`` of ``stages.toml`` -> ``Table``. Only ``doit ci`` reads it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..project import schema
from ..project.tables import TableReader
from .model import MINUTE, PRICE, Executor, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..project.positions import SourceMap

_EXAMPLE = """write a cost table, for example
  [ci.github.amd64]
  docker = "linux/amd64"
  runs_on = "ubuntu-24.04"
  price = 0.006       # a minute
  emulated = 0.1      # speed at which it runs programs of other processors"""

SERVICES = tuple(schema.SERVICES)


def read(tables: dict[str, Any], lines: SourceMap, *, limit: str = "") -> Table:
    """Read and check the table. ``limit`` (minutes) overrides. Raises ``ProjectError`` naming the line."""
    table = _Reader(tables, lines).read()
    if limit:
        digits = limit.isascii() and limit.isdecimal() and len(limit) < 7
        if not (digits and 0 < int(limit) <= schema.MOST_MINUTES):
            raise ProjectError("command line", f"--limit {limit} is no number of minutes", "--limit 300")
        table = replace(table, limit=int(limit), given=True)
    if table.room <= 0:
        planned = f"of {table.limit} minutes {table.planned / MINUTE:.0f} are planned"
        what = f"setup of {table.setup} minutes leaves no time to build: {planned}"
        where = "command line" if limit else lines.where("ci")
        raise ProjectError(where, what, "raise the limit (--limit, [ci] limit), or lower [ci] setup")
    return table


class _Reader(TableReader):
    def read(self) -> Table:
        table = self.table(("ci",), "ci")
        for name in ("command", "branch"):
            if table.get(name) == "":
                raise self.error(("ci", name), f"{name} is empty", "leave it out for the default")
        for name, least in schema.LEAST_MINUTES.items():
            if not least <= table.get(name, least) <= schema.MOST_MINUTES:
                what = f"{name} must be {least} at least, and {schema.MOST_MINUTES} at most"
                raise self.error(("ci", name), what)
        if not schema.BRANCH.fullmatch(branch := table.get("branch", "main")):
            raise self.error(("ci", "branch"), f"{branch!r} is not a branch")
        if table.get("images") == []:
            raise self.error(
                ("ci", "images"), "images names none", "leave it out for all that are made by default"
            )
        services = {name: self.executors(name) for name in SERVICES if name in table}
        if not any(services.values()):
            raise self.error(("ci",), "no executor of a CI service is declared", _EXAMPLE)
        return Table(
            command=table.get("command", "doit"),
            prepare=table.get("prepare", ""),
            check=table.get("check", ""),
            images=tuple(map(str, table.get("images", ()))),
            branch=branch,
            limit=table.get("limit", 300),
            setup=table.get("setup", 3),
            unknown=table.get("unknown", 60),
            # somebody's minute is worth a machine's at least
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
        """Variables that build secrets come out of."""
        names = self.named(("secrets",), schema.SECRET)
        return tuple(
            sorted(
                {str(env) for name in names if (env := self.table(("secrets", name), "secret").get("env"))}
            )
        )

    def registry(self, table: Mapping[str, Any]) -> str:
        """The registry that CI uses: its own, or the project's."""
        own = str(self.table(("project",), "project").get("registry", ""))
        registry = str(table.get("registry", own))
        if own and not registry:
            what = "jobs would still use the registry of [project], and without a login"
            raise self.error(("ci", "registry"), what, "leave it out here, or take it out of [project]")
        if registry and not schema.is_registry(registry):
            hint = "HOST, HOST:PORT or HOST/PATH, without https://"
            raise self.error(("ci", "registry"), f"{registry!r} is not a registry", hint)
        for name in ("dynamic", "publish"):
            if table.get(name) and not registry:
                what = f"{name} needs a registry, which says what there is already"
                raise self.error(("ci", name), what, f'write registry = "HOST" under [ci], or {name} = false')
        if table.get("dynamic") and not table.get("publish"):
            what = (
                "dynamic needs publish = true: an image that is there already gets no other job that tags it"
            )
            raise self.error(("ci", "dynamic"), what, "write publish = true under [ci]")
        return registry.removesuffix("/")

    def executors(self, service: str) -> tuple[Executor, ...]:
        hint = "a letter, then letters, digits, '-' and '_', as jobs are called after it"
        names = self.named(("ci", service), schema.EXECUTOR, hint)
        return tuple(self.executor(service, name) for name in names)

    def executor(self, service: str, name: str) -> Executor:
        path = ("ci", service, name)
        table = self.table(path, f"{service} executor")
        docker = table.get("docker", "")
        if docker not in schema.DOCKER_PLATFORMS:
            hint = nearest(docker, schema.DOCKER_PLATFORMS)
            raise self.error((*path, "docker"), f"docker = {docker!r} is not an OCI platform", hint)
        for key in (schema.SERVICES[service][0], "price"):
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
            options={key: table[key] for key in schema.SERVICES[service] if key in table},
        )

    def price(self, table: Mapping[str, Any], path: tuple[str, ...], key: str) -> int:
        """In billionths."""
        return round(Fraction(self.number(table, path, key, 0)) * PRICE)

    def number(self, table: Mapping[str, Any], path: tuple[str, ...], key: str, default: float) -> float:
        value = table.get(key, default)
        if not 0 <= value <= schema.MOST_PRICE:
            what = f"{key} must be a number, 0 at least, and {schema.MOST_PRICE} at most"
            raise self.error((*path, key), what)
        return float(value)
