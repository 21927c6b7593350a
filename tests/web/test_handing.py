"""Intents over the API: written with the token alone, handed over once, and told apart by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import IntentReceived, IntentRefused
from engine.routing.intents import Intent
from engine.routing.sessions.inbox import Inbox, Word
from engine.web.handing import Handing, digest
from engine.web.limits import Limits
from engine.web.problems import ProblemError
from engine.web.replies import Handed
from tests.web.world import BEARER, Client, a_web, asking, problem

INTENT: dict[str, Any] = {
    "intent_id": "a-1",
    "symbol": "BTCUSDT",
    "side": "buy",
    "qty": 0.01,
    "order_type": "market",
    "maker_requested": True,
    "expires_s": 60,
}


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def client(tmp_path: Path, inbox: Inbox) -> Iterator[Client]:
    with asking(a_web(tmp_path, inbox=inbox), headers=BEARER) as made:
        yield made


def taken(inbox: Inbox) -> list[Intent]:
    found = [due.request for due in inbox.take()]
    assert all(isinstance(each, Intent) for each in found)
    return [each for each in found if isinstance(each, Intent)]


def test_an_intent_is_handed_to_the_session_as_it_was_said(client: Client, inbox: Inbox) -> None:
    answer = client.post("/v1/intents", json=INTENT)
    handed = {"intent_id": "a-1", "symbol": "BTCUSDT", "state": "handed", "refused": None}
    assert (answer.status_code, answer.json()) == (202, handed)
    (intent,) = taken(inbox)
    said = {"side": "buy", "qty": 0.01, "order_type": "market", "maker_requested": True}
    assert (intent.intent_id, intent.symbol, intent.facts, intent.expires_s) == ("a-1", "BTCUSDT", said, 60.0)


def test_the_same_again_is_answered_the_same_and_handed_over_once(client: Client, inbox: Inbox) -> None:
    first = client.post("/v1/intents", json=INTENT)
    turned = dict(reversed(INTENT.items())) | {"qty": 0.01, "expires_s": 60.0}
    again = client.post("/v1/intents", json=turned)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(taken(inbox)) == 1


@pytest.mark.parametrize("change", [{"qty": 0.02}, {"symbol": "ETHUSDT"}, {"expires_s": 61}, {"reduce_only": True}])
def test_another_content_under_the_same_id_is_a_conflict(client: Client, inbox: Inbox, change: dict[str, Any]) -> None:
    client.post("/v1/intents", json=INTENT)
    answer = client.post("/v1/intents", json={**INTENT, **change})
    assert (answer.status_code, problem(answer)) == (409, "conflict")
    assert len(taken(inbox)) == 1


@pytest.mark.parametrize(
    "content",
    [
        [],
        "x",
        {},
        {**INTENT, "qty": "much"},
        {**INTENT, "side": "up"},
        {**INTENT, "sdie": "buy"},
        {**INTENT, "intent_id": ""},
        {**INTENT, "intent_id": "x" * 201},
        {**INTENT, "expires_s": 0},
        {**INTENT, "ts": 1700000000},
        {"type": "cancel", "intent_id": "a-1"},
        {"type": "given", "group": "risk", "facts": {"halted": False}},
    ],
)
def test_what_is_no_intent_for_now_is_refused(client: Client, inbox: Inbox, content: Any) -> None:
    answer = client.post("/v1/intents", json=content)
    assert (answer.status_code, problem(answer)) == (422, "refused")
    assert len(inbox) == 0


def test_without_a_session_nothing_is_taken(tmp_path: Path) -> None:
    with asking(a_web(tmp_path), headers=BEARER) as client:
        answer = client.post("/v1/intents", json=INTENT)
        assert (answer.status_code, problem(answer)) == (503, "no-session")


def test_after_the_session_nothing_is_taken_and_the_intent_may_be_sent_elsewhere(client: Client, inbox: Inbox) -> None:
    inbox.close()
    for _ in range(2):
        answer = client.post("/v1/intents", json=INTENT)
        assert (answer.status_code, problem(answer)) == (503, "no-session")


def test_a_full_inbox_says_to_wait_and_forgets_what_it_did_not_take(tmp_path: Path) -> None:
    inbox = Inbox(most=1)
    with asking(a_web(tmp_path, inbox=inbox), headers=BEARER) as client:
        assert client.post("/v1/intents", json=INTENT).status_code == 202
        other = {**INTENT, "intent_id": "a-2"}
        answer = client.post("/v1/intents", json=other)
        assert (answer.status_code, problem(answer), answer.headers["retry-after"]) == (429, "rate-limited", "1")
        assert [intent.intent_id for intent in taken(inbox)] == ["a-1"]
        assert client.post("/v1/intents", json=other).status_code == 202
        assert [intent.intent_id for intent in taken(inbox)] == ["a-2"]


def test_a_client_that_sends_too_many_has_to_wait(tmp_path: Path) -> None:
    limits = Limits(intents_per_s=1, intents_burst=2)
    with asking(a_web(tmp_path, inbox=Inbox(), limits=limits), headers=BEARER) as client:
        statuses = [client.post("/v1/intents", json={**INTENT, "intent_id": f"a-{n}"}).status_code for n in range(3)]
        assert statuses == [202, 202, 429]


def received(**changes: Any) -> IntentReceived:
    said = {name: value for name, value in INTENT.items() if name not in ("intent_id", "symbol", "expires_s")}
    return IntentReceived(ts_ms=5000, intent_id="a-1", symbol="BTCUSDT", intent=said | changes, expires_ms=65_000)


def test_ids_are_known_from_the_journal_too() -> None:
    inbox = Inbox()
    handing = Handing(inbox)
    handing.see(received())
    assert handing.hand(INTENT).intent_id == "a-1"
    assert len(inbox) == 0
    with pytest.raises(ProblemError, match="another content"):
        handing.hand({**INTENT, "qty": 0.5})


def test_a_refused_intent_may_be_put_right_and_a_duplicate_may_not() -> None:
    inbox = Inbox()
    handing = Handing(inbox)
    handing.hand(INTENT)
    handing.see(IntentRefused(ts_ms=1, intent_id="a-1", code="duplicate_id", reason="", received=""))
    with pytest.raises(ProblemError, match="another content"):
        handing.hand({**INTENT, "symbol": "ETHUSDT"})
    handing.see(IntentRefused(ts_ms=1, intent_id="a-1", code="unknown_symbol", reason="", received=""))
    handing.hand({**INTENT, "symbol": "ETHUSDT"})
    assert [intent.symbol for intent in taken(inbox)] == ["BTCUSDT", "ETHUSDT"]


def test_the_ids_that_are_remembered_are_bounded() -> None:
    handing = Handing(Inbox(), remembered=3)
    for number in range(10):
        handing.hand({**INTENT, "intent_id": f"a-{number}"})
    assert len(handing._known) == 3


# --- answers ---------------------------------------------------------------------------------------------------------


class Session:
    """A session that says what a test wants it to, of the first intent that is handed in."""

    def __init__(self, inbox: Inbox, handing: Handing) -> None:
        self.inbox = inbox
        self.handing = handing

    def says(self, word: Word | None, *, is_seen: bool) -> None:
        """Take all that waits, and write down one word; one that `is_seen` is before it is written."""
        self.inbox.take()
        if word is None:
            self.inbox.abandon()
            return
        self.inbox.see(word)
        if is_seen:
            self.handing.see(word)
        self.inbox.settle(is_written=True)


def refused(seq: int = 7, code: str = "unknown_symbol") -> IntentRefused:
    return IntentRefused(ts_ms=1, seq=seq, intent_id="a-1", code=code, reason="no such symbol", received="")


async def posted(handing: Handing, session: Session, word: Word | None, *, is_seen: bool = False) -> Handed:
    """What is answered where the session says this while it is waited for."""
    answer = asyncio.ensure_future(handing.answered(handing.hand(INTENT), 60.0))
    await asyncio.sleep(0)
    assert not answer.done()
    session.says(word, is_seen=is_seen)
    return await answer


@pytest.fixture
def handing(inbox: Inbox) -> Handing:
    return Handing(inbox)


@pytest.fixture
def session(inbox: Inbox, handing: Handing) -> Session:
    return Session(inbox, handing)


@pytest.mark.parametrize("is_seen", [True, False])
def test_an_intent_is_answered_once_the_journal_has_it(handing: Handing, session: Session, is_seen: bool) -> None:
    async def play() -> None:
        first = await posted(handing, session, received(), is_seen=is_seen)
        assert (first.state, first.refused) == ("taken", None)
        assert await handing.answered(handing.hand(INTENT), 0.0) == first
        assert handing.story("a-1") == (None if is_seen else (received(),))
        handing.see(received())
        assert handing.story("a-1") is None
        assert await handing.answered(handing.hand(INTENT), 0.0) == first

    asyncio.run(play())


def test_two_who_hand_in_the_same_wait_for_one_word(handing: Handing, session: Session) -> None:
    async def play() -> None:
        again = asyncio.ensure_future(handing.answered(handing.hand(INTENT), 60.0))
        first = await posted(handing, session, received())
        assert await again == first

    asyncio.run(play())


@pytest.mark.parametrize("is_seen", [True, False])
def test_one_that_is_refused_is_told_why_and_may_be_put_right_at_once(
    inbox: Inbox, handing: Handing, session: Session, is_seen: bool
) -> None:
    """Though the event that refused it is seen only after that."""

    async def play() -> None:
        first = await posted(handing, session, refused(), is_seen=is_seen)
        assert (first.state, first.refused) == ("refused", "no such symbol")
        right = {**INTENT, "symbol": "ETHUSDT"}
        handed = handing.hand(right)
        if not is_seen:
            handing.see(refused())
        with pytest.raises(ProblemError, match="another content"):
            handing.hand(INTENT)
        assert (await handing.answered(handed, 0.0)).state == "handed"
        assert handing.story("a-1") == ()
        assert [each.symbol for each in taken(inbox)] == ["ETHUSDT"]

    asyncio.run(play())


def test_the_answer_on_one_that_was_refused_takes_nothing_from_the_one_that_was_put_right_meanwhile(
    handing: Handing, session: Session
) -> None:
    async def play() -> None:
        answer = asyncio.ensure_future(handing.answered(handing.hand(INTENT), 60.0))
        await asyncio.sleep(0)
        session.says(refused(), is_seen=True)
        handing.hand({**INTENT, "symbol": "ETHUSDT"})
        assert (await answer).state == "refused"
        with pytest.raises(ProblemError, match="another content"):
            handing.hand(INTENT)

    asyncio.run(play())


def test_a_refusal_is_told_before_the_event_is_seen(handing: Handing, session: Session) -> None:
    async def play() -> None:
        await posted(handing, session, word := refused())
        assert handing.story("a-1") == (word,)
        handing.see(word)
        assert handing.story("a-1") is None

    asyncio.run(play())


def test_one_of_an_older_journal_stays_what_it_was(handing: Handing, session: Session) -> None:
    async def play() -> None:
        first = await posted(handing, session, refused(code="duplicate_id"))
        assert first.state == "refused"
        with pytest.raises(ProblemError, match="another content"):
            handing.hand({**INTENT, "qty": 0.5})

    asyncio.run(play())


def test_one_that_the_session_did_not_take_is_a_problem_and_may_be_sent_again(
    handing: Handing, session: Session
) -> None:
    async def play() -> None:
        with pytest.raises(ProblemError, match="did not take it") as raised:
            await posted(handing, session, None)
        assert raised.value.name == "no-session"
        assert handing.story("a-1") is None
        with pytest.raises(ProblemError, match="has ended"):
            handing.hand({**INTENT, "qty": 0.5})

    asyncio.run(play())


def test_what_waits_for_too_long_is_handed_and_no_more_and_the_word_comes_later(
    inbox: Inbox, handing: Handing, session: Session
) -> None:
    async def play() -> None:
        handed = await handing.answered(handing.hand(INTENT), 0.0)
        assert (handed.state, handing.story("a-1")) == ("handed", ())
        session.says(received(), is_seen=False)
        assert (await handing.answered(handing.hand(INTENT), 0.0)).state == "taken"
        assert len(inbox) == 0

    asyncio.run(play())


def test_what_is_seen_and_not_written_is_not_said_to_be_taken(inbox: Inbox, handing: Handing) -> None:
    """A full disk: the session works on it, and its journal does not have it."""

    async def play() -> None:
        handing.hand(INTENT)
        inbox.take()
        inbox.see(received())
        handing.see(received())
        inbox.settle(is_written=False)
        assert (await handing.answered(handing.hand(INTENT), 0.0)).state == "handed"
        inbox.settle(is_written=True)
        assert (await handing.answered(handing.hand(INTENT), 0.0)).state == "taken"
        assert handing.story("a-1") is None

    asyncio.run(play())


_FACTS = st.dictionaries(
    st.sampled_from(["side", "qty", "price", "reduce_only"]),
    st.one_of(st.floats(allow_nan=False), st.text(), st.booleans()),
)


@given(_FACTS, _FACTS)
def test_two_intents_have_one_digest_only_if_they_say_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    try:
        equal = digest("A", one, None) == digest("A", other, None)
    except UnicodeEncodeError:
        return  # a lone surrogate, which no JSON brings
    same = {name: (type(value), repr(value)) for name, value in one.items()} == {
        name: (type(value), repr(value)) for name, value in other.items()
    }
    assert equal == same
