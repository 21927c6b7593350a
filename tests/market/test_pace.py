import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Event, Feed, Quote, WarmUp, paced
from tests.market.samples import quote

T = TypeVar("T")


class Clock:
    """A clock that only sleeping moves, and what was slept."""

    def __init__(self, work_s: float = 0.0) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []
        self.work_s = work_s

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def collect(self, times_ms: list[int], speed: float | None, longest_wait_s: float = 1.0) -> list[float]:
        """When the events at these times come, in seconds; the reader works for `work_s` on each."""

        async def run() -> list[float]:
            came = []
            events = [quote(ts_ms) for ts_ms in times_ms]
            async for _ in paced(events, speed, clock=self.read, sleep=self.sleep, longest_wait_s=longest_wait_s):
                came.append(round(self.now - 1_000.0, 6))
                self.now += self.work_s
            return came

        return asyncio.run(run())


async def listed(events: AsyncIterator[T]) -> list[T]:
    return [event async for event in events]


def test_full_speed_waits_for_nothing_but_gives_others_their_turn() -> None:
    clock = Clock()
    assert len(clock.collect(list(range(0, 5_000_000, 1_000)), None)) == 5_000
    assert set(clock.slept) == {0}
    assert 2 <= len(clock.slept) <= 50


@pytest.mark.parametrize(("speed", "came"), [(1.0, [0.0, 0.5, 0.75]), (10.0, [0.0, 0.05, 0.075])])
def test_events_come_at_a_multiple_of_their_own_pace(speed: float, came: list[float]) -> None:
    assert Clock().collect([5_000, 5_500, 5_750], speed) == came


def test_a_hole_is_shortened_to_the_longest_wait() -> None:
    assert Clock().collect([0, 86_400_000, 86_400_500], 1.0) == [0.0, 1.0, 1.5]
    assert Clock().collect([0, 86_400_000], 1.0, longest_wait_s=0.25) == [0.0, 0.25]


def test_time_that_the_reader_takes_is_not_waited_for_again() -> None:
    assert Clock(work_s=0.1).collect([0, 200, 400], 1.0) == [0.0, 0.2, 0.4]


def test_a_reader_that_falls_behind_catches_up_with_no_more_than_the_longest_wait() -> None:
    clock = Clock()
    came = []

    async def pause_once() -> None:
        events = [quote(ms) for ms in (0, 100, 200, 300, 1_300, 2_300)]
        async for event in paced(events, 1.0, clock=clock.read, sleep=clock.sleep):
            came.append(round(clock.now - 1_000.0, 6))
            if event.ts_ms == 100:
                clock.now += 60.0

    asyncio.run(pause_once())
    assert came == [0.0, 0.1, 60.1, 60.1, 60.2, 61.2]


def test_others_get_their_turn_where_no_event_has_to_wait() -> None:
    clock = Clock()
    clock.collect([7] * 5_000, 1.0)
    assert set(clock.slept) == {0}
    assert 2 <= len(clock.slept) <= 50


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_is_above_zero(speed: float) -> None:
    with pytest.raises(ValueError, match="a speed must be above 0"):
        Clock().collect([1], speed)


@given(st.lists(st.integers(0, 10_000), max_size=30), st.none() | st.sampled_from([0.1, 1.0, 1e9]))
def test_the_events_are_those_given_each_no_earlier_than_it_is_due(gaps_ms: list[int], speed: float | None) -> None:
    times = [sum(gaps_ms[: count + 1]) for count in range(len(gaps_ms))]
    clock = Clock()
    came = clock.collect(times, speed)
    assert len(came) == len(times)
    assert came == sorted(came)
    if speed is not None:
        waits = [after - before for before, after in pairwise(came)]
        assert all(wait <= 1.0 + 0.0011 for wait in waits), "timers are no finer than a millisecond"
        assert sum(waits) >= sum(min(gap / 1000 / speed, 1.0) for gap in gaps_ms[1:]) - 0.0011


def test_events_before_a_fault_are_delivered() -> None:
    def broken() -> Iterator[Event]:
        yield quote(1)
        raise OSError("the line is down")

    async def run() -> Event:
        events = paced(broken())
        first = await anext(events)
        with pytest.raises(OSError, match="the line is down"):
            await anext(events)
        return first

    assert asyncio.run(run()) == quote(1)


def test_a_feed_is_an_async_iterator_too_and_starts_over_each_time() -> None:
    events = [quote(1), quote(2)]
    feed = Feed("hand-made", ("BTCUSDT",), {"BTCUSDT": WarmUp()}, lambda: iter(events))

    async def run() -> tuple[list[Event], list[Event]]:
        return await listed(aiter(feed)), [event async for event in feed]

    assert asyncio.run(run()) == (events, events)


def test_other_tasks_run_while_a_feed_is_read() -> None:
    events = [quote(1)] * 10_000
    feed = Feed("hand-made", ("BTCUSDT",), {"BTCUSDT": WarmUp()}, lambda: iter(events))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run() -> int:
        task = asyncio.create_task(other())
        count = 0
        async for event in feed:
            count += isinstance(event, Quote)
        task.cancel()
        return count

    assert asyncio.run(run()) == 10_000
    assert turns > 3


def test_who_rests_between_two_events_may_ask_what_time_it_is_and_never_reaches_the_next() -> None:
    clock, rests = Clock(), []

    async def rest(seconds: float, market_ms: Callable[[], int]) -> None:
        times = []
        for _ in range(3):
            times.append(market_ms())
            clock.now += seconds / 2
        rests.append((round(seconds, 6), times))

    events = [quote(5_000), quote(5_500), quote(5_500), quote(3_605_500)]
    came = asyncio.run(listed(paced(events, 2.0, clock=clock.read, rest=rest)))
    assert came == events
    assert rests == [(0.25, [5_000, 5_250, 5_499]), (0.875, [5_500, 6_375, 7_250])]
