"""The routing policy under the prod profile, written by hand: what the compiled backend is measured against.

`natural` is the function a good engineer writes without rules: a facts object in, a dict of strings, flags and numbers
and a list of veto ids out, one helper per thought, thresholds as constants. `tuned_limit` takes prepared values
(floats, flags; NaN where missing) as arguments and returns a tuple and a bit mask of vetoes: what is left when only
deciding is measured. `tuned` takes the same facts object as `natural`, reads and tests it inline, and gives that to
`tuned_limit`; the mask becomes ids through a memo.

`natural` and `tuned` return the decided values and veto ids of the compiled policy for whatever a JSON reader or a live
system hands over: absent, null, stale, ahead of the clock, NaN, out of range, of another type, ints. They do less than
it in three ways, all in their own favour: facts that no rule of the profile reads are not looked at, names that nobody
declared are not refused (`tuned_refusing` does that too), and no cause of a missing fact is kept, so none of them could
give a reason. Numpy scalars and mappings other than dicts are not taken.
"""

# ruff: noqa: PLR0124 - comparing with itself is the fastest way to see NaN
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Decided = dict[str, Any]
"""What the policy decides, by name, and `vetoes`: a list of ids, in order."""

# How long an observation holds, and how far ahead of the clock it may lie (s).
MAX_AHEAD_S = 5.0
MARKET_MAX_AGE_S = 2.0
BARS_MAX_AGE_S = 180.0
TELEMETRY_MAX_AGE_S = 900.0
ACCOUNT_MAX_AGE_S = 60.0
SIGNAL_MAX_AGE_S = 3600.0

# What a fact can be at all.
PRICE = (1e-9, 1e9)
QTY = (-1e12, 1e12)
ADMITTED_QTY = (0.0, 1e12)
SPREAD_BPS = (0.0, 20_000.0)
BPS = (-10_000.0, 10_000.0)
ATR_RATIO = (0.0, 1e6)
SHARE = (0.0, 1.0)
COUNT = (0.0, 1e9)
LATENCY_MS = (0.0, 3_600_000.0)
BIAS_DELTA = (-1.0, 1.0)
OFFSET_DELTA_BPS = (-1000.0, 1000.0)

# Quality tiers.
MIN_SAMPLES = 20.0
BROKEN_FALLBACK_RATIO, BROKEN_SLIPPAGE_BPS, BROKEN_ACK_MS = 0.9, 20.0, 2500.0
DEGRADED_FALLBACK_RATIO, DEGRADED_SLIPPAGE_BPS, DEGRADED_ACK_MS = 0.6, 8.0, 1500.0
GOOD_MAKER_FILL_RATIO, GOOD_FALLBACK_RATIO, GOOD_SLIPPAGE_BPS, GOOD_ACK_MS = 0.7, 0.4, 4.0, 800.0

# Volatility regimes, by atr_ratio.
QUIET_BELOW, HOT_FROM, PANIC_FROM = 0.5, 1.5, 2.5

# Bias by tier, and its label.
BIAS = {"broken": 0.75, "degraded": 0.75, "ok": 0.5, "good": 0.25}
PREFER_MAKER_TO, PREFER_TAKER_FROM = 0.4, 0.6

# The offset of a maker order (bps).
ADAPTIVE_MAX_SPREAD_BPS = 12.0
BASE_OFFSET_BPS = 2.0
REGIME_STEP_BPS = {"quiet": -0.5, "normal": 0.0, "hot": 0.5, "panic": 1.0}
FILLING_ABOVE, FILLING_STEP_BPS = 0.7, -0.5
FALLING_BACK_ABOVE, FALLING_BACK_STEP_BPS = 0.5, 1.0
MOSTLY_LOST_ABOVE, MOSTLY_LOST_STEP_BPS = 0.8, 1.5
COSTLY_ABOVE_BPS, COSTLY_STEP_BPS = 5.0, 0.8
CHEAP_BELOW_BPS, CHEAP_STEP_BPS = 1.0, -0.2
GOOD_HOUR_STEP_BPS, BAD_HOUR_STEP_BPS = -0.2, 0.2
MIN_OFFSET_BPS, MAX_OFFSET_BPS = 0.5, 8.0
WIDE_SPREAD_BPS, WIDE_MAX_OFFSET_BPS = 6.0, 6.0

# What keeps an order from resting, and how it is sent.
MAX_SPREAD_BPS = 12.0
PROBES_ENABLED = False
PROBE_MAX_ORDER_USD = 100.0
PROBES_PER_HOUR = 6.0
DROP_ON_FULL_CLOSE = False
PROTECTION_BPS = 15.0


# The natural one -----------------------------------------------------------------------------------------------------


def natural(facts: Mapping[str, Any]) -> Decided:
    """Decide routing on a facts object, as a good engineer would write it."""
    now = float(facts["now"])
    intent = _fresh(facts.get("intent"), now)
    market = _fresh(facts.get("market"), now, MARKET_MAX_AGE_S)
    bars = _fresh(facts.get("bars"), now, BARS_MAX_AGE_S)
    telemetry = _fresh(facts.get("telemetry"), now, TELEMETRY_MAX_AGE_S)
    account = _fresh(facts.get("account"), now, ACCOUNT_MAX_AGE_S)
    tuning = _fresh(facts.get("tuning"), now)
    windows = _fresh(facts.get("windows"), now)
    signal = _fresh(facts.get("signal"), now, SIGNAL_MAX_AGE_S)
    admission = _fresh((facts.get("decisions") or {}).get("admission"), now)

    bid, ask = _ordered(_number(market, "bid", PRICE), _number(market, "ask", PRICE))
    spread_bps = _number(market, "spread_bps", SPREAD_BPS)
    book_missing = bid is None or ask is None or spread_bps is None

    maker_fill_ratio = _number(telemetry, "maker_fill_ratio", SHARE)
    fallback_ratio = _number(telemetry, "fallback_ratio", SHARE)
    slippage_p50_bps, slippage_p95_bps = _ordered(
        _number(telemetry, "slippage_p50_bps", BPS), _number(telemetry, "slippage_p95_bps", BPS)
    )
    ack_latency_p50_ms, _ = _ordered(
        _number(telemetry, "ack_latency_p50_ms", LATENCY_MS), _number(telemetry, "ack_latency_p95_ms", LATENCY_MS)
    )
    sample_count = _number(telemetry, "sample_count", COUNT)

    quality = _quality(sample_count, maker_fill_ratio, fallback_ratio, slippage_p95_bps, ack_latency_p50_ms)
    atr_regime = _regime(_number(bars, "atr_ratio", ATR_RATIO))
    bias, offset_delta_bps, maker_first = _stance(quality, atr_regime, tuning)
    taker_bias = _bias_label(bias)

    offset_bps = BASE_OFFSET_BPS
    if not book_missing and sample_count is not None and spread_bps <= ADAPTIVE_MAX_SPREAD_BPS:  # type: ignore[operator]  # known, as the book is
        offset_bps = _adaptive_offset(
            atr_regime,
            maker_fill_ratio,
            fallback_ratio,
            slippage_p50_bps,
            _number(signal, "hourly_expectancy", BPS),
            offset_delta_bps,
        )
    offset_bps = min(max(offset_bps, MIN_OFFSET_BPS), MAX_OFFSET_BPS)
    if spread_bps is not None and spread_bps > WIDE_SPREAD_BPS:
        offset_bps = min(offset_bps, WIDE_MAX_OFFSET_BPS)

    maker_qty = _number(intent, "maker_qty", QTY)
    maker_price = _number(intent, "maker_price", PRICE)
    vetoes: list[str] = []
    if _flag(intent, "maker_requested") is not True:
        vetoes.append("hard_gates.maker_not_requested")
    if not maker_first:
        vetoes.append("hard_gates.policy_disables_maker")
    if taker_bias == "prefer_taker":
        vetoes.append("hard_gates.bias_prefers_taker")
    if _flag(intent, "reduce_only") is not False:
        vetoes.append("hard_gates.reduce_only")
    if maker_qty is None or maker_qty <= 0:
        vetoes.append("hard_gates.maker_qty_invalid")
    if maker_price is None:
        vetoes.append("hard_gates.maker_price_invalid")
    if book_missing:
        vetoes.append("hard_gates.book_missing")
    if spread_bps is not None and spread_bps > MAX_SPREAD_BPS:
        vetoes.append("hard_gates.spread_too_wide")
    if sample_count is None:
        vetoes.append("hard_gates.telemetry_stale")
    if _flag(windows, "maker_paused") is not False:
        vetoes.append("hard_gates.breaker_open")
    if maker_qty is not None:
        admitted_qty = _number(admission, "admitted_qty", ADMITTED_QTY)
        if admitted_qty is None or maker_qty > admitted_qty:
            vetoes.append("hard_gates.maker_qty_above_admitted")

    probe = PROBES_ENABLED and not vetoes and _probe(quality, maker_qty, maker_price, windows)
    if quality != "good" and not probe:
        vetoes.append("maker_gates.quality_not_good")

    maker_allowed = not vetoes
    return {
        "quality": quality,
        "atr_regime": atr_regime,
        "maker_first": maker_first,
        "bias": bias,
        "taker_bias": taker_bias,
        "offset_bps": offset_bps,
        "probe": probe,
        "maker_allowed": maker_allowed,
        "route": "maker" if maker_allowed else "taker",
        "keep_reduce_only": not (DROP_ON_FULL_CLOSE and _closes_fully(intent, account)),
        "protection_bps": PROTECTION_BPS,
        "vetoes": vetoes,
    }


def _fresh(group: Any, now: float, max_age_s: float | None = None) -> dict[str, Any]:
    """The facts of a group, none of them if it is absent, undated or out of date."""
    if not isinstance(group, dict):
        return {}
    observed_at = group.get("observed_at")
    if observed_at is None:
        return group if max_age_s is None else {}
    if isinstance(observed_at, bool) or not isinstance(observed_at, (int, float)) or not math.isfinite(observed_at):
        return {}
    if observed_at - now > MAX_AHEAD_S or (max_age_s is not None and now - observed_at > max_age_s):
        return {}
    return group


def _number(group: Mapping[str, Any], name: str, within: tuple[float, float]) -> float | None:
    """A number of a group; None if it is absent, no number or out of range (as NaN is)."""
    value = group.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    low, high = within
    return float(value) if low <= value <= high else None


def _flag(group: Mapping[str, Any], name: str) -> bool | None:
    """A flag of a group; None if it is absent or anything else."""
    value = group.get(name)
    return value if isinstance(value, bool) else None


def _ordered(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """Two numbers of which the first is never above the second: where it is, neither can be trusted."""
    if low is not None and high is not None and low > high:
        return None, None
    return low, high


def _quality(
    sample_count: float | None,
    maker_fill_ratio: float | None,
    fallback_ratio: float | None,
    slippage_bps: float | None,
    ack_ms: float | None,
) -> str:
    if sample_count is None or sample_count < MIN_SAMPLES:
        return "ok"
    for tier, max_fallback, max_slippage, max_ack in (
        ("broken", BROKEN_FALLBACK_RATIO, BROKEN_SLIPPAGE_BPS, BROKEN_ACK_MS),
        ("degraded", DEGRADED_FALLBACK_RATIO, DEGRADED_SLIPPAGE_BPS, DEGRADED_ACK_MS),
    ):
        if (
            (fallback_ratio is not None and fallback_ratio >= max_fallback)
            or (slippage_bps is not None and slippage_bps >= max_slippage)
            or (ack_ms is not None and ack_ms >= max_ack)
        ):
            return tier
    if (
        (maker_fill_ratio is not None and maker_fill_ratio >= GOOD_MAKER_FILL_RATIO)
        and (fallback_ratio is not None and fallback_ratio <= GOOD_FALLBACK_RATIO)
        and (slippage_bps is not None and slippage_bps <= GOOD_SLIPPAGE_BPS)
        and (ack_ms is not None and ack_ms <= GOOD_ACK_MS)
    ):
        return "good"
    return "ok"


def _regime(atr_ratio: float | None) -> str:
    if atr_ratio is None:
        return "normal"
    if atr_ratio >= PANIC_FROM:
        return "panic"
    if atr_ratio >= HOT_FROM:
        return "hot"
    if atr_ratio < QUIET_BELOW:
        return "quiet"
    return "normal"


def _stance(quality: str, atr_regime: str, tuning: Mapping[str, Any]) -> tuple[float, float, bool]:
    """Bias, tuned offset and maker first: what the tier says, and in good and ok what tuning adds."""
    bias = BIAS[quality]
    offset_delta_bps = 0.0
    maker_first = not (quality == "broken" or (quality == "degraded" and atr_regime == "panic"))
    tuned_maker_first = _flag(tuning, "tuned_maker_first")
    if quality in ("ok", "good"):
        bias += _number(tuning, "tuned_bias_delta", BIAS_DELTA) or 0.0
        bias = min(max(bias, 0.0), 1.0)
        offset_delta_bps = _number(tuning, "tuned_offset_delta_bps", OFFSET_DELTA_BPS) or 0.0
        if tuned_maker_first is True:
            maker_first = True
    if tuned_maker_first is False:
        maker_first = False
    return bias, offset_delta_bps, maker_first


def _bias_label(bias: float) -> str:
    if bias <= PREFER_MAKER_TO:
        return "prefer_maker"
    if bias >= PREFER_TAKER_FROM:
        return "prefer_taker"
    return "balanced"


def _adaptive_offset(
    atr_regime: str,
    maker_fill_ratio: float | None,
    fallback_ratio: float | None,
    slippage_bps: float | None,
    hourly_expectancy: float | None,
    offset_delta_bps: float,
) -> float:
    """The offset before its bounds: the base and every step, added in this order."""
    offset_bps = BASE_OFFSET_BPS + REGIME_STEP_BPS[atr_regime]
    if maker_fill_ratio is not None and maker_fill_ratio > FILLING_ABOVE:
        offset_bps += FILLING_STEP_BPS
    if fallback_ratio is not None:
        if fallback_ratio > FALLING_BACK_ABOVE:
            offset_bps += FALLING_BACK_STEP_BPS
        if fallback_ratio > MOSTLY_LOST_ABOVE:
            offset_bps += MOSTLY_LOST_STEP_BPS
    if slippage_bps is not None:
        if slippage_bps > COSTLY_ABOVE_BPS:
            offset_bps += COSTLY_STEP_BPS
        if slippage_bps < CHEAP_BELOW_BPS:
            offset_bps += CHEAP_STEP_BPS
    if hourly_expectancy is not None:
        if hourly_expectancy > 0:
            offset_bps += GOOD_HOUR_STEP_BPS
        elif hourly_expectancy < 0:
            offset_bps += BAD_HOUR_STEP_BPS
    return offset_bps + offset_delta_bps


def _probe(quality: str, maker_qty: float | None, maker_price: float | None, windows: Mapping[str, Any]) -> bool:
    """Whether a small order may rest in tier ok."""
    if quality != "ok" or maker_qty is None or maker_price is None:
        return False
    probes_last_hour = _number(windows, "probes_last_hour", COUNT)
    return (
        maker_qty * maker_price <= PROBE_MAX_ORDER_USD
        and probes_last_hour is not None
        and probes_last_hour < PROBES_PER_HOUR
    )


def _closes_fully(intent: Mapping[str, Any], account: Mapping[str, Any]) -> bool:
    """Whether an exit closes exactly the fresh position, on its own side."""
    qty = _number(intent, "qty", QTY)
    position_qty = _number(account, "position_qty", QTY)
    if _flag(intent, "reduce_only") is not True or qty is None or qty <= 0 or position_qty is None:
        return False
    side = intent.get("side")
    return (side == "sell" and position_qty == qty) or (side == "buy" and position_qty == -qty)


def known(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the policy rests on, by name, None where it is missing: `natural`'s reading code, to put before others."""
    now = float(facts["now"])
    intent = _fresh(facts.get("intent"), now)
    market = _fresh(facts.get("market"), now, MARKET_MAX_AGE_S)
    telemetry = _fresh(facts.get("telemetry"), now, TELEMETRY_MAX_AGE_S)
    tuning = _fresh(facts.get("tuning"), now)
    bid, ask = _ordered(_number(market, "bid", PRICE), _number(market, "ask", PRICE))
    slippage_p50_bps, slippage_p95_bps = _ordered(
        _number(telemetry, "slippage_p50_bps", BPS), _number(telemetry, "slippage_p95_bps", BPS)
    )
    ack_latency_p50_ms, _ = _ordered(
        _number(telemetry, "ack_latency_p50_ms", LATENCY_MS), _number(telemetry, "ack_latency_p95_ms", LATENCY_MS)
    )
    return {
        "maker_requested": _flag(intent, "maker_requested"),
        "maker_price": _number(intent, "maker_price", PRICE),
        "maker_qty": _number(intent, "maker_qty", QTY),
        "reduce_only": _flag(intent, "reduce_only"),
        "bid": bid,
        "ask": ask,
        "spread_bps": _number(market, "spread_bps", SPREAD_BPS),
        "atr_ratio": _number(_fresh(facts.get("bars"), now, BARS_MAX_AGE_S), "atr_ratio", ATR_RATIO),
        "maker_fill_ratio": _number(telemetry, "maker_fill_ratio", SHARE),
        "fallback_ratio": _number(telemetry, "fallback_ratio", SHARE),
        "slippage_p50_bps": slippage_p50_bps,
        "slippage_p95_bps": slippage_p95_bps,
        "ack_latency_p50_ms": ack_latency_p50_ms,
        "sample_count": _number(telemetry, "sample_count", COUNT),
        "tuned_bias_delta": _number(tuning, "tuned_bias_delta", BIAS_DELTA),
        "tuned_offset_delta_bps": _number(tuning, "tuned_offset_delta_bps", OFFSET_DELTA_BPS),
        "tuned_maker_first": _flag(tuning, "tuned_maker_first"),
        "maker_paused": _flag(_fresh(facts.get("windows"), now), "maker_paused"),
        "hourly_expectancy": _number(_fresh(facts.get("signal"), now, SIGNAL_MAX_AGE_S), "hourly_expectancy", BPS),
        "admitted_qty": _number(
            _fresh((facts.get("decisions") or {}).get("admission"), now), "admitted_qty", ADMITTED_QTY
        ),
    }


# The tuned ones ------------------------------------------------------------------------------------------------------

Tuned = tuple[tuple[Any, ...], tuple[str, ...]]
"""The decided values in the order of `DECIDED`, and the ids of the vetoes, in order."""

DECIDED = (
    "quality",
    "atr_regime",
    "maker_first",
    "bias",
    "taker_bias",
    "offset_bps",
    "probe",
    "maker_allowed",
    "route",
    "keep_reduce_only",
    "protection_bps",
)
VETO_IDS = (
    "hard_gates.maker_not_requested",
    "hard_gates.policy_disables_maker",
    "hard_gates.bias_prefers_taker",
    "hard_gates.reduce_only",
    "hard_gates.maker_qty_invalid",
    "hard_gates.maker_price_invalid",
    "hard_gates.book_missing",
    "hard_gates.spread_too_wide",
    "hard_gates.telemetry_stale",
    "hard_gates.breaker_open",
    "hard_gates.maker_qty_above_admitted",
    "maker_gates.quality_not_good",
)
NAN = math.nan


class _Ids(dict[int, tuple[str, ...]]):
    """Bit masks to the ids they stand for, each worked out once."""

    def __missing__(self, mask: int) -> tuple[str, ...]:
        ids = self[mask] = tuple(name for number, name in enumerate(VETO_IDS) if mask >> number & 1)
        return ids


veto_ids = _Ids()


def tuned(facts: dict[str, Any]) -> Tuned:
    """Decide routing on a facts object, as fast as one can write it in Python and still check what it reads."""
    now = facts["now"]
    if now.__class__ is not float:
        now = float(now)

    try:
        held = facts["intent"]
        maker_requested, reduce_only = held["maker_requested"], held["reduce_only"]
        maker_price, maker_qty, at = held["maker_price"], held["maker_qty"], held["observed_at"]
    except (KeyError, TypeError):
        maker_requested, reduce_only, maker_price, maker_qty, at = _held(facts.get("intent"), _INTENT)
    if at.__class__ is not float:
        at = now if at is None else _moment(at)
    if -5.0 <= now - at < _INF:
        if maker_price.__class__ is not float or not 1e-9 <= maker_price <= 1e9:
            maker_price = _double(maker_price, 1e-9, 1e9)
        if maker_qty.__class__ is not float or not -1e12 <= maker_qty <= 1e12:
            maker_qty = _double(maker_qty, -1e12, 1e12)
    else:
        maker_requested = reduce_only = None
        maker_price = maker_qty = NAN

    try:
        held = facts["market"]
        bid, ask, spread_bps, at = held["bid"], held["ask"], held["spread_bps"], held["observed_at"]
    except (KeyError, TypeError):
        bid, ask, spread_bps, at = _held(facts.get("market"), _MARKET)
    if at.__class__ is not float:
        at = _moment(at)
    if -5.0 <= now - at <= 2.0:
        if bid.__class__ is not float or not 1e-9 <= bid <= 1e9:
            bid = _double(bid, 1e-9, 1e9)
        if ask.__class__ is not float or not 1e-9 <= ask <= 1e9:
            ask = _double(ask, 1e-9, 1e9)
        if spread_bps.__class__ is not float or not 0.0 <= spread_bps <= 20_000.0:
            spread_bps = _double(spread_bps, 0.0, 20_000.0)
        has_book = bid <= ask and spread_bps == spread_bps
    else:
        spread_bps = NAN
        has_book = False

    try:
        held = facts["bars"]
        atr_ratio, at = held["atr_ratio"], held["observed_at"]
    except (KeyError, TypeError):
        atr_ratio, at = _held(facts.get("bars"), _BARS)
    if at.__class__ is not float:
        at = _moment(at)
    if -5.0 <= now - at <= 180.0:
        if atr_ratio.__class__ is not float or not 0.0 <= atr_ratio <= 1e6:
            atr_ratio = _double(atr_ratio, 0.0, 1e6)
    else:
        atr_ratio = NAN

    try:
        held = facts["telemetry"]
        filled, lost, slippage_p50, slippage_p95 = (
            held["maker_fill_ratio"],
            held["fallback_ratio"],
            held["slippage_p50_bps"],
            held["slippage_p95_bps"],
        )
        ack_p50, ack_p95, samples, at = (
            held["ack_latency_p50_ms"],
            held["ack_latency_p95_ms"],
            held["sample_count"],
            held["observed_at"],
        )
    except (KeyError, TypeError):
        held = _held(facts.get("telemetry"), _TELEMETRY)
        filled, lost, slippage_p50, slippage_p95, ack_p50, ack_p95, samples, at = held
    if at.__class__ is not float:
        at = _moment(at)
    if -5.0 <= now - at <= 900.0:
        if filled.__class__ is not float or not 0.0 <= filled <= 1.0:
            filled = _double(filled, 0.0, 1.0)
        if lost.__class__ is not float or not 0.0 <= lost <= 1.0:
            lost = _double(lost, 0.0, 1.0)
        if slippage_p50.__class__ is not float or not -10_000.0 <= slippage_p50 <= 10_000.0:
            slippage_p50 = _double(slippage_p50, -10_000.0, 10_000.0)
        if slippage_p95.__class__ is not float or not -10_000.0 <= slippage_p95 <= 10_000.0:
            slippage_p95 = _double(slippage_p95, -10_000.0, 10_000.0)
        if slippage_p50 > slippage_p95:
            slippage_p50 = slippage_p95 = NAN
        if ack_p50.__class__ is not float or not 0.0 <= ack_p50 <= 3_600_000.0:
            ack_p50 = _double(ack_p50, 0.0, 3_600_000.0)
        if ack_p95.__class__ is not float or not 0.0 <= ack_p95 <= 3_600_000.0:
            ack_p95 = _double(ack_p95, 0.0, 3_600_000.0)
        if ack_p50 > ack_p95:
            ack_p50 = NAN
        if samples.__class__ is not float or not 0.0 <= samples <= 1e9:
            samples = _double(samples, 0.0, 1e9)
    else:
        filled = lost = slippage_p50 = slippage_p95 = ack_p50 = samples = NAN

    try:
        held = facts["tuning"]
        bias_delta, offset_delta, tuned_first, at = (
            held["tuned_bias_delta"],
            held["tuned_offset_delta_bps"],
            held["tuned_maker_first"],
            held["observed_at"],
        )
    except (KeyError, TypeError):
        bias_delta, offset_delta, tuned_first, at = _held(facts.get("tuning"), _TUNING)
    if at.__class__ is not float:
        at = now if at is None else _moment(at)
    if -5.0 <= now - at < _INF:
        if bias_delta.__class__ is not float or not -1.0 <= bias_delta <= 1.0:
            bias_delta = _double(bias_delta, -1.0, 1.0)
        if offset_delta.__class__ is not float or not -1000.0 <= offset_delta <= 1000.0:
            offset_delta = _double(offset_delta, -1000.0, 1000.0)
    else:
        bias_delta = offset_delta = NAN
        tuned_first = None

    try:
        held = facts["windows"]
        paused, at = held["maker_paused"], held["observed_at"]
    except (KeyError, TypeError):
        paused, at = _held(facts.get("windows"), _WINDOWS)
    if at.__class__ is not float:
        at = now if at is None else _moment(at)
    if not -5.0 <= now - at < _INF:
        paused = None

    try:
        held = facts["signal"]
        expectancy, at = held["hourly_expectancy"], held["observed_at"]
    except (KeyError, TypeError):
        expectancy, at = _held(facts.get("signal"), _SIGNAL)
    if at.__class__ is not float:
        at = _moment(at)
    if -5.0 <= now - at <= 3600.0:
        if expectancy.__class__ is not float or not -10_000.0 <= expectancy <= 10_000.0:
            expectancy = _double(expectancy, -10_000.0, 10_000.0)
    else:
        expectancy = NAN

    try:
        held = facts["decisions"]["admission"]
        admitted_qty = held["admitted_qty"]
    except (KeyError, TypeError):
        admitted_qty = None
    else:
        if admitted_qty.__class__ is not float or not 0.0 <= admitted_qty <= 1e12:
            admitted_qty = _double(admitted_qty, 0.0, 1e12)
        if "observed_at" in held and held["observed_at"] is not None:
            at = held["observed_at"]
            if at.__class__ is not float:
                at = _moment(at)
            if not -5.0 <= now - at < _INF:
                admitted_qty = NAN
    if admitted_qty is None:
        admitted_qty = NAN

    values, mask = tuned_limit(
        maker_requested,
        reduce_only,
        maker_price,
        maker_qty,
        has_book,
        spread_bps,
        atr_ratio,
        filled,
        lost,
        slippage_p50,
        slippage_p95,
        ack_p50,
        samples,
        bias_delta,
        offset_delta,
        tuned_first,
        paused,
        expectancy,
        admitted_qty,
    )
    return values, veto_ids[mask]


def tuned_refusing(facts: dict[str, Any]) -> Tuned:
    """Decide as `tuned` does, and refuse names nobody declared, as the rulebook's border must.

    Raises:
        KeyError: with the names.

    """
    if not facts.keys() <= _TOP_LEVEL:
        raise KeyError(*(facts.keys() - _TOP_LEVEL))
    for name, declared in _DECLARED:
        held = facts.get(name)
        if held.__class__ is dict and not held.keys() <= declared:
            raise KeyError(*(held.keys() - declared))
    decisions = facts.get("decisions")
    if decisions:
        held = decisions.get("admission")
        if held.__class__ is dict and not held.keys() <= _ADMISSION:
            raise KeyError(*(held.keys() - _ADMISSION))
        if len(decisions) > 1 or held is None:
            raise KeyError(*decisions)
    return tuned(facts)


def prepared(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments of `tuned_limit` for a facts object."""
    held = known(facts)
    held["has_book"] = None not in (held["bid"], held["ask"], held["spread_bps"])
    return tuple(NAN if held[name] is None else held[name] for name in _PREPARED)


_PREPARED = (
    "maker_requested",
    "reduce_only",
    "maker_price",
    "maker_qty",
    "has_book",
    "spread_bps",
    "atr_ratio",
    "maker_fill_ratio",
    "fallback_ratio",
    "slippage_p50_bps",
    "slippage_p95_bps",
    "ack_latency_p50_ms",
    "sample_count",
    "tuned_bias_delta",
    "tuned_offset_delta_bps",
    "tuned_maker_first",
    "maker_paused",
    "hourly_expectancy",
    "admitted_qty",
)


def tuned_limit(
    maker_requested: bool | None,
    reduce_only: bool | None,
    maker_price: float,
    maker_qty: float,
    has_book: bool,
    spread_bps: float,
    atr_ratio: float,
    filled: float,
    lost: float,
    slippage_p50: float,
    slippage_p95: float,
    ack_p50: float,
    samples: float,
    bias_delta: float,
    offset_delta: float,
    tuned_first: bool | None,
    paused: bool | None,
    expectancy: float,
    admitted_qty: float,
) -> tuple[tuple[Any, ...], int]:
    """Decide routing on prepared values: a number that is missing is NaN, a flag that is missing anything but a bool.

    Returns the values of `DECIDED` and the vetoes as a bit mask over `VETO_IDS` (`veto_ids` turns it
    into ids). What the profile switches off (probes,
    dropping the reduce-only flag) is left out.
    """
    # A number that differs from itself is NaN, so it is missing.
    measured = samples == samples
    mask = 0

    if atr_ratio < 1.5:
        atr_regime = "quiet" if atr_ratio < 0.5 else "normal"
    elif atr_ratio >= 2.5:
        atr_regime = "panic"
    elif atr_ratio >= 1.5:
        atr_regime = "hot"
    else:
        atr_regime = "normal"

    maker_first = tuned_first is not False
    offset = 0.0
    if not samples >= 20.0:
        quality, bias, mask = "ok", 0.5, 2048
    elif lost >= 0.9 or slippage_p95 >= 20.0 or ack_p50 >= 2500.0:
        quality, bias, mask, maker_first = "broken", 0.75, 2048, False
    elif lost >= 0.6 or slippage_p95 >= 8.0 or ack_p50 >= 1500.0:
        quality, bias, mask = "degraded", 0.75, 2048
        if atr_regime == "panic":
            maker_first = False
    elif filled >= 0.7 and lost <= 0.4 and slippage_p95 <= 4.0 and ack_p50 <= 800.0:
        quality, bias = "good", 0.25
    else:
        quality, bias, mask = "ok", 0.5, 2048
    if bias < 0.75:
        if bias_delta == bias_delta:
            bias += bias_delta
            if bias < 0.0:
                bias = 0.0
            elif bias > 1.0:
                bias = 1.0
        if offset_delta == offset_delta:
            offset = offset_delta
    if bias <= 0.4:
        taker_bias = "prefer_maker"
    elif bias >= 0.6:
        taker_bias = "prefer_taker"
        mask |= 4
    else:
        taker_bias = "balanced"

    if has_book and measured and spread_bps <= 12.0:
        offset_bps = 2.0
        if atr_regime == "normal":
            pass
        elif atr_regime == "quiet":
            offset_bps = 1.5
        elif atr_regime == "hot":
            offset_bps = 2.5
        else:
            offset_bps = 3.0
        if filled > 0.7:
            offset_bps -= 0.5
        if lost > 0.5:
            offset_bps += 1.0
            if lost > 0.8:
                offset_bps += 1.5
        if slippage_p50 > 5.0:
            offset_bps += 0.8
        elif slippage_p50 < 1.0:
            offset_bps -= 0.2
        if expectancy > 0.0:
            offset_bps -= 0.2
        elif expectancy < 0.0:
            offset_bps += 0.2
        offset_bps += offset
        if offset_bps < 0.5:
            offset_bps = 0.5
        elif offset_bps > 6.0:
            if spread_bps > 6.0:
                offset_bps = 6.0
            elif offset_bps > 8.0:
                offset_bps = 8.0
    else:
        offset_bps = 2.0
        if not has_book:
            mask |= 64
        if spread_bps > 12.0:
            mask |= 128
        if not measured:
            mask |= 256

    if maker_requested is not True:
        mask |= 1
    if not maker_first:
        mask |= 2
    if reduce_only is not False:
        mask |= 8
    if not maker_qty > 0.0:
        mask |= 16
    if maker_price != maker_price:
        mask |= 32
    if paused is not False:
        mask |= 512
    if not maker_qty <= admitted_qty and maker_qty == maker_qty:
        mask |= 1024

    if mask:
        return (quality, atr_regime, maker_first, bias, taker_bias, offset_bps, False, False, "taker", True, 15.0), mask
    return (quality, atr_regime, maker_first, bias, taker_bias, offset_bps, False, True, "maker", True, 15.0), 0


_TOP_LEVEL = frozenset(
    (
        "now",
        "symbol",
        "intent_id",
        "intent",
        "market",
        "bars",
        "telemetry",
        "account",
        "risk",
        "tuning",
        "windows",
        "signal",
        "order",
        "breaker",
        "proposal",
        "decisions",
    )
)
_DECLARED = tuple(
    (group, frozenset(("observed_at", *names.split())))
    for group, names in {
        "intent": "side qty price order_type maker_requested maker_price maker_qty reduce_only",
        "market": "bid ask bid_qty ask_qty mid spread_bps",
        "bars": "atr_short atr_long atr_ratio",
        "telemetry": "maker_fill_ratio maker_fill_samples fallback_ratio fallback_samples post_only_reject_ratio"
        " post_only_reject_samples slippage_p25_bps slippage_p50_bps slippage_p75_bps slippage_p95_bps slippage_samples"
        " ack_latency_p50_ms ack_latency_p95_ms ack_latency_samples sample_count",
        "account": "nav_usd symbol_notional_usd portfolio_notional_usd position_qty leverage drawdown_today",
        "tuning": "tuned_bias_delta tuned_offset_delta_bps tuned_maker_first",
        "windows": "post_only_rejects_60s fallbacks_in_a_row slow_acks_60s feed_gap_s maker_paused probes_last_hour",
        "signal": "hourly_expectancy expectancy hit_rate score",
    }.items()
)
_ADMISSION = frozenset(("observed_at", "admit", "admitted_qty", "order_price", "order_usd"))

_INF = math.inf
_INTENT = ("maker_requested", "reduce_only", "maker_price", "maker_qty", "observed_at")
_MARKET = ("bid", "ask", "spread_bps", "observed_at")
_BARS = ("atr_ratio", "observed_at")
_TELEMETRY = (
    "maker_fill_ratio",
    "fallback_ratio",
    "slippage_p50_bps",
    "slippage_p95_bps",
    "ack_latency_p50_ms",
    "ack_latency_p95_ms",
    "sample_count",
    "observed_at",
)
_TUNING = ("tuned_bias_delta", "tuned_offset_delta_bps", "tuned_maker_first", "observed_at")
_WINDOWS = ("maker_paused", "observed_at")
_SIGNAL = ("hourly_expectancy", "observed_at")


def _held(group: Any, names: tuple[str, ...]) -> list[Any]:
    """What a group holds under these names; None for what it lacks."""
    return [group.get(name) for name in names] if isinstance(group, dict) else [None] * len(names)


def _moment(at: Any) -> float:
    """An `observed_at` that is no float: NaN unless it is an int."""
    return float(at) if at.__class__ is int else NAN


def _double(value: Any, low: float, high: float) -> float:
    """A value that is no float in its range: NaN unless it is an int there."""
    return float(value) if value.__class__ is int and low <= value <= high else NAN
