"""Markouts: how the mid stood against a fill 1, 10, 60 and 300 seconds after it.

In: the journal's orders and fills, and the market. Out: a `MarkedOut` for each fill and horizon, in bps of the fill's
price; positive is cost: a buy after which the mid is lower than what was paid, a sell after which it is higher.

The mid is that of the last quote at or before the fill's time plus the horizon. A quote of that very millisecond
counts, so a markout is made by the first event after it. Where the last quote is older than `max_quote_age_s` by then,
shows an empty side, or is not known any more (the fill was reported late, the feed ended, the router was down), the
markout is missing: none is made, and it is counted by horizon in `missing`.

This is a view, rebuilt from the journal: fills without their markouts are waiting again. Each market event costs one
comparison while nothing is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from engine.journal.events import Event, Heard, MarkedOut, OrderPlanned
from engine.market import Event as MarketEvent
from engine.market import Quote
from engine.market.book import mid_of
from engine.routing.costs import BPS, MAX_QUOTE_AGE_S, sign_of
from engine.venues.messages import Fill, Side

HORIZONS_S = (1.0, 10.0, 60.0, 300.0)
"""Seconds after a fill."""

_NEVER = 1 << 62
_KEEP_ORDER_MS = 3_600_000  # fills come at most seconds after their order ended; an hour is for a venue that was down


class Markouts:
    """The markouts of a session: those waiting for their time, and how many never can be made."""

    def __init__(self, horizons_s: Sequence[float] = HORIZONS_S, max_quote_age_s: float = MAX_QUOTE_AGE_S) -> None:
        self.horizons_s = tuple(float(horizon) for horizon in horizons_s)
        self.missing = dict.fromkeys(self.horizons_s, 0)
        """By horizon, since this view was made."""
        self._max_age_ms = round(max_quote_age_s * 1000)
        self._orders: dict[str, tuple[str, int]] = {}
        """Intent and last use by client id, those used last at the end."""
        self._waiting: dict[tuple[str, str, float], tuple[str, Fill]] = {}
        """By symbol, trade id and horizon: the intent and the fill."""
        self._due: list[tuple[int, int, tuple[str, str, float]]] = []
        self._due_ms = _NEVER
        self._scheduled = 0
        self._now_ms = 0
        self._quotes: dict[str, Quote] = {}

    @property
    def waiting(self) -> int:
        """How many markouts still wait for their time."""
        return len(self._waiting)

    # --- the journal --------------------------------------------------------------------------------------------------

    def see(self, event: Event) -> None:
        """Take the next event of the journal."""
        if isinstance(event, Heard):
            if isinstance(event.message, Fill) and not event.again:
                self._see_fill(event.ts_ms, event.message)
        elif isinstance(event, OrderPlanned):
            self._orders[event.client_id] = (event.intent_id, event.ts_ms)
            self._forget(event.ts_ms - _KEEP_ORDER_MS)
        elif isinstance(event, MarkedOut):
            self._waiting.pop((event.symbol, event.trade_id, event.horizon_s), None)

    def _see_fill(self, now_ms: int, fill: Fill) -> None:
        order = self._orders.pop(fill.client_id, None)
        if order is None:  # of an order that nobody planned, or that was forgotten long ago
            return
        intent_id = order[0]
        self._orders[fill.client_id] = (intent_id, now_ms)
        for horizon_s in self.horizons_s:
            due_ms = fill.ts_ms + round(horizon_s * 1000)
            key = (fill.symbol, fill.trade_id, horizon_s)
            self._waiting[key] = (intent_id, fill)
            self._scheduled += 1  # ties are settled in the order of their fills
            heappush(self._due, (due_ms, self._scheduled, key))
            self._due_ms = self._due[0][0]

    def _forget(self, before_ms: int) -> None:
        while self._orders:
            client_id, (_, used_ms) = next(iter(self._orders.items()))
            if used_ms >= before_ms:
                return
            del self._orders[client_id]

    # --- the market ---------------------------------------------------------------------------------------------------

    def see_market(self, event: MarketEvent) -> Sequence[MarkedOut]:
        """Take the next event of the market; what became due before it is handed out, to be journaled."""
        done: Sequence[MarkedOut] = ()
        if event.ts_ms > self._due_ms:
            done = self._settle(event.ts_ms, event.ts_ms)
        if event.__class__ is Quote:
            self._quotes[event.symbol] = event
        return done

    def close(self, end_ms: int) -> Sequence[MarkedOut]:
        """The market is over: hand out what was due by `end_ms`. What is still waiting never comes."""
        return self._settle(end_ms + 1, end_ms)

    def _settle(self, before_ms: int, now_ms: int) -> list[MarkedOut]:
        """Everything due before a moment, up to which all quotes are known."""
        done: list[MarkedOut] = []
        while self._due and self._due[0][0] < before_ms:
            due_ms, _, key = heappop(self._due)
            held = self._waiting.pop(key, None)
            if held is None:  # journaled already
                continue
            intent_id, fill = held
            mid = self._mid(fill.symbol, due_ms)
            horizon_s = key[2]
            if mid is None:
                self.missing[horizon_s] += 1
                continue
            done.append(_marked_out(now_ms, intent_id, fill, horizon_s, mid))
        self._due_ms = self._due[0][0] if self._due else _NEVER
        return done

    def _mid(self, symbol: str, at_ms: int) -> float | None:
        """The mid at a moment, None where it is unknown; of a fill reported late, the quote of then may be gone."""
        quote = self._quotes.get(symbol)
        if quote is None or not at_ms - self._max_age_ms <= quote.ts_ms <= at_ms:
            return None
        return mid_of(quote)


def _marked_out(now_ms: int, intent_id: str, fill: Fill, horizon_s: float, mid: float) -> MarkedOut:
    price = float(fill.price)
    return MarkedOut(
        ts_ms=now_ms,
        intent_id=intent_id,
        symbol=fill.symbol,
        trade_id=fill.trade_id,
        horizon_s=horizon_s,
        is_maker=fill.is_maker,
        notional_usd=float(fill.qty) * price,
        markout_bps=markout_bps(fill.side, price, mid),
    )


def markout_bps(side: Side, price: float, mid: float) -> float:
    """How far the mid stands against a fill, in bps of the fill's price; positive is cost.

    >>> markout_bps("buy", 100.0, 99.0), markout_bps("sell", 100.0, 99.0)
    (100.0, -100.0)
    """
    return sign_of(side) * (price - mid) / price * BPS
