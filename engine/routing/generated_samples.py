"""Routing telemetry made up from a seed: a stream of outcomes of maker attempts, and what it amounts to.

In: a seed and a symbol. Out: at each moment the `telemetry` group over the latest outcomes. Nothing here claims to be
realistic. What it promises is variety: a symbol goes through spells in which maker orders do well, so so, badly and not
at all, in which there are too few of them to judge, in which no latency is measured, in which the snapshot is old, and
in which there is none. One round takes `ROUND_S`; each symbol enters it at a place of its own.

The figures are defined as the vocabulary says; only the window is short (outcomes, not 7 days), so that tiers change
while one looks on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one maker attempt."""

    qty: float
    filled_qty: float
    """Filled while it rested."""
    fell_back: bool
    """Some quantity ended as taker."""
    submissions: int
    post_only_rejects: int
    slippage_bps: float
    """Execution price against the mid at arrival; positive is cost."""
    ack_latency_ms: float | None
    """Submit to acknowledgement; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of time with outcomes of one kind."""

    name: str
    lasts_s: float
    fill_share: float
    """Mean filled share of a resting order."""
    fall_back_share: float
    reject_share: float
    slippage_bps: tuple[float, float]
    """Mean and standard deviation."""
    ack_ms: float
    """Median latency."""
    outcomes: int = 60
    """Outcomes in the window."""
    snapshot: str = "fresh"
    """`fresh`; `old`: published long ago; `none`: never published; `unclocked`: without latencies."""


SPELLS = (
    Spell("good", 60, 0.90, 0.08, 0.02, (0.6, 0.9), 180),
    Spell("fair", 30, 0.60, 0.35, 0.05, (2.0, 1.8), 420),
    Spell("poor", 40, 0.35, 0.74, 0.15, (4.0, 4.0), 1100),
    Spell("bad", 35, 0.05, 0.97, 0.35, (9.0, 9.0), 2400),
    Spell("good again", 50, 0.88, 0.10, 0.02, (0.4, 0.8), 150),
    Spell("young", 20, 0.90, 0.05, 0.02, (0.6, 0.9), 180, outcomes=8),
    Spell("without latencies", 15, 0.90, 0.08, 0.02, (0.6, 0.9), 180, snapshot="unclocked"),
    Spell("published long ago", 20, 0.90, 0.08, 0.02, (0.6, 0.9), 180, snapshot="old"),
    Spell("never published", 15, 0.90, 0.08, 0.02, (0.6, 0.9), 180, snapshot="none"),
)
"""One after the other, in a circle. At shipped numbers: good, ok, degraded, broken, good, then ok in four ways."""

ROUND_S = sum(spell.lasts_s for spell in SPELLS)
"""Length of the circle: under five minutes."""

PUBLISHED_EVERY_S = 5.0
"""Time from one snapshot to the next; one attempt ends with each."""

OLD_S = 3600.0
"""How long ago the last snapshot was published in a spell of old ones."""

_ACK_SPREAD = 0.35  # of the logarithm of a latency


class GeneratedTelemetry:
    """The telemetry of one symbol; times may only grow."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._name = f"{seed}/{symbol}/telemetry"
        self._enters_s = Random(self._name).uniform(0.0, ROUND_S)
        self._spell: tuple[int, int] | None = None  # number of the round, number in it
        self._rng = Random()
        self._outcomes: deque[Outcome] = deque()
        self._snapshots = 0  # since the spell began
        self._group: dict[str, Any] | None = None

    def at(self, now: float) -> dict[str, Any] | None:
        """The group at a moment in seconds since 1970; None where nothing was ever published."""
        rounds, into_s = divmod(now + self._enters_s, ROUND_S)
        number = 0
        while into_s >= SPELLS[number].lasts_s:
            into_s -= SPELLS[number].lasts_s
            number += 1
        spell = SPELLS[number]
        if self._spell != (int(rounds), number):
            self._spell = (int(rounds), number)
            self._rng = Random(f"{self._name}/{int(rounds)}/{number}")
            drawn = (_outcome(self._rng, spell) for _ in range(spell.outcomes))
            self._outcomes = deque(drawn, maxlen=spell.outcomes)
            self._snapshots = 0
            self._publish(spell, now - into_s)
        due = int(into_s // PUBLISHED_EVERY_S)
        if due > self._snapshots:
            while self._snapshots < due:
                self._snapshots += 1
                self._outcomes.append(_outcome(self._rng, spell))
            self._publish(spell, now - into_s + due * PUBLISHED_EVERY_S)
        return self._group

    def _publish(self, spell: Spell, at: float) -> None:
        if spell.snapshot == "none":
            self._group = None
            return
        # To the millisecond, as times are everywhere: what is left of sums of seconds is no information.
        observed_at = round(at - OLD_S if spell.snapshot == "old" else at, 3)
        self._group = {"observed_at": observed_at, **summary(self._outcomes)}


def _outcome(rng: Random, spell: Spell) -> Outcome:
    qty = rng.uniform(0.5, 2.0)
    fell_back = rng.random() < spell.fall_back_share
    share = min(1.0, max(0.0, rng.gauss(spell.fill_share, 0.08)))
    rejects = int(rng.random() < spell.reject_share)
    latency = spell.ack_ms * math.exp(rng.gauss(0.0, _ACK_SPREAD))
    return Outcome(
        qty=qty,
        filled_qty=qty * share,
        fell_back=fell_back,
        submissions=1 + rejects,
        post_only_rejects=rejects,
        slippage_bps=rng.gauss(*spell.slippage_bps),
        ack_latency_ms=None if spell.snapshot == "unclocked" else latency,
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The telemetry facts over some outcomes: no data is left out, never 0, but for `sample_count`.

    >>> summary([])
    {'sample_count': 0.0}
    """
    facts: dict[str, Any] = {"sample_count": float(len(outcomes))}
    if not outcomes:
        return facts
    submissions = sum(of.submissions for of in outcomes)
    slippages = sorted(of.slippage_bps for of in outcomes)
    latencies = sorted(of.ack_latency_ms for of in outcomes if of.ack_latency_ms is not None)
    facts |= {
        "maker_fill_ratio": math.fsum(of.filled_qty for of in outcomes) / math.fsum(of.qty for of in outcomes),
        "maker_fill_samples": float(len(outcomes)),
        "fallback_ratio": sum(of.fell_back for of in outcomes) / len(outcomes),
        "fallback_samples": float(len(outcomes)),
        "post_only_reject_ratio": sum(of.post_only_rejects for of in outcomes) / submissions,
        "post_only_reject_samples": float(submissions),
        **{f"slippage_p{percent}_bps": nearest_rank(slippages, percent) for percent in (25, 50, 75, 95)},
        "slippage_samples": float(len(slippages)),
    }
    if latencies:
        facts |= {f"ack_latency_p{percent}_ms": nearest_rank(latencies, percent) for percent in (50, 95)}
        facts["ack_latency_samples"] = float(len(latencies))
    return facts


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """The nearest-rank quantile of numbers in ascending order: the least that `percent` of them do not exceed.

    >>> nearest_rank([1.0, 2.0, 3.0, 4.0], 50), nearest_rank([1.0, 2.0, 3.0, 4.0], 51)
    (2.0, 3.0)
    """
    return ordered[-(-len(ordered) * percent // 100) - 1]
