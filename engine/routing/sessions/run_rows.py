"""The intents of a session as rows of a table: how each was routed, what became of it, what it cost, and why.

In: events of a journal, in order. Out: a `Row` for each intent, filled in as it goes on, and `Columns` that lay rows
out: cut to the width of a screen, whole where nobody said how wide the output is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from engine.journal.events import Event, IntentReceived, IntentRefused, Outcome, Routed
from engine.printing import printable
from engine.routing.evidence.costs import shortfall

_WIDE = 120
"""From so many cells on there is room for the intent, its tier and its offset."""
_ROOM_FOR_SETS = 40
"""In fewer cells a rule that does not fit is named without its set."""
_MOST_SYMBOL, _MOST_ID = 12, 24
"""Cells that these columns take at most."""
_NUMBER = re.compile(r"[0-9.]+")
_STYLES = {"maker": "green", "refused": "yellow", "none": "yellow", "good": "green", "broken": "red", "unfilled": "red"}
"""Of values that the shipped policies decide; others are plain."""


@dataclass(slots=True)
class Row:
    """One intent."""

    ts_ms: int
    """When it came."""
    intent_id: str
    symbol: str
    side: str = "-"
    route: str = "-"
    """As decided first; `none` where it was not admitted, `refused` where it was no intent that can be routed."""
    tier: str = "-"
    offset: str = "-"
    veto: str = ""
    """The first veto against resting."""
    why: str = ""
    filled: str = ""
    """Share of the target, or `open`."""
    maker: str = "-"
    """Share of what was filled."""
    bps: str = "-"
    """What it cost; positive is cost."""
    result: str = ""
    """As in `Outcome`; empty while it is open."""
    fallback: bool = False

    @property
    def is_over(self) -> bool:
        """Whether everything is known of it."""
        return bool(self.result)

    @property
    def kind(self) -> tuple[object, ...]:
        """What it is an example of."""
        why = "" if self.route == "maker" else self.veto or _NUMBER.sub("", self.why)
        return self.route, why, self.result, self.fallback


class Rows:
    """The rows of the intents that are open, by intent."""

    def __init__(self) -> None:
        self._open: dict[str, Row] = {}

    def see(self, event: Event) -> Row | None:
        """Take the next event; the row that it begins or changes."""
        match event:
            case IntentReceived():
                row = self._open[event.intent_id] = Row(
                    event.ts_ms, event.intent_id, event.symbol, str(event.intent.get("side", "-"))
                )
                return row
            case IntentRefused():
                row = Row(event.ts_ms, event.intent_id or "-", "-", route="refused", result="refused")
                row.why = f"{event.code.replace('_', ' ')}: {event.reason}"
                return row
            case Routed():
                return self._routed(event)
            case Outcome():
                return self._ended(event)
        return None

    def _routed(self, event: Routed) -> Row | None:
        row = self._open.get(event.intent_id)
        if row is None:
            return None
        if event.event != "decision":
            row.why = f"{event.event.replace('_', ' ')}: {event.reason.partition(': ')[2] or event.reason}"
            return row
        row.side, row.route, row.filled = event.side or "-", event.route, "open"
        row.tier = event.quality or "-"
        row.veto = event.vetoes[0] if event.vetoes else ""
        row.why = event.reason.partition(": ")[2] or event.reason
        if event.route == "maker" and event.offset_bps is not None:
            row.offset = f"{event.offset_bps:.2f}"
        return row

    def _ended(self, event: Outcome) -> Row | None:
        row = self._open.pop(event.intent_id, None)
        if row is None:
            return None
        row.result, row.fallback = event.result, event.fallback
        row.filled = f"{event.filled / event.target:.0%}" if event.target else "-"
        if event.filled:
            row.maker = f"{event.maker_filled / event.filled:.0%}"
        bps = shortfall(event).total_bps if event.target else None
        row.bps = "-" if bps is None else f"{bps:+.2f}"
        if event.route != "none" and event.reason != event.result:
            row.why = event.reason if " " in event.reason else event.reason.replace("_", " ")
        return row


class Columns:
    """How rows are laid out."""

    def __init__(self, symbols: Iterable[str], width: int | None) -> None:
        """`width` is that of the screen in cells; None where lines may be as long as they like."""
        self._width = width
        self._is_wide = width is None or width >= _WIDE
        longest = max((cell_len(printable(symbol)) for symbol in symbols), default=0)
        self._symbol_cells = min(max(longest, len("symbol")), _MOST_SYMBOL)

    def head(self) -> Text:
        """The names of the columns."""
        names = Row(0, "intent", "symbol", "side", "route", "tier", "offset")
        names.filled, names.maker, names.bps, names.why = "filled", "maker", "bps", "why"
        return self._line(names, "UTC", "bold")

    def line(self, row: Row) -> Text:
        """A row."""
        at = datetime.fromtimestamp(row.ts_ms / 1000, UTC)
        clock = f"{at:%H:%M:%S}"
        return self._line(row, f"{clock}.{row.ts_ms % 1000:03}" if self._is_wide else clock)

    def _line(self, row: Row, time: str, style: str = "") -> Text:
        cells = [(f"{time:<{12 if self._is_wide else 8}}", ""), (_fitted(row.symbol, self._symbol_cells), "")]
        if self._is_wide:
            cells.insert(1, (_fitted(row.intent_id, self._symbol_cells + 8), ""))
        cells += [(f"{row.side:<4}", ""), (f"{row.route:<7}", _STYLES.get(row.route, ""))]
        if self._is_wide:
            cells += [(f"{row.tier:<8}", _STYLES.get(row.tier, "")), (f"{row.offset:>6}", "")]
        cells += [(f"{row.filled:>6}", _STYLES.get(row.result, "")), (f"{row.maker:>5}", ""), (f"{row.bps:>6}", "")]
        gap = "  " if self._is_wide else " "
        line = Text(no_wrap=True)
        for text, own in cells:
            line.append(text, style or own)
            line.append(gap)
        line.append(self._cut(printable(row.why), cell_len(line.plain)), style)
        return line

    def _cut(self, why: str, taken: int) -> str:
        """A reason, as far as there is room behind so many cells."""
        if self._width is None:
            return why
        room = max(self._width - taken, 1)
        if cell_len(why) > room and room < _ROOM_FOR_SETS:
            rule, space, rest = why.partition(" ")
            why = f"{rule.rpartition('.')[2]}{space}{rest}"
        return why if cell_len(why) <= room else f"{set_cell_size(why, max(room - 1, 0)).rstrip()}…"


def _fitted(text: str, cells: int) -> str:
    return set_cell_size(printable(text), min(cells, _MOST_ID))
