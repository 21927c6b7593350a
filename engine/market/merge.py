"""Several streams of events become one, in one order that depends on nothing but the events.

Order: by time; at the same millisecond bars first, then trades, then quotes; then by symbol; then by the position of
the stream among the arguments. A bar counts at the millisecond after its close (`Bar.ts_ms`), so nobody sees a bar
before the last event in it. Events of one stream keep their order.

Trades come before quotes because a quote that carries the time of a trade shows the book after that trade: taken the
other way round, up to half of the aggressor sides of a recording contradict the book.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heapreplace
from typing import TypeAlias

from engine.market.events import Event

_Key: TypeAlias = tuple[int, str, int]

_RANKS = 4  # time and rank are packed into one number, which compares faster than a tuple
_NEVER: _Key = (1 << 62, "", 0)  # after every event


def merge(*streams: Iterable[Event]) -> Iterator[Event]:
    """Yield the events of all streams in order; lazy: no stream is read further than one event ahead.

    Each stream must itself be in order of time and rank; `ValueError` where one is not.
    """
    heap: list[tuple[_Key, Event, Iterator[Event]]] = []
    for position, stream in enumerate(streams):
        iterator = iter(stream)
        for event in iterator:
            heap.append(((event.ts_ms * _RANKS + event.rank, event.symbol, position), event, iterator))
            break
    heapify(heap)
    while heap:
        (packed, _, position), event, iterator = heap[0]
        # While this stream stays ahead of all others its events need no trip through the heap: recordings come in
        # bursts, and most steps end here.
        runner_up = min(heap[1:3])[0] if len(heap) > 1 else _NEVER
        runner_up_packed = runner_up[0]
        yield event
        for event in iterator:
            before, packed = packed, event.ts_ms * _RANKS + event.rank
            if packed < before:
                raise _disorder(event)
            if packed >= runner_up_packed:
                key = (packed, event.symbol, position)
                if key > runner_up:
                    heapreplace(heap, (key, event, iterator))
                    break
            yield event
        else:
            heappop(heap)


def _disorder(event: Event) -> ValueError:
    kind = type(event).__name__.lower()
    return ValueError(f"a stream to be merged is out of order at the {kind} of {event.symbol} at {event.ts_ms} ms")
