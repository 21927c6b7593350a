"""What a crash leaves behind the last whole line is put aside when a journal is opened, and passed over by readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.journal import NEVER, Journal, read, tail
from engine.journal.writer import Torn
from tests.journal.disks import HastyDisk
from tests.journal.samples import DAY, at, filled, lines, order, probe, written

TODAY = "2024-08-08.jsonl"


def test_at_whatever_byte_the_last_commit_was_cut_off_what_was_whole_is_kept_and_the_rest_put_aside(
    tmp_path: Path,
) -> None:
    written(tmp_path / "whole", [probe(), order()], [filled(), probe(intent_id="ÄÖ €"), order()])
    whole = (tmp_path / "whole" / TODAY).read_bytes()
    committed = sum(map(len, lines(tmp_path / "whole" / TODAY)[:2]))
    for cut in range(committed, len(whole) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / TODAY).write_bytes(whole[:cut])
        kept = whole[:cut].rfind(b"\n") + 1
        expected = whole[:kept].count(b"\n")
        assert len(list(read(folder))) == expected, "a reader that comes first"
        assert [event.seq for event in tail(folder, 9)] == list(range(1, expected + 1))
        with Journal(folder, fsync=NEVER, disk=HastyDisk()) as journal:
            assert journal.last_seq == expected
            assert journal.torn == (
                () if kept == cut else (Torn(folder / TODAY, folder / "2024-08-08.torn", cut - kept),)
            )
            journal.add(probe(intent_id="after"))
        assert [event.seq for event in read(folder)] == list(range(1, expected + 2))
        if kept < cut:
            assert (folder / "2024-08-08.torn").read_bytes() == whole[kept:cut] + b"\n"


@pytest.mark.parametrize(
    "torn",
    [b"\0" * 5000, b"\0" * 70_000 + b"\n", b"garbage\n", b"one\ntwo\n{\n", b'\xff\xfe\n{"type":', b"\n", b"\n\n"],
)
def test_an_end_that_is_no_json_is_put_aside_whole(tmp_path: Path, torn: bytes) -> None:
    added = written(tmp_path, [probe(), probe()])
    with (tmp_path / TODAY).open("ab") as stream:
        stream.write(torn)
    assert list(read(tmp_path)) == added
    assert tail(tmp_path, 5) == added
    with Journal(tmp_path, fsync=NEVER) as journal:
        assert [held.size for held in journal.torn] == [len(torn)]
    assert (tmp_path / "2024-08-08.torn").read_bytes() == torn + b"\n"
    assert list(read(tmp_path)) == added


def test_pieces_of_several_crashes_are_kept_one_below_the_other(tmp_path: Path) -> None:
    for piece in (b'{"type":"pro', b'{"ty'):
        written(tmp_path, [probe()])
        with (tmp_path / TODAY).open("ab") as stream:
            stream.write(piece)
    written(tmp_path, [probe()])
    assert (tmp_path / "2024-08-08.torn").read_bytes() == b'{"type":"pro\n{"ty\n'
    assert [event.seq for event in read(tmp_path)] == [1, 2, 3]


def test_a_day_of_which_only_a_torn_line_was_written_begins_anew_with_its_checkpoint(tmp_path: Path) -> None:
    written(tmp_path, [probe()])
    (tmp_path / "2024-08-09.jsonl").write_bytes(b'{"type":"checkp')
    (tmp_path / "2024-08-10.jsonl").write_bytes(b"")
    with Journal(tmp_path, fsync=NEVER) as journal:
        assert journal.last_seq == 1
        assert [held.path.name for held in journal.torn] == ["2024-08-09.jsonl"]
    assert [path.name for path in tmp_path.glob("*.jsonl")] == [TODAY]
    written(tmp_path, [probe(at(DAY + 1))])
    assert [type(event).__name__ for event in read(tmp_path)] == ["ProbeGranted", "Checkpoint", "ProbeGranted"]
