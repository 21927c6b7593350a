"""What goes on beside a session: the watch, and requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.book import load
from engine.reload.history import History
from engine.reload.read import Reading, read_home
from engine.reload.requests import Request, ask, new_id, take
from engine.reload.status import read_status
from engine.routing.sessions.reloading import beside as going_on
from engine.routing.sessions.reloading import changes, commands
from tests.routing.sessions.numbered import beside, until
from tests.routing.sessions.reloading.played import SLIPPAGE, Session, side


def test_what_is_saved_is_noticed_also_if_that_was_before_anybody_watched(start: Callable[..., Session]) -> None:
    session = start()
    session.edit(*SLIPPAGE)
    saved = load("testnet", session.home).version

    async def wait() -> None:
        await until(lambda: session.running.desk.book.version == saved)

    beside(session.running, wait)
    assert [entry.how for entry in History(session.logs).entries()] == ["start", "reload", "stop"]


def test_nothing_is_said_before_the_session_has_begun(start: Callable[..., Session]) -> None:
    session = start()
    session.running.desk.has_begun = False

    async def wait() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not (session.logs / "reload" / "status.json").exists()
        session.running.desk.has_begun = True
        await until((session.logs / "reload" / "status.json").exists)

    beside(session.running, wait)


def test_a_watch_that_breaks_down_begins_anew_and_loses_no_save(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    is_broken = True

    def reads(home: Path) -> Reading:
        if is_broken:
            raise OSError("no more files")
        return read_home(home)

    monkeypatch.setattr(changes, "read_home", reads)
    monkeypatch.setattr(going_on, "_AGAIN_S", 0.0)
    session.edit(*SLIPPAGE)
    saved = load("testnet", session.home).version

    async def wait() -> None:
        nonlocal is_broken
        await until((session.logs / "reload" / "requests").is_dir)
        await until(lambda: "no more files" in read_status(session.logs).watching)
        answer = await asyncio.to_thread(ask, session.logs, Request(id=new_id(), action="end"))
        assert answer.line == "there is no candidate", "requests are served all the same"
        is_broken = False
        await until(lambda: session.running.desk.book.version == saved)
        await until(lambda: not read_status(session.logs).watching)

    beside(session.running, wait)


def test_requests_that_cannot_be_looked_for_are_in_the_status_until_they_can(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    is_broken = True

    def takes(logs: Path) -> list[Request]:
        if is_broken:
            raise PermissionError("permission denied")
        return list(take(logs))

    monkeypatch.setattr(commands, "take", takes)
    monkeypatch.setattr(going_on, "_AGAIN_S", 0.0)

    async def wait() -> None:
        nonlocal is_broken
        await until((session.logs / "reload" / "requests").is_dir)
        await until(lambda: "requests: PermissionError" in read_status(session.logs).watching)
        is_broken = False
        await until(lambda: not read_status(session.logs).watching)

    beside(session.running, wait)


def test_a_return_by_a_guard_is_in_the_status_at_once(candidate: Session) -> None:
    async def wait() -> None:
        await until((candidate.logs / "reload" / "requests").is_dir)
        request = Request(id=new_id(), action="shadow", candidate=side(candidate))
        assert (await asyncio.to_thread(ask, candidate.logs, request)).done
        candidate.running.desk.end_candidate("returned", "guards.costs_too_much")

        def is_told() -> bool:
            found = read_status(candidate.logs).candidate
            return found is not None and found.state == "returned"

        await until(is_told)

    beside(candidate.running, wait)


def test_a_session_that_never_begins_lets_go_of_the_address(start: Callable[..., Session]) -> None:
    session = start()
    session.running.desk.has_begun = False
    closed: list[bool] = []

    class Address:
        async def aclose(self) -> None:
            closed.append(True)

    session.reloading.remote = Address()  # type: ignore[assignment]

    async def wait() -> None:
        await asyncio.sleep(0)

    beside(session.running, wait)
    assert closed == [True]
    assert not (session.logs / "reload").exists(), "nothing decided"
