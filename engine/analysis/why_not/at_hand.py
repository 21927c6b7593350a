"""Invariants that inputs at hand break, found by the interpreter alone.

In: a rulebook, some of its invariants, and inputs: the facts that were asked about, and those that broke an earlier
edit. Out: a verdict with its inputs for every invariant that is broken on them. What speaks of two inputs is asked of
an input and others beside it that differ in one fact. Nothing found proves nothing; it costs no solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from engine.analysis.proofs.prove import Verdict, Witness
from engine.analysis.proofs.runs import Run, run_on
from engine.analysis.why_not.rulebooks import Rulebooks, speaks_of
from engine.backends.facts import DECISIONS, FactsError, as_object, raw_group, read_fact, read_moment
from engine.backends.solver.space import Side
from engine.language.evaluate import Known, Missing, compare, rank
from engine.language.findings import SluiceError
from engine.language.model import (
    AtLeastAsStrict,
    Bounded,
    Claim,
    FailClosed,
    Group,
    Invariant,
    Monotone,
    ParameterRef,
    Policy,
    UnchangedWhen,
    expressions_of,
    walk,
)
from engine.language.printer import print_invariant
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

_FACTORS = (0.5, 0.9, 1.1, 2.0)
"""Numbers that are tried beside one that is given, as multiples of it."""
_MARGIN = 1e-9
"""Of a number that moves the wrong way: doubles round by far less, and rounding breaks no invariant."""

Facts = Mapping[str, Any]


def broken_at_hand(
    rulebook: Rulebook, policies: Mapping[str, Policy], inputs: Sequence[Facts], others: Rulebooks | None
) -> list[Verdict]:
    """The invariants of these policies that one of the inputs breaks, each with the first that does."""
    found: list[Verdict] = []
    for policy in policies.values():
        for invariant in policy.invariants:
            if not speaks_of(invariant, rulebook.profile):
                continue
            broken = next((each for facts in inputs for each in _witnesses(rulebook, policy, invariant, facts, others)),
                          None)  # fmt: skip
            if broken is not None:
                across = (invariant.profile, invariant.than) if isinstance(invariant, AtLeastAsStrict) else ()
                said = print_invariant(invariant)
                found.append(
                    Verdict(
                        policy.name, invariant.id, said, invariant.span, "refuted", 0, witness=broken, across=across
                    )
                )
    return found


def _witnesses(
    rulebook: Rulebook, policy: Policy, invariant: Invariant, facts: Facts, others: Rulebooks | None
) -> Iterator[Witness]:
    """Inputs that break an invariant: these facts, alone or with others beside them."""
    around = _Around.of(rulebook, policy, facts)
    match invariant:
        case Claim() | Bounded():
            found: Iterable[tuple[Facts, ...]] = _alone(around, invariant)
        case Monotone():
            found = _moved(around, invariant)
        case UnchangedWhen():
            found = _changed(around, invariant)
        case FailClosed():
            found = _gained(around, invariant)
        case AtLeastAsStrict():
            yield from _stricter(rulebook, policy, invariant, facts, others)
            return
    for inputs in found:
        yield Witness((rulebook.profile,), around.side.binding.groups, inputs)


# --- inputs beside one -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Around:
    """An input of a policy, and others that differ from it in one fact."""

    side: Side
    facts: Facts

    @classmethod
    def of(cls, rulebook: Rulebook, policy: Policy, facts: Facts) -> _Around:
        facts = as_object(facts)
        return cls(Side(rulebook, policy, rulebook.binding_of(read_moment(facts).symbol)), facts)

    def run(self, facts: Facts | None = None) -> Run | None:
        """The decision on these facts, or on others; None for what is no facts object of this rulebook."""
        try:
            return run_on(self.side, self.facts if facts is None else facts)
        except FactsError:
            return None

    def given(self, group: Group, fact: str) -> Any:
        """What was handed in for a fact."""
        return self._raw(group).get(fact)

    def having(self, group: Group, fact: str, value: Value | None) -> Facts:
        """These facts with another value of one of them; None leaves it out."""
        held = {**self._raw(group)}
        held.pop(fact, None)
        if value is not None:
            held[fact] = value
        if group.max_age is not None:
            held.setdefault("observed_at", self.facts["now"])
        if not group.name.startswith(f"{DECISIONS}."):
            return {**self.facts, group.name: held}
        decided = self.facts.get(DECISIONS)
        before = decided if isinstance(decided, Mapping) else {}
        return {**self.facts, DECISIONS: {**before, group.name.removeprefix(f"{DECISIONS}."): held}}

    def values(self, group: Group, fact: str) -> list[Value]:
        """Values of a fact that are worth a try: all of a flag or a choice, and of a number those that rules name."""
        declared = next(each for each in group.facts if each.name == fact)
        match declared.type:
            case FlagType():
                return [False, True]
            case ChoiceType(of=of):
                return list(of)
            case NumberType() as kind:
                held = read_fact(declared, self.given(group, fact))
                return self._numbers(kind, held if isinstance(held, float) else None)
        return []

    def _numbers(self, kind: NumberType, given: float | None) -> list[Value]:
        parts = (part for expression in expressions_of(self.side.policy) for part in walk(expression))
        named = {f"{part.ruleset}.{part.name}" for part in parts if isinstance(part, ParameterRef)}
        values = self.side.binding.values
        tried = {kind.min, kind.max, 0.0} | {
            float(value) for name in named if isinstance(value := values.get(name), float)
        }
        if given is not None:
            tried |= {given} | {given * factor for factor in _FACTORS}
        return [value for value in sorted(tried) if kind.min <= value <= kind.max]

    def _raw(self, group: Group) -> Mapping[str, Any]:
        handed = raw_group(group, self.facts)
        try:
            return as_object(handed) if handed is not None else {}
        except FactsError:
            return {}

    def places(self, facts: Sequence[str]) -> Iterator[tuple[Group, str]]:
        """Facts by their names, each with its group."""
        for group in self.side.policy.groups:
            for fact in group.facts:
                if fact.name in facts:
                    yield group, fact.name


# --- the forms -------------------------------------------------------------------------------------------------------


def _alone(around: _Around, invariant: Claim | Bounded) -> Iterator[tuple[Facts, ...]]:
    run = around.run()
    if run is None:
        return
    if not _keeps(run, invariant):
        yield (around.facts,)


def _keeps(run: Run, invariant: Claim | Bounded) -> bool:
    if isinstance(invariant, Claim):
        return run.value(invariant.claim.expression) is True
    decided, kind = run.decided(invariant.of), run.side.policy.types()[invariant.of]
    low, high = (None if bound is None else run.value(bound.expression) for bound in (invariant.least, invariant.most))
    if isinstance(low, Missing) or isinstance(high, Missing):
        return False
    return (low is None or compare(">=", decided, low, kind)) and (high is None or compare("<=", decided, high, kind))


def _moved(around: _Around, invariant: Monotone) -> Iterator[tuple[Facts, ...]]:
    """Two neighbours of all values tried between which the decision moves the wrong way."""
    kind = around.side.policy.types()[invariant.of]
    for group, fact in around.places((invariant.in_,)):
        tried = [around.having(group, fact, value) for value in around.values(group, fact)]
        runs = [run for facts in tried if (run := around.run(facts)) and not isinstance(run.names[fact], Missing)]
        for low, high in pairwise(runs):
            before, after = rank(low.decided(invariant.of), kind), rank(high.decided(invariant.of), kind)
            wrong = before - after if invariant.moves == "rises" else after - before
            if wrong > _MARGIN * max(abs(before), abs(after), 1.0) and low.names[fact] != high.names[fact]:
                yield low.facts, high.facts


def _changed(around: _Around, invariant: UnchangedWhen) -> Iterator[tuple[Facts, ...]]:
    when, types = invariant.when.expression, around.side.policy.types()
    first = around.run()
    if first is None or first.value(when) is not True:
        return
    before = first.seen.names()
    for group, fact in around.places(invariant.in_):
        for value in (None, *around.values(group, fact)):
            second = around.run(around.having(group, fact, value))
            if second is None or second.value(when) is not True:
                continue
            after = second.seen.names()
            if any(before[name] != after[name] for name in before if name not in invariant.in_):
                continue
            if any(_differ(first.decided(name), second.decided(name), types[name]) for name in invariant.of):
                yield first.facts, second.facts


def _gained(around: _Around, invariant: FailClosed) -> Iterator[tuple[Facts, ...]]:
    """A fact left out gains what it refuses where it is known: the one that is given, or any that might be."""
    when = invariant.when.expression
    for group in around.side.policy.groups:
        if group.name not in invariant.missing:
            continue
        for fact in (each.name for each in group.facts):
            given = around.given(group, fact)
            without = around.run(around.having(group, fact, None))
            if without is None or without.value(when) is not True:
                continue
            if invariant.unless is not None and without.value(invariant.unless.expression) is True:
                continue
            known = around.values(group, fact) if given is None else [given, *around.values(group, fact)]
            for value in known:
                run = around.run(around.having(group, fact, value))
                if run is not None and not isinstance(run.names[fact], Missing) and run.value(when) is not True:
                    yield without.facts, run.facts


def _stricter(
    rulebook: Rulebook, policy: Policy, invariant: AtLeastAsStrict, facts: Facts, others: Rulebooks | None
) -> Iterator[Witness]:
    is_strict = rulebook.profile == invariant.profile
    if others is None:
        return
    try:
        other = others(invariant.than if is_strict else invariant.profile)
    except SluiceError:
        return
    if policy.name not in other.policies:
        return
    strict, loose = (rulebook, other) if is_strict else (other, rulebook)
    sides = [_Around.of(book, book.policies[policy.name], facts) for book in (strict, loose)]
    held, let = (_comes_to(side, invariant) for side in sides)
    if held is True and let is not None and let is not True:
        profiles = (strict.profile, loose.profile)
        yield Witness(profiles, sides[0].side.binding.groups, (sides[0].facts,))


def _comes_to(around: _Around, invariant: AtLeastAsStrict) -> Known | None:
    run = around.run()
    return None if run is None else run.value(invariant.when.expression)


def _differ(first: Value, second: Value, kind: Type) -> bool:
    """Whether two decided values are apart by more than rounding."""
    if not isinstance(kind, NumberType):
        return first != second
    before, after = float(first), float(second)
    return abs(after - before) > _MARGIN * max(abs(before), abs(after), 1.0)
