"""Which intent and which symbol an event of a journal is about: what the venue says names neither.

In: the events of a journal, in order. Out: an `Owner` for each. A view.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgspec

from engine.journal.events import BreakerMoved, Decided, Event, Heard, IntentReceived, OrderPlanned
from engine.routing.known import VENUE
from engine.routing.views import Handlers, View
from engine.venues.messages import Fill

_REMEMBERED = 200_000
_Held = TypeVar("_Held")


class Owner(NamedTuple):
    """What an event is about, as far as that is known."""

    intent_id: str | None
    symbol: str | None


NOBODY = Owner(None, None)


class _Named(msgspec.Struct):
    """The part of a decision's record that says whom it is about."""

    symbol: str | None = None


class Owners(View):
    """Remembers which order belongs to which intent, and which intent to which symbol; the oldest are forgotten."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._symbols: dict[str, str] = {}
        self._orders: dict[str, Owner] = {}
        self.handlers: Handlers = {IntentReceived: self._received, OrderPlanned: self._planned}

    def of(self, event: Event) -> Owner:
        """Whom an event is about."""
        if isinstance(event, Heard):
            message = event.message
            symbol = message.symbol if isinstance(message, Fill) else None
            return self._orders.get(message.client_id, Owner(None, symbol))
        if isinstance(event, BreakerMoved):
            return Owner(None, None if event.scope == VENUE else event.scope)
        client_id: str | None = getattr(event, "client_id", None)
        order = NOBODY if client_id is None else self._orders.get(client_id, NOBODY)
        intent_id: str | None = getattr(event, "intent_id", None) or order.intent_id
        symbol = getattr(event, "symbol", None) or order.symbol or self._symbols.get(intent_id or "")
        if symbol is None and isinstance(event, Decided):
            symbol = msgspec.json.decode(event.record, type=_Named).symbol
        return Owner(intent_id, symbol)

    def _received(self, event: IntentReceived) -> None:
        _remember(self._symbols, event.intent_id, event.symbol, self._remembered)

    def _planned(self, event: OrderPlanned) -> None:
        _remember(self._orders, event.client_id, Owner(event.intent_id, event.symbol), self._remembered)


def _remember(held: dict[str, _Held], key: str, value: _Held, most: int) -> None:
    held[key] = value
    if len(held) > most:
        del held[next(iter(held))]
