"""What a stream can show."""

from __future__ import annotations

import io

import pytest

from stagegraph.system.terminal import has_colours, is_live

pytestmark = pytest.mark.unit


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "live", "colours"),
    [
        (Terminal(), {}, True, True),
        (Terminal(), {"NO_COLOR": "1"}, True, False),
        (Terminal(), {"NO_COLOR": ""}, True, True),  # https://no-color.org: not an empty string
        (Terminal(), {"CI": "true"}, False, False),
        (Terminal(), {"TERM": "dumb"}, False, False),
        (io.StringIO(), {}, False, False),
    ],
)
def test_streams(
    monkeypatch: pytest.MonkeyPatch,
    stream: io.StringIO,
    variables: dict[str, str],
    live: bool,
    colours: bool,
) -> None:
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (is_live(stream), has_colours(stream)) == (live, colours)
