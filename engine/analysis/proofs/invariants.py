"""What policies promise, asked of every input: each form of invariant as one question.

In: an invariant and the side (or the two sides) it is asked about. Out: an `Answer`; a refutation comes with the input,
or the two inputs, that break it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from engine.analysis.proofs.asking import Answer, Asker, Budget, Confirm, Refuted
from engine.analysis.proofs.runs import Points, Run, run
from engine.backends.solver.encode import PolicyTerms, encode, parameter_terms
from engine.backends.solver.space import Key, Side, Space, Variable
from engine.backends.solver.terms import Bit, compare_reals, conj, disj, neg, ranked, same_value
from engine.language import model
from engine.language.evaluate import Known, Missing, rank
from engine.language.model import Expression
from engine.language.types import Type


@dataclass
class Subject:
    """One side of questions, encoded once and asked often."""

    side: Side
    timeout_s: float
    budget: Budget = field(default_factory=Budget)
    space: Space = field(init=False)
    terms: PolicyTerms = field(init=False)
    asker: Asker = field(init=False)

    def __post_init__(self) -> None:
        self.space = Space(self.side)
        self.terms = encode(self.side.policy, parameter_terms(self.side), self.space.facts(self.side))
        self.asker = Asker(self.space.domain(), self.timeout_s, self.budget)

    def group_of(self, fact: str) -> Key:
        """A fact by its bare name."""
        return next(key for key in self.space.variables if key[1] == fact)


OfOneSide = model.Claim | model.Bounded | model.Monotone | model.UnchangedWhen | model.FailClosed
"""Invariants that speak of one profile."""


def ask(subject: Subject, invariant: OfOneSide) -> Answer:
    """Ask an invariant of one side."""
    match invariant:
        case model.Claim(claim=written):
            return _claim(subject, written.expression)
        case model.Bounded():
            return _bounded(subject, invariant)
        case model.Monotone():
            return _monotone(subject, invariant)
        case model.UnchangedWhen():
            return _unchanged(subject, invariant)
        case model.FailClosed():
            return _fail_closed(subject, invariant)
    assert_never(invariant)


def _claim(subject: Subject, claim: Expression) -> Answer:
    """An unknown claim is a violated claim; an input for which it is false says more than one that leaves it open."""
    side, truth = subject.side, subject.terms.truth(claim)

    def ask_for(violated: Bit, *values: Known) -> Answer:
        def confirm(points: Points) -> bool:
            return run(side, points[0]).value(claim) in values

        return subject.asker.find([violated], lambda found: (subject.space.point(found),), confirm)

    answer = ask_for(neg(truth.true), False, *Missing)
    if isinstance(answer, Refuted) and isinstance(run(side, answer.points[0]).value(claim), Missing):
        plainly = ask_for(truth.false, False)
        return plainly if isinstance(plainly, Refuted) else answer
    return answer


def _bounded(subject: Subject, invariant: model.Bounded) -> Answer:
    of = model.DecisionRef(0, 0, invariant.of, _type_of(subject.side, invariant.of))
    bounds: list[Expression] = []
    if invariant.least is not None:
        bounds.append(model.Compare(0, 0, ">=", of, invariant.least.expression))
    if invariant.most is not None:
        bounds.append(model.Compare(0, 0, "<=", of, invariant.most.expression))
    claim = bounds[0]
    for further in bounds[1:]:
        claim = model.Logical(0, 0, "and", claim, further)
    return _claim(subject, claim)


def _type_of(side: Side, name: str) -> Type:
    return side.policy.types()[name]


@dataclass(frozen=True)
class _Twins:
    """Two inputs that differ in some facts alone."""

    subject: Subject
    keys: tuple[Key, ...]
    variables: Mapping[Key, Variable]
    terms: PolicyTerms

    @classmethod
    def of(cls, subject: Subject, keys: tuple[Key, ...]) -> _Twins:
        side, space = subject.side, subject.space
        variables = space.twin(keys)
        return cls(subject, keys, variables, encode(side.policy, parameter_terms(side), space.facts(side, variables)))

    def find(self, wanted: list[Bit], confirm: Confirm) -> Answer:
        """Ask for two such inputs."""
        space = self.subject.space
        return self.subject.asker.find(
            [*space.domain(self.variables), *wanted],
            lambda found: (space.point(found), space.point(found, self.variables)),
            confirm,
        )


def _monotone(subject: Subject, invariant: model.Monotone) -> Answer:
    side, rises = subject.side, invariant.moves == "rises"
    key, kind = subject.group_of(invariant.in_), _type_of(subject.side, invariant.of)
    twins = _Twins.of(subject, (key,))
    low, high = subject.space.variables[key], twins.variables[key]
    assert low.number is not None
    assert high.number is not None
    before = ranked(subject.terms.names[invariant.of], kind).value
    after = ranked(twins.terms.names[invariant.of], kind).value
    wrong = compare_reals("<" if rises else ">", after, before)
    wanted: list[Bit] = [neg(low.gap), neg(high.gap), compare_reals("<", low.number, high.number), wrong]

    def confirm(points: Points) -> bool:
        first, second = run(side, points[0]), run(side, points[1])
        below, above = first.names[invariant.in_], second.names[invariant.in_]
        if isinstance(below, Missing) or isinstance(above, Missing) or not below < above:  # type: ignore[operator]
            return False
        start, end = rank(first.decided(invariant.of), kind), rank(second.decided(invariant.of), kind)
        return end < start if rises else end > start

    return twins.find(wanted, confirm)


def _unchanged(subject: Subject, invariant: model.UnchangedWhen) -> Answer:
    side = subject.side
    twins = _Twins.of(subject, tuple(subject.group_of(fact) for fact in invariant.in_))
    when = invariant.when.expression
    changed = disj(*(neg(same_value(subject.terms.names[name], twins.terms.names[name])) for name in invariant.of))

    def confirm(points: Points) -> bool:
        first, second = run(side, points[0]), run(side, points[1])
        if not _alike_but_for(first, second, invariant.in_):
            return False
        if first.value(when) is not True or second.value(when) is not True:
            return False
        return any(first.decided(name) != second.decided(name) for name in invariant.of)

    return twins.find([subject.terms.truth(when).true, twins.terms.truth(when).true, changed], confirm)


def _fail_closed(subject: Subject, invariant: model.FailClosed) -> Answer:
    """One fact at a time; what holds for each of them in any state holds for several, one after the other."""
    side, space = subject.side, subject.space
    keys = tuple(key for key in space.variables if key[0] in invariant.missing)
    twins = _Twins.of(subject, keys)
    when = invariant.when.expression
    same = {key: _same_input(space.variables[key], twins.variables[key]) for key in keys}
    one = disj(
        *(
            conj(
                space.variables[key].gap,
                neg(twins.variables[key].gap),
                *(same[other] for other in keys if other != key),
            )
            for key in keys
        )
    )
    wanted: list[Bit] = [one, subject.terms.truth(when).true, neg(twins.terms.truth(when).true)]
    unless = invariant.unless
    if unless is not None:
        wanted.append(neg(subject.terms.truth(unless.expression).true))

    def confirm(points: Points) -> bool:
        apart = [key for key in keys if points[0].given[key] != points[1].given[key]]
        if len(apart) != 1 or points[0].given[apart[0]] is not None:
            return False
        first, second = run(side, points[0]), run(side, points[1])
        if isinstance(second.names[apart[0][1]], Missing):  # given, but not sound beside the others
            return False
        if unless is not None and first.value(unless.expression) is True:
            return False
        return first.value(when) is True and second.value(when) is not True

    return twins.find(wanted, confirm)


def _alike_but_for(first: Run, second: Run, facts: Collection[str]) -> bool:
    """All else is equal. A fact apart from these may be missing in one run, where one that moved broke a relation."""
    before, after = first.seen.names(), second.seen.names()
    return all(before[name] == after[name] for name in before if name not in facts)


def _same_input(left: Variable, right: Variable) -> Bit:
    """Where two variables of a fact are handed in alike."""
    values: list[Bit] = []
    if left.number is not None and right.number is not None:
        values.append(left.number == right.number)
    if left.flag is not None and right.flag is not None:
        values.append(left.flag == right.flag)
    values += [bit == right.options[name] for name, bit in left.options.items()]
    return conj(left.gap == right.gap, *values)


def ask_strict(
    strict: Side, loose: Side, invariant: model.AtLeastAsStrict, timeout_s: float, budget: Budget | None = None
) -> Answer:
    """Wherever `when` holds under the stricter profile, it holds under the other one for the same symbol."""
    when = invariant.when.expression
    space = Space(strict, loose)
    asker = Asker(space.domain(), timeout_s, budget)
    held, let = (
        encode(side.policy, parameter_terms(side), space.facts(side)).truth(when).true for side in (strict, loose)
    )

    def confirm(points: Points) -> bool:
        return run(strict, points[0]).value(when) is True and run(loose, points[0]).value(when) is not True

    return asker.find([held, neg(let)], lambda found: (space.point(found),), confirm)
