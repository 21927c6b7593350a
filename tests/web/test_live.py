"""The model of the present: what it holds, what it forgets, and whom it tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import (
    DUPLICATE_ID,
    Event,
    IntentReceived,
    IntentRefused,
    MarkedOut,
    Outcome,
    Routed,
    RulebookLoaded,
    SessionEnded,
    Snapshot,
)
from engine.web.live import Keep, Live, RouteFilter
from tests.routing.written import BTC, DOGE, NOW_MS, Written, ended, marked_out, route, shipped, started
from tests.web.world import Clock, ListedSource, a_session, write


class Seen:
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)


def live_of(tmp_path: Path, events: Sequence[Event] = (), *, keep: Keep | None = None, old: int = 0) -> Live:
    return Live(shipped("prod"), tmp_path, ListedSource(events, old=old), keep=keep, clock=Clock(), wall=Clock(1.7e9))


def polled(live: Live, most: int = 500) -> Live:
    while live.poll(most):
        pass
    return live


def numbered(*events: Event) -> list[Event]:
    journal = Written()
    return [journal.add(event) for event in events]


def outcome_of(live: Live, intent_id: str) -> Outcome | None:
    return next((event for event in live.story(intent_id) if isinstance(event, Outcome)), None)


def routed(symbol: str = BTC, route: str = "taker", vetoes: Sequence[str] = ("a.b",), quality: str = "ok") -> Routed:
    (found,) = [event for event in a_session() if isinstance(event, Routed) and event.route == "maker"]
    return msgspec.structs.replace(found, symbol=symbol, route=route, vetoes=list(vetoes), quality=quality)


def test_everything_a_page_shows_is_there_after_one_poll(tmp_path: Path) -> None:
    events = a_session()
    live = live_of(tmp_path, events)
    assert (live.session, live.health, live.last_ts, live.is_caught_up) == (None, None, None, False)
    assert live.poll() == len(events)
    assert live.session is not None
    assert (live.session.profile, live.session.ended, live.session.started_ms) == ("prod", None, NOW_MS)
    assert [each.intent_id for each in live.latest()] == ["exit-1", "entry-1"]
    assert (live.last_seq, live.last_ts) == (events[-1].seq, events[-1].ts_ms / 1000)
    assert live.health is not None
    assert live.health.router_health.symbols[0].quality == "good"
    assert (live.health_age_s(), live.quiet_s(), live.is_caught_up) == (0.0, 3.5, True)


def test_an_intents_story_holds_what_the_venue_said_of_its_orders(tmp_path: Path) -> None:
    live = polled(live_of(tmp_path, a_session()))
    told = [type(event).__name__ for event in live.story("entry-1")]
    assert told == ["IntentReceived", "Decided", "Decided", "Routed", "OrderPlanned", "Heard", "Heard", "Outcome"]
    outcome = outcome_of(live, "entry-1")
    assert outcome is not None
    assert outcome.result == "filled"
    assert outcome_of(live, "exit-1") is None
    assert list(live.story("nobody")) == []


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [
        (RouteFilter(), [3, 2, 1, 0]),
        (RouteFilter(symbol=DOGE), [3]),
        (RouteFilter(route="taker"), [3, 2, 1]),
        (RouteFilter(veto="c.d"), [2]),
        (RouteFilter(quality="broken"), [1]),
        (RouteFilter(event="fallback"), []),
        (RouteFilter(intent="entry"), [3, 2, 1, 0]),
        (RouteFilter(intent="ntry"), []),
        (RouteFilter(symbol=BTC, route="taker", veto="a.b"), [2, 1]),
    ],
)
def test_route_decisions_are_found_by_what_they_say(tmp_path: Path, wanted: RouteFilter, fitting: list[int]) -> None:
    rows = numbered(
        routed(route="maker", vetoes=()), routed(quality="broken"), routed(vetoes=("a.b", "c.d")), routed(symbol=DOGE)
    )
    live = polled(live_of(tmp_path, rows))
    assert [each.seq - 1 for each in live.latest(wanted)] == fitting


@given(st.integers(1, 7))
def test_in_whatever_batches_events_come_the_model_is_the_same(most: int) -> None:
    one, other = (polled(live_of(Path("nowhere"), a_session()), many) for many in (most, 500))
    assert list(one.routes) == list(other.routes)
    assert one.story("entry-1") == other.story("entry-1")
    assert (one.health, one.session, one.last_seq) == (other.health, other.session, other.last_seq)


def test_what_is_held_is_bounded(tmp_path: Path) -> None:
    received = next(event for event in a_session() if isinstance(event, IntentReceived))
    rows: list[Event] = []
    for number in range(50):
        rows += [msgspec.structs.replace(received, intent_id=f"i-{number}"), routed()]
    rows += [msgspec.structs.replace(received, intent_id="long") for _ in range(50)]
    events = [*numbered(*rows)]
    live = polled(live_of(tmp_path, events, keep=Keep(routes=10, decisions=1, intents=5, story=7)))
    assert len(live.routes) == 10
    assert len(live._now.stories) == 5
    assert len(live.story("long")) == 7
    assert not live.story("i-3")


def test_only_what_begins_an_intent_begins_a_story_so_that_the_oldest_is_forgotten(tmp_path: Path) -> None:
    """Markouts come minutes after the end: a story of one alone would stand in the place of a whole one."""
    journal = Written()
    journal.add(started())
    for number in range(4):
        route(journal, f"i-{number}", ts_ms=NOW_MS + number)
        ended(journal, f"i-{number}", ts_ms=NOW_MS + number)
    for number in range(4):
        journal.add(marked_out(f"i-{number}"))
    journal.add(IntentRefused(ts_ms=NOW_MS, intent_id="i-1", code=DUPLICATE_ID, reason="taken", received=""))
    live = polled(live_of(tmp_path, journal.events, keep=Keep(intents=2)))
    assert [bool(live.story(f"i-{number}")) for number in range(4)] == [False, False, True, True]
    for intent_id in ("i-2", "i-3"):
        assert isinstance(live.story(intent_id)[0], IntentReceived)
        assert isinstance(live.story(intent_id)[-1], MarkedOut)
        assert outcome_of(live, intent_id) is not None


def test_an_intent_that_was_refused_at_once_has_a_story(tmp_path: Path) -> None:
    refused = IntentRefused(ts_ms=NOW_MS, intent_id="a", code="unknown_symbol", reason="no such", received="")
    live = polled(live_of(tmp_path, numbered(refused)))
    assert [event.seq for event in live.story("a")] == [1]


def test_every_decision_of_the_feed_has_its_story() -> None:
    """At the rate that pages are made for, 50 decisions a second, each may be of an intent of its own."""
    keep = Keep()
    assert keep.intents >= keep.routes
    assert keep.intents >= 50 * 180


def test_how_an_intent_ended_is_known_however_long_its_story_was(tmp_path: Path) -> None:
    live = polled(live_of(tmp_path, a_session(), keep=Keep(story=2)))
    outcome = outcome_of(live, "entry-1")
    assert outcome is not None
    assert (outcome.result, len(live.story("entry-1"))) == ("filled", 3)


def test_only_the_decisions_at_hand_are_kept_and_found_by_their_id(tmp_path: Path) -> None:
    live = polled(live_of(tmp_path, a_session(), keep=Keep(decisions=1)))
    (last,) = live._now.decisions
    event = live.decided(last)
    assert event is not None
    assert json.loads(bytes(event.record))["decision_id"] == last
    assert event.intent_id == "exit-1"


def test_another_journal_in_the_same_place_starts_anew(tmp_path: Path) -> None:
    live = polled(live_of(tmp_path, [*a_session(), *a_session()[:5]]))
    assert [each.intent_id for each in live.latest()] == ["entry-1"]
    assert live.health is None
    assert outcome_of(live, "entry-1") is None


def test_a_session_that_ends_or_decides_by_another_rulebook_is_seen_to(tmp_path: Path) -> None:
    events = a_session()
    journal = Written()
    journal.events = list(events)
    loaded = journal.add(RulebookLoaded(ts_ms=NOW_MS + 8000, profile="prod", rulebook="v2", sources="s2"))
    ended = journal.add(SessionEnded(ts_ms=NOW_MS + 9000, reason="market_ended"))
    live = polled(live_of(tmp_path, [*events, loaded]))
    assert live.session is not None
    assert (live.session.rulebook, live.session.rulebook_ms, live.session.ended) == ("v2", NOW_MS + 8000, None)
    live = polled(live_of(tmp_path, [*events, loaded, ended]))
    assert live.session is not None
    assert live.session.ended == "market_ended"


@given(st.integers(1, 9))
def test_in_whatever_batches_snapshots_come_a_trend_has_a_point_of_each(most: int) -> None:
    """A journal is read again in batches that may hold hours of it, and a line over them has to be the same."""
    journal = Written()
    journal.events = a_session()
    (snapshot,) = [event for event in journal.events if isinstance(event, Snapshot)]
    router = msgspec.json.decode(snapshot.views["router_health"])
    for minute in range(1, 8):
        for row in router["symbols"]:
            row["updated_ts"] = snapshot.ts_ms / 1000 + minute * 60
        views = {**snapshot.views, "router_health": msgspec.Raw(msgspec.json.encode(router))}
        journal.add(msgspec.structs.replace(snapshot, ts_ms=snapshot.ts_ms + minute * 60_000, views=views))
    live = polled(live_of(Path("nowhere"), journal.events, keep=Keep(trend=5)), most)
    began = snapshot.ts_ms / 1000
    assert [point.ts - began for point in live.trend(BTC)] == [180, 240, 300, 360, 420]
    assert {point.maker_fill_rate for point in live.trend(BTC)} == {0.82}
    assert live.health is not None
    assert live.health.seq == journal.events[-1].seq


def test_a_trend_has_a_point_a_snapshot(tmp_path: Path) -> None:
    snapshots = [event for event in a_session() if isinstance(event, Snapshot)] * 5
    source = ListedSource()
    live = Live(shipped("prod"), tmp_path, source, keep=Keep(trend=3))
    for number, event in enumerate(snapshots, 1):
        source.events.append(msgspec.structs.replace(event, seq=number))
        live.poll()
    assert len(live.trend(BTC)) == 3
    assert live.trend(BTC)[0].maker_fill_rate == 0.82
    assert live.trend("NEWUSDT") == ()


def test_time_of_which_nothing_was_read_is_no_gap(tmp_path: Path) -> None:
    """What says how things stand may lie hours before the events that are read again."""
    began, *others = a_session()
    dense = [msgspec.structs.replace(each, seq=each.seq + 900, ts_ms=each.ts_ms + 590_000) for each in others]
    loaded = RulebookLoaded(ts_ms=began.ts_ms + 1, seq=2, profile="prod", rulebook="v2", sources="s2")
    live = polled(live_of(tmp_path, [began, loaded, *dense]))
    assert live.session is not None
    assert live.session.rulebook == "v2"
    longest_ms = max(later.ts_ms - each.ts_ms for each, later in pairwise(dense))
    assert live.longest_gap_s() == pytest.approx(longest_ms / 1000)


def test_a_snapshot_of_another_version_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = [
        Snapshot(ts_ms=1, tick=1, views={}),
        Snapshot(ts_ms=2, tick=2, views={"router_health": msgspec.Raw(b"{}")}),
    ]
    source = ListedSource()
    live = Live(shipped("prod"), tmp_path, source)
    for event in numbered(*broken):
        source.events.append(event)
        assert live.poll() == 1
    assert live.health is None
    assert "not shown" in caplog.text


def test_listeners_are_told_once_a_batch_until_they_stop(tmp_path: Path) -> None:
    told: list[int] = []
    source = ListedSource(a_session())
    live = Live(shipped("prod"), tmp_path, source)
    stop = live.listen(lambda: told.append(live.version))
    live.poll()
    live.poll()  # nothing came
    assert told == [live.version]
    stop()
    stop()
    source.events.extend(numbered(routed()))
    live.poll()
    assert len(told) == 1


def test_views_see_all_and_watchers_only_what_is_new(tmp_path: Path) -> None:
    events, view, watcher = a_session(), Seen(), Seen()
    source = ListedSource(events, old=4)
    live = Live(shipped("prod"), tmp_path, source, views=(view,), watchers=(watcher,))
    live.poll(3)
    was_caught_up = live.is_caught_up
    polled(live, 3)
    assert (was_caught_up, live.is_caught_up) == (False, True)
    assert (view.events, watcher.events) == (events, events[4:])


def test_the_rulebook_is_that_of_whoever_may_change_it(tmp_path: Path) -> None:
    current = [shipped("prod")]
    clock = Clock(5.0)
    live = Live(shipped("prod"), tmp_path, ListedSource(), current=lambda: current[0], wall=clock)
    assert (live.book.profile, live.loaded_ts) == ("prod", 5.0)
    version = live.version
    current[0], clock.now_s = shipped("testnet"), 9.0
    assert (live.book.profile, live.loaded_ts) == ("testnet", 9.0)
    assert live.version == version + 1


def test_an_event_or_a_listener_that_fails_costs_nobody_else_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Seen):
        def see(self, event: Event) -> None:
            super().see(event)
            if event.seq == 2:
                raise ValueError("a view of mine")

    def broken() -> None:
        raise ValueError("a page of mine")

    view, told = Broken(), list[int]()
    live = Live(shipped("prod"), tmp_path, ListedSource(a_session()), views=(view,))
    live.listen(broken)
    live.listen(lambda: told.append(live.version))
    assert live.poll() == len(a_session())
    assert view.events == a_session()
    assert told == [live.version]
    assert "a view of mine" in caplog.text
    assert "a page of mine" in caplog.text


def test_following_polls_for_ever_and_lets_others_be_answered(tmp_path: Path) -> None:
    live = live_of(tmp_path, a_session())

    async def run() -> None:
        following = asyncio.create_task(live.follow(every_s=0.0, most=2))
        for _ in range(len(a_session())):
            await asyncio.sleep(0)
        following.cancel()

    asyncio.run(run())
    assert live.last_seq == a_session()[-1].seq


def test_a_defect_does_not_end_the_following_but_is_said_once_and_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(ListedSource):
        times = 3

        def take(self, most: int) -> Sequence[Event]:
            self.times -= 1
            if self.times >= 0:
                raise RuntimeError("a secret")
            return super().take(most)

    live = Live(shipped("prod"), tmp_path, Broken(a_session()))
    failures: list[str | None] = []

    async def run() -> None:
        following = asyncio.create_task(live.follow(every_s=0.0))
        while live.health is None and not following.done():
            await asyncio.sleep(0)
            failures.append(live.failure())
        following.cancel()

    asyncio.run(run())
    assert live.health is not None
    assert "RuntimeError" in failures
    assert live.failure() is None
    assert [record.message for record in caplog.records] == ["the journal cannot be followed"]


def test_an_intent_is_told_from_memory_where_its_beginning_is_held_and_else_by_the_journal(tmp_path: Path) -> None:
    events = a_session()
    live = polled(live_of(tmp_path, events))
    told = asyncio.run(live.of_intent("entry-1"))
    assert [type(event).__name__ for event in told][-1] == "Outcome"
    assert asyncio.run(live.of_intent("nobody")) == []
    late = polled(live_of(tmp_path, [event for event in events if isinstance(event, Routed)]))
    assert [type(event).__name__ for event in asyncio.run(late.of_intent("entry-1"))] == ["Routed"]
    write(tmp_path / "journal", events)
    assert isinstance(asyncio.run(late.of_intent("entry-1"))[0], IntentReceived)
    assert [type(event).__name__ for event in late.held_of_intent("entry-1")] == ["Routed"]
