"""Why not something else: what would have to be otherwise for a decision to be as wished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.analysis.proofs import QUESTION_TIMEOUT_S
from engine.analysis.proofs.asking import Budget
from engine.analysis.why_not.of_facts import FactChange, by_facts
from engine.analysis.why_not.of_parameters import Edit, ParameterChange, by_parameters
from engine.analysis.why_not.rulebooks import HomeRulebooks, Rulebooks
from engine.analysis.why_not.wish import Wish
from engine.backends.solver.space import Side
from engine.backends.solver.turns import turn
from engine.book import Book
from engine.language.load import read_files
from engine.language.types import Value


@dataclass(frozen=True, slots=True)
class WhyNot:
    """What would have to be otherwise. An empty tuple: nothing, it is so already; None: no such change was found."""

    wish: Wish
    decided: Value
    """What is decided as it is."""
    facts: tuple[FactChange, ...] | None
    edit: Edit | None
    undecided: tuple[str, ...] = ()
    """`facts` or `parameters`, where the solver gave up: there may be a change all the same, or a smaller one."""

    @property
    def parameters(self) -> tuple[ParameterChange, ...] | None:
        """The changes of the edit."""
        return None if self.edit is None else self.edit.changes

    @property
    def already(self) -> bool:
        """Nothing would have to be otherwise."""
        return self.wish.holds(self.decided)


def rulebooks_of(home: Path) -> HomeRulebooks:
    """The rulebooks of a home by profile, loaded when they are first asked for.

    They raise LoadError, as loading one does.
    """
    return HomeRulebooks(read_files(home))


def why_not(
    book: Book,
    policy: str,
    facts: Mapping[str, Any],
    wish: Wish,
    *,
    timeout_s: float = QUESTION_TIMEOUT_S,
    others: Rulebooks | None = None,
) -> WhyNot:
    """What would have to be otherwise for a decision to be as wished.

    `timeout_s` is for all that is asked about facts, and again for parameters. `others` has the profiles that
    invariants compare with this one; without it nobody knows whether an edit breaks those. Where it is a whole home
    (`rulebooks_of`), an edit that breaks one is tried in the parent that has the values, too, in the same time again.

    Raises:
        FactsError: as `Book.decide` does.
        StoppedError: if `turns.stop` ended it.

    """
    decision, _ = book.trace(policy, facts)
    decided = decision.outcome.values[wish.name]
    if wish.holds(decided):
        return WhyNot(wish, decided, (), Edit(()))
    rulebook, found = book.rulebook, book.policy(policy)
    side = Side(rulebook, found, rulebook.binding_of(decision.moment.symbol))
    with turn():
        of_facts = by_facts(side, decision.seen, facts, wish, Budget(timeout_s))
        edit, gave_up = by_parameters(side, facts, wish, Budget(timeout_s), others)
    undecided = [name for name, unsure in (("facts", of_facts.gave_up), ("parameters", gave_up)) if unsure]
    return WhyNot(wish, decided, of_facts.found, edit, tuple(undecided))
