import io
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.journal.folder import DayFile, archived_path, day_files, day_path, days_since_1970, lines_backwards
from tests.journal.samples import DAY


@given(
    content=st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r", b"d" * 9]), max_size=20).map(b"".join),
    block_bytes=st.integers(1, 12),
)
@example(content=b"", block_bytes=1)
def test_lines_from_the_end_are_the_lines_from_the_beginning(content: bytes, block_bytes: int) -> None:
    forwards = list(io.BytesIO(content))
    offsets = [sum(map(len, forwards[:number])) for number in range(len(forwards))]
    assert list(lines_backwards(io.BytesIO(content), block_bytes))[::-1] == list(zip(offsets, forwards, strict=True))


def test_days_and_their_files() -> None:
    assert day_path(Path("j"), DAY) == Path("j/2024-08-08.jsonl")
    assert day_path(Path("j"), -1) == Path("j/1969-12-31.jsonl")
    assert days_since_1970(date(2024, 8, 8)) == DAY
    with pytest.raises(ValueError, match="lies in no year with four digits"):
        day_path(Path("j"), 10**7)


def test_other_files_are_none_of_the_journal(tmp_path: Path) -> None:
    for name in (
        "2024-08-08.jsonl",
        "2024-08-07.jsonl",
        "2024-08-08.torn",
        "2024-13-45.jsonl",
        "x.jsonl",
        "writer.lock",
    ):
        (tmp_path / name).touch()
    (tmp_path / "2024-08-06.jsonl.gz").touch()
    assert [file.path.name for file in day_files(tmp_path, archived=True)] == ["2024-08-07.jsonl", "2024-08-08.jsonl"]


def test_of_a_day_that_is_there_twice_the_plain_file_counts(tmp_path: Path) -> None:
    for path in (tmp_path / "2024-08-08.jsonl", *(archived_path(tmp_path, date(2024, 8, day)) for day in (7, 8))):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert day_files(tmp_path, archived=True) == [
        DayFile(date(2024, 8, 7), tmp_path / "archive/2024-08-07.jsonl.gz", is_archived=True),
        DayFile(date(2024, 8, 8), tmp_path / "2024-08-08.jsonl"),
    ]
    assert [file.day.day for file in day_files(tmp_path, archived=False)] == [8]


def test_a_folder_that_is_not_there_has_no_days(tmp_path: Path) -> None:
    assert day_files(tmp_path / "nowhere", archived=True) == []
