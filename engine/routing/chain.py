"""The chain an intent goes through: admission says how much of it may be sent, routing how.

In: a facts object that holds every group known. Out: the decisions, in order. Each policy is handed what it reads, and
routing what admission decided; what any of it means is for the rules. A fact that the vocabulary of the home does not
declare is left out here: no rule could read it, and a home may well declare less than is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.backends.decision import Decision
from engine.backends.facts import DECISIONS
from engine.book import Book

ADMISSION, ROUTING = "admission", "routing"
"""The policies of the chain."""


@dataclass(frozen=True, slots=True)
class Routed:
    """What was decided on one intent."""

    admission: Decision | None
    """None where the profile runs no such policy."""
    routing: Decision


class Chain:
    """The chain of one book.

    Raises:
        FactsError: if the profile runs no policy `routing`.

    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self._admits = ADMISSION in book.policies
        self._reads = {
            name: {
                group.name: frozenset((*(fact.name for fact in group.facts), "observed_at"))
                for group in book.policy(name).groups
            }
            for name in ((ADMISSION, ROUTING) if self._admits else (ROUTING,))
        }

    def decide(self, facts: Mapping[str, Any]) -> Routed:
        """Decide on one intent."""
        admission = self.book.decide(ADMISSION, self._for(ADMISSION, facts)) if self._admits else None
        admitted = {} if admission is None else {DECISIONS: {ADMISSION: admission.values}}
        return Routed(admission, self.book.decide(ROUTING, self._for(ROUTING, {**facts, **admitted})))

    def _for(self, policy: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        handed = {name: facts[name] for name in ("now", "symbol", "intent_id")}
        for group, declared in self._reads[policy].items():
            key = group.partition(".")[0]
            held = facts.get(key)
            if held is None or key == DECISIONS or held.keys() <= declared:
                handed[key] = held
            else:
                handed[key] = {name: value for name, value in held.items() if name in declared}
        return handed
