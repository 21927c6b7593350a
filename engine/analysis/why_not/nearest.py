"""The fewest of several things to change, and of those the smallest: what both kinds of changes are found by.

In: what may change (`Movable`), and what has to hold then. The solver says which few things can change at all, one set
of them after the other, each cheaper than what was found before; of a set, how little is the least (the infimum, where
a bound is strict). What is there in exact numbers becomes doubles that people can read, and counts only if whoever
asked confirms it. Where a product of two of them is too much for the solver, all of its factors but one stay as they
are, in turn, which leaves questions that it always answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, islice
from typing import Generic, TypeVar

import z3

from engine.analysis.proofs.asking import Budget
from engine.analysis.why_not.rounding import is_whole, start_of
from engine.analysis.why_not.wish import Wish
from engine.backends.solver.asked import optimizer, solver
from engine.backends.solver.space import fraction_of
from engine.backends.solver.terms import Bit, Term, compare_reals, conj, disj, lift, lift_bit, neg
from engine.backends.solver.turns import go_on
from engine.language.types import NumberType

T = TypeVar("T")

_TRIES = 12
"""Sets of changes of which none is confirmed before it is given up."""
_SLACKS = (Fraction(1, 10**9), Fraction(1, 10**6), Fraction(1, 10**3))
"""How far from the least a model may be, where the least itself is none, or is none in doubles."""
_HALVINGS = 40
"""Times that what a change costs is halved in on, where its parts are multiplied."""
_FIRST = 16
"""By what it is divided as long as nothing is known to cost too little."""
_CLOSE = Fraction(1, 10**5)
"""Between what a change costs and what none costs: then it is the least."""
_RESTRICTIONS = 32
"""Ways to keep factors as they are that are tried."""


@dataclass(frozen=True)
class Movable:
    """One thing that may change: where it is another than now, and of a number what it is and how far off."""

    name: str
    changed: Bit
    number: z3.ArithRef | None = None
    now: float | None = None
    """What a number is now; None where it has no value."""
    distance: z3.ArithRef | None = None


def movable_number(
    name: str, number: z3.ArithRef, changed: Bit, now: float | None, kind: NumberType
) -> tuple[Movable, list[Bit]]:
    """A number that may change, and what holds of it.

    How far off it is, is relative to what it is now (to its range, where that is 0 or nothing). A count is whole
    where it is another than now.
    """
    scale = Fraction(abs(now)) if now else Fraction(kind.max) - Fraction(kind.min) or Fraction(1)
    distance = z3.Real(f"{name} moved")
    apart = (number - lift(Fraction(start_of(now, kind)))) / lift(scale)
    holds: list[Bit] = [distance >= apart, distance >= -apart]
    if is_whole(kind):
        holds.append(disj(neg(changed), number == z3.ToReal(z3.Int(f"{name} counted"))))
    return Movable(name, changed, number, now, distance), holds


def is_true(model: z3.ModelRef, bit: Bit) -> bool:
    """Whether a bit is set in a model."""
    return bit if isinstance(bit, bool) else bool(z3.is_true(model.eval(bit, model_completion=True)))


# --- the search ------------------------------------------------------------------------------------------------------


@dataclass
class Nearest(Generic[T]):
    """Asks for the fewest changes, and of those the smallest that `confirm` makes something of."""

    movables: Sequence[Movable]
    holds: Sequence[Bit]
    wish: Wish
    decided: Term
    """What is wished for, as a term."""
    confirm: Callable[[z3.ModelRef], T | None]
    budget: Budget
    found: T | None = field(default=None, init=False)
    gave_up: bool = field(default=False, init=False)
    """Unset, nothing found means that there is nothing, and what was found is the smallest. What is there in exact
    numbers, and was not confirmed, may be there in doubles too."""
    _cost: tuple[int, Fraction] | None = field(default=None, init=False)
    _unconfirmed: int = field(default=0, init=False)

    def search(self) -> T | None:
        """The smallest change, or the smallest that was found in time."""
        holds = [*self.holds, self.wish.where(self.decided)]
        factors = list(self._factors(holds))
        try:
            rounded = self._holds_now(holds)
            if rounded:
                holds = [*self.holds, self.wish.clearly(self.decided)]
            self._search(holds, Budget(self.budget.left_s / 2) if factors else self.budget)
            self.gave_up |= rounded and self.found is None
        except _GaveUpError:
            self.gave_up = True
            for kept in islice(_covers(factors), _RESTRICTIONS):
                same = [each for each in self.movables if each.name in kept]
                with suppress(_GaveUpError):  # what other factors may give is asked all the same
                    self._search(_with_now(holds, same), self.budget)
        return self.found

    def _holds_now(self, holds: Sequence[Bit]) -> bool:
        """Whether exact numbers give what is wished as it is, and only doubles do not."""
        return _Asker([*holds, *(neg(each.changed) for each in self.movables)], self.budget).model() is not None

    def _search(self, holds: Sequence[Bit], budget: Budget) -> None:
        """Search sets of changes, the fewest first, each cheaper than what was found, until there is none."""
        asker = _Asker(holds, budget)
        changed = [lift_bit(each.changed) for each in self.movables]
        most = 1
        while most <= len(changed) and (self._cost is None or most <= self._cost[0]) and asker.model() is not None:
            while (model := asker.model(z3.AtMost(*changed, most), *self._cheaper(most))) is not None:
                chosen = [each for each in self.movables if is_true(model, each.changed)]
                asker.add(neg(conj(*(each.changed for each in chosen))))
                if not self._take(chosen, model, holds, budget):
                    self._unconfirmed += 1
                    self.gave_up = True
                    if self._unconfirmed >= _TRIES:
                        return
            most += 1

    def _cheaper(self, most: int) -> list[Bit]:
        if self._cost is None or self._cost[0] > most:
            return []
        return [compare_reals("<", _total(self.movables), self._cost[1])]

    def _take(self, chosen: Sequence[Movable], model: z3.ModelRef, holds: Sequence[Bit], budget: Budget) -> bool:
        """Keep the least change of these things alone; whether it is confirmed."""
        holds = _with_now(holds, [each for each in self.movables if each not in chosen])
        asker = _Asker(holds, budget)
        try:
            for cost, near in _least(chosen, model, holds, asker):
                if self._keep(chosen, cost, near):
                    return True
        except _GaveUpError:
            self._keep(chosen, _cost_in(model, chosen), model)
            raise
        finally:
            self.gave_up |= asker.is_doubtful
        return False

    def _keep(self, chosen: Sequence[Movable], cost: Fraction, model: z3.ModelRef) -> bool:
        answer = self.confirm(model)
        if answer is None:
            return False
        self.found, self._cost = answer, (len(chosen), cost)
        return True

    def _factors(self, holds: Sequence[Bit]) -> Iterator[tuple[list[str], list[str]]]:
        """The numbers that are multiplied or divided by each other, where each has a value that it can keep."""
        named = {each.number.get_id(): each for each in self.movables if each.number is not None}
        for left, right in _products(holds):
            first, second = ([named[leaf].name for leaf in _leaves(side) if leaf in named] for side in (left, right))
            if first and second and set(first).isdisjoint(second):
                yield first, second


class _GaveUpError(Exception):
    """The solver did, or time was over."""


class _Asker:
    """A solver that is asked until time is over."""

    def __init__(self, holds: Iterable[Bit], budget: Budget) -> None:
        self._solver = solver()
        self.budget = budget
        self.is_doubtful = False
        """Whether somebody went on without an answer."""
        self.add(*holds)

    def add(self, *bits: Bit) -> None:
        self._solver.add(*(lift_bit(bit) for bit in bits))

    def model(self, *bits: Bit) -> z3.ModelRef | None:
        """A model of what holds in which these bits are set, too; None if there is none."""
        self._solver.push()
        try:
            self.add(*bits)
            self._solver.set("timeout", _left_ms(self.budget))
            result = self._solver.check()
            go_on()
            if result == z3.unknown:
                raise _GaveUpError
            return self._solver.model() if result == z3.sat else None
        finally:
            self._solver.pop()


def _left_ms(budget: Budget) -> int:
    """What is left for the next question."""
    go_on()
    if budget.used_up:
        raise _GaveUpError
    return max(1, round(budget.left_s * 1000))


# --- the least change of a set ---------------------------------------------------------------------------------------


def _least(
    chosen: Sequence[Movable], model: z3.ModelRef, holds: Sequence[Bit], asker: _Asker
) -> Iterator[tuple[Fraction, z3.ModelRef]]:
    """What the least change of a set costs, with models: the least itself if it is one, then others close by."""
    total = _total(chosen)
    if isinstance(total, Fraction):
        yield total, model
        return
    bounds = _infimum(total, holds, asker.budget)
    if bounds is None:
        cost, near = _halved(total, model, asker)
        yield cost, near
    else:
        cost, near = bounds
        if near is not None:
            yield cost, near
    for slack in _SLACKS:
        close = asker.model(compare_reals("<=", total, cost + slack * max(cost, Fraction(1))))
        if close is not None:
            yield cost, close
    yield cost, model


def _infimum(total: z3.ArithRef, holds: Sequence[Bit], budget: Budget) -> tuple[Fraction, z3.ModelRef | None] | None:
    """The infimum, and a model if one attains it; None where the question is not linear, or too much."""
    goal = z3.Goal()
    goal.add(*(lift_bit(bit) for bit in holds))
    if not z3.Probe("is-qflira")(goal):
        return None
    search = optimizer()
    search.set("timeout", _left_ms(budget))
    search.add(*(lift_bit(bit) for bit in holds))
    least = search.minimize(total)
    result = search.check()
    go_on()
    if result != z3.sat:
        return None
    unbounded, value, strictly = search.lower_values(least)
    if not _is_zero(unbounded):
        return None
    return _fraction(value), search.model() if _is_zero(strictly) else None


def _is_zero(value: z3.ArithRef) -> bool:
    return _fraction(value) == 0


def _fraction(value: z3.ArithRef) -> Fraction:
    return Fraction(str(value))


def _cost_in(model: z3.ModelRef, chosen: Sequence[Movable]) -> Fraction:
    total = _total(chosen)
    return total if isinstance(total, Fraction) else max(fraction_of(model, total), Fraction(0))


def _halved(total: z3.ArithRef, model: z3.ModelRef, asker: _Asker) -> tuple[Fraction, z3.ModelRef]:
    """What the least change costs, halved in on from a model: for what is not linear."""
    low, high = Fraction(0), max(fraction_of(model, total), Fraction(0))
    for _ in range(_HALVINGS):
        if high - low <= _CLOSE * high:
            break
        middle = (low + high) / 2 if low else high / _FIRST
        try:
            closer = asker.model(compare_reals("<=", total, middle))
        except _GaveUpError:
            asker.is_doubtful = True
            break
        if closer is None:
            low = middle
        else:
            high, model = max(min(fraction_of(closer, total), middle), Fraction(0)), closer
    return high, model


def _total(movables: Iterable[Movable]) -> Fraction | z3.ArithRef:
    distances = [each.distance for each in movables if each.distance is not None]
    return z3.Sum(distances) if distances else Fraction(0)


def _with_now(holds: Sequence[Bit], same: Sequence[Movable]) -> list[Bit]:
    """What holds, with some numbers put in as they are now: what they are multiplied with is linear then."""
    known = [
        (each.number, lift(Fraction(each.now))) for each in same if each.number is not None and each.now is not None
    ]
    put_in = z3.simplify(z3.substitute(lift_bit(conj(*holds)), *known))
    return [put_in, *(neg(each.changed) for each in same), *(number == now for number, now in known)]


# --- products --------------------------------------------------------------------------------------------------------


def _products(holds: Sequence[Bit]) -> Iterator[tuple[z3.ExprRef, z3.ExprRef]]:
    """The terms that are multiplied with, or divided by, each other."""
    for term in _walk([bit for bit in holds if not isinstance(bit, bool)]):
        if z3.is_mul(term) or z3.is_div(term):
            yield from combinations([child for child in term.children() if not z3.is_rational_value(child)], 2)


def _leaves(term: z3.ExprRef) -> list[int]:
    return [part.get_id() for part in _walk([term]) if part.num_args() == 0]


def _walk(terms: Iterable[z3.ExprRef]) -> Iterator[z3.ExprRef]:
    """Terms and all of their parts, each once."""
    seen: set[int] = set()
    waiting = list(terms)
    while waiting:
        term = waiting.pop()
        if term.get_id() not in seen:
            seen.add(term.get_id())
            yield term
            waiting += term.children()


def _covers(factors: Sequence[tuple[list[str], list[str]]]) -> Iterator[frozenset[str]]:
    """The ways to keep one side of each product as it is."""
    ways: list[frozenset[str]] = [frozenset()]
    for left, right in factors:
        further = [way | side for way in ways for side in (frozenset(left), frozenset(right))]
        ways = list(dict.fromkeys(further))[:_RESTRICTIONS]
    return iter(ways)
