"""The rules behind a refutation: where those stand that made the decisions which break an invariant.

In: the invariant, and the decisions: one an input, or one a profile. Out: places, nearest to the claim first: the rules
that set the names it speaks of, then those that set what these read, and so on; of two decisions, both in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.backends.outcome import Firing, Outcome
from engine.language import model
from engine.language.findings import Related
from engine.language.model import Expression, Invariant, Policy, expressions_in, walk

_MOST = 6
"""Places that are named."""
_FAR = 1_000_000
"""How far a rule set is from names that do not depend on it."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision: what a policy of a profile came to."""

    profile: str
    policy: Policy
    outcome: Outcome


def rules_behind(invariant: Invariant, decisions: Sequence[Decided]) -> tuple[Related, ...]:
    """Where the rules stand that made the decisions, those nearest to what the invariant speaks of first.

    Rules that no name of it depends on are left out, unless it speaks of facts alone.
    """
    found = [
        (far, side, firing, word)
        for side, decided in enumerate(decisions)
        for far, firing, word in _firings(invariant, decided)
    ]
    if any(far < _FAR for far, *_ in found):
        found = [each for each in found if each[0] < _FAR]
    sides: dict[str, list[int]] = {}
    places: dict[str, tuple[Firing, str]] = {}
    for _, side, firing, word in sorted(found, key=lambda each: each[:2]):
        places.setdefault(firing.rule.full_id, (firing, word))
        sides.setdefault(firing.rule.full_id, []).append(side)
    words = _sides(invariant, decisions)
    return tuple(
        Related(firing.rule.span, f"`{name}` {word} there{_of(sides[name], words)}")
        for name, (firing, word) in list(places.items())[:_MOST]
    )


def _sides(invariant: Invariant, decisions: Sequence[Decided]) -> tuple[str, ...]:
    """What each of two decisions is called; nothing where there is one."""
    if len(decisions) < 2:
        return ()
    if isinstance(invariant, model.AtLeastAsStrict):
        return tuple(f"in {decided.profile}" for decided in decisions)
    return ("with the first input", "with the second input")


def _of(sides: Sequence[int], words: Sequence[str]) -> str:
    if not words:
        return ""
    return f", {words[sides[0]]} alone" if len(sides) == 1 else ", both times"


def _firings(invariant: Invariant, decided: Decided) -> Iterator[tuple[int, Firing, str]]:
    """What fired and vetoed, each with how far it is: of one rule set, the rules that set a name of it are nearer."""
    names = names_of(invariant)
    far = _distances(decided.policy, invariant)
    outcome = decided.outcome
    for firing, word in [(each, "vetoed") for each in outcome.vetoes] + [(each, "fired") for each in outcome.fired]:
        distance = far.get(firing.rule.ruleset)
        beside = bool(firing.rule.effects) and not any(effect.name in names for effect in firing.rule.effects)
        yield _FAR if distance is None else 2 * distance + beside, firing, word


def _distances(policy: Policy, invariant: Invariant) -> dict[str, int]:
    """How many rule sets lie between each and the names that an invariant speaks of."""
    vetoes = {
        part.ruleset
        for expression in _expressions(invariant)
        for part in walk(expression)
        if isinstance(part, model.VetoedRef)
    }
    wanted = names_of(invariant)
    found: dict[str, int] = {}
    for distance in range(len(policy.steps)):
        reached = [
            step
            for step in policy.steps
            if step.ruleset not in found
            and (
                not wanted.isdisjoint(name for name, _ in step.sets)
                or (distance == 0 and step.hit == "veto" and not vetoes.isdisjoint((None, step.ruleset)))
            )
        ]
        found |= {step.ruleset: distance for step in reached}
        wanted = frozenset(
            part.name
            for step in reached
            for expression in expressions_in(step)
            for part in walk(expression)
            if isinstance(part, model.DecisionRef)
        )
    return found


def names_of(invariant: Invariant) -> frozenset[str]:
    """The decisions that an invariant speaks of."""
    match invariant:
        case model.Monotone(of=of) | model.Bounded(of=of):
            return frozenset((of,))
        case model.UnchangedWhen(of=several):
            return frozenset(several)
    return frozenset(
        part.name
        for expression in _expressions(invariant)
        for part in walk(expression)
        if isinstance(part, model.DecisionRef)
    )


def _expressions(invariant: Invariant) -> tuple[Expression, ...]:
    match invariant:
        case model.Claim(claim=written):
            return (written.expression,)
        case model.AtLeastAsStrict(when=when) | model.FailClosed(when=when):
            return (when.expression,)
    return ()
