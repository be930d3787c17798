"""CircleCI and GitHub Actions on this machine. They run pipelines with the syntax that `doit ci` writes.

They do only what the references of the services describe. Unknown syntax is an error. Caches, workspaces and
artifacts are folders. Jobs run in parallel, each as soon as the jobs that it needs are done.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from helpers import git
from machines import Kill, Machine, Outcome, copy_in, fetch_history, machine


def side_by_side(
    needs: Mapping[str, Collection[str]], job: Callable[[str], list[tuple[str, Outcome]]]
) -> Iterator[tuple[str, list[tuple[str, Outcome]]]]:
    """Run jobs two at a time. Yield the outcomes of each job as it ends."""
    left, running = list(needs), dict[Future[list[tuple[str, Outcome]]], str]()
    with ThreadPoolExecutor(2) as threads:
        while left or running:
            undone = {*left, *running.values()}
            for name in [name for name in left if not undone & set(needs[name])]:
                left.remove(name)
                running[threads.submit(job, name)] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


@dataclass
class Service:
    """The state that outlives a pipeline: the project's caches, in the order in which they were saved.

    ``before`` is the commit of the pipeline before this one; "" for none. ``now`` is that of this one.
    """

    origin: Path
    folder: Path
    caches: dict[str, Path] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    before: str = ""
    now: str = ""

    def begin(self) -> None:
        """Begin a pipeline for the newest commit."""
        self.before, self.now = self.now, git(self.origin, "rev-parse", "HEAD")

    def fresh(self, name: str) -> Path:
        path = self.folder / f"{next(self.numbers)}-{name}"
        path.mkdir(parents=True)
        return path

    def save(self, key: str, source: Path) -> None:
        """Save a cache. A key is written only once; a missing path is no failure."""
        if key not in self.caches and source.exists():
            copy_in(source, target := self.fresh("cache"))
            self.caches[key] = target

    def restore(self, prefixes: list[str], target: Path) -> str:
        """Restore the newest cache of the first prefix that matches any key. Return the key, or ""."""
        for prefix in prefixes:
            for key in reversed(list(self.caches)):
                if key.startswith(prefix):
                    copy_in(self.caches[key], target)
                    return key
        return ""


@dataclass
class CircleCI(Service):
    """The service of https://circleci.com/docs/configuration-reference/

    ``contexts``: the variables of each context. ``fork``: the number of a pull request from a fork.
    """

    contexts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fork: str = ""

    def run(self, kill: Kill | None = None, only: set[str] | None = None) -> dict[str, Outcome]:
        """Run the project's pipeline: a setup workflow, if there is one, and its continuation.

        ``only``: run these jobs again; the others keep their results. A job does not run if a job that it
        needs failed.
        """
        config = yaml.safe_load((self.origin / ".circleci/config.yml").read_text())
        if only is None:
            self.begin()
            self.workspace: dict[str, Path] = {}
            self.results: dict[str, Outcome] = {}
        found = self._workflow(config, kill, only)
        if config.get("setup"):
            assert self.continuation is not None, "a setup workflow that does not go on"
            found |= self._workflow(self.continuation, kill, only)
        return found

    continuation: dict[str, Any] | None = None

    def _workflow(
        self, config: dict[str, Any], kill: Kill | None, only: set[str] | None
    ) -> dict[str, Outcome]:
        (workflow,) = config["workflows"].values()
        entries: dict[str, dict[str, Any]] = {}
        for entry in workflow["jobs"]:
            name, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
            assert config["jobs"][name]["executor"] in config["executors"]
            branches = options.get("filters", {}).get("branches", {}).get("only", "main")
            if branches == "main" and (only is None or name in only):
                entries[name] = options

        def job(name: str) -> list[tuple[str, Outcome]]:
            options = entries[name]
            if not all(self.results[need].ok for need in options.get("requires", ())):
                return []
            env = dict(
                pair for context in options.get("context", ()) for pair in self.contexts[context].items()
            )
            return [(name, self._job(name, config["jobs"][name], env, kill))]

        ran: dict[str, Outcome] = {}
        for _, outcomes in side_by_side({n: o.get("requires", ()) for n, o in entries.items()}, job):
            self.results.update(outcomes)
            ran.update(outcomes)
        return ran

    def _job(self, name: str, job: dict[str, Any], env: Mapping[str, str], kill: Kill | None) -> Outcome:
        folder = self.fresh(name)
        own = {"CIRCLECI": "true", "CIRCLE_BRANCH": "main", "BASH_ENV": str(folder / "bash_env")}
        if self.fork:
            own |= {"CIRCLE_PR_NUMBER": self.fork, "CIRCLE_BRANCH": f"pull/{self.fork}"}
        (folder / "bash_env").touch()
        with machine(self.origin, folder, {**job.get("environment", {}), **env, **own}) as here:
            for step in job["steps"]:
                kind, options = next(iter(step.items())) if isinstance(step, dict) else (step, {})
                if (not here.outcome.ok and options.get("when") != "always") or here.gone:
                    continue
                this = kill if kill and (kill.job, kill.step) == (name, options.get("name")) else None
                ok = self._step(name, here, kind, options, this)
                here.outcome.ok = here.outcome.ok and ok
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
                fetch_history(here.folder)
            case "run":
                env = {key: self._value(value) for key, value in options.get("environment", {}).items()}
                command = options["command"].replace("/tmp/", f"{here.folder.parent}/")
                return here.run(["bash", "-eo", "pipefail", "-c"], command, env, kill)
            case "store_artifacts":
                # each machine has a /tmp of its own
                stored = Path(options["path"].replace("/tmp/", f"{here.folder.parent}/"))
                here.outcome.reports += stored.read_text()
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

    def _value(self, text: str) -> str:
        """Replace a value of the pipeline (https://circleci.com/docs/reference/variables/)."""
        return text.replace("<< pipeline.git.base_revision >>", self.before)

    def _key(self, template: str, here: Machine) -> str:
        def value(match: re.Match[str]) -> str:
            word, _, argument = match[1].strip().partition(" ")
            assert word == "checksum", f"no template known: {word}"
            return hashlib.sha256((here.folder / json.loads(argument)).read_bytes()).hexdigest()

        return re.sub(r"\{\{(.*?)\}\}", value, template)


@dataclass
class GitHub(Service):
    """The service of https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax

    ``fork``: runs are for a pull request from a fork and get no ``secrets``.
    """

    fork: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)

    def run(self, kill: Kill | None = None, only: set[str] | None = None) -> dict[str, Outcome]:
        """Run the workflow. With ``only``, run these jobs again; they have the names of the matrix."""
        workflow = yaml.safe_load((self.origin / ".github/workflows/images.yml").read_text())
        if only is None:
            self.begin()
            self.artifacts: dict[str, Path] = {}
            self.results: dict[str, list[Outcome]] = {}
            self.outputs: dict[str, dict[str, str]] = {}
        needs = {
            name: [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            for name, job in workflow["jobs"].items()
            if only is None or name not in self.results or not all(each.ok for each in self.results[name])
        }

        def run(name: str) -> list[tuple[str, Outcome]]:
            job = workflow["jobs"][name]
            failed = any(not each.ok for need in needs[name] for each in self.results[need])
            skipped = any(not self.results[need] for need in needs[name])
            ends = [_end(self.results[need]) for need in needs[name]]
            context = Context(self, {"failed": failed, "skipped": skipped}, {}, None, ends=ends)
            if not context.true(job.get("if", "success()")):
                return []
            rows = {row.get("job", name): row for row in self._rows(job, context)}

            def one(label: str) -> list[tuple[str, Outcome]]:
                this = kill if kill and kill.job == label else None
                return [(label, self._job(name, job, rows[label], this, ends))]

            return [pair for _, pairs in side_by_side(dict.fromkeys(rows, ()), one) for pair in pairs]

        ran: dict[str, Outcome] = {}
        for name, outcomes in side_by_side(needs, run):
            self.results[name] = [outcome for _, outcome in outcomes]
            ran.update(outcomes)
        return ran

    def _rows(self, job: dict[str, Any], context: Context) -> list[dict[str, str]]:
        if "strategy" not in job:
            return [{}]
        rows: list[dict[str, str]] = json.loads(context.text(job["strategy"]["matrix"]["include"]))
        assert rows, "a matrix must not be empty"
        return rows

    def _job(
        self, name: str, job: dict[str, Any], row: dict[str, str], kill: Kill | None, ends: list[str]
    ) -> Outcome:
        folder = self.fresh(name)
        plain = Context(self, {}, row, None)
        env = {key: plain.text(str(value)) for key, value in job.get("env", {}).items()}
        own = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(folder / "output_file")}
        (folder / "output_file").touch()
        own["GITHUB_STEP_SUMMARY"] = str(folder / "summary")
        outputs: dict[str, dict[str, str]] = {}
        with machine(self.origin, folder, {**env, **own}) as here:
            for step in job["steps"]:
                state = {"failed": not here.outcome.ok, "skipped": False}
                context = Context(self, state, row, here, env, outputs, ends)
                if here.gone or not context.true(step.get("if", "success()")):
                    continue
                this = kill if kill and kill.step == step.get("name") else None
                ok = self._step(here, step, context, this)
                outputs.setdefault(step.get("id", ""), {})["outcome"] = "success" if ok else "failure"
                here.outcome.ok = here.outcome.ok and ok
        if (folder / "summary").exists():
            here.outcome.reports = (folder / "summary").read_text()
        lines = (folder / "output_file").read_text().splitlines()
        found = dict(line.split("=", 1) for line in lines)
        self.outputs[name] = {k: found.get(k, "") for k in job.get("outputs", {})}
        return here.outcome

    def _step(self, here: Machine, step: dict[str, Any], context: Context, kill: Kill | None) -> bool:
        if "run" in step:
            env = {key: context.text(str(value)) for key, value in step.get("env", {}).items()}
            return here.run(["bash", "-e", "-c"], context.text(step["run"]), env, kill)
        options = {key: context.text(str(value)) for key, value in step.get("with", {}).items()}
        match step["uses"].partition("@")[0]:
            case "actions/checkout":
                if options.get("fetch-depth") == "0":
                    fetch_history(here.folder)
            case "actions/cache/restore":
                prefixes = [options["key"], *options["restore-keys"].splitlines()]
                key = self.restore(prefixes, here.folder / options["path"])
                context.outputs[step["id"]] = {"cache-matched-key": key}  # the caller adds the outcome
            case "actions/cache/save":
                assert options["key"] not in self.caches, "a warning at each run"
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


def _end(outcomes: list[Outcome]) -> str:
    """Return the result of a job from the outcomes of all rows of its matrix."""
    return "skipped" if not outcomes else "success" if all(each.ok for each in outcomes) else "failure"


_TOKEN = re.compile(r"\s*('[^']*'|&&|\|\||==|!=|[!(),]|[\w.*-]+)")


@dataclass
class Context:
    """Expressions (https://docs.github.com/en/actions/reference/workflows-and-actions/expressions)."""

    service: GitHub
    state: Mapping[str, bool]
    row: Mapping[str, str]
    here: Machine | None
    env: Mapping[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)

    def text(self, template: str) -> str:
        def value(match: re.Match[str]) -> str:
            found = self.value(match[1])
            return "" if found is None else str(found)

        return re.sub(r"\$\{\{(.*?)\}\}", value, template)

    def true(self, condition: str) -> bool:
        inner = condition.strip().removeprefix("${{").removesuffix("}}")
        # a condition without a status function includes success()
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
            # skipped jobs do not count as success
            "success": lambda: not (self.state["failed"] or self.state["skipped"]),
            "hashFiles": self._hash,
            "contains": lambda many, one: one in many,
            "fromJSON": lambda text: text,
            "format": lambda text, *words: text.format(*words),
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
        if token[0] == "'" or token in ("==", "!=", "(", ")", ",") or token.isidentifier():
            return token
        return f"look({token!r})"

    def _hash(self, name: str) -> str:
        assert self.here is not None
        file = self.here.folder / name
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""

    def _look(self, name: str) -> Any:
        known = {
            "github.event.pull_request.head.repo.full_name": "other/own" if self.service.fork else None,
            "github.repository": "example/own",
            "github.actor": "somebody",
            "github.event_name": "pull_request" if self.service.fork else "push",
            "github.ref_name": "main",
            "github.base_ref": "main" if self.service.fork else "",
            "github.event.before": self.service.before or "0" * 40,
        }
        if name in known:
            return known[name]
        kind, _, rest = name.partition(".")
        step, output = (*rest.replace(".outputs.", ".").split("."), "")[:2]
        found: dict[str, Callable[[], Any]] = {
            "matrix": lambda: self.row[rest],
            "env": lambda: self.env.get(rest),
            "vars": lambda: None,
            "secrets": lambda: None if self.service.fork else self.service.secrets.get(rest),
            "steps": lambda: self.outputs.get(step, {}).get(output),
            "needs": lambda: self.ends if step == "*" else self.service.outputs[step][output],
        }
        assert kind in found, f"nothing known of {name}"
        return found[kind]()
