"""Who wants to trade: lines of a file in their order, lines that arrive, and a strategy that is made up."""

from __future__ import annotations

import json
from typing import Any

from engine.routing.facts import SymbolFacts
from engine.routing.intents import GivenFacts, Intent, Refusal
from engine.routing.sessions.strategy import Arriving, Lines, Signals
from engine.routing.shape import SessionShape
from tests.routing.markets import START_MS, SYMBOL, quote


def line(intent_id: str, **fields: Any) -> bytes:
    return json.dumps({"intent_id": intent_id, "symbol": SYMBOL, "side": "buy", "qty": 1, **fields}).encode() + b"\n"


def at(after_ms: int) -> float:
    return (START_MS + after_ms) / 1000


def ids(due: Any) -> list[str | None]:
    return [each.request.intent_id for each in due]


def test_lines_come_at_their_time_and_those_without_one_with_the_line_before() -> None:
    lines = Lines("file", [line("a"), line("b", ts=at(500)), line("c"), b"\n", line("d", ts=at(100))], 400)
    assert lines.next_ms() == 0
    assert ids(lines.take(START_MS)) == ["a"]
    assert lines.next_ms() == START_MS + 500
    assert ids(lines.take(START_MS + 499)) == []
    due = lines.take(START_MS + 500)
    assert ids(due) == ["b", "c", "d"], "a line never overtakes the one before it"
    assert [each.place for each in due] == ["file:2", "file:3", "file:5"]
    assert lines.next_ms() is None


def test_a_line_that_says_nothing_is_handed_on_as_a_refusal() -> None:
    (due,) = Lines("file", [b"{}\n"], 400).take(START_MS)
    assert isinstance(due.request, Refusal)


def test_intents_that_were_taken_before_are_left_out() -> None:
    taken = frozenset({"a"})
    assert ids(Lines("file", [line("a"), line("b")], 400, taken).take(0)) == ["b"]
    assert ids(Arriving("pipe", lambda: [line("a"), line("b")], 400, taken).take(0)) == ["b"]


def test_lines_that_arrive_wait_for_nobody() -> None:
    come: list[bytes] = []

    def arrived() -> list[bytes]:
        found, come[:] = list(come), []
        return found

    source = Arriving("pipe", arrived, 400)
    assert source.next_ms() is None
    assert source.take(START_MS) == []
    come += [line("later", ts=at(500)), b"\n", line("now"), line("too")]
    due = source.take(START_MS)
    assert ids(due) == ["now", "too"]
    assert [each.place for each in due] == ["pipe:3", "pipe:4"]
    assert source.next_ms() == START_MS + 500
    assert ids(source.take(START_MS + 500)) == ["later"]


def signals(taken: frozenset[str] = frozenset()) -> Signals:
    facts = SymbolFacts(SYMBOL, SessionShape())
    facts.see_quote(quote(0, 99.0, 101.0))
    source = Signals({SYMBOL: facts}, lambda _: 0.0, SessionShape(), taken)
    source.see(quote(0, 99.0, 101.0))
    return source


def test_signals_come_with_what_is_expected_of_them_and_then_wait() -> None:
    source = signals()
    due_ms = source.next_ms()
    assert due_ms is not None
    assert START_MS + 1_000 <= due_ms <= START_MS + 3_000
    given, intent = (each.request for each in source.take(due_ms))
    assert isinstance(given, GivenFacts)
    assert given.group == "signal"
    assert isinstance(intent, Intent)
    assert intent.intent_id == f"{SYMBOL}-000001"
    next_ms = source.next_ms()
    assert next_ms is not None
    assert next_ms > due_ms


def test_signals_use_no_id_that_was_taken_before() -> None:
    source = signals(frozenset({f"{SYMBOL}-000001", f"{SYMBOL}-000002"}))
    due_ms = source.next_ms()
    assert due_ms is not None
    assert source.take(due_ms)[-1].request.intent_id == f"{SYMBOL}-000003"  # type: ignore[union-attr]  # an intent
