"""Decisions of a journal: found by their ids wherever they lie, and made again by the rulebook that made them."""

from __future__ import annotations

import gzip
import io
import json
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.home import shipped_home
from engine.journal.errors import JournalError
from engine.journal.events import Decided, Event, IntentReceived, Routed
from engine.journal.folder import ARCHIVE, DAY_MS, DayFile
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.rulebooks import Rulebooks
from engine.web.kept import KeptDecisions, KeptRulebooks, _lines_with, decision_id_of
from tests.routing.written import shipped
from tests.web.world import a_session, write

ONE, OTHER = "1" * 24, "2" * 24


def decided(seq: int, decision_id: str, /, **facts: str) -> Decided:
    record = json.dumps({"decision_id": decision_id, "facts": {"signal": facts}}, separators=(",", ":"))
    return Decided(ts_ms=1, seq=seq, intent_id=None, policy="routing", record=msgspec.Raw(record.encode()))


def test_a_decision_is_found_by_its_id_and_not_by_one_that_its_facts_hold(tmp_path: Path) -> None:
    write(tmp_path / "journal", [decided(1, ONE), decided(2, OTHER, decision_id=ONE)])
    kept = KeptDecisions(tmp_path)
    assert [kept.find(each) for each in (ONE, OTHER, "3" * 24)] == [
        decided(1, ONE),
        decided(2, OTHER, decision_id=ONE),
        None,
    ]


def test_an_intent_is_found_with_its_routes_from_the_day_it_came(tmp_path: Path) -> None:
    events = a_session()
    write(tmp_path / "journal", events)
    later = [event for event in events if isinstance(event, Routed) and event.intent_id == "entry-1"]
    next_day = msgspec.structs.replace(later[0], ts_ms=later[0].ts_ms + DAY_MS, seq=99, event="fallback")
    (received,) = [event for event in events if isinstance(event, IntentReceived) and event.intent_id == "exit-1"]
    other = msgspec.structs.replace(received, seq=100, ts_ms=next_day.ts_ms, intent={"intent_id": "entry-1"})
    write(tmp_path / "journal", [next_day, other])
    told = KeptDecisions(tmp_path).of_intent("entry-1")
    assert [type(event).__name__ for event in told] == ["IntentReceived", "Routed", "Outcome", "Routed"]
    assert told[-1] == next_day
    assert KeptDecisions(tmp_path).of_intent("entry-") == [], "a beginning is no id"


def test_broken_lines_and_archived_days_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    events: list[Event] = [decided(1, ONE)]
    write(folder, events)
    (path,) = folder.glob("*.jsonl")
    (folder / ARCHIVE).mkdir()
    (folder / ARCHIVE / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    write(folder, [msgspec.structs.replace(decided(2, OTHER), ts_ms=86_400_001)])
    (today,) = folder.glob("*.jsonl")
    head = b'{"type":"decision","v":1,"seq":3,"record":{"decision_id":"'
    today.write_bytes(today.read_bytes() + head + ONE.encode() + b'"}\n' + head)
    kept = KeptDecisions(tmp_path)
    assert kept.find(ONE) == decided(1, ONE)
    assert kept.find(OTHER) is not None
    assert KeptDecisions(tmp_path / "nowhere").find(ONE) is None


@given(st.integers(1, 900), st.integers(0, 3), st.booleans())
def test_lines_are_found_wherever_blocks_end(block: int, wanted: int, ends: bool) -> None:
    lines = [b'{"decision_id":"%d"%s}\n' % (number, b"x" * 200 * number) for number in range(3)]
    text = b"".join(lines) if ends else b"".join(lines)[:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.web.kept._BLOCK_BYTES", block)
        found = list(_lines_with(b'"decision_id":"%d"' % wanted, io.BytesIO(text)))
    assert [line.rstrip(b"\n") for line in found] == [line.rstrip(b"\n") for line in lines[wanted : wanted + 1]]


def test_of_a_day_that_cannot_be_read_it_is_said_and_one_that_was_pruned_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "journal" / ARCHIVE
    folder.mkdir(parents=True)
    (folder / "2024-08-08.jsonl.gz").write_bytes(gzip.compress(b"x" * 1000)[:-20])
    with pytest.raises(JournalError, match="cannot be read"):
        KeptDecisions(tmp_path).find(ONE)
    gone = DayFile(date(2024, 8, 9), tmp_path / "journal" / "2024-08-09.jsonl")
    monkeypatch.setattr("engine.web.kept.day_files", lambda *_, **__: [gone])
    assert KeptDecisions(tmp_path).find(ONE) is None


def test_a_decision_is_made_again_as_it_was(tmp_path: Path) -> None:
    Rulebooks(tmp_path).load(shipped_home(), "prod")
    events = a_session()
    write(tmp_path / "journal", events)
    kept = KeptDecisions(tmp_path)
    for event in events:
        if isinstance(event, Decided):
            remade = kept.remake(decision_id_of(event))
            assert remade is not None
            assert (remade.event, remade.differs) == (event, ())
            assert remade.explanation.decision.json() == bytes(event.record).decode()


def test_the_rulebooks_used_last_stay_loaded_and_no_more_than_that(tmp_path: Path) -> None:
    keys = [
        (book.version, book.rulebook.sources_digest, book.profile) for book in (shipped("prod"), shipped("testnet"))
    ]
    for _, _, profile in keys:
        Rulebooks(tmp_path).load(shipped_home(), profile)
    kept = KeptRulebooks(tmp_path, most=1)
    first = kept.open(*keys[0])
    assert kept.open(*keys[0]) is first
    kept.open(*keys[1])
    assert kept.open(*keys[0]) is not first
    assert kept.home_of(first) == tmp_path / "rulebooks" / first.version / first.rulebook.sources_digest
    assert KeptRulebooks(tmp_path / "nowhere").home_of(first) is None


def test_a_rulebook_that_was_not_kept_or_was_changed_is_not_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = shipped("prod")
    kept = KeptDecisions(tmp_path)
    assert kept.compiled(book.version, book.rulebook.sources_digest, "prod") is None
    assert "was not kept" in caplog.text
    with pytest.raises(ViewError):
        kept.rulebooks.open(book.version, book.rulebook.sources_digest, "prod")
