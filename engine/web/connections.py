"""Connections: what a client may hold of the server before a request was read, and after it was answered.

In: the bytes of a connection, as uvicorn's protocol for HTTP takes them. Out: the same protocol, within limits. uvicorn
bounds neither how long the head of a request is, nor how long it takes, nor how long an answer takes to be fetched: a
thousand sockets that say nothing would be the end of a server, and so would one header that never ends. Web sockets
have the same limits: what is no handshake is answered, and who does not fetch what it is sent is not waited for.

What no request can be made of is answered with problem details, as everything else that goes wrong.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from engine.web.access import Network, lies_in
from engine.web.limits import Buckets, Limits, client_of
from engine.web.problems import CONTENT_TYPE, ProblemError

_GRACE_S: Final = 1.0
"""How much later than the API, which answers, a connection ends whose content never comes."""

_log = logging.getLogger(__name__)
_of_server = logging.getLogger("uvicorn.error.connection")
_of_server.setLevel(logging.ERROR)  # what a client does wrong is logged here, and not as often as it likes


class Connection(HttpToolsProtocol):
    """One connection. Timers run only while something is waited for: a request that comes at once starts none."""

    def __init__(
        self,
        limits: Limits,
        proxies: Collection[Network],
        lines: Buckets,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`proxies` are the addresses whose connections are those of many clients, `lines` what of each is logged."""
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _of_server
        self.ws_protocol_class = partial(Socket, limits)  # type: ignore[assignment]  # as good as its class
        self._limits = limits
        self._proxies = proxies
        self._lines = lines
        self._in_head = True
        """Whether the head of a request is waited for, or what is left of it."""
        self._in_request = True
        """Whether a request is not here as a whole."""
        self._received = 0
        """Bytes of the request that is being read, and of what came behind it with its last ones."""
        self._has_begun = False
        """Whether some of a request has come, and not all of it."""
        self._part = 0
        """Bytes that came together just now, where a request may begin with the first of them."""
        self._timer: asyncio.TimerHandle | None = None
        self._slow_reader: asyncio.TimerHandle | None = None
        self._is_over = False

    # --- what comes in -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        if (problem := self._crowded()) is not None:
            self._refuse(problem)
        else:
            self._wait(self._limits.head_within_s)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._is_over:
            return
        self._part = 0 if self._has_begun else len(data)
        self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing() or not self._in_request:
            self._wait(self._limits.head_within_s if self._is_idle() else None)
        elif self._in_head and self._received > self._limits.head_bytes:
            text = f"the head of the request is longer than {self._limits.head_bytes} bytes"
            self._refuse(ProblemError("head-too-large", text, "send fewer and shorter headers"))
        elif self._received > self._limits.request_bytes:
            text = f"the request is longer than {self._limits.request_bytes} bytes"
            self._refuse(ProblemError("too-large", text, "send less at once"))
        elif self._timer is None:
            self._wait(self._limits.head_within_s if self._in_head else self._limits.body_within_s + _GRACE_S)

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        super().on_message_begin()
        self._in_head = self._in_request = self._has_begun = True
        # One that came behind another is counted from the next bytes on: where in these it begins, nobody says.
        self._received, self._part = self._part or 1, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come. Those behind a content (trailers) are nobody's, and would never end."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head of a request has come."""
        self._wait(None)
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        """A request has come as a whole."""
        self._in_request = self._has_begun = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on it is a web socket, which has timers of its own, unless this is no handshake."""
        self._wait(None)
        if self.pipeline or self._is_answering() or self._slow_reader is not None:
            self._abort()  # what is written would be taken for an answer to the other
            return
        super().handle_websocket_upgrade()
        self._is_over, self._in_request = True, False
        # What reads handshakes is another parser, with limits of its own. Where it fails, uvicorn says nothing.
        if not cast("Socket", self.transport.get_protocol()).handshake_initiated:
            self._in_head = True  # nothing of it was answered
            self._refuse(ProblemError("malformed", "this is no handshake of a web socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._is_over = True
        self._wait(None)
        self.resume_writing()
        super().connection_lost(exc)

    # --- what goes out -----------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client does not fetch what it asked for: it may take a while, and not for ever."""
        super().pause_writing()
        self._slow_reader = self.loop.call_later(self._limits.answer_within_s, self._abort)

    def resume_writing(self) -> None:
        """The client goes on fetching."""
        if self._slow_reader is not None:
            self._slow_reader.cancel()
            self._slow_reader = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """An answer was written."""
        super().on_response_complete()
        self._let_fetch()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked."""
        super().timeout_keep_alive_handler()
        self._let_fetch()

    def _let_fetch(self) -> None:
        """A connection that is closed ends when all was fetched, be it too little for `pause_writing`, or in time."""
        if self.transport.is_closing() and self._slow_reader is None and self.transport.get_write_buffer_size():
            self._slow_reader = self.loop.call_later(self._limits.answer_within_s, self._abort)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - what uvicorn would say
        """What came is no HTTP."""
        self._refuse(ProblemError("malformed", "this is no request of HTTP/1.1"))

    # --- limits ------------------------------------------------------------------------------------------------------

    def _crowded(self) -> ProblemError | None:
        """What is to be said where there are too many connections, this one with them."""
        held, limits = self.connections, self._limits
        if len(held) > limits.connections:
            return ProblemError("overloaded", "the server has too many connections", "try again soon")
        host = None if self.client is None else self.client[0]
        if len(held) <= limits.connections_a_client or (host is not None and lies_in(host, self._proxies)):
            return None
        client = client_of(host)
        # Web sockets are among them. Counted when one more comes, not kept: they end in several ways.
        own = sum(_client_at(other) == client for other in held)
        if own <= limits.connections_a_client:
            return None
        text = "this client has too many connections"
        return ProblemError("rate-limited", text, "use one for many requests", headers={"Retry-After": "1"})

    def _wait(self, seconds: float | None) -> None:
        """Wait so long for what is to come; None for no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_head and not self._received:
            self._is_over = True
            self.transport.close()  # nothing was asked
            self._let_fetch()
        else:
            self._refuse(ProblemError("too-slow", "the request did not arrive in time"))

    def _is_idle(self) -> bool:
        """Whether it has said something that is no request, such as an empty line, and uvicorn waits for nothing."""
        return not self._is_over and not self._is_answering() and self.timeout_keep_alive_task is None

    def _may_answer(self) -> bool:
        """Whether what is written now is taken for the answer to the request that is being read."""
        if self.pipeline:
            return False
        if not self._is_answering():
            return self._in_head
        return self._in_request and not self._in_head and not self.cycle.response_started

    def _is_answering(self) -> bool:
        """Whether a request has come, at least its head, and was not answered."""
        return bool(self.cycle) and not self.cycle.response_complete  # None before the first, whatever its type says

    def _refuse(self, error: ProblemError) -> None:
        """Answer with a problem and close; where that would be taken for another answer, close alone."""
        self._is_over = True
        self._wait(None)
        host = None if self.client is None else self.client[0]
        request_id = secrets.token_hex(8)
        if not self._lines.take(client_of(host)):
            _log.info("connection refused: %s", error.detail, extra={"request_id": request_id, "client": host})
        if not self._may_answer():
            self._abort()
            return
        if self._is_answering():
            self.cycle.disconnected = True  # whoever works on an answer is heard no longer
        body = msgspec.json.encode(error.problem(request_id))
        head = [
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
            f"content-type: {CONTENT_TYPE}",
            f"content-length: {len(body)}",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            f"x-request-id: {request_id}",
            "connection: close",
            *(f"{name.lower()}: {value}" for name, value in error.headers.items()),
        ]
        self.transport.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        self.transport.close()
        self._let_fetch()

    def _abort(self) -> None:
        self._is_over = True
        self._wait(None)
        self.transport.abort()


class Socket(WebSocketsSansIOProtocol):
    """A web socket. Its client has so long to be admitted, and so long to fetch what waits for it."""

    def __init__(
        self,
        limits: Limits,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._handshake: asyncio.TimerHandle | None = None
        self._slow_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        super().connection_made(transport)
        # `pause_writing` at the first byte that the client does not take: a socket that is closed with less than the
        # usual mark behind it would wait for ever, and nobody would be told.
        self.transport.set_write_buffer_limits(high=0)
        self._handshake = self.loop.call_later(self._limits.head_within_s, self._not_admitted)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        if self._handshake is not None:
            self._handshake.cancel()
        self._stop_waiting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not fetch what it is sent: it may take a while, and not for ever."""
        super().pause_writing()
        self._stop_waiting()
        self._slow_reader = self.loop.call_later(self._limits.answer_within_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client goes on fetching."""
        self._stop_waiting()
        super().resume_writing()

    async def send(self, message: Any) -> None:
        """Send what the application says; a refusal ends the handshake as well, which uvicorn logs as a defect."""
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True

    def _stop_waiting(self) -> None:
        if self._slow_reader is not None:
            self._slow_reader.cancel()
            self._slow_reader = None

    def _not_admitted(self) -> None:
        """Its time is over; one that was admitted goes on."""
        if not self.handshake_complete:
            self.transport.abort()


def _client_at(connection: object) -> str | None:
    """Whom a connection counts for, as every protocol of uvicorn's says it."""
    address = getattr(connection, "client", None)
    return client_of(address[0]) if address else None
