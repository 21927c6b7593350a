"""A journal for people: one line an event, or one intent's story as a timeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from engine.journal.events import Decided, Event, Heard, IntentReceived, OrderError, Outcome, Routed, Worked
from engine.printing import counted, is_measured, print_wrapped, printable
from engine.routing.evidence.owners import Owners
from engine.routing.evidence.story import is_open
from engine.routing.evidence.words import Words
from engine.venues.messages import Fill

_WIDE = 120
"""From so many cells on there is room for dates."""
_OWNER_CELLS = 16
_MOST_OWNER_CELLS = 24
_LEAST_ROOM = 20
_AFTER_CELLS = 14


def print_events(console: Console, events: Iterable[Event], before: Iterable[Event] = ()) -> None:
    """A line for each event: when, whose, what; cut at the edge of a screen, whole elsewhere.

    `before` are earlier events, which say what orders are called and to whom they belong.
    """
    words, owners = Words(), Owners()
    for event in before:
        owners.see(event)
        words.say(event)
    width = console.width if is_measured(console) else None
    for event in events:
        owners.see(event)
        owner = owners.of(event)
        is_wide = width is None or width >= _WIDE
        line = f"{_time(event.ts_ms, dated=is_wide)}  "
        line += f"{_fitted(owner.intent_id or owner.symbol or '-', _MOST_OWNER_CELLS if is_wide else _OWNER_CELLS)}  "
        text = printable(words.say(event))
        if width is not None:
            room = max(width - cell_len(line), _LEAST_ROOM)
            text = text if cell_len(text) <= room else f"{set_cell_size(text, room - 3).rstrip()}..."
        console.print(Text.assemble(line, (text, _style(event))), soft_wrap=True)


def print_story(console: Console, events: Sequence[Event]) -> None:
    """The events of one intent, each with the time since the first."""
    words, start = Words(), events[0].ts_ms
    intent = next((event for event in events if isinstance(event, IntentReceived)), None)
    name = "" if intent is None else f"{intent.intent_id}  "
    console.print(Text.assemble((printable(name), "bold"), f"{_time(start, dated=True)} UTC"), soft_wrap=True)
    reasons: set[str] = set()
    for event in events:
        text = printable(words.say(event))
        if isinstance(event, Decided):
            reasons.add(_reason(text))
        elif isinstance(event, Routed | Worked):  # which repeat what a decision has just said
            head, _, reason = text.partition(": ")
            text = head if any(reason in said for said in reasons) else text
        line = Text.assemble(f"{_after(event.ts_ms - start):>{_AFTER_CELLS - 2}}  ", (text, _style(event)))
        print_wrapped(console, line, hanging=_AFTER_CELLS)
    fills = sum(isinstance(event, Heard) and isinstance(event.message, Fill) and not event.again for event in events)
    if is_open(events):
        print_wrapped(console, Text(f"still open, with {counted(fills, 'fill')} so far", "bold"))


def _fitted(name: str, most: int) -> str:
    """A name in a column, cut where it is longer than that."""
    name = printable(name)
    return set_cell_size(name, max(_OWNER_CELLS, min(cell_len(name), most)))


def _reason(said: str) -> str:
    return said.partition("  [")[0]


def _time(ts_ms: int, *, dated: bool) -> str:
    at = datetime.fromtimestamp(ts_ms / 1000, UTC)
    clock = f"{at:%H:%M:%S}.{ts_ms % 1000:03}"
    return f"{at:%Y-%m-%d} {clock}" if dated else clock


def _after(after_ms: int) -> str:
    """The time since the start: `+0.045 s`."""
    return f"+{after_ms / 1000:,.3f} s"


def _style(event: Event) -> str:
    match event:
        case OrderError():
            return "red"
        case Outcome():
            return "bold"
        case Heard(message=Fill(), again=False):
            return "green"
        case Routed(event=changed) if changed != "decision":
            return "yellow"
    return ""
