"""HTML as values: nothing that a journal says becomes markup, and what is unknown says so."""

from __future__ import annotations

import pytest

from engine.web.pages.markup import age, join, mark, name, number, percent, sparkline, tag

HOSTILE = "<img src=x onerror=alert(1)>\u202eevil\x1b[31m"


def test_text_and_attributes_are_escaped_and_characters_that_steer_are_replaced() -> None:
    made = tag("p", HOSTILE, title='"><script>')
    assert "<img" not in made
    assert "<script>" not in made
    assert "\u202e" not in made
    assert "\x1b" not in made


@pytest.mark.parametrize("made", [join([HOSTILE]), name(HOSTILE), mark(HOSTILE), tag("svg", tag("title", HOSTILE))])
def test_no_way_round_it(made: str) -> None:
    assert "<img" not in made


def test_attributes_without_a_value_are_left_out_or_bare() -> None:
    assert tag("details", open=True, id_=None, hidden=False) == "<details open></details>"


def test_a_state_has_a_sign_beside_its_colour() -> None:
    for state in ("ok", "warn", "critical", "stale", "absent", "invalid", "maker", "taker", "none", "half_open"):
        assert '<i aria-hidden="true">' in mark(state)
    assert mark(None) == '<span class="mark unknown">–</span>'


def test_a_line_breaks_where_nothing_was_known_and_says_its_figures() -> None:
    line = sparkline([1.0, None, 2.0, 3.0], "fill", ("1 %", "3 %", "3 %"))
    assert line is not None
    assert line.count("M") == 2
    assert 'aria-label="fill over the window: 1 % to 3 %, last 3 %"' in line
    assert sparkline([1.0, None], "fill", ("", "", "")) is None
    assert sparkline([2.0, 2.0], "fill", ("", "", "")) is not None


def test_what_is_not_zero_does_not_look_like_it() -> None:
    assert (number(0.013, "bps"), number(0.4, "ms", 0), percent(-0.00004)) == ("0.01 bps", "0.4 ms", "-0.004 %")
    assert (number(-1e-12), percent(-1e-12)) == ("0.0", "0.0 %")


def test_unknown_is_never_zero() -> None:
    assert (number(None), percent(None), age(None)) == ("–", "–", "–")
    assert (number(0.0), percent(0.0), age(0.0)) == ("0.0", "0 %", "0 s")
