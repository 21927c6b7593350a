"""Breakers over a journal: what opens them, how trials close them, and that the journal alone brings them back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Book
from engine.backends.facts import FactsError
from engine.home import shipped_home
from engine.journal.events import BreakerMoved, Checkpoint, Event, SessionStarted
from engine.language.load import load_rulebook
from engine.routing.breakers import Breakers
from engine.routing.known import VENUE
from engine.routing.windows import Windows
from tests.language.test_fuzz_load import SHIPPED, workspace_of
from tests.routing.journals import (
    NONE,
    accepted,
    ended,
    filled,
    planned,
    refused_attempt,
    rejected,
    unclear,
    updated,
)

START = 1_700_000_000_000
BTC, ETH = "BTCUSDT", "ETHUSDT"
BOOK = Book(load_rulebook(shipped_home(), "prod"))
VALUES = BOOK.rulebook.binding_of(BTC).values
OPEN_MS = int(float(VALUES["breaker.open_s"]) * 1000)
QUIET_MS = 61_000
"""After this the windows of 60 s are empty."""


def book_with(changed: dict[str, str]) -> Book:
    """The shipped book after texts were replaced: file to text, by `old -> new`."""
    files = dict(SHIPPED)
    for name, change in changed.items():
        before, _, after = change.partition(" -> ")
        assert before.encode() in files[name], change
        files[name] = files[name].replace(before.encode(), after.encode())
    return Book(workspace_of(files).rulebook("prod"))


class Desk:
    """Windows and breakers over one journal, driven as a router drives them."""

    def __init__(self, book: Book = BOOK) -> None:
        self.windows = Windows(book.rulebook)
        self.breakers = Breakers(book, self.windows)
        self.journal: list[Event] = []

    def see(self, *events: Event) -> Desk:
        for event in events:
            self.windows.see(event)
            self.breakers.see(event)
            self.journal.append(event)
        return self

    def look(self, now_ms: int, gap_s: float = 0.1, *scopes: str) -> list[BreakerMoved]:
        """Let breakers decide; their moves are journaled."""
        moves = []
        for scope in scopes or (BTC, VENUE):
            moved = self.breakers.decide(scope, now_ms, gap_s)
            if moved is not None:
                self.see(moved)
                moves.append(moved)
        return moves

    def half_open(self) -> int:
        """Open both breakers by a silent feed, wait, and let them half open; the time then."""
        assert [moved.state for moved in self.look(START, 6.0)] == ["open", "open"]
        now_ms = START + OPEN_MS
        assert [moved.state for moved in self.look(now_ms)] == ["half_open", "half_open"]
        return now_ms


def states(desk: Desk) -> tuple[str, str]:
    return desk.breakers.state(BTC), desk.breakers.state(VENUE)


# What opens --------------------------------------------------------------------------------------------------------


def test_a_breaker_starts_closed_and_makers_do_not_wait_once_that_is_decided() -> None:
    desk = Desk()
    assert desk.breakers.pauses(BTC) is None
    desk.look(START, 0.1, BTC)
    assert desk.breakers.pauses(BTC) is None, "the venue has not decided"
    desk.look(START, 0.1, VENUE)
    assert desk.breakers.pauses(BTC) is False
    assert desk.breakers.pauses(ETH) is None
    assert states(desk) == ("closed", "closed")


def slow_acks(count: int, latency_ms: int) -> list[Event]:
    orders = [(START + number, f"a{number}") for number in range(count)]
    return [event for at in orders for event in (planned(*at), accepted(at[0] + latency_ms, at[1]))]


def fallbacks(count: int, *symbols: str) -> list[Event]:
    """Fallbacks one after the other, of symbols in turn."""
    of = symbols or (BTC,)
    return [ended(START + each, f"i{each}", of[each % len(of)], fallback=True) for each in range(count)]


def refusals(count: int, symbol: str = BTC) -> list[Event]:
    names = [f"{symbol}{number}" for number in range(count)]
    return [event for number, name in enumerate(names) for event in refused_attempt(START + number, name, symbol)]


REJECTS = int(float(VALUES["breaker.open_at_rejects"]))
FALLBACKS = int(float(VALUES["breaker.open_at_fallbacks"]))
VENUE_FALLBACKS = int(float(VALUES["breaker.open_venue_at_fallbacks"]))
SLOW = int(float(VALUES["breaker.open_at_slow_acks"]))
SLOW_MS = int(float(VALUES["quality.degraded_ack_ms"]))
CAUSES = [
    pytest.param(refusals(REJECTS - 1), refusals(REJECTS), "breaker.rejects", id="rejects"),
    pytest.param(slow_acks(SLOW - 1, SLOW_MS), slow_acks(SLOW, SLOW_MS), "breaker.slow_acks", id="slow acks"),
    pytest.param(slow_acks(SLOW, SLOW_MS - 1), slow_acks(SLOW, SLOW_MS), "breaker.slow_acks", id="quick acks"),
]


@pytest.mark.parametrize(("not_enough", "enough", "rule"), CAUSES)
def test_a_cause_opens_the_breakers_of_its_symbol_and_of_the_venue(
    not_enough: list[Event], enough: list[Event], rule: str
) -> None:
    now_ms = START + 10_000
    few = Desk().see(*not_enough)
    assert few.look(now_ms) == []
    assert few.breakers.pauses(BTC) is False
    desk = Desk().see(*enough)
    moves = desk.look(now_ms)
    assert [(moved.scope, moved.was, moved.state, moved.rule, moved.pauses) for moved in moves] == [
        (BTC, "closed", "open", rule, True),
        (VENUE, "closed", "open", rule, True),
    ]
    assert all(moved.ts_ms == now_ms and rule in moved.reason for moved in moves)
    assert desk.look(now_ms, 0.1, ETH) == []
    assert desk.breakers.pauses(BTC) is True
    assert desk.breakers.pauses(ETH) is True, "the venue's breaker guards every symbol"


def test_a_row_of_fallbacks_opens_the_breaker_of_its_symbol() -> None:
    assert Desk().see(*fallbacks(FALLBACKS - 1)).look(START + 100) == []
    moves = Desk().see(*fallbacks(FALLBACKS)).look(START + 100)
    assert [(moved.scope, moved.rule) for moved in moves] == [(BTC, "breaker.fallbacks")]


def test_a_row_of_fallbacks_of_many_symbols_opens_the_venues_when_it_is_long() -> None:
    """A short one comes by chance, the sooner the more symbols there are."""
    many = [f"S{number}USDT" for number in range(VENUE_FALLBACKS)]
    assert VENUE_FALLBACKS > FALLBACKS
    assert Desk().see(*fallbacks(VENUE_FALLBACKS - 1, *many)).look(START + 100, 0.1, *many, VENUE) == []
    desk = Desk().see(*fallbacks(VENUE_FALLBACKS, *many))
    moves = desk.look(START + 100, 0.1, *many, VENUE)
    assert [(moved.scope, moved.rule) for moved in moves] == [(VENUE, "breaker.venue_fallbacks")]
    assert desk.breakers.pauses(many[0]) is True


def test_an_attempt_of_any_symbol_that_ends_as_maker_ends_the_venues_row() -> None:
    desk = Desk().see(*fallbacks(VENUE_FALLBACKS - 1, BTC, ETH), ended(START + 50, "m", "SOLUSDT"))
    desk.see(*fallbacks(FALLBACKS, "XRPUSDT"))
    assert desk.look(START + 100, 0.1, VENUE) == []


def test_a_silent_feed_opens_beyond_its_limit() -> None:
    limit_s = float(VALUES["breaker.max_feed_gap_s"])
    assert Desk().look(START, limit_s) == []
    moves = Desk().look(START, limit_s + 0.001)
    assert [(moved.state, moved.rule) for moved in moves] == [("open", "breaker.feed_gap")] * 2


def test_before_the_feed_said_anything_nothing_is_decided() -> None:
    desk = Desk().see(*refusals(REJECTS))
    assert desk.breakers.decide(BTC, START + 10, None) is None
    assert desk.breakers.pauses(BTC) is None
    assert desk.breakers.state(BTC) == "closed"


def test_causes_of_several_symbols_add_up_at_the_venue_alone() -> None:
    desk = Desk().see(*refusals(REJECTS - 2, BTC), *refusals(2, ETH))
    assert [moved.scope for moved in desk.look(START + 100, 0.1, BTC, ETH, VENUE)] == [VENUE]
    assert desk.breakers.pauses(BTC) is True
    assert desk.breakers.state(BTC) == "closed"


def test_what_left_the_window_opens_nothing() -> None:
    desk = Desk().see(*refusals(REJECTS))
    assert desk.look(START + QUIET_MS) == []


def test_at_the_same_moment_a_new_event_is_decided_on() -> None:
    desk = Desk().see(*refusals(REJECTS - 1))
    now_ms = START + 10_000
    assert desk.look(now_ms) == []
    desk.see(*refused_attempt(now_ms, "the last"))
    assert [moved.rule for moved in desk.look(now_ms)] == ["breaker.rejects"] * 2


def test_a_move_is_decided_again_until_it_is_journaled() -> None:
    desk = Desk().see(*refusals(REJECTS))
    first = desk.breakers.decide(BTC, START + 10, 0.1)
    assert first is not None
    assert desk.breakers.decide(BTC, START + 10, 0.1) == first
    assert desk.breakers.state(BTC) == "closed"
    desk.see(first)
    assert desk.breakers.decide(BTC, START + 10, 0.1) is None
    assert desk.breakers.state(BTC) == "open"


# Open, and half open -----------------------------------------------------------------------------------------------


def test_open_lasts_from_its_event_on_and_then_half_opens() -> None:
    desk = Desk()
    desk.look(START, 6.0)
    assert desk.look(START + OPEN_MS - 1) == []
    assert desk.breakers.pauses(BTC) is True
    moves = desk.look(START + OPEN_MS)
    assert [(moved.was, moved.state, moved.rule, moved.pauses) for moved in moves] == [
        ("open", "half_open", "breaker.time_is_over", False)
    ] * 2
    assert desk.breakers.pauses(BTC) is False, "a trial may go"


def test_makers_wait_while_the_trial_is_out() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    assert desk.look(now_ms) == []
    assert desk.breakers.pauses(BTC) is False
    desk.see(planned(now_ms, "t"))
    assert desk.look(now_ms) == []
    assert desk.breakers.pauses(BTC) is True
    assert desk.look(now_ms, 0.1, ETH) == []
    assert desk.breakers.pauses(ETH) is True, "it is the venue's trial as well"


ENDS: dict[str, tuple[list[Event], str]] = {
    "filled as maker": ([accepted(START, "t"), filled(START, "t"), ended(START, "of-t")], "closed"),
    "rested and given up": ([accepted(START, "t"), ended(START, "of-t", maker_filled="0")], "closed"),
    "found by a query": (
        [unclear(START, "t"), accepted(START, "t", asked="query"), ended(START, "of-t", maker_filled="0")],
        "closed",
    ),
    "seen by an update": ([updated(START, "t", "open"), ended(START, "of-t", maker_filled="0")], "closed"),
    "ended as taker": ([accepted(START, "t"), ended(START, "of-t", maker_filled="0", fallback=True)], "open"),
    "refused": ([rejected(START, "t"), ended(START, "of-t", maker_filled="0")], "open"),
    "refused for another reason": ([rejected(START, "t", -2019), ended(START, "of-t", maker_filled="0")], "open"),
    "expired at once": ([accepted(START, "t", status="expired"), ended(START, "of-t", maker_filled="0")], "open"),
    "never heard of": ([unclear(START, "t"), ended(START, "of-t", maker_filled="0")], "open"),
}


@pytest.mark.parametrize(("answers", "state"), ENDS.values(), ids=ENDS)
def test_the_end_of_its_trial_closes_or_opens_a_breaker(answers: list[Event], state: str) -> None:
    desk = Desk()
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "t"), *answers)
    moves = desk.look(now_ms + 1000)
    rule = "breaker.closed" if state == "closed" else "breaker.trial_failed"
    assert [(moved.was, moved.state, moved.rule) for moved in moves] == [("half_open", state, rule)] * 2
    assert desk.breakers.pauses(BTC) is (state == "open")


def test_the_orders_of_one_intent_are_one_trial() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "t1", intent_id="i"), rejected(now_ms, "t1"))
    desk.see(planned(now_ms, "t2", intent_id="i"), accepted(now_ms, "t2"))
    desk.see(planned(now_ms, "t3", intent_id="i"), rejected(now_ms, "t3"))
    assert desk.look(now_ms) == []
    desk.see(ended(now_ms, "i"))
    assert [moved.state for moved in desk.look(now_ms)] == ["closed", "closed"]


def test_what_is_no_trial_decides_nothing() -> None:
    desk = Desk().see(planned(START - 10, "old"))
    now_ms = desk.half_open()
    desk.see(accepted(now_ms, "old"), ended(now_ms, "of-old"))
    desk.see(planned(now_ms, "cross", role="taker"), filled(now_ms, "cross"), ended(now_ms, "of-cross", attempted="0"))
    assert desk.look(now_ms) == []
    assert desk.breakers.pauses(BTC) is False
    assert states(desk) == ("half_open", "half_open")


def test_an_order_that_was_out_before_is_a_trial_from_its_next_leg_on() -> None:
    desk = Desk().see(planned(START - 10, "old", intent_id="i"), accepted(START - 9, "old"))
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "new", intent_id="i"))
    desk.look(now_ms)
    assert desk.breakers.pauses(BTC) is True
    desk.see(rejected(now_ms, "new"), ended(now_ms, "i", maker_filled="0"))
    assert [moved.state for moved in desk.look(now_ms)] == ["open", "open"]


def test_another_symbols_trial_is_the_venues_alone() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "t", ETH), accepted(now_ms, "t"), ended(now_ms, "of-t", ETH))
    assert [(moved.scope, moved.state) for moved in desk.look(now_ms)] == [(VENUE, "closed")]
    assert states(desk) == ("half_open", "closed")


def test_each_half_opening_asks_for_a_trial_of_its_own() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "t"), accepted(now_ms, "t"))
    assert [moved.rule for moved in desk.look(now_ms, 6.0)] == ["breaker.feed_gap"] * 2
    again_ms = now_ms + OPEN_MS
    assert [moved.state for moved in desk.look(again_ms)] == ["half_open", "half_open"]
    desk.see(ended(again_ms, "of-t", fallback=True))
    assert desk.look(again_ms) == []
    assert states(desk) == ("half_open", "half_open")
    assert desk.breakers._orders == {}


def test_a_row_of_fallbacks_that_opened_a_breaker_does_not_open_it_again() -> None:
    desk = Desk().see(*fallbacks(VENUE_FALLBACKS))
    desk.look(START + 10)
    now_ms = START + 10 + OPEN_MS
    assert [moved.state for moved in desk.look(now_ms)] == ["half_open", "half_open"]
    desk.see(planned(now_ms, "t"), accepted(now_ms, "t"), ended(now_ms, "of-t"))
    assert [moved.state for moved in desk.look(now_ms)] == ["closed", "closed"]


# Other books -------------------------------------------------------------------------------------------------------


def test_a_profile_that_runs_no_breaker_decides_nothing() -> None:
    desk = Desk(book_with({"profiles/prod.yaml": "working, breaker, suggest -> working, suggest"}))
    desk.see(*refusals(REJECTS))
    assert desk.look(START + 10, 100.0) == []
    assert desk.breakers.pauses(BTC) is None


def test_a_policy_that_does_not_say_whether_makers_wait_is_refused() -> None:
    files = dict(SHIPPED)
    text = files["policies/breaker.yaml"].decode().partition("invariants:")[0]
    files["policies/breaker.yaml"] = text.replace(", pause_maker]", "]").encode()
    book = Book(workspace_of(files).rulebook("prod"))
    with pytest.raises(FactsError, match="the policy `breaker` does not decide `pause_maker`"):
        Breakers(book, Windows(book.rulebook))


def test_a_home_may_declare_less_than_is_measured() -> None:
    files = {
        "policies/facts.yaml": (
            "groups:\n  breaker:\n    facts: {state: {type: choice, of: [closed, open]}}\n"
            "  windows:\n    facts: {rejects: {type: number, unit: count, min: 0, max: 9}}\n"
        ),
        "policies/windows.yaml": (
            "events: {post_only_reject: {}}\n"
            "windows: {rejects: {event: post_only_reject, measure: count, window_s: 1, per: [symbol]}}\n"
        ),
        "policies/breaker.yaml": (
            "policy: breaker\nreads: [breaker, windows]\nsteps: [s, t]\ndecides: [next_state, pause_maker]\n"
        ),
        "rules/s.yaml": (
            "ruleset: s\nhit: first\nunknown: match\nsets: {next_state: {type: choice, of: [closed, open]}}\n"
            "rules: [{id: many, when: rejects > 1, set: {next_state: open}}, {id: few, set: {next_state: closed}}]\n"
        ),
        "rules/t.yaml": (
            "ruleset: t\nhit: first\nsets: {pause_maker: {type: flag}}\n"
            "rules: [{id: a, when: next_state == open, set: {pause_maker: true}}, {id: b, set: {pause_maker: false}}]\n"
        ),
        "profiles/main.yaml": "profile: main\npolicies: [breaker]\n",
    }
    book = Book(workspace_of({name: text.encode() for name, text in files.items()}).rulebook("main"))
    desk = Desk(book).see(*refusals(2))
    moves = desk.look(START + 10)
    assert [(moved.scope, moved.state, moved.rule) for moved in moves] == [
        (BTC, "open", "s.many"),
        (VENUE, "open", "s.many"),
    ], "the venue is not counted here, and what is missing matches"


# Restart and reload ------------------------------------------------------------------------------------------------


def replayed(journal: Iterable[Event], book: Book = BOOK) -> Desk:
    return Desk(book).see(*journal)


def test_a_restart_goes_on_where_it_was() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "t"))
    again = replayed(desk.journal)
    assert states(again) == states(desk)
    assert again.breakers.pauses(BTC) is False, "as last journaled; it is decided anew first"
    again.look(now_ms)
    assert again.breakers.pauses(BTC) is True
    again.see(accepted(now_ms, "t"), ended(now_ms, "of-t"))
    assert [moved.state for moved in again.look(now_ms)] == ["closed", "closed"]


def test_closed_counts_from_the_start_of_the_session() -> None:
    started = SessionStarted(
        ts_ms=START, profile="prod", rulebook="x", sources="y", venue="paper", market="m", nav_usd=1.0
    )
    desk = Desk().see(started, msgspec.structs.replace(started, ts_ms=START + 5000, resumed=True))
    desk.look(START + 9000)
    assert desk.breakers.checkpoint()[BTC]["since_ms"] == START


WHATS = st.sampled_from(["refused", "fallback", "slow", "maker", "rests", "taker", "silence", "wait", "wait", "long"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WHATS, st.sampled_from([BTC, ETH]), st.integers(1, 4)), max_size=40))
def test_the_journal_alone_gives_the_same_breakers(story: list[tuple[str, str, int]]) -> None:
    desk, now_ms, number = Desk(), START, 0
    for what, symbol, times in story:
        gap_s = 6.0 if what == "silence" else 0.1
        now_ms += {"wait": 20_000, "long": OPEN_MS}.get(what, 100) * times
        for _ in range(times):
            number += 1
            name = f"o{number}"
            match what:
                case "refused":
                    desk.see(*refused_attempt(now_ms, name, symbol))
                case "fallback":
                    desk.see(planned(now_ms, name, symbol), ended(now_ms, f"of-{name}", symbol, fallback=True))
                case "slow":
                    desk.see(planned(now_ms - 3000, name, symbol), accepted(now_ms, name))
                case "maker":
                    desk.see(planned(now_ms, name, symbol))
                case "rests":
                    desk.see(planned(now_ms, name, symbol), accepted(now_ms, name), ended(now_ms, f"of-{name}", symbol))
                case "taker":
                    desk.see(planned(now_ms, name, symbol, role="taker"))
        for scope in (BTC, ETH, VENUE):
            desk.look(now_ms, gap_s, scope)
            assert desk.breakers.decide(scope, now_ms, gap_s) is None, "a move settles it"
    again = replayed(desk.journal)
    moved = {event.scope for event in desk.journal if isinstance(event, BreakerMoved)}
    for scope in (BTC, ETH, VENUE):
        assert again.breakers.state(scope) == desk.breakers.state(scope)
        assert again.breakers.decide(scope, now_ms + 1, 0.1) == desk.breakers.decide(scope, now_ms + 1, 0.1)
    for scope in moved:
        assert again.breakers.checkpoint()[scope] == desk.breakers.checkpoint()[scope]


def test_a_reload_keeps_states_and_trials_and_decides_by_the_new_numbers() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "t"))
    stricter = book_with({"profiles/base.yaml": "breaker.trials_to_close: 1 -> breaker.trials_to_close: 2"})
    assert desk.windows.use(stricter.rulebook) == []
    desk.breakers.use(stricter)
    assert desk.breakers.astray(now_ms) == []
    assert states(desk) == ("half_open", "half_open")
    assert desk.breakers.pauses(BTC) is None, "what makes makers wait may be another rule now"
    desk.look(now_ms)
    assert desk.breakers.pauses(BTC) is True
    desk.see(accepted(now_ms, "t"), ended(now_ms, "of-t"))
    assert desk.look(now_ms) == []
    desk.see(planned(now_ms, "u"), accepted(now_ms, "u"), ended(now_ms, "of-u"))
    assert [moved.state for moved in desk.look(now_ms)] == ["closed", "closed"]


def test_a_state_that_the_new_rules_do_not_know_begins_anew_and_the_journal_says_so() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    changes = {
        f"{name}.yaml": "half_open -> trying"
        for name in ("policies/facts", "policies/breaker", "rules/breaker", "rules/maker_pause")
    }
    desk.breakers.use(book_with(changes))
    moves = desk.breakers.astray(now_ms)
    assert [(moved.scope, moved.was, moved.state, moved.pauses) for moved in moves] == [
        (BTC, "half_open", "closed", True),
        (VENUE, "half_open", "closed", True),
    ]
    desk.see(*moves)
    assert desk.breakers.astray(now_ms) == []
    assert states(desk) == ("closed", "closed")


def test_a_checkpoint_brings_breakers_back() -> None:
    desk = Desk()
    now_ms = desk.half_open()
    desk.see(planned(now_ms, "t"), planned(now_ms, "u", ETH), accepted(now_ms, "u"), ended(now_ms, "of-u", ETH))
    event = Checkpoint(
        ts_ms=now_ms,
        positions={},
        cash_usd=NONE,
        fees_usd=NONE,
        day_nav_usd=None,
        breakers=desk.breakers.checkpoint(),
    )
    again = Desk().see(msgspec.json.decode(msgspec.json.encode(event), type=Checkpoint))
    assert again.breakers.checkpoint() == desk.breakers.checkpoint()
    for scope in (BTC, VENUE):
        kept: Any = again.breakers.decide(scope, now_ms + 1, 0.1)
        assert kept == desk.breakers.decide(scope, now_ms + 1, 0.1)
    assert again.breakers.pauses(BTC) is desk.breakers.pauses(BTC) is True
