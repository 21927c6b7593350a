"""Everything that can be handed in to a policy: one variable a fact, and what each side of a question makes of it.

In: the sides (a policy under one set of values each). Out: variables, what holds of all inputs, each side's facts as
terms, and the input that a model describes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count, islice
from typing import assert_never

import z3

from engine.backends.solver.terms import (
    Bit,
    Number,
    Options,
    Term,
    Truth,
    compare_reals,
    compared,
    conj,
    disj,
    lift,
    neg,
)
from engine.language import model
from engine.language.model import Binding, Policy
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType, TextType, Type, Value

OTHER = "another text"
"""Stands for every text that no rule names (with a number where a rule names this one, or texts are compared)."""


@dataclass(frozen=True, slots=True)
class Side:
    """One policy under one set of values: what a question is asked about, or one of the two that it compares."""

    rulebook: Rulebook
    policy: Policy
    binding: Binding
    asked_for: str | None = None
    """The symbol it is asked for, where that has to be a certain one."""

    @property
    def symbol(self) -> str | None:
        """A symbol for which these values hold; None for the values of every symbol that is in no group."""
        if self.asked_for is not None:
            return self.asked_for
        return next((symbol for symbol, groups in self.rulebook.symbols.items() if groups == self.binding.groups), None)

    def limit(self, parameter: str | None) -> float | None:
        """The value of a parameter of the vocabulary."""
        return None if parameter is None else float(self.binding.values[f"facts.{parameter}"])


Key = tuple[str, str]
"""A fact: its group and its name."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What can be handed in for one fact: a value of its type, or nothing (`gap`)."""

    type: Type
    gap: z3.BoolRef
    number: z3.ArithRef | None = None
    flag: z3.BoolRef | None = None
    options: Mapping[str, z3.BoolRef] = field(default_factory=dict)


Given = Mapping[Key, Value | None]
"""Facts as a solver found them: a value of its type (numbers as doubles), None for a gap."""


@dataclass(frozen=True, slots=True)
class Point:
    """One input: what is given for each fact, and how old each group is that has an age (s)."""

    given: Given
    ages: Mapping[str, float]


class Space:
    """Everything that can be handed in to one policy, or to several that read the same facts.

    A fact is one variable for all sides. What differs between them is said of each side: another age limit, another
    range, another relation turn the same input into a missing fact for one side alone. Where all sides agree, an input
    that all would call invalid or stale is left out: it is the same as one with a gap.

    A fact that is of one type on the first side that reads it and of another on a later one (a number here, a flag
    there) is missing on the latter.
    """

    def __init__(self, *sides: Side, prefix: str = "") -> None:
        self.sides = sides
        self._prefix = prefix
        self._types: dict[Key, list[Type]] = {}
        groups: dict[str, list[model.Group]] = {}
        for side in sides:
            for group in side.policy.groups:
                groups.setdefault(group.name, []).append(group)
                for fact in group.facts:
                    self._types.setdefault((group.name, fact.name), []).append(fact.type)
        named, self.other_texts = _texts([side.policy for side in sides])
        """Texts that stand for those that no rule names."""
        self._texts = (*named, *self.other_texts)
        self.variables: dict[Key, Variable] = {key: self._variable(key, kinds) for key, kinds in self._types.items()}
        self.ages: dict[str, z3.ArithRef] = {}
        self._limits = [(side.limit(side.rulebook.max_ahead), self._age_limits(side)) for side in sides]
        for name in groups:
            if len({(ahead, ages.get(name)) for ahead, ages in self._limits}) > 1:
                self.ages[name] = z3.Real(f"{prefix}age of {name}")

    def _age_limits(self, side: Side) -> dict[str, float | None]:
        return {group.name: side.limit(group.max_age) for group in side.policy.groups}

    def _variable(self, key: Key, kinds: Sequence[Type], suffix: str = "") -> Variable:
        name = f"{self._prefix}{key[0]}.{key[1]}{suffix}"
        gap = z3.Bool(f"{name} missing")
        match kinds[0]:
            case NumberType():
                return Variable(kinds[0], gap, number=z3.Real(name))
            case FlagType():
                return Variable(kinds[0], gap, flag=z3.Bool(name))
            case ChoiceType():
                values = {value: None for kind in kinds if isinstance(kind, ChoiceType) for value in kind.of}
                return Variable(kinds[0], gap, options={value: z3.Bool(f"{name} is {value}") for value in values})
            case TextType():
                return Variable(kinds[0], gap, options={text: z3.Bool(f"{name} is {text!r}") for text in self._texts})
        assert_never(kinds[0])

    def twin(self, keys: Iterable[Key]) -> dict[Key, Variable]:
        """A second input: fresh variables for these facts, those of the space for all others."""
        fresh = {key: self._variable(key, self._types[key], " (other)") for key in keys}
        return {**self.variables, **fresh}

    def ends(self, key: Key) -> tuple[Fraction, Fraction]:
        """The least and the most that a number may be handed in as: for some side it is in range."""
        numbers = [kind for kind in self._types[key] if isinstance(kind, NumberType)]
        return Fraction(min(kind.min for kind in numbers)), Fraction(max(kind.max for kind in numbers))

    def domain(self, variables: Mapping[Key, Variable] | None = None) -> list[z3.BoolRef]:
        """What holds of every input: ranges, one value a choice, the relations that every side knows."""
        given = self.variables if variables is None else variables
        bits: list[Bit] = []
        for key, variable in given.items():
            if variable.number is not None:
                low, high = self.ends(key)
                bits.append(compare_reals(">=", variable.number, low))
                bits.append(compare_reals("<=", variable.number, high))
            elif variable.options:
                values = list(variable.options.values())
                bits.append(disj(*values))
                bits += [
                    disj(neg(first), neg(second))
                    for index, first in enumerate(values)
                    for second in values[index + 1 :]
                ]
        for name, relation in self._shared_relations():
            left, right = given[name, relation.left], given[name, relation.right]
            holds = self.agree(name, relation, given)
            bits.append(disj(left.gap, right.gap, holds))
        for name, age in self.ages.items():
            limits = [ages.get(name) or 0.0 for _, ages in self._limits]
            ahead = [limit or 0.0 for limit, _ in self._limits]
            bits += [age >= lift(Fraction(-2 * max(ahead) - 1)), age <= lift(Fraction(2 * max(limits) + 1))]
        return [bit for bit in bits if isinstance(bit, z3.BoolRef)]

    def _relations(self, side: Side) -> set[tuple[str, model.Relation]]:
        return {(group.name, relation) for group in side.policy.groups for relation in group.relations}

    def _shared_relations(self) -> list[tuple[str, model.Relation]]:
        """The relations of groups that are the same on every side. Elsewhere what is broken is worked out by side."""
        shared = set.intersection(*(self._relations(side) for side in self.sides))
        differing = {key[0] for key, kinds in self._types.items() if any(kind != kinds[0] for kind in kinds)}
        differing |= {name for side in self.sides for name, relation in self._relations(side) - shared}
        kept = [named for named in shared if named[0] not in differing]
        return sorted(kept, key=lambda named: (named[0], named[1].left, named[1].operator, named[1].right))

    def agree(self, group: str, relation: model.Relation, variables: Mapping[Key, Variable] | None = None) -> Bit:
        """Where the values of two facts agree with a relation, whether they are there or not."""
        given = self.variables if variables is None else variables
        left, right = given[group, relation.left], given[group, relation.right]
        kind = self._types[group, relation.left][0]
        held = compared(relation.operator, _value_of(left), _value_of(right), kind)
        return held.true

    def facts(self, side: Side, variables: Mapping[Key, Variable] | None = None) -> dict[str, Term]:
        """What one side makes of an input, by bare name."""
        given = self.variables if variables is None else variables
        shared = set(self._shared_relations())
        ahead, limits = self._limits[self.sides.index(side)]
        found: dict[str, Term] = {}
        for group in side.policy.groups:
            untimely = self._untimely(group.name, ahead, limits[group.name])
            unsound = {
                fact.name: disj(
                    given[group.name, fact.name].gap,
                    self._outside(given[group.name, fact.name], fact.type, self._types[group.name, fact.name]),
                )
                for fact in group.facts
            }
            broken: dict[str, Bit] = {}
            for relation in group.relations:
                if (group.name, relation) not in shared:
                    sound = conj(neg(unsound[relation.left]), neg(unsound[relation.right]))
                    out = conj(sound, neg(self.agree(group.name, relation, given)))
                    for name in (relation.left, relation.right):
                        broken[name] = disj(broken.get(name, False), out)
            for fact in group.facts:
                missing = disj(unsound[fact.name], untimely, broken.get(fact.name, False))
                found[fact.name] = _fact(given[group.name, fact.name], fact.type, missing)
        return found

    def _untimely(self, group: str, ahead: float | None, limit: float | None) -> Bit:
        age = self.ages.get(group)
        if age is None:
            return False
        old = compare_reals(">", age, Fraction(limit)) if limit is not None else False
        early = compare_reals("<", age, Fraction(-ahead)) if ahead is not None else False
        return disj(old, early)

    @staticmethod
    def _outside(variable: Variable, kind: Type, kinds: Sequence[Type]) -> Bit:
        """Where a value that another side takes is none of this side's."""
        if all(kind == other for other in kinds):
            return False
        match kind:
            case NumberType(min=low, max=high) if variable.number is not None:
                below = compare_reals("<", variable.number, Fraction(low))
                return disj(below, compare_reals(">", variable.number, Fraction(high)))
            case ChoiceType(of=of) if variable.options:
                return disj(*(bit for value, bit in variable.options.items() if value not in of))
        return type(kind) is not type(variable.type)

    def point(self, found: z3.ModelRef, variables: Mapping[Key, Variable] | None = None) -> Point:
        """The input that a model describes, numbers rounded to the nearest double within their range."""
        given = self.variables if variables is None else variables
        ages = {name: float(fraction_of(found, age)) for name, age in self.ages.items()}
        return Point({key: _read(found, variable) for key, variable in given.items()}, ages)


def _fact(variable: Variable, kind: Type, missing: Bit) -> Term:
    value = _value_of(variable)
    match value:
        case Truth():
            return Truth(conj(neg(missing), value.true), conj(neg(missing), value.false))
        case Number():
            return Number(value.value, missing)
        case Options(values=values):
            kept = values if isinstance(kind, TextType) else {name: values[name] for name in _names(kind)}
            return Options(kept, missing)
    assert_never(value)


def _names(kind: Type) -> tuple[str, ...]:
    assert isinstance(kind, ChoiceType)
    return kind.of


def _value_of(variable: Variable) -> Term:
    """A variable as if it were there."""
    if variable.number is not None:
        return Number(variable.number, missing=False)
    if variable.flag is not None:
        return Truth(variable.flag, neg(variable.flag))
    return Options(variable.options, missing=False)


def _texts(policies: Iterable[Policy]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts that rules and claims of policies name, and enough others that no two facts need to share one."""
    named: set[str] = set()
    facts: set[Key] = set()
    compared_with_another = False
    for policy in policies:
        texts = {(group.name, fact.name) for group in policy.groups for fact in group.facts if _is_text(fact.type)}
        related = ((group.name, relation.left) for group in policy.groups for relation in group.relations)
        compared_with_another |= not texts.isdisjoint(related)
        facts |= texts
        for expression in model.expressions_of(policy):
            for part in model.walk(expression):
                if isinstance(part, model.Constant) and _is_text(part.type):
                    named.add(str(part.value))
                if isinstance(part, (model.Compare, model.Member)):
                    read = [each for each in model.children(part) if isinstance(each, model.FactRef)]
                    compared_with_another |= sum(_is_text(each.type) for each in read) > 1
    free = (text for number in count(1) if (text := OTHER if number == 1 else f"{OTHER} {number}") not in named)
    return tuple(sorted(named)), tuple(islice(free, len(facts) if compared_with_another else 1))


def _is_text(kind: Type) -> bool:
    return isinstance(kind, TextType)


def fraction_of(found: z3.ModelRef, term: z3.ArithRef) -> Fraction:
    """The number that a term is in a model; a root, which has no exact double, to twenty digits."""
    value = found.eval(term, model_completion=True)
    if z3.is_algebraic_value(value):
        value = value.approx(20)
    return Fraction(value.numerator_as_long(), value.denominator_as_long())


def _read(found: z3.ModelRef, variable: Variable) -> Value | None:
    if z3.is_true(found.eval(variable.gap, model_completion=True)):
        return None
    if variable.number is not None:
        return float(fraction_of(found, variable.number))
    if variable.flag is not None:
        return bool(z3.is_true(found.eval(variable.flag, model_completion=True)))
    held = (name for name, bit in variable.options.items() if z3.is_true(found.eval(bit, model_completion=True)))
    return next(held, None)
