"""How fast the router is: intents a second, time from intent to order, and market events a second without intents.

Everything is the real thing in one process and on one core: the compiled `prod` rulebook, the journal on disk, the
embedded paper venue, all views. An intent is admitted, routed, sent, filled and ended: some eleven events of the
journal, 7 kB. One in four rests as maker until it expires, and is looked at meanwhile.

The rate is taken over processor time, so that others on the machine do not count; the latency is real time, from the
moment an intent is due (open loop: one a millisecond, whether or not the one before it is done) to the moment its order
is handed to the venue, journal commit included. Without fsync a commit outlives the end of the process and not that of
the machine; with it, the disk decides how long it takes. The replay is of recorded BTCUSDT and ETHUSDT quotes and
trades where they are present, read from their files, else of a generated market.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bench._measure import Reach, Report, run
from engine import load
from engine.book import Book
from engine.journal.events import SessionStarted
from engine.journal.writer import ALWAYS, NEVER, FsyncPolicy, Journal
from engine.market import Event, Quote, data_dir, paced
from engine.routing.facts import SymbolFacts
from engine.routing.intents import Intent
from engine.routing.sessions.collector import quiet_collector
from engine.routing.sessions.desk import Desk, Imports, Surroundings
from engine.routing.sessions.generated_samples import generated_samples
from engine.routing.sessions.session import Embedded
from engine.routing.sessions.source import open_market
from engine.routing.sessions.strategy import Due
from engine.routing.shape import SessionShape
from engine.venues.messages import Place, Request
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.rules import SymbolRules

SYMBOL = "BTCUSDT"
RULES = {SYMBOL: SymbolRules(SYMBOL, Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(1000), Decimal(100))}
START_MS = 1_700_000_000_000
RISK = {"risk_mode": "normal", "halted": False, "symbol_disabled": False}


class Steady:
    """A strategy that wants to trade at a steady rate, in turns of both sides."""

    name = "steady"

    def __init__(self, count: int, per_s: int) -> None:
        self._count, self._per_s, self._sent = count, per_s, 0

    def next_ms(self) -> int | None:
        """When the next intent is due."""
        return None if self._sent >= self._count else START_MS + 1000 + self._sent * 1000 // self._per_s

    def see(self, event: Event) -> None:
        """It does not look at the market."""

    def rest(self) -> Sequence[Due]:
        """Nothing is left over."""
        return ()

    def take(self, now_ms: int) -> Sequence[Due]:
        """What is due."""
        due: list[Due] = []
        while (at_ms := self.next_ms()) is not None and at_ms <= now_ms:
            due.append(Due(intent(self._sent), ""))
            self._sent += 1
        return due


def intent(number: int) -> Intent:
    """One in four asks to rest."""
    side = "buy" if number % 2 else "sell"
    facts: dict[str, Any] = {
        "side": side,
        "qty": 0.005,
        "order_type": "market",
        "maker_requested": number % 4 == 0,
        "maker_price": 60000.0 if side == "buy" else 60000.1,
        "maker_qty": 0.005,
        "reduce_only": False,
    }
    return Intent(f"i-{number}", SYMBOL, facts, None, 0.5)


def market(seconds: float) -> list[Event]:
    """A quote every 10 ms."""
    quotes = range(START_MS, START_MS + round(seconds * 1000), 10)
    return [Quote(SYMBOL, at_ms, 60000.0, 60000.1, 10.0, 10.0 + at_ms % 7) for at_ms in quotes]


class Handed(PaperVenue):
    """A paper venue that notes when an order is handed to it."""

    handed_at = 0.0

    def send(self, request: Request, now_ms: int) -> None:
        """Take a request."""
        if isinstance(request, Place):
            self.handed_at = perf_counter()
        super().send(request, now_ms)


def desk_of(book: Book, logs: Path, venue: PaperVenue, symbols: dict[str, SymbolFacts], fsync: FsyncPolicy) -> Desk:
    """A desk on a journal of its own, with a week of effectiveness."""
    journal = Journal(logs / "journal", fsync=fsync, checkpoint=lambda ts_ms: desk.checkpoint(ts_ms))  # noqa: PLW0108
    imports = {
        symbol: Imports("generated", samples, redate=True)
        for symbol, samples in generated_samples(7, symbols, START_MS).items()
    }
    desk = Desk(book, journal, venue, Surroundings(logs, RULES, symbols, 3.0, risk=RISK, imports=imports))
    return desk


def started(book: Book) -> SessionStarted:
    """The first event of a session."""
    return SessionStarted(
        ts_ms=START_MS,
        profile=book.profile,
        rulebook=book.version,
        sources=book.rulebook.sources_digest,
        venue="paper",
        market="bench",
        nav_usd=1e9,
    )


def rate(book: Book, count: int, per_s: int, fsync: FsyncPolicy = NEVER) -> float:
    """Intents a second of processor time."""
    with tempfile.TemporaryDirectory() as folder:
        venue = PaperVenue(RULES, PaperSettings(uplink_ms=1, downlink_ms=1))
        symbols = {SYMBOL: SymbolFacts(SYMBOL, SessionShape())}
        desk = desk_of(book, Path(folder), venue, symbols, fsync)
        session = Embedded(desk, Steady(count, per_s), started(book))
        events = market(count / per_s + 3)
        with quiet_collector():
            start = process_time()
            asyncio.run(session.run(paced(events), venue))
            elapsed = process_time() - start
        desk.journal.close()
    return count / elapsed


def latencies_ms(book: Book, count: int, fsync: FsyncPolicy = NEVER) -> list[float]:
    """From the moment each intent is due to the moment its order is handed over, in real time, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        venue = Handed(RULES, PaperSettings(uplink_ms=1, downlink_ms=1))
        symbols = {SYMBOL: SymbolFacts(SYMBOL, SessionShape())}
        desk = desk_of(book, Path(folder), venue, symbols, fsync)
        desk.router.now_ms = START_MS
        desk.router.emit(started(book))
        taken: list[float] = []
        warm_up = 200
        with quiet_collector():
            began = perf_counter() + 0.05 - 0.001 * warm_up
            for number in range(-warm_up, count):
                due = began + 0.001 * (number + warm_up)
                while perf_counter() < due:
                    pass
                now_ms = START_MS + 1000 + number
                quote = Quote(SYMBOL, now_ms, 60000.0, 60000.1, 10.0, 10.0 + number % 7)
                venue.see(quote)
                desk.see(quote)
                desk.hear(now_ms)
                desk.router.on_request(intent(number + warm_up), now_ms)
                desk.router.commit()
                if number >= 0:
                    taken.append((venue.handed_at - due) * 1000)
        desk.journal.close()
    return sorted(taken)


def replay(book: Book, data: Path | None) -> tuple[float, str]:
    """Market events a second of processor time, reading included; and what was replayed."""
    shape = SessionShape()
    files: list[Path] = []
    if data is not None:
        um = data / "binance_vision" / "um"
        for symbol in ("BTCUSDT", "ETHUSDT"):
            files += sorted((um / "bookTicker").glob(f"{symbol}-*2024-08-08*"))
            files += sorted((um / "trades").glob(f"{symbol}-*2024-08-08*"))
    source = open_market(shape, files) if files else open_market(shape, generated=True)
    feed = source.feed
    with tempfile.TemporaryDirectory() as folder:
        rules = dict.fromkeys(feed.symbols, RULES[SYMBOL])
        venue = PaperVenue(rules, PaperSettings())
        symbols = {
            symbol: SymbolFacts(symbol, shape, bars_of=source.bars_of(symbol), warm_up=feed.warm_up[symbol].bars)
            for symbol in feed.symbols
        }
        desk = desk_of(book, Path(folder), venue, symbols, NEVER)
        session = Embedded(desk, Steady(0, 1), started(book))
        with quiet_collector():
            start = process_time()
            ending = asyncio.run(session.run(paced(feed), venue))
            elapsed = process_time() - start
        desk.journal.close()
    return (ending.quotes.total() + ending.trades.total()) / elapsed, feed.source


def measure(count: int = 20_000, latency_count: int = 5_000) -> Report:
    """All figures."""
    report = Report("router")
    book = load("prod").warm()
    rates = [rate(book, count, 5_000) for _ in range(3)]
    report.add("intents, decided to filled, best of 3", max(rates), "1/s", Reach(">=", 5_000))
    report.add("the same, least", min(rates), "1/s", Reach(">=", 2_000))
    taken = latencies_ms(book, latency_count)
    report.add("intent to order at 1,000/s, p50", taken[len(taken) // 2], "ms")
    report.add("intent to order at 1,000/s, p99", taken[len(taken) * 99 // 100], "ms", Reach("<=", 1))
    for fsync in (FsyncPolicy(10), ALWAYS):
        taken = latencies_ms(book, latency_count, fsync)
        report.add(f"the same p50, fsync {fsync}", taken[len(taken) // 2], "ms")
        report.add(f"the same p99, fsync {fsync}", taken[len(taken) * 99 // 100], "ms")
    events_per_s, source = max(replay(book, data_dir()) for _ in range(3))
    report.add("replay without intents", events_per_s, "events/s", Reach(">=", 200_000))
    report.note(f"replayed: {source}, files read within the time")
    return report


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
