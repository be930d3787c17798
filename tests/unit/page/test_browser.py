"""The page in a browser: mouse, keyboard, themes, and a phone. Needs Debian's package chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_page
from playwright.sync_api import Browser, Page, sync_playwright

from stagegraph.page.model import view
from stagegraph.page.render import render

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install -y chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(render(view(report_page.facts())))
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Callable[..., Page]]:
    """Open the page. The test fails if the page says anything on its console, or loads something."""
    pages, said = list[Page](), list[str]()

    def open_page(width: int = 1280, **options: Any) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []


def shown(page: Page) -> str:
    return page.locator("#details h2").inner_text()


def test_a_click_shows_a_node(opened: Callable[..., Page]) -> None:
    page = opened()
    assert shown(page) == "redis:aarch64"
    page.locator(".node", has_text="camera-test").first.click()
    assert shown(page) == "camera-test:aarch64"
    text = page.locator("#details").inner_text()
    assert "camera/test/Dockerfile:1: parent camera changed" in text
    assert "sha256:" in text and "RUN make -j2" in text
    page.get_by_role("button", name="camera:aarch64", exact=True).first.click()  # what it uses
    assert shown(page) == "camera:aarch64"
    page.locator("#timeline").get_by_role("button", name="redis:amd64: built").click()
    assert shown(page) == "redis:amd64"


def test_the_keyboard_reaches_every_node(opened: Callable[..., Page]) -> None:
    page = opened()

    def focused() -> str:
        label = page.evaluate("document.activeElement.getAttribute('aria-label') || ''")
        return str(label).split(": ")[0]

    for _ in range(12):  # from the top of the page into the graph
        page.keyboard.press("Tab")
        if focused() == "redis:aarch64":
            break
    assert focused() == "redis:aarch64"
    assert (
        page.evaluate("getComputedStyle(document.activeElement.querySelector('rect')).strokeWidth") == "3px"
    )
    page.keyboard.press("ArrowRight")
    assert focused() == "runtime:aarch64"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert shown(page) == "redis:aarch64"  # moving chooses nothing
    page.keyboard.press("Enter")
    assert shown(page) == focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press(" ")
    assert shown(page) == focused()
    page.keyboard.press("Tab")  # out of the graph: it is one stop
    assert page.evaluate("document.activeElement.closest('#graph')") is None


def test_a_phone_does_not_scroll_sideways(opened: Callable[..., Page]) -> None:
    page = opened(360, has_touch=True, is_mobile=True)
    for details in page.locator("details").all():
        details.evaluate("(made) => { made.open = true }")
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter((made) => !made.closest('.canvas, .track, .symbols')"
        " && made.getBoundingClientRect().right > innerWidth + 1).map((made) => made.outerHTML.slice(0, 90))"
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".node", has_text="pyarrow").first.tap()
    assert shown(page) == "pyarrow:aarch64"


def background(page: Page) -> int:
    """How bright the page is, from 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return int(str(colour).partition("(")[2].partition(",")[0])


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_page_is_dark_if_the_system_is_or_the_reader_says_so(
    opened: Callable[..., Page], scheme: str, dark: bool
) -> None:
    page = opened(color_scheme=scheme)
    assert (background(page) < 60) == dark
    button = page.get_by_role("button", name="Theme")
    button.click()
    assert button.inner_text() == "Theme: light" and background(page) > 200
    button.click()
    assert button.inner_text() == "Theme: dark" and background(page) < 60
    page.reload()
    assert button.inner_text() == "Theme: dark" and background(page) < 60  # it is kept
    button.click()
    assert button.inner_text() == "Theme: auto" and (background(page) < 60) == dark


CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (made) => {
    for (let each = made; each; each = each.parentElement) {
      const own = each.matches(".node") ? getComputedStyle(each.querySelector("rect")).fill
        : getComputedStyle(each).backgroundColor;
      if (pixel(own)[3] === 255) return pixel(own);
    }
  };
  const low = [];
  for (const made of document.querySelectorAll("main *, header *")) {
    const says = [...made.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!says || made.closest(".hidden, .bar")) continue;
    const style = getComputedStyle(made);
    const colour = made instanceof SVGElement ? style.fill : style.color;
    const [one, other] = [light(pixel(colour)), light(behind(made))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) low.push(`${made.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(low)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(opened: Callable[..., Page], scheme: str) -> None:
    """At least 4.5:1, as the Web Content Accessibility Guidelines 2.2 ask for (1.4.3)."""
    page = opened(color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
