"""Measure commands over this repository's whole graph, all in ``cache/``: ``./run python benchmarks/warm``.

A clone of the last commit gets a made-up image for each node, so no engine is needed. The clock counts the
processor time of whole processes. The cases take turns, and the least time of each counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Collection
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common
from common import DOIT, REPOSITORY, call

from stagegraph.execution.decide import content_key
from stagegraph.graph.epoch import with_epoch
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.oci import documents
from stagegraph.oci.digest import sha256
from stagegraph.oci.platform import OciPlatform
from stagegraph.oci.reference import ResolvedReference
from stagegraph.project import loader
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record, content_digests

CASES: dict[str, tuple[str, ...]] = {
    "an empty doit file": (),
    "doit _stock:amd64": ("_stock:amd64",),
    "doit list": ("list",),
    "doit keys": ("keys",),
    "doit plan": ("plan",),
    "doit plan --since HEAD~40": ("plan", "--since", "HEAD~40"),
}


def fill(root: Path) -> int:
    """Give each node of a project an image, under its recipe key and its content key. Return how many."""
    project = with_epoch(loader.load(root, {}), root)
    graph, layout = Graph(project, Lock(root, _made_up)), LayoutStore(project.cache)
    records = {}
    for node in graph.order(graph.nodes):
        content = graph.key(node).encode()  # nodes with one key have one image
        config = {"rootfs": {"diff_ids": [sha256(content)]}}
        parts = [layout.blobs.add(data) for data in (json.dumps(config).encode(), content)]
        entries = [documents.descriptor("application/octet-stream", *part) for part in parts]
        manifest = {"mediaType": documents.MANIFEST, "config": entries[0], "layers": entries[1:]}
        digest, size = layout.blobs.add(json.dumps(manifest).encode())
        docker, now = graph.project.platforms[node.platform].docker, "2026-01-01T00:00:00Z"
        own, (files, image) = tuple(graph.inputs(node)), content_digests(config)
        record = Record(graph.key(node), str(node), docker, digest, size, files, image, 1.0, now, own)
        records[node] = record
        second, seen = content_key(graph, node, records.__getitem__)
        for each in (record._replace(key=second, inputs=tuple(seen)), record):
            layout.records.write(each.key.removeprefix("sha256:"), layout.document(each))
        layout.set_latest(str(node), record.key)
    return len(records)


def _made_up(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
    """Resolve an image that ``stages.lock`` lacks, without a registry."""
    manifests = {docker: sha256(f"{reference} {docker}".encode()) for docker in platforms}
    return ResolvedReference(sha256(reference.encode()), manifests, False, False)


def seconds(folder: Path, words: tuple[str, ...]) -> float:
    """Return the processor time of one call and of its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call(folder, *DOIT, *words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/warm", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds (default: 15)")
    rounds = max(1, parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as temporary:
        empty, root = Path(temporary, "empty"), Path(temporary, "project")
        empty.mkdir()
        (empty / "dodo.py").write_text("")
        call(REPOSITORY, "git", "clone", "--quiet", str(REPOSITORY), str(root))
        nodes = fill(root)
        if any(
            step["decision"] != "reuse" for step in json.loads(call(root, *DOIT, "plan", "--json"))["nodes"]
        ):
            raise SystemExit("the measured plan had work to do")
        cases = {name: partial(seconds, root if words else empty, words) for name, words in CASES.items()}
        times = {name: min(found) for name, found in _in_turns(cases, rounds).items()}
    first = times["an empty doit file"]
    table = [(f"call ({nodes} nodes)", "processor s", "ratio")]
    print(common.rows([*table, *((name, f"{t:.3f}", f"{t / first:.2f}") for name, t in times.items())]))


def _in_turns(cases: dict[str, partial[float]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            times[name].append(run())
    return times


main()
