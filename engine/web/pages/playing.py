"""Facts to play with: what a policy reads, as fields with a value each, and the decision that follows.

In: a book, a policy, and facts to begin with. Out: `Field`s by group, and a facts object of their values. A number's
slider reaches over its range where that is small, else around its value, or around those of its unit where it has none.
Bid, ask, mid and spread are one book and follow each other, as in a session, which measures all four from one quote.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

from engine.analysis.explain import Explanation, explain
from engine.book import Book
from engine.journal.events import Routed
from engine.language.model import Fact, Group
from engine.language.types import NO_UNIT, NumberType, Value
from engine.market.book import mid_of, sides_of, spread_bps_of
from engine.market.events import Quote

_DIGITS = 10
"""Of a number that follows another one."""
_SMALL_RANGE = 1_000.0
_SLIDER_STEPS = 200


@dataclass(slots=True)
class Reach:
    """How far a slider goes."""

    low: float
    high: float
    step: float


@dataclass(slots=True)
class Field:
    """One fact."""

    group: str
    fact: Fact
    value: Value | None
    """None: missing."""


@dataclass(slots=True)
class GroupFields:
    """One group of facts."""

    group: Group
    fields: list[Field]
    age_s: float | None
    """None where it has no time of observation."""
    is_there: bool = True


@dataclass(slots=True)
class Play:
    """All facts of a policy, as they stand on a page."""

    book: Book
    policy: str
    now: float
    symbol: str | None
    groups: list[GroupFields] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """The facts object of what stands there."""
        made: dict[str, Any] = {"now": self.now, "symbol": self.symbol}
        for held in self.groups:
            if not held.is_there:
                continue
            values = {each.fact.name: each.value for each in held.fields if each.value is not None}
            if held.age_s is not None:
                values["observed_at"] = self.now - held.age_s
            _put(made, held.group.name, values)
        return made

    def reach(self, of: Field) -> Reach | None:
        """How far the slider of a fact goes; None for one that is no number, or of which nobody can say."""
        kind = of.fact.type
        if not isinstance(kind, NumberType):
            return None
        return reach_of(kind, of.value if of.value is not None else self._usual(kind.unit))

    def _usual(self, unit: str) -> float | None:
        """What known facts of a unit are about; None where there are none, or it is no unit that tells."""
        known = [
            each.value
            for held in self.groups
            for each in held.fields
            if isinstance(each.fact.type, NumberType) and each.fact.type.unit == unit and isinstance(each.value, float)
        ]
        alike = [value for value in known if value]
        return median_low(alike) if alike and unit != NO_UNIT else None

    def follow(self, moved: Field) -> list[Field]:
        """Move what says the same as a fact that was moved; the fields that have another value now.

        A book with an empty side has no mid; where mid or spread is missing, nothing follows the other.
        """
        fields = {each.fact.name: each for held in self.groups for each in held.fields if each.group == "market"}
        if moved.group != "market" or not {"bid", "ask", "mid", "spread_bps"} <= fields.keys():
            return []
        bid, ask, mid, spread_bps = (fields[name].value for name in ("bid", "ask", "mid", "spread_bps"))
        now: dict[str, float | None] = {}
        if moved.fact.name in ("bid", "ask"):
            bid, ask = (side if isinstance(side, float) else 0.0 for side in (bid, ask))
            quote = Quote(self.symbol or "", 0, bid, ask, 0.0, 0.0)
            now = {"mid": mid_of(quote), "spread_bps": spread_bps_of(quote)}
        elif moved.fact.name in ("mid", "spread_bps") and isinstance(mid, float) and isinstance(spread_bps, float):
            now = dict(zip(("bid", "ask"), sides_of(mid, spread_bps), strict=True))
        return [fields[name] for name, value in now.items() if _put_value(fields[name], value)]

    def decide(self) -> Explanation:
        """Decide on them. Raises `FactsError` as `Book.decide` does."""
        return explain(self.book, self.policy, self.facts())


def play(book: Book, policy: str, facts: Mapping[str, Any] | None, now: float) -> Play:
    """A play that begins with facts of a decision, or with none.

    Raises:
        FactsError: for a policy that the profile does not run.

    """
    given = dict(facts or {})
    made = Play(book, policy, float(given.get("now", now)), given.get("symbol"))
    for group in book.policy(policy).groups:
        held = _get(given, group.name)
        observed = None if held is None else held.get("observed_at")
        values = [Field(group.name, fact, _fitting((held or {}).get(fact.name), fact)) for fact in group.facts]
        age_s = (
            round(made.now - observed, 3)
            if isinstance(observed, int | float)
            else 0.0
            if group.max_age is not None
            else None
        )
        made.groups.append(GroupFields(group, values, age_s, is_there=held is not None or not given))
    return made


def newest_routing(routes: Iterable[Routed]) -> str | None:
    """The id of the first decision of these that is one of `routing`: an intent that was refused ends at admission."""
    return next((each.decision_id for each in routes if each.route != "none" and each.event == "decision"), None)


def reach_of(kind: NumberType, value: Value | None) -> Reach | None:
    """How far a slider goes; None for a wide range and no value. Below zero only where the value is.

    >>> reach_of(NumberType("ratio", 0, 1), 0.5)
    Reach(low=0, high=1, step=0.005)
    >>> reach_of(NumberType("price", 0, 1e12), 100.0)
    Reach(low=0.0, high=300.0, step=1.0)
    """
    low, high = kind.min, kind.max
    is_wide = high - low > _SMALL_RANGE
    if is_wide:
        if not isinstance(value, int | float):
            return None
        wide = 2 * abs(value) or 100.0
        low, high = max(low, value - wide if value < 0 else 0.0), min(high, value + wide)
    rough = (high - low) / _SLIDER_STEPS or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(part * power for part in (1, 2, 5, 10) if part * power >= rough * 0.6)
    if is_wide:
        low = math.ceil(low / step) * step  # not 1e-9, from which no step leads to a round number
    return Reach(low, high, step)


def _put_value(of: Field, value: float | None) -> bool:
    """Whether that is another value than it had."""
    before, of.value = of.value, None if value is None else float(f"{value:.{_DIGITS}g}")
    return of.value != before


def _fitting(value: Any, fact: Fact) -> Value | None:
    """A value as its field takes it; None where it is none of its kind."""
    if isinstance(fact.type, NumberType):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if fits else None
    return value if isinstance(value, bool | str) else None


def _get(facts: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    held: Any = facts
    for part in name.split("."):
        held = held.get(part) if isinstance(held, Mapping) else None
    return held if isinstance(held, Mapping) else None


def _put(facts: dict[str, Any], name: str, values: dict[str, Any]) -> None:
    *owners, last = name.split(".")
    for part in owners:
        facts = facts.setdefault(part, {})
    facts[last] = values
