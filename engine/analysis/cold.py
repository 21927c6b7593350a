"""Does a cold profile ever rest an order? A symbol is cold while it has no maker history: `sample_count` is 0.

The routing policy is run on what is certain of a cold symbol and nothing else: its telemetry is fresh, `sample_count`
is 0, and the other metrics of that group are absent (no data is missing, never 0). Every other fact is *open*: it may
have any value of its type, or be missing. Open values spread through expressions as Kleene's unknown does, so what
comes out settled holds for every order a cold symbol can get: a proof, although a coarse one. "Not settled" says
nothing either way.

Then each flag parameter of the policy is turned over, one at a time: those that unsettle the answer are ways out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from engine.backends.decision import explain_leaf
from engine.language import model
from engine.language.evaluate import Environment, Known, Missing, evaluate
from engine.language.findings import Finding, Related, Severity
from engine.language.model import AllOf, AnyOf, Binding, Condition, Expression, Leaf, Policy, Rule, Step, walk
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, Value

HISTORY: Final = "sample_count"
"""The fact that counts maker attempts; 0 is cold."""

ROUTE: Final = "route"
RESTS: Final = "maker"
"""The decision this asks about, and its value for an order that rests."""


class _Open(Enum):
    OPEN = "open"


_OPEN: Final = _Open.OPEN
"""Any value, or none."""

_Settled = Known | _Open


@dataclass(frozen=True, slots=True)
class ColdStop:
    """Under one binding, no cold order rests: these rules veto each of them, and these flags would change that."""

    policy: str
    groups: tuple[str, ...]
    vetoes: tuple[Rule, ...]
    shown: tuple[str, ...]
    """Each veto as a reason shows it."""
    ways_out: tuple[tuple[str, bool], ...]
    """Flag parameters (`set.param`) and their bound values; the other value leaves the question open."""


def cold_stops(rulebook: Rulebook) -> list[ColdStop]:
    """The bindings under which a cold symbol never rests an order; none if no policy routes by `sample_count`."""
    return [
        stop
        for policy in rulebook.policies.values()
        if _routes(policy)
        for binding in rulebook.bindings.values()
        if (stop := _stop(policy, binding)) is not None
    ]


def cold_notes(rulebook: Rulebook) -> list[Finding]:
    """The same as notes: one for the profile where it holds for all symbols, else one a combination of groups."""
    stops = cold_stops(rulebook)
    everywhere = len(stops) == len(rulebook.bindings)
    shown = [stop for stop in stops if not stop.groups] if everywhere else stops
    return [_note(rulebook, stop, everywhere=everywhere) for stop in shown]


def _note(rulebook: Rulebook, stop: ColdStop, *, everywhere: bool) -> Finding:
    binding = rulebook.bindings[stop.groups]
    symbols = " + ".join(stop.groups) or "symbols in no group"
    which = "" if everywhere else f" for {symbols}"
    message = f"a cold {rulebook.profile} never rests an order{which}: {', '.join(stop.shown)} while {HISTORY} is 0"
    ways = [f"set `{name}` to {'false' if value else 'true'}" for name, value in stop.ways_out]
    related = [
        Related(binding.origins[name].span, f"`{name}` is {'true' if value else 'false'} here")
        for name, value in stop.ways_out
    ]
    help_text = ", or ".join([*ways, "import telemetry"])
    return Finding("cold.never_rests", Severity.NOTE, stop.vetoes[0].span, message, help_text, tuple(related))


def _routes(policy: Policy) -> bool:
    route = policy.types().get(ROUTE)
    facts = {fact.name for group in policy.groups for fact in group.facts}
    return isinstance(route, ChoiceType) and RESTS in route.of and HISTORY in facts


def _stop(policy: Policy, binding: Binding) -> ColdStop | None:
    run = _Run(policy, binding.values)
    if not run.never_rests:
        return None
    flags = {
        f"{part.ruleset}.{part.name}"
        for part in _expressions(policy)
        if isinstance(part, model.ParameterRef) and isinstance(part.type, FlagType)
    }
    ways_out = [
        (name, bool(binding.values[name]))
        for name in sorted(flags)
        if not _Run(policy, {**binding.values, name: not binding.values[name]}).never_rests
    ]
    shown = tuple(_shown(rule, run.names, binding) for rule in run.vetoes)
    return ColdStop(policy.name, binding.groups, tuple(run.vetoes), shown, tuple(ways_out))


class _Run:
    """A policy run on cold facts: what is settled of each name, and which vetoes match whatever the rest is."""

    def __init__(self, policy: Policy, values: Mapping[str, Value]) -> None:
        self.names: dict[str, _Settled] = {}
        self.vetoes: list[Rule] = []
        for group in policy.groups:
            cold = any(fact.name == HISTORY for fact in group.facts)
            for fact in group.facts:
                self.names[fact.name] = _OPEN if not cold else 0.0 if fact.name == HISTORY else Missing.ABSENT
        self._values = values
        for step in policy.steps:
            self.names |= self._step(step)
        route = self.names[ROUTE]
        self.never_rests = route is not _OPEN and route != RESTS and bool(self.vetoes)

    def _step(self, step: Step) -> dict[str, _Settled]:
        matches = [(rule, self._matches(rule)) for rule in step.rules]
        match step.hit:
            case "first":
                return self._first(step, matches)
            case "veto":
                certain = [rule for rule, matched in matches if matched is True]
                self.vetoes += certain
                clear = all(matched is False for _, matched in matches)
                result: _Settled = False if certain else True if clear else _OPEN
                return {name: result for name, _ in step.sets}
            case "each":
                touched = {effect.name for rule, matched in matches if matched is not False for effect in rule.effects}
                return {
                    name: _OPEN if name in touched else self._settle(start.expression) for name, start in step.start
                }

    def _first(self, step: Step, matches: list[tuple[Rule, bool | None]]) -> dict[str, _Settled]:
        """What all the rules that may be the first to match agree on."""
        possible: list[Rule] = []
        for rule, matched in matches:
            if matched is not False:
                possible.append(rule)
            if matched is True:
                break
        found: dict[str, _Settled] = {}
        for name, _ in step.sets:
            effects = [effect for rule in possible for effect in rule.effects if effect.name == name]
            results = [self._settle(effect.value.expression) for effect in effects]
            found[name] = results[0] if all(result == results[0] for result in results) else _OPEN
        return found

    def _matches(self, rule: Rule) -> bool | None:
        """Whether the rule matches; None where that is open."""
        truth: _Settled = True if rule.condition is None else self._truth(rule.condition)
        if isinstance(truth, Missing):
            return rule.on_unknown == "match"
        return None if truth is _OPEN else bool(truth)

    def _truth(self, condition: Condition) -> _Settled:
        match condition:
            case Leaf(written):
                return self._settle(written.expression)
            case AllOf(items):
                return _all(*(self._truth(item) for item in items))
            case AnyOf(items):
                return _any(*(self._truth(item) for item in items))

    def _settle(self, expression: Expression) -> _Settled:
        """The value of an expression where it is the same whatever the open names are."""
        if not any(self.names[name] is _OPEN for name in _names(expression)):
            known = {name: value for name, value in self.names.items() if not isinstance(value, _Open)}
            return evaluate(expression, Environment(known, self._values))
        match expression:
            case model.Logical(operator="and"):
                return _all(self._settle(expression.left), self._settle(expression.right))
            case model.Logical(operator="or"):
                return _any(self._settle(expression.left), self._settle(expression.right))
            case model.Logical():
                return _any(_not(self._settle(expression.left)), self._settle(expression.right))
            case model.Not(operand=operand):
                return _not(self._settle(operand))
        return _OPEN


def _all(*items: _Settled) -> _Settled:
    if any(item is False for item in items):
        return False
    return _left(items, neutral=True)


def _any(*items: _Settled) -> _Settled:
    if any(item is True for item in items):
        return True
    return _left(items, neutral=False)


def _left(items: tuple[_Settled, ...], *, neutral: bool) -> _Settled:
    """What `and` or `or` comes to where no item decides it: open if one is, else unknown if one is missing."""
    if any(item is _OPEN for item in items):
        return _OPEN
    return next((item for item in items if isinstance(item, Missing)), neutral)


def _not(item: _Settled) -> _Settled:
    return item if isinstance(item, Missing | _Open) else not item


def _names(expression: Expression) -> Iterator[str]:
    return (part.name for part in walk(expression) if isinstance(part, model.FactRef | model.DecisionRef))


def _expressions(policy: Policy) -> Iterator[Expression]:
    for step in policy.steps:
        for _, start in step.start:
            yield from walk(start.expression)
        for rule in step.rules:
            for leaf in rule.leaves():
                yield from walk(leaf.written.expression)
            for effect in rule.effects:
                yield from walk(effect.value.expression)


def _shown(rule: Rule, names: Mapping[str, _Settled], binding: Binding) -> str:
    """The veto with its leaves; with their values where all of them are settled."""
    known = {name: value for name, value in names.items() if not isinstance(value, _Open)}
    parts = [
        explain_leaf(leaf, known, binding)
        if all(name in known for name in _names(leaf.written.expression))
        else leaf.written.text
        for leaf in rule.leaves()
    ]
    return f"{rule.full_id} ({', '.join(parts)})" if parts else rule.full_id
