"""The HTTP API: each route with what it answers, as ASGI applications that a server mounts beside its pages.

In: the model of the present, the metrics, and what hands intents over. Out: an `Api`, whose `routes` lists path and
handler. A handler takes a `Request` and gives a `Reply`; what it raises on purpose becomes problem details, anything
else is a defect: logged with the request's id, and answered with nothing of what it was.

FastAPI's own way from a request to an answer (a model a request, validated, then dumped) took most of a millisecond for
a decision of 20 µs. So contents are read by msgspec, records go out as the text that the rulebook made, and the
OpenAPI document is built from the rulebook (`openapi`).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from engine.analysis.explain import explanation_json
from engine.analysis.show import describe_type, overview, show
from engine.backends.facts import FactsError
from engine.book import Book
from engine.journal.errors import JournalError
from engine.journal.events import DUPLICATE_ID, BaselineDone, Decided, Event, IntentRefused, Outcome, Routed
from engine.language.findings import SluiceError
from engine.language.rulebook import Rulebook
from engine.routing.evidence.measured import Measured
from engine.routing.intents import LONGEST_ID
from engine.web.guard import Receive, Scope, Send, answer, answer_problem
from engine.web.handing import Handing
from engine.web.kept import decision_id_of
from engine.web.limits import (
    Buckets,
    FullError,
    Limits,
    Room,
    client_of,
    read_body,
    refuse_deep,
    refuse_doubled,
    refuse_often,
)
from engine.web.live import Live
from engine.web.metrics import Metrics, form_of
from engine.web.openapi import DECISION_ID, document
from engine.web.pauses import Move
from engine.web.problems import ProblemError
from engine.web.replies import (
    Alive,
    DecideRequest,
    DecisionReply,
    Ended,
    FactView,
    FindingReply,
    GroupView,
    HealthReply,
    IntentReply,
    MovedSince,
    Ready,
    Routing,
    RulebookReply,
    SessionReply,
)

JSON: Final = "application/json"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """A request as a handler sees it."""

    headers: Mapping[bytes, bytes]
    body: bytes
    parameters: Mapping[str, str]
    """Of the path."""
    client: str
    logged: dict[str, Any] = field(default_factory=dict)
    """What the log is to say of it: ids."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    body: bytes
    status: int = 200
    content_type: str = JSON


Handler: TypeAlias = Callable[[Request], Reply | Awaitable[Reply]]


class Resource:
    """What stands behind one path: a handler a method. An ASGI application."""

    def __init__(self, limits: Limits, handlers: Mapping[str, Handler]) -> None:
        self._limits = limits
        self._handlers = dict(handlers)
        if "GET" in handlers:
            self._handlers["HEAD"] = handlers["GET"]
        self._allowed = ", ".join(sorted({*self._handlers, "OPTIONS"}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        method = scope["method"]
        with_body = method != "HEAD"
        try:
            reply = await self._reply(scope, receive, method)
        except ProblemError as error:
            await answer_problem(send, error, scope["request_id"], with_body=with_body)
        except (SluiceError, JournalError) as error:
            refused = ProblemError("refused", getattr(error, "message", str(error)), getattr(error, "help", ""))
            await answer_problem(send, refused, scope["request_id"], with_body=with_body)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered, and the guard logs it
            scope["failed"] = error
            await answer_problem(send, _defect(), scope["request_id"], with_body=with_body)
        else:
            headers = {"Allow": self._allowed} if reply.status == 204 else None
            await answer(send, reply.status, reply.body, reply.content_type, headers, with_body=with_body)

    async def _reply(self, scope: Scope, receive: Receive, method: str) -> Reply:
        if method == "OPTIONS":
            return Reply(b"", 204)
        handler = self._handlers.get(method)
        if handler is None:
            raise ProblemError(
                "method-not-allowed",
                f"{method[:20]} is not allowed here",
                f"allowed are {self._allowed}",
                headers={"Allow": self._allowed},
            )
        headers: dict[bytes, bytes] = scope["plain_headers"]
        body = b""
        if method == "POST":
            _refuse_other_content(headers)
            body = await read_body(headers, receive, self._limits)
            refuse_deep(body, self._limits.body_depth)
        client = client_of(scope["client"][0] if scope.get("client") else None)
        request = Request(headers, body, scope.get("path_params", {}), client)
        scope["logged"] = request.logged
        reply = handler(request)
        return reply if isinstance(reply, Reply) else await reply


class Api:
    """The API of one server."""

    def __init__(
        self, live: Live, metrics: Metrics, handing: Handing, limits: Limits, clock: Callable[[], float]
    ) -> None:
        """`clock` gives seconds that never go back."""
        self._live = live
        self._metrics = metrics
        self._handing = handing
        self._limits = limits
        self._intents = Buckets(limits.intents_per_s, limits.intents_burst, clock, limits.clients)
        self._clock = clock
        self._measured: dict[str, tuple[float, tuple[bytes, str]]] = {}
        """When metrics were made last, and those, by their form."""
        self.searches = Room(limits.searches_at_once)
        """For decisions that are looked for in the journal, by pages too: all of them take threads from the others."""
        self._described: tuple[Book, bytes] | None = None
        self._shown: tuple[Book, RulebookReply] | None = None

    def routes(self) -> dict[str, Resource]:
        """What stands behind each path; `{name}` in one is a parameter. The last takes what no other does."""
        resources: dict[str, dict[str, Handler]] = {
            "/v1/decide": {"POST": self.decide},
            "/v1/intents": {"POST": self.hand},
            "/v1/intents/{intent_id:path}": {"GET": self.intent},
            "/v1/health": {"GET": self.health},
            "/v1/decisions/{decision_id}": {"GET": self.decision},
            "/v1/rulebook": {"GET": self.rulebook},
            "/v1/openapi.json": {"GET": self.openapi},
            "/livez": {"GET": self.alive},
            "/readyz": {"GET": self.ready},
            "/metrics": {"GET": self.metrics},
        }
        made = {path: Resource(self._limits, handlers) for path, handlers in resources.items()}
        made["/v1/{rest:path}"] = Resource(
            self._limits, dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), _nothing)
        )
        return made

    # --- deciding and trading ----------------------------------------------------------------------------------------

    def decide(self, request: Request) -> Reply:
        """Decide on facts; nothing is journaled."""
        asked = _decoded(request.body, _decode_request)
        refuse_doubled(request.body, asked.facts, len(asked.__struct_fields__))
        try:
            decision = self._live.book.decide(asked.policy, asked.facts)
            return Reply(decision.json().encode())
        except FactsError as error:
            raise ProblemError("refused", error.message, error.help) from None

    async def hand(self, request: Request) -> Reply:
        """Hand an intent to the session; answered once the journal has it."""
        refuse_often(self._intents.take(request.client))
        if not self._live.is_caught_up:  # what was handed over before is not known yet
            raise _not_ready("the journal is being read")
        content = _decoded(request.body, _decode_any)
        refuse_doubled(request.body, content)
        handed = self._handing.hand(content)
        request.logged["intent_id"] = handed.intent_id
        request.logged["symbol"] = handed.symbol
        answered = await self._handing.answered(handed, self._limits.journaled_within_s)
        return Reply(msgspec.json.encode(answered), 202)

    def intent(self, request: Request) -> Reply:
        """What became of one of the last intents."""
        intent_id = request.parameters["intent_id"]
        request.logged["intent_id"] = intent_id[:LONGEST_ID]
        story = self._live.story(intent_id) or self._handing.story(intent_id)
        if story is None:
            raise ProblemError(
                "not-found",
                "no intent of this id is at hand",
                f"the last {self._live.keep.intents} are; `sluice journal --intent ID` shows older ones",
            )
        return Reply(msgspec.json.encode(_became(intent_id, story)))

    # --- looking -----------------------------------------------------------------------------------------------------

    def health(self, _: Request) -> Reply:
        """The last snapshot, whole."""
        live, health = self._live, self._live.health
        if health is None:
            raise ProblemError(
                "not-ready", "no snapshot was seen yet", "a session writes one a minute, in the time of its market"
            )
        reply = HealthReply(
            **{name: getattr(health, name) for name in health.__struct_fields__},
            age_s=live.health_age_s(),
            quiet_s=live.quiet_s(),
            failure=live.failure(),
            unread_bytes=live.unread_bytes(),
            since=[_moved(scope, move) for scope, move in live.since_health().items()],
            session=self._session(live.book),
        )
        return Reply(msgspec.json.encode(reply))

    async def decision(self, request: Request) -> Reply:
        """A decision of the journal, made again."""
        decision_id = request.parameters["decision_id"]
        request.logged["decision_id"] = decision_id[:64]
        if not re.fullmatch(DECISION_ID, decision_id):
            raise ProblemError("refused", "an id of a decision is 24 hex digits, in lower case", "")
        try:
            with self.searches.take():
                remade = await self._live.decision(decision_id)
        except FullError:
            raise ProblemError(
                "rate-limited", "too many decisions are looked for", "wait", headers={"Retry-After": "1"}
            ) from None
        if remade is None:
            raise ProblemError("not-found", f"the journal holds no decision `{decision_id}`", "")
        explained = explanation_json(remade.explanation)
        reply = DecisionReply(
            decision=dict(remade.record),
            seq=remade.event.seq,
            ts_ms=remade.event.ts_ms,
            client_id=remade.event.client_id,
            steps=explained["steps"],
            missing=explained["missing"],
            differs=list(remade.differs),
        )
        request.logged["intent_id"] = remade.event.intent_id
        return Reply(msgspec.json.encode(reply))

    async def rulebook(self, _: Request) -> Reply:
        """The rulebook that decides here."""
        book = self._live.book
        if self._shown is None or self._shown[0] is not book:
            reply = await asyncio.to_thread(_shown, book, self._live.loaded_ts)
            self._shown = book, reply
        book, reply = self._shown  # by now another one may be in force, of which the rest must not be told here
        proofs = self._live.proofs if book is self._live.book else None
        reply = msgspec.structs.replace(
            reply, session=self._session(book), proofs=None if proofs is None else list(proofs)
        )
        return Reply(msgspec.json.encode(reply))

    async def openapi(self, _: Request) -> Reply:
        """The OpenAPI document."""
        book = self._live.book
        if self._described is None or self._described[0] is not book:
            made = await asyncio.to_thread(lambda: msgspec.json.encode(document(book.rulebook)))
            self._described = book, made
        return Reply(self._described[1])

    def metrics(self, request: Request) -> Reply:
        """The metrics. Those of 200 symbols take 10 ms, in which nobody else is answered: so not for each who asks."""
        form, now_s = form_of(request.headers.get(b"accept", b"").decode("latin-1")), self._clock()
        made = self._measured.get(form)
        if made is None or now_s - made[0] >= self._limits.metrics_every_s:
            made = self._measured[form] = now_s, self._metrics.text(form)
        text, content_type = made[1]
        return Reply(text, content_type=content_type)

    # --- probes ------------------------------------------------------------------------------------------------------

    def alive(self, _: Request) -> Reply:
        """The process answers."""
        return Reply(msgspec.json.encode(Alive()))

    def ready(self, _: Request) -> Reply:
        """The journal was read up to where it stood at the start, can be read still, and is not far ahead."""
        live, most = self._live, self._limits.unread_bytes
        if not live.is_caught_up:
            raise _not_ready("the journal is being read")
        if (failure := live.failure()) is not None:
            raise _not_ready(f"the journal cannot be followed: {failure}")
        if live.unread_bytes() > most:
            raise _not_ready(f"more than {most} bytes of the journal are not read yet")
        return Reply(msgspec.json.encode(Ready(journal="followed" if live.last_seq else "empty")))

    def _session(self, book: Book) -> SessionReply | None:
        session = self._live.session
        if session is None:
            return None
        return SessionReply(
            profile=session.profile,
            rulebook=session.rulebook,
            sources=session.sources,
            venue=session.venue,
            market=session.market,
            started_ts=session.started_ms / 1000,
            ended=session.ended,
            same_rulebook=session.decides_by(book),
        )


def _nothing(_: Request) -> Reply:
    raise ProblemError("not-found", "the API has nothing at this path", "/v1/openapi.json lists what it has")


def _shown(book: Book, loaded_ts: float) -> RulebookReply:
    """The rulebook as people and programs read it; takes a fifth of a second for 200 rules."""
    rulebook = book.rulebook
    seen = overview(rulebook)
    names = [f"{held.name}.{rule}" for held in seen.rulesets for rule in held.rules]
    rules = [rule for name in names if (rule := show(rulebook, name).rule) is not None]
    return RulebookReply(
        profile=book.profile,
        version=book.version,
        sources=rulebook.sources_digest,
        loaded_ts=loaded_ts,
        overview=seen,
        rules=rules,
        values=list(show(rulebook, None).values or ()),
        groups=_groups(rulebook),
        warnings=[
            FindingReply(
                code=found.code,
                severity=found.severity.value,
                at=str(found.span),
                message=found.message,
                help=found.help,
            )
            for found in rulebook.warnings
        ],
        proofs=None,
        session=None,
    )


def _became(intent_id: str, story: Sequence[Event]) -> IntentReply:
    """What the events of an intent say of it."""
    received = any(not isinstance(event, IntentRefused) for event in story)  # its first events may be out of sight
    refused = next((e.reason for e in reversed(story) if isinstance(e, IntentRefused) and e.code != DUPLICATE_ID), None)
    ended = _ended(story)
    return IntentReply(
        intent_id=intent_id,
        state="ended" if ended else "working" if received else "refused" if refused else "handed",
        refused=None if received else refused,
        routes=[Routing(**_fields(Routing, event)) for event in story if isinstance(event, Routed)],
        ended=ended,
        decisions=[decision_id_of(event) for event in story if isinstance(event, Decided)],
    )


def _ended(story: Sequence[Event]) -> Ended | None:
    measured = Measured(
        next((event for event in reversed(story) if isinstance(event, Outcome)), None),
        {event.baseline: event for event in story if isinstance(event, BaselineDone)},
    )
    outcome, cost = measured.outcome, measured.cost
    if outcome is None:
        return None
    return Ended(
        result=outcome.result,
        reason=outcome.reason,
        target=outcome.target,
        filled=outcome.filled,
        maker_filled=outcome.maker_filled,
        value_usd=outcome.cost_usd,
        fees_usd=outcome.fees_usd,
        cost_usd=None if cost is None else cost.total_usd,
        cost_bps=None if cost is None else cost.total_bps,
        ts_ms=outcome.ts_ms,
    )


def _moved(scope: str, move: Move) -> MovedSince:
    return MovedSince(scope=scope, state=move.state, rule=move.rule, reason=move.reason, seq=move.seq, ts_ms=move.ts_ms)


def _fields(of: type[msgspec.Struct], event: Event) -> dict[str, Any]:
    """What a reply says of an event, under the same names."""
    return {name: getattr(event, name) for name in of.__struct_fields__}


def _groups(rulebook: Rulebook) -> list[GroupView]:
    return [
        GroupView(
            name=group.name,
            doc=" ".join(group.doc.split()),
            max_age=group.max_age,
            facts=[
                FactView(name=fact.name, type=describe_type(fact.type), doc=" ".join(fact.doc.split()))
                for fact in group.facts
            ],
        )
        for group in rulebook.groups.values()
    ]


_decode_request = msgspec.json.Decoder(DecideRequest).decode
_decode_any = msgspec.json.Decoder().decode


def _decoded(body: bytes, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        if decode is not _decode_any:  # it stopped at what it does not take, and what comes then may be no JSON
            _decoded(body, _decode_any)
        raise ProblemError("refused", _told(error), "/v1/openapi.json describes it") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProblemError("malformed", f"the content is no JSON: {_told(error)}", "") from None


def _told(error: Exception) -> str:
    """What a decoder says, as part of a sentence: `JSON` keeps its letters."""
    text = str(error)
    return text[:300] if text[:2].isupper() else f"{text[:1].lower()}{text[1:300]}"


def _refuse_other_content(headers: Mapping[bytes, bytes]) -> None:
    """JSON alone: what a form of another site may send without being asked is no JSON."""
    given = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if given != b"application/json" and not (given.startswith(b"application/") and given.endswith(b"+json")):
        raise ProblemError(
            "not-json", "the content type is to be application/json", "send `Content-Type: application/json`"
        )
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise ProblemError("not-json", "the content is compressed", "send it as it is")


def _not_ready(why: str) -> ProblemError:
    return ProblemError("not-ready", why, "ask again", headers={"Retry-After": "1"})


def _defect() -> ProblemError:
    return ProblemError("defect", "the request met a defect of the server", "its log has the trace under this id")
