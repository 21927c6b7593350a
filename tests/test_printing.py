"""How things are put on a terminal: ages, and the line that says how far a long question has got."""

from __future__ import annotations

import io

import pytest

from engine.printing import Steps, lasting


class Terminal(io.StringIO):
    """A stream that is, or is not, a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def shown(*moments: float, is_terminal: bool = True, step: str = "routing.strict") -> str:
    """What is written by the steps of a long question, each begun at one of these moments (s)."""
    times = iter((0.0, *moments))
    stream = Terminal(is_terminal=is_terminal)
    steps = Steps("proving prod", "questions", stream, lambda: next(times))
    last = len(moments) - 1
    for number in range(last + 1):
        steps(step if number < last else "", number * 512, last * 512)
    return stream.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_quick_says_nothing(is_terminal: bool) -> None:
    assert shown(0.1, 0.2, 0.3, is_terminal=is_terminal) == ""


def test_what_takes_long_says_how_far_it_is_and_cleans_up() -> None:
    said = shown(0.1, 2.4, 2.5, 3.0)
    first = "\rproving prod: 512 of 1,536 questions, 2 s: routing.strict\x1b[K"
    assert said == first + first.replace("512", "1,024", 1) + "\r\x1b[K"


def test_where_nobody_looks_on_a_line_is_written_every_ten_seconds() -> None:
    said = shown(1.0, 9.9, 10.2, 12.0, 20.1, 20.3, 31.0, is_terminal=False)
    assert said.splitlines() == [
        "proving prod: 1,024 of 3,072 questions, 10 s",
        "proving prod: 2,560 of 3,072 questions, 20 s",
    ]


def test_a_step_fits_a_line_and_cannot_steer_the_terminal() -> None:
    written = shown(5.0, 6.0, 7.0, step="x\x1b[31m" * 40)
    assert "\x1b[31m" not in written
    assert all(len(line) <= 79 + len("\x1b[K") for line in written.split("\r"))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (0.25, "0.2 s"), (9.9, "9.9 s"), (179.0, "179 s"), (180.0, "3 min"), (7200.0, "2.0 h")],
)
def test_ages_are_told_in_a_unit_that_can_be_read(seconds: float, said: str) -> None:
    assert lasting(seconds) == said
