"""What a session decides by, and what became of the last change: a file that `sluice status` shows.

logs/reload/status.json    written by the session at every verdict; a view, which nothing is rebuilt from
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec

from engine.language.findings import Finding, one_line
from engine.reload.disk import what_helps, write_whole
from engine.reload.errors import ReloadError
from engine.reload.last_good import RELOAD
from engine.reload.pipeline import Accepted, Refused, Unchanged, Verdict

_FILE = "status.json"
MOST_FINDINGS = 20
"""Findings of a refusal that are written down."""


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A finding, as far as a status shows it."""

    code: str
    place: str
    """`file:line:column`; empty where it is about no file."""
    message: str
    help: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one change."""

    at_ms: int
    verdict: str
    """`accepted`, `refused` or `unchanged`."""
    line: str
    version: str | None = None
    timings_ms: dict[str, float] = {}
    findings: list[Noted] = []
    """The first `MOST_FINDINGS`."""
    more_findings: int = 0
    """How many there are beside these."""
    taken_back: str = ""
    """Of what decided before its proofs: which version did, and for how long; empty where nothing was taken back."""


class Unavailable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The home, or the address, gives nothing that could decide."""

    what: str
    help: str
    since_ms: int
    times: int = 1
    """Polls of the address in a row that failed."""
    next_ms: int | None = None
    """When the address is asked again; None for a home, whose return is noticed at once."""


class CandidateStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate, and how it differs from what is in force."""

    state: str
    """`shadow`, `partial`, `ended`, `promoted`, `returned`."""
    profile: str
    version: str
    since_ms: int | None = None
    """When it came into this state, by the clock of the system; None where nobody said."""
    symbols: list[str] = []
    """For which it decides."""
    reason: str = ""
    facts: dict[str, float] = {}
    """What the policy `rollout` sees of it."""
    by_name: dict[str, int] = {}
    """Decisions that came out otherwise, by `policy.name`."""
    by_rule: dict[str, int] = {}
    examples: list[str] = []


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session decides by."""

    profile: str
    version: str
    sources: str
    generation: int
    since_ms: int
    """When this rulebook was put in force."""
    how: str = ""
    """By what, as `history.How` has it; empty where nobody said."""
    process: int
    """Which decides."""
    origin: str
    """The home, or the address of the bundles."""
    came_from: str = ""
    """Where what decides came from; empty where that is `origin`."""
    offered: str | None = None
    """The version that `origin` had when it was last looked at; None for what makes none."""
    gate: str = ""
    """What keeps a change out, as `pipeline.Gate` has it; empty where nobody said."""
    who: str = ""
    began: str = ""
    """When the process began, as its system counts, since others get its number later; empty where nobody said."""
    host: str = ""
    """Where the process is; empty where nobody said."""
    ended_ms: int | None = None
    """When the session ended in good order; None before that."""
    last_good: bool = False
    """Whether it stands in for files that were refused at the start."""
    passed_over: str = ""
    """Of what stands in: why what ran last does not; empty where it does."""
    sequence: int | None = None
    confirmed_ms: int | None = None
    """When the address last said that this is what it has; None for a folder."""
    unavailable: Unavailable | None = None
    """What is wrong with the home or the address; None where rules can be had from it."""
    polls: dict[str, int] = {}
    """How often the address gave each of `remote.PollResult` since this session began."""
    watching: str = ""
    """Why changes or requests are noticed late or not at all; empty where all is well."""
    unwritten: str = ""
    """What of this a disk did not take, and why: a later start does not know it. Empty where it took all."""
    attempt: Attempt | None = None
    candidate: CandidateStatus | None = None


def attempt_of(verdict: Verdict, at_ms: int) -> Attempt:
    """What a status says of a verdict."""
    timings: dict[str, float] = {stage: round(taken, 2) for stage, taken in verdict.timings_ms.items()}
    match verdict:
        case Accepted():
            return Attempt(
                at_ms=at_ms, verdict="accepted", line=verdict.line, version=verdict.book.version, timings_ms=timings
            )
        case Unchanged():
            told = "it is what decided already" if verdict.decides else "it is as it was: what decides stays"
            return Attempt(at_ms=at_ms, verdict="unchanged", line=told, version=verdict.version, timings_ms=timings)
        case Refused():
            return Attempt(
                at_ms=at_ms,
                verdict="refused",
                line=verdict.line,
                version=verdict.version,
                timings_ms=timings,
                findings=[_noted(finding) for finding in verdict.findings[:MOST_FINDINGS]],
                more_findings=max(len(verdict.findings) - MOST_FINDINGS, 0),
            )


def _noted(finding: Finding) -> Noted:
    place = str(finding.span) if finding.span.file != "." else ""
    return Noted(code=finding.code, place=place, message=finding.message, help=finding.help)


def is_running(status: Status) -> bool:
    """Whether a session still decides. One of another host is believed to, as long as it did not say that it ended."""
    if status.ended_ms is not None:
        return False
    if status.host not in ("", socket.gethostname()):
        return True
    if status.process <= 0:  # no process: the system takes these for groups of them
        return False
    try:
        os.kill(status.process, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):  # or no number that a process can have
        return False
    except PermissionError:  # somebody else's
        pass
    state, began = _looked_up(status.process)
    # One that waits to be buried is over, though its parent may never ask, as a container's first one.
    return state != "Z" and (not status.began or not began or began == status.began)


def began(process: int) -> str:
    """When a process of this host began, in a form that only serves to compare; empty where the system does not say."""
    return _looked_up(process)[1]


def _looked_up(process: int) -> tuple[str, str]:
    """The state of a process, and the tick of the system's clock at which it began; both empty where nobody says."""
    try:
        held = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "", ""
    fields = held.rpartition(")")[2].split()  # from the third on: see proc_pid_stat(5)
    return fields[0], fields[19]


def write_status(logs: Path, status: Status) -> None:
    """Write the status of a session. Raises `ReloadError` if it cannot be written."""
    path = logs / RELOAD / _FILE
    try:
        write_whole(path, msgspec.json.format(msgspec.json.encode(status), indent=2) + b"\n")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReloadError(f"`{path}` cannot be written: {reason}", what_helps(error)) from error


def read_status(logs: Path) -> Status:
    """The status that a session wrote last.

    Raises:
        ReloadError: where there is none, and for a file that is none.

    """
    path = logs / RELOAD / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except FileNotFoundError:
        raise ReloadError(
            f"there is no `{path}`", "`sluice run --reload` writes it; name its folder with --logs"
        ) from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        told = one_line(str(getattr(error, "strerror", None) or error))
        help_text = f"look at it, and move `{path}` away: a session that reloads writes it anew"
        raise ReloadError(f"`{path}` cannot be read: {told}", help_text) from error
