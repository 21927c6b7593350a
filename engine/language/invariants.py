"""Invariants as written become promises about a policy: names resolved, types and units checked.

In: one invariant of a policy's document, and what may be named in its claims. Out: a `model.Invariant`, or None with
findings. Whether a promise is kept is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, assert_never

from engine.language import model
from engine.language.documents import (
    BoundedText,
    ClaimText,
    ExpressionText,
    FailClosedText,
    InvariantDocument,
    MonotoneText,
    NamePlace,
    Read,
    StrictText,
    UnchangedText,
)
from engine.language.findings import Findings, Related, Span
from engine.language.model import Written
from engine.language.resolve import Scope, resolve, resolve_condition
from engine.language.spelling import did_you_mean
from engine.language.types import ChoiceType, NumberType, common_unit, describe, describe_unit


class InvariantBuilder:
    """Builds the invariants of one policy."""

    def __init__(
        self,
        scope: Scope,
        read: tuple[model.Group, ...],
        groups: Iterable[str],
        profiles: frozenset[str],
        findings: Findings,
    ) -> None:
        """`scope` is that of claims, `read` the groups the policy reads, `groups` the names of all there are."""
        self._scope = scope
        self._read = read
        self._groups = frozenset(groups)
        self._profiles = profiles
        self._findings = findings

    def build(self, text: InvariantDocument) -> model.Invariant | None:
        """One invariant; None, with findings, where a name, a type or a unit of it is wrong."""
        profiles = None
        if text.profiles is not None:
            profiles = tuple(place.name for place in text.profiles)
            for place in text.profiles:
                self._profile(place)
        head, tail = (text.id, profiles), (text.doc, text.span)
        match text.says:
            case ClaimText(claim):
                claimed = self._condition(claim)
                return model.Claim(*head, claimed, *tail) if claimed is not None else None
            case MonotoneText(of, in_, moves):
                return self._monotone(head, of, in_, moves, tail)
            case BoundedText(of, least, most):
                return self._bounded(head, of, least, most, tail)
            case UnchangedText():
                return self._unchanged(head, text.says, tail)
            case FailClosedText():
                return self._fail_closed(head, text.says, tail)
            case StrictText(profile, than, when):
                self._profile(profile)
                self._profile(than)
                where = self._condition(when)
                if where is None:
                    return None
                return model.AtLeastAsStrict(*head, profile.name, than.name, where, *tail)
        assert_never(text.says)

    def _profile(self, place: NamePlace) -> None:
        if place.name not in self._profiles:
            help_text = did_you_mean(place.name, self._profiles, "name a file of profiles/")
            self._findings.add("profile.unknown", place.span, f"there is no profile `{place.name}`", help_text)

    def _condition(self, text: ExpressionText) -> Written | None:
        typed = resolve_condition(text, self._scope, self._findings)
        return text.typed(typed) if typed is not None else None

    def _monotone(
        self, head: _Head, of: NamePlace, in_: NamePlace, moves: Literal["rises", "falls"], tail: _Tail
    ) -> model.Monotone | None:
        decided, fact = self._scope.decisions.get(of.name), self._scope.facts.get(in_.name)
        if decided is None or (isinstance(decided, ChoiceType) and not decided.ordered):
            known = [
                name for name, kind in self._scope.decisions.items() if not isinstance(kind, ChoiceType) or kind.ordered
            ]
            self._no_such(of, "decision with an order", known, "it speaks of a number, a flag or an ordered choice")
            return None
        if fact is None and not self._scope.complete:
            return None
        if fact is None or not isinstance(fact.type, NumberType):
            known = [name for name, held in self._scope.facts.items() if isinstance(held.type, NumberType)]
            self._no_such(in_, "fact with an order", known, "it speaks of a fact that is a number")
            return None
        return model.Monotone(*head, of.name, in_.name, moves, *tail)

    def _bounded(
        self, head: _Head, of: NamePlace, least: ExpressionText | None, most: ExpressionText | None, tail: _Tail
    ) -> model.Bounded | None:
        kind = self._scope.decisions.get(of.name)
        if not isinstance(kind, NumberType):
            known = [name for name, held in self._scope.decisions.items() if isinstance(held, NumberType)]
            self._no_such(of, "number that a step sets", known, "it speaks of a number that the policy sets")
            return None
        low = self._bound(least, of.name, kind) if least is not None else None
        high = self._bound(most, of.name, kind) if most is not None else None
        if (low is None and least is not None) or (high is None and most is not None):
            return None
        return model.Bounded(*head, of.name, low, high, *tail)

    def _bound(self, text: ExpressionText, of: str, kind: NumberType) -> Written | None:
        """A bound of `of`, in its unit."""
        typed = resolve(text, self._scope, self._findings)
        if typed is None:
            return None
        if not isinstance(typed.type, NumberType):
            message = f"a bound is a number, this is {describe(typed.type)}"
            self._findings.add("type.mismatch", text.span, message, f"give a number that `{of}` is compared with")
            return None
        if common_unit(kind.unit, typed.type.unit) is None:
            message = f"`{of}` is in {describe_unit(kind.unit)}, this bound is in {describe_unit(typed.type.unit)}"
            self._findings.add("unit.mismatch", text.span, message, f"give a bound in {describe_unit(kind.unit)}")
            return None
        return text.typed(typed)

    def _unchanged(self, head: _Head, text: UnchangedText, tail: _Tail) -> model.UnchangedWhen | None:
        scope = self._scope
        before = len(self._findings)
        self._once([(place.name, place.span) for place in text.of])
        self._once([(place.name, place.span) for place in text.in_])
        for place in text.of:
            if place.name not in scope.decisions:
                self._no_such(place, "decision", scope.decisions, "it speaks of what the policy's steps set")
        for place in text.in_:
            if place.name not in scope.facts and scope.complete:
                self._no_such(place, "fact that the policy reads", scope.facts, scope.help_unknown)
        when = self._condition(text.when)
        unknown = any(place.name not in scope.facts for place in text.in_)
        if when is None or unknown or len(self._findings) > before:
            return None
        of, in_ = (tuple(place.name for place in places) for places in (text.of, text.in_))
        return model.UnchangedWhen(*head, of, in_, when, *tail)

    def _fail_closed(self, head: _Head, text: FailClosedText, tail: _Tail) -> model.FailClosed | None:
        before = len(self._findings)
        self._once([(_group(entry), entry.span) for entry in text.missing])
        for entry in text.missing:
            self._read_group(entry)
        when = self._condition(text.when)
        unless = self._condition(text.unless) if text.unless is not None else None
        if when is None or (text.unless is not None and unless is None) or len(self._findings) > before:
            return None
        return model.FailClosed(*head, when, tuple(_group(entry) for entry in text.missing), unless, *tail)

    def _read_group(self, entry: Read) -> None:
        """Find fault with an entry of `missing` that the policy does not read."""
        read = {group.name: group for group in self._read}
        if _group(entry) in read or not self._scope.complete:
            return
        if entry.decisions:
            known = [name.removeprefix(_DECISIONS) for name in read if name.startswith(_DECISIONS)]
            message = f"the policy does not read the decisions of `{entry.name}`"
            help_text = did_you_mean(entry.name, known, f"add `{{decisions: {entry.name}}}` to its `reads`")
        elif f"{_DECISIONS}{entry.name}" in read:
            message, help_text = f"`{entry.name}` is a policy", f"write `{{decisions: {entry.name}}}`"
        elif entry.name in self._groups:
            message = f"the policy does not read the group `{entry.name}`"
            help_text = f"add `{entry.name}` to its `reads`"
        else:
            message = f"there is no fact group `{entry.name}`"
            known = [name for name in read if not name.startswith(_DECISIONS)]
            help_text = did_you_mean(entry.name, known, "name a group that the policy reads")
        self._findings.add("name.unknown", entry.span, message, help_text)

    def _no_such(self, place: NamePlace, wanted: str, known: Iterable[str], otherwise: str) -> None:
        help_text = did_you_mean(place.name, known, otherwise)
        self._findings.add("name.unknown", place.span, f"`{place.name}` is no {wanted}", help_text)

    def _once(self, named: Iterable[tuple[str, Span]]) -> None:
        first: dict[str, Span] = {}
        for name, span in named:
            if name in first:
                related = Related(first[name], "it is given here first")
                self._findings.add("name.twice", span, f"`{name}` is given twice", "remove one of them", related)
            first.setdefault(name, span)


_DECISIONS = "decisions."
"""What the name of a group of another policy's decisions begins with."""

_Head = tuple[str, tuple[str, ...] | None]
"""An invariant's id and profiles."""

_Tail = tuple[str, Span]
"""Its doc and its place."""


def _group(entry: Read) -> str:
    """The name of the group that an entry stands for."""
    return f"{_DECISIONS}{entry.name}" if entry.decisions else entry.name
