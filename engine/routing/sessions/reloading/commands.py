"""What other processes ask of a running session: rollbacks, and what becomes of a candidate.

In: requests, as commands leave them in the `logs` folder. Out: what is done, and an answer to each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.book import Book
from engine.language.findings import SluiceError
from engine.reload.errors import ReloadError
from engine.reload.history import Entry, rollback_to
from engine.reload.pipeline import Accepted, Refused
from engine.reload.requests import Answer, Request, prepare, reply, take
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.sessions.reloading.candidates import Candidates
from engine.routing.sessions.reloading.changes import Changes
from engine.routing.sessions.reloading.in_force import REQUESTS, InForce, Watching

_log = logging.getLogger(__name__)


class Commands:
    """Answers what is asked."""

    def __init__(
        self,
        in_force: InForce,
        changes: Changes,
        candidates: Candidates,
        store: Rulebooks,
        watching: Watching,
        logs: Path,
        look_s: float,
    ) -> None:
        """`look_s` is how often it is looked whether somebody asks something."""
        self._in_force = in_force
        self._changes = changes
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
        """Answer, until it is cancelled: one after the other, but for what is proved first, which nothing waits for."""
        proving: set[asyncio.Task[None]] = set()
        try:
            while True:
                for request in take(self._logs):
                    serving = self._serve(request)
                    if request.action == "shadow":
                        proving.add(task := asyncio.create_task(serving))
                        task.add_done_callback(proving.discard)
                    else:
                        await serving
                self._in_force.say_what_is_new()
                self._watching.broken.pop(REQUESTS, None)
                await asyncio.sleep(self._look_s)
        finally:
            for task in proving:
                task.cancel()
            await asyncio.gather(*proving, return_exceptions=True)

    async def _serve(self, request: Request) -> None:
        answer = await self.answer(request)
        with suppress(ReloadError):
            await asyncio.to_thread(reply, self._logs, answer)

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
        entry, book, over = await self._way_back(request)
        told = await in_force.change_to(book)
        self._refuse_overtaken(request)
        desk, left = in_force.desk, in_force.book.version
        if desk.router.deciders.partial:  # who rolls back wants that one to decide, and no other one for some symbols
            desk.end_candidate("returned", f"rolled back by {request.who}" if request.who else "rolled back")
        bundle = f"bundle {entry.sequence} of " if entry.sequence is not None else ""
        in_force.put(book, "rollback", request.who, told, came_from=bundle + entry.origin if entry.origin else "")
        return f"{book.profile} {book.version} decides again, instead of {left}: {told}{over}"

    def _refuse_overtaken(self, request: Request) -> None:
        """Raise `ReloadError` where another rulebook decides than when it was asked: it was meant from that one."""
        if request.decides not in (None, self._in_force.book.version):
            raise ReloadError(
                f"{request.decides} does not decide any more: {self._in_force.since}",
                "`sluice status` shows what decides; ask again where it is to be another one",
            )

    async def _way_back(self, request: Request) -> tuple[Entry, Book, str]:
        """What to go back to, which gate and keys let decide, and what was passed over and why; empty for nothing.

        Raises:
            ReloadError: where there is none, where the gate does not let it decide, and where another one decides by
                now than when it was asked.

        """
        self._refuse_overtaken(request)
        in_force, wanted, refuted, unsigned = self._in_force, request.version, list[str](), list[str]()
        decides = in_force.book.version
        entries = await in_force.entries()
        while True:
            try:
                entry = rollback_to(entries, decides, wanted, passed_over=[*refuted, *unsigned])
            except ReloadError as error:
                raise ReloadError(error.message + _passed_over(refuted, unsigned), error.help) from error
            if entry.version != decides and not await self._is_trusted(entry, wanted):
                unsigned.append(entry.version)
                continue
            profile = in_force.book.profile
            files = await asyncio.to_thread(self._store.files, entry.version, entry.sources, profile)
            verdict = None if entry.version == decides else await self._changes.look_again(files)
            self._refuse_overtaken(request)
            if isinstance(verdict, Accepted):
                return entry, verdict.book, _passed_over(refuted, unsigned)
            if not isinstance(verdict, Refused):
                raise ReloadError(f"{entry.version} decides already", "`sluice history` lists the others")
            in_force.refuse("rollback", verdict)
            if wanted is not None or not verdict.is_refuted:
                other = "name another one: `sluice history` lists them"
                raise ReloadError(f"{entry.version} is refused: {verdict.line}", verdict.findings[0].help or other)
            refuted.append(entry.version)

    async def _is_trusted(self, entry: Entry, wanted: str | None) -> bool:
        """Whether a rulebook needs no signed bundle, or came in one.

        Raises:
            ReloadError: for one that was named and did not.

        """
        try:
            await asyncio.to_thread(self._in_force.trust.refuse_unsigned, entry.version, entry.sources)
        except ReloadError as error:
            if wanted is not None:
                raise ReloadError(error.message, error.help or "publish a signed bundle of it") from error
            return False
        return True


def _passed_over(refuted: Sequence[str], unsigned: Sequence[str]) -> str:
    """What a way back has left out, and why; empty where nothing."""
    reasons = ((refuted, "since an invariant fails"), (unsigned, "since no signed bundle vouches for it"))
    return "".join(f"; {', '.join(versions)} was passed over, {why}" for versions, why in reasons if versions)
