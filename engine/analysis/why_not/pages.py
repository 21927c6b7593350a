"""What would have to be otherwise, as text under an explanation, and as an object for JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from engine.analysis.why_not.ask import WhyNot
from engine.analysis.why_not.of_facts import FactChange
from engine.analysis.why_not.of_parameters import edit_lines
from engine.backends.decision import show_value
from engine.language.printer import print_number
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


def _none(found: WhyNot, part: str, otherwise: str) -> str:
    return f"{part}: the solver gave up, there may be a change" if part in found.undecided else otherwise


def _fact(change: FactChange) -> str:
    if change.after is None:
        return f"{change.fact}: fresh, with what it holds (it is {change.cause})"
    before = "missing" if change.before is None else _value(change.before)
    before += f", {change.cause}" if change.cause else ""
    return f"{change.fact}: {_value(change.after)} (it is {before})"


def _value(value: Value) -> str:
    return print_number(value) if isinstance(value, float) else show_value(value)


def why_not_json(found: WhyNot) -> dict[str, Any]:
    """The same as a JSON object: `facts`, and `parameters` with their `edit`, are null where no change was found."""
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
            }
            for edit in found.parameters
        ],
        "edit": None if found.parameters is None else edit_lines(found.parameters),
        "undecided": list(found.undecided),
    }
