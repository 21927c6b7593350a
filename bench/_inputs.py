"""Facts objects for the routing policy as a live system has them: 10,000, always the same ones.

Most are complete and fresh, with every fact of every group that routing reads. `BROKEN_SHARE` of them carry one or two
faults (absent, null, stale, ahead of the clock, NaN, infinite, out of range, of another type, a broken relation, an
undated or absent group), `INT_SHARE` hold whole numbers as ints, and `EDGE_SHARE` a value that stands on a threshold or
one double beside it. Every tier, regime, route and gate of the prod profile occurs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

Facts = dict[str, Any]

COUNT = 10_000
SEED = 20_240_229
BROKEN_SHARE = 0.12
INT_SHARE = 0.05
EDGE_SHARE = 0.15

_START = 1_709_200_000.0
_SYMBOLS = {
    "BTCUSDT": 62_000.0,
    "ETHUSDT": 3_400.0,
    "BNBUSDT": 400.0,
    "SOLUSDT": 110.0,
    "XRPUSDT": 0.58,
    "LINKUSDT": 18.5,
    "DOGEUSDT": 0.12,
    "SUSHIUSDT": 1.3,
    "ARBUSDT": 1.9,  # in no group of the profile
}
_DATED = {"market": 2.0, "bars": 180.0, "telemetry": 900.0, "account": 60.0, "signal": 3600.0}
"""Groups that grow stale, with the age at which they do (s)."""

# By tier: ranges of maker_fill_ratio, fallback_ratio, slippage_p95_bps, ack_latency_p50_ms, and how often it occurs.
_TIERS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float], float]] = {
    "good": ((0.72, 0.97), (0.03, 0.38), (0.5, 3.9), (60, 700), 0.60),
    "ok": ((0.45, 0.80), (0.20, 0.58), (2.0, 7.8), (200, 1400), 0.16),
    "degraded": ((0.20, 0.60), (0.50, 0.88), (5.0, 18.0), (500, 2300), 0.14),
    "broken": ((0.02, 0.40), (0.70, 1.00), (9.0, 45.0), (900, 4000), 0.10),
}
_REGIMES = {"quiet": (0.2, 0.5, 0.15), "normal": (0.5, 1.5, 0.60), "hot": (1.5, 2.5, 0.15), "panic": (2.5, 6.0, 0.10)}

# Where rules of routing draw a line, by (group, fact).
_EDGES: dict[tuple[str, str], tuple[float, ...]] = {
    ("market", "spread_bps"): (6.0, 12.0),
    ("bars", "atr_ratio"): (0.5, 1.5, 2.5),
    ("telemetry", "maker_fill_ratio"): (0.7,),
    ("telemetry", "fallback_ratio"): (0.4, 0.5, 0.6, 0.8, 0.9),
    ("telemetry", "slippage_p50_bps"): (1.0, 5.0),
    ("telemetry", "slippage_p95_bps"): (4.0, 8.0, 20.0),
    ("telemetry", "ack_latency_p50_ms"): (800.0, 1500.0, 2500.0),
    ("telemetry", "sample_count"): (20.0,),
    ("tuning", "tuned_bias_delta"): (-0.1, 0.0, 0.1, 0.15, 0.35),
    ("tuning", "tuned_offset_delta_bps"): (-1.5, 0.0, 6.0),
    ("intent", "maker_qty"): (0.0,),
    ("signal", "hourly_expectancy"): (0.0,),
}


def routing_facts(count: int = COUNT, seed: int = SEED) -> list[Facts]:
    """The first `count` facts objects of a seed."""
    random = Random(seed)
    return [_facts(random, number) for number in range(count)]


def _facts(random: Random, number: int) -> Facts:
    symbol = random.choice(list(_SYMBOLS))
    now = round(_START + 0.75 * number + random.random() * 0.5, 3)
    market = _market(random, now, _SYMBOLS[symbol])
    intent = _intent(random, now, market)
    facts: Facts = {
        "now": now,
        "symbol": symbol,
        "intent_id": f"i-{number:06}",
        "intent": intent,
        "market": market,
        "bars": _bars(random, now),
        "telemetry": _telemetry(random, now),
        "account": _account(random, now, market["mid"]),
        "tuning": _tuning(random, now),
        "windows": _windows(random, now),
        "signal": _signal(random, now),
        "decisions": {"admission": _admission(random, intent)},
    }
    if random.random() < EDGE_SHARE:
        _put_on_an_edge(random, facts)
    if random.random() < INT_SHARE:
        _hold_ints(facts)
    if random.random() < BROKEN_SHARE:
        for _ in range(random.choice((1, 1, 1, 2))):
            random.choice(_FAULTS)(random, facts)
    return facts


# Groups --------------------------------------------------------------------------------------------------------------


def _market(random: Random, now: float, price: float) -> Facts:
    mid = price * random.uniform(0.9, 1.1)
    spread_bps = random.lognormvariate(0.6, 0.8)  # 1.8 bps in the middle, one in a hundred above 12
    half = mid * spread_bps / 20_000
    return {
        "observed_at": now - random.uniform(0.0, 0.4),
        "bid": mid - half,
        "ask": mid + half,
        "bid_qty": round(random.uniform(0.1, 40.0), 3),
        "ask_qty": round(random.uniform(0.1, 40.0), 3),
        "mid": mid,
        "spread_bps": spread_bps,
    }


def _intent(random: Random, now: float, market: Facts) -> Facts:
    side = random.choice(("buy", "sell"))
    qty = round(random.uniform(0.01, 5.0), 3)
    price = market["bid"] if side == "buy" else market["ask"]
    return {
        "observed_at": now - random.uniform(0.0, 0.02),
        "side": side,
        "qty": qty,
        "price": price,
        "order_type": random.choice(("limit", "limit", "market")),
        "maker_requested": random.random() < 0.93,
        "maker_price": price,
        "maker_qty": qty,
        "reduce_only": random.random() < 0.06,
    }


def _bars(random: Random, now: float) -> Facts:
    low, high, _ = random.choices(list(_REGIMES.values()), [weight for _, _, weight in _REGIMES.values()])[0]
    ratio = random.uniform(low, high)
    long = random.uniform(0.0004, 0.004)
    return {
        "observed_at": now - random.uniform(0.0, 60.0),
        "atr_short": long * ratio,
        "atr_long": long,
        "atr_ratio": ratio,
    }


def _telemetry(random: Random, now: float) -> Facts:
    tiers = list(_TIERS.values())
    filled, lost, slippage, latency, _ = random.choices(tiers, [tier[-1] for tier in tiers])[0]
    p95 = random.uniform(*slippage)
    p50 = p95 * random.uniform(0.1, 0.8)
    ack = float(round(random.uniform(*latency)))
    count = float(random.randint(20, 900) if random.random() < 0.95 else random.randint(0, 19))
    return {
        "observed_at": now - random.uniform(0.0, 300.0),
        "maker_fill_ratio": random.uniform(*filled),
        "maker_fill_samples": count,
        "fallback_ratio": random.uniform(*lost),
        "fallback_samples": count,
        "post_only_reject_ratio": random.uniform(0.0, 0.2),
        "post_only_reject_samples": float(int(count * 1.2)),
        "slippage_p25_bps": p50 * 0.4,
        "slippage_p50_bps": p50,
        "slippage_p75_bps": (p50 + p95) / 2,
        "slippage_p95_bps": p95,
        "slippage_samples": float(int(count * 0.8)),
        "ack_latency_p50_ms": ack,
        "ack_latency_p95_ms": ack * random.uniform(1.2, 3.0),
        "ack_latency_samples": count,
        "sample_count": count,
    }


def _account(random: Random, now: float, mid: float) -> Facts:
    nav = random.uniform(20_000.0, 400_000.0)
    position = round(random.uniform(-0.2, 0.2) * nav / mid, 3)
    return {
        "observed_at": now - random.uniform(0.0, 10.0),
        "nav_usd": nav,
        "symbol_notional_usd": abs(position) * mid,
        "portfolio_notional_usd": nav * random.uniform(0.1, 1.2),
        "position_qty": position,
        "leverage": float(random.randint(1, 4)),
        "drawdown_today": -random.uniform(0.0, 0.02),
    }


def _tuning(random: Random, now: float) -> Facts:
    return {
        "observed_at": now - random.uniform(0.0, 40_000.0),
        "tuned_bias_delta": random.choice((0.0, -0.05, 0.05, round(random.uniform(-0.2, 0.2), 6))),
        "tuned_offset_delta_bps": random.choice((0.0, 0.5, round(random.uniform(-2.0, 2.0), 6))),
        "tuned_maker_first": random.random() < 0.93,
    }


def _windows(random: Random, now: float) -> Facts:
    return {
        "observed_at": now,
        "post_only_rejects_60s": float(random.choice((0, 0, 0, 1, 2, 5))),
        "fallbacks_in_a_row": float(random.choice((0, 0, 0, 1, 2))),
        "slow_acks_60s": float(random.choice((0, 0, 0, 0, 1, 3))),
        "feed_gap_s": random.uniform(0.0, 1.0),
        "maker_paused": random.random() < 0.05,
        "probes_last_hour": float(random.choice((0, 0, 1, 2, 6))),
    }


def _signal(random: Random, now: float) -> Facts:
    return {
        "observed_at": now - random.uniform(0.0, 600.0),
        "hourly_expectancy": random.gauss(0.0, 4.0),
        "expectancy": random.gauss(0.5, 4.0),
        "hit_rate": random.uniform(0.35, 0.65),
        "score": random.random(),
    }


def _admission(random: Random, intent: Facts) -> Facts:
    admitted = random.random() < 0.94
    qty = intent["qty"] if admitted else 0.0
    return {
        "admit": admitted,
        "admitted_qty": qty,
        "order_price": intent["price"],
        "order_usd": qty * intent["price"],
    }


# Edges and faults ----------------------------------------------------------------------------------------------------


def _put_on_an_edge(random: Random, facts: Facts) -> None:
    (group, fact), edges = random.choice(list(_EDGES.items()))
    edge = random.choice(edges)
    facts[group][fact] = random.choice((edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf)))


def _hold_ints(facts: Facts) -> None:
    """Whole numbers as a JSON reader hands them over."""
    for held in _groups(facts):
        for name, value in held.items():
            if isinstance(value, float) and value.is_integer():
                held[name] = int(value)


def _groups(facts: Facts) -> list[Facts]:
    return [held for key, held in facts.items() if isinstance(held, dict) and key != "decisions"] + [
        held for held in facts.get("decisions", {}).values() if isinstance(held, dict)
    ]


def _pick(random: Random, facts: Facts, kind: type = object) -> tuple[Facts, str]:
    """A group and a fact of it that holds a value of a kind; any if none does."""
    places = [(held, name) for held in _groups(facts) for name in held if name != "observed_at"]
    return random.choice([place for place in places if isinstance(place[0][place[1]], kind)] or places)


def _drop_fact(random: Random, facts: Facts) -> None:
    held, name = _pick(random, facts)
    del held[name]


def _null_fact(random: Random, facts: Facts) -> None:
    held, name = _pick(random, facts)
    held[name] = None


def _spoil_number(random: Random, facts: Facts) -> None:
    held, name = _pick(random, facts, float)
    held[name] = random.choice((math.nan, math.inf, -math.inf, 1e300, -1e13, "12.5", True, [1.0]))


def _spoil_other(random: Random, facts: Facts) -> None:
    held, name = _pick(random, facts, bool)
    held[name] = random.choice(("true", 1, 0.0, "yes"))


def _drop_group(random: Random, facts: Facts) -> None:
    name = random.choice([key for key, held in facts.items() if isinstance(held, dict)])
    if random.random() < 0.5:
        del facts[name]
    else:
        facts[name] = None


def _spoil_group(random: Random, facts: Facts) -> None:
    name = random.choice([key for key, held in facts.items() if isinstance(held, dict) and key != "decisions"])
    facts[name] = random.choice(([], "none", 0))


def _age_group(random: Random, facts: Facts) -> None:
    name, limit = random.choice(list(_DATED.items()))
    if isinstance(facts.get(name), dict):
        facts[name]["observed_at"] = facts["now"] - limit * random.choice((1.0, 1.001, 1.5, 4.0))


def _hasten_group(random: Random, facts: Facts) -> None:
    held = random.choice(_groups(facts))
    held["observed_at"] = facts["now"] + random.choice((1.0, 5.0, 5.5, 60.0))


def _undate_group(random: Random, facts: Facts) -> None:
    held = random.choice(_groups(facts))
    held["observed_at"] = random.choice((None, "yesterday", math.nan))


def _break_relation(random: Random, facts: Facts) -> None:
    group, low, high = random.choice(
        (
            ("market", "bid", "ask"),
            ("telemetry", "slippage_p50_bps", "slippage_p95_bps"),
            ("telemetry", "ack_latency_p50_ms", "ack_latency_p95_ms"),
        )
    )
    held = facts.get(group)
    if isinstance(held, dict) and low in held and high in held:
        held[low], held[high] = held[high], held[low]


_FAULTS: tuple[Callable[[Random, Facts], None], ...] = (
    _drop_fact,
    _drop_fact,
    _null_fact,
    _null_fact,
    _spoil_number,
    _spoil_number,
    _spoil_other,
    _drop_group,
    _spoil_group,
    _age_group,
    _age_group,
    _hasten_group,
    _undate_group,
    _break_relation,
)
