"""The pace of a replay: as fast as the reader goes, or a multiple of the market's own time.

In: events in order of time. Out: the same events from an async iterator, each when it is due. At full speed other
tasks get their turn after every thousand events; so they do in a slower replay, which else sleeps until the next event.

Recordings have holes of hours and days: no wait is longer than a limit. A reader that falls behind goes at full speed
until it has caught up, but only with as much as that limit: after a pause nobody wants an hour in a burst.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

from engine.market.events import Bar, Event, Quote, Trade

_EventT = TypeVar("_EventT", Quote, Trade, Bar, Event)

_EVENTS_BETWEEN_TURNS = 1024  # of other tasks: a turn costs some 10 µs, an event less than 5
_SHORTEST_SLEEP_S = 0.001  # timers are no finer

Rest: TypeAlias = Callable[[float, Callable[[], int]], Awaitable[object]]
"""Waits for so many seconds, until the next event. What else happens meanwhile happens at a time of the market that it
may ask for, in ms: it goes on at the same pace from the last event, and stops short of the next one."""


async def paced(
    events: Iterable[_EventT],
    speed: float | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    longest_wait_s: float = 1.0,
    rest: Rest | None = None,
) -> AsyncIterator[_EventT]:
    """Yield the events, `speed` times as fast as the market went; None is as fast as they are asked for.

    `clock` is in seconds. `rest` waits for the next event in the place of `sleep`. No event waits for more than
    `longest_wait_s` after the one before it. `ValueError` for a speed that is not above 0.
    """
    if speed is None:
        left = _EVENTS_BETWEEN_TURNS
        for event in events:
            yield event
            left -= 1
            if not left:
                left = _EVENTS_BETWEEN_TURNS
                await sleep(0)
        return
    if not speed > 0.0:
        raise ValueError(f"a speed must be above 0, got {speed}")
    previous_ms: int | None = None
    due = clock()
    since_turn = 0
    for event in events:
        last_ms = event.ts_ms if previous_ms is None else previous_ms
        due += min((event.ts_ms - last_ms) / 1000 / speed, longest_wait_s)
        previous_ms = event.ts_ms
        now = clock()
        since_turn += 1
        if due - now >= _SHORTEST_SLEEP_S:
            if rest is None:
                await sleep(due - now)
            else:
                await rest(due - now, _between(last_ms, event.ts_ms, speed, clock))
            since_turn = 0
        elif since_turn >= _EVENTS_BETWEEN_TURNS:
            await sleep(0)
            since_turn = 0
        due = max(due, now - longest_wait_s)
        yield event


def _between(last_ms: int, next_ms: int, speed: float, clock: Callable[[], float]) -> Callable[[], int]:
    """The time of the market between two events, from now on."""
    began_s = clock()
    return lambda: min(next_ms - 1, last_ms + int((clock() - began_s) * speed * 1000))
