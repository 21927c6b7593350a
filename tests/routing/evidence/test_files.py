"""The contract files: whole, of one tick, rebuilt from the journal, and nobody's problem when the disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from engine.journal.events import Event, Snapshot
from engine.journal.lines import encode
from engine.routing.evidence import files as files_module
from engine.routing.evidence.contract import STATE_FILES, schemas
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.files import LINE_FILES, ContractFiles, rebuild
from engine.routing.evidence.health import Health
from engine.routing.evidence.state_files import read_state, write_together
from tests.routing.written import (
    BTC,
    NEW,
    NOW_MS,
    Facts,
    Holding,
    Written,
    ended,
    ended_taker,
    error,
    order,
    route,
    shipped,
    snapshot,
    sound,
    started,
)


def some_journal(ticks: int = 3) -> Written:
    """Intents, outcomes and a snapshot a round."""
    journal = Written()
    health = Health(shipped("prod"), (BTC, NEW), Facts(BTCUSDT=sound()), Holding())
    health.see(journal.add(started()))
    for tick in range(ticks):
        before = len(journal.events)
        route(journal, f"a-{tick}", ts_ms=NOW_MS + tick)
        ended(journal, f"a-{tick}", ts_ms=NOW_MS + tick)
        route(journal, f"b-{tick}", ts_ms=NOW_MS + tick, groups=sound(market={"spread_bps": 13.0}))
        for event in journal.events[before:]:
            health.see(event)
        snapshot(health, journal, NOW_MS + tick)
    return journal


def writing(logs: Path, events: list[Event], last_seq: int | None = None, **more: Any) -> ContractFiles:
    """Files that have seen these events, and were flushed."""
    files = ContractFiles(logs, len(events) if last_seq is None else last_seq, **more)
    for event in events:
        files.see(event)
    files.flush()
    return files


def contents(logs: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(logs)): path.read_bytes()
        for path in sorted(logs.rglob("*"))
        if path.is_file() and "rulebooks" not in path.parts
    }


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


# --- what is written -------------------------------------------------------------------------------------------------


def test_every_route_decision_is_there_as_the_journal_has_it(tmp_path: Path) -> None:
    journal = Written()
    routed = route(journal, "a-1")
    for event in ("fallback", "submit_failed", "send_failed"):
        order(journal, "a-1")
        error(journal, "a-1-1", NOW_MS, -1001, "unknown_outcome", "time-out")
        journal.add(msgspec.structs.replace(routed, event=event, route="taker", reason=f"it was {event}"))
    writing(tmp_path, journal.events)
    said = lines(tmp_path / "execution" / "route_decisions.jsonl")
    assert [(line.get("event", "decision"), line["reason"]) for line in said[1:]] == [
        ("fallback", "it was fallback"),
        ("submit_failed", "it was submit_failed"),
        ("send_failed", "it was send_failed"),
    ]
    assert (tmp_path / "execution" / "route_decisions.jsonl").read_bytes().splitlines()[0] == encode(routed)


def test_every_outcome_has_its_metrics(tmp_path: Path) -> None:
    journal = some_journal()
    ended_taker(journal, "b-0", 100.02)
    writing(tmp_path, journal.events)
    said = lines(tmp_path / "execution" / "router_metrics.jsonl")
    assert [line["intent_id"] for line in said] == ["a-0", "a-1", "a-2", "b-0"]
    for line in said:
        jsonschema.validate(line, schemas()["router_metrics"])


def test_health_is_there_under_both_names_and_as_its_schema_says(tmp_path: Path) -> None:
    journal = some_journal()
    writing(tmp_path, journal.events)
    said = lines(tmp_path / "router_health.jsonl")
    assert [line["tick"] for line in said] == [1, 2, 3]
    for line in said:
        jsonschema.validate(line, schemas()["router_health"])
        assert line["per_symbol"] == line["symbols"]
        assert isinstance(journal.events[line["seq"] - 1], Snapshot)
    for name in STATE_FILES:
        held = msgspec.json.decode((tmp_path / "state" / f"{name}.json").read_bytes())
        jsonschema.validate(held, schemas()[name])
    assert said[-1] == msgspec.json.decode((tmp_path / "state" / "router_health.json").read_bytes())


def test_state_files_are_those_of_the_last_tick(tmp_path: Path) -> None:
    writing(tmp_path, some_journal().events)
    state = read_state(tmp_path)
    assert (state.tick, state.router_health.updated_ts) == (3, (NOW_MS + 2) / 1000)
    assert set(state.ticks.values()) == {(3, (NOW_MS + 2) / 1000)}
    assert [line.symbol for line in state.router_health.symbols] == [BTC, NEW]
    assert not list((tmp_path / "state").glob(".*"))


def test_an_event_without_a_number_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    files = ContractFiles(tmp_path, 0)
    with pytest.raises(AssertionError, match="no number"):
        files.see(started())


# --- again -----------------------------------------------------------------------------------------------------------


def test_seeing_a_journal_again_changes_nothing(tmp_path: Path) -> None:
    journal = some_journal()
    writing(tmp_path, journal.events)
    before = contents(tmp_path)
    files = writing(tmp_path, journal.events)
    assert contents(tmp_path) == before
    written = {path: path.stat().st_ino for path in (tmp_path / "state").iterdir()}
    files.flush()
    assert {path: path.stat().st_ino for path in (tmp_path / "state").iterdir()} == written, "one write a tick"


@pytest.mark.parametrize("flushed", range(1, 32, 5))
def test_a_crash_at_any_event_is_made_good_by_the_next_start(flushed: int, tmp_path: Path) -> None:
    journal = some_journal()
    whole = tmp_path / "whole"
    writing(whole, journal.events)
    logs = tmp_path / "logs"
    writing(logs, journal.events[:flushed])
    for path in LINE_FILES:
        with (logs / path).open("ab") as stream:
            stream.write(b'{"seq":99,"torn')
    writing(logs, journal.events)
    assert contents(logs) == contents(whole)


def test_lines_that_the_journal_lost_go_too(tmp_path: Path) -> None:
    journal = some_journal()
    writing(tmp_path / "logs", journal.events)
    kept = journal.events[:15]
    assert sum(isinstance(event, Snapshot) for event in kept) == 1
    writing(tmp_path / "logs", kept)
    writing(tmp_path / "fresh", kept)
    assert contents(tmp_path / "logs") == contents(tmp_path / "fresh")


def test_files_are_rebuilt_from_the_journal(tmp_path: Path) -> None:
    journal = some_journal()
    writing(tmp_path, journal.events)
    before = contents(tmp_path)
    for name in before:
        (tmp_path / name).write_bytes(b'nonsense\n{"seq":3,"torn')
    (tmp_path / "state" / "nav.json").unlink()
    rebuild(tmp_path, journal.events)
    assert contents(tmp_path) == before


def test_a_rebuild_keeps_what_is_older_than_the_journal(tmp_path: Path) -> None:
    journal = some_journal()
    writing(tmp_path, journal.events)
    before = contents(tmp_path)
    rebuild(tmp_path, journal.events[10:])
    after = contents(tmp_path)
    assert after["execution/route_decisions.jsonl"] == before["execution/route_decisions.jsonl"]
    assert after["router_health.jsonl"] == before["router_health.jsonl"]


def test_a_rebuild_without_snapshots_leaves_no_state_written_by_nobody(tmp_path: Path) -> None:
    journal = some_journal()
    writing(tmp_path, journal.events)
    rebuild(tmp_path, [event for event in journal.events if not isinstance(event, Snapshot)])
    assert not list((tmp_path / "state").glob("*.json"))
    rebuild(tmp_path, [])
    assert (tmp_path / "execution" / "route_decisions.jsonl").read_bytes() == b""


def test_a_rebuild_that_fails_leaves_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = some_journal()
    writing(tmp_path, journal.events)
    before = contents(tmp_path)
    monkeypatch.setattr(files_module, "write_together", refusing)
    with pytest.raises(OSError, match="no space"):
        rebuild(tmp_path, journal.events)
    assert contents(tmp_path) == before


def refusing(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# --- readers and crashes ---------------------------------------------------------------------------------------------


def between_renames(monkeypatch: pytest.MonkeyPatch, look: Callable[[int], None]) -> None:
    """Call `look` with a count before every rename of a state file."""
    replace, count = Path.replace, [0]

    def replacing(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            look(count[0])
            count[0] += 1
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replacing)


def test_a_reader_never_sees_half_a_file_nor_mixes_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = some_journal()
    first = next(event.seq for event in journal.events if isinstance(event, Snapshot))
    files = writing(tmp_path, journal.events[:first], last_seq=len(journal.events))
    seen: list[str] = []

    def look(_: int) -> None:
        for name in STATE_FILES:
            msgspec.json.decode((tmp_path / "state" / f"{name}.json").read_bytes())
        try:
            seen.append(str(read_state(tmp_path, tries=1).tick))
        except ViewError as mixed:
            seen.append(mixed.message.partition(" are ")[2].partition(":")[0])

    between_renames(monkeypatch, look)
    for event in journal.events[first:]:
        files.see(event)
    files.flush()
    assert seen == ["1", *["of different ticks"] * 4]
    assert read_state(tmp_path, tries=1).tick == 3


def test_a_crash_between_two_files_is_noticed_and_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = some_journal()
    files = writing(tmp_path, journal.events[:11], last_seq=len(journal.events))
    assert read_state(tmp_path).tick == 1

    def crash(count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        between_renames(patched, crash)
        for event in journal.events[11:]:
            files.see(event)
        with pytest.raises(KeyboardInterrupt):
            files.flush()
    waits: list[float] = []
    with pytest.raises(ViewError, match="nav 3, positions 3, risk 1, execution_health 1, router_health 1"):
        read_state(tmp_path, tries=4, wait=waits.append)
    assert len(waits) == 3
    writing(tmp_path, journal.events)
    assert read_state(tmp_path, tries=1).tick == 3
    assert not list((tmp_path / "state").glob(".*"))


def test_a_reader_waits_for_a_writer_at_work(tmp_path: Path) -> None:
    journal = some_journal()
    writing(tmp_path, journal.events)
    last = tmp_path / "state" / "router_health.json"
    text = last.read_bytes()
    last.write_bytes(text.replace(b'"tick":3', b'"tick":2'))
    state = read_state(tmp_path, wait=lambda _: last.write_bytes(text))
    assert state.tick == 3


def test_two_moments_under_one_tick_are_mixed_as_well(tmp_path: Path) -> None:
    writing(tmp_path, some_journal(1).events)
    nav = tmp_path / "state" / "nav.json"
    nav.write_bytes(nav.read_bytes().replace(b'"updated_ts":', b'"updated_ts":1'))
    with pytest.raises(ViewError, match="different ticks"):
        read_state(tmp_path, tries=1)


@pytest.mark.parametrize(
    ("text", "said"), [(b"{", "none of this version"), (b'{"tick":1}', "none of this version"), (None, "there is no")]
)
def test_what_cannot_be_read_is_said_with_its_name(text: bytes | None, said: str, tmp_path: Path) -> None:
    writing(tmp_path, some_journal(1).events)
    path = tmp_path / "state" / "risk.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ViewError, match=said) as raised:
        read_state(tmp_path)
    assert "risk.json" in raised.value.message
    assert "sluice run" in raised.value.help


def test_a_field_that_is_not_there_is_no_state(tmp_path: Path) -> None:
    writing(tmp_path, some_journal(1).events)
    path = tmp_path / "state" / "nav.json"
    held = msgspec.json.decode(path.read_bytes())
    del held["nav_usd"]
    path.write_bytes(msgspec.json.encode(held))
    with pytest.raises(ViewError, match="nav_usd"):
        read_state(tmp_path)


# --- full disks ------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_reported_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = some_journal()
    said: list[str] = []
    files = ContractFiles(tmp_path / "logs", 0, said.append)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", refusing)
        full.setattr(files_module, "write_together", refusing)
        for event in journal.events:
            files.see(event)
            files.flush()
    assert len(said) == 1
    assert "route_decisions.jsonl" in said[0]
    assert "no space" in said[0]
    assert files.trouble
    files.flush()
    assert said[1:] == ["files under logs/ are up to date again"]
    assert files.trouble == ""
    writing(tmp_path / "whole", journal.events)
    assert contents(tmp_path / "logs") == contents(tmp_path / "whole")


def test_a_disk_that_fills_while_state_is_written_leaves_the_old_tick_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_together(tmp_path, dict.fromkeys(STATE_FILES, b"old"))
    synced = os.fsync
    count = 0

    def fsync(file: int) -> None:
        nonlocal count
        count += 1
        if count == 4:
            refusing()
        synced(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        write_together(tmp_path, dict.fromkeys(STATE_FILES, b"new"))
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"old"}
    assert len(list(tmp_path.iterdir())) == len(STATE_FILES)


def test_a_snapshot_that_fails_is_written_with_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = some_journal(1)
    files = ContractFiles(tmp_path, 0)
    for event in journal.events:
        files.see(event)
    with monkeypatch.context() as full:
        full.setattr(files_module, "write_together", refusing)
        files.flush()
    assert not (tmp_path / "state").exists()
    files.flush()
    assert read_state(tmp_path).tick == 1


def test_files_are_synced_before_they_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    synced, replaced = os.fsync, Path.replace

    def fsync(file: int) -> None:
        done.append("sync")
        synced(file)

    def replace(path: Path, target: Path) -> Path:
        done.append(target.stem)
        return replaced(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_together(tmp_path, {"nav": b"1", "router_health": b"2"})
    assert done == ["sync", "sync", "nav", "router_health", "sync"]
