"""Connections: what a client may hold of the server beside a request, told on a wire and a clock of our own."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
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
        self.unfetched = 0
        self._client = client

    def write(self, data: bytes) -> None:
        assert self.ended is None, "written after the end"
        self.written += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted" if self.unfetched else self.ended or "aborted"

    def is_closing(self) -> bool:
        return self.ended is not None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": (self._client, 4711), "sockname": ("127.0.0.1", 7070)}.get(name, default)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return self.unfetched

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


@pytest.mark.parametrize(
    "said",
    [b"", GET, GET[:-2] + b"Connection: close\r\n\r\n", b"no request\r\n\r\n"],
    ids=["nothing", "kept", "closed", "refused"],
)
def test_a_connection_that_is_closed_is_not_held_by_the_little_that_is_left_of_an_answer(
    world: World, said: bytes
) -> None:
    connection, wire = world.connect()
    wire.unfetched = 100
    connection.data_received(said)
    world.run()
    world.loop.wait(10)
    assert wire.ended == "closed"
    world.loop.wait(30)
    assert wire.ended == "aborted"


def test_one_client_has_so_many_connections_and_others_have_theirs(world: World) -> None:
    held = [world.connect("2001:db8::1"), world.connect("2001:db8::2")]
    _, third = world.connect("2001:db8::3")
    assert problem(third) == (429, "rate-limited")
    assert b"\r\nretry-after: 1\r\n" in third.written
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


@pytest.mark.parametrize("proxy", ["10.0.0.1", "10.0.0.0/30", "::ffff:10.0.0.0/126"])
def test_a_proxy_is_known_through_a_socket_of_ipv6_too(proxy: str) -> None:
    with World(proxies=(proxy,)) as world:
        assert [world.connect("::ffff:10.0.0.1")[1].ended for _ in range(4)] == [None] * 4
    with World(proxies=(proxy,)) as world:
        assert problem([world.connect("::ffff:10.0.0.9")[1] for _ in range(3)][-1]) == (429, "rate-limited")


def test_a_web_socket_has_timers_of_its_own(world: World) -> None:
    connection, wire = world.connect()

    class Socket:
        handshake_initiated = True

        def __init__(self, **_: Any) -> None: ...

        def connection_made(self, transport: Any) -> None: ...

        def data_received(self, data: bytes) -> None: ...

    connection.ws_protocol_class = Socket  # type: ignore[assignment]
    connection.data_received(GET[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert isinstance(wire.protocol, Socket)
    assert world.loop.waiting == 0


def test_a_handshake_behind_a_request_that_is_not_answered_answers_nothing(world: World) -> None:
    connection, wire = world.connect()
    connection.data_received(GET + GET[:-2] + HANDSHAKE)
    assert (wire.ended, wire.written) == ("aborted", b"")


# Sockets of this machine: what becomes of a handshake is between uvicorn, `websockets` and the loop.

HANDSHAKE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@asynccontextmanager
async def serving(app: Any, limits: Limits) -> AsyncIterator[tuple[str, int]]:
    """Serve on a port that is free; its address."""
    opened = socket.create_server(("127.0.0.1", 0))
    lines = Buckets(1.0, 3.0, Clock(), 10)
    made: Any = partial(Connection, limits, (), lines)
    config = uvicorn.Config(app, log_config=None, lifespan="off", interface="asgi3", http=made, proxy_headers=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made(config, state, {}), sock=opened)
    try:
        async with asyncio.timeout(20):  # what ends nothing fails, and does not hang
            yield opened.getsockname()
    finally:
        server.close()


async def told(address: tuple[str, int], said: bytes) -> bytes:
    """Everything that is answered, to the end of the connection."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(said)
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"".join(b"X-%d: 1\r\n" % number for number in range(200)),
        b"X-Long: %s\r\n" % (b"x" * 9_000),
    ],
    ids=["content-length", "chunked", "many", "long"],
)
def test_a_handshake_that_cannot_be_read_is_answered_and_not_held(header: bytes) -> None:
    async def never(_: Any, __: Any, ___: Any) -> None:
        pytest.fail("it was handed on")

    async def run() -> bytes:
        async with serving(never, Limits()) as address:
            return await told(address, GET[:-2] + header + HANDSHAKE)

    wire = Wire("127.0.0.1")
    wire.written = asyncio.run(run())
    assert problem(wire) == (400, "malformed")


def test_who_is_neither_admitted_nor_refused_is_not_held() -> None:
    async def silent(_: Any, receive: Any, __: Any) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def run() -> bytes:
        async with serving(silent, Limits(head_within_s=0.05)) as address:
            return await told(address, GET[:-2] + HANDSHAKE)

    assert asyncio.run(run()) == b""


def test_who_was_admitted_stays_longer_than_a_handshake_may_take() -> None:
    async def talking(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        send.__self__._not_admitted()  # its time is over
        await send({"type": "websocket.send", "text": "still here"})

    async def run() -> bytes:
        async with serving(talking, Limits()) as address:
            return await told(address, GET[:-2] + HANDSHAKE)

    assert b"still here" in asyncio.run(run())


def test_a_web_socket_that_is_refused_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    async def refusing(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async def run() -> bytes:
        async with serving(refusing, Limits()) as address:
            return await told(address, GET[:-2] + HANDSHAKE)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 401")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("closes", [False, True], ids=["goes on sending", "closes with a little left"])
def test_a_web_socket_that_does_not_fetch_what_it_is_sent_is_not_held(closes: bool) -> None:
    async def run() -> None:
        ended = asyncio.Event()

        async def telling(_: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            protocol = send.__self__

            def losing(exc: Exception | None) -> None:
                type(protocol).connection_lost(protocol, exc)
                ended.set()

            protocol.connection_lost = losing
            while not (closes and protocol.transport.get_write_buffer_size()):
                await send({"type": "websocket.send", "bytes": b"x" * (1_000 if closes else 200_000)})

        async with serving(telling, Limits(answer_within_s=0.1)) as address:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, address)
            await asyncio.get_running_loop().sock_sendall(sock, GET[:-2] + HANDSHAKE)
            await ended.wait()
            sock.close()

    asyncio.run(run())


@pytest.mark.parametrize("head", [GET[:9], GET[:-2] + b"X-Half: "], ids=["a line", "a header"])
def test_a_request_is_not_told_off_for_the_bytes_of_the_one_before(head: bytes) -> None:
    with World(Limits(head_bytes=500, request_bytes=2_000)) as world:
        connection, wire = world.connect()
        connection.data_received(POST % 1_000 + b"x" * 1_000 + head)
        assert wire.ended is None
        world.run()
        assert wire.ended is None
        connection.data_received(b"x" * 501)
        assert wire.ended is not None


def test_nor_is_one_whose_predecessor_ends_in_the_same_bytes() -> None:
    with World(Limits(head_bytes=500, request_bytes=2_000)) as world:
        connection, wire = world.connect()
        connection.data_received(POST % 1_000)
        connection.data_received(b"x" * 1_000 + GET[:9])
        assert wire.ended is None
        world.run()
        connection.data_received(GET[9:])
        world.run()
        assert world.asked == ["/v1/decide", "/livez"]


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
