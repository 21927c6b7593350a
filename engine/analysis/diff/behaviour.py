"""The behavioural half of a diff: every way in which two rulebooks decide the same input differently.

In: two rulebooks. Out: a `Behaviour`. For each policy that both run, for each decision, for each set of symbols that
have the same values, the solver is asked for an input that both decide differently, then for one that makes another
transition than that, and so on until it says that there is none. So the list is complete, or says where it is not.
Each transition then gets its regions (`regions`), the changes that make it (`responsible`), and for numbers its size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from engine.analysis.diff.encoded import TIMEOUTS, Encoded, Patience
from engine.analysis.diff.exact import is_set
from engine.analysis.diff.expected import expect
from engine.analysis.diff.extent import extent
from engine.analysis.diff.regions import unconfirmed
from engine.analysis.diff.scopes import compared, joined
from engine.analysis.diff.transitions import Behaviour, Direction, Numbers, Question, Transition
from engine.analysis.proofs import QUESTION_TIMEOUT_S
from engine.analysis.proofs.asking import Proven, Refuted, Undecided
from engine.backends.solver.space import Side
from engine.backends.solver.terms import Bit, Number, Real, Term, compare_reals, conj, disj, is_value, lift
from engine.backends.solver.turns import turn
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

Progress = Callable[[str, int, int], None]
"""Told what is asked next, how many decisions are done, and how many there are."""


@turn()
def behaviour(
    a: Rulebook,
    b: Rulebook,
    *,
    policies: Iterable[str] | None = None,
    timeout_s: float = QUESTION_TIMEOUT_S,
    progress: Progress = lambda *_: None,
) -> Behaviour:
    """Everything that A and B decide differently. `policies` are those to compare; all that both run if None."""
    started = time.perf_counter()
    shared = [name for name in a.policies if name in b.policies and (policies is None or name in set(policies))]
    comparisons = [_Comparison(a, b, name, timeout_s) for name in shared]
    asked = [(comparison, decision) for comparison in comparisons for decision in comparison.decisions]
    transitions: list[Transition] = []
    for done, (comparison, decision) in enumerate(asked):
        progress(f"{comparison.policy}.{decision}", done, len(asked))
        transitions += comparison.transitions(decision)
    undecided = [question for comparison in comparisons for question in comparison.undecided]
    merged = _sorted(a, _merged(transitions))
    expected, unused = expect(a, b, merged, shared)
    return Behaviour(
        tuple(shared),
        expected,
        tuple(undecided),
        unused,
        tuple(_lacking(a, b)),
        tuple(_lacking(b, a)),
        time.perf_counter() - started,
    )


def _lacking(one: Rulebook, other: Rulebook) -> Iterator[str]:
    for name, policy in one.policies.items():
        if name not in other.policies:
            yield name
            continue
        theirs = other.policies[name]
        for each in policy.decides:
            if each not in theirs.decides:
                yield f"{name}.{each}"
            elif type(policy.types()[each]) is not type(theirs.types()[each]):
                yield f"{name}.{each} (of that type)"


@dataclass
class _Comparison:
    """One policy on both sides."""

    a: Rulebook
    b: Rulebook
    policy: str
    timeout_s: float
    undecided: list[Question] = field(default_factory=list)
    _made: dict[str | None, Encoded] = field(default_factory=dict)

    @property
    def decisions(self) -> list[str]:
        """What both sides decide, of one type."""
        mine, theirs = self.a.policies[self.policy], self.b.policies[self.policy]
        types_a, types_b = mine.types(), theirs.types()
        return [name for name in mine.decides if name in theirs.decides and type(types_a[name]) is type(types_b[name])]

    def transitions(self, decision: str) -> Iterator[Transition]:
        """The transitions of one decision."""
        for each in compared(self.a, self.b, self.policy, decision):
            made = self._encoded(each.symbol)
            if made.blend.terms is not None and not made.blend.reach.get(decision):
                continue  # nothing that it depends on differs
            kind = made.a.policy.types()[decision]
            plain = Transition(self.policy, decision, kind, each.scope, None, None)
            yield from self._numbers(made, plain) if isinstance(kind, NumberType) else self._values(made, plain)

    def _encoded(self, symbol: str | None) -> Encoded:
        if symbol not in self._made:
            a, b = (Side(book, book.policies[self.policy], book.binding_of(symbol)) for book in (self.a, self.b))
            self._made[symbol] = Encoded(a, b, symbol, self.timeout_s)
        return self._made[symbol]

    def _values(self, made: Encoded, plain: Transition) -> Iterator[Transition]:
        """One transition for each pair of values that some input has."""
        before, after = (terms.names[plain.decision] for terms in made.terms)
        types = [side.policy.types()[plain.decision] for side in (made.a, made.b)]
        pairs = [pair for pair in product(*map(_values_of, types)) if pair[0] != pair[1]]
        bits = {pair: conj(is_value(before, pair[0]), is_value(after, pair[1])) for pair in pairs}
        left = dict(bits)
        while left:
            found = made.asker.model(disj(*left.values()))
            if isinstance(found, Proven):
                return
            if isinstance(found, Undecided):  # all at once are too much: one at a time
                asked = list(left)
                left = {}
            else:
                # A model with roots in it may not say which of them it is: then any may be.
                asked = [pair for pair, bit in left.items() if is_set(found, bit)] or list(left)
            for pair in asked[:1] if left else asked:
                yield from self._transition(made, replace(plain, before=pair[0], after=pair[1]), bits[pair], after)
                left.pop(pair, None)

    def _numbers(self, made: Encoded, plain: Transition) -> Iterator[Transition]:
        """One transition for inputs for which a number rises, one for those for which it falls."""
        before, after = (terms.names[plain.decision] for terms in made.terms)
        assert isinstance(before, Number)
        assert isinstance(after, Number)
        change: Real = lift(after.value) - lift(before.value)
        domain = made.space.domain()
        for way in _WAYS:
            bit = compare_reals("<" if way == "rises" else ">", before.value, after.value)
            for found in self._transition(made, replace(plain, direction=way), bit, after):
                budget = Patience(TIMEOUTS * self.timeout_s)
                spans = [
                    extent(domain, bit, number, min(self.timeout_s, budget.left_s))
                    for number in (before.value, after.value, change)
                ]
                yield found if found.undecided else replace(found, numbers=Numbers(*spans))

    def _transition(self, made: Encoded, plain: Transition, bit: Bit, after: Term) -> Iterator[Transition]:
        """The transition with everything about it, if any input makes it."""
        known = made.same(bit, plain)
        if known is not None:
            yield replace(known, responsible=made.responsible(bit, plain.decision, after))
            return
        terrain = made.terrain()
        wanted = terrain.asker.named(bit)
        answer = made.ask(terrain, plain, wanted)
        if isinstance(answer, Proven):
            return
        held = made.regions(terrain, plain, wanted)
        point = answer.points[0] if isinstance(answer, Refuted) else held.first
        if isinstance(answer, Undecided) and point is None:
            why = unconfirmed(held) or answer.why
            self.undecided.append(Question(plain.policy, plain.decision, plain.scope, why))
            yield replace(plain, undecided=why, uncovered=why)
        else:
            assert point is not None
            found = made.found(plain, point, held)
            made.kept.append((bit, point, found))
            yield replace(found, responsible=made.responsible(bit, plain.decision, after))


_WAYS: tuple[Direction, ...] = ("rises", "falls")


def _values_of(kind: Type) -> tuple[Value, ...]:
    match kind:
        case ChoiceType(of=of):
            return of
        case FlagType():
            return (False, True)
    raise TypeError(kind)


def _merged(transitions: Iterable[Transition]) -> list[Transition]:
    """Transitions that are the same for several sets of symbols, once."""
    found: list[Transition] = []
    for one in transitions:
        same = next((at for at, other in enumerate(found) if _alike(one, other)), None)
        if same is None:
            found.append(one)
        else:
            found[same] = replace(found[same], scope=joined(found[same].scope, one.scope))
    return found


def _alike(one: Transition, other: Transition) -> bool:
    return replace(one, scope=other.scope, witness=other.witness) == other


def _sorted(a: Rulebook, transitions: Iterable[Transition]) -> list[Transition]:
    """In the order of policies and decisions, of their values, and of symbols."""

    def order(transition: Transition) -> tuple[object, ...]:
        policy = a.policies[transition.policy]
        kind = transition.type
        values = [] if isinstance(kind, NumberType) else list(_values_of(kind))
        ends = [
            values.index(value) if value in values else len(values) for value in (transition.before, transition.after)
        ]
        return (
            list(a.policies).index(transition.policy),
            policy.decides.index(transition.decision),
            *ends,
            transition.direction or "",
            not transition.scope.whole,
            not transition.scope.others,
            transition.scope.symbols,
        )

    return sorted(transitions, key=order)
