"""What two decisions make differently on the way to a name: each value that moved, and the rules that gave it.

In: the steps of both, as the interpreter ran them. Out: names, and from what to what. Diffs and proofs show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.analysis.diff.reach import steps_for
from engine.analysis.diff.transitions import show_value
from engine.backends.interpreter import StepTrace


def ways_apart(a: Sequence[StepTrace], b: Sequence[StepTrace], decision: str) -> Iterator[tuple[str, str]]:
    """What differs on the way to a decision: a name, and from what to what (`2 -> 4.5 by falling_back`)."""
    ways = [_way(steps, decision) for steps in (a, b)]
    for name in dict.fromkeys((*ways[0], *ways[1])):
        (before, by_a), (after, by_b) = (way.get(name, ("not set", "")) for way in ways)
        if before != after:
            yield name, f"{before} -> {after}{by_b}" if by_a == by_b else f"{before}{by_a} -> {after}{by_b}"


def _way(steps: Sequence[StepTrace], decision: str) -> dict[str, tuple[str, str]]:
    """Each name that is set on the way to a decision, with its value and what set it."""
    wanted = {step.ruleset for step in steps_for([step.step for step in steps], decision)}
    return {
        name: (show_value(value), _set_by(step, name))
        for step in steps
        if step.step.ruleset in wanted
        for name, value in step.sets.items()
    }


def _set_by(step: StepTrace, name: str) -> str:
    """Which rules gave a name its value; where none did, that nothing vetoed, or where its start value stands."""
    if rules := _setting(step, name):
        return f" by {', '.join(rules)}"
    start = next((written for each, written in step.step.start if each == name), None)
    return " by no veto" if start is None else f", the start value at {start.span.file}:{start.span.line}"


def _setting(step: StepTrace, name: str) -> list[str]:
    """The rules that matched and have a say in a name."""
    matched = (rule.rule for rule in step.rules if rule.matched)
    return [rule.id for rule in matched if not rule.effects or any(effect.name == name for effect in rule.effects)]
