"""A watched home: one change for what was saved together, however it was saved, and none for what does not matter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.reload.read import read_home, signature_of
from engine.reload.watch import Change, Watch, WatchfilesSource, WatchSettings, places_of
from tests.reload.homes import FILES, VALUES, make_home, values


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


class Script:
    """A source of changes: each wait does the next thing, and says whether the system would have told of it."""

    def __init__(self, steps: Sequence[tuple[Callable[[], object], bool]]) -> None:
        self._steps = list(steps)
        self.places: list[frozenset[Path]] = []
        self.timeouts: list[float] = []
        self.is_closed = False

    async def wait(self, places: frozenset[Path], timeout_s: float) -> bool:
        self.places.append(places)
        self.timeouts.append(timeout_s)
        if not self._steps:
            raise EOFError
        act, told = self._steps.pop(0)
        act()
        return told

    async def close(self) -> None:
        self.is_closed = True


def changes(home: Path, source: Script, since: object = None) -> list[Change]:
    """Every change until the script is over; the clock counts how often it was asked."""

    async def collect() -> list[Change]:
        moments = iter(range(1000))
        watch = Watch(home, since=since, source=source, clock=lambda: float(next(moments)))  # type: ignore[arg-type]
        found: list[Change] = []
        with contextlib.suppress(EOFError):
            async with watch:
                async for change in watch:
                    found.append(change)  # noqa: PERF401 - those before the error are wanted
        return found

    return asyncio.run(collect())


def test_a_save_is_a_change_with_its_moment(home: Path) -> None:
    source = Script([(lambda: (home / VALUES).write_text(values(11)), True)])
    assert changes(home, source) == [Change(1.0, is_there=True, signature=signature_of(home))]
    assert source.is_closed


def test_several_files_saved_together_are_one_change(home: Path) -> None:
    def save() -> None:
        for name, text in FILES.items():
            (home / name).write_text(text + "# saved\n")

    assert len(changes(home, Script([(save, True), (lambda: None, True)]))) == 1


def test_an_editor_that_replaces_the_file_is_one_change(home: Path) -> None:
    beside = home / "profiles/.live.yaml.swp"
    steps = [(lambda: beside.write_text(values(11)), True), (lambda: beside.replace(home / VALUES), True)]
    assert len(changes(home, Script(steps))) == 1


def test_what_does_not_matter_wakes_nobody(home: Path) -> None:
    (home / "logs").mkdir()
    steps = [
        (lambda: (home / "logs/journal.jsonl").write_text("{}"), True),
        (lambda: (home / "rules/4913").write_text(""), True),
    ]
    assert changes(home, Script(steps)) == []


def test_a_save_that_the_system_did_not_tell_of_is_found_when_time_is_over(home: Path) -> None:
    source = Script([(lambda: (home / VALUES).write_text(values(11)), False)])
    assert len(changes(home, source)) == 1
    assert source.timeouts[0] == WatchSettings().poll_s


def test_what_was_saved_since_the_last_reading_is_told_at_once(home: Path) -> None:
    reading = read_home(home)
    (home / VALUES).write_text(values(11))
    assert len(changes(home, Script([]), since=reading.signature)) == 1


def test_a_home_that_disappears_and_comes_back_is_two_changes(home: Path) -> None:
    away = home.with_name("away")
    source = Script([(lambda: home.rename(away), True), (lambda: away.rename(home), False)])
    assert [change.is_there for change in changes(home, source)] == [False, True]
    assert source.places[1] == {home.parent}


def test_a_folder_that_disappears_and_comes_back_is_two_changes(home: Path) -> None:
    away = home.with_name("away")
    source = Script([(lambda: (home / "rules").rename(away), True), (lambda: away.rename(home / "rules"), False)])
    assert [change.is_there for change in changes(home, source)] == [False, True]


def config_map(folder: Path, name: str, text: str) -> None:
    """A new state of a ConfigMap, as the kubelet writes it: a folder of its own, then one link renamed."""
    state = folder / name
    state.mkdir()
    for document in ("live.yaml",):
        (state / document).write_text(text)
        if not (folder / document).is_symlink():
            (folder / document).unlink(missing_ok=True)
            (folder / document).symlink_to(f"..data/{document}")
    beside = folder / "..data_tmp"
    beside.symlink_to(name)
    beside.rename(folder / "..data")


def test_a_config_map_is_swapped_by_one_link(home: Path) -> None:
    config_map(home / "profiles", "..2024_08_08", values(10))
    source = Script([(lambda: config_map(home / "profiles", "..2024_08_09", values(11)), True)])
    assert len(changes(home, source)) == 1
    assert {home / "profiles", home / "profiles/..2024_08_08"} <= source.places[0]
    assert home / "profiles/..2024_08_09" in source.places[1]
    assert read_home(home).files.sources[VALUES].text == values(11)


def test_git_sync_swaps_the_link_that_is_the_home(home: Path, tmp_path: Path) -> None:
    link, second = tmp_path / "links/current", make_home(tmp_path / "trees/two")
    link.parent.mkdir()
    link.symlink_to(Path("../home"))
    (second / VALUES).write_text(values(11))

    def swap() -> None:
        beside = link.with_name("new")
        beside.symlink_to(second)
        beside.rename(link)

    source = Script([(swap, True)])
    assert len(changes(link, source)) == 1
    assert {tmp_path / "links", home, home / "rules"} <= source.places[0]
    assert {tmp_path / "links", second, second / "rules"} <= source.places[1]
    assert read_home(link).files.sources[VALUES].text == values(11)


def test_a_link_above_the_home_is_watched_too(home: Path, tmp_path: Path) -> None:
    (tmp_path / "above").symlink_to(tmp_path / "deep")
    (tmp_path / "deep").mkdir()
    home.rename(tmp_path / "deep/home")
    assert tmp_path in places_of(tmp_path / "above/home")


def test_links_that_lead_in_a_circle_end_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert tmp_path in places_of(tmp_path / "a")


def test_a_path_that_no_system_takes_is_away(tmp_path: Path) -> None:
    assert changes(tmp_path / "a\0b", Script([])) == []


async def _first(watch: Watch, act: Callable[[], object]) -> Change:
    """The first change after an act that is done once events are collected."""
    task = asyncio.ensure_future(anext(watch))
    source = watch._source
    assert isinstance(source, WatchfilesSource)
    while source._next is None:  # noqa: ASYNC110 - nothing says when watchfiles is at work
        await asyncio.sleep(0)
    act()
    return await task


@pytest.mark.parametrize("kind", ["save", "replace", "remove", "several"])
def test_the_system_tells_of_it(home: Path, kind: str) -> None:
    """With watchfiles itself, and time to look only after an hour."""
    path = home / VALUES

    def act() -> None:
        match kind:
            case "save":
                path.write_text(values(11))
            case "replace":
                path.with_name("beside").write_text(values(11))
                path.with_name("beside").replace(path)
            case "remove":
                path.unlink()
            case "several":
                for name, text in FILES.items():
                    (home / name).write_text(text + "# saved\n")

    async def run() -> Change:
        async with Watch(home, WatchSettings(quiet_ms=5, poll_s=3600)) as watch:
            return await asyncio.wait_for(_first(watch, act), 30)

    before = signature_of(home)
    assert asyncio.run(run()).signature != before


def test_without_events_of_the_system_it_looks_now_and_then(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError(28, "limit of watches reached")

    async def failing(*_: object, **__: object) -> object:
        refuse()
        yield set()

    monkeypatch.setattr("watchfiles.awatch", failing)

    async def run() -> Change:
        async with Watch(home, WatchSettings(poll_s=0.001)) as watch:
            task = asyncio.ensure_future(anext(watch))
            source = watch._source
            assert isinstance(source, WatchfilesSource)
            while not source.trouble:  # noqa: ASYNC110 - nothing says when it failed
                await asyncio.sleep(0)
            (home / VALUES).write_text(values(11))
            return await asyncio.wait_for(task, 30)

    assert asyncio.run(run()).is_there
    assert "limit of watches reached" in caplog.text
