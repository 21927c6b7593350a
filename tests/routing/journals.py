"""Journal events in few words, for tests of views: orders that are planned, answered and ended."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.journal.events import Event, Heard, OrderError, OrderPlanned, Outcome, ProbeGranted, Role
from engine.venues.messages import Accepted, Asked, Fill, Kind, Rejected, Status, Unknown, Update

POST_ONLY_CODE = -5022
NONE = Decimal(0)
ONE = Decimal(1)


def planned(
    ts_ms: int, client_id: str, symbol: str = "BTCUSDT", *, role: Role = "maker", intent_id: str | None = None
) -> OrderPlanned:
    """An order about to be sent. Its intent is that of its client id unless said otherwise."""
    kind: Kind = "post_only" if role == "maker" else "ioc"
    return OrderPlanned(
        ts_ms=ts_ms,
        intent_id=intent_id or f"of-{client_id}",
        client_id=client_id,
        leg=1,
        role=role,
        symbol=symbol,
        side="buy",
        qty=ONE,
        kind=kind,
        price=Decimal(100),
        reduce_only=False,
        mid=100.0,
    )


def accepted(
    ts_ms: int, client_id: str, *, asked: Asked = "place", status: Status = "open", filled: Decimal = NONE
) -> Heard:
    """The venue did what was asked. Its own clock is an hour ahead: nothing but the journal's counts."""
    return Heard(ts_ms=ts_ms, message=Accepted(ts_ms + 3_600_000, client_id, asked, status, filled))


def rejected(ts_ms: int, client_id: str, code: int = POST_ONLY_CODE, *, asked: Asked = "place") -> Heard:
    """The venue refused."""
    return Heard(ts_ms=ts_ms, message=Rejected(ts_ms, client_id, asked, code, "no"))


def updated(ts_ms: int, client_id: str, status: Status, filled: Decimal = NONE) -> Heard:
    """The venue says unasked what an order is now."""
    return Heard(ts_ms=ts_ms, message=Update(ts_ms, client_id, status, filled))


def unclear(ts_ms: int, client_id: str, asked: Asked = "place") -> Heard:
    """Nobody knows what became of it."""
    return Heard(ts_ms=ts_ms, message=Unknown(ts_ms, client_id, asked, "time-out"))


def filled(
    ts_ms: int,
    client_id: str,
    symbol: str = "BTCUSDT",
    *,
    qty: str = "1",
    price: str = "100",
    fee: str = "0.02",
    is_maker: bool = True,
    again: bool = False,
) -> Heard:
    """An execution."""
    fill = Fill(ts_ms, client_id, f"t-{ts_ms}", symbol, "buy", Decimal(qty), Decimal(price), Decimal(fee), is_maker)
    return Heard(ts_ms=ts_ms, message=fill, again=again)


def ended(
    ts_ms: int,
    intent_id: str,
    symbol: str = "BTCUSDT",
    *,
    attempted: str = "1",
    maker_filled: str = "1",
    fallback: bool = False,
    is_exit: bool = False,
) -> Outcome:
    """What became of an intent."""
    return Outcome(
        ts_ms=ts_ms,
        intent_id=intent_id,
        symbol=symbol,
        side="buy",
        is_exit=is_exit,
        route="maker",
        result="filled",
        reason="filled",
        target=ONE,
        filled=ONE,
        maker_filled=Decimal(maker_filled),
        cost_usd=100.0,
        fees_usd=0.02,
        arrival_ms=ts_ms,
        arrival_mid=100.0,
        sent_ms=ts_ms,
        sent_mid=100.0,
        end_mid=100.0,
        attempted=Decimal(attempted),
        fallback=fallback,
    )


def probed(ts_ms: int, symbol: str = "BTCUSDT") -> ProbeGranted:
    """An order may rest although its tier is only ok."""
    return ProbeGranted(ts_ms=ts_ms, intent_id=f"p-{ts_ms}", symbol=symbol)


def failed(ts_ms: int, client_id: str, error: str = "rate_limit", code: int = 429) -> OrderError:
    """Something went wrong with an order."""
    return OrderError(ts_ms=ts_ms, client_id=client_id, intent_id=None, code=code, error=error, text="no")


def refused_attempt(ts_ms: int, client_id: str, symbol: str = "BTCUSDT") -> Sequence[Event]:
    """An order that the venue refuses at once because it would have taken, and the end of its intent."""
    end = ended(ts_ms, f"of-{client_id}", symbol, maker_filled="0", attempted="0")
    return (planned(ts_ms, client_id, symbol), rejected(ts_ms, client_id), end)
