"""The compiled backend: one generated Python function per policy and combination of symbol groups.

In: the same facts objects as the interpreter. Out: `Decision`s that hold the function's plain results and work out
names, reasons and records only when asked. `observe` takes a group in once, for hosts whose groups arrive at different
times; `decide_observed` then decides from observations alone, at about a microsecond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.backends.decision import Decision
from engine.backends.facts import DECISIONS, FactsError, Gap, Moment, Seen, check_names, limit, read_moment, untimely
from engine.backends.generate import function_name, generate_policy
from engine.backends.intake import NAN, NEVER, Intake, Observation, intake, key_of
from engine.backends.interpreter import look
from engine.backends.outcome import Firing, Outcome
from engine.language.evaluate import Environment
from engine.language.model import Binding, Group, Policy, Rule
from engine.language.rulebook import Rulebook
from engine.language.spelling import did_you_mean

_MAX = 1.7976931348623157e308


def _finite(value: float) -> float:
    """The value where it is finite, else NaN."""
    return value if -_MAX <= value <= _MAX else NAN


class CompiledBook:
    """The generated functions of a rulebook, made when first needed."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self._policies: dict[tuple[str, tuple[str, ...]], CompiledPolicy] = {}
        self._by_symbol: dict[tuple[str, str | None], CompiledPolicy] = {}
        self._intakes: dict[str, Intake] = {}
        self._known = frozenset((*rulebook.groups, "now", "symbol", "intent_id", DECISIONS))

    def policy(self, name: str, symbol: str | None = None) -> CompiledPolicy:
        """The function of a policy for a symbol.

        Raises:
            FactsError: if the profile does not run that policy.

        """
        known_symbol = symbol if symbol in self.rulebook.symbols else None
        found = self._by_symbol.get((name, known_symbol))
        if found is None:
            binding = self.rulebook.binding_of(known_symbol)
            found = self._by_symbol[name, known_symbol] = self.for_binding(name, binding)
        return found

    def for_binding(self, name: str, binding: Binding) -> CompiledPolicy:
        """The function of a policy under one binding."""
        found = self._policies.get((name, binding.groups))
        if found is None:
            policy = self.rulebook.policies.get(name)
            if policy is None:
                known = ", ".join(self.rulebook.policies)
                message = f"profile `{self.rulebook.profile}` runs no policy `{name}`"
                raise FactsError(message, did_you_mean(name, self.rulebook.policies, f"it runs {known}"))
            intakes = [self._intake(group) for group in policy.groups]
            found = self._policies[name, binding.groups] = CompiledPolicy(self.rulebook, policy, binding, intakes)
        return found

    def decide(self, name: str, facts: Mapping[str, Any]) -> Decision:
        """Decide one policy on a facts object (see `engine.Book.decide`)."""
        if facts.__class__ is not dict:
            read_moment(facts)
        now, symbol = facts.get("now"), facts.get("symbol")
        if now.__class__ is not float or not math.isfinite(now) or not (symbol is None or symbol.__class__ is str):  # type: ignore[arg-type]  # a float by the first test
            moment = read_moment(facts)
            now, symbol = moment.now, moment.symbol
        policy = self._by_symbol.get((name, symbol))
        if policy is None:
            policy = self.policy(name, symbol)
        if not policy.keys >= facts.keys():
            self._check_rest(policy, facts)
        return policy.decide(now, symbol, facts)

    def _check_rest(self, policy: CompiledPolicy, facts: Mapping[str, Any]) -> None:
        """Names in what this policy does not read."""
        rest = {key: held for key, held in facts.items() if key not in policy.keys or key == DECISIONS}
        check_names(self.rulebook, rest)

    def observe(self, group: str, raw: Mapping[str, Any] | None) -> Observation:
        """Take one group in.

        Raises:
            FactsError: for a group or a fact that is not declared.

        """
        found = self.rulebook.groups.get(group)
        if found is None:
            raise FactsError(f"there is no fact group `{group}`", did_you_mean(group, self.rulebook.groups))
        return self._intake(found)(raw)

    def warm(self) -> None:
        """Make every function now."""
        for name in self.rulebook.policies:
            for binding in self.rulebook.bindings.values():
                self.for_binding(name, binding)

    def source(self, name: str, symbol: str | None = None) -> str:
        """The generated Python of a policy for a symbol."""
        return self.policy(name, symbol).source

    def _intake(self, group: Group) -> Intake:
        made = self._intakes.get(group.name)
        if made is None:
            made = self._intakes[group.name] = intake(group)
        return made


class CompiledPolicy:
    """One policy under one binding: the function, and what is needed to read its results."""

    def __init__(self, rulebook: Rulebook, policy: Policy, binding: Binding, intakes: Iterable[Intake]) -> None:
        self.rulebook = rulebook
        self.policy = policy
        self.binding = binding
        self.source = generate_policy(rulebook, policy, binding)
        namespace: dict[str, Any] = {"nan": NAN, "finite": _finite}
        exec(compile(self.source, f"<policy {policy.name}>", "exec"), namespace)  # noqa: S102 - our own text
        self.function: Callable[..., tuple[Any, ...]] = namespace[function_name(policy)]
        """(now, one observation a group) to (every name set, in step order; then one integer a step)."""
        self.groups = tuple(key_of(group) for group in policy.groups)
        self.keys = frozenset((*(key for key, inner in self.groups if inner is None), "now", "symbol", "intent_id"))
        names = list(policy.types())
        self.names = names
        self.decides = tuple((name, names.index(name)) for name in policy.decides)
        self.place = dict(self.decides)
        self.vetoes = tuple(
            (len(names) + number, Fired(step.rules)) for number, step in enumerate(policy.steps) if step.hit == "veto"
        )
        self.firings = tuple(
            (len(names) + number, step.hit, step.rules) for number, step in enumerate(policy.steps)
        )
        self._take = _generate_take(list(intakes), self.groups)

    def decide(self, now: float, symbol: str | None, facts: Mapping[str, Any]) -> CompiledDecision:
        """Decide on a facts object whose names were checked."""
        observations = self._take(facts)
        return CompiledDecision(self, now, symbol, facts.get("intent_id"), observations, self.function(now, *observations))

    def decide_observed(
        self, now: float, symbol: str | None, observations: tuple[Observation, ...], intent_id: str | None = None
    ) -> CompiledDecision:
        """Decide on observations, one a group in the order of `policy.groups`."""
        return CompiledDecision(self, now, symbol, intent_id, observations, self.function(now, *observations))


def _generate_take(intakes: list[Intake], groups: tuple[tuple[str, str | None], ...]) -> Callable[[Mapping[str, Any]], tuple[Observation, ...]]:
    """A function that takes every group of a facts object in."""
    lines = ["def take(facts):", "    get = facts.get"]
    if any(inner for _, inner in groups):
        lines += [f"    others = get({DECISIONS!r})", "    inner = others.get if isinstance(others, Mapping) else nothing"]
    parts = [
        f"take_{number}(get({key!r}))" if inner is None else f"take_{number}(inner({inner!r}))"
        for number, (key, inner) in enumerate(groups)
    ]
    lines.append(f"    return ({', '.join(parts)},)")
    namespace: dict[str, Any] = {f"take_{number}": take for number, take in enumerate(intakes)}
    namespace |= {"Mapping": Mapping, "nothing": lambda _: None}
    exec(compile("\n".join(lines), "<take>", "exec"), namespace)  # noqa: S102 - our own text
    made: Callable[[Mapping[str, Any]], tuple[Observation, ...]] = namespace["take"]
    return made


class Fired(dict[int, tuple[str, ...]]):
    """Bit masks of a step to the ids of its rules, each mask worked out once."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, mask: int) -> tuple[str, ...]:
        ids = tuple(rule.full_id for number, rule in enumerate(self._rules) if mask >> number & 1)
        self[mask] = ids
        return ids


class CompiledDecision(Decision):
    """A decision that holds what the generated function returned, and works out the rest when asked."""

    __slots__ = ("_compiled", "_intent_id", "_now", "_observations", "_results", "_symbol")

    def __init__(  # noqa: PLR0913 - one slot each
        self,
        compiled: CompiledPolicy,
        now: float,
        symbol: str | None,
        intent_id: Any,
        observations: tuple[Observation, ...],
        results: tuple[Any, ...],
    ) -> None:
        if intent_id is not None and intent_id.__class__ is not str:
            intent_id = read_moment({"now": now, "intent_id": intent_id}).intent_id
        self._compiled = compiled
        self._now = now
        self._symbol = symbol
        self._intent_id: str | None = intent_id
        self._observations = observations
        self._results = results

    def __getattr__(self, name: str) -> Any:
        # The base class' slots are filled when something is asked that needs them.
        if name in ("_rulebook", "_policy", "_binding"):
            compiled = self._compiled
            return {"_rulebook": compiled.rulebook, "_policy": compiled.policy, "_binding": compiled.binding}[name]
        place = self._compiled.place.get(name)
        if place is None:
            message = f"policy `{self._compiled.policy.name}` does not decide `{name}`"
            raise AttributeError(message)
        return self._results[place]

    def __getitem__(self, name: str) -> Any:
        return self._results[self._compiled.place[name]]

    @property
    def values(self) -> dict[str, Any]:
        """What the policy decides, by name."""
        results = self._results
        return {name: results[place] for name, place in self._compiled.decides}

    @property
    def vetoes(self) -> tuple[str, ...]:
        """The rules that vetoed, as `set.rule`, in order."""
        results = self._results
        ids: tuple[str, ...] = ()
        for place, fired in self._compiled.vetoes:
            mask = results[place]
            if mask:
                ids += fired[mask]
        return ids

    @property
    def moment(self) -> Moment:
        """`now`, `symbol` and `intent_id` it was decided for."""
        return Moment(self._now, self._symbol, self._intent_id)

    @property
    def seen(self) -> Seen:
        """The facts as the policy saw them."""
        compiled = self._compiled
        ahead = limit(compiled.binding, compiled.rulebook.max_ahead)
        observed: dict[str, float] = {}
        values: dict[str, dict[str, Any]] = {}
        for group, observation in zip(compiled.policy.groups, self._observations, strict=True):
            at, *held, gaps = observation
            if at != NEVER:
                observed[group.name] = at
            cause = untimely(self._now, None if at == NEVER else at, limit(compiled.binding, group.max_age), ahead)
            names = [fact.name for fact in group.facts]
            if cause:
                values[group.name] = dict.fromkeys(names, Gap(cause))
            else:
                values[group.name] = dict(zip(names, held, strict=True)) | (gaps or {})
        return Seen(self.moment, observed, values)

    @property
    def outcome(self) -> Outcome:
        """Every value, and which rules fired by which leaves."""
        compiled, results = self._compiled, self._results
        values = dict(zip(compiled.names, results, strict=False))
        env = Environment({**self.seen.names(), **values}, compiled.binding.values)
        fired: list[Firing] = []
        vetoes: list[Firing] = []
        for place, hit, rules in compiled.firings:
            result = results[place]
            matched = [rules[result]] if hit == "first" else [rule for number, rule in enumerate(rules) if result >> number & 1]
            firings = [Firing(rule, look(rule, env).triggering) for rule in matched]
            (vetoes if hit == "veto" else fired).extend(firings)
        return Outcome(values, tuple(fired), tuple(vetoes))


