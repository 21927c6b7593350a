"""A report on a terminal: the headline, four ways of routing side by side, groups, markouts, vetoes, and notes.

Tables fit 80 cells, and show more from 140 on.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.printing import counted, print_wrapped, printable
from engine.routing.evidence import report_text as words
from engine.routing.evidence.report import DIMENSIONS, Report, by_cost

_LABEL_CELLS = 10
_WIDE = 140
"""From so many cells on there is room for every column."""
_ROOMY = 100
"""From so many on, for wider gaps between them."""
_LONGEST_LABEL = 16
"""Cells that the first column takes for itself, where it needs them; what is longer is folded."""
_MOST_ROWS = 40
"""Rows of a table at most; JSON has all."""


def print_report(console: Console, report: Report) -> None:
    """Print a report; one without intents says so."""
    figures = report.figures()
    wide = console.width >= _WIDE
    _print_labelled(console, "report", words.period_text(report))
    for number, line in enumerate(words.session_lines(report)):
        _print_labelled(console, "" if number else "sessions", line)
    empty = words.empty_text(report)
    if report.received or report.refused:
        _print_labelled(console, "intents", words.intents_line(report))
    if empty is not None:
        print_wrapped(console, Text(empty, "bold"))
        return
    _print_labelled(console, "routing", words.headline(figures))
    compared = counted(figures.ways["router"].cost.complete, "intent")
    _print_rows(console, f"four ways to route the same {compared}, bps", words.way_rows(figures, wide=wide))
    for dimension in DIMENSIONS:
        _print_rows(console, f"by {dimension}, bps", words.group_rows(figures, dimension, wide=wide))
    _print_rows(console, "markouts, bps", words.markout_rows(report))
    vetoes = words.veto_rows(by_cost(figures.vetoes), wide=wide, name=lambda rule: rule if wide else _short(rule))
    _print_rows(console, "vetoes, with the cost of the taker routes they came first in", vetoes)
    console.print()
    for note in words.notes(report, figures):
        print_wrapped(console, Text(f"- {printable(note)}"), hanging=2)


def _short(rule: str) -> str:
    """Without its rule set, where there is little room."""
    return rule.rpartition(".")[2]


def _print_labelled(console: Console, label: str, text: str) -> None:
    print_wrapped(console, Text.assemble((f"{label:<{_LABEL_CELLS}}", "bold"), printable(text)), hanging=_LABEL_CELLS)


def _print_rows(console: Console, title: str, rows: Sequence[words.Row]) -> None:
    if not rows:
        return
    console.print()
    console.print(Text(title, "bold"), soft_wrap=True)
    gap = 2 if console.width >= _ROOMY else 1
    label = min(max(len(row[0]) for row in rows), _LONGEST_LABEL)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for number, heading in enumerate(rows[0]):
        if number:
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            table.add_column(heading, overflow="fold", min_width=label)
    for row in rows[1 : _MOST_ROWS + 1]:
        table.add_row(*(printable(cell) for cell in row))
    console.print(table)
    if len(rows) - 1 > _MOST_ROWS:
        console.print(Text(f"… and {len(rows) - 1 - _MOST_ROWS:,} more (--json has all)"), soft_wrap=True)
