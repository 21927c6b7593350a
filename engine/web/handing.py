"""Intents that come over the API: read, told apart by their ids, and handed to the session that runs here.

In: contents of requests, and the events of the journal. Out: `Handed`, or a problem. The same intent under the same id
is answered the same and handed over once; another one under that id is a conflict. Ids are remembered from the journal
too, so this holds for as long as a journal does; what is older than what is remembered the router itself refuses as a
duplicate.

An intent is answered once the journal has it, so that what is said to be taken outlives the process. Where that takes
too long, the answer says that it was handed over, and no more.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.journal.events import DUPLICATE_ID, Event, IntentReceived, IntentRefused
from engine.routing.intents import Intent, Refusal, read_request
from engine.routing.sessions.inbox import Answer, Inbox, Word
from engine.web.problems import ProblemError
from engine.web.replies import Handed

_MOST_SHOWN = 400


class Handing:
    """Hands intents over, each once. A view: `see` each event of the journal."""

    def __init__(self, inbox: Inbox | None, *, remembered: int = 200_000) -> None:
        """`inbox` is None where no session runs. Of more than `remembered` ids the oldest is forgotten."""
        self._inbox = inbox
        self._remembered = remembered
        self._known: dict[str, bytes] = {}
        """By intent id, a digest of what was said under it."""
        self._on_its_way: dict[str, Answer] = {}
        """By intent id, what was handed over here and is not both journaled and seen yet."""
        self._put_back: set[int] = set()
        """Refusals that were answered before they were seen, by their seq: the id may stand for another one by then."""

    def see(self, event: Event) -> None:
        """Take the next event of the journal."""
        if isinstance(event, IntentReceived | IntentRefused) and event.intent_id is not None:
            self._see_word(event, event.intent_id)

    def _see_word(self, event: Word, intent_id: str) -> None:
        held = self._on_its_way.get(intent_id)
        if event.seq in self._put_back:
            self._put_back.discard(event.seq)
            if held is not None and held.done() and held.result() is event:
                self._arrive(intent_id, held)
            return
        if held is not None:  # an event is seen as it happens, and may not be written yet
            held.add_done_callback(partial(self._arrive, intent_id))
        if isinstance(event, IntentReceived):
            expires_ms = None if event.expires_ms is None else event.expires_ms - event.ts_ms
            self._remember(event.intent_id, digest(event.symbol, event.intent, expires_ms))
        elif event.code != DUPLICATE_ID:
            self._known.pop(intent_id, None)  # nothing was decided on it: it may be put right and sent again

    def hand(self, body: Any) -> Handed:
        """Hand an intent over, unless it was before; `answered` says what came of that.

        Raises:
            ProblemError: for what is no intent, an id that stands for another one, and where no session takes it.

        """
        intent = read_intent(body)
        expires_ms = None if intent.expires_s is None else round(intent.expires_s * 1000)
        said = digest(intent.symbol, intent.facts, expires_ms)
        known = self._known.get(intent.intent_id)
        if known is not None and known != said:
            raise ProblemError(
                "conflict",
                f"the intent `{intent.intent_id}` was given before, with another content",
                "give each intent an id of its own",
            )
        if known is None:
            self._on_its_way[intent.intent_id] = self._hand_over(intent)
            self._remember(intent.intent_id, said)
        return Handed(intent_id=intent.intent_id, symbol=intent.symbol)

    async def answered(self, handed: Handed, within_s: float) -> Handed:
        """What the journal says of an intent that was handed over, at most `within_s` later.

        Raises:
            ProblemError: where the session did not take it, and so the journal will not have it.

        """
        answer = self._on_its_way.get(handed.intent_id)
        if answer is None:  # the journal had it before
            return replace(handed, state="taken")
        if not answer.done():
            await asyncio.wait({asyncio.wrap_future(answer)}, timeout=within_s)
        if not answer.done():
            return handed
        is_last = self._on_its_way.get(handed.intent_id) is answer
        match answer.result():
            case IntentRefused() as word:
                if is_last and word.code != DUPLICATE_ID:
                    self._put_back.add(word.seq)
                    self._known.pop(handed.intent_id, None)
                return replace(handed, state="refused", refused=word.reason)
            case None:
                if is_last:
                    self._known.pop(handed.intent_id, None)
                    self._arrive(handed.intent_id, answer)
                raise ProblemError(
                    "no-session",
                    "the session did not take it: it has ended, or its journal cannot be written",
                    "send it again to a session that can",
                )
            case _:
                return replace(handed, state="taken")

    def story(self, intent_id: str) -> Sequence[Event] | None:
        """What is known of an intent that was not seen in the journal yet; None where it was not handed over here."""
        answer = self._on_its_way.get(intent_id)
        if answer is None or not answer.done():
            return None if answer is None else ()
        word = answer.result()
        return None if word is None else (word,)

    def _arrive(self, intent_id: str, answer: Answer) -> None:
        """It is on its way no longer. May be called in the session's thread."""
        if self._on_its_way.get(intent_id) is answer:
            del self._on_its_way[intent_id]

    def _hand_over(self, intent: Intent) -> Answer:
        if self._inbox is None:
            raise ProblemError(
                "no-session", "no session runs in this process", "`sluice run --web` runs one that takes intents"
            )
        answer = self._inbox.hand(intent)
        if answer is None:
            if not self._inbox.is_open:
                raise ProblemError("no-session", "the session of this process has ended", "send it to one that runs")
            raise ProblemError(
                "rate-limited",
                "too many intents wait to be taken",
                "wait, and send it again",
                headers={"Retry-After": "1"},
            )
        return answer

    def _remember(self, intent_id: str, said: bytes) -> None:
        self._known[intent_id] = said
        if len(self._known) > self._remembered:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._on_its_way.pop(oldest, None)


def read_intent(body: Any) -> Intent:
    """The intent that a content says.

    Raises:
        ProblemError: where it says none, or one for another time than now.

    """
    if not isinstance(body, dict):
        raise ProblemError("refused", "an object is expected", '{"intent_id": …, "symbol": …, …}')
    if body.get("type", "intent") != "intent" or body.get("ts") is not None:
        raise ProblemError("refused", "intents alone are taken here, and at once", "leave out `type` and `ts`")
    request = read_request(body, _MOST_SHOWN)
    if isinstance(request, Refusal):
        raise ProblemError("refused", request.reason, "IntentRequest in /v1/openapi.json describes one")
    assert isinstance(request, Intent), "the type was looked at"
    return request


def digest(symbol: str, facts: Mapping[str, Any], expires_ms: int | None) -> bytes:
    """A digest of what an intent says, in whatever order it says it."""
    said = msgspec.json.encode([symbol, sorted(facts.items()), expires_ms])
    return hashlib.blake2b(said, digest_size=16).digest()
