"""What seldom happens to a router, and must not cost more than it has to.

Orders that come back to life together, trades that are told after everything ended, answers that cannot be, homes
whose rules do not look at everything, journals with holes, and a disk that is full for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import load
from engine.journal.errors import JournalUnwritableError
from engine.journal.events import (
    Event,
    Given,
    Heard,
    IntentRefused,
    OrderError,
    OrderPlanned,
    Outcome,
    Snapshot,
)
from engine.market import Quote
from engine.routing.account import Account
from engine.routing.facts import SymbolFacts
from engine.routing.intents import GivenFacts, Intent, Refusal, read_request
from engine.routing.known import Known
from engine.routing.router import Router
from engine.routing.shape import RouterShape, SessionShape
from engine.venues.faults import Script
from engine.venues.messages import Accepted, Cancel, Fill, Place, Rejected, Unknown, Update
from tests.routing.scene import RULES, START_MS, SYMBOL, Counts, MemoryJournal, NoTuning, Scene, client_id

FIRST, SECOND = client_id("i-1", 1), client_id("i-1", 2)
ABSENT = Script(place=("unknown",), query=("not_found",) * 9)


def again(scene: Scene, events: Sequence[Event] | None = None) -> Router:
    """A router that takes over from what a scene has written down."""
    known = Known(scene.symbols, Account(3.0), scene.sources, Counts(), scene.sources, NoTuning())
    taken = Router(scene.router.book, MemoryJournal(), scene.venue, RULES, known, scene.sources, RouterShape())
    taken.resume(list(scene.journal.events if events is None else events))
    return taken


def say(scene: Scene, *messages: Any) -> None:
    for message in messages:
        scene.router.on_message(message, scene.now_ms)
    scene.router.commit()


# --- orders of intents that have ended -------------------------------------------------------------------------------


def test_two_orders_of_one_ended_intent_that_come_back_to_life_are_both_cancelled() -> None:
    scene = Scene(scripts={FIRST: ABSENT, SECOND: ABSENT}, seed=1)
    scene.send("buy", 0.01)
    scene.wait(16_000)
    scene.cancel("i-1")
    scene.wait(30_000)
    assert {order.client_id for order in scene.orders} == {FIRST, SECOND}
    assert scene.outcome.result == "unfilled"
    say(scene, *(Update(scene.now_ms, client_id, "open", Decimal(0)) for client_id in (FIRST, SECOND)))
    sent = {request.client_id for _, request in scene.venue.sent if isinstance(request, Cancel)}
    assert {FIRST, SECOND} <= sent
    say(scene, *(Accepted(scene.now_ms, each, "cancel", "cancelled", Decimal(0)) for each in (FIRST, SECOND)))
    assert not scene.router.ledger.works
    assert not scene.router.ledger.orders
    assert len(scene.of(Outcome)) == 2, "one for the intent, one for what came back of it"


def test_an_intent_whose_trades_are_lost_twice_over_ends_once() -> None:
    """Both orders of it are reported as executed, and of neither are trades ever told."""
    scene = Scene(scripts={FIRST: ABSENT, SECOND: ABSENT}, seed=1)
    scene.send("buy", 0.01)
    scene.wait(16_000)
    assert len(scene.orders) == 2
    part = Decimal("0.005")
    say(scene, *(Update(scene.now_ms, each, "cancelled", part) for each in (FIRST, SECOND)))
    for _ in range(5):
        scene.now_ms += 3_000  # the next query of either is due
        say(scene, *(Accepted(scene.now_ms, each, "query", "cancelled", part) for each in (FIRST, SECOND)))
    assert [outcome.reason for outcome in scene.of(Outcome)] == ["unaccounted"]
    assert isinstance([event for event in scene.journal.events if not isinstance(event, Heard)][-1], Outcome)
    assert scene.router.known.reserved[SYMBOL] == Decimal("0.01")


def test_what_stays_reserved_after_the_end_is_the_same_in_a_session_as_after_a_restart() -> None:
    """A trade that is told late, after it was given up, is a position and no longer a reserve."""
    scene = Scene(telemetry={"sample_count": 0.0}, scripts={FIRST: Script(fill=("lost",))})
    scene.venue._query = lambda flight, request: scene.venue._answer(  # type: ignore[method-assign] # tells no trades
        flight, Accepted(scene.now_ms, request.client_id, "query", "filled", Decimal("0.01"))
    )
    scene.send("buy", 0.01)
    scene.wait(30_000)
    assert scene.outcome.reason == "unaccounted"
    assert scene.router.known.reserved[SYMBOL] == again(scene).known.reserved[SYMBOL] == Decimal("0.01")
    part = Decimal("0.004")
    late = Fill(scene.now_ms, FIRST, "late", SYMBOL, "buy", part, Decimal(60000), Decimal(0), is_maker=False)
    say(scene, late)
    assert scene.router.known.reserved[SYMBOL] == again(scene).known.reserved[SYMBOL] == Decimal("0.006")
    say(scene, late)
    assert scene.router.known.reserved[SYMBOL] == Decimal("0.006"), "told twice, it counts once"


def test_what_was_reserved_for_lost_trades_is_not_counted_twice_when_their_order_comes_back_to_life() -> None:
    part = Decimal("0.005")
    script = Script(place=("unknown",), cancel=("timeout",) * 3, query=("not_found",) * 30)
    scene = Scene(scripts={FIRST: script}, seed=1)
    scene.send("buy", 0.01)
    say(scene, Update(scene.now_ms, FIRST, "open", part))
    scene.cancel("i-1")
    scene.wait(60_000)
    assert scene.outcome.reason == "unaccounted"
    assert scene.router.known.reserved[SYMBOL] == part
    say(scene, Update(scene.now_ms, FIRST, "open", part))
    assert scene.router.known.reserved[SYMBOL] == again(scene).known.reserved[SYMBOL] == Decimal("0.01")
    fill = Fill(scene.now_ms, FIRST, "t", SYMBOL, "buy", part, Decimal(60000), Decimal(0), is_maker=True)
    say(scene, fill, Accepted(scene.now_ms, FIRST, "cancel", "cancelled", part))
    assert scene.router.known.reserved[SYMBOL] == 0
    assert scene.account.positions[SYMBOL] == part


# --- answers that cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Fill(1, FIRST, "t", SYMBOL, "buy", Decimal("1E+999999"), Decimal("1E+999999"), Decimal(0), is_maker=True),
        Fill(1, FIRST, "t", SYMBOL, "buy", Decimal(1), Decimal("1E-999999"), Decimal("1E+999999"), is_maker=True),
        Accepted(1, FIRST, "place", "open", Decimal("1E+999999")),
        Rejected(1, FIRST, "place", -1, "\ud800"),
        Unknown(1, FIRST, "place", "\ud800"),
        Fill(1, FIRST, "\ud800", SYMBOL, "buy", Decimal(1), Decimal(1), Decimal(0), is_maker=True),
        Fill(1, "stray", "t", SYMBOL, "buy", Decimal("1E+999999"), Decimal(1), Decimal(0), is_maker=True),
        Update(1, "\ud800", "open", Decimal(0)),
    ],
)
def test_numbers_beyond_all_bounds_and_text_that_is_none_stop_nothing(message: Any) -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    say(scene, message)
    scene.wait(500)
    assert scene.of(OrderError)[0].error in ("unsound_message", "unknown_order")
    assert scene.router.ledger.works["i-1"].filled == 0


def test_an_error_page_in_place_of_an_answer_is_written_down_shortened() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    say(scene, Rejected(scene.now_ms, FIRST, "place", 403, "<html>" + "x" * 100_000, 1_000))
    assert len(scene.of(OrderError)[0].text) <= RouterShape().most_shown


def test_more_filled_than_sent_leaves_nothing_possible_and_never_less() -> None:
    scene = Scene()
    scene.send("buy", 0.01, maker_qty=0.004)
    say(scene, Rejected(scene.now_ms, FIRST, "place", -4131, "refused"))
    over = Fill(scene.now_ms, FIRST, "t", SYMBOL, "buy", Decimal("0.006"), Decimal(60000), Decimal(0), is_maker=True)
    say(scene, over)
    order = scene.router.ledger.orders[FIRST][1]
    assert order.possible >= 0
    assert scene.router.ledger.works["i-1"].sendable <= Decimal("0.004")


# --- homes and people that say little --------------------------------------------------------------------------------


WISHES = load("test", Path(__file__).parent / "wishes").warm()


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"side": "buy", "qty": 0.01, "order_type": "limit"}, "no_price_to"),
        ({"qty": 0.01, "order_type": "market"}, "no side"),
        ({"side": "buy", "order_type": "market"}, ""),
    ],
)
@pytest.mark.parametrize("rests", [True, False])
def test_a_home_whose_rules_look_at_little_still_ends_what_cannot_be_sent(
    facts: dict[str, Any], reason: str, *, rests: bool
) -> None:
    symbols = {SYMBOL: SymbolFacts(SYMBOL, SessionShape())}
    sources = Scene().sources
    known = Known(symbols, Account(3.0), sources, Counts(), sources, NoTuning())
    journal = MemoryJournal()
    router = Router(WISHES, journal, Scene().venue, RULES, known, sources, RouterShape())
    router.on_quote(Quote(SYMBOL, START_MS, 60000.0, 60001.0, 1.0, 1.0))
    router.on_request(GivenFacts("risk", {"rests": rests, "wish": "keep"}, None), START_MS)
    intent = {**facts, "maker_requested": True, "maker_price": 60000.0}
    router.on_request(Intent("i-1", SYMBOL, intent), START_MS)
    router.commit()
    (outcome,) = [event for event in journal.events if isinstance(event, Outcome)]
    assert reason in outcome.reason
    assert not [event for event in journal.events if isinstance(event, OrderPlanned)]


@pytest.mark.parametrize("observed_at", ["yesterday", True, [], float("inf"), {"a": 1}])
def test_facts_from_outside_whose_time_is_none_are_refused(observed_at: object) -> None:
    scene = Scene()
    facts = {"risk_mode": "normal", "halted": False, "symbol_disabled": False, "observed_at": observed_at}
    scene.router.on_request(GivenFacts("risk", facts, SYMBOL), scene.now_ms)
    scene.send("buy", 0.01)
    (refused,) = scene.of(IntentRefused)
    assert "observed_at" in refused.reason
    assert len(scene.orders) == 1


@pytest.mark.parametrize("reason", ["\ud800", "a\x1b[2J", "a\nb", "x" * 5_000])
def test_a_reason_that_is_no_line_of_text_is_refused(reason: str) -> None:
    request = read_request({"type": "cancel", "intent_id": "i-1", "reason": reason}, 400)
    assert isinstance(request, Refusal)
    assert "reason" in request.reason


@pytest.mark.parametrize("facts", [{"score": "\ud800"}, {"score": object()}, {"score": {"a": {1, 2}, "b": "\ud800"}}])
def test_facts_from_outside_that_no_journal_can_hold_are_refused(facts: dict[str, Any]) -> None:
    assert isinstance(read_request({"type": "given", "group": "signal", "facts": facts}, 400), Refusal)


# --- journals --------------------------------------------------------------------------------------------------------


def test_an_order_whose_intent_fell_into_a_hole_of_the_journal_is_looked_up_and_taken_back() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    assert scene.venue.open_orders()
    holed = [event for event in scene.journal.events if isinstance(event, Given | OrderPlanned | Heard)]
    scene.router = again(scene, holed)
    assert scene.router.known.reserved[SYMBOL] == Decimal("0.01")
    journal = scene.router._journal
    assert isinstance(journal, MemoryJournal)
    scene.journal = journal
    scene.wait(5_000)
    assert not scene.venue.open_orders()
    assert scene.outcome.intent_id == "i-1"
    assert not scene.router.ledger.works


class NarrowJournal(MemoryJournal):
    """A journal whose memory is full when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False

    def add(self, event: Event) -> Event:
        if self.refuses and isinstance(event, OrderPlanned):
            raise JournalUnwritableError(Path("journal"), None, "no more are held", "make room")
        return super().add(event)


def test_an_order_that_could_not_even_be_held_for_the_journal_is_not_sent_when_the_disk_comes_back() -> None:
    """The journal would not know it: after a crash it would be sent again."""
    scene = Scene()
    scene.journal = scene.router._journal = journal = NarrowJournal()
    journal.refuses = True
    scene.send("buy", 0.01)
    assert not [request for _, request in scene.venue.sent if isinstance(request, Place)]
    assert scene.router.lost == 1


def test_the_journal_says_itself_what_never_reached_it() -> None:
    scene = Scene()
    scene.journal = scene.router._journal = journal = NarrowJournal()
    journal.refuses = True
    scene.send("buy", 0.01)
    journal.refuses = False
    scene.wait(10)
    (said,) = [error for error in scene.of(OrderError) if error.error == "events_lost"]
    assert "1 event" in said.text
    scene.wait(10_000)
    assert len([error for error in scene.of(OrderError) if error.error == "events_lost"]) == 1


def test_the_journal_says_when_it_could_be_written_again() -> None:
    scene = Scene()
    scene.journal.is_full = True
    scene.send("buy", 0.01)
    scene.wait(3_000)
    scene.router.emit(Snapshot(ts_ms=scene.now_ms, tick=1))
    scene.journal.is_full = False
    scene.wait(2_000)
    (said,) = [error for error in scene.of(OrderError) if error.error == "journal_writable"]
    assert said.text == "nothing could be written for 4.0 s; 2 records that no state is made of left out"
