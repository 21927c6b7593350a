"""What a decision depends on: the steps before it, and the expressions in them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.language import model
from engine.language.model import Step, expressions_in, walk


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
