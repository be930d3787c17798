"""A builder that went silent is not tried again, unless another one is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stagegraph.errors import EngineError, SilentError
from stagegraph.execution import nodes
from stagegraph.execution.nodes import NodeRunner
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("kind", "builders", "builds"),
    [(SilentError, (), 1), (SilentError, ("a",), 1), (SilentError, ("a", "b"), 2), (EngineError, (), 2)],
)
def test_the_number_of_builds(
    kind: type[EngineError], builders: tuple[str, ...], builds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_PAUSE", 0)
    calls: list[Any] = []

    def build(_: NodeRunner, node: Node, *__: Any, **___: Any) -> None:
        calls.append(node)
        raise kind(str(node), "no answer")

    monkeypatch.setattr(NodeRunner, "_build", build)
    monkeypatch.setattr(nodes, "content_key", lambda *_: ("key", []))
    spec = SimpleNamespace(platform=SimpleNamespace(builders=builders))
    lookup: Any = SimpleNamespace(
        graph=SimpleNamespace(spec=lambda _: spec),
        layout=SimpleNamespace(blobs=SimpleNamespace(quarantine_corrupt=list), check_replaceable=str),
        registry=None,
        results=None,
    )
    report: Any = SimpleNamespace(warn=print)
    runner = NodeRunner(lookup, None, lambda: None, report)  # type: ignore[arg-type,return-value]
    with pytest.raises(kind):
        runner._build_with_retry(Node("a", "p"), {}, no_cache=False)
    assert len(calls) == builds
