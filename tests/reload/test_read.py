"""A home is read as it stood at one moment, whoever writes to it meanwhile; what cannot be read is a finding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.language.load import Files, read_files
from engine.reload.read import MOST_READINGS, Signature, read_home, signature_of
from tests.reload.homes import FILES, VALUES, make_home, values


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


def writing(acts: Iterator[Callable[[], object]]) -> Callable[[Path], Files]:
    """A reader of files beside which somebody writes: one act after each reading."""

    def read(home: Path) -> Files:
        files = read_files(home)
        next(acts, lambda: None)()
        return files

    return read


def test_a_quiet_home_is_read_twice(home: Path) -> None:
    reading = read_home(home)
    assert {name: source.text for name, source in reading.files.sources.items()} == FILES
    assert reading.readings == 2
    assert reading.files.findings == ()
    assert reading.signature == signature_of(home)


def test_what_is_saved_between_two_readings_is_read_again(home: Path) -> None:
    reading = read_home(home, read=writing(iter([lambda: (home / VALUES).write_text(values(11))])))
    assert reading.files.sources[VALUES].text == values(11)
    assert reading.readings == 3


def test_a_save_that_keeps_size_and_times_is_seen_by_its_text(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.reload.read.signature_of", lambda _: ())
    reading = read_home(home, read=writing(iter([lambda: (home / VALUES).write_text(values(11))])))
    assert reading.files.sources[VALUES].text == values(11)
    assert reading.readings == 3


def test_the_signature_is_never_newer_than_the_texts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what was saved just then would look as if it had been read."""
    asked: list[None] = []

    def signature(folder: Path) -> Signature:
        asked.append(None)
        if len(asked) == 3:  # after the second reading
            (home / VALUES).write_text(values(11))
        return signature_of(folder)

    monkeypatch.setattr("engine.reload.read.signature_of", signature)
    reading = read_home(home)
    assert reading.files.sources[VALUES].text == values(11)
    assert reading.signature == signature_of(home)


def test_two_files_saved_one_after_the_other_are_never_read_half(home: Path) -> None:
    """The second is written before the reader comes to it, the first after: no such home ever was."""
    first, second = home / "policies/facts.yaml", home / VALUES

    def read(folder: Path) -> Files:
        files = read_files(folder)
        if not seen:
            first.write_text(FILES["policies/facts.yaml"] + "# new\n")
            second.write_text(values(11))
            seen.append(read_files(folder))
            half = {**files.sources, VALUES: seen[0].sources[VALUES]}
            return Files(half, ())
        return files

    seen: list[Files] = []
    reading = read_home(home, read=read)
    assert reading.files.sources[VALUES].text == values(11)
    assert reading.files.sources["policies/facts.yaml"].text.endswith("# new\n")


def test_a_home_that_never_settles_is_a_finding(home: Path) -> None:
    numbers = iter(range(100))
    acts = (lambda: (home / VALUES).write_text(values(next(numbers))) for _ in iter(int, 1))
    reading = read_home(home, read=writing(acts))
    assert [finding.code for finding in reading.files.findings] == ["reload.unsettled"]
    assert reading.readings == MOST_READINGS


def test_a_file_deleted_while_it_is_read_is_gone(home: Path) -> None:
    reading = read_home(home, read=writing(iter([(home / "rules/offset.yaml").unlink])))
    assert "rules/offset.yaml" not in reading.files.sources
    assert reading.files.findings == ()


@pytest.mark.parametrize("act", ["text", "replace", "permission", "touch", "remove", "add"])
def test_every_kind_of_save_changes_the_signature(home: Path, act: str) -> None:
    before = signature_of(home)
    path = home / VALUES
    match act:
        case "text":
            path.write_text(values(11.5))
        case "replace":
            beside = path.with_name("new.tmp")
            beside.write_text(FILES[VALUES])
            beside.replace(path)
        case "permission":
            path.chmod(0o600)
        case "touch":
            os.utime(path, ns=(1, 1))
        case "remove":
            path.unlink()
        case "add":
            (home / "rules/new.yaml").write_text("")
    assert signature_of(home) != before


def test_what_is_no_document_does_not_change_the_signature(home: Path) -> None:
    before = signature_of(home)
    (home / "rules/.tier.yaml.swp").write_text("x")
    (home / "rules/tier.yaml~").write_text("x")
    (home / "logs").mkdir()
    (home / "logs/journal.yaml").write_text("x")
    assert signature_of(home) == before


@pytest.mark.parametrize("folder", ["", "rules"])
def test_a_folder_that_is_away_is_a_finding_and_another_signature(home: Path, folder: str) -> None:
    before = signature_of(home)
    (home / folder).rename(home.with_name("away"))
    reading = read_home(home)
    assert reading.signature != before
    assert [finding.code for finding in reading.files.findings] == ["file.missing"]
