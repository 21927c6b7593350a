"""Three simple ways to route the same intents over the same market: what the router is compared with.

    taker             crosses at arrival, as the router does: IOC with the same protection limit, the rest again
    maker_then_taker  rests at the touch, post-only; after `timeout_s` it is cancelled, and once the cancel is
                      confirmed the rest crosses like a taker
    maker             rests at the touch until the end, and never crosses

In: intents as they are routed, and every event of the market. Out: a `BaselineDone` for each intent and baseline.

Each baseline trades each symbol on a venue of its own, so that no order of one meets those of another or the router's.
The venues are made by the caller, with the same latency, fees and queue bound as the router's and without faults. A
post-only order that is refused because it would take is sent again at the touch of the next quote. One that rests stays
where it is: there is no repricing. A limit of the intent binds all three. What is too small for the venue is left.

One end for all four ways. An intent's end is when the router was done with it, and at least `horizon_s` after its
arrival: an intent that the router filled at once still gives a resting order time to fill. It is sooner where the
strategy took the intent back or its time was over. At that moment what still rests is cancelled, and what was not
filled is measured at the mid of that moment, the router's rest included: `BaselineDone.end_mid` is the same for all.

Everything happens in the time of the market, so the same events give the same baselines. Baselines are no state of the
router: those of intents that are open when it crashes are lost, and a report says how many intents were compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from heapq import heappop, heappush
from typing import Literal, TypeAlias, get_args

from engine.journal.events import BaselineDone, OrderPlanned
from engine.market import Event, Quote
from engine.market.book import mid_of
from engine.routing.evidence.costs import BPS, MAX_QUOTE_AGE_S
from engine.routing.orders import Order
from engine.routing.shape import RouterShape
from engine.venues.messages import Cancel, Fill, Message, Place, Query, Side
from engine.venues.rules import SymbolRules
from engine.venues.venue import EmbeddedVenue

Baseline: TypeAlias = Literal["taker", "maker_then_taker", "maker"]

BASELINES: tuple[Baseline, ...] = get_args(Baseline)
"""The baselines, in the order in which they are shown."""

MakeVenue: TypeAlias = Callable[[Mapping[str, SymbolRules]], EmbeddedVenue]
"""Makes a venue of these symbols, the same each time: latency, fees and queue as the router's, without faults."""

_Due: TypeAlias = Literal["time_out", "again", "end"]

_NEVER = 1 << 62
_MOST_QUERIES = 5  # a venue without faults knows its orders; one that does not is not asked for ever
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class BaselineShape:
    """The numbers of the baselines."""

    timeout_s: float = 30.0
    """How long `maker_then_taker` rests before it crosses."""
    horizon_s: float = 60.0
    """Least time from arrival to the end, at which what is not filled is measured."""
    most_open: int = 10_000
    """Intents followed at the same time; those beyond are not compared, and counted in `Baselines.skipped`."""


@dataclass(slots=True, eq=False)
class _Intent:
    """One intent, and what all its baselines share."""

    intent_id: str
    symbol: str
    side: Side
    target: Decimal
    arrival_mid: float | None
    arrival_ms: int
    protection_bps: float
    limit_price: float | None
    is_exit: bool
    expires_ms: int | None
    runs: tuple[_Run, ...] = ()
    is_finished: bool = False
    """Whether the router is done with it."""
    is_over: bool = False
    """Whether its end has come: nothing more is sent."""
    end_mid: float | None = None


@dataclass(slots=True, eq=False)
class _Run:
    """One intent on its way through one baseline."""

    intent: _Intent
    desk: _Desk
    crosses: bool
    """Whether what is left is to cross, or to rest."""
    order: Order | None = None
    """The last one sent."""
    crossings: int = 0
    """Orders sent to cross."""
    priced_from: Quote | None = None
    """The quote that the last order was priced from."""
    sent_mid: float | None = None
    filled: Decimal = _NONE
    maker_filled: Decimal = _NONE
    cost: Decimal = _NONE
    fees: Decimal = _NONE
    is_done: bool = False

    @property
    def rest(self) -> Decimal:
        """What is not filled."""
        return self.intent.target - self.filled


@dataclass(slots=True, eq=False)
class _Desk:
    """One baseline in one symbol, with its venue."""

    baseline: Baseline
    venue: EmbeddedVenue
    live: int = 0
    """Runs that are not done. While there are none, the venue is not shown the market."""
    shown: Quote | None = None
    """The last quote that the venue was shown."""
    orders: int = 0
    """Sent so far."""
    runs: dict[str, _Run] = field(default_factory=dict)
    """Those with an order sent, by its client id."""
    waiting: list[_Run] = field(default_factory=list)
    """Runs that act on the next quote."""


@dataclass(slots=True, eq=False)
class _Lane:
    """One symbol: its desks, and what is due there."""

    symbol: str
    rules: SymbolRules
    desks: tuple[_Desk, ...]
    timers: list[tuple[int, int, _Due, _Intent]] = field(default_factory=list)
    now_ms: int = 0
    wake_ms: int = _NEVER
    """What it is to be woken for."""

    @property
    def is_live(self) -> bool:
        """Whether any desk must be shown the market."""
        return any(desk.live for desk in self.desks)

    def next_ms(self) -> int:
        """When something is due here."""
        next_ms = self.timers[0][0] if self.timers else _NEVER
        for desk in self.desks:
            if desk.live:
                message_ms = desk.venue.next_ms()
                if message_ms is not None and message_ms < next_ms:
                    next_ms = message_ms
        return next_ms


class Baselines:
    """All baselines of a session.

    `shape` is the router's: rests cross as often, and at the same intervals, as its own do.
    """

    def __init__(
        self,
        make_venue: MakeVenue,
        rules: Mapping[str, SymbolRules],
        shape: RouterShape,
        times: BaselineShape = BaselineShape(),
    ) -> None:
        self.skipped = 0
        """Intents that were not followed, since too many were open."""
        self._make_venue = make_venue
        self._rules = rules
        self._shape = shape
        self._times = times
        self._intents: dict[str, _Intent] = {}
        self._quotes: dict[str, Quote] = {}
        self._lanes: dict[str, _Lane] = {}
        self._live: dict[str, _Lane] = {}
        """Lanes that are shown the market."""
        self._wakes: list[tuple[int, str]] = []
        self._wake_ms = _NEVER
        self._timers = 0
        self._ended: dict[str, _Intent] = {}
        """Those that wait to be handed out."""

    @property
    def open(self) -> int:
        """How many intents are followed."""
        return len(self._intents)

    # --- in ----------------------------------------------------------------------------------------------------------

    def start(
        self,
        intent_id: str,
        symbol: str,
        side: Side,
        target: Decimal,
        arrival_mid: float | None,
        arrival_ms: int,
        protection_bps: float,
        limit_price: float | None,
        is_exit: bool,
        expires_ms: int | None = None,
    ) -> None:
        """Follow an intent from now on.

        `target` is positive and rounded to the step. `protection_bps` is how far through the touch an order without a
        price of its own may cross; `limit_price` is the intent's own price, None for one at the market. `expires_ms` is
        when the strategy gives the intent up.
        """
        if len(self._intents) >= self._times.most_open:
            self.skipped += 1
            return
        lane = self._lane(symbol)
        lane.now_ms = max(lane.now_ms, arrival_ms)
        intent = _Intent(
            intent_id,
            symbol,
            side,
            target,
            arrival_mid,
            arrival_ms,
            protection_bps,
            limit_price,
            is_exit,
            expires_ms,
        )
        intent.runs = tuple(_Run(intent, desk, crosses=desk.baseline == "taker") for desk in lane.desks)
        self._intents[intent_id] = intent
        quote = self._quotes.get(symbol)
        for desk in lane.desks:
            if quote is not None and quote is not desk.shown:
                desk.venue.see(quote)  # it was not shown the market while there was nothing on it
                desk.shown = quote
            desk.live += 1
        self._set_timer(lane, arrival_ms + round(self._times.timeout_s * 1000), "time_out", intent)
        self._act_on_all(lane, intent)
        self._schedule(lane)

    def finish(self, intent_id: str, end_ms: int, *, withdrawn: bool = False) -> Sequence[BaselineDone]:
        """The router is done with an intent. `withdrawn`: it was taken back or expired, and every way ends with it."""
        intent = self._intents.get(intent_id)
        if intent is None or (intent.is_finished and not withdrawn):
            return ()
        intent.is_finished = True
        lane = self._lanes[intent.symbol]
        lane.now_ms = max(lane.now_ms, end_ms)
        ends_ms = end_ms if withdrawn else self._least_end_ms(intent)
        if ends_ms > end_ms:
            self._set_timer(lane, ends_ms, "end", intent)
        else:
            self._end(lane, intent)
        self._schedule(lane)
        return self._hand_out(end_ms)

    def see(self, event: Event) -> Sequence[BaselineDone]:
        """Take the next event of the market. What was due before it happens first; what is due with it, after it."""
        if event.ts_ms > self._wake_ms:
            self._advance(event.ts_ms)
        if event.__class__ is Quote:
            self._quotes[event.symbol] = event
        lane = self._live.get(event.symbol)
        if lane is not None:
            self._feed(lane, event)
        return self._hand_out(event.ts_ms) if self._ended else ()

    def close(self, end_ms: int) -> Sequence[BaselineDone]:
        """The market is over: every intent ends now, and what the venues still have to say is heard."""
        self._advance(end_ms + 1)
        for intent in list(self._intents.values()):
            lane = self._lanes[intent.symbol]
            lane.now_ms = max(lane.now_ms, end_ms)
            self._end(lane, intent)
            self._schedule(lane)
        self._advance(_NEVER)
        self._ended |= {of: intent for of, intent in self._intents.items() if of not in self._ended}
        return self._hand_out(end_ms)

    def _least_end_ms(self, intent: _Intent) -> int:
        least_ms = intent.arrival_ms + round(self._times.horizon_s * 1000)
        return least_ms if intent.expires_ms is None else min(least_ms, intent.expires_ms)

    # --- time --------------------------------------------------------------------------------------------------------

    def _lane(self, symbol: str) -> _Lane:
        lane = self._lanes.get(symbol)
        if lane is None:
            rules = self._rules[symbol]
            # These venues know no positions, so exits go without the flag, which would exempt them from the least
            # notional; of entries it is checked here.
            free = {symbol: replace(rules, min_notional=_NONE)}
            desks = tuple(_Desk(baseline, self._make_venue(free)) for baseline in BASELINES)
            lane = self._lanes[symbol] = _Lane(symbol, rules, desks)
        return lane

    def _set_timer(self, lane: _Lane, at_ms: int, due: _Due, intent: _Intent) -> None:
        self._timers += 1
        heappush(lane.timers, (at_ms, self._timers, due, intent))

    def _schedule(self, lane: _Lane) -> None:
        """Note when a lane has something to do next, and whether it must be shown the market."""
        if lane.is_live:
            self._live[lane.symbol] = lane
        else:
            self._live.pop(lane.symbol, None)
        next_ms = lane.next_ms()
        if next_ms != lane.wake_ms:
            lane.wake_ms = next_ms
            if next_ms != _NEVER:
                heappush(self._wakes, (next_ms, lane.symbol))
                self._wake_ms = self._wakes[0][0]

    def _advance(self, before_ms: int) -> None:
        """Everything that is due before a moment, in order of time, and of symbol within a millisecond."""
        while self._wakes and self._wakes[0][0] < before_ms:
            at_ms, symbol = heappop(self._wakes)
            lane = self._lanes[symbol]
            if at_ms == lane.wake_ms:  # else it has been woken, or is to be woken at another time
                lane.wake_ms = _NEVER
                self._wake(lane, at_ms)
                self._schedule(lane)
        self._wake_ms = self._wakes[0][0] if self._wakes else _NEVER

    def _wake(self, lane: _Lane, at_ms: int) -> None:
        lane.now_ms = max(lane.now_ms, at_ms)
        for desk in lane.desks:
            if desk.live:
                for message in desk.venue.receive(lane.now_ms):
                    self._hear(lane, desk, message)
        while lane.timers and lane.timers[0][0] <= lane.now_ms:
            _, _, due, intent = heappop(lane.timers)
            match due:
                case "time_out":
                    self._time_out(lane, intent)
                case "again":
                    self._act_on_all(lane, intent)
                case "end":
                    self._end(lane, intent)

    def _feed(self, lane: _Lane, event: Event) -> None:
        lane.now_ms = max(lane.now_ms, event.ts_ms)
        quote = event if event.__class__ is Quote else None
        for desk in lane.desks:
            if desk.live:
                desk.venue.see(event)
                if quote is not None:
                    desk.shown = quote
                    waiting, desk.waiting = desk.waiting, []
                    for run in waiting:
                        self._act(lane, run)
        self._schedule(lane)

    # --- intents -----------------------------------------------------------------------------------------------------

    def _time_out(self, lane: _Lane, intent: _Intent) -> None:
        for run in intent.runs:
            if run.desk.baseline == "maker_then_taker":
                run.crosses = True
                self._act(lane, run)

    def _end(self, lane: _Lane, intent: _Intent) -> None:
        if intent.is_over:
            return
        intent.is_over = True
        intent.end_mid = self._mid(lane)
        self._act_on_all(lane, intent)
        self._note_end(intent)

    def _note_end(self, intent: _Intent) -> None:
        if intent.is_over and all(run.is_done for run in intent.runs):
            self._ended[intent.intent_id] = intent

    def _mid(self, lane: _Lane) -> float | None:
        quote = self._quotes.get(lane.symbol)
        if quote is None or lane.now_ms - quote.ts_ms > MAX_QUOTE_AGE_S * 1000:
            return None
        return mid_of(quote)

    def _hand_out(self, now_ms: int) -> list[BaselineDone]:
        ended, self._ended = self._ended, {}
        for intent_id in ended:
            del self._intents[intent_id]
        return [_done(now_ms, run) for intent in ended.values() for run in intent.runs]

    # --- orders ------------------------------------------------------------------------------------------------------

    def _act_on_all(self, lane: _Lane, intent: _Intent) -> None:
        for run in intent.runs:
            self._act(lane, run)

    def _act(self, lane: _Lane, run: _Run) -> None:
        """Do what is next for a run, if anything; safe to call at any time. Never are two of its orders live."""
        if run.is_done:
            return
        order, intent = run.order, run.intent
        if order is not None and not order.is_settled:
            if order.plan.role == "maker" and order.state in ("planned", "open") and (run.crosses or intent.is_over):
                order.move("cancel_sent")
                run.desk.venue.send(Cancel(order.client_id, intent.symbol), lane.now_ms)
            return
        if intent.is_over or not run.rest:
            self._give_up(run)
        elif order is not None and order.state == "rejected" and not order.post_only_rejected:
            self._act_on_refusal(lane, run, order)
        elif run.crosses:
            self._cross(lane, run)
        else:
            self._rest(lane, run)

    def _act_on_refusal(self, lane: _Lane, run: _Run, order: Order) -> None:
        """The venue will not have it: what may cross crosses, as the router's would, and anything else is over."""
        if order.plan.role == "maker" and run.desk.baseline == "maker_then_taker":
            run.crosses = True
            self._cross(lane, run)
        else:
            self._give_up(run)

    def _rest(self, lane: _Lane, run: _Run) -> None:
        intent, quote = run.intent, self._quotes.get(lane.symbol)
        touch = None if quote is None else (quote.bid if intent.side == "buy" else quote.ask)
        if quote is None or not touch or quote is run.priced_from:
            self._wait_for_quote(run)
            return
        if intent.limit_price is not None:
            touch = (min if intent.side == "buy" else max)(touch, intent.limit_price)
        self._place(lane, run, quote, touch)

    def _cross(self, lane: _Lane, run: _Run) -> None:
        intent, quote, shape = run.intent, self._quotes.get(lane.symbol), self._shape
        if run.crossings:
            if run.crossings >= (shape.cross_attempts if intent.limit_price is None else 1):
                self._give_up(run)
                return
            assert run.order is not None
            again_ms = run.order.plan.ts_ms + shape.cross_again_ms
            if lane.now_ms < again_ms:
                self._set_timer(lane, again_ms, "again", intent)
                return
        touch = None if quote is None else (quote.ask if intent.side == "buy" else quote.bid)
        if quote is None or not touch:
            self._wait_for_quote(run)
            return
        if intent.limit_price is not None:
            price = intent.limit_price
        else:
            through = intent.protection_bps / BPS
            price = touch * (1 + through if intent.side == "buy" else 1 - through)
        self._place(lane, run, quote, price)

    def _wait_for_quote(self, run: _Run) -> None:
        if run not in run.desk.waiting:
            run.desk.waiting.append(run)

    def _place(self, lane: _Lane, run: _Run, quote: Quote, limit: float) -> None:
        """Send what is left."""
        intent, desk = run.intent, run.desk
        price = lane.rules.round_price(intent.side, limit)
        if price <= 0 or (not intent.is_exit and run.rest * price < lane.rules.min_notional):
            self._give_up(run)
            return
        if run.order is None:
            run.sent_mid = mid_of(quote)
        run.priced_from = quote
        run.crossings += run.crosses
        desk.orders += 1
        planned = OrderPlanned(
            ts_ms=lane.now_ms,
            intent_id=intent.intent_id,
            client_id=f"b-{desk.orders}",
            leg=desk.orders,
            role="taker" if run.crosses else "maker",
            symbol=intent.symbol,
            side=intent.side,
            qty=run.rest,
            kind="ioc" if run.crosses else "post_only",
            price=price,
            reduce_only=False,
            mid=mid_of(quote),
        )
        run.order = Order(planned)
        desk.runs[planned.client_id] = run
        order = Place(planned.client_id, intent.symbol, intent.side, planned.qty, planned.kind, price, False)
        desk.venue.send(order, lane.now_ms)

    def _hear(self, lane: _Lane, desk: _Desk, message: Message) -> None:
        run = desk.runs.get(message.client_id)
        if run is None or run.order is None or run.order.client_id != message.client_id:
            return
        order = run.order
        if isinstance(message, Fill) and message.trade_id not in order.trade_ids:
            run.filled += message.qty
            run.cost += message.qty * message.price
            run.fees += message.fee
            if message.is_maker:
                run.maker_filled += message.qty
        order.hear(message)
        if order.state == "unknown":
            if order.absences >= _MOST_QUERIES:
                order.move("proved_absent")
            elif not isinstance(message, Fill):
                desk.venue.send(Query(order.client_id, lane.symbol), lane.now_ms)
        if order.is_settled:
            del desk.runs[order.client_id]
        self._act(lane, run)

    def _give_up(self, run: _Run) -> None:
        run.is_done = True
        run.desk.live -= 1
        self._note_end(run.intent)


def _done(now_ms: int, run: _Run) -> BaselineDone:
    intent = run.intent
    return BaselineDone(
        ts_ms=now_ms,
        intent_id=intent.intent_id,
        symbol=intent.symbol,
        baseline=run.desk.baseline,
        side=intent.side,
        target=intent.target,
        filled=run.filled,
        maker_filled=run.maker_filled,
        cost_usd=float(run.cost),
        fees_usd=float(run.fees),
        arrival_mid=intent.arrival_mid,
        sent_mid=run.sent_mid,
        end_mid=intent.end_mid,
    )
