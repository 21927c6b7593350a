"""What decides, what was tried and what ran before, as people read it: `sluice status` and `sluice history`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from engine.printing import ago, counted, lasting, print_wrapped, printable
from engine.reload.history import Span
from engine.reload.status import CandidateStatus, Status, Unavailable, is_running

_LABEL, _TIME = 11, 19
_GATES = {
    "findings": "findings: invariants are not proved",
    "none": "none: invariants are not proved, and new warnings keep nothing out",
}
_BEGAN = {"start": "a session began", "last_good": "a session began on the last good rulebook"}


def print_status(console: Console, status: Status, now_ms: int) -> None:
    """The rulebook in force, the last change, and the candidate."""
    runs = is_running(status)
    head = Text.assemble((status.profile, "bold"), f" {status.version} {'decides' if runs else 'decided last'}")
    console.print(head)
    if not runs:
        told = "without a word" if status.ended_ms is None else ago((now_ms - status.ended_ms) / 1000)
        _line(console, "ended", f"no session runs: process {status.process} ended {told}", "bold yellow")
    how = f": {status.how}" if status.how else ""
    since = f"{_time(status.since_ms)} UTC ({ago((now_ms - status.since_ms) / 1000)}){how}"
    _line(console, "since", f"{since}{_by(status.who)}")
    _line(console, "from", status.came_from or _origin(status, now_ms))
    _print_origin(console, status, now_ms)
    if status.gate:
        _line(console, "gate", gate_line(status.gate))
    if status.last_good:
        is_home = Path(status.origin).is_absolute()
        what = "the files were refused" if is_home else "the address gave nothing that may decide"
        which = f"{status.passed_over}: one from before it stands in" if status.passed_over else ""
        text = f"{what} at the start: {which or 'this is the last good rulebook'}"
        _line(console, "WARNING", text, "bold red")
    if status.unavailable is not None:
        trouble = status.unavailable
        if not runs and trouble.next_ms is not None:  # nobody asks any more
            trouble = replace(trouble, next_ms=None, help="")
        _print_unavailable(console, trouble, now_ms)
    if status.watching:
        _line(console, "WARNING", f"changes or requests may go unnoticed: {status.watching}", "bold yellow")
    if status.unwritten:
        _line(console, "WARNING", f"a later start will not know all of this: {status.unwritten}", "bold yellow")
    attempt = status.attempt
    if attempt is not None:
        style = "bold red" if attempt.verdict == "refused" else ""
        when = f"{attempt.verdict} {ago((now_ms - attempt.at_ms) / 1000)}"
        # The line of a refusal is its first finding, which follows in full.
        told = attempt.taken_back if attempt.findings else attempt.line
        _line(console, "last change", f"{when}: {told}" if told else when, style)
        for finding in attempt.findings:
            where = f"{finding.place}: " if finding.place else ""
            text = f"{where}{finding.message} [{finding.code}]"
            print_wrapped(console, Text(f"{'':<{_LABEL}}  {printable(text)}"), hanging=_LABEL + 4)
            if finding.help:
                print_wrapped(console, Text(f"{'':<{_LABEL}}    {printable(finding.help)}", "dim"), hanging=_LABEL + 6)
        if attempt.more_findings:
            _line(console, "", f"… and {attempt.more_findings} more: `sluice check` lists them")
        if attempt.timings_ms:
            stages = ", ".join(f"{stage} {taken:g}" for stage, taken in attempt.timings_ms.items())
            _line(console, "took (ms)", stages)
    if status.candidate is not None:
        _print_candidate(console, status.candidate, now_ms)


def gate_line(gate: str) -> str:
    """A gate by its name, with what it leaves unproved."""
    return _GATES.get(gate, gate)


def _print_origin(console: Console, status: Status, now_ms: int) -> None:
    """The home, or the address, where something else decides than it has, or something that came from elsewhere."""
    is_home = Path(status.origin).is_absolute()
    label = "files" if is_home else "address"
    attempt = status.attempt
    is_refused = attempt is not None and attempt.verdict == "refused"  # which says what they have
    if status.offered is not None and status.offered != status.version and not is_refused:
        when = "the next change or start goes by them" if is_home else "the next bundle or start goes by it"
        told = f"{_origin(status, now_ms)}: another version, {status.offered}; {when}"
        _line(console, label, told, "bold yellow")
    elif status.came_from:
        _line(console, label, _origin(status, now_ms))


def _print_unavailable(console: Console, trouble: Unavailable, now_ms: int) -> None:
    _line(console, "WARNING", trouble.what, "bold red")
    told = f"{counted(trouble.times, 'time')} in a row, " if trouble.next_ms is not None or trouble.times > 1 else ""
    told += f"since {_time(trouble.since_ms)} UTC ({ago((now_ms - trouble.since_ms) / 1000)})"
    if trouble.next_ms is not None:
        told += f"; asked again in {lasting(max(trouble.next_ms - now_ms, 0) / 1000)}"
    _line(console, "", told)
    if trouble.help:
        _line(console, "", trouble.help, "dim")


def _print_candidate(console: Console, candidate: CandidateStatus, now_ms: int) -> None:
    told = {
        "shadow": "is tried beside it",
        "partial": f"decides for {', '.join(candidate.symbols)}",
        "ended": "is no longer tried",
        "promoted": "took over",
        "returned": "was taken back",
    }.get(candidate.state, candidate.state)
    reason = f": {candidate.reason}" if candidate.reason else ""
    since = f" ({ago((now_ms - candidate.since_ms) / 1000)})" if candidate.since_ms is not None else ""
    _line(console, "candidate", f"{candidate.profile} {candidate.version} {told}{since}{reason}")
    if candidate.state not in ("shadow", "partial"):
        return
    for name, value in candidate.facts.items():
        _line(console, "", f"{name} {value:g}")
    for title, counts in (("otherwise", candidate.by_name), ("by rule", candidate.by_rule)):
        if counts:
            _line(console, title, ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    for example in candidate.examples:
        _line(console, "", f"for example {example}")


def print_history(console: Console, spans: Sequence[Span], profile: str | None, *, runs: bool = True) -> None:
    """Two lines a span, newest last, in UTC. `runs`: whether a session still decides by the last one."""
    if not spans:
        console.print(Text(f"no rulebook {f'of {profile} ' if profile else ''}ran here yet"))
        return
    for span in spans:
        entry = span.entry
        open_end = "now" if span.state(runs=runs) == "running" else "it was killed"
        until = _time(span.until_ms) if span.until_ms is not None else open_end
        head = Text.assemble(
            f"{_time(entry.at_ms)} to {until:<{_TIME}}  ",
            (f"{entry.profile} {entry.version}", "bold"),
            f"  {entry.how}",
        )
        print_wrapped(console, head, hanging=4)
        made = f"; {counted(span.decisions, 'decision')}" if span.decisions is not None else ""
        ended = f"; {span.ended}" if span.ended else ""
        told = f"{entry.changed or _BEGAN.get(entry.how, 'as it was')}{_by(entry.who)}{made}{ended}"
        print_wrapped(console, Text(f"    {printable(told)}", "dim"), hanging=6)


def _origin(status: Status, now_ms: int) -> str:
    text = status.origin
    if status.sequence is not None:
        text += f", bundle {status.sequence}"
    if status.confirmed_ms is not None:
        text += f", confirmed {ago((now_ms - status.confirmed_ms) / 1000)}"
    return text


def _line(console: Console, label: str, text: str, style: str = "") -> None:
    print_wrapped(console, Text.assemble(f"{label:<{_LABEL}}  ", (printable(text), style)), hanging=_LABEL + 2)


def _by(who: str) -> str:
    return f", by {printable(who)}" if who else ""


def _time(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # the file may have been written by anybody
        return f"{at_ms} ms"
