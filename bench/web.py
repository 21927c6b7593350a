"""The dashboard in a browser: how soon it is there, and whether it keeps up with a busy desk.

The server is a process of its own; headless Chromium opens the page of health over 200 symbols, each time as for the
first time, with nothing in its cache. Then the feed of decisions and the page of health stay open while 50 route
decisions a second are journaled, and a snapshot of all symbols every five seconds. When a decision stands in the page
is told by the browser's clock, when it was written by ours: the same clock, on one machine. All of them are waited for:
a page that fell behind would show in the last ones, and one that left some out in those that never came.

What else runs on the machine only makes it worse, so of several openings the best stands for the dashboard.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import TimeoutError as BrowserTimeout

from bench._inputs import routing_facts
from bench._measure import Reach, Report, run
from engine.book import Book
from engine.book import load as load_book
from engine.home import shipped_home
from engine.journal.events import Decided, Event, Routed, SessionStarted
from engine.journal.folder import DAY_MS, day_path
from engine.journal.lines import encode
from engine.routing.evidence.health import Health
from engine.web.access import access_to
from engine.web.pages.mount import mount
from engine.web.server import Listening, Settings, Web
from engine.web.sources import JournalSource

SYMBOLS = 200
PER_S = 50
_OPENINGS = 7
_BUSY_S = 20.0
_SNAPSHOT_EVERY_S = 5.0
_PATIENCE_MS = 30_000

_WATCH = """() => {
  window.arrived = {};
  const note = (row) => {
    const link = row.querySelector && row.querySelector("a[href^='/decisions/']");
    if (link) window.arrived[link.getAttribute("href").slice(11)] ??= Date.now();
  };
  new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach(note)))
    .observe(document.body, { childList: true, subtree: true });
}"""


@dataclass
class _Holdings:
    positions: Mapping[str, Decimal] = field(default_factory=dict)
    cash: Decimal = Decimal(1_000_000)
    fees: Decimal = Decimal(0)


class _Desk:
    """A journal of many symbols, written as fast as it is asked for."""

    def __init__(self, folder: Path, book: Book, symbols: int) -> None:
        self._folder = folder
        self._symbols = [f"S{number:03}USDT" for number in range(symbols)]
        self._facts = [facts for facts in routing_facts(4 * symbols) if _is_plain(facts)][: 2 * symbols]
        self._book = book
        self._health = Health(book, self._symbols, self, _Holdings())
        self._seq = 0
        self._made = 0
        folder.mkdir(parents=True)
        started = SessionStarted(
            ts_ms=_now_ms(),
            profile=book.profile,
            rulebook=book.version,
            sources=book.rulebook.sources_digest,
            venue="paper",
            market="made up",
            nav_usd=1e6,
        )
        self._write([started])

    def groups(self, symbol: str, now_ms: int) -> Mapping[str, Any]:
        """What is known of a symbol, for a snapshot."""
        facts = self._facts[self._symbols.index(symbol)]
        shift = now_ms / 1000 - facts["now"]
        return {
            name: {**held, "observed_at": held["observed_at"] + shift} if "observed_at" in held else held
            for name, held in facts.items()
            if isinstance(held, dict) and name not in ("intent", "decisions")
        }

    def decide(self) -> str:
        """Journal one route decision; its id."""
        number, now_ms = self._made, _now_ms()
        self._made += 1
        symbol, facts = self._symbols[number % len(self._symbols)], self._facts[number % len(self._facts)]
        intent_id = f"{symbol}-{number}"
        decision = self._book.decide("routing", {**facts, "symbol": symbol, "intent_id": intent_id})
        values = decision.values
        record = msgspec.Raw(decision.json().encode())
        routed = Routed(
            ts_ms=now_ms,
            intent_id=intent_id,
            symbol=symbol,
            side="buy",
            route=str(values["route"]),
            reason=decision.reason,
            vetoes=list(decision.vetoes),
            decision_id=decision.decision_id,
            target=Decimal(1),
            is_exit=False,
            quality=str(values["quality"]),
            bias=float(values["bias"]),
            offset_bps=float(values["offset_bps"]),
            spread_bps=2.0,
        )
        self._write([Decided(ts_ms=now_ms, intent_id=intent_id, policy="routing", record=record), routed])
        return decision.decision_id

    def snapshot(self) -> None:
        """Journal a snapshot of all symbols."""
        self._write([self._health.snapshot(_now_ms())])

    def _write(self, events: list[Event]) -> None:
        for event in events:
            self._seq += 1
            numbered = msgspec.structs.replace(event, seq=self._seq)
            self._health.see(numbered)
            with day_path(self._folder, event.ts_ms // DAY_MS).open("ab") as stream:
                stream.write(encode(numbered) + b"\n")


def _is_plain(facts: Mapping[str, Any]) -> bool:
    """Whether facts can be written to a journal as they are, and each group is one."""
    try:
        return bool(msgspec.json.decode(msgspec.json.encode(facts)) == facts) and all(
            isinstance(held, dict) and isinstance(held.get("observed_at", 0.0), float)
            for name, held in facts.items()
            if name not in ("now", "symbol", "intent_id")
        )
    except (TypeError, ValueError):
        return False


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _serve(pipe: Connection, logs: str) -> None:
    """The server's process. Says where it answers, and ends with the pipe."""
    folder = Path(logs)
    book = load_book("prod", shipped_home()).warm()
    web = Web(book, folder, JournalSource(folder / "journal"), access_to("127.0.0.1", None, {}), Settings(port=0))
    mount(web, shipped_home(), folder)
    listening = Listening(web)
    listening.start()
    pipe.send(listening.url)
    pipe.recv()
    listening.stop()


def measure(openings: int = _OPENINGS, busy_s: float = _BUSY_S, symbols: int = SYMBOLS) -> Report:
    """A server with a past, a browser, and a desk that gets busy."""
    report = Report("web")
    path = shutil.which("chromium")
    if path is None:
        sys.exit("no browser to measure in: apt-get install chromium")
    book = load_book("prod", shipped_home()).warm()
    context = multiprocessing.get_context("spawn")
    pipe, its_pipe = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        desk = _Desk(Path(folder) / "journal", book, symbols)
        for _ in range(10 * symbols):  # what was decided before anybody looked
            desk.decide()
        desk.snapshot()
        server = context.Process(target=_serve, args=(its_pipe, folder), daemon=True)
        server.start()
        try:
            url = pipe.recv()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                paints, rows = zip(*_opened(browser, url, openings, symbols), strict=True)
                lags, lost = _busy(browser, url, desk, busy_s)
                browser.close()
        finally:
            pipe.send(False)
            server.join(10)
            server.kill()
    report.add("first paint", min(paints), "s", Reach("<=", 1.0))
    report.add("first paint, median opening", statistics.median(paints), "s")
    report.add(f"{symbols} symbols are there", min(rows), "s")
    cuts = statistics.quantiles(lags, n=100)
    report.add("decision to page, p50", cuts[49], "s")
    report.add("decision to page, p99", cuts[98], "s", Reach("<=", 1.0))
    report.add("decision to page, the last ones", statistics.median(lags[-PER_S:]), "s", Reach("<=", 1.0))
    report.add("decisions that never came", lost, "", Reach("<=", 0))
    report.note(f"{len(lags) + lost} decisions, {PER_S} a second, over {symbols} symbols")
    return report


def _opened(browser: Browser, url: str, times: int, symbols: int) -> Iterator[tuple[float, float]]:
    """Seconds from the click to the first content, and to the last symbol, of each opening."""
    for _ in range(times):
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.wait_for_function(f"document.querySelectorAll('#health-rows tbody tr').length == {symbols}")
        rows_ms = page.evaluate("performance.now()")
        paint_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        context.close()
        yield paint_ms / 1000, rows_ms / 1000


def _busy(browser: Browser, url: str, desk: _Desk, seconds: float) -> tuple[list[float], int]:
    """Seconds from the write of each decision until it stands in the feed, in order; and how many never did."""
    context = browser.new_context()
    health, feed = context.new_page(), context.new_page()
    health.goto(url)
    feed.goto(f"{url}/decisions")
    for page in (health, feed):  # what stands there before is the first paint, to which nothing is sent yet
        page.wait_for_function("window.did_handshake")
    feed.wait_for_selector("#app #feed tr")
    feed.evaluate(_WATCH)
    written: dict[str, int] = {}
    start = time.monotonic()
    next_snapshot_s = _SNAPSHOT_EVERY_S
    for number in range(int(seconds * PER_S)):
        while (ahead_s := number / PER_S - (time.monotonic() - start)) > 0:
            time.sleep(ahead_s)
        decision_id = desk.decide()
        written[decision_id] = _now_ms()
        if time.monotonic() - start > next_snapshot_s:
            desk.snapshot()
            next_snapshot_s += _SNAPSHOT_EVERY_S
    with contextlib.suppress(BrowserTimeout):  # those that are missing are counted
        feed.wait_for_function(f"Object.keys(window.arrived).length >= {len(written)}", timeout=_PATIENCE_MS)
    arrived = feed.evaluate("window.arrived")
    context.close()
    lags = [(arrived[decision_id] - at_ms) / 1000 for decision_id, at_ms in written.items() if decision_id in arrived]
    return lags, len(written) - len(lags)


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
