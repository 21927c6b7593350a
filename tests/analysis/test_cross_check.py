"""The cross-check compares what the shipped rules do at every boundary, and would see a difference there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import pytest

from engine.analysis.boundary_inputs import boundary_inputs
from engine.analysis.check import check_home
from engine.analysis.cross_check import compare, cross_check, variants
from engine.backends.durable import express as expressing
from engine.backends.durable.engine import engine_name
from engine.backends.durable.witness import DurableStep
from engine.backends.interpreter import look
from engine.language.evaluate import Environment, Missing
from engine.language.findings import Severity
from engine.language.model import Binding, FactRef, ParameterRef, Rule, Step, walk
from engine.language.rulebook import Rulebook
from engine.language.soundness import parameters_of
from engine.language.types import ChoiceType, NumberType
from tests.shipped.books import PROFILES, REHEARSAL, SHIPPED, book

EXPRESSIBLE = (
    "quality",
    "regime",
    "hard_gates",
    "maker_gates",
    "entry_gates",
    "working",
    "crossing",
    "breaker",
    "sanity",
)
"""Shipped sets that a second engine must be able to run; the rest of those that can is checked as well."""

LEAST_SETS = 25


@cache
def shipped(profile: str) -> Rulebook:
    return book(profile, "interpreter").rulebook


def steps() -> Iterator[tuple[Step, Binding]]:
    """Every step of a shipped profile with all its switches on, once, under the values of symbols in no group."""
    rulebook = book("testnet", "interpreter", REHEARSAL).rulebook
    seen: set[str] = set()
    for policy in rulebook.policies.values():
        for step in policy.steps:
            if step.ruleset not in seen:
                seen.add(step.ruleset)
                yield step, rulebook.bindings[()]


def runnable(step: Step, binding: Binding) -> DurableStep | None:
    found = DurableStep.of(step, binding.values)
    return found if isinstance(found, DurableStep) else None


RUNNABLE = [step.ruleset for step, binding in steps() if runnable(step, binding)]


def named(ruleset: str) -> tuple[Step, Binding]:
    return next((step, binding) for step, binding in steps() if step.ruleset == ruleset)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("ruleset", EXPRESSIBLE)
def test_a_set_that_must_have_a_witness_has_one_for_all_symbols(profile: str, ruleset: str) -> None:
    rulebook = shipped(profile)
    found = [step for policy in rulebook.policies.values() for step in policy.steps if step.ruleset == ruleset]
    assert found
    for step in found:
        for binding in rulebook.bindings.values():
            asked = DurableStep.of(step, binding.values)
            assert isinstance(asked, DurableStep), asked.reason


def test_the_shipped_profiles_agree() -> None:
    said = cross_check([shipped(profile) for profile in PROFILES])
    assert said.disagreements == 0
    assert said.sets >= LEAST_SETS
    assert {finding.severity for finding in said.findings} == {Severity.NOTE}
    assert {finding.code for finding in said.findings} == {"backend.inexpressible"}
    assert not set(said.inexpressible) & set(EXPRESSIBLE)
    for finding in said.findings:
        assert "`each` set" in finding.message or "is computed" in finding.message


def test_two_profiles_that_run_a_set_alike_compare_it_once() -> None:
    prod, testnet = (list(variants([shipped(profile)])) for profile in PROFILES)
    assert list(variants([shipped("prod"), shipped("prod")])) == prod
    assert len(prod) < len(list(variants([shipped(profile) for profile in PROFILES]))) < len(prod) + len(testnet)


@pytest.mark.parametrize("ruleset", RUNNABLE)
def test_a_threshold_off_by_one_double_is_seen(ruleset: str) -> None:
    """The second engine gets each number a hair above or below: some input must show it."""
    step, binding = named(ruleset)
    inputs = list(boundary_inputs(step, binding.values))
    for name in sorted(parameters_of(step)):
        value = binding.values[name]
        if not isinstance(value, float):
            continue
        unseen = 0
        for side in (-math.inf, math.inf):
            asked = runnable(step, Binding((), {**binding.values, name: math.nextafter(value, side)}, {}))
            assert asked is not None
            unseen += not compare(asked, binding, inputs)[1]
        assert unseen < 2, name


@pytest.mark.parametrize("ruleset", RUNNABLE)
def test_every_rule_matches_and_every_leaf_holds_and_does_not(ruleset: str) -> None:
    step, binding = named(ruleset)
    truths: dict[tuple[str, int], set[object]] = {}
    matched: set[str] = set()
    for names in boundary_inputs(step, binding.values):
        env = Environment(names, binding.values)
        for rule in step.rules:
            seen = look(rule, env)
            for index, truth in enumerate(seen.leaves):
                truths.setdefault((rule.id, index), set()).add("unknown" if isinstance(truth, Missing) else truth)
            if seen.matched:
                matched.add(rule.id)
                if step.hit == "first":
                    break
    for rule in step.rules:
        for leaf in rule.leaves():
            reads = any(isinstance(part, FactRef) for part in walk(leaf.written.expression))
            if reads:
                assert {True, False} <= truths[rule.id, leaf.index], (rule.id, leaf.written.text)
    flags = {name for name, value in binding.values.items() if isinstance(value, bool)}
    switched = {rule.id for rule in step.rules for name in parameters_of(step) & flags if _reads(rule, name)}
    assert {rule.id for rule in step.rules} - matched <= switched


def _reads(rule: Rule, name: str) -> bool:
    parts = (part for leaf in rule.leaves() for part in walk(leaf.written.expression))
    return any(isinstance(part, ParameterRef) and f"{part.ruleset}.{part.name}" == name for part in parts)


@pytest.mark.parametrize("ruleset", RUNNABLE)
def test_inputs_are_of_their_types_and_the_same_every_time(ruleset: str) -> None:
    step, binding = named(ruleset)
    found = list(boundary_inputs(step, binding.values))
    assert found == list(boundary_inputs(step, binding.values))
    kinds = {
        part.name: part.type
        for rule in step.rules
        for leaf in rule.leaves()
        for part in walk(leaf.written.expression)
        if isinstance(part, FactRef)
    }
    for names in found:
        for name, kind in kinds.items():
            value = names[name]
            if isinstance(value, Missing):
                continue
            match kind:
                case NumberType(min=low, max=high):
                    assert isinstance(value, float)
                    assert low <= value <= high
                case ChoiceType(of=of):
                    assert value in of
                case _:
                    assert isinstance(value, bool)


# --- a difference ----------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes at least for more than."""
    monkeypatch.setattr(expressing, "_OPERATORS", {**expressing._OPERATORS, ">=": "$gt"})


@pytest.mark.usefixtures("broken")
def test_a_disagreement_is_an_error_at_the_rule_with_both_answers() -> None:
    said = cross_check([shipped("prod")])
    assert said.disagreements > 5
    found = {finding.span.file: finding for finding in said.findings if finding.code == "backend.disagrees"}
    regime = found["rules/regime.yaml"]
    assert regime.severity is Severity.ERROR
    rule = next(rule for step, _ in steps() if step.ruleset == "regime" for rule in step.rules if rule.id == "panic")
    assert regime.span == rule.span
    assert regime.message.startswith(
        f"{engine_name()} disagrees on `regime`: the interpreter says panic (atr_regime panic), "
        "it says hot (atr_regime hot), at atr_ratio 2.5 ("
    )
    assert [related.message for related in regime.related] == ["the other rule stands here"]


@pytest.mark.usefixtures("broken")
def test_a_check_with_a_disagreement_fails() -> None:
    assert not check_home(SHIPPED, ["prod"]).failed
    report = check_home(SHIPPED, ["prod"], cross=True)
    assert report.failed
    assert report.crossed is not None
    assert report.crossed.disagreements > 5


def test_a_check_asks_the_second_engine_only_where_it_is_told_to() -> None:
    assert check_home(SHIPPED, ["prod"]).crossed is None
    report = check_home(SHIPPED, ["prod"], cross=True)
    assert not report.failed
    assert report.crossed is not None
    assert report.crossed.sets >= LEAST_SETS
