"""Changes of a running session: what is saved in its home, or comes in bundles, and what becomes of it.

In: the watch of a home, or the polls of an address. Out: swaps of what is in force, and refusals with their findings.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.book import Book
from engine.home import find_cache
from engine.language.findings import Finding, Severity
from engine.language.load import Files
from engine.reload.bundle import Verified
from engine.reload.errors import BundleError, ReloadError, UnreadableBundleError
from engine.reload.history import unpassed
from engine.reload.last_good import StartedOn
from engine.reload.pipeline import Accepted, Pipeline, Prove, Refused, Unchanged, Verdict, unproved
from engine.reload.proving import prover
from engine.reload.read import Signature, read_home
from engine.reload.remote import Failed, Polled, Remote, Same
from engine.reload.status import Attempt
from engine.reload.watch import Watch, WatchfilesSource
from engine.reload.who import who_changed
from engine.routing.sessions.collector import collect_what_was_replaced
from engine.routing.sessions.reloading.in_force import CHANGES, InForce, Watching, changed
from engine.routing.sessions.reloading.options import WHOLE, ReloadOptions

_log = logging.getLogger(__name__)


class Changes:
    """Looks for changes, and at them."""

    def __init__(
        self,
        in_force: InForce,
        options: ReloadOptions,
        home: Path,
        pipeline: Pipeline,
        watching: Watching,
        seen: Signature | None,
        started: StartedOn | None,
    ) -> None:
        """`seen` is how the home stood when it was read: what was saved since then is a change.

        `started` is what came of it, or of the first bundle.
        """
        self.pipeline = pipeline
        """What a change goes through, but for its proofs."""
        self.is_over = False
        """Whether nobody waits for proofs any more."""
        self._in_force = in_force
        self._options = options
        self._home = home
        self._watching = watching
        self._seen = seen
        began = started is not None and started.accepted is not None
        self._taken = _looked_at(started) if started is not None and options.address is None else None
        """Version and sources of what the home said when that was last taken, or refuted at the start: said again, it
        is no change."""
        self._refuted = set[str]()
        """The versions that were refused in this session since an invariant fails."""
        if started is not None and started.refused is not None:
            self._note_refuted(started.refused)
        fetched = options.fetched.polled if options.fetched is not None else None
        self._bundle = fetched.verified.bundle.digest if fetched is not None and began else ""
        """The digest of the bundle that was last taken."""
        self._bundle_error = ""
        self._before_bad: tuple[Attempt | None, str | None] | None = None
        """What the status showed before bundles came that could not be verified, and the version that the address had;
        None where none has come."""

    def begin(self) -> None:
        """Say where rules cannot be had from since the session was put together."""
        self._in_force.origin.look(self._seen, is_logged=True)

    # --- where they come from ----------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """The home, as it is saved. A change that could not be looked at is one still when this begins anew."""
        options, watching = self._options, self._watching
        watching.source = WatchfilesSource(options.watch)
        async with Watch(self._home, options.watch, since=self._seen, source=watching.source) as watch:
            async for change in watch:
                self._in_force.origin.look(change.signature)
                if change.is_there:
                    reading = await asyncio.to_thread(read_home, self._home)
                    who = await asyncio.to_thread(who_changed, self._home)
                    await self.consider(reading.files, "files", who)
                self._seen = change.signature
                watching.broken.pop(CHANGES, None)

    async def poll(self, remote: Remote) -> None:
        """Bundles of an address."""
        async for polled in remote.polls():
            await self.take(remote, polled)
            self._watching.broken.pop(CHANGES, None)

    async def take(self, remote: Remote, polled: Polled) -> None:
        """What became of a poll: a bundle that was verified is looked at like any other change."""
        if isinstance(polled, Failed):
            self._take_none(polled)
            await self._in_force.written()
            return
        self._bundle_error = ""
        self._in_force.origin.look()
        if isinstance(polled, Same):
            self._take_back()
            self._in_force.say_what_is_new()
            await self._in_force.written()
            return
        self._before_bad = None
        bundle = polled.verified.bundle
        verdict = await self._look_at(polled.verified)
        if not isinstance(verdict, Refused):
            self._bundle = bundle.digest
        if isinstance(verdict, Refused) and verdict.stage == "keep":
            remote.put_off()  # nothing is wrong with the bundle
            return
        with suppress(ReloadError):  # which is said, and it is asked for again
            await self._in_force.remember_bundle(
                lambda: remote.taken(polled, accepted=not isinstance(verdict, Refused))
            )
        self._in_force.say_what_is_new()
        await self._in_force.written()

    async def _look_at(self, verified: Verified) -> Verdict:
        manifest = verified.bundle.manifest
        if verified.bundle.digest == self._bundle:  # it comes again since its sequence could not be remembered
            return Unchanged(manifest.version, {}, decides=False)
        return await self.consider(verified.files, "bundle", manifest.provenance.author, manifest.sequence)

    def _take_none(self, polled: Failed) -> None:
        error = polled.error
        is_news, self._bundle_error = str(error) != self._bundle_error, str(error)
        is_bad = isinstance(error, BundleError) and not isinstance(error, UnreadableBundleError)
        if is_bad and is_news:  # it is asked for again and again
            finding = Finding("reload.bundle", Severity.ERROR, WHOLE, error.message, error.help)
            refused = Refused((finding,), "load", {})
            self._before_bad = self._before_bad or (self._in_force.attempt, self._in_force.offered)
            self._in_force.note(refused)
            self._in_force.refuse("bundle", refused)
        self._in_force.origin.look(is_logged=is_bad)
        self._in_force.say()

    def _take_back(self) -> None:
        """The address has again what it had before a bundle that could not be verified: that one is no change now."""
        if self._before_bad is not None:
            self._in_force.attempt, self._in_force.offered = self._before_bad
            self._before_bad = None
            self._in_force.say()

    # --- what becomes of them ----------------------------------------------------------------------------------------

    async def consider(self, files: Files, how: str, who: str, sequence: int | None = None) -> Verdict:
        """Look at files that may decide from now on, and let them, or say why not."""
        in_force = self._in_force
        prove = self.prover(files)
        doubtful = None if prove is None or self.proofs_first() else await self._doubtful()
        pipeline = replace(
            self.pipeline,
            prove=prove,
            proofs_after_swap=doubtful is not None,
            unpassed=doubtful or (),
            taken=self._taken if how == "files" else None,
        )
        before, was = in_force.book, in_force.sequence
        verdict = await asyncio.to_thread(pipeline.consider, files, before)
        self._note_refuted(verdict)
        if how == "files" and isinstance(verdict, Unchanged):
            return await self._stay(verdict, before)
        told = await asyncio.to_thread(changed, before, verdict.book) if isinstance(verdict, Accepted) else ""
        if in_force.book is not before:
            verdict = _overtaken(verdict, in_force.book, how)
        in_force.note(verdict)
        if isinstance(verdict, Refused):
            in_force.refuse(how, verdict)
        elif isinstance(verdict, Accepted):
            unproved = pipeline.prove is not None and verdict.dry_run is not None and verdict.proofs is None
            in_force.put(verdict.book, how, who, told, checks=_checks(verdict), sequence=sequence, unproved=unproved)
            self._taken = _identity(verdict.book)
            if unproved:
                verdict = await self._prove_after(verdict, how, before, was, pipeline)
        else:
            in_force.stays(sequence)
        in_force.say()
        await in_force.written()
        collect_what_was_replaced()
        return verdict

    async def look_again(self, files: Files) -> Verdict:
        """What the gate says of files that decided here before. Their warnings are no news, and they are kept.

        Proofs come first, whatever the profile says: what they say is remembered.
        """
        pipeline = replace(self.pipeline, prove=self.prover(files), minds_warnings=False, past=tuple, keep=None)
        verdict = await asyncio.to_thread(pipeline.consider, files, self._in_force.book)
        self._note_refuted(verdict)
        return verdict

    async def _stay(self, verdict: Unchanged, looked_at: Book) -> Verdict:
        """What the home says is what decides, or what it said before: then what was put in force since stays."""
        in_force = self._in_force
        if verdict.decides:
            self._taken = _identity(looked_at)
            verdict = replace(verdict, decides=in_force.book is looked_at)
        if verdict.decides:
            in_force.stays(None)
        attempt = in_force.attempt
        # What became of the very same is told already, such as a proof that failed.
        if verdict.decides or attempt is None or attempt.version != verdict.version:
            in_force.note(verdict)
        in_force.say()
        await in_force.written()
        return verdict

    def prover(self, files: Files) -> Prove | None:
        """What proves the invariants of these files; None where the gate asks for no proofs."""
        if self._options.gate != "proofs":
            return None
        cache = find_cache() / "proofs"
        return prover(files, self._options.proof_timeout_s, cache, is_wanted=lambda: not self.is_over)

    def proofs_first(self) -> bool:
        """Whether a change waits for its proofs: as the profile in force says, and where it says nothing, it does."""
        judged = self._in_force.desk.judge_candidate()
        return judged is None or judged.values.get("proofs_first") is not False

    async def _doubtful(self) -> frozenset[str] | None:
        """The versions whose proofs did not pass so far; None where nobody knows."""
        try:
            return unpassed(await self._in_force.entries()) | self._refuted
        except ReloadError as error:
            _log.warning("a change is proved before it decides, whatever the profile says: %s", error)
            return None

    def _note_refuted(self, verdict: Verdict) -> None:
        if isinstance(verdict, Refused) and verdict.is_refuted and verdict.version is not None:
            self._refuted.add(verdict.version)

    async def _prove_after(
        self, accepted: Accepted, how: str, before: Book, sequence: int | None, pipeline: Pipeline
    ) -> Verdict:
        """Proofs that come after the swap: what fails them is taken back, unless something else decides by then."""
        in_force, book, taken_back = self._in_force, accepted.book, ""
        in_force.say()
        answer = await asyncio.to_thread(pipeline.proofs_of, book.rulebook)
        assert answer is not None  # there is a prover
        verdict: Verdict = replace(accepted, proofs=answer)
        if answer.passed:
            in_force.proved(book)
        else:
            verdict = refused = unproved(answer, accepted)
            self._note_refuted(refused)
            if not refused.is_refuted and self._taken == _identity(book):
                self._taken = None  # saved again it may be proved in time
            in_force.refuse(how, refused)
            told = await in_force.change_to(before)
            if in_force.book is book:
                taken_back = in_force.take_back(before, told, sequence)
        in_force.note(verdict, taken_back)
        return verdict


def _overtaken(verdict: Verdict, now: Book, how: str) -> Verdict:
    """What becomes of a change that was looked at while another rulebook was put in force."""
    if isinstance(verdict, Refused):
        return verdict
    told = f"{now.profile} {now.version} was put in force while this change was looked at"
    again = "save the files again" if how == "files" else "build the bundle again, with a higher --sequence,"
    finding = Finding("reload.overtaken", Severity.ERROR, WHOLE, told, f"{again} to have them decide")
    version = verdict.version if isinstance(verdict, Unchanged) else verdict.book.version
    return Refused((finding,), "swap", verdict.timings_ms, version)


def _looked_at(started: StartedOn) -> tuple[str, str] | None:
    """Version and sources of what a start took from the home, or refused since an invariant fails.

    What was refused for anything else is looked at again: it may be proved in time, or there may be room on the disk.
    """
    refused = started.refused
    if refused is None:
        return None if started.accepted is None else _identity(started.accepted.book)
    if not refused.is_refuted or refused.version is None or refused.sources is None:
        return None
    return refused.version, refused.sources


def _identity(book: Book) -> tuple[str, str]:
    return book.version, book.rulebook.sources_digest


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
