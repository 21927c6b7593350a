"""Each event of a journal in a line of words.

In: events, in order. Out: for each a line without time and intent. Orders are called by their number, fills say how
much of the intent they make up so far: a `Words` remembers what it takes to say so, and forgets the oldest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from engine.journal.events import (
    BaselineDone,
    BreakerMoved,
    CancelPlanned,
    CancelRequested,
    CandidateMoved,
    Checkpoint,
    Decided,
    Event,
    Given,
    Heard,
    Imported,
    IntentReceived,
    IntentRefused,
    MarkedOut,
    OrderError,
    OrderPlanned,
    Outcome,
    ProbeGranted,
    ProvedAbsent,
    QueryPlanned,
    Routed,
    RulebookLoaded,
    RulebookRefused,
    RulesSource,
    SessionEnded,
    SessionStarted,
    ShadowDecided,
    Snapshot,
    Tuned,
    Worked,
)
from engine.printing import counted, plainly
from engine.routing.breakers import HALF_OPEN
from engine.routing.evidence.costs import shortfall
from engine.venues.messages import Accepted, Fill, Rejected, Unknown, Update

_REMEMBERED = 200_000
_KINDS = {"post_only": "post-only", "ioc": "IOC", "market": "at the market"}


class _Reason(msgspec.Struct):
    """The part of a decision's record that people read."""

    decision_id: str = ""
    reason: str = ""
    symbol: str | None = None


class Words:
    """Says what happened."""

    def __init__(self) -> None:
        self._orders: dict[str, OrderPlanned] = {}
        self._done: dict[str, Decimal] = {}
        self._said: dict[type[Event], Callable[[Any], str]] = {
            SessionStarted: self._session_started,
            RulebookLoaded: _loaded,
            RulebookRefused: lambda event: f"rulebook of {event.profile} refused ({event.stage}): {event.reason}",
            RulesSource: lambda event: (
                f"no rules can be had from {event.origin}: {event.reason}"
                if event.state == "away"
                else f"rules can be had again from {event.origin}"
            ),
            CandidateMoved: _candidate,
            ShadowDecided: _shadow,
            Given: _given,
            Imported: _imported,
            IntentReceived: _intent,
            IntentRefused: lambda event: (
                f"refused, {event.code.replace('_', ' ')}: {event.reason}{event.place and f' ({event.place})'}"
            ),
            CancelRequested: lambda event: f"to be cancelled: {event.reason}",
            Decided: self._decided,
            Routed: self._routed,
            Worked: lambda event: f"to {event.action}: {after_headline(event.reason)}",
            OrderPlanned: self._order,
            CancelPlanned: lambda event: f"cancel of {self._name(event.client_id)} sent: {_short(event.reason)}",
            QueryPlanned: lambda event: f"query {event.attempt} for {self._name(event.client_id)} sent",
            Heard: self._heard,
            ProvedAbsent: self._absent,
            OrderError: self._error,
            ProbeGranted: lambda _: "probe granted: it may rest although its tier is only ok",
            Outcome: _outcome,
            MarkedOut: _markout,
            BaselineDone: _baseline,
            BreakerMoved: lambda event: (
                f"breaker of {event.scope} {event.was} → {event.state}: {after_headline(event.reason)}"
            ),
            Tuned: _tuned,
            Snapshot: lambda event: f"snapshot {event.tick}",
            Checkpoint: _checkpoint,
            SessionEnded: lambda event: f"session ends: {event.reason}",
        }

    def say(self, event: Event) -> str:
        """An event in words; events come in order."""
        return self._said[event.__class__](event)

    def _name(self, client_id: str) -> str:
        planned = self._orders.get(client_id)
        return f"order {client_id}" if planned is None else f"order {planned.leg}"

    def _session_started(self, event: SessionStarted) -> str:
        how = "goes on" if event.resumed else "starts"
        return (
            f"session {how}: {event.profile} {event.rulebook} on {event.venue}, market {event.market}, "
            f"NAV {event.nav_usd:,.0f} USD"
        )

    def _decided(self, event: Decided) -> str:
        record = msgspec.json.decode(event.record, type=_Reason)
        return f"{event.policy}: {record.reason}  [{record.decision_id}]"

    def _routed(self, event: Routed) -> str:
        if event.event != "decision":
            what = event.event.replace("_", " ")
            return f"{what}, {_plain(event.target)} left for {event.route}: {after_headline(event.reason)}"
        if event.route == "none":
            return f"not routed: {after_headline(event.reason)}"
        probe = ", a probe" if event.probe else ""
        offset = f", offset {_number(event.offset_bps)} bps" if event.route == "maker" else ""
        tier = f", tier {event.quality}" if event.quality else ""
        return f"{event.route} for {_plain(event.target)}{offset}{tier}{probe}: {after_headline(event.reason)}"

    def _absent(self, event: ProvedAbsent) -> str:
        asked = counted(event.queries, "query", "queries")
        return f"{self._name(event.client_id)} never existed: {asked} found nothing"

    def _order(self, event: OrderPlanned) -> str:
        _remember(self._orders, event.client_id, event)
        price = "" if event.price is None else f" at {_plain(event.price)}"
        reduces = ", reduce-only" if event.reduce_only else ""
        mid = "" if event.mid is None else f", mid {_number(event.mid)}"
        why = f", {_short(event.why)}" if event.why else ""
        return (
            f"order {event.leg} sent: {event.role}, {event.side} {_plain(event.qty)}{price} {_KINDS[event.kind]}"
            f"{reduces}{mid}{why}  [{event.client_id}]"
        )

    def _heard(self, event: Heard) -> str:
        message = event.message
        name, planned = self._name(message.client_id), self._orders.get(message.client_id)
        match message:
            case Fill():
                return self._fill(message, name, planned, again=event.again)
            case Accepted(asked="place"):
                after = "" if planned is None else f" after {event.ts_ms - planned.ts_ms:,} ms"
                return f"{name} acknowledged{after}: {_status(message.status, message.filled, event.state)}"
            case Accepted(asked=asked):
                return f"{asked} of {name} answered: {_status(message.status, message.filled, event.state)}"
            case Rejected(asked=asked):
                what = f"{name} refused" if asked == "place" else f"{asked} of {name} refused"
                return f"{what}: {message.code} {message.text}{_state(event.state)}"
            case Unknown(asked=asked):
                return f"nobody knows what became of the {asked} of {name}: {message.cause}{_state(event.state)}"
            case Update():
                return f"{name} is {_status(message.status, message.filled, event.state)}"

    def _fill(self, fill: Fill, name: str, planned: OrderPlanned | None, *, again: bool) -> str:
        if again:
            return f"{name}: trade {fill.trade_id} reported again, counts for nothing"
        how = "maker" if fill.is_maker else "taker"
        so_far = ""
        if planned is not None:
            done = self._done.get(planned.intent_id, Decimal(0)) + fill.qty
            _remember(self._done, planned.intent_id, done)
            so_far = f", {_plain(done)} so far"
        fee = f"fee {_plain(fill.fee)}"
        return f"{name} filled {_plain(fill.qty)} at {_plain(fill.price)} as {how}, {fee}{so_far}  [{fill.trade_id}]"

    def _error(self, event: OrderError) -> str:
        code = f" {event.code}" if event.code else ""
        return f"error, {event.error.replace('_', ' ')}{code}, {self._name(event.client_id)}: {event.text}"


def _loaded(event: RulebookLoaded) -> str:
    told = f"rulebook {event.profile} {event.rulebook} decides from here on ({event.how})"
    if event.changed:
        told += f": {event.changed}"
    return f"{told}; counted anew: {', '.join(event.begun_anew)}" if event.begun_anew else told


def _candidate(event: CandidateMoved) -> str:
    told = {
        "shadow": "is tried beside what decides",
        "partial": f"decides for {', '.join(event.symbols)}",
        "ended": "is no longer tried",
        "promoted": "takes over",
        "returned": "no longer decides for anything",
    }[event.state]
    return f"candidate {event.profile} {event.rulebook} {told}{event.reason and f': {event.reason}'}"


def _shadow(event: ShadowDecided) -> str:
    if not event.differs:
        return f"candidate {event.rulebook} decides {event.policy} the same"
    told = ", ".join(f"{name} {plainly(now)} → {plainly(other)}" for name, (now, other) in event.differs.items())
    return f"candidate {event.rulebook} would decide {event.policy} otherwise: {told}"


def _given(event: Given) -> str:
    whose = event.symbol or "all symbols"
    if event.facts is None:
        return f"nothing is known any more of {event.group} for {whose}"
    assumed = " (assumed)" if event.assumed else ""
    return f"{event.group} for {whose}{assumed}: {_facts(event.facts)}"


def _imported(event: Imported) -> str:
    shifted = f", {event.shifted_ms / 1000:+,.0f} s" if event.shifted_ms else ""
    return f"{counted(len(event.samples), 'sample')} of {event.symbol} imported from {event.source}{shifted}"


def _intent(event: IntentReceived) -> str:
    intent = event.intent
    kind = intent.get("order_type", "of no type")
    limit = f" {_value(intent['price'])}" if kind == "limit" and "price" in intent else ""
    rests = ""
    if intent.get("maker_requested") is True:
        at = f"at {_value(intent['maker_price'])}" if "maker_price" in intent else "at no price"
        rests = f", asks to rest {_value(intent.get('maker_qty', 'no quantity'))} {at}"
    exits = ", reduce-only" if intent.get("reduce_only") is True else ""
    expires = "" if event.expires_ms is None else f", expires after {(event.expires_ms - event.ts_ms) / 1000:g} s"
    what = f"{intent.get('side', 'no side')} {_value(intent.get('qty', 'no quantity'))} {event.symbol}"
    return f"intent: {what} {kind}{limit}{rests}{exits}{expires}; book {_side(event.bid)} / {_side(event.ask)}"


def _outcome(event: Outcome) -> str:
    done = f"{_plain(event.filled)} of {_plain(event.target)} filled, {_plain(event.maker_filled)} as maker"
    cost = shortfall(event)
    usd, bps = cost.total_usd, cost.total_bps
    paid = "cost not known" if usd is None else f"cost {usd:+,.2f} USD" + ("" if bps is None else f" ({bps:+.2f} bps)")
    reason = "" if event.reason == event.result else f", {event.reason}"
    return f"{event.result.replace('_', ' ')}{reason}: {done}; {paid}, of it fees {event.fees_usd:,.2f}"


def _markout(event: MarkedOut) -> str:
    how = "maker" if event.is_maker else "taker"
    return f"markout {event.horizon_s:g} s after {event.trade_id} ({how}): {event.markout_bps:+.2f} bps"


def _baseline(event: BaselineDone) -> str:
    bps = shortfall(event).total_bps
    cost = "cost not known" if bps is None else f"cost {bps:+.2f} bps"
    done = f"{_plain(event.filled)} of {_plain(event.target)} filled"
    return f"baseline {event.baseline.replace('_', ' ')}: {done}, {cost}"


def _tuned(event: Tuned) -> str:
    first = "" if event.maker_first is None else f", maker first {_value(event.maker_first)}"
    deltas = f"bias {event.bias_delta:+g}, offset {event.offset_delta_bps:+g} bps"
    return f"tuned {event.symbol}: {deltas}{first}  [{event.decision_id}]"


def _checkpoint(event: Checkpoint) -> str:
    return f"checkpoint: {counted(len(event.positions), 'position')}, cash {_plain(event.cash_usd)}"


def _status(status: str, filled: Decimal, state: str) -> str:
    done = f", {_plain(filled)} filled" if filled else ""
    return f"{status}{done}{_state(state) if state != status else ''}"


def _state(state: str) -> str:
    return f", now {state}" if state else ""


def trial_of(state: str, *, waits: bool) -> str:
    """Of a half-open breaker, whether makers wait for its trial; empty in any other state."""
    if state != HALF_OPEN:
        return ""
    return "its trial on the way" if waits else "a trial may go"


def after_headline(reason: str) -> str:
    """A reason without its first word, which the line says already."""
    head, colon, rest = reason.partition(": ")
    return rest if colon and " " not in head.removeprefix("not ") else reason


def _short(reason: str) -> str:
    """A reason without what its rule saw."""
    return reason.partition(" (")[0]


def _facts(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in facts.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number(value) if isinstance(value, int | float) else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.10g}"


def _plain(value: Decimal) -> str:
    """A quantity without an exponent.

    >>> _plain(Decimal("1E+2")), _plain(Decimal("0.500"))
    ('100', '0.5')
    """
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _side(price: float | None) -> str:
    return "empty" if price is None else _number(price)


def _remember(held: dict[str, Any], key: str, value: object) -> None:
    held[key] = value
    if len(held) > _REMEMBERED:
        del held[next(iter(held))]
