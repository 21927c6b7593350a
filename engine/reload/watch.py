"""A home folder is watched: each time that something in it was saved, one `Change`.

    saves, renames ──▶ source (watchfiles) ──▶ signature compared ──▶ Change

The source only says that something happened in one of the folders that lead to the files; whether it matters is seen
by the home's signature. So temporary files of editors and a journal that is written inside the home wake nobody, and a
save that went unnoticed is found when the signature is next looked at, at least every `poll_s`. That slow look is also
what notices a folder that came back after it had disappeared.

Folders are watched, not files: editors, ConfigMaps and git-sync replace files and links by renaming. `places_of` names
every folder that holds a link on the way to the files, so a swapped link is seen however far above the home it lies.
Several files saved together are one change: watchfiles waits until nothing more happened for `quiet_ms`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from engine.home import HOME_FOLDERS
from engine.reload.errors import extra_live
from engine.reload.read import Signature, signature_of

_MOST_LINKS = 64
"""Links that are followed on the way to one file; Linux itself follows 40."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How patient a watch is."""

    quiet_ms: int = 25
    """Saves closer together than this are one change. It is also how often watchfiles looks, so a change is handed on
    one to two of these after its last save."""
    most_ms: int = 250
    """A change is handed on after this, though saves go on."""
    poll_s: float = 1.0
    """How often the signature is looked at where no event came: for folders that are away, and file systems that send
    no events."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something in the home was saved, replaced, removed, or came back."""

    at: float
    """When it was noticed, in seconds of the watch's clock."""
    is_there: bool
    """False while the home, or one of its three folders, is away."""
    signature: Signature


class ChangeSource(Protocol):
    """Says when something happens in folders. Tests hand in one of their own."""

    async def wait(self, places: frozenset[Path], timeout_s: float) -> bool:
        """Wait for anything in these folders (themselves included, not below): False if the time went by without.

        What happens between two calls with the same places is told by the second.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class Watch:
    """Watches one home: `async for change in watch`. `since` is the signature of what was read last, if anything was.

    Close it with `aclose`, or use it in `async with`.
    """

    def __init__(
        self,
        home: Path,
        settings: WatchSettings | None = None,
        *,
        since: Signature | None = None,
        source: ChangeSource | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home = home.absolute()
        self._settings = settings or WatchSettings()
        self._source = source or WatchfilesSource(self._settings)
        self._clock = clock
        self._last = signature_of(self._home) if since is None else since

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop watching."""
        await self._source.close()

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        """Wait for the next change; what changed since the last one is told at once."""
        while True:
            at = self._clock()
            now = signature_of(self._home)
            if now != self._last:
                self._last = now
                return Change(at, not gone(now), now)
            await self._source.wait(places_of(self._home), self._settings.poll_s)


def gone(signature: Signature) -> dict[str, str]:
    """The folders of a home that cannot be read, each with the name of the system's error; empty for a home."""
    return {name: held for name, held in signature if name in HOME_FOLDERS and isinstance(held, str)}


def places_of(home: Path) -> frozenset[Path]:
    """The folders in which something can happen that changes what a home says: with none of their links left in them.

    Where a folder is away, the nearest one above that is there stands for it.
    """
    places = set(_trail(home))
    for folder in HOME_FOLDERS:
        places.update(_trail(home / folder))
        with contextlib.suppress(OSError, ValueError), os.scandir(home / folder) as entries:
            linked = [entry.name for entry in entries if entry.name.endswith(".yaml") and entry.is_symlink()]
            for name in linked:
                places.update(_trail(home / folder / name))
    return frozenset(places)


def _trail(path: Path) -> list[Path]:
    """The folders that hold links on the way to a path, and the last folder of the way."""
    trail: list[Path] = []
    pending = list(reversed(path.absolute().parts[1:]))
    here, links = Path(path.anchor or "/"), 0
    while pending:
        part = pending.pop()
        if part in ("..", "."):  # of a link's target; what leads here has no links left
            here = here.parent if part == ".." else here
            continue
        step = here / part
        try:
            target = step.readlink()
        except (OSError, ValueError):
            if not step.is_dir():
                break
            here = step
            continue
        trail.append(here)
        links += 1
        if links > _MOST_LINKS:
            break
        if target.is_absolute():
            here = Path(target.anchor)
        pending.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
    return [*trail, here]


class WatchfilesSource:
    """The file system's own events, through watchfiles (extra `live`); where it gives none, only time goes by."""

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._places: frozenset[Path] = frozenset()
        self._events: AsyncGenerator[set[Any], None] | None = None
        self._next: asyncio.Task[set[Any]] | None = None
        self.trouble = ""
        """Why no events come, such as a limit of the system; empty where they do."""

    async def wait(self, places: frozenset[Path], timeout_s: float) -> bool:
        """As `ChangeSource.wait`; the first call with new places returns at once, since events begin only then."""
        if places != self._places or self._events is None:
            await self.close()
            self._places = places
            self._begin(places)
            await asyncio.sleep(0)  # the generator runs up to its first wait: from here on events are collected
            if self._next is not None and not self._next.done():
                return True
        assert self._next is not None
        done, _ = await asyncio.wait({self._next}, timeout=timeout_s)
        if not done:
            return False
        try:
            happened = bool(self._next.result())
        except (OSError, RuntimeError, StopAsyncIteration) as error:  # watchfiles' own errors are OSErrors
            await self._do_without(error, timeout_s)
            return False
        self.trouble = ""
        self._advance()
        return happened

    def _begin(self, places: frozenset[Path]) -> None:
        with extra_live("watched folders"):
            from watchfiles import awatch  # noqa: PLC0415

        self._events = awatch(
            *sorted(places),
            watch_filter=None,
            debounce=self._settings.most_ms,
            step=self._settings.quiet_ms,
            rust_timeout=1000,  # how long its thread may outlive a close
            recursive=False,
            ignore_permission_denied=True,
        )
        self._advance()

    def _advance(self) -> None:
        assert self._events is not None
        self._next = asyncio.ensure_future(anext(self._events))

    async def _do_without(self, error: Exception, timeout_s: float) -> None:
        if not self.trouble:
            _log.warning("the system tells of no changes (%s): looking every %g s", error, timeout_s)
        self.trouble = str(error) or type(error).__name__
        await self.close()
        await asyncio.sleep(timeout_s)

    async def close(self) -> None:
        """Stop the thread that waits for events."""
        task, self._next = self._next, None
        events, self._events = self._events, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, RuntimeError, StopAsyncIteration):
                await task
        if events is not None:
            await events.aclose()
