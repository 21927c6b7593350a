"""A file of JSON lines as a view: what a crash, a full disk or a lost journal end leaves is put right."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from engine.routing.evidence import line_file
from engine.routing.evidence.line_file import BehindError, LineFile, seq_of


def line(seq: int, text: str = "x") -> bytes:
    return f'{{"seq":{seq},"text":"{text}"}}'.encode()


def numbers(path: Path) -> list[int]:
    return [seq_of(each) or -1 for each in path.read_bytes().splitlines(keepends=True)]


def written(path: Path, *seqs: int, last_seq: int = 100) -> LineFile:
    file = LineFile(path, last_seq)
    for seq in seqs:
        file.add(seq, line(seq))
    file.write()
    return file


def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "below" / "lines.jsonl"
    file = written(path, 3, 7)
    file.add(9, line(9))
    file.write()
    assert path.read_bytes() == b"".join(line(seq) + b"\n" for seq in (3, 7, 9))


def test_events_seen_again_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    written(path, 3, 7)
    written(path, 3, 7, 9)
    assert numbers(path) == [3, 7, 9]


def test_a_file_that_lacks_lines_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(line(3) + b"\n")
    written(path, 3, 5, 7)
    assert numbers(path) == [3, 5, 7]


@pytest.mark.parametrize("torn", [b'{"seq":7,"te', b'{"seq":7,"text":"x"}', b"\0\0\0\n", b'{"seq"\n', b"\xff\xfe\n"])
def test_a_torn_line_is_cut_off_and_written_again(torn: bytes, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(line(3) + b"\n" + torn)
    written(path, 3, 7)
    assert numbers(path) == [3, 7]


def test_lines_that_the_journal_lost_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    written(path, 3, 7, 9)
    file = LineFile(path, 7)
    assert numbers(path) == [3, 7]
    file.add(8, line(8, "another"))
    file.write()
    assert path.read_bytes().endswith(line(8, "another") + b"\n")


def test_a_line_of_somebody_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"theirs":true}\n')
    written(path, 3)
    assert path.read_bytes() == b'{"theirs":true}\n' + line(3) + b"\n"


def test_a_file_that_was_moved_away_goes_on_in_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    file = written(path, 3)
    path.rename(tmp_path / "lines.1")
    file.add(5, line(5))
    file.write()
    path.rename(tmp_path / "lines.2")
    for seq in (3, 5, 7):
        file.add(seq, line(seq))
    file.write()
    assert numbers(path) == [7]


def test_what_somebody_else_appends_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    file = written(path, 3)
    with path.open("ab") as stream:
        stream.write(b'{"theirs":true}\n')
    file.add(5, line(5))
    file.write()
    assert path.read_bytes().splitlines() == [line(3), b'{"theirs":true}', line(5)]


def test_a_file_that_could_not_be_opened_is_asked_what_it_holds_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines.jsonl"
    written(path, 3)
    with monkeypatch.context() as locked:
        locked.setattr(Path, "open", refusing)
        file = LineFile(path, 100)
    file.add(3, line(3))
    file.add(5, line(5))
    file.write()
    assert numbers(path) == [3, 5]


def refusing(*_: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


class FullDisk:
    """Takes some bytes, and then nothing until there is room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._pwrite = os.pwrite

    def __call__(self, file: int, content: Any, offset: int) -> int:
        taken = min(len(content), self.room)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= taken
        return self._pwrite(file, content[:taken], offset)


def test_a_full_disk_leaves_no_half_line_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl"
    file = written(path, 3)
    disk = FullDisk(len(line(5)) + 4)
    monkeypatch.setattr(os, "pwrite", disk)
    file.add(5, line(5))
    file.add(7, line(7))
    with pytest.raises(OSError, match="No space") as raised:
        file.write()
    assert raised.value.filename == str(path)
    assert numbers(path) == [3]
    disk.room = 1000
    file.add(9, line(9))
    file.write()
    assert numbers(path) == [3, 5, 7, 9]


def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "below").write_text("no folder")
    file = LineFile(tmp_path / "below" / "lines.jsonl", 100)
    file.add(3, line(3))
    with pytest.raises(OSError, match=r"exists|directory"):
        file.write()
    (tmp_path / "below").unlink()
    file.write()
    assert numbers(tmp_path / "below" / "lines.jsonl") == [3]


def test_too_many_waiting_lines_are_left_to_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_file, "MOST_WAITING", 2)
    path = tmp_path / "lines.jsonl"
    file = written(path, 1)
    for seq in (2, 3, 4, 5):
        file.add(seq, line(seq))
    with pytest.raises(BehindError, match="next start"):
        file.write()
    assert not file.wants(6)
    assert numbers(path) == [1], "a gap would never be noticed"
    written(path, 1, 2)
    assert numbers(path) == [1, 2]
