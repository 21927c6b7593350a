"""Intents that come from another thread while a session runs, as from an API, beside those of its own source.

In: requests, handed in by any thread. Out: an `IntentSource` that gives those of the session's source and these, each
when it is due. What was handed in and never taken, because the market ended, is left over as lines of a file are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain

from engine.market import Event
from engine.routing.intents import Intent
from engine.routing.sessions.strategy import Due, IntentSource

PLACE = "api"
"""What a journal says of where they came from."""


class Inbox:
    """Intents that wait to be taken. `hand` may be called in any thread, everything else in the session's own."""

    def __init__(self, most: int = 10_000) -> None:
        """`most` may wait at the same time."""
        self.is_open = True
        """Whether a session takes them."""
        self._most = most
        self._waiting: deque[Due] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def hand(self, intent: Intent) -> bool:
        """Hand one in, to arrive at once; False where no session takes it, or too many wait already."""
        if not self.is_open or len(self._waiting) >= self._most:
            return False
        self._waiting.append(Due(intent, PLACE))
        return True

    def close(self) -> None:
        """From here on nothing is taken."""
        self.is_open = False

    def take(self) -> Sequence[Due]:
        """All that wait, in the order they came."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(len(waiting))]

    def beside(self, source: IntentSource) -> IntentSource:
        """A source that gives these as well."""
        return _Both(source, self)


class _Both:
    """A source, and an inbox that is looked at first: somebody waits for its answer."""

    def __init__(self, source: IntentSource, inbox: Inbox) -> None:
        self.name = f"{source.name}, and what is handed in"
        self._source = source
        self._inbox = inbox

    def next_ms(self) -> int | None:
        """At once where something was handed in."""
        return 0 if self._inbox else self._source.next_ms()

    def take(self, now_ms: int) -> Sequence[Due]:
        """What was handed in, and then what is due of the source."""
        return [*self._inbox.take(), *self._source.take(now_ms)] if self._inbox else self._source.take(now_ms)

    def see(self, event: Event) -> None:
        """The source may look at the market."""
        self._source.see(event)

    def rest(self) -> Iterable[Due]:
        """What of either was never due. The inbox takes nothing more."""
        self._inbox.close()
        return chain(self._inbox.take(), self._source.rest())
