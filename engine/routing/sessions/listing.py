"""What of a journal is listed: the last events that fit a filter, and those that are still to come.

In: the folder of a journal, a filter, a number. Out: a `Listing`: the events to show, and those before them that say
which order belongs to whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain, takewhile
from pathlib import Path

from engine.journal.events import Event, IntentReceived, OrderPlanned
from engine.journal.folder import day_files
from engine.journal.reader import follow, read, tail
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.story import Filter, last, select
from engine.routing.sessions.start import JOURNAL

_NAMES = (IntentReceived, OrderPlanned)
"""Events that say whose an order is."""

_CONTEXT = 5_000  # events before the last ones, which surely hold the orders they are about, and cost no time


@dataclass(frozen=True, slots=True)
class Listing:
    """Events to show."""

    events: Iterable[Event]
    """In order; the next is read when it is asked for."""
    before: Iterable[Event]
    """Earlier ones, to be looked at first."""


def journal_in(logs: Path) -> Path:
    """The folder of the journal among some logs.

    Raises:
        ViewError: where there is none.

    """
    folder = logs / JOURNAL
    if not day_files(folder, archived=True):
        raise ViewError(f"there is no journal in `{folder}`", "`sluice run` writes one; --logs DIR names another place")
    return folder


def between(events: Iterable[Event], since_ms: int | None, until_ms: int | None) -> Iterator[Event]:
    """The events from a time on and before another."""
    for event in events:
        if (since_ms is None or event.ts_ms >= since_ms) and (until_ms is None or event.ts_ms < until_ms):
            yield event


def since_day(since_ms: int | None) -> date | None:
    """The first day whose file has to be read for events of a time; an order may be from the day before."""
    if since_ms is None:
        return None
    try:
        return datetime.fromtimestamp(since_ms / 1000, UTC).date() - timedelta(days=1)
    except (ValueError, OverflowError):  # no calendar has it
        return None


def listing(folder: Path, wanted: Filter, count: int | None) -> Listing:
    """The last `count` events that fit, or all of them.

    Raises:
        JournalError: here or while reading, for a line that says no event.

    """
    if wanted == Filter() and count is not None:
        found = tail(folder, count + _CONTEXT)
        return Listing(found[-count:] if count else [], found[:-count] if count else found)
    fitting = select(read(folder, since_day=since_day(wanted.since_ms)), wanted)
    if count is None:
        return Listing(fitting, ())
    events = last(fitting, count)
    first_seq = events[0].seq if events else 0
    before = takewhile(lambda event: event.seq < first_seq, read(folder, since_day=since_day(wanted.since_ms)))
    return Listing(events, before)


def following(folder: Path, wanted: Filter, count: int | None) -> Listing:
    """As `listing`, and then without an end what is written from now on."""
    ended = tail(folder, 1)
    after_seq = ended[0].seq if ended else 0
    past = listing(folder, wanted, count)
    # What is written in between is read again; all of it has a later seq.
    shown = (event for event in past.events if event.seq <= after_seq)
    news = select(chain(read(folder, types=_NAMES), _arriving(folder, after_seq)), wanted)
    return Listing(chain(shown, (event for event in news if event.seq > after_seq)), past.before)


def _arriving(folder: Path, after_seq: int) -> Iterator[Event]:
    """What is written after an event, each when it is there."""
    with asyncio.Runner() as runner:
        stream = follow(folder, after_seq=after_seq)

        async def following_one() -> Event:
            return await anext(stream)

        while True:
            yield runner.run(following_one())
