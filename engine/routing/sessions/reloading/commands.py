"""What other processes ask of a running session: rollbacks, and what becomes of a candidate.

In: requests, as commands leave them in the `logs` folder. Out: what is done, and an answer to each.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from engine.book import Book
from engine.language.findings import SluiceError
from engine.reload.errors import ReloadError
from engine.reload.history import rollback_to
from engine.reload.requests import Answer, Request, prepare, reply, take
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.sessions.desk import unfit
from engine.routing.sessions.reloading.candidates import Candidates
from engine.routing.sessions.reloading.in_force import REQUESTS, InForce, Watching

_log = logging.getLogger(__name__)


class Commands:
    """Answers what is asked."""

    def __init__(
        self,
        in_force: InForce,
        candidates: Candidates,
        store: Rulebooks,
        watching: Watching,
        logs: Path,
        look_s: float,
    ) -> None:
        """`look_s` is how often it is looked whether somebody asks something."""
        self._in_force = in_force
        self._candidates = candidates
        self._store = store
        self._watching = watching
        self._logs = logs
        self._look_s = look_s

    def open(self) -> None:
        """Make the folders in which one asks; what was asked of an earlier session is not done."""
        try:
            prepare(self._logs)
        except ReloadError as error:
            _log.error("%s", error)

    async def serve(self) -> None:
        """Answer, one after the other, until it is cancelled."""
        while True:
            for request in take(self._logs):
                answer = await self.answer(request)
                with suppress(ReloadError):
                    await asyncio.to_thread(reply, self._logs, answer)
            self._in_force.say_what_is_new()
            self._watching.broken.pop(REQUESTS, None)
            await asyncio.sleep(self._look_s)

    async def answer(self, request: Request) -> Answer:
        """Do what is asked, and say what came of it. Whatever is asked, the session goes on."""
        doing = {
            "rollback": self._roll_back,
            "shadow": self._candidates.shadow,
            "promote": self._candidates.promote,
            "end": self._candidates.end,
        }[request.action]
        try:
            line = await doing(request)
        except SluiceError as error:
            message = getattr(error, "message", str(error))
            return Answer(id=request.id, done=False, line=message, help=getattr(error, "help", ""))
        except Exception as error:  # noqa: BLE001 - logged whole; the session goes on, whatever was asked of it
            _log.exception("`%s` broke down", request.action)
            return Answer(id=request.id, done=False, line=f"it broke down: {type(error).__name__}: {error}")
        self._in_force.say()
        await self._in_force.written()
        return Answer(id=request.id, done=True, line=line)

    async def _roll_back(self, request: Request) -> str:
        in_force = self._in_force
        entries = await asyncio.to_thread(in_force.history.entries, in_force.book.profile)
        entry = rollback_to(entries, request.version)
        if entry.version == in_force.book.version:
            raise ReloadError(f"{entry.version} decides already", "`sluice history` lists the others")
        book = await asyncio.to_thread(self._store.open, entry.version, entry.sources, in_force.book.profile)
        book = await asyncio.to_thread(book.warm)
        _refuse_unfit(book)
        told = await in_force.change_to(book)
        in_force.put(book, "rollback", request.who, told)
        return f"{book.profile} {book.version} decides again: {told}"


def _refuse_unfit(book: Book) -> None:
    found = list(unfit(book))
    if found:
        raise ReloadError(f"{book.version} cannot run this session: {found[0].message}", found[0].help)
