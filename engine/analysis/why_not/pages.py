"""What would have to be otherwise, as text under an explanation, and as an object for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from engine.analysis.why_not.ask import WhyNot
from engine.analysis.why_not.of_facts import FactChange
from engine.analysis.why_not.of_parameters import Edit, lines_of
from engine.backends.decision import show_value
from engine.language.printer import print_number, print_value
from engine.language.types import Value
from engine.printing import print_wrapped, printable

_NONE = {
    "facts": "no change of facts gives it: proven in exact arithmetic for every value, with none going missing",
    "parameters": "no change of parameters gives it on these facts: proven in exact arithmetic for all in range",
}
_UNSURE = "time was over (--timeout), or what exact numbers give, no doubles do"
_MOST_NAMED = 3
"""Invariants of which nobody knows that are named; of the others it is said how many they are."""


def print_why_not(console: Console, found: WhyNot, reason: str, profile: str, title: str = "") -> None:
    """What was decided, the smallest change of facts, and that of parameters; under a title where there is one."""
    if title:
        print_wrapped(console, Text(printable(title), "bold"))
    print_wrapped(console, Text(printable(reason)))
    wish = printable(str(found.wish))
    if found.already:
        print_wrapped(console, Text(f"{wish} already holds"))
        return
    decided = print_value(found.decided, found.wish.type)
    print_wrapped(console, Text.assemble((f"why not {wish}", "bold"), f" (it is {printable(decided)})"))
    if found.facts is None:
        _print_none(console, found, "facts")
    else:
        console.print(Text("  it would hold if these facts were otherwise:"))
        for change in found.facts:
            print_wrapped(console, Text(f"    {printable(_fact(change))}"), hanging=6)
        _print_unsure(console, found, "facts")
    if found.edit is None:
        _print_none(console, found, "parameters")
    else:
        _print_edit(console, found.edit, profile)
        _print_unsure(console, found, "parameters")


def _print_edit(console: Console, edit: Edit, profile: str) -> None:
    file = f"profiles/{edit.parent or profile}.yaml"
    print_wrapped(console, Text(f"  or, on the same facts, with this edit of {file}:"), hanging=4)
    for line in lines_of(edit):
        console.print(Text(f"    {line}"), soft_wrap=True)
    if edit.parent is not None:
        extending = f"the other profiles that extend {edit.parent}: {', '.join(edit.also)}"
        changes = f"changes {extending if edit.also else 'no other profile'}"
        alone = f"in profiles/{profile}.yaml alone it breaks {', '.join(edit.alone_breaks)}"
        print_wrapped(console, Text(f"    it {changes}; {alone}"), hanging=6)
    if edit.breaks:
        said = ("this edit breaks what holds today: ", "bold red")
        print_wrapped(console, Text.assemble("    ", said, ", ".join(edit.breaks)), hanging=6)
    if edit.unproven:
        print_wrapped(console, Text(f"    not proven with it: {_some(edit.unproven)}"), hanging=6)


def _print_none(console: Console, found: WhyNot, part: str) -> None:
    undecided = f"{part}: undecided, there may be a change; {_UNSURE}"
    print_wrapped(console, Text(f"  {undecided if part in found.undecided else _NONE[part]}"))


def _print_unsure(console: Console, found: WhyNot, part: str) -> None:
    if part in found.undecided:
        print_wrapped(console, Text(f"    there may be a smaller change; {_UNSURE}"), hanging=6)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _fact(change: FactChange) -> str:
    if change.after is None:
        return f"{change.fact}: fresh, with what it holds (it is {change.cause})"
    before = "missing" if change.before is None else _value(change.before)
    before += f", {change.cause}" if change.cause else ""
    return f"{change.fact}: {_value(change.after)} (it is {before})"


def _value(value: Value) -> str:
    return print_number(value) if isinstance(value, float) else show_value(value)


def why_not_json(found: WhyNot) -> dict[str, Any]:
    """The same as a JSON object: `facts`, and `parameters` with their `edit`, are null where no change was found.

    `breaks` and `unproven` name the invariants that the edit breaks, and those of which nobody knows; `parent` the
    profile that it is an edit of where that is not the one asked about, and `also` the others that change with it.
    """
    return {
        "wish": str(found.wish),
        "already": found.already,
        "decided": found.decided,
        "facts": None
        if found.facts is None
        else [
            {"fact": change.fact, "before": change.before, "cause": change.cause or None, "after": change.after}
            for change in found.facts
        ],
        "parameters": None
        if found.edit is None
        else [
            {
                "parameter": change.parameter,
                "before": change.before,
                "after": change.after,
                "at": f"{change.origin.span.file}:{change.origin.span.line}",
            }
            for change in found.edit.changes
        ],
        "edit": None if found.edit is None else lines_of(found.edit),
        "parent": None if found.edit is None else found.edit.parent,
        "also": [] if found.edit is None else list(found.edit.also),
        "breaks": [] if found.edit is None else list(found.edit.breaks),
        "unproven": [] if found.edit is None else list(found.edit.unproven),
        "undecided": list(found.undecided),
    }
