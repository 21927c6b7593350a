"""Inputs of one step that lie on the boundaries of its conditions: where two engines that differ would be seen to.

A number is taken at every literal it stands against, at the doubles next to it, and at the ends of its range; a choice
at each of its values, a flag at both, a text at those written and one other, and every fact is missing as well. Where a
comparison reads several names, its boundary is searched: with the others fixed, one name is moved until its two sides
are neighbouring doubles.

Each such value is put into inputs under which its rule is looked at, and into some under which the rule matches, found
by the interpreter among random ones, or by a search from these. The random numbers come from a fixed seed: equal steps
have equal inputs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Final

from engine.backends.interpreter import look
from engine.language import model
from engine.language.evaluate import Environment, Known, Missing, evaluate
from engine.language.model import Compare, Expression, Leaf, Member, Step, walk
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

Names = Mapping[str, Known]
"""Every name that a step reads, with its value or why it has none."""

POOL: Final = 300
"""Random inputs of a step; those that reach a rule are what its boundaries are put into."""

BASES: Final = 2
"""Of these, inputs that a boundary is put into: so many under which its rule matches, and so many under which not."""

RESTARTS: Final = 6
MOVES: Final = 60
"""Where the pool holds none, one is searched from so many inputs of it, in so many changes of one name."""

_SEED: Final = 20_231_114
_OTHER_TEXT: Final = "another"


@dataclass(frozen=True, slots=True)
class _Read:
    """A name that a step reads."""

    name: str
    type: Type
    missable: bool


def boundary_inputs(step: Step, values: Mapping[str, Value]) -> Iterator[Names]:
    """Inputs of a step under bound values (`set.param` to value), each once, in an order that never changes."""
    yield from _Inputs(step, values).all()


class _Inputs:
    def __init__(self, step: Step, values: Mapping[str, Value]) -> None:
        self._step = step
        self._values = values
        self._random = Random(_SEED)
        self._reads = _reads(step)
        self._known = {name: self._values_of(read) for name, read in self._reads.items()}
        self._reads_of = [_names(*(leaf.written.expression for leaf in rule.leaves())) for rule in step.rules]
        self._pool = [self._any() for _ in range(POOL)] if self._reads else [{}]

    def all(self) -> Iterator[Names]:
        seen: set[tuple[object, ...]] = set()
        for names in self._unfiltered():
            # 0.0 and -0.0 are equal, and so are 1.0 and True: the text tells them apart.
            key = tuple(map(repr, names.values()))
            if key not in seen:
                seen.add(key)
                yield names

    def _unfiltered(self) -> Iterator[Names]:
        yield from self._pool
        for number, rule in enumerate(self._step.rules):
            bases = self._bases(number)
            for leaf in rule.leaves():
                for base in bases:
                    yield from self._around(leaf, base)

    def _around(self, leaf: Leaf, base: dict[str, Known]) -> Iterator[Names]:
        """The base with each value of each name of a leaf in its place, and at the leaf's own boundaries."""
        expression = leaf.written.expression
        for name in _names(expression):
            for value in self._choices_of(name):
                yield {**base, name: value}
        for left, right in _compared(expression):
            inner = [name for name in _names(left, right) if isinstance(self._reads[name].type, NumberType)]
            if len(inner) > 1:
                comparison = Compare(0, 0, "<=", left, right)
                for name in inner:
                    for value in self._turning_points(comparison, name, base):
                        yield {**base, name: value}

    def _turning_points(self, comparison: Compare, name: str, base: dict[str, Known]) -> Iterator[float]:
        """Neighbouring doubles of a name between which a comparison turns, the other names as they are."""

        def holds(value: float) -> Known:
            return evaluate(comparison, Environment({**base, name: value}, self._values))

        points = sorted(float(value) for value in self._known[name])
        truths = [holds(point) for point in points]
        for low, high, below, above in zip(points, points[1:], truths, truths[1:], strict=False):
            if below is above or isinstance(below, Missing) or isinstance(above, Missing):
                continue
            first, last = _order(low), _order(high)
            while last - first > 1:
                middle = (first + last) // 2
                first, last = (middle, last) if holds(_double(middle)) is below else (first, middle)
            yield _double(first)
            yield _double(last)
            yield _within(math.nextafter(_double(last), math.inf), self._reads[name].type)

    # Bases -----------------------------------------------------------------------------------------------------

    def _bases(self, number: int) -> list[dict[str, Known]]:
        """Inputs under which a rule is looked at: some where it matches, some where it does not."""
        bases = []
        for wanted in (True, False):
            found = (names for names in self._pool if self._distance(number, names, wanted=wanted) == 0)
            bases += list(islice(found, BASES)) or self._searched(number, wanted=wanted)
        return bases or self._pool[:BASES]

    def _distance(self, number: int, names: Names, *, wanted: bool) -> int:
        """How far a rule is from being looked at and matching as wanted; 0 where it is there."""
        env = Environment(names, self._values)
        rule = self._step.rules[number]
        before = self._step.rules[:number] if self._step.hit == "first" else ()
        in_the_way = sum(look(earlier, env).matched for earlier in before)
        seen = look(rule, env)
        off = 0 if seen.matched == wanted else 1 + sum(truth is not wanted for truth in seen.leaves)
        return in_the_way * (1 + len(rule.leaves())) + off

    def _searched(self, number: int, *, wanted: bool) -> list[dict[str, Known]]:
        """One such input, by changing one name at a time for the better; none where that leads nowhere."""
        if not wanted and self._step.rules[number].condition is None:
            return []
        moved = self._reads_of[number] if self._step.hit == "veto" else self._reads_up_to(number)
        for names in self._pool[:RESTARTS] if moved else ():
            here, distance = names, self._distance(number, names, wanted=wanted)
            for _ in range(MOVES):
                if distance == 0:
                    return [here]
                name = self._random.choice(moved)
                tried = [{**here, name: value} for value in self._choices_of(name)]
                self._random.shuffle(tried)
                nearest = min(tried, key=lambda names: self._distance(number, names, wanted=wanted))
                here, distance = nearest, self._distance(number, nearest, wanted=wanted)
        return []

    def _reads_up_to(self, number: int) -> list[str]:
        return list(dict.fromkeys(name for names in self._reads_of[: number + 1] for name in names))

    def _any(self) -> dict[str, Known]:
        return {name: self._random.choice(self._choices_of(name)) for name in self._reads}

    def _choices_of(self, name: str) -> tuple[Known, ...]:
        known: tuple[Known, ...] = self._known[name]
        return (*known, Missing.ABSENT) if self._reads[name].missable else known

    # Values ----------------------------------------------------------------------------------------------------

    def _values_of(self, read: _Read) -> tuple[Value, ...]:
        match read.type:
            case FlagType():
                return (True, False)
            case ChoiceType(of=of):
                return of
            case NumberType(min=low, max=high):
                literals = [float(value) for value in self._literals(read.name)]
                points = [low, high, low / 2 + high / 2, 0.0, *literals]
                near = [near for point in points for near in _neighbours(point)]
                return tuple(sorted({value for value in near if low <= value <= high}))
        return tuple(dict.fromkeys([*map(str, self._literals(read.name)), "", _OTHER_TEXT]))

    def _literals(self, name: str) -> Iterator[Value]:
        """What a name alone is compared with, where no other name stands there."""
        for rule in self._step.rules:
            for leaf in rule.leaves():
                for left, right in _compared(leaf.written.expression):
                    for side, other in ((left, right), (right, left)):
                        if _is_name(side, name) and not _names(other):
                            value = evaluate(other, Environment({}, self._values))
                            if not isinstance(value, Missing):
                                yield value


def _reads(step: Step) -> dict[str, _Read]:
    """Every name that a step reads, in the order written."""
    written = [leaf.written for rule in step.rules for leaf in rule.leaves()]
    written += [effect.value for rule in step.rules for effect in rule.effects]
    found: dict[str, _Read] = {}
    for text in written:
        for part in walk(text.expression):
            if isinstance(part, model.FactRef | model.DecisionRef):
                found.setdefault(part.name, _Read(part.name, part.type, isinstance(part, model.FactRef)))
    return found


def _compared(expression: Expression) -> Iterator[tuple[Expression, Expression]]:
    """The two sides of every comparison in an expression."""
    for part in walk(expression):
        match part:
            case Compare(left=left, right=right):
                yield left, right
            case Member(operand=operand, elements=elements):
                yield from ((operand, element) for element in elements)


def _names(*expressions: Expression) -> list[str]:
    parts = (part for expression in expressions for part in walk(expression))
    return list(dict.fromkeys(part.name for part in parts if isinstance(part, model.FactRef | model.DecisionRef)))


def _is_name(expression: Expression, name: str) -> bool:
    return isinstance(expression, model.FactRef | model.DecisionRef) and expression.name == name


def _neighbours(value: float) -> tuple[float, float, float]:
    return math.nextafter(value, -math.inf), value, math.nextafter(value, math.inf)


def _within(value: float, kind: Type) -> float:
    assert isinstance(kind, NumberType)
    return min(max(value, kind.min), kind.max)


def _order(value: float) -> int:
    """The place of a double among all of them: neighbours are 1 apart, and both zeros are 0."""
    bits: int = struct.unpack(">q", struct.pack(">d", value))[0]
    return bits if bits >= 0 else -(bits & (2**63 - 1))


def _double(order: int) -> float:
    """The double at a place."""
    bits = order if order >= 0 else -order | -(2**63)
    found: float = struct.unpack(">d", struct.pack(">q", bits))[0]
    return found
