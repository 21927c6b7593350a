"""A session for people: what it runs over, decisions as they come, counts at the end.

On a terminal the last decisions stand in a table that is drawn anew some times a second; elsewhere the first decision
of each kind is a line. Words carry the meaning and colours repeat it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.market import MarketFiles
from engine.printing import counted, is_measured, print_wrapped, printable
from engine.routing.session import GENERATED, Session, Step
from engine.routing.shape import SessionShape
from engine.routing.tally import Tally
from engine.routing.watch import Report

_STYLES = {
    "maker": "green",
    "good": "green",
    "degraded": "yellow",
    "broken": "red",
    "hot": "yellow",
    "panic": "red",
}
"""Of values that the shipped policy decides; others are plain."""
_LABEL_CELLS = 11
_WIDE = 120
"""From so many cells on there is room for dates and whole reasons."""
_MOST_SYMBOL = 20
"""Cells that the column of symbols takes at most."""
_MOST_LINES = 30
"""Decisions that are printed where there is no terminal."""
_MOST_ROWS = 20
"""Decisions in the table of a terminal."""
_REDRAW_S = 0.1


_MADE = {"intent": "intents ({pace})", "telemetry": "telemetry (over a generated stream of outcomes)"}
"""Generated groups that need more words than their names."""


# --- before ----------------------------------------------------------------------------------------------------------


def print_head(console: Console, session: Session) -> None:
    """What the session runs over: what is recorded, what is computed from it, what is generated."""
    shape, market = session.shape, session.market
    _print_labelled(console, "profile", f"{session.book.profile}, rulebook {session.book.version}")
    pace = f"one of each symbol every {shape.every_s:g} s on average"
    groups = ", ".join(_MADE.get(group, group).format(pace=pace) for group in GENERATED)
    if market.is_recorded:
        _print_recorded(console, market.files)
        made = groups
    else:
        _print_labelled(console, "recorded", "nothing")
        made = f"quotes and trades of {counted(len(market.feed.symbols), 'symbol')}, bars before them, {groups}"
    _print_labelled(console, "computed", _computed(shape))
    _print_labelled(console, "generated", f"from seed {shape.seed}: {made}")
    for note in _grouped(market.notes, market.feed.symbols):
        _print_labelled(console, "note", note)
    console.print()


def _computed(shape: SessionShape) -> str:
    return (
        f"mid and spread of the last quote; ATR({shape.atr_short_bars}) / ATR({shape.atr_long_bars}) over closed "
        "one-minute bars; silence of the feed; probes granted"
    )


def _print_recorded(console: Console, files: MarketFiles) -> None:
    paths = {of.symbol: (*of.quotes, *of.trades, *of.bars) for of in files.symbols}
    folder = Path(os.path.commonpath([path.absolute().parent for held in paths.values() for path in held]))
    holds = [
        f"{what} of {counted(number, 'symbol')}"
        for what, number in (
            ("quotes", sum(bool(of.quotes) for of in files.symbols)),
            ("trades", sum(bool(of.trades) for of in files.symbols)),
            ("bars", sum(bool(of.bars) for of in files.symbols)),
        )
        if number
    ]
    _print_labelled(console, "recorded", f"{', '.join(holds)} in {folder}")
    width = max(len(symbol) for symbol in paths)
    for symbol, held in paths.items():
        names = ", ".join(path.name for path in held)
        _print_labelled(console, "", f"{symbol:<{width}}  {names}")


def _grouped(notes: Iterable[str], symbols: Sequence[str]) -> list[str]:
    """Notes that say the same of several symbols become one."""
    of: dict[str, list[str]] = {}
    for note in notes:
        symbol, _, text = note.partition(": ")
        if symbol in symbols:
            of.setdefault(text, []).append(symbol)
        else:
            of[note] = []
    return [f"{', '.join(named)}: {text}" if named else text for text, named in of.items()]


def _print_labelled(console: Console, label: str, text: str) -> None:
    styled = Text.assemble((f"{label:<{_LABEL_CELLS}}", "bold"), printable(text))
    print_wrapped(console, styled, hanging=_LABEL_CELLS)


# --- meanwhile -------------------------------------------------------------------------------------------------------


class Columns:
    """The columns of a decision, as wide as the symbols and the policy's choices need."""

    def __init__(self, tally: Tally, width: int | None) -> None:
        self.full = width is None or width >= _WIDE
        self.width = width
        longest = {
            name: max((len(kind) for kind in (*kinds, name[:-1])), default=1) for name, kinds in tally.kinds.items()
        }
        symbol = min(max(cell_len(symbol) for symbol in (*tally.by_symbol, "symbol")), _MOST_SYMBOL)
        self._gap = "  " if self.full else " "
        self._columns = (
            ("UTC", 19 if self.full else 8, "left"),
            ("symbol", symbol, "left"),
            ("spread", 6, "right"),
            ("tier", longest["tiers"], "left"),
            ("regime", longest["regimes"], "left"),
            ("route", longest["routes"], "left"),
            ("offset", 6, "right"),
        )

    def head(self) -> Text:
        """The headings."""
        return self._line([name for name, _, _ in self._columns], "reason", "bold")

    def line(self, step: Step) -> Text:
        """One decision."""
        routing = step.routed.routing
        values = routing.values
        at = datetime.fromtimestamp(step.now_ms / 1000, UTC)
        shown = [values.get(name) for name in ("quality", "atr_regime", "route")]
        offset = values.get("offset_bps")
        cells = [
            f"{at:%Y-%m-%d %H:%M:%S}" if self.full else f"{at:%H:%M:%S}",
            printable(step.symbol),
            "-" if step.spread_bps is None else f"{step.spread_bps:.2f}",
            *(value if isinstance(value, str) else "-" for value in shown),
            f"{offset:.2f}" if isinstance(offset, float) else "-",
        ]
        return self._line(cells, self._reason(step))

    def _reason(self, step: Step) -> str:
        """Why: the whole reason where there is room (the route has its own column), else the first veto's name."""
        routing = step.routed.routing
        if self.full:
            return printable(routing.reason.partition(": ")[2])
        if not routing.vetoes:
            return "no veto"
        first, *others = routing.vetoes
        return printable(first.rpartition(".")[2] + (f" +{len(others)}" if others else ""))

    def _line(self, cells: Sequence[str], reason: str, style: str = "") -> Text:
        text = Text(style=style)
        for cell, (_, width, side) in zip(cells, self._columns, strict=True):
            fitted = set_cell_size(cell, width) if side == "left" else f"{cell:>{width}}"
            text.append(fitted, style or _STYLES.get(cell, ""))
            text.append(self._gap)
        if self.width is not None:
            room = max(self.width - cell_len(text.plain), 1)
            if cell_len(reason) > room:
                reason = f"{set_cell_size(reason, max(room - 3, 0)).rstrip()}..."
        text.append(reason)
        return text


class LiveView:
    """The last decisions in a table on a terminal; a context manager, after which the last state stays on screen."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._steps: deque[Step] = deque(maxlen=max(min(console.height - 8, _MOST_ROWS), 3))
        self._tally: Tally | None = None
        self._drawn_at = clock() - _REDRAW_S

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw()
        self._live.stop()

    def show(self, step: Step, tally: Tally) -> None:
        """Take a step, and draw where the last drawing is old."""
        self._steps.append(step)
        self._tally = tally
        if self._clock() - self._drawn_at >= _REDRAW_S:
            self._draw()

    def _draw(self) -> None:
        if self._tally is None:
            return
        columns = Columns(self._tally, self._console.width)
        lines = [columns.head(), *(columns.line(step) for step in self._steps)]
        for line in lines:
            line.truncate(self._console.width)
        self._live.update(Group(*lines, Text(""), _running(self._tally)), refresh=True)
        self._drawn_at = self._clock()


def _running(tally: Tally) -> Text:
    routes = tally.all.values["routes"]
    parts = [f"{tally.all.decisions:,} decisions", *(f"{routes[kind]:,} {kind}" for kind in tally.kinds["routes"])]
    parts.append(f"{tally.gates_hit} of {len(tally.gates)} gates vetoed")
    return Text("  ".join(parts), "bold", no_wrap=True, overflow="ellipsis")


class SampleView:
    """The first decision of each kind (route, tier, first veto) as a line, and no more than `most`."""

    def __init__(self, console: Console, most: int = _MOST_LINES) -> None:
        self._console = console
        self._left = most
        self._kinds: set[tuple[object, ...]] = set()
        self._columns: Columns | None = None

    def show(self, step: Step, tally: Tally) -> None:
        """Take a step, and print it if its kind is new."""
        if not self._left:
            return
        routing = step.routed.routing
        kind = (routing.values.get("route"), routing.values.get("quality"), *routing.vetoes[:1])
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        if self._columns is None:
            print_wrapped(self._console, Text("the first decision of each kind (--json prints all)"))
            self._columns = Columns(tally, self._console.width if is_measured(self._console) else None)
            self._print(self._columns.head())
        self._left -= 1
        self._print(self._columns.line(step))

    def _print(self, line: Text) -> None:
        line.rstrip()
        self._console.print(line, soft_wrap=True)


class JsonView:
    """The records of every policy of the chain, one JSON object a line."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def show(self, step: Step, tally: Tally) -> None:
        """Write the records of a step, in the order in which they were decided."""
        del tally
        if step.routed.admission is not None:
            self._write(step.routed.admission.json())
        self._write(step.routed.routing.json())


# --- after -----------------------------------------------------------------------------------------------------------


def print_report(console: Console, report: Report) -> None:
    """Counts by route, tier, regime and veto rule, for each symbol, and how fast it went."""
    session, tally = report.session, report.tally
    quotes, trades = session.quotes.total(), session.trades.total()
    rate = f" ({quotes / report.elapsed_s:,.0f} quotes a second)" if report.elapsed_s else ""
    console.print()
    stopped = "; stopped before the end" if report.interrupted else ""
    went = f"{tally.all.decisions:,} decisions over {quotes:,} quotes and {trades:,} trades in {report.elapsed_s:.2f} s"
    print_wrapped(console, Text(f"{went}{rate}{stopped}", "bold"), hanging=2)
    console.print()
    for name, kinds in tally.kinds.items():
        if kinds:
            parts = [f"{kind} {_share(tally.all.values[name][kind], tally.all.decisions)}" for kind in kinds]
            _print_parts(console, name, parts)
    if tally.admitted or tally.refused:
        _print_labelled(console, "admission", _admission(tally))
    console.print()
    _print_gates(console, tally)
    _print_symbols(console, report)


def _print_parts(console: Console, label: str, parts: Iterable[str]) -> None:
    """Parts side by side, none of them broken at the edge of the screen."""
    lines = [""]
    for part in parts:
        more = f"{lines[-1]}   {part}" if lines[-1] else part
        if lines[-1] and _LABEL_CELLS + cell_len(more) > console.width:
            lines.append(part)
        else:
            lines[-1] = more
    for line in lines:
        console.print(Text.assemble((f"{label:<{_LABEL_CELLS}}", "bold"), line), soft_wrap=True)
        label = ""


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})" if whole else "0"


def _admission(tally: Tally) -> str:
    vetoes = ", ".join(f"{rule.rpartition('.')[2]} {times:,}" for rule, times in tally.admission_vetoes.most_common())
    return f"admitted {tally.admitted:,}, refused {tally.refused:,}{f': {vetoes}' if vetoes else ''}"


def _print_gates(console: Console, tally: Tally) -> None:
    """The veto rules of routing that fired, most often first, with their places."""
    if not tally.gates:
        return
    table = _table("veto rule", "times", "share", "where")
    vetoes = tally.all.vetoes
    for rule in sorted(tally.gates, key=lambda rule: -vetoes[rule.full_id]):
        times = vetoes[rule.full_id]
        if times:
            place = f"{rule.span.file}:{rule.span.line}"
            table.add_row(printable(rule.full_id), f"{times:,}", f"{times / tally.all.decisions:.1%}", place)
    if table.row_count:
        console.print(table)
    quiet = [rule.full_id for rule in tally.gates if not vetoes[rule.full_id]]
    if quiet:
        print_wrapped(console, Text(f"never vetoed: {', '.join(quiet)}"), hanging=2)
    console.print()


def _print_symbols(console: Console, report: Report) -> None:
    """A row for each symbol; what does not fit beside each other stands in two tables."""
    tally, quotes = report.tally, report.session.quotes
    kinds = tally.kinds
    first: list[list[str]] = [["symbol", "quotes", "decided", *kinds["routes"], *kinds["tiers"]]]
    second: list[list[str]] = [[*kinds["regimes"], "most frequent veto"]]
    for symbol, counts in tally.by_symbol.items():
        values = counts.values
        numbers = [quotes[symbol], counts.decisions, *(values["routes"][kind] for kind in kinds["routes"])]
        numbers += [values["tiers"][kind] for kind in kinds["tiers"]]
        first.append([printable(symbol), *(f"{number:,}" for number in numbers)])
        most = [f"{rule.rpartition('.')[2]} {times:,}" for rule, times in counts.vetoes.most_common(1)]
        second.append([*(f"{values['regimes'][kind]:,}" for kind in kinds["regimes"]), *(most or ["-"])])
    if console.width >= _WIDE:
        _print_rows(console, [left + right for left, right in zip(first, second, strict=True)])
    else:
        _print_rows(console, first)
        console.print()
        _print_rows(console, [left[:1] + right for left, right in zip(first, second, strict=True)])


def _print_rows(console: Console, rows: Sequence[Sequence[str]]) -> None:
    table = _table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)


_LEFT = ("symbol", "veto rule", "where", "most frequent veto")


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold")
    return table
