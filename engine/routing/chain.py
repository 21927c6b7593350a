"""The chain an intent goes through: admission says how much of it may be sent, routing how.

In: the groups of facts that are known. Out: the decisions, in order. Each policy is handed what it reads, and routing
what admission decided; what any of it means is for the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from engine.backends.decision import Decision
from engine.backends.facts import DECISIONS
from engine.book import Book
from engine.routing.handing import Handing

ADMISSION, ROUTING, WORKING = "admission", "routing", "working"
"""The policies of the chain: how much, how, and what becomes of it."""

CHAIN = (ADMISSION, ROUTING, WORKING)
"""Policies without which nothing is routed: an order that nobody vets or looks after is not sent."""


class MissingPolicyError(Exception):
    """A profile lacks a policy of the chain."""

    def __init__(self, profile: str, lacking: list[str]) -> None:
        self.message = f"profile `{profile}` runs no policy `{'`, `'.join(lacking)}`: nothing can be routed without"
        self.help = f"add it to `policies:` of profiles/{profile}.yaml"
        super().__init__(f"{self.message}\n  {self.help}")


class Made(NamedTuple):
    """A decision and its record, worked out once."""

    decision_id: str
    reason: str
    decided: dict[str, Any]
    vetoes: tuple[str, ...]
    """The rules that vetoed, in order."""
    record: msgspec.Raw

    @classmethod
    def of(cls, decision: Decision) -> Made:
        """What was decided."""
        decision_id, reason, record = decision.written()
        return cls(decision_id, reason, decision.values, decision.vetoes, msgspec.Raw(record.encode()))


@dataclass(frozen=True, slots=True)
class ChainDecision:
    """What was decided on one intent."""

    admission: Made
    routing: Made


class Chain:
    """The chain of one book.

    Raises:
        MissingPolicyError: if the profile does not run all of `CHAIN`.

    """

    def __init__(self, book: Book) -> None:
        lacking = [policy for policy in CHAIN if policy not in book.policies]
        if lacking:
            raise MissingPolicyError(book.profile, lacking)
        self.book = book
        self.handing = Handing(book)

    def decide(
        self, now_ms: int, symbol: str, intent_id: str, known: Mapping[str, Mapping[str, Any] | None]
    ) -> ChainDecision:
        """Decide on one intent; `known` holds its group `intent` as well."""
        facts = self.handing.to(ADMISSION, now_ms, symbol, known)
        facts["intent_id"] = intent_id
        admission = Made.of(self.book.decide(ADMISSION, facts))
        facts = self.handing.to(ROUTING, now_ms, symbol, known)
        facts["intent_id"] = intent_id
        facts[DECISIONS] = {ADMISSION: admission.decided}
        return ChainDecision(admission, Made.of(self.book.decide(ROUTING, facts)))
