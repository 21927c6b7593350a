"""Who decides: the rulebook in force, one that decides for some symbols alone, and one that is tried beside it.

In: books. Out: for a symbol, the chain that decides; and of an intent that was decided, what the candidate would have
made of it. Nothing that a candidate does can stop or change what counts: one that breaks down is said to have.

A chain is of one book and is never changed, and a swap puts another in its place. Whoever decides takes the chain once
and uses it to the end, so all of it is of one version, whatever is swapped in meanwhile. Taking it is reading one
attribute and swapping is storing one, and both are atomic in Python: other threads need no lock and never wait. Only
the session's own loop swaps. Nothing refers to a book that was replaced once the decisions under it are done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from engine.book import Book
from engine.journal.events import ShadowDecided
from engine.routing.chain import ADMISSION, ROUTING, Chain, ChainDecision, Made


class Deciders:
    """The chains of one router.

    Raises:
        MissingPolicyError: from every method that takes a book whose profile does not run all of the chain; then
            nothing changes.

    """

    def __init__(self, book: Book) -> None:
        self.active = Chain(book)
        self.shadow: Chain | None = None
        self.partial: Mapping[str, Chain] = {}
        """By symbol: who decides instead of the one in force."""

    def of(self, symbol: str) -> Chain:
        """The chain that decides for a symbol."""
        return self.partial.get(symbol, self.active) if self.partial else self.active

    def tries(self, symbol: str) -> bool:
        """Whether a candidate decides beside. Where it is who decides there is nothing to compare it with."""
        return self.shadow is not None and symbol not in self.partial

    def use(self, book: Book) -> None:
        """Decide by another book from the next decision on."""
        self.active = Chain(book)

    def try_beside(self, book: Book | None) -> None:
        """Let a candidate decide every intent as well, and nothing more; None: no longer."""
        self.shadow = None if book is None else Chain(book)

    def roll_out(self, book: Book | None, symbols: Iterable[str] = ()) -> None:
        """Let a candidate decide for some symbols; None: for none any more."""
        if book is None:
            self.partial = {}
            return
        chain = Chain(book)
        self.partial = dict.fromkeys(symbols, chain)

    def compare(
        self,
        now_ms: int,
        symbol: str,
        intent_id: str,
        known: Mapping[str, Mapping[str, Any] | None],
        counted: ChainDecision,
    ) -> Iterator[ShadowDecided]:
        """What the candidate makes of an intent that was decided on these facts.

        Raises:
            Exception: whatever a candidate may do that declares other facts.

        """
        shadow = self.shadow
        if shadow is None:
            return
        tried = shadow.decide(now_ms, symbol, intent_id, known)
        pairs = ((ADMISSION, counted.admission, tried.admission), (ROUTING, counted.routing, tried.routing))
        for policy, mine, other in pairs:
            names = dict.fromkeys((*mine.decided, *other.decided))
            differs = {
                name: [mine.decided.get(name), other.decided.get(name)]
                for name in names
                if mine.decided.get(name) != other.decided.get(name)
            }
            yield ShadowDecided(
                ts_ms=now_ms,
                policy=policy,
                decision_id=mine.decision_id,
                intent_id=intent_id,
                symbol=symbol,
                rulebook=shadow.book.version,
                differs=differs,
                rules=_only_in(other, mine) if differs else [],
                record=other.record,
            )


class _Fired(msgspec.Struct):
    rule: str


class _Rules(msgspec.Struct):
    fired: list[_Fired]
    vetoes: list[_Fired]


_rules = msgspec.json.Decoder(_Rules)


def _only_in(made: Made, other: Made) -> list[str]:
    """The rules that fired or vetoed in one decision and not in the other."""
    first, second = (_rules.decode(each.record) for each in (made, other))
    there = {item.rule for item in (*second.fired, *second.vetoes)}
    return [item.rule for item in (*first.vetoes, *first.fired) if item.rule not in there]
