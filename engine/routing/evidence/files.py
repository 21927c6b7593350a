"""The contract files under `logs/`: views of the journal that dashboards read, and never the record itself.

    logs/execution/route_decisions.jsonl    each `Routed` event, as it stands in the journal
    logs/execution/router_metrics.jsonl     each outcome, as `contract.RouterMetrics`
    logs/router_health.jsonl                each snapshot, as `contract.RouterHealth`
    logs/state/*.json                       the last snapshot: `contract.STATE_FILES`, all of one tick

In: events as the journal numbered them. Out: files. `see` only takes events in; `flush` writes, and may run in a thread
of its own. A disk that takes nothing stops nobody: what could not be written waits and is tried again, and is reported
once.

After a crash, open the files with the journal's last number and hand in all its events: what was written stays, what is
missing is written, and the state files are those of the last snapshot.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from engine.journal.events import Checkpoint, Event, Outcome, Routed, Snapshot, Tuned
from engine.routing.evidence.contract import STATE_FILES
from engine.routing.evidence.line_file import BehindError, LineFile, seq_of
from engine.routing.evidence.metrics import Metrics
from engine.routing.evidence.state_files import STATE, write_together
from engine.routing.views import Handlers, View

ROUTE_DECISIONS = Path("execution", "route_decisions.jsonl")
ROUTER_METRICS = Path("execution", "router_metrics.jsonl")
ROUTER_HEALTH = Path("router_health.jsonl")

LINE_FILES = (ROUTE_DECISIONS, ROUTER_METRICS, ROUTER_HEALTH)

_REBUILT = ".rebuilt"
_EVENTS_A_FLUSH = 10_000


def _say_nothing(_: str) -> None:
    pass


class ContractFiles(View):
    """The files of one `logs` folder.

    `last_seq` is the number of the journal's last event as it is opened: lines beyond it the journal has lost (in a
    power loss), so they are cut off. `report` gets a line when something cannot be written, and when it can again.
    """

    def __init__(self, logs: Path, last_seq: int, report: Callable[[str], object] = _say_nothing) -> None:
        self.trouble = ""
        """Why files are behind the journal; empty while they are not."""
        self._decisions, self._metrics, self._health = (LineFile(logs / path, last_seq) for path in LINE_FILES)
        self._state = logs / STATE
        self._report = report
        self._fold = Metrics()
        self._snapshot: Snapshot | None = None
        self._written: Snapshot | None = None
        self._flushing = threading.Lock()
        self.handlers: Handlers = {
            Routed: self._see_routed,
            Snapshot: self._see_snapshot,
            Outcome: self._see_outcome,
            Tuned: self._fold.tune,
            Checkpoint: self._fold.restore,
        }

    def see(self, event: Event) -> None:
        """Take the next event, as the journal numbered it."""
        assert event.seq, "what has no number in the journal cannot be told from what was written before"
        super().see(event)

    def flush(self) -> None:
        """Write what waits, and the state files of the last snapshot. Whatever a disk has against it is reported."""
        with self._flushing:
            writes = (self._decisions.write, self._metrics.write, self._health.write, self._write_state)
            said = dict.fromkeys(filter(None, map(self._attempt, writes)))
            before, self.trouble = self.trouble, "; ".join(said)
        if self.trouble and not before:
            self._report(f"{self.trouble}; files under logs/ fall behind the journal, the router goes on")
        elif before and not self.trouble:
            self._report("files under logs/ are up to date again")

    def _see_routed(self, event: Routed) -> None:
        self._fold.route(event)
        if self._decisions.wants(event.seq):
            self._decisions.add(event.seq, msgspec.json.encode(event))

    def _see_outcome(self, event: Outcome) -> None:
        line = self._fold.end(event)
        if self._metrics.wants(event.seq):
            self._metrics.add(event.seq, msgspec.json.encode(line))

    def _see_snapshot(self, event: Snapshot) -> None:
        if event.views.keys() >= set(STATE_FILES):
            self._snapshot = event
            if self._health.wants(event.seq):
                self._health.add(event.seq, _router_health(event))

    def _attempt(self, write: Callable[[], None]) -> str:
        """Try it; what went wrong, in words."""
        try:
            write()
        except OSError as error:
            return f"`{error.filename or self._state}` cannot be written: {(error.strerror or str(error)).lower()}"
        except BehindError as error:
            return str(error)
        return ""

    def _write_state(self) -> None:
        snapshot = self._snapshot
        if snapshot is None or snapshot is self._written:
            return
        texts = {name: bytes(snapshot.views[name]) for name in STATE_FILES}
        write_together(self._state, {**texts, "router_health": _router_health(snapshot)})
        self._written = snapshot


def rebuild(logs: Path, events: Iterable[Event]) -> None:
    """Write all files anew from the events of a journal, while no router runs.

    Where the journal begins later than the files, since earlier days were taken away, their lines from before stay.

    Raises:
        OSError: if something cannot be written; the line files are then as they were.

    """
    beside = logs / _REBUILT
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _write_anew(logs, beside, events)
        for path in LINE_FILES:
            (logs / path).parent.mkdir(parents=True, exist_ok=True)
            (beside / path).replace(logs / path)
        _replace_state(logs / STATE, beside / STATE)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_anew(logs: Path, beside: Path, events: Iterable[Event]) -> None:
    files: ContractFiles | None = None
    for event in events:
        if files is None:
            for path in LINE_FILES:
                _copy_before(logs / path, beside / path, event.seq)
            files = ContractFiles(beside, event.seq - 1)
        files.see(event)
        if event.seq % _EVENTS_A_FLUSH == 0:
            files.flush()
    files = files or ContractFiles(beside, 0)  # which makes empty ones
    files.flush()
    if files.trouble:
        raise OSError(files.trouble)


def _replace_state(state: Path, fresh: Path) -> None:
    if fresh.is_dir():
        write_together(state, {name: (fresh / f"{name}.json").read_bytes() for name in STATE_FILES})
        return
    for name in STATE_FILES:  # the journal knows no snapshot, so what they say was made of nothing
        (state / f"{name}.json").unlink(missing_ok=True)


def _router_health(snapshot: Snapshot) -> bytes:
    """The view as its files have it: with the number of the event, and the symbols under both names."""
    held = msgspec.json.decode(snapshot.views["router_health"], type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**held, "seq": snapshot.seq, "per_symbol": held["symbols"]})


def _copy_before(source: Path, target: Path, seq: int) -> None:
    """Copy the lines of events before a number."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.exists():
        return
    with source.open("rb") as lines, target.open("wb") as kept:
        for line in lines:
            number = seq_of(line)
            if number is not None and number < seq:
                kept.write(line)
