"""What goes on beside a session, so that other rulebooks come into it: changes are looked for, and requests served.

The two do not hang on each other: where one breaks down it begins anew, and `sluice status` says so until it is well.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from engine.backends.solver import turns
from engine.reload.last_good import StartedOn
from engine.reload.pipeline import Pipeline
from engine.reload.read import Signature
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.sessions.desk import Desk
from engine.routing.sessions.reloading.candidates import Candidates
from engine.routing.sessions.reloading.changes import Changes
from engine.routing.sessions.reloading.commands import Commands
from engine.routing.sessions.reloading.in_force import CHANGES, REQUESTS, InForce, Watching
from engine.routing.sessions.reloading.options import ReloadOptions

_log = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""Between two tries of what broke down."""


class Reloading:
    """Lets other rulebooks into a session, while it runs."""

    def __init__(
        self,
        desk: Desk,
        options: ReloadOptions,
        home: Path,
        pipeline: Pipeline,
        store: Rulebooks,
        *,
        started: StartedOn | None = None,
        seen: Signature | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`seen` is how the home stood when it was read: what was saved since then is a change."""
        self.remote = None if options.fetched is None else options.fetched.remote
        """Where bundles come from; None where a home is watched."""
        self._watching = Watching()
        self.in_force = InForce(
            desk, home, self.remote, self._watching, started, now_ms, gate=options.gate, keys=options.asked_keys
        )
        self.changes = Changes(self.in_force, options, home, pipeline, self._watching, seen, started)
        candidates = Candidates(self.in_force, self.changes, home)
        logs, look_s = desk.around.logs, options.look_s
        self.commands = Commands(self.in_force, self.changes, candidates, store, self._watching, logs, look_s)
        self._options = options

    async def run(self) -> None:
        """Until it is cancelled. What breaks down in one part ends neither the other nor itself: it begins anew."""
        try:
            # What the journal says of rulebooks comes after the session's first word.
            while not self.in_force.desk.has_begun:  # noqa: ASYNC110 - a desk knows of no loop
                await asyncio.sleep(self._options.look_s)
            self.begin()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._keep_up(REQUESTS, self.commands.serve))
                    group.create_task(self._keep_up(CHANGES, self._look_for_changes))
            finally:
                self.in_force.end()
        finally:
            if self.remote is not None:
                with suppress(Exception):
                    await self.remote.aclose()

    def stop_proving(self) -> None:
        """What is being proven for this session is for nobody now; returns once the solver stopped. For any thread."""
        self.changes.is_over = True
        turns.stop()

    def begin(self) -> None:
        """Say what the session begins with; from here on one may ask."""
        self.commands.open()
        self.changes.begin()
        self.in_force.begin(self._options.fetched)

    async def _look_for_changes(self) -> None:
        await (self.changes.watch() if self.remote is None else self.changes.poll(self.remote))

    async def _keep_up(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await part()
            except Exception as error:  # noqa: BLE001 - logged whole; the session goes on, and so does the other part
                told = f"{name}: {type(error).__name__}: {error}"
                if self._watching.broken.get(name) != told:
                    _log.exception("looking for %s broke down, and begins anew", name)
                self._watching.broken[name] = told
                with suppress(Exception):  # it may be what broke down
                    self.in_force.say_what_is_new()
            await asyncio.sleep(_AGAIN_S)
