"""Where events come from: a journal that somebody else writes, and a session of this process."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import msgspec
import pytest

from engine.journal.errors import JournalError
from engine.journal.events import BreakerMoved, RulebookLoaded
from engine.journal.folder import ARCHIVE, DAY_MS
from engine.web.sources import HandedSource, JournalSource, last_events
from tests.journal.samples import DAY, at, probe, received, written
from tests.routing.written import BTC, DOGE, started
from tests.web.world import Clock, a_session, write


def everything(source: JournalSource | HandedSource, most: int = 3) -> list[int]:
    found: list[int] = []
    while taken := source.take(most):
        found += [event.seq for event in taken]
    return found


def test_a_journal_is_taken_from_its_last_events_on_and_as_it_grows(tmp_path: Path) -> None:
    events = a_session()
    write(tmp_path, events[:6])
    source = JournalSource(tmp_path, backlog=4)
    assert source.old == 5
    assert everything(source) == [1, 3, 4, 5, 6]  # the first says which session that is
    assert (source.old, source.unread_bytes()) == (0, 0)
    write(tmp_path, events[6:])
    assert source.unread_bytes() > 0
    assert everything(source) == [event.seq for event in events[6:]]
    assert source.unread_bytes() == 0


def moved(scope: str, state: str, day: int = DAY) -> BreakerMoved:
    return BreakerMoved(ts_ms=at(day), scope=scope, was="", state=state, rule="a.b", reason="", pauses=True)


def seen_last(folder: Path, count: int, **options: int) -> list[str]:
    """The last events of a journal and those that they rest on, by their types; nothing is wrong with any."""
    found = last_events(folder, count, lambda error: pytest.fail(str(error)), **options)
    assert [event.seq for event in found] == sorted({event.seq for event in found})
    return [type(event).__name__.removesuffix("Granted") for event in found]


def test_how_things_stand_is_known_however_long_ago_it_was_said(tmp_path: Path) -> None:
    loaded = RulebookLoaded(ts_ms=at(DAY), profile="prod", rulebook="v2", sources="s2")
    before = (moved(BTC, "open"), started(), moved(DOGE, "open"), probe(at(DAY)), loaded)
    written(tmp_path, [*before, *[probe(at(DAY))] * 5])
    standing = ["SessionStarted", "BreakerMoved", "RulebookLoaded"]
    assert seen_last(tmp_path, 3) == [*standing, *["Probe"] * 3]
    assert seen_last(tmp_path, 7) == [*standing[:2], "Probe", "RulebookLoaded", *["Probe"] * 5]
    assert seen_last(tmp_path, 9) == seen_last(tmp_path, 10)[1:]  # the start is among them: nothing is looked for
    assert seen_last(tmp_path, 3, most_searched=500) == ["Probe"] * 3  # or in vain


def test_a_checkpoint_or_a_fresh_start_says_of_all_breakers(tmp_path: Path) -> None:
    resumed = msgspec.structs.replace(started(), resumed=True)
    written(tmp_path, [started(), moved(BTC, "open"), resumed, probe(at(DAY)), probe(at(DAY))])
    assert seen_last(tmp_path, 3)[:2] == ["SessionStarted", "BreakerMoved"]  # the last start goes on from them
    written(tmp_path, [probe(at(DAY + 1)), moved(DOGE, "open", DAY + 1), probe(at(DAY + 1)), resumed])
    assert seen_last(tmp_path, 1) == ["Checkpoint", "BreakerMoved", "SessionStarted"]


def test_what_is_searched_for_in_a_broken_day_costs_nothing_of_the_last_events(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    (tmp_path / ARCHIVE).mkdir()
    (tmp_path / ARCHIVE / "2020-01-01.jsonl.gz").write_bytes(b"no archive")
    for path in tmp_path.glob("*.jsonl"):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[4:]))
    wrong: list[JournalError] = []
    assert [event.seq for event in last_events(tmp_path, 4, wrong.append)] == [11, 12, 13, 14]
    assert [error.path.name for error in wrong] == ["2020-01-01.jsonl.gz"]


def test_a_journal_that_is_not_there_yet_is_taken_when_it_is(tmp_path: Path) -> None:
    source = JournalSource(tmp_path / "journal")
    assert (everything(source), source.old, source.unread_bytes(), source.quiet_s()) == ([], 0, 0, None)
    events = a_session()
    write(tmp_path / "journal", events)
    assert everything(source) == [event.seq for event in events]


def test_days_follow_each_other(tmp_path: Path) -> None:
    written(tmp_path, [probe(at(DAY)), probe(at(DAY, DAY_MS - 1)), probe(at(DAY + 1))])
    source = JournalSource(tmp_path, backlog=0)
    assert everything(source) == []
    written(tmp_path, [probe(at(DAY + 1, 5)), probe(at(DAY + 2, 5))])
    assert everything(source, most=1) == [5, 6, 7]  # each later day begins with a checkpoint


def test_half_a_line_is_waited_for(tmp_path: Path) -> None:
    write(tmp_path, a_session()[:2])
    source = JournalSource(tmp_path, backlog=0)
    (path,) = tmp_path.glob("*.jsonl")
    line = path.read_bytes().splitlines(keepends=True)[-1].replace(b'"seq":2', b'"seq":3')
    with path.open("ab", buffering=0) as stream:
        stream.write(line[:20])
        assert everything(source) == []
        stream.write(line[20:])
    assert everything(source) == [3]


def test_a_line_that_says_no_event_is_counted_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    events = a_session()
    write(tmp_path, events[:3])
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b"{}\n")
    write(tmp_path, events[3:4])
    source = JournalSource(tmp_path)
    assert (everything(source), source.bad_lines) == ([1, 2, 3, 4], 1)
    path.write_bytes(path.read_bytes() + b"broken\n")
    write(tmp_path, events[4:6])
    assert list(source.take(5)) == []
    assert [event.seq for event in source.take(5)] == [5, 6]
    assert source.bad_lines == 2
    assert caplog.text.count("passed over") == 2


def test_a_journal_that_is_moved_away_and_begun_anew_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    write(folder, a_session())
    source = JournalSource(folder)
    everything(source)
    folder.rename(tmp_path / "earlier")
    assert everything(source) == []
    write(folder, a_session()[:3])
    assert everything(source) == [1, 2, 3]


def test_how_long_a_journal_has_been_quiet_goes_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    (path,) = tmp_path.glob("*.jsonl")
    os.utime(path, (900.0, 900.0))
    assert JournalSource(tmp_path, wall=Clock(1000.0)).quiet_s() == 100.0
    assert JournalSource(tmp_path, wall=Clock(800.0)).quiet_s() == 0.0  # a clock that went back


def test_a_session_of_this_process_hands_its_events_over_in_order() -> None:
    clock = Clock()
    source = HandedSource(clock=clock)
    assert (everything(source), source.quiet_s()) == ([], None)
    events = a_session()
    for event in events[4:]:
        source.see(event)
    source.begin_with(events[:4])
    assert source.old == 4
    assert everything(source) == [event.seq for event in events]
    clock.now_s += 7
    assert (source.old, source.quiet_s(), source.unread_bytes(), source.bad_lines) == (0, 7.0, 0, 0)


def test_intents_of_samples_are_events_too() -> None:
    source = HandedSource()
    source.see(received())
    assert [type(event).__name__ for event in source.take(9)] == ["IntentReceived"]


def test_a_broken_line_is_named_and_lines_before_are_counted_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A day may have gigabytes: a server that begins to watch it must not read them first."""
    write(tmp_path, a_session()[:3])
    with monkeypatch.context() as patch:
        patch.setattr("engine.journal.reader._line_number", lambda *_: pytest.fail("the day was read"))
        source = JournalSource(tmp_path, backlog=1)
    assert everything(source) == [1, 3]
    (path,) = tmp_path.glob("*.jsonl")
    with path.open("ab") as stream:
        stream.write(b"{}\n[]\n")
    assert everything(source) == []
    assert everything(source) == []
    assert source.bad_lines == 2
    assert [f"{path.name}:{line}:" in caplog.text for line in (3, 4, 5, 6)] == [False, True, True, False]


def test_a_journal_of_archived_days_alone_is_not_gone(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    (path,) = tmp_path.glob("*.jsonl")
    (tmp_path / ARCHIVE).mkdir()
    with gzip.open(tmp_path / ARCHIVE / f"{path.name}.gz", "wb") as packed:
        packed.write(path.read_bytes())
    path.unlink()
    source = JournalSource(tmp_path)
    assert everything(source) == [event.seq for event in a_session()]
    assert source.failure is None


def test_a_journal_whose_files_go_is_gone_whether_events_were_taken_or_not(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    source = JournalSource(tmp_path, backlog=0)
    (path,) = tmp_path.glob("*.jsonl")
    path.unlink()
    assert everything(source) == []
    assert source.failure == "its files are gone"


def test_a_line_that_says_no_event_was_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a_session())
    source = JournalSource(tmp_path, backlog=0)
    (path,) = tmp_path.glob("*.jsonl")
    with path.open("ab") as stream:
        stream.write(b"{}\n")

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", broken)
        assert (everything(source), source.failure) == ([], "input/output error")
    assert (everything(source), source.failure, source.bad_lines) == ([], None, 1)


def test_a_journal_that_cannot_be_read_says_so_until_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = a_session()
    write(tmp_path, events[:1])
    source = JournalSource(tmp_path, backlog=0)
    write(tmp_path, events[1:])

    def broken(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", broken)
        assert everything(source) == []
        assert source.failure == "permission denied"
    assert everything(source) == [event.seq for event in events[1:]]
    assert source.failure is None


def test_a_journal_whose_files_go_away_is_no_quiet_one(tmp_path: Path) -> None:
    source = JournalSource(tmp_path)
    assert (everything(source), source.failure) == ([], None)
    write(tmp_path, a_session())
    assert everything(source)
    (path,) = tmp_path.glob("*.jsonl")
    path.rename(tmp_path / "elsewhere")
    assert everything(source) == []
    assert source.failure == "its files are gone"
    write(tmp_path, a_session()[:2])
    assert everything(source) == [1, 2]
    assert source.failure is None
