"""Logs: a line a record, whatever it says, with the ids that the journal and the API have too."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import (
    BreakerMoved,
    IntentRefused,
    OrderError,
    Routed,
    SessionEnded,
    Worked,
)
from engine.web.logs import FIELDS, PAGES, ROOT, SERVER, ConsoleFormatter, EventLog, JsonFormatter, set_up
from tests.routing.written import NOW_MS
from tests.web.world import a_session


def record(message: str = "said", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("engine.web", logging.WARNING, __file__, 1, "%s", (message,), None)
    made.created = 1_700_000_000.25
    vars(made).update(fields)
    return made


@given(st.text(), st.dictionaries(st.sampled_from(FIELDS), st.text() | st.integers() | st.lists(st.text(), max_size=3)))
def test_any_record_is_one_line_of_json_with_its_fields(message: str, fields: dict[str, Any]) -> None:
    line = JsonFormatter().format(record(message, **fields))
    assert "\n" not in line
    held = json.loads(line)
    assert list(held)[:4] == ["time", "level", "logger", "message"]
    assert held["time"] == "2023-11-14T22:13:20.250+00:00"
    assert held["level"] == "warning"
    assert held.keys() >= {name for name, value in fields.items()}


@given(st.text(), st.text())
def test_nothing_in_a_record_steers_a_terminal_or_begins_another_line(message: str, value: str) -> None:
    line = ConsoleFormatter().format(record(message, intent_id=value))
    assert line.isprintable() or not any(ord(character) < 32 or ord(character) == 127 for character in line)
    assert "\n" not in line
    assert "\x1b" not in line
    assert line.startswith("22:13:20.250 WARNING")


def test_a_console_line_reads_well() -> None:
    made = record("maker: no veto", intent_id="i-1", vetoes=["a.b", "c.d"], status=200, symbol=None)
    assert (
        ConsoleFormatter().format(made) == "22:13:20.250 WARNING maker: no veto intent_id=i-1 vetoes=a.b,c.d status=200"
    )
    assert ConsoleFormatter().format(record("x", path="/a b")).endswith('path="/a b"')


def test_an_exception_comes_with_its_trace() -> None:
    made = record("broke")
    error = ValueError("no \x1b[31m good")
    made.exc_info = (ValueError, error, None)
    text = ConsoleFormatter().format(made)
    assert "ValueError: no" in text
    assert "\x1b" not in text
    assert "ValueError" in json.loads(JsonFormatter().format(made))["exception"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_setting_up_again_replaces_what_was_set_up(style: str) -> None:
    before = {
        name: (list(logging.getLogger(name).handlers), logging.getLogger(name).level, logging.getLogger(name).propagate)
        for name in (PAGES, ROOT, SERVER)
    }
    first, second = io.StringIO(), io.StringIO()
    try:
        set_up("console", first)
        set_up("json" if style == "json" else "console", second)
        logging.getLogger("engine.web.guard").info("seen")
        logging.getLogger("engine.web.guard").debug("not seen")
        logging.getLogger("uvicorn.error").info("not seen")
        logging.getLogger("uvicorn.error").warning("seen")
    finally:
        for name, (handlers, level, propagate) in before.items():
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
    assert first.getvalue() == ""
    assert second.getvalue().count("seen") == 2
    assert "not seen" not in second.getvalue()


def test_what_happens_to_an_intent_is_logged_with_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog()
    events = a_session()
    with caplog.at_level(logging.INFO, "engine.routing"):
        for event in events:
            log.see(event)
    lines = [json.loads(JsonFormatter().format(each)) for each in caplog.records]
    assert [line["message"].partition(":")[0] for line in lines] == ["session started", "maker", "filled", "taker"]
    routes = [event for event in events if isinstance(event, Routed)]
    told = lines[1]
    assert (told["intent_id"], told["decision_id"]) == ("entry-1", routes[0].decision_id)
    assert (told["route"], told["symbol"], told["seq"], told["ts_ms"]) == ("maker", "BTCUSDT", routes[0].seq, NOW_MS)
    assert lines[3]["vetoes"] == routes[1].vetoes


def test_what_went_wrong_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog()
    moved: dict[str, Any] = {
        "ts_ms": 1,
        "scope": "BTCUSDT",
        "was": "closed",
        "rule": "a.b",
        "reason": "too many",
        "pauses": True,
    }
    said: dict[str, Any] = {"ts_ms": 1, "intent_id": "i-1", "client_id": "i-1-1"}
    with caplog.at_level(logging.INFO, "engine.routing"):
        log.see(IntentRefused(ts_ms=1, intent_id="i-1", code="malformed", reason="no side %s", received="{}"))
        log.see(OrderError(**said, code=-2022, error="reduce_only", text="no %d"))
        log.see(BreakerMoved(**moved, state="open"))
        log.see(BreakerMoved(**{**moved, "was": "open"}, state="closed"))
        log.see(Worked(**said, action="cross", reason="drifted", decision_id="d"))
        log.see(SessionEnded(ts_ms=1, reason="market_ended"))
    assert [each.levelname for each in caplog.records] == ["WARNING"] * 3 + ["INFO"] * 3
    assert caplog.records[0].getMessage() == "intent refused: no side %s"
    assert vars(caplog.records[1])["event"] == "reduce_only"
    assert vars(caplog.records[2])["state"] == "open"
