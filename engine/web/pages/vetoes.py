"""Which rules veto, how often, when, for which symbols, and what the taker orders cost that came of it.

In: the last intents that were decided on. Out: a `Tally`. It counts first decisions only: a fallback is no veto. What
rules refused is told from what they admitted and the venue would not take, and neither was routed: shares of routes and
of vetoes are of intents that were, as `sluice why` and `sluice report` have them. Costs are implementation shortfall of
the same intents, as far as they have ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.journal.events import Routed
from engine.routing.evidence.costs import CostTotals, Shortfall
from engine.routing.evidence.left import is_refused
from engine.web.routed import RoutedIntent

BUCKETS = 30
"""Parts of the time that is looked at."""


@dataclass(slots=True)
class VetoCount:
    """One rule."""

    rule: str
    vetoed: int = 0
    """Decisions, alone or with others."""
    alone: int = 0
    """Decisions that nothing else vetoed."""
    symbols: Counter[str] = field(default_factory=Counter)
    over_time: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    cost: CostTotals = field(default_factory=CostTotals)
    """Of the taker orders that it had a part in."""
    alone_cost: CostTotals = field(default_factory=CostTotals)
    last_decision_id: str = ""


@dataclass(slots=True)
class Tally:
    """All rules together."""

    first_ms: int | None = None
    last_ms: int | None = None
    maker: int = 0
    taker: int = 0
    refused: int = 0
    """By rules of admission."""
    too_small: int = 0
    """Admitted, but nothing that the venue would take."""
    maker_cost: CostTotals = field(default_factory=CostTotals)
    taker_cost: CostTotals = field(default_factory=CostTotals)
    rules: dict[str, VetoCount] = field(default_factory=dict)
    """Those against maker."""
    refusing: dict[str, VetoCount] = field(default_factory=dict)
    """Those of admission."""

    @property
    def decisions(self) -> int:
        """Whatever came of them."""
        return self.routed + self.refused + self.too_small

    @property
    def routed(self) -> int:
        """Those on which there was something to route."""
        return self.maker + self.taker

    def symbols(self, most: int) -> list[str]:
        """Those with the most vetoes."""
        counts: Counter[str] = Counter()
        for rule in self.rules.values():
            counts.update(rule.symbols)
        return [symbol for symbol, _ in counts.most_common(most)]


def ranked(rules: dict[str, VetoCount]) -> list[VetoCount]:
    """The most frequent first."""
    return sorted(rules.values(), key=lambda count: (-count.vetoed, count.rule))


def tally(intents: Iterable[RoutedIntent], symbol: str | None = None) -> Tally:
    """Count the vetoes of route decisions, those of one symbol if given."""
    wanted = [each for each in intents if symbol in (None, each.routed.symbol)]
    found = Tally()
    if not wanted:
        return found
    found.first_ms, found.last_ms = wanted[0].routed.ts_ms, wanted[-1].routed.ts_ms
    for intent in wanted:
        _count(found, intent.routed, intent.cost)
    return found


def _count(found: Tally, routed: Routed, cost: Shortfall | None) -> None:
    rules = found.rules
    match routed.route:
        case "maker":
            found.maker += 1
            if cost is not None:
                found.maker_cost.add(cost)
            return
        case "taker":
            found.taker += 1
            if cost is not None:
                found.taker_cost.add(cost)
        case _ if is_refused(routed):
            found.refused += 1
            rules = found.refusing
        case _:
            found.too_small += 1
    assert found.first_ms is not None
    assert found.last_ms is not None
    span = found.last_ms - found.first_ms
    bucket = min(BUCKETS - 1, (routed.ts_ms - found.first_ms) * BUCKETS // span) if span else 0
    for rule in routed.vetoes:
        count = rules.setdefault(rule, VetoCount(rule))
        count.vetoed += 1
        count.symbols[routed.symbol] += 1
        count.over_time[bucket] += 1
        count.last_decision_id = routed.decision_id
        is_alone = len(routed.vetoes) == 1
        count.alone += is_alone
        if cost is not None:
            count.cost.add(cost)
            if is_alone:
                count.alone_cost.add(cost)


def share(part: int, whole: int) -> float | None:
    """A share; None of nothing."""
    return part / whole if whole else None


def peak(values: Sequence[int]) -> int:
    """The most in one part of the time."""
    return max(values, default=0)
