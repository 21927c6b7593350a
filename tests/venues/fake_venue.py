"""A venue without a market of its own, written out by hand: it answers each request after a fixed latency."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import count

import msgspec

from engine.market import Event
from engine.venues.messages import Accepted, Asked, Cancel, Fill, Message, Place, Query, Rejected, Request, Status
from engine.venues.rules import SymbolRules
from engine.venues.wire import TrueOrder

PRICE = Decimal(100)

RULES = SymbolRules("BTCUSDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(1000), Decimal(5))


class FakeVenue:
    """Orders at the market fill at once, all others rest until they are cancelled. Satisfies `ServedVenue`."""

    name = "fake"

    def __init__(self, latency_ms: int = 10, silent: Iterable[str] = ()) -> None:
        """Requests about the client ids in `silent` are carried out and never answered."""
        self.seen: list[Event] = []
        self.asked: list[tuple[Request, int]] = []
        self._was_asked = asyncio.Event()  # set for a moment with each request
        self._latency_ms = latency_ms
        self._silent = frozenset(silent)
        self._orders: dict[str, TrueOrder] = {}
        self._due: list[tuple[int, int, Message]] = []
        self._number = count()

    async def was_asked(self, requests: int = 1) -> None:
        """Until so many requests are here."""
        while len(self.asked) < requests:
            await self._was_asked.wait()

    def see(self, event: Event) -> None:
        self.seen.append(event)

    def send(self, request: Request, now_ms: int) -> None:
        self.asked.append((request, now_ms))
        self._was_asked.set()
        self._was_asked.clear()
        for message in self._answer(request, now_ms):
            if request.client_id not in self._silent:
                heapq.heappush(self._due, (now_ms + self._latency_ms, next(self._number), message))

    def set_clock(self, now_ms: int) -> None:
        """Requests bear no time."""

    def next_ms(self) -> int | None:
        return self._due[0][0] if self._due else None

    def receive(self, now_ms: int) -> Sequence[Message]:
        due: list[Message] = []
        while self._due and self._due[0][0] <= now_ms:
            due.append(heapq.heappop(self._due)[2])
        return due

    def orders(self) -> Iterable[TrueOrder]:
        return self._orders.values()

    def positions(self) -> Mapping[str, Decimal]:
        held: dict[str, Decimal] = {}
        for order in self._orders.values():
            signed = order.filled if order.side == "buy" else -order.filled
            held[order.symbol] = held.get(order.symbol, Decimal(0)) + signed
        return {symbol: qty for symbol, qty in held.items() if qty}

    def _answer(self, request: Request, now_ms: int) -> list[Message]:
        client_id = request.client_id
        if isinstance(request, Place):
            return self._place(request, now_ms)
        order = self._orders.get(client_id)
        if order is None:
            code = -2011 if isinstance(request, Cancel) else -2013
            return [Rejected(now_ms, client_id, _asked(request), code, "Unknown order.")]
        if isinstance(request, Cancel):
            self._orders[client_id] = order = _with(order, "cancelled", order.fills)
            return [Accepted(now_ms, client_id, "cancel", order.status, order.filled)]
        assert isinstance(request, Query)
        return [*order.fills, Accepted(now_ms, client_id, "query", order.status, order.filled)]

    def _place(self, place: Place, now_ms: int) -> list[Message]:
        fills: list[Fill] = []
        if place.kind == "market":
            trade = str(len(self._orders) + 1)
            fills.append(
                Fill(
                    ts_ms=now_ms,
                    client_id=place.client_id,
                    trade_id=trade,
                    symbol=place.symbol,
                    side=place.side,
                    qty=place.qty,
                    price=PRICE,
                    fee=Decimal(0),
                    is_maker=False,
                )
            )
        order = TrueOrder(
            client_id=place.client_id,
            symbol=place.symbol,
            side=place.side,
            kind=place.kind,
            qty=place.qty,
            price=place.price,
            reduce_only=place.reduce_only,
            status="open",
            filled=Decimal(0),
            fills=[],
        )
        order = _with(order, "filled" if fills else "open", fills)
        self._orders[place.client_id] = order
        return [Accepted(now_ms, place.client_id, "place", order.status, order.filled), *fills]


def _asked(request: Request) -> Asked:
    return "place" if isinstance(request, Place) else "cancel" if isinstance(request, Cancel) else "query"


def _with(order: TrueOrder, status: Status, fills: Sequence[Fill]) -> TrueOrder:
    return msgspec.structs.replace(
        order, status=status, fills=list(fills), filled=sum((f.qty for f in fills), Decimal(0))
    )
