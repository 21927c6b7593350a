"""Outcomes for tests of telemetry: one of a maker attempt that went well, and whole journals of all kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from engine.journal.events import Event, Imported, Outcome
from engine.journal.writer import NEVER, Journal
from engine.routing.effectiveness import Sample

DAY_MS = 86_400_000
NOW_MS = 1_723_161_600_000  # 2024-08-09 00:00 UTC


def outcome(ts_ms: int = NOW_MS, **said: Any) -> Outcome:
    """An entry of 2 at a mid of 100 that rested, was filled at the mid, and was acknowledged after 40 ms."""
    usual: dict[str, Any] = {
        "intent_id": "i-1",
        "symbol": "BTCUSDT",
        "side": "buy",
        "is_exit": False,
        "route": "maker",
        "result": "filled",
        "reason": "filled",
        "target": Decimal(2),
        "filled": Decimal(2),
        "maker_filled": Decimal(2),
        "cost_usd": 200.0,
        "fees_usd": 0.0,
        "arrival_ms": ts_ms - 1000,
        "arrival_mid": 100.0,
        "sent_ms": ts_ms - 1000,
        "sent_mid": 100.0,
        "end_mid": 100.0,
        "attempted": Decimal(2),
        "submissions": 1,
        "ack_ms": [40],
    }
    return Outcome(ts_ms=ts_ms, **(usual | said))


def taken(ts_ms: int = NOW_MS, **said: Any) -> Outcome:
    """An entry that was routed taker: nothing of it was sent to rest."""
    nothing_rested: dict[str, Any] = {
        "route": "taker",
        "maker_filled": Decimal(0),
        "attempted": Decimal(0),
        "submissions": 0,
        "ack_ms": [],
        "taker_veto": "maker_gates.quality_not_good",
    }
    return outcome(ts_ms, **(nothing_rested | said))


def sample(ts_ms: int = NOW_MS, **said: Any) -> Sample:
    """A maker attempt of 2 that was filled at the mid and acknowledged after 40 ms."""
    usual: dict[str, Any] = {
        "attempted": Decimal(2),
        "filled": Decimal(2),
        "fallback": False,
        "submissions": 1,
        "post_only_rejects": 0,
        "slippage_bps": 0.0,
        "ack_ms": (40,),
    }
    return Sample(ts_ms=ts_ms, **(usual | said))


def import_of(*samples: Sample, ts_ms: int = NOW_MS, symbol: str = "BTCUSDT", source: str = "elsewhere") -> Imported:
    """An import of samples."""
    return Imported(ts_ms=ts_ms, symbol=symbol, source=source, samples=[msgspec.to_builtins(one) for one in samples])


def write_journal(folder: Path, events: Iterable[Event]) -> Path:
    """A journal of these events; returns its folder."""
    with Journal(folder, fsync=NEVER) as journal:
        for event in events:
            journal.add(event)
    return folder


def several_days(seed: int, count: int, symbols: int, days: int = 9) -> Iterator[Event]:
    """Outcomes of every kind, and imports, in order of time up to `NOW_MS`.

    Among them are exits, takers, sells, orders never filled, times that several share, times at both edges of the
    window to the millisecond, quantities of 8 digits, clocks that disagree, and imports that overlap or lie ahead.
    """
    rng = Random(seed)
    edge_ms = NOW_MS - 7 * DAY_MS
    times = [rng.randrange(NOW_MS - days * DAY_MS, NOW_MS) for _ in range(count)]
    times += [rng.choice(times) for _ in range(count // 10)]
    times += [at_ms + off_ms for at_ms in (edge_ms, NOW_MS) for off_ms in (-1, 0, 1) for _ in range(3 * symbols)]
    for number, ts_ms in enumerate(sorted(ts_ms for ts_ms in times if ts_ms <= NOW_MS)):
        symbol = f"S{rng.randrange(symbols)}USDT"
        if number % 200 == 0:
            some = [_drawn_sample(rng, ts_ms + rng.randrange(-8 * DAY_MS, DAY_MS)) for _ in range(rng.randrange(20))]
            yield import_of(*some, ts_ms=ts_ms, symbol=symbol, source=f"source {rng.randrange(3)}")
        yield _drawn(rng, ts_ms, symbol, f"i-{number}")


def _drawn(rng: Random, ts_ms: int, symbol: str, intent_id: str) -> Outcome:
    mid = rng.choice((0.00001234, 1.5, 61_803.15)) * rng.uniform(0.9, 1.1)
    target = Decimal(rng.randrange(1, 10**10)).scaleb(-rng.randrange(9))
    maker_filled = target * rng.randrange(6) / 5 if rng.random() < 0.7 else Decimal(0)
    filled = max(maker_filled, rng.choice((maker_filled, target)))
    said: dict[str, Any] = {
        "intent_id": intent_id,
        "symbol": symbol,
        "side": rng.choice(("buy", "sell")),
        "is_exit": rng.random() < 0.2,
        "target": target,
        "filled": filled,
        "maker_filled": maker_filled,
        "cost_usd": float(filled) * mid * (1 + rng.choice((0.0, rng.gauss(0, 4))) / 10_000),
        "arrival_mid": rng.choice((None, mid, mid, mid)),
    }
    if rng.random() < 0.2:
        return taken(ts_ms, **(said | {"maker_filled": Decimal(0)}))
    submissions = rng.randrange(4)
    acks = [rng.randrange(-3, 3000) for _ in range(rng.randrange(submissions + 1))]
    return outcome(
        ts_ms,
        **said,
        attempted=target,
        fallback=filled > maker_filled,
        submissions=submissions,
        post_only_rejects=rng.randrange(4),
        ack_ms=acks,
    )


def _drawn_sample(rng: Random, ts_ms: int) -> Sample:
    attempted = Decimal(rng.randrange(1, 10**6)).scaleb(-3)
    return sample(
        ts_ms,
        attempted=attempted,
        filled=attempted * rng.randrange(5) / 4,
        fallback=rng.random() < 0.3,
        submissions=2,
        post_only_rejects=rng.randrange(3),
        slippage_bps=rng.choice((None, 0.0, -0.0, rng.gauss(1, 3))),
        ack_ms=tuple(rng.randrange(2000) for _ in range(rng.randrange(3))),
    )
