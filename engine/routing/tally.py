"""Counts over a session: by route, tier, regime and veto rule, together and for each symbol.

In: the steps of a session. Out: counts, and the same as plain data for JSON. Which routes, tiers and rules there are is
read from the policy, so that what never occurred is there as a 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.backends.decision import Decision
from engine.book import Book
from engine.language.model import Rule
from engine.language.types import ChoiceType, Value
from engine.routing.chain import ROUTING
from engine.routing.session import Step

COUNTED = {"routes": "route", "tiers": "quality", "regimes": "atr_regime"}
"""What is counted beside vetoes, and the decision that it counts."""


@dataclass(slots=True)
class Counts:
    """Decisions of one symbol, or of all."""

    decisions: int = 0
    values: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTED})
    """By the names in `COUNTED`."""
    vetoes: Counter[str] = field(default_factory=Counter)
    """By rule, `set.rule`; an intent may have several."""

    def add(self, decision: Decision, values: Mapping[str, Value]) -> None:
        """Count one decision of policy `routing`."""
        self.decisions += 1
        for name, decided in COUNTED.items():
            value = values.get(decided)
            if isinstance(value, str):
                self.values[name][value] += 1
        self.vetoes.update(decision.vetoes)


class Tally:
    """The counts of a session."""

    def __init__(self, book: Book, symbols: Iterable[str]) -> None:
        types = book.policy(ROUTING).types()
        self.kinds = {name: _choices(types.get(decided)) for name, decided in COUNTED.items()}
        """The values that can occur, in declared order; none where the policy decides no such name."""
        self.gates = _veto_rules(book, ROUTING)
        """The veto rules of routing, in order."""
        self.all = Counts()
        self.by_symbol = {symbol: Counts() for symbol in symbols}
        self.admitted = 0
        self.refused = 0
        self.admission_vetoes: Counter[str] = Counter()

    def add(self, step: Step) -> None:
        """Count one step."""
        routing, admission = step.routed.routing, step.routed.admission
        values = routing.values
        self.all.add(routing, values)
        self.by_symbol[step.symbol].add(routing, values)
        if admission is not None:
            if admission.values.get("admit"):
                self.admitted += 1
            else:
                self.refused += 1
            self.admission_vetoes.update(admission.vetoes)

    @property
    def gates_hit(self) -> int:
        """How many rules of routing vetoed at least once."""
        return len(self.all.vetoes)

    def as_json(self) -> dict[str, Any]:
        """All counts as plain data; rules that never vetoed are there with a 0."""
        return {
            **self._counts_json(self.all),
            "admission": {
                "admitted": self.admitted,
                "refused": self.refused,
                "vetoes": dict(sorted(self.admission_vetoes.items())),
            },
            "symbols": {symbol: self._counts_json(counts) for symbol, counts in self.by_symbol.items()},
        }

    def _counts_json(self, counts: Counts) -> dict[str, Any]:
        return {
            "decisions": counts.decisions,
            **{name: {kind: counts.values[name][kind] for kind in kinds} for name, kinds in self.kinds.items()},
            "vetoes": {rule.full_id: counts.vetoes[rule.full_id] for rule in self.gates},
        }


def _choices(kind: object) -> tuple[str, ...]:
    return kind.of if isinstance(kind, ChoiceType) else ()


def _veto_rules(book: Book, policy: str) -> tuple[Rule, ...]:
    """All that can veto, disabled rules left out."""
    return tuple(rule for step in book.policy(policy).steps if step.hit == "veto" for rule in step.rules)
