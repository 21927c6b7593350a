"""Intents that are handed in while a session runs, beside those of its own source."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from engine.home import shipped_home
from engine.journal.events import IntentReceived, IntentRefused, Outcome
from engine.journal.reader import read
from engine.market import Choice
from engine.routing.intents import Intent
from engine.routing.sessions.inbox import PLACE, Inbox
from engine.routing.sessions.source import open_market
from engine.routing.sessions.start import SessionOptions, open_embedded
from engine.routing.sessions.strategy import Lines
from engine.routing.shape import SessionShape


def intent(number: int) -> Intent:
    facts = {"side": "buy", "qty": 0.01, "order_type": "market", "maker_requested": False, "reduce_only": False}
    return Intent(f"api-{number}", "BTCUSDT", facts)


def lines(*texts: str) -> Lines:
    return Lines("a file", [text.encode() for text in texts], 100)


LATER = '{"intent_id":"l-1","symbol":"BTCUSDT","ts":10,"side":"buy"}'


def ids(source: object, now_ms: int) -> list[str]:
    return [due.request.intent_id for due in source.take(now_ms)]  # type: ignore[attr-defined]  # intents alone


def test_what_is_handed_in_is_due_at_once_and_comes_first() -> None:
    inbox = Inbox()
    both = inbox.beside(lines(LATER))
    assert both.next_ms() == 10_000
    assert inbox.hand(intent(1))
    assert inbox.hand(intent(2))
    assert both.next_ms() == 0
    assert ids(both, 20_000) == ["api-1", "api-2", "l-1"]
    assert both.next_ms() is None
    assert ids(both, 20_000) == []


def test_it_takes_no_more_than_it_may_and_nothing_once_it_is_closed() -> None:
    inbox = Inbox(most=1)
    assert [inbox.hand(intent(number)) for number in (1, 2)] == [True, False]
    assert len(inbox) == 1
    inbox.take()
    inbox.close()
    assert not inbox.hand(intent(3))


def test_what_was_never_taken_is_left_over_and_the_inbox_is_closed() -> None:
    inbox = Inbox()
    both = inbox.beside(lines(LATER))
    inbox.hand(intent(1))
    assert [(due.request.intent_id, due.place) for due in both.rest()] == [("api-1", PLACE), ("l-1", "a file:1")]  # type: ignore[union-attr]  # intents alone
    assert not inbox.is_open


def test_nothing_is_lost_or_doubled_between_threads() -> None:
    inbox = Inbox(most=100_000)
    both = inbox.beside(lines())
    threads = [
        threading.Thread(target=lambda start=start: [inbox.hand(intent(start + number)) for number in range(500)])
        for start in (0, 1000, 2000)
    ]
    for thread in threads:
        thread.start()
    found: list[str] = []
    while any(thread.is_alive() for thread in threads) or both.next_ms() == 0:
        found += ids(both, 0)
    assert len(found) == len(set(found)) == 1500
    assert [each for each in found if len(each) < 8] == [f"api-{number}" for number in range(500)]


def test_a_session_works_what_is_handed_in_and_refuses_what_came_too_late(tmp_path: Path) -> None:
    inbox = Inbox()
    shape = SessionShape(seed=7, generated_s=30)
    (tmp_path / "none.jsonl").write_text("")
    options = SessionOptions(
        "testnet", shipped_home(), tmp_path, shape, intents=str(tmp_path / "none.jsonl"), baselines=False, inbox=inbox
    )
    running = open_embedded(options, open_market(shape, (), generated=True, choice=Choice(("BTCUSDT",), None, None)))
    inbox.hand(intent(1))
    ending = asyncio.run(running.run())
    assert ending.left_open == 0
    events = list(read(tmp_path / "journal", types=(IntentReceived, IntentRefused, Outcome)))
    assert [type(event) for event in events] == [IntentReceived, Outcome]
    assert "handed in" in running.intents
    assert not inbox.hand(intent(2))
