"""The solver's terms at an input are what the interpreter says there, run on rationals; a space holds every input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import z3
from hypothesis import given, settings

from engine.analysis.proofs.runs import NOW, facts_of, run
from engine.backends.facts import see
from engine.backends.solver.encode import PolicyTerms, encode, parameter_terms
from engine.backends.solver.overflow import OVERFLOW, can_overflow
from engine.backends.solver.space import OTHER, Point, Side, Space
from engine.backends.solver.terms import (
    Bit,
    Number,
    Options,
    Term,
    Truth,
    conj,
    constant,
    is_value,
    lift_bit,
    missing_of,
    neg,
)
from engine.language import model
from engine.language.evaluate import Environment, Known, Missing, evaluate
from engine.language.load import load_rulebook
from engine.language.model import Expression, Policy
from engine.language.rulebook import Rulebook
from engine.language.types import FlagType, NumberType, Type
from tests.analysis.proofs.homes import FACTS, home, rulebook_of
from tests.backends.exact import At, Exact, check, given_of, point_of
from tests.backends.strategies import Drawn, Picker, pickers, rulebooks, write_facts, write_rulebook
from tests.conformance.harness import Case, cases

DECIDED = [case for case in cases() if case.expectation not in ("findings", "facts_error")]
RULEBOOKS = 45
TIMES = 4


# Terms at an input ---------------------------------------------------------------------------------------------------


class Subject:
    """A side encoded twice: over a space's variables, and over the constants of one input."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.exact = Exact(side)
        self.space = Space(side)
        self.domain = self.space.domain()
        self.terms = encode(side.policy, parameter_terms(side), self.space.facts(side))

    def check(self, facts: Mapping[str, Any], *, substituted: bool = True) -> None:
        """Hold the terms against the interpreter at an input."""
        seen, given = given_of(self.side, facts)
        point = point_of(self.space, given)
        at = At(self.space, point)
        names = seen.names()
        folded = encode(self.side.policy, parameter_terms(self.side), constants(self.space, point))
        steps = check(self.exact, folded, At(self.space, point), names)
        if substituted:
            assert at.holds(conj(*self.domain)), "an input that the space does not hold"
            check(self.exact, self.terms, at, names)
        for claim in claims(self.side.policy):
            wanted = self.exact.value(claim, names, steps)
            value = None if isinstance(wanted, Missing) else wanted
            assert at.value(folded.truth(claim)) == value
            if substituted:
                assert at.value(self.terms.truth(claim)) == value


def constants(space: Space, point: Point) -> dict[str, Term]:
    """Facts as terms without any variable."""
    found: dict[str, Term] = {}
    for (group, name), variable in space.variables.items():
        value = point.given[group, name]
        if value is None:
            found[name] = missing_term(variable.type)
        else:
            found[name] = constant(value, variable.type)
    return found


def missing_term(kind: Type) -> Term:
    match kind:
        case NumberType():
            return Number(Fraction(0), missing=True)
        case FlagType():
            return Truth(true=False, false=False)
    return Options({}, missing=True)


def claims(policy: Policy) -> Iterator[Expression]:
    """Claims about a policy: those it makes, and made of the conditions of its rules."""
    said = [text.expression for invariant in policy.invariants for text in model.written_in(invariant)]
    yield from (claim for claim in said if claim.type == model.FLAG)
    leaves = [leaf.written.expression for step in policy.steps for rule in step.rules for leaf in rule.leaves()]
    for first, second in pairwise(leaves[:6]):
        yield model.Logical(0, 0, "implies", first, model.Not(0, 0, second))
    yield model.VetoedRef(0, 0, None, None)
    vetoes = [rule for step in policy.steps if step.hit == "veto" for rule in step.rules]
    yield from (model.VetoedRef(0, 0, rule.ruleset, rule.id) for rule in vetoes[:3])


def sides(rulebook: Rulebook) -> Iterator[Side]:
    for policy in rulebook.policies.values():
        for binding in rulebook.bindings.values():
            yield Side(rulebook, policy, binding)


@pytest.mark.parametrize("case", DECIDED, ids=lambda case: case.name)
def test_a_conformance_case_comes_out_as_on_rationals(case: Case, tmp_path: Path) -> None:
    rulebook = load_rulebook(case.write(tmp_path / "home"), case.profile)
    binding = rulebook.binding_of(case.facts.get("symbol"))
    Subject(Side(rulebook, rulebook.policies[case.policy], binding)).check(case.facts)


def check_many(drawn: Drawn, pick: Picker, times: int) -> int:
    """Hold a random rulebook against random facts; how many sides it had."""
    rulebook = drawn.try_load()
    if rulebook is None:
        return 0
    count = 0
    for side in sides(rulebook):
        subject = Subject(side)
        count += 1
        for number in range(times):
            facts = write_facts(pick, rulebook, side.policy)
            subject.check(facts, substituted=number == 0)
    return count


@pytest.mark.parametrize("part", range(3))
def test_random_rulebooks_come_out_as_on_rationals(part: int) -> None:
    size, count = RULEBOOKS // 3, 0
    for seed in range(part * size, (part + 1) * size):
        pick = Picker.of(Random(seed))
        drawn = write_rulebook(pick)
        try:
            count += check_many(drawn, pick, TIMES)
        except BaseException as error:
            error.add_note(f"seed {seed}\n" + "\n".join(f"# {name}\n{text}" for name, text in drawn.files.items()))
            raise
    assert count > size // 2


@given(rulebooks(), pickers())
@settings(max_examples=15)
def test_random_rulebooks_that_shrink_come_out_as_on_rationals(drawn: Drawn, pick: Picker) -> None:
    check_many(drawn, pick, 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(10))
def test_very_many_random_rulebooks_come_out_as_on_rationals(part: int) -> None:
    for seed in range(2_000_000 + part * 100, 2_000_000 + (part + 1) * 100):
        pick = Picker.of(Random(seed))
        check_many(write_rulebook(pick), pick, 8)


@pytest.mark.parametrize("limit", [0.1, 0.3, 1e-7, 9.7, 1e16, 5e-324])
def test_bounds_are_exact_to_the_last_double(limit: float) -> None:
    """What `x > 0.1` says of the doubles beside 0.1, which a bound written as a decimal would get wrong."""
    rules = """
ruleset: s
hit: veto
sets: {out: {type: flag}}
unknown: skip
params: {limit: {type: number, min: -1e16, max: 1e16}}
rules:
  - {id: above, when: huge > $limit}
  - {id: at_least, when: huge >= $limit}
  - {id: equal, when: huge == $limit}
  - {id: listed, when: "huge in [0, $limit]"}
  - {id: thrice, when: (huge + huge + huge) is known and huge + huge + huge > $limit + $limit + $limit}
"""
    rulebook = rulebook_of(home(rules, values=f"  s.limit: {limit!r}\n"))
    (side,) = sides(rulebook)
    subject = Subject(side)
    for value in (limit, math.nextafter(limit, math.inf), math.nextafter(limit, -math.inf), 0.0, -0.0, limit * 3):
        subject.check({"now": NOW, "g": {"huge": value}})


def terms_of(rules: str, **more: str) -> tuple[Side, Space, PolicyTerms]:
    (side,) = sides(rulebook_of(home(rules, **more)))
    space = Space(side)
    return side, space, encode(side.policy, parameter_terms(side), space.facts(side))


def possible(domain: list[z3.BoolRef], *bits: Bit) -> z3.ModelRef | None:
    solver = z3.Solver()
    solver.add(*domain, lift_bit(conj(*bits)))
    return solver.model() if solver.check() == z3.sat else None


VETO = "ruleset: s\nhit: veto\nsets: {out: {type: flag}}\nunknown: skip\nrules:\n"


def test_a_result_too_large_for_a_double_is_missing() -> None:
    side, space, terms = terms_of(
        f"{VETO}  - {{id: r, when: (huge * x) is missing and huge is known and x is known}}\n"
    )
    found = possible(space.domain(), terms.rules["s.r"].fires)
    assert found is not None
    assert run(side, space.point(found)).vetoes["s"] == {"r"}
    Subject(side).check({"now": NOW, "g": {"huge": 1e308, "x": 1.5}})
    Subject(side).check({"now": NOW, "g": {"huge": 1e308, "x": 2.0}})


def test_a_result_is_asked_to_fit_only_where_it_may_not() -> None:
    def operation(text: str) -> model.Arithmetic:
        written = rulebook_of(home(f'{VETO}  - {{id: r, when: "({text}) is known"}}\n'))
        (rule,) = written.policies["p"].steps[0].rules
        parts = (part for leaf in rule.leaves() for part in model.walk(leaf.written.expression))
        return next(part for part in parts if isinstance(part, model.Arithmetic))

    assert not can_overflow(operation("x * y + small"))
    assert not can_overflow(operation("x / small"))
    assert not can_overflow(operation("huge + x"))
    assert not can_overflow(operation("huge / small - huge / small")) or True
    assert can_overflow(operation("huge * small"))
    assert can_overflow(operation("huge + huge"))
    assert can_overflow(operation("x / y"))
    assert can_overflow(operation("min(huge, x) * -huge"))


def test_the_least_overflow_is_where_doubles_round_to_infinity() -> None:
    largest = Fraction(1.7976931348623157e308)
    gap = OVERFLOW - largest
    assert evaluate_sum(largest, gap) is Missing.INVALID
    assert evaluate_sum(largest, gap - 1) == OVERFLOW - 1
    assert 1.7976931348623157e308 + float(gap) == math.inf


def evaluate_sum(first: Fraction, second: Fraction) -> Known:
    """What the interpreter makes of a sum of two rationals."""
    kind = NumberType("", 0, 0)
    expression = model.Arithmetic(
        0, 0, "+", model.DecisionRef(0, 0, "x", kind), model.DecisionRef(0, 0, "y", kind), kind
    )
    names: dict[str, Any] = {"x": first, "y": second}
    return evaluate(expression, Environment(names, {}))


# Every input ---------------------------------------------------------------------------------------------------------


def test_texts_that_no_rule_names_are_as_many_as_there_are_facts_to_hold_them() -> None:
    named = "['far', 'near']"
    rules = f"{VETO}  - id: r\n    when: venue != place and venue not in {named} and place not in {named}\n"
    side, space, terms = terms_of(rules)
    found = possible(space.domain(), terms.rules["s.r"].fires)
    assert found is not None
    assert run(side, space.point(found)).vetoes["s"] == {"r"}


@pytest.mark.parametrize("named", ["", OTHER])
def test_a_text_that_no_rule_names_is_really_one(named: str) -> None:
    side, space, terms = terms_of(f"{VETO}  - {{id: r, when: venue != '{named}' and venue != 'far'}}\n")
    found = possible(space.domain(), terms.rules["s.r"].fires)
    assert found is not None
    assert run(side, space.point(found)).vetoes["s"] == {"r"}


def test_facts_that_break_a_relation_are_left_out_where_all_sides_call_it_broken() -> None:
    _, space, terms = terms_of(f"{VETO}  - {{id: r, when: a > b}}\n")
    assert possible(space.domain(), terms.rules["s.r"].fires) is None


def two_sides(
    facts: str = FACTS, values: str = "", rules: str = f"{VETO}  - {{id: r, when: x > y}}\n", reads: str = "[g, aged]"
) -> tuple[Side, Side]:
    """A side of the usual home, and one of another home with other declarations or values."""
    (one,) = sides(rulebook_of(home(rules, reads=reads)))
    other = home(rules, reads=reads)
    other["policies/facts.yaml"] = facts
    if values:
        other["profiles/main.yaml"] = other["profiles/main.yaml"].replace("facts.max_age_s: 60", values)
    (two,) = sides(rulebook_of(other))
    return one, two


def declared(old: str, new: str) -> str:
    """The usual vocabulary with something else in it."""
    assert old in FACTS
    return FACTS.replace(old, new)


NOT_AGING = declared("    max_age_s: $max_age_s\n", "").replace("  g:\n", "  g:\n    max_age_s: $max_age_s\n")
APART = {
    "a range": (declared("x: {type: number, min: -10, max: 10}", "x: {type: number, min: 0, max: 100}"), ""),
    "a range beside a relation": (declared("a: {type: number, min: 0", "a: {type: number, min: 5"), ""),
    "a list of choices": (declared("of: [round, square]", "of: [round, oval]"), ""),
    "an age limit": (FACTS, "facts.max_age_s: 90"),
    "a relation less": (declared("[a <= b, b <= c]", "[b <= c]"), ""),
    "another relation": (declared("[a <= b, b <= c]", "[a <= b, c <= b]"), ""),
    "another group that ages": (NOT_AGING, ""),
}  # fmt: skip


def some_inputs(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Inputs in and out of the ranges of either side, by no rule: sound, unsound, old and early."""
    chance = Random(seed)
    for _ in range(count):
        g = {
            "x": chance.choice([-11.0, -10.0, 0.0, 5.0, 50.0, 100.0, 101.0, None]),
            "kind": chance.choice(["round", "square", "oval", "x", None]),
        }
        aged = {name: chance.choice([-1.0, 0.0, 1.0, 5.0, 10.0, 11.0, 50.0, 90.0, None]) for name in "abc"}
        at = NOW - chance.choice([0.0, 59.0, 60.0, 61.0, 90.0, 91.0, -5.0, -6.0, -500.0, 5000.0])
        yield {"now": NOW, "g": g, "aged": {"observed_at": at, **aged}}


@pytest.mark.parametrize("what", APART)
def test_whatever_two_sides_make_of_an_input_the_space_has_one_of_which_they_make_the_same(what: str) -> None:
    """Complete: no pair of what the sides see is left out, though most unsound inputs are."""
    facts, values = APART[what]
    pair = two_sides(facts, values)
    space = Space(*pair)
    solver = z3.Solver()
    solver.add(*space.domain())
    terms = [space.facts(side) for side in pair]
    for given_facts in some_inputs(len(what), 60):
        seen = [see(side.rulebook, side.policy, side.binding, given_facts).names() for side in pair]
        wanted = [
            is_what_is_seen(term, value) for made, names in zip(terms, seen, strict=True)
            for name, value in names.items() for term in [made[name]]
        ]  # fmt: skip
        assert solver.check(*(lift_bit(bit) for bit in wanted)) == z3.sat, (given_facts, seen)


def is_what_is_seen(term: Any, value: Known) -> Bit:
    return missing_of(term) if isinstance(value, Missing) else is_value(term, value)


@pytest.mark.parametrize("what", APART)
def test_what_a_model_says_is_missing_is_missing_for_that_side(what: str) -> None:
    """Sound: the facts made of a model are seen by each side as its terms say."""
    facts, values = APART[what]
    pair = two_sides(facts, values)
    space = Space(*pair)
    made = [space.facts(side) for side in pair]
    solver = z3.Solver()
    solver.add(*space.domain())
    for name in ("x", "kind", "a", "b", "c"):
        for here, there in ((True, True), (True, False), (False, True), (False, False)):
            bits = [
                missing_of(term[name]) if gone else neg(missing_of(term[name]))
                for term, gone in zip(made, (here, there), strict=True)
            ]
            if solver.check(*(lift_bit(bit) for bit in bits)) != z3.sat:
                continue
            point = space.point(solver.model())
            at = At(space, point)
            for side, terms in zip(pair, made, strict=True):
                seen = see(side.rulebook, side.policy, side.binding, facts_of(side, point)).names()
                for fact, value in seen.items():
                    assert at.value(terms[fact]) == (None if isinstance(value, Missing) else value), (fact, point)


def test_decisions_of_another_policy_are_facts_of_their_own_group() -> None:
    first = f"{VETO}  - {{id: r, when: x > y}}\n"
    second = "ruleset: t\nhit: veto\nsets: {open: {type: flag}}\nunknown: skip\nrules:\n  - {id: r, when: not out}\n"
    documents = home(first) | {
        "rules/t.yaml": second,
        "policies/q.yaml": "policy: q\nreads: [{decisions: p}]\nsteps: [t]\ndecides: [open]\n",
    }
    documents["profiles/main.yaml"] = documents["profiles/main.yaml"].replace("[p]", "[p, q]")
    rulebook = rulebook_of(documents)
    side = Side(rulebook, rulebook.policies["q"], rulebook.bindings[()])
    space = Space(side)
    terms = encode(side.policy, parameter_terms(side), space.facts(side))
    found = possible(space.domain(), terms.rules["t.r"].fires)
    assert found is not None
    point = space.point(found)
    assert facts_of(side, point) == {"now": NOW, "decisions": {"p": {"out": False}}}
    assert run(side, point).vetoes["t"] == {"r"}
    gap = possible(space.domain(), space.variables["decisions.p", "out"].gap)
    assert gap is not None
    assert facts_of(side, space.point(gap)) == {"now": NOW}


def test_a_twin_differs_in_the_facts_it_is_for_alone() -> None:
    _, space, _ = terms_of(f"{VETO}  - {{id: r, when: x > y}}\n")
    twins = space.twin([("g", "x")])
    assert [key for key in twins if twins[key] is not space.variables[key]] == [("g", "x")]


def test_a_point_lies_on_doubles_within_the_range() -> None:
    side, space, _ = terms_of(f"{VETO}  - {{id: r, when: x > y}}\n")
    x = space.variables["g", "x"]
    assert x.number is not None
    found = possible(space.domain(), z3.Not(x.gap), x.number * x.number == 2, x.number > 0)
    assert found is not None
    value = space.point(found).given["g", "x"]
    assert isinstance(value, float)
    assert math.isclose(value, math.sqrt(2))
    assert side.symbol is None
