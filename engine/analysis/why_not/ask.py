"""Why not something else: what would have to be otherwise for a decision to be as wished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.analysis.why_not.of_facts import FactChange, by_facts
from engine.analysis.why_not.of_parameters import ParameterChange, by_parameters
from engine.analysis.why_not.wish import Wish
from engine.backends.solver.space import Side
from engine.book import Book


@dataclass(frozen=True, slots=True)
class WhyNot:
    """What would have to be otherwise. An empty tuple: nothing, it is so already; None: no such change was found."""

    wish: Wish
    already: bool
    facts: tuple[FactChange, ...] | None
    parameters: tuple[ParameterChange, ...] | None
    undecided: tuple[str, ...] = ()
    """`facts` or `parameters`, where the solver gave up: there may be a change all the same."""


TIMEOUT_S = 10.0
"""For all that is asked about facts, and again for parameters."""


def why_not(book: Book, policy: str, facts: Mapping[str, Any], wish: Wish, *, timeout_s: float = TIMEOUT_S) -> WhyNot:
    """What would have to be otherwise for a decision to be as wished.

    Raises:
        FactsError: as `Book.decide` does.

    """
    decision, _ = book.trace(policy, facts)
    if wish.holds(decision.outcome.values[wish.name]):
        return WhyNot(wish, already=True, facts=(), parameters=())
    rulebook, found = book.rulebook, book.policy(policy)
    binding = rulebook.binding_of(decision.moment.symbol)
    side = Side(rulebook, found, binding)
    undecided: list[str] = []
    fact_changes = by_facts(side, decision.seen, facts, wish, undecided, timeout_s)
    parameter_changes = by_parameters(side, decision.seen, facts, wish, undecided, timeout_s)
    return WhyNot(wish, already=False, facts=fact_changes, parameters=parameter_changes, undecided=tuple(undecided))
