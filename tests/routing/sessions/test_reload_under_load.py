"""Reloads while two threads and a loop decide: each decision is of one version, none is lost, nothing old is kept."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench._numbered import KNOWN, PROFILE, VALUES, number_of, values, write_home
from bench.reload import resident_mib
from engine.book import Book, load
from engine.journal.events import Decided, Outcome, RulebookLoaded
from engine.journal.reader import read
from engine.reload.history import History
from engine.routing.deciders import Deciders
from engine.routing.sessions.desk import Desk
from engine.routing.sessions.start import JOURNAL, Running
from tests.routing.markets import START_MS, SYMBOL
from tests.routing.sessions.numbered import beside, open_numbered, order, until

PREBUILT = range(900_000, 900_009)
"""The numbers of the books that are swapped in as they are."""


# --- how a number is saved -------------------------------------------------------------------------------------------


def in_place(home: Path, number: int) -> None:
    (home / VALUES).write_text(values(number))


def replaced(home: Path, number: int) -> None:
    new = home / f"{VALUES}.new"
    new.write_text(values(number))
    new.replace(home / VALUES)


def as_vim_does(home: Path, number: int) -> None:
    """The old file is renamed away, the new one written in its place, and the old one removed."""
    backup = home / f"{VALUES}~"
    (home / VALUES).rename(backup)
    (home / VALUES).write_text(values(number))
    backup.unlink()


SAVES = (replaced, in_place, as_vim_does)


# --- what decides meanwhile ------------------------------------------------------------------------------------------


class Deciding:
    """Decisions by the deciders of a session, and what was wrong with them."""

    def __init__(self, deciders: Deciders) -> None:
        self.begun = [0, 0, 0]
        self.ended = [0, 0, 0]
        self.mixed: list[str] = []
        self.numbers: dict[str, int] = {}
        """By version."""
        self._deciders = deciders
        self._is_over = threading.Event()

    def decide(self, who: int) -> None:
        """Decide on one intent, as the router does: by the chain that is taken once."""
        self.begun[who] += 1
        chain = self._deciders.of(SYMBOL)
        made = chain.decide(START_MS, SYMBOL, "beside", KNOWN)
        number = number_of(made.admission.decided, made.routing.decided)
        for each in (made.admission, made.routing):
            version = msgspec.json.decode(each.record)["rulebook"]
            if number is None or version != chain.book.version or self.numbers.setdefault(version, number) != number:
                self.mixed.append(f"{made.admission.decided} {made.routing.decided} under {version}")
        self.ended[who] += 1

    def _work(self, who: int) -> None:
        while not self._is_over.is_set() or not self.begun[who]:
            self.decide(who)

    async def in_loop(self) -> None:
        """Decide in the session's own loop, in turns with everything else there."""
        while not self._is_over.is_set():
            self.decide(2)
            await asyncio.sleep(0)

    @contextmanager
    def in_threads(self) -> Iterator[None]:
        """Two threads decide as fast as they can, and all threads take turns often."""
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        threads = [threading.Thread(target=self._work, args=(who,)) for who in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()
            sys.setswitchinterval(interval_s)

    def stop(self) -> None:
        """Decide no more."""
        self._is_over.set()


# --- the session -----------------------------------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    opened = open_numbered(tmp_path)
    yield opened
    opened.journal.close()


def put(desk: Desk, book: Book) -> None:
    """Swap in a book as it is."""
    loaded = RulebookLoaded(
        ts_ms=0,
        profile=PROFILE,
        rulebook=book.version,
        sources=book.rulebook.sources_digest,
        how="as it is",
    )
    desk.adopt(book, loaded)


def live_books() -> int:
    """Books that came since the collector was quieted and that something still refers to."""
    gc.collect()
    return sum(isinstance(each, Book) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("reloads", "saved"), [(300, 25), pytest.param(10_000, 1_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_every_decision_is_of_one_version_and_none_is_lost(
    running: Running, tmp_path: Path, reloads: int, saved: int
) -> None:
    desk, home = running.desk, tmp_path / "home"
    books = [load(PROFILE, write_home(tmp_path / "other", number)).warm() for number in PREBUILT]
    deciding = Deciding(desk.router.deciders)
    intents: list[str] = []
    resident: list[float] = []
    kept: list[int] = []

    async def save(number: int) -> None:
        SAVES[number % len(SAVES)](home, number)
        version = load(PROFILE, home).version
        await until(lambda: desk.book.version == version)

    async def session() -> None:
        others = asyncio.create_task(deciding.in_loop())
        await until((tmp_path / "logs" / "reload" / "status.json").exists)
        every = reloads // saved
        for number in range(reloads):
            if number % every == 0 and number // every < saved:
                await save(number // every + 1)
            else:
                put(desk, books[number % len(books)])
            if number % 10 == 0:
                intents.append(order(desk, number))
            await asyncio.sleep(0)
            if number in (reloads // 10, reloads - 1):
                gc.collect()
                resident.append(resident_mib())
        deciding.stop()
        await others
        kept.append(live_books())

    with deciding.in_threads():
        beside(running, session)

    assert deciding.mixed == []
    assert deciding.begun == deciding.ended
    assert set(deciding.numbers.values()) <= {*range(saved + 1), *PREBUILT}
    assert len(deciding.numbers) > len(PREBUILT), "they decided while it was swapped"
    assert kept[0] <= 2, "of the books that were read all but the last are gone"
    if reloads >= 10_000:
        assert abs(resident[-1] - resident[0]) <= 10, "MiB"

    events = list(read(tmp_path / "logs" / JOURNAL))
    loaded = [event for event in events if isinstance(event, RulebookLoaded)]
    assert [len(loaded), sum(event.how == "files" for event in loaded)] == [reloads, saved]
    assert sum(entry.how == "reload" for entry in History(tmp_path / "logs").entries()) == saved
    assert {event.intent_id for event in events if isinstance(event, Outcome)} == set(intents)
    decided: dict[str | None, list[dict[str, Any]]] = {}
    for event in events:
        if isinstance(event, Decided) and event.policy in ("admission", "routing"):
            decided.setdefault(event.intent_id, []).append(msgspec.json.decode(event.record))
    assert list(decided) == intents
    for admitted, routed in decided.values():
        assert number_of(admitted["decided"], routed["decided"]) is not None
        assert admitted["rulebook"] == routed["rulebook"]


def test_an_intent_that_is_being_decided_goes_on_under_what_began_it(tmp_path: Path) -> None:
    first, second = (load(PROFILE, write_home(tmp_path / "home", number)).warm() for number in (1, 2))
    deciders = Deciders(first)
    begun = deciders.of(SYMBOL)
    deciders.use(second)
    made = begun.decide(START_MS, SYMBOL, "one", KNOWN)
    assert number_of(made.admission.decided, made.routing.decided) == 1
    made = deciders.of(SYMBOL).decide(START_MS, SYMBOL, "two", KNOWN)
    assert number_of(made.admission.decided, made.routing.decided) == 2
