"""What a run saw of its facts: every comparison on its way, in the facts' own terms.

In: a run of the interpreter. Out: a `Path`: the facts that were looked at, and the comparisons of numbers, with
decisions written out as the facts they were made of, parameters as their values, and `min`, `max`, `abs` and clamps as
the argument they came to. Whatever input agrees with all of these goes the same way, and so decides the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from engine.analysis.diff.reach import steps_for
from engine.analysis.proofs.runs import Run
from engine.backends.interpreter import StepTrace
from engine.backends.solver.space import Key
from engine.language import model
from engine.language.evaluate import Environment, Known, Missing, compare, evaluate
from engine.language.model import Compare, Constant, Expression, FactRef, Policy, Step, expressions_in, walk
from engine.language.syntax import ArithmeticOperator, Comparator
from engine.language.types import NumberType, Value

_BARE = NumberType("any", 0.0, 0.0)
"""The type of numbers that are made here; nothing asks for their unit or range."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A comparison of numbers made of facts alone, and what it came to."""

    comparison: Compare
    held: bool


@dataclass(frozen=True, slots=True)
class Sum:
    """A number on a path: made of facts and constants alone, and what it came to."""

    expression: Expression
    value: float


@dataclass
class Path:
    """What a run looked at, up to the decision that is asked for."""

    facts: dict[Key, None] = field(default_factory=dict)
    seen: dict[Compare, bool] = field(default_factory=dict)
    numbers: dict[str, Sum] = field(default_factory=dict)
    """Decided numbers, as the facts they are made of."""

    def compared(self, operator: Comparator, left: Sum, right: Sum) -> bool:
        """Compare two numbers and keep that it was done."""
        held = compare(operator, left.value, right.value, _BARE)
        if not (isinstance(left.expression, Constant) and isinstance(right.expression, Constant)):
            self.seen[Compare(0, 0, operator, left.expression, right.expression)] = held
        return held


def follow(run: Run, decision: str) -> Path:
    """The path of a run to a decision."""
    wanted = {step.ruleset for step in steps_for(run.side.policy.steps, decision)}
    path = Path()
    for step in run.steps:
        if step.step.ruleset in wanted:
            _Follower(path, Environment(step.names, run.side.binding.values)).step(step)
    return path


@dataclass(frozen=True, slots=True)
class _Follower:
    """Follows one step."""

    path: Path
    env: Environment

    def step(self, done: StepTrace) -> None:
        for looked in done.rules:
            for leaf in looked.rule.leaves():
                self.look(leaf.written.expression)
        matched = [looked.rule for looked in done.rules if looked.matched]
        match done.step.hit:
            case "first":
                for effect in matched[0].effects:
                    self._set(effect.name, effect.value.expression)
            case "each":
                self._each(done.step, matched)
            case "veto":
                pass  # a flag that the conditions looked at decide

    def _set(self, name: str, expression: Expression) -> None:
        if isinstance(expression.type, NumberType):
            self.path.numbers[name] = self._there(expression)
        else:
            self.look(expression)

    def _each(self, step: Step, matched: list[model.Rule]) -> None:
        for name, start in step.start:
            self._set(name, start.expression)
        for rule in matched:
            for effect in rule.effects:
                if effect.kind == "set":
                    self._set(effect.name, effect.value.expression)
                    continue
                before, given = self.path.numbers[effect.name], self._there(effect.value.expression)
                if effect.kind == "add":
                    after = self._made("+", before, given, before.value + given.value)
                else:
                    after = self._clamped(effect.kind, before, given)
                self.path.numbers[effect.name] = after
        for name, kind in step.sets:
            if isinstance(kind, NumberType):
                low, high = (Sum(Constant(0, 0, end, _BARE), end) for end in (kind.min, kind.max))
                raised = self._clamped("at_least", self.path.numbers[name], low)
                self.path.numbers[name] = self._clamped("at_most", raised, high)

    def _clamped(self, kind: str, value: Sum, limit: Sum) -> Sum:
        outside = self.path.compared("<" if kind == "at_least" else ">", value, limit)
        return limit if outside else value

    def _there(self, expression: Expression) -> Sum:
        found = self.number(expression)
        assert found is not None, "the loader lets no effect pass that may be missing"
        return found

    def look(self, expression: Expression) -> None:
        """Keep what a condition, or anything else that is no number, looks at."""
        match expression:
            case model.Compare(operator=operator, left=left, right=right) if isinstance(left.type, NumberType):
                first, second = self.number(left), self.number(right)
                if first is not None and second is not None:
                    self.path.compared(operator, first, second)
            case model.Member(operand=operand, elements=elements) if isinstance(operand.type, NumberType):
                wanted = self.number(operand)
                for element in elements:
                    found = self.number(element)
                    if wanted is not None and found is not None:
                        self.path.compared("==", wanted, found)
            case model.Presence(operand=operand) if isinstance(operand.type, NumberType):
                self.number(operand)
            case FactRef(group=group, name=name):
                self.path.facts[group, name] = None
            case _:
                for part in model.children(expression):
                    self.look(part)

    def number(self, expression: Expression) -> Sum | None:
        """A number as the facts it is made of; None where it is missing."""
        match expression:
            case Constant(value=value):
                return Sum(expression, float(value))
            case model.ParameterRef():
                return self._constant(self._value(expression))
            case FactRef(group=group, name=name):
                self.path.facts[group, name] = None
                value = self._value(expression)
                return None if isinstance(value, Missing) else Sum(replace(expression, start=0, end=0), float(value))
            case model.DecisionRef(name=name):
                return self.path.numbers[name]
            case model.Negative(operand=operand):
                found = self.number(operand)
                return None if found is None else self._negative(found)
            case model.Arithmetic(operator=operator):
                return self._arithmetic(operator, self.number(expression.left), self.number(expression.right))
            case model.Call():
                return self._call(expression)
        raise TypeError(expression)

    def _value(self, expression: Expression) -> Known:
        return evaluate(expression, self.env)

    @staticmethod
    def _constant(value: Known) -> Sum:
        assert isinstance(value, int | float)
        return Sum(Constant(0, 0, float(value), _BARE), float(value))

    @staticmethod
    def _negative(of: Sum) -> Sum:
        return Sum(model.Negative(0, 0, of.expression, _BARE), -of.value)

    @staticmethod
    def _made(operator: ArithmeticOperator, left: Sum, right: Sum, value: float) -> Sum:
        return Sum(model.Arithmetic(0, 0, operator, left.expression, right.expression, _BARE), value)

    def _arithmetic(self, operator: ArithmeticOperator, left: Sum | None, right: Sum | None) -> Sum | None:
        if left is None or right is None:
            return None
        if operator == "/" and self.path.compared("==", right, self._constant(0.0)):
            return None
        constants = model.Arithmetic(
            0, 0, operator, Constant(0, 0, left.value, _BARE), Constant(0, 0, right.value, _BARE), _BARE
        )
        value = self._value(constants)
        return None if isinstance(value, Missing) else self._made(operator, left, right, float(value))

    def _call(self, expression: model.Call) -> Sum | None:
        given = [self.number(argument) for argument in expression.arguments]
        numbers = [number for number in given if number is not None]
        if len(numbers) < len(given):
            return None
        result = numbers[0]
        if expression.function == "abs":
            return self._negative(result) if self.path.compared("<", result, self._constant(0.0)) else result
        for number in numbers[1:]:
            first = self.path.compared("<=" if expression.function == "min" else ">=", result, number)
            result = result if first else number
        return result


@dataclass(frozen=True, slots=True)
class Linear:
    """A sum of facts, each times an exact number, and a constant."""

    factors: tuple[tuple[FactRef, Fraction], ...]
    constant: Fraction


def linear(expression: Expression) -> Linear | None:
    """A number as such a sum; None if it is none."""
    match expression:
        case Constant(value=value):
            return Linear((), Fraction(float(value)))
        case FactRef():
            return Linear(((expression, Fraction(1)),), Fraction(0))
        case model.Negative(operand=operand):
            found = linear(operand)
            return None if found is None else _scaled(found, Fraction(-1))
        case model.Arithmetic(operator=operator):
            left, right = linear(expression.left), linear(expression.right)
            return None if left is None or right is None else _combined(operator, left, right)
    return None


def _combined(operator: str, left: Linear, right: Linear) -> Linear | None:
    match operator:
        case "+":
            return _added(left, right)
        case "-":
            return _added(left, _scaled(right, Fraction(-1)))
        case "*" if not left.factors or not right.factors:
            return _scaled(right, left.constant) if not left.factors else _scaled(left, right.constant)
        case "/" if not right.factors and right.constant:
            return _scaled(left, 1 / right.constant)
    return None


def _scaled(of: Linear, factor: Fraction) -> Linear:
    if not factor:
        return Linear((), Fraction(0))
    return Linear(tuple((fact, each * factor) for fact, each in of.factors), of.constant * factor)


def _added(left: Linear, right: Linear) -> Linear:
    factors: dict[FactRef, Fraction] = {}
    for fact, factor in (*left.factors, *right.factors):
        factors[fact] = factors.get(fact, Fraction(0)) + factor
    kept = tuple((fact, factor) for fact, factor in factors.items() if factor)
    return Linear(kept, left.constant + right.constant)


def difference(comparison: Compare) -> Linear | None:
    """What a comparison compares with 0: its left side less its right one."""
    left, right = linear(comparison.left), linear(comparison.right)
    return None if left is None or right is None else _combined("-", left, right)


def threshold(comparison: Compare) -> tuple[Key, Fraction] | None:
    """The fact and the number that a comparison compares it with; None for all others."""
    found = difference(comparison)
    if found is None or len(found.factors) != 1:
        return None
    ((fact, factor),) = found.factors
    return (fact.group, fact.name), -found.constant / factor


def comparisons_in(policy: Policy, values: Mapping[str, Value]) -> Iterator[Compare]:
    """Every comparison of numbers in the rules of a policy that is of facts alone, parameters as their values."""
    for step in policy.steps:
        for expression in expressions_in(step):
            for part in walk(expression):
                if isinstance(part, Compare) and isinstance(part.left.type, NumberType):
                    filled = replace(part, left=_filled(part.left, values), right=_filled(part.right, values))
                    if not any(isinstance(each, model.DecisionRef | model.ParameterRef) for each in walk(filled)):
                        yield filled


def _filled(expression: Expression, values: Mapping[str, Value]) -> Expression:
    """An expression with parameters as their values."""
    match expression:
        case model.ParameterRef(ruleset=owner, name=name):
            return Constant(0, 0, values[f"{owner}.{name}"], expression.type)
        case model.Negative(operand=operand):
            return replace(expression, operand=_filled(operand, values))
        case model.Arithmetic(left=left, right=right):
            return replace(expression, left=_filled(left, values), right=_filled(right, values))
        case model.Call(arguments=arguments):
            return replace(expression, arguments=tuple(_filled(each, values) for each in arguments))
    return expression
