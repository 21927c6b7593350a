"""The weighed half of a diff: how often each transition occurred among real decisions, and what those intents cost.

In: a `Behaviour`, its two rulebooks, and past decisions: the facts that were decided on, with what became of the intent
where that is known. Each is decided again by both sides, compiled. Out: the same `Behaviour` with a `Weight` for every
transition, 0 included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from engine.analysis.diff.transitions import Behaviour, Transition, Weight
from engine.analysis.request import RequestError
from engine.analysis.tables import BadRow, Row
from engine.backends.facts import FactsError
from engine.book import Book
from engine.language.rulebook import Rulebook
from engine.language.types import Value
from engine.printing import counted

_BPS = 1e4


class Past(Protocol):
    """What was decided on once."""

    @property
    def policy(self) -> str | None:
        """The policy that decided; None where the facts alone are known: then every policy that is compared."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """The facts object, with `now` and `symbol`."""

    @property
    def cost(self) -> Cost | None:
        """What the intent cost, where its outcome is known."""


class Cost(Protocol):
    """What one intent cost: positive is cost."""

    @property
    def intent_id(self) -> str:
        """Whose cost it is: an intent that was decided on twice is counted once."""

    @property
    def usd(self) -> float:
        """All of it."""

    @property
    def notional_usd(self) -> float:
        """What it is measured against: target quantity × mid at arrival."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts alone."""

    facts: Mapping[str, Any]
    policy: str | None = None
    cost: Cost | None = None


def past_rows(rows: Iterable[Row | BadRow]) -> Iterator[Past]:
    """What was decided on, out of a table of facts.

    Raises:
        RequestError: for a row that is no facts object.

    """
    for row in rows:
        if isinstance(row, BadRow):
            raise RequestError(f"{row.place}: {row.message}", row.help)
        yield _Facts(row.facts)


@dataclass
class _Tally:
    """One transition in history."""

    count: int = 0
    costs: dict[str, Cost] = field(default_factory=dict)

    def weight(self, decisions: int) -> Weight:
        share = self.count / decisions if decisions else None
        if not self.costs:
            return Weight(self.count, decisions, share)
        usd = sum(cost.usd for cost in self.costs.values())
        notional = sum(cost.notional_usd for cost in self.costs.values())
        bps = usd / notional * _BPS if notional else None
        return Weight(self.count, decisions, share, len(self.costs), usd, bps)


def weigh(found: Behaviour, a: Rulebook, b: Rulebook, history: Iterable[Past]) -> Behaviour:
    """Count every transition among past decisions. Facts that one side refuses are left out, and told of."""
    books = (Book(a), Book(b))
    grouped = frozenset((*a.symbols, *b.symbols))
    tallies = [_Tally() for _ in found.transitions]
    by_decision: dict[tuple[str, str], list[int]] = {}
    for at, transition in enumerate(found.transitions):
        by_decision.setdefault((transition.policy, transition.decision), []).append(at)
    decisions = dict.fromkeys(found.policies, 0)
    refused = unlisted = 0
    for past in history:
        for policy in found.policies if past.policy is None else (past.policy,):
            if policy not in decisions:
                continue
            try:
                before, after = (book.verdict(policy, past.facts).values for book in books)
            except FactsError:
                refused += 1
                continue
            decisions[policy] += 1
            symbol = past.facts.get("symbol")
            for name in before.keys() & after.keys():
                if before[name] == after[name]:
                    continue
                made = [
                    at
                    for at in by_decision.get((policy, name), ())
                    if makes(found.transitions[at], symbol, before[name], after[name], grouped)
                ]
                unlisted += not made
                for at in made:
                    tallies[at].count += 1
                    if past.cost is not None:
                        tallies[at].costs[past.cost.intent_id] = past.cost
    transitions = tuple(
        replace(transition, weight=tally.weight(decisions[transition.policy]))
        for transition, tally in zip(found.transitions, tallies, strict=True)
    )
    return replace(found, transitions=transitions, history=_told(sum(decisions.values()), refused, unlisted))


def _told(decisions: int, refused: int, unlisted: int) -> str:
    parts = [f"{decisions:,} {'decision' if decisions == 1 else 'decisions'}"]
    if refused:
        parts.append(f"{counted(refused, 'set', 'sets')} of facts left out, which a side refuses")
    if unlisted:
        parts.append(f"{counted(unlisted, 'difference')} in no transition, through rounding or what is undecided")
    return ", ".join(parts)


def makes(transition: Transition, symbol: str | None, before: Value, after: Value, grouped: frozenset[str]) -> bool:
    """Whether two values decided for a symbol are the ends of a transition; `grouped` are all symbols in groups."""
    scope = transition.scope
    if not (symbol in scope.symbols if symbol in grouped else scope.others):
        return False
    if transition.direction is None:
        return (before, after) == (transition.before, transition.after)
    return before < after if transition.direction == "rises" else before > after  # type: ignore[operator]  # numbers
