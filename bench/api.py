"""What a decision costs over HTTP: `POST /v1/decide` on a socket of this machine, as `sluice serve` answers it.

The server is a process of its own on one core, with everything that is in front of a decision there: the guard, the
limits, metrics, the JSON in and out, and the pages beside it. The client is this process, on another core where there
is one: a few connections that are kept open, each of which sends its next request when it has its answer. The facts are
those of `bench/decide`, no two alike, about 2 kB each; answers hold the whole record. Rates and latencies are those of
the clock on the wall in the round that was best: whatever else runs on the machine only ever makes them worse. Beside
them stands what the server's processor time alone would allow, the median of the rounds.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from bench._inputs import routing_facts
from bench._measure import Reach, Report, run
from engine.book import load as load_book
from engine.home import shipped_home
from engine.web.access import access_to
from engine.web.pages.mount import mount
from engine.web.server import Listening, Settings, Web
from engine.web.sources import JournalSource

CONNECTIONS = 8
_ROUNDS = 8
_REQUESTS = 4_000
_WITHIN_S = 60.0


def requests_of(count: int) -> list[bytes]:
    """Whole requests, as they go over the wire. JSON has no NaN: such a fact is null."""
    made = []
    for facts in routing_facts(count):
        body = msgspec.json.encode({"policy": "routing", "facts": facts})
        head = (
            "POST /v1/decide HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


class _Client(asyncio.Protocol):
    """One connection: sends requests one after the other, and takes the time of each."""

    def __init__(self, requests: Sequence[bytes], done: asyncio.Future[None]) -> None:
        self.latencies_s: list[float] = []
        self._requests = iter(requests)
        self._done = done
        self._buffer = bytearray()
        self._sent_s = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.latencies_s.append(time.perf_counter() - self._sent_s)
        if not head.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(RuntimeError(bytes(head + mark + body).decode()))
            return
        del self._buffer[:]
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server hung up"))

    def _send(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._sent_s = time.perf_counter()
        self._transport.write(request)


async def load(port: int, requests: Sequence[bytes], connections: int) -> tuple[float, list[float]]:
    """Send all requests, over so many connections; seconds in all, and the latency of each."""
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    waiting: list[asyncio.Future[None]] = []
    start = time.perf_counter()
    for number in range(connections):
        done = loop.create_future()
        client = _Client(requests[number::connections], done)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc] # a default binds it
        clients.append(client)
        waiting.append(done)
    async with asyncio.timeout(_WITHIN_S):
        await asyncio.gather(*waiting)
    return time.perf_counter() - start, [each for client in clients for each in client.latencies_s]


def _serve(pipe: Connection, logs: str, cpu: int | None) -> None:
    """The server's process. Says its port; then its processor time whenever it is asked, and ends with the pipe."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    book = load_book("prod", shipped_home()).warm()
    folder = Path(logs)
    access = access_to("127.0.0.1", None, {})
    web = Web(book, folder, JournalSource(folder / "journal"), access, Settings(port=0))
    mount(web, shipped_home(), folder)
    listening = Listening(web)
    listening.start()
    pipe.send(int(listening.url.rpartition(":")[2]))
    while pipe.recv():
        pipe.send(time.process_time())
    listening.stop()


def measure(requests: int = _REQUESTS, rounds: int = _ROUNDS, connections: int = CONNECTIONS) -> Report:
    """A server, and rounds of requests to it; the first round warms up."""
    report = Report("api")
    wanted = requests_of(requests)
    cores = sorted(os.sched_getaffinity(0))
    apart = len(cores) > 1
    context = multiprocessing.get_context("spawn")
    pipe, its_pipe = context.Pipe()
    with tempfile.TemporaryDirectory() as logs:
        server = context.Process(target=_serve, args=(its_pipe, logs, cores[-1] if apart else None), daemon=True)
        server.start()
        try:
            if apart:
                os.sched_setaffinity(0, set(cores[:-1]))
            port = pipe.recv()
            rates, middles, tails, busy = [], [], [], []
            for number in range(rounds + 1):
                before = _processor_s(pipe)
                elapsed_s, latencies_s = asyncio.run(load(port, wanted, connections))
                used_s = _processor_s(pipe) - before
                if number:
                    cuts = statistics.quantiles(latencies_s, n=100)
                    rates.append(len(wanted) / elapsed_s)
                    middles.append(cuts[49] * 1e3)
                    tails.append(cuts[98] * 1e3)
                    busy.append(len(wanted) / used_s)
        finally:
            os.sched_setaffinity(0, set(cores))
            pipe.send(False)
            server.join(10)
            server.kill()
    report.add("decide over HTTP", max(rates), "requests/s", Reach(">=", 2000))
    report.add("decide over HTTP, p50", min(middles), "ms")
    report.add("decide over HTTP, p99", min(tails), "ms", Reach("<=", 10))
    report.add("by the server's processor time", statistics.median(busy), "requests/s")
    size = statistics.mean(len(request) for request in wanted)
    where = "a core of its own" if apart else "the one core there is"
    report.note(f"{connections} connections, {size:.0f} bytes a request; the server on {where}")
    return report


def _processor_s(pipe: Connection) -> float:
    pipe.send(True)
    used: float = pipe.recv()
    return used


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
