"""The history: which rulebook decided from when to when, over all sessions, and what to go back to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.journal.events import Decided, Event, RulebookLoaded, SessionStarted
from engine.reload.errors import ReloadError
from engine.reload.history import Entry, History, How, Span, rollback_to


def entry(at_ms: int, version: str, how: How = "reload", profile: str = "prod") -> Entry:
    return Entry(at_ms=at_ms, how=how, profile=profile, version=version, sources="s", who="Ada", changed="tier: 1 rule")


def decision(ts_ms: int, version: str) -> Decided:
    record = msgspec.Raw(msgspec.json.encode({"rulebook": version, "decided": {}}))
    return Decided(ts_ms=ts_ms, intent_id=None, policy="routing", record=record)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "logs")


def test_what_was_added_is_read_in_order(history: History) -> None:
    entries = [entry(1, "aa", "start"), entry(5, "bb"), entry(9, "bb", "stop")]
    for one in entries:
        history.add(one)
    assert history.entries() == entries
    assert history.entries("testnet") == []


def test_without_a_file_there_is_no_history(history: History) -> None:
    assert history.entries() == []
    assert history.spans() == []


def test_a_span_lasts_until_the_next_entry(history: History) -> None:
    entries = [entry(1, "aa", "start"), entry(5, "bb"), entry(9, "bb", "stop"), entry(20, "aa", "start")]
    for one in entries:
        history.add(one)
    assert history.spans() == [Span(entries[0], 5), Span(entries[1], 9), Span(entries[3], None)]


def loaded(version: str) -> RulebookLoaded:
    return RulebookLoaded(ts_ms=0, profile="prod", rulebook=version, sources="s")


def started(version: str) -> SessionStarted:
    return SessionStarted(ts_ms=0, profile="prod", rulebook=version, sources="s", venue="v", market="m", nav_usd=1.0)


def test_decisions_are_counted_by_what_made_them(history: History) -> None:
    for one in (entry(1, "aa", "start"), entry(5, "bb"), entry(9, "aa", "rollback")):
        history.add(one)
    made: list[Event] = [
        started("aa"),
        decision(1, "aa"),
        decision(2, "aa"),
        loaded("bb"),
        decision(3, "bb"),
        loaded("aa"),
    ]
    assert [span.decisions for span in history.spans(journal=[*made, decision(4, "aa")])] == [2, 1, 1]


def test_a_journal_that_begins_later_is_laid_beside_the_end_of_the_history(history: History) -> None:
    for one in (entry(1, "aa", "start"), entry(2, "aa", "stop"), entry(3, "aa", "start"), entry(5, "bb")):
        history.add(one)
    made: list[Event] = [started("aa"), decision(1, "aa"), loaded("bb"), decision(2, "bb"), decision(3, "bb")]
    assert [span.decisions for span in history.spans(journal=made)] == [None, 1, 2]


def test_what_a_candidate_decides_is_counted_nowhere(history: History) -> None:
    history.add(entry(1, "aa", "start"))
    made: list[Event] = [started("aa"), decision(1, "cc"), decision(2, "aa"), decision(3, "cc")]
    assert [span.decisions for span in history.spans(journal=made)] == [1]


@pytest.mark.parametrize("torn", [b'{"at_ms": 7, "ho', b"\xff\xff", b"[]"])
def test_a_line_that_was_cut_off_is_passed_over(history: History, torn: bytes) -> None:
    history.add(entry(1, "aa"))
    with history.path.open("ab") as stream:
        stream.write(torn)
    history.add(entry(5, "bb"))
    assert [one.version for one in history.entries()] == ["aa", "bb"]


def test_a_file_that_cannot_be_read_is_said(history: History) -> None:
    history.path.mkdir(parents=True)
    with pytest.raises(ReloadError, match="cannot be read"):
        history.entries()
    with pytest.raises(ReloadError, match="cannot be written"):
        history.add(entry(1, "aa"))


RAN = [entry(1, "aa11", "start"), entry(2, "aa22"), entry(3, "bb33"), entry(4, "bb33", "stop")]


def test_a_rollback_goes_to_the_version_before() -> None:
    assert rollback_to(RAN).version == "aa22"


def test_a_comment_is_no_version_to_go_back_from() -> None:
    assert rollback_to([*RAN, entry(5, "bb33")]).version == "aa22"


def test_a_version_may_be_named_by_its_beginning() -> None:
    assert rollback_to(RAN, "aa1").version == "aa11"
    assert rollback_to(RAN, " BB33 ").version == "bb33"


@pytest.mark.parametrize(
    ("entries", "wanted", "told"),
    [
        ([], None, "no rulebook ran here yet"),
        (RAN[:1], None, "only aa11 ran here"),
        (RAN, "aa", "2 rulebooks begin with `aa`"),
        (RAN, "cc", "no rulebook `cc` ran here"),
        (RAN, " ", "no rulebook"),
    ],
)
def test_a_rollback_that_cannot_be_says_why(entries: list[Entry], wanted: str | None, told: str) -> None:
    with pytest.raises(ReloadError, match=told):
        rollback_to(entries, wanted)
