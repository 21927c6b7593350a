"""What other processes ask of a running session, and what it answers: small files in its `logs` folder.

    logs/reload/requests/ID.json    written by a command, taken by the session
    logs/reload/answers/ID.json     written by the session, taken by the command

Whoever may write there may ask: the folders' permissions are the lock. A session makes them, closed to all but its user
and group as far as its umask lets these in. A request that nobody takes is taken back, and what a killed command or
session has left is thrown away when the next session begins: it was meant for another moment.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from engine.reload.disk import what_helps, write_whole
from engine.reload.errors import ReloadError
from engine.reload.last_good import RELOAD

REQUESTS, ANSWERS = RELOAD / "requests", RELOAD / "answers"

Action: TypeAlias = Literal["rollback", "shadow", "promote", "end"]

_MOST_BYTES = 64 * 1024
_LOOK_S = 0.05
_MODE = 0o770


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is asked."""

    id: str
    action: Action
    who: str = ""
    version: str | None = None
    """For `rollback`: where to, or the one before."""
    decides: str | None = None
    """For `rollback`: the version that decided when it was asked. Where another one does by then, it is refused."""
    candidate: str | None = None
    """For `shadow`: the side, as `sluice diff` takes it, with an absolute home."""
    home: str | None = None
    replaces: bool = False
    """For `shadow`: in the place of a candidate that is tried already."""
    symbols: list[str] = []
    """For `promote`: for these alone."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    id: str
    done: bool
    line: str
    help: str = ""


def ask(
    logs: Path,
    request: Request,
    *,
    process: int | None = None,
    timeout_s: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Answer:
    """Ask the session of a `logs` folder, and wait for its answer. `process` is the one that should give it.

    Raises:
        ReloadError: where nobody answers in time; the request is taken back then, unless somebody is at it already.

    """
    place, answer = logs / REQUESTS / f"{request.id}.json", logs / ANSWERS / f"{request.id}.json"
    try:
        write_whole(place, msgspec.json.encode(request))
        try:
            until = clock() + timeout_s
            while clock() < until:
                if answer.exists():
                    found = msgspec.json.decode(answer.read_bytes(), type=Answer)
                    answer.unlink()
                    return found
                sleep(_LOOK_S)
        finally:  # also where whoever asked does not want to wait any longer
            taken = False
            try:
                place.unlink()
            except FileNotFoundError:
                taken = True
    except (OSError, msgspec.MsgspecError) as error:
        raise ReloadError(f"the session in `{logs}` cannot be asked: {error}", "name its folder with --logs") from error
    if taken:
        raise ReloadError(
            f"the session in `{logs}` is at it still, after {timeout_s:g} s", "`sluice status` says when it is done"
        )
    if process is not None:
        raise ReloadError(
            f"the session in `{logs}`, process {process}, does not answer",
            f"it may be stopped or busy: look at it, such as by `ps -o stat,time,args -p {process}`",
        )
    raise ReloadError(
        f"no session answers in `{logs}`", "start one that reloads: `sluice run --reload`, or name its --logs"
    )


def new_id() -> str:
    """An id that no other request has, in order of time."""
    return f"{time.time_ns():020}-{os.getpid()}-{secrets.token_hex(4)}"


def prepare(logs: Path) -> None:
    """Make the folders, and throw away what lies there. Raises `ReloadError` if they cannot be made."""
    try:
        for folder in (logs / REQUESTS, logs / ANSWERS):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(folder.stat().st_mode & _MODE)
            for name in _files(folder):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ReloadError(
            f"nobody can ask this session for anything: `{error.filename}`: {(error.strerror or str(error)).lower()}",
            what_helps(error),
        ) from error


def take(logs: Path) -> Iterator[Request]:
    """Take what waits, oldest first; what is no request is answered as such, if that can be written."""
    try:
        names = _files(logs / REQUESTS)
    except OSError:
        return
    for name in names:
        place = logs / REQUESTS / name
        try:
            data = _read(place)
            place.unlink()  # one that cannot be taken away would be done again and again
        except OSError:
            continue
        try:
            if len(data) > _MOST_BYTES:
                raise msgspec.ValidationError("it is too large")
            request = msgspec.json.decode(data, type=Request)
            if request.id != place.stem:
                raise msgspec.ValidationError("its id is not that of its file")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            with suppress(ReloadError):
                reply(logs, Answer(id=place.stem, done=False, line=f"this is no request: {error}"))
            continue
        yield request


def _files(folder: Path) -> list[str]:
    """Names of the files of a folder, oldest request first."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False)
        )


def _read(place: Path) -> bytes:
    """A file, as far as it can be a request."""
    with place.open("rb") as stream:
        return stream.read(_MOST_BYTES + 1)


def reply(logs: Path, answer: Answer) -> None:
    """Answer a request. Raises `ReloadError` if that cannot be written."""
    place = logs / ANSWERS / f"{answer.id}.json"
    try:
        write_whole(place, msgspec.json.encode(answer))
    except OSError as error:
        raise ReloadError(f"`{place}` cannot be written: {error.strerror}", what_helps(error)) from error
