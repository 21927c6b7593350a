"""A session over the home whose decisions say their version, which reloads it as it is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench._numbered import PROFILE, write_home
from engine.journal.events import SessionStarted
from engine.market import Quote
from engine.reload.watch import WatchSettings
from engine.routing.intents import Intent
from engine.routing.sessions.collector import quiet_collector
from engine.routing.sessions.desk import Desk
from engine.routing.sessions.reloading.options import ReloadOptions
from engine.routing.sessions.start import Running, open_embedded
from engine.venues.paper import PaperVenue
from tests.routing.markets import START_MS, SYMBOL, hand_made, options

QUICK = ReloadOptions(gate="findings", past=20, look_s=0.01, watch=WatchSettings(quiet_ms=5, poll_s=0.2))


def open_numbered(folder: Path, reload: ReloadOptions = QUICK) -> Running:
    """A session that has begun, over `home` in a folder (made if it is missing) and with `logs` beside it."""
    home = folder / "home"
    if not home.exists():
        write_home(home)
    market = hand_made([Quote(SYMBOL, START_MS, 100.0, 100.02, 500.0, 500.0)])
    given = options(folder / "logs", PROFILE, reload=reload)
    running = open_embedded(replace(given, home=home), market)
    book = running.desk.book
    running.desk.router.emit(
        SessionStarted(
            ts_ms=START_MS,
            profile=PROFILE,
            rulebook=book.version,
            sources=book.rulebook.sources_digest,
            venue="paper",
            market="hand-made",
            nav_usd=1e6,
        )
    )
    running.desk.start(START_MS)
    return running


def order(desk: Desk, number: int) -> str:
    """A quote and an intent, to its end; the id of the intent."""
    assert isinstance(desk.venue, PaperVenue)
    now_ms = START_MS + 1000 * (number + 1)
    quote = Quote(SYMBOL, now_ms, 100.0, 100.02, 500.0, 500.0)
    desk.venue.see(quote)
    desk.see(quote)
    desk.router.on_request(Intent(f"i{number}", SYMBOL, {"side": "buy", "qty": 1.0}, None, None), now_ms)
    desk.settle()
    desk.hear(now_ms + 900)
    desk.settle()
    return f"i{number}"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, a minute at most."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of files and other threads
            await asyncio.sleep(0.002)


def beside(running: Running, then: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do something while changes are looked for and requests are served."""

    async def both() -> None:
        assert running.reloading is not None
        task = asyncio.create_task(running.reloading.run())
        try:
            await then()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with quiet_collector():  # as a session has it
        asyncio.run(both())
