"""The paper venue: takes orders as Binance USD-M futures would, and fills them from a recorded or generated market.

In: requests of a router, and the events of a market. Out: the messages that the venue would have sent. It lives inside
the process and in the time of its market. Nothing here reads a clock or draws a number that the seed does not give, so
the same inputs give the same messages.

A request reaches the venue `uplink_ms` after it was sent and is judged by the book of that moment: after every event of
that millisecond, before any of a later one. Its answer, and the event of a fill, reach the router `downlink_ms` after
they arose. Requests are therefore looked at when time has gone past the millisecond that they arrive in, by an event or
by `receive`, and even without any latency an answer is there one millisecond later.

What a message carries is the venue's truth at the moment it arose: `filled` counts fills whose own message is late or
lost. Messages of one moment arrive in the order in which they arose: the answer to an order before its fills, and the
fills that a query repeats before its answer. Jitter and faults (`faults.py`) may change that.

How orders are filled: `paper_book.py`. What is refused: `order_checks.py`, and here what depends on the state:

- The client order id of an open order is refused for another (-4116). One of a finished order is accepted again, as
  the real venue does: a router that sends an order anew without asking first has it twice.
- A post-only order that would take is refused (-5022) and not recorded, or recorded as expired, as settings say.
- A reduce-only order against no position, or one of its own side, is refused (-2022), and so is one where the resting
  reduce-only orders of that side already cover the position (-4118: Binance counts them against it, see
  xLydianSoftware/Qubx issue 386). One larger than what is left is cut to it, and is `filled` once that is done, with
  less than was sent: Binance reports the cut quantity as the order's own (nautechsystems/nautilus_trader issue 3983).
  A resting reduce-only order expires when the position it was to reduce is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count
from typing import Literal, NamedTuple, TypeAlias

from engine.market import Event, Quote, Trade
from engine.venues.faults import Fates, Faults, RequestFate, RequestFault
from engine.venues.messages import (
    Accepted,
    Asked,
    Cancel,
    Fill,
    Message,
    Place,
    Query,
    Rejected,
    Request,
    Side,
    Unknown,
    Update,
)
from engine.venues.order_checks import (
    DUPLICATE_ID,
    NOTHING_TO_REDUCE,
    REDUCED_ALREADY,
    UNKNOWN_ON_CANCEL,
    UNKNOWN_ON_QUERY,
    UNKNOWN_SYMBOL,
    WOULD_TAKE,
    Refusal,
    violation,
)
from engine.venues.paper_book import Depth, Execution, PaperBook, PaperOrder, Queue
from engine.venues.rules import SymbolRules
from engine.venues.wire import TrueOrder

PostOnlyReject: TypeAlias = Literal["code", "expired", "open_then_expired"]
"""What becomes of a post-only order that would take.

`code`: refused with -5022, and unknown to the order history. `expired`: accepted, with that status.
`open_then_expired`: accepted as open, and an update says that it expired, as Binance's acknowledgement and user stream
do for GTX.
"""


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """What the venue is like. Raises `ValueError` for latencies below 0."""

    seed: int = 7
    """Jitter and faults come from it."""
    maker_fee_bps: Decimal = Decimal(2)
    """Of the notional, in the quote asset; negative is a rebate.

    Binance's fee schedule for USD-M futures, regular user: maker 0.0200 %, taker 0.0500 %, without the BNB discount.
    """
    taker_fee_bps: Decimal = Decimal(5)
    uplink_ms: int = 25
    """From the send to the venue. A refusal of Binance was logged 56 ms after its request was made
    (binance/binance-futures-connector-java issue 51); half of that each way."""
    downlink_ms: int = 25
    """From the venue to the router."""
    jitter_ms: int = 0
    """Each way takes up to this much longer, at random; above 0, requests and messages may overtake each other."""
    queue: Queue = "pessimistic"
    """Which bound of the queue ahead of a resting order is used."""
    depth: Depth = "assumed"
    """Whether an order that takes finds anything behind the touch, which no recording shows."""
    post_only_reject: PostOnlyReject = "code"
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        if min(self.uplink_ms, self.downlink_ms, self.jitter_ms) < 0:
            raise ValueError("latencies must not be negative")


class _Flight(NamedTuple):
    """A request on its way; in order of arrival, then of the sends."""

    arrives_ms: int
    number: int
    request: Request
    fate: RequestFate


_NEVER_MS = 1 << 62

_ASKED: Mapping[type[Request], Asked] = {Place: "place", Cancel: "cancel", Query: "query"}

_OVERLOADED = Refusal(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes.")
_NOT_DONE: Mapping[RequestFault | None, Refusal] = {
    "unavailable": Refusal(503, "Service Unavailable."),
    "internal_error": Refusal(503, "Internal error; unable to process your request. Please try again."),
    "clock": Refusal(-1021, "Timestamp for this request is outside of the recvWindow."),
    "overloaded": _OVERLOADED,
}
"""Faults that refuse one request and do nothing."""

_TIMED_OUT = "time-out: no answer came"
_UNKNOWN_ERROR = "HTTP 503: Unknown error, please check your request or try again later."


class PaperVenue:
    """An `EmbeddedVenue`, and a `ServedVenue`. Times that it is given may only grow.

    Events of symbols without rules are skipped, and orders in them refused (-1121). `positions` are what the account
    holds at the start, in the base asset by symbol, negative is short; `ValueError` for one in a symbol without rules.
    """

    def __init__(
        self,
        rules: Mapping[str, SymbolRules],
        settings: PaperSettings,
        positions: Mapping[str, Decimal] | None = None,
    ) -> None:
        self.settings = settings
        self._books = {symbol: PaperBook(of, settings.queue, settings.depth) for symbol, of in rules.items()}
        for symbol, position in (positions or {}).items():
            if symbol not in self._books:
                raise ValueError(f"a position in {symbol}, for which there are no rules")
            self._books[symbol].position_steps = self._books[symbol].steps_of(position)
        self._fates = Fates(settings.seed, settings.faults, settings.jitter_ms)
        self._maker_rate, self._taker_rate = settings.maker_fee_bps / 10_000, settings.taker_fee_bps / 10_000
        self._orders: dict[str, PaperOrder] = {}  # the latest of each client id
        self._recorded: list[PaperOrder] = []
        self._flights: list[_Flight] = []
        self._first_arrival_ms = _NEVER_MS
        self._messages: list[tuple[int, int, int, Message]] = []  # when due, when it arose, number
        self._number = count().__next__  # orders what happens at the same millisecond
        self._trades = 0
        self._closed_until_ms = 0  # no request is taken before, after a rate limit or ban
        self._closed_code = 429

    # --- the protocol ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """For journals and people."""
        return "paper"

    def send(self, request: Request, now_ms: int) -> None:
        """Hand a request over."""
        asked = _ASKED[type(request)]
        fate = self._fates.of_request(request.client_id, asked)
        arrives_ms = now_ms + self.settings.uplink_ms + fate.uplink_jitter_ms
        if fate.fault == "timeout":
            due_ms = now_ms + self.settings.faults.timeout_ms
            self._say(due_ms, now_ms, Unknown(due_ms, request.client_id, asked, _TIMED_OUT))
        heappush(self._flights, _Flight(arrives_ms, self._number(), request, fate))
        self._first_arrival_ms = self._flights[0].arrives_ms

    def set_clock(self, now_ms: int) -> None:
        """Its time is the market's, and requests bear none."""

    def next_ms(self) -> int | None:
        """When there may be something to `receive`: the next message, or the answer to a request on its way."""
        earliest = self._messages[0][0] if self._messages else None
        if not self._flights:
            return earliest
        answered_ms = self._first_arrival_ms + max(1, self.settings.downlink_ms)
        return answered_ms if earliest is None or answered_ms < earliest else earliest

    def receive(self, now_ms: int) -> Sequence[Message]:
        """The messages due by `now_ms`."""
        if self._first_arrival_ms < now_ms:
            self._take_requests(now_ms)
        messages = self._messages
        if not messages or messages[0][0] > now_ms:
            return ()
        due: list[Message] = []
        while messages and messages[0][0] <= now_ms:
            due.append(heappop(messages)[3])
        return due

    def see(self, event: Event) -> None:
        """Take the next event of the market."""
        if self._first_arrival_ms < event.ts_ms:
            self._take_requests(event.ts_ms)
        book = self._books.get(event.symbol)
        if book is None:
            return
        if type(event) is Quote:
            if book.is_watching:
                book.see_quote(event)
            else:
                book.quote = event
        elif type(event) is Trade:
            executions = book.see_trade(event)
            if executions:
                self._tell_executions(book, executions, event.ts_ms)

    # --- the truth, for tests and reports ----------------------------------------------------------------------------

    def truth(self, client_id: str) -> TrueOrder | None:
        """What the latest order of this client id is, whatever was said of it; None where the venue recorded none."""
        order = self._orders.get(client_id)
        return None if order is None else self._truth(order)

    def queue_ahead(self, client_id: str) -> Decimal | None:
        """What stands ahead of an open order; None where that is unknown, or nothing is counted (`optimistic`)."""
        order = self._orders.get(client_id)
        if order is None or order.status != "open" or order.ahead_steps is None or self.settings.queue == "optimistic":
            return None
        return self._books[order.place.symbol].rules.step * order.ahead_steps

    def open_orders(self) -> list[TrueOrder]:
        """What rests, by symbol; buys, then sells, the best price first."""
        return [self._truth(order) for book in self._books.values() for order in book.open_orders()]

    def orders(self) -> list[TrueOrder]:
        """Every order that the venue recorded, in the order of arrival; a client id may be among them twice."""
        return [self._truth(order) for order in self._recorded]

    def positions(self) -> dict[str, Decimal]:
        """By symbol, negative is short; none where it is 0."""
        return {
            symbol: book.rules.step * book.position_steps for symbol, book in self._books.items() if book.position_steps
        }

    def _truth(self, order: PaperOrder) -> TrueOrder:
        place, step = order.place, self._books[order.place.symbol].rules.step
        return TrueOrder(
            client_id=place.client_id,
            symbol=place.symbol,
            side=place.side,
            kind=place.kind,
            qty=step * order.steps,
            price=place.price,
            reduce_only=place.reduce_only,
            status=order.status,
            filled=step * order.filled_steps,
            fills=list(order.fills),
        )

    # --- requests ----------------------------------------------------------------------------------------------------

    def _take_requests(self, before_ms: int) -> None:
        """Take the requests that arrived before `before_ms`."""
        flights = self._flights
        while flights and flights[0].arrives_ms < before_ms:
            self._take(heappop(flights))
        self._first_arrival_ms = flights[0].arrives_ms if flights else _NEVER_MS

    def _take(self, flight: _Flight) -> None:
        refusal, retry_after_ms = self._not_done(flight)
        if refusal is not None:
            self._refuse(flight, refusal, retry_after_ms)
        elif flight.fate.fault == "unknown" and not flight.fate.is_done:
            self._answer(flight)
        else:
            match flight.request:
                case Place():
                    self._place(flight, flight.request)
                case Cancel():
                    self._cancel(flight, flight.request)
                case Query():
                    self._query(flight, flight.request)

    def _not_done(self, flight: _Flight) -> tuple[Refusal | None, int]:
        """Why nothing is done with a request, and how long to wait; faults of the line, not of the order."""
        fault, faults, now_ms = flight.fate.fault, self.settings.faults, flight.arrives_ms
        if now_ms >= self._closed_until_ms and fault in ("rate_limit", "ban"):
            self._closed_code = 429 if fault == "rate_limit" else 418
            self._closed_until_ms = now_ms + (faults.retry_after_ms if fault == "rate_limit" else faults.ban_ms)
        if now_ms < self._closed_until_ms:
            text = "Too many requests." if self._closed_code == 429 else "Way too many requests; IP banned."
            return Refusal(self._closed_code, text), self._closed_until_ms - now_ms
        if fault == "not_found" and isinstance(flight.request, Query):
            return UNKNOWN_ON_QUERY, 0
        if fault == "overloaded" and _is_exempt(flight.request):
            return None, 0
        return _NOT_DONE.get(fault), 0

    def _place(self, flight: _Flight, request: Place) -> None:
        book = self._books.get(request.symbol)
        if book is None:
            self._refuse(flight, UNKNOWN_SYMBOL)
            return
        refusal = self._refusal(request, book)
        if refusal is not None:
            self._refuse(flight, refusal)
            return
        order = PaperOrder(request, book.steps_of(request.qty), float(request.price or 0))
        if request.reduce_only:
            order.steps = min(order.steps, _reducible_steps(book, request.side))
        if request.kind != "post_only":
            self._take_liquidity(flight, book, order)
        elif not book.would_take(request.side, order.price):
            self._record(order)
            book.rest(order)
            self._answer(flight, self._accepted(flight, order))
        else:
            self._refuse_post_only(flight, order)

    def _refusal(self, request: Place, book: PaperBook) -> Refusal | None:
        """What speaks against an order, the book apart."""
        quote = book.quote
        touch = 0.0 if quote is None else quote.ask if request.side == "buy" else quote.bid
        refusal = violation(request, book.rules, touch)
        if refusal is not None:
            return refusal
        before = self._orders.get(request.client_id)
        if before is not None and before.status == "open":
            return DUPLICATE_ID
        if not request.reduce_only:
            return None
        if book.closable_steps(request.side) <= 0:
            return NOTHING_TO_REDUCE
        return REDUCED_ALREADY if _reducible_steps(book, request.side) <= 0 else None

    def _take_liquidity(self, flight: _Flight, book: PaperBook, order: PaperOrder) -> None:
        executions = book.take(order)
        order.status = "expired" if order.rest_steps else "filled"
        self._record(order)
        self._answer(flight, self._accepted(flight, order))
        self._tell_executions(book, executions, flight.arrives_ms)

    def _refuse_post_only(self, flight: _Flight, order: PaperOrder) -> None:
        way = self.settings.post_only_reject
        if way == "code":
            self._refuse(flight, WOULD_TAKE)
            return
        order.status = "expired"
        self._record(order)
        accepted = self._accepted(flight, order)
        if way == "expired":
            self._answer(flight, accepted)
        else:
            now_ms = flight.arrives_ms
            self._answer(flight, Accepted(now_ms, order.place.client_id, "place", "open", accepted.filled))
            self._say(self._due_ms(flight), now_ms, Update(now_ms, order.place.client_id, "expired", accepted.filled))

    def _cancel(self, flight: _Flight, request: Cancel) -> None:
        order = self._found(request)
        if order is None or order.status != "open":
            self._refuse(flight, UNKNOWN_ON_CANCEL if request.symbol in self._books else UNKNOWN_SYMBOL)
            return
        self._books[request.symbol].remove(order)
        order.status = "cancelled"
        self._answer(flight, self._accepted(flight, order))

    def _query(self, flight: _Flight, request: Query) -> None:
        order = self._found(request)
        if order is None:
            self._refuse(flight, UNKNOWN_ON_QUERY if request.symbol in self._books else UNKNOWN_SYMBOL)
            return
        self._answer(flight, *order.fills, self._accepted(flight, order))

    def _found(self, request: Cancel | Query) -> PaperOrder | None:
        order = self._orders.get(request.client_id)
        return None if order is None or order.place.symbol != request.symbol else order

    def _record(self, order: PaperOrder) -> None:
        self._orders[order.place.client_id] = order
        self._recorded.append(order)

    # --- what is said ------------------------------------------------------------------------------------------------

    def _accepted(self, flight: _Flight, order: PaperOrder) -> Accepted:
        filled = self._books[order.place.symbol].rules.step * order.filled_steps
        asked = _ASKED[type(flight.request)]
        return Accepted(flight.arrives_ms, order.place.client_id, asked, order.status, filled)

    def _refuse(self, flight: _Flight, refusal: Refusal, retry_after_ms: int = 0) -> None:
        request, (code, text) = flight.request, refusal
        asked = _ASKED[type(request)]
        self._answer(flight, Rejected(flight.arrives_ms, request.client_id, asked, code, text, retry_after_ms))

    def _answer(self, flight: _Flight, *messages: Message) -> None:
        """Send the answer to a request, or what its fault makes of it."""
        due_ms, client_id = self._due_ms(flight), flight.request.client_id
        asked = _ASKED[type(flight.request)]
        match flight.fate.fault:
            case "timeout":
                return  # the router was told when it sent
            case "unknown":
                messages = (Unknown(flight.arrives_ms, client_id, asked, _UNKNOWN_ERROR),)
            case "overloaded_done" if not _is_exempt(flight.request):
                messages = (Rejected(flight.arrives_ms, client_id, asked, *_OVERLOADED),)
            case "out_of_order":
                due_ms += self.settings.faults.disorder_ms
            case _:
                pass
        for message in messages:
            self._say(due_ms, flight.arrives_ms, message)

    def _tell_executions(self, book: PaperBook, executions: Sequence[Execution], now_ms: int) -> None:
        """Record fills and send their events, then those of the orders that have nothing left to reduce."""
        for execution in executions:
            order = execution.order
            self._trades += 1
            fill = self._fill(book.rules, execution, now_ms)
            order.fills.append(fill)
            events: tuple[Message, ...] = (fill,)
            if execution.is_last:
                order.status = "filled"
                if execution.is_maker:
                    events = (fill, Update(now_ms, fill.client_id, "filled", book.rules.step * order.filled_steps))
            self._tell_fill(events, fill.client_id, now_ms)
        for order in book.drop_idle_reducers():
            order.status = "expired"
            filled = book.rules.step * order.filled_steps
            due_ms = now_ms + self.settings.downlink_ms
            self._say(due_ms, now_ms, Update(now_ms, order.place.client_id, "expired", filled))

    def _fill(self, rules: SymbolRules, execution: Execution, now_ms: int) -> Fill:
        place, qty, price = execution.order.place, rules.step * execution.steps, execution.price
        rate = self._maker_rate if execution.is_maker else self._taker_rate
        return Fill(
            ts_ms=now_ms,
            client_id=place.client_id,
            trade_id=f"{place.symbol}-{self._trades}",
            symbol=place.symbol,
            side=place.side,
            qty=qty,
            price=price,
            fee=qty * price * rate,
            is_maker=execution.is_maker,
        )

    def _tell_fill(self, events: Sequence[Message], client_id: str, now_ms: int) -> None:
        fate, faults = self._fates.of_fill(client_id), self.settings.faults
        if fate.fault == "lost":
            return
        due_ms = now_ms + self.settings.downlink_ms + fate.downlink_jitter_ms
        if fate.fault == "late":
            due_ms += faults.late_ms
        for event in events:
            self._say(due_ms, now_ms, event)
        if fate.fault == "duplicate":
            for event in events:
                self._say(due_ms + faults.duplicate_ms, now_ms, event)

    def _due_ms(self, flight: _Flight) -> int:
        return flight.arrives_ms + self.settings.downlink_ms + flight.fate.downlink_jitter_ms

    def _say(self, due_ms: int, arose_ms: int, message: Message) -> None:
        # Ordered by when it arose as well: requests may be looked at later than others are sent.
        heappush(self._messages, (due_ms, arose_ms, self._number(), message))


def _reducible_steps(book: PaperBook, side: Side) -> int:
    """What is left of the position for another reduce-only order."""
    return book.closable_steps(side) - book.reserved_steps(side)


def _is_exempt(request: Request) -> bool:
    """Whether a request is never refused for overload: an order that only reduces."""
    return isinstance(request, Place) and request.reduce_only
