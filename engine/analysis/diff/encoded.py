"""One policy on two sides, on one space of inputs: encoded once, asked often, every answer seen by the interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import z3

from engine.analysis.diff.blend import Blend, blend, sides_for
from engine.analysis.diff.exact import Exact
from engine.analysis.diff.paths import Running, clamps_in, comparisons_in, threshold
from engine.analysis.diff.pieces import Clamped, Terrain
from engine.analysis.diff.regions import Found, Wanted, cover
from engine.analysis.diff.responsible import responsible
from engine.analysis.diff.switchboard import Switchboard
from engine.analysis.diff.transitions import Responsible, Transition, Witness
from engine.analysis.proofs.asking import Answer, Budget, Refuted, plainer
from engine.analysis.proofs.runs import Points, Run, facts_of
from engine.backends.facts import DECISIONS, see
from engine.backends.interpreter import trace
from engine.backends.solver.encode import PolicyTerms, encode, parameter_terms
from engine.backends.solver.space import Key, Point, Side, Space
from engine.backends.solver.terms import Bit, Term, differ
from engine.language.model import Compare

TIMEOUTS = 3
"""What is spent at most on the regions of one transition, and on the ranges of its numbers: so many of `timeout_s`."""


class Patience(Budget):
    """What all questions about one transition may take, which follows from what one of them may."""

    @property
    def why(self) -> str:
        """What is said of questions that it was not enough for."""
        return "it took too long"


class Encoded:
    """Two sides on one space, encoded once and asked often."""

    def __init__(self, a: Side, b: Side, symbol: str | None, timeout_s: float) -> None:
        self.a, self.b, self.symbol = a, b, symbol
        self.space = Space(*sides_for(a, b))
        self.blend: Blend = blend(a, b, self.space)
        facts = (self.space.facts(a), self.space.facts(b))
        self.terms: tuple[PolicyTerms, PolicyTerms] = (
            encode(a.policy, parameter_terms(a), facts[0]),
            encode(b.policy, parameter_terms(b), facts[1]),
        )
        self._facts_terms = facts
        self._timeout_s = timeout_s
        self.asker = self._switchboard()
        self._blended = self._switchboard()
        self.kept: list[tuple[Bit, Point, Transition]] = []
        self._exact = Exact(self.space, (a, b), facts)
        self._sums: dict[Clamped, z3.ArithRef] = {}
        self._thresholds: dict[Key | Clamped, set[Fraction]] = {}
        self._relations: dict[Compare, None] = {}
        for side in (a, b):
            for comparison in comparisons_in(side.policy, side.binding.values):
                found = threshold(comparison)
                if found is None:
                    self._relations[comparison] = None
                else:
                    self._thresholds.setdefault(found[0], set()).add(found[1])

        self._add_sums()

    def _add_sums(self) -> None:
        """Numbers before rules that clamp them by constants; those that are one on both sides, once."""
        found: list[dict[Running, set[Fraction]]] = [{}, {}]
        for held, side in zip(found, (self.a, self.b), strict=True):
            for running, limit in clamps_in(side.policy, side.binding.values):
                held.setdefault(running, set()).add(limit)
        for index, held in enumerate(found):
            for running, limits in held.items():
                mine, theirs = (_before(terms, running) for terms in self.terms)
                shared = mine is not None and theirs is not None and mine.eq(theirs)
                term = theirs if index else mine
                if term is not None:
                    clamped = Clamped(None if shared else 1 if index else 0, running)
                    self._sums[clamped] = term
                    self._thresholds.setdefault(clamped, set()).update(limits)

    def _switchboard(self, budget: Budget | None = None) -> Switchboard:
        return Switchboard(self.space.domain(), self._timeout_s, budget)

    def terrain(self) -> Terrain:
        """What regions of one transition are made of; with a solver of its own, which is quicker for knowing less."""
        asker = self._switchboard(Patience(TIMEOUTS * self._timeout_s))
        return Terrain(self.space, self._facts_terms, self._sums, self._thresholds, self._relations, asker)

    def same(self, bit: Bit, plain: Transition) -> Transition | None:
        """A transition of another decision that exactly the same inputs make, as one of this decision."""
        for other, point, found in self.kept:
            if self.makes(plain, (point,)) and self.asker.excluded(differ(bit, other)) is True:
                before, after = (run.decided(plain.decision) for run in self.decide(point))
                witness = None if found.witness is None else replace(found.witness, before=before, after=after)
                return replace(
                    plain,
                    witness=witness,
                    like=found.like or f"{found.decision} {found.text}",
                    regions=found.regions,
                    unconfirmed=found.unconfirmed,
                    covered=found.covered,
                    uncovered=found.uncovered,
                    blended=found.blended,
                )
        return None

    def regions(self, terrain: Terrain, plain: Transition, bit: Bit) -> Found:
        """Where a transition happens."""
        wanted = Wanted(bit, plain.decision, plain.direction, self._exact, partial(self.makes, plain))
        return cover(terrain, wanted)

    def found(self, plain: Transition, point: Point, held: Found) -> Transition:
        """A transition with its witness and its regions."""
        runs = self.decide(point)
        before, after = (run.decided(plain.decision) for run in runs)
        return replace(
            plain,
            witness=Witness(self.shown(point), before, after, runs[0].steps, runs[1].steps),
            regions=held.regions,
            unconfirmed=held.unconfirmed,
            covered=held.covered,
            uncovered=held.why,
            blended=self.blend.terms is not None,
        )

    def responsible(self, bit: Bit, decision: str, after: Term) -> tuple[Responsible, ...]:
        """The changes that make a transition; none where they cannot be tried one by one."""
        if self.blend.terms is None:
            return ()
        return responsible(self._blended, self.blend, bit, decision, after)

    def decide(self, point: Point) -> tuple[Run, Run]:
        """An input under both sides."""
        return self._run(self.a, point), self._run(self.b, point)

    def _run(self, side: Side, point: Point) -> Run:
        facts = self._facts(side, point)
        seen = see(side.rulebook, side.policy, side.binding, facts)
        return Run(side, facts, seen, trace(side.policy, side.binding, seen.names()))

    def _facts(self, side: Side, point: Point) -> dict[str, Any]:
        facts = facts_of(side, point)
        facts.pop("symbol", None)  # that of one side: the groups of the other may not have it
        head = {"now": facts.pop("now")}
        return {**head, **({"symbol": self.symbol} if self.symbol is not None else {}), **facts}

    def shown(self, point: Point) -> dict[str, Any]:
        """An input as one facts object for both sides."""
        mine, theirs = (self._facts(side, point) for side in (self.a, self.b))
        decided = {name: {**mine.get(DECISIONS, {}).get(name, {}), **held}
                   for name, held in {**mine.get(DECISIONS, {}), **theirs.get(DECISIONS, {})}.items()}  # fmt: skip
        groups = {
            name: {**mine.get(name, {}), **held} if isinstance(held, Mapping) else held
            for name, held in {**mine, **theirs}.items()
        }
        return {**groups, DECISIONS: decided} if decided else groups

    def makes(self, transition: Transition, points: Points) -> bool:
        """Whether an input makes a transition, as the interpreter sees it."""
        before, after = (run.decided(transition.decision) for run in self.decide(points[0]))
        match transition.direction:
            case "rises":
                return before < after  # type: ignore[operator]  # both are numbers
            case "falls":
                return before > after  # type: ignore[operator]  # both are numbers
        return (before, after) == (transition.before, transition.after)

    def ask(self, terrain: Terrain, transition: Transition, wanted: Bit) -> Answer:
        """Whether any input makes a transition."""
        confirm = partial(self.makes, transition)
        answer = terrain.find([wanted], confirm)
        return Refuted(plainer(answer.points, confirm)) if isinstance(answer, Refuted) else answer


def _before(terms: PolicyTerms, running: Running) -> z3.ArithRef | None:
    """A number before a rule clamps it; None for a constant."""
    values = (ends[0] for (rule, name, _), ends in terms.running.items() if Running(rule, name) == running)
    first = next(values, None)
    return first if isinstance(first, z3.ArithRef) else None
