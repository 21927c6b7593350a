"""Old days of a journal: packed into its archive, and in the end taken away.

In: the folder, an age, and today's date. Out: what was done, and what was kept and why.

A day is archived only if no router needs it at its start: the last eight days stay, since effectiveness looks seven
days back; a later day must begin with a checkpoint; and no intent that came on that day may be open. An archived day is
read like any other. Only what is archived can be pruned.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

from engine.journal.disk import Disk, Lock, make_folder
from engine.journal.errors import JournalError
from engine.journal.events import DUPLICATE_ID, Checkpoint, IntentReceived, IntentRefused, Outcome
from engine.journal.folder import ARCHIVE, BLOCK_BYTES, DayFile, archived_path, day_files
from engine.journal.lines import HEAD, tags_of
from engine.journal.reader import read_file

KEPT_DAYS = 8
"""So many of the last days always stay as they are."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A day that was packed."""

    day: date
    path: Path
    size_before: int
    """Bytes."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A day that is old enough and stays all the same."""

    day: date
    reason: str


@dataclass(frozen=True, slots=True)
class Archiving:
    """What `archive` did, by day."""

    archived: tuple[Archived, ...]
    kept: tuple[Kept, ...]


def archive(folder: Path, older_than_days: int, today: date, *, disk: Disk | None = None) -> Archiving:
    """Pack every day that is more than so many days old, and remove its file once the packed one was read back.

    Raises `JournalError` where a file cannot be read or written, where the archive holds something else of the same
    day, and where another process is archiving; a day is either done or untouched then.
    """
    disk = Disk() if disk is None else disk
    files = day_files(folder, archived=False)
    old = [file for file in files if (today - file.day).days > older_than_days]
    if not old:
        return Archiving((), ())
    try:
        make_folder(folder / ARCHIVE, disk)
        lock = Lock(folder / ARCHIVE, "archive.lock", "packed")
    except OSError as error:
        raise _failed(folder / ARCHIVE, error) from error
    try:
        reasons = _reasons_to_keep(files, old, today)
        done = [_archive_day(folder, file, disk) for file in old if file.day not in reasons]
    finally:
        lock.release()
    return Archiving(tuple(done), tuple(Kept(day, reason) for day, reason in reasons.items()))


def prune(folder: Path, older_than_days: int, today: date, *, dry_run: bool = True) -> list[Path]:
    """The archived days that are more than so many days old, oldest first; removed unless `dry_run`.

    Raises `JournalError` where one cannot be removed; those before it are gone then.
    """
    files = day_files(folder, archived=True)
    recent = _recent(files, today)
    found = [
        file.path
        for file in files
        if file.is_archived and (today - file.day).days > older_than_days and file.day < recent
    ]
    if not dry_run:
        for path in found:
            try:
                path.unlink()
            except OSError as error:
                raise _failed(path, error) from error
    return found


def _reasons_to_keep(files: list[DayFile], old: list[DayFile], today: date) -> dict[date, str]:
    """Why days that are old enough have to stay; whoever is not named may go."""
    recent = _recent(files, today)
    checkpoints = [file.day for file in files if _begins_with_checkpoint(file)]
    last_checkpoint = max(checkpoints, default=date.min)
    open_intents = _open_intents(file for file in files if file.day >= old[0].day)
    reasons: dict[date, str] = {}
    for file in old:
        if file.day >= recent:
            reasons[file.day] = f"among the last {KEPT_DAYS} days"
        elif file.day >= last_checkpoint:
            reasons[file.day] = "no later day begins with a checkpoint"
        elif file.day in open_intents:
            reasons[file.day] = f"intent `{open_intents[file.day]}` is open"
    return reasons


def _recent(files: Iterable[DayFile], today: date) -> date:
    """The first of the last days: counted from today, or from the last day there is if that is earlier."""
    last = max((file.day for file in files), default=today)
    return min(last, today) - timedelta(days=KEPT_DAYS - 1)


def _begins_with_checkpoint(file: DayFile) -> bool:
    with file.open() as stream:
        head = HEAD.match(stream.readline())
    return head is not None and head[1] in tags_of([Checkpoint])


def _open_intents(files: Iterable[DayFile]) -> dict[date, str]:
    """Days with an intent that has neither outcome nor refusal to this day, and the first such intent of each.

    Lines that say no event are left to `read` to report: packing keeps them byte by byte.
    """
    open_since: dict[str, date] = {}
    for file in files:
        for event in read_file(file, types=(IntentReceived, IntentRefused, Outcome), on_bad=lambda _: None):
            match event:
                case IntentReceived(intent_id=intent_id):
                    open_since.setdefault(intent_id, file.day)
                case IntentRefused(intent_id=str(intent_id), code=code) if code != DUPLICATE_ID:
                    open_since.pop(intent_id, None)
                case Outcome(intent_id=intent_id):
                    open_since.pop(intent_id, None)
                case _:
                    pass
    found: dict[date, str] = {}
    for intent_id, day in open_since.items():
        found.setdefault(day, intent_id)
    return found


def _archive_day(folder: Path, file: DayFile, disk: Disk) -> Archived:
    target = archived_path(folder, file.day)
    part = target.with_name(f"{target.name}.part")
    try:
        with file.path.open("rb") as plain:
            digest = _digest(plain)
        if not target.exists():
            _pack(file.path, part, disk)
            _compare(
                part, digest, "does not read back as it was written", "see whether the disk is sound, and try again"
            )
            part.rename(target)
            disk.sync_folder(target.parent)
        else:  # left by a crash before the plain file was removed, or put there by somebody
            _compare(target, digest, f"holds other lines than `{file.path}`", "move one of the two out of the journal")
        sizes = file.path.stat().st_size, target.stat().st_size
        disk.remove(file.path)
        disk.sync_folder(folder)
    except OSError as error:
        raise _failed(target, error) from error
    finally:
        part.unlink(missing_ok=True)
    return Archived(file.day, target, *sizes)


def _pack(plain: Path, packed: Path, disk: Disk) -> None:
    """Write the packed file, the same bytes for the same lines, and wait until it is on the medium."""
    with plain.open("rb") as source, packed.open("wb") as target:
        with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as stream:
            shutil.copyfileobj(source, stream, BLOCK_BYTES)
        target.flush()
        disk.sync(target.fileno())


def _compare(packed: Path, digest: bytes, message: str, help_text: str) -> None:
    try:
        with gzip.open(packed, "rb") as stream:
            is_same = _digest(stream) == digest
    except (gzip.BadGzipFile, EOFError, zlib.error):
        is_same = False
    if not is_same:
        raise JournalError(packed, None, message, help_text)


def _digest(stream: BinaryIO | gzip.GzipFile) -> bytes:
    digest = hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
    return digest.digest()


def _failed(path: Path, error: OSError) -> JournalError:
    reason = (error.strerror or str(error)).lower()
    return JournalError(
        path, None, f"cannot be written: {reason}", "see that there is room and the folder may be written to"
    )
