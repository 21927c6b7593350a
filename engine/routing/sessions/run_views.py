"""What `sluice run` shows while a session goes on.

In: its events as the journal numbers them. Out, on a terminal: the last intents in a table that is drawn anew some
times a second, above a bar that says how far the market has come. Elsewhere: the first intent of each kind, a line
each, or on request all of them. That another rulebook decides, or a candidate moved, is a line of its own in both; a
change that is refused is told by the log.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine.journal.events import CandidateMoved, Event, IntentReceived, IntentRefused, RulebookLoaded
from engine.market.choice import iso
from engine.printing import is_measured, print_wrapped, printable
from engine.routing.evidence.words import Words
from engine.routing.sessions.attend import View
from engine.routing.sessions.run_pages import print_head
from engine.routing.sessions.run_rows import Columns, Row, Rows
from engine.routing.sessions.source import MarketSource
from engine.routing.sessions.start import Running, SessionOptions
from engine.venues.remote import RemoteVenue

_MOST_ROWS = 12
"""Intents in the table of a terminal."""
_LEAST_ROWS = 3
_MOST_LINES = 12
"""Intents that are printed where there is no terminal."""
_REDRAW_S = 0.1
_BAR_CELLS = 24
_STOPPING = "stopping: what rests is cancelled; once more stops at once"


class SilentView:
    """Shows nothing."""

    def start(self, running: Running) -> None:
        """Nothing."""

    def see(self, event: Event) -> None:
        """Nothing."""

    def progress(self, now_ms: int) -> None:
        """Nothing."""

    def stopping(self) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class LinesView:
    """A line for each intent that has ended, or for the first of each kind."""

    def __init__(
        self, console: Console, head: Callable[[Running], None], *, all_of_them: bool, most: int = _MOST_LINES
    ) -> None:
        """`head` prints what comes before. Without `all_of_them` there are no more than `most` lines."""
        self._console = console
        self._head = head
        self._left = None if all_of_them else most
        self._kinds: set[tuple[object, ...]] = set()
        self._rows = Rows()
        self._columns: Columns | None = None
        self._early: list[Row] = []

    def start(self, running: Running) -> None:
        """Print the head of the table."""
        self._head(running)
        self._columns = Columns(running.rules, self._console.width if is_measured(self._console) else None)
        if self._left is not None:
            print_wrapped(self._console, Text("the first intent of each kind (--verbose prints all)", "dim"))
        self._print(self._columns.head())
        for row in self._early:
            self._show(row)

    def see(self, event: Event) -> None:
        """Print the intent that ends, if it is to be shown, and that rules changed."""
        _print_news(self._console, event)
        row = self._rows.see(event)
        if row is None or not row.is_over:
            return
        if self._columns is None:
            self._early.append(row)
        else:
            self._show(row)

    def progress(self, now_ms: int) -> None:
        """Lines say by themselves how far it is."""

    def stopping(self) -> None:
        """Say so."""
        print_wrapped(self._console, Text(_STOPPING, "bold"))

    def finish(self) -> None:
        """Leave a line between the intents and what came of them."""
        self._console.print()

    def _show(self, row: Row) -> None:
        if self._left is not None:
            if not self._left or row.kind in self._kinds:
                return
            self._kinds.add(row.kind)
            self._left -= 1
        assert self._columns is not None
        self._print(self._columns.line(row))

    def _print(self, line: Text) -> None:
        line.rstrip()
        self._console.print(line, soft_wrap=True)


class LiveView:
    """The last intents in a table, and how far the market has come; the last state stays on the screen."""

    def __init__(
        self,
        console: Console,
        head: Callable[[Running], None],
        *,
        ends_ms: int | None = None,
        limit_quotes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ends_ms` is when the market is over, where that is known; `limit_quotes` when the session is."""
        self._console = console
        self._head = head
        self._ends_ms = ends_ms
        self._limit_quotes = limit_quotes
        self._clock = clock
        self._rows = Rows()
        self._last: deque[Row] = deque(maxlen=max(min(console.height - 8, _MOST_ROWS), _LEAST_ROWS))
        self._intents = 0
        self._running: Running | None = None
        self._columns: Columns | None = None
        self._live: Live | None = None
        self._began = self._drawn_at = clock()
        self._note = ""

    def start(self, running: Running) -> None:
        """Print the head, and begin to draw."""
        self._head(running)
        self._running = running
        self._columns = Columns(running.rules, self._console.width)
        self._began = self._clock()
        self._live = Live(console=self._console, auto_refresh=False)
        self._live.start()
        self._draw()

    def see(self, event: Event) -> None:
        """Take an event; a row that is there changes in its place."""
        _print_news(self._console, event)  # which a table that is drawn leaves above itself
        row = self._rows.see(event)
        if row is not None and isinstance(event, IntentReceived | IntentRefused):
            self._intents += 1
            self._last.append(row)
        self._draw_if_old()

    def progress(self, now_ms: int) -> None:
        """Draw, where the last drawing is old."""
        del now_ms  # the session itself knows
        self._draw_if_old()

    def stopping(self) -> None:
        """Say so."""
        self._note = _STOPPING
        self._draw()

    def finish(self) -> None:
        """Draw once more, without the bar."""
        if self._live is not None:
            self._live.update(Group(*self._table()), refresh=True)
            self._live.stop()
            self._console.print()

    def _draw_if_old(self) -> None:
        if self._live is not None and self._clock() - self._drawn_at >= _REDRAW_S:
            self._draw()

    def _draw(self) -> None:
        if self._live is None or self._running is None:
            return
        lines: list[Text | Table] = [*self._table(), Text(""), *_progress(self._console, self._state(self._running))]
        note = self._note or _trouble(self._running)
        if note:
            lines.append(Text(printable(note), "bold", no_wrap=True, overflow="ellipsis"))
        self._live.update(Group(*lines), refresh=True)
        self._drawn_at = self._clock()

    def _table(self) -> list[Text]:
        if self._columns is None:
            return []
        return [self._columns.head(), *(self._columns.line(row) for row in self._last)]

    def _state(self, running: Running) -> _State:
        ending = running.so_far
        elapsed_s = self._clock() - self._began
        quotes = ending.quotes.total()
        share = None
        if self._limit_quotes:
            share = quotes / self._limit_quotes
        if self._ends_ms is not None and ending.first_ms is not None and self._ends_ms > ending.first_ms:
            share = max(share or 0.0, (ending.last_ms - ending.first_ms) / (self._ends_ms - ending.first_ms))
        return _State(
            ending.last_ms if ending.first_ms is not None else None,
            None if share is None else min(share, 1.0),
            (quotes + ending.trades.total()) / elapsed_s if elapsed_s > 0 else 0.0,
            sum(not order.is_over for work in running.desk.router.ledger.works.values() for order in work.orders),
            self._intents,
        )


def _print_news(console: Console, event: Event) -> None:
    """A line where other rules decide, or are tried."""
    if isinstance(event, RulebookLoaded | CandidateMoved):
        print_wrapped(console, Text(printable(Words().say(event)), "bold"))


@dataclass(frozen=True, slots=True)
class _State:
    """How far a session is."""

    now_ms: int | None
    share: float | None
    """Of the market; None where its end is not known."""
    rate: float
    """Events a second."""
    orders: int
    """Open ones."""
    intents: int


def _progress(console: Console, state: _State) -> list[Text | Table]:
    clock = "" if state.now_ms is None else f"{iso(state.now_ms)} UTC"
    counts = f"{state.intents:,} intents  {state.orders:,} open orders  {state.rate:,.0f} events/s"
    if state.share is None:
        return [Text(f"{clock}  {counts}".strip(), no_wrap=True, overflow="ellipsis")]
    percent = f"{state.share:4.0%}"
    room = console.width - cell_len(f"{clock}  {percent}  {counts}") - 2
    line = Table.grid(padding=(0, 2, 0, 0))
    cells: list[Text | ProgressBar] = [Text(clock, no_wrap=True)]
    if room >= _BAR_CELLS // 3:
        width = min(room, _BAR_CELLS)
        cells.append(ProgressBar(total=1.0, completed=state.share, width=width, complete_style="cyan"))
    cells += [Text(percent, no_wrap=True), Text(counts, no_wrap=True, overflow="ellipsis")]
    for _ in cells:
        line.add_column(no_wrap=True)
    line.add_row(*cells)
    return [line]


def _trouble(running: Running) -> str:
    """What goes wrong just now."""
    venue = running.desk.venue
    if isinstance(venue, RemoteVenue) and not venue.is_connected:
        return f"no connection to the venue: {venue.problem or 'trying'}"
    if not running.journal.is_writable:
        return "the journal cannot be written: no order is sent until it can"
    return ""


def view_for(
    console: Console,
    options: SessionOptions,
    market: MarketSource | None,
    *,
    verbose: bool = False,
    as_json: bool = False,
) -> View:
    """What suits the place where a session is shown."""
    if as_json:
        return SilentView()

    def head(running: Running) -> None:
        print_head(console, options, market, running)

    if console.is_terminal and not verbose:
        ends_ms = None if market is None else market.ends_ms
        return LiveView(console, head, ends_ms=ends_ms, limit_quotes=options.shape.limit_quotes)
    return LinesView(console, head, all_of_them=verbose)
