"""Intents that are handed in while a session runs, beside those of its own source."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from engine.home import shipped_home
from engine.journal.errors import JournalUnwritableError
from engine.journal.events import Event, IntentReceived, IntentRefused, Outcome, SessionEnded
from engine.journal.reader import read
from engine.market import Choice
from engine.market import Event as MarketEvent
from engine.market.pace import Rest
from engine.routing.intents import Intent
from engine.routing.sessions import session, start
from engine.routing.sessions.inbox import PLACE, Answer, Inbox, Word
from engine.routing.sessions.session import NOT_TAKEN
from engine.routing.sessions.source import open_market
from engine.routing.sessions.start import JOURNAL, Running, SessionOptions, open_embedded, open_remote
from engine.routing.sessions.strategy import Lines
from engine.routing.shape import SessionShape
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.server import Offer, Pace
from tests.routing.markets import START_MS, hand_made, options, quote
from tests.routing.sessions.test_session_driver import RULE
from tests.venues.sockets import ManualClock, serving


def intent(number: int) -> Intent:
    facts = {"side": "buy", "qty": 0.01, "order_type": "market", "maker_requested": False, "reduce_only": False}
    return Intent(f"api-{number}", "BTCUSDT", facts)


def lines(*texts: str) -> Lines:
    return Lines("a file", [text.encode() for text in texts], 100)


LATER = '{"intent_id":"l-1","symbol":"BTCUSDT","ts":10,"side":"buy"}'


def ids(source: object, now_ms: int) -> list[str]:
    return [due.request.intent_id for due in source.take(now_ms)]  # type: ignore[attr-defined]  # intents alone


def test_what_is_handed_in_is_due_at_once_and_comes_first() -> None:
    inbox = Inbox()
    both = inbox.beside(lines(LATER))
    assert both.next_ms() == 10_000
    assert inbox.hand(intent(1))
    assert inbox.hand(intent(2))
    assert both.next_ms() == 0
    assert ids(both, 20_000) == ["api-1", "api-2", "l-1"]
    assert both.next_ms() is None
    assert ids(both, 20_000) == []


def test_it_takes_no_more_than_it_may_and_nothing_once_it_is_closed() -> None:
    inbox = Inbox(most=1)
    assert [inbox.hand(intent(number)) is not None for number in (1, 2)] == [True, False]
    assert len(inbox) == 1
    inbox.take()
    inbox.close()
    assert not inbox.hand(intent(3))


def test_what_was_never_taken_is_left_over_and_the_inbox_is_closed() -> None:
    inbox = Inbox()
    both = inbox.beside(lines(LATER))
    inbox.hand(intent(1))
    left = [*inbox.leave(), *both.rest()]
    assert [(due.request.intent_id, due.place) for due in left] == [("api-1", PLACE), ("l-1", "a file:1")]  # type: ignore[union-attr]  # intents alone
    assert inbox.hand(intent(2)) is None


def test_nothing_is_lost_or_doubled_between_threads() -> None:
    inbox = Inbox(most=100_000)
    both = inbox.beside(lines())
    threads = [
        threading.Thread(target=lambda start=start: [inbox.hand(intent(start + number)) for number in range(500)])
        for start in (0, 1000, 2000)
    ]
    for thread in threads:
        thread.start()
    found: list[str] = []
    while any(thread.is_alive() for thread in threads) or both.next_ms() == 0:
        found += ids(both, 0)
    assert len(found) == len(set(found)) == 1500
    assert [each for each in found if len(each) < 8] == [f"api-{number}" for number in range(500)]


def test_a_session_works_what_is_handed_in_and_refuses_what_came_too_late(tmp_path: Path) -> None:
    inbox = Inbox()
    shape = SessionShape(seed=7, generated_s=30)
    (tmp_path / "none.jsonl").write_text("")
    options = SessionOptions(
        "testnet", shipped_home(), tmp_path, shape, intents=str(tmp_path / "none.jsonl"), baselines=False, inbox=inbox
    )
    running = open_embedded(options, open_market(shape, (), generated=True, choice=Choice(("BTCUSDT",), None, None)))
    inbox.hand(intent(1))
    ending = asyncio.run(running.run())
    assert ending.left_open == 0
    events = list(read(tmp_path / "journal", types=(IntentReceived, IntentRefused, Outcome)))
    assert [type(event) for event in events] == [IntentReceived, Outcome]
    assert "handed in" in running.intents
    assert not inbox.hand(intent(2))


# --- answers ---------------------------------------------------------------------------------------------------------


def handed(inbox: Inbox, number: int) -> Answer:
    answer = inbox.hand(intent(number))
    assert answer is not None
    return answer


def received(number: int) -> IntentReceived:
    return IntentReceived(ts_ms=1, intent_id=f"api-{number}", symbol="BTCUSDT", intent={})


def refused(number: int, code: str) -> IntentRefused:
    return IntentRefused(ts_ms=1, intent_id=f"api-{number}", code=code, reason="", received="")


def test_who_hands_one_in_is_told_what_was_said_of_it_and_only_once_that_is_written() -> None:
    inbox = Inbox()
    first, second, again = (handed(inbox, number) for number in (1, 2, 1))
    words: list[Word] = [received(1), refused(2, "unknown_symbol"), refused(1, "duplicate_id")]
    inbox.see(received(1))  # of another source: nothing was taken yet
    assert len(inbox.take()) == 3
    for word in words:
        inbox.see(word)
    inbox.see(refused(1, "unknown_intent"))  # a cancel, later on
    inbox.settle(is_written=False)
    assert not any(answer.done() for answer in (first, second, again))
    inbox.settle(is_written=True)
    assert [answer.result() for answer in (first, second, again)] == words


def test_who_waits_for_nothing_more_keeps_nobody_from_being_told() -> None:
    inbox = Inbox()
    first, second = handed(inbox, 1), handed(inbox, 2)
    assert not first.cancel()
    inbox.take()
    inbox.see(received(1))
    inbox.see(received(2))
    inbox.settle(is_written=True)
    assert second.result() == received(2)


def test_a_session_that_is_gone_says_so_whatever_became_of_an_intent() -> None:
    inbox = Inbox()
    heard, taken = handed(inbox, 1), handed(inbox, 2)
    inbox.take()
    inbox.see(received(1))
    waits = handed(inbox, 3)
    inbox.abandon()
    assert [answer.result() for answer in (heard, taken, waits)] == [None, None, None]
    assert inbox.hand(intent(4)) is None
    inbox.abandon()


# --- sessions --------------------------------------------------------------------------------------------------------

During: TypeAlias = Callable[[Running], Awaitable[None]]


def quiet(folder: Path, inbox: Inbox, *texts: dict[str, Any]) -> SessionOptions:
    """A session that has these intents in a file, and those of an inbox."""
    file = folder / "intents.jsonl"
    file.write_text("".join(json.dumps({**FACTS, **text}) + "\n" for text in texts))
    return options(folder / "logs", intents=str(file), inbox=inbox, telemetry="generated")


FACTS = {"symbol": "BTCUSDT", "side": "buy", "qty": 0.1, "order_type": "market"}
MARKET = [quote(0, 100.0, 100.01), quote(10_000, 100.0, 100.01), quote(20_000, 100.0, 100.01)]
BETWEEN_MS = 4_000


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[During, Running], None]]:
    """Runs a session that waits for the second event of its market, 4 s after the first, until something is done."""
    waits: list[tuple[During, Running]] = []

    async def slow(events: Iterable[MarketEvent], _: float | None, rest: Rest) -> AsyncIterator[MarketEvent]:
        first, *others = events
        yield first
        resting = asyncio.ensure_future(rest(3600.0, lambda: START_MS + BETWEEN_MS))
        does, running = waits.pop()
        await does(running)
        resting.cancel()
        for event in others:
            yield event

    monkeypatch.setattr(start, "paced", slow)

    def run(does: During, running: Running) -> None:
        waits.append((does, running))
        asyncio.run(running.run())

    yield run
    assert waits == []


def journaled(running: Running) -> list[Event]:
    return list(read(running.journal.folder, types=(IntentReceived, IntentRefused, SessionEnded)))


def test_what_is_handed_in_is_taken_at_once_though_the_next_event_of_the_market_is_far_away(
    tmp_path: Path, during: Callable[[During, Running], None]
) -> None:
    """At the time that it is, after what was due before, and told once the file of the journal has it."""
    inbox = Inbox()
    before, after = {"intent_id": "f-1", "ts": START_MS / 1000 + 2}, {"intent_id": "f-2", "ts": START_MS / 1000 + 6}
    running = open_embedded(quiet(tmp_path, inbox, before, after), hand_made(MARKET))
    files: list[bytes] = []

    def look(_: Answer) -> None:
        files.append(b"".join(path.read_bytes() for path in (tmp_path / "logs" / JOURNAL).glob("*.jsonl")))

    async def does(_: Running) -> None:
        at_once = handed(inbox, 1)  # before the wait has begun, and after that from another thread
        at_once.add_done_callback(look)
        await asyncio.wrap_future(at_once)
        later = await asyncio.to_thread(handed, inbox, 2)
        await asyncio.wrap_future(later)
        assert [type(answer.result()) for answer in (at_once, later)] == [IntentReceived] * 2

    during(does, running)
    taken = [(each.intent_id, each.ts_ms - START_MS) for each in journaled(running) if isinstance(each, IntentReceived)]
    assert taken == [("f-1", 2_000), ("api-1", BETWEEN_MS), ("api-2", BETWEEN_MS), ("f-2", 6_000)]
    assert all(b'"api-1"' in text for text in files)
    assert len(files) == 1


class EndError(Exception):
    """What ends a session."""


def stopped(running: Running) -> None:
    running.stop("interrupted")


def broken(running: Running) -> None:
    """A market that cannot be read on, say."""
    running.stop("interrupted")  # so that nothing is taken until then
    raise EndError


def cut_short(running: Running) -> None:
    running.stop("interrupted")
    raise asyncio.CancelledError


@pytest.mark.parametrize("end", [stopped, broken, cut_short])
def test_whatever_ends_a_session_refuses_what_was_handed_in_and_not_taken(
    tmp_path: Path, during: Callable[[During, Running], None], end: Callable[[Running], None]
) -> None:
    inbox, answers = Inbox(), []
    running = open_embedded(quiet(tmp_path, inbox), hand_made(MARKET))

    async def does(running: Running) -> None:
        answers.append(handed(inbox, 0))
        await asyncio.wrap_future(answers[0])
        running.stop("interrupted")
        answers.extend(handed(inbox, number) for number in range(1, 20))
        end(running)

    if end is stopped:
        during(does, running)
    else:
        with pytest.raises((EndError, asyncio.CancelledError)):
            during(does, running)
    first, *others = journaled(running)
    words = [answer.result() for answer in answers]
    assert isinstance(first, IntentReceived)
    assert words == [first, *others[:19]]
    assert {(type(word), getattr(word, "code", ""), getattr(word, "reason", "")) for word in words[1:]} == {
        (IntentRefused, "too_late", NOT_TAKEN)
    }
    assert [type(event) for event in others[19:]] == ([SessionEnded] if end is stopped else [])
    assert inbox.hand(intent(99)) is None


def test_a_session_that_never_began_says_that_nobody_took_it(tmp_path: Path) -> None:
    inbox = Inbox()
    running = open_embedded(quiet(tmp_path, inbox), hand_made([]))
    answer = handed(inbox, 1)
    asyncio.run(running.run())
    assert answer.result() is None
    assert journaled(running) == []


def test_while_the_journal_cannot_be_written_nobody_is_told_that_it_has_an_intent(
    tmp_path: Path, during: Callable[[During, Running], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first waits until it can, and is ended then; those that come meanwhile are not taken, and told so."""
    inbox, answers = Inbox(), []
    running = open_embedded(quiet(tmp_path, inbox), hand_made(MARKET))
    failed = asyncio.Event()

    def fail() -> bool:
        failed.set()
        raise JournalUnwritableError(tmp_path, None, "no room", "make some")

    async def does(running: Running) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(running.journal, "commit", fail)
            patched.setattr(type(running.journal), "is_writable", property(lambda _: not failed.is_set()))
            answers.append(handed(inbox, 1))
            await failed.wait()
            answers.append(handed(inbox, 2))
            assert await asyncio.wrap_future(answers[1]) is None
            assert not answers[0].done()

    during(does, running)
    assert isinstance(answers[0].result(), IntentReceived)
    assert answers[0].result() in journaled(running)


def test_a_journal_that_cannot_be_written_to_the_end_has_nothing_to_say(
    tmp_path: Path, during: Callable[[During, Running], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, answers = Inbox(), []
    running = open_embedded(quiet(tmp_path, inbox), hand_made(MARKET))
    close = running.journal.close

    def fail() -> None:
        close()
        raise JournalUnwritableError(tmp_path, None, "no room", "make some")

    async def does(running: Running) -> None:
        monkeypatch.setattr(running.journal, "close", fail)
        answers.append(handed(inbox, 1))
        broken(running)

    with pytest.raises(EndError):
        during(does, running)
    assert answers[0].result() is None
    assert running.lost == "no room: make some"


def test_a_session_at_a_venue_elsewhere_takes_at_once_and_refuses_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue says nothing, since its clock stands: nothing else wakes the session."""
    inbox, answers = Inbox(), []
    begun = asyncio.Event()

    async def play() -> Running:
        venue = PaperVenue({RULE.symbol: RULE}, PaperSettings())
        async with serving(venue, MARKET, Pace(speed=1.0), Offer([RULE], "a test"), clock=ManualClock()) as served:
            running = await open_remote(
                quiet(tmp_path, inbox), "127.0.0.1", served.port, watchers=(lambda _: begun.set(),)
            )
            going = asyncio.create_task(running.run())
            await begun.wait()
            for number in range(3):
                answers.append(handed(inbox, number))
                await asyncio.wrap_future(answers[number])
            monkeypatch.setattr(session, "_LONGEST_WAIT_S", 0.01)  # for its orders, of which nothing will be heard
            running.stop("interrupted")
            answers.extend([handed(inbox, number) for number in range(3, 20)])
            await going
        return running

    monkeypatch.setattr(session, "_LONGEST_WAIT_S", 3600.0)
    monkeypatch.setattr(session, "_MOST_SILENT_S", 0.02)
    events = journaled(asyncio.run(play()))
    assert [answer.result() for answer in answers] == events[:20]
    assert [getattr(event, "code", "") for event in events[:20]] == [""] * 3 + ["too_late"] * 17
