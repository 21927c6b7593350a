"""What windows count: the events of a journal, as the kinds of events that `policies/windows.yaml` may declare.

In: journal events, in order. Out: for each of them the events that it means to windows: kind, symbol, time, and a value
for every field. All times are the journal's, so a latency is measured on one clock, the router's.

An order is remembered from its plan to the outcome of its intent, since what the venue says names no symbol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from engine.journal.events import Heard, OrderError, OrderPlanned, Outcome, ProbeGranted
from engine.language.findings import Findings, LoadError, Span
from engine.language.rulebook import Rulebook
from engine.language.spelling import did_you_mean
from engine.language.types import NO_UNIT, FlagType, NumberType, TextType, Type, Value, describe
from engine.routing.views import Handlers, View
from engine.venues.codes import refusal_of
from engine.venues.messages import Accepted, Fill, Message, Rejected, Unknown, Update

Count: TypeAlias = Callable[[str, str | None, int, tuple[Value, ...]], None]
"""Takes one event: its kind, its symbol (None where nobody knows it), its time in ms, and its values in order."""

_FLAG = FlagType()


def _number(unit: str) -> NumberType:
    return NumberType(unit, -math.inf, math.inf)


SUPPLIED: Mapping[str, Mapping[str, Type]] = MappingProxyType(
    {
        "order": {"maker": _FLAG},
        "ack": {"latency_ms": _number("ms"), "maker": _FLAG},
        "post_only_reject": {},
        "order_error": {"error": TextType(), "code": _number(NO_UNIT)},
        "fill": {"notional_usd": _number("usd"), "fee_usd": _number("usd"), "maker": _FLAG},
        "maker_attempt": {"fallback": _FLAG, "fill_ratio": _number("ratio")},
        "probe": {},
    }
)
"""The kinds of events there are, and the fields of each in the order in which they are handed on. Ranges are declared
in YAML: whatever lies outside of one is taken as its nearest bound."""


def check_supplied(rulebook: Rulebook) -> None:
    """Compare what a rulebook declares with what there is.

    Raises:
        LoadError: if it declares a kind of events, or a field, that nothing here supplies as declared.

    """
    findings = Findings()
    for event in rulebook.events.values():
        supplied = SUPPLIED.get(event.name)
        if supplied is None:
            help_text = did_you_mean(event.name, SUPPLIED, f"there are {', '.join(SUPPLIED)}")
            findings.add("event.unsupplied", event.span, f"the router tells of no event `{event.name}`", help_text)
            continue
        for field in event.fields:
            _check_field(event.name, field.name, field.type, field.span, supplied, findings)
    if findings.has_errors:
        raise LoadError(tuple(findings))


def _check_field(
    event: str, name: str, declared: Type, span: Span, supplied: Mapping[str, Type], findings: Findings
) -> None:
    kind = supplied.get(name)
    if kind is None:
        listed = f"it has {', '.join(supplied)}" if supplied else "it has none"
        message = f"the event `{event}` has no field `{name}`"
        findings.add("event.unsupplied", span, message, did_you_mean(name, supplied, listed))
    elif _shown(kind) != _shown(declared):
        message = f"`{name}` of the event `{event}` is {_shown(kind)}, and declared as {_shown(declared)}"
        findings.add("event.unsupplied", span, message, "declare it as it is")


def _shown(kind: Type) -> str:
    """A type without its range."""
    unitless = isinstance(kind, NumberType) and kind.unit == NO_UNIT
    return "a number without a unit" if unitless else describe(kind)


def has_lived(message: Message) -> bool:
    """Whether the venue says with this that the order rested, or traded: that it did not refuse it at once."""
    if isinstance(message, Fill):
        return True
    if isinstance(message, Accepted | Update):
        return message.filled > 0 or message.status in ("open", "filled", "cancelled")
    return False


class _Sent:
    """An order whose intent has not ended."""

    __slots__ = ("acknowledged", "is_maker", "is_post_only", "lived", "refused", "symbol", "ts_ms")

    def __init__(self, plan: OrderPlanned) -> None:
        self.symbol = plan.symbol
        self.ts_ms = plan.ts_ms
        self.is_maker = plan.role == "maker"
        self.is_post_only = plan.kind == "post_only"
        self.acknowledged = False
        self.lived = False
        self.refused = False

    def copy(self) -> _Sent:
        made = object.__new__(_Sent)
        for name in _Sent.__slots__:
            setattr(made, name, getattr(self, name))
        return made


class WindowEvents(View):
    """Tells `count` of every event that windows could count."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._orders: dict[str, _Sent] = {}
        self._by_intent: dict[str, list[str]] = {}
        self.handlers: Handlers = {
            OrderPlanned: self._planned,
            Heard: self._heard,
            OrderError: self._failed,
            ProbeGranted: self._probe,
            Outcome: self._ended,
        }

    def carry_over(self, old: WindowEvents) -> None:
        """Take over the orders that another remembers."""
        self._orders = {client_id: sent.copy() for client_id, sent in old._orders.items()}
        self._by_intent = {intent_id: list(held) for intent_id, held in old._by_intent.items()}

    def _planned(self, event: OrderPlanned) -> None:
        sent = self._orders[event.client_id] = _Sent(event)
        self._by_intent.setdefault(event.intent_id, []).append(event.client_id)
        self._count("order", event.symbol, event.ts_ms, (sent.is_maker,))

    def _heard(self, event: Heard) -> None:
        message, now_ms = event.message, event.ts_ms
        sent = self._orders.get(message.client_id)
        if isinstance(message, Fill):
            if not event.again:
                values = (float(message.qty * message.price), float(message.fee), message.is_maker)
                self._count("fill", message.symbol, now_ms, values)
        elif sent is None or isinstance(message, Unknown):
            return
        elif isinstance(message, Rejected):
            if message.asked == "place" and refusal_of(message) == "post_only":
                self._refused(sent, now_ms)
        else:
            if isinstance(message, Accepted) and message.asked == "place" and not sent.acknowledged:
                sent.acknowledged = True
                self._count("ack", sent.symbol, now_ms, (float(now_ms - sent.ts_ms), sent.is_maker))
            # A post-only order that would have taken comes back expired, without an error and without having rested.
            if message.status == "expired" and sent.is_post_only and not sent.lived and not message.filled:
                self._refused(sent, now_ms)
        if sent is not None and has_lived(message):
            sent.lived = True

    def _refused(self, sent: _Sent, now_ms: int) -> None:
        if not sent.refused:
            sent.refused = True
            self._count("post_only_reject", sent.symbol, now_ms, ())

    def _failed(self, event: OrderError) -> None:
        sent = self._orders.get(event.client_id)
        symbol = None if sent is None else sent.symbol
        self._count("order_error", symbol, event.ts_ms, (event.error, float(event.code)))

    def _probe(self, event: ProbeGranted) -> None:
        self._count("probe", event.symbol, event.ts_ms, ())

    def _ended(self, event: Outcome) -> None:
        for client_id in self._by_intent.pop(event.intent_id, ()):
            del self._orders[client_id]
        if event.attempted > 0 and not event.is_exit:
            values = (event.fallback, float(event.maker_filled / event.attempted))
            self._count("maker_attempt", event.symbol, event.ts_ms, values)
