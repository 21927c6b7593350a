"""A diff as text that fits a terminal: one line that says it all, then what differs, topic by topic.

A difference reads from A to B: `12 bps -> 25 bps`, and its places the same way. What does not fit on a line that way
stands on two, marked `-` and `+`.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from engine.analysis.diff.changes import Change, Given, Part, Spot, ValueChange
from engine.analysis.diff.report import Diff, headline, named, places, sections, summary, whys
from engine.analysis.diff.transition_pages import print_behaviour
from engine.analysis.diff.unexpected import closing, states
from engine.printing import print_wrapped, printable

_STYLES = {
    "added": "green",
    "removed": "red",
    "changed": "yellow",
    "renamed": "cyan",
    "moved": "cyan",
    "disabled": "red",
    "enabled": "green",
}
_MARKS = {"added": "+", "removed": "-", "moved": "moved"}
"""What stands before the text of a part that is on one side alone, or elsewhere."""
_MOST_NAME = 40
"""A column of names never takes more cells than this."""
_KIND_CELLS = 8
"""The longest of the kinds."""


def print_diff(console: Console, diff: Diff, *, with_whys: bool = False, marked: bool = False) -> None:
    """The whole diff; one line where nothing differs.

    With `marked`, and wherever a profile states what is meant, transitions that are unexpected are marked and counted.
    """
    marked = marked or states(diff)
    print_wrapped(console, Text(printable(headline(diff)), "bold"), hanging=2)
    if counts := summary(diff.structure):
        print_wrapped(console, Text(counts), hanging=2)
    if diff.structure.values:
        _print_title(console, "values")
        width = min(max(cell_len(named(change)) for change in diff.structure.values), _MOST_NAME)
        for change in diff.structure.values:
            _print_value(console, diff, change, width)
    for title, changes in sections(diff.structure, with_whys=with_whys):
        _print_title(console, title)
        for each in changes:
            _print_change(console, diff, each)
    if diff.decided is not None:
        print_behaviour(console, diff.decided, marked=marked)
    if marked and (last := closing(diff)) is not None:
        console.print()
        print_wrapped(console, Text(printable(last.text), "bold red"), hanging=2)


def _print_title(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, "bold"))


def _print_value(console: Console, diff: Diff, change: ValueChange, width: int) -> None:
    before, after = (given.text if given is not None else "not declared" for given in (change.a, change.b))
    text = Text.assemble(f"  {named(change):<{width}}  ")
    if before == after:
        text.append(f"{after}, as it was")
    else:
        text.append_text(Text.assemble(printable(before), " -> ", (printable(after), "bold")))
    spans = (change.a.span if change.a else None, change.b.span if change.b else None)
    _print_placed(console, text, places(*spans))
    if change.kept:
        print_wrapped(console, Text(f"      unchanged for {', '.join(change.kept)}"), hanging=8)
    _print_whys(console, diff, change.a, change.b)


def _print_change(console: Console, diff: Diff, change: Change) -> None:
    text = Text.assemble("  ", (f"{change.kind:<{_KIND_CELLS}}", _STYLES[change.kind]), f"  {named(change)}")
    spans = (change.a.span if change.a else None, change.b.span if change.b else None)
    _print_placed(console, text, places(*spans))
    if change.topic == "why":
        _print_sides(console, change.a, change.b, "")
    elif change.topic == "parameter":
        _print_part(console, diff, Part("changed", "declared", change.a, change.b), told=places(*spans))
    elif change.kind in ("added", "removed", "disabled", "enabled"):
        _print_content(console, change)
        _print_whys(console, diff, change.a, change.b)
    for part in change.parts:
        _print_part(console, diff, part, told=places(*spans))


def _print_content(console: Console, change: Change) -> None:
    """What was added or removed, or the rule that is disabled on one side."""
    shown = change.b if change.kind in ("added", "enabled") else change.a
    if shown is not None:
        print_wrapped(console, Text(f"      {printable(shown.text)}"), hanging=8)


def _print_part(console: Console, diff: Diff, part: Part, told: str) -> None:
    """A part of a change; its place is left out where it is the one that was told of the whole."""
    place = places(part.a.span if part.a else None, part.b.span if part.b else None)
    place = place if place != told else ""
    spots = [printable(spot.text) for spot in (part.a, part.b) if spot is not None]
    mark = f"{_MARKS[part.kind]} " if part.kind in _MARKS else ""
    text = Text(f"      {part.what}: {mark}{' -> '.join(spots)}")
    if cell_len(text.plain) <= console.width:
        _print_placed(console, text, place)
    else:
        _print_placed(console, Text(f"      {part.what}"), place)
        _print_sides(console, part.a, part.b, "  ")
    _print_whys(console, diff, part.a, part.b)


def _print_sides(console: Console, a: Spot | None, b: Spot | None, indent: str) -> None:
    for mark, spot, style in (("-", a, "red"), ("+", b, "green")):
        if spot is not None:
            print_wrapped(
                console, Text(f"{indent}      {mark} {printable(spot.text)}", style), hanging=len(indent) + 10
            )


def _print_placed(console: Console, text: Text, place: str) -> None:
    """A line with its place behind it, or below where that would not fit."""
    below = cell_len(text.plain) + 2 + cell_len(place) > console.width
    if place and not below:
        text.append(f"  {place}", "dim")
    print_wrapped(console, text, hanging=6)
    if place and below:
        print_wrapped(console, Text(f"      {place}", "dim"), hanging=8)


def _print_whys(console: Console, diff: Diff, a: Spot | Given | None, b: Spot | Given | None) -> None:
    for why in whys(diff, a, b):
        print_wrapped(console, Text(f"      {printable(why)}"), hanging=8)
