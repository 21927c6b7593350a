from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event as Signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.journal import ALWAYS, NEVER, FsyncPolicy, Journal, JournalError, JournalUnwritableError, read
from engine.journal.disk import Disk
from engine.journal.events import VERSION, Checkpoint, Event, Given
from engine.journal.lines import encode
from tests.journal.disks import AtOnce, CountingDisk, FragileDisk, Later
from tests.journal.samples import DAY, at, checkpoint, filled, lines, order, outcome, probe, written
from tests.journal.strategies import events

TODAY = "2024-08-08.jsonl"
TOMORROW = "2024-08-09.jsonl"


class Clock:
    """Moves when it is told to, in ticks of which 1,024 are a second, so that sums are exact."""

    def __init__(self) -> None:
        self.ticks = 0

    def __call__(self) -> float:
        return 1000 + self.ticks / 1024


TEN_TICKS = FsyncPolicy(10_000 / 1024)


# --- what is read is what was written ----------------------------------------------------------------


@settings(max_examples=40)
@given(groups=st.lists(st.lists(events(), max_size=4), max_size=4))
def test_what_was_committed_is_read_again(groups: list[list[Event]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("journal")
    added: list[Event] = []
    with Journal(folder, fsync=NEVER) as journal:
        for group in groups:
            added.extend(journal.add(event) for event in group)
            assert journal.commit()
    assert list(read(folder)) == added
    assert [event.seq for event in added] == list(range(1, len(added) + 1))


def test_seqs_go_on_where_the_last_process_ended(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe()])
    written(tmp_path, [probe(at(DAY + 1))])
    with Journal(tmp_path, fsync=NEVER) as journal:
        assert journal.last_seq == 4  # the checkpoint of the second day is one of them
        assert journal.torn == ()
        assert journal.add(probe(at(DAY + 1))).seq == 5
    assert [event.seq for event in read(tmp_path)] == [1, 2, 3, 4, 5]


def test_seqs_go_on_from_an_archived_day(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe()])
    (tmp_path / "archive").mkdir()
    plain = tmp_path / TODAY
    (tmp_path / f"archive/{TODAY}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    with Journal(tmp_path, fsync=NEVER) as journal:
        assert journal.last_seq == 2


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (b'{"type":"probe","v":1,"seq":1,"ts_ms":5,"intent_id":"doubled","symbol":"b"}\n', 1),
        (b'{"type":"probe","v":1,"seq":90,"ts_ms":5,"intent_id":"jumped","symbol":"b"}\n', 90),
        (b'{"note": "by hand"}\n', 2),
    ],
)
def test_a_doubled_or_missing_seq_is_no_reason_to_stop(tmp_path: Path, last: bytes, expected: int) -> None:
    written(tmp_path, [probe(), probe()])
    with (tmp_path / TODAY).open("ab") as stream:
        stream.write(last)
    with Journal(tmp_path, fsync=NEVER) as journal:
        assert journal.last_seq == expected


def test_what_json_cannot_say_is_not_added(tmp_path: Path) -> None:
    with Journal(tmp_path, fsync=NEVER) as journal:
        journal.add(probe())
        with pytest.raises(ValueError, match="cost_usd"):
            journal.add(outcome(cost_usd=float("nan")))
        with pytest.raises(ValueError, match="surrogates"):
            journal.add(Given(ts_ms=at(), group="\ud800", facts=None))
        with pytest.raises(ValueError, match="no year with four digits"):
            journal.add(probe(10**18))
        assert journal.add(probe()).seq == 2
    assert [event.seq for event in read(tmp_path)] == [1, 2]


# --- groups and days ---------------------------------------------------------------------------------


def test_nothing_is_written_before_the_commit_and_then_by_one_write(tmp_path: Path) -> None:
    disk = CountingDisk()
    with Journal(tmp_path, fsync=NEVER, disk=disk) as journal:
        for count in (1, 100):
            disk.calls.clear()
            added = [journal.add(order()) for _ in range(count)]
            assert disk.count("write") == 0
            assert journal.waiting_bytes == sum(len(encode(event)) + 1 for event in added)
            journal.commit()
            assert [size for name, size in disk.calls if name == "write"] == [
                sum(len(encode(event)) + 1 for event in added)
            ]
            assert journal.waiting_bytes == 0
        disk.calls.clear()
        journal.commit()
        assert disk.calls == []


def test_events_stand_in_the_file_of_their_utc_day(tmp_path: Path) -> None:
    written(tmp_path, [probe(at(DAY + 1) - 1), probe(at(DAY + 1)), probe(at(DAY + 3))])
    assert {path.name: len(lines(path)) for path in tmp_path.glob("*.jsonl")} == {
        TODAY: 1,
        TOMORROW: 2,
        "2024-08-11.jsonl": 2,
    }


def test_a_group_over_midnight_is_one_write_a_file(tmp_path: Path) -> None:
    disk = CountingDisk()
    with Journal(tmp_path, fsync=NEVER, disk=disk) as journal:
        for ts_ms in (at(ms=1), at(ms=2), at(DAY + 1), at(DAY + 1, 1)):
            journal.add(probe(ts_ms))
        journal.commit()
    assert disk.count("write") == 2
    assert [event.seq for event in read(tmp_path)] == [1, 2, 3, 4]


def test_an_event_of_an_earlier_day_stands_in_the_file_of_its_turn(tmp_path: Path) -> None:
    written(tmp_path, [probe(at(DAY + 1)), probe(at(DAY)), probe(at(DAY + 1))])
    written(tmp_path, [probe(at(DAY - 9))])
    assert [path.name for path in tmp_path.glob("*.jsonl")] == [TOMORROW]
    assert [event.seq for event in read(tmp_path)] == [1, 2, 3, 4]


def test_each_later_day_begins_with_a_checkpoint(tmp_path: Path) -> None:
    asked: list[int] = []

    def ask(ts_ms: int) -> Checkpoint:
        asked.append(ts_ms)
        return checkpoint(ts_ms)

    with Journal(tmp_path, fsync=NEVER, checkpoint=ask) as journal:
        journal.add(probe(at(DAY, 5)))
        journal.add(probe(at(DAY, 6)))
        assert asked == []  # there is nothing that a journal's first event could add up to
        assert journal.add(probe(at(DAY + 1, 7))).seq == 4
        journal.add(probe(at(DAY + 1, 8)))
    with Journal(tmp_path, fsync=NEVER, checkpoint=ask) as journal:
        journal.add(probe(at(DAY + 1, 9)))
        journal.add(probe(at(DAY + 2, 1)))
    assert asked == [at(DAY + 1, 7), at(DAY + 2, 1)]
    assert [type(event).__name__ for event in read(tmp_path)] == [
        *["ProbeGranted"] * 2,
        "Checkpoint",
        *["ProbeGranted"] * 3,
        "Checkpoint",
        "ProbeGranted",
    ]


# --- fsync -------------------------------------------------------------------------------------------


def test_always_syncs_once_a_commit(tmp_path: Path) -> None:
    disk = CountingDisk()
    with Journal(tmp_path, fsync=ALWAYS, disk=disk) as journal:
        disk.calls.clear()
        for _ in range(3):
            journal.add(probe())
            journal.add(probe())
            journal.commit()
        journal.commit()
        assert disk.count("sync") == 3
        assert [name for name, _ in disk.calls if name != "sync_folder"] == ["write", "sync"] * 3


def test_every_so_often_syncs_when_the_time_has_come_even_without_new_events(tmp_path: Path) -> None:
    disk, clock = CountingDisk(), Clock()
    with Journal(tmp_path, fsync=TEN_TICKS, disk=disk, clock=clock, executor=AtOnce()) as journal:
        synced = []
        for ticks in (0, 4, 5, 1, 1, 9, 1):
            clock.ticks += ticks
            journal.add(probe())
            journal.commit()
            synced.append(disk.count("sync"))
        assert synced == [0, 0, 0, 1, 1, 2, 2]
        clock.ticks += 10
        journal.commit()
        assert disk.count("sync") == 3
        clock.ticks += 10
        journal.commit()
        assert disk.count("sync") == 3, "nothing was written since"
        journal.add(probe())
    assert disk.count("sync") == 4, "closing syncs what is left"


def test_a_commit_does_not_wait_for_a_sync_of_every_so_often_and_one_runs_at_a_time(tmp_path: Path) -> None:
    disk, executor = CountingDisk(), Later()
    with Journal(tmp_path, fsync=FsyncPolicy(1e-9), disk=disk, executor=executor) as journal:
        for _ in range(3):
            journal.add(probe())
            assert journal.commit()
            assert len(executor.waiting) == 1
        assert disk.count("sync") == 0
        executor.run()
        journal.add(probe())
        journal.commit()
        assert len(executor.waiting) == 1
        assert disk.count("sync") == 1
        journal.add(probe())
    assert disk.count("sync") == 3, "closing waits for the one that runs, and for one of what came after it"


def test_a_real_sync_runs_beside_the_writer(tmp_path: Path) -> None:
    begun, may_end = Signal(), Signal()

    class Slow(Disk):
        def sync(self, file: int) -> None:
            begun.set()
            assert may_end.wait(60)
            super().sync(file)

    with Journal(tmp_path, fsync=FsyncPolicy(1e-9), disk=Slow()) as journal:
        for _ in range(3):
            journal.add(probe())
            assert journal.commit()
        assert begun.wait(60)
        assert len(list(read(tmp_path))) == 3
        may_end.set()


def test_never_syncs_no_file(tmp_path: Path) -> None:
    disk = CountingDisk()
    with Journal(tmp_path, fsync=NEVER, disk=disk) as journal:
        for day in range(3):
            journal.add(probe(at(DAY + day)))
            journal.commit()
    assert disk.count("sync") == 0


@pytest.mark.parametrize("policy", [ALWAYS, FsyncPolicy(10), NEVER])
def test_the_entry_of_a_new_file_is_synced(tmp_path: Path, policy: FsyncPolicy) -> None:
    disk = CountingDisk()
    with Journal(tmp_path / "logs" / "journal", fsync=policy, disk=disk) as journal:
        assert disk.count("sync_folder") == 3  # two folders were made, and the journal's own is looked through
        for day in range(2):
            disk.calls.clear()
            journal.add(probe(at(DAY + day)))
            journal.commit()
            assert [name for name, _ in disk.calls if name != "sync"] == ["sync_folder", "write"]


def test_the_old_day_is_synced_before_the_new_one_is_written(tmp_path: Path) -> None:
    disk = CountingDisk()
    with Journal(tmp_path, fsync=FsyncPolicy(1e9), disk=disk) as journal:
        journal.add(probe())
        journal.commit()
        disk.calls.clear()
        journal.add(probe(at(DAY + 1)))
        journal.commit()
        assert [name for name, _ in disk.calls] == ["sync", "sync_folder", "write"]


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 12), st.sampled_from([0, 0, 0, 1])), max_size=12
)  # events to add, ticks to wait, days to go on


@settings(max_examples=60)
@given(steps=STEPS, policy=st.sampled_from([ALWAYS, TEN_TICKS, NEVER]))
def test_a_power_loss_takes_no_more_than_the_policy_allows(
    steps: list[tuple[int, int, int]], policy: FsyncPolicy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    disk, clock = FragileDisk(), Clock()
    journal = Journal(folder, fsync=policy, disk=disk, clock=clock, executor=AtOnce())
    day = DAY
    commits: list[tuple[int, int]] = []  # when, and the last seq
    for count, ticks, days in steps:
        clock.ticks += ticks
        day += days
        for _ in range(count):
            journal.add(probe(at(day)))
        journal.commit()
        commits.append((clock.ticks, journal.last_seq))
    disk.lose_power(folder)
    found = [event.seq for event in read(folder)]
    assert found == list(range(1, len(found) + 1))
    safe_before = {ALWAYS: clock.ticks, TEN_TICKS: clock.ticks - 10, NEVER: -1}[policy]
    assert len(found) >= max((seq for when, seq in commits if when <= safe_before), default=0)
    journal.close()


@pytest.mark.parametrize(("text", "every_ms"), [("always", 0), ("never", None), ("10ms", 10), ("0.5 ms", 0.5)])
def test_policies_are_read_and_written(text: str, every_ms: float | None) -> None:
    assert FsyncPolicy.parse(text) == FsyncPolicy(every_ms)
    assert FsyncPolicy.parse(str(FsyncPolicy(every_ms))) == FsyncPolicy(every_ms)


@pytest.mark.parametrize("text", ["", "10", "-1ms", "nanms", "1e3ms", "Always", "10 s", "٣ms"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no fsync policy: `always`, `never`, or milliseconds such as `10ms`"):
        FsyncPolicy.parse(text)


# --- one writer --------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    with Journal(tmp_path, fsync=NEVER) as journal:
        with pytest.raises(JournalError, match=rf"is being written by process {os.getpid()} on ") as caught:
            Journal(tmp_path, fsync=NEVER)
        assert caught.value.path == tmp_path
        journal.add(probe())
    written(tmp_path, [probe()])


def test_a_writer_that_was_killed_leaves_the_folder_free(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from engine.journal import NEVER, Journal\n"
        "Journal(Path(sys.argv[1]), fsync=NEVER); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(JournalError, match=f"is being written by process {other.pid} on "):
            Journal(tmp_path, fsync=NEVER)
        other.kill()
        other.wait()
    written(tmp_path, [probe()])


def test_a_failed_start_leaves_the_folder_free(tmp_path: Path) -> None:
    (tmp_path / TODAY).write_bytes(b'{"type":"probe","v":%d,"seq":1,"ts_ms":5}\n' % (VERSION + 1))
    for _ in range(2):
        with pytest.raises(
            JournalError, match=f"its last line is of schema version {VERSION + 1}, and this is"
        ) as caught:
            Journal(tmp_path, fsync=NEVER)
        assert caught.value.path == tmp_path / TODAY


@pytest.mark.parametrize(
    "prepare",
    [
        lambda folder: folder.write_text("a file"),
        lambda folder: (folder.mkdir(), (folder / "writer.lock").mkdir()),
        lambda folder: (folder / "2024-08-08.jsonl").mkdir(parents=True),
    ],
)
def test_a_folder_that_cannot_be_used_is_an_error_with_its_place(
    tmp_path: Path, prepare: Callable[[Path], object]
) -> None:
    folder = tmp_path / "journal"
    prepare(folder)
    with pytest.raises(JournalError, match=r"journal: cannot be used: .*\n  choose a folder"):
        Journal(folder, fsync=NEVER)


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, fsync=NEVER)
    journal.add(filled())
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="the journal is closed"):
        journal.add(filled())
    with pytest.raises(ValueError, match="the journal is closed"):
        journal.commit()
    assert len(list(read(tmp_path))) == 1


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    with Journal(tmp_path, fsync=NEVER, limit_bytes=200) as journal:
        journal.add(order())
        with pytest.raises(JournalUnwritableError, match="bytes wait to be written, and no more are held"):
            journal.add(order())
        assert journal.last_seq == 1
        journal.commit()
        assert journal.add(order()).seq == 2
