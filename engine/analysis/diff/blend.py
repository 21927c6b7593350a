"""Two sides as one policy with a switch for each change, so that any mix of both can be asked about.

In: two sides of one policy and what each makes of the facts. Out: a `Blend`: terms in which a switch that is off means
that A has its way there, and one that is on that B has. Rules are laid beside each other by id; where that is not
possible (a rule set that decides other names, one that is of another kind) there are changes, but no terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

import z3

from engine.analysis.diff.align import aligned
from engine.analysis.diff.reach import steps_for
from engine.analysis.diff.transitions import Change
from engine.backends.solver.encode import PolicyTerms, encode
from engine.backends.solver.space import Side, Space
from engine.backends.solver.terms import Bit, Term, choose, constant
from engine.language import model
from engine.language.build import FACTS
from engine.language.model import Effect, Group, Policy, Rule, Step, expressions_in, walk
from engine.language.printer import print_condition, print_expression, print_value
from engine.language.rulebook import Rulebook
from engine.language.soundness import parameters_of
from engine.language.types import ChoiceType, NumberType, Value


@dataclass(frozen=True, slots=True)
class Switch:
    """A change and the bit that turns it on."""

    change: Change
    bit: z3.BoolRef


@dataclass(frozen=True, slots=True)
class Blend:
    """All changes between two sides, each with a switch; `terms` is None where they cannot be tried one by one."""

    switches: tuple[Switch, ...]
    terms: PolicyTerms | None
    reach: Mapping[str, frozenset[Change]]
    """By decision: the changes in what it depends on."""


_Mix: TypeAlias = tuple[bool, bool, bool]
"""Whose word counts (False: A's): on how groups are declared, on what is allowed ahead, on age limits."""
_MIXES: tuple[_Mix, ...] = tuple(
    (declared, ahead, limits) for declared in (False, True) for ahead in (False, True) for limits in (False, True)
)


class _ApartError(Exception):
    """Two sides that cannot be laid beside each other."""


def sides_for(a: Side, b: Side) -> tuple[Side, ...]:
    """The sides that a space needs for a blend: A, B, and mixes of what each takes for known where several differ."""
    apart = _differences(a, b)
    sides = [a, b]
    for mix in _MIXES:
        side = _mixed(a, b, mix)
        if not any(_same_side(side, other) for other in sides) and all(
            differs or not there for differs, there in zip(apart, mix, strict=True)
        ):
            sides.append(side)
    return tuple(sides)


def _same_side(one: Side, other: Side) -> bool:
    return one.policy is other.policy and one.binding.values == other.binding.values


def _differences(a: Side, b: Side) -> _Mix:
    """Whether groups are declared otherwise, whether another age ahead is allowed, whether age limits differ."""
    groups_b = {group.name: group for group in b.policy.groups}
    pairs = [(group, groups_b[group.name]) for group in a.policy.groups if group.name in groups_b]
    declared = any(_declared(first) != _declared(second) for first, second in pairs) or (
        a.rulebook.max_ahead != b.rulebook.max_ahead
    )
    ahead = a.limit(a.rulebook.max_ahead) != b.limit(b.rulebook.max_ahead)
    limits = any(a.limit(first.max_age) != b.limit(second.max_age) for first, second in pairs)
    return declared, ahead, limits


def _declared(group: Group) -> tuple[object, ...]:
    return (frozenset((fact.name, fact.type) for fact in group.facts), group.max_age, frozenset(group.relations))


def _mixed(a: Side, b: Side, mix: _Mix) -> Side:
    """Declarations of one side, with what is allowed ahead, and age limits, of the same or the other."""
    declared, ahead, limits = mix
    if mix in ((False, False, False), (True, True, True)):
        return b if declared else a
    base = b if declared else a
    values: dict[str, Value] = dict(base.binding.values)
    for name in [name for name in values if name.startswith(f"{FACTS}.")]:
        is_ahead = name == f"{FACTS}.{base.rulebook.max_ahead}"
        source = b if (ahead if is_ahead else limits) else a
        values[name] = source.binding.values.get(name, values[name])
    if values == dict(base.binding.values):
        return base
    return replace(base, binding=replace(base.binding, values=values))


@dataclass
class _Blender:
    a: Side
    b: Side
    space: Space
    switches: list[Switch] = field(default_factory=list)
    enabled: dict[str, Bit] = field(default_factory=dict)
    owners: dict[str, set[Change]] = field(default_factory=dict)
    """By rule set: the changes in it."""

    def switch(self, change: Change, ruleset: str | None = None) -> z3.BoolRef:
        """The bit of a change, made when it is first asked for."""
        known = next((each for each in self.switches if each.change == change), None)
        if known is None:
            known = Switch(change, z3.Bool(f"change {len(self.switches)}"))
            self.switches.append(known)
        if ruleset is not None:
            self.owners.setdefault(ruleset, set()).add(change)
        return known.bit

    # --- parameters

    def parameters(self, steps: Iterable[Step]) -> dict[str, Term]:
        found: dict[str, Term] = {}
        values_a, values_b = self.a.binding.values, self.b.binding.values
        types_a, types_b = self.a.rulebook.declarations, self.b.rulebook.declarations
        for step in steps:
            for name in sorted(parameters_of(step)):
                in_a, in_b = name in types_a and name in values_a, name in types_b and name in values_b
                if not in_a or not in_b:
                    values, types = (values_a, types_a) if in_a else (values_b, types_b)
                    found[name] = constant(values[name], types[name].type)
                    continue
                first, second = values_a[name], values_b[name]
                term = constant(first, types_a[name].type)
                if first != second:
                    bit = self.switch(self._parameter(name, first, second), step.ruleset)
                    term = _either(bit, constant(second, types_b[name].type), term)
                found[name] = term
        return found

    # --- facts

    def facts(self) -> dict[str, Term]:
        mixes = {mix: self._facts_of(_mixed(self.a, self.b, mix)) for mix in _MIXES}
        groups_a = {group.name: group for group in self.a.policy.groups}
        groups_b = {group.name: group for group in self.b.policy.groups}
        found: dict[str, Term] = {}
        owners: dict[str, str] = {}
        for name in dict.fromkeys((*groups_a, *groups_b)):
            first, second = groups_a.get(name), groups_b.get(name)
            own = first or second
            assert own is not None
            if first is None or second is None:
                terms = mixes[first is None, first is None, first is None]
                here = {fact.name: terms[fact.name] for fact in own.facts}
            else:
                here = self._group(first, second, mixes)
            for fact in here:
                if owners.setdefault(fact, name) != name:
                    raise _ApartError
            found |= here
        return found

    def _facts_of(self, side: Side) -> Mapping[str, Term]:
        index = next((at for at, other in enumerate(self.space.sides) if _same_side(side, other)), None)
        return self.space.facts(self.space.sides[index]) if index is not None else {}

    def _group(self, first: Group, second: Group, mixes: Mapping[_Mix, Mapping[str, Term]]) -> dict[str, Term]:
        declared: Bit = False
        if _declared(first) != _declared(second):
            declared = self.switch(Change("facts", first.name, "", "declared otherwise"))
        ahead: Bit = False
        limit: Bit = False
        limit_a, limit_b = self.a.limit(first.max_age), self.b.limit(second.max_age)
        ahead_a, ahead_b = (side.limit(side.rulebook.max_ahead) for side in (self.a, self.b))
        if ahead_a != ahead_b:  # of every group that says when it was observed, whether it ages or not
            ahead = self._limit(f"{FACTS}.{self.a.rulebook.max_ahead}", ahead_a, ahead_b)
        if limit_a != limit_b and limit_a is not None and limit_b is not None:
            limit = self._limit(f"{FACTS}.{first.max_age}", limit_a, limit_b)
        bits = (declared, ahead, limit)
        names = {fact.name for fact in first.facts} | {fact.name for fact in second.facts}
        found: dict[str, Term] = {}
        for name in sorted(names):
            reading = {mix: terms[name] for mix, terms in mixes.items() if name in terms}
            found[name] = _chosen(bits, reading)
        return found

    def _limit(self, name: str, a: float | None, b: float | None) -> z3.BoolRef:
        return self.switch(self._parameter(name, a, b))

    def _parameter(self, name: str, a: Value | None, b: Value | None) -> Change:
        """The change of a value; None where a side has none."""
        text_a, text_b = ("" if value is None else print_value(value, None) for value in (a, b))
        declared = [side.rulebook.declarations.get(name) for side in (self.a, self.b)]
        units = {each.type.unit for each in declared if each is not None and isinstance(each.type, NumberType)}
        return Change("parameter", name, text_a, text_b, a, b, units.pop() if len(units) == 1 else "")

    # --- rules

    def policy(self) -> Policy:
        steps_a = {step.ruleset: step for step in self.a.policy.steps}
        steps_b = {step.ruleset: step for step in self.b.policy.steps}
        merged: dict[str, Step] = {}
        for name in dict.fromkeys((*steps_a, *steps_b)):
            first, second = steps_a.get(name), steps_b.get(name)
            if first is not None and second is not None:
                merged[name] = self._step(first, second)
            else:
                alone = first or second
                assert alone is not None
                merged[name] = alone
        setters: dict[str, str] = {}
        for name, step in merged.items():
            for decided, _ in step.sets:
                if setters.setdefault(decided, name) != name:
                    raise _ApartError
        order = _ordered(merged, setters)
        return replace(self.b.policy, steps=tuple(merged[name] for name in order), invariants=())

    def _step(self, a: Step, b: Step) -> Step:
        if a.hit != b.hit or dict(a.sets) != dict(b.sets):
            raise _ApartError
        start = self._start(a, b)
        if a.hit == "first":
            last = self._last(a.rules[-1], b.rules[-1])
            return replace(b, start=a.start, rules=(*self._rules(a.rules[:-1], b.rules[:-1]), *last))
        return replace(b, start=a.start, rules=(*start, *self._rules(a.rules, b.rules)))

    def _start(self, a: Step, b: Step) -> Iterator[Rule]:
        """B's start values as rules that come first, each with a switch."""
        theirs = dict(b.start)
        for name, mine in a.start:
            text_a, text_b = (print_expression(text.expression) for text in (mine, theirs[name]))
            if text_a == text_b:
                continue
            change = Change("start", f"{a.ruleset}.{name}", text_a, text_b)
            rule = Rule(a.ruleset, f"start of {name}", None, None, (Effect("set", name, theirs[name]),), "", a.span)
            self.enabled[rule.full_id] = self.switch(change, a.ruleset)
            yield rule

    def _last(self, a: Rule, b: Rule) -> list[Rule]:
        """The last rules of `first` sets take each other's place, whatever they are called."""
        if _meaning(a) == _meaning(b):
            return [b]
        name = a.full_id if a.id == b.id else f"{a.full_id}, now {b.id}"
        return self._both(a, b, Change("rule", name, "", "changed"))

    def _rules(self, rules_a: tuple[Rule, ...], rules_b: tuple[Rule, ...]) -> Iterator[Rule]:
        ids_a, ids_b = [rule.id for rule in rules_a], [rule.id for rule in rules_b]
        for i, j in aligned(ids_a, ids_b):
            first = rules_a[i] if i is not None else None
            second = rules_b[j] if j is not None else None
            if first is not None and second is not None:
                if _meaning(first) == _meaning(second):
                    yield second
                else:
                    yield from self._both(first, second, Change("rule", first.full_id, "", "changed"))
            elif first is not None:
                moved = first.id in ids_b
                yield self._one(first, "A", self._gone(first, self.b.rulebook, moved=moved))
            elif second is not None:
                moved = second.id in ids_a
                yield self._one(second, "B", self._come(second, self.a.rulebook, moved=moved))

    @staticmethod
    def _gone(rule: Rule, other: Rulebook, *, moved: bool) -> Change:
        became = "moved" if moved else "disabled in B" if rule.full_id in other.disabled else "not in B"
        return Change("rule", rule.full_id, "", became)

    @staticmethod
    def _come(rule: Rule, other: Rulebook, *, moved: bool) -> Change:
        became = "moved" if moved else "disabled in A" if rule.full_id in other.disabled else "not in A"
        return Change("rule", rule.full_id, "", became)

    def _both(self, a: Rule, b: Rule, change: Change) -> list[Rule]:
        return [self._one(a, "A", change), self._one(b, "B", change)]

    def _one(self, rule: Rule, side: str, change: Change) -> Rule:
        bit = self.switch(change, rule.ruleset)
        named = replace(rule, id=f"{rule.id} ({side})")
        self.enabled[named.full_id] = bit if side == "B" else z3.Not(bit)
        return named


def blend(a: Side, b: Side, space: Space) -> Blend:
    """Both sides as one, on a space of `sides_for` them."""
    blender = _Blender(a, b, space)
    terms: PolicyTerms | None = None
    reach: dict[str, frozenset[Change]] = {}
    try:
        policy = blender.policy()
        facts = blender.facts()
        terms = encode(policy, blender.parameters(policy.steps), facts, blender.enabled)
        shared = {switch.change for switch in blender.switches} - {
            change for changes in blender.owners.values() for change in changes
        }
        for name in policy.types():
            owners = {step.ruleset for step in steps_for(policy.steps, name)}
            reach[name] = frozenset(shared.union(*(blender.owners.get(owner, ()) for owner in owners)))
    except (_ApartError, TypeError, KeyError):
        # A TypeError: a fact or parameter that is a number here and a choice there. A KeyError: a choice with a value
        # on one side that the other does not know, and so no order among them.
        terms = None
    return Blend(tuple(blender.switches), terms, reach)


def _ordered(steps: Mapping[str, Step], setters: Mapping[str, str]) -> list[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, step in steps.items():
        reads = {
            part.name
            for expression in expressions_in(step)
            for part in walk(expression)
            if isinstance(part, model.DecisionRef)
        }
        sorter.add(name, *sorted(setters[read] for read in reads if read in setters))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise _ApartError from error


def _meaning(rule: Rule) -> tuple[object, ...]:
    """What a rule says, apart from the ranges of what it reads; choices it compares have their lists."""
    effects = sorted(f"{item.kind} {item.name} {print_expression(item.value.expression)}" for item in rule.effects)
    choices = tuple(
        part.type
        for leaf in rule.leaves()
        for part in walk(leaf.written.expression)
        if isinstance(part, model.FactRef | model.DecisionRef) and isinstance(part.type, ChoiceType)
    )
    return print_condition(rule.condition), rule.on_unknown, tuple(effects), choices


def _chosen(bits: tuple[Bit, Bit, Bit], reading: Mapping[_Mix, Term]) -> Term:
    """What a fact is under each setting of three switches; a side that does not declare it is not asked."""

    def under(mix: tuple[bool, ...]) -> Term | None:
        if len(mix) == len(bits):
            return reading.get((mix[0], mix[1], mix[2]))
        bit = bits[len(mix)]
        off = under((*mix, False))
        if bit is False:
            return off
        on = under((*mix, True))
        if off is None or on is None:
            return on if off is None else off
        return _either(bit, on, off)

    term = under(())
    if term is None:
        raise _ApartError
    return term


def _either(bit: Bit, then: Term, otherwise: Term) -> Term:
    if type(then) is not type(otherwise):
        raise _ApartError
    return choose(bit, then, otherwise)


def settings(switches: Iterable[Switch], on: frozenset[Change]) -> list[z3.BoolRef]:
    """Switches set so that these changes are on and all others off."""
    return [switch.bit if switch.change in on else z3.Not(switch.bit) for switch in switches]
