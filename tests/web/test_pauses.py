"""Which breakers were not closed at a moment: by what was seen, by a checkpoint, and by the journal of the day."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import BreakerMoved, Checkpoint, Event
from engine.routing.known import VENUE
from engine.web.kept import KeptDecisions
from engine.web.pauses import Pauses
from tests.routing.written import BTC, DOGE, NOW_MS, Written
from tests.web.test_kept import decided
from tests.web.world import a_web, write


def moved(seq: int, was: str, state: str, *, scope: str = BTC, rule: str = "breaker.fallbacks") -> BreakerMoved:
    reason = f"{state}: {rule} (fallbacks_in_a_row 3 >= open_at_fallbacks 3); pause_maker"
    at_ms = NOW_MS + 1000 * seq
    return BreakerMoved(
        seq=seq, ts_ms=at_ms, scope=scope, was=was, state=state, rule=rule, reason=reason, pauses=state == "open"
    )


def checkpoint(seq: int, **states: str) -> Checkpoint:
    held = {scope: {"state": state, "since_ms": NOW_MS} for scope, state in states.items()}
    none = Decimal(0)
    return Checkpoint(
        seq=seq,
        ts_ms=NOW_MS + 1000 * seq,
        positions={},
        cash_usd=none,
        fees_usd=none,
        day_nav_usd=None,
        breakers=held,
    )


MOVES = (
    moved(2, "closed", "open"),
    moved(4, "open", "half_open", rule="breaker.time_is_over"),
    moved(6, "half_open", "open", rule="breaker.trial_failed"),
    moved(8, "closed", "open", scope=VENUE, rule="breaker.rejects"),
    moved(10, "open", "half_open", rule="breaker.time_is_over"),
    moved(12, "half_open", "closed", rule="breaker.closed"),
)


def seen(*events: Event, most: int | None = None) -> Pauses:
    pauses = Pauses(most)
    for event in events:
        pauses.see(event)
    return pauses


def test_what_was_in_force_then_is_told_and_not_what_is_now() -> None:
    pauses = seen(*MOVES)
    assert pauses.before(BTC, 1) == []
    (first,) = pauses.before(BTC, 3)
    assert (first.scope, first.now.rule, first.now.ts_ms) == (BTC, "breaker.fallbacks", NOW_MS + 2000)
    assert first.next is not None
    assert first.next.rule == "breaker.time_is_over"
    own, venue = pauses.before(BTC, 9)
    assert [move.rule for move in own.moves] == ["breaker.fallbacks", "breaker.time_is_over", "breaker.trial_failed"]
    assert (venue.scope, venue.next) == (VENUE, None)
    assert [pause.scope for pause in pauses.before(BTC, 13)] == [VENUE]
    assert [pause.scope for pause in pauses.before(DOGE, 9)] == [VENUE]


def test_a_checkpoint_says_how_they_stood_when_a_day_began() -> None:
    pauses = seen(checkpoint(1, BTCUSDT="open", DOGEUSDT="closed"), moved(5, "open", "half_open"))
    (pause,) = pauses.before(BTC, 3)
    assert (pause.now.ts_ms, pause.now.rule) == (NOW_MS, "")
    assert pauses.before(DOGE, 3) == []
    known = seen(MOVES[0], checkpoint(3, BTCUSDT="open")).before(BTC, 5)
    assert [pause.now.rule for pause in known] == ["breaker.fallbacks"], "a checkpoint takes no reason away"


def test_what_moved_after_an_event_is_told_once_a_breaker_and_the_latest_first() -> None:
    pauses = seen(*MOVES, checkpoint(14, DOGEUSDT="open"))
    assert [(scope, move.seq) for scope, move in pauses.after(5).items()] == [(BTC, 12), (VENUE, 8)]
    assert (pauses.after(5)[VENUE].pauses, pauses.after(5)[BTC].pauses) == (True, False)
    assert list(pauses.after(8)) == [BTC], "the venue moved with that event, not after it"
    assert pauses.after(12) == {}, "a checkpoint repeats how one stood before, and moves nothing"


@given(st.lists(st.sampled_from(["closed", "open", "half_open"]), min_size=1, max_size=20), st.integers(0, 25))
def test_the_state_before_an_event_is_that_of_the_last_move_before_it(states: list[str], seq: int) -> None:
    moves = [moved(place + 1, "", state) for place, state in enumerate(states)]
    before = [move for move in moves if move.seq <= seq]
    pauses = seen(*moves).before(BTC, seq)
    assert [pause.now.state for pause in pauses] == [move.state for move in before[-1:] if move.state != "closed"]


def test_moves_long_ago_are_read_from_the_journal_of_their_day(tmp_path: Path) -> None:
    journal = Written()
    events: list[Event] = [checkpoint(0, DOGEUSDT="open"), MOVES[0], decided(0, "1" * 24), *MOVES[1:3]]
    for each in events:
        journal.add(each)
    tomorrow = msgspec.structs.replace(moved(6, "closed", "open", scope=VENUE), ts_ms=NOW_MS + 86_400_000)
    write(tmp_path / "journal", [*journal.events, tomorrow])
    event = msgspec.structs.replace(journal.events[2], ts_ms=NOW_MS)
    pauses = KeptDecisions(tmp_path).pauses(event)
    assert [pause.now.rule for pause in pauses.before(BTC, event.seq)] == ["breaker.fallbacks"]
    assert [pause.now.rule for pause in pauses.before(DOGE, event.seq)] == [""]
    assert pauses.before("ETHUSDT", 99) == [], "the day after is another day"
    live = a_web(tmp_path).live
    held = asyncio.run(live.pauses(BTC, event))
    assert [pause.now.seq for pause in held] == [2]


def test_moves_that_are_held_are_told_without_the_journal(tmp_path: Path) -> None:
    live = a_web(tmp_path, MOVES).live
    event = msgspec.structs.replace(decided(9, "1" * 24), ts_ms=NOW_MS)
    assert [pause.scope for pause in asyncio.run(live.pauses(BTC, event))] == [BTC, VENUE]
