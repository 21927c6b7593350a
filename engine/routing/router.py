"""The router: intents become orders, never doubled. A core without input or output of its own.

In: market events, intents, messages of a venue, and time, each handed in by a driver. Out: events for a journal, and
requests for a venue. Everything that changes is written down first (`_emit`), and a request leaves only after what led
to it was written (`commit`). So the state is what the journal adds up to, and a router that starts again from the
journal goes on where the last one ended.

An intent is admitted and routed by the rulebook, then worked towards what is wanted of it (`Plan`): an order that
rests, one that crosses, or the end. There is one way there, `_advance`, which is safe to call at any time: while an
order may still be executed nothing else is sent for its quantity, an unknown one is asked for, and only what is
certainly left is sent again. What is wanted changes by rules alone; nothing here compares a measured value with a
number that decides.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from engine.backends.facts import Gap, read_fact, read_value
from engine.book import Book
from engine.journal.errors import JournalUnwritableError
from engine.journal.events import (
    DUPLICATE_ID,
    BaselineDone,
    BreakerMoved,
    CancelPlanned,
    CancelRequested,
    CandidateMoved,
    Decided,
    Event,
    Given,
    Heard,
    IntentReceived,
    IntentRefused,
    MarkedOut,
    OrderError,
    OrderPlanned,
    Outcome,
    ProbeGranted,
    ProvedAbsent,
    QueryPlanned,
    Result,
    Role,
    Routed,
    Snapshot,
    Worked,
)
from engine.language.types import NumberType
from engine.market import Quote, Trade
from engine.routing.chain import ADMISSION, ROUTING, WORKING, ChainDecision, Made
from engine.routing.deciders import Deciders
from engine.routing.intents import CancelIntent, GivenFacts, Intent, Refusal, Request, shown
from engine.routing.known import VENUE, Known, PauseSource
from engine.routing.ledger import NONE, Ledger, Work
from engine.routing.orders import Order
from engine.routing.shape import RouterShape
from engine.routing.views import View, Views
from engine.venues.codes import HELD_BACK, refusal_of
from engine.venues.messages import (
    Accepted,
    Cancel,
    Fill,
    Kind,
    Message,
    Place,
    Query,
    Rejected,
    Unknown,
    Update,
    asked_of,
)
from engine.venues.messages import Request as VenueRequest
from engine.venues.rules import SymbolRules
from engine.venues.venue import Venue

_BPS = 1e-4
_encode = msgspec.json.Encoder().encode
_MOMENT = NumberType("s", -math.inf, math.inf)
_NO_STATE = (BaselineDone, Decided, IntentRefused, MarkedOut, Snapshot)
"""Events that no state is made of: the first to go when nothing can be written."""
_ID_DIGITS = 24
_MOST_DIGITS = 18
"""Before or behind the point of any number that a venue may say: it counts more than anybody could trade."""
_URGENT, _EXIT, _ENTRY = 0, 1, 2  # what goes first when many things wait for the same moment


class JournalLike(Protocol):
    """What a router needs of a journal."""

    @property
    def is_writable(self) -> bool:
        """Whether what is added reaches the disk."""

    def add(self, event: Event) -> Event:
        """Take an event; it is written with the next commit."""

    def commit(self) -> bool:
        """Write what was added; False while that cannot be. Raises `JournalUnwritableError` when it fails first."""


class BreakerSource(PauseSource, Protocol):
    """Breakers by symbol and for the venue."""

    def decide(self, scope: str, now_ms: int, feed_gap_s: float | None) -> BreakerMoved | None:
        """The next state of one of them, if it is another."""


class ExposureError(Exception):
    """An order that would come on top of what may already be executed: a defect of the router, and it is not sent."""

    def __init__(self, work: Work, qty: Decimal) -> None:
        super().__init__(
            f"intent {work.intent_id}: {qty} is more than {work.sendable}, with {work.filled} of {work.target} filled "
            f"and {work.possible} possible"
        )


class Router:
    """Routes the intents of one account at one venue.

    Raises:
        MissingPolicyError: if the profile does not run all policies of the chain.

    """

    def __init__(
        self,
        book: Book,
        journal: JournalLike,
        venue: Venue,
        rules: Mapping[str, SymbolRules],
        known: Known,
        breakers: BreakerSource,
        shape: RouterShape,
        views: Sequence[View] = (),
        watchers: Sequence[View] = (),
    ) -> None:
        """`views` take part in the state; `watchers` are shown what was added to the journal, with its seq."""
        self.is_dirty = False
        """Whether there is something to commit."""
        self.deciders = Deciders(book)
        self.shape = shape
        self.ledger = Ledger(shape)
        self.known = known
        self.symbols = known.symbols
        self.now_ms = 0
        self._journal = journal
        self._venue = venue
        self._rules = rules
        self._account = known.account
        self._breakers = breakers
        self._views = Views((self._account, *views))
        self._watchers = Views(watchers)
        self._outbox: list[VenueRequest] = []
        self._wakes: list[tuple[int, int, int, str]] = []
        self._wake_count = 0
        self.lost = 0
        """Events that could not even be held in memory, because the journal has been unwritable for so long."""
        self._left_out = 0  # events that no state is made of, since the journal could last be written
        self._is_clock_off = False  # the venue said so, and has not been asked for the time since
        self._lost_before = 0  # of `lost`, those that the journal says itself it has lost
        self._unwritable_ms: int | None = None  # since when it has been so; None while it can be written

    @property
    def book(self) -> Book:
        """The rulebook in force."""
        return self.deciders.active.book

    # --- inputs ----------------------------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Take the next quote."""
        now_ms = quote.ts_ms
        if now_ms > self.now_ms:  # noqa: PLR1730 - a third of the time of max(), for every quote there is
            self.now_ms = now_ms
        self.known.last_event_ms = now_ms
        facts = self.symbols[quote.symbol]
        facts.see_quote(quote)
        mid = facts.book.mid
        if mid is not None:
            self._account.mark(quote.symbol, mid, now_ms)
        works = self.ledger.of_symbol(quote.symbol)
        if works:
            self._look_at(works)

    def on_trade(self, trade: Trade) -> None:
        """Take the next print."""
        if trade.ts_ms > self.now_ms:  # noqa: PLR1730 - as in on_quote
            self.now_ms = trade.ts_ms
        self.known.last_event_ms = trade.ts_ms
        self.symbols[trade.symbol].see_trade(trade)

    def on_request(self, request: Request, now_ms: int, place: str = "") -> None:
        """Take what a strategy sent; `place` is the file and line it came from."""
        self._go_to(now_ms)
        match request:
            case Intent():
                self._on_intent(request, place)
            case CancelIntent():
                self.cancel(request.intent_id, request.reason, place)
            case GivenFacts(facts=facts, ts_ms=ts_ms):
                if facts is not None and ts_ms is not None and ts_ms < self.now_ms:
                    facts = {**facts, "observed_at": ts_ms / 1000}  # a word of some time ago is as old as that
                wrong = self._wrong_facts(request.group, facts or {})
                if wrong:
                    self._refuse(None, "malformed", wrong, shown(facts or {}, self.shape.most_shown), place)
                    return
                self._emit(Given(ts_ms=self.now_ms, group=request.group, facts=facts, symbol=request.symbol))
            case Refusal():
                self._refuse(request.intent_id, request.code, request.reason, request.received, place)

    def on_left_over(self, request: Request, place: str, why: str = "the market ended before its time came") -> None:
        """Take what came too late to be worked."""
        match request:
            case Intent(intent_id=intent_id):
                said = {"intent_id": intent_id, "symbol": request.symbol, **request.facts}
                received = shown(said, self.shape.most_shown)
                self._refuse(intent_id, "too_late", why, received, place)
            case Refusal():
                self._refuse(request.intent_id, request.code, request.reason, request.received, place)
            case _:
                pass  # nothing is left that it could change

    def on_message(self, message: Message, now_ms: int) -> None:
        """Take what the venue says."""
        self._go_to(now_ms)
        found = self.ledger.find(message.client_id)
        if found is None:
            self._hear_of_stranger(message)
            return
        work, order = found
        if not _is_sound(message, order):
            self._error(message.client_id, order.plan.intent_id, 0, "unsound_message", f"not taken: {message}")
            return
        unseen = order.unseen if work is None else NONE
        unlisted = len(order.unlisted)
        overfilled = order.filled > order.plan.qty
        again = isinstance(message, Fill) and message.trade_id in order.trade_ids
        had_failed = work is not None and work.submit_failed
        self._emit(Heard(ts_ms=self.now_ms, message=message, again=again), order)
        intent_id = order.plan.intent_id
        for text in order.unlisted[unlisted:]:
            self._error(order.client_id, intent_id, 0, "unlisted_transition", text)
        if order.filled > order.plan.qty and not overfilled:
            self._error(order.client_id, intent_id, 0, "overfilled", f"{order.filled} of {order.plan.qty}")
        match message:
            case Rejected():
                refusal = refusal_of(message)
                self._is_clock_off |= refusal == "clock"
                if refusal == "reduce_only" and message.asked == "place":
                    self._make_way(order)
                if refusal != "post_only" or message.asked != "place":
                    self._error(order.client_id, intent_id, message.code, refusal, message.text)
            case Unknown():
                self._error(order.client_id, intent_id, 0, "unknown_outcome", f"{message.asked}: {message.cause}")
        if work is not None and work.submit_failed and not had_failed and isinstance(message, Rejected):
            self._route_changed(work, "submit_failed", f"the venue refused it: {message.code} {message.text}", "none")
        if work is None:
            work = self._hear_of_ended(order, unseen)
        if work is not None:
            self._update_reserved(work)
            self._advance(work)

    def _wrong_facts(self, group: str, facts: Mapping[str, Any]) -> str:
        """What is no fact of the vocabulary, or no value of one: taken as it is, it would stop every entry silently."""
        held = self.book.rulebook.groups.get(group)
        if held is None:
            return ""  # a home that declares no such group reads nothing of it
        declared = {fact.name: fact for fact in held.facts}
        for name, value in facts.items():
            if name == "observed_at":
                if isinstance(read_value(_MOMENT, value), Gap):
                    return "`observed_at` is a number of seconds since 1970"
                continue
            if name not in declared:
                return f"there is no fact `{name}` in group `{group}`"
            read = read_fact(declared[name], value)
            if isinstance(read, Gap) and value is not None:
                return f"`{name}` cannot be {read.got or 'that'}"
        return ""

    def _hear_of_ended(self, order: Order, unseen: Decimal) -> Work | None:
        """An order of an intent that had ended was spoken of; the intent, if that has brought it back to life.

        `unseen` is what was reserved for the order since the end: what it executed and had not told the trades of.
        """
        revived = self.ledger.orders.get(order.client_id)
        ended = self.ledger.ended.get(order.client_id)
        if revived is not None:
            self._reserve_unseen(revived[0], -unseen)  # from here on it counts like any other
            return revived[0]
        if ended is not None:
            self._reserve_unseen(ended[0], order.unseen - unseen)
        return None

    def _hear_of_stranger(self, message: Message) -> None:
        """An order nobody knows: somebody else's, or of a journal that lost its end. A fill moves the position."""
        if isinstance(message, Fill) and _is_plain(message):
            again = (message.client_id, message.trade_id) in self.ledger.strays
            self._emit(Heard(ts_ms=self.now_ms, message=message, again=again))
        self._error(message.client_id, None, 0, "unknown_order", f"the venue speaks of it: {message}")

    def _make_way(self, order: Order) -> None:
        """The venue counts a resting reduce-only order against this one: take that back first."""
        for other in list(self.ledger.of_symbol(order.plan.symbol)):
            resting = any(each.state == "open" and each.plan.reduce_only for each in other.orders)
            if resting and other.intent_id != order.plan.intent_id:
                self.cancel(other.intent_id, "makes_way_for_an_exit")

    def on_time(self, now_ms: int) -> None:
        """Do what has come due by `now_ms`."""
        self._go_to(now_ms)
        wakes = self._wakes
        while wakes and wakes[0][0] <= now_ms:
            at_ms, _, _, intent_id = heapq.heappop(wakes)
            work = self.ledger.works.get(intent_id)
            if work is not None and work.wake_ms == at_ms:
                work.wake_ms = None
                self._advance(work)

    def next_ms(self) -> int | None:
        """When `on_time` has something to do; None for never."""
        return self._wakes[0][0] if self._wakes else None

    def cancel(self, intent_id: str, reason: str, place: str = "") -> None:
        """End an intent: what rests is cancelled, and nothing more is sent."""
        work = self.ledger.works.get(intent_id)
        if work is None:
            self._refuse(intent_id, "unknown_intent", "there is no such intent, or it has ended", "", place)
            return
        if work.plan != "end":
            self._emit(CancelRequested(ts_ms=self.now_ms, intent_id=intent_id, reason=reason))
        self._advance(work)

    def cancel_all(self, reason: str) -> None:
        """End every intent that is not about to end."""
        for work in list(self.ledger.works.values()):
            if work.plan != "end":
                self.cancel(work.intent_id, reason)

    def look_at_breakers(self, now_ms: int) -> None:
        """Let every breaker decide, though no intent asks: open ones end, and a silent feed opens them."""
        self._go_to(now_ms)
        for symbol in self.symbols:
            if self.symbols[symbol].last_event_ms is not None:
                self._look_at_breakers(symbol)

    def emit(self, event: Event) -> None:
        """Write down an event that others found: a markout, a snapshot."""
        self._emit(event)

    def commit(self) -> None:
        """Write down everything so far, then hand over the requests that stand on it.

        While the journal cannot be written no order is sent, and every intent is ended; cancels and queries still go,
        since nothing is worse than an order that nobody can take back. Nor is one sent whose plan the journal lost.
        """
        self._hold_back()
        self.is_dirty = False
        try:
            is_written = self._journal.commit()
        except JournalUnwritableError as error:
            is_written = False
            self._stop(error)
        if not is_written and self._unwritable_ms is None:
            self._unwritable_ms = self.now_ms
        has_all = is_written and self.lost == self._lost_before
        outbox, self._outbox = sorted(self._outbox, key=self._urgency), []
        if self._is_clock_off and self.ledger.gate_ms <= self.now_ms:
            self._is_clock_off = False
            self._venue.set_clock(self.now_ms)
        for request in outbox:
            if has_all or not isinstance(request, Place):
                self._venue.send(request, self.now_ms)
        if is_written and (self._unwritable_ms is not None or not has_all):
            self._say_what_is_missing()

    def _stop(self, error: JournalUnwritableError) -> None:
        """End every intent, because nothing more can be written down."""
        self._error("", None, 0, "journal_unwritable", str(error))
        self.cancel_all("journal_unwritable")

    def _say_what_is_missing(self) -> None:
        """The journal takes events again. Only it can say later what never reached it: no seq is missing."""
        lost, left_out = self.lost, self._left_out
        parts = []
        if self._unwritable_ms is not None:
            parts.append(f"nothing could be written for {(self.now_ms - self._unwritable_ms) / 1000:.1f} s")
        if lost > self._lost_before:
            parts.append(f"{_counted(lost - self._lost_before, 'event')} of the state lost")
        if left_out:
            parts.append(f"{_counted(left_out, 'record')} that no state is made of left out")
        if lost > self._lost_before:
            self._error("", None, 0, "events_lost", "; ".join(parts))
        else:
            self._error("", None, 0, "journal_writable", "; ".join(parts))
        if self.lost == lost:  # else not even this could be held, and it is said another time
            self._lost_before, self._left_out, self._unwritable_ms = lost, 0, None

    def _hold_back(self) -> None:
        """Take requests back that have not left yet and must not leave now: the venue asked for a rest meanwhile."""
        gate_ms, now_ms = self.ledger.gate_ms, self.now_ms
        if gate_ms <= now_ms:
            return
        outbox, self._outbox = self._outbox, []
        for request in outbox:
            asked = asked_of(request)
            text = "not sent: the venue asked for a rest"
            self.on_message(
                Rejected(now_ms, request.client_id, asked, HELD_BACK, text, retry_after_ms=gate_ms - now_ms), now_ms
            )

    def _urgency(self, request: VenueRequest) -> int:
        """What leaves first of all that leaves at once: cancels and questions, then exits."""
        if not isinstance(request, Place):
            return _URGENT
        found = self.ledger.orders.get(request.client_id)
        return _ENTRY if found is None else _urgency_of(found[0])

    # --- the past --------------------------------------------------------------------------------------------------

    def resume(self, events: Iterable[Event]) -> None:
        """Take over from the journal of an earlier router; then ask what became of every order that may live."""
        for event in events:
            self.ledger.see(event)
            self._views.see(event)
            self.now_ms = max(self.now_ms, event.ts_ms)
        for work, order in self.ledger.ended.values():
            self._reserve_unseen(work, order.unseen)
        for work in list(self.ledger.works.values()):
            if work.symbol not in self.symbols or work.symbol not in self._rules:
                reason = "the venue has no such symbol any more"
                self._emit(CancelRequested(ts_ms=self.now_ms, intent_id=work.intent_id, reason=reason))
            self._update_reserved(work)
            self._doubt(work, "the router was started again")
            self._wake(work, self.now_ms)

    def on_gap(self, now_ms: int, cause: str) -> None:
        """Ask for every order that may live: for a while nobody heard what the venue said."""
        self._go_to(now_ms)
        for work in list(self.ledger.works.values()):
            self._doubt(work, cause)
            self._advance(work)

    def _doubt(self, work: Work, cause: str) -> None:
        """What became of the orders of an intent is unknown from here on."""
        for order in work.orders:
            if not order.is_over and order.state != "unknown":  # else it was written down before
                lost = Unknown(self.now_ms, order.client_id, "place", cause)
                self._emit(Heard(ts_ms=self.now_ms, message=lost), order)

    # --- intents ---------------------------------------------------------------------------------------------------

    def _on_intent(self, intent: Intent, place: str) -> None:
        refusal = self._why_not(intent)
        if refusal is not None:
            said = {"intent_id": intent.intent_id, "symbol": intent.symbol, **intent.facts}
            self._refuse(intent.intent_id, *refusal, shown(said, self.shape.most_shown), place)
            return
        book = self.symbols[intent.symbol].book.quote
        # One that comes late has lived that long already.
        sent_ms = self.now_ms if intent.ts_ms is None else min(intent.ts_ms, self.now_ms)
        self._emit(
            IntentReceived(
                ts_ms=self.now_ms,
                intent_id=intent.intent_id,
                symbol=intent.symbol,
                intent=intent.facts,
                expires_ms=None if intent.expires_s is None else sent_ms + round(intent.expires_s * 1000),
                bid=None if book is None else book.bid or None,
                ask=None if book is None else book.ask or None,
            )
        )
        work = self.ledger.works[intent.intent_id]
        self._decide(work)
        self._advance(work)

    def _why_not(self, intent: Intent) -> tuple[str, str] | None:
        """Code and reason where an intent cannot be taken at all."""
        if intent.intent_id in self.ledger.known:
            return DUPLICATE_ID, "an intent of this id was taken before"
        if intent.symbol not in self.symbols or intent.symbol not in self._rules:
            return "unknown_symbol", f"the venue has no symbol `{intent.symbol}`"
        if not self._journal.is_writable:
            return "journal_unwritable", "the journal cannot be written"
        return None

    def _decide(self, work: Work) -> None:
        """Admit and route an intent, for the first time or, where it had to wait before anything was sent, anew."""
        now_ms, symbol = self.now_ms, work.symbol
        event = "decision" if work.routed is None else "decided_again"
        self._release(work)
        self._look_at_breakers(symbol)
        known = self.known.groups(symbol, now_ms)
        known["intent"] = work.received.intent
        decisions = self.deciders.of(symbol).decide(now_ms, symbol, work.intent_id, known)
        admission, routing = decisions.admission, decisions.routing
        self._record(work, ADMISSION, admission)
        self._record(work, ROUTING, routing)
        if self.deciders.tries(symbol):
            self._try_beside(work, known, decisions)
        admitted = admission.decided["admit"] is True
        side = work.received.intent.get("side")
        target = self._rules[symbol].round_qty(float(admission.decided["admitted_qty"])) if admitted else NONE
        decided = routing.decided
        vetoes: tuple[str, ...] = ()
        if not admitted:
            route, reason, vetoes = "none", admission.reason, admission.vetoes
        elif side is None:
            route, reason = "none", "it names no side, and no rule of `admission` looked at that"
        elif target == 0:
            route = "none"
            reason = f"admitted {admission.decided['admitted_qty']!r}, less than one step of {self._rules[symbol].step}"
        elif too_small := self._too_small(work, target, _number_or_none(decided.get("protection_bps")) or 0.0):
            route, reason = "none", too_small
        else:
            route, reason, vetoes = str(decided["route"]), routing.reason, routing.vetoes
        probe = route == "maker" and decided.get("probe") is True
        self._emit(
            Routed(
                ts_ms=now_ms,
                intent_id=work.intent_id,
                symbol=symbol,
                side=side,
                route=route,
                reason=reason,
                vetoes=list(vetoes),
                decision_id=(routing if route != "none" else admission).decision_id,
                target=target,
                is_exit=work.received.intent.get("reduce_only") is True,
                quality=_text_or_none(decided.get("quality")),
                maker_first=_flag_or_none(decided.get("maker_first")),
                taker_bias=_text_or_none(decided.get("taker_bias")),
                bias=_number_or_none(decided.get("bias")),
                offset_bps=_number_or_none(decided.get("offset_bps")),
                probe=probe,
                keep_reduce_only=decided.get("keep_reduce_only") is not False,
                protection_bps=_number_or_none(decided.get("protection_bps")),
                spread_bps=self.symbols[symbol].book.spread_bps,
                event=event,
            )
        )
        if probe:
            self._emit(ProbeGranted(ts_ms=now_ms, intent_id=work.intent_id, symbol=symbol))
        self._update_reserved(work)

    def _too_small(self, work: Work, target: Decimal, protection_bps: float) -> str:
        """Why the venue would not take an order of this size; empty where it would, as far as can be known."""
        intent, rules = work.received.intent, self._rules[work.symbol]
        if target < rules.min_qty:
            return f"admitted {target}, less than the {rules.min_qty} that the venue takes"
        price, mid = intent.get("price"), self.symbols[work.symbol].book.mid
        if intent.get("order_type") != "limit":
            # The venue counts at the price of the order, which is the limit of a sell that crosses.
            price = None if mid is None else mid * (1 - protection_bps * _BPS) if work.side == "sell" else mid
        if intent.get("reduce_only") is True or price is None or float(target) * price >= rules.min_notional:
            return ""
        worth = f"{float(target) * price:.6g}"
        return f"admitted {target}, worth {worth}, less than the {rules.min_notional} that the venue takes"

    def _look_at_breakers(self, symbol: str) -> None:
        """Let the breakers of a symbol and of the venue decide."""
        for scope in (symbol, VENUE):
            moved = self._breakers.decide(scope, self.now_ms, self.known.feed_gap_s(scope, self.now_ms))
            if moved is not None:
                self._emit(moved)

    # --- working ---------------------------------------------------------------------------------------------------

    def _look_at(self, works: Iterable[Work]) -> None:
        """The mid may have moved: look at what rests, but not too often."""
        due_ms = self.now_ms - self.shape.look_every_ms
        for work in [work for work in works if work.looked_ms <= due_ms and work.plan in ("rest", "decide")]:
            if work.wake_ms is None or work.wake_ms > self.now_ms:  # else it has its turn in on_time
                self._advance(work)

    def _advance(self, work: Work) -> None:
        """Do the next thing for an intent, if anything can be done now."""
        while True:
            if work.intent_id not in self.ledger.works:
                return
            expires_ms = work.received.expires_ms
            if expires_ms is not None and expires_ms <= self.now_ms and work.plan != "end":
                self._emit(CancelRequested(ts_ms=self.now_ms, intent_id=work.intent_id, reason="expired"))
            if not self._step(work):
                break
        if expires_ms is not None and work.plan != "end":
            self._wake(work, expires_ms)

    def _step(self, work: Work) -> bool:
        """One step; True where another may follow at once."""
        if work.plan == "decide":
            # Taken before the router was started again. It is decided on as soon as its market is seen.
            if self.symbols[work.symbol].book.quote is None:
                return False
            self._decide(work)
            return True
        unsettled = [order for order in work.orders if not order.is_settled]
        if unsettled:
            moved = False
            for order in unsettled:
                moved |= self._settle(work, order)
                if work.intent_id not in self.ledger.works:
                    return False  # given up over this one
            return moved
        if work.plan == "end":
            return self._finish(work, work.end_reason)
        if work.target - work.filled < self._rules[work.symbol].step:
            return self._finish(work, "filled")
        waits_until_ms = max(work.retry_ms, self.ledger.gate_ms)
        if waits_until_ms > self.now_ms:
            self._wake(work, waits_until_ms)
            return False
        if not work.orders and work.routed is not None and work.routed.ts_ms != self.now_ms:
            self._decide(work)  # it had to wait, and what it was decided on has gone by
            return True
        if work.plan == "rest":
            return self._rest(work)
        return self._cross(work)

    def _settle(self, work: Work, order: Order) -> bool:
        """Bring an order that is not over towards its end, if that is wanted; True where the state has changed."""
        now_ms, shape = self.now_ms, self.shape
        match order.state:
            case "planned":
                return self._wait_for_answer(work, order, order.plan.ts_ms, "place")
            case "cancelling":
                return self._wait_for_answer(work, order, order.cancel_ms or now_ms, "cancel")
            case "open":
                if work.filled + work.possible > work.target and work.plan != "end":
                    # What was believed gone has come back beside what took its place.
                    self._error(order.client_id, work.intent_id, 0, "over_target", "more may fill than was wanted")
                    return self._cancel(work, order)
                if work.plan == "rest" and order.plan.role == "maker" and work.replacing != order.client_id:
                    return self._look(work, order)
                if order.plan.role == "taker" and work.plan != "end":
                    # It ends by itself; if it does not, it is taken back.
                    due_ms = order.plan.ts_ms + shape.answer_within_ms
                    if now_ms < due_ms:
                        self._wake(work, due_ms)
                        return False
                return self._cancel(work, order)
        return self._ask(work, order)

    def _wait_for_answer(self, work: Work, order: Order, since_ms: int, asked: str) -> bool:
        due_ms = since_ms + self.shape.answer_within_ms
        if self.now_ms < due_ms:
            self._wake(work, due_ms)
            return False
        lost = Unknown(self.now_ms, order.client_id, "place" if asked == "place" else "cancel", "no answer")
        self._emit(Heard(ts_ms=self.now_ms, message=lost), order)
        self._error(order.client_id, work.intent_id, 0, "unknown_outcome", f"{asked}: no answer")
        return True

    def _cancel(self, work: Work, order: Order) -> bool:
        due_ms = self.ledger.gate_ms
        if order.cancel_ms is not None:
            due_ms = max(due_ms, order.cancel_ms + self.shape.cancel_again_ms)
        if due_ms > self.now_ms:
            self._wake(work, due_ms, _URGENT)
            return False
        self._emit(CancelPlanned(ts_ms=self.now_ms, client_id=order.client_id, reason=work.end_reason or work.why))
        self._outbox.append(Cancel(order.client_id, work.symbol))
        self._wake(work, self.now_ms + self.shape.answer_within_ms)
        return False

    def _ask(self, work: Work, order: Order) -> bool:
        """Ask for an order of which it is unknown what became of it, or which of its trades are missing."""
        shape, now_ms = self.shape, self.now_ms
        if order.state == "unknown" and order.absences >= shape.absent_after:
            self._emit(ProvedAbsent(ts_ms=now_ms, client_id=order.client_id, queries=order.queries))
            self._update_reserved(work)
            return True
        if order.is_over and order.vain_answers >= shape.ask_for_trades:
            if any(not other.is_over for other in work.orders):
                return False  # the others wake it
            self._error(
                order.client_id,
                work.intent_id,
                0,
                "unaccounted",
                f"the venue says {order.reported} was executed, trades of {order.filled} were seen",
            )
            return self._finish(work, "unaccounted")
        due_ms = max(self.ledger.gate_ms, now_ms if order.query_ms is None else order.query_ms + shape.query_every_ms)
        if order.is_over and order.over_ms is not None:  # its trades are on their way, most likely
            due_ms = max(due_ms, order.over_ms + shape.trades_within_ms)
        if due_ms > now_ms:
            self._wake(work, due_ms, _URGENT)
            return False
        self._emit(QueryPlanned(ts_ms=now_ms, client_id=order.client_id, attempt=order.queries + 1))
        self._outbox.append(Query(order.client_id, work.symbol))
        self._wake(work, now_ms + shape.query_every_ms, _URGENT)
        return False

    def _look(self, work: Work, order: Order) -> bool:
        """Let the working policy look at an order that rests."""
        if self.now_ms - work.looked_ms < self.shape.look_every_ms:
            self._wake(work, work.looked_ms + self.shape.look_at_least_ms)
            return False
        work.looked_ms = self.now_ms
        if self._work_by_rules(work, order):
            return True
        self._wake(work, self.now_ms + self.shape.look_at_least_ms)
        return False

    def _rest(self, work: Work) -> bool:
        """Send an order that rests."""
        last = work.last
        if last is not None:
            if last.state == "cancelled" and last.cancel_ms is None:
                return self._finish(work, "cancelled_by_venue")
            if self._work_by_rules(work, None):
                return True
        price = self._resting_price(work)
        rules = self._rules[work.symbol]
        if price is None or price <= 0:
            return self._finish(work, "no_price_to_rest_at")
        qty = min(work.sendable, rules.max_qty)
        asked = rules.round_qty(work.received.intent.get("maker_qty", 0.0))
        # What the strategy would rest at once, unless that is too little to be sent by itself.
        if rules.step <= asked < qty and asked * price >= rules.min_notional:
            qty = asked
        why = "route" if last is None else "reprice" if work.replacing is not None else "again"
        self._place(work, "maker", "post_only", qty, price, reduce_only=self._reduces(work), why=why)
        return False

    def _resting_price(self, work: Work) -> Decimal | None:
        """The less aggressive of the strategy's price and the touch less the offset; None where one is missing."""
        quote = self.symbols[work.symbol].book.quote
        intent, routed = work.received.intent, work.routed
        touch = None if quote is None else (quote.bid if work.side == "buy" else quote.ask)
        wanted = intent.get("maker_price")
        if not touch or wanted is None or routed is None or routed.offset_bps is None:
            return None
        prices = [wanted]
        if intent.get("order_type") == "limit":
            if intent.get("price") is None:
                return None
            prices.append(intent["price"])
        rules = self._rules[work.symbol]
        if work.side == "buy":
            return rules.round_price("buy", min(*prices, touch * (1 - routed.offset_bps * _BPS)))
        return rules.round_price("sell", max(*prices, touch * (1 + routed.offset_bps * _BPS)))

    def _cross(self, work: Work) -> bool:
        """Send what is left across the book, with a limit."""
        if work.cross_failed:
            self._route_changed(work, "send_failed", work.cross_failed)
            return self._finish(work, work.cross_failed)
        is_limit = work.received.intent.get("order_type") == "limit"
        is_exit = work.routed is not None and work.routed.is_exit
        # An exit goes on until it is out; an entry has had its chance.
        if not is_exit and work.crossings >= (1 if is_limit else self.shape.cross_attempts):
            return self._finish(work, "not_taken")
        last = work.last
        if work.crossings and last is not None:
            due_ms = last.plan.ts_ms + self.shape.cross_again_ms
            if due_ms > self.now_ms:
                self._wake(work, due_ms)
                return False
        if last is not None and self._work_by_rules(work, None, crossing=True):
            return True
        price = self._crossing_price(work, is_limit=is_limit)
        if price is None or price <= 0:
            return self._finish(work, "no_price_to_cross_at")
        reduce_only = self._reduces(work) or work.reduce_only_cross
        qty = min(work.sendable, self._rules[work.symbol].max_qty)
        self._place(work, "taker", "ioc", qty, price, reduce_only=reduce_only, why=work.why)
        return False

    def _crossing_price(self, work: Work, *, is_limit: bool) -> Decimal | None:
        """A limit intent's own price; else the far touch and the protection behind it.

        An exit that sees no touch goes by the price it names; an entry never crosses a book that nobody sees.
        """
        intent, side = work.received.intent, work.side
        rules = self._rules[work.symbol]
        if is_limit:
            return None if intent.get("price") is None else rules.round_price(side, intent["price"])
        quote = self.symbols[work.symbol].book.quote
        touch = None if quote is None else (quote.ask if side == "buy" else quote.bid)
        named = intent.get("price") if intent.get("reduce_only") is True else None
        reference = touch or named
        if reference is None or work.protection_bps is None:
            return None
        through = 1 + work.protection_bps * _BPS if side == "buy" else 1 - work.protection_bps * _BPS
        return rules.round_price(side, reference * through)

    def _reduces(self, work: Work) -> bool:
        """Whether orders of an intent carry the reduce-only flag.

        Where the rules drop it, the position must still cover this exit beside all others; else it would be turned.
        """
        routed = work.routed
        if routed is None or not routed.is_exit:
            return False
        exits = [each for each in self.ledger.of_symbol(work.symbol) if each.routed is not None and each.routed.is_exit]
        leaving = sum((max(each.target - each.filled, NONE) for each in exits), NONE)
        return routed.keep_reduce_only or leaving > abs(self._account.positions[work.symbol])

    def _is_too_small_alone(self, work: Work, qty: Decimal, price: Decimal) -> bool:
        """Whether a part of an exit is so small that the venue takes it with the reduce-only flag alone."""
        is_exit = work.routed is not None and work.routed.is_exit
        return is_exit and qty * price < self._rules[work.symbol].min_notional

    def _place(
        self, work: Work, role: Role, kind: Kind, qty: Decimal, price: Decimal, *, reduce_only: bool, why: str
    ) -> None:
        reduce_only = reduce_only or self._is_too_small_alone(work, qty, price)
        leg = len(work.orders) + 1
        digest = hashlib.sha256(work.intent_id.encode()).hexdigest()[:_ID_DIGITS]
        planned = OrderPlanned(
            ts_ms=self.now_ms,
            intent_id=work.intent_id,
            client_id=f"s-{digest}-{leg}",
            leg=leg,
            role=role,
            symbol=work.symbol,
            side=work.side,
            qty=qty,
            kind=kind,
            price=price,
            reduce_only=reduce_only,
            mid=self.symbols[work.symbol].book.mid,
            why=why,
        )
        # The one line that keeps exposure from doubling; what leads here has made sure of it already.
        if qty > work.sendable:
            raise ExposureError(work, qty)
        self._emit(planned)
        self._outbox.append(Place(planned.client_id, work.symbol, work.side, qty, kind, price, reduce_only))
        self._wake(work, self.now_ms + self.shape.answer_within_ms)

    def _work_by_rules(self, work: Work, order: Order | None, *, crossing: bool = False) -> bool:
        """Ask the working policy about what is left of an intent; True where something else is wanted from now on.

        While it is `crossing` already only what stops it counts: a halt, a book that is gone, a rest not worth it.
        """
        chain, facts = self.deciders.of(work.symbol), self._working_facts(work)
        verdict = chain.book.verdict(WORKING, facts)
        if verdict.action == "keep" or (crossing and verdict.action not in ("cancel", "leave")):
            return False
        made = Made.of(chain.book.decide(WORKING, facts))
        self._record(work, WORKING, made, None if order is None else order.client_id)
        replaces = None if order is None else order.client_id
        if verdict.action == "reprice" and order is not None and self._resting_price(work) == order.plan.price:
            replaces = None  # the same price again would only lose the place in the queue
        self._emit(
            Worked(
                ts_ms=self.now_ms,
                intent_id=work.intent_id,
                client_id=replaces,
                action=str(verdict.action),
                reason=made.reason,
                decision_id=made.decision_id,
                cross_reduce_only=made.decided.get("cross_reduce_only") is True,
                protection_bps=_number_or_none(made.decided.get("protection_bps")),
            )
        )
        if verdict.action == "cross":
            self._route_changed(work, "fallback", made.reason)
        return not (verdict.action == "reprice" and replaces is None)

    def _working_facts(self, work: Work) -> dict[str, Any]:
        now_ms, book = self.now_ms, self.symbols[work.symbol].book
        first = work.orders[0].plan
        last = work.orders[-1].plan
        rest = work.target - work.filled
        mid = book.mid
        order: dict[str, Any] = {
            "age_s": (now_ms - first.ts_ms) / 1000,
            "fill_ratio": float(work.filled / work.target),
            "post_only_rejects": float(work.rejects),
            "reprices": float(work.reprices),
            "rest_qty": float(rest),
            "min_notional_usd": float(self._rules[work.symbol].min_notional),
            "is_exit": work.routed is not None and work.routed.is_exit,
            "submit_failed": work.submit_failed,
        }
        if work.aimed_ms is not None:
            order["quote_age_s"] = (now_ms - work.aimed_ms) / 1000
        if mid is not None:
            order["rest_notional_usd"] = float(rest) * mid
            if last.mid is not None:
                ran = mid - last.mid if work.side == "buy" else last.mid - mid
                order["drift_bps"] = ran / mid / _BPS
        known = {
            "order": order,
            "market": self.symbols[work.symbol].market(),
            "risk": self._account.outside("risk", work.symbol),
        }
        facts = self.deciders.of(work.symbol).handing.to(WORKING, now_ms, work.symbol, known)
        facts["intent_id"] = work.intent_id
        return facts

    # --- the end ---------------------------------------------------------------------------------------------------

    def _finish(self, work: Work, reason: str) -> bool:
        received, routed = work.received, work.routed
        first = work.orders[0].plan if work.orders else None
        maker = work.first_maker
        is_whole = work.target > 0 and work.filled >= work.target
        facts = self.symbols.get(work.symbol)
        result: Result = "filled" if is_whole else "partly_filled" if work.filled else "unfilled"
        makers = [order for order in work.orders if order.plan.role == "maker"]
        self._emit(
            Outcome(
                ts_ms=self.now_ms,
                intent_id=work.intent_id,
                symbol=work.symbol,
                side=received.intent.get("side", "buy"),
                is_exit=routed is not None and routed.is_exit,
                route="none" if routed is None else routed.route,
                result=result,
                reason="filled" if is_whole else reason,
                target=work.target,
                filled=work.filled,
                maker_filled=work.maker_filled,
                cost_usd=float(work.cost),
                fees_usd=float(work.fees),
                arrival_ms=received.ts_ms,
                arrival_mid=work.arrival_mid,
                sent_ms=None if first is None else first.ts_ms,
                sent_mid=None if first is None else first.mid,
                end_mid=None if facts is None else facts.book.mid,
                attempted=NONE if maker is None else work.target,
                fallback=maker is not None and work.filled > work.maker_filled,
                submissions=len(makers),
                post_only_rejects=work.rejects,
                ack_ms=[order.acked_ms - order.plan.ts_ms for order in makers if order.acked_ms is not None],
                withdrawn=work.withdrawn,
                taker_veto=routed.vetoes[0] if routed is not None and routed.route == "taker" and routed.vetoes else "",
            )
        )
        self._release(work)
        for order in work.orders:
            self._reserve_unseen(work, order.unseen)
        return False

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _emit(self, event: Event, order: Order | None = None) -> None:
        """Let every view see an event, and write it down.

        The ledger comes first, since a line says what an order has become. The others follow: the line may begin a day,
        and the checkpoint that is then written before it must not hold what it says.
        """
        self.ledger.see(event)
        if order is not None and isinstance(event, Heard):
            event = msgspec.structs.replace(event, state=order.state)
        if isinstance(event, _NO_STATE) and not self._journal.is_writable:
            self._left_out += 1
            return  # memory is kept for what the state is made of
        numbered: Event | None = None
        try:
            numbered = self._journal.add(event)
        except JournalUnwritableError:
            self.lost += 1
        self.is_dirty = True
        self._views.see(event)
        if numbered is not None:  # what is shown to others is what the journal has
            self._watchers.see(numbered)

    def _record(self, work: Work, policy: str, made: Made, client_id: str | None = None) -> None:
        self._emit(
            Decided(ts_ms=self.now_ms, intent_id=work.intent_id, policy=policy, record=made.record, client_id=client_id)
        )

    def _try_beside(self, work: Work, known: Mapping[str, Mapping[str, Any] | None], decisions: ChainDecision) -> None:
        """Let the candidate decide as well. Whatever happens to it, what counts goes on."""
        shadow = self.deciders.shadow
        assert shadow is not None
        try:
            for tried in list(self.deciders.compare(self.now_ms, work.symbol, work.intent_id, known, decisions)):
                self._emit(tried)
        except Exception as error:  # noqa: BLE001 - said in the journal; a candidate must not stop the session
            self.deciders.try_beside(None)
            self.deciders.roll_out(None)
            self._emit(
                CandidateMoved(
                    ts_ms=self.now_ms,
                    state="ended",
                    profile=shadow.book.profile,
                    rulebook=shadow.book.version,
                    sources=shadow.book.rulebook.sources_digest,
                    reason=f"it broke down: {type(error).__name__}: {error}"[: self.shape.most_shown],
                )
            )

    def _route_changed(self, work: Work, event: str, reason: str, route: str = "taker") -> None:
        """A maker order becomes a taker order, or an order fails: that leaves a line of its own."""
        assert work.routed is not None, "only what was routed changes its route"
        facts = self.symbols.get(work.symbol)
        self._emit(
            msgspec.structs.replace(
                work.routed,
                seq=0,
                ts_ms=self.now_ms,
                route=route,
                reason=reason,
                vetoes=[],
                target=work.target - work.filled,
                spread_bps=None if facts is None else facts.book.spread_bps,
                event=event,
            )
        )

    def _refuse(self, intent_id: str | None, code: str, reason: str, received: str, place: str) -> None:
        self._emit(
            IntentRefused(
                ts_ms=self.now_ms, intent_id=intent_id, code=code, reason=reason, received=received, place=place
            )
        )

    def _error(self, client_id: str, intent_id: str | None, code: int, error: str, text: str) -> None:
        text = shown(text, self.shape.most_shown)  # a venue may answer with a page, or with what is no text
        client_id = shown(client_id, self.shape.most_shown)
        self._emit(
            OrderError(ts_ms=self.now_ms, client_id=client_id, intent_id=intent_id, code=code, error=error, text=text)
        )

    def _release(self, work: Work) -> None:
        """Count nothing for an intent any more."""
        self.known.reserved[work.symbol] -= work.reserved
        work.reserved = NONE

    def _reserve_unseen(self, work: Work, unseen: Decimal) -> None:
        """What a venue says it executed, and never told the trades of, stays exposure of an entry."""
        if unseen and _is_entry(work):
            self.known.reserved[work.symbol] += unseen

    def _update_reserved(self, work: Work) -> None:
        """What an open entry may still come to counts as exposure."""
        left = max(work.target - work.filled, work.possible) if _is_entry(work) else NONE
        if left != work.reserved:
            self.known.reserved[work.symbol] += left - work.reserved
            work.reserved = left

    def _wake(self, work: Work, at_ms: int, urgency: int | None = None) -> None:
        """Come back to an intent. Where many wait for the same moment, cancels and questions go first, then exits."""
        if urgency is None:
            urgency = _urgency_of(work)
        at_ms = max(at_ms, self.now_ms)
        if work.wake_ms is not None and work.wake_ms <= at_ms:
            return  # it is looked at before that, and says then when it wants to be looked at again
        work.wake_ms = at_ms
        self._wake_count += 1
        heapq.heappush(self._wakes, (at_ms, urgency, self._wake_count, work.intent_id))

    def _go_to(self, now_ms: int) -> None:
        self.now_ms = max(self.now_ms, now_ms)


def _is_entry(work: Work) -> bool:
    """Whether it may add to a position; an order of which the journal lost all else is told by its flag."""
    if work.routed is None:
        return any(not order.plan.reduce_only for order in work.orders)
    return not work.routed.is_exit


def _urgency_of(work: Work) -> int:
    return _EXIT if work.routed is not None and work.routed.is_exit else _ENTRY


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _is_plain(message: Message) -> bool:
    """Whether its numbers are numbers, of a sign and a size they can have, and its texts can be written down."""
    try:
        _encode(message)
    except UnicodeEncodeError:
        return False
    match message:
        case Fill(qty=qty, price=price, fee=fee):
            return _is_number(qty) and _is_number(price) and _is_number(fee) and qty > 0 and price > 0
        case Accepted(filled=filled) | Update(filled=filled):
            return _is_number(filled) and filled >= 0
    return True


def _is_number(number: Decimal) -> bool:
    """Whether sums and products with it stay exact enough, and never overflow."""
    return number.is_finite() and (not number or abs(number.adjusted()) <= _MOST_DIGITS)


def _is_sound(message: Message, order: Order) -> bool:
    """Whether a message can be about an order at all."""
    if isinstance(message, Fill) and (message.symbol, message.side) != (order.plan.symbol, order.plan.side):
        return False
    return _is_plain(message)


def _number_or_none(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag_or_none(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
