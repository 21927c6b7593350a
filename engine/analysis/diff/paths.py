"""What a run saw of its facts: every comparison on its way, in the facts' own terms.

In: a run of the interpreter. Out: a `Path`: the facts that were looked at, and the comparisons of numbers, with
decisions written out as the facts they were made of, parameters as their values, and `min`, `max`, `abs` and clamps as
the argument they came to. Whatever input agrees with all of these goes the same way, and so decides the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from engine.analysis.diff.exact import Way
from engine.analysis.diff.reach import steps_for
from engine.backends.interpreter import RuleTrace, StepTrace
from engine.backends.solver.space import Key
from engine.language import model
from engine.language.evaluate import Environment, Known, Missing, compare, evaluate, number
from engine.language.model import Compare, Constant, Effect, Expression, FactRef, Policy, Step, expressions_in, walk
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
    """A number on a path: made of facts and constants alone, and what it came to: a double, or exact."""

    expression: Expression
    value: float


@dataclass(frozen=True, slots=True)
class Running:
    """A number of an `each` set on one side, before a rule that clamps it."""

    rule: str
    """`set.rule`."""
    name: str


@dataclass
class Path:
    """What a run looked at, up to the decision that is asked for."""

    facts: dict[Key, None] = field(default_factory=dict)
    seen: dict[Compare, bool] = field(default_factory=dict)
    numbers: dict[str, Sum] = field(default_factory=dict)
    """Decided numbers, as the facts they are made of."""
    running: dict[Running, float] = field(default_factory=dict)
    """What numbers were before rules that clamp them."""

    def compared(self, operator: Comparator, left: Sum, right: Sum) -> bool:
        """Compare two numbers and keep that it was done."""
        held = compare(operator, left.value, right.value, _BARE)
        if not (isinstance(left.expression, Constant) and isinstance(right.expression, Constant)):
            self.seen[Compare(0, 0, operator, left.expression, right.expression)] = held
        return held


def follow(way: Way, decision: str, *, into_clamps: bool = True) -> Path:
    """The path of a run to a decision.

    What a constant clamps is compared with that in the facts' own terms, or (not `into_clamps`) only as a sum.
    """
    wanted = {step.ruleset for step in steps_for(way.side.policy.steps, decision)}
    path = Path()
    for step in way.steps:
        if step.step.ruleset in wanted:
            _Follower(path, Environment(step.names, way.side.binding.values), into_clamps).step(step)
    return path


@dataclass(frozen=True, slots=True)
class _Follower:
    """Follows one step."""

    path: Path
    env: Environment
    into_clamps: bool

    def step(self, done: StepTrace) -> None:
        for looked in done.rules:
            for leaf in looked.rule.leaves():
                self.look(leaf.written.expression)
        match done.step.hit:
            case "first":
                for effect in done.rules[-1].rule.effects:  # the one that matched
                    self._set(effect.name, effect.value.expression)
            case "each":
                self._each(done.step, done.rules)
            case "veto":
                pass  # a flag that the conditions looked at decide

    def _set(self, name: str, expression: Expression) -> None:
        if isinstance(expression.type, NumberType):
            self.path.numbers[name] = self._there(expression)
        else:
            self.look(expression)

    def _each(self, step: Step, rules: Sequence[RuleTrace]) -> None:
        for name, start in step.start:
            self._set(name, start.expression)
        for looked in rules:
            for effect in looked.rule.effects:
                if effect.kind in ("at_least", "at_most"):
                    running = Running(looked.rule.full_id, effect.name)
                    self.path.running.setdefault(running, self.path.numbers[effect.name].value)
                if looked.matched:
                    self._apply(effect)
        for name, kind in step.sets:
            if isinstance(kind, NumberType):
                low, high = self._constant(kind.min), self._constant(kind.max)
                raised = self._clamped("at_least", self.path.numbers[name], low)
                self.path.numbers[name] = self._clamped("at_most", raised, high)

    def _apply(self, effect: Effect) -> None:
        if effect.kind == "set":
            self._set(effect.name, effect.value.expression)
            return
        before, given = self.path.numbers[effect.name], self._there(effect.value.expression)
        if effect.kind == "add":
            after = self._made("+", before, given, before.value + given.value)
        elif self.into_clamps or not isinstance(given.expression, Constant):
            after = self._clamped(effect.kind, before, given)
        else:
            outside = compare("<" if effect.kind == "at_least" else ">", before.value, given.value, _BARE)
            after = given if outside else before
        self.path.numbers[effect.name] = after

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
                return self._constant(value)
            case model.ParameterRef():
                return self._constant(self._value(expression))
            case FactRef(group=group, name=name):
                self.path.facts[group, name] = None
                value = self._value(expression)
                return None if isinstance(value, Missing) else Sum(replace(expression, start=0, end=0), number(value))
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
        assert not isinstance(value, str)
        return Sum(Constant(0, 0, float(value), _BARE), value)  # a literal or a parameter: a double either way

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
        return None if isinstance(value, Missing) else self._made(operator, left, right, number(value))

    def _call(self, expression: model.Call) -> Sum | None:
        given = [self.number(argument) for argument in expression.arguments]
        numbers = [number for number in given if number is not None]
        if len(numbers) < len(given):
            return None
        result = numbers[0]
        if expression.function == "abs":
            return self._negative(result) if self.path.compared("<", result, self._constant(0.0)) else result
        for other in numbers[1:]:
            first = self.path.compared("<=" if expression.function == "min" else ">=", result, other)
            result = result if first else other
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


def clamps_in(policy: Policy, values: Mapping[str, Value]) -> Iterator[tuple[Running, Fraction]]:
    """Every number that a rule of an `each` set clamps by a constant, with what it is clamped to."""
    for step in policy.steps:
        for rule in step.rules:
            for effect in rule.effects:
                if effect.kind in ("at_least", "at_most"):
                    limit = linear(_filled(effect.value.expression, values))
                    if limit is not None and not limit.factors:
                        yield Running(rule.full_id, effect.name), limit.constant
