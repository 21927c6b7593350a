"""What came of a candidate since it was first tried: how often it would have decided otherwise, and what it cost.

In: the events of a journal. Out: the facts of the group `candidate`, and counts with examples for people. A view.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.journal.events import CandidateMoved, Outcome, RulebookLoaded, ShadowDecided
from engine.printing import plainly
from engine.reload.status import CandidateStatus
from engine.routing.chain import ADMISSION, ROUTING
from engine.routing.evidence.costs import CostTotals, shortfall
from engine.routing.views import View

MOST_EXAMPLES = 3
"""Of each decision that came out otherwise."""

_MOST_RULES = 20
"""That a status names."""

_ADMITTED = ("admit", "admitted_qty")
_ROUTE = "route"


@dataclass(slots=True)
class Divergences:
    """Where a candidate decided otherwise than what is in force, as long as that is the same."""

    decided: int = 0
    """Intents that both decided."""
    routed_otherwise: int = 0
    admitted_otherwise: int = 0
    by_name: Counter[str] = field(default_factory=Counter)
    """By `policy.name`."""
    by_rule: Counter[str] = field(default_factory=Counter)
    """By the rules of the candidate that fired or vetoed there alone."""
    examples: dict[str, list[ShadowDecided]] = field(default_factory=dict)
    """By `policy.name`, a few each."""


class Tried(View):
    """The candidate of a session, if there is one."""

    def __init__(self) -> None:
        self.moved: CandidateMoved | None = None
        """How it stands; None where there never was one."""
        self.divergences = Divergences()
        self._attempts = 0
        self._fallbacks = 0
        self._costs = CostTotals()
        self.handlers = {
            CandidateMoved: self._move,
            ShadowDecided: self._compare,
            Outcome: self._ended,
            RulebookLoaded: self._begin_anew,
        }

    @property
    def is_tried(self) -> bool:
        """Whether there is a candidate now."""
        return self.moved is not None and self.moved.state in ("shadow", "partial")

    def facts(self) -> dict[str, Any] | None:
        """The group `candidate`; None where there is none. What nothing is known of is left out."""
        if not self.is_tried:
            return None
        found, held = self.divergences, {"decided_beside": float(self.divergences.decided)}
        if found.decided:
            held["route_change_share"] = found.routed_otherwise / found.decided
            held["admit_change_share"] = found.admitted_otherwise / found.decided
        if self.moved is not None and self.moved.state == "partial":
            held["rollout_attempts"] = float(self._attempts)
            held["rollout_outcomes"] = float(self._costs.complete)
            if self._attempts:
                held["rollout_fallback_ratio"] = self._fallbacks / self._attempts
            cost_bps = self._costs.total_bps
            if cost_bps is not None:
                held["rollout_cost_bps"] = cost_bps
        return held

    def _move(self, event: CandidateMoved) -> None:
        if self.moved is None or not self.is_tried or event.rulebook != self.moved.rulebook:
            self.divergences = Divergences()
        self._attempts = self._fallbacks = 0
        self._costs = CostTotals()
        self.moved = event

    def _begin_anew(self, event: RulebookLoaded) -> None:
        """What it differs from is another rulebook now: what was counted says nothing of that one."""
        if event.rulebook != event.previous:
            self.divergences = Divergences()

    def _compare(self, event: ShadowDecided) -> None:
        found = self.divergences
        found.decided += event.policy == ROUTING
        if event.policy == ROUTING and _ROUTE in event.differs:
            found.routed_otherwise += 1
        if event.policy == ADMISSION and any(name in event.differs for name in _ADMITTED):
            found.admitted_otherwise += 1
        for name in event.differs:
            full = f"{event.policy}.{name}"
            found.by_name[full] += 1
            examples = found.examples.setdefault(full, [])
            if len(examples) < MOST_EXAMPLES:
                examples.append(event)
        found.by_rule.update(event.rules)

    def _ended(self, event: Outcome) -> None:
        moved = self.moved
        if moved is None or moved.state != "partial" or event.symbol not in moved.symbols:
            return
        if event.arrival_ms < moved.ts_ms:  # what was in force had routed it
            return
        if event.attempted:
            self._attempts += 1
            self._fallbacks += event.fallback
        if event.filled:
            self._costs.add(shortfall(event))


def candidate_status(tried: Tried, since_ms: int | None = None) -> CandidateStatus | None:
    """What a status says of the candidate; None where there is none. `since_ms` is when it came into its state."""
    moved, found = tried.moved, tried.divergences
    if moved is None:
        return None
    return CandidateStatus(
        state=moved.state,
        profile=moved.profile,
        version=moved.rulebook,
        since_ms=since_ms,
        symbols=moved.symbols,
        reason=moved.reason,
        facts=tried.facts() or {},
        by_name=dict(found.by_name.most_common()),
        by_rule=dict(found.by_rule.most_common(_MOST_RULES)),
        examples=[_example(name, event) for name, events in found.examples.items() for event in events],
    )


def _example(name: str, event: ShadowDecided) -> str:
    values = event.differs[name.partition(".")[2]]
    return f"{event.intent_id} ({event.symbol}): {name} {' → '.join(map(plainly, values))}"
