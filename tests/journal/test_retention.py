from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pytest

from engine.journal import JournalError, archive, prune, read, tail, verify
from engine.journal.disk import Disk, Lock
from engine.journal.events import Event
from engine.journal.retention import Kept
from tests.journal.samples import DAY, at, outcome, probe, received, refused, written

FIRST = date(2024, 8, 8)
LAST = 20
"""The day of the last file, counted from the first."""


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def name(number: int) -> str:
    return f"{day(number)}.jsonl"


def journal(folder: Path, events: Iterable[Event] = ()) -> list[Event]:
    """A journal of 21 days with a probe a day, and some more events beside it."""
    more = list(events)
    for number in range(LAST + 1):
        own = [event for event in more if event.ts_ms < at(DAY + number + 1) and event.ts_ms >= at(DAY + number)]
        written(folder, [probe(at(DAY + number)), *own])
    return list(read(folder))


def plain(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jsonl"))


def packed(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "archive").glob("*"))


def test_old_days_are_packed_and_read_as_before(tmp_path: Path) -> None:
    before = journal(tmp_path)
    content = (tmp_path / name(0)).read_bytes()
    result = archive(tmp_path, 18, today=day(LAST))
    assert [held.day for held in result.archived] == [day(0), day(1)]
    assert result.kept == ()
    assert plain(tmp_path) == [name(number) for number in range(2, LAST + 1)]
    assert packed(tmp_path) == [f"{name(0)}.gz", f"{name(1)}.gz", "archive.lock"]
    assert gzip.decompress(result.archived[0].path.read_bytes()) == content
    assert result.archived[0].size_before == len(content)
    assert result.archived[0].size == result.archived[0].path.stat().st_size
    assert list(read(tmp_path)) == before
    assert tail(tmp_path, 1000) == before
    assert verify(tmp_path) == []
    assert archive(tmp_path, 18, today=day(LAST)).archived == ()


def test_the_same_lines_give_the_same_archive(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        journal(folder)
        archive(folder, 19, today=day(LAST))
    assert (tmp_path / f"one/archive/{name(0)}.gz").read_bytes() == (
        tmp_path / f"two/archive/{name(0)}.gz"
    ).read_bytes()


@pytest.mark.parametrize("later", [0, 3, 400])
def test_the_last_eight_days_stay_however_old_they_are(tmp_path: Path, later: int) -> None:
    journal(tmp_path)
    result = archive(tmp_path, 0, today=day(LAST + later))
    assert plain(tmp_path) == [name(number) for number in range(LAST - 7, LAST + 1)]
    old_enough = [day(number) for number in range(LAST - 7, LAST + (later > 0))]
    assert result.kept == tuple(Kept(held, "among the last 8 days") for held in old_enough)


def test_the_last_eight_days_count_from_today_where_the_market_was_ahead_of_it(tmp_path: Path) -> None:
    journal(tmp_path)
    archive(tmp_path, 0, today=day(10))
    assert plain(tmp_path)[0] == name(3)


def test_a_day_stays_until_a_later_one_begins_with_a_checkpoint(tmp_path: Path) -> None:
    journal(tmp_path)
    for number in range(4, LAST + 1):  # as if days had changed without anybody to ask
        path = tmp_path / name(number)
        path.write_bytes(path.read_bytes().partition(b"\n")[2])
    result = archive(tmp_path, 15, today=day(LAST))
    assert [held.day for held in result.archived] == [day(0), day(1), day(2)]
    assert result.kept == tuple(Kept(day(number), "no later day begins with a checkpoint") for number in (3, 4))


def test_a_day_with_an_open_intent_stays(tmp_path: Path) -> None:
    journal(
        tmp_path,
        [
            received(at(DAY + 1, 1), "done the same day"),
            outcome(at(DAY + 1, 2), "done the same day"),
            received(at(DAY + 2, 1), "done much later"),
            outcome(at(DAY + 15, 1), "done much later"),
            received(at(DAY + 3, 1), "never done"),
            refused(at(DAY + 3, 2), "never done", "duplicate_id"),
            received(at(DAY + 4, 1), "refused"),
            refused(at(DAY + 4, 2), "refused", "journal_full"),
            refused(at(DAY + 4, 3), None),
        ],
    )
    result = archive(tmp_path, 10, today=day(LAST))
    assert result.kept == (Kept(day(3), "intent `never done` is open"),)
    assert [held.day for held in result.archived] == [day(number) for number in (0, 1, 2, 4, 5, 6, 7, 8, 9)]


def test_an_intent_counts_where_its_line_stands(tmp_path: Path) -> None:
    """Its own time may lie before the day of its file."""
    journal(tmp_path)
    path = tmp_path / name(3)
    line = b'{"type":"intent","v":1,"seq":9,"ts_ms":%d,"intent_id":"late","symbol":"X","intent":{}}\n' % at(DAY + 1)
    path.write_bytes(path.read_bytes() + line)
    assert archive(tmp_path, 10, today=day(LAST)).kept == (Kept(day(3), "intent `late` is open"),)


def test_broken_lines_are_packed_byte_by_byte(tmp_path: Path) -> None:
    journal(tmp_path)
    path = tmp_path / name(0)
    content = path.read_bytes() + b"broken\n"
    path.write_bytes(content)
    archive(tmp_path, 19, today=day(LAST))
    assert gzip.decompress((tmp_path / f"archive/{name(0)}.gz").read_bytes()) == content


# --- crashes and broken disks ------------------------------------------------------------------------


class Broken(Disk):
    """Fails at the n-th call that matters."""

    def __init__(self, fails_at: int) -> None:
        self.left = fails_at

    def _step(self) -> None:
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= 1

    def sync(self, file: int) -> None:
        self._step()
        super().sync(file)

    def sync_folder(self, path: Path) -> None:
        self._step()
        super().sync_folder(path)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)


def test_wherever_it_breaks_off_no_event_is_lost_and_it_can_be_done_again(tmp_path: Path) -> None:
    for fails_at in range(5):
        folder = tmp_path / str(fails_at)
        before = journal(folder)
        with pytest.raises(JournalError, match="cannot be written: no space left on device"):
            archive(folder, 19, today=day(LAST), disk=Broken(fails_at))
        assert list(read(folder)) == before
        assert not list(folder.glob("archive/*.part"))
        archive(folder, 19, today=day(LAST))
        assert list(read(folder)) == before
        assert plain(folder)[0] == name(1)
        assert packed(folder) == [f"{name(0)}.gz", "archive.lock"]
    journal(tmp_path)
    assert archive(tmp_path, 19, today=day(LAST), disk=Broken(5)).archived, "there are no more than five such calls"


def test_what_does_not_read_back_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    class Forgetful(Disk):
        def sync(self, file: int) -> None:
            os.ftruncate(file, 30)

    before = journal(tmp_path)
    with pytest.raises(JournalError, match=r"\.part: does not read back as it was written"):
        archive(tmp_path, 19, today=day(LAST), disk=Forgetful())
    assert list(read(tmp_path)) == before
    assert packed(tmp_path) == ["archive.lock"]


@pytest.mark.parametrize("content", [gzip.compress(b"other lines\n", mtime=0), b"no archive", b""])
def test_an_archive_that_holds_something_else_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    before = journal(tmp_path)
    target = tmp_path / f"archive/{name(0)}.gz"
    target.parent.mkdir()
    target.write_bytes(content)
    with pytest.raises(JournalError, match=r"holds other lines than `.*/2024-08-08\.jsonl`"):
        archive(tmp_path, 19, today=day(LAST))
    assert target.read_bytes() == content
    assert list(read(tmp_path)) == before


def test_one_archives_at_a_time(tmp_path: Path) -> None:
    journal(tmp_path)
    (tmp_path / "archive").mkdir()
    lock = Lock(tmp_path / "archive", "archive.lock", "packed")
    with pytest.raises(JournalError, match=f"is being packed by process {os.getpid()}"):
        archive(tmp_path, 19, today=day(LAST))
    lock.release()
    assert archive(tmp_path, 19, today=day(LAST)).archived


def test_an_archive_that_cannot_be_made_is_an_error_with_its_place(tmp_path: Path) -> None:
    journal(tmp_path)
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(JournalError, match="archive: cannot be written: "):
        archive(tmp_path, 19, today=day(LAST))


# --- prune -------------------------------------------------------------------------------------------


def test_pruning_lists_first_and_removes_when_told(tmp_path: Path) -> None:
    before = journal(tmp_path)
    archive(tmp_path, 12, today=day(LAST))
    expected = [tmp_path / f"archive/{name(number)}.gz" for number in range(3)]
    assert prune(tmp_path, 17, today=day(LAST)) == expected
    assert list(read(tmp_path)) == before
    assert prune(tmp_path, 17, today=day(LAST), dry_run=False) == expected
    assert list(read(tmp_path)) == [event for event in before if event.ts_ms >= at(DAY + 3)]
    assert verify(tmp_path) == []
    assert prune(tmp_path, 17, today=day(LAST), dry_run=False) == []


def test_pruning_leaves_what_is_not_archived_and_what_is_recent(tmp_path: Path) -> None:
    journal(tmp_path)
    assert prune(tmp_path, 0, today=day(LAST), dry_run=False) == []
    archive(tmp_path, 0, today=day(LAST))
    for number in range(16, LAST + 1):  # as if somebody had taken away the last days
        (tmp_path / name(number)).unlink()
    prune(tmp_path, 0, today=day(100), dry_run=False)
    assert packed(tmp_path)[:-1] == [f"{name(number)}.gz" for number in range(8, 13)]


def test_nothing_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert archive(tmp_path / "nowhere", 0, today=FIRST).archived == ()
    assert prune(tmp_path / "nowhere", 0, today=FIRST, dry_run=False) == []
    assert not (tmp_path / "nowhere").exists()
