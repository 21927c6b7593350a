from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from engine.journal import NEVER, Journal, JournalError, follow, read, tail, verify
from engine.journal.events import Checkpoint, Event, Heard, OrderPlanned, ProbeGranted
from tests.journal.samples import DAY, at, filled, lines, order, probe, written

TODAY = "2024-08-08.jsonl"
FIRST, SECOND, THIRD = date(2024, 8, 8), date(2024, 8, 9), date(2024, 8, 10)


@pytest.fixture
def three_days(tmp_path: Path) -> list[Event]:
    """A journal of three days, the first of them archived."""
    written(
        tmp_path,
        [probe(), order(), filled()],
        [probe(at(DAY + 1)), order(at(DAY + 1)), probe(at(DAY + 1))],
        [order(at(DAY + 2)), filled(at(DAY + 2))],
    )
    events = list(read(tmp_path))
    pack(tmp_path, FIRST)
    assert [event.seq for event in events] == list(range(1, 11))
    return events


def pack(folder: Path, day: date) -> None:
    (folder / "archive").mkdir(exist_ok=True)
    plain = folder / f"{day}.jsonl"
    (folder / f"archive/{day}.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()


def change(path: Path, number: int, line: bytes) -> None:
    """Put another line in the place of one, counted from 1."""
    held = lines(path)
    held[number - 1] = line
    path.write_bytes(b"".join(held))


# --- read --------------------------------------------------------------------------------------------


def test_days_come_in_order_whether_they_are_archived_or_not(tmp_path: Path, three_days: list[Event]) -> None:
    assert list(read(tmp_path)) == three_days
    assert verify(tmp_path) == []


def test_earlier_days_can_be_left_out(tmp_path: Path, three_days: list[Event]) -> None:
    assert list(read(tmp_path, since_day=SECOND)) == three_days[3:]
    assert list(read(tmp_path, since_day=date(2025, 1, 1))) == []


def test_some_types_alone(tmp_path: Path, three_days: list[Event]) -> None:
    cases: list[list[type[Event]]] = [[Heard], [OrderPlanned, Checkpoint], []]
    for types in cases:
        assert list(read(tmp_path, types=types)) == [event for event in three_days if type(event) in types]


def test_a_line_of_another_hand_is_of_its_type_too(tmp_path: Path) -> None:
    written(tmp_path, [probe(), order(), probe()])
    change(tmp_path / TODAY, 2, b' { "v": 1, "seq": 2, "type": "probe", "ts_ms": 5, "intent_id": "a", "symbol": "b"}\n')
    assert [event.seq for event in read(tmp_path, types=[ProbeGranted])] == [1, 2, 3]
    assert list(read(tmp_path, types=[OrderPlanned])) == []


def test_a_folder_that_is_not_there_holds_no_events(tmp_path: Path) -> None:
    assert list(read(tmp_path / "nowhere")) == []
    assert tail(tmp_path / "nowhere", 3) == []


def test_a_broken_line_is_an_error_with_its_place_unless_somebody_takes_it(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe(), probe(), probe()], [probe(at(DAY + 1))])
    change(tmp_path / TODAY, 2, b'{"type":"probe","v":1,"seq":2,"ts_ms":"x"}\n')
    change(tmp_path / TODAY, 4, b"torn\n")
    with pytest.raises(JournalError, match=r"2024-08-08\.jsonl:2: is no event: expected `int`, got `str`"):
        list(read(tmp_path))
    found: list[JournalError] = []
    assert [event.seq for event in read(tmp_path, on_bad=found.append)] == [1, 3, 5, 6]
    assert [(error.line, error.message.partition(":")[0]) for error in found] == [(2, "is no event"), (4, "is no JSON")]


@pytest.mark.parametrize("broken", [b"torn\n", b"\0\0\n"])
def test_of_the_last_file_too_a_broken_line_is_an_error_where_a_whole_one_follows(
    tmp_path: Path, broken: bytes
) -> None:
    written(tmp_path, [probe(), probe(), probe()])
    change(tmp_path / TODAY, 2, broken)
    with pytest.raises(JournalError, match=r":2: is no JSON"):
        list(read(tmp_path))


def test_an_earlier_file_that_ends_in_a_torn_line_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe()], [probe(at(DAY + 1))])
    (tmp_path / TODAY).write_bytes((tmp_path / TODAY).read_bytes()[:-1])
    with pytest.raises(JournalError, match=r":2: has no end\n  the file was cut off"):
        list(read(tmp_path))


def test_a_last_line_of_a_later_version_is_no_torn_line(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe()])
    change(tmp_path / TODAY, 2, b'{"type":"new","v":9,"seq":2}\n')
    with pytest.raises(JournalError, match=":2: is of schema version 9"):
        list(read(tmp_path))


@pytest.mark.parametrize("types", [None, [ProbeGranted], [Heard]])
def test_missing_and_doubled_seqs_are_reported_and_never_fatal(tmp_path: Path, types: list[type[Event]] | None) -> None:
    written(tmp_path, [probe() for _ in range(9)], [probe(at(DAY + 1)), probe(at(DAY + 1))])
    held = lines(tmp_path / TODAY)
    (tmp_path / TODAY).write_bytes(b"".join([*held[:2], held[1], *held[3:5], *held[7:]]))
    found: list[JournalError] = []
    events = list(read(tmp_path, types=types, on_gap=found.append))
    assert len(events) == (0 if types == [Heard] else 10 if types is None else 9)
    assert [(error.line, error.message) for error in found] == [
        (3, "seq 2 comes after 2"),
        (4, "seq 3 missing"),
        (6, "seq 6 to 7 missing"),
    ]
    assert verify(tmp_path)[0].path == tmp_path / TODAY


def test_days_that_were_pruned_are_no_gap(tmp_path: Path, three_days: list[Event]) -> None:
    assert three_days
    (tmp_path / "archive/2024-08-08.jsonl.gz").unlink()
    assert verify(tmp_path) == []


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda packed: packed[:-20],
    "no archive": lambda packed: b"PK" + packed,
    "changed inside": lambda packed: packed[:20] + b"x" * 9 + packed[29:],
}


@pytest.mark.parametrize("how", SPOILT)
def test_an_archive_that_cannot_be_unpacked_is_an_error_with_its_place(
    tmp_path: Path, three_days: list[Event], how: str
) -> None:
    assert three_days
    path = tmp_path / "archive/2024-08-08.jsonl.gz"
    path.write_bytes(SPOILT[how](path.read_bytes()))
    with pytest.raises(JournalError, match=r"2024-08-08\.jsonl\.gz: cannot be read"):
        list(read(tmp_path))
    with pytest.raises(JournalError, match=r"2024-08-08\.jsonl\.gz: cannot be read"):
        tail(tmp_path, 99)


def test_a_day_that_is_archived_while_it_is_waited_for_is_read_from_there(tmp_path: Path) -> None:
    written(tmp_path, [probe()], [probe(at(DAY + 1))])
    events = read(tmp_path)
    assert next(events).seq == 1
    pack(tmp_path, SECOND)
    assert [event.seq for event in events] == [2, 3]


# --- tail --------------------------------------------------------------------------------------------


def test_the_last_events_come_in_order_over_days_and_archives(tmp_path: Path, three_days: list[Event]) -> None:
    for count in range(12):
        assert tail(tmp_path, count) == three_days[max(0, 10 - count) :]
    assert (
        tail(tmp_path, 2, types=[ProbeGranted]) == [event for event in three_days if type(event) is ProbeGranted][-2:]
    )
    assert tail(tmp_path, 5, types=[OrderPlanned])[0].seq == 2


def test_the_tail_says_which_line_is_broken(tmp_path: Path) -> None:
    written(tmp_path, [probe() for _ in range(5)])
    change(tmp_path / TODAY, 2, b"{}\n")
    assert len(tail(tmp_path, 3)) == 3, "it does not look further than it has to"
    with pytest.raises(JournalError, match=r"2024-08-08\.jsonl:2: is no event"):
        tail(tmp_path, 4)
    found: list[JournalError] = []
    assert [event.seq for event in tail(tmp_path, 4, on_bad=found.append)] == [1, 3, 4, 5]
    assert [error.line for error in found] == [2]


# --- follow ------------------------------------------------------------------------------------------


class EnoughError(Exception):
    """Ends what would go on for ever."""


def followed(
    folder: Path, steps: Iterator[object], *, after_seq: int | None = None, types: list[type[Event]] | None = None
) -> list[Event]:
    """What is seen while the steps are taken, one whenever the reader waits."""

    async def sleep(seconds: float) -> None:
        assert seconds == 0.5
        if next(steps, EnoughError) is EnoughError:
            raise EnoughError

    async def collect(events: AsyncIterator[Event]) -> list[Event]:
        found: list[Event] = []
        with contextlib.suppress(EnoughError):
            async for event in events:
                found.append(event)  # noqa: PERF401 - what was found stays when the waiting ends
        return found

    return asyncio.run(collect(follow(folder, after_seq=after_seq, types=types, sleep=sleep, poll_s=0.5)))


def test_what_is_written_is_seen_as_it_comes_over_midnight(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe()])

    def steps() -> Iterator[object]:
        with Journal(tmp_path, fsync=NEVER) as journal:
            for ts_ms in (at(), at(), at(DAY + 1), at(DAY + 4)):
                journal.add(order(ts_ms))
                journal.add(probe(ts_ms))
                yield journal.commit()
                yield "nothing new"

    assert [event.seq for event in followed(tmp_path, steps())] == [3, 4, 5, 6, 7, 8, 9, 10]


def test_following_can_begin_behind_a_seq_and_with_some_types(tmp_path: Path) -> None:
    written(tmp_path, [probe(), order(), probe()], [order(at(DAY + 1)), probe(at(DAY + 1))])
    for after in range(8):
        assert [event.seq for event in followed(tmp_path, iter(()), after_seq=after)] == list(range(after + 1, 7))
    assert [event.seq for event in followed(tmp_path, iter(()), after_seq=1, types=[OrderPlanned])] == [2, 5]


def test_a_line_is_seen_when_it_is_whole(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe()])
    (whole,) = lines(tmp_path / TODAY)[1:]
    (tmp_path / TODAY).write_bytes(lines(tmp_path / TODAY)[0])
    seen: list[int] = []

    def steps() -> Iterator[object]:
        for byte in range(len(whole)):
            with (tmp_path / TODAY).open("ab") as stream:
                stream.write(whole[byte : byte + 1])
            seen.append(byte)
            yield byte

    assert [event.seq for event in followed(tmp_path, steps())] == [2]
    assert len(seen) == len(whole)


def test_a_journal_that_begins_later_or_anew_is_followed_from_its_beginning(tmp_path: Path) -> None:
    folder = tmp_path / "journal"

    def steps() -> Iterator[object]:
        yield "nothing there"
        written(folder, [probe()])
        yield "there"
        folder.rename(tmp_path / "earlier")
        yield "gone"
        written(folder, [order(), order()])
        yield "there again"
        written(folder, [filled()])
        yield "and more"

    found = followed(folder, steps())
    assert [(type(event), event.seq) for event in found] == [
        (ProbeGranted, 1),
        (OrderPlanned, 1),
        (OrderPlanned, 2),
        (Heard, 3),
    ]


def test_a_broken_line_ends_the_following_with_its_place(tmp_path: Path) -> None:
    written(tmp_path, [probe(), probe()])

    def steps() -> Iterator[object]:
        with (tmp_path / TODAY).open("ab") as stream:
            stream.write(b"{}\n")
        yield "written"

    with pytest.raises(JournalError, match=r"2024-08-08\.jsonl:3: is no event"):
        followed(tmp_path, steps())
