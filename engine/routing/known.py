"""Everything that is known of a symbol at a moment, as the groups of facts that policies read.

In: the views that measure: books and bars, effectiveness, account, windows, breakers, tuning. Out: groups by name. One
place, so that an order, a health snapshot and a step of autotune are decided on the same facts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from engine.routing.account import Account
from engine.routing.facts import SymbolFacts

VENUE = "venue"
"""The scope of windows and breakers that counts over all symbols."""


class TelemetrySource(Protocol):
    """Effectiveness by symbol."""

    def facts(self, symbol: str, now_ms: int) -> Mapping[str, Any] | None:
        """The group `telemetry`."""


class WindowSource(Protocol):
    """Counts over event time."""

    def facts(self, scope: str, now_ms: int) -> Mapping[str, float]:
        """Facts of the group `windows` for a symbol, or for `VENUE`."""


class PauseSource(Protocol):
    """Breakers, as they were decided last."""

    def pauses(self, symbol: str) -> bool | None:
        """Whether makers of a symbol wait; None where nobody decides that."""


class TuningSource(Protocol):
    """What autotune has in force."""

    def facts(self, symbol: str) -> Mapping[str, Any] | None:
        """The group `tuning`."""


class KnownFacts(Protocol):
    """Where the facts of a symbol come from."""

    def groups(self, symbol: str, now_ms: int) -> Mapping[str, Mapping[str, Any] | None]:
        """The groups known at a moment, by name, as policies read them; one that is left out, or None, is absent."""


class Known:
    """What is known, by symbol."""

    def __init__(
        self,
        symbols: Mapping[str, SymbolFacts],
        account: Account,
        telemetry: TelemetrySource,
        windows: WindowSource,
        breakers: PauseSource,
        tuning: TuningSource,
    ) -> None:
        self.symbols = symbols
        self.account = account
        self.reserved: defaultdict[str, Decimal] = defaultdict(Decimal)
        """What open entries may still come to, by symbol."""
        self.last_event_ms: int | None = None
        """When the feed last said anything of any symbol."""
        self._telemetry = telemetry
        self._windows = windows
        self._breakers = breakers
        self._tuning = tuning

    def groups(self, symbol: str, now_ms: int) -> dict[str, Mapping[str, Any] | None]:
        """The groups known at a moment, by name; None for one that is absent."""
        measured = self.symbols[symbol].groups(now_ms)
        windows: dict[str, Any] = {**self._windows.facts(symbol, now_ms)}
        gap_s = self.feed_gap_s(symbol, now_ms)
        if gap_s is not None:
            windows["feed_gap_s"] = gap_s
        paused = self._breakers.pauses(symbol)
        if paused is not None:
            windows["maker_paused"] = paused
        return {
            **measured,
            "telemetry": self._telemetry.facts(symbol, now_ms),
            "account": self.account.facts(symbol, now_ms, self.reserved),
            "risk": self.account.outside("risk", symbol),
            "signal": self.account.outside("signal", symbol),
            "tuning": self._tuning.facts(symbol),
            "windows": windows,
        }

    def feed_gap_s(self, scope: str, now_ms: int) -> float | None:
        """How long the feed has been silent on a symbol, or on all (`VENUE`); None before it said anything."""
        last_ms = self.last_event_ms if scope == VENUE else self.symbols[scope].last_event_ms
        return None if last_ms is None else max(0.0, (now_ms - last_ms) / 1000)
