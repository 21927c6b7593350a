"""Lines of a pipe: waited for, or taken as they have come, and let go of when somebody asks."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engine.routing.sessions.standard_input import StandardInput


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_lines_in_order_and_the_last_without_its_break(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"one\ntwo\n\nthree")
    os.close(writing)
    assert list(StandardInput(reading)) == [b"one\n", b"two\n", b"\n", b"three"]


def test_nothing_is_waited_for_where_somebody_takes_what_has_come(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stream = StandardInput(reading)
    assert stream.arrived() == []
    os.write(writing, b"one\ntw")
    assert stream.arrived() == [b"one\n"]
    assert stream.arrived() == []
    os.write(writing, b"o\nthree\n")
    assert stream.arrived() == [b"two\n", b"three\n"]
    os.write(writing, b"four")
    os.close(writing)
    assert stream.arrived() == [b"four"]
    assert stream.arrived() == []


def test_closing_ends_a_wait(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = pipe
    stream = StandardInput(reading)
    os.write(writing, b"one\n")
    lines = iter(stream)
    assert next(lines) == b"one\n"

    def nothing_and_a_signal(*_: object) -> tuple[list[int], list[int], list[int]]:
        stream.close()
        return [], [], []

    monkeypatch.setattr("engine.routing.sessions.standard_input.select.select", nothing_and_a_signal)
    assert list(lines) == []


def test_a_long_line_comes_whole(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stream = StandardInput(reading)
    line = b"x" * 50_000
    os.write(writing, line)
    assert stream.arrived() == []
    os.write(writing, b"y\n")
    assert stream.arrived() == [line + b"y\n"]
