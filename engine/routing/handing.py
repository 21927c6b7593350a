"""What a policy is handed: the groups it reads, and of each the facts that its home declares.

A home may declare less than is measured, and a policy read less than is known. A fact that the vocabulary does not
declare would be refused as a typo; no rule could read it, so it is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.backends.facts import DECISIONS
from engine.book import Book


class Handing:
    """What the policies of one book read."""

    def __init__(self, book: Book) -> None:
        self._reads = {
            name: {
                group.name: frozenset((*(fact.name for fact in group.facts), "observed_at"))
                for group in book.policy(name).groups
                if not group.name.startswith(f"{DECISIONS}.")
            }
            for name in book.policies
        }

    def to(
        self, policy: str, now_ms: int, symbol: str | None, known: Mapping[str, Mapping[str, Any] | None]
    ) -> dict[str, Any]:
        """The facts object for a policy: of what is known, by group, all that it may be handed."""
        handed: dict[str, Any] = {"now": now_ms / 1000, "symbol": symbol}
        for group, declared in self._reads[policy].items():
            held = known.get(group)
            if held is None or held.keys() <= declared:
                handed[group] = held
            else:
                handed[group] = {name: value for name, value in held.items() if name in declared}
        return handed
