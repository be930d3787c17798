"""Measure builds for a foreign platform: build each stage for both platforms, one by one, in one run.

    ./run python benchmarks/cold [--platforms amd64 aarch64] [STAGE ...]

Each stage is built again as ``doit verify --rebuild`` does it: on the parents in ``cache/``, without the
builder's cache, into a temporary store. So build the images first. The time includes the download of sources
and packages. Run nothing else on the machine. Compare the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from stagegraph.audit.verify import Rebuilder
from stagegraph.errors import StagegraphError
from stagegraph.execution.workspace import Workspace
from stagegraph.project.model import Node

ROOT = Path(__file__).resolve().parents[2]


def seconds(session: Workspace, node: Node) -> float:
    """Return the seconds that the build of a node takes.

    Raise ``StagegraphError`` if the build fails, or if the node or one of its parents is not in ``cache/``.
    """
    records = {}
    for needed in (node, *session.graph.parents(node)):
        record = session.layout.find(session.graph.key(needed))
        if record is None:
            raise StagegraphError(str(needed), "is not in cache/", f"build it first: ./run doit {needed}")
        records[needed] = record
    start = time.monotonic()
    rebuilder = Rebuilder(session.graph, session.layout, session.builder_into, session.report)
    finding = rebuilder.rebuild_node(node, records[node], records)
    taken = time.monotonic() - start
    if finding.result != "same":
        print(f"note: {node}: {finding.result}; ./run doit verify --rebuild {node} says how", file=sys.stderr)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/cold", description=__doc__.splitlines()[0])
    parser.add_argument(
        "stages", nargs="*", metavar="STAGE", help="default: all that stock and stock-dev need"
    )
    parser.add_argument("--platforms", nargs=2, default=["amd64", "aarch64"], metavar="PLATFORM")
    options = parser.parse_args()
    one, other = options.platforms
    total = [0.0, 0.0]
    try:
        session = Workspace.open(ROOT, {})
        goals = [Node(stage, other) for stage in ("stock", "stock-dev")]
        needed = [node.stage for node in session.graph.order(goals) if node.platform == other]
        print(f"{'stage':<20} {one:>10} {other:>10} {'ratio':>7}")
        for stage in options.stages or needed:
            times = [seconds(session, Node(stage, platform)) for platform in (one, other)]
            total = [sum(pair) for pair in zip(total, times, strict=True)]
            print(
                f"{stage:<20} {times[0]:>8.1f} s {times[1]:>8.1f} s {times[1] / times[0]:>7.2f}", flush=True
            )
    except StagegraphError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return error.exit_status
    if total[0]:
        print(f"{'all, one by one':<20} {total[0]:>8.1f} s {total[1]:>8.1f} s {total[1] / total[0]:>7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
