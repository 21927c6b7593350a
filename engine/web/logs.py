"""Structured logs: a line a record, as JSON for machines or as text for a console, each with the ids it is about.

In: records of the standard library's `logging`, whose `extra` holds any of `FIELDS`. Out: lines on standard error.
`intent_id` and `decision_id` are the same in logs, in the journal and in the API, and `request_id` is what a problem's
`instance` says. No field ever holds a token or a cookie: nothing that logs is given one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, Final, Literal, TypeAlias

import msgspec

from engine.journal.events import (
    BreakerMoved,
    Event,
    IntentRefused,
    OrderError,
    Outcome,
    Routed,
    RulebookLoaded,
    SessionEnded,
    SessionStarted,
    Worked,
)
from engine.printing import printable

LogFormat: TypeAlias = Literal["console", "json"]


FIELDS: Final = (
    *("intent_id", "decision_id", "symbol", "route", "event", "rule", "vetoes", "client_id", "scope", "state"),
    *("profile", "rulebook", "request_id", "client", "method", "path", "status", "duration_ms", "ts_ms", "seq"),
)
"""What a record may say beside its message, in the order it is written."""

ROOT = "engine"
"""The logger above all of ours."""


SERVER = "uvicorn"
"""The logger of the HTTP server, which has something to say only where something is wrong."""

PAGES = "nicegui"
"""The logger below our pages. It warns of each address that is not there, with its query, which nobody is to log."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, then the fields that were given."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encoded(line)


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, then `name=value` for each field; nothing in it can steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; the trace of an exception follows on lines of its own."""
        at = datetime.fromtimestamp(record.created, UTC)
        fields = "".join(f" {name}={_shown(value)}" for name, value in _fields(record).items())
        text = printable(
            f"{at:%H:%M:%S}.{at.microsecond // 1000:03} {record.levelname:<7} {record.getMessage()}{fields}"
        )
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            text = "\n".join([text, *(f"  {printable(line)}" for line in trace)])
        return text


def set_up(style: LogFormat, stream: IO[str], level: int = logging.INFO) -> None:
    """Send the records of the engine and of what runs below it to a stream; of several calls the last one holds."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if style == "json" else ConsoleFormatter())
    for name, least in ((ROOT, level), (SERVER, max(level, logging.WARNING)), (PAGES, max(level, logging.ERROR))):
        logger = logging.getLogger(name)
        for earlier in tuple(logger.handlers):
            logger.removeHandler(earlier)
        logger.addHandler(handler)
        logger.setLevel(least)
        logger.propagate = False


class EventLog:
    """Logs what happens to orders as a view over a journal: what a person on call looks for, and not every message."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._log = logger or logging.getLogger(f"{ROOT}.routing")
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            SessionStarted: self._started,
            SessionEnded: self._session_ended,
            RulebookLoaded: self._loaded,
            IntentRefused: self._refused,
            Routed: self._routed,
            Worked: self._worked,
            OrderError: self._error,
            Outcome: self._ended,
            BreakerMoved: self._moved,
        }

    def see(self, event: Event) -> None:
        """Take the next event."""
        handler = self._handlers.get(event.__class__)
        if handler is not None:
            handler(event)

    def _say(self, event: Event, level: int, message: str, /, **fields: Any) -> None:
        if self._log.isEnabledFor(level):
            # As arguments and not as the format: reasons hold what others wrote.
            self._log.log(level, "%s", message, extra={"ts_ms": event.ts_ms, "seq": event.seq, **fields})

    def _started(self, event: SessionStarted) -> None:
        text = "session resumed" if event.resumed else "session started"
        self._say(event, logging.INFO, text, profile=event.profile, rulebook=event.rulebook)

    def _session_ended(self, event: SessionEnded) -> None:
        self._say(event, logging.INFO, f"session ended: {event.reason}")

    def _loaded(self, event: RulebookLoaded) -> None:
        self._say(event, logging.INFO, "rulebook loaded", profile=event.profile, rulebook=event.rulebook)

    def _refused(self, event: IntentRefused) -> None:
        self._say(
            event, logging.WARNING, f"intent refused: {event.reason}", intent_id=event.intent_id, event=event.code
        )

    def _routed(self, event: Routed) -> None:
        self._say(
            event,
            logging.INFO,
            event.reason,
            intent_id=event.intent_id,
            decision_id=event.decision_id,
            symbol=event.symbol,
            route=event.route,
            event=event.event,
            vetoes=event.vetoes or None,
        )

    def _worked(self, event: Worked) -> None:
        self._say(
            event,
            logging.INFO,
            event.reason,
            intent_id=event.intent_id,
            decision_id=event.decision_id,
            client_id=event.client_id,
            event=event.action,
        )

    def _error(self, event: OrderError) -> None:
        text = f"order error {event.code}: {event.text}"
        self._say(event, logging.WARNING, text, intent_id=event.intent_id, client_id=event.client_id, event=event.error)

    def _ended(self, event: Outcome) -> None:
        text = f"{event.result}: {event.reason}"
        self._say(
            event,
            logging.INFO,
            text,
            intent_id=event.intent_id,
            symbol=event.symbol,
            route=event.route,
            event="outcome",
        )

    def _moved(self, event: BreakerMoved) -> None:
        level = logging.INFO if event.state == "closed" else logging.WARNING
        self._say(event, level, event.reason, scope=event.scope, state=event.state, rule=event.rule or None)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    held = record.__dict__
    return {name: held[name] for name in FIELDS if held.get(name) is not None}


def _shown(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f'"{text}"' if " " in text or not text else text


def _encoded(line: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(line).decode()
    except (TypeError, ValueError, UnicodeError):  # a lone surrogate, or a value of somebody's own type
        return msgspec.json.encode({name: _safe(value) for name, value in line.items()}).decode()


def _safe(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()
