"""A server without a socket: a hand-written journal, clocks that stand still, and a client that speaks ASGI."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from engine.book import Book
from engine.journal.events import Event
from engine.journal.folder import DAY_MS, day_path
from engine.journal.lines import encode
from engine.routing.evidence.health import Health
from engine.routing.sessions.inbox import Inbox
from engine.web.access import Access
from engine.web.limits import Limits
from engine.web.live import View
from engine.web.server import Settings, Web
from engine.web.sources import Source
from tests.routing.written import (
    BTC,
    DOGE,
    NOW_MS,
    Facts,
    Holding,
    Written,
    ended,
    order,
    route,
    shipped,
    snapshot,
    sound,
    started,
)
from tests.routing.written import accepted as accept
from tests.routing.written import filled as fill

TOKEN = "0123456789abcdef-token"  # noqa: S105 - of nothing
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ON_LOOPBACK = Access(is_loopback=True, token=TOKEN)
OFF_LOOPBACK = Access(is_loopback=False, token=TOKEN)


class Clock:
    """Seconds that go on when a test says so."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class ListedSource:
    """Events that are there at once."""

    def __init__(self, events: Iterable[Event] = (), *, old: int = 0) -> None:
        self.bad_lines = 0
        self.failure: str | None = None
        self.old = old
        self.events = deque(events)

    def take(self, most: int) -> Sequence[Event]:
        taken = [self.events.popleft() for _ in range(min(most, len(self.events)))]
        self.old = max(0, self.old - len(taken))
        return taken

    def unread_bytes(self) -> int:
        return 10 * len(self.events)

    def quiet_s(self) -> float | None:
        return 3.5


def a_session(profile: str = "prod") -> list[Event]:
    """A session with a maker and a taker in BTC, and a snapshot of two symbols."""
    journal = Written()
    journal.add(started(profile))
    rested = route(journal, "entry-1", profile=profile)
    order(journal, "entry-1")
    accept(journal, "entry-1-1", NOW_MS + 40)
    fill(journal, "entry-1-1", NOW_MS + 900)
    ended(journal, "entry-1")
    crossed = route(journal, "exit-1", profile=profile, ts_ms=NOW_MS + 6000, reduce_only=True)
    assert (rested.route, crossed.route) == ("maker", "taker")
    health = Health(shipped(profile), (BTC, DOGE), Facts(BTCUSDT=sound(NOW_MS + 6500)), Holding())
    for event in journal.events:
        health.see(event)
    snapshot(health, journal, NOW_MS + 7000)
    return journal.events


def write(folder: Path, events: Iterable[Event]) -> None:
    """Append events to the files of a journal, as they are numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    for event in events:
        with day_path(folder, event.ts_ms // DAY_MS).open("ab") as stream:
            stream.write(encode(event) + b"\n")


def a_web(
    logs: Path,
    events: Iterable[Event] = (),
    *,
    access: Access = ON_LOOPBACK,
    limits: Limits | None = None,
    inbox: Inbox | None = None,
    source: Source | None = None,
    clock: Clock | None = None,
    book: Book | None = None,
    watchers: Sequence[View] = (),
    journaled_within_s: float = 0.0,
) -> Web:
    """A server that has read these events. Nobody takes what lies in `inbox`, so it is not waited for."""
    clock = clock or Clock()
    web = Web(
        book or shipped("prod"),
        logs,
        source or ListedSource(events),
        access,
        Settings(limits=replace(limits or Limits(), journaled_within_s=journaled_within_s)),
        inbox=inbox,
        watchers=watchers,
        clock=clock,
        wall=lambda: clock() + 1_700_000_000,
    )
    while web.live.poll():
        pass
    return web


class Client:
    """Asks a server in this process, as from the address that is given. Cookies are kept, redirects not followed."""

    def __init__(self, runner: asyncio.Runner, web: Web, base: str, headers: Mapping[str, str], address: str) -> None:
        self._runner = runner
        transport = httpx.ASGITransport(
            web.application,
            raise_app_exceptions=False,
            client=(address, 40_000),
        )
        self._client = httpx.AsyncClient(transport=transport, base_url=base, headers=headers)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@contextmanager
def asking(
    web: Web,
    *,
    base: str = "http://localhost:7070",
    headers: Mapping[str, str] | None = None,
    address: str = "127.0.0.1",
) -> Iterator[Client]:
    with asyncio.Runner() as runner:
        yield Client(runner, web, base, headers or {}, address)


def problem(response: httpx.Response) -> str:
    """The kind of problem that an answer is; fails for any other answer."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    held = response.json()
    assert held["status"] == response.status_code
    assert held["instance"] == f"urn:request:{response.headers['x-request-id']}"
    assert set(held) == {"type", "title", "status", "detail", "help", "instance"}
    return str(held["type"]).removeprefix("urn:sluice:problem:")
