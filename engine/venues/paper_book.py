"""The book of one symbol of the paper venue: what own orders take from it, and when those that rest in it are filled.

In: the quotes and trades of the symbol, and own orders. Out: executions. Quantities inside are whole numbers of the
symbol's step: what is visible and what prints is rounded down to it, what stands ahead in a queue up. Prices of the
market are compared as the doubles they are recorded as, with the double that an order's decimal price reads as. The
market does not react to own orders: it is what it was without them.

**Resting orders** fill from prints alone, at their own price, and never from a quote:

- A print beyond an order's price (below a buy, above a sell) fills it, whoever was the aggressor: somebody traded at a
  worse price than the order stood at.
- A print at exactly its price, whose aggressor came from the other side, first works off the queue ahead of it, then
  fills it.
- The queue ahead is bounded from both sides. `pessimistic`: at arrival it is all that is visible at the price, and
  nothing but prints at exactly the price shortens it; nobody ahead ever cancels. Inside the spread it is 0. Deeper than
  the touch it is unknown, and such an order is filled by nothing but prints beyond it, until the touch comes to its
  price (then it is what is visible there) or is past it (then it is 0). `optimistic`: everybody ahead has always just
  cancelled, so the order stands first and a print at its price fills it. What really happens lies between the two.
- Own orders share a print by price, then by arrival, and its quantity is used once. So is the queue: what a print works
  off ahead of one order is worked off ahead of all.

The aggressor is the recorded one (`is_buyer_maker`: he sold). Where it is not recorded, he sold if the print lies below
the mid of the quote before it, and bought if above; a print at the mid, or without a book, shortens no queue and fills
no order at its price.

**Orders that take** get what is visible at the touch. What lies behind it is not recorded. With depth `touch` it is not
there; with `assumed`, levels follow each other at the distance of the spread, or of a tick where that is more, and each
holds what the touch holds. What is taken stays taken until a quote shows that side of the touch changed.

**Reduce-only** orders never do more than close the position: what is executed is cut to it.

An empty side (price 0) has nothing to take and refuses no post-only order. Crossed and locked books are taken as they
are: the side to be taken from is what counts.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias

from engine.market import Quote, Trade
from engine.market.book import mid_of
from engine.venues.messages import Fill, Place, Side, Status
from engine.venues.rules import SymbolRules

Queue: TypeAlias = Literal["pessimistic", "optimistic"]
"""Which bound of the queue ahead of a resting order is used."""

Depth: TypeAlias = Literal["touch", "assumed"]
"""Whether there is anything behind the touch."""

ASSUMED_LEVELS = 50
"""Levels that an order walks at most with depth `assumed`; what is left then finds nothing more."""


@dataclass(slots=True, eq=False)
class PaperOrder:
    """An order as the venue has it."""

    place: Place
    steps: int
    """Its quantity; a reduce-only order may have been cut."""
    price: float
    """The limit; 0 for an order at the market."""
    status: Status = "open"
    filled_steps: int = 0
    ahead_steps: int | None = 0
    """The queue ahead; None where it is unknown. Of no meaning with the optimistic bound."""
    fills: list[Fill] = field(default_factory=list)

    @property
    def rest_steps(self) -> int:
        """What is not executed."""
        return self.steps - self.filled_steps


class Execution(NamedTuple):
    """Something was executed."""

    order: PaperOrder
    steps: int
    price: Decimal
    is_maker: bool
    is_last: bool
    """Whether the order is filled with it."""


_NOTHING: Sequence[Execution] = ()


class PaperBook:
    """The touch of one symbol, the own orders in it, and the own position."""

    __slots__ = (
        "_depth",
        "_is_pessimistic",
        "_reducers",
        "_sides",
        "_step",
        "_taken",
        "_waiting",
        "is_watching",
        "position_steps",
        "quote",
        "rules",
    )

    def __init__(self, rules: SymbolRules, queue: Queue, depth: Depth) -> None:
        self.rules = rules
        self.quote: Quote | None = None
        """The last one; may be set from outside while the book is not watching."""
        self.is_watching = False
        """Whether quotes matter to orders, so that they have to come through `see_quote`."""
        self.position_steps = 0
        """Negative is short."""
        self._is_pessimistic = queue == "pessimistic"
        self._depth = depth
        self._step = float(rules.step)
        self._sides: dict[Side, list[PaperOrder]] = {"buy": [], "sell": []}  # best price first, then by arrival
        self._waiting: dict[Side, list[PaperOrder]] = {"buy": [], "sell": []}  # those whose queue is unknown, likewise
        self._taken: dict[Side, int] = {"buy": 0, "sell": 0}  # steps taken by own buys from the ask, by sells, the bid
        self._reducers = 0  # resting reduce-only orders

    def steps_of(self, qty: Decimal) -> int:
        """A quantity in steps, of which it must be a multiple."""
        return int(qty / self.rules.step)

    # --- what rests --------------------------------------------------------------------------------------------------

    def would_take(self, side: Side, price: float) -> bool:
        """Whether an order at this price would take something; also where no book was seen yet."""
        if self.quote is None:
            return True
        if side == "buy":
            return 0.0 < self.quote.ask <= price
        return self.quote.bid >= price  # an empty side is 0, below every price

    def rest(self, order: PaperOrder) -> None:
        """Put an order into the book, behind what is there."""
        side = order.place.side
        insort(self._sides[side], order, key=_BEST_FIRST[side])
        self._reducers += order.place.reduce_only
        if self._is_pessimistic:
            order.ahead_steps = self._visible_ahead(side, order.price)
            if order.ahead_steps is None:
                insort(self._waiting[side], order, key=_BEST_FIRST[side])
                self.is_watching = True

    def remove(self, order: PaperOrder) -> None:
        """Take a resting order out of the book."""
        side = order.place.side
        self._sides[side].remove(order)
        self._reducers -= order.place.reduce_only
        if order.ahead_steps is None:
            self._waiting[side].remove(order)
            self._watch()

    def open_orders(self) -> list[PaperOrder]:
        """The orders that rest: buys, then sells, the best price first."""
        return [*self._sides["buy"], *self._sides["sell"]]

    def _visible_ahead(self, side: Side, price: float) -> int | None:
        """Steps visible at a price: 0 where nobody stands, None where it is deeper than can be seen."""
        if self.quote is None:
            return None
        touch, qty = (self.quote.bid, self.quote.bid_qty) if side == "buy" else (self.quote.ask, self.quote.ask_qty)
        if touch == price:
            return math.ceil(qty / self._step - _NOISE)
        is_deeper = price < touch if side == "buy" else 0.0 < touch < price
        return None if is_deeper else 0

    # --- reduce-only -------------------------------------------------------------------------------------------------

    def closable_steps(self, side: Side) -> int:
        """How much an order of this side can close of the position; 0 or less where there is nothing."""
        return self.position_steps if side == "sell" else -self.position_steps

    def reserved_steps(self, side: Side) -> int:
        """How much of the position the resting reduce-only orders of this side already mean to close."""
        if not self._reducers:
            return 0
        return sum(order.rest_steps for order in self._sides[side] if order.place.reduce_only)

    def drop_idle_reducers(self) -> Sequence[PaperOrder]:
        """Take out the reduce-only orders that have nothing left to reduce; mostly none."""
        if not self._reducers:
            return ()
        idle = [
            order
            for order in self.open_orders()
            if order.place.reduce_only and self.closable_steps(order.place.side) <= 0
        ]
        for order in idle:
            self.remove(order)
        return idle

    # --- the market --------------------------------------------------------------------------------------------------

    def see_quote(self, quote: Quote) -> None:
        """Take the next quote."""
        before, self.quote = self.quote, quote
        if before is not None:
            if before.ask != quote.ask or before.ask_qty != quote.ask_qty:
                self._taken["buy"] = 0
            if before.bid != quote.bid or before.bid_qty != quote.bid_qty:
                self._taken["sell"] = 0
        for side, waiting in self._waiting.items():
            # Those that wait are in order of price: where the touch has not come to the first, it has to none.
            while waiting and (ahead := self._visible_ahead(side, waiting[0].price)) is not None:
                waiting.pop(0).ahead_steps = ahead
        self._watch()

    def see_trade(self, trade: Trade) -> Sequence[Execution]:
        """Take the next print, and return what it fills."""
        price = trade.price
        buys, sells = self._sides["buy"], self._sides["sell"]
        if not ((buys and buys[0].price >= price) or (sells and sells[0].price <= price)):
            return _NOTHING
        executions: list[Execution] = []
        is_sold = self._is_sold(trade)
        left = int(trade.qty / self._step + _NOISE)
        left = self._fill("buy", price, left, executions, is_opposite=is_sold is True)
        self._fill("sell", price, left, executions, is_opposite=is_sold is False)
        return executions

    def _is_sold(self, trade: Trade) -> bool | None:
        """Whether the aggressor of a print sold; None where nobody can say."""
        if trade.is_buyer_maker is not None:
            return trade.is_buyer_maker
        mid = None if self.quote is None else mid_of(self.quote)
        return None if mid is None or trade.price == mid else trade.price < mid

    def _fill(self, side: Side, price: float, left: int, executions: list[Execution], *, is_opposite: bool) -> int:
        """Fill the orders of a side from a print; return the steps that are left of it."""
        worked_off = 0  # of the queue, by this print
        for order in tuple(self._sides[side]):
            beyond = order.price - price if side == "buy" else price - order.price
            if beyond < 0 or (beyond == 0 and not is_opposite):
                break  # the orders behind this one are no better
            if beyond == 0 and self._is_pessimistic:
                if order.ahead_steps is None:
                    continue
                more = min(max(order.ahead_steps - worked_off, 0), left)
                left -= more
                worked_off += more
                order.ahead_steps = max(order.ahead_steps - worked_off, 0)
            steps = self._allowed(order, min(left, order.rest_steps))
            if steps > 0:
                limit = order.place.price
                assert limit is not None  # what rests has one
                left -= steps
                executions.append(self._execute(order, steps, limit, is_maker=True))
                if not order.rest_steps:
                    self.remove(order)
        return left

    def _watch(self) -> None:
        self.is_watching = bool(
            self._waiting["buy"] or self._waiting["sell"] or self._taken["buy"] or self._taken["sell"]
        )

    # --- what takes --------------------------------------------------------------------------------------------------

    def take(self, order: PaperOrder) -> Sequence[Execution]:
        """Execute what an order can take at once, level by level; what is left of it does not rest here."""
        side = order.place.side
        levels = _Levels.of(self.quote, side, self.rules.tick, self._step)
        if levels is None:
            return _NOTHING
        executions: list[Execution] = []
        limit = order.place.price
        skipped = self._taken[side]
        for number in range(1 if self._depth == "touch" else ASSUMED_LEVELS):
            price = levels.first + number * levels.apart
            if not order.rest_steps or price <= 0 or (limit is not None and _is_worse(side, price, limit)):
                break
            there = max(levels.steps - skipped, 0)
            skipped = max(skipped - levels.steps, 0)
            steps = self._allowed(order, min(there, order.rest_steps))
            if steps > 0:
                self._taken[side] += steps
                executions.append(self._execute(order, steps, price, is_maker=False))
        self._watch()
        return executions

    def _allowed(self, order: PaperOrder, steps: int) -> int:
        """Of `steps`, what a reduce-only order may execute as the position is now; all of it for another order."""
        return min(steps, self.closable_steps(order.place.side)) if order.place.reduce_only else steps

    def _execute(self, order: PaperOrder, steps: int, price: Decimal, *, is_maker: bool) -> Execution:
        order.filled_steps += steps
        self.position_steps += steps if order.place.side == "buy" else -steps
        return Execution(order, steps, price, is_maker, order.filled_steps == order.steps)


_NOISE = 1e-6
"""Quantities are multiples of the step, and their quotients as doubles are off by far less than this."""


def _buy_key(order: PaperOrder) -> float:
    return -order.price


def _sell_key(order: PaperOrder) -> float:
    return order.price


_BEST_FIRST = {"buy": _buy_key, "sell": _sell_key}


def _is_worse(side: Side, price: Decimal, limit: Decimal) -> bool:
    return price > limit if side == "buy" else price < limit


class _Levels(NamedTuple):
    """What an order can walk: the price of the touch, the distance to the next level, the steps on each."""

    first: Decimal
    apart: Decimal
    """Negative for an order that sells."""
    steps: int

    @classmethod
    def of(cls, quote: Quote | None, side: Side, tick: Decimal, step: float) -> _Levels | None:
        """None where there is nothing to take."""
        if quote is None:
            return None
        touch, qty = (quote.ask, quote.ask_qty) if side == "buy" else (quote.bid, quote.bid_qty)
        steps = int(qty / step + _NOISE)
        if touch <= 0.0 or steps == 0:
            return None
        first = Decimal(repr(touch))
        apart = tick
        if quote.bid > 0.0 and quote.ask > 0.0:
            apart = max(tick, Decimal(repr(quote.ask)) - Decimal(repr(quote.bid)))
        return cls(first, apart if side == "buy" else -apart, steps)
