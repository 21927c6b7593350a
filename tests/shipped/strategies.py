"""Facts for the shipped policies, drawn near what their rules ask about.

A draw starts from a scene (scenes.yaml) and changes a few facts of it. Numbers come from the thresholds that the rules
compare a fact with: the double itself, its neighbours, the ends of the declared range, and values in between. Facts
also go absent or invalid, and groups absent or stale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from engine.language import model
from engine.language.model import Group, Policy
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType
from tests.shipped.scenes import NOW, Facts, given, neighbour, scene

Place = tuple[str, str]
"""A group and a fact of it."""

SCENES: Mapping[str, tuple[str, ...]] = {
    "admission": ("maker", "dear", "dear", "cheap_sell", "at_market", "unseen_buy", "exit"),
    "routing": (
        "maker", "maker", "maker", "laggard", "tuned", "wide_book", "panic", "turned_off", "cold", "weak", "bad_panic",
        "ok", "exit",
    ),
    "working": ("resting", "slow", "slow", "ran_away", "leaving", "disabled", "small_rest", "small_exit"),
    "breaker": (
        "closed", "unlucky", "unlucky_venue", "open", "half_open", "tried", "failed", "uncounted", "uncounted_row",
    ),
    "suggest": ("maker", "laggard", "ok", "cold"),
    "autotune": ("proposal", "flipping"),
    "health": ("maker", "cold"),
    "sizing": ("maker", "panic"),
    "rollout": ("tried_beside",),
}  # fmt: skip
"""Where draws for a policy start."""

MOST_CHANGES = 4
"""Facts changed in one draw: few enough that the scene still shows through."""

BAD_NUMBERS: tuple[Any, ...] = (math.nan, math.inf, -math.inf, True, "0.95", 10**400, [])
BAD_WORDS: tuple[Any, ...] = ("", "maybe", 1, 0.0, [])
"""What is no value of a fact: it must count as missing, never as a number or a choice."""


@st.composite
def facts(draw: st.DrawFn, rulebook: Rulebook, name: str) -> Facts:
    """Facts for a policy, those alone that it reads."""
    policy = rulebook.policies[name]
    symbol = draw(st.sampled_from(["BTCUSDT", "BTCUSDT", "UNLISTED", *rulebook.symbols]))
    drawn = given(scene(draw(st.sampled_from(SCENES[name]))), [group.name for group in policy.groups], symbol)
    places = [(group.name, fact.name) for group in policy.groups for fact in group.facts]
    asked = sorted(thresholds(rulebook, name))
    for _ in range(draw(st.integers(0, MOST_CHANGES))):
        place = draw(st.sampled_from(asked if draw(st.booleans()) else places))
        change(drawn, place, draw(value_of(rulebook, name, place)))
    if draw(st.integers(0, 7)) == 0:
        group = draw(st.sampled_from(policy.groups))
        holder, key = holder_of(drawn, group.name)
        holder[key] = draw(_whole(rulebook, group, holder[key]))
    return drawn


def holder_of(drawn: Facts, group: str) -> tuple[dict[str, Any], str]:
    """Where a group is held: at the top, or under `decisions`."""
    owner, _, other = group.partition(".")
    return (drawn["decisions"], other) if other else (drawn, owner)


def change(drawn: Facts, place: Place, value: Any) -> None:
    """Give a fact another value, whatever became of its group."""
    holder, key = holder_of(drawn, place[0])
    held = holder[key]
    holder[key] = {**(held if isinstance(held, dict) else {"observed_at": drawn["now"]}), place[1]: value}


def _whole(rulebook: Rulebook, group: Group, held: Any) -> st.SearchStrategy[Any]:
    """What may become of a group as one: gone, no group at all, just fresh, just stale, undated, or of the future."""
    gone: list[Any] = [None, 3, {}]
    if group.max_age is None or not isinstance(held, dict):
        return st.sampled_from(gone)
    oldest = NOW - float(rulebook.bindings[()].values[f"facts.{group.max_age}"])
    times = [oldest, neighbour(oldest, -1), None, "2023-11-14", NOW + 1e6]
    return st.sampled_from([*gone, *({**held, "observed_at": time} for time in times)])


@cache
def value_of(rulebook: Rulebook, policy: str, place: Place) -> st.SearchStrategy[Any]:
    """A value of one fact: mostly near a threshold, sometimes anything, sometimes none."""
    fact = next(
        fact for group in rulebook.policies[policy].groups for fact in group.facts if (group.name, fact.name) == place
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
    return st.integers(0, 9).flatmap(lambda die: sound if die < 8 else st.sampled_from([None, *bad]))


def neighbours(values: tuple[float, ...]) -> Iterator[float]:
    """Each double with the one below and the one above."""
    for value in values:
        yield from (neighbour(value, side) for side in (-1, 0, 1))


@cache
def thresholds(rulebook: Rulebook, policy: str) -> Mapping[Place, tuple[float, ...]]:
    """For each fact the rules ask about, the numbers it stands together with, under any binding."""
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
