"""The behavioural half of a diff as text: for each decision what it changes from and to, where, and through what."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from engine.analysis.diff.factors import factored
from engine.analysis.diff.scopes import joined
from engine.analysis.diff.transitions import (
    Behaviour,
    Condition,
    Responsible,
    Transition,
    show_value,
)
from engine.analysis.diff.ways import ways_apart
from engine.backends.interpreter import StepTrace
from engine.language.model import Divergence
from engine.printing import LEAST_ROOM, counted, is_measured, print_labelled, print_wrapped, printable

_LABEL = 8
"""Cells of the word that begins a line: `where`, `expected`."""
_INDENT = "      "
MOST_SHOWN = 12
"""Alternatives of one choice that are shown; JSON has all."""
UNCONFIRMED = "in exact arithmetic it happens there, and no input of doubles was found that shows it"


def print_behaviour(console: Console, found: Behaviour, *, marked: bool = False) -> None:
    """What is decided differently, decision by decision. `marked` says of each transition if it is unexpected."""
    console.print()
    console.print(Text("behaviour", "bold"))
    print_wrapped(console, Text(f"  {summary(found)}"), hanging=4)
    for policy, decision, transitions in found.decisions():
        console.print()
        console.print(Text(f"  {policy}.{decision}", "bold"))
        for transition in told(transitions):
            _print_transition(console, transition, with_weight=found.history is not None, marked=marked)
    for line in notes(found):
        console.print()
        print_wrapped(console, Text(f"  {printable(line)}", "yellow"), hanging=4)


def summary(found: Behaviour) -> str:
    """The whole in one line."""
    weighed = f"; weighed by {found.history}" if found.history is not None else ""
    if not found.transitions:
        policies = counted(len(found.policies), "policy", "policies")
        return f"nothing is decided differently: proven for {policies}" if found.same else "undecided"
    sure = [each for each in found.transitions if not each.undecided]
    open_ = counted(_decisions(each for each in found.transitions if each.undecided), "decision")
    if not sure:
        return f"undecided: {open_}"
    expected = sum(each.expected is not None for each in sure)
    parts = [f"{counted(len(sure), 'transition')} of {counted(_decisions(sure), 'decision')}"]
    parts += [f"{expected} of them expected"] if expected else []
    parts += [f"{open_} undecided"] if len(sure) < len(found.transitions) else []
    return f"{', '.join(parts)}{weighed}"


def _decisions(transitions: Iterable[Transition]) -> int:
    return len({(each.policy, each.decision) for each in transitions})


def notes(found: Behaviour) -> Iterator[str]:
    """What else there is to know: what one side lacks, what is meant and does not happen."""
    for side, lacking in (("B", found.only_a), ("A", found.only_b)):
        if lacking:
            yield f"not compared, since {side} does not have it: {', '.join(lacking)}"
    for entry in found.unused:
        yield f"{entry.span.file}:{entry.span.line}: no transition uses this entry any more: {entry_text(entry)}"


def entry_text(entry: Divergence) -> str:
    """An entry of `diverges` in one line."""
    ends = "" if entry.before is entry.after is None else f" {show_value(entry.before)} -> {show_value(entry.after)}"
    return f"{entry.policy}.{entry.decision}{ends}"


def told(transitions: Iterable[Transition]) -> list[Transition]:
    """Those of one decision as they are told: once for all symbols of which the same is said, often seen ones first."""
    found: dict[object, Transition] = {}
    for own, each in enumerate(transitions):
        shown = own if not each.like else (each.text, each.numbers, each.like, each.responsible, each.weight)
        known = found.get(shown)
        found[shown] = each if known is None else replace(known, scope=joined(known.scope, each.scope))
    return sorted(found.values(), key=lambda each: -each.weight.count if each.weight is not None else 0)


def _print_transition(console: Console, transition: Transition, *, with_weight: bool, marked: bool) -> None:
    mark = ("unexpected  ", "bold red") if marked and is_unexpected(transition) else ""
    head = Text.assemble("    ", mark, (printable(transition.text), "yellow"), f"  for {transition.scope.text}")
    print_wrapped(console, head, hanging=6)
    if transition.undecided:
        _print_line(console, "", f"undecided: {transition.undecided}")
        return
    if transition.numbers is not None and transition.numbers.text:
        _print_line(console, "from", transition.numbers.text)
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
        _print_line(console, "expected", transition.expected.why)


def is_unexpected(transition: Transition) -> bool:
    """True if no entry says that a transition is meant; one that is undecided says that instead."""
    return transition.expected is None and not transition.undecided


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
    print_labelled(console, label, text, indent=len(_INDENT), cells=_LABEL)


def where(transition: Transition) -> Iterator[tuple[str, list[str]]]:
    """What regions have in common and what they choose from, as conditions, with the word before them."""
    if transition.like:
        yield "where", [f"as {transition.like}"]
        return
    found = factored(transition.regions)
    if found.common or not found.choices:
        yield "where", listed(found.common) if transition.regions else ["not found"]
    for at, choice in enumerate(found.choices):
        for number, conditions in enumerate(choice[:MOST_SHOWN]):
            first = "and" if found.common or at else "where"
            yield first if number == 0 else "  or", listed(conditions)
        if len(choice) > MOST_SHOWN:
            yield "  or", [f"{len(choice) - MOST_SHOWN} more, which JSON lists"]
    for line in open_ends(transition):
        yield "", [line]


def open_ends(transition: Transition) -> Iterator[str]:
    """What is not known of where a transition happens."""
    for region in transition.unconfirmed:
        yield f"undecided where {' and '.join(listed(region.conditions))}: {UNCONFIRMED}"
    if not transition.covered:
        yield f"there may be more: the search ended, {transition.uncovered}"


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
    if witness is not None:
        yield from ways_apart(witness.a, witness.b, transition.decision)


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
