"""``[ci]`` of ``stages.toml`` -> ``CIConfig``. Only ``doit ci`` reads it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..project import schema
from ..project.tables import TableReader
from ..trust.keyring import VARIABLE as SIGNING_KEY
from .model import MINUTE, PRICE, CIConfig, Executor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..project.positions import SourceMap

_EXAMPLE = """write a cost table, for example
  [ci.github.amd64]
  docker = "linux/amd64"
  runs_on = "ubuntu-24.04"
  price = 0.006       # a minute
  emulated = 0.1      # speed at which it runs programs of other processors"""

_DEFAULT_BRANCH = "main"

SERVICES = tuple(schema.SERVICES)


def read(tables: dict[str, Any], lines: SourceMap, *, limit: str = "") -> CIConfig:
    """Read and check ``[ci]``. ``limit`` (minutes) overrides its limit. ``pipelines`` sets ``whole_history``.

    Raises ``ProjectError`` with the line.
    """
    config = _ConfigReader(TableReader(tables, lines)).read()
    if limit:
        digits = limit.isascii() and limit.isdecimal() and len(limit) < 7
        if not (digits and 0 < int(limit) <= schema.MOST_MINUTES):
            raise ProjectError("command line", f"--limit {limit} is not a number of minutes", "--limit 300")
        config = replace(config, limit=int(limit), limit_overridden=True)
    if config.room <= 0:
        planned = f"a job of {config.limit} minutes is planned with {config.planned / MINUTE:.0f}"
        what = f"setup of {config.setup} minutes leaves no time to build: {planned}"
        where = "command line" if limit else lines.where("ci")
        raise ProjectError(where, what, "raise the limit (--limit, [ci] limit), or lower [ci] setup")
    return config


class _ConfigReader:
    """Reads ``[ci]`` and the tables below it."""

    def __init__(self, reader: TableReader) -> None:
        self._reader = reader

    def read(self) -> CIConfig:
        table = self._reader.table(("ci",), "ci")
        self._check(table)
        services = {name: self._executors(name) for name in SERVICES if name in table}
        if not any(services.values()):
            raise self._reader.error(("ci",), "no executor of a CI service is declared", _EXAMPLE)
        return CIConfig(
            command=table.get("command", "doit"),
            prepare=table.get("prepare", ""),
            check=table.get("check", ""),
            images=tuple(map(str, table.get("images", ()))),
            branch=table.get("branch", _DEFAULT_BRANCH),
            limit=table.get("limit", 300),
            setup=table.get("setup", 3),
            unknown=table.get("unknown", 60),
            # a minute of a person is worth at least one of a machine
            waiting=self._price(table, ("ci",), "waiting")
            if "waiting" in table
            else min(each.price for found in services.values() for each in found),
            dynamic=table.get("dynamic", False),
            publish=table.get("publish", False),
            registry=self._registry(table),
            services=services,
            contexts=tuple(map(str, table.get("contexts", ()))),
            secrets=self._secrets(),
        )

    def _check(self, table: Mapping[str, Any]) -> None:
        """Raise ``ProjectError`` for a value that is empty, out of range, or not a branch."""
        for name in ("command", "branch"):
            if table.get(name) == "":
                raise self._reader.error(("ci", name), f"{name} is empty", "remove it for the default")
        for name, least in schema.LEAST_MINUTES.items():
            if not least <= table.get(name, least) <= schema.MOST_MINUTES:
                what = f"{name} must be from {least} to {schema.MOST_MINUTES}"
                raise self._reader.error(("ci", name), what)
        branch = table.get("branch", _DEFAULT_BRANCH)
        if not schema.BRANCH.fullmatch(branch):
            raise self._reader.error(("ci", "branch"), f"{branch!r} is not a branch")
        if table.get("images") == []:
            raise self._reader.error(
                ("ci", "images"), "images is empty", "remove it for all images that are built by default"
            )

    def _secrets(self) -> tuple[str, ...]:
        """The variables of build secrets, and that of the key that signs records."""
        names = self._reader.named(("secrets",), schema.SECRET)
        secrets = (self._reader.table(("secrets", name), "secret") for name in names)
        trust = self._reader.tables.get("trust")
        signs = isinstance(trust, dict) and trust.get("level") != "none" and trust.get("keys")
        variables = {str(secret["env"]) for secret in secrets if secret.get("env")}
        return tuple(sorted({*variables, *([SIGNING_KEY] if signs else [])}))

    def _registry(self, table: Mapping[str, Any]) -> str:
        """The registry that CI uses: its own, or that of the project."""
        own = str(self._reader.table(("project",), "project").get("registry", ""))
        registry = str(table.get("registry", own))
        if own and not registry:
            what = "jobs would still use the registry of [project], but without a login"
            raise self._reader.error(("ci", "registry"), what, "remove it here, or remove that of [project]")
        if registry and not schema.is_registry(registry):
            hint = "HOST, HOST:PORT or HOST/PATH, without https://"
            raise self._reader.error(("ci", "registry"), f"{registry!r} is not a registry", hint)
        for name in ("dynamic", "publish"):
            if table.get(name) and not registry:
                what = f"{name} needs a registry that tells which images exist"
                raise self._reader.error(
                    ("ci", name), what, f'write registry = "HOST" under [ci], or {name} = false'
                )
        if table.get("dynamic") and not table.get("publish"):
            what = "dynamic needs publish = true: no other job sets the tag of an image that exists already"
            raise self._reader.error(("ci", "dynamic"), what, "write publish = true under [ci]")
        return registry.removesuffix("/")

    def _executors(self, service: str) -> tuple[Executor, ...]:
        hint = "a letter, then letters, digits, '-' and '_'"
        return tuple(
            self._executor(service, name)
            for name in self._reader.named(("ci", service), schema.EXECUTOR, hint)
        )

    def _executor(self, service: str, name: str) -> Executor:
        path = ("ci", service, name)
        table = self._reader.table(path, f"{service} executor")
        docker = table.get("docker", "")
        if docker not in schema.DOCKER_PLATFORMS:
            hint = nearest(docker, schema.DOCKER_PLATFORMS)
            raise self._reader.error((*path, "docker"), f"docker = {docker!r} is not an OCI platform", hint)
        for key in (schema.SERVICES[service][0], "price"):
            if table.get(key) in (None, "", []):
                raise self._reader.error(path, f"executor {name} has no {key}", _EXAMPLE)
        emulated, speed = self._number(table, path, "emulated", 0.0), self._number(table, path, "speed", 1.0)
        if not speed:
            raise self._reader.error((*path, "speed"), "speed must be above 0")
        return Executor(
            name=name,
            docker=docker,
            price=self._price(table, path, "price"),
            speed=speed,
            emulated=emulated,
            options={key: table[key] for key in schema.SERVICES[service] if key in table},
        )

    def _price(self, table: Mapping[str, Any], path: tuple[str, ...], key: str) -> int:
        """A price in billionths."""
        return round(Fraction(self._number(table, path, key, 0)) * PRICE)

    def _number(self, table: Mapping[str, Any], path: tuple[str, ...], key: str, default: float) -> float:
        value = table.get(key, default)
        if not 0 <= value <= schema.MOST_PRICE:
            raise self._reader.error((*path, key), f"{key} must be a number from 0 to {schema.MOST_PRICE}")
        return float(value)
