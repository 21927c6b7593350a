"""A journal as people read it: filters, one intent's story, and words for every event."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest

from engine.journal.events import (
    BaselineDone,
    BreakerMoved,
    CancelRequested,
    CandidateMoved,
    Checkpoint,
    Event,
    Given,
    Heard,
    Imported,
    IntentRefused,
    MarkedOut,
    ProbeGranted,
    ProvedAbsent,
    QueryPlanned,
    Routed,
    RulebookLoaded,
    RulebookRefused,
    RulesSource,
    SessionEnded,
    ShadowDecided,
    Snapshot,
    Tuned,
    Worked,
)
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.owners import Owner, Owners
from engine.routing.evidence.story import TYPES, Filter, is_open, last, select, story
from engine.routing.evidence.words import Words
from engine.venues.messages import Accepted, Rejected, Unknown, Update
from tests.routing.written import (
    BTC,
    DOGE,
    NOW_MS,
    Written,
    accepted,
    cancel,
    decided,
    ended,
    error,
    filled,
    handed,
    marked_out,
    order,
    rejected,
    route,
    shipped,
    sound,
    started,
)

WORKED = "cross: working.drifted (drift_bps 3.4 > max_drift_bps 3)"


def long_journal() -> Written:
    """A session in which everything happens that can."""
    journal = Written()
    journal.add(started(ts_ms=NOW_MS - 10))
    journal.add(Given(ts_ms=NOW_MS - 9, group="risk", facts={"risk_mode": "normal", "halted": False}))
    journal.add(Given(ts_ms=NOW_MS - 8, group="signal", facts=None, symbol=BTC))
    journal.add(Imported(ts_ms=NOW_MS - 7, symbol=BTC, source="desk.json", samples=[{}, {}], shifted_ms=-60_000))
    journal.add(
        IntentRefused(ts_ms=NOW_MS - 6, intent_id=None, code="malformed", reason="no JSON", received="{", place="i:3")
    )
    routed = route(journal, "a-1")
    order(journal, "a-1", ts_ms=NOW_MS + 1)
    accepted(journal, "a-1-1", NOW_MS + 46)
    route(journal, "b-1", ts_ms=NOW_MS + 50, groups=sound(market={"spread_bps": 13.0}), maker_qty=None)
    order(journal, "b-1", ts_ms=NOW_MS + 51, role="taker", price=None, symbol=BTC)
    rejected(journal, "b-1-1", NOW_MS + 60, -2022, "ReduceOnly Order is rejected.")
    filled(journal, "a-1-1", NOW_MS + 900, qty="0.2")
    filled(journal, "a-1-1", NOW_MS + 901, qty="0.2", again=True)
    at = NOW_MS + 61_000
    journal.add(
        Worked(ts_ms=at, intent_id="a-1", client_id="a-1-1", action="cross", reason=WORKED, decision_id="0" * 24)
    )
    journal.add(
        msgspec.structs.replace(
            routed, ts_ms=at, route="taker", event="fallback", target=Decimal("0.3"), vetoes=[], reason=WORKED
        )
    )
    cancel(journal, "a-1-1", at, WORKED)
    journal.add(
        Heard(
            ts_ms=at + 20, message=Rejected(at + 20, "a-1-1", "cancel", -2011, "Unknown order sent."), state="unknown"
        )
    )
    error(journal, "a-1-1", at + 20, -2011, "missed", "Unknown order sent.")
    journal.add(QueryPlanned(ts_ms=at + 20, client_id="a-1-1", attempt=1))
    journal.add(
        Heard(
            ts_ms=at + 50,
            message=Accepted(at + 50, "a-1-1", "query", "cancelled", Decimal("0.2")),
            state="cancelled",
        )
    )
    order(journal, "a-1", leg=2, ts_ms=at + 50, role="taker", qty="0.3", price="100.20", why=WORKED)
    journal.add(Heard(ts_ms=at + 60, message=Unknown(at + 60, "a-1-2", "place", "time-out"), state="unknown"))
    journal.add(Heard(ts_ms=at + 70, message=Update(at + 70, "a-1-2", "filled", Decimal("0.3")), state="open"))
    filled(journal, "a-1-2", at + 80, qty="0.3", price="100.06", is_maker=False, trade_id="t-2")
    ended(journal, "a-1", ts_ms=at + 80, maker_filled=Decimal("0.2"), cost_usd=50.014, fallback=True)
    journal.add(
        MarkedOut(
            ts_ms=at + 10_080,
            intent_id="a-1",
            symbol=BTC,
            trade_id="t-2",
            horizon_s=10,
            is_maker=False,
            notional_usd=30.0,
            markout_bps=-1.2,
        )
    )
    journal.add(
        BaselineDone(
            ts_ms=at + 10_090,
            intent_id="a-1",
            symbol=BTC,
            baseline="maker_then_taker",
            side="buy",
            target=Decimal("0.5"),
            filled=Decimal("0.5"),
            maker_filled=Decimal("0.5"),
            cost_usd=50.0,
            fees_usd=0.01,
            arrival_mid=100.01,
            sent_mid=100.01,
            end_mid=100.05,
        )
    )
    journal.add(ProvedAbsent(ts_ms=at + 11_000, client_id="b-1-1", queries=5))
    journal.add(CancelRequested(ts_ms=at + 11_000, intent_id="b-1", reason="expired"))
    journal.add(ProbeGranted(ts_ms=at + 11_000, intent_id="c-1", symbol=DOGE))
    journal.add(
        BreakerMoved(
            ts_ms=at + 12_000,
            scope="venue",
            was="closed",
            state="open",
            rule="breaker.silence",
            reason="open: breaker.silence (feed_gap_s 6 > max_feed_gap_s 5)",
            pauses=True,
        )
    )
    journal.add(
        Tuned(
            ts_ms=at + 12_000,
            symbol=DOGE,
            bias_delta=-0.05,
            offset_delta_bps=1.0,
            maker_first=True,
            was={},
            decision_id="1" * 24,
            rulebook="r",
            evidence={},
        )
    )
    journal.add(RulebookLoaded(ts_ms=at + 13_000, profile="prod", rulebook="r", sources="s"))
    journal.add(RulebookRefused(ts_ms=at + 13_010, profile="prod", stage="load", reason="rules/tier.yaml:3:1: no rule"))
    journal.add(RulesSource(ts_ms=at + 13_015, state="away", origin="/rules", reason="`/rules` is gone"))
    journal.add(CandidateMoved(ts_ms=at + 13_020, state="partial", profile="prod", rulebook="c", symbols=[BTC]))
    journal.add(
        ShadowDecided(
            ts_ms=at + 13_030,
            policy="routing",
            decision_id="d",
            intent_id="a-1",
            symbol=BTC,
            rulebook="c",
            differs={"route": ["maker", "taker"], "probe": [False, None]},
            rules=["hard_gates.spread_too_wide"],
            record=msgspec.Raw(b"{}"),
        )
    )
    journal.add(Snapshot(ts_ms=at + 13_000, tick=4))
    journal.add(
        Checkpoint(
            ts_ms=at + 14_000,
            positions={BTC: Decimal(1)},
            cash_usd=Decimal("1E+3"),
            fees_usd=Decimal(0),
            day_nav_usd=1.0,
        )
    )
    journal.add(SessionEnded(ts_ms=at + 15_000, reason="end of the market"))
    return journal


def tags(events: list[Event]) -> list[str]:
    return [str(event.__struct_config__.tag) for event in events]


def test_every_type_of_event_has_words() -> None:
    assert set(Words()._said) == set(get_args(Event)) == set(TYPES.values())


def test_everything_that_happens_is_said_in_one_line() -> None:
    journal, words = long_journal(), Words()
    said = [words.say(event) for event in journal.events]
    assert {type(event) for event in journal.events} == set(get_args(Event))
    assert all(text and "\n" not in text and "Decimal" not in text and "None" not in text for text in said), said


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Accepted(NOW_MS + 7, "a-1-1", "place", "open", Decimal(0)), "order 1 acknowledged after 7 ms: open"),
        (Accepted(NOW_MS + 7, "a-1-1", "cancel", "cancelled", Decimal(0)), "cancel of order 1 answered: cancelled"),
        (Rejected(NOW_MS + 7, "a-1-1", "place", -5022, "would take"), "order 1 refused: -5022 would take"),
        (Rejected(NOW_MS + 7, "a-1-1", "query", -2013, "no order"), "query of order 1 refused: -2013 no order"),
        (Unknown(NOW_MS + 7, "x-9", "place", "reset"), "nobody knows what became of the place of order x-9: reset"),
        (Update(NOW_MS + 7, "a-1-1", "expired", Decimal("0.10")), "order 1 is expired, 0.1 filled"),
    ],
)
def test_what_the_venue_says_is_told_by_the_number_of_the_order(message: Any, said: str) -> None:
    journal, words = Written(), Words()
    words.say(order(journal, "a-1"))
    assert words.say(Heard(ts_ms=NOW_MS + 7, message=message)) == said


def test_fills_add_up_and_one_reported_again_does_not() -> None:
    journal, words = long_journal(), Words()
    said = [words.say(event) for event in journal.events]
    fills = [text for text in said if " filled 0." in text and "so far" in text]
    assert [text.partition(", fee")[2].partition(", ")[2].partition("  ")[0] for text in fills] == [
        "0.2 so far",
        "0.5 so far",
    ]
    assert any("trade t-1 reported again, counts for nothing" in text for text in said)


def test_quantities_are_written_without_an_exponent() -> None:
    journal = Written()
    assert "buy 100 at 0.00001" in Words().say(order(journal, "a-1", qty="1E+2", price="1E-5"))


# --- filters ---------------------------------------------------------------------------------------------------------


def test_a_story_holds_what_the_venue_said_of_its_orders() -> None:
    found = story(long_journal().events, "a-1")
    assert tags(found) == [
        "intent",
        "decision",
        "decision",
        "route_decision",
        "order",
        "heard",
        "heard",
        "heard",
        "working",
        "route_decision",
        "cancel",
        "heard",
        "order_error",
        "query",
        "heard",
        "order",
        "heard",
        "heard",
        "heard",
        "outcome",
        "markout",
        "baseline",
        "shadow",
    ]


def test_an_intent_that_is_not_there_is_said_with_the_nearest_id() -> None:
    journal = Written()
    route(journal, "entry-17")
    with pytest.raises(ViewError, match="no intent `entry-71`") as raised:
        story(iter(journal.events), "entry-71")
    assert "`entry-17`" in raised.value.help


def test_a_symbol_s_events_are_those_of_its_intents_and_orders() -> None:
    found = list(select(long_journal().events, Filter(symbol=DOGE)))
    assert tags(found) == ["probe", "tuned"]
    of_btc = list(select(long_journal().events, Filter(symbol=BTC)))
    assert "heard" in tags(of_btc)
    assert "cancel_requested" in tags(of_btc)
    assert "breaker" not in tags(of_btc), "that one guards the venue"


def test_filters_are_joined() -> None:
    wanted = Filter(symbol=BTC, types=frozenset({"heard", "order"}), since_ms=NOW_MS + 60, until_ms=NOW_MS + 61_050)
    found = list(select(long_journal().events, wanted))
    assert tags(found) == ["heard", "heard", "heard", "heard"]
    assert [event.ts_ms - NOW_MS for event in found] == [60, 900, 901, 61_020]


def test_one_order_s_events() -> None:
    found = list(select(long_journal().events, Filter(order="a-1-2")))
    assert tags(found) == ["order", "heard", "heard", "heard"]


def test_the_last_events() -> None:
    journal = long_journal()
    assert last(iter(journal.events), 3) == journal.events[-3:]
    assert last(journal.events, 0) == []


def test_an_unknown_type_is_said_with_the_nearest() -> None:
    with pytest.raises(ViewError, match="`fills`") as raised:
        Filter(types=frozenset({"fills"}))
    assert "heard" in raised.value.help
    with pytest.raises(ViewError) as raised:
        Filter(types=frozenset({"route_decisions"}))
    assert "`route_decision`" in raised.value.help


# --- whose an event is -----------------------------------------------------------------------------------------------


def test_an_event_is_owned_by_the_intent_of_its_order() -> None:
    journal, owners = long_journal(), Owners()
    for event in journal.events:
        owners.see(event)
    owned = {owners.of(event) for event in journal.events if isinstance(event, Heard)}
    assert owned == {Owner("a-1", BTC), Owner("b-1", BTC)}
    assert owners.of(CancelRequested(ts_ms=0, intent_id="b-1", reason="")) == Owner("b-1", BTC)
    assert owners.of(next(event for event in journal.events if isinstance(event, BreakerMoved))) == Owner(None, None)


def test_a_decision_about_no_intent_belongs_to_its_symbol() -> None:
    facts = {"now": NOW_MS / 1000, "symbol": DOGE, **sound()}
    decision = shipped("prod").decide("health", handed(shipped("prod"), "health", facts))
    assert Owners().of(decided(NOW_MS, None, decision)) == Owner(None, DOGE)


def test_the_oldest_orders_are_forgotten() -> None:
    owners, journal = Owners(remembered=2), Written()
    planned = [order(journal, f"a-{number}") for number in range(3)]
    for event in planned:
        owners.see(event)
    said = [Heard(ts_ms=0, message=Unknown(0, event.client_id, "place", "")) for event in planned]
    assert [owners.of(event).intent_id for event in said] == [None, "a-1", "a-2"]


def test_a_fill_of_an_unknown_order_still_names_its_symbol() -> None:
    journal = Written()
    assert Owners().of(filled(journal, "nobody", NOW_MS, symbol=DOGE)) == Owner(None, DOGE)


def test_routes_are_told_with_what_changed_them() -> None:
    journal, words = Written(), Words()
    routed = route(journal, "a-1")
    assert words.say(routed).startswith("maker for 0.5, offset 1.3 bps, tier good: no veto")
    refused = route(journal, "a-2", qty=-1.0)
    assert words.say(refused).startswith("not routed: sanity.qty_invalid (qty is missing or qty -1 <= 0)")
    changed: Routed = msgspec.structs.replace(routed, event="send_failed", route="taker", reason="-2022")
    assert words.say(changed) == "send failed, 0.5 left for taker: -2022"


def test_an_intent_that_was_refused_at_once_is_not_open() -> None:
    journal = Written()
    refused = IntentRefused(ts_ms=0, intent_id="a", code="unknown_symbol", reason="no such symbol", received="{}")
    route(journal, "b")
    assert not is_open([refused])
    assert is_open([refused, *journal.events])


def test_nobody_knows_whether_an_intent_is_open_whose_beginning_is_missing() -> None:
    journal = Written()
    route(journal, "a")
    assert is_open(journal.events)
    assert not is_open([marked_out("a")])
    assert not is_open(journal.events[1:])
