"""Effectiveness made up from a seed: a week of maker attempts, for sessions that start without any of their own.

In: a seed, the symbols, and the moment they end at. Out: samples by symbol, as `sluice telemetry import` would give
them. Nothing here claims to be realistic, and whoever shows what came of them has to say where they come from. What
they promise is variety: in order of their names symbols take turns at doing well, well, so so, badly, and at having too
few attempts to judge by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from engine.routing.effectiveness import Sample

_SPAN_MS = 6 * 86_400_000  # inside the window, so that none of it ages out on the first day
_ACK_SPREAD = 0.35  # of the logarithm of a latency


@dataclass(frozen=True, slots=True)
class Record:
    """How maker orders of a symbol went."""

    name: str
    attempts: int
    fill_share: float
    """Mean filled share of a resting order."""
    fallback_share: float
    reject_share: float
    slippage_bps: tuple[float, float]
    """Mean and standard deviation."""
    ack_ms: float
    """Median latency."""


RECORDS = (
    Record("good", 240, 0.90, 0.08, 0.02, (0.6, 0.9), 60),
    Record("good", 120, 0.88, 0.10, 0.02, (0.4, 0.8), 50),
    Record("fair", 90, 0.60, 0.35, 0.05, (2.0, 1.8), 420),
    Record("good", 60, 0.92, 0.06, 0.01, (0.3, 0.7), 70),
    Record("poor", 60, 0.35, 0.74, 0.15, (4.0, 3.0), 1100),
    Record("few", 8, 0.90, 0.05, 0.02, (0.6, 0.9), 80),
)
"""One after the other. At shipped numbers: good, good, ok, good, degraded, and ok for want of attempts."""


def generated_samples(seed: int, symbols: Iterable[str], newest_ms: int) -> dict[str, list[Sample]]:
    """Samples of a week that ends at `newest_ms`, by symbol, in order of time."""
    return {
        symbol: _samples(Random(f"{seed}/{symbol}/samples"), RECORDS[number % len(RECORDS)], newest_ms)
        for number, symbol in enumerate(sorted(symbols))
    }


def _samples(rng: Random, record: Record, newest_ms: int) -> list[Sample]:
    every_ms = _SPAN_MS // record.attempts
    return [_sample(rng, record, newest_ms - left * every_ms) for left in reversed(range(record.attempts))]


def _sample(rng: Random, record: Record, ts_ms: int) -> Sample:
    attempted = Decimal(f"{rng.uniform(0.5, 2.0):.3f}")
    share = min(1.0, max(0.0, rng.gauss(record.fill_share, 0.08)))
    rejects = int(rng.random() < record.reject_share)
    latencies = (record.ack_ms * math.exp(rng.gauss(0.0, _ACK_SPREAD)) for _ in range(1 + rejects))
    return Sample(
        ts_ms=ts_ms,
        attempted=attempted,
        filled=(attempted * Decimal(f"{share:.3f}")).quantize(Decimal("0.001")),
        fallback=rng.random() < record.fallback_share,
        submissions=1 + rejects,
        post_only_rejects=rejects,
        slippage_bps=round(rng.gauss(*record.slippage_bps), 3),
        ack_ms=tuple(round(latency) for latency in latencies),
    )
