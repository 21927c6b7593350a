"""The checked model: what backends run and analyses ask about.

Expressions are typed and every name is resolved; nothing here is set later by another stage. All of it is immutable
and hashable, and places (`span`, `start`, `end`) do not take part in equality: two rulebooks that mean the same have
equal trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.language.findings import Span
from engine.language.nodes import Scalar
from engine.language.syntax import ArithmeticOperator, Comparator, Function
from engine.language.types import FlagType, Type, Value


@dataclass(frozen=True, slots=True)
class _Typed:
    start: int = field(compare=False)
    end: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Constant(_Typed):
    """A literal: number, flag, choice value or text."""

    value: Value
    type: Type


@dataclass(frozen=True, slots=True)
class FactRef(_Typed):
    """A fact of a group the policy reads; `group` is `decisions.<policy>` for another policy's decision."""

    group: str
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class DecisionRef(_Typed):
    """What an earlier step of the same policy set, or a field of the event that a window looks at; always known."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class ParameterRef(_Typed):
    """A parameter of a rule set; its value comes from the profile and the symbol's groups."""

    ruleset: str
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Negative(_Typed):
    """`-x`."""

    operand: Expression
    type: Type


@dataclass(frozen=True, slots=True)
class Arithmetic(_Typed):
    """`a + b` and its kin: missing if an operand is, if a divisor is 0, or if the result is not finite."""

    operator: ArithmeticOperator
    left: Expression
    right: Expression
    type: Type


@dataclass(frozen=True, slots=True)
class Call(_Typed):
    """`min`, `max`, `abs`: missing if any argument is."""

    function: Function
    arguments: tuple[Expression, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Compare(_Typed):
    """A comparison: unknown if an operand is missing."""

    operator: Comparator
    left: Expression
    right: Expression

    @property
    def type(self) -> Type:
        """A flag."""
        return FLAG


@dataclass(frozen=True, slots=True)
class Member(_Typed):
    """`x in [..]`: true if a known element equals x, else unknown if anything is missing, else false."""

    operand: Expression
    elements: tuple[Expression, ...]
    negated: bool

    @property
    def type(self) -> Type:
        """A flag."""
        return FLAG


@dataclass(frozen=True, slots=True)
class Presence(_Typed):
    """`x is known` / `x is missing`: never unknown."""

    operand: Expression
    known: bool

    @property
    def type(self) -> Type:
        """A flag."""
        return FLAG


@dataclass(frozen=True, slots=True)
class Not(_Typed):
    """Kleene's negation."""

    operand: Expression

    @property
    def type(self) -> Type:
        """A flag."""
        return FLAG


@dataclass(frozen=True, slots=True)
class Logical(_Typed):
    """Kleene's `and`, `or`, `implies`."""

    operator: Literal["and", "or", "implies"]
    left: Expression
    right: Expression

    @property
    def type(self) -> Type:
        """A flag."""
        return FLAG


@dataclass(frozen=True, slots=True)
class VetoedRef(_Typed):
    """Some veto matched, or that of one rule (claims only); always known."""

    ruleset: str | None
    rule: str | None

    @property
    def type(self) -> Type:
        """A flag."""
        return FLAG


Expression = (
    Constant
    | FactRef
    | DecisionRef
    | ParameterRef
    | Negative
    | Arithmetic
    | Call
    | Compare
    | Member
    | Presence
    | Not
    | Logical
    | VetoedRef
)
"""Any typed expression."""

FLAG = FlagType()


@dataclass(frozen=True, slots=True)
class Written:
    """An expression with the text it was written as and where that stands."""

    text: str
    expression: Expression
    span: Span = field(compare=False)
    scalar: Scalar | None = field(default=None, compare=False, repr=False)

    def at(self, part: Expression) -> Span:
        """Where one part of the expression stands."""
        return self.scalar.at(part.start, part.end) if self.scalar is not None else self.span


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition of a `when`."""

    written: Written
    index: int = field(compare=False)
    """Its number among the rule's leaves, in the order written."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """`all:`: Kleene's and over the items."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`any:`: Kleene's or over the items."""

    items: tuple[Condition, ...]


Condition = Leaf | AllOf | AnyOf
"""What stands under `when`."""

EffectKind = Literal["set", "add", "at_least", "at_most"]
EFFECT_ORDER: tuple[EffectKind, ...] = ("set", "add", "at_least", "at_most")
"""The order in which the effects of one rule apply."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a matching rule does to one name."""

    kind: EffectKind
    name: str
    value: Written


Expectation = Literal["unreachable", "reason"]
"""What a rule says of itself: that no input reaches it, or that all it adds is a reason of its own."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a step. `on_unknown` says whether a condition that is unknown matches; None: it cannot be unknown."""

    ruleset: str
    id: str
    condition: Condition | None
    on_unknown: Literal["match", "skip"] | None
    effects: tuple[Effect, ...]
    why: str = field(compare=False)
    span: Span = field(compare=False)
    expect: Expectation | None = field(default=None, compare=False)
    """What `check` would report of it and is meant."""

    @property
    def full_id(self) -> str:
        """`set.rule`, as reasons name it."""
        return f"{self.ruleset}.{self.id}"

    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves of the condition, in the order written."""
        return tuple(leaves_of(self.condition)) if self.condition is not None else ()


HitPolicy = Literal["first", "each", "veto"]


@dataclass(frozen=True, slots=True)
class Step:
    """A rule set as one policy runs it: names resolved against what stands before it."""

    ruleset: str
    hit: HitPolicy
    sets: tuple[tuple[str, Type], ...]
    start: tuple[tuple[str, Written], ...]
    rules: tuple[Rule, ...]
    doc: str = field(compare=False)
    span: Span = field(compare=False)

    def type_of(self, name: str) -> Type:
        """The declared type of a name this step sets."""
        return dict(self.sets)[name]


@dataclass(frozen=True, slots=True)
class Fact:
    """A declared fact."""

    name: str
    type: Type
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Relation:
    """A comparison of two facts of a group that holds in every sound observation; broken, both are invalid."""

    left: str
    operator: Comparator
    right: str
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Facts observed at one moment. `max_age` names the vocabulary's parameter, None where facts do not age."""

    name: str
    facts: tuple[Fact, ...]
    max_age: str | None
    relations: tuple[Relation, ...]
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """An invariant written as one expression: it must be true for every input."""

    id: str
    profiles: tuple[str, ...] | None
    claim: Written
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Monotone:
    """As fact `in_` rises with all else equal, decision `of` only ever `moves`: it falls or stays, or rises or stays.

    Choices compare in their declared order, and false is below true.
    """

    id: str
    profiles: tuple[str, ...] | None
    of: str
    in_: str
    moves: Literal["rises", "falls"]
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class AtLeastAsStrict:
    """Wherever `when` holds under `profile` it holds under `than` as well."""

    id: str
    profiles: tuple[str, ...] | None
    profile: str
    than: str
    when: Written
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Bounded:
    """Decision `of`, a number, never lies below `least` nor above `most`, one of which may be left out."""

    id: str
    profiles: tuple[str, ...] | None
    of: str
    least: Written | None
    most: Written | None
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class UnchangedWhen:
    """The decisions `of` do not depend on the facts `in_` where `when` holds.

    Two inputs that differ in these facts alone (known or missing), and for both of which `when` holds, have them equal.
    """

    id: str
    profiles: tuple[str, ...] | None
    of: tuple[str, ...]
    in_: tuple[str, ...]
    when: Written
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class FailClosed:
    """Where `when` holds with a fact of the groups `missing` missing, it holds with any known value of it as well.

    So not knowing never gains what knowing would refuse. Not asked where `unless` holds with the fact missing.
    """

    id: str
    profiles: tuple[str, ...] | None
    when: Written
    missing: tuple[str, ...]
    unless: Written | None
    doc: str = field(compare=False)
    span: Span = field(compare=False)


Invariant = Claim | Monotone | Bounded | UnchangedWhen | FailClosed | AtLeastAsStrict
"""What a policy promises."""


def written_in(invariant: Invariant) -> tuple[Written, ...]:
    """The expressions of an invariant."""
    match invariant:
        case Claim(claim=claim):
            return (claim,)
        case Bounded(least=least, most=most):
            return tuple(text for text in (least, most) if text is not None)
        case UnchangedWhen(when=when) | AtLeastAsStrict(when=when):
            return (when,)
        case FailClosed(when=when, unless=unless):
            return (when,) if unless is None else (when, unless)
        case Monotone():
            return ()


Measure = Literal["count", "sum", "rate", "in_a_row"]
"""What a window says of its events: how many, a field added up, how many a second, or how many of the latest in a row.

Of a row the filter decides: an event that it keeps goes on with it, any other ends it.
"""

WindowScope = Literal["symbol", "venue"]
"""What a window is kept for: each symbol by itself, or all events of the venue together."""


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of events that windows may count. Every event of it has all of its fields."""

    name: str
    fields: tuple[Fact, ...]
    """What lies outside of a number's declared range is taken as the nearest bound."""
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Window:
    """How a fact of the group `windows` is counted."""

    fact: Fact
    """The fact that it gives."""
    event: str
    filter: Written | None
    """Which events count, over their fields (as `DecisionRef`) and parameters; None: all of them."""
    measure: Measure
    of: str | None
    """The field that a `sum` adds up."""
    length: Constant | ParameterRef | None
    """How far it looks back, in seconds; None for `in_a_row`, which looks back to the first."""
    per: frozenset[WindowScope]
    doc: str = field(compare=False)
    span: Span = field(compare=False)

    def parameters(self) -> frozenset[str]:
        """The parameters it reads, as `set.param`."""
        parts = (*self._parts(), self.length)
        return frozenset(f"{part.ruleset}.{part.name}" for part in parts if isinstance(part, ParameterRef))

    def fields(self) -> frozenset[str]:
        """The fields of its event that it reads."""
        filtered = (part.name for part in self._parts() if isinstance(part, DecisionRef))
        return frozenset(filtered if self.of is None else (*filtered, self.of))

    def _parts(self) -> Iterator[Expression]:
        if self.filter is not None:
            yield from walk(self.filter.expression)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: what it reads, the steps in order, what it hands out, and what it promises."""

    name: str
    groups: tuple[Group, ...]
    steps: tuple[Step, ...]
    decides: tuple[str, ...]
    reason: tuple[str, ...]
    invariants: tuple[Invariant, ...]
    doc: str = field(compare=False)
    span: Span = field(compare=False)

    def types(self) -> dict[str, Type]:
        """Every name its steps set, with its type, in order."""
        return {name: kind for step in self.steps for name, kind in step.sets}


@dataclass(frozen=True, slots=True)
class ParameterDeclaration:
    """A parameter as its rule set declares it."""

    ruleset: str
    name: str
    type: Type
    doc: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a bound value comes from: the profile, the symbol group (None for all symbols), the line, and the why."""

    profile: str
    group: str | None
    why: str
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Divergence:
    """A difference between two profiles that is meant: where `against` decides `before`, this profile decides `after`.

    None stands for any value, as it must for numbers.
    """

    against: str
    policy: str
    decision: str
    before: Value | None
    after: Value | None
    why: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """The values in force for the symbols of one combination of symbol groups (none: every other symbol)."""

    groups: tuple[str, ...]
    values: Mapping[str, Value]
    """By `set.param`."""
    origins: Mapping[str, Origin]


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """The leaves of a condition, in the order written."""
    match condition:
        case Leaf():
            yield condition
        case AllOf(items) | AnyOf(items):
            for item in items:
                yield from leaves_of(item)


def children(expression: Expression) -> tuple[Expression, ...]:
    """The direct operands of an expression."""
    match expression:
        case Negative() | Presence() | Not():
            return (expression.operand,)
        case Arithmetic() | Compare() | Logical():
            return (expression.left, expression.right)
        case Call():
            return expression.arguments
        case Member():
            return (expression.operand, *expression.elements)
        case _:
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything below it, outermost first."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def expressions_in(step: Step) -> Iterator[Expression]:
    """Every expression of a step: starts, leaves and effects."""
    yield from (text.expression for _, text in step.start)
    for rule in step.rules:
        yield from (leaf.written.expression for leaf in rule.leaves())
        yield from (effect.value.expression for effect in rule.effects)


def expressions_of(policy: Policy) -> Iterator[Expression]:
    """Every expression of a policy: those of its steps, and what its invariants say."""
    for step in policy.steps:
        yield from expressions_in(step)
    for invariant in policy.invariants:
        yield from (text.expression for text in written_in(invariant))
