"""Markets for tests, and sessions over them with a paper venue of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine import Book, load
from engine.home import shipped_home
from engine.journal.events import Decided, Event
from engine.journal.reader import read
from engine.market import Choice, Feed, MarketFiles, Quote, Trade, WarmUp
from engine.market import Event as MarketEvent
from engine.routing.sessions.session import Ending
from engine.routing.sessions.source import MarketSource, open_market
from engine.routing.sessions.start import JOURNAL, Running, SessionOptions, open_embedded
from engine.routing.shape import SessionShape

START_MS = 1_700_000_040_000
"""A whole minute."""
SYMBOL = "BTCUSDT"

_E = TypeVar("_E", bound=Event)


def quote(after_ms: int, bid: float, ask: float, symbol: str = SYMBOL) -> Quote:
    return Quote(symbol, START_MS + after_ms, bid, ask, 2.0, 3.0)


def trade(after_ms: int, price: float, symbol: str = SYMBOL) -> Trade:
    return Trade(symbol, START_MS + after_ms, price, 1.0, is_buyer_maker=False)


def hand_made(events: Iterable[MarketEvent]) -> MarketSource:
    """A market of these events and no bars before them."""
    kept = tuple(events)
    symbols = tuple(sorted({event.symbol for event in kept}))
    feed = Feed("hand-made", symbols, {symbol: WarmUp() for symbol in symbols}, lambda: iter(kept))
    return MarketSource(feed, MarketFiles(), ())


def made_up(*symbols: str) -> MarketSource:
    """Three minutes of the generated market, of some symbols."""
    return open_market(SessionShape(generated_s=180.0), generated=True, choice=Choice(symbols))


@cache
def shipped(profile: str) -> Book:
    return load(profile, shipped_home())


@dataclass(frozen=True)
class Ran:
    """A session that is over."""

    running: Running
    ending: Ending
    logs: Path

    @cached_property
    def events(self) -> list[Event]:
        return list(read(self.logs / JOURNAL))

    def of(self, kind: type[_E]) -> list[_E]:
        return [event for event in self.events if isinstance(event, kind)]

    def records(self, policy: str) -> list[dict[str, Any]]:
        """The records of a policy's decisions."""
        return [msgspec.json.decode(event.record) for event in self.of(Decided) if event.policy == policy]

    @property
    def lines(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.logs / JOURNAL).glob("*.jsonl"))]


def options(logs: Path, profile: str = "prod", **given: Any) -> SessionOptions:
    return SessionOptions(profile=profile, home=shipped_home(), logs=logs, **{"baselines": False, **given})


def run(market: MarketSource, logs: Path, profile: str = "prod", **given: Any) -> Ran:
    """A whole session; `given` are options of it."""
    running = open_embedded(options(logs, profile, **given), market)
    return Ran(running, asyncio.run(running.run()), logs)
