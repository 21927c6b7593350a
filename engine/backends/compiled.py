"""The compiled backend: one generated Python function per policy and combination of symbol groups.

In: the same facts objects as the interpreter. Out: `Decision`s that hold the function's plain results and work out
names, reasons and records only when asked. `observe` takes a group in once, for hosts whose groups arrive at different
times; `decide_observed` then decides from observations alone, at about a microsecond.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from engine.backends.decision import Decision, Written, group_record, to_json
from engine.backends.facts import (
    DECISIONS,
    FactsError,
    Gap,
    Moment,
    Seen,
    as_object,
    check_names,
    limit,
    policy_of,
    read_fact,
    read_moment,
    read_value,
    unknown_group,
    untimely,
)
from engine.backends.generate import (
    Fired,
    direct_name,
    function_name,
    generate_direct,
    generate_observed,
    generate_policy,
)
from engine.backends.generate_record import RecordFunction, record_function
from engine.backends.intake import NAN, NEVER, Intake, Observation, finite, intake, key_of
from engine.backends.interpreter import look
from engine.backends.outcome import Firing, Outcome
from engine.backends.source import function_from
from engine.language.evaluate import Environment, Missing
from engine.language.model import Binding, Fact, Group, Policy
from engine.language.rulebook import Rulebook
from engine.language.types import NumberType, Value

_MOST_REMEMBERED = 10_000
"""Symbols and key layouts that are remembered: what comes beyond is looked up the long way."""

_GROUP_ID_DIGITS = 16
_ANY_NUMBER = NumberType("s", -math.inf, math.inf)


class CompiledBook:
    """The generated functions of a rulebook, made when first needed."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self._policies: dict[tuple[str, tuple[str, ...]], CompiledPolicy] = {}
        self._by_values: dict[tuple[str, frozenset[tuple[str, Value]]], CompiledPolicy] = {}
        self._by_symbol: dict[tuple[str, str | None], CompiledPolicy] = {}
        self._absent: dict[str, Observed] = {}
        self.direct: dict[str, dict[str | None, Callable[[float, Mapping[str, Any]], Verdict]]] = {}
        """The function behind a verdict, by policy and by symbol that was seen: `Book.verdict` begins here."""
        self._intakes: dict[str, Intake] = {}
        read = {group.name: group for policy in rulebook.policies.values() for group in policy.groups}
        self._groups: dict[str, Group] = {**rulebook.groups, **read}
        self._functions: dict[str, Callable[..., tuple[Any, ...]]] = {}
        """Functions of another book by their source, while this one is warmed like it."""

    def policy(self, name: str, symbol: str | None = None) -> CompiledPolicy:
        """The function of a policy for a symbol.

        Raises:
            FactsError: if the profile does not run that policy.

        """
        found = self._by_symbol.get((name, symbol))
        if found is None:
            found = self.for_binding(name, self.rulebook.binding_of(symbol))
            if len(self._by_symbol) < _MOST_REMEMBERED:
                self._by_symbol[name, symbol] = found
        return found

    def for_binding(self, name: str, binding: Binding) -> CompiledPolicy:
        """The function of a policy under one binding."""
        found = self._policies.get((name, binding.groups))
        if found is None:
            policy = policy_of(self.rulebook, name)
            # Symbol groups that give this policy the same values share a function: it stays warm for all of them.
            owners = {"facts", *(step.ruleset for step in policy.steps)}
            values = frozenset(
                (parameter, value)
                for parameter, value in binding.values.items()
                if parameter.partition(".")[0] in owners
            )
            found = self._by_values.get((name, values))
            if found is None:
                intakes = [self._intake(group) for group in policy.groups]
                found = self._by_values[name, values] = CompiledPolicy(
                    self.rulebook, policy, binding, intakes, self._functions
                )
            self._policies[name, binding.groups] = found
        return found

    def decide(self, name: str, facts: Mapping[str, Any]) -> Decision:
        """Decide one policy on a facts object (see `engine.Book.decide`)."""
        facts = as_object(facts)
        now, symbol, policy = self._read(name, facts)
        return policy.decide(now, symbol, facts)

    def verdict(self, name: str, facts: Mapping[str, Any]) -> Verdict:
        """Decide one policy on a facts object and keep nothing but the result (see `engine.Book.verdict`)."""
        facts = as_object(facts)
        now, symbol, policy = self._read(name, facts)
        known = self.direct.setdefault(name, {})
        if len(known) < _MOST_REMEMBERED:
            known[symbol] = policy.direct
        return policy.direct(now, facts)

    def _read(self, name: str, facts: Mapping[str, Any]) -> tuple[float, str | None, CompiledPolicy]:
        """`now`, the symbol and its policy, with the names at the top of the facts object checked."""
        try:
            now, symbol = facts["now"], facts["symbol"]
            policy = self._by_symbol[name, symbol]
        except Exception:  # noqa: BLE001 - a symbol of an odd class may raise anything when it is looked up
            moment = read_moment(facts)
            now, symbol = moment.now, moment.symbol
            policy = self.policy(name, symbol)
        else:
            # Infinity less itself is NaN. A symbol found is a str, or equal to one: only str is taken without a look.
            if now.__class__ is not float or now - now != 0.0 or symbol.__class__ is not str or not symbol.isascii():
                moment = read_moment(facts)
                now, symbol = moment.now, moment.symbol
        if facts.__class__ is not dict or tuple(facts) not in policy.seen_keys:
            policy.check_keys(facts)
        return now, symbol, policy

    def observe(self, group: str, raw: Mapping[str, Any] | None) -> Observed:
        """Take one group in (see `engine.Book.observe`)."""
        found = self._groups.get(group)
        if found is None:
            raise unknown_group(group, self._groups)
        return Observed(found, self._intake(found)(raw))

    def in_order(self, policy: CompiledPolicy, observed: Mapping[str, Observed]) -> tuple[Observed, ...]:
        """Groups taken in before, in the order a policy reads them; one that is not there is absent.

        Raises:
            FactsError: for a name that is no group, and a group taken in as another or under another declaration.

        """
        if not observed.keys() <= self._groups.keys():
            raise unknown_group(next(iter(observed.keys() - self._groups.keys())), self._groups)
        groups = []
        for group in policy.policy.groups:
            each = observed.get(group.name)
            if each is None:
                each = self._absent.get(group.name) or self._absent.setdefault(
                    group.name, self.observe(group.name, None)
                )
            elif each.group is not group and each.group != group:
                message = f"group `{group.name}` was taken in as `{each.group.name}`, or under another declaration"
                raise FactsError(message, "take it in again by `observe`, after a reload too")
            groups.append(each)
        return tuple(groups)

    def warm(self, like: CompiledBook | None = None) -> None:
        """Make every function now; those of another book that would be the same are taken over."""
        if like is not None:
            self._functions = like.functions()
            for group in self._groups.values():
                if (made := like.intake_of(group)) is not None:
                    self._intakes.setdefault(group.name, made)
        for name in self.rulebook.policies:
            for binding in self.rulebook.bindings.values():
                self.for_binding(name, binding)
        self._functions = {}  # or the other book's would be held for as long as this one

    def functions(self) -> dict[str, Callable[..., tuple[Any, ...]]]:
        """Every function made so far, by its source."""
        return {policy.source: policy.function for policy in self._policies.values()}

    def intake_of(self, group: Group) -> Intake | None:
        """The intake of a group that is declared just so; None where it is not, or was not made yet."""
        return self._intakes.get(group.name) if self._groups.get(group.name) == group else None

    def source(self, name: str, symbol: str | None = None) -> str:
        """The generated Python of a policy for a symbol."""
        return self.policy(name, symbol).source

    def _intake(self, group: Group) -> Intake:
        made = self._intakes.get(group.name)
        if made is None:
            made = self._intakes[group.name] = intake(group)
        return made


class Observed:
    """A group taken in once, to be decided on often: its values, and an id by which records refer to it."""

    __slots__ = ("group", "id", "ref", "values")

    def __init__(self, group: Group, values: Observation) -> None:
        self.group = group
        """The group as declared."""
        self.values = values
        """What generated functions take: (observed_at, the facts, gaps)."""
        at = values[0]
        self.id = hashlib.sha256(self.json().encode()).hexdigest()[:_GROUP_ID_DIGITS]
        """A digest of the group's name, `observed_at` and facts: 16 hex digits."""
        dated = f',"observed_at":{to_json(at)}' if at != NEVER else ""
        absent = values[-1] is not None and all(gap.cause is Missing.ABSENT for gap in values[-1].values())
        self.ref = (
            ""
            if absent and not dated and len(values[-1]) == len(group.facts)
            else f'"{group.name}":{{"id":"{self.id}"{dated}}}'
        )
        """How records refer to it: a JSON member, or nothing for a group without any fact."""

    def json(self) -> str:
        """The group as a journal keeps it: `{"group": name, "facts": {…}}`, canonical."""
        at, *held, gaps = self.values
        names = [fact.name for fact in self.group.facts]
        facts = group_record(None if at == NEVER else at, dict(zip(names, held, strict=True)) | (gaps or {}))
        return to_json({"group": self.group.name, "facts": facts})


class CompiledPolicy:
    """One policy under one binding: the function, and what is needed to read its results."""

    def __init__(
        self,
        rulebook: Rulebook,
        policy: Policy,
        binding: Binding,
        intakes: Iterable[Intake],
        functions: Mapping[str, Callable[..., tuple[Any, ...]]],
    ) -> None:
        self.rulebook = rulebook
        self.policy = policy
        self.binding = binding
        self.source = generate_policy(rulebook, policy, binding)
        known = functions.get(self.source)
        self.function: Callable[..., tuple[Any, ...]] = known or function_from(
            self.source, function_name(policy), f"policy {policy.name}", {"nan": NAN, "finite": finite}
        )
        """(now, one observation a group) to (every name set, in step order; then one integer a step)."""
        self.groups = tuple(key_of(group) for group in policy.groups)
        self.by_name = tuple(sorted(range(len(policy.groups)), key=lambda number: policy.groups[number].name))
        """The numbers of the groups, in the order of their names."""
        self.read = frozenset(inner for _, inner in self.groups if inner is not None)
        """Policies whose decisions this one reads."""
        decisions = (DECISIONS,) if self.read else ()
        self.keys = frozenset(
            (*(key for key, inner in self.groups if inner is None), "now", "symbol", "intent_id", *decisions)
        )
        self.seen_keys: set[tuple[str, ...]] = set()
        """Key layouts of facts objects that hold nothing this policy does not read."""
        names = list(policy.types())
        self.names = names
        self.decides = tuple((name, names.index(name)) for name in policy.decides)
        self.place = dict(self.decides)
        self.vetoes = tuple(
            (len(names) + number, Fired(step.rules)) for number, step in enumerate(policy.steps) if step.hit == "veto"
        )
        self.firings = tuple((len(names) + number, step.hit, step.rules) for number, step in enumerate(policy.steps))
        self._intakes = tuple(intakes)
        self.values = _generate_values(self.decides)
        self._take = _generate_take(self._intakes, self.groups, self._other_decisions)

    def _other_decisions(self, others: Any) -> Mapping[str, Any]:
        """Look at `decisions` the long way: names of policies, and what is decided by those not read."""
        if others is None:
            return _NOTHING
        unread = (
            {name: held for name, held in others.items() if name not in self.read}
            if isinstance(others, Mapping)
            else others
        )
        check_names(self.rulebook, {DECISIONS: unread})
        held: Mapping[str, Any] = others
        return held

    def vetoed(self, results: tuple[Any, ...]) -> tuple[str, ...]:
        """The ids of the rules that vetoed."""
        ids: tuple[str, ...] = ()
        for place, fired in self.vetoes:
            mask = results[place]
            if mask:
                ids += fired[mask]
        return ids

    def decide(self, now: float, symbol: str | None, facts: Mapping[str, Any]) -> CompiledDecision:
        """Decide on a facts object whose names were checked."""
        observations = self._take(facts)
        return CompiledDecision(
            self, now, symbol, facts.get("intent_id"), observations, self.function(now, *observations)
        )

    @functools.cached_property
    def direct(self) -> Callable[[float, Mapping[str, Any]], Verdict]:
        """(now, facts object) to a verdict, made when first needed."""
        namespace: dict[str, Any] = {
            "nan": NAN,
            "never": NEVER,
            "finite": finite,
            "moment": _moment,
            "convert": _convert,
        }
        for number, group in enumerate(self.policy.groups):
            namespace |= {f"_fact_{number}_{place}": fact for place, fact in enumerate(group.facts)}
        namespace["take"] = self._take_one
        namespace |= self._verdict_names
        source = generate_direct(self.rulebook, self.policy, self.binding)
        made: Callable[[float, Mapping[str, Any]], Verdict] = function_from(
            source, direct_name(self.policy), f"facts {self.policy.name}", namespace
        )
        return made

    def _take_one(self, number: int, facts: Mapping[str, Any]) -> Observation:
        """One group the long way, all names of the facts object looked at."""
        if facts.__class__ is not dict or tuple(facts) not in self.seen_keys:
            self.check_keys(facts)
        key, inner = self.groups[number]
        if inner:
            return self._take(facts)[number]
        raw = facts.get(key)
        # A verdict keeps no causes, and without them what is no object is as good as absent.
        return self._intakes[number](None if type(raw) in _NO_OBJECTS else raw)

    def check_keys(self, facts: Mapping[str, Any]) -> None:
        """Refuse unknown names in what this policy does not read (its own groups' intakes look at theirs)."""
        rest = {key: held for key, held in facts.items() if key not in self.keys}
        check_names(self.rulebook, rest)
        if not rest and len(self.seen_keys) < _MOST_REMEMBERED:
            self.seen_keys.add(tuple(facts))

    @functools.cached_property
    def observed(self) -> Callable[..., Verdict]:
        """(now, the values of one `Observed` a group, in the order of `policy.groups`) to a verdict."""
        namespace: dict[str, Any] = {"nan": NAN, "finite": finite} | self._verdict_names
        source = generate_observed(self.rulebook, self.policy, self.binding)
        made: Callable[..., Verdict] = function_from(
            source, function_name(self.policy), f"observed {self.policy.name}", namespace
        )
        return made

    @functools.cached_property
    def _verdict_names(self) -> dict[str, Any]:
        verdict = msgspec.defstruct(
            f"{self.policy.name.title()}Verdict",
            [*((name, Any) for name in self.policy.decides), ("vetoes", tuple[str, ...])],
            bases=(Verdict,),
            frozen=True,
            gc=False,
        )
        rules = (rule for step in self.policy.steps if step.hit == "veto" for rule in step.rules)
        return {"verdict": verdict, "ids": Fired(rules)}

    @functools.cached_property
    def record(self) -> RecordFunction:
        """The function that writes records with facts, made at the first one."""
        return record_function(self.rulebook, self.policy, self.binding, with_facts=True)

    @functools.cached_property
    def record_of_groups(self) -> RecordFunction:
        """The function that writes records that refer to groups by id, made at the first one."""
        return record_function(self.rulebook, self.policy, self.binding, with_facts=False)

    def decide_observed(
        self, now: float, symbol: str | None, observed: tuple[Observed, ...], intent_id: str | None = None
    ) -> CompiledDecision:
        """Decide on groups taken in before, one each in the order of `policy.groups`."""
        observations = tuple([each.values for each in observed])
        results = self.function(now, *observations)
        return CompiledDecision(self, now, symbol, intent_id, observations, results, observed)


def _generate_values(decides: tuple[tuple[str, int], ...]) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
    """A function that names the decided values among the results."""
    text = "lambda results: {" + ", ".join(f"{name!r}: results[{place}]" for name, place in decides) + "}"
    made: Callable[[tuple[Any, ...]], dict[str, Any]] = eval(text)  # noqa: S307 - our own text
    return made


_NOTHING: dict[str, Any] = {}


def _generate_take(
    intakes: Iterable[Intake],
    groups: tuple[tuple[str, str | None], ...],
    other_decisions: Callable[[Any], Mapping[str, Any]],
) -> Callable[[Mapping[str, Any]], tuple[Observation, ...]]:
    """A function that takes every group of a facts object in."""
    lines = ["def take(facts):", "    get = facts.get"]
    read = [inner for _, inner in groups if inner is not None]
    if read:
        usual = f"others.__class__ is dict and len(others) == {len(read)}"
        usual += "".join(f" and {name!r} in others" for name in read)
        lines += [
            f"    others = get({DECISIONS!r})",
            f"    inner = others.get if {usual} else other_decisions(others).get",
        ]
    parts = [
        f"take_{number}(get({key!r}))" if inner is None else f"take_{number}(inner({inner!r}))"
        for number, (key, inner) in enumerate(groups)
    ]
    lines.append(f"    return ({', '.join(parts)},)")
    namespace: dict[str, Any] = {f"take_{number}": take for number, take in enumerate(intakes)}
    namespace["other_decisions"] = other_decisions
    made: Callable[[Mapping[str, Any]], tuple[Observation, ...]] = function_from(
        "\n".join(lines), "take", "take", namespace
    )
    return made


def _moment(at: Any) -> float:
    """`observed_at` that is no float as it stands."""
    value = read_value(_ANY_NUMBER, at)
    return NAN if isinstance(value, Gap) else float(value)


_NO_OBJECTS = frozenset((str, int, float, bool, list))
"""Classes of what is handed in for a group by mistake."""

_NEVER_CONVERTED = frozenset((type(None), float, bool, list, dict))
"""Classes of which every value is either sound as it stands or no value of any type."""

_MOST_EXACT = 2.0**53
"""Every whole number up to here is a double."""


def _convert(fact: Fact, raw: Any) -> Any:
    """A fact that is not sound as it stands. What is usual is answered here; `read_fact` is the definition."""
    kind, wanted = type(raw), fact.type
    if kind in _NEVER_CONVERTED:
        return NAN
    if kind is int and isinstance(wanted, NumberType) and -_MOST_EXACT <= raw <= _MOST_EXACT:
        return float(raw) if wanted.min <= raw <= wanted.max else NAN
    value = read_fact(fact, raw)
    return NAN if isinstance(value, Gap) else value


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What was decided and which rules vetoed, with no record kept: for simulations, and hosts that only ask.

    Each policy has a subclass of its own, with a field for every decided name and `vetoes`, the ids of the rules that
    vetoed, in order.
    """

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __getattr__(self, name: str) -> Any:
        message = f"`{name}` is not decided here"
        raise AttributeError(message)

    @property
    def values(self) -> dict[str, Any]:
        """What the policy decides, by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__[:-1]}


class CompiledDecision(Decision):
    """A decision that holds what the generated function returned, and works out the rest when asked."""

    __slots__ = ("_compiled", "_intent_id", "_now", "_observations", "_results", "_symbol", "observed")

    def __init__(
        self,
        compiled: CompiledPolicy,
        now: float,
        symbol: str | None,
        intent_id: Any,
        observations: tuple[Observation, ...],
        results: tuple[Any, ...],
        observed: tuple[Observed, ...] | None = None,
    ) -> None:
        if intent_id is not None and (intent_id.__class__ is not str or not intent_id.isascii()):
            intent_id = read_moment({"now": now, "intent_id": intent_id}).intent_id
        self._compiled = compiled
        self._now = now
        self._symbol = symbol
        self._intent_id: str | None = intent_id
        self._observations = observations
        self._results = results
        self.observed = observed
        """The groups it was decided on, where they were taken in before: the record then refers to them by id."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name not in ("_rulebook", "_policy", "_binding"):
            raise AttributeError(name)  # a slot not set yet, as while it is copied
        # The base class' slots are filled when something is asked that needs them.
        if name in ("_rulebook", "_policy", "_binding"):
            compiled = self._compiled
            return {"_rulebook": compiled.rulebook, "_policy": compiled.policy, "_binding": compiled.binding}[name]
        place = self._compiled.place.get(name)
        if place is None:
            return super().__getattr__(name)
        return self._results[place]

    def __getitem__(self, name: str) -> Any:
        return self._results[self._compiled.place[name]]

    @property
    def values(self) -> dict[str, Any]:
        """What the policy decides, by name."""
        return self._compiled.values(self._results)

    @property
    def vetoes(self) -> tuple[str, ...]:
        """The rules that vetoed, as `set.rule`, in order."""
        return self._compiled.vetoed(self._results)

    def json(self) -> str:
        """The record as one line of JSON."""
        return self.written().json

    def written(self) -> Written:
        """The record as one line of JSON, beside its id and reason."""
        compiled, given = self._compiled, (self._now, self._symbol, self._intent_id)
        if self.observed is None:
            return compiled.record(*given, "", self._observations, self._results)
        observed = self.observed
        refs = f"{{{','.join([ref for number in compiled.by_name if (ref := observed[number].ref)])}}}"
        return compiled.record_of_groups(*given, refs, self._observations, self._results)

    def record(self) -> dict[str, Any]:
        """The decision as a JSON-like object."""
        made: dict[str, Any] = msgspec.json.decode(self.json())
        return made

    @property
    def decision_id(self) -> str:
        """A digest of policy, rulebook, symbol, intent, time, and facts or the ids of groups: 24 hex digits."""
        return super().decision_id if self.observed is None else self.written().decision_id

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
            matched = (
                [rules[result]]
                if hit == "first"
                else [rule for number, rule in enumerate(rules) if result >> number & 1]
            )
            firings = [Firing(rule, look(rule, env).triggering) for rule in matched]
            (vetoes if hit == "veto" else fired).extend(firings)
        return Outcome(values, tuple(fired), tuple(vetoes))
