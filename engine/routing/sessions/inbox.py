"""Intents that come from another thread while a session runs, as from an API, beside those of its own source.

In: requests, handed in by any thread. Out: an `IntentSource` that gives those of the session's source and these, each
when it is due; and to who handed one in what the journal says of it, once that is written. None is dropped silently:
when the session ends, nothing more is taken, and what waits is refused (`leave`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import TypeAlias

from engine.journal.events import Event as Written
from engine.journal.events import IntentReceived, IntentRefused
from engine.market import Event
from engine.routing.intents import Intent
from engine.routing.sessions.strategy import Due, IntentSource

PLACE = "api"
"""What a journal says of where they came from."""

Word: TypeAlias = IntentReceived | IntentRefused
"""What a journal says first of an intent."""

Answer: TypeAlias = Future[Word | None]
"""What a journal says of one that was handed in, once it is written; None where nothing was said: the session ended
before, or its journal cannot be written, so that it takes no intents."""


class Inbox:
    """Intents that wait to be taken. `hand` may be called in any thread, everything else in the session's own."""

    def __init__(self, most: int = 10_000) -> None:
        """`most` may wait at the same time."""
        self.is_open = True
        """Whether a session takes them."""
        self.due_ms = 0
        """When in the session's time what waits is due; 0: at once."""
        self._most = most
        self._waiting: deque[tuple[Intent, Answer]] = deque()
        self._asked: dict[str, deque[Answer]] = {}
        """Of those that were taken, by id, until the session has said something of them."""
        self._heard: list[tuple[Answer, Word]] = []
        """What it has said, and is not written yet."""
        self._wake: Callable[[], object] = _nobody
        self._closing = Lock()
        """Nothing may come between the last look at what waits and its end."""

    def __len__(self) -> int:
        return len(self._waiting)

    def hand(self, intent: Intent) -> Answer | None:
        """Hand one in, to arrive at once; None where no session takes it, or too many wait already."""
        answer: Answer = Future()
        answer.set_running_or_notify_cancel()  # who does not wait for it any more must not take it from others
        with self._closing:
            if not self.is_open or len(self._waiting) >= self._most:
                return None
            self._waiting.append((intent, answer))
            self._wake()
        return answer

    def wakes(self, wake: Callable[[], object]) -> None:
        """Call `wake`, in the thread of who hands it in, whenever there is something to take; until it is closed."""
        with self._closing:
            self._wake = wake

    def close(self) -> None:
        """From here on nothing is handed in."""
        with self._closing:
            self.is_open = False
            self._wake = _nobody

    def take(self) -> Sequence[Due]:
        """All that wait, in the order they came."""
        return [self._next() for _ in range(len(self._waiting))]

    def leave(self) -> Sequence[Due]:
        """All that wait and will not be worked: the session ends, and nothing more is handed in."""
        self.close()
        return self.take()

    def beside(self, source: IntentSource) -> IntentSource:
        """A source that gives these as well."""
        return _Both(source, self)

    # --- answers -----------------------------------------------------------------------------------------------------

    def see(self, event: Written) -> None:
        """Take the next event of the session: the first one of an intent that was taken is the word on it."""
        if self._asked and isinstance(event, IntentReceived | IntentRefused) and event.intent_id in self._asked:
            answers = self._asked[event.intent_id]
            self._heard.append((answers.popleft(), event))
            if not answers:
                del self._asked[event.intent_id]

    def settle(self, *, is_written: bool) -> None:
        """What was taken was dealt with. Who waits is told what was said of it, once all of that is written."""
        self._pass_over()
        if is_written and self._heard:
            heard, self._heard = self._heard, []
            for answer, word in heard:
                answer.set_result(word)

    def abandon(self) -> None:
        """The session is over, and writes nothing more: who still waits is told so."""
        self.leave()
        self._pass_over()
        heard, self._heard = self._heard, []
        for answer, _ in heard:
            answer.set_result(None)

    def _pass_over(self) -> None:
        """Of what was taken, that of which nothing was said: nothing will be."""
        if self._asked:
            passed_over, self._asked = self._asked, {}
            for answers in passed_over.values():
                for answer in answers:
                    answer.set_result(None)

    def _next(self) -> Due:
        intent, answer = self._waiting.popleft()
        self._asked.setdefault(intent.intent_id, deque()).append(answer)
        return Due(intent, PLACE)


class _Both:
    """A source, and an inbox that is looked at first: somebody waits for its answer."""

    def __init__(self, source: IntentSource, inbox: Inbox) -> None:
        self.name = f"{source.name}, and what is handed in"
        self._source = source
        self._inbox = inbox

    def next_ms(self) -> int | None:
        """When what was handed in is due, or the source before that."""
        source_ms = self._source.next_ms()
        if not self._inbox:
            return source_ms
        return self._inbox.due_ms if source_ms is None else min(self._inbox.due_ms, source_ms)

    def take(self, now_ms: int) -> Sequence[Due]:
        """What was handed in, and then what is due of the source."""
        if not self._inbox or now_ms < self._inbox.due_ms:
            return self._source.take(now_ms)
        return [*self._inbox.take(), *self._source.take(now_ms)]

    def see(self, event: Event) -> None:
        """The source may look at the market."""
        self._source.see(event)

    def rest(self) -> Iterable[Due]:
        """What of the source was never due. What waits in the inbox is for the session to `leave`."""
        return self._source.rest()


def _nobody() -> None:
    """Nobody is to be woken."""
