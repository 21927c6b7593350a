"""The border: facts as they arrive become known values or missing ones with their cause.

In: a JSON-like object (`now`, `symbol`, one mapping a group). Out: `Seen`, what the policy's facts are. A wrong *value*
is never an exception, it is missing with the cause `invalid`; a wrong *name* always is one, since a typo that passed as
absent would silently change decisions. This module is the definition; the compiled backend generates the same.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.language.evaluate import Known, Missing, compare
from engine.language.findings import SluiceError, one_line
from engine.language.model import Binding, Fact, Group, Policy
from engine.language.rulebook import Rulebook
from engine.language.spelling import did_you_mean
from engine.language.types import ChoiceType, FlagType, NumberType, TextType, Type, Value

DECISIONS = "decisions"
"""The key under which other policies' decisions are handed in, by policy."""

_TOP_LEVEL = ("now", "symbol", "intent_id", DECISIONS)
_PLAIN_DATA = (str, bytes, bool, numbers.Number, list, tuple, dict, type(None))
_MOST_SHOWN = 60
"""Characters of an invalid value that a record keeps."""


class FactsError(SluiceError):
    """The facts cannot be read: a name nobody declared, no `now`, or something that is no object. Message and help."""

    def __init__(self, message: str, help: str = "") -> None:  # noqa: A002 - the field's name in findings too
        self.message = message
        self.help = help
        super().__init__(f"{message} ({help})" if help else message)


@dataclass(frozen=True, slots=True)
class Moment:
    """The inputs of a decision beside its facts."""

    now: float
    """Seconds since 1970, UTC."""
    symbol: str | None
    intent_id: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A fact without a value: why, and for invalid ones what arrived (shortened)."""

    cause: Missing
    got: str | None = None

    @property
    def told(self) -> str:
        """For a person: the cause, and behind it what arrived."""
        return self.cause.value if self.got is None else f"{self.cause.value}: {' '.join(self.got.split())}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The facts a policy sees at one moment."""

    moment: Moment
    observed_at: Mapping[str, float]
    """By group, where it was given."""
    values: Mapping[str, Mapping[str, Value | Gap]]
    """By group and fact."""

    def told(self) -> dict[str, str]:
        """What a person is told of each fact without a value, by its bare name."""
        return {
            name: value.told
            for facts in self.values.values()
            for name, value in facts.items()
            if isinstance(value, Gap)
        }

    def names(self) -> dict[str, Known]:
        """Every fact by its bare name."""
        return {
            name: value.cause if isinstance(value, Gap) else value
            for facts in self.values.values()
            for name, value in facts.items()
        }


def policy_of(rulebook: Rulebook, name: str) -> Policy:
    """A policy that the profile runs.

    Raises:
        FactsError: if it does not run it.

    """
    found = rulebook.policies.get(name)
    if found is None:
        known = ", ".join(rulebook.policies)
        message = f"profile `{rulebook.profile}` runs no policy `{name}`"
        raise FactsError(message, did_you_mean(name, rulebook.policies, f"it runs {known}"))
    return found


def see(rulebook: Rulebook, policy: Policy, binding: Binding, facts: Mapping[str, Any]) -> Seen:
    """What a policy sees of these facts.

    Raises:
        FactsError: for unknown names, a missing or unsound `now`, and facts that are no mapping.

    """
    facts = as_object(facts)
    moment = read_moment(facts)
    check_names(rulebook, facts)
    ahead = limit(binding, rulebook.max_ahead)
    observed: dict[str, float] = {}
    values: dict[str, Mapping[str, Value | Gap]] = {}
    for group in policy.groups:
        at, held = read_group(group, raw_group(group, facts))
        if at is not None:
            observed[group.name] = at
        age = limit(binding, group.max_age)
        cause = untimely(moment.now, at, age, ahead)
        values[group.name] = dict.fromkeys(held, Gap(cause)) if cause else held
    return Seen(moment, observed, values)


def as_object(facts: Any) -> dict[str, Any]:
    """Facts of any mapping class as a plain dict.

    Raises:
        FactsError: for what is no mapping, or fails as one.

    """
    if facts.__class__ is dict:
        return facts
    if not isinstance(facts, Mapping):
        raise FactsError(f"facts are an object, not {type(facts).__name__}", "{now: …, symbol: …, market: {…}}")
    try:
        return dict(facts)
    except Exception as error:  # the mapping's own code failed
        raise FactsError(f"facts cannot be read: {shorten(error)}", "hand in a plain dict") from error


def read_moment(facts: Mapping[str, Any]) -> Moment:
    """`now`, `symbol` and `intent_id` of a facts object."""
    facts = as_object(facts)
    now = read_value(NumberType("", -math.inf, math.inf), facts.get("now"))
    if not isinstance(now, float):
        got = "is missing" if facts.get("now") is None else f"is {shorten(facts.get('now'))}"
        raise FactsError(f"`now` {got}", "seconds since 1970: deciding reads no clock of its own")
    texts = []
    for name in ("symbol", "intent_id"):
        given = facts.get(name)
        if given is not None and not (isinstance(given, str) and _encodable(given)):
            raise FactsError(f"`{name}` is text, not {shorten(given)}", "")
        texts.append(None if given is None else _plain(given))
    return Moment(now, *texts)


def check_names(rulebook: Rulebook, facts: Mapping[str, Any]) -> None:
    """Refuse names that nothing declares, in any group, read by the policy or not."""
    for key, held in facts.items():
        if key in rulebook.groups:
            if isinstance(held, Mapping):
                known = {fact.name for fact in rulebook.groups[key].facts} | {"observed_at"}
                check_fact_names(key, held, known)
        elif key == DECISIONS:
            _check_decisions(rulebook, held)
        elif key not in _TOP_LEVEL:
            raise unknown_group(key, (*rulebook.groups, *_TOP_LEVEL))


def unknown_group(name: object, known: Iterable[str]) -> FactsError:
    """What to raise for a group that nothing declares."""
    shown, known = shown_name(name), tuple(known)
    return FactsError(f"there is no fact group `{shown}`", did_you_mean(shown, known, f"there are {', '.join(known)}"))


def check_fact_names(group: str, held: Mapping[str, Any], known: set[str] | frozenset[str]) -> None:
    """Refuse facts that the group does not declare."""
    try:
        names = list(held)
    except Exception:  # noqa: BLE001 - a mapping whose own code fails is no observation: read_group says so
        return
    for name in names:
        if name not in known:
            message = f"there is no fact `{shown_name(name)}` in group `{group}`"
            raise FactsError(message, did_you_mean(shown_name(name), known))


def _check_decisions(rulebook: Rulebook, held: Any) -> None:
    if held is None:
        return
    if not isinstance(held, Mapping):
        raise FactsError("`decisions` is an object by policy", '{"decisions": {"admission": {…}}}')
    read = {group.name: group for policy in rulebook.policies.values() for group in policy.groups}
    for name, decided in held.items():
        group = read.get(f"{DECISIONS}.{name}")
        other = rulebook.policies.get(name)
        if group is None and other is None:
            raise FactsError(
                f"there is no policy `{shown_name(name)}`", did_you_mean(shown_name(name), rulebook.policies)
            )
        known = {fact.name for fact in group.facts} if group else set()
        known |= set(other.decides) if other else set()
        if isinstance(decided, Mapping):
            check_fact_names(f"{DECISIONS}.{name}", decided, known | {"observed_at"})


def raw_group(group: Group, facts: Mapping[str, Any]) -> Any:
    """What was handed in for a group; None where nothing was."""
    if not group.name.startswith(f"{DECISIONS}."):
        return facts.get(group.name)
    decided = facts.get(DECISIONS)
    return decided.get(group.name.removeprefix(f"{DECISIONS}.")) if isinstance(decided, Mapping) else None


def read_group(group: Group, raw: Any) -> tuple[float | None, dict[str, Value | Gap]]:
    """`observed_at` and the facts of a group, ages aside."""
    if raw is None:
        return None, {fact.name: Gap(Missing.ABSENT) for fact in group.facts}
    try:
        raw = as_object(raw)
    except FactsError:
        return None, {fact.name: Gap(Missing.INVALID, shorten(raw)) for fact in group.facts}
    given = raw.get("observed_at")
    at = read_value(NumberType("s", -math.inf, math.inf), given)
    if isinstance(at, Gap) and (given is not None or group.max_age is not None):
        got = "no observed_at" if given is None else f"observed_at {shorten(given)}"
        return None, {fact.name: _recorded(raw.get(fact.name)) or Gap(Missing.INVALID, got) for fact in group.facts}
    held = {fact.name: read_fact(fact, raw.get(fact.name)) for fact in group.facts}
    kinds = {fact.name: fact.type for fact in group.facts}
    broken: dict[str, Value | Gap] = {}
    # In an order of their own, so that what a record says of a fact in two broken relations is never chance.
    for relation in sorted(group.relations, key=lambda relation: (relation.left, relation.operator, relation.right)):
        left, right = held[relation.left], held[relation.right]
        if isinstance(left, Gap) or isinstance(right, Gap):
            continue
        if compare(relation.operator, left, right, kinds[relation.left]):
            continue
        broken[relation.left] = Gap(Missing.INVALID, f"{shorten(left)}, not {relation.text}")
        broken[relation.right] = Gap(Missing.INVALID, f"{shorten(right)}, not {relation.text}")
    return (at if isinstance(at, float) else None), held | broken


def read_fact(fact: Fact, raw: Any) -> Value | Gap:
    """One fact, its range checked."""
    value = read_value(fact.type, raw)
    if isinstance(value, float) and isinstance(fact.type, NumberType) and not fact.type.min <= value <= fact.type.max:
        return Gap(Missing.INVALID, shorten(raw))
    return value


def read_value(kind: Type, raw: Any) -> Value | Gap:
    """A value of a type: an int that is exactly a double is a number, a bool is not, numpy scalars are unpacked."""
    if raw is None:
        return Gap(Missing.ABSENT)
    try:
        return _read_value(kind, raw)
    except Exception:  # noqa: BLE001 - whatever an object does when it is looked at, it is no value of ours
        return Gap(Missing.INVALID, shorten(raw))


def _read_value(kind: Type, raw: Any) -> Value | Gap:
    if type(raw).__module__ == "numpy" and getattr(raw, "shape", None) == ():
        raw = raw.item()
    match kind:
        case NumberType():
            value = _double(raw)
            if value is not None:
                return value
        case FlagType() if raw is True or raw is False:
            return bool(raw)
        case ChoiceType(of=of) if isinstance(raw, str) and _plain(raw) in of:
            return _plain(raw)
        case TextType() if isinstance(raw, str) and _encodable(_plain(raw)):
            return _plain(raw)
    return _recorded(raw) or Gap(Missing.INVALID, shorten(raw))


def _recorded(raw: Any) -> Gap | None:
    """The gap that a record shows (`decision.gap_record`), so that deciding again gives the same record."""
    if isinstance(raw, dict) and raw.keys() == {"missing", "got"} and raw["missing"] == Missing.INVALID.value:
        return Gap(Missing.INVALID, raw["got"]) if isinstance(raw["got"], str) and _encodable(raw["got"]) else None
    return None


def _double(raw: Any) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, numbers.Real):
        return None
    if isinstance(raw, numbers.Rational) and not isinstance(raw, numbers.Integral):
        return None
    value = float(raw)
    return value if math.isfinite(value) and value == raw else None


def _plain(text: str) -> str:
    """The characters of a text, whatever its class says of itself (an enumeration of texts shows its own name)."""
    return str.__str__(text)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def limit(binding: Binding, parameter: str | None) -> float | None:
    """The bound value of a parameter of the vocabulary."""
    return None if parameter is None else float(binding.values[f"facts.{parameter}"])


def untimely(now: float, at: float | None, max_age: float | None, max_ahead: float | None) -> Missing | None:
    """Why a group observed at `at` does not count now: stale, or invalid if it lies too far ahead."""
    if at is None:
        return None
    if max_ahead is not None and at - now > max_ahead:
        return Missing.INVALID
    if max_age is not None and now - at > max_age:
        return Missing.STALE
    return None


def shorten(raw: Any) -> str:
    """A short text of anything that arrived, for a person."""
    try:
        # Only plain data is shown: what else there is may name its address, and records would differ by it.
        text = _plain(repr(raw)) if isinstance(raw, _PLAIN_DATA) else type(raw).__name__
    except Exception:  # noqa: BLE001 - a broken __repr__ must not stop a decision
        text = type(raw).__name__
    text = one_line(text.encode("ascii", "backslashreplace").decode())
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def shown_name(raw: Any) -> str:
    """A key that should have been a name, shortened."""
    return shorten(raw).strip("'\"")
