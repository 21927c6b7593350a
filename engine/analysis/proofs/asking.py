"""One question to the solver: proven, refuted by inputs that the interpreter confirms, or undecided.

A model is exact and facts are doubles, so what a solver finds is rounded, and may then show nothing. Then it is
searched nearby: neighbouring doubles first, other models after that. Nothing unconfirmed is handed out.
A confirmed witness is made as plain as it can be: what need not be given is left out, and numbers get short.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import z3

from engine.analysis.proofs.runs import Points
from engine.backends.solver.asked import solver
from engine.backends.solver.space import Key, Point
from engine.backends.solver.terms import Bit, conj, lift_bit
from engine.backends.solver.turns import go_on
from engine.language.types import Value


@dataclass(frozen=True)
class Budget:
    """Seconds for all questions together (None: as long as it takes), from now on."""

    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started", self.clock())

    @property
    def left_s(self) -> float:
        """What is left of it."""
        return math.inf if self.seconds is None else self.started + self.seconds - self.clock()

    @property
    def used_up(self) -> bool:
        """Whether nothing is left."""
        return self.left_s <= 0

    @property
    def why(self) -> str:
        """What is said of questions that it was not enough for."""
        return f"the budget of {self.seconds:g} s was used up"


Confirm: TypeAlias = Callable[[Points], bool]
"""Whether inputs show what was asked, as the interpreter sees it."""


@dataclass(frozen=True, slots=True)
class Proven:
    """No input does it."""


@dataclass(frozen=True, slots=True)
class Refuted:
    """These inputs do, and the interpreter confirms it."""

    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Undecided:
    """The solver gave up, or found nothing that doubles confirm: never to be taken for proven."""

    why: str


Answer: TypeAlias = Proven | Refuted | Undecided
"""Whether any input does what was asked."""

_MODELS = 6
"""Models asked for before a witness is given up."""
_NEIGHBOURS = 60
"""Roundings tried of each model."""
_FAR = 3
"""Doubles away from a model's number that are tried."""
_SEED = 20
_PASSES = 2
"""Times that numbers are made short: what one of them could not be may depend on another that came later."""
_PLAIN = (0.0, 1.0, 10.0, 100.0)
"""Numbers that witnesses are made of where they can be."""


class Asker:
    """A solver that knows what holds of all inputs, asked one question after the other.

    `timeout_s` is for one question, `budget` for all that share it. `seconds` counts what was spent.
    """

    def __init__(self, domain: Iterable[z3.BoolRef], timeout_s: float, budget: Budget | None = None) -> None:
        self._solver = solver()
        self._timeout_s = timeout_s
        self._budget = budget or Budget()
        self._allow(timeout_s)
        self._solver.add(*domain)
        self.seconds = 0.0

    def _allow(self, seconds: float) -> None:
        self._solver.set("timeout", max(1, round(seconds * 1000)))

    def assume(self, *bits: Bit) -> None:
        """Add what holds from here on."""
        self._solver.add(*(lift_bit(bit) for bit in bits))

    def model(self, *bits: Bit) -> z3.ModelRef | Proven | Undecided:
        """A model in which all of these hold, if there is one."""
        wanted = conj(*bits)
        if wanted is False:
            return Proven()
        started = time.perf_counter()
        try:
            self._solver.push()
            self._solver.add(lift_bit(wanted))
            return self._answer()
        finally:
            self._solver.pop()
            self.seconds += time.perf_counter() - started

    def under(self, *switches: z3.BoolRef) -> z3.ModelRef | Proven | Undecided:
        """A model of what is assumed in which these switches (or their negations) hold: quick for many of a kind."""
        started = time.perf_counter()
        try:
            return self._answer(*switches)
        finally:
            self.seconds += time.perf_counter() - started

    def _answer(self, *switches: z3.BoolRef) -> z3.ModelRef | Proven | Undecided:
        result = self._check(*switches)
        if result == z3.sat:
            return self._solver.model()
        return Proven() if result == z3.unsat else Undecided(self._why())

    def _check(self, *switches: z3.BoolRef) -> z3.CheckSatResult:
        """What the solver says, unless it is over."""
        go_on()
        left_s = self._budget.left_s
        if left_s <= 0:
            return z3.unknown
        if left_s < self._timeout_s:
            self._allow(left_s)
        result = self._solver.check(*switches)
        go_on()
        if result == z3.unknown and self._solver.reason_unknown().startswith("interrupted"):
            raise KeyboardInterrupt  # of somebody who asks without a turn
        return result

    def core(self, wanted: Sequence[Bit], named: Sequence[tuple[str, Bit]]) -> tuple[str, ...] | None:
        """The names of bits that, with `wanted`, cannot all hold, few of them; None if they can, or undecided."""
        labels = [z3.Bool(f"because {index}") for index in range(len(named))]
        started = time.perf_counter()
        try:
            self._solver.push()
            self._solver.add(*(lift_bit(bit) for bit in wanted))
            for label, (_, bit) in zip(labels, named, strict=True):
                self._solver.add(z3.Implies(label, lift_bit(bit)))
            if self._check(*labels) != z3.unsat:
                return None
            core = {str(label) for label in self._solver.unsat_core()}
            kept = [index for index in range(len(named)) if f"because {index}" in core]
            for index in list(kept):
                fewer = [other for other in kept if other != index]
                if self._check(*(labels[other] for other in fewer)) == z3.unsat:
                    kept = fewer
            return tuple(named[index][0] for index in kept)
        finally:
            self._solver.pop()
            self.seconds += time.perf_counter() - started

    def _why(self) -> str:
        if self._budget.used_up:
            return self._budget.why
        reason = self._solver.reason_unknown()
        return "it took too long" if reason in ("timeout", "canceled") else f"the solver gave up: {reason}"

    def find(self, wanted: Sequence[Bit], read: Callable[[z3.ModelRef], Points], confirm: Confirm) -> Answer:
        """Whether any input does what is wanted, with a witness that `confirm` has seen."""
        others: list[Bit] = []
        for _ in range(_MODELS):
            found = self.model(*wanted, *others)
            if isinstance(found, Proven):
                return found if not others else Undecided("no input of doubles confirms it")
            if isinstance(found, Undecided):
                return found
            points = tuple(read(found))
            confirmed = next((near for near in _nearby(points) if confirm(near)), None)
            if confirmed is not None:
                return Refuted(plainer(confirmed, confirm))
            others.append(_elsewhere(found))
        return Undecided("no input of doubles confirms it")


def _elsewhere(found: z3.ModelRef) -> Bit:
    """Another value for some number of the model."""
    numbers = [item for item in found.decls() if item.arity() == 0 and item.range() == z3.RealSort()]
    return z3.Or(*(item() != found[item] for item in numbers)) if numbers else False


def _nearby(points: tuple[Point, ...]) -> Iterator[tuple[Point, ...]]:
    """The points as they are, then with numbers moved to doubles next to them."""
    yield points
    chance = random.Random(_SEED)
    numbers = [key for key in points[0].given if any(_is_number(point.given[key]) for point in points)]
    if not numbers:
        return
    for digits in (15, 12, 9, 6):
        yield _changed(points, {key: partial(shortened, digits=digits) for key in numbers})
    for _ in range(_NEIGHBOURS):
        yield _changed(points, {key: partial(_moved, ulps=chance.randint(-_FAR, _FAR)) for key in numbers})


def _changed(points: tuple[Point, ...], change: Mapping[Key, Callable[[float], float]]) -> tuple[Point, ...]:
    """The points with some of their numbers changed, alike in all of them."""
    return tuple(
        replace(
            point,
            given={
                key: change[key](value) if key in change and isinstance(value, float) else value
                for key, value in point.given.items()
            },
        )
        for point in points
    )


def _is_number(value: Value | None) -> bool:
    return isinstance(value, float)


def _moved(value: float, ulps: int) -> float:
    for _ in range(abs(ulps)):
        value = math.nextafter(value, math.copysign(math.inf, ulps))
    return value


def shortened(value: float, digits: int) -> float:
    """The number in so many significant digits."""
    return float(f"{value:.{digits}g}")


def plainer(points: tuple[Point, ...], confirm: Confirm) -> tuple[Point, ...]:
    """The same, with facts left out that need not be given, and numbers in as few digits as show it still."""
    for key in points[0].given:
        if all(point.given[key] is None for point in points):
            continue
        without = tuple(replace(point, given={**point.given, key: None}) for point in points)
        if confirm(without):
            points = without
    for _ in range(_PASSES):
        for key in points[0].given:
            for index in _apart(points, key):
                points = _plainest(points, key, index, confirm)
    return points


def _apart(points: tuple[Point, ...], key: Key) -> list[int | None]:
    """The points to change together: all at once (None) where they share the value."""
    values = [point.given[key] for point in points]
    numbers = [index for index, value in enumerate(values) if _is_number(value)]
    if len(numbers) == len(points) and all(value == values[0] for value in values):
        return [None]
    return list(numbers)


def _plainest(points: tuple[Point, ...], key: Key, index: int | None, confirm: Confirm) -> tuple[Point, ...]:
    at = 0 if index is None else index
    value = points[at].given[key]
    assert isinstance(value, float)
    for short in (*_PLAIN, *(shortened(value, digits) for digits in range(1, 16))):
        if short == value:
            break
        tried = tuple(
            replace(point, given={**point.given, key: short}) if index in (None, place) else point
            for place, point in enumerate(points)
        )
        if confirm(tried):
            return tried
    return points
