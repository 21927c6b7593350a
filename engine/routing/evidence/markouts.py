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
from heapq import heappop, heappush, heapreplace

from engine.journal.events import Heard, MarkedOut, OrderPlanned
from engine.market import Event as MarketEvent
from engine.market import Quote
from engine.market.book import mid_of
from engine.routing.evidence.costs import BPS, MAX_QUOTE_AGE_S, sign_of
from engine.routing.views import Handlers, View
from engine.venues.messages import Fill, Side

HORIZONS_S = (1.0, 10.0, 60.0, 300.0)
"""Seconds after a fill."""

_NEVER = 1 << 62
_KEEP_ORDER_MS = 3_600_000  # fills come at most seconds after their order ended; an hour is for a venue that was down


class _Waiting:
    """A fill, and the horizons it still waits for."""

    __slots__ = ("fill", "intent_id", "left")

    def __init__(self, intent_id: str, fill: Fill, left: list[tuple[int, float]]) -> None:
        self.intent_id = intent_id
        self.fill = fill
        self.left = left
        """In ms and in s, the nearest first."""

    @property
    def due_ms(self) -> int:
        """When the nearest is due."""
        return self.fill.ts_ms + self.left[0][0] if self.left else _NEVER


class Markouts(View):
    """The markouts of a session: those waiting for their time, and how many never can be made."""

    def __init__(self, horizons_s: Sequence[float] = HORIZONS_S, max_quote_age_s: float = MAX_QUOTE_AGE_S) -> None:
        self.horizons_s = tuple(float(horizon) for horizon in horizons_s)
        self.missing = dict.fromkeys(self.horizons_s, 0)
        """By horizon, since this view was made."""
        self._max_age_ms = round(max_quote_age_s * 1000)
        self._orders: dict[str, tuple[str, int]] = {}
        """Intent and last use by client id, those used last at the end."""
        self._horizons = tuple(sorted((round(horizon_s * 1000), horizon_s) for horizon_s in self.horizons_s))
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        """By symbol and trade id."""
        self._due: list[tuple[int, int, _Waiting]] = []
        """When the next horizon of each fill is due. Ties are settled in the order of the fills."""
        self._due_ms = _NEVER
        self._fills = 0
        self._now_ms = 0
        self._quotes: dict[str, Quote] = {}
        self.handlers: Handlers = {Heard: self._heard, OrderPlanned: self._planned, MarkedOut: self._marked}

    @property
    def waiting(self) -> int:
        """How many markouts still wait for their time."""
        return sum(len(held.left) for held in self._waiting.values())

    # --- the journal --------------------------------------------------------------------------------------------------

    def _heard(self, event: Heard) -> None:
        if isinstance(event.message, Fill) and not event.again:
            self._see_fill(event.ts_ms, event.message)

    def _planned(self, event: OrderPlanned) -> None:
        self._orders[event.client_id] = (event.intent_id, event.ts_ms)
        self._forget(event.ts_ms - _KEEP_ORDER_MS)

    def _marked(self, event: MarkedOut) -> None:
        held = self._waiting.get((event.symbol, event.trade_id))
        if held is not None:  # a restart: one that is made here is taken off the fill before it is journaled
            held.left = [each for each in held.left if each[1] != event.horizon_s]
            self._forget_fill(held)

    def _see_fill(self, now_ms: int, fill: Fill) -> None:
        order = self._orders.pop(fill.client_id, None)
        if order is None:  # of an order that nobody planned, or that was forgotten long ago
            return
        intent_id = order[0]
        self._orders[fill.client_id] = (intent_id, now_ms)
        held = self._waiting[fill.symbol, fill.trade_id] = _Waiting(intent_id, fill, list(self._horizons))
        self._fills += 1
        heappush(self._due, (held.due_ms, self._fills, held))
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
        due = self._due
        while due and due[0][0] < before_ms:
            due_ms, number, held = due[0]
            if held.due_ms == due_ms:  # else this horizon is in the journal already
                _, horizon_s = held.left.pop(0)
                mid = self._mid(held.fill.symbol, due_ms)
                if mid is None:
                    self.missing[horizon_s] += 1
                else:
                    done.append(_marked_out(now_ms, held.intent_id, held.fill, horizon_s, mid))
            if held.left:
                heapreplace(due, (held.due_ms, number, held))
            else:
                heappop(due)
                self._forget_fill(held)
        self._due_ms = due[0][0] if due else _NEVER
        return done

    def _forget_fill(self, held: _Waiting) -> None:
        """Let go of a fill that has all its markouts."""
        if not held.left:
            self._waiting.pop((held.fill.symbol, held.fill.trade_id), None)

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
