"""The front door to deciding: a `Book` is a loaded rulebook with a backend that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from engine.backends import interpreter
from engine.backends.compiled import CompiledBook, Observed, Verdict
from engine.backends.decision import Decision
from engine.backends.facts import policy_of, read_moment, see
from engine.home import find_home
from engine.language.load import load_rulebook
from engine.language.model import Binding, Policy
from engine.language.rulebook import Rulebook

Backend = Literal["compiled", "interpreter"]
"""Which backend decides. They agree bit for bit; the interpreter is slower and is the definition."""


class Book:
    """A rulebook, ready to decide. Immutable: threads may share it.

    Policies compile when they first decide; `warm()` compiles them all.

    Raises:
        ValueError: for a backend that does not exist.

    """

    def __init__(self, rulebook: Rulebook, backend: Backend = "compiled") -> None:
        if backend not in get_args(Backend):
            message = f"there is no backend {backend!r}: {' and '.join(get_args(Backend))} are"
            raise ValueError(message)
        self.rulebook = rulebook
        self.backend: Backend = backend
        self.compiled = CompiledBook(rulebook)
        self._direct = self.compiled.direct

    def __repr__(self) -> str:
        return f"<Book {self.profile} {self.version}, {self.backend}>"

    @property
    def version(self) -> str:
        """The rulebook's version: it changes with meaning and with nothing else."""
        return self.rulebook.version

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self.rulebook.profile

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies this profile runs."""
        return tuple(self.rulebook.policies)

    def decide(self, policy: str, facts: Mapping[str, Any]) -> Decision:
        """Decide one policy on facts: `{"now": seconds, "symbol": …, group: {"observed_at": …, fact: …}, …}`.

        Reads no clock and has no side effect. A fact that is absent, stale or invalid is missing; the rules say what
        that means.

        Raises:
            FactsError: for names nothing declares (a typo must not pass as absent), and for a missing `now`.

        """
        if self.backend == "compiled":
            return self.compiled.decide(policy, facts)
        found = self.policy(policy)
        return self.interpret(found, self._binding(facts), facts)

    def verdict(self, policy: str, facts: Mapping[str, Any]) -> Verdict:
        """Decide as `decide` does, by the compiled backend, and keep only the values and vetoes: no reason, no record.

        More than twice as fast, for simulations and for hosts that journal nothing.

        Raises:
            FactsError: as `decide` does, but for undeclared names only where a fact that rules read is absent: an extra
                name beside a complete set of facts is not looked for.

        """
        try:
            now, direct = facts["now"], self._direct[policy][facts["symbol"]]
        except Exception:  # noqa: BLE001 - a mapping of another class may raise anything; the slow way says what is wrong
            return self.compiled.verdict(policy, facts)
        if now.__class__ is not float or now - now != 0.0 or facts.__class__ is not dict:
            return self.compiled.verdict(policy, facts)
        return direct(now, facts)

    def observe(self, group: str, facts: Mapping[str, Any] | None) -> Observed:
        """Take one group in, once, to be decided on often: for hosts whose groups arrive at different times.

        Raises:
            FactsError: for a group or a fact that is not declared.

        """
        return self.compiled.observe(group, facts)

    def decide_observed(
        self,
        policy: str,
        now: float,
        symbol: str | None,
        observed: Mapping[str, Observed],
        intent_id: str | None = None,
    ) -> Decision:
        """Decide on groups taken in before, by name; a group the policy reads and that is not there is absent.

        The record refers to groups by id (`Observed.id`) and holds no facts: journal `Observed.json()` once.

        Raises:
            FactsError: as `decide` does, and for a group that was taken in as another, or by a rulebook that declares
                it otherwise.

        """
        moment = read_moment({"now": now, "symbol": symbol, "intent_id": intent_id})
        found = self.compiled.policy(policy, moment.symbol)
        groups = self.compiled.in_order(found, observed)
        return found.decide_observed(moment.now, moment.symbol, groups, moment.intent_id)

    def verdict_observed(
        self, policy: str, now: float, symbol: str | None, observed: Mapping[str, Observed]
    ) -> Verdict:
        """Decide as `decide_observed` does, and keep only the values and vetoes.

        Raises:
            FactsError: as `decide_observed` does.

        """
        moment = read_moment({"now": now, "symbol": symbol})
        found = self.compiled.policy(policy, moment.symbol)
        return found.observed(moment.now, *[each.values for each in self.compiled.in_order(found, observed)])

    def interpret(self, policy: Policy, binding: Binding, facts: Mapping[str, Any]) -> Decision:
        """Decide by the interpreter under a given binding."""
        seen = see(self.rulebook, policy, binding, facts)
        return Decision(self.rulebook, policy, binding, seen, interpreter.run(policy, binding, seen.names()))

    def policy(self, name: str) -> Policy:
        """A policy by name.

        Raises:
            FactsError: if the profile does not run it.

        """
        return policy_of(self.rulebook, name)

    def trace(self, policy: str, facts: Mapping[str, Any]) -> tuple[Decision, tuple[interpreter.StepTrace, ...]]:
        """Decide by the interpreter and keep every step."""
        found, binding = self.policy(policy), self._binding(facts)
        seen = see(self.rulebook, found, binding, facts)
        steps = interpreter.trace(found, binding, seen.names())
        return Decision(self.rulebook, found, binding, seen, interpreter.outcome(steps)), steps

    def warm(self, like: Book | None = None) -> Book:
        """Compile every policy for every combination of symbol groups now, rather than at the first decision.

        What another book has compiled already is taken over from it where it is the same.
        """
        self.compiled.warm(None if like is None else like.compiled)
        return self

    def _binding(self, facts: Mapping[str, Any]) -> Binding:
        return self.rulebook.binding_of(read_moment(facts).symbol)


def load(profile: str, home: str | Path | None = None, *, backend: Backend = "compiled") -> Book:
    """Load a profile and everything it depends on.

    `home` is the folder that holds `rules/ policies/ profiles/`: by default the working directory if it has a
    `profiles/`, else the set that ships with Sluice.

    Raises:
        LoadError: with every finding at once, if anything is wrong.
        ValueError: for a backend that does not exist.

    """
    return Book(load_rulebook(find_home(Path(home) if home is not None else None), profile), backend)
