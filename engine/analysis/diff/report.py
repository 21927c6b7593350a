"""A diff as a whole, what it says in one line, and the diff as JSON.

The halves of a diff stand beside each other: the structural one, which is always there, and what the differences do to
decisions, which is None where it was not asked for. Pages print one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.analysis.diff.changes import Change, Given, Part, Spot, Structure, ValueChange
from engine.analysis.diff.sides import Side
from engine.analysis.diff.structure import compare
from engine.analysis.diff.transition_json import behaviour_json
from engine.analysis.diff.transitions import Behaviour
from engine.analysis.request import RequestError
from engine.language.findings import Span, one_line
from engine.language.spelling import did_you_mean
from engine.printing import counted

FailOn = Literal["never", "any", "unexpected"]
"""Which differences fail a command: none, any, or those in decisions that no entry of `diverges` says are meant."""


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between two sides."""

    a: Side
    b: Side
    structure: Structure
    behaviour: Behaviour | None = None
    """The transitions of decisions; None where they were not asked for."""

    @property
    def decided(self) -> Behaviour | None:
        """What there is to say of decisions; None where nothing is, since both are the same, or it was not asked."""
        found = self.behaviour
        return None if found is None or (self.same_version and found.same and not found.unused) else found

    @property
    def same_version(self) -> bool:
        """True if the two decide alike, whatever the facts."""
        return self.a.rulebook.version == self.b.rulebook.version


def diff_sides(a: Side, b: Side) -> Diff:
    """Compare two sides as they are written."""
    return Diff(a, b, compare(a.rulebook, b.rulebook))


def require_shared(diff: Diff, policies: Iterable[str]) -> None:
    """Refuse a policy that one of the sides does not run.

    Raises:
        RequestError: with those that both do.

    """
    shared = [name for name in diff.a.rulebook.policies if name in diff.b.rulebook.policies]
    for name in policies:
        if name not in shared:
            message = f"`{one_line(name)}` is no policy that both sides run"
            raise RequestError(message, did_you_mean(name, shared, f"both run {', '.join(shared)}"))


def fails(diff: Diff, on: FailOn) -> bool:
    """True if a diff holds what a command shall fail on."""
    match on:
        case "never":
            return False
        case "any":
            return bool(diff.structure)
        case "unexpected":  # what is undecided may be anything
            found = diff.behaviour
            return found is None or bool(found.unexpected) or bool(found.undecided)


def headline(diff: Diff) -> str:
    """A diff in one line."""
    version = diff.b.rulebook.version
    if not diff.same_version:
        return f"{diff.a.label} {diff.a.rulebook.version} -> {diff.b.label} {version}"
    both = f"{diff.a.label} and {diff.b.label}"
    if diff.structure:
        return f"{both} decide alike, version {version}; promises differ"
    return f"{both} are the same, version {version}"


def summary(structure: Structure) -> str:
    """How many differences there are of each kind; empty where there are none."""
    counts = [counted(len(structure.values), "value")] if structure.values else []
    counts += [counted(len(changes), *_NOUNS[title]) for title, changes in sections(structure)]
    listed = f"{', '.join(counts[:-1])} and {counts[-1]}" if len(counts) > 1 else "".join(counts)
    return f"{listed} {'differs' if listed.startswith('1 ') and len(counts) == 1 else 'differ'}" if listed else ""


_NOUNS = {
    "policies": ("policy", "policies"),
    "rule sets": ("rule set",),
    "rules": ("rule",),
    "disabled rules": ("disabled rule",),
    "declared parameters": ("declared parameter",),
    "facts": ("fact group",),
    "windows": ("window",),
    "symbol groups": ("symbol group",),
    "invariants": ("invariant",),
    "whys": ("why",),
}


def sections(structure: Structure, *, with_whys: bool = False) -> Iterator[tuple[str, Sequence[Change]]]:
    """The changes by what they are about, each under its title; those that are empty are left out."""
    yield from ((title, changes) for title, changes in _titled(structure, with_whys=with_whys) if changes)


def _titled(structure: Structure, *, with_whys: bool) -> Iterator[tuple[str, Sequence[Change]]]:
    yield "policies", structure.policies
    yield "rule sets", structure.rulesets
    yield "rules", structure.rules
    yield "disabled rules", structure.disabled
    yield "declared parameters", structure.parameters
    yield "facts", structure.facts
    yield "windows", structure.windows
    yield "symbol groups", structure.symbols
    yield "invariants", structure.invariants
    if with_whys:
        yield "whys", structure.whys


def places(a: Span | None, b: Span | None) -> str:
    """Where both sides of a difference stand, on one line."""
    if a is None or b is None:
        span = a or b
        return f"{span.file}:{span.line}" if span is not None else ""
    if a.file != b.file:
        return f"{a.file}:{a.line} -> {b.file}:{b.line}"
    return f"{a.file}:{a.line}" if a.line == b.line else f"{a.file}:{a.line} -> {b.line}"


def named(change: Change | ValueChange) -> str:
    """What a change is of: with both names where it was renamed, and the symbol group if it is of one."""
    name = change.name
    if change.kind == "renamed":
        name = f"{change.name_a} -> {change.name_b}"
    group = change.group if isinstance(change, ValueChange) else None
    return f"{name} for {group}" if group is not None else name


def whys(diff: Diff, a: Spot | Given | None, b: Spot | Given | None) -> Iterator[str]:
    """Why each side says what it says: once where both say the same, or only one says anything at all."""
    why_a, why_b = (spot.why if spot is not None else "" for spot in (a, b))
    if why_a == why_b or not why_a or b is None:
        if why := why_b or why_a:
            yield f"why: {why}"
    elif not why_b:
        yield f"why in {diff.a.label}: {why_a}"
    else:
        yield f"why in {diff.a.label}: {why_a}"
        yield f"why in {diff.b.label}: {why_b}"


def diff_json(diff: Diff, *, with_whys: bool = False) -> dict[str, Any]:
    """A diff as a JSON object."""
    structure = diff.structure
    listed = {
        title.replace(" ", "_"): [_change_json(each) for each in changes]
        for title, changes in _titled(structure, with_whys=with_whys)
    }
    return {
        "a": _side_json(diff.a),
        "b": _side_json(diff.b),
        "same_version": diff.same_version,
        "differs": bool(structure),
        "structure": {"values": [_value_json(each) for each in structure.values], **listed},
        "behaviour": behaviour_json(diff.behaviour) if diff.behaviour is not None else None,
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "asked": side.label,
        "profile": side.rulebook.profile,
        "version": side.rulebook.version,
        "home": str(side.asked.home),
        "revision": side.asked.revision,
        "commit": side.commit,
    }


def _value_json(change: ValueChange) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "parameter": change.name,
        "was": change.name_a if change.name_a != change.name else None,
        "group": change.group,
        "a": _given_json(change.a),
        "b": _given_json(change.b),
        "unchanged_for": list(change.kept),
    }


def _given_json(given: Given | None) -> dict[str, Any] | None:
    if given is None:
        return None
    by = {"profile": given.profile, "group": given.group}
    return {"value": given.value, "unit": given.unit, **by, **_place_json(given.span), "why": given.why}


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "name": change.name,
        "was": change.name_a if change.name_a != change.name else None,
        "decides": change.decides,
        "a": _spot_json(change.a),
        "b": _spot_json(change.b),
        "parts": [_part_json(part) for part in change.parts],
    }


def _part_json(part: Part) -> dict[str, Any]:
    spots = {"a": _spot_json(part.a), "b": _spot_json(part.b)}
    return {"kind": part.kind, "what": part.what, "decides": part.decides, **spots}


def _spot_json(spot: Spot | None) -> dict[str, Any] | None:
    return {"text": spot.text, **_place_json(spot.span), "why": spot.why} if spot is not None else None


def _place_json(span: Span) -> dict[str, Any]:
    return {"file": span.file, "line": span.line, "column": span.column}
