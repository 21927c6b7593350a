"""The interpreter run on rationals: what the solver has to agree with.

Every double of a policy, of its parameters and of the facts becomes the `Fraction` it is; nothing is rounded from then
on. And a solver's terms at one input: every variable of a space is given the value that the input has for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import z3

from engine.analysis.diff.exact import exact
from engine.backends.facts import Gap, Seen, see
from engine.backends.interpreter import StepTrace, trace
from engine.backends.solver.encode import PolicyTerms
from engine.backends.solver.space import Key, Point, Side, Space
from engine.backends.solver.terms import Bit, Number, Options, Real, Term, Truth
from engine.language.evaluate import Environment, Known, Missing, evaluate
from engine.language.model import Binding, Expression, Policy
from engine.language.types import TextType, Value


class Exact:
    """A side, run on rationals."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.policy: Policy = exact(side.policy)
        self.binding: Binding = exact(side.binding)

    def trace(self, names: Mapping[str, Known]) -> tuple[StepTrace, ...]:
        """Every step on facts by bare name."""
        return trace(self.policy, self.binding, exact(dict(names)))

    def value(self, expression: Expression, names: Mapping[str, Known], steps: Iterable[StepTrace]) -> Known:
        """What a claim comes to after these steps."""
        vetoes = {
            step.step.ruleset: frozenset(rule.rule.id for rule in step.rules if rule.matched)
            for step in steps
            if step.step.hit == "veto"
        }
        known: dict[str, Known] = dict(exact(dict(names)))
        for step in steps:
            known |= step.sets
        return evaluate(exact(expression), Environment(known, self.binding.values, vetoes))


def given_of(side: Side, facts: Mapping[str, Any]) -> tuple[Seen, dict[Key, Value | None]]:
    """What a side sees of a facts object, and that as what a space's variables are given."""
    seen = see(side.rulebook, side.policy, side.binding, facts)
    given = {
        (group, name): None if isinstance(value, Gap) else value
        for group, held in seen.values.items()
        for name, value in held.items()
    }
    return seen, given


class At:
    """Terms at one input."""

    def __init__(self, space: Space, point: Point) -> None:
        pairs: list[tuple[z3.ExprRef, z3.ExprRef]] = []
        for key, variable in space.variables.items():
            value = point.given[key]
            pairs.append((variable.gap, z3.BoolVal(value is None)))
            if variable.number is not None:
                number = Fraction(value) if isinstance(value, float) else Fraction(min(_ends(variable.type)))
                pairs.append((variable.number, z3.Q(number.numerator, number.denominator)))
            if variable.flag is not None:
                pairs.append((variable.flag, z3.BoolVal(value is True)))
            taken = value if value is not None else next(iter(variable.options), None)
            pairs += [(bit, z3.BoolVal(name == taken)) for name, bit in variable.options.items()]
        for group, age in space.ages.items():
            exactly = Fraction(point.ages.get(group, 0.0))
            pairs.append((age, z3.Q(exactly.numerator, exactly.denominator)))
        self._kept = pairs
        self._from = (z3.Ast * len(pairs))(*(variable.as_ast() for variable, _ in pairs))
        self._to = (z3.Ast * len(pairs))(*(value.as_ast() for _, value in pairs))

    def _put_in(self, term: z3.ExprRef) -> z3.ExprRef:
        """A term with the input's values, simplified; `z3.substitute` looks at every pair anew for each term."""
        made = z3.Z3_substitute(term.ctx_ref(), term.as_ast(), len(self._kept), self._from, self._to)
        return z3.simplify(z3.z3._to_expr_ref(made, term.ctx))

    def holds(self, bit: Bit) -> bool:
        """A bit."""
        if isinstance(bit, bool):
            return bit
        found = self._put_in(bit)
        assert z3.is_true(found) or z3.is_false(found), found
        return bool(z3.is_true(found))

    def number(self, real: Real) -> Fraction:
        """A number."""
        if isinstance(real, Fraction):
            return real
        found = self._put_in(real)
        assert z3.is_rational_value(found), found
        return Fraction(found.numerator_as_long(), found.denominator_as_long())

    def value(self, term: Term) -> Value | Fraction | None:
        """A value, None for what is missing or unknown."""
        match term:
            case Truth(true=true, false=false):
                is_true, is_false = self.holds(true), self.holds(false)
                assert not (is_true and is_false)
                return is_true if is_true or is_false else None
            case Number(value=real, missing=missing):
                return None if self.holds(missing) else self.number(real)
            case Options(values=values, missing=missing):
                if self.holds(missing):
                    return None
                (name,) = (name for name, bit in values.items() if self.holds(bit))
                return name
        raise TypeError(term)


def point_of(space: Space, given: Mapping[Key, Value | None]) -> Point:
    """A point of a space for known facts; texts that no rule names are those that the space has for them."""
    found = dict(given)
    others: dict[str, str] = {}
    for key, value in given.items():
        variable = space.variables[key]
        if isinstance(variable.type, TextType) and isinstance(value, str) and value not in variable.options:
            free = [
                text for text in variable.options if text.startswith("another text") and text not in others.values()
            ]
            found[key] = others.setdefault(value, free[0] if free else "another text")
    return Point(found, {})


def check(exactly: Exact, terms: PolicyTerms, at: At, names: Mapping[str, Known]) -> tuple[StepTrace, ...]:
    """Every name, veto, firing and leaf of the terms at an input is that of the interpreter there."""
    steps = exactly.trace(names)
    looked = {rule.rule.full_id: rule for step in steps for rule in step.rules}
    for step in steps:
        for name, value in step.sets.items():
            assert at.value(terms.names[name]) == value, name
    for name, item in terms.rules.items():
        done = looked.get(name)
        assert at.holds(item.reached) == (done is not None), name
        assert at.holds(item.fires) == (done is not None and done.matched), name
        if done is None:
            continue
        assert at.value(item.condition) == _known(done.condition), name
        for leaf, truth in zip(done.leaves, item.leaves, strict=True):
            assert at.value(truth) == _known(leaf), (name, leaf)
    assert not at.holds(terms.lacking)
    return steps


def _known(value: Known) -> Value | None:
    return None if isinstance(value, Missing) else value


def _ends(kind: Any) -> tuple[float, float]:
    return kind.min, kind.max
