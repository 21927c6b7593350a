"""A session with somebody watching: shown while it runs, stopped in order by a signal, reported at the end.

In: what opens a session, and a view. Out: an `Attended`: how it ended, what it cost, how long it took.

The first SIGINT (Ctrl-C) or SIGTERM asks the session to end: it cancels what rests, waits until that is done, and its
report is that of what was done until then. The second stops at once; the journal is whole all the same, and orders that
still rest at a venue in another process are taken up by the next session.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import Protocol, TypeAlias

from engine.book import Book
from engine.journal.events import Event, Outcome
from engine.routing.evidence.report import Report
from engine.routing.sessions.reloading.options import fetch_first
from engine.routing.sessions.session import Ending
from engine.routing.sessions.source import MarketSource
from engine.routing.sessions.standard_input import StandardInput
from engine.routing.sessions.start import Running, SessionOptions, open_embedded, open_remote

INTERRUPTED = "interrupted"
"""Why a session ended that a signal has stopped."""

SIGNALLED = 128
"""Plus the number of a signal: the exit code of what it has ended, as shells have it."""

Watcher: TypeAlias = Callable[[Event], None]

Opening: TypeAlias = Callable[[Sequence[Watcher], Callable[[int], None], StandardInput], Awaitable[Running]]
"""Opens a session that tells its events to watchers, and now and then what time it is."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class View(Protocol):
    """Somebody who is shown a session as it goes. One that is taken up again speaks before it is shown to start."""

    def start(self, running: Running) -> None:
        """It is about to run."""

    def see(self, event: Event) -> None:
        """Something was added to the journal."""

    def progress(self, now_ms: int) -> None:
        """The market has come so far."""

    def stopping(self) -> None:
        """Somebody asked it to end."""

    def finish(self) -> None:
        """Nothing more will come, in good order or not."""


@dataclass(frozen=True, slots=True)
class Attended:
    """A session that is over."""

    running: Running
    ending: Ending
    report: Report
    elapsed_s: float
    """From the first event to the last."""
    signal: int | None
    """The signal that ended it; None where it ended by itself."""
    cut_short: bool
    """Whether a second one stopped it at once."""
    example: str | None
    """An intent worth looking at; None where none ended."""

    @property
    def events(self) -> int:
        """Quotes and trades that went by."""
        return self.ending.quotes.total() + self.ending.trades.total()

    @property
    def events_per_s(self) -> float | None:
        """How fast they did, in real time."""
        return self.events / self.elapsed_s if self.elapsed_s else None


class _Example:
    """Looks for an intent with a story: one that rested and then crossed, else one that rested, else any."""

    def __init__(self) -> None:
        self.intent_id: str | None = None
        self._interest = -1

    def see(self, event: Event) -> None:
        """Take the next event; of equals the first counts."""
        if isinstance(event, Outcome):
            interest = 2 if event.attempted and event.fallback else 1 if event.attempted else 0
            if interest > self._interest:
                self.intent_id, self._interest = event.intent_id, interest


class _Interruption:
    """What signals have asked for so far; the handler of them."""

    def __init__(self, view: View, standard_input: StandardInput) -> None:
        self.signal: int | None = None
        self.cut_short = False
        self._view = view
        self._standard_input = standard_input
        self._running: Running | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[Ending] | None = None
        """The session, once it runs."""

    def watch(self, running: Running) -> None:
        """From now on there is a session to end."""
        self._loop = asyncio.get_running_loop()
        self._running = running

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal. Runs between any two instructions, so it only sets flags and leaves the rest to the loop."""
        del frame
        if self._running is None or self._loop is None:
            raise SystemExit(SIGNALLED + number)
        self._standard_input.close()
        if self.signal is None:
            self.signal = number
            self._running.stop(INTERRUPTED)
            self._loop.call_soon_threadsafe(self._view.stopping)
        elif self.task is not None and not self.task.done():
            self.cut_short = True
            self._loop.call_soon_threadsafe(self.task.cancel)


def embedded(options: SessionOptions, market: MarketSource) -> Opening:
    """Opens a session over a market, with a venue of its own."""

    async def opening(
        watchers: Sequence[Watcher], progress: Callable[[int], None], standard_input: StandardInput
    ) -> Running:
        async with _with_first_bundle(options) as chosen:
            return open_embedded(chosen, market, watchers=watchers, progress=progress, standard_input=standard_input)

    return opening


@asynccontextmanager
async def _with_first_bundle(options: SessionOptions) -> AsyncIterator[SessionOptions]:
    """The options with the first bundle of their address, if there is one, which is let go of where nothing starts."""
    if options.reload is None:
        yield options
        return
    reload = await fetch_first(options.reload, options.profile, options.logs)
    try:
        yield replace(options, reload=reload)
    except BaseException:
        if reload.fetched is not None:
            with suppress(Exception):  # what kept it from starting is what counts
                await reload.fetched.remote.aclose()
        raise


def remote(options: SessionOptions, host: str, port: int) -> Opening:
    """Opens a session with a venue in another process."""

    async def opening(
        watchers: Sequence[Watcher], progress: Callable[[int], None], standard_input: StandardInput
    ) -> Running:
        async with _with_first_bundle(options) as chosen:
            return await open_remote(
                chosen, host, port, watchers=watchers, progress=progress, standard_input=standard_input
            )

    return opening


def attend(
    opening: Opening,
    view: View,
    *,
    warn: Callable[[Book], object] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Attended:
    """Run a session to its end. `warn` is shown the rulebook before it starts.

    Raises:
        SystemExit: for a signal before the session runs.
        Exception: whatever `opening` and the session raise on purpose; the view is finished then.

    """
    standard_input = StandardInput()
    interruption = _Interruption(view, standard_input)
    with _handled(interruption):
        return asyncio.run(_attend(opening, view, warn, clock, standard_input, interruption))


async def _attend(
    opening: Opening,
    view: View,
    warn: Callable[[Book], object],
    clock: Callable[[], float],
    standard_input: StandardInput,
    interruption: _Interruption,
) -> Attended:
    report, example = Report(), _Example()
    running = await opening((report.see, example.see, view.see), view.progress, standard_input)
    interruption.watch(running)
    warn(running.book)
    elapsed_s = 0.0
    try:
        view.start(running)
        began = clock()
        interruption.task = asyncio.ensure_future(running.run())
        try:
            ending = await interruption.task
        except asyncio.CancelledError:
            if not interruption.cut_short:
                raise
            ending = running.so_far
            ending.reason, ending.left_open = INTERRUPTED, len(running.desk.router.ledger.works)
        elapsed_s = clock() - began
    finally:
        view.finish()
    return Attended(running, ending, report, elapsed_s, interruption.signal, interruption.cut_short, example.intent_id)


@contextmanager
def _handled(handler: _Interruption) -> Iterator[None]:
    """Give signals to a handler of our own: the loop's would not run while the session waits for standard input."""
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
