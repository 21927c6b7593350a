"""How often something is written: the longest gap of lately."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.web.pace import LATELY_S, Pace


def seen(*moments: float) -> Pace:
    pace = Pace()
    for moment in moments:
        pace.see(moment)
    return pace


def test_before_the_second_write_nobody_can_say() -> None:
    assert (seen().longest_s, seen().watched_s) == (None, 0.0)
    assert (seen(5.0).longest_s, seen(5.0).watched_s) == (None, 0.0)


def test_a_clock_that_goes_back_makes_no_gap() -> None:
    assert (seen(10.0, 4.0, 11.0).longest_s, seen(10.0, 4.0, 11.0).watched_s) == (1.0, 1.0)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_it_is_the_longest_gap_that_ended_lately(gaps: list[int]) -> None:
    ends = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    lately = [gap for gap, end in zip(gaps, ends, strict=True) if end >= ends[-1] - LATELY_S]
    assert seen(0, *ends).longest_s == max(lately)
