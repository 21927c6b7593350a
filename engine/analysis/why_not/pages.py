"""What would have to be otherwise, as text under an explanation, and as an object for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from engine.analysis.why_not.ask import WhyNot
from engine.analysis.why_not.of_facts import FactChange
from engine.analysis.why_not.of_parameters import ParameterChange
from engine.backends.decision import show_value
from engine.language.printer import print_number, print_value
from engine.language.types import Value
from engine.printing import print_wrapped, printable


def print_why_not(console: Console, found: WhyNot, profile: str) -> None:
    """The smallest change of facts, and that of parameters."""
    console.print()
    wish = printable(str(found.wish))
    if found.already:
        print_wrapped(console, Text(f"{wish} already holds"))
        return
    console.print(Text(f"why not {wish}", "bold"))
    if found.facts is None:
        print_wrapped(console, Text(f"  {_none(found, 'facts', 'no change of facts would do')}"))
    else:
        console.print(Text("  it would hold if these facts were otherwise:"))
        for change in found.facts:
            print_wrapped(console, Text(f"    {printable(_fact(change))}"), hanging=6)
    if found.parameters is None:
        print_wrapped(console, Text(f"  {_none(found, 'parameters', 'no change of parameters alone would do')}"))
        return
    print_wrapped(console, Text(f"  or, on the same facts, with this edit of profiles/{profile}.yaml:"), hanging=4)
    for line in edit_lines(found.parameters):
        console.print(Text(f"    {line}"), soft_wrap=True)


def edit_lines(changes: Sequence[ParameterChange]) -> list[str]:
    """The lines to write into a profile: its own values, then those of its symbol groups."""
    lines: list[str] = []
    plain = [change for change in changes if change.origin.group is None]
    if plain:
        lines += ["values:", *(f"  {_entry(change)}" for change in plain)]
    groups = sorted({change.origin.group for change in changes if change.origin.group is not None})
    if groups:
        lines.append("symbols:")
    for group in groups:
        lines += [f"  {group}:", "    values:"]
        lines += [f"      {_entry(change)}" for change in changes if change.origin.group == group]
    return lines


def _entry(change: ParameterChange) -> str:
    """One value as a profile gives it, and in a comment what it is now."""
    now = f"{print_value(change.before, change.type)} at {change.origin.span.file}:{change.origin.span.line}"
    return f"{change.parameter}: {{value: {print_value(change.after, change.type)}, why: ...}}  # {now}"


def _none(found: WhyNot, part: str, otherwise: str) -> str:
    return f"{part}: the solver gave up, there may be a change" if part in found.undecided else otherwise


def _fact(change: FactChange) -> str:
    if change.after is None:
        return f"{change.fact}: fresh, with what it holds (it is {change.cause})"
    before = f"missing ({change.cause})" if change.before is None else _value(change.before)
    return f"{change.fact}: {_value(change.after)} (it is {before})"


def _value(value: Value) -> str:
    return print_number(value) if isinstance(value, float) else show_value(value)


def why_not_json(found: WhyNot) -> dict[str, Any]:
    """The same as a JSON object: `facts` and `parameters` are null where no change was found."""
    return {
        "wish": str(found.wish),
        "already": found.already,
        "facts": None
        if found.facts is None
        else [
            {"fact": change.fact, "before": change.before, "cause": change.cause or None, "after": change.after}
            for change in found.facts
        ],
        "parameters": None
        if found.parameters is None
        else [
            {
                "parameter": edit.parameter,
                "before": edit.before,
                "after": edit.after,
                "at": f"{edit.origin.span.file}:{edit.origin.span.line}",
                "edit": edit_lines([edit]),
            }
            for edit in found.parameters
        ],
        "undecided": list(found.undecided),
    }
