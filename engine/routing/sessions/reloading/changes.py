"""Changes of a running session: what is saved in its home, or comes in bundles, and what becomes of it.

In: the watch of a home, or the polls of an address. Out: swaps of what is in force, and refusals with their findings.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.book import Book
from engine.home import find_cache
from engine.language.findings import Finding, Severity
from engine.language.load import Files
from engine.reload.errors import BundleError, ReloadError, UnreadableBundleError
from engine.reload.pipeline import Accepted, Pipeline, Prove, Refused, Unchanged, Verdict, unproved
from engine.reload.proving import prover
from engine.reload.read import Signature, read_home
from engine.reload.remote import Arrived, Failed, Remote
from engine.reload.watch import Watch, WatchfilesSource
from engine.reload.who import user, who_changed
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
    ) -> None:
        """`seen` is how the home stood when it was read: what was saved since then is a change."""
        self.pipeline = pipeline
        """What a change goes through, but for its proofs."""
        self.is_over = False
        """Whether nobody waits for proofs any more."""
        self._in_force = in_force
        self._options = options
        self._home = home
        self._watching = watching
        self._seen = seen
        self._bundle_error = ""

    # --- where they come from ----------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """The home, as it is saved. A change that could not be looked at is one still when this begins anew."""
        options, watching = self._options, self._watching
        watching.source = WatchfilesSource(options.watch)
        async with Watch(self._home, options.watch, since=self._seen, source=watching.source) as watch:
            async for change in watch:
                watching.is_away = not change.is_there
                if watching.is_away:
                    _log.warning("the home %s is away: what ran goes on", self._home)
                else:
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

    async def take(self, remote: Remote, polled: Arrived | Failed) -> None:
        """What became of a poll: a bundle that was verified is looked at like any other change."""
        if isinstance(polled, Failed):
            self._take_none(remote, polled)
            await self._in_force.written()
            return
        self._bundle_error = ""
        manifest = polled.verified.bundle.manifest
        verdict = await self.consider(polled.verified.files, "bundle", manifest.provenance.author, manifest.sequence)
        if isinstance(verdict, Refused) and verdict.stage == "keep":
            remote.put_off()  # nothing is wrong with the bundle
            return
        try:
            await self._in_force.remember_bundle(
                lambda: remote.taken(polled, accepted=not isinstance(verdict, Refused))
            )
        except ReloadError as error:
            _log.error("the sequence of the bundle is not remembered: %s", error)

    def _take_none(self, remote: Remote, polled: Failed) -> None:
        error = polled.error
        is_news, self._bundle_error = str(error) != self._bundle_error, str(error)
        if not is_news:
            pass  # a bad bundle is asked for again and again
        elif isinstance(error, BundleError) and not isinstance(error, UnreadableBundleError):
            finding = Finding("reload.bundle", Severity.ERROR, WHOLE, error.message, error.help)
            refused = Refused((finding,), "load", {})
            self._in_force.note(refused)
            self._in_force.refuse("bundle", refused)
        else:
            _log.warning("no bundle from %s: %s", remote.shown, error)
        self._in_force.say()

    # --- what becomes of them ----------------------------------------------------------------------------------------

    async def consider(self, files: Files, how: str, who: str, sequence: int | None = None) -> Verdict:
        """Look at files that may decide from now on, and let them, or say why not."""
        in_force = self._in_force
        pipeline = replace(self.pipeline, prove=self.prover(files), proofs_after_swap=not self.proofs_first())
        before, was = in_force.book, in_force.sequence
        verdict = await asyncio.to_thread(pipeline.consider, files, before)
        told = await asyncio.to_thread(changed, before, verdict.book) if isinstance(verdict, Accepted) else ""
        if in_force.book is not before:
            verdict = _overtaken(verdict, in_force.book)
        in_force.note(verdict)
        if isinstance(verdict, Refused):
            in_force.refuse(how, verdict)
        elif isinstance(verdict, Accepted):
            in_force.put(verdict.book, how, who, told, checks=_checks(verdict), sequence=sequence)
            if pipeline.proofs_after_swap and verdict.dry_run is not None:
                verdict = await self._prove_after(verdict, how, before, was, pipeline)
        else:
            in_force.stays(sequence)
        in_force.say()
        await in_force.written()
        collect_what_was_replaced()
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

    async def _prove_after(
        self, accepted: Accepted, how: str, before: Book, sequence: int | None, pipeline: Pipeline
    ) -> Verdict:
        """Proofs that come after the swap: what fails them is taken back, unless something else decides by then."""
        in_force, book = self._in_force, accepted.book
        in_force.say()
        answer = await asyncio.to_thread(pipeline.proofs_of, book.rulebook)
        if answer is None:
            return accepted
        verdict: Verdict = replace(accepted, proofs=answer)
        if not answer.passed:
            verdict = refused = unproved(answer, accepted)
            in_force.refuse(how, refused)
            told = await in_force.change_to(before)
            if in_force.book is book:
                in_force.put(before, "return", user(), f"a proof failed: {told}", sequence=sequence)
        in_force.note(verdict)
        return verdict


def _overtaken(verdict: Verdict, now: Book) -> Verdict:
    """What becomes of a change that was looked at while another rulebook was put in force."""
    if isinstance(verdict, Refused):
        return verdict
    told = f"{now.profile} {now.version} was put in force while this change was looked at"
    finding = Finding("reload.overtaken", Severity.ERROR, WHOLE, told, "save the files again to have them decide")
    version = verdict.version if isinstance(verdict, Unchanged) else verdict.book.version
    return Refused((finding,), "swap", verdict.timings_ms, version)


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
