"""What the behavioural half of a diff says, as plain data: which decisions change, where, and through what.

Nothing here needs a solver, so pages and reports can hold it without the extra `prove`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from engine.backends.interpreter import StepTrace
from engine.language.model import Divergence, Expression
from engine.language.printer import print_number
from engine.language.types import TextType, Type, Value

Presence = Literal["known", "missing", "any"]
"""What a condition says of a fact: that it is there, that it is not, or (`any`) that it may be either."""

Often = Literal["never", "sometimes", "always"]
"""For which inputs of a transition something holds."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An end of a range, exact: parameters are doubles, and what follows from several of them need not be one."""

    value: Fraction
    inclusive: bool

    @property
    def text(self) -> str:
        """In as many digits as people read."""
        return show_exact(self.value)


@dataclass(frozen=True, slots=True)
class FactCondition:
    """What a region asks of one fact: a range, or some of its values, of a known one; and whether it has to be known.

    `fact` is `group.fact`. Of numbers `lower` and `upper` bound what is known, of other types `values` lists it (flags
    as `true` and `false`); what is None asks nothing.
    """

    fact: str
    type: Type
    presence: Presence
    lower: Bound | None = None
    upper: Bound | None = None
    values: tuple[str, ...] | None = None
    others: tuple[str, ...] = ()
    """The values left out: for a text, those that rules name."""
    at_end: bool = False
    """True where the one bound is the very end of the fact's range, so that it is the only value left."""

    @property
    def name(self) -> str:
        """The bare name of the fact."""
        return self.fact.rpartition(".")[2]

    @property
    def text(self) -> str:
        """As a rule would say it, with `or missing` where it need not be known."""
        if self.presence == "missing":
            return f"{self.name} is missing"
        known = self._known()
        if known is None:
            return f"{self.name} is known"
        return f"{known} or missing" if self.presence == "any" else known

    def _known(self) -> str | None:
        if self.values is not None:
            return self._listed(self.values)
        if self.lower is None and self.upper is None:
            return None
        ends = (self.lower or self.upper,) * 2 if self.at_end else (self.lower, self.upper)
        return ranged(self.name, *ends)

    def _listed(self, values: tuple[str, ...]) -> str:
        if values in (("true",), ("false",)) and not isinstance(self.type, TextType):
            return self.name if values == ("true",) else f"not {self.name}"
        quote = "'" if isinstance(self.type, TextType) else ""
        negated = len(values) > len(self.others) or (isinstance(self.type, TextType) and not set(values) - {""})
        named = [f"{quote}{value}{quote}" for value in (self.others if negated else values)]
        if len(named) == 1:
            return f"{self.name} {'!=' if negated else '=='} {named[0]}"
        return f"{self.name} {'not in' if negated else 'in'} [{', '.join(named)}]"


@dataclass(frozen=True, slots=True)
class RelationCondition:
    """What a region asks of several facts together: that a comparison holds, or that it does not.

    `facts` are `group.fact`. With `or_missing` it need not hold where one of them is missing.
    """

    expression: Expression
    facts: tuple[str, ...]
    or_missing: bool
    comparison: str

    @property
    def text(self) -> str:
        """As a rule would say it."""
        if not self.or_missing:
            return self.comparison
        which = "one of them" if len(self.facts) > 1 else self.facts[0].rpartition(".")[2]
        return f"{self.comparison} or {which} is missing"


@dataclass(frozen=True, slots=True)
class AgeCondition:
    """What a region asks of the age of a group (s), where both sides do not have the same limits.

    What was observed ahead of the decision has an age below 0.
    """

    group: str
    lower: Bound | None
    upper: Bound | None

    @property
    def text(self) -> str:
        """In seconds."""
        return ranged(f"age of {self.group}", self.lower, self.upper, " s")


@dataclass(frozen=True, slots=True)
class SumCondition:
    """What a region asks of a number on its way: of its value before a rule clamps it, on one side or on both alike."""

    decision: str
    rule: str
    """`set.rule`."""
    side: Literal["A", "B"] | None
    lower: Bound | None
    upper: Bound | None

    @property
    def text(self) -> str:
        """`0.5 < offset_bps (B, before bounds) < 8`."""
        of = f"{self.side}, " if self.side is not None else ""
        return ranged(f"{self.decision} ({of}before {self.rule.partition('.')[2]})", self.lower, self.upper)


def ranged(name: str, low: Bound | None, high: Bound | None, unit: str = "") -> str:
    """A range as a rule would say it; at least one end is given."""
    if low is not None and high is not None:
        if low.value == high.value:
            return f"{name} == {low.text}{unit}"
        first, second = ("<=" if end.inclusive else "<" for end in (low, high))
        return f"{low.text}{unit} {first} {name} {second} {high.text}{unit}"
    if low is not None:
        return f"{name} {'>=' if low.inclusive else '>'} {low.text}{unit}"
    assert high is not None
    return f"{name} {'<=' if high.inclusive else '<'} {high.text}{unit}"


Condition = FactCondition | RelationCondition | AgeCondition | SumCondition
"""One condition of a region."""


@dataclass(frozen=True, slots=True)
class Region:
    """Inputs that all make a transition: those that meet every condition. None of these can be dropped."""

    conditions: tuple[Condition, ...]

    @property
    def text(self) -> str:
        """The conditions in one line."""
        return " and ".join(condition.text for condition in self.conditions) or "always"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs and that a decision may hang on, as the documents name it."""

    kind: Literal["parameter", "rule", "start", "facts"]
    name: str
    a: str
    """What A has: a value, or what became of a rule. Empty where it has none."""
    b: str
    value_a: Value | None = None
    """Of a parameter: its value in A, which `a` shows; None where A has none."""
    value_b: Value | None = None
    unit: str = ""
    """The unit of both values; empty where there is none, or where the sides declare different ones."""

    @property
    def text(self) -> str:
        """`quality.broken_slippage_bps 20 -> 50`, or `rule probe.granted disabled in B`."""
        if self.kind in ("parameter", "start"):
            head = self.name if self.kind == "parameter" else f"start of {self.name}"
            return f"{head} {self.a or 'none'} -> {self.b or 'none'}"
        return f"{self.kind.removesuffix('s') if self.kind == 'rule' else 'facts'} {self.name} {self.b or self.a}"


@dataclass(frozen=True, slots=True)
class Responsible:
    """What one change has to do with a transition, over all of the transition's inputs.

    `alone`: A with this change alone decides as B does. `needed`: B without this change does not. None where the solver
    gave up.
    """

    change: Change
    alone: Often | None
    needed: Often | None

    @property
    def undecided(self) -> bool:
        """True where the solver gave up."""
        return self.alone is None or self.needed is None


@dataclass(frozen=True, slots=True)
class Span:
    """The least and the most that a number comes to. An end that is only approached is not inclusive."""

    least: Bound
    most: Bound

    @property
    def text(self) -> str:
        """`0.5 to 8`, `2`, or `above 0 to 3`."""
        if self.least.value == self.most.value:
            return self.least.text
        low = self.least.text if self.least.inclusive else f"above {self.least.text}"
        high = self.most.text if self.most.inclusive else f"below {self.most.text}"
        return f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """A transition of a number: what it is before and after, and by how much it changes (B minus A).

    None where the solver gave up.
    """

    before: Span | None
    after: Span | None
    change: Span | None

    @property
    def text(self) -> str:
        """What it is before and after: `0.5 to below 8 -> above 0.5 to 8`; empty where either is not known."""
        return f"{self.before.text} -> {self.after.text}" if self.before is not None and self.after is not None else ""


@dataclass(frozen=True)
class Witness:
    """One input of a transition, confirmed by the interpreter on both sides."""

    facts: Mapping[str, Any]
    """The facts object, as a caller hands it in."""
    before: Value
    after: Value
    a: tuple[StepTrace, ...]
    b: tuple[StepTrace, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """The symbols that a transition is about."""

    symbols: tuple[str, ...]
    """Those of them that either side has in a group."""
    excluded: tuple[str, ...]
    """Symbols in groups that it is not about."""
    others: bool
    """True if it is about every symbol that neither side has in a group."""
    groups_a: tuple[tuple[str, ...], ...]
    """The combinations of symbol groups that these symbols have in A."""
    groups_b: tuple[tuple[str, ...], ...]

    @property
    def whole(self) -> bool:
        """True for all symbols there are."""
        return self.others and not self.excluded

    @property
    def text(self) -> str:
        """`all symbols`, perhaps with a few that are not, or the symbols by name."""
        if not self.others:
            return ", ".join(self.symbols)
        if len(self.excluded) <= len(self.symbols):
            return f"all symbols but {', '.join(self.excluded)}" if self.excluded else "all symbols"
        return f"{', '.join(self.symbols)} and symbols in no group" if self.symbols else "symbols in no group"


@dataclass(frozen=True, slots=True)
class Weight:
    """How often a transition occurred in history, of how many decisions; and in money where outcomes are known."""

    count: int
    decisions: int
    share: float | None
    """None where there were no decisions."""
    intents: int | None = None
    """Intents whose outcome is known, of those that made the transition."""
    cost_usd: float | None = None
    """What they cost together."""
    cost_bps: float | None = None
    """The same in bps of what was traded."""


Direction = Literal["rises", "falls"]


@dataclass(frozen=True, slots=True)
class Transition:
    """Inputs for which A decides one value and B another.

    Of numbers there are two at most: those that rise and those that fall (`direction`).
    """

    policy: str
    decision: str
    type: Type
    scope: Scope
    before: Value | None
    """None for numbers."""
    after: Value | None
    direction: Direction | None = None
    numbers: Numbers | None = None
    witness: Witness | None = None
    like: str = ""
    """A transition of another decision before it that the same inputs make: `route taker -> maker`."""
    regions: tuple[Region, ...] = ()
    unconfirmed: tuple[Region, ...] = ()
    """Regions in which exact arithmetic makes it, and no input of doubles was found that does."""
    covered: bool = False
    """True if every input of the transition lies in a region, or in one that is unconfirmed."""
    uncovered: str = ""
    """Why not, if not."""
    responsible: tuple[Responsible, ...] = ()
    """Changes that can make it alone, or that it cannot always do without."""
    blended: bool = True
    """False where the rules differ so much that changes cannot be tried one by one."""
    undecided: str = ""
    """Why the solver cannot say that the transition exists; empty for one that does."""
    expected: Divergence | None = None
    """The `diverges` entry that says it is meant."""
    weight: Weight | None = None

    @property
    def text(self) -> str:
        """`taker -> maker`, or `rises by 0.5 to 2`."""
        if self.direction is None:
            return f"{show_value(self.before)} -> {show_value(self.after)}"
        change = self.numbers.change if self.numbers is not None else None
        if change is None:
            return self.direction
        size = change if self.direction == "rises" else Span(_negated(change.most), _negated(change.least))
        if not size.least.value:  # as little as one likes
            return f"{self.direction} by {'up to' if size.most.inclusive else 'less than'} {size.most.text}"
        return f"{self.direction} by {size.text}"


def _negated(bound: Bound) -> Bound:
    return Bound(-bound.value, bound.inclusive)


@dataclass(frozen=True, slots=True)
class Question:
    """What the solver gave up on: one decision of one scope, of which there may be more transitions than are listed."""

    policy: str
    decision: str
    scope: Scope
    why: str


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All that both sides decide differently: no other transition exists but for what is `undecided`."""

    policies: tuple[str, ...]
    """The policies that both sides run."""
    transitions: tuple[Transition, ...]
    undecided: tuple[Question, ...]
    unused: tuple[Divergence, ...]
    """`diverges` entries between these two profiles that no transition uses."""
    only_a: tuple[str, ...]
    """Policies and decisions that B does not have, as `policy` or `policy.decision`."""
    only_b: tuple[str, ...]
    seconds: float
    history: str | None = None
    """What transitions were weighed by, in words; None where they were not."""

    @property
    def same(self) -> bool:
        """True if it is proven that nothing is decided differently."""
        return not self.transitions and not self.undecided

    @property
    def unexpected(self) -> tuple[Transition, ...]:
        """Transitions that no entry says are meant."""
        return tuple(transition for transition in self.transitions if transition.expected is None)

    def decisions(self) -> Iterator[tuple[str, str, tuple[Transition, ...]]]:
        """Policy, decision and transitions, in the policies' order."""
        keys = dict.fromkeys((transition.policy, transition.decision) for transition in self.transitions)
        for policy, decision in keys:
            found = (each for each in self.transitions if (each.policy, each.decision) == (policy, decision))
            yield policy, decision, tuple(found)


def show_exact(value: Fraction) -> str:
    """An exact number in at most 12 digits.

    >>> show_exact(Fraction(1, 3)), show_exact(Fraction(20))
    ('0.333333333333', '20')
    """
    if not value:
        return "0"
    short = float(f"{float(value):.12g}")
    return print_number(short)


def show_value(value: Value | None) -> str:
    """A decided value as the language writes it; `any` for none."""
    if value is None:
        return "any"
    if isinstance(value, bool):
        return "true" if value else "false"
    return print_number(value) if isinstance(value, float) else value
