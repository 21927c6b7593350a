"""Inputs as a solver has them, exact: both sides run on rationals, as the interpreter would if nothing were rounded.

In: a model. Out: a `Sight`: the input with a `Fraction` for every number, and the two runs. What doubles round away has
a path as well, so that a region can be made around it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import z3

from engine.backends.interpreter import NoValueError, StepTrace, trace
from engine.backends.solver.space import Key, Point, Side, Space, fraction_of
from engine.backends.solver.terms import Bit, Term, missing_of
from engine.language.evaluate import Known, Missing
from engine.language.model import Binding, Policy
from engine.language.types import Value

T = TypeVar("T")

_NO_MEANING = ("span", "scalar", "doc", "why", "origins")


@dataclass(frozen=True)
class Way:
    """One side's run of an input: what it made of each fact, by bare name, and its steps."""

    side: Side
    names: Mapping[str, Known]
    steps: tuple[StepTrace, ...]


@dataclass(frozen=True)
class Sight:
    """An input and how both sides ran."""

    point: Point
    ways: tuple[Way, Way]


class Exact:
    """Two sides run on rationals. `facts` is what each makes of an input, as terms over the space."""

    def __init__(self, space: Space, sides: tuple[Side, Side], facts: tuple[Mapping[str, Term], ...]) -> None:
        self._space = space
        self._sides = sides
        self._facts = facts
        self._exact: list[tuple[Policy, Binding]] | None = None

    def sight(self, found: z3.ModelRef) -> Sight | None:
        """The input of a model under both sides; None where one has no value of something, which no policy does."""
        rounded = self._space.point(found)
        given = {key: self._number(found, key, value) for key, value in rounded.given.items()}
        ages: Any = {name: fraction_of(found, age) for name, age in self._space.ages.items()}
        if self._exact is None:
            self._exact = [(exact(side.policy), exact(side.binding)) for side in self._sides]
        try:
            first, second = (
                self._way(found, given, side, held, facts)
                for side, held, facts in zip(self._sides, self._exact, self._facts, strict=True)
            )
        except NoValueError:
            return None
        return Sight(Point(given, ages), (first, second))

    def _number(self, found: z3.ModelRef, key: Key, value: Value | None) -> Value | None:
        number = self._space.variables[key].number
        if value is None or number is None:
            return value
        return fraction_of(found, number)  # type: ignore[return-value]  # a Fraction stands in for a float

    @staticmethod
    def _way(
        found: z3.ModelRef,
        given: Mapping[Key, Value | None],
        side: Side,
        held: tuple[Policy, Binding],
        facts: Mapping[str, Term],
    ) -> Way:
        names: dict[str, Known] = {}
        for group in side.policy.groups:
            for fact in group.facts:
                value = given[group.name, fact.name]
                gone = value is None or is_set(found, missing_of(facts[fact.name]))
                names[fact.name] = Missing.ABSENT if gone or value is None else value
        policy, binding = held
        return Way(replace(side, binding=binding), names, trace(policy, binding, names))


def is_set(found: z3.ModelRef, bit: Bit) -> bool:
    """Whether a bit is set in a model; what says nothing of an input may be anything."""
    return bit if isinstance(bit, bool) else z3.is_true(found.eval(bit, model_completion=True))


def exact(held: T) -> T:
    """The same with a `Fraction` for every float, all the way down."""
    found: Any = held
    if isinstance(held, float):  # the type of a sum has no ends
        found = Fraction(held) if math.isfinite(held) else held
    elif isinstance(held, tuple):
        found = tuple(exact(part) for part in held)
    elif isinstance(held, Mapping):
        found = {name: exact(part) for name, part in held.items()}
    elif is_dataclass(held) and not isinstance(held, type):
        parts = {
            field.name: exact(getattr(held, field.name)) for field in fields(held) if field.name not in _NO_MEANING
        }
        found = replace(held, **parts)
    return found  # type: ignore[no-any-return]  # a Fraction stands in for a float
