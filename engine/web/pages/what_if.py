"""A parameter tried with another value: the last journaled decisions decided again with it, and what would differ.

In: the rulebook in force, a parameter, a value, and past decisions. Out: a `WhatIf`: how often each name would be
another beside what was journaled, and which decisions. What is compared differs by the value alone: a decision that the
rulebook in force makes otherwise than the one that was in force then is left out, and so is what routing decided on
intents that were never routed. The candidate is loaded as a profile that extends the one in force, so everything the
loader requires holds for it too.

How a batch is decided is a `Replay`: by the compiled backend here, decision by decision; anything that gives the same
values for the same decisions may stand in its place.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from engine.analysis.request import RequestError
from engine.backends.facts import FactsError
from engine.book import Book
from engine.journal.events import Decided, Event, Routed
from engine.journal.reader import tail
from engine.language.findings import Findings, LoadError
from engine.language.load import Files, Workspace, read_files
from engine.language.nodes import decode_source
from engine.language.printer import print_value
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value
from engine.reload.dry_run import PastDecision, past_decision
from engine.routing.chain import ROUTING

Values: TypeAlias = Mapping[str, Value]

Replay: TypeAlias = Callable[[Book, Sequence[PastDecision]], Iterable[Values | None]]
"""Gives the values of each decision, in order; None for one that the book cannot make."""

MOST_EXAMPLES = 30
_TRIED = "profile_with_a_change"
_EVENTS = 10
"""Of an intent there are about so many decisions and routes."""

NOT_ROUTED = "of intents that were refused or too small"
AGAIN = "made a second time, on intents that had to wait"
UNFINISHED = "of which no route was journaled"
WITHOUT_FACTS = "whose facts are not in the journal"
NOT_MADE = "that one of the two rulebooks cannot make"
ANOTHER_NOW = "that the rulebook in force makes otherwise than the one that was in force then"


@dataclass(frozen=True, slots=True)
class Example:
    """A decision that would be another."""

    decision_id: str
    symbol: str | None
    changes: tuple[tuple[str, Value, Value], ...]
    """Name, as it was decided, as it would be."""


@dataclass(slots=True)
class Moved:
    """A number that would be another."""

    times: int = 0
    now: float = 0.0
    """The sum of what it was, over the decisions in which it differs."""
    then: float = 0.0


@dataclass(frozen=True, slots=True)
class Past:
    """What was decided lately."""

    decisions: tuple[PastDecision, ...]
    """Oldest first."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Others of the same time, by why they do not count."""


@dataclass(slots=True)
class WhatIf:
    """What came of it."""

    policy: str
    decisions: int = 0
    """That are compared."""
    changed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Decisions of the same time that are not, by why."""
    counts: dict[str, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)
    """By name that is no number: how often each value was decided, and would be."""
    transitions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Name, now, then."""
    numbers: dict[str, Moved] = field(default_factory=dict)
    symbols: Counter[str] = field(default_factory=Counter)
    """Changed decisions by symbol."""
    examples: deque[Example] = field(default_factory=lambda: deque(maxlen=MOST_EXAMPLES))
    """The last of those that would be another, oldest first."""


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


def past_decisions(journal: Path, policy: str, count: int) -> Past:
    """The last decisions of a policy in a journal; of `routing` those by which an intent was routed.

    Raises:
        JournalError: for a journal that cannot be read.

    """
    events = tail(journal, count * _EVENTS, types=(Decided, Routed), on_bad=lambda _: None)
    decisions: deque[PastDecision] = deque()
    left_out: Counter[str] = Counter()
    for made in reversed(list(_made(events, policy))):
        if isinstance(made, str):
            left_out[made] += 1
            continue
        if len(decisions) == count:
            break
        decisions.appendleft(made)
    return Past(tuple(decisions), left_out)


def _made(events: Iterable[Event], policy: str) -> Iterator[PastDecision | str]:
    """Each decision of a policy, or why it does not count."""
    waiting: dict[str | None, Decided] = {}
    for event in events:
        match event:
            case Decided() if event.policy == policy and policy != ROUTING:
                yield past_decision(event) or WITHOUT_FACTS
            case Decided() if event.policy == policy:
                waiting[event.intent_id] = event
            case Routed(event="decision" | "decided_again", intent_id=intent_id) if intent_id in waiting:
                decided = waiting.pop(intent_id)
                why_not = NOT_ROUTED if event.route == "none" else "" if event.event == "decision" else AGAIN
                yield why_not or past_decision(decided) or WITHOUT_FACTS
    yield from (UNFINISHED for _ in waiting)


def what_if(now: Book, then: Book, policy: str, past: Past, replay: Replay = by_compiled) -> WhatIf:
    """Decide past decisions by both, and compare."""
    found = WhatIf(policy, left_out=Counter(past.left_out))
    decisions = past.decisions
    for one, is_now, would_be in zip(decisions, replay(now, decisions), replay(then, decisions), strict=True):
        if is_now is None or would_be is None:
            found.left_out[NOT_MADE] += 1
        elif any(is_now.get(key) != value for key, value in one.decided.items()):
            found.left_out[ANOTHER_NOW] += 1
        else:
            found.decisions += 1
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
        found.examples.append(Example(one.decision_id, symbol, tuple(changes)))


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def why_it_fails(error: LoadError) -> str:
    """What a loader says of a value that is tried, in a line."""
    first = error.findings[0]
    return f"{first.message}{f' ({first.help})' if first.help else ''}"
