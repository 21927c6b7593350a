"""A refuted invariant as people read it: the input that breaks it, what was decided on it, and by which rules.

In: a `Witness`. Out: a few labelled lines. Of two inputs the second is told by what it gives otherwise, and of two
decisions the rules of the second by what they are besides those of the first. With `trace` both are told in full.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from engine.analysis.diff.transitions import show_value
from engine.analysis.diff.ways import ways_apart
from engine.analysis.pages import print_decision
from engine.analysis.proofs.behind import names_of
from engine.analysis.proofs.findings import inputs_of, invariant_of
from engine.analysis.proofs.inputs import changed_text
from engine.analysis.proofs.prove import Verdict, Witness
from engine.backends.decision import Decision
from engine.backends.interpreter import StepTrace
from engine.book import Book
from engine.language.rulebook import Rulebook
from engine.printing import print_indented, print_labelled, printable

_INDENT = 4
_LABEL = 7
"""Cells of the word that begins a line; what follows stands under the text of the claim."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """One of the decisions that break an invariant, with what it is called (nothing where there is one alone)."""

    label: str
    decision: Decision
    steps: tuple[StepTrace, ...]


def print_refutation(
    console: Console, verdict: Verdict, witness: Witness, rulebook: Callable[[str], Rulebook], *, trace: bool
) -> None:
    """What breaks an invariant; with `trace` every decision in full below."""
    decided = _decided(verdict, witness, rulebook)
    for label, text in _lines(verdict, witness, decided, rulebook):
        print_labelled(console, label, text, indent=_INDENT, cells=_LABEL)
    if not trace:
        return
    for each in decided:
        console.print()
        if each.label:
            console.print(Text(f"{' ' * _INDENT}{each.label}:", "bold"))
        print_indented(console, _INDENT, partial(print_decision, decision=each.decision))


def _decided(verdict: Verdict, witness: Witness, rulebook: Callable[[str], Rulebook]) -> list[_Decided]:
    inputs = inputs_of(witness.profiles, witness.facts)
    labels = [""] * len(inputs)
    if len(witness.profiles) > 1:
        labels = [f"in {name}" for name in witness.profiles]
    elif len(inputs) > 1:
        labels = ["with the first", "with the second"]
    return [
        _Decided(label, *Book(rulebook(name), "interpreter").trace(verdict.policy, facts))
        for label, (name, facts) in zip(labels, inputs, strict=True)
    ]


def _lines(
    verdict: Verdict, witness: Witness, decided: Sequence[_Decided], rulebook: Callable[[str], Rulebook]
) -> Iterator[tuple[str, str]]:
    """Each line with the word that begins it."""
    names = names_of(invariant_of(verdict, witness.profiles[0], rulebook))
    yield "as with", facts_text(witness.facts[0])
    for facts in witness.facts[1:]:
        yield "and", f"as with the first, but {changed_text(witness.facts[0], facts)}"
    if len(witness.facts) > 1:
        yield from _under("moved", _moved(decided, names))
    else:
        yield from _under("decided", (_labelled(each, _values(each, names)) for each in decided))
    yield from _under("vetoed", _rules(decided, "vetoes"))
    yield from _under("fired", _rules(decided, "fired"))


def _under(label: str, texts: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Lines of which the first begins with the word."""
    for number, text in enumerate(texts):
        yield (label if number == 0 else ""), text


def _labelled(each: _Decided, text: str) -> str:
    return f"{each.label}: {text}" if each.label else text


def _values(each: _Decided, names: frozenset[str]) -> str:
    """What was decided for the names that the invariant speaks of; the reason where it speaks of none."""
    values = each.decision.outcome.values
    return ", ".join(f"{name} {show_value(values[name])}" for name in values if name in names) or each.decision.reason


def _moved(decided: Sequence[_Decided], names: frozenset[str]) -> Iterator[str]:
    """What came out otherwise for these names, and on the way to them; the reasons where nothing did."""
    first, second = decided
    moved = dict(change for name in sorted(names) for change in ways_apart(first.steps, second.steps, name))
    if moved:
        # What the invariant speaks of comes first, then what led to it.
        yield from (f"{name} {moved[name]}" for name in sorted(moved, key=lambda name: name not in names))
    else:
        yield from (_labelled(each, each.decision.reason) for each in decided)


def _rules(decided: Sequence[_Decided], kind: Literal["vetoes", "fired"]) -> Iterator[str]:
    """The rules that matched; of a second decision what is otherwise. Nothing where none did in either."""
    matched: list[tuple[str, ...]] = [getattr(each.decision, kind) for each in decided]
    if not any(matched):
        return
    yield _labelled(decided[0], ", ".join(matched[0]) or "none")
    for each, names in zip(decided[1:], matched[1:], strict=True):
        more, less = ([name for name in a if name not in b] for a, b in ((names, matched[0]), (matched[0], names)))
        changes = [f"{word} {', '.join(rules)}" for word, rules in (("also", more), ("not", less)) if rules]
        if not (names and matched[0]):  # there is nothing that it could be besides, or without
            changes = [", ".join(names) or "none"]
        yield _labelled(each, "; ".join(changes) or "the same")


def facts_text(facts: Mapping[str, Any]) -> str:
    """A facts object on one line, as `decide` reads it."""
    return printable(json.dumps(facts, ensure_ascii=False))
