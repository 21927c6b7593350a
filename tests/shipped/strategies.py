"""Facts for the shipped policies, drawn near what their rules ask about.

A draw starts from a scene (a situation a trader would recognise) and changes a few facts of it. Numbers come from the
thresholds the rules compare that fact with: the double itself, its neighbours, the ends of the declared range, and
values in between. Facts also go absent, invalid or stale, alone or with their group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from hypothesis import strategies as st

from engine.language import model
from engine.language.model import Policy
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType

Facts = dict[str, Any]
Place = tuple[str, str]
"""A group and a fact of it."""

NOW = 1_700_000_000.0
BAD_NUMBERS = (math.nan, math.inf, -math.inf, True, "0.95", 10**400, [])
BAD_WORDS = ("", "maybe", 1, 0.0, [])
"""What is no value of any fact: it must count as missing, never as a number or a choice."""

MAKER: Facts = {
    "intent": {
        "side": "buy",
        "qty": 0.001,
        "price": 60000.0,
        "order_type": "limit",
        "maker_requested": True,
        "maker_price": 60000.0,
        "maker_qty": 0.001,
        "reduce_only": False,
    },
    "market": {"bid": 60000.0, "ask": 60006.0, "bid_qty": 2.0, "ask_qty": 3.0, "mid": 60003.0, "spread_bps": 1.0},
    "bars": {"atr_short": 0.001, "atr_long": 0.001, "atr_ratio": 1.0},
    "telemetry": {
        "maker_fill_ratio": 0.8,
        "fallback_ratio": 0.2,
        "post_only_reject_ratio": 0.01,
        "slippage_p25_bps": 0.5,
        "slippage_p50_bps": 1.5,
        "slippage_p75_bps": 2.0,
        "slippage_p95_bps": 3.0,
        "ack_latency_p50_ms": 200.0,
        "ack_latency_p95_ms": 600.0,
        "sample_count": 100,
    },
    "account": {
        "nav_usd": 10000.0,
        "symbol_notional_usd": 100.0,
        "portfolio_notional_usd": 5000.0,
        "position_qty": 0.001,
        "leverage": 3.0,
        "drawdown_today": -0.005,
    },
    "risk": {"risk_mode": "normal", "halted": False, "symbol_disabled": False},
    "tuning": {"tuned_bias_delta": 0.0, "tuned_offset_delta_bps": 0.0},
    "windows": {
        "post_only_rejects_60s": 0,
        "fallbacks_in_a_row": 0,
        "slow_acks_60s": 0,
        "feed_gap_s": 0.5,
        "maker_paused": False,
        "probes_last_hour": 0,
    },
    "signal": {"hourly_expectancy": 1.0, "expectancy": 2.0, "hit_rate": 0.55, "score": 0.5},
    "decisions": {"admission": {"admit": True, "admitted_qty": 0.001}},
}
"""Everything speaks for a maker order."""


def changed(scene: Facts, *others: Mapping[str, Mapping[str, Any]]) -> Facts:
    """A copy of a scene with some facts replaced."""
    result = deepcopy(scene)
    for other in others:
        for group, facts in other.items():
            result.setdefault(group, {}).update(facts)
    return result


PROBE = changed(MAKER, {"telemetry": {"sample_count": 3}})
WEAK = changed(MAKER, {"telemetry": {"fallback_ratio": 0.65}, "tuning": {"tuned_bias_delta": -0.3}})
PANIC = changed(MAKER, {"bars": {"atr_ratio": 3.0}})
EXIT = changed(MAKER, {"intent": {"side": "sell", "reduce_only": True, "maker_requested": False}})
RESTING = changed(
    MAKER,
    {
        "order": {
            "age_s": 90.0,
            "fill_ratio": 0.2,
            "post_only_rejects": 1,
            "drift_bps": 1.0,
            "reprices": 1,
            "rest_qty": 0.0008,
            "rest_notional_usd": 48.0,
            "min_notional_usd": 5.0,
            "is_exit": False,
            "submit_failed": False,
        }
    },
)
RAN_AWAY = changed(RESTING, {"order": {"drift_bps": 4.0}})
LEAVING = changed(RAN_AWAY, {"order": {"is_exit": True}})
CLOSED: Facts = {
    "breaker": {"state": "closed", "in_state_s": 900.0, "trials": 0, "trial_failures": 0, "trials_out": 0},
    "windows": MAKER["windows"],
}
OPEN = changed(CLOSED, {"breaker": {"state": "open", "in_state_s": 200.0}})
HALF_OPEN = changed(CLOSED, {"breaker": {"state": "half_open", "in_state_s": 10.0, "trials": 1}})
PROPOSAL = changed(
    MAKER,
    {
        "proposal": {
            "current_bias": 0.5,
            "proposed_bias": 0.47,
            "current_offset_bps": 2.0,
            "proposed_offset_bps": 3.0,
            "current_maker_first": True,
            "proposed_maker_first": True,
            "suggestion_age_s": 60.0,
        }
    },
)

SCENES: Mapping[str, tuple[Facts, ...]] = {
    "admission": (MAKER, EXIT),
    "routing": (MAKER, MAKER, PROBE, WEAK, PANIC, EXIT),
    "working": (RESTING, RAN_AWAY, LEAVING),
    "breaker": (CLOSED, OPEN, HALF_OPEN),
    "suggest": (MAKER, WEAK),
    "autotune": (PROPOSAL,),
    "health": (MAKER,),
    "sizing": (MAKER, PANIC),
}

MOST_CHANGES = 4
"""Facts changed in one draw: few enough that the scene still shows through."""


@st.composite
def facts(draw: st.DrawFn, rulebook: Rulebook, name: str) -> Facts:
    """Facts for a policy, those alone that it reads."""
    policy = rulebook.policies[name]
    scene = deepcopy(draw(st.sampled_from(SCENES[name])))
    symbols = ["BTCUSDT", "BTCUSDT", "UNLISTED", *rulebook.symbols]
    given: Facts = {"now": NOW, "symbol": draw(st.sampled_from(symbols))}
    for group in policy.groups:
        holder, key = holder_of(given, group.name)
        source, _ = holder_of(scene, group.name)
        holder[key] = {"observed_at": NOW - 1.0, **source.get(key, {})}
    places = [(group.name, fact.name) for group in policy.groups for fact in group.facts]
    asked = sorted(thresholds(rulebook, name))
    count = draw(st.integers(0, MOST_CHANGES))
    for _ in range(count):
        place = draw(st.sampled_from(asked if draw(st.booleans()) else places))
        holder, key = holder_of(given, place[0])
        holder[key][place[1]] = draw(value_of(rulebook, name, place))
    if draw(st.integers(0, 7)) == 0:
        group = draw(st.sampled_from(policy.groups))
        holder, key = holder_of(given, group.name)
        age = rulebook.bindings[()].values[f"facts.{group.max_age}"] if group.max_age else None
        if age is not None and draw(st.booleans()):
            limit = NOW - float(age)
            holder[key]["observed_at"] = draw(st.sampled_from([limit, math.nextafter(limit, 0), NOW + 1e6, None]))
        else:
            holder[key] = draw(st.sampled_from([None, 3, {}]))
    return given


def holder_of(given: Facts, group: str) -> tuple[dict[str, Any], str]:
    """Where a group's facts are held: at the top, or under `decisions`."""
    owner, _, other = group.partition(".")
    return (given.setdefault("decisions", {}), other) if owner == "decisions" else (given, group)


@cache
def value_of(rulebook: Rulebook, policy: str, place: Place) -> st.SearchStrategy[Any]:
    """A value of one fact: mostly near a threshold, sometimes anything, sometimes none."""
    fact = next(
        fact
        for group in rulebook.policies[policy].groups
        for fact in group.facts
        if (group.name, fact.name) == place
    )
    match fact.type:
        case NumberType(min=low, max=high):
            near = set(neighbours(thresholds(rulebook, policy).get(place, ())))
            inside = sorted(value for value in near if low <= value <= high)
            known = st.sampled_from([*inside, low, high]) | st.sampled_from(inside or [low, high])
            sound: st.SearchStrategy[Any] = known | st.floats(max(low, -100.0), min(high, 100.0))
            bad = BAD_NUMBERS
        case ChoiceType(of=of):
            sound, bad = st.sampled_from(of), BAD_WORDS
        case FlagType():
            sound, bad = st.booleans(), BAD_WORDS
        case _:
            sound, bad = st.text(max_size=8), BAD_WORDS
    return st.integers(0, 9).flatmap(lambda die: sound if die < 8 else st.sampled_from([None, *bad]))  # noqa: PLR2004


def neighbours(values: tuple[float, ...]) -> Iterator[float]:
    """Each double with the one below and the one above."""
    for value in values:
        yield from (math.nextafter(value, -math.inf), value, math.nextafter(value, math.inf))


@cache
def thresholds(rulebook: Rulebook, policy: str) -> Mapping[Place, tuple[float, ...]]:
    """For each fact the rules ask about: the numbers it is compared with, under any binding (none for flags and choices)."""
    found: dict[Place, set[float]] = {}
    for compared in _comparisons(rulebook.policies[policy]):
        parts = list(model.walk(compared))
        limits = {
            float(binding.values[f"{part.ruleset}.{part.name}"])
            for part in parts
            if isinstance(part, model.ParameterRef) and isinstance(part.type, NumberType)
            for binding in rulebook.bindings.values()
        }
        limits |= {float(part.value) for part in parts if isinstance(part, model.Constant) and _is_number(part)}
        for part in parts:
            if isinstance(part, model.FactRef):
                found.setdefault((part.group, part.name), set()).update(limits)
    return {place: tuple(sorted(values)) for place, values in found.items()}


def _comparisons(policy: Policy) -> Iterator[model.Expression]:
    """The innermost conditions of every rule, and every effect: what stands together with a fact there bounds it."""
    for step in policy.steps:
        for rule in step.rules:
            for leaf in rule.leaves():
                yield from _tests(leaf.written.expression)
            for effect in rule.effects:
                yield effect.value.expression


def _tests(condition: model.Expression) -> Iterator[model.Expression]:
    if isinstance(condition, model.Logical | model.Not):
        for child in model.children(condition):
            yield from _tests(child)
    else:
        yield condition


def _is_number(constant: model.Constant) -> bool:
    return isinstance(constant.type, NumberType)
