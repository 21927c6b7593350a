import gzip
from pathlib import Path

import pytest

from engine.market import MarketDataError
from engine.market.rows import first_lines, read_chunks
from tests.market.samples import write, write_archive, write_bytes

SUFFIXES = [".csv", ".csv.gz", ".zip"]


def lines_of(path: Path, skip_lines: int = 0) -> list[tuple[int, bytes]]:
    """All lines with their numbers."""
    return [
        numbered
        for chunk in read_chunks(path, skip_lines=skip_lines)
        for numbered in enumerate(chunk.text.split(b"\n"), chunk.first_line)
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lines_come_with_their_numbers(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows{suffix}", "a,b", "", "1,2", "3")
    assert lines_of(path) == [(1, b"a,b"), (2, b""), (3, b"1,2"), (4, b"3")]


def test_skipped_lines_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "header", "1", "2")
    assert lines_of(path, skip_lines=1) == [(2, b"1"), (3, b"2")]
    assert lines_of(path, skip_lines=3) == []


def test_the_last_line_needs_no_line_break(tmp_path: Path) -> None:
    assert lines_of(write_bytes(tmp_path / "rows.csv", b"1\n2")) == [(1, b"1"), (2, b"2")]


def test_carriage_returns_are_no_part_of_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "1,true", "2,false", end="\r\n")
    assert lines_of(path) == [(1, b"1,true"), (2, b"2,false")]
    assert first_lines(path, 2) == [b"1,true", b"2,false"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lines_across_chunks_stay_whole(tmp_path: Path, suffix: str) -> None:
    lines = [f"{number},{'x' * (number % 97)}".encode() for number in range(20_000)]
    path = write(tmp_path / f"rows{suffix}", *(line.decode() for line in lines), end="\r\n")
    assert lines_of(path) == list(enumerate(lines, 1))
    assert lines_of(path, skip_lines=5_000) == list(enumerate(lines, 1))[5_000:]


def test_a_truncated_gzip_file_delivers_what_is_whole_and_names_the_next_line(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"{number},{number**3 % 7919}\n" for number in range(50_000)).encode())
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    delivered: list[int] = []
    with pytest.raises(MarketDataError, match=r"rows\.csv\.gz:\d+: the compressed file is truncated") as caught:
        delivered.extend(chunk.text.count(b"\n") + 1 for chunk in read_chunks(path))
    assert 10_000 < sum(delivered) < 40_000
    assert caught.value.line == sum(delivered) + 1
    assert "fetch it again" in caught.value.help


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"1" * 200_000, "the line does not end"),
        ("rows.csv.gz", b"1,2\n", "the compressed file is damaged"),
        ("rows.zip", b"1,2\n", "the compressed file is damaged"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MarketDataError, match=message):
        list(read_chunks(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match=r"none\.csv: no such file"):
        list(read_chunks(tmp_path / "none.csv"))


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "rows.zip", [("a.csv", b"1\n"), ("b.csv", b"2\n")])
    with pytest.raises(MarketDataError, match="the archive holds 2 files"):
        list(read_chunks(path))


def test_a_damaged_checksum_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv.gz", "1,2")
    damaged = bytearray(path.read_bytes())
    damaged[-8] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(MarketDataError, match=r"rows\.csv\.gz:2: the compressed file is damaged"):
        list(read_chunks(path))


def test_an_empty_file_has_no_first_line(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match=r"rows\.csv:1: the first line is empty"):
        first_lines(write_bytes(tmp_path / "rows.csv", b""), 2)
