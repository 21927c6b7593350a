"""Reload in a running session: a saved home, or a new bundle, decides within a second, or what ran goes on.

In: a desk, and where rulebooks come from. Out: swaps between two events of the session, each journaled, remembered for
cold starts and shown by `sluice status`; refusals with their findings; and what other processes ask for: rollbacks, a
candidate beside what is in force, its promotion.

Loading, proofs, the dry run and writing to disk take place in threads; what changes the desk happens in the session's
own loop, between two of its steps. While a change is looked at somebody may ask for another rulebook: then that one
decides, and the change is refused as overtaken, so a rollback is never undone by what was saved before it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.analysis.diff.changes import Given, Structure
from engine.analysis.diff.report import summary
from engine.analysis.diff.revision import open_revision
from engine.analysis.diff.sides import read_side
from engine.analysis.diff.structure import compare
from engine.analysis.proofs import QUESTION_TIMEOUT_S
from engine.book import Book
from engine.home import find_cache
from engine.journal.events import CandidateMoved, RulebookLoaded, RulebookRefused, ShadowDecided
from engine.language.findings import Finding, Severity, SluiceError, Span
from engine.language.load import Files, read_listing
from engine.printing import plainly
from engine.reload.errors import BundleError, ReloadError, UnreadableBundleError
from engine.reload.history import Entry, History, How, rollback_to
from engine.reload.last_good import GoodRulebook, LastGood, StartedOn, standing_in
from engine.reload.pipeline import Accepted, Gate, Pipeline, Prove, Refused, Unchanged, Verdict, unproved
from engine.reload.proving import prover
from engine.reload.read import Signature, read_home
from engine.reload.remote import Arrived, Failed, Remote
from engine.reload.requests import Answer, Request, prepare, reply, take
from engine.reload.status import Attempt, CandidateStatus, Status, attempt_of, write_status
from engine.reload.watch import Watch, WatchfilesSource, WatchSettings
from engine.reload.who import user, who_changed
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.sessions.collector import collect_what_was_replaced
from engine.routing.sessions.desk import MAY_PROMOTE, ROLLOUT, Desk, unfit
from engine.routing.sessions.tried import Tried

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_log = logging.getLogger(__name__)

_WHOLE = Span(".", 1, 1, 1, 2)


@dataclass(frozen=True, slots=True)
class ReloadOptions:
    """How a session reloads."""

    gate: Gate = "proofs"
    """What keeps a change out."""
    address: str | None = None
    """Where bundles come from; None: the home is watched."""
    keys: Sequence[Ed25519PublicKey] = ()
    """With any, bundles must be signed by one of them."""
    fetched: FirstBundle | None = None
    """What the address gave before the session began (`fetch_first`)."""
    past: int = 500
    """Decisions of the journal that a change is tried on."""
    watch: WatchSettings = field(default_factory=WatchSettings)
    look_s: float = 0.1
    """How often it is looked whether somebody asks something."""
    proof_timeout_s: float = QUESTION_TIMEOUT_S
    """For one question to the solver."""


@dataclass(frozen=True, slots=True)
class FirstBundle:
    """What came of the first poll of an address."""

    remote: Remote
    polled: Arrived | None
    trouble: ReloadError | None

    @property
    def files(self) -> Files:
        """The files of the bundle; where none came, none with the finding that says why."""
        if self.polled is not None:
            return self.polled.verified.files
        told = getattr(self.trouble, "message", "nothing came")
        help_text = getattr(self.trouble, "help", "")
        return Files({}, (Finding("reload.no_bundle", Severity.ERROR, _WHOLE, told, help_text),))


async def fetch_first(reload: ReloadOptions, profile: str, logs: Path) -> ReloadOptions:
    """Ask the address of bundles for the first one, if there is an address.

    Raises:
        ReloadError: for an address that cannot be used at all.

    """
    if reload.address is None:
        return reload
    remote = Remote(reload.address, profile, LastGood(logs), keys=reload.keys)
    polled = await remote.poll()
    trouble = polled.error if isinstance(polled, Failed) else None
    arrived = polled if isinstance(polled, Arrived) else None
    return replace(reload, fetched=FirstBundle(remote, arrived, trouble))


class Reloading:
    """What a session decides by, while it runs."""

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
        logs = desk.around.logs
        self._desk = desk
        self._options = options
        self._home = home
        self._logs = logs
        self._store = store
        self._now_ms = now_ms
        self._history = History(logs)
        self._last_good = LastGood(logs)
        self._pipeline = pipeline
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="reload")
        """Writes one thing after the other: an fsync in the session's loop would hold up orders."""
        self._generation = 0
        self._since_ms = now_ms()
        self._attempt: Attempt | None = None
        self._started = started
        self._standing_in = started is not None and started.refused is not None
        self._remote = None if options.fetched is None else options.fetched.remote
        self._sequence: int | None = None
        self._who = user()
        self._seen = seen
        self._source: WatchfilesSource | None = None
        self._is_away = False
        self._trouble: dict[str, str] = {}
        """What broke down last in each part that goes on beside the session."""
        self._said_ms = 0
        self._said: tuple[CandidateMoved | None, str] = (None, "")
        self._candidate: Book | None = None
        self._bundle_error = self._unwritten = ""
        if started is not None and (finding := standing_in(started)) is not None:
            _log.error("%s: %s", finding.code, finding.message)

    async def run(self) -> None:
        """Until it is cancelled. What breaks down in one part ends neither the other nor itself: it begins anew."""
        # What the journal says of rulebooks comes after the session's first word.
        while not self._desk.has_begun:  # noqa: ASYNC110 - a desk knows of no loop
            await asyncio.sleep(self._options.look_s)
        self._begin()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_up("requests", self._serve))
                group.create_task(self._keep_up("changes", self._watch if self._remote is None else self._poll))
        finally:
            self._end()
            if self._remote is not None:
                with suppress(Exception):
                    await self._remote.aclose()

    async def _keep_up(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await part()
            except Exception as error:  # noqa: BLE001 - logged whole; the session goes on, and so does the other part
                told = f"{name}: {type(error).__name__}: {error}"
                if self._trouble.get(name) != told:
                    _log.exception("looking for %s broke down, and begins anew", name)
                self._trouble[name] = told
            await asyncio.sleep(_AGAIN_S)

    # --- where changes come from -------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """The home, as it is saved."""
        self._source = WatchfilesSource(self._options.watch)
        async with Watch(self._home, self._options.watch, since=self._seen, source=self._source) as watch:
            async for change in watch:
                self._seen = change.signature
                self._is_away = not change.is_there
                if self._is_away:
                    _log.warning("the home %s is away: what ran goes on", self._home)
                    continue
                reading = await asyncio.to_thread(read_home, self._home)
                who = await asyncio.to_thread(who_changed, self._home)
                await self.consider(reading.files, "files", who)

    async def _poll(self) -> None:
        """Bundles of an address."""
        assert self._remote is not None
        async for polled in self._remote.polls():
            await self.take(self._remote, polled)

    async def take(self, remote: Remote, polled: Arrived | Failed) -> None:
        """What became of a poll: a bundle that was verified is looked at like any other change."""
        if isinstance(polled, Failed):
            self._take_none(remote, polled)
            await self._written()
            return
        self._bundle_error = ""
        manifest = polled.verified.bundle.manifest
        verdict = await self.consider(polled.verified.files, "bundle", manifest.provenance.author, manifest.sequence)
        try:
            await asyncio.to_thread(remote.taken, polled, accepted=not isinstance(verdict, Refused))
        except ReloadError as error:
            _log.error("the sequence of the bundle is not remembered: %s", error)

    def _take_none(self, remote: Remote, polled: Failed) -> None:
        error = polled.error
        is_news, self._bundle_error = str(error) != self._bundle_error, str(error)
        if not is_news:
            pass  # a bad bundle is asked for again and again
        elif isinstance(error, BundleError) and not isinstance(error, UnreadableBundleError):
            finding = Finding("reload.bundle", Severity.ERROR, _WHOLE, error.message, error.help)
            refused = Refused((finding,), "load", {})
            self._attempt = attempt_of(refused, self._now_ms())
            self._refused("bundle", refused)
        else:
            _log.warning("no bundle from %s: %s", remote.shown, error)
        self._say_status()

    async def _serve(self) -> None:
        """What other processes ask for."""
        while True:
            for request in take(self._logs):
                answer = await self._answered(request)
                with suppress(ReloadError):
                    await asyncio.to_thread(reply, self._logs, answer)
            tried = self._desk.tried
            is_due = tried.is_tried and self._now_ms() >= self._said_ms + _SAY_EVERY_MS
            if is_due or self._said != (tried.moved, self._watching()):
                self._say_status()
            await asyncio.sleep(self._options.look_s)

    # --- what becomes of a change ------------------------------------------------------------------------------------

    async def consider(self, files: Files, how: str, who: str, sequence: int | None = None) -> Verdict:
        """Look at files that may decide from now on, and let them, or say why not."""
        pipeline = replace(self._pipeline, prove=self._prover(files), proofs_after_swap=not self._proofs_first())
        before, was = self._desk.book, self._sequence
        verdict = await asyncio.to_thread(pipeline.consider, files, before)
        changed = await asyncio.to_thread(_changed, before, verdict.book) if isinstance(verdict, Accepted) else ""
        if self._desk.book is not before:
            verdict = _overtaken(verdict, self._desk.book)
        self._attempt = attempt_of(verdict, self._now_ms())
        if isinstance(verdict, Refused):
            self._refused(how, verdict)
        elif isinstance(verdict, Accepted):
            self._put_in_force(verdict.book, how, who, changed, _checks(verdict), sequence)
            if pipeline.proofs_after_swap and verdict.dry_run is not None:
                verdict = await self._prove_after(verdict, how, before, was, pipeline)
        else:
            self._standing_in = False
            self._sequence = sequence if sequence is not None else self._sequence
        self._say_status()
        await self._written()
        collect_what_was_replaced()
        return verdict

    def _prover(self, files: Files) -> Prove | None:
        if self._options.gate != "proofs":
            return None
        return prover(files, self._options.proof_timeout_s, find_cache() / "proofs")

    def _proofs_first(self) -> bool:
        """Whether a change waits for its proofs: as the profile in force says, and where it says nothing, it does."""
        judged = self._desk.judge_candidate()
        return judged is None or judged.values.get("proofs_first") is not False

    async def _prove_after(
        self, accepted: Accepted, how: str, before: Book, sequence: int | None, pipeline: Pipeline
    ) -> Verdict:
        """Proofs that come after the swap: what fails them is taken back, unless something else decides by then."""
        book = accepted.book
        self._say_status()
        answer = await asyncio.to_thread(pipeline.proofs_of, book.rulebook)
        if answer is None:
            return accepted
        verdict: Verdict = replace(accepted, proofs=answer)
        if not answer.passed:
            verdict = refused = unproved(answer, accepted)
            self._refused(how, refused)
            changed = await self._change_to(before)
            if self._desk.book is book:
                self._put_in_force(before, "return", user(), f"a proof failed: {changed}", {}, sequence)
        self._attempt = attempt_of(verdict, self._now_ms())
        return verdict

    async def _change_to(self, book: Book) -> str:
        """How a book differs from what decides, in a line; when this is back, the same decides as it says."""
        while True:
            before = self._desk.book
            changed = await asyncio.to_thread(_changed, before, book)
            if self._desk.book is before:
                return changed

    def _put_in_force(
        self, book: Book, how: str, who: str, changed: str, checks: dict[str, Any], sequence: int | None = None
    ) -> None:
        desk, now_ms = self._desk, self._now_ms()
        before = desk.book
        desk.adopt(
            book,
            RulebookLoaded(
                ts_ms=0,
                profile=book.profile,
                rulebook=book.version,
                sources=book.rulebook.sources_digest,
                previous=before.version,
                how=how,
                who=who,
                changed=changed,
                checks=checks,
            ),
        )
        self._generation += 1
        self._since_ms, self._who, self._sequence = now_ms, who, sequence
        self._standing_in = False
        _log.info("rulebook %s %s decides (%s): %s", book.profile, book.version, how, changed)
        self._remember(book, _HOW[how], who, changed, sequence)

    def _remember(self, book: Book, how: How, who: str, changed: str, sequence: int | None) -> None:
        """What a later session, and whoever asks, needs to know. A disk that does not take it stops nothing."""
        entry = Entry(
            at_ms=self._now_ms(),
            how=how,
            profile=book.profile,
            version=book.version,
            sources=book.rulebook.sources_digest,
            who=who,
            changed=changed,
            origin=self._origin(),
            sequence=sequence,
        )
        self._write(lambda: self._history.add(entry))
        # Of a bundle its address remembers it, with the sequence; and what stands in for files is remembered already.
        if sequence is None and how != "last_good":
            good = GoodRulebook(version=entry.version, sources=entry.sources, at_ms=entry.at_ms, origin=entry.origin)
            self._write(lambda: self._last_good.remember(entry.profile, good))

    def _write(self, writing: Callable[[], None]) -> Future[None]:
        """Have something written after everything before it. A disk that does not take it is logged."""

        def write() -> None:
            try:
                writing()
            except ReloadError as error:
                if str(error) != self._unwritten:  # of a full disk it is said once
                    _log.error("not remembered: %s", error)
                self._unwritten = str(error)

        return self._writer.submit(write)

    async def _written(self) -> None:
        """Wait until all is written that was to be."""
        await asyncio.wrap_future(self._write(lambda: None))

    def _refused(self, how: str, refused: Refused) -> None:
        desk = self._desk
        _log.error("a change is refused (%s): %s", refused.stage, refused.line)
        findings = [
            {"code": found.code, "at": str(found.span), "message": found.message, "help": found.help}
            for found in refused.findings[:_MOST_FINDINGS]
        ]
        desk.router.emit(
            RulebookRefused(
                ts_ms=desk.router.now_ms,
                profile=desk.book.profile,
                rulebook=refused.version,
                how=how,
                stage=refused.stage,
                reason=refused.line,
                findings=findings,
            )
        )
        desk.settle()

    # --- what others ask for -----------------------------------------------------------------------------------------

    async def _answered(self, request: Request) -> Answer:
        doing = {
            "rollback": self._roll_back,
            "shadow": self._shadow,
            "promote": self._promote,
            "end": self._end_candidate,
        }[request.action]
        try:
            line = await doing(request)
        except SluiceError as error:
            message = getattr(error, "message", str(error))
            return Answer(id=request.id, done=False, line=message, help=getattr(error, "help", ""))
        except Exception as error:  # noqa: BLE001 - logged whole; the session goes on, whatever was asked of it
            _log.exception("`%s` broke down", request.action)
            return Answer(id=request.id, done=False, line=f"it broke down: {type(error).__name__}: {error}")
        self._say_status()
        await self._written()
        return Answer(id=request.id, done=True, line=line)

    async def _roll_back(self, request: Request) -> str:
        desk = self._desk
        entries = await asyncio.to_thread(self._history.entries, desk.book.profile)
        entry = rollback_to(entries, request.version)
        if entry.version == desk.book.version:
            raise ReloadError(f"{entry.version} decides already", "`sluice history` lists the others")
        book = await asyncio.to_thread(self._store.open, entry.version, entry.sources, desk.book.profile)
        book = await asyncio.to_thread(book.warm)
        self._fit(book)
        changed = await self._change_to(book)
        self._put_in_force(book, "rollback", request.who, changed, {})
        return f"{book.profile} {book.version} decides again: {changed}"

    async def _shadow(self, request: Request) -> str:
        desk = self._desk
        profile, files = await asyncio.to_thread(
            _files_of, request.candidate or desk.book.profile, Path(request.home or self._home)
        )
        pipeline = replace(self._pipeline, profile=profile, prove=self._prover(files))
        verdict = await asyncio.to_thread(pipeline.consider, files, desk.book)
        if isinstance(verdict, Refused):
            self._refused("shadow", verdict)
            raise ReloadError(f"the candidate is refused: {verdict.line}", "`sluice check` shows what is wrong")
        if isinstance(verdict, Unchanged):
            raise ReloadError(f"{verdict.version} decides already", "change something, or name another candidate")
        book = self._candidate = verdict.book
        desk.try_beside(book, self._moved("shadow", book))
        return f"{book.profile} {book.version} is tried beside {desk.book.version}; `sluice status` counts"

    async def _promote(self, request: Request) -> str:
        desk, book = self._desk, self._candidate
        if book is None or not desk.tried.is_tried:
            raise ReloadError("there is no candidate", "try one first: `sluice shadow CANDIDATE`")
        if book.profile != desk.book.profile:
            raise ReloadError(
                f"the candidate is of the profile `{book.profile}`, this session runs `{desk.book.profile}`",
                "what runs under another profile can be tried, and not promoted",
            )
        changed = await self._change_to(book)
        if not desk.tried.is_tried:
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
            desk.roll_out(book, self._moved("partial", book, symbols))
            return f"{book.profile} {book.version} decides for {', '.join(symbols)}"
        desk.end_candidate("promoted", "")
        self._candidate = None
        self._put_in_force(book, "promote", request.who, changed, {})
        return f"{book.profile} {book.version} decides: {changed}"

    async def _end_candidate(self, request: Request) -> str:
        if not self._desk.tried.is_tried:
            raise ReloadError("there is no candidate", "`sluice shadow CANDIDATE` tries one")
        self._desk.end_candidate("ended", f"asked for by {request.who}" if request.who else "")
        self._candidate = None
        return "the candidate is no longer tried"

    def _symbols(self, book: Book, asked: Sequence[str]) -> list[str]:
        """Symbols by name, or all of a symbol group's."""
        known = self._desk.router.symbols
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

    @staticmethod
    def _moved(state: str, book: Book, symbols: Sequence[str] = ()) -> CandidateMoved:
        return CandidateMoved(
            ts_ms=0,
            state=state,
            profile=book.profile,
            rulebook=book.version,
            sources=book.rulebook.sources_digest,
            symbols=list(symbols),
        )

    def _fit(self, book: Book) -> None:
        found = list(unfit(book))
        if found:
            raise ReloadError(f"{book.version} cannot run this session: {found[0].message}", found[0].help)

    # --- what is known of it -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        book, started, first = self._desk.book, self._started, self._options.fetched
        try:
            prepare(self._logs)
        except ReloadError as error:
            _log.error("%s", error)
        if started is not None and started.refused is not None:
            self._attempt = attempt_of(started.refused, self._now_ms())
            self._refused("files" if first is None else "bundle", started.refused)
            self._sequence = started.last_good.sequence if started.last_good is not None else None
        if first is not None and first.polled is not None:
            accepted = not self._standing_in
            if accepted:
                self._sequence = first.polled.verified.bundle.manifest.sequence
            with suppress(ReloadError):
                first.remote.taken(first.polled, accepted=accepted)
        self._remember(book, "last_good" if self._standing_in else "start", self._who, "", self._sequence)
        self._say_status().result()

    def _end(self) -> None:
        book = self._desk.book
        stop = Entry(
            at_ms=self._now_ms(),
            how="stop",
            profile=book.profile,
            version=book.version,
            sources=book.rulebook.sources_digest,
        )
        self._write(lambda: self._history.add(stop))
        self._say_status(ended_ms=stop.at_ms)
        self._writer.shutdown()

    def _origin(self) -> str:
        return str(self._home) if self._remote is None else self._remote.shown

    def _watching(self) -> str:
        """Why changes may go unnoticed; empty where all is well."""
        if self._is_away:
            return "the home is away"
        held_up = self._trouble.get("changes", "")
        return held_up or (self._source.trouble if self._source is not None else "")

    def _say_status(self, ended_ms: int | None = None) -> Future[None]:
        self._said_ms = self._now_ms()
        book, tried = self._desk.book, self._desk.tried
        self._said = (tried.moved, self._watching())
        status = Status(
            profile=book.profile,
            version=book.version,
            sources=book.rulebook.sources_digest,
            generation=self._generation,
            since_ms=self._since_ms,
            process=os.getpid(),
            host=socket.gethostname(),
            ended_ms=ended_ms,
            origin=self._origin(),
            who=self._who,
            last_good=self._standing_in,
            sequence=self._sequence,
            confirmed_ms=self._remote.confirmed_ms if self._remote is not None else None,
            watching=self._watching(),
            attempt=self._attempt,
            candidate=candidate_status(tried),
        )
        return self._write(lambda: write_status(self._logs, status))


def _overtaken(verdict: Verdict, now: Book) -> Verdict:
    """What becomes of a change that was looked at while another rulebook was put in force."""
    if isinstance(verdict, Refused):
        return verdict
    told = f"{now.profile} {now.version} was put in force while this change was looked at"
    finding = Finding("reload.overtaken", Severity.ERROR, _WHOLE, told, "save the files again to have them decide")
    version = verdict.book.version if isinstance(verdict, Accepted) else verdict.version
    return Refused((finding,), "swap", verdict.timings_ms, version)


def _files_of(candidate: str, home: Path) -> tuple[str, Files]:
    """The profile and the files of a candidate, named as `sluice diff` names a side."""
    asked = read_side(candidate, home)
    if asked.revision is not None:
        return asked.profile, read_listing(open_revision(asked.home, asked.revision))
    return asked.profile, read_home(asked.home).files


def _changed(before: Book, after: Book) -> str:
    """What is different, in a line: the values where there are few and nothing else, else how much of each kind."""
    structure = compare(before.rulebook, after.rulebook)
    values = structure.values
    if len(values) > _MOST_VALUES or replace(structure, values=()) != Structure():
        return summary(structure)
    if not values:
        return "nothing that decides"
    return "; ".join(
        f"{change.name} {_given(change.a)} → {_given(change.b)}{f' for {change.group}' if change.group else ''}"
        for change in values
    )


def _given(given: Given | None) -> str:
    return "nothing" if given is None else given.text


def _checks(verdict: Accepted) -> dict[str, Any]:
    """What a change went through, for the journal."""
    checks: dict[str, Any] = {"ms": {stage: round(taken, 1) for stage, taken in verdict.timings_ms.items()}}
    if verdict.proofs is not None:
        checks["proven"] = verdict.proofs.holds
    if verdict.dry_run is not None:
        checks["past"] = {
            "decisions": verdict.dry_run.decisions,
            "changed": verdict.dry_run.changed,
            "by_name": dict(verdict.dry_run.by_name),
            "examples": [str(example) for example in verdict.dry_run.examples],
        }
    return checks


def candidate_status(tried: Tried) -> CandidateStatus | None:
    """What a status says of the candidate; None where there is none."""
    moved, found = tried.moved, tried.divergences
    if moved is None:
        return None
    return CandidateStatus(
        state=moved.state,
        profile=moved.profile,
        version=moved.rulebook,
        symbols=moved.symbols,
        reason=moved.reason,
        facts=tried.facts() or {},
        by_name=dict(found.by_name.most_common()),
        by_rule=dict(found.by_rule.most_common(_MOST_RULES)),
        examples=[_example(name, event) for name, events in found.examples.items() for event in events],
    )


def _example(name: str, event: ShadowDecided) -> str:
    values = event.differs[name.partition(".")[2]]
    return f"{event.intent_id} ({event.symbol}): {name} {' → '.join(map(plainly, values))}"


_MOST_VALUES, _MOST_RULES = 3, 20
_HOW: dict[str, How] = {
    "files": "reload", "bundle": "bundle", "rollback": "rollback", "promote": "promote", "return": "return",
}  # fmt: skip
_MOST_FINDINGS = 20
_AGAIN_S = 1.0
"""Between two tries of what broke down."""
_SAY_EVERY_MS = 1_000
"""How often a status is written while a candidate is tried."""
