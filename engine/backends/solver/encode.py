"""A policy on a space of inputs: every rule's truth and every name's value as terms.

The terms mean exactly what the interpreter does, run on rationals: literals and parameters enter as the exact rational
of their double. Why something is missing decides nothing, so causes are no part of the terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

from engine.backends.solver.overflow import OVERFLOW, can_overflow
from engine.backends.solver.space import Side
from engine.backends.solver.terms import (
    Bit,
    Number,
    Real,
    Term,
    Truth,
    choose,
    choose_real,
    compare_reals,
    compared,
    conj,
    constant,
    disj,
    equal,
    lift,
    missing_of,
    neg,
)
from engine.language import model
from engine.language.model import AllOf, AnyOf, Condition, Expression, Leaf, Policy, Rule, Step
from engine.language.types import NumberType


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """One rule: the truth of each leaf and of the whole, where it matches, and where it fires.

    In a `first` set a rule fires where it matches and none before it does; elsewhere matching is firing.
    """

    step: Step
    rule: Rule
    leaves: tuple[Truth, ...]
    condition: Truth
    matched: Bit
    fires: Bit
    reached: Bit
    """Where it is looked at at all: in a `first` set where no rule before it matched."""


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """A policy on a space of inputs: every name (facts, and what steps set) and every rule."""

    names: Mapping[str, Term]
    rules: Mapping[str, RuleTerms]
    """By `set.rule`, in order."""
    running: Mapping[tuple[str, str, int], tuple[Real, Real]]
    """By `set.rule`, name and the effect's number: a running value before and after an effect, where it fires."""
    parameters: Mapping[str, Term]
    lacks: Mapping[str, Bit]
    """By rule set: where an effect, a start or the whole step has no value. Nowhere, in a policy as it was loaded."""

    @property
    def lacking(self) -> Bit:
        """Where any step has no value."""
        return disj(*self.lacks.values())

    def truth(self, claim: Expression) -> Truth:
        """A claim, or any condition over names, parameters and vetoes."""
        term = _Reader(self.names, self.parameters, self.rules).term(claim)
        assert isinstance(term, Truth)
        return term

    def number(self, expression: Expression) -> Number:
        """A sum over names and parameters."""
        term = _Reader(self.names, self.parameters, self.rules).term(expression)
        assert isinstance(term, Number)
        return term


def parameter_terms(side: Side) -> dict[str, Term]:
    """The values in force for a side, by `set.param`, as terms."""
    values = side.binding.values
    return {
        name: constant(values[name], declared.type)
        for name, declared in side.rulebook.declarations.items()
        if name in values
    }


def truth_over(names: Mapping[str, Term], condition: Expression) -> Truth:
    """A condition over these names alone."""
    return _Reader(names, {}, {}).truth(condition)


def encode(
    policy: Policy,
    parameters: Mapping[str, Term],
    facts: Mapping[str, Term],
    enabled: Mapping[str, Bit] | None = None,
) -> PolicyTerms:
    """A policy as terms. `enabled` says by `set.rule` where a rule is there; those it does not name are."""
    switches = enabled or {}
    names: dict[str, Term] = dict(facts)
    rules: dict[str, RuleTerms] = {}
    running: dict[tuple[str, str, int], tuple[Real, Real]] = {}
    lacks: dict[str, Bit] = {}
    for step in policy.steps:
        reader = _Reader(dict(names), parameters, {})
        looked = _look(step, reader, switches)
        rules |= {item.rule.full_id: item for item in looked}
        without = [missing_of(reader.term(text.expression)) for _, text in step.start]
        without += [
            conj(item.fires, missing_of(reader.term(effect.value.expression)))
            for item in looked
            for effect in item.rule.effects
        ]
        if step.hit == "first":
            without.append(conj(*(neg(item.matched) for item in looked)))
        lacks[step.ruleset] = disj(*without)
        match step.hit:
            case "first":
                names |= _first(step, looked, reader)
            case "each":
                names |= _each(step, looked, reader, running)
            case "veto":
                quiet = neg(disj(*(item.matched for item in looked)))
                names |= {name: Truth(quiet, neg(quiet)) for name, _ in step.sets}
    return PolicyTerms(names, rules, running, parameters, lacks)


def truth_of(condition: Expression, parameters: Mapping[str, Term]) -> Truth:
    """A condition over parameters alone."""
    return _Reader({}, parameters, {}).truth(condition)


def _look(step: Step, reader: _Reader, switches: Mapping[str, Bit]) -> list[RuleTerms]:
    looked: list[RuleTerms] = []
    reached: Bit = True
    for rule in step.rules:
        leaves = tuple(reader.truth(leaf.written.expression) for leaf in rule.leaves())
        condition = Truth(true=True, false=False) if rule.condition is None else joined(rule.condition, leaves)
        matched = neg(condition.false) if rule.on_unknown == "match" else condition.true
        matched = conj(switches.get(rule.full_id, True), matched)
        fires = conj(reached, matched)
        looked.append(RuleTerms(step, rule, leaves, condition, matched, fires, reached))
        if step.hit == "first":
            reached = conj(reached, neg(matched))
    return looked


def joined(condition: Condition, leaves: Sequence[Truth]) -> Truth:
    """The truth of a condition from those of its leaves."""
    match condition:
        case Leaf(index=index):
            return leaves[index]
        case AllOf(items):
            parts = [joined(item, leaves) for item in items]
            return Truth(conj(*(part.true for part in parts)), disj(*(part.false for part in parts)))
        case AnyOf(items):
            parts = [joined(item, leaves) for item in items]
            return Truth(disj(*(part.true for part in parts)), conj(*(part.false for part in parts)))
    assert_never(condition)


def _first(step: Step, looked: Sequence[RuleTerms], reader: _Reader) -> dict[str, Term]:
    found: dict[str, Term] = {}
    for item in reversed(looked):
        for effect in item.rule.effects:
            value = reader.term(effect.value.expression)
            found[effect.name] = choose(item.matched, value, found[effect.name]) if effect.name in found else value
    return {name: found[name] for name, _ in step.sets}


def _each(
    step: Step,
    looked: Sequence[RuleTerms],
    reader: _Reader,
    running: dict[tuple[str, str, int], tuple[Real, Real]],
) -> dict[str, Term]:
    found = {name: reader.term(text.expression) for name, text in step.start}
    for item in looked:
        for index, effect in enumerate(item.rule.effects):
            before, given = found[effect.name], reader.term(effect.value.expression)
            if effect.kind == "set":
                found[effect.name] = choose(item.matched, given, before)
                continue
            assert isinstance(before, Number)
            assert isinstance(given, Number)
            if effect.kind == "add":
                step_by = choose_real(item.matched, given.value, Fraction(0))
                after = _calculate("+", before.value, step_by)
                running[item.rule.full_id, effect.name, index] = (before.value, after)
            else:
                clamped = bound(effect.kind, before.value, given.value)
                running[item.rule.full_id, effect.name, index] = (before.value, clamped)
                after = choose_real(item.matched, clamped, before.value)
            found[effect.name] = Number(after, missing=False)
    for name, kind in step.sets:
        held = found[name]
        if isinstance(kind, NumberType) and isinstance(held, Number):
            within = bound("at_most", bound("at_least", held.value, Fraction(kind.min)), Fraction(kind.max))
            found[name] = Number(within, missing=False)
    return {name: found[name] for name, _ in step.sets}


def within_doubles(number: Number) -> Number:
    """A result that is missing where it is too large for any double."""
    large = compare_reals(">=", number.value, OVERFLOW)
    return Number(number.value, disj(number.missing, large, compare_reals("<=", number.value, -OVERFLOW)))


def bound(kind: str, value: Real, limit: Real) -> Real:
    """`at_least` or `at_most`."""
    if isinstance(value, Fraction) and isinstance(limit, Fraction):
        return max(value, limit) if kind == "at_least" else min(value, limit)
    outside = compare_reals("<" if kind == "at_least" else ">", value, limit)
    return choose_real(outside, limit, value)


def _calculate(operator: str, left: Real, right: Real) -> Real:
    if isinstance(right, Fraction):
        if operator in "+-" and right == 0:
            return left
        if operator in "*/" and right == 1:
            return left
        if operator == "/" and right != 0:
            operator, right = "*", 1 / right
    if isinstance(left, Fraction) and operator == "+" and left == 0:
        return right
    if isinstance(left, Fraction) and isinstance(right, Fraction) and not (operator == "/" and right == 0):
        return {"+": left + right, "-": left - right, "*": left * right}[operator] if operator != "/" else left / right
    first, second = lift(left), lift(right)
    match operator:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            return first * second
        case _:
            return first / second


class _Reader:
    """Expressions as terms, over names, parameters and (in claims) vetoes."""

    def __init__(
        self,
        names: Mapping[str, Term],
        parameters: Mapping[str, Term],
        rules: Mapping[str, RuleTerms],
    ) -> None:
        self._names = names
        self._parameters = parameters
        self._rules = rules

    def truth(self, expression: Expression) -> Truth:
        """A condition."""
        term = self.term(expression)
        assert isinstance(term, Truth)
        return term

    def _number(self, expression: Expression) -> Number:
        term = self.term(expression)
        assert isinstance(term, Number)
        return term

    def term(self, expression: Expression) -> Term:
        """Any expression."""
        match expression:
            case model.Constant(value=value, type=kind):
                return constant(value, kind)
            case model.FactRef(name=name) | model.DecisionRef(name=name):
                return self._names[name]
            case model.ParameterRef(ruleset=owner, name=name):
                return self._parameters[f"{owner}.{name}"]
            case model.Negative(operand=operand):
                number = self._number(operand)
                return Number(-number.value, number.missing)
            case model.Arithmetic(operator=operator):
                result = self._arithmetic(operator, self._number(expression.left), self._number(expression.right))
                return within_doubles(result) if can_overflow(expression) else result
            case model.Call():
                return self._call(expression)
            case model.Compare(operator=operator, left=left, right=right):
                return compared(operator, self.term(left), self.term(right), left.type)
            case model.Member():
                return self._member(expression)
            case model.Presence(operand=operand, known=known):
                missing = missing_of(self.term(operand))
                return Truth(neg(missing), missing) if known else Truth(missing, neg(missing))
            case model.Not(operand=operand):
                held = self.truth(operand)
                return Truth(held.false, held.true)
            case model.Logical(operator=operator):
                return self._logical(operator, self.truth(expression.left), self.truth(expression.right))
            case model.VetoedRef(ruleset=owner, rule=rule):
                bits = [
                    item.matched
                    for item in self._rules.values()
                    if item.step.hit == "veto" and (owner is None or (item.rule.ruleset, item.rule.id) == (owner, rule))
                ]
                vetoed = disj(*bits)
                return Truth(vetoed, neg(vetoed))
        assert_never(expression)

    @staticmethod
    def _arithmetic(operator: str, left: Number, right: Number) -> Number:
        missing = disj(left.missing, right.missing)
        if operator == "/":
            zero = compare_reals("==", right.value, Fraction(0))
            if zero is True:
                return Number(Fraction(0), missing=True)
            missing = disj(missing, zero)
        return Number(_calculate(operator, left.value, right.value), missing)

    def _call(self, expression: model.Call) -> Number:
        numbers = [self._number(argument) for argument in expression.arguments]
        missing = disj(*(number.missing for number in numbers))
        result = numbers[0].value
        if expression.function == "abs":
            negative = compare_reals("<", result, Fraction(0))
            return Number(choose_real(negative, -result, result), missing)
        for number in numbers[1:]:
            first = compare_reals("<=" if expression.function == "min" else ">=", result, number.value)
            result = choose_real(first, result, number.value)
        return Number(result, missing)

    def _member(self, expression: model.Member) -> Truth:
        wanted = self.term(expression.operand)
        elements = [self.term(element) for element in expression.elements]
        found = disj(*(equal(wanted, element).true for element in elements))
        unknown = disj(missing_of(wanted), *(missing_of(element) for element in elements))
        absent = conj(neg(unknown), neg(found))
        return Truth(absent, found) if expression.negated else Truth(found, absent)

    @staticmethod
    def _logical(operator: str, left: Truth, right: Truth) -> Truth:
        if operator == "and":
            return Truth(conj(left.true, right.true), disj(left.false, right.false))
        if operator == "implies":
            left = Truth(left.false, left.true)
        return Truth(disj(left.true, right.true), conj(left.false, right.false))
