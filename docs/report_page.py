"""The pictures of the page of ``doit report``: a made-up run of a made-up project, drawn by Chromium.

``pictures.py`` draws them. It needs Debian's package chromium. The tests use the same run.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from stagegraph.execution.history import PastRun, parse, to_line
from stagegraph.execution.last_run import LastRun
from stagegraph.execution.last_run import parse as parse_run
from stagegraph.keys.key import Key
from stagegraph.oci.digest import sha256
from stagegraph.page.model import Facts, Outcome, view
from stagegraph.page.render import render

FOLDER = Path(__file__).parent / "_static"
THEMES = ("light", "dark")
NAMES: tuple[str, ...] = tuple(f"report-{theme}.png" for theme in THEMES)

#: Stages, in the order of the builds: parents, description, seconds of a build, kilobytes of own layers.
COPIED = ("openblas", "arrow", "redis", "pyarrow", "numpy")

STAGES: dict[str, tuple[str, str, float, int]] = {
    "base": ("", "Debian, without anything", 21.4, 28_400),
    "toolchain": ("base", "compilers, cmake and headers", 34.9, 152_000),
    "python": ("base", "the interpreter", 12.2, 9_800),
    "openblas": ("toolchain", "OpenBLAS from source", 181.3, 6_100),
    "numpy": ("toolchain python openblas", "numpy on our BLAS", 96.0, 8_200),
    "arrow": ("toolchain", "Apache Arrow for C++", 262.5, 21_700),
    "pyarrow": ("python arrow numpy", "Arrow for Python", 74.1, 12_900),
    "redis": ("toolchain", "server and client", 41.6, 2_300),
    "runtime": ("python numpy pyarrow redis", "what programs run on", 6.7, 1_200),
    "runtime-test": ("runtime", "the test of image runtime", 3.1, 0),
    "camera": ("runtime", "drivers of the camera", 18.8, 7_400),
    "camera-test": ("camera", "the test of image camera", 2.4, 0),
}
PLATFORMS = ("amd64", "aarch64")

#: What is new in the run: a new release of Redis, and a colleague's Arrow in the registry.
BUILT = ("redis", "runtime", "runtime-test", "camera", "camera-test")
PULLED = ("pyarrow",)
FOUND = ("python", "numpy")

REASONS = {
    "redis": "redis/Dockerfile:6: argument VERSION changed: 7.2.4 -> 7.4.1; redis/build.sh changed: "
    "3f1c0a9e7b22 -> 90d2e41c8f57",
    "runtime": "runtime/Dockerfile:9: parent redis changed",
    "runtime-test": "runtime/test/Dockerfile:1: parent runtime changed",
    "camera": "camera/Dockerfile:1: parent runtime changed",
    "camera-test": "camera/test/Dockerfile:1: parent camera changed",
}
STEPS = (
    ("[internal] load remote build context", 0.01, "done"),
    ("[1/4] FROM toolchain", 0.03, "cached"),
    ("[2/4] COPY build.sh /", 0.03, "done"),
    ("[3/4] RUN fetch-source redis_7.4.1.orig.tar.gz", 0.18, "done"),
    ("[4/4] RUN make -j2 && make install PREFIX=/out", 0.65, "done"),
    ("exporting to oci image format", 0.10, "done"),
)


def results() -> dict[str, Any]:
    """The content of a ``last-run.json``."""
    nodes, events, free = list[dict[str, Any]](), list[dict[str, Any]](), [0.4, 0.6]
    ready: dict[str, float] = {}
    for stage in STAGES:
        for platform in PLATFORMS:
            decision = "build" if stage in BUILT else "pull" if stage in PULLED else "reuse"
            if stage not in (*BUILT, *PULLED, *FOUND):
                continue
            name = f"{stage}:{platform}"
            after = [
                ready[f"{parent}:{platform}"]
                for parent in STAGES[stage][0].split()
                if f"{parent}:{platform}" in ready
            ]
            worker = min(range(len(free)), key=free.__getitem__)
            start = max([free[worker] if decision != "reuse" else 0.5, *after])
            usual = _seconds(stage, platform)
            took = {"build": usual, "pull": 3.0 + STAGES[stage][3] / 4000, "reuse": 0.0}[decision]
            end = ready[name] = round(start + took, 3)
            if decision != "reuse":
                free[worker] = end
            nodes.append(_node(name, decision, start, end, usual))
            events += _events(stage, name, decision, start, end)
    seconds = max(event["end"] for event in events)
    return {
        "schema": 1,
        "started": "2026-11-28T09:12:41.000+00:00",
        "goals": ["camera", "runtime"],
        "outcome": "done",
        "seconds": round(seconds, 1),
        "nodes": nodes,
        "images": {},
        "events": sorted(events, key=lambda event: float(event["start"])),
    }


def _seconds(stage: str, platform: str) -> float:
    return round(STAGES[stage][2] * (1.0 if platform == "amd64" else 1.12), 1)


def _node(name: str, decision: str, start: float, end: float, usual: float) -> dict[str, Any]:
    stage = name.partition(":")[0]
    reason = {"pull": "its key is in the registry", "reuse": "its key is in cache/"}.get(decision)
    return {
        "node": name,
        "decision": decision,
        "key": _digest(f"key of {name}"),
        "digest": _digest(f"image of {name}"),
        "seconds": round(end - start, 1),
        "reason": reason or REASONS[stage],
        "start": round(start, 3),
        "end": end,
        "changes": REASONS[stage].split("; ") if decision == "build" else [],
        "image_bytes": STAGES[stage][3] * 1000,
        "build_seconds": usual,
    }


def _digest(text: str) -> str:
    return sha256(text.encode())


def _events(stage: str, name: str, decision: str, start: float, end: float) -> list[dict[str, Any]]:
    def event(kind: str, text: str, since: float, until: float, state: str = "done") -> dict[str, Any]:
        times = {"start": round(since, 3), "end": round(until, 3)}
        return {"kind": kind, "node": name, "name": text, **times, "state": state}

    tag = f"registry.example/{stage}"
    asked = 0.02 * len(tag)
    found = [event("look-up", tag, asked, asked + 0.5)]
    if decision == "pull":
        return [*found, event("pull", tag, start + 0.1, end)]
    if decision == "reuse":
        return found
    at, steps = start + 0.3, list[dict[str, Any]]()
    for text, share, state in STEPS:
        until = at if state == "cached" else at + (end - start - 0.5) * share
        steps.append(event("step", text.replace("redis_7.4.1", stage), at, until, state))
        at = until
    kind = "test" if stage.endswith("-test") else "build"
    pushed = [event("push", tag, end, end + 1.5 + STAGES[stage][3] / 3000)] if kind == "build" else []
    return [*found, event(kind, "", start, end), *steps, *pushed]


def history() -> list[PastRun]:
    """Earlier runs: a cold start, then mostly nothing to do, and now and then a stage."""
    runs, names = list[PastRun](), [f"{stage}:{platform}" for stage in STAGES for platform in PLATFORMS]
    for number in range(34):
        first = {0: 0, 7: 10, 15: 3, 22: 14, 29: 7}.get(number, len(names))
        built = {name: _seconds(*name.split(":")) for name in names[first:]}
        pulled = {name: (2.0, _seconds(*name.split(":"))) for name in names[: 6 if number == 15 else 0][:3]}
        reused = {n: _seconds(*n.split(":")) for n in names[10:] if n not in built and n not in pulled}
        failed = {"arrow:aarch64": 50.0} if number == 6 else {}
        for name in failed:
            reused.pop(name)
        day = f"2026-11-{number // 2 + 10:02}T{9 + number % 2 * 5:02}:12:41.000+00:00"
        outcome = "failed" if failed else "done"
        took = round(sum(built.values()) / 2 + 0.2, 1)
        runs.append(PastRun(day, ("camera", "runtime"), outcome, took, built, pulled, reused, failed))
    last = parse(to_line(results()))
    assert last
    return [*runs, last]


def facts() -> Facts:
    """All that the page is made from."""
    run: LastRun = parse_run(results())
    names = [f"{stage}:{platform}" for stage in STAGES for platform in PLATFORMS]
    return Facts(
        title="example/robots",
        goals=run.goals,
        parents={
            f"{stage}:{platform}": [f"{parent}:{platform}" for parent in STAGES[stage][0].split()]
            for stage in STAGES
            for platform in PLATFORMS
        },
        copies=frozenset(
            (f"{parent}:{platform}", f"{stage}:{platform}")
            for stage, (parents, *_) in STAGES.items()
            for parent in parents.split()
            for platform in PLATFORMS
            if parent in COPIED
        ),
        outcomes={
            n.node: Outcome(
                n.decision, n.reason, Key(n.key), n.digest, round(n.end - n.start, 1), n.start, n.changes
            )
            for n in run.nodes
        },
        descriptions={name: STAGES[name.partition(":")[0]][1] for name in names},
        build_seconds={name: _seconds(*name.split(":")) for name in names},
        sizes={name: _sizes(name) for name in names},
        run=run,
        history=history(),
    )


def _sizes(name: str) -> tuple[int, int]:
    """The bytes of own layers, and of all layers, of an image."""
    stage, _, platform = name.partition(":")
    whole, at = 0, stage
    while at:
        whole += STAGES[at][3] * 1000
        at = STAGES[at][0].split()[-1] if at in ("runtime-test", "camera", "camera-test") else ""
    base = 28_400_000 if stage not in ("base", "openblas", "arrow", "redis") else 0
    scale = 1.0 if platform == "amd64" else 0.93
    return int(STAGES[stage][3] * 1000 * scale), int((whole + base) * scale)


# -- pictures ------------------------------------------------------------------------------------


def draw() -> None:
    """Draw the page as PNG files, in both themes. Ends the program if there is no Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no chromium: apt-get install -y chromium")
    page_text = render(view(facts())).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for theme in THEMES:
            scheme: Any = theme
            page = browser.new_page(
                viewport={"width": 1300, "height": 1330},
                color_scheme=scheme,
                timezone_id="UTC",
                locale="en-GB",
            )
            page.set_content(page_text)
            picture = Image.open(io.BytesIO(page.screenshot()))
            path = FOLDER / f"report-{theme}.png"
            # the colours of small texts count as well as those of large areas
            picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                path, optimize=True
            )
        browser.close()
