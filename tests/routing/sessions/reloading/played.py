"""A session that a test plays quote by quote, over a home that it edits, and a candidate beside it."""

from __future__ import annotations

import asyncio
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.book import Book
from engine.home import shipped_home
from engine.journal.events import Decided, Event, RulebookLoaded, SessionStarted
from engine.journal.reader import read
from engine.market import Quote
from engine.reload.pipeline import Accepted, Gate, Refused, Unchanged
from engine.reload.read import read_home
from engine.reload.requests import Answer, Request, new_id
from engine.routing.intents import Intent
from engine.routing.sessions.reloading.beside import Reloading
from engine.routing.sessions.reloading.options import ReloadOptions
from engine.routing.sessions.start import JOURNAL, PAPER, Running, open_embedded
from engine.venues.paper import PaperVenue
from tests.routing.markets import START_MS, SYMBOL, hand_made, options

E = TypeVar("E", bound=Event)


OTHER = "ETHUSDT"


class Session:
    """A session that a test plays quote by quote, over a home that it edits."""

    def __init__(self, folder: Path, profile: str = "testnet", gate: Gate = "findings") -> None:
        self.home = folder / "home"
        if not self.home.exists():
            for name in ("rules", "policies", "profiles"):
                shutil.copytree(shipped_home() / name, self.home / name)
        self.logs = folder / "logs"
        self.profile = profile
        self.gate = gate
        self.now_ms = START_MS
        self.count = 0
        self.running: Running = self.open()

    def open(self) -> Running:
        market = hand_made([Quote(symbol, START_MS, 100.0, 100.02, 500.0, 500.0) for symbol in (SYMBOL, OTHER)])
        given = options(self.logs, self.profile, telemetry="generated", reload=ReloadOptions(gate=self.gate))
        chosen = replace(given, home=self.home)
        running = open_embedded(chosen, market)
        book = running.desk.book
        running.desk.router.emit(
            SessionStarted(
                ts_ms=START_MS,
                profile=book.profile,
                rulebook=book.version,
                sources=book.rulebook.sources_digest,
                venue="paper",
                market="hand-made",
                nav_usd=1e6,
                settings={PAPER: {}},
            )
        )
        running.desk.start(START_MS)
        return running

    @property
    def reloading(self) -> Reloading:
        assert self.running.reloading is not None
        return self.running.reloading

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.home / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def save(self) -> Accepted | Refused | Unchanged:
        """What becomes of the home as it is now."""
        return asyncio.run(self.reloading.changes.consider(read_home(self.home).files, "files", "Ada"))

    def ask(self, action: Any, **given: Any) -> Answer:
        request = Request(id=new_id(), action=action, who="Ada", **given)
        return asyncio.run(self.reloading.commands.answer(request))

    def order(self, symbol: str = SYMBOL, **facts: Any) -> str:
        """A quote, and an intent that asks to rest; the id of the intent."""
        desk, self.now_ms = self.running.desk, self.now_ms + 1000
        assert isinstance(desk.venue, PaperVenue)
        quote = Quote(symbol, self.now_ms, 100.0, 100.02, 500.0, 500.0)
        desk.venue.see(quote)
        desk.see(quote)
        self.count += 1
        intent = {
            "side": "buy",
            "qty": 2.0,
            "order_type": "market",
            "maker_requested": True,
            "maker_price": 100.0,
            "maker_qty": 2.0,
            "reduce_only": False,
            **facts,
        }
        intent_id = f"i{self.count}"
        desk.router.on_request(Intent(intent_id, symbol, intent, None, None), self.now_ms)
        desk.settle()
        desk.hear(self.now_ms + 900)
        desk.settle()
        return intent_id

    def events(self, kind: type[E]) -> list[E]:
        self.running.desk.settle()
        return [event for event in read(self.logs / JOURNAL) if isinstance(event, kind)]

    def versions(self, intent_id: str) -> set[str]:
        """The rulebooks that decided an intent."""
        mine = [event for event in self.events(Decided) if event.intent_id == intent_id]
        return {msgspec.json.decode(event.record)["rulebook"] for event in mine}

    def close(self) -> None:
        self.running.journal.close()


SLIPPAGE = ("profiles/testnet.yaml", "broken_slippage_bps: {value: 50", "broken_slippage_bps: {value: 45")

REFUTED = ("profiles/base.yaml", "probe.enabled: false", "probe.enabled: true")
"""What an invariant of `prod` does not let be."""


def loaded(book: Book) -> RulebookLoaded:
    version, sources = book.version, book.rulebook.sources_digest
    return RulebookLoaded(ts_ms=0, profile=book.profile, rulebook=version, sources=sources)


def hold_up(session: Session) -> tuple[threading.Event, threading.Event]:
    """Have the next change wait before its dry run: set when it does, and to be set for it to go on."""
    waits, goes_on = threading.Event(), threading.Event()

    def past() -> tuple[()]:
        waits.set()
        assert goes_on.wait(60)
        return ()

    looking = session.reloading.changes
    looking.pipeline = replace(looking.pipeline, past=past)
    return waits, goes_on


def side(session: Session) -> str:
    return f"{session.home.parent / 'other'}:testnet"
