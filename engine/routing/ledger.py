"""The exposure ledger: for each intent what was wanted, what is filled, and what may still be.

In: the events of a journal. Out: `Work`s, one an intent, with their orders. A view: it sends nothing and decides
nothing; the same events give the same ledger, in a running session as after a crash.

The one rule that everything else serves: an order is planned for no more than `Work.sendable`, which is target −
filled − possible, where possible counts whatever is live, unknown, or reported without a trade.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal
from typing import Literal, TypeAlias

from engine.journal.events import (
    CancelPlanned,
    CancelRequested,
    Heard,
    IntentReceived,
    OrderPlanned,
    Outcome,
    ProvedAbsent,
    QueryPlanned,
    Routed,
    Worked,
)
from engine.routing.orders import Order
from engine.routing.shape import RouterShape
from engine.routing.views import Handlers, View
from engine.venues.codes import Refusal, refusal_of
from engine.venues.messages import Accepted, Fill, Rejected, Side

Plan: TypeAlias = Literal["decide", "rest", "cross", "end"]
"""What is wanted of an intent next: a decision, an order that rests, one that crosses, or nothing more."""

NONE = Decimal(0)

MOST_ENDED = 10_000
"""Orders of intents that have ended that are remembered, for fills that come late."""

_PLAN_OF: dict[str, Plan] = {"maker": "rest", "taker": "cross"}


class Work:
    """One intent on its way."""

    __slots__ = (
        "aimed_ms",
        "clock_retried",
        "cost",
        "cross_failed",
        "crossings",
        "end_reason",
        "fees",
        "filled",
        "intent_id",
        "looked_ms",
        "maker_filled",
        "orders",
        "plan",
        "protection_bps",
        "received",
        "reduce_only_cross",
        "rejects",
        "replacing",
        "reprices",
        "reserved",
        "retries",
        "retry_ms",
        "routed",
        "submit_failed",
        "symbol",
        "target",
        "wake_ms",
        "why",
        "withdrawn",
    )

    def __init__(self, received: IntentReceived) -> None:
        self.received = received
        self.intent_id = received.intent_id
        self.symbol = received.symbol
        self.routed: Routed | None = None
        self.target = NONE
        self.plan: Plan = "decide"
        self.why = ""
        """What made the present plan: `route`, or the reason of the rule that changed it."""
        self.end_reason = ""
        self.withdrawn = False
        """Whether it ends because it was taken back, and not by itself."""
        self.orders: list[Order] = []
        self.filled = NONE
        self.maker_filled = NONE
        self.cost = NONE
        self.fees = NONE
        self.rejects = 0
        """Post-only rejects so far."""
        self.reprices = 0
        self.aimed_ms: int | None = None
        """When the price was last changed; None before the first reprice."""
        self.submit_failed = False
        """A maker order was refused for good, and nothing was crossed since."""
        self.cross_failed = ""
        """Why a crossing order was refused for good."""
        self.replacing: str | None = None
        """The order that is to make way for one at another price."""
        self.reduce_only_cross = False
        self.protection_bps: float | None = None
        self.crossings = 0
        """Orders sent to cross the present rest."""
        self.retries = 0
        """Requests in a row that the venue did not execute."""
        self.clock_retried = False
        """Whether one was made again after the clock was set: that is done once."""
        self.retry_ms = 0
        """Nothing is sent before this."""
        self.looked_ms = 0
        self.wake_ms: int | None = None
        """When the router will come back to it; None where it need not."""
        self.reserved = NONE
        """What is counted as exposure for it."""

    @property
    def side(self) -> Side:
        """Known once it is routed: what has no side is not admitted."""
        side: Side = self.received.intent["side"]
        return side

    @property
    def arrival_mid(self) -> float | None:
        """Half way between bid and ask when the intent came; None where a side was empty or unseen."""
        bid, ask = self.received.bid, self.received.ask
        return None if bid is None or ask is None else (bid + ask) / 2

    @property
    def possible(self) -> Decimal:
        """The most that may still be executed of what was sent."""
        possible = NONE
        for order in self.orders:
            possible += order.possible
        return possible

    @property
    def sendable(self) -> Decimal:
        """The most that may be sent now; never below 0."""
        return max(self.target - self.filled - self.possible, NONE)

    @property
    def is_settled(self) -> bool:
        """Whether every order has ended and all it executed is known."""
        return all(order.is_settled for order in self.orders)

    @property
    def last(self) -> Order | None:
        """The order sent last."""
        return self.orders[-1] if self.orders else None

    @property
    def first_maker(self) -> OrderPlanned | None:
        """The first order that was to rest."""
        return next((order.plan for order in self.orders if order.plan.role == "maker"), None)


class Ledger(View):
    """All intents that are open, and the ids of all that ever were."""

    def __init__(self, shape: RouterShape) -> None:
        self._shape = shape
        self.works: dict[str, Work] = {}
        """Open ones by intent id, oldest first."""
        self.known: set[str] = set()
        """Every intent id that was ever taken."""
        self.orders: dict[str, tuple[Work, Order]] = {}
        """Orders of open intents by client id."""
        self.ended: dict[str, tuple[Work, Order]] = {}
        """The latest orders of intents that have ended, by client id: a fill may still come."""
        self.strays: set[tuple[str, str]] = set()
        """Client and trade id of fills of orders that are not known: each counts once for the position."""
        self.gate_ms = 0
        """Nothing is sent before: the venue asked for a rest."""
        self._by_symbol: defaultdict[str, dict[str, Work]] = defaultdict(dict)
        self.handlers: Handlers = {
            IntentReceived: self._received,
            Routed: self._routed,
            Worked: self._worked,
            OrderPlanned: self._planned,
            CancelPlanned: self._cancel_planned,
            QueryPlanned: self._query_planned,
            CancelRequested: self._cancel_requested,
            Heard: self._heard,
            ProvedAbsent: self._proved_absent,
            Outcome: self._ended,
        }

    def find(self, client_id: str) -> tuple[Work | None, Order] | None:
        """An order by its client id, with its intent while that is open."""
        found = self.orders.get(client_id)
        if found is not None:
            return found
        ended = self.ended.get(client_id)
        return None if ended is None else (None, ended[1])

    def of_symbol(self, symbol: str) -> Collection[Work]:
        """The open intents of a symbol, oldest first."""
        return self._by_symbol[symbol].values()

    def _received(self, event: IntentReceived) -> None:
        self.known.add(event.intent_id)
        self._open(event)

    def _routed(self, event: Routed) -> None:
        work = self.works.get(event.intent_id)
        if work is None or event.event not in ("decision", "decided_again"):
            return
        work.routed = event
        work.target = event.target
        work.protection_bps = event.protection_bps
        work.plan = _PLAN_OF.get(event.route, "end")
        work.why = "route"
        if work.plan == "end":
            work.end_reason = event.reason

    def _worked(self, event: Worked) -> None:
        work = self.works.get(event.intent_id)
        if work is None:
            return
        work.why = event.reason
        match event.action:
            case "reprice":
                work.plan = "rest"
                work.reprices += 1
                work.aimed_ms = event.ts_ms
                work.replacing = event.client_id
            case "cross":
                work.plan = "cross"
                work.crossings = 0
                work.submit_failed = False
                work.reduce_only_cross = event.cross_reduce_only
                work.protection_bps = event.protection_bps
            case _:
                work.plan = "end"
                work.end_reason = event.reason

    def _planned(self, event: OrderPlanned) -> None:
        work = self.works.get(event.intent_id) or self._adopt(event)
        work.replacing = None
        order = Order(event)
        work.orders.append(order)
        self.orders[event.client_id] = (work, order)
        if event.role == "taker":
            work.crossings += 1

    def _adopt(self, event: OrderPlanned) -> Work:
        """An order whose intent fell into a hole of the journal: nobody knows what was wanted, so it is taken back."""
        self.known.add(event.intent_id)
        intent = {"side": event.side, "qty": float(event.qty), "reduce_only": event.reduce_only}
        received = IntentReceived(ts_ms=event.ts_ms, intent_id=event.intent_id, symbol=event.symbol, intent=intent)
        work = self._open(received)
        work.plan = "end"
        work.end_reason = "its intent is missing in the journal"
        return work

    def _cancel_planned(self, event: CancelPlanned) -> None:
        found = self.find(event.client_id)
        if found is not None:
            found[1].cancel_ms = event.ts_ms
            found[1].move("cancel_sent")

    def _query_planned(self, event: QueryPlanned) -> None:
        found = self.find(event.client_id)
        if found is not None:
            found[1].query_ms = event.ts_ms
            found[1].queries += 1

    def _cancel_requested(self, event: CancelRequested) -> None:
        work = self.works.get(event.intent_id)
        if work is not None:
            work.plan = "end"
            work.end_reason = event.reason
            work.withdrawn = True

    def _heard(self, event: Heard) -> None:
        message = event.message
        if isinstance(message, Rejected) and refusal_of(message) == "rate_limit":
            self.gate_ms = max(self.gate_ms, event.ts_ms + (message.retry_after_ms or self._shape.gate_ms))
        found = self.find(message.client_id)
        if event.again:
            return
        if found is None:
            if isinstance(message, Fill):
                self.strays.add((message.client_id, message.trade_id))
            return
        work, order = found
        was_rejected, was_over = order.post_only_rejected, order.is_over
        order.hear(message)
        if work is None and not order.is_over:
            work = self._revive(order)
        if order.is_over and order.over_ms is None:
            order.over_ms = event.ts_ms
        if order.acked_ms is None and isinstance(message, Accepted) and message.asked == "place":
            order.acked_ms = event.ts_ms
        if work is None:
            return
        if isinstance(message, Fill):
            work.filled += message.qty
            work.cost += message.qty * message.price
            work.fees += message.fee
            if order.plan.role == "maker":
                work.maker_filled += message.qty
            elif order.state == "filled":
                work.crossings = 0  # the book had all of it, so there is no reason to stop
        elif isinstance(message, Accepted) and message.asked == "place":
            work.retries = 0
            work.clock_retried = False
        elif isinstance(message, Rejected) and message.asked == "place" and not was_over:
            self._refused(work, order, refusal_of(message), event.ts_ms, message)
        if order.post_only_rejected and not was_rejected:
            work.rejects += 1

    def _refused(self, work: Work, order: Order, refusal: Refusal, now_ms: int, message: Rejected) -> None:
        """What a refusal of an order means for its intent: wait and send again, or never."""
        waits = self._shape.back_off_ms
        if refusal in ("unclear", "duplicate"):
            return
        if order.plan.role == "taker":
            work.crossings -= 1  # it never met the book
        if refusal in ("post_only", "rate_limit"):
            return
        if refusal == "clock" and not work.clock_retried:
            work.retry_ms = now_ms + waits[0]
            work.clock_retried = True
        elif refusal in ("busy", "reduce_only") and work.retries < len(waits):
            work.retry_ms = now_ms + waits[work.retries]
            work.retries += 1
        elif order.plan.role == "maker":
            work.submit_failed = True
        else:
            work.cross_failed = f"the venue refused it: {message.code} {message.text}"

    def _proved_absent(self, event: ProvedAbsent) -> None:
        found = self.find(event.client_id)
        if found is not None:
            found[1].move("proved_absent")

    def _ended(self, event: Outcome) -> None:
        work = self.works.pop(event.intent_id, None)
        if work is None:
            return
        del self._by_symbol[work.symbol][work.intent_id]
        for order in work.orders:
            del self.orders[order.client_id]
            self.ended[order.client_id] = (work, order)
        while len(self.ended) > MOST_ENDED:
            del self.ended[next(iter(self.ended))]

    def _revive(self, order: Order) -> Work:
        """An order lives whose intent has ended: the intent is taken up again, only to end it.

        What it executes from here on is an outcome of its own, with a target of 0: what was told before stays told.
        """
        ended, _ = self.ended.pop(order.client_id)
        work = self.works.get(ended.intent_id)
        if work is None:  # else another order of it lives again already
            work = self._open(ended.received)
            work.routed = ended.routed
            work.plan = "end"
            work.end_reason = "came_back_to_life"
        work.orders.append(order)
        self.orders[order.client_id] = (work, order)
        return work

    def _open(self, received: IntentReceived) -> Work:
        work = Work(received)
        self.works[work.intent_id] = self._by_symbol[work.symbol][work.intent_id] = work
        return work
