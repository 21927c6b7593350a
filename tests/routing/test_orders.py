"""The life of an order: the transition table, and what may still be executed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import OrderPlanned
from engine.routing.orders import OVER, TRANSITIONS, Order, State, listed
from engine.venues.messages import Accepted, Asked, Fill, Message, Rejected, Status, Unknown, Update

QTY = Decimal(10)


def order(kind: Any = "post_only", state: State = "planned") -> Order:
    made = Order(
        OrderPlanned(
            ts_ms=1,
            intent_id="i",
            client_id="c",
            leg=1,
            role="maker",
            symbol="BTCUSDT",
            side="buy",
            qty=QTY,
            kind=kind,
            price=Decimal(1),
            reduce_only=False,
            mid=1.0,
        )
    )
    made.state = state
    return made


def fill(qty: int, trade_id: str = "t") -> Fill:
    return Fill(1, "c", trade_id, "BTCUSDT", "buy", Decimal(qty), Decimal(1), Decimal(0), is_maker=True)


def accepted(asked: Asked, status: Status, filled: int = 0) -> Accepted:
    return Accepted(1, "c", asked, status, Decimal(filled))


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(get_args(State))


def test_what_is_over_stays_over_but_for_an_order_believed_absent() -> None:
    back = {(state, following) for state, _, following in listed() if state in OVER and following not in OVER}
    assert back == {("absent", "open")}


def test_only_silence_proves_absence() -> None:
    assert [(state, happened) for state, happened, following in listed() if following == "absent" != state] == [
        ("unknown", "proved_absent")
    ]


@pytest.mark.parametrize(
    ("state", "message", "following"),
    [
        ("planned", accepted("place", "open"), "open"),
        ("planned", Rejected(1, "c", "place", -5022, "would take"), "rejected"),
        ("planned", Rejected(1, "c", "place", -1008, "overloaded"), "unknown"),
        ("planned", Rejected(1, "c", "place", -4116, "duplicate"), "unknown"),
        ("planned", Rejected(1, "c", "place", 503, "Unknown error, please check your request"), "unknown"),
        ("planned", Rejected(1, "c", "place", 503, "Service Unavailable."), "rejected"),
        ("planned", Unknown(1, "c", "place", "time-out"), "unknown"),
        ("planned", fill(3), "open"),
        ("planned", fill(10), "filled"),
        ("open", Update(1, "c", "expired", Decimal(0)), "expired"),
        ("cancelling", Rejected(1, "c", "cancel", -2011, "Unknown order sent."), "unknown"),
        ("cancelling", Rejected(1, "c", "cancel", 429, "slow down"), "open"),
        ("cancelling", accepted("query", "open"), "open"),
        ("cancelling", accepted("place", "open"), "cancelling"),
        ("cancelling", fill(3), "cancelling"),
        ("unknown", Rejected(1, "c", "query", -2013, "Order does not exist."), "unknown"),
        ("unknown", accepted("query", "cancelled"), "cancelled"),
        ("cancelled", fill(3), "cancelled"),
        ("cancelled", accepted("query", "open"), "cancelled"),
        ("absent", accepted("query", "open"), "open"),
        ("rejected", fill(3), "unknown"),
        ("open", Rejected(1, "c", "place", -4131, "refused after all"), "unknown"),
    ],
)
def test_what_a_message_makes_of_an_order(state: State, message: Message, following: State) -> None:
    one = order(state=state)
    one.hear(message)
    assert one.state == following


def test_a_transition_that_is_not_listed_is_remembered() -> None:
    one = order(state="rejected")
    one.hear(fill(3))
    assert one.unlisted == ["part_filled while rejected"]
    assert one.possible == 7


def test_a_cumulative_quantity_without_its_trades_stays_possible() -> None:
    one = order()
    one.hear(accepted("place", "expired", filled=4))
    assert (one.filled, one.possible) == (Decimal(0), Decimal(4))
    assert one.is_over
    assert not one.is_settled
    one.hear(fill(4))
    assert (one.filled, one.possible) == (Decimal(4), Decimal(0))
    assert one.is_settled


def test_the_same_trade_counts_once() -> None:
    one = order(state="open")
    one.hear(fill(4))
    one.hear(fill(4))
    assert one.filled == 4


def test_an_expired_post_only_order_without_fills_is_a_post_only_reject() -> None:
    maker, partly, taker = order(), order(), order("ioc")
    maker.hear(accepted("place", "expired"))
    partly.hear(accepted("place", "expired", filled=1))
    taker.hear(accepted("place", "expired"))
    assert (maker.post_only_rejected, partly.post_only_rejected, taker.post_only_rejected) == (True, False, False)


MESSAGES = st.one_of(
    st.builds(
        Accepted,
        st.just(1),
        st.just("c"),
        st.sampled_from(get_args(Asked)),
        st.sampled_from(get_args(Status)),
        st.integers(0, 10).map(Decimal),
    ),
    st.builds(Update, st.just(1), st.just("c"), st.sampled_from(get_args(Status)), st.integers(0, 10).map(Decimal)),
    st.builds(
        Rejected,
        st.just(1),
        st.just("c"),
        st.sampled_from(get_args(Asked)),
        st.sampled_from([-5022, -1008, -2011, -2013, 429, 503, -4131]),
        st.just("text"),
    ),
    st.builds(Unknown, st.just(1), st.just("c"), st.sampled_from(get_args(Asked)), st.just("cause")),
    st.builds(fill, st.integers(1, 3), st.sampled_from("abcd")),
)


@given(st.lists(MESSAGES, max_size=30))
def test_no_message_makes_less_possible_than_what_the_venue_reported(messages: list[Message]) -> None:
    """Whatever is said, in whatever order: executed and possible together never fall below what was reported."""
    one = order()
    reported = Decimal(0)
    for message in messages:
        one.hear(message)
        if isinstance(message, Accepted | Update):
            reported = max(reported, message.filled)
        assert one.filled + one.possible >= reported
        assert one.possible >= 0 or one.filled > QTY
        if not one.is_over:
            assert one.filled + one.possible >= QTY
