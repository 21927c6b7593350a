"""A decision as people and journals meet it: values by name, vetoes, one line of reason, and the whole record.

The record can be decided again: `{"now": …, "symbol": …, **record["facts"]}` gives the same decision under the same
rulebook, missing facts and their causes included. Its JSON text is canonical (sorted facts, shortest doubles), and
`decision_id` is a digest of what went in, so equal inputs have equal ids on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from engine.backends.facts import DECISIONS, Gap, Moment, Seen
from engine.backends.outcome import Firing, Outcome
from engine.language import model
from engine.language.evaluate import Known, Missing
from engine.language.model import Binding, Expression, Leaf, Policy, Rule, Step, walk
from engine.language.printer import print_number
from engine.language.rulebook import Rulebook
from engine.language.spelling import did_you_mean
from engine.language.types import ChoiceType, FlagType, Value

ID_DIGITS = 24
"""Hex digits of a decision's id: 96 bits."""

NOTHING_TOLD: Mapping[str, str] = MappingProxyType({})
"""Of what is missing only the cause is shown."""


class Written(NamedTuple):
    """A record as text, and what of it whoever keeps records wants at hand."""

    decision_id: str
    reason: str
    json: str


class Decision:
    """One decision. Decided values are attributes and items: `d.quality`, `d["quality"]`.

    Attributes of the class come first: a decided value that shares a name with one is reached as an item.
    """

    __slots__ = ("_binding", "_outcome", "_policy", "_rulebook", "_seen")

    def __init__(self, rulebook: Rulebook, policy: Policy, binding: Binding, seen: Seen, outcome: Outcome) -> None:
        self._rulebook = rulebook
        self._policy = policy
        self._binding = binding
        self._seen = seen
        self._outcome = outcome

    @property
    def values(self) -> dict[str, Value]:
        """What the policy decides, by name: numbers as floats, flags as bools, choices as text."""
        values = self.outcome.values
        return {name: values[name] for name in self._policy.decides}

    def __getitem__(self, name: str) -> Value:
        if name not in self._policy.decides:
            raise KeyError(name)
        return self.outcome.values[name]

    def __getattr__(self, name: str) -> Value:
        if name.startswith("_"):  # a slot not set yet, as while it is copied
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            help_text = did_you_mean(name, self._policy.decides, f"it decides {', '.join(self._policy.decides)}")
            message = f"policy `{self._policy.name}` does not decide `{name}`: {help_text}"
            raise AttributeError(message) from None

    @property
    def policy(self) -> str:
        """The policy's name."""
        return self._policy.name

    @property
    def rulebook(self) -> str:
        """The version of the rulebook that decided."""
        return self._rulebook.version

    @property
    def moment(self) -> Moment:
        """`now`, `symbol` and `intent_id` it was decided for."""
        return self.seen.moment

    @property
    def seen(self) -> Seen:
        """The facts as the policy saw them."""
        return self._seen

    @property
    def outcome(self) -> Outcome:
        """Every value, and which rules fired by which leaves."""
        return self._outcome

    @property
    def vetoes(self) -> tuple[str, ...]:
        """The rules that vetoed, as `set.rule`, in order."""
        return tuple(firing.rule.full_id for firing in self.outcome.vetoes)

    @property
    def fired(self) -> tuple[str, ...]:
        """The other rules that matched, as `set.rule`, in order."""
        return tuple(firing.rule.full_id for firing in self.outcome.fired)

    @property
    def decision_id(self) -> str:
        """A digest of policy, rulebook, symbol, intent, time and facts: 24 hex digits."""
        return decision_id(self._policy, self._rulebook, self.moment, to_json(facts_record(self.seen)))

    @property
    def reason(self) -> str:
        """One line for a person."""
        return reason(self._policy, self._binding, self.seen, self.outcome)

    def record(self) -> dict[str, Any]:
        """The decision as a JSON-like object (docs/decisions.md describes it)."""
        facts = facts_record(self.seen)
        names: dict[str, Known] = {**self.seen.names(), **self.outcome.values}
        moment = self.moment
        return {
            "decision_id": decision_id(self._policy, self._rulebook, moment, to_json(facts)),
            "now": moment.now,
            "policy": self._policy.name,
            "profile": self._rulebook.profile,
            "rulebook": self._rulebook.version,
            "sources": self._rulebook.sources_digest,
            "symbol": moment.symbol,
            "intent_id": moment.intent_id,
            "decided": self.values,
            "vetoes": [firing_record(firing, names, self._binding) for firing in self.outcome.vetoes],
            "fired": [firing_record(firing, names, self._binding) for firing in self.outcome.fired],
            "reason": self.reason,
            "facts": facts,
        }

    def json(self) -> str:
        """The record as one line of JSON."""
        return to_json(self.record())

    def written(self) -> Written:
        """The record as one line of JSON, beside its id and reason."""
        return Written(self.decision_id, self.reason, self.json())

    def __repr__(self) -> str:
        return f"<Decision {self._policy.name}: {self.reason}>"


def to_json(value: Any) -> str:
    """Canonical JSON: no blanks, keys as given, doubles in the shortest form that reads back as the same."""
    return msgspec.json.encode(value).decode()


def decision_id(policy: Policy, rulebook: Rulebook, moment: Moment, facts: str) -> str:
    """The digest of everything that went into a decision; `facts` is their canonical JSON."""
    head = to_json([policy.name, rulebook.profile, rulebook.version, moment.symbol, moment.intent_id, moment.now])
    return hashlib.sha256(f"{head}{facts}".encode()).hexdigest()[:ID_DIGITS]


def facts_record(seen: Seen) -> dict[str, Any]:
    """The facts as they can be handed in again: sorted, absent ones left out, other gaps with their cause."""
    record: dict[str, Any] = {}
    decisions: dict[str, Any] = {}
    for group in sorted(seen.values):
        held = group_record(seen.observed_at.get(group), seen.values[group])
        if group.startswith(f"{DECISIONS}."):
            decisions[group.removeprefix(f"{DECISIONS}.")] = held
        elif held:
            record[group] = held
    return {"decisions": decisions, **record} if any(decisions.values()) else record


def group_record(observed_at: float | None, facts: Mapping[str, Value | Gap]) -> dict[str, Any]:
    """One group as the record shows it."""
    held: dict[str, Any] = {} if observed_at is None else {"observed_at": observed_at}
    for name in sorted(facts):
        value = facts[name]
        if not isinstance(value, Gap):
            held[name] = value
        elif value.cause is not Missing.ABSENT:
            held[name] = gap_record(value)
    return held


def gap_record(gap: Gap) -> dict[str, str]:
    """A gap as the record shows it. Handed in again it is an object where a value should be, so it stays a gap."""
    return {"missing": gap.cause.value} if gap.got is None else {"missing": gap.cause.value, "got": gap.got}


def firing_record(firing: Firing, names: Mapping[str, Known], binding: Binding) -> dict[str, Any]:
    """One rule that matched: id, place, triggering leaves as written, and the values seen there."""
    leaves = firing.rule.leaves()
    return {
        "rule": firing.rule.full_id,
        "at": f"{firing.rule.span.file}:{firing.rule.span.line}",
        "leaves": [
            {"when": leaves[index].written.text, "saw": seen_by(leaves[index].written.expression, names, binding)}
            for index in firing.leaves
        ],
    }


def seen_by(expression: Expression, names: Mapping[str, Known], binding: Binding) -> dict[str, Any]:
    """The values an expression looked at, by name (parameters with `$`); a missing one as `{"missing": cause}`."""
    seen: dict[str, Any] = {}
    for part in walk(expression):
        match part:
            case model.FactRef(name=name) | model.DecisionRef(name=name):
                value = names[name]
                seen[name] = {"missing": value.value} if isinstance(value, Missing) else value
            case model.ParameterRef(ruleset=owner, name=name):
                seen[f"${name}"] = binding.values[f"{owner}.{name}"]
    return seen


def reason(policy: Policy, binding: Binding, seen: Seen, outcome: Outcome) -> str:
    """One line a trader reads aloud: the headline, then the veto that made it, or what the decision rests on."""
    values = outcome.values
    names: dict[str, Known] = {**seen.names(), **values}
    told = seen.told()
    headline = show_value(values[policy.reason[0]]) if policy.reason else policy.name
    kind = policy.types().get(policy.reason[0]) if policy.reason else None
    if isinstance(kind, FlagType):
        headline = policy.reason[0] if values[policy.reason[0]] else f"not {policy.reason[0]}"
    if outcome.vetoes:
        first, *others = outcome.vetoes
        text = f"{headline}: {explain_firing(first, names, binding, told)}"
        for name, firing in _behind(policy, first, outcome.fired):
            text += f", {name} by {explain_firing(firing, names, binding, told)}"
        if others:
            text += "; also " + ", ".join(firing.rule.full_id for firing in others)
        return text
    if any(step.hit == "veto" for step in policy.steps):
        parts = ["no veto"]
    else:
        deciding = [
            firing
            for firing in outcome.fired
            if policy.reason and any(effect.name == policy.reason[0] for effect in firing.rule.effects)
        ]
        parts = [explain_firing(firing, names, binding, told) for firing in deciding[-1:]]
    parts += [text for name in policy.reason[1:] if (text := _recited(name, policy, values))]
    gaps = _gaps(outcome.fired, names, told)
    if gaps:
        parts.append("missing " + ", ".join(gaps))
    return f"{headline}: " + "; ".join(parts) if parts else headline


def setters(policy: Policy, rule: Rule, leaves: Iterable[int]) -> list[tuple[str, Step]]:
    """The choices a rule's leaves look at that a `first` set made, each with its step: what stands behind a veto."""
    written = rule.leaves()
    looked_at = {
        part.name
        for index in leaves
        for part in walk(written[index].written.expression)
        if isinstance(part, model.DecisionRef) and isinstance(part.type, ChoiceType)
    }
    return [(name, step) for step in policy.steps if step.hit == "first" for name, _ in step.sets if name in looked_at]


def _behind(policy: Policy, veto: Firing, fired: Iterable[Firing]) -> list[tuple[str, Firing]]:
    by_ruleset = {firing.rule.ruleset: firing for firing in fired}
    return [(name, by_ruleset[step.ruleset]) for name, step in setters(policy, veto.rule, veto.leaves)]


def _recited(name: str, policy: Policy, values: Mapping[str, Value]) -> str:
    if isinstance(policy.types()[name], FlagType):
        return name if values[name] else ""
    return f"{name} {show_value(values[name])}"


def _gaps(fired: Iterable[Firing], names: Mapping[str, Known], told: Mapping[str, str]) -> list[str]:
    """What the rules that fired found missing, each once, with its cause and what arrived in its place."""
    found: dict[str, None] = {}
    for firing in fired:
        leaves = firing.rule.leaves()
        for index in firing.leaves:
            for part in walk(leaves[index].written.expression):
                if isinstance(part, model.FactRef) and isinstance(names[part.name], Missing):
                    found[f"{part.name} ({told[part.name]})"] = None
    return list(found)


def explain_firing(
    firing: Firing, names: Mapping[str, Known], binding: Binding, told: Mapping[str, str] = NOTHING_TOLD
) -> str:
    """A rule with the leaves that triggered it: `hard_gates.spread_too_wide (spread_bps 14.2 > max_spread_bps 12)`."""
    leaves = firing.rule.leaves()
    shown = [explain_leaf(leaves[index], names, binding, told) for index in firing.leaves]
    return f"{firing.rule.full_id} ({', '.join(shown)})" if shown else firing.rule.full_id


def explain_leaf(
    leaf: Leaf, names: Mapping[str, Known], binding: Binding, told: Mapping[str, str] = NOTHING_TOLD
) -> str:
    """A leaf as written, each name followed by its value, and each missing one by its cause (or by what `told` has).

    A flag that is known says its value by standing there, and so does what `is known` or `is missing` asks of.
    """
    evident = self_evident(leaf.written.expression)
    places: dict[int, tuple[int, str, Known]] = {}
    for part in walk(leaf.written.expression):
        match part:
            case model.FactRef(name=name, type=kind) | model.DecisionRef(name=name, type=kind):
                value = names[name]
                if isinstance(value, Missing) or not (isinstance(kind, FlagType) or part.start in evident):
                    places[part.start] = (part.end, name, value)
            case model.ParameterRef(ruleset=owner, name=name):
                places[part.start] = (part.end, name, binding.values[f"{owner}.{name}"])
    numbers = {start: value for start, (_, _, value) in places.items() if isinstance(value, float)}
    texts = dict(zip(numbers, show_numbers(*numbers.values()), strict=True))
    text, done = "", 0
    for start, (end, name, value) in sorted(places.items()):
        if isinstance(value, Missing):
            shown = f"({told.get(name, value)})"
        elif start in texts:
            shown = texts[start]
        else:
            shown = show_value(value)
        text += f"{leaf.written.text[done:start]}{name} {shown}"
        done = end
    return " ".join((text + leaf.written.text[done:]).split())


def self_evident(expression: Expression) -> frozenset[int]:
    """Where the names start that `is known` and `is missing` ask of."""
    return frozenset(
        inner.start
        for part in walk(expression)
        if isinstance(part, model.Presence)
        for inner in walk(part.operand)
        if isinstance(inner, (model.FactRef, model.DecisionRef))
    )


def show_value(value: Value) -> str:
    """A value for a person: numbers to six digits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _short(value)
    return value


def show_numbers(*numbers: float) -> list[str]:
    """Numbers side by side for a person: to six digits, or to all of them where that would hide a difference.

    >>> show_numbers(14.2, 12.0), show_numbers(12.000000000000002, 12.0)
    (['14.2', '12'], ['12.000000000000002', '12'])
    """
    texts = [f"{value:.6g}" for value in numbers]
    if len(set(texts)) == len(texts):
        return texts
    known = {value: text for value, text in zip(numbers, texts, strict=True) if value == value}  # noqa: PLR0124 - not NaN
    if len(set(known.values())) < len(known):
        return [print_number(value) for value in numbers]
    return texts


def _short(value: float) -> str:
    return f"{value:.6g}"
