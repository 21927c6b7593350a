import gzip
from pathlib import Path

import pytest

from engine.market import MarketDataError
from engine.market.rows import first_rows, read_rows
from tests.market.samples import write, write_archive, write_bytes

SUFFIXES = [".csv", ".csv.gz", ".zip"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_with_their_line_numbers(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows{suffix}", "a,b", "", "1,2", "3")
    assert list(read_rows(path)) == [(1, ["a", "b"]), (3, ["1", "2"]), (4, ["3"])]


def test_skipped_lines_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "head_er", "1")
    assert list(read_rows(path, skip_lines=1)) == [(2, ["1"])]


def test_the_last_line_needs_no_line_break(tmp_path: Path) -> None:
    assert list(read_rows(write_bytes(tmp_path / "rows.csv", b"1\n2"))) == [(1, ["1"]), (2, ["2"])]


def test_carriage_returns_are_no_part_of_a_field(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "1,true", "2,false", end="\r\n")
    assert [row for _, row in read_rows(path)] == [["1", "true"], ["2", "false"]]
    assert first_rows(path, 2) == [["1", "true"], ["2", "false"]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lines_across_blocks_stay_whole(tmp_path: Path, suffix: str) -> None:
    lines = [f"{number},{'x' * (number % 97)}" for number in range(20_000)]
    path = write(tmp_path / f"rows{suffix}", *lines, end="\r\n")
    assert [",".join(row) for _, row in read_rows(path)] == lines


def test_a_truncated_gzip_file_delivers_what_is_whole_and_names_the_next_line(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"{number},{number**3 % 7919}\n" for number in range(50_000)).encode())
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    delivered: list[int] = []
    with pytest.raises(MarketDataError, match=r"rows\.csv\.gz:\d+: the compressed file is truncated") as caught:
        delivered.extend(number for number, _ in read_rows(path))
    assert 10_000 < len(delivered) < 40_000
    assert caught.value.line == delivered[-1] + 1
    assert "fetch it again" in caught.value.help


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"1,\xff\n", "bytes that are not ASCII text"),
        ("rows.csv", b"1" * 200_000, "the line does not end"),
        ("rows.csv", b"1\n61_800,2\n", "`61_800` is not a number"),
        ("rows.csv.gz", b"1,2\n", "the compressed file is damaged"),
        ("rows.zip", b"1,2\n", "the compressed file is damaged"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MarketDataError, match=message):
        list(read_rows(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match=r"none\.csv: no such file"):
        list(read_rows(tmp_path / "none.csv"))


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "rows.zip", [("a.csv", b"1\n"), ("b.csv", b"2\n")])
    with pytest.raises(MarketDataError, match="the archive holds 2 files"):
        list(read_rows(path))


def test_a_damaged_checksum_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv.gz", "1,2")
    damaged = bytearray(path.read_bytes())
    damaged[-8] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(MarketDataError, match=r"rows\.csv\.gz:2: the compressed file is damaged"):
        list(read_rows(path))


def test_an_empty_file_has_no_first_row(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match=r"rows\.csv:1: the first line is empty"):
        first_rows(write_bytes(tmp_path / "rows.csv", b""), 2)
