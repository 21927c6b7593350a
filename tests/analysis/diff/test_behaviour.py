"""Every way in which two rulebooks decide differently: held against all inputs of a grid, and against random ones."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from random import Random
from typing import Any

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.transitions import Behaviour, Transition
from engine.backends.facts import FactsError
from engine.backends.solver.encode import encode, parameter_terms
from engine.backends.solver.space import OTHER, Side, Space
from engine.backends.solver.terms import lift, lift_bit, same_value
from engine.language.evaluate import Missing
from engine.language.rulebook import Rulebook
from tests.analysis.diff import edits
from tests.analysis.diff.homes import BASE, EDITS, FACTS, GATES, HOME, LIVE, OFFSET, ROUTING, TIER, edited, load
from tests.analysis.diff.inputs import Decided, grid, lies_in, makes, weakened, within
from tests.analysis.proofs import homes as proof_homes
from tests.backends.strategies import Picker, write_facts, write_rulebook

VALUES: dict[str, tuple[Any, ...]] = {
    "book.bid": (None, 1.0, 2.0),
    "book.ask": (None, 1.5, 2.0),
    "book.spread_bps": (None, 0.5, 2.2, 10.0, 11.0, 12.0, 18.0, 25.0, 15000.0),
    "windows.slow_acks_60s": (None, 4.0, 5.0),
    "intent.urgent": (None, True, False),
    "intent.side": (None, "buy", "sell"),
}
AGES = {"book": (0.0, 4.0, 6.0)}
AHEAD = {"book": (0.0, -2.0), "intent": (0.0, -2.0), "windows": (0.0, -2.0)}
MOST = 1000
"""Inputs of the grid, drawn at random, that are looked at for everything."""
Edit = tuple[str, str, str]
CASES: dict[str, tuple[Edit, ...]] = {
    "a threshold": ((BASE, "tier.low_bps: 10", "tier.low_bps: 15"),),
    "a value of one group": ((BASE, "{value: 25", "{value: 18"),),
    "an age limit": ((BASE, "book_max_age_s: 5", "book_max_age_s: 3"),),
    "how far ahead": ((BASE, "max_ahead_s: 1", "max_ahead_s: 3"),),
    "a range of a fact": ((FACTS, "min: 0, max: 20000", "min: 0, max: 10000"),),
    "a relation": ((FACTS, "relations: [bid <= ask]\n", ""),),
    "symbols of a group": ((BASE, "[DOGEUSDT, PEPEUSDT]", "[PEPEUSDT, SHIBUSDT]"),),
    "a disabled rule": ((LIVE, "policies:", "disable: [{rule: gates.slow, why: slow}]\npolicies:"),),
    "a number and what clamps it": (
        (BASE, "offset.base_bps: 2", "offset.base_bps: 2.5"),
        (OFFSET, "at_most: {offset_bps: spread_bps}", "at_most: {offset_bps: 1 + spread_bps}"),
    ),
    "what is done on unknown": ((GATES, "unknown: skip\n    why: no", "unknown: match\n    why: no"),),
    "order and a new rule": (
        (TIER, "  - {id: wide,", "  - {id: urgent, when: urgent, set: {tier: middle}}\n  - {id: wide,"),
        (GATES, "        - urgent\n", "        - urgent and spread_bps > 1\n"),
    ),
    "everything at once": EDITS,
}


@pytest.mark.parametrize("case", CASES)
def test_transitions_are_all_there_are_and_regions_are_where_they_happen(case: str) -> None:
    a, b = load(HOME), load(edited(*CASES[case]))
    ages = AHEAD if case == "how far ahead" else AGES
    inputs = list(grid(VALUES, ages, (None, "DOGEUSDT", "PEPEUSDT", "SHIBUSDT")))
    Random(3).shuffle(inputs)
    found = behaviour(a, b, policies=["routing"])
    decided = [Decided(a, b, "routing", facts) for facts in inputs]
    assert found.transitions
    assert not found.undecided
    for each in decided[:MOST]:
        _check_listed(found, each)
    for transition in found.transitions:
        _check_witness(transition, a, b)
        _check_regions(transition, [each for each in decided if within(transition.scope, each)])


def _differing(decided: Decided) -> Iterable[str]:
    for name in decided.a.policies[decided.policy].decides:
        before, after = (values.get(name) for values in decided.values)
        if before is not None and after is not None and before != after:
            yield name


def _check_listed(found: Behaviour, decided: Decided) -> None:
    """An input that is decided differently makes one transition, and lies in a region of it."""
    for name in _differing(decided):
        made = [each for each in found.transitions if each.decision == name and makes(each, decided)]
        assert len(made) == 1, (name, decided.seen)
        assert made[0].covered, (made[0].text, made[0].uncovered)
        assert any(lies_in(region, decided) for region in made[0].regions), (name, made[0].text, decided.seen)


def _check_witness(transition: Transition, a: Rulebook, b: Rulebook) -> None:
    assert transition.witness is not None
    decided = Decided(a, b, transition.policy, transition.witness.facts)
    assert makes(transition, decided), transition.witness.facts
    before, after = (values[transition.decision] for values in decided.values)
    assert (before, after) == (transition.witness.before, transition.witness.after)


def _check_regions(transition: Transition, decided: list[Decided]) -> None:
    """A region holds nothing but the transition, and something else as soon as it asks for less."""
    for region in transition.regions:
        assert all(makes(transition, each) for each in decided[:MOST] if lies_in(region, each)), region.text
        for what, weaker in weakened(region):
            others = (each for each in decided if lies_in(weaker, each) and not makes(transition, each))
            assert next(others, None) is not None, (transition.decision, transition.text, region.text, what)


def test_a_side_differs_from_itself_in_nothing() -> None:
    found = behaviour(load(HOME), load(HOME))
    assert found.same
    assert found.policies == ("routing", "size")


def test_numbers_change_by_exactly_so_much() -> None:
    found = behaviour(load(HOME), load(edited((BASE, "offset.step_bps: 0.5", "offset.step_bps: 2"))))
    (rises,) = found.transitions
    assert (rises.decision, rises.direction) == ("offset_bps", "rises")
    assert rises.numbers is not None
    assert rises.numbers.change is not None
    assert rises.numbers.before is not None
    assert rises.numbers.after is not None
    assert rises.numbers.change.text == "1.5"
    assert (rises.numbers.before.text, rises.numbers.after.text) == ("2.5", "4")
    assert rises.text == "rises by 1.5"


def test_an_end_that_is_only_approached_is_not_one() -> None:
    found = behaviour(load(HOME), load(edited((BASE, "offset.base_bps: 2", "offset.base_bps: 3"))))
    (rises,) = (each for each in found.transitions if each.decision == "offset_bps")
    assert rises.text == "rises by up to 1"
    assert rises.numbers is not None
    assert rises.numbers.change is not None
    assert (rises.numbers.change.least.inclusive, rises.numbers.change.most.inclusive) == (False, True)
    assert rises.numbers.before is not None
    assert rises.numbers.before.text == "2 to 2.5"


def test_what_is_too_far_ahead_is_missing_in_groups_that_never_age() -> None:
    a = edited(
        (FACTS, "    max_age_s: $book_max_age_s\n", ""),
        (FACTS, "  book_max_age_s: {type: number, unit: s, min: 0, max: 600}\n", ""),
        (BASE, "  facts.book_max_age_s: 5\n", ""),
    )
    found = behaviour(load(a), load(edited((BASE, "max_ahead_s: 1", "max_ahead_s: 30"), texts=a)))
    (tier,) = (each for each in found.transitions if (each.decision, each.after) == ("tier", "high"))
    assert [region.text for region in tier.regions] == ["age of book < -1 s and spread_bps <= 3"]


def test_what_one_side_lacks_is_named() -> None:
    b = load(edited((ROUTING, "decides: [tier, open, ", "decides: [tier, "), (LIVE, "[routing, size]", "[routing]")))
    found = behaviour(load(HOME), b)
    assert found.only_a == ("routing.open", "size")
    assert found.only_b == ()
    assert found.policies == ("routing",)


def test_a_solver_that_gives_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(z3.Solver, "check", lambda *_: z3.unknown)
    monkeypatch.setattr(z3.Solver, "reason_unknown", lambda _: "timeout")
    found = behaviour(load(HOME), load(edited((BASE, "tier.low_bps: 10", "tier.low_bps: 15"))))
    assert not found.same
    assert {question.decision for question in found.undecided} == {"tier", "open", "offset_bps", "route"}
    assert {question.why for question in found.undecided} == {"it took too long"}
    assert all(each.undecided for each in found.transitions)


@pytest.mark.parametrize("seed", range(12))
def test_random_rulebooks_differ_as_listed(seed: int) -> None:
    _check_random(Random(seed))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_many_random_rulebooks_differ_as_listed(seed: int) -> None:
    _check_random(Random(seed))


def _check_random(random: Random) -> None:
    pick = Picker.of(random)
    pair = _pair(pick)
    if pair is None:
        return
    a, b = pair
    found = behaviour(a, b, policies=["p"], timeout_s=2)
    gave_up = {question.decision for question in found.undecided}
    for transition in found.transitions:
        if transition.witness is not None:
            with suppress(FactsError):  # a name that one side does not declare: it is shown to be read, not decided on
                _check_witness(transition, a, b)
    for _ in range(60):
        facts = write_facts(pick, random.choice(pair), random.choice(pair).policies["p"])
        decided = Decided(a, b, "p", facts)
        try:
            differing = list(_differing(decided))
        except FactsError:  # a name that one side does not declare: no input of both
            continue
        for name in differing:
            if name in gave_up or type(a.policies["p"].types()[name]) is not type(b.policies["p"].types().get(name)):
                continue
            made = [each for each in found.transitions if each.decision == name and makes(each, decided)]
            assert made or not _differs_exactly(a, b, decided, name), (name, facts)


def _pair(pick: Picker) -> tuple[Rulebook, Rulebook] | None:
    """A random rulebook before and after some edits, both with policy `p`."""
    texts = dict(write_rulebook(pick).files)
    after = texts
    for _ in range(1 + pick.below(4)):
        after = edits.edited(pick, after)
    a, b = edits.load(texts, "main"), edits.load(after, "main")
    if a is None or b is None or "p" not in a.policies or "p" not in b.policies:
        return None
    return a, b


def _differs_exactly(a: Rulebook, b: Rulebook, decided: Decided, name: str) -> bool:
    """Whether exact arithmetic decides an input differently as well: doubles that round may differ by themselves."""
    symbol = decided.symbol
    sides = [Side(book, book.policies["p"], book.binding_of(symbol)) for book in (a, b)]
    space = Space(*sides)
    solver = z3.Solver()
    solver.add(*space.domain())
    for key, variable in space.variables.items():
        value = decided.known(f"{key[0]}.{key[1]}")
        solver.add(variable.gap if isinstance(value, Missing) else z3.Not(variable.gap))
        if isinstance(value, Missing):
            continue
        if variable.number is not None:
            solver.add(variable.number == lift(Fraction(float(value))))
        elif variable.flag is not None:
            solver.add(variable.flag == z3.BoolVal(bool(value)))
        else:
            solver.add(variable.options.get(str(value), variable.options.get(OTHER)))
    for group, term in space.ages.items():
        age = decided.age(group)
        if age is not None:
            solver.add(term == lift(Fraction(age)))
    before, after = (encode(side.policy, parameter_terms(side), space.facts(side)).names[name] for side in sides)
    return bool(solver.check(z3.Not(lift_bit(same_value(before, after)))) == z3.sat)


def test_a_decision_that_became_one_of_another_type_is_not_passed_over() -> None:
    def rulebook(kind: str, value: str) -> Rulebook:
        head = f"ruleset: s\nhit: first\nsets: {{level: {{type: {kind}}}}}\n"
        rules = f"{head}rules:\n  - {{id: all, set: {{level: {value}}}}}\n"
        return proof_homes.rulebook_of(proof_homes.home(rules))

    found = behaviour(rulebook("flag", "true"), rulebook("choice, of: [low, high]", "low"))
    assert (found.only_a, found.only_b) == (("p.level (of that type)",), ("p.level (of that type)",))
