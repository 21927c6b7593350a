"""The line that says how far a long question has got."""

from __future__ import annotations

import io

from engine.printing import Steps


class Terminal(io.StringIO):
    """A stream that is, or is not, a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def shown(*moments: float, is_terminal: bool = True, step: str = "routing.strict") -> str:
    """What is written by three steps, done at these moments (s)."""
    times = iter((0.0, *moments))
    stream = Terminal(is_terminal=is_terminal)
    steps = Steps("proving", stream, lambda: next(times))
    for number in range(3):
        steps(step if number < 2 else "", number, 2)
    return stream.getvalue()


def test_what_is_quick_says_nothing() -> None:
    assert shown(0.1, 0.2, 0.3) == ""


def test_what_takes_long_says_how_far_it_is_and_cleans_up() -> None:
    assert shown(0.1, 2.5, 3.0) == "\rproving 2 of 2: routing.strict\x1b[K\r\x1b[K"


def test_nothing_is_written_where_nobody_looks() -> None:
    assert shown(5.0, 6.0, 7.0, is_terminal=False) == ""


def test_a_step_fits_a_line_and_cannot_steer_the_terminal() -> None:
    written = shown(5.0, 6.0, 7.0, step="x\x1b[31m" * 40)
    assert "\x1b[31m" not in written
    assert all(len(line) <= 79 + len("\x1b[K") for line in written.split("\r"))
