"""What a decision depends on: the steps before it, and the expressions in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.language import model
from engine.language.model import Expression, Step, walk


def steps_for(steps: Sequence[Step], decision: str) -> tuple[Step, ...]:
    """Those of a policy's steps that a decision depends on, in order."""
    wanted, kept = {decision}, []
    for step in reversed(steps):
        if wanted.isdisjoint(name for name, _ in step.sets):
            continue
        kept.append(step)
        wanted |= {
            part.name
            for expression in expressions_in(step)
            for part in walk(expression)
            if isinstance(part, model.DecisionRef)
        }
    return tuple(reversed(kept))


def expressions_in(step: Step) -> Iterable[Expression]:
    """Every expression of a step."""
    yield from (text.expression for _, text in step.start)
    for rule in step.rules:
        yield from (leaf.written.expression for leaf in rule.leaves())
        yield from (effect.value.expression for effect in rule.effects)
