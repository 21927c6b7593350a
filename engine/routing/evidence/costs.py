"""What trading an intent cost: implementation shortfall, split into parts, for one intent and for many.

In: an `Outcome` of the router, or a `BaselineDone`. Out: a `Shortfall` in USD, and `CostTotals` that add many up.
Positive is cost, for buys and sells alike; bps are of the arrival notional, target quantity × mid at arrival.

The intent is compared with one that is executed in full, at once and for nothing, at the mid at arrival. With side
s = +1 for a buy and −1 for a sell, target Q, filled F, executed value P = Σ quantity × price, and the mids A at
arrival, S at the first send and E at the end:

    delay           s × F × (S − A)          what the mid moved before anything was sent
    spread_impact   s × (P − F × S)          what fills cost against the mid at the first send; for an order that
                                             rested this includes what the mid moved while it did
    fees            fees, negative where rebates exceed them
    opportunity     s × (Q − F) × (E − A)    what the mid moved on what was not filled

and the total is their sum, which is s × (P − F × A) + fees + s × (Q − F) × (E − A) whatever S was.

Missing is never 0. A part that needs a mid nobody saw is None; a part that concerns no quantity needs no mid, and is 0.
A total of which any part is None is None, and so are bps without a mid at arrival. `CostTotals` adds up only intents of
which everything is known, so that its parts add up to its total, and counts the others by what they miss.

Source: A. Perold, The implementation shortfall: paper versus reality (1988), with the delay split off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from engine.journal.events import BaselineDone, Outcome
from engine.venues.messages import Side

Part: TypeAlias = Literal["delay", "spread_impact", "fees", "opportunity"]

PARTS: tuple[Part, ...] = get_args(Part)
"""The parts of a shortfall, in the order in which they are shown."""

BPS = 1e4

MAX_QUOTE_AGE_S = 10.0
"""The mid of an older quote is missing: twice the silence that opens a breaker. It measures costs; no order depends on
it."""


def sign_of(side: Side) -> int:
    """+1 for a buy, −1 for a sell: times a rise in price, what the rise costs."""
    return 1 if side == "buy" else -1


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What one intent cost, in USD; None is missing, positive is cost."""

    notional_usd: float | None
    """Target × mid at arrival."""
    delay: float | None
    spread_impact: float | None
    fees: float
    opportunity: float | None

    def usd(self, part: Part) -> float | None:
        """One part."""
        match part:
            case "delay":
                return self.delay
            case "spread_impact":
                return self.spread_impact
            case "fees":
                return self.fees
            case "opportunity":
                return self.opportunity

    @property
    def total_usd(self) -> float | None:
        """The sum of the parts; None where one is missing."""
        if self.delay is None or self.spread_impact is None or self.opportunity is None:
            return None
        return self.delay + self.spread_impact + self.fees + self.opportunity

    @property
    def total_bps(self) -> float | None:
        """The total in bps of the arrival notional."""
        return in_bps(self.total_usd, self.notional_usd)

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that are missing, and `arrival` where the notional is."""
        parts: list[str] = [part for part in PARTS if self.usd(part) is None]
        return tuple(parts if self.notional_usd is not None else ["arrival", *parts])


def shortfall(done: Outcome | BaselineDone, end_mid: float | None = None) -> Shortfall:
    """What an intent cost.

    `end_mid` measures what was not filled at another moment than the event's own: ways of routing are compared at the
    same one.

    >>> from decimal import Decimal
    >>> shortfall(BaselineDone(
    ...     ts_ms=0, intent_id="1", symbol="BTCUSDT", baseline="taker", side="sell", target=Decimal(10),
    ...     filled=Decimal(8), maker_filled=Decimal(0), cost_usd=790.0, fees_usd=0.5,
    ...     arrival_mid=100.0, sent_mid=99.5, end_mid=98.0,
    ... ))
    Shortfall(notional_usd=1000.0, delay=4.0, spread_impact=6.0, fees=0.5, opportunity=4.0)
    """
    sign = sign_of(done.side)
    filled, unfilled = float(done.filled), float(done.target - done.filled)
    arrival, sent = done.arrival_mid, done.sent_mid
    return Shortfall(
        notional_usd=None if arrival is None else float(done.target) * arrival,
        delay=_moved(sign * filled, arrival, sent),
        spread_impact=_paid(sign, done.cost_usd, filled, sent),
        fees=done.fees_usd,
        opportunity=_moved(sign * unfilled, arrival, done.end_mid if end_mid is None else end_mid),
    )


def in_bps(usd: float | None, notional_usd: float | None) -> float | None:
    """USD as bps of a notional; None where either is missing, or the notional is 0."""
    return None if usd is None or not notional_usd else usd / notional_usd * BPS


def _moved(signed_qty: float, start: float | None, end: float | None) -> float | None:
    """What a move of the mid cost on a quantity: nothing on none, whatever was seen of the market."""
    if signed_qty == 0.0:
        return 0.0
    return None if start is None or end is None else signed_qty * (end - start)


def _paid(sign: int, cost_usd: float, filled: float, sent: float | None) -> float | None:
    if filled == 0.0:
        return 0.0
    return None if sent is None else sign * (cost_usd - filled * sent)


@dataclass(slots=True)
class CostTotals:
    """What many intents cost together: sums over those of which everything is known, and counts of the others."""

    complete: int = 0
    """Intents added up."""
    notional_usd: float = 0.0
    usd: dict[Part, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    incomplete: int = 0
    """Intents left out."""
    missing: dict[str, int] = field(default_factory=dict)
    """How many of those left out miss each part, and `arrival`."""

    def add(self, cost: Shortfall) -> None:
        """Take one intent."""
        lacks = cost.missing
        if lacks:
            self.incomplete += 1
            for part in lacks:
                self.missing[part] = self.missing.get(part, 0) + 1
            return
        assert cost.notional_usd is not None
        self.complete += 1
        self.notional_usd += cost.notional_usd
        for part in PARTS:
            usd = cost.usd(part)
            assert usd is not None
            self.usd[part] += usd

    @property
    def total_usd(self) -> float | None:
        """The sum of the parts; None where nothing was added up."""
        return sum(self.usd.values()) if self.complete else None

    @property
    def total_bps(self) -> float | None:
        """The total, weighted by notional."""
        return in_bps(self.total_usd, self.notional_usd)

    def part_bps(self, part: Part) -> float | None:
        """One part, weighted by notional; None where nothing was added up."""
        return in_bps(self.usd[part], self.notional_usd) if self.complete else None

    def as_json(self) -> dict[str, Any]:
        """Sums in USD and bps, and what was left out."""
        return {
            "intents": self.complete,
            "notional_usd": self.notional_usd,
            "usd": {**self.usd, "total": self.total_usd} if self.complete else None,
            "bps": {**{part: self.part_bps(part) for part in PARTS}, "total": self.total_bps}
            if self.complete
            else None,
            "left_out": self.incomplete,
            "missing": dict(sorted(self.missing.items())),
        }


@dataclass(slots=True)
class Saving:
    """How much less one way cost than another on the same intents, and how sure that is."""

    intents: int = 0
    usd: float = 0.0
    """Positive: saved."""
    notional_usd: float = 0.0
    _usd_squared: float = 0.0
    _usd_notional: float = 0.0
    _notional_squared: float = 0.0

    def add(self, saved_usd: float, notional_usd: float) -> None:
        """Take one intent, of which both costs are known."""
        self.intents += 1
        self.usd += saved_usd
        self.notional_usd += notional_usd
        self._usd_squared += saved_usd * saved_usd
        self._usd_notional += saved_usd * notional_usd
        self._notional_squared += notional_usd * notional_usd

    @property
    def bps(self) -> float | None:
        """Saved, weighted by notional."""
        return in_bps(self.usd, self.notional_usd)

    @property
    def error_bps(self) -> float | None:
        """One standard error of `bps`; None with fewer than two intents.

        Of a ratio of sums, and as if intents were independent. Those that overlap in time are not, so it is a lower
        bound.
        """
        if self.intents < 2 or not self.notional_usd:
            return None
        ratio = self.usd / self.notional_usd
        squares = self._usd_squared - 2 * ratio * self._usd_notional + ratio * ratio * self._notional_squared
        return math.sqrt(max(squares, 0.0) * self.intents / (self.intents - 1)) / self.notional_usd * BPS

    def as_json(self) -> dict[str, Any]:
        """Saved in USD and bps."""
        known = self.intents > 0
        return {
            "intents": self.intents,
            "notional_usd": self.notional_usd,
            "usd": self.usd if known else None,
            "bps": self.bps,
            "error_bps": self.error_bps,
        }
