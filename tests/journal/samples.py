"""Short ways to write events and journals, for the tests of the journal and of what reads it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from engine.journal.disk import Disk
from engine.journal.events import (
    Checkpoint,
    Event,
    Heard,
    IntentReceived,
    IntentRefused,
    OrderPlanned,
    Outcome,
    ProbeGranted,
)
from engine.journal.folder import DAY_MS
from engine.journal.writer import NEVER, Journal
from engine.venues.messages import Fill

DAY = 19_943
"""2024-08-08, counted from 1970."""


def at(day: int = DAY, ms: int = 0) -> int:
    """A moment of a day, in milliseconds since 1970."""
    return day * DAY_MS + ms


def at_day(text: str) -> int:
    """The first moment of a day such as 2024-08-08."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def probe(ts_ms: int = at(), intent_id: str = "i-1") -> ProbeGranted:
    return ProbeGranted(ts_ms=ts_ms, intent_id=intent_id, symbol="BTCUSDT")


def received(ts_ms: int = at(), intent_id: str = "i-1") -> IntentReceived:
    return IntentReceived(ts_ms=ts_ms, intent_id=intent_id, symbol="BTCUSDT", intent={"side": "buy", "qty": 0.5})


def refused(ts_ms: int = at(), intent_id: str | None = "i-1", code: str = "malformed") -> IntentRefused:
    return IntentRefused(ts_ms=ts_ms, intent_id=intent_id, code=code, reason="no side", received="{}")


def order(ts_ms: int = at(), intent_id: str = "i-1") -> OrderPlanned:
    return OrderPlanned(
        ts_ms=ts_ms,
        intent_id=intent_id,
        client_id=f"{intent_id}-1",
        leg=1,
        role="maker",
        symbol="BTCUSDT",
        side="buy",
        qty=Decimal("0.010"),
        kind="post_only",
        price=Decimal("60000.10"),
        reduce_only=False,
        mid=60000.15,
    )


def filled(ts_ms: int = at(), intent_id: str = "i-1", trade_id: str = "t-1") -> Heard:
    fill = Fill(
        ts_ms,
        f"{intent_id}-1",
        trade_id,
        "BTCUSDT",
        "buy",
        Decimal("0.010"),
        Decimal("60000.10"),
        Decimal("0.12"),
        is_maker=True,
    )
    return Heard(ts_ms=ts_ms, message=fill, state="filled")


def outcome(ts_ms: int = at(), intent_id: str = "i-1", cost_usd: float = 600.001) -> Outcome:
    return Outcome(
        ts_ms=ts_ms,
        intent_id=intent_id,
        symbol="BTCUSDT",
        side="buy",
        is_exit=False,
        route="maker",
        result="filled",
        reason="filled",
        target=Decimal("0.010"),
        filled=Decimal("0.010"),
        maker_filled=Decimal("0.010"),
        cost_usd=cost_usd,
        fees_usd=0.12,
        arrival_ms=ts_ms,
        arrival_mid=60000.15,
        sent_ms=ts_ms,
        sent_mid=60000.15,
        end_mid=60000.15,
    )


def checkpoint(ts_ms: int = at()) -> Checkpoint:
    return Checkpoint(
        ts_ms=ts_ms,
        positions={"BTCUSDT": Decimal("0.010")},
        cash_usd=Decimal("-600.001"),
        fees_usd=Decimal("0.12"),
        day_nav_usd=1e6,
    )


def written(folder: Path, *groups: Iterable[Event], disk: Disk | None = None) -> list[Event]:
    """Write a journal, one commit a group, with a checkpoint at each later day; the events as they were numbered."""
    added: list[Event] = []

    with Journal(folder, fsync=NEVER, checkpoint=checkpoint, disk=disk) as journal:
        for group in groups:
            added.extend(journal.add(event) for event in group)
            journal.commit()
    return added


def lines(path: Path) -> list[bytes]:
    """The lines of a file with their newlines."""
    return path.read_bytes().splitlines(keepends=True)
