"""A disk that takes nothing more: nothing half-written stays, nothing added is lost, and writing goes on by itself."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.journal import ALWAYS, NEVER, FsyncPolicy, Journal, JournalUnwritableError, read
from tests.journal.disks import CountingDisk, FragileDisk, FullDisk, Later
from tests.journal.samples import DAY, at, checkpoint, lines, order, probe

TODAY = "2024-08-08.jsonl"
PLENTY = 1 << 30
NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO]


def is_writable(journal: Journal) -> bool:
    """Asked anew each time, which mypy does not expect of a property."""
    return journal.is_writable


def seqs(folder: Path) -> list[int]:
    return [event.seq for event in read(folder)]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_write_that_fails_is_said_once_and_tried_again_at_every_commit(tmp_path: Path, number: int) -> None:
    disk = FullDisk(PLENTY, number)
    with Journal(tmp_path, fsync=NEVER, disk=disk) as journal:
        journal.add(probe())
        assert journal.commit()
        before = (tmp_path / TODAY).read_bytes()

        disk.room = 30  # the next group does not fit, part of it does
        journal.add(order())
        journal.add(probe())
        with pytest.raises(JournalUnwritableError) as caught:
            journal.commit()
        assert caught.value.message == f"cannot be written: {os.strerror(number).lower()}"
        assert caught.value.path == tmp_path / TODAY
        assert not is_writable(journal)
        assert (tmp_path / TODAY).read_bytes() == before

        disk.room = 0
        journal.add(order())
        assert not journal.commit()
        assert not journal.commit()
        assert (tmp_path / TODAY).read_bytes() == before

        disk.room = PLENTY
        journal.add(probe())
        assert journal.commit()
        assert is_writable(journal)
        assert journal.waiting_bytes == 0
        assert seqs(tmp_path) == [1, 2, 3, 4, 5]

        disk.room = 0
        journal.add(probe())
        with pytest.raises(JournalUnwritableError):
            journal.commit()
        disk.room = PLENTY
    assert seqs(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_a_write_that_is_taken_in_pieces_is_whole_all_the_same(tmp_path: Path) -> None:
    class Grudging(CountingDisk):
        def write(self, file: int, content: bytes | memoryview, offset: int) -> int:
            return super().write(file, content[:100], offset)

    disk = Grudging()
    with Journal(tmp_path, fsync=NEVER, disk=disk) as journal:
        journal.add(order())
        assert journal.commit()
    assert disk.count("write") == 3
    assert seqs(tmp_path) == [1]


def test_a_write_that_takes_nothing_is_a_failure_and_no_endless_loop(tmp_path: Path) -> None:
    class Deaf(FullDisk):
        def write(self, file: int, content: bytes | memoryview, offset: int) -> int:
            return super().write(file, content, offset) if self.room else 0

    disk = Deaf(0)
    (tmp_path / TODAY).touch()
    with Journal(tmp_path, fsync=NEVER, disk=disk) as journal:
        journal.add(probe())
        disk.room = 1
        with pytest.raises(JournalUnwritableError):
            journal.commit()
        disk.room = PLENTY
    assert seqs(tmp_path) == [1]


def test_what_cannot_be_cut_off_again_is_written_over(tmp_path: Path) -> None:
    disk = FullDisk(PLENTY)
    with Journal(tmp_path, fsync=NEVER, disk=disk) as journal:
        journal.add(probe())
        journal.commit()
        disk.room, disk.can_truncate = 30, False
        journal.add(order())
        with pytest.raises(JournalUnwritableError):
            journal.commit()
        assert len((tmp_path / TODAY).read_bytes().rpartition(b"\n")[2]) == 30
        assert seqs(tmp_path) == [1], "readers pass over it"
        disk.room = PLENTY
        assert journal.commit()
    assert seqs(tmp_path) == [1, 2]


def test_a_day_that_changes_while_the_disk_is_full_begins_with_its_checkpoint(tmp_path: Path) -> None:
    disk = FullDisk(0)
    with Journal(tmp_path, fsync=ALWAYS, disk=disk, checkpoint=checkpoint) as journal:
        journal.add(probe())
        with pytest.raises(JournalUnwritableError):
            journal.commit()
        assert list(tmp_path.glob("*.jsonl")) == []
        for day in (1, 2):
            journal.add(probe(at(DAY + day)))
            assert not journal.commit()
        disk.room = PLENTY
        assert journal.commit()
    assert [len(lines(path)) for path in sorted(tmp_path.glob("*.jsonl"))] == [1, 2, 2]
    assert [type(event).__name__ for event in read(tmp_path)][1:3] == ["Checkpoint", "ProbeGranted"]


def test_closing_on_a_full_disk_says_that_events_are_lost(tmp_path: Path) -> None:
    disk = FullDisk(PLENTY)
    journal = Journal(tmp_path, fsync=NEVER, disk=disk)
    journal.add(probe())
    journal.commit()
    journal.add(probe())
    disk.room = 5
    with pytest.raises(JournalUnwritableError, match=r"\d\d bytes of events are lost: no space left on device"):
        journal.close()
    assert seqs(tmp_path) == [1]
    Journal(tmp_path, fsync=NEVER).close()


def test_closing_on_a_full_disk_syncs_what_was_committed(tmp_path: Path) -> None:
    class Full(FragileDisk):
        is_full = False

        def write(self, file: int, content: bytes | memoryview, offset: int) -> int:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(file, content, offset)

    disk = Full()
    journal = Journal(tmp_path, fsync=FsyncPolicy(1e9), disk=disk)
    journal.add(probe())
    assert journal.commit()
    disk.is_full = True
    journal.add(probe())
    with pytest.raises(JournalUnwritableError, match="bytes of events are lost"):
        journal.close()
    disk.lose_power(tmp_path)
    assert seqs(tmp_path) == [1]


def test_a_sync_that_failed_is_not_repeated_but_the_bytes_are_written_again(tmp_path: Path) -> None:
    disk = FragileDisk()
    journal = Journal(tmp_path, fsync=ALWAYS, disk=disk)
    journal.add(probe())
    journal.commit()
    disk.broken = True
    journal.add(order())
    with pytest.raises(JournalUnwritableError, match="cannot be written: input/output error"):
        journal.commit()
    assert not is_writable(journal)
    journal.add(order())
    assert not journal.commit()

    disk.broken = False
    assert journal.commit()
    disk.lose_power(tmp_path)
    assert seqs(tmp_path) == [1, 2, 3]
    journal.close()


@pytest.mark.parametrize("policy", [ALWAYS, NEVER])
def test_a_new_file_whose_entry_could_not_be_synced_is_made_anew(tmp_path: Path, policy: FsyncPolicy) -> None:
    disk = FragileDisk()
    journal = Journal(tmp_path, fsync=policy, disk=disk)
    journal.add(probe())
    disk.broken = True
    with pytest.raises(JournalUnwritableError):
        journal.commit()
    assert not journal.commit()
    assert list(tmp_path.glob("*.jsonl")) == []
    disk.broken = False
    assert journal.commit()
    disk.lose_power(tmp_path)
    assert [path.name for path in tmp_path.glob("*.jsonl")] == [TODAY]
    journal.close()


def test_a_sync_beside_the_writer_that_failed_is_noticed_by_the_next_commit(tmp_path: Path) -> None:
    disk, executor = FragileDisk(), Later()
    journal = Journal(tmp_path, fsync=FsyncPolicy(1e-9), disk=disk, executor=executor)
    journal.add(probe())
    assert journal.commit()
    journal.add(order())
    assert journal.commit()
    disk.broken = True
    executor.run()
    assert is_writable(journal), "nobody has asked yet"
    journal.add(order())
    with pytest.raises(JournalUnwritableError, match="cannot be written: input/output error"):
        journal.commit()
    assert not is_writable(journal)
    assert not journal.commit()

    disk.broken = False
    assert journal.commit()
    assert seqs(tmp_path) == [1, 2, 3]
    executor.run()
    disk.lose_power(tmp_path)
    assert seqs(tmp_path) == [1, 2, 3]
    journal.close()


def test_closing_after_a_failed_sync_says_what_may_be_lost(tmp_path: Path) -> None:
    disk = FragileDisk()
    journal = Journal(tmp_path, fsync=FsyncPolicy(1e9), disk=disk)
    journal.add(probe())
    journal.commit()
    disk.broken = True
    with pytest.raises(JournalUnwritableError, match="the last events may not outlive a power loss"):
        journal.close()


@settings(max_examples=60)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([0, 0, 1]), st.booleans()), max_size=15),
    policy=st.sampled_from([ALWAYS, FsyncPolicy(1e-9), FsyncPolicy(1e9)]),
)
def test_after_a_commit_that_succeeded_everything_is_there_whatever_broke_before(
    steps: list[tuple[int, bool, int, bool]], policy: FsyncPolicy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    disk, executor = FragileDisk(), Later()
    journal = Journal(folder, fsync=policy, disk=disk, executor=executor)
    day = DAY
    for count, broken, days, runs in [*steps, (1, False, 1, True)]:
        day += days
        disk.broken = broken
        for _ in range(count):
            journal.add(order(at(day)))
        try:
            is_written = journal.commit()
        except JournalUnwritableError:
            is_written = False
        assert is_written is journal.is_writable
        if runs:
            executor.run()
        if is_written and not disk.broken:
            assert seqs(folder) == list(range(1, journal.last_seq + 1))
    journal.close()
    disk.lose_power(folder)
    assert seqs(folder) == list(range(1, journal.last_seq + 1))


LIMITED = """
import json, resource, sys
from pathlib import Path
from engine.journal import FsyncPolicy, Journal, JournalUnwritableError
from engine.journal.events import ProbeGranted

folder, (_, hard) = Path(sys.argv[1]), resource.getrlimit(resource.RLIMIT_FSIZE)
said = {"committed": 0, "failed_at": [], "answers": []}
with Journal(folder, fsync=FsyncPolicy.parse(sys.argv[2])) as journal:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    for number in range(60):
        journal.add(ProbeGranted(ts_ms=1723161240000, intent_id=f"i-{number}", symbol="BTCUSDT"))
        try:
            if journal.commit():
                said["committed"] = journal.last_seq
        except JournalUnwritableError as error:
            said["failed_at"].append(journal.last_seq)
            said["message"] = error.message
    said["size"] = (folder / "2024-08-08.jsonl").stat().st_size
    said["lines"] = (folder / "2024-08-08.jsonl").read_bytes().count(b"\\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    said["answers"] += [journal.commit(), journal.is_writable]
print(json.dumps(said))
"""


@pytest.mark.parametrize("policy", ["always", "never"])
def test_a_real_limit_of_the_system_is_met_and_survived(tmp_path: Path, policy: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), policy], check=True, capture_output=True, text=True
    )
    said = json.loads(done.stdout)
    assert said["message"] == "cannot be written: file too large"
    assert said["failed_at"] == [said["committed"] + 1], "said once"
    assert said["lines"] == said["committed"]
    assert said["size"] <= 2000
    assert said["answers"] == [True, True]
    assert seqs(tmp_path) == list(range(1, 61))
