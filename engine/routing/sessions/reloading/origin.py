"""Whether the home, or the address, that rules come from can be had: said in status, log and journal.

In: each time that it cannot be had, and each time that it can. Out: an event when that changes, and a line in the log
then and every few minutes while it lasts: an address may be away for days.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from engine.journal.events import RulesSource
from engine.printing import lasting
from engine.reload.read import Signature
from engine.reload.remote import Remote
from engine.reload.status import Unavailable
from engine.reload.watch import gone
from engine.routing.sessions.desk import Desk

_log = logging.getLogger(__name__)

_LOG_EVERY_MS = 300_000


class RulesOrigin:
    """Where the rules of a session come from, while it runs."""

    def __init__(self, desk: Desk, home: Path, remote: Remote | None, now_ms: Callable[[], int]) -> None:
        self.name = str(home.absolute()) if remote is None else remote.shown
        """The home, or the address as it may be shown."""
        self._desk = desk
        self._home = home.absolute()
        self._remote = remote
        self._now_ms = now_ms
        self._is_away = False
        self._home_trouble: Unavailable | None = None
        self._logged_ms: int | None = None

    @property
    def unavailable(self) -> Unavailable | None:
        """What is wrong with it now; None where nothing is."""
        if self._remote is None:
            return self._home_trouble
        failing = self._remote.failing
        if failing is None:
            return None
        error = failing.error
        return Unavailable(
            what=error.message, help=error.help, since_ms=failing.since_ms, times=failing.times, next_ms=failing.next_ms
        )

    @property
    def polls(self) -> dict[str, int]:
        """How often the address gave what; empty for a home."""
        return {} if self._remote is None else {str(result): count for result, count in self._remote.results.items()}

    def look(self, seen: Signature | None = None, *, is_logged: bool = False) -> None:
        """Say what is new of it: of a home as it was `seen`. `is_logged` where the log has the reason already."""
        if self._remote is None:
            self._home_trouble = self._gone(seen)
        trouble, was_away = self.unavailable, self._is_away
        self._is_away = trouble is not None
        if trouble is not None:
            self._log(trouble, is_logged=is_logged)
            if not was_away:
                self._journal("away", trouble.what)
        elif was_away:
            self._logged_ms = None
            _log.warning("rules can be had again from %s", self.name)
            self._journal("back")

    def _gone(self, seen: Signature | None) -> Unavailable | None:
        found = gone(seen or ())
        if not found:
            return None
        before = self._home_trouble
        since_ms = self._now_ms() if before is None else before.since_ms
        return Unavailable(what=_told(self._home, found), help=_HELP, since_ms=since_ms)

    def _log(self, trouble: Unavailable, *, is_logged: bool) -> None:
        now_ms = self._now_ms()
        is_first = self._logged_ms is None
        if self._logged_ms is not None and now_ms < self._logged_ms + _LOG_EVERY_MS:
            return
        self._logged_ms = now_ms
        if is_logged:
            return
        so_far = "" if is_first else f", for {lasting((now_ms - trouble.since_ms) / 1000)} now"
        _log.warning("%s%s: what ran goes on", trouble.what, so_far)

    def _journal(self, state: str, reason: str = "") -> None:
        desk = self._desk
        desk.router.emit(RulesSource(ts_ms=desk.router.now_ms, state=state, origin=self.name, reason=reason))
        desk.settle()


_HELP = "put it back: what is there then is looked at at once; a start without it takes the last good rulebook"


def _told(home: Path, found: dict[str, str]) -> str:
    """Which of a home's folders cannot be read, and why."""
    reasons = set(found.values())
    if reasons == {"ENOENT"} and not home.is_dir():
        return f"`{home}` is gone"
    names = ", ".join(f"`{home / name}`" for name in found)
    if reasons == {"ENOENT"}:
        return f"{names} {'is' if len(found) == 1 else 'are'} gone"
    told = ", ".join(dict.fromkeys(os.strerror(getattr(errno, name, errno.EIO)).lower() for name in found.values()))
    return f"{names} cannot be read: {told}"
