"""A diff as Markdown, for the text or a comment of a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.analysis.diff.changes import Change, Given, Spot, ValueChange
from engine.analysis.diff.markdown_text import code, plain
from engine.analysis.diff.report import Diff, headline, places, sections, summary, whys
from engine.analysis.diff.transition_markdown import behaviour_lines
from engine.analysis.diff.unexpected import Closing, closing, states

_MOST_OPEN = 10
"""A topic with more rows is folded."""


def markdown(diff: Diff, *, with_whys: bool = False, witnesses: bool = True, marked: bool = False) -> str:
    """The whole diff; one line where nothing differs. `witnesses` adds an input of each transition.

    With `marked`, and wherever a profile states what is meant, transitions that are unexpected are marked and counted.
    """
    marked = marked or states(diff)
    return "\n".join(_lines(diff, with_whys=with_whys, witnesses=witnesses, marked=marked)) + "\n"


def _lines(diff: Diff, *, with_whys: bool, witnesses: bool, marked: bool) -> Iterator[str]:
    yield plain(headline(diff).replace("->", "→"))
    if counts := summary(diff.structure):
        yield from ("", f"{counts}.")
    heads = (code(diff.a.label), code(diff.b.label))
    if diff.structure.values:
        rows = [_value_row(diff, change) for change in diff.structure.values]
        yield from _folded("values", rows, ("Parameter", "Symbols", *heads, "Why", "Where"))
    for title, changes in sections(diff.structure, with_whys=with_whys):
        rows = [row for change in changes for row in _rows(diff, change)]
        yield from _folded(title, rows, ("", "Name", "What", *heads, "Why", "Where"))
    if diff.decided is not None:
        yield from ("", "## Behaviour", "")
        yield from behaviour_lines(diff.decided, witnesses=witnesses, marked=marked)
    if marked and (last := closing(diff)) is not None:
        yield from ("", _closing(last))


def _closing(last: Closing) -> str:
    how = f" {plain(last.how)}" if last.how else ""
    entry = f": {code(last.entry)}" if last.entry else "."
    return f"**Note:** {plain(last.said.replace('->', '→'))}.{how}{entry if how else ''}"


def _folded(title: str, rows: Sequence[Sequence[str]], heads: Sequence[str]) -> Iterator[str]:
    """A table that can be folded, and is where it is long."""
    yield ""
    yield f"<details{'' if len(rows) > _MOST_OPEN else ' open'}><summary>{title}</summary>"
    yield ""
    for row in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""
    yield "</details>"


def _value_row(diff: Diff, change: ValueChange) -> list[str]:
    symbols = code(change.group) if change.group is not None else "all"
    if change.kept:
        symbols += f" but {', '.join(code(group) for group in change.kept)}"
    name = " → ".join(code(name) for name in _names(change))
    values = [code(given.text) if given is not None else "" for given in (change.a, change.b)]
    return [name, symbols, *values, _why(diff, change.a, change.b), _where(change.a, change.b)]


def _rows(diff: Diff, change: Change) -> Iterator[list[str]]:
    """A row for each part of a change; one for the whole where it has none."""
    name = " → ".join(code(name) for name in _names(change))
    if not change.parts:
        shown = change.kind != "renamed"  # nothing but the name differs
        spots = [code(spot.text) if shown and spot is not None else "" for spot in (change.a, change.b)]
        yield [change.kind, name, "", *spots, _why(diff, change.a, change.b), _where(change.a, change.b)]
    for part in change.parts:
        spots = [code(spot.text) if spot is not None else "" for spot in (part.a, part.b)]
        yield [part.kind, name, part.what, *spots, _why(diff, part.a, part.b), _where(part.a, part.b)]


def _names(change: Change | ValueChange) -> list[str]:
    if change.kind == "renamed" and change.name_a is not None:
        return [change.name_a, change.name]
    return [change.name]


def _why(diff: Diff, a: Spot | Given | None, b: Spot | Given | None) -> str:
    return "<br>".join(plain(why.removeprefix("why: ")) for why in whys(diff, a, b))


def _where(a: Spot | Given | None, b: Spot | Given | None) -> str:
    return plain(places(a.span if a is not None else None, b.span if b is not None else None).replace("->", "→"))
