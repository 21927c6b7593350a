"""The server: the API, the metrics and the pages, behind one guard, in one process.

In: the rulebook, the folder of logs, where events come from, and who may do what. Out: a `Web`, whose `application` is
what uvicorn runs; `serve` runs it until a signal ends it, `Beside` runs it in a thread beside a session.

The application is FastAPI's, since NiceGUI mounts its pages on one (`ui.run_with(web.app)`, before it is run): routes
of the API come first, so pages may take every other path. Everything it needs lies on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route

from engine.book import Book
from engine.routing.sessions.inbox import Inbox
from engine.web.access import Access, AccessError, both_ways, networks
from engine.web.api import Api
from engine.web.candidate import Candidates
from engine.web.connections import Connection
from engine.web.guard import Guard, nothing_there
from engine.web.handing import Handing
from engine.web.limits import Limits
from engine.web.live import Keep, Live, SessionNow, View
from engine.web.metrics import Metrics
from engine.web.problems import CONTENT_TYPE, ProblemError
from engine.web.proving import prove
from engine.web.reloads import Reloads
from engine.web.sources import Source

_log = logging.getLogger(__name__)

_DRAIN_S = 2
"""How long requests that are being answered may go on when the server ends."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is run."""

    host: str = "127.0.0.1"
    """Only programs on this machine reach the default."""
    port: int = 7070
    """0 takes one that is free."""
    limits: Limits = field(default_factory=Limits)
    keep: Keep = field(default_factory=Keep)
    proxies: tuple[str, ...] = ()
    """Addresses of proxies whose word is taken for who asks (`X-Forwarded-For`, `X-Forwarded-Proto`)."""
    poll_every_s: float = 0.1
    """How often what was written to the journal is looked for."""
    look_every_s: float = 1.0
    """How often is looked whether another rulebook has to be proved, and what became of changed documents."""


class Web:
    """Everything that is served, put together."""

    def __init__(
        self,
        book: Book,
        logs: Path,
        source: Source,
        access: Access,
        settings: Settings | None = None,
        *,
        inbox: Inbox | None = None,
        watchers: Sequence[View] = (),
        current: Callable[[], Book] | None = None,
        proves: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`inbox` takes intents to the session of this process, None where there is none.

        `watchers` are shown each event that happens from now on. `current` gives the rulebook in force where a session
        of this process may change it; else it is `book` until `live.use`. `proves` is the home whose invariants are
        proved in the background, None for none. `clock` gives seconds that never go back, `wall` seconds since 1970.
        """
        self.settings = settings or Settings()
        self.metrics = Metrics(wall=wall)
        self.handing = Handing(inbox)
        self.candidates = Candidates()
        self.live = Live(
            book,
            logs,
            source,
            views=(self.metrics, self.handing, self.candidates),
            watchers=(self.metrics.counting, *watchers),
            current=current,
            keep=self.settings.keep,
            clock=clock,
            wall=wall,
        )
        self.reloads = Reloads(logs)
        self._proves = proves
        self._follows = current is None
        self._followed: SessionNow | None = None
        """The session that was looked at last, for its rulebook."""
        self._asked: Book | None = None
        """The rulebook that was to be proved last."""
        self.metrics.live = self.live
        self.api = Api(self.live, self.metrics, self.handing, self.settings.limits, clock)
        self.app = self._application()
        self.guard = Guard(self.app, access, self.settings.limits, answered=self.metrics.answered, clock=clock)

    @property
    def application(self) -> Guard:
        """What a server runs."""
        return self.guard

    def _application(self) -> FastAPI:
        app = FastAPI(
            title="Sluice",
            openapi_url=None,  # the document is made from the rulebook
            docs_url=None,  # its page would fetch scripts from the internet
            redoc_url=None,
            lifespan=self._lifespan,
            exception_handlers={HTTPException: _no_such_page, Exception: _failed},
        )
        app.router.redirect_slashes = False
        for path, resource in self.api.routes().items():
            app.router.routes.append(Route(path, resource, name=path))
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Follow the events as long as the server runs."""
        tasks = [
            asyncio.create_task(self.live.follow(every_s=self.settings.poll_every_s)),
            asyncio.create_task(self._again(self._keep_proved, "the rulebook in force cannot be proved")),
            asyncio.create_task(self._again(self._watch_reloads, "the status of the session cannot be looked at")),
        ]
        if self._follows:
            looking = self._again(self._follow_session, "the rulebook of the session cannot be taken over")
            tasks.append(asyncio.create_task(looking))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _again(self, look: Callable[[], Awaitable[None]], what: str) -> None:
        """Look again and again; what fails is logged once in a row and tried again: nobody would see that it ended."""
        is_failing = False
        while True:
            try:
                await look()
                is_failing = False
            except Exception:  # noqa: BLE001 - whatever it was, this goes on
                if not is_failing:
                    _log.exception("%s", what)
                is_failing = True
            await asyncio.sleep(self.settings.look_every_s)

    async def _follow_session(self) -> None:
        """Decide by what the session of another process decides by, once it has put another rulebook in force."""
        session, book = self.live.session, self.live.book
        if session is None or session.ended is not None or session == self._followed:
            return
        wanted = (session.rulebook, session.sources)
        if session.profile == book.profile and wanted != (book.version, book.rulebook.sources_digest):
            found = await asyncio.to_thread(self.live.kept.compiled, *wanted, session.profile)
            if found is not None:
                self.live.use(found)
        self._followed = session

    async def _watch_reloads(self) -> None:
        """Count what became of changed documents, as the session says it."""
        verdict = self.reloads.look()
        if verdict is not None:
            self.metrics.reloaded(verdict)
        if self.reloads.status is not None:
            self.metrics.polled(self.reloads.status.polls)

    async def _keep_proved(self) -> None:
        """Prove the rulebook in force, once."""
        book = self.live.book
        if self._proves is None or book is self._asked:
            return
        self._asked = book  # whatever comes of it: it takes minutes of a processor
        proofs = await prove(book, self.live.kept.rulebooks.home_of(book) or self._proves)
        if proofs is not None:
            self.live.prove(book, proofs)


class Listening:
    """A socket that is open, and the server that is about to answer there."""

    def __init__(self, web: Web) -> None:
        """Open the socket, so that the port is known and nobody who comes at once is turned away.

        Raises:
            AccessError: where nothing can listen at the address.

        """
        settings = web.settings
        self._socket = _opened(settings.host, settings.port)
        proxies = networks(settings.proxies)
        connection = partial(Connection, settings.limits, proxies, web.guard.lines)
        config = uvicorn.Config(
            web.application,
            log_config=None,
            access_log=False,  # the guard writes one, with ids
            server_header=False,
            ws_max_size=1_000_000,
            http=connection,  # type: ignore[arg-type]  # what makes one is as good as its class
            # Who asks is who connects, whatever a header says, unless that is a proxy of ours.
            proxy_headers=bool(proxies),
            forwarded_allow_ips=both_ways(proxies),
            lifespan="on",
            timeout_graceful_shutdown=_DRAIN_S,
        )
        self._server = _Server(config)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; a second one waits for nobody."""
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve in a thread of its own, until `stop`."""
        self._thread = threading.Thread(target=self.run, name="web", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End what `start` began, and wait for that."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_DRAIN_S + 3)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order at a signal, and do not raise it again: that was all that was asked for."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _opened(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host.strip("[]"), port))
        opened.listen(2048)
    except OSError as error:
        opened.close()
        raise AccessError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            "choose another port, 0 for one that is free, or an address of this machine",
        ) from None
    return opened


async def _no_such_page(request: StarletteRequest, error: Exception) -> Response:
    """A path that neither the API nor a page has."""
    return _problem(nothing_there(error.status_code if isinstance(error, HTTPException) else 404), request)


async def _failed(request: StarletteRequest, _: Exception) -> Response:
    """A defect outside of the API; the server logs its trace."""
    return _problem(nothing_there(500), request)


def _problem(error: ProblemError, request: StarletteRequest) -> Response:
    body = msgspec.json.encode(error.problem(request.scope.get("request_id", "")))
    return Response(body, error.status, dict(error.headers), media_type=CONTENT_TYPE)
