"""A parameter tried with another value: the last journaled decisions decided again with it, and what would differ.

In: the rulebook in force, a parameter, a value, and past decisions. Out: a `WhatIf`: how often each name would be
another beside what the rulebook in force decides now, and which decisions. The candidate is loaded as a profile that
extends the one in force, so everything the loader requires holds for it too.

How a batch is decided is a `Replay`: by the compiled backend here, decision by decision; anything that gives the same
values for the same decisions may stand in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from engine.analysis.request import RequestError
from engine.backends.facts import FactsError
from engine.book import Book
from engine.journal.events import Decided
from engine.journal.reader import tail
from engine.language.findings import Findings, LoadError
from engine.language.load import Files, Workspace, read_files
from engine.language.nodes import decode_source
from engine.language.printer import print_value
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value
from engine.reload.dry_run import PastDecision, past_decision

Values: TypeAlias = Mapping[str, Value]

Replay: TypeAlias = Callable[[Book, Sequence[PastDecision]], Iterable[Values | None]]
"""Gives the values of each decision, in order; None for one that the book cannot make."""

MOST_EXAMPLES = 30
_TRIED = "profile_with_a_change"
_POLICIES = 8
"""An intent is decided on by about so many policies."""


@dataclass(frozen=True, slots=True)
class Example:
    """A decision that would be another."""

    decision_id: str
    symbol: str | None
    changes: tuple[tuple[str, Value, Value], ...]
    """Name, now, then."""


@dataclass(slots=True)
class Moved:
    """A number that would be another."""

    times: int = 0
    now: float = 0.0
    """The sum of what it is now, over the decisions in which it differs."""
    then: float = 0.0


@dataclass(slots=True)
class WhatIf:
    """What came of it."""

    policy: str
    decisions: int = 0
    changed: int = 0
    refused: int = 0
    """That one of the two rulebooks cannot make."""
    since_journal: int = 0
    """In which the rulebook in force decides otherwise than was journaled."""
    counts: dict[str, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)
    """By name that is no number: how often each value is decided now, and then."""
    transitions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Name, now, then."""
    numbers: dict[str, Moved] = field(default_factory=dict)
    symbols: Counter[str] = field(default_factory=Counter)
    """Changed decisions by symbol."""
    examples: list[Example] = field(default_factory=list)


def by_compiled(book: Book, past: Sequence[PastDecision]) -> Iterable[Values | None]:
    """Decide one after the other."""
    for one in past:
        try:
            yield book.decide(one.policy, one.facts).values
        except FactsError:
            yield None


def read_value(kind: Type, text: str) -> Value:
    """A value as somebody typed it.

    Raises:
        RequestError: where it is none of this type.

    """
    match kind:
        case NumberType(min=low, max=high):
            try:
                number = float(text)
            except ValueError:
                raise RequestError(f"`{text}` is no number", f"from {low:g} to {high:g}") from None
            if not low <= number <= high:
                raise RequestError(f"{text} is out of range", f"from {low:g} to {high:g}")
            return number
        case FlagType():
            if text not in ("true", "false"):
                raise RequestError(f"`{text}` is no flag", "true or false")
            return text == "true"
        case ChoiceType(of=of):
            if text not in of:
                raise RequestError(f"`{text}` is none of them", ", ".join(of))
    return text


def tried(book: Book, home: Path, parameter: str, value: Value, group: str | None) -> Book:
    """The rulebook in force with another value of a parameter, for all symbols or for a group.

    Raises:
        LoadError: where it does not load so.
        RequestError: for a parameter that is not declared.

    """
    declared = book.rulebook.declarations.get(parameter)
    if declared is None:
        raise RequestError(f"there is no parameter `{parameter}`", "choose one from the list")
    entry = f"{parameter}: {{value: {print_value(value, declared.type)}, why: tried on a page}}"
    lines = [f"profile: {_TRIED}", f"extends: {book.profile}"]
    lines += (
        ["values:", f"  {entry}"] if group is None else ["symbols:", f"  {group}:", "    values:", f"      {entry}"]
    )
    source = decode_source("\n".join(lines).encode(), f"profiles/{_TRIED}.yaml", Findings())
    assert source is not None, "what was just encoded can be read"
    # A rulebook carries the files that it needs alone; what it says of other profiles is looked up in the home.
    sources = {**read_files(home).sources, **book.rulebook.sources, source.name: source}
    return Book(Workspace(Files(sources, ())).rulebook(_TRIED))


def past_decisions(journal: Path, policy: str, count: int) -> list[PastDecision]:
    """The last decisions of a policy in a journal, oldest first. Raises `JournalError` for one that cannot be read."""
    events = tail(journal, count * _POLICIES, types=(Decided,), on_bad=lambda _: None)
    wanted = [event for event in events if isinstance(event, Decided) and event.policy == policy][-count:]
    return [made for event in wanted if (made := past_decision(event)) is not None]


def what_if(now: Book, then: Book, policy: str, past: Sequence[PastDecision], replay: Replay = by_compiled) -> WhatIf:
    """Decide past decisions by both, and compare."""
    found = WhatIf(policy)
    for one, is_now, would_be in zip(past, replay(now, past), replay(then, past), strict=True):
        found.decisions += 1
        if is_now is None or would_be is None:
            found.refused += 1
            continue
        found.since_journal += any(is_now.get(key) != value for key, value in one.decided.items())
        _compare(found, one, is_now, would_be)
    return found


def _compare(found: WhatIf, one: PastDecision, is_now: Values, would_be: Values) -> None:
    changes = []
    for key, value in is_now.items():
        other = would_be[key]
        if isinstance(value, float) and isinstance(other, float):
            if value != other:
                moved = found.numbers.setdefault(key, Moved())
                moved.times, moved.now, moved.then = moved.times + 1, moved.now + value, moved.then + other
        else:
            counts = found.counts.setdefault(key, (Counter(), Counter()))
            counts[0][_text(value)] += 1
            counts[1][_text(other)] += 1
            if value != other:
                found.transitions[key, _text(value), _text(other)] += 1
        if value != other:
            changes.append((key, value, other))
    if changes:
        found.changed += 1
        symbol = one.facts.get("symbol")
        found.symbols[str(symbol)] += 1
        if len(found.examples) < MOST_EXAMPLES:
            found.examples.append(Example(one.decision_id, symbol, tuple(changes)))


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def why_it_fails(error: LoadError) -> str:
    """What a loader says of a value that is tried, in a line."""
    first = error.findings[0]
    return f"{first.message}{f' ({first.help})' if first.help else ''}"
