"""A disk that is really full, under a session that reloads: what runs goes on, and says what it could not keep."""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from bench._numbered import PROFILE, VALUES, values, write_home
from engine.book import load
from engine.journal.events import RulebookLoaded, RulebookRefused
from engine.journal.reader import read, verify
from engine.language.load import Files
from engine.language.rulebook import Rulebook
from engine.reload.bundle import Origin, build
from engine.reload.errors import ReloadError
from engine.reload.history import History
from engine.reload.last_good import LastGood
from engine.reload.pipeline import Accepted, Refused, Verdict
from engine.reload.read import read_home
from engine.reload.remote import Arrived
from engine.reload.requests import Answer, Request, new_id
from engine.reload.status import read_status
from engine.routing.sessions.reloading.beside import Reloading
from engine.routing.sessions.reloading.options import ReloadOptions, fetch_first
from engine.routing.sessions.start import JOURNAL, Running
from tests.routing.sessions.numbered import QUICK, open_numbered, order

_BLOCK = 4096


class Disk(Protocol):
    """Holds the `logs` of a session."""

    def fill(self) -> None:
        """Nothing more fits."""

    def free(self) -> None:
        """There is room again."""


class SmallDisk:
    """A file system in memory, of which all that is free is taken."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(bytes(_BLOCK)):
                pass

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


class Limit:
    """A limit of the system on how long a file may be: this process can write to none."""

    def __init__(self) -> None:
        self._usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._usual[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._usual)


@pytest.fixture(params=["disk", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    logs = tmp_path / "logs"
    logs.mkdir()
    if request.param == "limit":
        limit = Limit()
        yield limit
        limit.free()
        return
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no `mount`")
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", logs], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"only the superuser may mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        yield SmallDisk(logs)
    finally:
        subprocess.run(["umount", "--lazy", logs], check=True)


class Session:
    """A session whose `logs` may become full."""

    def __init__(self, folder: Path, disk: Disk, reload: ReloadOptions = QUICK) -> None:
        self.home, self.logs, self.disk = folder / "home", folder / "logs", disk
        self.running: Running = open_numbered(folder, reload)
        self.reloading.begin()

    @property
    def reloading(self) -> Reloading:
        assert self.running.reloading is not None
        return self.running.reloading

    @property
    def version(self) -> str:
        return self.running.desk.book.version

    def save(self, number: int) -> Verdict:
        (self.home / VALUES).write_text(values(number))
        return self.look()

    def look(self) -> Verdict:
        return asyncio.run(self.reloading.changes.consider(read_home(self.home).files, "files", "Ada"))

    def ask(self, request: Request) -> Answer:
        return asyncio.run(self.reloading.commands.answer(request))

    def fill_once_kept(self) -> None:
        """The next rulebook still fits, and nothing after it."""
        changes = self.reloading.changes
        usual = changes.pipeline
        assert usual.keep is not None
        keep = usual.keep

        def keeps(files: Files, rulebook: Rulebook) -> None:
            keep(files, rulebook)
            changes.pipeline = usual
            self.disk.fill()

        changes.pipeline = replace(usual, keep=keeps)

    def make_room(self) -> None:
        """There is room, and what waits is written."""
        self.disk.free()
        self.running.journal.commit()

        async def served() -> None:
            in_force = self.reloading.in_force
            in_force.say()
            await in_force.written()
            in_force.say_what_is_new()
            await in_force.written()

        asyncio.run(served())


@pytest.fixture
def start(tmp_path: Path, disk: Disk) -> Iterator[Callable[..., Session]]:
    opened: list[Session] = []

    def begin(reload: ReloadOptions = QUICK) -> Session:
        opened.append(Session(tmp_path, disk, reload))
        return opened[-1]

    yield begin
    disk.free()
    for session in opened:
        session.running.journal.close()


def roll_back(version: str | None = None) -> Request:
    """Ask for a version, or the one before."""
    return Request(id=new_id(), action="rollback", version=version, who="Ada")


def full(text: str) -> bool:
    """Whether an error says what a full disk, or a limit, does."""
    return "no space left on device" in text or "file too large" in text


def test_a_rulebook_that_cannot_be_kept_does_not_decide(
    start: Callable[..., Session], caplog: pytest.LogCaptureFixture
) -> None:
    session = start()
    before = session.version
    (session.home / VALUES).write_text(values(7))
    session.disk.fill()
    verdict = session.look()
    assert isinstance(verdict, Refused)
    assert (verdict.stage, full(verdict.line)) == ("keep", True)
    assert verdict.findings[0].help
    assert session.version == before
    assert any(full(record.getMessage()) for record in caplog.records)
    session.make_room()
    (refused,) = (event for event in read(session.logs / JOURNAL) if isinstance(event, RulebookRefused))
    assert full(refused.reason), "the journal takes it later"
    assert isinstance(session.look(), Accepted)
    assert session.version == load(PROFILE, session.home).version
    order(session.running.desk, 1)
    assert verify(session.logs / JOURNAL) == []


def test_what_decides_and_is_not_remembered_is_said_and_the_old_files_stay_whole(
    start: Callable[..., Session], caplog: pytest.LogCaptureFixture
) -> None:
    session = start()
    first = session.version
    session.fill_once_kept()
    assert isinstance(session.save(7), Accepted)
    assert session.version == load(PROFILE, session.home).version != first, "it was kept, so it decides"
    assert any("not remembered" in record.getMessage() for record in caplog.records)
    good = LastGood(session.logs).of(PROFILE)
    assert good is not None
    assert good.version == first
    assert all(entry.version in (first, session.version) for entry in History(session.logs).entries())
    session.make_room()
    loaded = [event for event in read(session.logs / JOURNAL) if isinstance(event, RulebookLoaded)]
    assert [event.rulebook for event in loaded] == [session.version]
    good = LastGood(session.logs).of(PROFILE)
    assert good is not None
    assert good.version == session.version == read_status(session.logs).version
    assert [(entry.how, entry.version) for entry in History(session.logs).entries()] == [
        ("start", first),
        ("reload", session.version),
    ]
    assert read_status(session.logs).unwritten == ""
    assert not list((session.logs / "reload").glob(".*.new")), "nothing half-written stays"


def test_what_no_history_has_yet_can_be_rolled_back_from(start: Callable[..., Session]) -> None:
    session = start()
    first = session.version
    session.fill_once_kept()
    assert isinstance(session.save(7), Accepted)
    second = session.version
    answer = session.ask(roll_back())
    assert answer.done, answer
    assert session.version == first != second


def test_a_candidate_that_cannot_be_kept_is_not_tried(start: Callable[..., Session], tmp_path: Path) -> None:
    session = start()
    write_home(tmp_path / "other", 7)
    request = Request(id=new_id(), action="shadow", candidate=f"{tmp_path / 'other'}:{PROFILE}", who="Ada")
    session.disk.fill()
    answer = session.ask(request)
    assert not answer.done
    assert full(answer.line)
    assert not session.running.desk.tried.is_tried
    session.make_room()
    assert session.ask(request).done
    assert session.running.desk.tried.is_tried


class Bundles:
    """What is published in one place, and a session that polls it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.bundle = folder / "built", folder / "bundle.json"

    def publish(self, number: int) -> str:
        """Publish a version; its name."""
        write_home(self.home, number)
        origin = Origin("Ada", 1_700_000_000, number)
        self.bundle.write_bytes(build(read_home(self.home).files, PROFILE, origin, key=None, gate="findings"))
        return load(PROFILE, self.home).version

    def options(self, logs: Path) -> ReloadOptions:
        reload = replace(QUICK, address=self.bundle.absolute().as_uri())
        return asyncio.run(fetch_first(reload, PROFILE, logs))


def with_two(start: Callable[..., Session], folder: Path) -> tuple[Session, Bundles, str, str]:
    """A session that began with the first of two versions, and finds the second: what is published, and both names."""
    bundles = Bundles(folder)
    first = bundles.publish(1)
    session = start(bundles.options(folder / "logs"))
    return session, bundles, first, bundles.publish(2)


def remembered(session: Session) -> tuple[str, int | None, int]:
    """What a later start takes: a version, the sequence of its bundle, and the highest that ran."""
    last_good = LastGood(session.logs)
    good, highest = last_good.of(PROFILE), last_good.highest(PROFILE)
    assert good is not None
    assert highest is not None
    return good.version, good.sequence, highest.sequence


def poll(session: Session) -> bool:
    """Ask once, and look at what came; whether anything did."""
    remote = session.reloading.remote
    assert remote is not None

    async def once() -> bool:
        polled = await remote.poll()
        if isinstance(polled, Arrived):
            await session.reloading.changes.take(remote, polled)
            return True
        return False

    return asyncio.run(once())


def test_a_bundle_that_cannot_be_kept_is_asked_for_again_and_decides_once_there_is_room(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    session, _, first, second = with_two(start, tmp_path)
    session.disk.fill()
    assert poll(session)
    assert session.version == first
    assert poll(session), "it is not what is wrong"
    session.make_room()
    assert poll(session)
    assert session.version == second
    assert not poll(session)
    assert remembered(session) == (second, 2, 2)


def test_a_sequence_that_is_not_remembered_is_written_as_soon_as_there_is_room(
    start: Callable[..., Session], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session, _, _, second = with_two(start, tmp_path)
    session.fill_once_kept()
    assert poll(session)
    assert session.version == second
    assert any("sequence of the bundle is not remembered" in record.getMessage() for record in caplog.records)
    session.make_room()
    assert poll(session)
    assert remembered(session) == (second, 2, 2)
    assert not poll(session)


def test_a_rollback_that_could_not_be_remembered_is_not_written_over_a_later_bundle(
    start: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, bundles, first, _ = with_two(start, tmp_path)
    assert poll(session)

    def refuse(*_: object) -> None:
        raise ReloadError("no space left on device", "make room")

    with monkeypatch.context() as patched:
        patched.setattr(session.reloading.in_force._last_good, "remember", refuse)
        assert session.ask(roll_back(first)).done
        third = bundles.publish(3)
        assert poll(session)
    session.make_room()
    assert remembered(session) == (session.version, 3, 3)
    assert session.version == third
    assert read_status(session.logs).unwritten == ""


def test_a_rollback_while_a_bundle_is_being_remembered_is_what_a_later_start_takes(
    start: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _, first, _ = with_two(start, tmp_path)
    in_force = session.reloading.in_force
    usual = in_force.remember_bundle

    async def just_after_a_rollback(taken: Callable[[], None]) -> None:
        assert (await session.reloading.commands.answer(roll_back(first))).done
        await usual(taken)

    monkeypatch.setattr(in_force, "remember_bundle", just_after_a_rollback)
    assert poll(session)
    session.make_room()
    assert session.version == first
    assert remembered(session) == (first, None, 2)
