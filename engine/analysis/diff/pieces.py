"""What regions are made of: conditions on facts that hold of an input, each of which can be dropped by itself.

In: an input and the paths that it takes on both sides. Out: `Piece`s that hold of it, and that together imply that any
other input goes the same ways: whether a fact is known, bounds on it, its value, what facts compare as, how old groups
are where both sides do not agree on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice, pairwise
from typing import Literal, TypeGuard, cast

import z3

from engine.analysis.diff.exact import Sight, Way, is_set
from engine.analysis.diff.paths import Path, Running, threshold
from engine.analysis.diff.switchboard import Switchboard
from engine.analysis.diff.transitions import Bound
from engine.analysis.proofs.asking import Answer, Confirm, Proven, Refuted, Undecided
from engine.backends.solver.encode import truth_over
from engine.backends.solver.space import Key, Point, Space, fraction_of
from engine.backends.solver.terms import Bit, Number, Real, Term, compare_reals, conj, disj, missing_of, neg
from engine.language.evaluate import Known, Missing, compare, number
from engine.language.model import Compare, Expression, FactRef, walk
from engine.language.syntax import Comparator
from engine.language.types import NumberType, Value

_NUMBER = NumberType("any", 0.0, 0.0)
_OPPOSITE: Mapping[Comparator, Comparator] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}

End = Literal["lower", "upper"]
_NEXT_TO = Fraction(1, 10**6)
"""How far from an input around which no region is found others are looked for, as a share of each number."""
ENDS: tuple[End, ...] = ("lower", "upper")


@dataclass(frozen=True, slots=True)
class Clamped:
    """A number before a rule clamps it: on one side (0 or 1), or on both alike (None)."""

    side: Literal[0, 1] | None
    running: Running


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A condition that can be dropped by itself, with its meaning as a bit."""

    kind: Literal["known", "missing", "lower", "upper", "values", "relation", "age lower", "age upper", "sum"]
    bit: Bit
    key: Key = ("", "")
    bound: Bound | None = None
    values: tuple[str, ...] = ()
    relation: Compare | None = None
    sum: Clamped | None = None
    end: End = "lower"
    """Of a sum: which end its bound is."""

    @property
    def meaning(self) -> tuple[object, ...]:
        """What it says, for those that say the same."""
        return self.kind, self.key, self.bound, self.values, self.relation, self.sum, self.end


@dataclass
class Terrain:
    """A space of two sides, and what regions in it are made of."""

    space: Space
    facts: tuple[Mapping[str, Term], Mapping[str, Term]]
    """What each side makes of an input."""
    sums: Mapping[Clamped, z3.ArithRef]
    """Numbers before rules that clamp them by constants, as terms."""
    thresholds: dict[Key | Clamped, set[Fraction]]
    """Numbers that a fact or a sum is compared with: by rules of either side, and on the paths seen so far."""
    relations: dict[Compare, None]
    """Other comparisons of facts: in rules of either side, and on the paths seen so far."""
    asker: Switchboard
    _gone: dict[Key, Bit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        readers: dict[Key, list[Term]] = {}
        for side, terms in zip(self.space.sides, self.facts, strict=False):
            for group in side.policy.groups:
                for fact in group.facts:
                    readers.setdefault((group.name, fact.name), []).append(terms[fact.name])
        self._gone = {key: conj(*(missing_of(term) for term in terms)) for key, terms in readers.items()}

    def gone(self, key: Key) -> Bit:
        """Where no side that reads a fact has a value of it."""
        return self._gone[key]

    def pieces(self, sight: Sight, paths: Sequence[Path]) -> list[Piece]:
        """What holds of an input and implies that any other with the same goes the same ways."""
        keys = list(dict.fromkeys(key for path in paths for key in path.facts))
        apart = [*self._apart(sight, keys)]
        keys = list(dict.fromkeys((*keys, *(key for key, _ in apart))))
        seen = (threshold(comparison) for path in paths for comparison in path.seen)
        for key, values in (*((each[0], {each[1]}) for each in seen if each is not None), *apart):
            self.thresholds.setdefault(key, set()).update(values)
        found: list[Piece] = []
        for key in keys:
            found += self._of_fact(key, sight)
        for path in paths:
            for comparison, held in path.seen.items():
                if threshold(comparison) is None:
                    self.relations[comparison] = None
                    found += self.relation(comparison, held=held)
        found += self._broken(sight)
        return [*found, *self._ages(sight.point)]

    def sums_on(self, paths: Sequence[Path]) -> Iterator[Piece]:
        """Between which limits the sums were that rules clamp; those of later rules first, since these go first."""
        for clamped in reversed(tuple(self.sums)):
            value = paths[clamped.side or 0].running.get(clamped.running)
            if value is not None:
                for end in ENDS:
                    holding = [bound for bound in self.bounds(end, clamped) if _within(value, end, bound)]
                    yield from (self.sum_bound(end, clamped, bound) for bound in holding[-1:])

    def sum_bound(self, end: End, clamped: Clamped, bound: Bound) -> Piece:
        """That a sum lies within an end of a range."""
        held = _compared(end, self.sums[clamped], bound)
        return Piece("sum", held, bound=bound, sum=clamped, end=end)

    def _apart(self, sight: Sight, keys: Sequence[Key]) -> Iterator[tuple[Key, set[Fraction]]]:
        """Facts whose ranges differ, with the ends of both: beyond one of them a side has no value."""
        for key in keys:
            numbers = [kind for way in sight.ways if isinstance(kind := _type_of(way, key), NumberType)]
            if len({(kind.min, kind.max) for kind in numbers}) > 1 and sight.point.given[key] is not None:
                yield key, {Fraction(end) for kind in numbers for end in (kind.min, kind.max)}

    def _of_fact(self, key: Key, sight: Sight) -> list[Piece]:
        gone, value, variable = self.gone(key), _known(key, sight), self.space.variables[key]
        if isinstance(value, Missing):
            return [Piece("missing", gone, key)]
        found = [Piece("known", neg(gone), key)]
        if variable.number is not None:
            for kind in ENDS:
                holding = [bound for bound in self.bounds(kind, key) if _within(value, kind, bound)]
                found += [self.bound(kind, key, bound) for bound in holding[-1:]]
            return found
        return [*found, self.values_in(key, (text_of(value),))]

    def bounds(self, kind: End, key: Key | Clamped) -> list[Bound]:
        """All ends of ranges there are for a fact or a sum, the widest range first.

        Of a fact those within its own range: a rule may compare it with what it never is.
        """
        limits = sorted(self.thresholds.get(key, ()), reverse=kind == "upper")
        if isinstance(key, Clamped):
            return [Bound(limit, inclusive) for limit in limits for inclusive in (True, False)]
        low, high = self.space.ends(key)
        nearest, farthest = (low, high) if kind == "lower" else (high, low)
        return [
            Bound(limit, inclusive)
            for limit in limits
            if low <= limit <= high
            for inclusive in (True, False)
            if limit != (nearest if inclusive else farthest)
        ]

    def bound(self, kind: End, key: Key, bound: Bound) -> Piece:
        """That a fact lies within an end of a range where it is known."""
        number = self.space.variables[key].number
        assert number is not None
        return Piece(kind, disj(self.gone(key), _compared(kind, number, bound)), key, bound)

    def values_in(self, key: Key, values: tuple[str, ...]) -> Piece:
        """That a fact has one of these values where it is known."""
        variable = self.space.variables[key]
        if variable.flag is not None:
            bits: list[Bit] = [variable.flag if value == "true" else neg(variable.flag) for value in values]
        else:
            bits = [variable.options[value] for value in values]
        return Piece("values", disj(self.gone(key), *bits), key, values=values)

    def relation(self, comparison: Compare, *, held: bool) -> list[Piece]:
        """That a comparison of facts comes to that where they are known; nothing for one that has no facts."""
        facts = list(keys_in(comparison))
        if not facts:
            return []
        wanted = comparison if held else replace(comparison, operator=_OPPOSITE[comparison.operator])
        names: dict[str, Term] = {}
        if len({name for _, name in facts}) < len(facts):  # one name in two groups: it cannot be written as one rule
            return []
        for key in facts:
            number = self.space.variables[key].number
            assert number is not None
            names[key[1]] = Number(number, self.gone(key))
        return [Piece("relation", neg(truth_over(names, wanted).false), relation=wanted)]

    def _broken(self, sight: Sight) -> Iterator[Piece]:
        """Relations that one side alone has: broken, they make a fact invalid for that side."""
        mine, others = (
            {relation for group in way.side.policy.groups for relation in group.relations} for way in sight.ways
        )
        if mine == others:
            return
        for way in sight.ways:
            for group in way.side.policy.groups:
                for relation in group.relations:
                    ends = [(group.name, name) for name in (relation.left, relation.right)]
                    left, right = (sight.point.given[key] for key in ends)
                    if relation in mine & others or not _is_number(left) or not _is_number(right):
                        continue
                    first, second = (FactRef(0, 0, *key, _NUMBER) for key in ends)
                    comparison = Compare(0, 0, relation.operator, first, second)
                    yield from self.relation(comparison, held=compare(relation.operator, left, right, _NUMBER))

    def _ages(self, point: Point) -> Iterator[Piece]:
        """How old groups are where the limits differ: on which side of each limit."""
        for group, age in point.ages.items():
            term = self.space.ages[group]
            for bound in self._age_limits(group):
                older = _within(age, "lower", bound)
                sign: Comparator = (">=" if bound.inclusive else ">") if older else ("<" if bound.inclusive else "<=")
                end = bound if older else Bound(bound.value, not bound.inclusive)
                kind: Literal["age lower", "age upper"] = "age lower" if older else "age upper"
                yield Piece(kind, compare_reals(sign, term, bound.value), (group, ""), end)

    def _age_limits(self, group: str) -> list[Bound]:
        """Ages from which on something changes: beyond a limit a group is stale, and exactly so far ahead it is not."""
        found: dict[Bound, None] = {}
        for side in self.space.sides:
            for each in side.policy.groups:
                limit = side.limit(each.max_age)
                if each.name == group and limit is not None:
                    found[Bound(Fraction(limit), inclusive=False)] = None
            ahead = side.limit(side.rulebook.max_ahead)
            if ahead is not None:
                found[Bound(Fraction(-ahead), inclusive=True)] = None
        return sorted(found, key=lambda bound: bound.value)

    def find(self, wanted: Sequence[Bit], confirm: Confirm) -> Answer:
        """Whether any input does what is wanted, one of plain numbers if there is one."""
        found = self.model(wanted)
        if not isinstance(found, z3.ModelRef):
            return found
        point = self.space.point(found)
        if confirm((point,)):
            return Refuted((point,))
        return self.asker.find(wanted, lambda found: (self.space.point(found),), confirm)

    def model(self, wanted: Sequence[Bit]) -> z3.ModelRef | Proven | Undecided:
        """An input that does what is wanted, as the solver has it: of plain numbers if there is one."""
        found = self.asker.model(*wanted)
        if not isinstance(found, z3.ModelRef):
            return found
        plain = self.asker.model(*wanted, self._plain())
        return plain if isinstance(plain, z3.ModelRef) else found

    def near(self, found: z3.ModelRef) -> str:
        """An input in words: the numbers that are roots, if there are any; else all facts that are there."""
        given = self.space.point(found).given
        known = ((key[1], given[key]) for key in self._telling(found))
        texts = (
            f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {text_of(value)}"
            for name, value in known
            if value is not None
        )
        return ", ".join(texts) or "no facts at all"

    def elsewhere(self, found: z3.ModelRef) -> Bit:
        """Not next to an input: a number is farther off, or a fact is there that was not, or has another value.

        Where numbers are roots, which nothing that is written comes to exactly, these alone are asked to be elsewhere.
        """
        bits: list[Bit] = []
        for key in self._telling(found):
            variable = self.space.variables[key]
            gone = is_set(found, variable.gap)
            bits.append(neg(variable.gap) if gone else variable.gap)
            if gone:
                continue
            if variable.number is not None:
                value = fraction_of(found, variable.number)
                reach = max(abs(value), Fraction(1)) * _NEXT_TO
                bits.append(compare_reals("<", variable.number, value - reach))
                bits.append(compare_reals(">", variable.number, value + reach))
            else:
                flags = [variable.flag] if variable.flag is not None else list(variable.options.values())
                bits += [neg(bit) if is_set(found, bit) else bit for bit in flags]
        return disj(*bits)

    def _telling(self, found: z3.ModelRef) -> list[Key]:
        roots = [
            key
            for key, variable in self.space.variables.items()
            if variable.number is not None and z3.is_algebraic_value(found.eval(variable.number))
        ]
        return roots or list(self.space.variables)

    def _plain(self) -> Bit:
        """Inputs of plain numbers: on a number that a fact is compared with, or well between two of them.

        A solver likes the very edge of what it is asked for, where doubles round to the other side.
        """
        bits: list[Bit] = []
        for key, variable in self.space.variables.items():
            number, kind = variable.number, variable.type
            if number is not None and isinstance(kind, NumberType):
                values = _plain_values(self.thresholds.get(key, ()), kind)
                bits.append(disj(variable.gap, *(compare_reals("==", number, Fraction(value)) for value in values)))
        return conj(*bits)

    def all_values(self, key: Key) -> list[str]:
        """What a fact that is no number may be."""
        variable = self.space.variables[key]
        return ["true", "false"] if variable.flag is not None else list(variable.options)


_PLAIN = (0.0, 1.0, 100.0)
"""Tried for numbers that nothing is compared with by themselves."""


def _plain_values(limits: Iterable[Fraction], kind: NumberType) -> list[float]:
    """Short doubles within a range: one on each limit that is a double, and one within each gap between them."""
    low, high = Fraction(kind.min), Fraction(kind.max)
    inside = sorted({limit for limit in limits if low <= limit <= high})
    if not inside:
        return [value for value in _PLAIN if low <= value <= high] or [kind.min]
    ends = [max(low, inside[0] - 1), *inside, min(high, inside[-1] + 1)]
    found = {float(limit) for limit in ends if Fraction(float(limit)) == limit}
    for left, right in pairwise(ends):
        middle = float((left + right) / 2)
        shorts = (float(f"{middle:.{digits}g}") for digits in range(1, 18))
        found.update(islice((short for short in shorts if left < Fraction(short) < right), 1))
    return sorted(found)


def _type_of(way: Way, key: Key) -> object:
    for group in way.side.policy.groups:
        if group.name == key[0]:
            return next((fact.type for fact in group.facts if fact.name == key[1]), None)
    return None


def _known(key: Key, sight: Sight) -> Known:
    """The value of a fact, if any side has it."""
    had = any(_type_of(way, key) is not None and not isinstance(way.names[key[1]], Missing) for way in sight.ways)
    value = sight.point.given[key]
    return value if had and value is not None else Missing.ABSENT


def _compared(end: End, number: Real, bound: Bound) -> Bit:
    sign: Comparator = ">" if end == "lower" else "<"
    return compare_reals(cast("Comparator", f"{sign}=") if bound.inclusive else sign, number, bound.value)


def _is_number(value: Value | None) -> TypeGuard[float]:
    """Whether it is a double, or exact."""
    return isinstance(value, float | Fraction)


def text_of(value: float | bool | str) -> str:
    """A value as conditions list it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _within(value: Value, end: End, bound: Bound) -> bool:
    exact = Fraction(number(value))
    inside = exact > bound.value if end == "lower" else exact < bound.value
    return inside or (bound.inclusive and exact == bound.value)


def keys_in(expression: Expression) -> dict[Key, None]:
    """The facts of an expression."""
    return {(part.group, part.name): None for part in walk(expression) if isinstance(part, FactRef)}
