"""Whether rules can be had is said once in the journal, and in the log every few minutes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.journal.events import RulesSource
from engine.reload.read import signature_of
from engine.reload.status import read_status
from engine.routing.sessions.reloading.origin import RulesOrigin
from tests.routing.sessions.reloading.played import SLIPPAGE, Session, side

MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        ((), "`{home}` is gone"),
        (("rules",), "`{home}/rules` is gone"),
        (("rules", "profiles"), "`{home}/rules`, `{home}/profiles` are gone"),
    ],
)
def test_a_home_that_is_gone_is_named_with_what_helps(
    start: Callable[..., Session], tmp_path: Path, folders: tuple[str, ...], told: str
) -> None:
    session = start()
    origin = RulesOrigin(session.running.desk, session.home, None, lambda: 5)
    (tmp_path / "away").mkdir()
    for name in folders:
        (session.home / name).rename(tmp_path / "away" / name)
    if not folders:
        session.home.rename(tmp_path / "away" / "home")
    origin.look(signature_of(session.home))
    found = origin.unavailable
    assert found is not None
    assert found.what == told.format(home=session.home)
    assert "put it back" in found.help
    assert found.since_ms == 5


def test_the_log_says_the_first_time_and_then_one_every_few_minutes(
    start: Callable[..., Session], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = start()
    now_ms = [0]
    origin = RulesOrigin(session.running.desk, session.home, None, lambda: now_ms[0])
    there = signature_of(session.home)
    (session.home / "rules").rename(tmp_path / "elsewhere")
    away = signature_of(session.home)
    with caplog.at_level(logging.WARNING):
        for minute in range(12):
            now_ms[0] = minute * MINUTE_MS
            origin.look(away)
        origin.look(there)
        origin.look(there)
    told = f"`{session.home}/rules` is gone"
    assert caplog.messages == [
        f"{told}: what ran goes on",
        f"{told}, for 5 min now: what ran goes on",
        f"{told}, for 10 min now: what ran goes on",
        f"rules can be had again from {session.home}",
    ]
    moves = session.events(RulesSource)
    assert [(move.state, move.origin, move.reason) for move in moves] == [
        ("away", str(session.home), told),
        ("back", str(session.home), ""),
    ]


def test_a_home_that_is_away_at_the_start_is_said(start: Callable[..., Session], tmp_path: Path) -> None:
    first = start()
    first.reloading.begin()
    first.running.journal.close()
    (first.logs / "journal").rename(tmp_path / "journal")
    (first.home / "rules").rename(tmp_path / "rules")
    again = start()
    again.reloading.begin()
    told = read_status(again.logs).unavailable
    assert told is not None
    assert told.what == f"`{again.home}/rules` is gone"


def test_after_a_rollback_the_status_says_that_the_files_hold_another_version(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    first = session.running.desk.book.version
    assert read_status(session.logs).offered == first
    session.edit(*SLIPPAGE)
    session.save()
    second = session.running.desk.book.version
    assert read_status(session.logs).offered == second
    assert session.ask("rollback").done
    status = read_status(session.logs)
    assert (status.version, status.offered, status.came_from) == (first, second, "")


def test_what_was_promoted_is_said_to_come_from_its_candidate(
    candidate: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate.running.desk, "against_candidate", lambda _: None)
    candidate.reloading.begin()
    name = side(candidate)
    assert candidate.ask("shadow", candidate=name, home=str(candidate.home)).done
    assert candidate.ask("promote").done
    status = read_status(candidate.logs)
    assert (status.came_from, status.origin) == (name, str(candidate.home))
    assert status.offered != status.version
    assert candidate.reloading.in_force.history.entries()[-1].origin == name
