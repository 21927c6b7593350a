"""A session: a market goes by, a strategy sends intents, and each is decided on what is known at its moment.

In: a book, a market and the session's numbers. Out: one `Step` an intent, in order of time. Time is the venue's: the
clock of the session stands at the event that the feed gives next, so nothing is decided with knowledge of what comes
after, and a run depends on its inputs alone. An intent at some millisecond sees every event of that millisecond.

The market is what the source says; intents and the groups in `GENERATED` come from the seed.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from engine.book import Book
from engine.market import Quote, Trade
from engine.routing.chain import Chain, Routed
from engine.routing.facts import SymbolFacts
from engine.routing.generated_intents import GeneratedIntents
from engine.routing.generated_state import GeneratedState
from engine.routing.generated_telemetry import GeneratedTelemetry
from engine.routing.shape import SessionShape
from engine.routing.source import MarketSource

GENERATED = ("intent", "telemetry", "account", "risk", "tuning", "windows", "signal")
"""The groups that are made up here. Of `windows`, the silence of the feed and the probes are measured."""


@dataclass(frozen=True, slots=True)
class Step:
    """One intent and what was decided on it."""

    now_ms: int
    symbol: str
    spread_bps: float | None
    """Of the last quote, however old."""
    routed: Routed


class Session:
    """One run over a market; iterate it once."""

    def __init__(self, book: Book, market: MarketSource, shape: SessionShape) -> None:
        self.book = book
        self.market = market
        self.shape = shape
        self.quotes: Counter[str] = Counter()
        """Seen so far, by symbol."""
        self.trades: Counter[str] = Counter()
        self._chain = Chain(book)
        self._strategies = {symbol: _Strategy(symbol, market, shape) for symbol in market.feed.symbols}

    def __iter__(self) -> Iterator[Step]:
        strategies, quotes, trades = self._strategies, self.quotes, self.trades
        quotes_left = self.shape.limit_quotes
        due: list[tuple[int, str]] = []  # the next intent of every symbol that is awake
        awake: set[str] = set()
        for event in self.market.feed:
            now_ms = event.ts_ms
            while due and due[0][0] < now_ms:
                at_ms, symbol = heapq.heappop(due)
                strategy = strategies[symbol]
                if strategy.is_asleep(at_ms):
                    awake.remove(symbol)
                    continue
                yield strategy.step(at_ms, self._chain)
                heapq.heappush(due, (at_ms + strategy.intents.wait_ms(), symbol))
            symbol = event.symbol
            strategy = strategies[symbol]
            if event.__class__ is Quote:
                if quotes_left is not None:
                    if quotes_left == 0:
                        return
                    quotes_left -= 1
                quotes[symbol] += 1
                strategy.facts.see_quote(event)
            elif event.__class__ is Trade:
                trades[symbol] += 1
                strategy.facts.see_trade(event)
            if symbol not in awake and strategy.facts.last_price is not None:
                awake.add(symbol)
                heapq.heappush(due, (now_ms + strategy.intents.wait_ms(), symbol))


class _Strategy:
    """One symbol: its facts, and everything about it that is generated."""

    def __init__(self, symbol: str, market: MarketSource, shape: SessionShape) -> None:
        self.symbol = symbol
        self.facts = SymbolFacts(
            symbol, shape, bars_of=market.bars_of(symbol), warm_up=market.feed.warm_up[symbol].bars
        )
        self.intents = GeneratedIntents(shape.seed, symbol, shape.every_s, shape.nav_usd)
        self._state = GeneratedState(shape.seed, symbol, shape.nav_usd)
        self._telemetry = GeneratedTelemetry(shape.seed, symbol)
        self._asleep_after_ms = shape.asleep_after_s * 1000
        self._sent = 0

    def is_asleep(self, now_ms: int) -> bool:
        """Whether the feed has been silent for so long that the strategy waits for it."""
        last_ms = self.facts.last_event_ms
        return last_ms is None or now_ms - last_ms > self._asleep_after_ms

    def step(self, now_ms: int, chain: Chain) -> Step:
        """Send the next intent and decide on it."""
        facts, quote, price = self.facts, self.facts.book.quote, self.facts.last_price
        assert price is not None, "a symbol wakes with its first price"
        now = now_ms / 1000
        kept = self._state.groups(now, price)
        telemetry = self._telemetry.at(now)
        if telemetry is not None:
            kept["telemetry"] = telemetry
        bid, ask = (price, price) if quote is None else (quote.bid or price, quote.ask or price)
        intent = self.intents.intent(bid, ask, kept["account"]["position_qty"])
        self._sent += 1
        routed = chain.decide(facts.facts(now_ms, f"{self.symbol}-{self._sent:06}", intent, kept))
        if routed.routing.values.get("probe") is True:
            facts.count_probe(now_ms)
        return Step(now_ms, self.symbol, facts.book.spread_bps, routed)
