"""Decisions that were made, made again by a candidate: how many would have come out otherwise, and which.

In: past decisions, from the journal or from the memory of a session. Out: a `DryRun` with counts per decided name and
examples. The candidate decides from the facts that were seen then, and so does the rulebook in force: what differs is
what the change makes of them, whichever rulebook had decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from engine.backends.facts import FactsError
from engine.book import Book
from engine.journal.events import Decided
from engine.journal.reader import tail
from engine.printing import counted, plainly

MOST_EXAMPLES = 3
"""Examples that are kept of each name that would change."""


@dataclass(frozen=True, slots=True)
class PastDecision:
    """A decision as it was made."""

    decision_id: str
    policy: str
    facts: Mapping[str, Any]
    """The facts object: `now`, `symbol`, `intent_id` and the groups, as the policy saw them."""
    decided: Mapping[str, Any]
    """Every name that was decided, with its value."""
    rulebook: str = ""
    """The version that decided; empty where nobody said."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One decided value that would have been another."""

    decision_id: str
    policy: str
    symbol: str | None
    name: str
    was: Any
    would_be: Any
    """None where the candidate does not decide this name."""

    def __str__(self) -> str:
        whose = f" ({self.symbol})" if self.symbol else ""
        return f"{self.decision_id}{whose}: {self.policy}.{self.name} {plainly(self.was)} → {plainly(self.would_be)}"


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a candidate makes of past decisions."""

    decisions: int
    """How many were made again."""
    changed: int
    """In how many of them at least one value differs."""
    by_name: Mapping[str, int]
    """How many differ in each name, as `policy.name`; most first."""
    examples: tuple[Difference, ...]
    refused: int = 0
    """How many the candidate cannot make: it runs no such policy, or declares no such fact."""
    first_refusal: str = ""
    than: str = ""
    """The version of the rulebook in force, which it is compared with; empty where it is what was decided then."""

    def __str__(self) -> str:
        """One line, for people.

        >>> str(DryRun(3, 1, {'routing.route': 1}, ()))
        '1 of 3 past decisions would differ: routing.route 1'
        """
        if not self.decisions:
            return "no past decisions to try"
        than = f" from {self.than}" if self.than else ""
        line = f"{self.changed:,} of {counted(self.decisions, 'past decision')} would differ{than}"
        if self.by_name:
            line += ": " + ", ".join(f"{name} {count:,}" for name, count in self.by_name.items())
        if self.refused:
            line += f"; {self.refused} cannot be made: {self.first_refusal}"
        return line


def dry_run(book: Book, past: Iterable[PastDecision], active: Book | None = None) -> DryRun:
    """Make past decisions again by a book, and compare every value with what `active` decides; without it, decided.

    What `active` could not decide is left out: the candidate takes nothing from it.
    """
    decisions = changed = refused = 0
    first_refusal = ""
    by_name: Counter[str] = Counter()
    examples: list[Difference] = []
    for one in past:
        if (before := _decided(one, active)) is None:
            continue
        decisions += 1
        try:
            # By the function that will decide: `verdict` would have another one made first.
            now = book.decide(one.policy, one.facts).values
        except FactsError as error:
            refused += 1
            first_refusal = first_refusal or error.message
            continue
        differing = [(name, was, now.get(name)) for name, was in before.items() if now.get(name) != was]
        changed += bool(differing)
        for name, was, would_be in differing:
            by_name[f"{one.policy}.{name}"] += 1
            if by_name[f"{one.policy}.{name}"] <= MOST_EXAMPLES:
                symbol = one.facts.get("symbol")
                examples.append(Difference(one.decision_id, one.policy, symbol, name, was, would_be))
    ordered = MappingProxyType(dict(by_name.most_common()))
    than = active.version if active is not None else ""
    return DryRun(decisions, changed, ordered, tuple(examples), refused, first_refusal, than)


def _decided(one: PastDecision, active: Book | None) -> Mapping[str, Any] | None:
    """What a candidate's values are compared with; None where the rulebook in force has none."""
    if active is None or active.version == one.rulebook:
        return one.decided
    try:
        return active.decide(one.policy, one.facts).values
    except FactsError:
        return None


class _Record(msgspec.Struct):
    """What of a journaled decision it takes to make it again."""

    decision_id: str
    now: float
    policy: str
    rulebook: str
    symbol: str | None
    intent_id: str | None
    decided: dict[str, Any]
    facts: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Record)


def past_decision(event: Decided) -> PastDecision | None:
    """The decision that an event holds; None where its record refers to groups of facts by their ids."""
    held = _decoder.decode(event.record)
    if held.facts is None:
        return None
    facts = {"now": held.now, "symbol": held.symbol, "intent_id": held.intent_id, **held.facts}
    decided = MappingProxyType(held.decided)
    return PastDecision(held.decision_id, held.policy, MappingProxyType(facts), decided, held.rulebook)


def recent_decisions(journal: Path, count: int) -> list[PastDecision]:
    """The last decisions of a journal, at most `count`, oldest first; lines that say no event are passed over.

    Raises:
        JournalError: for a file that cannot be read.

    """
    events = tail(journal, count, types=(Decided,), on_bad=lambda _: None)
    return [made for event in events if isinstance(event, Decided) and (made := past_decision(event)) is not None]
