"""What a structural difference is: plain data, with both places, that pages print and other questions start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.language.findings import Span
from engine.language.types import Value

Kind = Literal["added", "removed", "changed", "renamed", "moved", "disabled", "enabled"]
"""What became of something on the way from A to B."""

Topic = Literal[
    "policy",
    "rule set",
    "rule",
    "parameter",
    "facts",
    "window",
    "symbol group",
    "disabled rule",
    "invariant",
    "why",
]
"""What a difference is about. A `why` is one that changed while what it explains did not."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One side of a difference: what stands there, in the documents' words, and where."""

    text: str
    span: Span
    why: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that differs within what both sides have. A side is None where it has nothing of it."""

    kind: Kind
    what: str
    """`when`, `unknown`, `set offset_bps`, `reads`, `fact spread_bps` and the like."""
    a: Spot | None
    b: Spot | None
    decides: bool = True
    """True if a decision may depend on it, so that the version differs."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something with a name that differs, or that one side lacks. Names are None where the side does not have it."""

    topic: Topic
    kind: Kind
    name_a: str | None
    name_b: str | None
    a: Spot | None
    b: Spot | None
    parts: tuple[Part, ...] = ()
    decides: bool = True
    """True if a decision may depend on it, so that the version differs."""

    @property
    def name(self) -> str:
        """What it is called: in B, if it is there."""
        name = self.name_b or self.name_a
        assert name is not None, "a change is of something"
        return name


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter's value on one side: with its unit as text, and who gives it, where and why."""

    value: Value
    unit: str
    text: str
    span: Span
    why: str
    profile: str
    group: str | None
    """The symbol group that gives it; None where it is given for all symbols."""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A parameter whose value differs, for the symbols of a group or (`group` is None) for those of none that gives it.

    A side is None where the parameter is not declared. A renamed one is here with both names, its value changed or not.
    """

    kind: Kind
    name_a: str | None
    name_b: str | None
    group: str | None
    a: Given | None
    b: Given | None
    kept: tuple[str, ...] = ()
    """Where it differs for all symbols: groups in which it does not."""

    @property
    def name(self) -> str:
        """What it is called: in B, if it is there."""
        name = self.name_b or self.name_a
        assert name is not None, "a change is of something"
        return name


@dataclass(frozen=True, slots=True)
class Structure:
    """Everything that differs between two rulebooks as they are written, in the order in which documents are read.

    Layout, comments, quotes, docs and the spelling of numbers make no difference.
    """

    values: tuple[ValueChange, ...] = ()
    policies: tuple[Change, ...] = ()
    rulesets: tuple[Change, ...] = ()
    rules: tuple[Change, ...] = ()
    disabled: tuple[Change, ...] = ()
    parameters: tuple[Change, ...] = ()
    """Parameters that both sides declare, otherwise."""
    facts: tuple[Change, ...] = ()
    windows: tuple[Change, ...] = ()
    symbols: tuple[Change, ...] = ()
    invariants: tuple[Change, ...] = ()
    whys: tuple[Change, ...] = ()
    """Where only the `why` differs. These are no differences of their own."""

    def changes(self) -> Iterator[Change]:
        """All that differs beside values, topic by topic, without `whys`."""
        yield from self.policies
        yield from self.rulesets
        yield from self.rules
        yield from self.disabled
        yield from self.parameters
        yield from self.facts
        yield from self.windows
        yield from self.symbols
        yield from self.invariants

    def __bool__(self) -> bool:
        """True if anything differs."""
        return bool(self.values) or any(True for _ in self.changes())

    @property
    def decides(self) -> bool:
        """True if anything differs that a decision may depend on; then and only then do the versions differ."""
        return bool(self.values) or any(change.decides for change in self.changes())
