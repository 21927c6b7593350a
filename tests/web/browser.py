"""A browser and a session to look at: headless Chromium, and `sluice run --web` over a market that goes on.

Pictures of pages are kept in the folder that `SLUICE_SCREENSHOTS` names, else in `build/screenshots`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from engine.home import init_workspace
from tests.web.world import TOKEN

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("SLUICE_SCREENSHOTS") or ROOT / "build" / "screenshots")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WITHIN_MS = 20_000
expect.set_options(timeout=WITHIN_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a screen; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no browser: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Serving:
    """A server in a process of its own."""

    url: str
    home: Path
    logs: Path


@contextmanager
def serving(home: Path, logs: Path, *arguments: str, command: str = "run") -> Iterator[Serving]:
    """`sluice run --web`, or `sluice serve`, at a free port, over a home that may be edited."""
    if not home.exists():
        init_workspace(home)
    process = subprocess.Popen(
        [sys.executable, "cli.py", command, "--home", str(home), "--logs", str(logs), "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "SLUICE_TOKEN": TOKEN},
    )
    try:
        assert process.stdout is not None
        found = next((match for line in process.stdout if (match := re.search(r"http://[^\s\"]+", line))), None)
        assert found is not None, "it ended before it listened"
        yield Serving(found[0], home, logs)
    finally:
        process.kill()
        process.communicate()


@dataclass
class Watched:
    """A page, and everything it complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a path, and wait until the page is there and hears the server."""
        self.page.goto(self.url + path)
        self.page.wait_for_selector("#app #main h1", timeout=WITHIN_MS)
        self.page.wait_for_function("window.did_handshake", timeout=WITHIN_MS)
        return self.page


@contextmanager
def watched(browser: Browser, url: str, width: int = 1280, theme: str = "light") -> Iterator[Watched]:
    """A page of this width and theme; fails at the end if it complained, or asked anybody else for anything."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    page.set_default_timeout(WITHIN_MS)
    seen = Watched(page, url)
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))

    def asked(request: Request) -> None:
        if not request.url.startswith((url, url.replace("http", "ws", 1), "data:", "blob:")):
            seen.complaints.append(f"asked {request.url}")

    page.on("request", asked)
    yield seen
    context.close()
    assert seen.complaints == []


def until(holds: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """Wait for something to hold."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"did not happen: {what}"
        time.sleep(0.05)


def picture(page: Page, name: str) -> None:
    """Keep what the page looks like."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


_UNREADABLE = """() => {
  const parts = (text) => { const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number); return { r, g, b, a: a ?? 1 }; };
  const mix = (over, under, name) => over[name] * over.a + under[name] * (1 - over.a);
  const on = (over, under) => ({ r: mix(over, under, "r"), g: mix(over, under, "g"), b: mix(over, under, "b"), a: 1 });
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = (colour) => 0.2126 * linear(colour.r) + 0.7152 * linear(colour.g) + 0.0722 * linear(colour.b);
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const element = texts.currentNode.parentElement;
    if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const over = [];
    for (let each = element; each; each = each.parentElement) over.unshift(getComputedStyle(each));
    let back = { r: 255, g: 255, b: 255, a: 1 };
    for (const style of over) back = on(parts(style.backgroundColor), back);
    const style = getComputedStyle(element);
    const colour = parts(style.color);
    colour.a *= over.reduce((opacity, each) => opacity * Number(each.opacity), 1);
    const [dark, bright] = [light(on(colour, back)), light(back)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const isSign = element.classList.contains("q-icon") || element.closest("[aria-hidden=true]");
    const says = `${contrast.toFixed(2)} ${element.className}: ${text.slice(0, 40)}`;
    if (contrast < (isLarge || isSign ? 3 : 4.5)) found.add(says);
  }
  return [...found];
}"""
"""By the contrast of WCAG 2, level AA."""


def unreadable(page: Page) -> list[str]:
    """Texts that stand out too little from what is behind them: their contrast, class and first words."""
    found: list[str] = page.evaluate(_UNREADABLE)
    return found
