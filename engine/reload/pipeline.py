"""What a candidate goes through before it may decide: load, check, compile, proofs, dry run. Out comes a verdict.

    Accepted     nothing that the gate minds was found: swap it in
    Refused      with findings: what runs goes on
    Unchanged    the same meaning from the same texts: nothing to do

The gate says what blocks, and each one blocks what the ones above it do:

    none       what does not load, or cannot run this session
    findings   and warnings that the running rulebook does not have itself
    proofs     and invariants that fail, or of which nobody knows whether they hold (the default)

The dry run blocks nothing: that decisions differ is what a change is for. A stage that breaks down is a finding too,
never an exception, so whatever is saved in a home, the last good rulebook goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from engine.book import Book
from engine.language.findings import Finding, LoadError, Severity, SluiceError, Span, one_line
from engine.language.load import Files, Workspace
from engine.language.rulebook import Rulebook
from engine.reload.dry_run import DryRun, PastDecision, dry_run

Gate: TypeAlias = Literal["proofs", "findings", "none"]
"""What keeps a candidate out; the first is the default."""

Stage: TypeAlias = Literal["load", "check", "compile", "fit", "proofs", "dry_run", "keep", "swap"]
"""The stages in their order; `fit` asks the session whether it can run the rulebook, `keep` puts it on disk, and `swap`
is the session's."""

_WHOLE = Span(".", 1, 1, 1, 2)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProofAnswer:
    """What a prover says of the invariants of a rulebook."""

    holds: int
    fails: int = 0
    unknown: int = 0
    """Neither proved nor refuted in the time it had: never counted as holding."""
    findings: tuple[Finding, ...] = ()
    """What is wrong, one for each invariant that does not hold or may not."""

    @property
    def passed(self) -> bool:
        """Whether every invariant is proved."""
        return not self.fails and not self.unknown


@dataclass(frozen=True, slots=True)
class Accepted:
    """A candidate that may decide."""

    book: Book
    """Loaded and compiled."""
    files: Files
    findings: tuple[Finding, ...]
    """What was found and blocks nothing."""
    proofs: ProofAnswer | None
    """None where there is no prover, the meaning did not change, or they come after the swap."""
    dry_run: DryRun | None
    """None where the meaning did not change."""
    timings_ms: dict[Stage, float]

    @property
    def line(self) -> str:
        """One line, for people."""
        told = [f"{self.book.profile} {self.book.version}"]
        if self.proofs is not None:
            told.append(f"{self.proofs.holds} of {_claims(self.proofs)} invariants proved")
        elif self.dry_run is not None:
            told.append("not proved")
        told.append(str(self.dry_run) if self.dry_run is not None else "the same meaning as before")
        return "; ".join(told)


@dataclass(frozen=True, slots=True)
class Refused:
    """A candidate that must not decide, and why."""

    findings: tuple[Finding, ...]
    stage: Stage
    """Where it failed."""
    timings_ms: dict[Stage, float]
    version: str | None = None
    """Of the candidate, where it loads."""
    is_refuted: bool = False
    """Whether an invariant is known to fail, so that it must not decide whatever else there is."""
    sources: str | None = None
    """The digest of its texts, where it loads."""

    @property
    def line(self) -> str:
        """One line, for people: the first thing that is wrong, and how many more there are."""
        serious = [finding for finding in self.findings if finding.severity is not Severity.NOTE] or self.findings
        first = serious[0]
        more = f", and {len(serious) - 1} more" if len(serious) > 1 else ""
        where = f"{first.span}: " if first.span != _WHOLE else ""
        return f"{where}{first.message} [{first.code}]{more}"


@dataclass(frozen=True, slots=True)
class Unchanged:
    """What runs is what the files say."""

    version: str
    timings_ms: dict[Stage, float]
    decides: bool = True
    """False where it is only what the files said before: something else was put in force since, and stays."""


Verdict: TypeAlias = Accepted | Refused | Unchanged

Prove: TypeAlias = Callable[[Rulebook], ProofAnswer]
Fit: TypeAlias = Callable[[Book], Iterable[Finding]]
"""Whether a session can run a book: findings where it cannot, such as a policy that it needs and that is gone."""
Keep: TypeAlias = Callable[[Files, Rulebook], object]
"""Puts what was accepted on disk, before it decides: any decision can then be made again."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages for one profile, with what a session hands in for them."""

    profile: str
    gate: Gate = "proofs"
    prove: Prove | None = None
    proofs_after_swap: bool = False
    """Leave the proofs to `proofs_of`, after the swap. Only where the profile says so."""
    unpassed: Collection[str] = ()
    """Versions of which it is known that proofs failed, or did not pass so far: they are proved first all the same."""
    fit: Fit | None = None
    past: Callable[[], Sequence[PastDecision]] = tuple
    """The decisions for the dry run."""
    keep: Keep | None = None
    before: Rulebook | None = None
    """Whose warnings are no news, where nothing runs."""
    minds_warnings: bool = True
    """Whether new ones refuse a candidate, where the gate says so."""
    taken: tuple[str, str] | None = None
    """Version and sources of what the files said when they were last taken: said again, that is no change."""
    clock: Callable[[], float] = time.perf_counter

    def consider(self, files: Files, active: Book | None) -> Verdict:
        """Say what is to become of the files of a home, given what runs now (None at a start). Never raises."""
        run = _Run(self, files, active)
        try:
            return run.verdict()
        except Exception as error:  # noqa: BLE001 - logged whole; what ran must go on, whatever breaks
            _log.error("the stage `%s` of a reload broke down: %s", run.stage, error, exc_info=_whole(error))
            return run.refused([broken_down(run.stage, error)])

    def proofs_of(self, rulebook: Rulebook) -> ProofAnswer | None:
        """What the prover says of a rulebook; None without one. A prover that breaks down knows nothing."""
        if self.prove is None:
            return None
        try:
            return self.prove(rulebook)
        except Exception as error:  # noqa: BLE001 - logged whole; an answer is owed
            _log.error("the prover broke down: %s", error, exc_info=_whole(error))
            return ProofAnswer(0, unknown=1, findings=(broken_down("proofs", error),))


def _whole(error: Exception) -> Exception | None:
    """What a log shows beside the text: nothing of an error that says itself what is wrong, such as a full disk."""
    return None if isinstance(error, SluiceError) else error


def broken_down(stage: Stage, error: Exception) -> Finding:
    """The finding of a stage that ended with an error of its own."""
    told = one_line(str(getattr(error, "message", error))) or type(error).__name__
    help_text = getattr(error, "help", "") or "what ran goes on; the log holds the whole error"
    return Finding("reload.stage_failed", Severity.ERROR, _WHOLE, f"`{stage}` could not be done: {told}", help_text)


def new_warnings(rulebook: Rulebook, active: Rulebook | None) -> list[Finding]:
    """The warnings of a rulebook in files it is made from that the active one does not have as well, wherever."""
    known = {_identity(finding) for finding in active.warnings} if active is not None else set()
    return [
        finding
        for finding in rulebook.warnings
        if finding.severity is Severity.WARNING
        and finding.span.file in rulebook.sources
        and _identity(finding) not in known
    ]


def _identity(finding: Finding) -> tuple[str, str, str]:
    """A finding without its place in the file, which moves with every line above it."""
    return finding.code, finding.span.file, finding.message


def _claims(answer: ProofAnswer) -> int:
    return answer.holds + answer.fails + answer.unknown


@dataclass(slots=True)
class _Run:
    """One candidate on its way."""

    pipeline: Pipeline
    files: Files
    active: Book | None
    stage: Stage = "load"
    version: str | None = None
    sources: str | None = None
    timings_ms: dict[Stage, float] = field(default_factory=dict)
    _since: float = 0.0

    def verdict(self) -> Verdict:
        pipeline, active = self.pipeline, self.active
        running = active.rulebook if active is not None else None
        self._since = pipeline.clock()
        try:
            rulebook = Workspace(self.files).rulebook(pipeline.profile)
        except LoadError as error:
            return self.refused(error.findings)
        self.version, self.sources = rulebook.version, rulebook.sources_digest
        if running is not None and (running.version, running.sources_digest) == (
            rulebook.version,
            rulebook.sources_digest,
        ):
            self._done()
            return Unchanged(rulebook.version, self.timings_ms)
        if pipeline.taken == (rulebook.version, rulebook.sources_digest):
            self._done()
            return Unchanged(rulebook.version, self.timings_ms, decides=False)
        self._next("check")
        minds_warnings = pipeline.minds_warnings and pipeline.gate != "none"
        if minds_warnings and (found := new_warnings(rulebook, running or pipeline.before)):
            return self.refused(found)
        self._next("compile")
        book = Book(rulebook).warm(active)
        self._next("fit")
        if pipeline.fit is not None and (unfit := list(pipeline.fit(book))):
            return self.refused(unfit)
        proofs: ProofAnswer | None = None
        tried: DryRun | None = None
        # Comments and line breaks have no meaning: nothing that was proved or decided can differ by them.
        if running is None or running.version != rulebook.version:
            comes_first = not pipeline.proofs_after_swap or rulebook.version in pipeline.unpassed
            if pipeline.prove is not None and comes_first:
                self._next("proofs")
                proofs = pipeline.proofs_of(rulebook)
            if proofs is not None and pipeline.gate == "proofs" and not proofs.passed:
                return self.refused(_findings_of(proofs), is_refuted=proofs.fails > 0)
            self._next("dry_run")
            tried = dry_run(book, pipeline.past(), active)
        self._next("keep")
        if pipeline.keep is not None:
            pipeline.keep(self.files, rulebook)
        self._done()
        findings = (*rulebook.warnings, *(proofs.findings if proofs is not None else ()))
        return Accepted(book, self.files, findings, proofs, tried, self.timings_ms)

    def refused(self, findings: Iterable[Finding], *, is_refuted: bool = False) -> Refused:
        """The verdict that says no at this stage."""
        self._done()
        return Refused(tuple(findings), self.stage, self.timings_ms, self.version, is_refuted, self.sources)

    def _next(self, stage: Stage) -> None:
        self._done()
        self.stage = stage

    def _done(self) -> None:
        now = self.pipeline.clock()
        self.timings_ms[self.stage] = (now - self._since) * 1000
        self._since = now


def unproved(answer: ProofAnswer, accepted: Accepted) -> Refused:
    """The verdict on what was accepted, where proofs that came after the swap did not pass."""
    version, sources = accepted.book.version, accepted.book.rulebook.sources_digest
    return Refused(_findings_of(answer), "proofs", accepted.timings_ms, version, answer.fails > 0, sources)


def _findings_of(answer: ProofAnswer) -> tuple[Finding, ...]:
    return answer.findings or (_unproved(answer),)


def _unproved(answer: ProofAnswer) -> Finding:
    told = f"{answer.fails} of {_claims(answer)} invariants fail, and {answer.unknown} are unknown"
    return Finding("reload.unproved", Severity.ERROR, _WHOLE, told, "`sluice check` shows them")
