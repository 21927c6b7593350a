"""The least and the most that a number comes to, where something holds: exact, or nothing where the solver gives up."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import z3

from engine.analysis.diff.transitions import Bound, Span
from engine.backends.solver.asked import optimizer, solver
from engine.backends.solver.terms import Bit, Real, lift, lift_bit
from engine.backends.solver.turns import go_on


def extent(domain: Iterable[z3.BoolRef], where: Bit, number: Real, timeout_s: float) -> Span | None:
    """The range of a number over all inputs for which a bit is set; None where the solver gives up."""
    if isinstance(number, Fraction):
        return Span(Bound(number, inclusive=True), Bound(number, inclusive=True))
    given = [*domain, lift_bit(where)]
    least, most = (_end(given, number, timeout_s, lowest=lowest) for lowest in (True, False))
    return None if least is None or most is None else Span(least, most)


def _end(given: list[z3.BoolRef], number: Real, timeout_s: float, *, lowest: bool) -> Bound | None:
    asked = optimizer()
    asked.set("timeout", max(1, round(timeout_s * 1000)))
    asked.add(*given)
    goal = asked.minimize(lift(number)) if lowest else asked.maximize(lift(number))
    go_on()
    result = asked.check()
    go_on()
    if result != z3.sat:
        return None
    found = asked.lower_values(goal) if lowest else asked.upper_values(goal)
    infinite, value, epsilon = found  # infinity's, the number's and epsilon's factor
    if not all(z3.is_rational_value(each) or z3.is_int_value(each) for each in found) or _exact(infinite):
        return None
    bound = Bound(_exact(value), inclusive=not _exact(epsilon))
    return bound if _holds_beyond(given, number, bound, timeout_s, lowest=lowest) is False else None


def _holds_beyond(
    given: list[z3.BoolRef], number: Real, bound: Bound, timeout_s: float, *, lowest: bool
) -> bool | None:
    """Whether there is an input beyond a bound: the optimizer's word is not taken for it."""
    asked = solver()
    asked.set("timeout", max(1, round(timeout_s * 1000)))
    term, limit = lift(number), lift(bound.value)
    beyond = term < limit if lowest else term > limit
    asked.add(*given, beyond if bound.inclusive else z3.Or(beyond, term == limit))
    go_on()
    result = asked.check()
    go_on()
    return None if result == z3.unknown else bool(result == z3.sat)


def _exact(value: z3.RatNumRef | z3.IntNumRef) -> Fraction:
    return Fraction(value.as_string())
