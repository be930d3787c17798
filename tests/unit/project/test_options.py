"""Labels, and options for RUN instructions: normal forms, how layers join, and each fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import HEAD, write

from stagegraph.errors import ProjectError
from stagegraph.project import loader
from stagegraph.project.model import RunOptions, StageConfig

pytestmark = pytest.mark.unit

STAGE = '[stages.app]\npath = "app"\n'
#: The number of the line behind ``STAGE``.
NEXT = (HEAD + STAGE).count("\n") + 1


def config(root: Path, own: str = "", *, head: str = HEAD, more: str = "", stage: str = "app") -> StageConfig:
    files = {"stages.toml": head + STAGE + own + more, "app/Dockerfile": "FROM base\nRUN x\n"}
    return loader.load(write(root, files), {}, {}).stages[stage].configs["amd64"]


def options(root: Path, own: str) -> RunOptions:
    return config(root, own + "\n").run_options


def test_a_stage_has_none_by_default(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert found.labels == {} and found.run_options == RunOptions()


def test_labels_are_strings(tmp_path: Path) -> None:
    found = config(tmp_path, 'labels = { "org.example.a" = "x = y", b = 7, c = true, d = "" }\n')
    assert found.labels == {"org.example.a": "x = y", "b": "7", "c": "true", "d": ""}


def test_labels_of_all_layers_are_joined_and_lists_are_replaced(tmp_path: Path) -> None:
    head = HEAD + (
        '[defaults]\nlabels = { a = "1", b = "1", c = "1" }\nallow = ["network.host"]\nshm_size = "1m"\n'
        'extra_hosts = ["a:1.1.1.1"]\n'
    )
    more = '[stages.app.platforms.amd64]\nlabels = { c = "3" }\nssh = ["default"]\n'
    found = config(tmp_path, 'labels = { b = "2" }\nextra_hosts = ["b:2.2.2.2"]\n', head=head, more=more)
    assert found.labels == {"a": "1", "b": "2", "c": "3"}
    assert found.run_options == RunOptions(
        {"default": ()}, frozenset({"network.host"}), (("b", "2.2.2.2"),), 1 << 20
    )


def test_an_empty_list_takes_away_what_defaults_give(tmp_path: Path) -> None:
    head = HEAD + '[defaults]\nallow = ["network.host"]\nulimits = ["core=0"]\n'
    found = config(tmp_path, "allow = []\nulimits = []\n", head=head)
    assert found.run_options == RunOptions()


def test_the_test_of_an_image_has_the_options_of_defaults_and_no_labels(tmp_path: Path) -> None:
    head = HEAD + '[defaults]\nlabels = { a = "1" }\nextra_hosts = ["a:1.1.1.1"]\n'
    found = config(tmp_path, head=head, more='[images.app]\ntest = "app"\n', stage="app-test")
    assert found.labels == {} and found.run_options.extra_hosts == (("a", "1.1.1.1"),)


@pytest.mark.parametrize(
    ("written", "hosts"),
    [
        ("b:10.0.0.1", [("b", "10.0.0.1")]),
        ("b=10.0.0.1", [("b", "10.0.0.1")]),
        ("My.Host_1-x:10.0.0.1", [("my.host_1-x", "10.0.0.1")]),
        ("b:host-gateway", [("b", "host-gateway")]),
        ("b:::1", [("b", "::1")]),
        ("b=[0:0::1]", [("b", "::1")]),
        ("b:::ffff:10.0.0.1", [("b", "10.0.0.1")]),
        ('z:1.1.1.1", "a:2.2.2.2', [("a", "2.2.2.2"), ("z", "1.1.1.1")]),
        ('b:9.9.9.9", "a:2.2.2.2", "b:1.1.1.1', [("a", "2.2.2.2"), ("b", "9.9.9.9"), ("b", "1.1.1.1")]),
    ],
)
def test_extra_hosts_have_one_form_and_are_sorted(
    tmp_path: Path, written: str, hosts: list[tuple[str, str]]
) -> None:
    assert options(tmp_path, f'extra_hosts = ["{written}"]').extra_hosts == tuple(hosts)


@pytest.mark.parametrize(
    ("written", "size"),
    [("1", 1), ("64m", 64 << 20), ("64MB", 64 << 20), ("64MiB", 64 << 20), ("2g", 2 << 30), ("3kb", 3072)],
)
def test_shm_size_is_read_in_bytes(tmp_path: Path, written: str, size: int) -> None:
    assert options(tmp_path, f'shm_size = "{written}"').shm_size == size


def test_ulimits_have_both_limits_and_are_sorted(tmp_path: Path) -> None:
    found = options(tmp_path, 'ulimits = ["nofile=1024", "core=-1", "cpu=1:-1", "nproc=007:8"]')
    assert found.ulimits == (("core", "-1:-1"), ("cpu", "1:-1"), ("nofile", "1024:1024"), ("nproc", "7:8"))


def test_ssh_is_read_by_name(tmp_path: Path) -> None:
    found = options(tmp_path, 'ssh = ["default", "git=~/.ssh/id", "two=a b,c"]')
    assert found.ssh == {"default": (), "git": ("~/.ssh/id",), "two": ("a b", "c")}


FAULTS = {
    'labels = "x"': "labels must be a table",
    "labels = { a = 1.5 }": "label a must be a string or a whole number",
    'labels = { a = "\\u0000" }': "label a has a zero byte",
    'labels = { "a b" = "x" }': "'a b' is not the name of a label",
    'labels = { "a=b" = "x" }': "'a=b' is not the name of a label",
    'labels = { "" = "x" }': "'' is not the name of a label",
    'labels = { "org.opencontainers.image.revision" = "x" }': "doit publish puts the commit",
    'labels = { "org.opencontainers.image.created" = "x" }': "would build the image and all",
    'ssh = "default"': 'ssh must be a list\n  write ssh = ["default"]',
    "ssh = [7]": "7 is not a way to an SSH agent",
    'ssh = ["a b"]': "'a b' is not a way to an SSH agent",
    'ssh = ["a="]': "'a=' is not a way to an SSH agent",
    'ssh = ["a=x,"]': "'a=x,' is not a way to an SSH agent",
    'ssh = ["a", "a=x"]': "ssh has 'a' twice",
    'ssh = ["default=$SSH_AUTH_SOCK"]': '"default" alone is the agent of SSH_AUTH_SOCK',
    'allow = ["network.hots"]': "unknown entitlement 'network.hots'\n  did you mean 'network.host'?",
    "allow = [[]]": "unknown entitlement []",
    'extra_hosts = ["a"]': "'a' is not a host with its address",
    'extra_hosts = ["a:"]': "'a:' is not a host with its address",
    'extra_hosts = ["a:b"]': "'a:b' has no valid address",
    'extra_hosts = ["a:1.2.3"]': "'a:1.2.3' has no valid address",
    'extra_hosts = ["a:fe80::1%eth0"]': "is not a host with its address",
    'extra_hosts = ["a:1.2.3.4", "A=1.2.3.4"]': "extra_hosts has 'A=1.2.3.4' twice",
    "shm_size = 64": 'shm_size must be a string\n  put it in quotes: shm_size = "64"',
    'shm_size = "0"': "'0' is not a size",
    'shm_size = "1.5g"': "'1.5g' is not a size",
    'shm_size = "999999999999999t"': "is not a size",
    'ulimits = ["nofile"]': "'nofile' is not a limit",
    'ulimits = ["nofiles=1"]': "'nofiles=1' is not a limit",
    'ulimits = ["nofile=2:1"]': "'nofile=2:1': the soft limit is above the hard one",
    'ulimits = ["nofile=-1:1"]': "the soft limit is above the hard one",
    'ulimits = ["nofile=1", "nofile=2"]': "ulimits has 'nofile' twice",
    'cgroup_parent = ""': "'' is not a control group",
    'cgroup_parent = "a\\nb"': "is not a control group",
    'shm-size = "64m"': "unknown key 'shm-size' in stage [stages.app]\n  did you mean 'shm_size'?",
}


@pytest.mark.parametrize("own", FAULTS)
@pytest.mark.parametrize("place", ["", "defaults", "stages.app.alternatives.other"])
def test_a_wrong_value_is_an_error_with_its_line(tmp_path: Path, own: str, place: str) -> None:
    """Also those of an alternative that nobody chooses."""
    table = f"[{place}]\n" if place else ""
    with pytest.raises(ProjectError) as caught:
        config(tmp_path, f"{table}{own}\n")
    kind = {"defaults": "defaults [defaults]", "": "stage [stages.app]"}.get(place, f"alternative [{place}]")
    assert FAULTS[own].replace("stage [stages.app]", kind) in str(caught.value)
    assert caught.value.where == f"stages.toml:{NEXT + bool(place)}"
