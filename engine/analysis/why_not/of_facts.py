"""The smallest change of facts that gives a wished decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import z3

from engine.analysis.why_not.nearest import Movable, Nearest, distance_of, holds_with, is_true, pulled_back, shortened
from engine.analysis.why_not.wish import Wish
from engine.backends import interpreter
from engine.backends.facts import Gap, Seen, raw_group, read_fact, read_group
from engine.backends.solver.encode import encode, parameter_terms
from engine.backends.solver.space import Key, Side, Space, Variable
from engine.backends.solver.terms import (
    Bit,
    compare_reals,
    conj,
    disj,
    neg,
)
from engine.language.evaluate import Known, Missing, compare
from engine.language.types import NumberType, Value


@dataclass(frozen=True, slots=True)
class FactChange:
    """A fact as it would have to be. `before` is None where it was missing, with the cause."""

    fact: str
    """`group.fact`; `group` alone where a stale group would have to be fresh."""
    before: Value | None
    cause: str
    after: Value | None


def by_facts(
    side: Side, seen: Seen, facts: Mapping[str, Any], wish: Wish, undecided: list[str]
) -> tuple[FactChange, ...] | None:
    """The smallest change of facts; None, and a word in `undecided`, where the solver gave up on it."""
    space = Space(side)
    stale = _stale_groups(side, seen, facts)
    fresh = {group: z3.Bool(f"{group} fresh") for group in stale}
    holds: list[Bit] = [*space.domain()]
    movables = [Movable(group, bit, None) for group, bit in fresh.items()]
    for key, variable in space.variables.items():
        now = _value(seen.values[key[0]][key[1]])
        then = _value(stale[key[0]][key[1]]) if key[0] in stale else now
        here = _unchanged(variable, now)
        if key[0] in fresh:  # without being fresh it says nothing, and then it says all that it holds
            bit = fresh[key[0]]
            holds.append(disj(bit, here))
            here = disj(neg(bit), _unchanged(variable, then))
        distance = None
        if isinstance(then, float) and variable.number is not None and isinstance(variable.type, NumberType):
            distance, bounds = distance_of(f"{key[0]}.{key[1]}", variable.number, then, variable.type)
            holds += bounds
        if then is not None:
            # That something goes missing is no way to a decision.
            holds.append(neg(conj(variable.gap, fresh.get(key[0], True))))
        movables.append(Movable(f"{key[0]}.{key[1]}", neg(here), distance))
    pairs = list(_broken_pairs(side, seen, facts))
    for left, right in pairs:
        # Both are there and contradict each other: one alone cannot become known.
        holds.append(space.variables[left].gap == space.variables[right].gap)
    terms = encode(side.policy, parameter_terms(side), space.facts(side))
    nearest = Nearest(movables, [*holds, wish.where(terms.names[wish.name])])
    models = nearest.models()
    for model in models:
        point = space.point(model).given
        changes = _confirmed(
            side, seen, stale, {group for group, bit in fresh.items() if is_true(model, bit)}, point, pairs, wish
        )
        if changes is not None:
            return changes
    if models or nearest.gave_up:  # what is there in exact numbers may be there in doubles too
        undecided.append("facts")
    return None


def _stale_groups(side: Side, seen: Seen, facts: Mapping[str, Any]) -> dict[str, Mapping[str, Value | Gap]]:
    """The groups that are missing for their time alone (stale, ahead, or without one), with what they hold."""
    found: dict[str, Mapping[str, Value | Gap]] = {}
    for group in side.policy.groups:
        raw = raw_group(group, facts)
        if not isinstance(raw, Mapping) or not all(isinstance(held, Gap) for held in seen.values[group.name].values()):
            continue
        held = read_group(group, {**raw, "observed_at": seen.moment.now})[1]
        if any(not isinstance(value, Gap) for value in held.values()):
            found[group.name] = held
    return found


def _broken_pairs(side: Side, seen: Seen, facts: Mapping[str, Any]) -> Iterator[tuple[Key, Key]]:
    """Facts that are missing since they contradict each other."""
    for group in side.policy.groups:
        raw, held = raw_group(group, facts), seen.values[group.name]
        kinds = {fact.name: fact for fact in group.facts}
        for relation in group.relations:
            names = (relation.left, relation.right)
            if isinstance(raw, Mapping) and all(
                isinstance(held[name], Gap) and not isinstance(read_fact(kinds[name], raw.get(name)), Gap)
                for name in names
            ):
                yield (group.name, relation.left), (group.name, relation.right)


def _value(held: Value | Gap) -> Value | None:
    return None if isinstance(held, Gap) else held


def _unchanged(variable: Variable, now: Value | None) -> Bit:
    """Where a variable is what it is now."""
    if now is None:
        return variable.gap
    if variable.number is not None:
        same: Bit = compare_reals("==", variable.number, Fraction(float(now)))
    elif variable.flag is not None:
        same = variable.flag if now else neg(variable.flag)
    else:
        # A text that no rule names is as any other such.
        same = variable.options.get(str(now), variable.options[list(variable.options)[-1]])
    return conj(neg(variable.gap), same)


def _confirmed(
    side: Side,
    seen: Seen,
    stale: Mapping[str, Mapping[str, Value | Gap]],
    fresh: set[str],
    point: Mapping[Key, Value | None],
    pairs: Sequence[tuple[Key, Key]],
    wish: Wish,
) -> tuple[FactChange, ...] | None:
    """The changes of a point, each as small as the interpreter lets it be; None if it does not confirm them."""
    given = {key: seen.values[key[0]][key[1]] for key in point}
    for group in fresh:
        given |= {(group, name): value for name, value in stale[group].items()}
    moved = {key: value for key, value in point.items() if value is not None and value != _value(given[key])}

    def holds(changed: Mapping[Key, Value]) -> bool:
        if any((left in changed) != (right in changed) for left, right in pairs):
            return False
        names: dict[str, Known] = {key[1]: _known(changed.get(key, held)) for key, held in given.items()}
        if any(not _relations_hold(group.relations, names) for group in side.policy.groups):
            return False
        return wish.holds(interpreter.run(side.policy, side.binding, names).values[wish.name])

    if not holds(moved):
        return None
    for key, value in list(moved.items()):
        without = {other: kept for other, kept in moved.items() if other != key}
        if holds(without):
            moved = without
            continue
        now = _value(given[key])
        if isinstance(value, float) and isinstance(now, float):
            moved = {**moved, key: pulled_back(now, value, partial(holds_with, holds, moved, key))}
        elif isinstance(value, float):
            shorter = (shortened(value, digits) for digits in range(1, 16))
            moved = {**moved, key: next((short for short in shorter if holds({**moved, key: short})), value)}
    changes = [FactChange(group, None, _cause(seen, group), None) for group in sorted(fresh)]
    for key, value in moved.items():
        held = given[key]
        cause = held.cause.value if isinstance(held, Gap) else ""
        changes.append(FactChange(f"{key[0]}.{key[1]}", _value(held), cause, value))
    return tuple(changes)


def _cause(seen: Seen, group: str) -> str:
    """Why all of a group is missing."""
    held = next(iter(seen.values[group].values()))
    return held.cause.value if isinstance(held, Gap) else ""


def _known(held: Value | Gap) -> Known:
    return held.cause if isinstance(held, Gap) else held


def _relations_hold(relations: Sequence[Any], names: Mapping[str, Known]) -> bool:
    for relation in relations:
        left, right = names[relation.left], names[relation.right]
        if isinstance(left, Missing) or isinstance(right, Missing):
            continue
        if not compare(relation.operator, left, right, NumberType("", 0, 0)):
            return False
    return True
