"""A feed: a market that can be read from its start, with the bars that ATR needs before it.

In: what opens its events. Out: a `Feed`, which gives the same events in the same order each time it is iterated, with
`for` or with `async for`. `recorded` and `generated` make them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass

from engine.market.events import Event
from engine.market.pace import paced
from engine.market.warmup import WarmUp


@dataclass(frozen=True, slots=True)
class Feed:
    """Quotes and trades of some symbols in order, and bars for the time before."""

    source: str
    """`recorded`, or `generated` with the seed, for people."""
    symbols: tuple[str, ...]
    warm_up: Mapping[str, WarmUp]
    """For each symbol; without bars where there are none."""
    open_events: Callable[[], Iterator[Event]]
    """Start over: a new iterator over all events."""
    notes: tuple[str, ...] = ()
    """What a reader of results should know about this market, one line each."""

    def __iter__(self) -> Iterator[Event]:
        return self.open_events()

    def __aiter__(self) -> AsyncIterator[Event]:
        """All events as fast as they are asked for; `paced` takes its time."""
        return paced(self.open_events())
