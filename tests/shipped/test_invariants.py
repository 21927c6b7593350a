"""The promises of the shipped policies, over facts drawn near their thresholds, on every profile and backend.

Besides the shipped profiles there is a rehearsal of prod with every switch on, so that what no profile runs today keeps
its promises as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine import Book
from engine.language.model import AtLeastAsStrict, Claim, Monotone
from tests.shipped import claims, strategies
from tests.shipped.books import BACKENDS, PROFILES, REHEARSAL, book
from tests.shipped.scenes import given as given_scene
from tests.shipped.scenes import scene

EXAMPLES = 400
EXAMPLES_OF_PAIRS = 150
SCALES = (0.001, 0.01, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 4.5, 10.0, 30.0, 100.0, 1000.0)
LEAST_MAKERS = 0.2
"""A run in which hardly anything ends as maker says nothing about makers."""
LEAST_PREMISES = 10
"""So often the premise of a claim (`premise implies ...`) must hold, in one setting at least: else it says nothing."""


def setting(name: str) -> tuple[Book, ...]:
    """A profile, or the rehearsal, on every backend; the interpreter first."""
    backends = sorted(BACKENDS, key=lambda backend: backend != "interpreter")
    if name == "rehearsal":
        return tuple(book("prod", backend, REHEARSAL) for backend in backends)
    return tuple(book(name, backend) for backend in backends)


SETTINGS = (*PROFILES, "rehearsal")
POLICIES = book("prod", "interpreter").policies


@pytest.mark.parametrize("policy", POLICIES)
def test_claims_hold_and_backends_agree(policy: str) -> None:
    counted = {profile: run(profile, policy, EXAMPLES) for profile in SETTINGS}
    if policy == "routing":
        assert all(each["maker"] >= LEAST_MAKERS * each["all"] for each in counted.values())
    written = claims.premises(book("prod", "interpreter").rulebook.policies[policy])
    most = {premise: max(each[premise] for each in counted.values()) for premise, _ in written}
    assert {premise: times for premise, times in most.items() if times < LEAST_PREMISES} == {}


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("profile", SETTINGS)
def test_claims_hold_over_many_more(profile: str, policy: str) -> None:
    counted = run(profile, policy, 20_000)
    if policy == "routing":
        assert counted["maker"] >= LEAST_MAKERS * counted["all"]


def run(profile: str, policy: str, examples: int) -> Counter[str]:
    """Draw examples, check every claim; counts of what was decided, and of the premises that held."""
    definition, *others = setting(profile)
    found = definition.rulebook.policies[policy]
    counted: Counter[str] = Counter()

    @settings(max_examples=examples)
    @given(strategies.facts(definition.rulebook, policy))
    def check(facts: dict[str, Any]) -> None:
        decision = definition.decide(policy, facts)
        assert claims.broken(definition, found, decision, facts) == []
        for other in others:
            again = other.decide(policy, facts)
            assert again.outcome.values == decision.outcome.values
            assert (again.fired, again.vetoes) == (decision.fired, decision.vetoes)
            assert again.json() == decision.json()
        counted.update(["all", str(decision.outcome.values.get("route"))])
        counted.update(claims.spoken(definition, found, decision, facts))

    check()
    return counted


def monotone() -> Iterator[Any]:
    for name, policy in book("prod", "interpreter").rulebook.policies.items():
        for invariant in policy.invariants:
            if isinstance(invariant, Monotone):
                yield pytest.param(name, invariant, id=f"{name}-{invariant.id}")


@pytest.mark.parametrize(("policy", "invariant"), list(monotone()))
@pytest.mark.parametrize("profile", SETTINGS)
def test_monotone_decisions(profile: str, policy: str, invariant: Monotone) -> None:
    """As the fact rises with all else equal, the decision never moves the other way."""
    used = setting(profile)[0]
    found = used.rulebook.policies[policy]
    place = next(
        (group.name, fact.name) for group in found.groups for fact in group.facts if fact.name == invariant.in_
    )
    drawn = strategies.facts(used.rulebook, policy)
    values = strategies.value_of(used.rulebook, policy, place)
    moved = Counter[bool]()

    def look(facts: dict[str, Any], first: Any, second: Any) -> bool:
        """Compare two decisions that differ in this one fact; False if they differ in more."""
        decisions = []
        for value in (first, second):
            strategies.change(facts, place, value)
            decisions.append(used.decide(policy, facts))
        seen = [decision.seen.names() for decision in decisions]
        if not all(claims.known(decision, invariant.in_) for decision in decisions):
            return False
        if seen[0] | {invariant.in_: None} != seen[1] | {invariant.in_: None}:
            return False  # a relation made another fact missing
        if float(seen[0][invariant.in_]) > float(seen[1][invariant.in_]):
            decisions.reverse()
        lower, upper = (
            claims.rank(found, invariant.of, decision.outcome.values[invariant.of]) for decision in decisions
        )
        assert upper <= lower if invariant.moves == "falls" else upper >= lower
        moved[lower != upper] += 1
        return True

    @settings(max_examples=EXAMPLES_OF_PAIRS, suppress_health_check=[HealthCheck.filter_too_much])
    @given(drawn, values, values)
    def check(facts: dict[str, Any], first: Any, second: Any) -> None:
        assume(look(facts, first, second))

    check()
    # Drawn situations seldom turn on this one fact; a plain one does as it is scaled up.
    plain = given_scene(scene(strategies.SCENES[policy][0]), [group.name for group in found.groups])
    held, name = strategies.holder_of(plain, place[0])
    start = float(held[name][place[1]])
    for first, second in pairwise(start * factor for factor in SCALES):
        look(deepcopy(plain), first, second)
    assert moved[True], "the decision never moved at all"


def comparisons() -> Iterator[Any]:
    for name, policy in book("prod", "interpreter").rulebook.policies.items():
        for invariant in policy.invariants:
            if isinstance(invariant, AtLeastAsStrict):
                yield pytest.param(name, invariant, id=f"{name}-{invariant.id}")


@pytest.mark.parametrize(("policy", "invariant"), list(comparisons()))
def test_one_profile_is_as_strict_as_another(policy: str, invariant: AtLeastAsStrict) -> None:
    strict, loose = (setting(name)[0] for name in (invariant.profile, invariant.than))

    @settings(max_examples=EXAMPLES_OF_PAIRS)
    @given(strategies.facts(loose.rulebook, policy))
    def check(facts: dict[str, Any]) -> None:
        assert not claims.looser(strict, loose, invariant, facts)

    check()


def test_every_policy_promises_something() -> None:
    for policy in book("prod", "interpreter").rulebook.policies.values():
        assert any(isinstance(invariant, Claim) for invariant in policy.invariants)


@given(st.sampled_from(PROFILES), st.data())
def test_facts_of_any_kind_are_decided(profile: str, data: st.DataObject) -> None:
    """Whatever a group holds, every policy decides every value it promises."""
    used = setting(profile)[-1]
    policy = used.rulebook.policies[data.draw(st.sampled_from(used.policies))]
    anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    facts: dict[str, Any] = {"now": 0.0, "symbol": "BTCUSDT"}
    for group in policy.groups:
        if not group.name.startswith("decisions."):
            names = st.sampled_from([fact.name for fact in group.facts])
            facts[group.name] = data.draw(anything | st.dictionaries(names, anything, max_size=6))
    assert set(used.decide(policy.name, facts).values) == set(policy.decides)
