"""Markets for tests: hand-made ones, and sessions over the generated one that several tests look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from engine import Book, load
from engine.home import shipped_home
from engine.market import Event, Feed, MarketFiles, Quote, Trade, WarmUp
from engine.routing import MarketSource, Session, SessionShape, Step, Tally, open_market

START_MS = 1_700_000_040_000
"""A whole minute."""
SYMBOL = "BTCUSDT"


def quote(after_ms: int, bid: float, ask: float, symbol: str = SYMBOL) -> Quote:
    return Quote(symbol, START_MS + after_ms, bid, ask, 2.0, 3.0)


def trade(after_ms: int, price: float, symbol: str = SYMBOL) -> Trade:
    return Trade(symbol, START_MS + after_ms, price, 1.0, is_buyer_maker=False)


def hand_made(events: Iterable[Event]) -> MarketSource:
    """A market of these events and no bars before them."""
    kept = tuple(events)
    symbols = tuple(sorted({event.symbol for event in kept}))
    feed = Feed("hand-made", symbols, {symbol: WarmUp() for symbol in symbols}, lambda: iter(kept))
    return MarketSource(feed, MarketFiles(), ())


@cache
def shipped(profile: str) -> Book:
    return load(profile, shipped_home())


@dataclass(frozen=True)
class Ran:
    """A session that is over."""

    session: Session
    steps: tuple[Step, ...]
    tally: Tally


def run(market: MarketSource, shape: SessionShape, profile: str = "prod") -> Ran:
    session = Session(shipped(profile), market, shape)
    tally = Tally(session.book, market.feed.symbols)
    steps = []
    for step in session:
        tally.add(step)
        steps.append(step)
    return Ran(session, tuple(steps), tally)


@cache
def generated(profile: str) -> Ran:
    """The whole generated market at default numbers."""
    return run(open_market(SessionShape(), generated=True), SessionShape(), profile)


def records(ran: Ran) -> list[str]:
    return [step.routed.routing.json() for step in ran.steps]
