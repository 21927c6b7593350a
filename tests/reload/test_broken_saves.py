"""Broken saves of all kinds: never a crash, never a bad rulebook, always the last good one, each with its finding."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.book import Book
from engine.language.findings import LoadError, Severity
from engine.language.load import Files, Workspace, read_files
from engine.reload.holder import Holder
from engine.reload.pipeline import Accepted, Pipeline, Refused, Unchanged
from engine.reload.read import read_home
from tests.reload.homes import FILES, PROFILE, make_home

Save = Callable[[Path, random.Random], Callable[[Path], Files]]
"""Does something to a file, and gives what reads the home then."""


def truncated(path: Path, rng: random.Random) -> Callable[[Path], Files]:
    text = FILES[_name(path)].encode()
    path.write_bytes(text[: rng.randrange(len(text))])
    return read_files


def empty(path: Path, _: random.Random) -> Callable[[Path], Files]:
    path.write_bytes(b"")
    return read_files


def binary(path: Path, rng: random.Random) -> Callable[[Path], Files]:
    path.write_bytes(rng.randbytes(rng.randrange(1, 4000)))
    return read_files


def wrong_encoding(path: Path, rng: random.Random) -> Callable[[Path], Files]:
    encoding = rng.choice(["utf-16", "utf-16-be", "utf-32", "cp037"])
    path.write_bytes(FILES[_name(path)].encode(encoding))
    return read_files


def a_byte_flipped(path: Path, rng: random.Random) -> Callable[[Path], Files]:
    text = bytearray(FILES[_name(path)].encode())
    text[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(text))
    return read_files


def permission_denied(path: Path, _: random.Random) -> Callable[[Path], Files]:
    """The superuser may read everything: a link into nowhere and one that leads to itself deny to all."""
    if os.geteuid():
        path.chmod(0)
    else:
        path.unlink()
        path.symlink_to(path.name)
    return read_files


def a_folder_in_its_place(path: Path, _: random.Random) -> Callable[[Path], Files]:
    path.unlink()
    path.mkdir()
    return read_files


def a_pipe_in_its_place(path: Path, _: random.Random) -> Callable[[Path], Files]:
    path.unlink()
    os.mkfifo(path)
    return read_files


def deleted(path: Path, _: random.Random) -> Callable[[Path], Files]:
    path.unlink()
    return read_files


def deleted_while_reading(path: Path, rng: random.Random) -> Callable[[Path], Files]:
    """Gone after the first reading, or between the listing of the folder and the reading of the file."""
    late = rng.random() < 0.5

    def read(home: Path) -> Files:
        if late:
            files = read_files(home)
            path.unlink(missing_ok=True)
            return files
        path.unlink(missing_ok=True)
        path.symlink_to("nowhere")  # listed, and not there when it is opened
        return read_files(home)

    return read


def written_while_reading(path: Path, rng: random.Random) -> Callable[[Path], Files]:
    def read(home: Path) -> Files:
        files = read_files(home)
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
    a_folder_in_its_place,
    a_pipe_in_its_place,
    deleted,
    deleted_while_reading,
    written_while_reading,
)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _restore(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_text(FILES[_name(path)], encoding="utf-8")


def _loads(files: Files) -> bool:
    """What the language itself says of these texts."""
    try:
        Workspace(files).rulebook(PROFILE)
    except LoadError:
        return False
    return True


@pytest.mark.parametrize("saves", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_last_good_rulebook_decides_on(tmp_path: Path, saves: int) -> None:
    home, rng = make_home(tmp_path / "home"), random.Random(5)
    pipeline = Pipeline(PROFILE)
    first = pipeline.consider(read_home(home).files, None)
    assert isinstance(first, Accepted)
    holder = Holder(first.book)
    refused = 0
    for number in range(saves):
        path = home / rng.choice(list(FILES))
        save = KINDS[number % len(KINDS)]
        reading = read_home(home, read=save(path, rng))
        before: Book = holder.current.book
        verdict = pipeline.consider(reading.files, before)
        if isinstance(verdict, Accepted):
            # A file cut at the end of a rule, or with another digit, may be a whole file: only these may come through.
            assert save in (truncated, a_byte_flipped), (save, path)
            assert _loads(reading.files)
            holder.swap(verdict.book)
        elif isinstance(verdict, Refused):
            refused += 1
            assert holder.current.book is before
            assert not _loads(reading.files)
            assert any(finding.severity is Severity.ERROR for finding in verdict.findings), (save, path)
            assert all(finding.message and finding.code for finding in verdict.findings)
        else:  # of no meaning and no text that the profile uses
            assert isinstance(verdict, Unchanged)
            assert save in (truncated, a_byte_flipped), (save, path)
        _restore(path)
        again = pipeline.consider(read_home(home).files, holder.current.book)
        assert isinstance(again, Unchanged | Accepted)
        if isinstance(again, Accepted):
            holder.swap(again.book)
        assert holder.current.book.version == first.book.version
    assert refused > saves * 0.7
