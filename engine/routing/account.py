"""The account as the journal adds it up: cash, positions, fees, and what all of it is worth now.

In: fills, marks, what others know better (`Given`). Out: the facts of the group `account` for a symbol. Exposures are
gross: the position at the mark, and what open entries may still come to, in whichever direction; an order that might
shrink a position counts as if it grew it, unless it says that it only reduces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.journal.events import Checkpoint, Given, Heard, OrderPlanned, Outcome, SessionStarted
from engine.routing.views import Handlers, View
from engine.venues.messages import Fill

_NOTHING = Decimal(0)
_MODES = ("normal", "cautious", "defensive")
"""Risk modes, the strictest last."""


class Account(View):
    """A view over a journal. Money is in the quote asset, which stands for USD."""

    def __init__(self, leverage: float) -> None:
        self.positions: defaultdict[str, Decimal] = defaultdict(Decimal)
        """By symbol; short is negative."""
        self.cash = Decimal(0)
        self.fees = Decimal(0)
        self.marked_ms: dict[str, int] = {}
        """When each mark was seen."""
        self.marks: dict[str, float] = {}
        """The last mid of each symbol, as the router tells it; after a restart, the last that an order was sent at."""
        self.given: dict[tuple[str, str | None], dict[str, Any]] = {}
        """The last word from outside, by group and symbol (None: all symbols)."""
        self._assumed: set[str] = set()
        """Groups of which the word for all symbols is what the session assumed."""
        self._leverage = leverage
        self._day_nav: float | None = None
        self.handlers: Handlers = {
            SessionStarted: self._started,
            Heard: self._heard,
            Given: self._given,
            OrderPlanned: self._planned,
            Outcome: self._ended,
            Checkpoint: self._restored,
        }

    @property
    def has_started(self) -> bool:
        """Whether a session ever began with it; before that there is no cash."""
        return self._day_nav is not None

    @property
    def nav(self) -> float:
        """Cash and all positions at their marks. A position without a mark counts at nothing until there is one."""
        marks = self.marks
        return float(self.cash) + sum(
            float(qty) * marks[symbol] for symbol, qty in self.positions.items() if qty and symbol in marks
        )

    def notional(self, symbol: str, reserved: Mapping[str, Decimal]) -> float | None:
        """Gross exposure in a symbol: the position and what is reserved, at the mark; None where there is no mark."""
        held = abs(self.positions.get(symbol, _NOTHING)) + reserved.get(symbol, _NOTHING)
        if not held:
            return 0.0
        mark = self.marks.get(symbol)
        return None if mark is None else float(held) * mark

    def facts(self, symbol: str, now_ms: int, reserved: Mapping[str, Decimal]) -> dict[str, Any]:
        """The group `account`. `reserved` is what open entries may still come to, by symbol."""
        nav = self.nav
        held = {each for each, qty in self.positions.items() if qty} | {each for each, qty in reserved.items() if qty}
        exposures = {each: self.notional(each, reserved) for each in sorted(held)}
        known = [exposure for exposure in exposures.values() if exposure is not None]
        # What is held at an old mark is worth what it was then, and known as of then.
        seen_ms = min((self.marked_ms.get(each, 0) for each in held if each in self.marks), default=now_ms)
        facts: dict[str, Any] = {
            "observed_at": min(seen_ms, now_ms) / 1000,
            "position_qty": float(self.positions.get(symbol, _NOTHING)),
            "leverage": self._leverage,
        }
        # What cannot be valued is missing, and a cap that cannot be tested refuses.
        if len(known) == len(exposures):
            facts["nav_usd"] = nav
            facts["symbol_notional_usd"] = exposures.get(symbol, 0.0)
            facts["portfolio_notional_usd"] = sum(known)
            if self._day_nav is not None and self._day_nav > 0.0:
                facts["drawdown_today"] = min(0.0, nav / self._day_nav - 1.0)
        given = self.outside("account", symbol)
        if given is None:
            return facts
        return {**facts, **given, "observed_at": min(facts["observed_at"], given["observed_at"])}

    def mark(self, symbol: str, mid: float, now_ms: int) -> None:
        """What a symbol is worth from now on."""
        self.marks[symbol] = mid
        self.marked_ms[symbol] = now_ms

    def outside(self, group: str, symbol: str) -> dict[str, Any] | None:
        """What was given of a group: for the symbol, else for all. Of the risk state the stricter of both counts."""
        own, general = self.given.get((group, symbol)), self.given.get((group, None))
        if own is None or general is None:
            return own if own is not None else general
        return own if group != "risk" else _stricter(own, general)

    def is_said(self, group: str) -> bool:
        """Whether somebody has said something of a group for all symbols, and not taken it back since."""
        return (group, None) in self.given and group not in self._assumed

    def begin_day(self) -> None:
        """Drawdown is measured from here on."""
        self._day_nav = self.nav

    def checkpoint(self) -> dict[str, Any]:
        """The fields of a `Checkpoint` that are this view's."""
        return {
            "positions": {symbol: qty for symbol, qty in sorted(self.positions.items()) if qty},
            "cash_usd": self.cash,
            "fees_usd": self.fees,
            "day_nav_usd": self.nav,
            "marks": dict(sorted(self.marks.items())),
            "given": [(group, symbol, facts) for (group, symbol), facts in self.given.items()],
            "assumed": sorted(self._assumed),
        }

    def _started(self, event: SessionStarted) -> None:
        if not event.resumed:
            self.cash = Decimal(repr(event.nav_usd))
            self._day_nav = event.nav_usd

    def _heard(self, event: Heard) -> None:
        fill = event.message
        if not isinstance(fill, Fill) or event.again:
            return
        signed = fill.qty if fill.side == "buy" else -fill.qty
        self.positions[fill.symbol] += signed
        self.cash -= signed * fill.price + fill.fee
        self.fees += fill.fee

    def _given(self, event: Given) -> None:
        key = (event.group, event.symbol)
        if event.symbol is None:
            (self._assumed.add if event.assumed else self._assumed.discard)(event.group)
        if event.facts is None:
            self.given.pop(key, None)
        else:
            self.given[key] = {"observed_at": event.ts_ms / 1000, **event.facts}

    def _planned(self, event: OrderPlanned) -> None:
        if event.mid is not None:
            self.mark(event.symbol, event.mid, event.ts_ms)

    def _ended(self, event: Outcome) -> None:
        if event.end_mid is not None:
            self.mark(event.symbol, event.end_mid, event.ts_ms)

    def _restored(self, event: Checkpoint) -> None:
        self.positions = defaultdict(Decimal, event.positions)
        self.cash = event.cash_usd
        self.fees = event.fees_usd
        self.marks = dict(event.marks)
        self.marked_ms = dict.fromkeys(event.marks, event.ts_ms)
        self.given = {(group, symbol): facts for group, symbol, facts in event.given}
        self._assumed = set(event.assumed)
        self._day_nav = event.day_nav_usd


def _stricter(own: Mapping[str, Any], general: Mapping[str, Any]) -> dict[str, Any]:
    """Two words on risk as one: nobody lifts what the other has stopped, and both have to be fresh."""
    joined: dict[str, Any] = {**general, **own}
    for flag in ("halted", "symbol_disabled"):
        if own.get(flag) is True or general.get(flag) is True:
            joined[flag] = True
    modes = [each["risk_mode"] for each in (own, general) if each.get("risk_mode") in _MODES]
    if modes:
        joined["risk_mode"] = max(modes, key=_MODES.index)
    joined["observed_at"] = min(own["observed_at"], general["observed_at"])
    return joined
