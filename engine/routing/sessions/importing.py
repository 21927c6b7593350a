"""Effectiveness of a file taken over into a journal, for a session that goes on from it.

In: a telemetry file and the logs of a session with a venue in another process, or none yet. Out: `Imported` events in
the journal, one a symbol. They stand at the journal's last moment; samples keep their own times, so they age.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.journal.reader import tail
from engine.journal.writer import ALWAYS, Journal
from engine.routing.sessions.start import JOURNAL, refuse_replay
from engine.routing.telemetry import Telemetry, imported, load_samples


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was imported."""

    telemetry: Telemetry
    folder: Path
    """Of the journal."""
    ts_ms: int
    """When it counts as imported."""


def import_telemetry(logs: Path, path: Path) -> TakenOver:
    """Write the samples of a file into the journal of a session that is not running.

    Raises:
        TelemetryError: for a file that cannot be used.
        StartError: for the journal of a replay, which no session goes on from.
        JournalError: for a journal that cannot be written, or that a session is writing.

    """
    telemetry = load_samples(path)
    folder = logs / JOURNAL
    refuse_replay(folder)
    with Journal(folder, fsync=ALWAYS) as journal:
        ended = tail(folder, 1)
        ts_ms = ended[0].ts_ms if ended else telemetry.header.exported_ms
        for event in imported(telemetry.samples, telemetry.name, ts_ms):
            journal.add(event)
        journal.commit()
    return TakenOver(telemetry, folder, ts_ms)
