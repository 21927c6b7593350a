"""Swaps under load: every decision is of one version, none is lost, and nothing of an old book is kept."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.book import Book, load
from engine.reload.holder import Holder
from tests.reload.homes import PROFILE, VALUES, facts, make_home, values


@dataclass(frozen=True)
class Numbered:
    """A book whose decisions show which version made them: its base offset is its number."""

    number: int
    book: Book


def test_a_swap_counts_generations() -> None:
    holder = Holder("a")
    assert (holder.current.book, holder.current.generation) == ("a", 0)
    before = holder.current
    assert holder.swap("b") is holder.current
    assert (holder.current.book, holder.current.generation) == ("b", 1)
    assert before.book == "a"


class Anything:
    """What can be referred to weakly."""


def test_a_book_that_was_replaced_is_let_go() -> None:
    book = Anything()
    gone = weakref.ref(book)
    holder = Holder(book)
    in_use = holder.current
    del book
    holder.swap(Anything())
    assert gone() is not None
    del in_use
    gc.collect()
    assert gone() is None


def _books(home: Path, count: int) -> list[Numbered]:
    """Books whose two numbers go together: low tier above `number`, and an offset of `number`."""
    made = []
    for number in range(1, count + 1):
        (home / VALUES).write_text(values(low_bps=number, base_bps=number))
        made.append(Numbered(number, load(PROFILE, home).warm()))
    return made


def _check(held: Numbered, spread: float) -> str:
    """Decide twice from what was taken, and say what is mixed; empty where all is of one version."""
    decision = held.book.decide("routing", facts(spread))
    record = decision.record()
    low = spread > held.number
    wanted = ("low" if low else "high", held.number + low)
    found = (record["decided"]["tier"], record["decided"]["offset_bps"])
    if found != wanted or record["rulebook"] != held.book.version:
        return f"{found} and not {wanted} under {record['rulebook']}"
    return ""


@pytest.mark.parametrize("swaps", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_decisions_in_two_threads_and_a_loop_are_each_of_one_version(tmp_path: Path, swaps: int) -> None:
    books = _books(make_home(tmp_path / "home"), 9)
    holder = Holder(books[0])
    done = threading.Event()
    mixed: list[str] = []
    made: list[int] = []
    generations: list[list[int]] = []

    def one(number: int, seen: list[int]) -> None:
        held = holder.current
        seen.append(held.generation)
        if told := _check(held.book, number % 10 + 0.5):
            mixed.append(told)

    def work() -> None:
        number, seen = 0, list[int]()
        while not done.is_set() or number < 10:
            one(number, seen)
            number += 1
        made.append(number)
        generations.append(seen)

    async def loop() -> int:
        number, seen = 0, list[int]()
        while holder.current.generation < swaps:
            holder.swap(books[(holder.current.generation + 1) % len(books)])
            one(number, seen)
            number += 1
            await asyncio.sleep(0)
        generations.append(seen)
        return number

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        asked = asyncio.run(loop())
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert mixed == []
    assert holder.current.generation == swaps == asked
    assert [len(seen) for seen in generations] == [asked, *made]  # every decision that began has ended
    assert all(seen == sorted(seen) for seen in generations)  # nobody ever goes back to an older one
    assert generations[0] == list(range(1, swaps + 1))


def test_two_writers_lose_no_generation() -> None:
    holder = Holder(0)
    threads = [threading.Thread(target=lambda: [holder.swap(1) for _ in range(2000)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert holder.current.generation == 4000
