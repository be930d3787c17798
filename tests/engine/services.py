"""CircleCI and GitHub Actions on this machine: files are run as they say, as far as `doit ci` writes any.

Only what the services' references describe is done, and what is not known is an error. Caches, workspaces and
artifacts are folders. Jobs run one after the other.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from machines import Kill, Machine, Outcome, copy_in, machine

_HALT = '#!/bin/sh\n[ "$1 $2" = "step halt" ] && touch "$HALT_FILE"\n'


@dataclass
class Service:
    """What outlives a pipeline: the project's caches, in the order in which they were saved."""

    origin: Path
    folder: Path
    caches: dict[str, Path] = field(default_factory=dict)
    number: int = 0

    def fresh(self, name: str) -> Path:
        self.number += 1
        path = self.folder / f"{self.number}-{name}"
        path.mkdir(parents=True)
        return path

    def save(self, key: str, source: Path) -> None:
        """Keys are written once; a path that is not there is no failure."""
        if key not in self.caches and source.exists():
            copy_in(source, target := self.fresh("cache"))
            self.caches[key] = target

    def restore(self, prefixes: list[str], target: Path) -> str:
        """The newest cache whose key begins with the first prefix that any begins with; its key."""
        for prefix in prefixes:
            for key in reversed(self.caches):
                if key.startswith(prefix):
                    copy_in(self.caches[key], target)
                    return key
        return ""


class CircleCI(Service):
    """https://circleci.com/docs/configuration-reference/"""

    def run(
        self, env: Mapping[str, str] | None = None, kill: Kill | None = None, only: set[str] | None = None
    ) -> dict[str, Outcome]:
        """Run the project's pipeline, a setup workflow and what it goes on with included.

        ``only``: run these jobs again, the others are as they were. A job whose needs failed does not run.
        """
        config = yaml.safe_load((self.origin / ".circleci/config.yml").read_text())
        if only is None:
            self.workspace: dict[str, Path] = {}
            self.results: dict[str, Outcome] = {}
        found = self._workflow(config, env or {}, kill, only)
        if config.get("setup"):
            assert self.continuation is not None, "a setup workflow that does not go on"
            found |= self._workflow(self.continuation, env or {}, kill, only)
        return found

    continuation: dict[str, Any] | None = None

    def _workflow(
        self, config: dict[str, Any], env: Mapping[str, str], kill: Kill | None, only: set[str] | None
    ) -> dict[str, Outcome]:
        (workflow,) = config["workflows"].values()
        ran: dict[str, Outcome] = {}
        for entry in workflow["jobs"]:
            name, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
            needs = options.get("requires", [])
            assert config["jobs"][name]["executor"] in config["executors"]
            branches = options.get("filters", {}).get("branches", {}).get("only", "main")
            if branches != "main" or (only is not None and name not in only):
                continue
            if all(self.results[need].ok for need in needs):
                ran[name] = self.results[name] = self._job(name, config["jobs"][name], env, kill)
        return ran

    def _job(self, name: str, job: dict[str, Any], env: Mapping[str, str], kill: Kill | None) -> Outcome:
        folder = self.fresh(name)
        (folder / "bin").mkdir()
        (folder / "bin/circleci-agent").write_text(_HALT)
        (folder / "bin/circleci-agent").chmod(0o755)
        own = {"HALT_FILE": str(folder / "halt"), "BASH_ENV": str(folder / "bash_env")}
        (folder / "bash_env").touch()
        with machine(self.origin, folder, {**job.get("environment", {}), **env, **own}) as here:
            for step in job["steps"]:
                kind, options = next(iter(step.items())) if isinstance(step, dict) else (step, {})
                if (not here.outcome.ok and options.get("when") != "always") or here.gone:
                    continue
                this = kill if kill and (kill.job, kill.step) == (name, options.get("name")) else None
                ok = self._step(name, here, kind, options, this)
                here.outcome.ok = here.outcome.ok and ok
                if (folder / "halt").exists():
                    break
        return here.outcome

    def _step(
        self,
        name: str,
        here: Machine,
        kind: str,
        options: dict[str, Any],
        kill: Kill | None,
    ) -> bool:
        match kind:
            case "checkout":
                pass
            case "run":
                return here.run(["bash", "-eo", "pipefail", "-c"], options["command"], {}, kill)
            case "restore_cache":
                self.restore([self._key(key, here) for key in options["keys"]], here.folder / "cache")
            case "save_cache":
                (path,) = options["paths"]
                self.save(self._key(options["key"], here), here.folder / path)
            case "persist_to_workspace":
                for path in options["paths"]:
                    source = here.folder / options["root"] / path
                    assert source.exists(), "nothing to persist"
                    assert path not in self.workspace or self.workspace[path].name.endswith(name)
                    copy_in(source, target := self.fresh(f"workspace-{name}"))
                    self.workspace[path] = target
            case "attach_workspace":
                for path, source in self.workspace.items():
                    copy_in(source, here.folder / options["at"] / path)
            case "continuation/continue":
                text = (here.folder / options["configuration_path"]).read_text()
                self.continuation = yaml.safe_load(text)
            case _:
                raise AssertionError(f"no step of CircleCI: {kind}")
        return True

    def _key(self, template: str, here: Machine) -> str:
        def value(match: re.Match[str]) -> str:
            word, _, argument = match[1].strip().partition(" ")
            if word == "checksum":
                return hashlib.sha256((here.folder / json.loads(argument)).read_bytes()).hexdigest()
            assert word == "epoch", word
            return str(self.number)

        return re.sub(r"\{\{(.*?)\}\}", value, template)


@dataclass
class GitHub(Service):
    """https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax

    ``fork``: its runs are for a pull request from a fork.
    """

    fork: bool = False

    def run(self, kill: Kill | None = None, only: set[str] | None = None) -> dict[str, Outcome]:
        """Run the workflow; with ``only`` these jobs again, whose names are those of the matrix."""
        workflow = yaml.safe_load((self.origin / ".github/workflows/images.yml").read_text())
        if only is None:
            self.artifacts: dict[str, Path] = {}
            self.results: dict[str, list[Outcome]] = {}
            self.outputs: dict[str, dict[str, str]] = {}
        ran: dict[str, Outcome] = {}
        for name, job in workflow["jobs"].items():
            needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            failed = any(not each.ok for need in needs for each in self.results[need])
            skipped = any(not self.results[need] for need in needs)
            condition = job.get("if", "success()")
            context = Context(self, {"failed": failed, "skipped": skipped}, {}, None)
            if only is not None and name in self.results and all(each.ok for each in self.results[name]):
                continue
            self.results[name] = []
            if not context.true(condition):
                continue
            for row in self._rows(job, context):
                label = row.get("job", name)
                outcome = self._job(name, job, row, kill if kill and kill.job == label else None)
                ran[label] = outcome
                self.results[name].append(outcome)
        return ran

    def _rows(self, job: dict[str, Any], context: Context) -> list[dict[str, str]]:
        if "strategy" not in job:
            return [{}]
        rows: list[dict[str, str]] = json.loads(context.text(job["strategy"]["matrix"]["include"]))
        assert rows, "a matrix must not be empty"
        return rows

    def _job(self, name: str, job: dict[str, Any], row: dict[str, str], kill: Kill | None) -> Outcome:
        folder = self.fresh(name)
        plain = Context(self, {}, row, None)
        env = {key: plain.text(str(value)) for key, value in job.get("env", {}).items()}
        own = {"GITHUB_OUTPUT": str(folder / "output_file")}
        (folder / "output_file").touch()
        with machine(self.origin, folder, {**env, **own}) as here:
            for step in job["steps"]:
                context = Context(self, {"failed": not here.outcome.ok, "skipped": False}, row, here, env)
                if here.gone or not context.true(step.get("if", "success()")):
                    continue
                this = kill if kill and kill.step == step.get("name") else None
                ok = self._step(here, step, context, this)
                here.outcome.ok = here.outcome.ok and ok
        lines = (folder / "output_file").read_text().splitlines()
        found = dict(line.split("=", 1) for line in lines)
        self.outputs[name] = {k: found.get(k, "") for k in job.get("outputs", {})}
        return here.outcome

    def _step(self, here: Machine, step: dict[str, Any], context: Context, kill: Kill | None) -> bool:
        if "run" in step:
            return here.run(["bash", "-e", "-c"], context.text(step["run"]), {}, kill)
        options = {key: context.text(str(value)) for key, value in step.get("with", {}).items()}
        match step["uses"].partition("@")[0]:
            case "actions/checkout":
                pass
            case "actions/cache/restore":
                prefixes = [options["key"], *options["restore-keys"].splitlines()]
                self.restore(prefixes, here.folder / options["path"])
            case "actions/cache/save":
                self.save(options["key"], here.folder / options["path"])
            case "actions/upload-artifact":
                shutil.rmtree(self.artifacts.get(options["name"], "/nonexistent"), ignore_errors=True)
                copy_in(here.folder / options["path"], target := self.fresh("artifact"))
                self.artifacts[options["name"]] = target
            case "actions/download-artifact":
                for name, source in self.artifacts.items():
                    if fnmatch(name, options["pattern"]):
                        copy_in(source, here.folder / options["path"] / name)
            case other:
                raise AssertionError(f"no action known: {other}")
        return True


_TOKEN = re.compile(r"\s*('[^']*'|&&|\|\||==|!=|[!()]|[\w.-]+)")


@dataclass
class Context:
    """Expressions (https://docs.github.com/en/actions/reference/workflows-and-actions/expressions)."""

    service: GitHub
    state: Mapping[str, bool]
    row: Mapping[str, str]
    here: Machine | None
    env: Mapping[str, str] = field(default_factory=dict)

    def text(self, template: str) -> str:
        def value(match: re.Match[str]) -> str:
            found = self.value(match[1])
            return "" if found is None else str(found)

        return re.sub(r"\$\{\{(.*?)\}\}", value, template)

    def true(self, condition: str) -> bool:
        inner = condition.strip().removeprefix("${{").removesuffix("}}")
        # a condition that asks for no status is one of success
        if not re.search(r"\b(always|success|failure|cancelled)\(\)", inner):
            inner = f"success() && ({inner})"
        return bool(self.value(inner))

    def value(self, expression: str) -> Any:
        words = {"&&": " and ", "||": " or ", "!": " not "}
        code = "".join(words.get(token) or self._python(token) for token in self._tokens(expression))
        functions = {
            "always": lambda: True,
            "cancelled": lambda: False,
            "failure": lambda: self.state["failed"],
            # jobs that were skipped are no success
            "success": lambda: not (self.state["failed"] or self.state["skipped"]),
            "hashFiles": self._hash,
            "fromJSON": lambda text: text,
            "look": self._look,
        }
        return eval(code, {"__builtins__": {}}, functions)  # noqa: S307

    def _tokens(self, expression: str) -> Iterator[str]:
        rest = expression.strip()
        while rest:
            match = _TOKEN.match(rest)
            assert match, f"no expression: {expression}"
            yield match[1]
            rest = rest[match.end() :].lstrip()

    @staticmethod
    def _python(token: str) -> str:
        if token[0] == "'" or token in ("==", "!=", "(", ")") or token.isidentifier():
            return token
        return f"look({token!r})"

    def _hash(self, name: str) -> str:
        assert self.here is not None
        return hashlib.sha256((self.here.folder / name).read_bytes()).hexdigest()

    def _look(self, name: str) -> Any:
        known = {
            "github.event.pull_request.head.repo.full_name": "other/own" if self.service.fork else None,
            "github.repository": "example/own",
            "github.actor": "somebody",
            "github.run_id": str(len(self.service.caches)),
            "github.run_attempt": str(self.service.number),
            "github.event_name": "pull_request" if self.service.fork else "push",
            "github.ref_name": "main",
        }
        if name in known:
            return known[name]
        kind, _, rest = name.partition(".")
        match kind:
            case "matrix":
                return self.row[rest]
            case "env":
                return self.env.get(rest)
            case "secrets":
                return None
            case "needs":
                job, _, output = rest.split(".", 2)
                return self.service.outputs[job][output]
        raise AssertionError(f"nothing known of {name}")
