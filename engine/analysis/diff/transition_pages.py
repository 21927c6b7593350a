"""The behavioural half of a diff as text: for each decision what it changes from and to, where, and through what."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from engine.analysis.diff.reach import steps_for
from engine.analysis.diff.transitions import (
    Behaviour,
    Condition,
    Responsible,
    Transition,
    shared,
    show_value,
)
from engine.backends.interpreter import StepTrace
from engine.language.model import Divergence
from engine.printing import LEAST_ROOM, counted, is_measured, print_wrapped, printable

_LABEL = 7
"""Cells of the word that begins a line: `where`, `through`."""
_INDENT = "      "


def print_behaviour(console: Console, found: Behaviour) -> None:
    """What is decided differently, decision by decision."""
    console.print()
    console.print(Text("behaviour", "bold"))
    print_wrapped(console, Text(f"  {summary(found)}"), hanging=4)
    for policy, decision, transitions in found.decisions():
        console.print()
        console.print(Text(f"  {policy}.{decision}", "bold"))
        for transition in transitions:
            _print_transition(console, transition, with_weight=found.history is not None)
    for line in notes(found):
        console.print()
        print_wrapped(console, Text(f"  {printable(line)}", "yellow"), hanging=4)


def summary(found: Behaviour) -> str:
    """The whole in one line."""
    weighed = f"; weighed by {found.history}" if found.history is not None else ""
    if not found.transitions:
        policies = counted(len(found.policies), "policy", "policies")
        return f"nothing is decided differently: proven for {policies}" if found.same else "undecided"
    decisions = len({(each.policy, each.decision) for each in found.transitions})
    meant = len(found.transitions) - len(found.unexpected)
    told = f", {meant} of them meant" if meant else ""
    return f"{counted(len(found.transitions), 'transition')} of {counted(decisions, 'decision')}{told}{weighed}"


def notes(found: Behaviour) -> Iterator[str]:
    """What else there is to know: what was given up, what one side lacks, what is meant and does not happen."""
    for question in found.undecided:
        yield f"undecided: {question.policy}.{question.decision} for {question.scope.text}: {question.why}"
    for side, lacking in (("B", found.only_a), ("A", found.only_b)):
        if lacking:
            yield f"not compared, since {side} does not have it: {', '.join(lacking)}"
    for entry in found.unused:
        yield f"{entry.span.file}:{entry.span.line}: no transition uses this entry any more: {entry_text(entry)}"


def entry_text(entry: Divergence) -> str:
    """An entry of `diverges` in one line."""
    ends = "" if entry.before is entry.after is None else f" {show_value(entry.before)} -> {show_value(entry.after)}"
    return f"{entry.policy}.{entry.decision}{ends}"


def _print_transition(console: Console, transition: Transition, *, with_weight: bool) -> None:
    head = Text.assemble("    ", (printable(transition.text), "yellow"), f"  for {transition.scope.text}")
    print_wrapped(console, head, hanging=6)
    if transition.undecided:
        _print_line(console, "", f"undecided: {transition.undecided}")
        return
    if transition.numbers is not None and transition.numbers.before and transition.numbers.after:
        _print_line(console, "from", f"{transition.numbers.before.text} to: {transition.numbers.after.text}")
    for label, texts in where(transition):
        _print_conditions(console, label, texts)
    _print_lines(console, "through", through(transition))
    if transition.witness is not None and not transition.like:
        _print_line(console, "as with", json.dumps(transition.witness.facts, ensure_ascii=False))
        for name, ends in apart(transition):
            _print_line(console, "", f"{name} {ends}")
    if with_weight:
        _print_line(console, "seen", weight_text(transition))
    if transition.expected is not None:
        _print_line(console, "meant", transition.expected.why)


def _print_lines(console: Console, label: str, texts: Iterable[str]) -> None:
    for number, text in enumerate(texts):
        _print_line(console, label if number == 0 else "", text)


def _print_conditions(console: Console, label: str, texts: Sequence[str]) -> None:
    """Conditions, as many on a line as fit; unbroken where nobody said how wide the output is."""
    room = max(console.width - len(_INDENT) - _LABEL - 2, LEAST_ROOM) if is_measured(console) else sys.maxsize
    lines: list[str] = []
    for text in texts:
        if lines and cell_len(f"{lines[-1]} and {text}") <= room:
            lines[-1] += f" and {text}"
        else:
            lines.append(f"and {text}" if lines else text)
    _print_lines(console, label, lines)


def _print_line(console: Console, label: str, text: str) -> None:
    shown = Text.assemble(_INDENT, (f"{label:<{_LABEL}}", "dim"), f"  {printable(text)}")
    print_wrapped(console, shown, hanging=len(_INDENT) + _LABEL + 4)


def where(transition: Transition) -> Iterator[tuple[str, list[str]]]:
    """What several regions have in common and what each has of its own, as conditions, with the word before them."""
    if transition.like:
        yield "where", [f"as {transition.like}"]
        return
    common, own = shared(transition.regions)
    if common or not own:
        yield "where", listed(common) if transition.regions else ["not found"]
    for number, conditions in enumerate(own):
        yield ("and" if common else "where") if number == 0 else "or", listed(conditions)
    if not transition.covered:
        yield "", [f"there may be more: the search ended, {transition.uncovered}"]


def listed(conditions: Iterable[Condition]) -> list[str]:
    """Conditions as texts that can stand beside each other; those that hold an `or` in parentheses."""
    return [f"({each.text})" if " or " in each.text else each.text for each in conditions] or ["always"]


def through(transition: Transition) -> Iterator[str]:
    """The changes that make a transition, each with how it does."""
    if not transition.blended:
        yield "the rules differ too much to try one change at a time"
    for each in transition.responsible:
        yield f"{each.change.text}: {role(each)}"


def role(each: Responsible) -> str:
    """What a change has to do with a transition, in words."""
    if each.undecided:
        return "undecided"
    if (each.alone, each.needed) == ("never", "never"):
        return "only together with others"
    alone = {"always": "enough alone", "sometimes": "sometimes enough alone", "never": "never enough alone"}
    needed = {"always": "always needed", "sometimes": "sometimes needed", "never": "never needed"}
    assert each.alone is not None
    assert each.needed is not None
    return f"{alone[each.alone]}, {needed[each.needed]}"


def apart(transition: Transition) -> Iterator[tuple[str, str]]:
    """What the sides make of the witness differently on the way to the decision: a name, and from what to what."""
    witness = transition.witness
    if witness is None:
        return
    ways = [_way(steps, transition.decision) for steps in (witness.a, witness.b)]
    for name in dict.fromkeys((*ways[0], *ways[1])):
        before, after = (way.get(name, "not set") for way in ways)
        if before.partition(" by ")[0] != after.partition(" by ")[0]:
            yield name, f"{before} -> {after}"


def _way(steps: Sequence[StepTrace], decision: str) -> dict[str, str]:
    """Each name that is set on the way to a decision, with its value and the rules that fired."""
    wanted = {step.ruleset for step in steps_for([step.step for step in steps], decision)}
    return {
        name: f"{show_value(value)} by {', '.join(_setting(step, name)) or 'no rule'}"
        for step in steps
        if step.step.ruleset in wanted
        for name, value in step.sets.items()
    }


def _setting(step: StepTrace, name: str) -> list[str]:
    """The rules that matched and have a say in a name."""
    matched = (rule.rule for rule in step.rules if rule.matched)
    return [rule.id for rule in matched if not rule.effects or any(effect.name == name for effect in rule.effects)]


def fired(step: StepTrace) -> list[str]:
    """The ids of the rules of a step that matched."""
    return [rule.rule.id for rule in step.rules if rule.matched]


def weight_text(transition: Transition) -> str:
    """How often a transition was seen in history, and what that cost."""
    weight = transition.weight
    if weight is None or not weight.decisions:
        return "no decision of this policy in history"
    if not weight.count:
        return f"never, in {weight.decisions:,} {'decision' if weight.decisions == 1 else 'decisions'}"
    assert weight.share is not None
    text = f"{weight.count:,} of {weight.decisions:,} decisions ({100 * weight.share:.3g} %)"
    if weight.intents:
        cost = f"{weight.cost_bps:.3g} bps, " if weight.cost_bps is not None else ""
        text += f"; {counted(weight.intents, 'outcome')} known: {cost}{weight.cost_usd:,.2f} USD of cost"
    return text
