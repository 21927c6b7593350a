"""Connections: what a client may hold of the server beside a request, told on a wire and a clock of our own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest
import uvicorn
from uvicorn.server import ServerState

from engine.web.access import networks
from engine.web.connections import Connection
from engine.web.limits import Buckets, Limits
from tests.web.world import Clock

LIMITS = Limits(head_bytes=500, request_bytes=2_000, connections=4, connections_a_client=2)
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self, client: str) -> None:
        self.written = b""
        self.ended: str | None = None
        self.protocol: Any = None
        self._client = client

    def write(self, data: bytes) -> None:
        assert self.ended is None, "written after the end"
        self.written += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def is_closing(self) -> bool:
        return self.ended is not None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": (self._client, 4711), "sockname": ("127.0.0.1", 7070)}.get(name, default)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Timer:
    def __init__(self, at_s: float, call: Callable[[], object]) -> None:
        self.at_s, self.call, self.is_off = at_s, call, False

    def cancel(self) -> None:
        self.is_off = True


class Task:
    def add_done_callback(self, call: Callable[[Any], object]) -> None: ...


class Loop:
    """Time goes on when a test says so; tasks are kept, and run when it says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[Timer] = []
        self.tasks: list[Coroutine[Any, Any, None]] = []

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        self.timers.append(Timer(self.now_s + seconds, call))
        return self.timers[-1]

    def create_task(self, work: Coroutine[Any, Any, None]) -> Any:
        self.tasks.append(work)
        return Task()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        for timer in [timer for timer in self.timers if timer.at_s <= self.now_s]:
            self.timers.remove(timer)
            if not timer.is_off:
                timer.call()

    @property
    def waiting(self) -> int:
        return sum(not timer.is_off for timer in self.timers)


class World:
    """One server without a socket."""

    def __init__(self, limits: Limits = LIMITS, proxies: tuple[str, ...] = ()) -> None:
        self.loop = Loop()
        self.state = ServerState()
        self.asked: list[str] = []
        self._limits, self._proxies = limits, networks(proxies)
        self._lines = Buckets(1.0, 3.0, Clock(), 10)
        self._config = uvicorn.Config(
            self._app, log_config=None, lifespan="off", interface="asgi3", proxy_headers=False
        )

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - as ASGI has it
        self.asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    def connect(self, client: str = "10.0.0.7") -> tuple[Connection, Wire]:
        made = Connection(self._limits, self._proxies, self._lines, self._config, self.state, {}, self.loop)  # type: ignore[arg-type]
        wire = Wire(client)
        made.connection_made(wire)  # type: ignore[arg-type]
        return made, wire

    def run(self) -> None:
        """Let the application answer."""
        while self.loop.tasks:
            with pytest.raises(StopIteration):
                self.loop.tasks.pop(0).send(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for task in self.loop.tasks:
            task.close()


@pytest.fixture
def world() -> Any:
    with World() as made:
        yield made


def problem(wire: Wire) -> tuple[int, str]:
    """Status and kind of the one problem that was answered."""
    head, _, body = wire.written.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert "content-type: application/problem+json" in lines
    assert "connection: close" in lines
    held = json.loads(body)
    assert f"content-length: {len(body)}" in lines
    assert f"x-request-id: {held['instance'].removeprefix('urn:request:')}" in lines
    assert lines[0].split()[1] == str(held["status"])
    return held["status"], held["type"].removeprefix("urn:sluice:problem:")


def test_who_says_nothing_is_not_waited_for(world: World) -> None:
    _, wire = world.connect()
    world.loop.wait(9.9)
    assert wire.ended is None
    world.loop.wait(0.2)
    assert (str(wire.ended), wire.written) == ("closed", b"")


def test_who_never_ends_a_head_is_not_waited_for_however_often_a_byte_comes(world: World) -> None:
    connection, wire = world.connect()
    for byte in GET[:9]:
        connection.data_received(bytes([byte]))
        world.loop.wait(1)
    assert wire.ended is None
    connection.data_received(GET[9:10])
    world.loop.wait(1)
    assert problem(wire) == (408, "too-slow")
    assert wire.ended == "closed"


def test_the_second_request_of_a_connection_has_no_longer_than_the_first(world: World) -> None:
    connection, wire = world.connect()
    connection.data_received(GET)
    world.run()
    assert wire.written.endswith(b"ok")
    wire.written = b""
    world.loop.wait(4)
    connection.data_received(GET[:5])
    world.loop.wait(10)
    assert problem(wire) == (408, "too-slow")


def test_an_empty_line_keeps_no_connection_open(world: World) -> None:
    connection, wire = world.connect()
    connection.data_received(GET)
    world.run()
    connection.data_received(b"\r\n")
    world.loop.wait(10)
    assert wire.ended is not None


def test_a_request_that_comes_at_once_starts_no_timer(world: World) -> None:
    connection, _ = world.connect()
    for _ in range(3):
        connection.data_received(GET)
        assert world.loop.waiting == 0
        world.run()
        assert world.loop.waiting == 1  # uvicorn's own, for the next request


@pytest.mark.parametrize("part", [b"X-One: " + b"x" * 100, b"x" * 100, b"X-Many: 1\r\n" * 10])
def test_a_head_that_never_ends_is_refused(world: World, part: bytes) -> None:
    connection, wire = world.connect()
    connection.data_received(GET[:-2])
    for _ in range(6):
        connection.data_received(part)
    assert problem(wire) == (431, "head-too-large")
    assert wire.ended == "closed"


def test_a_content_that_never_ends_is_refused_whoever_reads_it_or_not(world: World) -> None:
    for answered in (False, True):
        connection, wire = world.connect()
        connection.data_received(POST % 9_999_999)
        if answered:
            world.run()
            assert wire.written.endswith(b"ok")
            wire.written = b""
        for _ in range(20):
            connection.data_received(b"x" * 100)
        if answered:
            assert (wire.ended, wire.written) == ("aborted", b"")  # else it was taken for the next answer
        else:
            assert problem(wire) == (413, "too-large")


def test_a_content_that_never_comes_ends_the_connection_after_the_api_had_its_time(world: World) -> None:
    connection, wire = world.connect()
    connection.data_received(POST % 100)
    world.run()
    assert wire.written.endswith(b"ok")
    wire.written = b""
    for _ in range(12):
        connection.data_received(b"x")
        world.loop.wait(1)
    assert (wire.ended, wire.written) == ("aborted", b"")


def test_headers_behind_a_content_are_nobodys(world: World) -> None:
    connection, _ = world.connect()
    connection.data_received(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    connection.data_received(b"Authorization: Bearer later\r\nHost: evil.example\r\n\r\n")
    assert [name for name, _ in connection.headers] == [b"host", b"transfer-encoding"]
    assert connection.headers[0] == (b"host", b"a")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n", POST[:-4] % 1 + b", 2\r\n\r\n"]
)
def test_what_is_no_request_is_answered_with_a_problem(world: World, sent: bytes) -> None:
    connection, wire = world.connect()
    connection.data_received(sent)
    assert problem(wire) == (400, "malformed")
    connection.data_received(GET)  # nobody listens any more
    assert world.asked == []


def test_a_broken_content_is_answered_once_and_nobody_else_answers(world: World) -> None:
    connection, wire = world.connect()
    connection.data_received(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.data_received(b"zz\r\n")
    assert problem(wire) == (400, "malformed")
    written = wire.written
    world.run()
    assert wire.written == written


def test_a_broken_request_behind_another_one_is_no_answer_to_that(world: World) -> None:
    connection, wire = world.connect()
    connection.data_received(GET)
    connection.data_received(b"\x16\x03\x01\r\n\r\n")
    assert (wire.ended, wire.written) == ("aborted", b"")


def test_who_does_not_fetch_an_answer_is_not_waited_for_and_who_goes_on_is(world: World) -> None:
    connection, wire = world.connect()
    connection.data_received(GET)
    for _ in range(3):
        connection.pause_writing()
        world.loop.wait(29)
        connection.resume_writing()
    world.loop.wait(29)
    assert wire.ended is None or wire.ended == "closed"
    connection.pause_writing()
    world.loop.wait(30)
    assert wire.ended == "aborted"


def test_one_client_has_so_many_connections_and_others_have_theirs(world: World) -> None:
    held = [world.connect("2001:db8::1"), world.connect("2001:db8::2")]
    _, third = world.connect("2001:db8::3")
    assert problem(third) == (429, "rate-limited")
    world.state.connections.discard(next(made for made in world.state.connections if made not in dict(held)))
    assert world.connect("10.0.0.7")[1].ended is None
    held[0][0].connection_lost(None)
    assert world.connect("2001:db8::9")[1].ended is None


def test_there_are_so_many_connections_in_all(world: World) -> None:
    for number in range(4):
        assert world.connect(f"10.0.0.{number}")[1].ended is None
    _, wire = world.connect("10.0.0.9")
    assert problem(wire) == (503, "overloaded")


def test_a_proxy_of_ours_has_the_connections_of_many() -> None:
    with World(proxies=("10.0.0.0/30",)) as world:
        assert [world.connect("10.0.0.1")[1].ended for _ in range(4)] == [None] * 4


def test_a_web_socket_has_timers_of_its_own(world: World) -> None:
    connection, wire = world.connect()

    class Socket:
        def __init__(self, **_: Any) -> None: ...

        def connection_made(self, transport: Any) -> None: ...

        def data_received(self, data: bytes) -> None: ...

    connection.ws_protocol_class = Socket  # type: ignore[assignment]
    connection.data_received(GET[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert isinstance(wire.protocol, Socket)
    assert world.loop.waiting == 0


def test_what_a_client_does_wrong_is_logged_but_not_as_often_as_it_likes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for client in ("10.0.0.7", "10.0.0.9"):
        for _ in range(6):
            connection, _ = world.connect(client)
            connection.data_received(b"no request\r\n\r\n")
            connection.connection_lost(None)
    told = [vars(record)["client"] for record in caplog.records]
    assert told == ["10.0.0.7"] * 3 + ["10.0.0.9"] * 3
