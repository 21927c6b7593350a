"""Decisions of a journal as they were: facts, and what became of the intent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from engine.journal.errors import JournalError
from engine.journal.events import Event
from engine.journal.folder import DAY_MS, day_path
from engine.journal.lines import encode
from engine.routing.evidence.costs import shortfall
from engine.routing.evidence.past import IntentCost, is_journal, past_decisions
from tests.analysis.diff.homes import HOME
from tests.analysis.diff.homes import write as write_home
from tests.cli.harness import sluice
from tests.routing.written import NOW_MS, Written, ended, ended_taker, route, shipped, sound


def write(folder: Path, events: list[Event]) -> Path:
    """The file of a day of a journal."""
    folder.mkdir(parents=True, exist_ok=True)
    path = day_path(folder, NOW_MS // DAY_MS)
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


@pytest.fixture
def journal() -> Written:
    """Three intents: one rested, one crossed for slow fills, of one the outcome is not known."""
    written = Written()
    route(written, "rested")
    ended(written, "rested")
    route(written, "crossed", groups=sound(telemetry={"slippage_p95_bps": 30.0}))
    ended_taker(written, "crossed", 100.03)
    route(written, "open", groups=sound(telemetry={"slippage_p95_bps": 40.0}))
    return written


def test_each_decision_comes_with_its_facts_and_what_its_intent_cost(journal: Written, tmp_path: Path) -> None:
    write(tmp_path, journal.events)
    found = list(past_decisions(tmp_path))
    assert [(each.policy, each.facts["intent_id"]) for each in found] == [
        (policy, intent) for intent in ("rested", "crossed", "open") for policy in ("admission", "routing")
    ]
    done = ended_taker(Written(), "crossed", 100.03)
    cost = shortfall(done)
    assert cost.total_usd is not None
    assert cost.notional_usd is not None
    assert found[3].cost == IntentCost("crossed", cost.total_usd, cost.notional_usd)
    assert found[5].cost is None
    assert shipped("prod").decide("routing", found[3].facts)["quality"] == "broken"


def test_an_outcome_of_which_a_part_is_missing_is_no_cost(tmp_path: Path) -> None:
    written = Written()
    route(written, "a-1")
    ended(written, "a-1", arrival_mid=None)
    write(tmp_path, written.events)
    assert [each.cost for each in past_decisions(tmp_path)] == [None, None]


def test_a_journal_is_found_by_its_folder_a_folder_above_or_a_day(journal: Written, tmp_path: Path) -> None:
    path = write(tmp_path / "logs" / "journal", journal.events)
    packed = tmp_path / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    places = (tmp_path, tmp_path / "logs", path.parent, path, packed)
    for place in places:
        assert is_journal(place)
        assert len(list(past_decisions(place))) == 6
    (tmp_path / "facts.jsonl").write_text("{}")
    assert not is_journal(tmp_path / "facts.jsonl")
    assert not is_journal(tmp_path / "nowhere")


def test_a_broken_line_stops_with_its_place(journal: Written, tmp_path: Path) -> None:
    path = write(tmp_path, journal.events)
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(JournalError, match=f"{path.name}:1"):
        list(past_decisions(tmp_path))


def test_diff_weighs_by_a_journal(journal: Written, tmp_path: Path) -> None:
    write(tmp_path / "journal", journal.events)
    arguments = ("diff", "prod", "testnet", "--policy", "routing", "--history", "journal", "--json")
    report = json.loads(sluice(*arguments, cwd=tmp_path).output)["behaviour"]
    weights = {
        (each["decision"], each["from"], each["to"]): each["weight"]
        for each in report["transitions"]
        if each["scope"]["others"]
    }
    quality = weights["quality", "broken", "degraded"]
    assert (quality["count"], quality["decisions"], quality["outcomes"]) == (2, 3, 1)
    assert quality["cost_usd"] == pytest.approx(0.5 * (100.03 - 100.01) + 0.5 * 100.03 * 0.0005)
    assert weights["route", "taker", "maker"]["count"] == 0
    assert report["history"] == "3 decisions"


@pytest.mark.parametrize("name", ["facts.jsonl", "facts.csv", "facts.parquet"])
def test_diff_weighs_by_a_table(name: str, tmp_path: Path) -> None:
    write_home(tmp_path, HOME)
    rows = [(1_700_000_000.0, spread) for spread in (5.0, 15.0, 20.0, 25.0)]
    columns = ("now", "book.observed_at", "book.spread_bps")
    path = tmp_path / name
    if name.endswith("jsonl"):
        facts = [{"now": now, "book": {"observed_at": now, "spread_bps": spread}} for now, spread in rows]
        path.write_text("".join(f"{json.dumps(each)}\n" for each in facts))
    elif name.endswith("csv"):
        path.write_text("\n".join([",".join(columns), *(f"{now},{now},{spread}" for now, spread in rows)]))
    else:
        duckdb = pytest.importorskip("duckdb")
        named = ", ".join(f'{value} AS "{column}"' for column, value in zip(columns, "nns", strict=True))
        values = ", ".join(f"({now}::DOUBLE, {spread}::DOUBLE)" for now, spread in rows)
        duckdb.sql(f"SELECT {named} FROM (VALUES {values}) t(n, s)").write_parquet(str(path))  # noqa: S608
    result = sluice("diff", "live", "trial", "--policy", "routing", "--history", name, cwd=tmp_path, columns=160)
    assert result.exit_code == 0, result.output
    assert "seen 2 of 4 decisions (50 %)" in " ".join(result.output.split())
    assert "seen never, in 4 decisions" in " ".join(result.output.split())


def test_history_that_cannot_be_read_says_where(tmp_path: Path) -> None:
    write_home(tmp_path, HOME)
    (tmp_path / "facts.jsonl").write_text('{"now": 1}\n{"now": \n')
    result = sluice("diff", "live", "trial", "--history", "facts.jsonl", cwd=tmp_path)
    assert result.exit_code == 2
    assert "facts.jsonl:2" in result.stderr
