"""The smallest change of facts that gives a wished decision.

In: facts as they were handed in. A group that is missing for its time alone becomes fresh as one, and then says all
that it holds; facts that contradict each other count again as soon as they no longer do. Nothing goes missing: that is
no way to a decision. Out: changes that the border and the interpreter confirm, on the facts object with them in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import z3

from engine.analysis.proofs.asking import Budget
from engine.analysis.why_not.nearest import Movable, Nearest, is_true, movable_number
from engine.analysis.why_not.rounding import Begun, least
from engine.analysis.why_not.wish import Wish
from engine.backends import interpreter
from engine.backends.facts import (
    DECISIONS,
    FactsError,
    Gap,
    Seen,
    as_object,
    raw_group,
    read_fact,
    read_group,
    see,
    untimely,
)
from engine.backends.solver.encode import encode, parameter_terms
from engine.backends.solver.space import Key, Side, Space, Variable
from engine.backends.solver.terms import Bit, compare_reals, conj, disj, lift_bit, neg
from engine.language.evaluate import compare
from engine.language.model import Group, Relation
from engine.language.types import NumberType, TextType, Type, Value


@dataclass(frozen=True, slots=True)
class FactChange:
    """A fact as it would have to be."""

    fact: str
    """`group.fact`; `group` alone where a stale group would have to be fresh."""
    before: Value | None
    """What it is, even where that does not count; None where no value of its type was handed in."""
    cause: str
    """Why it does not count; empty where it does."""
    after: Value | None
    """None where a group would have to be fresh."""


def by_facts(
    side: Side, seen: Seen, facts: Mapping[str, Any], wish: Wish, budget: Budget
) -> Nearest[tuple[FactChange, ...]]:
    """The smallest change of facts that is found within the budget."""
    given = _Given.of(side, seen, facts)
    question = _Question(given)
    terms = encode(side.policy, parameter_terms(side), question.space.facts(side))

    def confirm(model: z3.ModelRef) -> tuple[FactChange, ...] | None:
        fresh, moved = question.read(model)
        if not given.holds(fresh, moved, wish):
            return None
        return tuple(given.changes(fresh, given.least(fresh, moved, wish)))

    nearest = Nearest(question.movables, question.holds, wish, terms.names[wish.name], confirm, budget)
    nearest.search()
    return nearest


@dataclass(frozen=True)
class _Held:
    """A group as it was handed in, its time aside."""

    group: Group
    raw: Mapping[str, Any]
    values: Mapping[str, Value | None]
    """Each fact by itself, whatever it contradicts."""
    fresh: Mapping[str, Value | Gap]
    """What it would say if it were observed now."""
    timely: bool

    @classmethod
    def of(cls, side: Side, group: Group, now: float, facts: Mapping[str, Any]) -> _Held:
        handed = raw_group(group, facts)
        try:
            raw = as_object(handed) if handed is not None else {}
        except FactsError:
            raw = {}
        values = {fact.name: _value(read_fact(fact, raw.get(fact.name))) for fact in group.facts}
        at, _ = read_group(group, raw)
        if at is None:
            timely = group.max_age is None and raw.get("observed_at") is None
        else:
            timely = untimely(now, at, side.limit(group.max_age), side.limit(side.rulebook.max_ahead)) is None
        fresh = read_group(group, {**raw, "observed_at": now})[1]
        return cls(group, raw, values, fresh, timely)

    @property
    def kinds(self) -> dict[str, Type]:
        """The type of each fact."""
        return {fact.name: fact.type for fact in self.group.facts}

    @property
    def only_late(self) -> bool:
        """It would say something if it were fresh."""
        return not self.timely and any(value is not None for value in self.values.values())

    @property
    def broken(self) -> tuple[Relation, ...]:
        """The relations that its facts contradict."""
        kinds = self.kinds
        found = []
        for relation in self.group.relations:
            left, right = self.values[relation.left], self.values[relation.right]
            if left is None or right is None or compare(relation.operator, left, right, kinds[relation.left]):
                continue
            found.append(relation)
        return tuple(found)


@dataclass(frozen=True)
class _Given:
    """Facts as they were handed in, and what changes of them come to."""

    side: Side
    seen: Seen
    facts: Mapping[str, Any]
    held: Mapping[str, _Held]

    @classmethod
    def of(cls, side: Side, seen: Seen, facts: Mapping[str, Any]) -> _Given:
        now = seen.moment.now
        return cls(side, seen, facts, {group.name: _Held.of(side, group, now, facts) for group in side.policy.groups})

    def holds(self, fresh: frozenset[str], moved: Mapping[Key, Value], wish: Wish) -> bool:
        """Whether these changes give the wished decision, and leave nothing missing that was there."""
        side = self.side
        seen = see(side.rulebook, side.policy, side.binding, self._with(fresh, moved))
        if any(isinstance(seen.values[group][name], Gap) for group, name in moved):
            return False
        before, after = self.seen.values, seen.values
        if any(
            isinstance(after[group][name], Gap) and not isinstance(value, Gap)
            for group, values in before.items()
            for name, value in values.items()
        ):
            return False
        return wish.holds(interpreter.run(side.policy, side.binding, seen.names()).values[wish.name])

    def _with(self, fresh: frozenset[str], moved: Mapping[Key, Value]) -> dict[str, Any]:
        """The facts object with these changes in it."""
        facts = dict(self.facts)
        for name, held in self.held.items():
            given = {fact: value for (group, fact), value in moved.items() if group == name}
            if not given and name not in fresh:
                continue
            changed = {**held.raw, **given}
            if not held.timely:  # what is observed anew is observed now
                changed["observed_at"] = self.seen.moment.now
            if name.startswith(f"{DECISIONS}."):
                facts[DECISIONS] = {**(facts.get(DECISIONS) or {}), name.removeprefix(f"{DECISIONS}."): changed}
            else:
                facts[name] = changed
        return facts

    def least(self, fresh: frozenset[str], moved: Mapping[Key, Value], wish: Wish) -> dict[Key, Value]:
        """The changes without those that need not be, each as small, and in as few digits, as the wish lets it be."""
        begun = {
            (group, name): Begun.of(now if isinstance(now, float) else None, kind)
            for group, name in moved
            for now, kind in [(self.held[group].values[name], self.held[group].kinds[name])]
            if isinstance(kind, NumberType)
        }
        return least(moved, begun, lambda changed: self.holds(fresh, changed, wish))

    def changes(self, fresh: frozenset[str], moved: Mapping[Key, Value]) -> list[FactChange]:
        """Changes as they are shown."""
        found = [FactChange(group, None, _cause(next(iter(self.seen.values[group].values()))), None)
                 for group in sorted(fresh)]  # fmt: skip
        for (group, name), value in moved.items():
            reading = self.held[group].fresh if group in fresh else self.seen.values[group]
            before = self.held[group].values[name]
            found.append(FactChange(f"{group}.{name}", before, _cause(reading[name]), value))
        return found


class _Question:
    """What may be otherwise about facts, as terms."""

    def __init__(self, given: _Given) -> None:
        self.given = given
        self.space = Space(given.side)
        self.holds: list[Bit] = [*self.space.domain()]
        self.movables: list[Movable] = []
        self._texts = self._options_of_texts()
        self._fresh: dict[str, Bit] = {}
        self._moved: dict[Key, Bit] = {}
        for held in given.held.values():
            self._group(held)

    def read(self, model: z3.ModelRef) -> tuple[frozenset[str], dict[Key, Value]]:
        """What a model changes: the groups that get fresh, and facts."""
        texts = {option: text for text, option in self._texts.items()}
        point = self.space.point(model).given
        moved: dict[Key, Value] = {}
        for key, bit in self._moved.items():
            value = point[key]
            if isinstance(self.space.variables[key].type, TextType):
                value = texts.get(str(value), value)
            if is_true(model, bit) and value is not None and value != self.given.held[key[0]].values[key[1]]:
                moved[key] = value
        return frozenset(group for group, bit in self._fresh.items() if is_true(model, bit)), moved

    def _group(self, held: _Held) -> None:
        """A fact counts if its group is fresh, it is given, and it is part of no contradiction."""
        name, variables = held.group.name, self.space.variables
        fresh: Bit = True
        if held.only_late:
            fresh = self._fresh[name] = z3.Bool(f"{name} fresh")
            self.movables.append(Movable(name, fresh, None))
        absent: dict[str, Bit] = {
            fact: value is None and z3.Bool(f"{name}.{fact} not given") for fact, value in held.values.items()
        }
        broken: dict[str, Bit] = dict.fromkeys(held.values, False)
        for relation in held.group.relations:
            left, right = relation.left, relation.right
            agree = disj(absent[left], absent[right], self.space.agree(name, relation))
            if relation in held.broken:
                broken[left], broken[right] = disj(broken[left], neg(agree)), disj(broken[right], neg(agree))
            else:
                self.holds.append(disj(neg(fresh), agree))
        for fact, value in held.values.items():
            variable = variables[name, fact]
            missing = disj(neg(fresh), absent[fact], broken[fact])
            self.holds.append(variable.gap == lift_bit(missing))
            same = absent[fact] if value is None else self._same(variable, value)
            moved = self._moved[name, fact] = conj(fresh, neg(same))
            self.movables.append(self._movable((name, fact), moved, value))

    def _movable(self, key: Key, moved: Bit, now: Value | None) -> Movable:
        variable = self.space.variables[key]
        name, kind = ".".join(key), variable.type
        if variable.number is None or not isinstance(kind, NumberType):
            return Movable(name, moved)
        movable, holds = movable_number(name, variable.number, moved, now if isinstance(now, float) else None, kind)
        self.holds += holds
        return movable

    def _same(self, variable: Variable, now: Value) -> Bit:
        """Where a variable has the value that is there now."""
        if variable.number is not None:
            return compare_reals("==", variable.number, Fraction(float(now)))
        if variable.flag is not None:
            return variable.flag if now else neg(variable.flag)
        return variable.options[self._texts.get(str(now), str(now))]

    def _options_of_texts(self) -> dict[str, str]:
        """By text that no rule names: what stands for it. Where texts are compared there is one for each."""
        held = {
            str(value)
            for (group, fact), variable in self.space.variables.items()
            if isinstance(variable.type, TextType)
            and (value := self.given.held[group].values[fact]) is not None
            and str(value) not in variable.options
        }
        taken = {value for held in self.given.held.values() for value in held.values.values()}
        free = [text for text in self.space.other_texts if text not in taken] or self.space.other_texts[-1:]
        return {text: free[min(place, len(free) - 1)] for place, text in enumerate(sorted(held))}


def _cause(held: Value | Gap) -> str:
    return held.cause.value if isinstance(held, Gap) else ""


def _value(held: Value | Gap) -> Value | None:
    return None if isinstance(held, Gap) else held
