"""The account: what fills, marks and words from outside add up to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.journal.events import Checkpoint, Given, Heard, SessionStarted
from engine.routing.account import Account
from engine.venues.messages import Fill, Side

NOTHING: dict[str, Decimal] = {}


def account(nav: float = 100_000.0) -> Account:
    made = Account(3.0)
    made.see(SessionStarted(ts_ms=0, profile="p", rulebook="r", sources="s", venue="paper", market="m", nav_usd=nav))
    return made


def fill(side: Side, qty: str, price: str, *, trade_id: str = "t", again: bool = False) -> Heard:
    message = Fill(1, "c", trade_id, "BTCUSDT", side, Decimal(qty), Decimal(price), Decimal("1.5"), is_maker=False)
    return Heard(ts_ms=1, message=message, again=again)


def test_fills_move_position_cash_and_fees_to_the_last_digit() -> None:
    one = account()
    one.see(fill("buy", "0.3", "60000.1"))
    one.see(fill("sell", "0.1", "60010.1"))
    assert one.positions["BTCUSDT"] == Decimal("0.2")
    assert one.cash == Decimal("100000.0") - Decimal("18000.03") + Decimal("6001.01") - 3
    assert one.fees == Decimal("3.0")


def test_a_fill_heard_again_changes_nothing() -> None:
    one = account()
    one.see(fill("buy", "0.3", "60000"))
    one.see(fill("buy", "0.3", "60000", again=True))
    assert one.positions["BTCUSDT"] == Decimal("0.3")


def test_exposure_is_the_position_and_what_entries_may_still_come_to() -> None:
    one = account()
    one.mark("BTCUSDT", 50_000.0, 5_000)
    one.see(fill("sell", "0.3", "60000"))
    facts = one.facts("BTCUSDT", 5_000, {"BTCUSDT": Decimal("0.1"), "ETHUSDT": NOTHING.get("", Decimal(0))})
    assert facts["symbol_notional_usd"] == pytest.approx(20_000.0)
    assert facts["portfolio_notional_usd"] == pytest.approx(20_000.0)
    assert facts["position_qty"] == -0.3
    assert facts["nav_usd"] == pytest.approx(100_000.0 + 18_000.0 - 1.5 - 15_000.0)
    assert facts["observed_at"] == 5.0


def test_what_cannot_be_valued_is_missing_and_not_nothing() -> None:
    """A position without a mark must not pass the caps as if it were none."""
    one = account()
    one.see(fill("buy", "0.3", "60000"))
    facts = one.facts("ETHUSDT", 5_000, NOTHING)
    assert not facts.keys() & {"nav_usd", "symbol_notional_usd", "portfolio_notional_usd", "drawdown_today"}


def test_drawdown_is_measured_from_the_start_of_the_day_and_never_positive() -> None:
    one = account()
    one.mark("BTCUSDT", 59_000.0, 5_000)
    one.see(fill("buy", "1", "60000"))
    assert one.facts("BTCUSDT", 5_000, NOTHING)["drawdown_today"] == pytest.approx(-0.010015)
    one.mark("BTCUSDT", 70_000.0, 5_000)
    assert one.facts("BTCUSDT", 5_000, NOTHING)["drawdown_today"] == 0.0


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([(None, {"risk_mode": "normal"})], "normal"),
        ([(None, {"risk_mode": "normal"}), ("BTCUSDT", {"risk_mode": "defensive"})], "defensive"),
        ([("ETHUSDT", {"risk_mode": "defensive"})], None),
        ([(None, {"risk_mode": "normal"}), (None, None)], None),
    ],
)
def test_words_from_outside_count_for_their_symbol_or_for_all(
    events: list[tuple[str | None, dict[str, Any] | None]], expected: str | None
) -> None:
    one = account()
    for symbol, facts in events:
        one.see(Given(ts_ms=7_000, group="risk", facts=facts, symbol=symbol))
    said = one.outside("risk", "BTCUSDT")
    assert (None if said is None else said["risk_mode"]) == expected
    assert said is None or said["observed_at"] == 7.0


def test_an_account_given_from_outside_overrides_what_was_computed_and_ages() -> None:
    one = account()
    one.see(Given(ts_ms=7_000, group="account", facts={"nav_usd": 5.0}))
    facts = one.facts("BTCUSDT", 60_000, NOTHING)
    assert (facts["nav_usd"], facts["observed_at"]) == (5.0, 7.0)


def test_a_position_at_an_old_mark_is_known_as_of_then() -> None:
    """So a feed that has gone silent makes the net asset value stale, and entries are refused."""
    one = account()
    one.mark("BTCUSDT", 59_000.0, 5_000)
    one.mark("ETHUSDT", 2_000.0, 90_000)
    one.see(fill("buy", "1", "60000"))
    assert one.facts("ETHUSDT", 90_000, NOTHING)["observed_at"] == 5.0
    one.see(fill("sell", "1", "60000", trade_id="u"))
    assert one.facts("ETHUSDT", 90_000, NOTHING)["observed_at"] == 90.0


def test_what_is_said_for_a_symbol_does_not_lift_a_halt_for_all() -> None:
    one = account()
    one.see(Given(ts_ms=7_000, group="risk", facts={"risk_mode": "normal", "halted": False}, symbol="BTCUSDT"))
    one.see(Given(ts_ms=9_000, group="risk", facts={"risk_mode": "cautious", "halted": True}))
    said = one.outside("risk", "BTCUSDT")
    assert said == {"observed_at": 7.0, "risk_mode": "cautious", "halted": True}


def test_a_checkpoint_restores_everything() -> None:
    one = account()
    one.mark("BTCUSDT", 59_000.0, 5_000)
    one.see(fill("buy", "1", "60000"))
    one.see(Given(ts_ms=7_000, group="risk", facts={"risk_mode": "normal"}))
    other = Account(3.0)
    other.see(Checkpoint(ts_ms=86_400_000, **one.checkpoint()))
    other.mark("BTCUSDT", 59_000.0, 5_000)
    before, after = one.facts("BTCUSDT", 9_000, NOTHING), other.facts("BTCUSDT", 9_000, NOTHING)
    assert after.pop("drawdown_today") == 0.0, "the checkpoint begins a day"
    assert after == {name: value for name, value in before.items() if name != "drawdown_today"}
    assert other.outside("risk", "BTCUSDT") == one.outside("risk", "BTCUSDT")
