"""Secrets that are known, and what a build prints of them: its log, the display, the files about a run."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from helpers import graph, ran, stages, status, vertex, write
from helpers import printed as log_of

from stagegraph import output
from stagegraph.build.log import FailedStep, Log, attempts, last_failed_step
from stagegraph.build.secrets import secret_options
from stagegraph.docker.progress import Tracker
from stagegraph.errors import StoreError
from stagegraph.execution.hidden import hide_known
from stagegraph.output import shown
from stagegraph.project import loader
from stagegraph.project.model import Node, Secret
from stagegraph.store.folder import Folder

pytestmark = pytest.mark.unit

TOML = '[secrets.file]\nfile = "key.pem"\n[secrets.variable]\nenv = "TOKEN"\n[secrets.none]\nenv = "NOSUCH"\n'


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without logins."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)


def known(root: Path) -> None:
    """Open a project with secrets."""
    hide_known(loader.load(stages(root, {"app": "FROM scratch\n"}, more=TOML), {}, {}))


def test_the_secrets_of_a_project_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "swordfish")
    pem = "-----BEGIN PRIVATE KEY-----\nbGluZSBvbmU=\nbGluZSB0d28=\n-----END PRIVATE KEY-----\n"
    write(tmp_path, {"key.pem": pem})
    known(tmp_path)
    assert shown("token=swordfish bGluZSB0d28=\n x bGluZSBvbmU=") == "token=*** ***\n x ***"


def test_a_certificate_is_no_secret(tmp_path: Path) -> None:
    public = "-----BEGIN CERTIFICATE-----\ncHVibGlj\n-----END CERTIFICATE-----\n"
    write(tmp_path, {"key.pem": f"{public}password1\n{public}"})
    known(tmp_path)
    assert shown("cHVibGlj password1") == "cHVibGlj ***"


def test_a_name_of_the_project_stays_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "amd64")
    known(tmp_path)
    assert shown("app:amd64") == "app:amd64"


@pytest.mark.parametrize("where", ["config.json", "DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE"])
def test_logins_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    auth = base64.b64encode(b"me:pass:word").decode()
    entries = {"none": None, "bad": {"auth": "="}, "one": {"auth": auth}, "two": {"identitytoken": "t0ken"}}
    text = json.dumps({"auths": entries})
    if where == "config.json":
        write(tmp_path, {"docker/config.json": text})
    elif where == "REGISTRY_AUTH_FILE":
        write(tmp_path, {"auth.json": text})
        monkeypatch.setenv(where, str(tmp_path / "auth.json"))
    else:
        monkeypatch.setenv(where, text)
    known(tmp_path)
    assert shown(f"login {auth} as me with pass:word or t0ken") == "login *** as me with *** or ***"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"auths": []}', '{"auths": {"x": 1}}'])
def test_a_strange_configuration_has_no_logins(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"docker/config.json": text})
    known(tmp_path)
    assert shown("text") == "text"


def test_a_login_in_a_pipe_is_left_for_whom_it_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"{}")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", f"/dev/fd/{reader}")
    (tmp_path / "docker").mkdir()
    os.mkfifo(tmp_path / "docker/config.json")
    known(tmp_path)
    assert os.read(reader, 9) == b"{}"
    os.close(reader)
    os.close(writer)


def test_the_password_of_a_proxy_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:p%40ssword@proxy:3128")
    monkeypatch.setenv("ALL_PROXY", "http://[broken")
    known(tmp_path)
    assert shown("http://me:p%40ssword@proxy, p@ssword") == "http://me:***@proxy, ***"


def test_a_build_knows_a_secret_that_was_written_after_the_start(tmp_path: Path) -> None:
    text = "FROM debian:trixie\nRUN --mount=type=secret,id=late x\n"
    spec = graph(stages(tmp_path, {"app": text})).spec(Node("app", "amd64"))
    write(tmp_path, {"late": "swordfish\n"})
    assert list(secret_options(spec, {"late": Secret(file="late")}, tmp_path, lambda _: None))
    assert shown("swordfish") == "***"


# -- the log -------------------------------------------------------------------------------------------


def test_a_log_has_no_secret_and_no_colours(tmp_path: Path) -> None:
    output.hide(["swordfish"])
    logs, tracker = Folder(tmp_path, "logs"), Tracker(lambda _: None)
    step = "[1/1] RUN echo swordfish"
    pieces = ("a sw", "ord\x1b[1m", "fish b\n\x1b]0;t", "itle\x07", "c\n")
    documents = [
        status(vertexes=[vertex(step)]),
        *(status(logs=[log_of(step, piece)]) for piece in pieces),
        *ran("[2/2] RUN x", "\u202e swordfish"),
    ]
    with Log(logs, "x:amd64") as log:
        for document in documents:
            log.write(tracker.feed(document))
        log.write(tracker.end())
        log.step_failed(FailedStep(3, "RUN echo swordfish", "RUN echo swordfish"))
    (attempt,) = attempts(logs, "x:amd64")
    with attempt.open() as file:
        text = file.read().decode()
    assert "swordfish" not in text and "#1 0.100 a *** b\n#1 0.100 c\n" in text and r"\u202e ***" in text
    assert "\x1b" not in text and "\x07" not in text
    assert last_failed_step(logs, "x:amd64") == FailedStep(3, "RUN echo ***", "RUN echo ***")


def test_only_its_owner_reads_a_log(tmp_path: Path) -> None:
    with Log(Folder(tmp_path, "logs"), "x:amd64") as log:
        log.step_failed(FailedStep(1, "", ""))
    files = [path for path in (tmp_path / "logs").rglob("*") if path.is_file()]
    assert len(files) == 3 and {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_log_of_another_user_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = Folder(tmp_path, "logs")
    with Log(logs, "x:amd64"):
        pass

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (attempt,) = attempts(logs, "x:amd64")
    monkeypatch.setattr(Folder, "open", refused)
    with pytest.raises(StoreError, match=r"x--amd64/\S+\.log: cannot be read: Permission denied"):
        attempt.open()


def test_the_last_line_shows_no_start_of_a_secret() -> None:
    output.hide(["swordfish"])
    tracker = Tracker(lambda _: None)
    step = "[1/1] RUN x"
    tracker.feed(status(vertexes=[vertex(step)], logs=[log_of(step, "token: swordf")]))
    assert tracker.latest == "token: "
    tracker.feed(status(logs=[log_of(step, "ish!")]))
    assert tracker.latest == "token: ***!"
