"""Broken saves of all kinds, through the watch of a running session: never a crash, never a bad rulebook.

What ran goes on, and each refusal has its finding in journal and status.
"""

from __future__ import annotations

import ctypes
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench._numbered import PROFILE, VALUES, values, write_home
from engine.journal.events import Outcome, RulebookRefused
from engine.journal.reader import read as read_journal
from engine.language.findings import LoadError, Severity
from engine.language.load import Files, Workspace, read_files
from engine.reload.pipeline import Accepted, Refused, Unchanged, Verdict
from engine.reload.read import MOST_READINGS, Reading, Signature, read_home, signature_of
from engine.reload.status import read_status
from engine.routing.sessions.reloading import changes
from engine.routing.sessions.start import JOURNAL, Running
from tests.routing.sessions.numbered import beside, open_numbered, order, until

Read = Callable[[Path], Files]
Save = Callable[[Path, random.Random], Read]
"""Does something to a file, and gives what reads the home then."""


def truncated(path: Path, rng: random.Random) -> Read:
    text = path.read_bytes()
    path.write_bytes(text[: rng.randrange(len(text))])
    return read_files


def empty(path: Path, _: random.Random) -> Read:
    path.write_bytes(b"")
    return read_files


def binary(path: Path, rng: random.Random) -> Read:
    path.write_bytes(rng.randbytes(rng.randrange(1, 4000)))
    return read_files


def wrong_encoding(path: Path, rng: random.Random) -> Read:
    encoding = rng.choice(["utf-16", "utf-16-be", "utf-32", "cp037"])
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    return read_files


def a_byte_flipped(path: Path, rng: random.Random) -> Read:
    text = bytearray(path.read_bytes())
    text[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(text))
    return read_files


def permission_denied(path: Path, _: random.Random) -> Read:
    path.chmod(0)

    def read(home: Path) -> Files:
        with no_superuser():
            return read_files(home)

    return read


def a_link_to_itself(path: Path, _: random.Random) -> Read:
    path.unlink()
    path.symlink_to(path.name)
    return read_files


def a_folder_in_its_place(path: Path, _: random.Random) -> Read:
    path.unlink()
    path.mkdir()
    return read_files


def a_pipe_in_its_place(path: Path, _: random.Random) -> Read:
    path.unlink()
    os.mkfifo(path)
    return read_files


def deleted(path: Path, _: random.Random) -> Read:
    path.unlink()
    return read_files


def deleted_while_reading(path: Path, rng: random.Random) -> Read:
    """Saved as it was, and gone after the first reading, or between the listing of its folder and its own reading."""
    is_late = rng.random() < 0.5
    path.write_bytes(path.read_bytes())
    once = iter((True,))

    def read(home: Path) -> Files:
        if not next(once, False):
            return read_files(home)
        if is_late:
            files = read_files(home)
            path.unlink()
            return files
        path.unlink()
        path.symlink_to("nowhere")  # listed, and not there when it is opened
        return read_files(home)

    return read


def written_while_reading(path: Path, rng: random.Random) -> Read:
    """Written again and again, as long as anybody reads for it to settle."""
    path.write_bytes(path.read_bytes())
    writes = iter(range(MOST_READINGS))

    def read(home: Path) -> Files:
        files = read_files(home)
        if next(writes, None) is not None:
            path.write_bytes(rng.randbytes(20))
        return files

    return read


KINDS: tuple[Save, ...] = (
    truncated,
    empty,
    binary,
    wrong_encoding,
    a_byte_flipped,
    permission_denied,
    a_link_to_itself,
    a_folder_in_its_place,
    a_pipe_in_its_place,
    deleted,
    deleted_while_reading,
    written_while_reading,
)

MAY_BE_WHOLE = (truncated, a_byte_flipped)
"""A file cut at the end of a rule, or with another digit, may be a whole file: only these may come through."""


@contextmanager
def no_superuser() -> Iterator[None]:
    """The superuser may read everything: here this thread may not, where it is his."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the call, this thread
    held = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable; the low 32 and the high
    assert libc.capget(head, held) == 0
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(head, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(head, held) == 0


def put_back(path: Path, text: str) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")


def texts_of(files: Files) -> dict[str, str]:
    return {name: source.text for name, source in files.sources.items()}


def loads(files: Files) -> bool:
    """What the language itself says of these texts."""
    try:
        Workspace(files).rulebook(PROFILE)
    except LoadError:
        return False
    return True


class Watched:
    """What a session reads and makes of it."""

    def __init__(self, running: Running, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: Read = read_files
        self.verdicts: list[tuple[Verdict, Files]] = []
        self.refused: list[Refused] = []
        """All of them, also while a file was put back."""
        self.judged: tuple[Signature, Read] | None = None
        """How the home stood that the last verdict is about, and what read it."""
        self._home = home
        self._reading: tuple[Reading, Read] | None = None
        assert running.reloading is not None
        in_force = running.reloading.in_force
        note = in_force.note

        def reads(folder: Path) -> Reading:
            read = self.read
            reading = read_home(folder, read=read)
            self._reading = reading, read
            return reading

        def notes(verdict: Verdict) -> None:
            note(verdict)
            assert self._reading is not None
            self.verdicts.append((verdict, self._reading[0].files))
            if isinstance(verdict, Refused):
                self.refused.append(verdict)

        async def considers(files: Files, how: str, who: str) -> Verdict:
            verdict = await consider(files, how, who)
            assert self._reading is not None
            reading, read = self._reading
            self.judged = reading.signature, read
            return verdict

        consider = running.reloading.changes.consider
        monkeypatch.setattr(changes, "read_home", reads)
        monkeypatch.setattr(in_force, "note", notes)
        monkeypatch.setattr(running.reloading.changes, "consider", considers)

    async def all_judged(self) -> list[tuple[Verdict, Files]]:
        """What was made of the home since the last time, once there is a verdict on it as it stands."""
        await until(lambda: self.judged == (signature_of(self._home), self.read))
        verdicts, self.verdicts = self.verdicts, []
        return verdicts


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    opened = open_numbered(tmp_path)
    yield opened
    opened.journal.close()


@pytest.mark.parametrize("saves", [48, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_the_last_good_rulebook_decides_on(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    home, logs, desk, rng = tmp_path / "home", tmp_path / "logs", running.desk, random.Random(5)
    good = desk.book.version
    texts = texts_of(read_files(home))
    watched = Watched(running, home, monkeypatch)
    kinds: dict[str, int] = {}
    intents: list[str] = []

    def check(save: Save, verdict: Verdict, files: Files) -> None:
        if isinstance(verdict, Refused):
            kinds[save.__name__] = kinds.get(save.__name__, 0) + 1
            assert not loads(files)
            assert any(finding.severity is Severity.ERROR for finding in verdict.findings), save
            assert all(finding.message and finding.code for finding in verdict.findings)
        else:
            # Of how it stood just before there may be a verdict still.
            was_before = isinstance(verdict, Unchanged) and texts_of(files) == texts
            assert was_before or save in MAY_BE_WHOLE, (save, verdict)
            assert loads(files)

    async def break_and_mend() -> None:
        # Whatever the session found when it began to watch is behind it.
        write_home(home)
        await watched.all_judged()
        for number in range(saves):
            name = rng.choice(list(texts))
            save = KINDS[number % len(KINDS)]
            watched.read = save(home / name, rng)
            found = await watched.all_judged()
            assert found, (save, "nobody noticed")
            for verdict, files in found:
                check(save, verdict, files)
            last, _ = found[-1]
            if isinstance(last, Refused):
                status = read_status(logs)
                assert status.attempt is not None
                assert (status.attempt.verdict, status.attempt.findings != []) == ("refused", True)
            if not any(isinstance(verdict, Accepted) for verdict, _ in found):
                assert desk.book.version == good
            intents.append(order(desk, number))
            watched.read = read_files
            put_back(home / name, texts[name])
            again, _ = (await watched.all_judged())[-1]
            assert isinstance(again, Unchanged | Accepted)
            assert desk.book.version == good

    beside(running, break_and_mend)
    assert set(kinds) == {kind.__name__ for kind in KINDS}, "each kind was refused"
    refused = watched.refused
    assert sum(kinds.values()) > saves * 0.7
    events = list(read_journal(logs / JOURNAL))
    journaled = [event for event in events if isinstance(event, RulebookRefused)]
    assert [(event.stage, event.reason) for event in journaled] == [(each.stage, each.line) for each in refused]
    assert all(event.findings for event in journaled)
    assert {event.intent_id for event in events if isinstance(event, Outcome)} == set(intents)


def test_a_home_that_is_away_for_a_while_is_no_change(running: Running, tmp_path: Path) -> None:
    home, before = tmp_path / "home", running.desk.book.version

    async def take_away() -> None:
        home.rename(tmp_path / "elsewhere")
        await until((tmp_path / "logs" / "reload" / "status.json").exists)
        await until(lambda: read_status(tmp_path / "logs").unavailable is not None)
        told = read_status(tmp_path / "logs").unavailable
        assert told is not None
        assert told.what == f"`{home}` is gone"
        assert running.desk.book.version == before
        (tmp_path / "elsewhere").rename(home)
        await until(lambda: read_status(tmp_path / "logs").unavailable is None)
        (home / VALUES).write_text(values(7))
        await until(lambda: running.desk.book.version != before)

    beside(running, take_away)
