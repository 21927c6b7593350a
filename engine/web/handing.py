"""Intents that come over the API: read, told apart by their ids, and handed to the session that runs here.

In: contents of requests, and the events of the journal. Out: `Handed`, or a problem. The same intent under the same id
is answered the same and handed over once; another one under that id is a conflict. Ids are remembered from the journal
too, so this holds across restarts; what is older than what is remembered the router itself refuses as a duplicate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.journal.events import Event, IntentReceived, IntentRefused
from engine.routing.intents import Intent, Refusal, read_request
from engine.routing.sessions.inbox import Inbox
from engine.web.problems import ProblemError
from engine.web.replies import Handed

_MOST_SHOWN = 400
_DUPLICATE = "duplicate_id"
"""The code of a refusal that says nothing new of an id."""


class Handing:
    """Hands intents over, each once. A view: `see` each event of the journal."""

    def __init__(self, inbox: Inbox | None, *, remembered: int = 200_000) -> None:
        """`inbox` is None where no session runs. Of more than `remembered` ids the oldest is forgotten."""
        self._inbox = inbox
        self._remembered = remembered
        self._known: dict[str, bytes] = {}
        """By intent id, a digest of what was said under it."""

    def see(self, event: Event) -> None:
        """Take the next event of the journal."""
        if isinstance(event, IntentReceived):
            expires_ms = None if event.expires_ms is None else event.expires_ms - event.ts_ms
            self._remember(event.intent_id, digest(event.symbol, event.intent, expires_ms))
        elif isinstance(event, IntentRefused) and event.intent_id is not None and event.code != _DUPLICATE:
            self._known.pop(event.intent_id, None)  # nothing was decided on it: it may be put right and sent again

    def hand(self, body: Any) -> Handed:
        """Hand an intent over, unless it was before.

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
            self._hand_over(intent)
            self._remember(intent.intent_id, said)
        return Handed(intent_id=intent.intent_id, symbol=intent.symbol)

    def _hand_over(self, intent: Intent) -> None:
        if self._inbox is None or not self._inbox.is_open:
            raise ProblemError(
                "no-session", "no session runs in this process", "`sluice run --web` runs one that takes intents"
            )
        if not self._inbox.hand(intent):
            raise ProblemError(
                "rate-limited",
                "too many intents wait to be taken",
                "wait, and send it again",
                headers={"Retry-After": "1"},
            )

    def _remember(self, intent_id: str, said: bytes) -> None:
        self._known[intent_id] = said
        if len(self._known) > self._remembered:
            del self._known[next(iter(self._known))]


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
