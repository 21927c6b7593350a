"""A candidate of a running session: tried beside what is in force, then in its place, for some symbols or for all.

In: what is asked of the session. Out: lines that answer; refusals as `ReloadError` with what helps. What a candidate
did so far, and what the rules say of it, is the desk's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.analysis.diff.revision import open_revision
from engine.analysis.diff.sides import read_side
from engine.book import Book
from engine.journal.events import CandidateMoved
from engine.language.load import Files, read_listing
from engine.printing import counted
from engine.reload.errors import ReloadError
from engine.reload.pipeline import Refused, Unchanged
from engine.reload.read import read_home
from engine.reload.requests import Request
from engine.routing.sessions.desk import MAY_PROMOTE, ROLLOUT
from engine.routing.sessions.reloading.changes import Changes
from engine.routing.sessions.reloading.in_force import InForce


class Candidates:
    """The candidate of a session; at most one at a time."""

    def __init__(self, in_force: InForce, changes: Changes, home: Path) -> None:
        self._in_force = in_force
        self._changes = changes
        self._home = home
        self._candidate: Book | None = None
        self._name = ""
        """Of the candidate, as it was asked for."""
        self._looks = asyncio.Lock()
        """One candidate is looked at after the other: the last one asked for is the one that is tried."""

    async def shadow(self, request: Request) -> str:
        """Have a candidate, which went through what a change goes through, decide every intent beside."""
        async with self._looks:
            return await self._shadow(request)

    async def _shadow(self, request: Request) -> str:
        desk = self._in_force.desk
        self._refuse_another(request)
        profile, files = await asyncio.to_thread(
            _files_of, request.candidate or desk.book.profile, Path(request.home or self._home)
        )
        pipeline = replace(self._changes.pipeline, profile=profile, prove=self._changes.prover(files))
        verdict = await asyncio.to_thread(pipeline.consider, files, desk.book)
        if isinstance(verdict, Refused):
            self._in_force.refuse("shadow", verdict, candidate=request.candidate or profile)
            raise ReloadError(f"the candidate is refused: {verdict.line}", "`sluice check` shows what is wrong")
        if isinstance(verdict, Unchanged):
            raise ReloadError(f"{verdict.version} decides already", "change something, or name another candidate")
        self._refuse_another(request)  # it may decide for some symbols by now
        book = self._candidate = verdict.book
        self._name = request.candidate or str(self._home.absolute())
        desk.try_beside(book, _moved("shadow", book))
        return f"{book.profile} {book.version} is tried beside {desk.book.version}; `sluice status` counts"

    def _refuse_another(self, request: Request) -> None:
        """Raise `ReloadError` where a candidate is tried that nobody said is to be replaced, or that decides."""
        tried = self._in_force.desk.tried
        if not tried.is_tried or tried.moved is None:
            return
        name = f"{tried.moved.profile} {tried.moved.rulebook}"
        if tried.moved.state == "partial":
            symbols = ", ".join(tried.moved.symbols)
            raise ReloadError(f"{name} decides for {symbols} already", "end that first: `sluice shadow --end`")
        if not request.replaces:
            raise ReloadError(
                f"{name} is tried already, on {counted(tried.divergences.decided, 'intent')}",
                "`--replace` tries this one instead, and counts anew; `sluice shadow --end` only ends that one",
            )

    async def promote(self, request: Request) -> str:
        """Have the candidate decide for the symbols that are named, or for all, if the rules are for it."""
        in_force, desk = self._in_force, self._in_force.desk
        book = self._may_be_promoted()
        await self._refuse_unsigned(book)
        told = await in_force.change_to(book)
        if self._candidate is not book or not desk.tried.is_tried:
            raise ReloadError("the candidate was taken back meanwhile", "`sluice status` says why")
        if ROLLOUT not in desk.book.policies:
            raise ReloadError(
                f"`{desk.book.profile}` runs no policy `{ROLLOUT}`: nothing says within which limits",
                f"add it to `policies:` of profiles/{desk.book.profile}.yaml",
            )
        if (against := desk.against_candidate(MAY_PROMOTE)) is not None:
            raise ReloadError(f"the rules are against it: {against}", "`sluice status` shows how it differs")
        if request.symbols:
            symbols = self._symbols(book, request.symbols)
            moved = desk.tried.moved
            if moved is not None and moved.state == "partial" and set(moved.symbols) == set(symbols):
                return f"{book.profile} {book.version} decides for {', '.join(moved.symbols)} already"
            in_force.asked_by = request.who
            desk.roll_out(book, _moved("partial", book, symbols))
            return f"{book.profile} {book.version} decides for {', '.join(symbols)}"
        desk.end_candidate("promoted", "")
        self._candidate = None
        in_force.put(book, "promote", request.who, told, came_from=self._name)
        return f"{book.profile} {book.version} decides: {told}"

    async def end(self, request: Request) -> str:
        """Have what is in force decide alone again."""
        desk = self._in_force.desk
        if not desk.tried.is_tried:
            raise ReloadError("there is no candidate", "`sluice shadow CANDIDATE` tries one")
        desk.end_candidate("ended", f"asked for by {request.who}" if request.who else "")
        self._candidate = None
        return "the candidate is no longer tried"

    def _may_be_promoted(self) -> Book:
        desk, book = self._in_force.desk, self._candidate
        if book is None or not desk.tried.is_tried:
            moved = desk.tried.moved
            back = f": the last one was taken back: {moved.reason}" if moved and moved.state == "returned" else ""
            raise ReloadError(f"there is no candidate{back}", "try one first: `sluice shadow CANDIDATE`")
        if book.profile != desk.book.profile:
            raise ReloadError(
                f"the candidate is of the profile `{book.profile}`, this session runs `{desk.book.profile}`",
                "what runs under another profile can be tried, and not promoted",
            )
        return book

    async def _refuse_unsigned(self, book: Book) -> None:
        """Raise `ReloadError` where only signed bundles decide, and the candidate came in none: it is tried at most."""
        version, sources = book.version, book.rulebook.sources_digest
        try:
            await asyncio.to_thread(self._in_force.trust.refuse_unsigned, version, sources)
        except ReloadError as error:
            again = "publish it: `sluice bundle build --key` makes a signed bundle, which decides once it is there"
            raise ReloadError(f"the candidate may not decide: {error.message}", again) from error

    def _symbols(self, book: Book, asked: Sequence[str]) -> list[str]:
        """Symbols by name, or all of a symbol group's."""
        known = self._in_force.desk.router.symbols
        found: dict[str, None] = {}
        for name in asked:
            members = [symbol for symbol, groups in book.rulebook.symbols.items() if name in groups]
            wanted = [name] if name in known else [symbol for symbol in members if symbol in known]
            if not wanted:
                raise ReloadError(
                    f"`{name}` is no symbol and no group of this session", f"it trades {', '.join(known)}"
                )
            found |= dict.fromkeys(wanted)
        return list(found)


def _moved(state: str, book: Book, symbols: Sequence[str] = ()) -> CandidateMoved:
    return CandidateMoved(
        ts_ms=0,
        state=state,
        profile=book.profile,
        rulebook=book.version,
        sources=book.rulebook.sources_digest,
        symbols=list(symbols),
    )


def _files_of(candidate: str, home: Path) -> tuple[str, Files]:
    """The profile and the files of a candidate, named as `sluice diff` names a side."""
    asked = read_side(candidate, home)
    if asked.revision is not None:
        return asked.profile, read_listing(open_revision(asked.home, asked.revision))
    return asked.profile, read_home(asked.home).files
