"""Telemetry in files: what is exported can be imported, and what is broken is said with its line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.journal.events import Event, Imported, RulebookLoaded, SessionStarted
from engine.journal.reader import read
from engine.routing.effectiveness import Effectiveness, Sample, TelemetryError
from engine.routing.telemetry import Telemetry, export, imported, load_samples, redated
from tests.routing.outcomes import DAY_MS, NOW_MS, outcome, sample, several_days, write_journal

HEADER = {"type": "telemetry", "v": 1, "source": "eu-1", "exported_ms": NOW_MS, "window_s": 604_800}
RULEBOOK: dict[str, Any] = {"profile": "prod", "rulebook": "4f1c", "sources": "00"}
LINE = {
    "symbol": "BTCUSDT",
    "ts_ms": NOW_MS - 1000,
    "attempted": "2",
    "filled": "1",
    "fallback": False,
    "submissions": 1,
    "post_only_rejects": 0,
    "slippage_bps": 0.5,
    "ack_ms": [40],
}


def written(path: Path, *lines: object) -> Path:
    """A file of lines; texts stand as they are, anything else as JSON."""
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def folded(events: Iterable[Event]) -> Effectiveness:
    view = Effectiveness()
    for event in events:
        view.see(event)
    return view


def import_of(telemetry: Telemetry, ts_ms: int = NOW_MS, shift_ms: int = 0) -> list[Imported]:
    return list(imported(telemetry.samples, telemetry.name, ts_ms, shift_ms))


def facts_of(view: Effectiveness, now_ms: int = NOW_MS) -> dict[str, dict[str, float]]:
    return {symbol: view.facts(symbol, now_ms) for symbol in view.symbols if view.samples(symbol, now_ms)}


# --- there and back --------------------------------------------------------------------------------------------------


def test_what_is_exported_and_imported_gives_the_same_facts(tmp_path: Path) -> None:
    """Through a second journal, as a session started with it would write one."""
    folder = write_journal(tmp_path / "journal", several_days(seed=3, count=1500, symbols=4))
    file = tmp_path / "telemetry.jsonl"
    header = export(folder, file, source="eu-1", now_ms=NOW_MS)
    telemetry = load_samples(file)
    assert telemetry.header == header
    assert telemetry.count > 500
    again = write_journal(tmp_path / "again", import_of(telemetry))
    assert facts_of(folded(read(again))) == facts_of(folded(read(folder)))
    assert facts_of(folded(read(again)), NOW_MS + DAY_MS) == facts_of(folded(read(folder)), NOW_MS + DAY_MS)


def test_an_export_of_an_import_is_the_same_file(tmp_path: Path) -> None:
    folder = write_journal(tmp_path / "journal", several_days(seed=4, count=300, symbols=2))
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    export(folder, first, source="eu-1", now_ms=NOW_MS)
    again = write_journal(tmp_path / "again", import_of(load_samples(first)))
    export(again, second, source="eu-1", now_ms=NOW_MS)
    assert sorted(first.read_text().splitlines()) == sorted(second.read_text().splitlines())
    assert load_samples(first).samples == load_samples(second).samples


def test_an_export_is_of_the_journals_last_moment_unless_another_is_named(tmp_path: Path) -> None:
    week_ms = 7 * DAY_MS
    outcomes = [outcome(NOW_MS - week_ms), outcome(NOW_MS - 5), outcome(NOW_MS)]
    folder = write_journal(tmp_path / "journal", [*outcomes, RulebookLoaded(ts_ms=NOW_MS + 1, **RULEBOOK)])
    file = tmp_path / "telemetry.jsonl"
    assert export(folder, file, source="eu-1").exported_ms == NOW_MS + 1
    assert [one.ts_ms for one in load_samples(file).samples["BTCUSDT"]] == [NOW_MS - 5, NOW_MS]
    # At an earlier moment as if it had been exported then: with what was in the window, and nothing from later.
    export(folder, file, source="eu-1", now_ms=NOW_MS - 1)
    assert [one.ts_ms for one in load_samples(file).samples["BTCUSDT"]] == [NOW_MS - week_ms, NOW_MS - 5]


def test_an_export_names_the_rulebook_that_decided_last(tmp_path: Path) -> None:
    started: dict[str, Any] = {"venue": "paper", "market": "recorded", "nav_usd": 1.0}
    events: list[Event] = [
        SessionStarted(ts_ms=NOW_MS - 3, **(RULEBOOK | started)),
        RulebookLoaded(ts_ms=NOW_MS - 2, **(RULEBOOK | {"rulebook": "77aa"})),
        outcome(),
        RulebookLoaded(ts_ms=NOW_MS + 2, **RULEBOOK),
    ]
    folder = write_journal(tmp_path / "journal", events)
    assert export(folder, tmp_path / "file", source="eu-1", now_ms=NOW_MS).rulebook == "77aa"


def test_an_empty_journal_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="there is no journal here"):
        export(tmp_path / "nowhere", tmp_path / "file", source="eu-1")


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    folder = write_journal(tmp_path / "journal", [outcome()])
    with pytest.raises(TelemetryError, match=r"no/such/file: cannot be written: no such file"):
        export(folder, tmp_path / "no/such/file", source="eu-1")
    (tmp_path / "taken").mkdir()
    with pytest.raises(TelemetryError, match="cannot be written"):
        export(folder, tmp_path / "taken", source="eu-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "taken"]


# --- importing -------------------------------------------------------------------------------------------------------


def test_an_import_is_one_event_a_symbol_with_the_source_and_the_shift(tmp_path: Path) -> None:
    other = LINE | {"symbol": "ADAUSDT"}
    telemetry = load_samples(written(tmp_path / "file", HEADER, LINE, other, LINE | {"ts_ms": NOW_MS - 2000}))
    events = import_of(telemetry, NOW_MS + 7, shift_ms=5)
    assert [(event.symbol, event.ts_ms, event.shifted_ms) for event in events] == [
        ("ADAUSDT", NOW_MS + 7, 5),
        ("BTCUSDT", NOW_MS + 7, 5),
    ]
    assert {event.source for event in events} == {f"eu-1 ({telemetry.digest[:12]})"}
    assert [said["ts_ms"] for said in events[1].samples] == [NOW_MS - 2000, NOW_MS - 1000]
    line = msgspec.json.encode(events[1])
    assert msgspec.json.decode(line, type=Imported) == events[1]
    assert len(msgspec.convert(events[1].samples, list[Sample])) == 2


def test_the_same_file_counts_once_and_another_of_the_same_source_beside_it(tmp_path: Path) -> None:
    file, later = written(tmp_path / "file", HEADER, LINE), written(tmp_path / "later", HEADER, LINE, LINE)
    view = folded([*import_of(load_samples(file)), *import_of(load_samples(file), NOW_MS + 5, shift_ms=9)])
    assert view.facts("BTCUSDT", NOW_MS)["sample_count"] == 1.0
    for event in import_of(load_samples(later), NOW_MS + 9):
        view.see(event)
    assert view.facts("BTCUSDT", NOW_MS)["sample_count"] == 3.0


def test_a_file_of_another_moment_has_another_name_though_its_samples_be_the_same(tmp_path: Path) -> None:
    later = HEADER | {"exported_ms": NOW_MS + 1}
    names = [load_samples(written(tmp_path / "file", header, LINE)).name for header in (HEADER, later, HEADER)]
    assert names[0] == names[2] != names[1]


def test_redated_samples_end_at_the_moment_and_keep_their_distances(tmp_path: Path) -> None:
    old = LINE | {"symbol": "ADAUSDT", "ts_ms": NOW_MS - DAY_MS}
    telemetry = load_samples(written(tmp_path / "file", HEADER, LINE, old))
    moved, shift_ms = redated(telemetry.samples, NOW_MS - 400 * DAY_MS)
    assert shift_ms == 1000 - 400 * DAY_MS
    assert [one.ts_ms for one in moved["ADAUSDT"]] == [NOW_MS - 401 * DAY_MS + 1000]
    assert moved["BTCUSDT"] == [
        sample(NOW_MS - 400 * DAY_MS, attempted=Decimal(2), filled=Decimal(1), slippage_bps=0.5)
    ]
    assert telemetry.samples["BTCUSDT"][0].ts_ms == NOW_MS - 1000


def test_a_file_without_samples_is_a_file(tmp_path: Path) -> None:
    telemetry = load_samples(written(tmp_path / "file", HEADER))
    assert (telemetry.count, import_of(telemetry)) == (0, [])
    assert redated(telemetry.samples, 5) == ({}, 0)


def test_samples_come_in_order_of_time_whatever_the_file_s_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    lines = [LINE | {"ts_ms": NOW_MS - ms} for ms in (5, 90, 30)]
    telemetry = load_samples(written(tmp_path / "file", HEADER, lines[0], "", *lines[1:], "  "))
    assert [one.ts_ms for one in telemetry.samples["BTCUSDT"]] == [NOW_MS - 90, NOW_MS - 30, NOW_MS - 5]


def test_what_was_not_measured_may_be_left_out_and_stays_missing(tmp_path: Path) -> None:
    bare = {name: value for name, value in LINE.items() if name not in ("slippage_bps", "ack_ms")}
    telemetry = load_samples(written(tmp_path / "file", HEADER, bare | {"attempted": 2.5}))
    facts = folded(import_of(telemetry)).facts("BTCUSDT", NOW_MS)
    assert facts["maker_fill_ratio"] == 0.4
    assert not [name for name in facts if name.startswith(("slippage", "ack"))]


# --- broken files ----------------------------------------------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in LINE.items() if key != name}


@pytest.mark.parametrize(
    ("line", "message", "help_text"),
    [
        (LINE | {"ts_ms": str(NOW_MS)}, "`ts_ms`: expected a whole number, got a text", "without quotes"),
        (LINE | {"ts_ms": "2024-08-08T00:00:00Z"}, "`ts_ms`: expected a whole number, got a text", "without quotes"),
        (LINE | {"ts_ms": NOW_MS + 1}, "2024-08-09 00:00:00 UTC), after the export at 1723161600000", "stay fresh"),
        (LINE | {"ts_ms": NOW_MS // 1000}, "1970-01-20 22:39:21 UTC), more than 604800 s before", "milliseconds since"),
        (LINE | {"ts_ms": NOW_MS - 7 * DAY_MS}, "more than 604800 s before the export", "leave out what lies before"),
        (LINE | {"ts_ms": -(10**18)}, "`ts_ms` is -1000000000000000000, more than", "milliseconds since"),
        (LINE | {"attempted": "NaN"}, "a quantity is not finite", "docs/telemetry.md"),
        (LINE | {"attempted": "two"}, "`attempted`: invalid decimal string", "docs/telemetry.md"),
        (LINE | {"attempted": "0", "filled": "0"}, "without a quantity there was no attempt", "docs/telemetry.md"),
        (LINE | {"attempted": "1e400"}, "`attempted` is 1e+400", "at most 1000000000000"),
        (LINE | {"filled": "1e-400"}, "`filled` is 1e-400", "18 digits behind the point"),
        (LINE | {"filled": "2.1"}, "`filled` is 2.1, of 2 attempted", "docs/telemetry.md"),
        (LINE | {"filled": "-1"}, "`filled` is -1, of 2 attempted", "docs/telemetry.md"),
        (LINE | {"post_only_rejects": 2}, "`post_only_rejects` is 2, of 1 submissions", "docs/telemetry.md"),
        (LINE | {"submissions": True}, "`submissions`: expected a whole number, got true or false", "docs"),
        (LINE | {"fallback": 0}, "`fallback`: expected true or false, got a whole number", "docs/telemetry.md"),
        (LINE | {"ack_ms": [40, "41"]}, "`ack_ms[1]`: expected a whole number, got a text", "docs/telemetry.md"),
        (LINE | {"ack_ms": [-1]}, "nothing is acknowledged before it is sent", "docs/telemetry.md"),
        (json.dumps(LINE).replace("0.5", "1e999"), "`slippage_bps`: number out of range", "docs/telemetry.md"),
        (LINE | {"slipage_bps": 1.0}, "object contains unknown field `slipage_bps`", "docs/telemetry.md"),
        (without("post_only_rejects"), "object missing required field `post_only_rejects`", "docs/telemetry.md"),
        (LINE | {"symbol": ""}, "`symbol` is empty", "docs/telemetry.md"),
        ([LINE], "expected an object, got a list", "docs/telemetry.md"),
        (json.dumps(LINE)[:-9], "JSON is malformed", "docs/telemetry.md"),
        (json.dumps(LINE) * 2, "JSON is malformed: trailing characters", "docs/telemetry.md"),
        (LINE | {"attempted": "9" * 5000}, "`attempted` is 1.00000000e+5000", "at most 1000000000000"),
        ("x" * (1 << 21), "the line is too long for a sample", "docs/telemetry.md"),
    ],
)
def test_a_broken_sample_is_said_with_its_line(tmp_path: Path, line: object, message: str, help_text: str) -> None:
    file = written(tmp_path / "eu-1.jsonl", HEADER, LINE, line, LINE)
    with pytest.raises(TelemetryError) as caught:
        load_samples(file)
    assert caught.value.place == f"{file}:3"
    assert message in caught.value.message
    assert help_text in caught.value.help
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the first line has to be the header of a telemetry file, and is empty"),
        (LINE, 'the first line is no header: it has to hold `"type": "telemetry"`'),
        ([1], "expected an object, got a list"),
        ("symbol,ts_ms,attempted", "JSON is malformed"),
        (HEADER | {"v": 2, "unit": "us"}, "the format is of version 2, and this Sluice reads version 1"),
        (HEADER | {"exported_ms": "now"}, "`exported_ms`: expected a whole number, got a text"),
        (HEADER | {"exporter": "me"}, "object contains unknown field `exporter`"),
        (HEADER | {"window_s": 0}, "`window_s` is 0"),
        ('{"type":' + "[" * 5000, "is nested too deep"),
        (HEADER | {"v": "1"}, "`v`: expected a whole number, got a text"),
        ({"type": "telemetry"}, "object missing required field `source`"),
    ],
)
def test_a_broken_header_is_said_with_its_line(tmp_path: Path, line: object, message: str) -> None:
    file = written(tmp_path / "eu-1.jsonl", line, LINE)
    with pytest.raises(TelemetryError) as caught:
        load_samples(file)
    assert caught.value.place == f"{file}:1"
    assert message in caught.value.message


def test_another_encoding_is_said_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path / "file", HEADER)
    file.write_bytes(file.read_bytes() + json.dumps(LINE).encode().replace(b"BTC", "BÜC".encode("latin-1")))
    with pytest.raises(TelemetryError, match=r"file:2: is no UTF-8"):
        load_samples(file)


def test_an_empty_file_a_folder_and_no_file_at_all_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(TelemetryError, match=r"empty:1: the first line has to be the header"):
        load_samples(tmp_path / "empty")
    with pytest.raises(TelemetryError, match="cannot be read: is a directory"):
        load_samples(tmp_path)
    with pytest.raises(TelemetryError, match=r"nothing: cannot be read: no such file"):
        load_samples(tmp_path / "nothing")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), headed=st.booleans())
def test_no_bytes_make_a_traceback(tmp_path: Path, content: bytes, headed: bool) -> None:
    file = tmp_path / "file"
    file.write_bytes(json.dumps(HEADER).encode() + b"\n" + content if headed else content)
    if headed and not content.strip():
        assert load_samples(file).count == 0
    else:
        with pytest.raises(TelemetryError):
            load_samples(file)
