"""What decides is remembered and said, also where a disk does not take it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from engine.book import load
from engine.journal.events import RulebookLoaded
from engine.reload.errors import ReloadError
from engine.reload.history import History
from engine.reload.pipeline import Accepted
from engine.reload.status import is_running, read_status
from engine.routing.sessions.reloading import in_force
from tests.routing.sessions.reloading.played import SLIPPAGE, Session


def test_a_full_disk_keeps_nobody_from_deciding_by_what_was_saved(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = start()

    def full(*_: object) -> None:
        raise ReloadError("no space left on device")

    monkeypatch.setattr(in_force, "write_status", full)
    monkeypatch.setattr(History, "add", full)
    session.edit(*SLIPPAGE)
    assert isinstance(session.save(), Accepted)
    assert session.running.desk.book.version == load("testnet", session.home).version
    session.save()
    assert len([record for record in caplog.records if "no space" in record.getMessage()]) == 2, "once of each file"


def test_a_session_that_is_over_or_was_killed_decides_no_longer(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    running = read_status(session.logs)
    assert is_running(running)
    assert not is_running(msgspec.structs.replace(running, process=2**22 + 1)), "there is no such process"
    assert is_running(msgspec.structs.replace(running, process=2**22 + 1, host="elsewhere")), "who knows"
    assert not is_running(msgspec.structs.replace(running, began="1")), "another process has its number now"
    assert is_running(msgspec.structs.replace(running, began="")), "as an earlier release wrote it"
    session.reloading.in_force.end()
    ended = read_status(session.logs)
    assert ended.ended_ms is not None
    assert not is_running(ended)


def several(session: Session) -> None:
    """Change five values."""
    for name, old, new in (
        SLIPPAGE,
        ("profiles/base.yaml", "quality.degraded_ack_ms: 1500", "quality.degraded_ack_ms: 1400"),
        ("profiles/base.yaml", "guards.min_outcomes: 20", "guards.min_outcomes: 0"),
        ("profiles/base.yaml", "guards.max_cost_bps: 10\n", "guards.max_cost_bps: 9\n"),
    ):
        session.edit(name, old, new)


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ([("profiles/testnet.yaml", "profile: testnet", "# for tests\nprofile: testnet")], "comments only"),
        ([("rules/guards.yaml", "why: its fills cost more than they may", "why: it costs")], "whys only"),
        (
            [("profiles/base.yaml", "guards.min_outcomes: 20", "guards.min_outcomes: 0")],
            "guards.min_outcomes 20 → 0",
        ),
        (
            [("rules/guards.yaml", "rollout_outcomes >= $min_outcomes", "rollout_outcomes > $min_outcomes")],
            "rule guards.costs_too_much changed",
        ),
    ],
)
def test_what_changed_is_named(start: Callable[..., Session], edits: list[tuple[str, str, str]], told: str) -> None:
    session = start()
    for edit in edits:
        session.edit(*edit)
    assert isinstance(session.save(), Accepted)
    assert session.events(RulebookLoaded)[-1].changed == told


def test_of_many_changes_the_first_are_named_and_the_rest_counted(start: Callable[..., Session]) -> None:
    session = start()
    several(session)
    assert isinstance(session.save(), Accepted)
    told = session.events(RulebookLoaded)[-1].changed
    assert told.count(" → ") == 2
    assert told.endswith("; and 2 more")
