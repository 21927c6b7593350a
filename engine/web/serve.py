"""The server as a command, and beside a session.

In: what was chosen. Out: lines for people, or JSON, and an exit code. The first line is `listening on http://…`, for
scripts that wait for it. SIGINT and SIGTERM end the server in order.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from engine.book import Book
from engine.journal.folder import day_files
from engine.routing.evidence.errors import ViewError
from engine.routing.sessions.attend import Opening, Watcher
from engine.routing.sessions.inbox import Inbox
from engine.routing.sessions.standard_input import StandardInput
from engine.routing.sessions.start import JOURNAL, Running
from engine.web.access import TOKEN_VARIABLE, Access, access_to
from engine.web.live import View
from engine.web.logs import EventLog, LogFormat, set_up
from engine.web.pages.mount import mount
from engine.web.server import Listening, Settings, Web
from engine.web.sources import BACKLOG, HandedSource, JournalSource, last_events

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What can be chosen; the defaults are those of `sluice serve`."""

    home: Path
    logs: Path
    host: str = "127.0.0.1"
    port: int = 7070
    """0 takes one that is free."""
    token_file: Path | None = None
    names: tuple[str, ...] = ()
    """Host names that the server answers for, beside addresses and `localhost`."""
    proxies: tuple[str, ...] = ()
    """Addresses of proxies whose word is taken for who asks."""
    log_format: LogFormat = "console"
    prove: bool = True
    as_json: bool = False
    settings: Settings = field(default_factory=Settings)

    def access(self) -> Access:
        """Who may do what. Raises `AccessError` for an address that others reach without a token."""
        return access_to(self.host, self.token_file, os.environ, self.names, self.proxies)


def serve(book: Book, options: ServeOptions, say: Callable[[str], object]) -> int:
    """Serve until a signal, over the journal that another process writes. Returns the exit code.

    Raises:
        AccessError: where the server must not be opened so, or nothing can listen at the address.
        ViewError: where the journal can be in no folder of that name.

    """
    access = options.access()
    journal = options.logs / JOURNAL
    _refuse_a_file(options.logs, journal)
    set_up(options.log_format, sys.stderr)
    watchers = _watchers(options)
    source = JournalSource(journal)
    if not day_files(journal, archived=True):
        _log.warning("no journal is in %s yet: a session that writes to another folder is not seen", journal)
    web = Web(book, options.logs, source, access, _settings(options), watchers=watchers, proves=_proves(options))
    mount(web, options.home, options.logs)
    listening = Listening(web)
    for line in _opening_lines(listening, access, options, f"journal   {options.logs / JOURNAL}"):
        say(line)
    listening.run()
    return 0


def _refuse_a_file(*folders: Path) -> None:
    """A folder that is not there yet may come; where a file is, no journal ever will."""
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise ViewError(f"`{folder}` is no folder", "name the folder that a session writes to: --logs DIR")


class Beside:
    """A server beside a session of this process: pages show the session, and the API hands intents to it."""

    def __init__(self, options: ServeOptions, say: Callable[[str], object]) -> None:
        """`say` prints a line. Raises `AccessError` for an address that others reach without a token."""
        self.inbox = Inbox()
        self._options = options
        self._say = say
        self._access = options.access()
        self._listening: Listening | None = None

    def opening(self, opening: Opening) -> Opening:
        """Opens the same session, and the server with it.

        Raises:
            AccessError: where nothing can listen at the address.

        """

        async def both(
            watchers: Sequence[Watcher], progress: Callable[[int], None], standard_input: StandardInput
        ) -> Running:
            source = HandedSource()
            running = await opening((*watchers, source.see), progress, standard_input)
            if running.resumed:
                source.begin_with(last_events(running.journal.folder, BACKLOG, lambda _: None))
            self._start(running, source)
            return running

        return both

    def _start(self, running: Running, source: HandedSource) -> None:
        options = self._options
        set_up(options.log_format, sys.stderr, logging.INFO if options.log_format == "json" else logging.WARNING)
        web = Web(
            running.book,
            options.logs,
            source,
            self._access,
            _settings(options),
            inbox=self.inbox,
            watchers=_watchers(options),
            proves=_proves(options),
            current=lambda: running.desk.book,
        )
        mount(web, options.home, options.logs)
        self._listening = Listening(web)
        self._listening.start()
        for line in _opening_lines(self._listening, self._access, options, ""):
            self._say(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.inbox.abandon()  # where the session never ran: whoever waits must not take it for one that was taken
        if self._listening is not None:
            self._listening.stop()

    def wait(self) -> None:
        """The session is over, and takes no intents any more: show what it did until Ctrl-C."""
        self.inbox.close()
        if self._listening is None:
            return
        if not self._options.as_json:
            self._say(f"the session is over; {self._listening.url} shows it until Ctrl-C")
        with contextlib.suppress(KeyboardInterrupt):
            self._listening.join()


def _settings(options: ServeOptions) -> Settings:
    return Settings(
        host=options.host,
        port=options.port,
        proxies=options.proxies,
        limits=options.settings.limits,
        keep=options.settings.keep,
        poll_every_s=options.settings.poll_every_s,
    )


def _watchers(options: ServeOptions) -> tuple[View, ...]:
    """Machines are told of every event of note; on a console that would bury what is wrong."""
    return (EventLog(),) if options.log_format == "json" else ()


def _proves(options: ServeOptions) -> Path | None:
    return options.home if options.prove else None


def _opening_lines(listening: Listening, access: Access, options: ServeOptions, more: str) -> list[str]:
    if options.as_json:
        opened = {"url": listening.url, "token": access.token is not None, "loopback": access.is_loopback}
        return [json.dumps({"listening": opened})]
    readers = "everybody on this machine" if access.is_loopback else "who has the token"
    writers = "who has the token" if access.token is not None else f"nobody: set --token-file or {TOKEN_VARIABLE}"
    lines = [f"listening on {listening.url}", f"reading   {readers}", f"writing   {writers}"]
    return [*lines, more] if more else lines
