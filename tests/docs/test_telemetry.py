"""docs/telemetry.md: its query over a journal's files says what the engine says, and the file it shows can be read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from engine import load
from engine.journal.events import Event
from engine.journal.reader import read
from engine.routing.effectiveness import Effectiveness, Sample
from engine.routing.telemetry import Header, load_samples
from tests.docs.test_language import ROOT
from tests.routing.outcomes import DAY_MS, NOW_MS, import_of, outcome, sample, several_days, taken, write_journal

PAGE = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    found: list[str] = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    return found[0]


def queried(folder: Path, now_ms: int) -> dict[str, dict[str, float]]:
    """What the query says of each symbol, metrics that are missing left out."""
    settings = block("sql settings").replace("logs/journal", str(folder)).replace(str(NOW_MS), str(now_ms))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(settings)
        done = connection.execute(block("sql query"))
        names = [column[0] for column in done.description]
        rows = [dict(zip(names, row, strict=True)) for row in done.fetchall()]
    return {row.pop("symbol"): {name: float(value) for name, value in row.items() if value is not None} for row in rows}


def folded(events: Iterable[Event], now_ms: int) -> dict[str, dict[str, float]]:
    """What the engine says of each symbol that has a sample."""
    view = Effectiveness()
    for event in events:
        view.see(event)
    said = {symbol: view.facts(symbol, now_ms) for symbol in view.symbols}
    for facts in said.values():
        assert facts.pop("observed_at") == now_ms / 1000
    return {symbol: facts for symbol, facts in said.items() if facts["sample_count"]}


def bits(facts: dict[str, dict[str, float]]) -> dict[str, dict[str, str]]:
    return {symbol: {name: value.hex() for name, value in sorted(of.items())} for symbol, of in facts.items()}


@pytest.mark.parametrize("later_ms", [0, 1, DAY_MS, 7 * DAY_MS - 1, 7 * DAY_MS])
def test_the_query_says_what_the_engine_says_to_the_last_bit(tmp_path: Path, later_ms: int) -> None:
    write_journal(tmp_path, several_days(seed=11, count=4000, symbols=5))
    said = folded(read(tmp_path), NOW_MS + later_ms)
    if not later_ms:
        assert sum(facts["sample_count"] for facts in said.values()) > 2000
        assert len(said) == 5
    assert bits(queried(tmp_path, NOW_MS + later_ms)) == bits(said)


def test_the_query_knows_missing_from_zero_and_minus_zero_from_neither(tmp_path: Path) -> None:
    events: list[Event] = [
        taken(NOW_MS, symbol="TAKENUSDT"),
        outcome(NOW_MS, symbol="BAREUSDT", arrival_mid=None, submissions=0, ack_ms=[-1]),
        outcome(NOW_MS, symbol="SELLUSDT", side="sell"),
        import_of(sample(slippage_bps=-0.0), sample(slippage_bps=None, ack_ms=()), symbol="IMPORTUSDT"),
        import_of(sample(slippage_bps=5.0), symbol="IMPORTUSDT"),  # the same source again
    ]
    write_journal(tmp_path, events)
    said = queried(tmp_path, NOW_MS)
    assert said.keys() == {"BAREUSDT", "SELLUSDT", "IMPORTUSDT"}
    assert said["BAREUSDT"].keys() == {
        "sample_count", "maker_fill_ratio", "maker_fill_samples", "fallback_ratio", "fallback_samples",
    }  # fmt: skip
    assert said["SELLUSDT"]["slippage_p50_bps"].hex() == (0.0).hex()
    assert bits(said) == bits(folded(read(tmp_path), NOW_MS))


def test_the_query_passes_over_a_torn_last_line(tmp_path: Path) -> None:
    write_journal(tmp_path, [outcome(), outcome()])
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"type":"outcome","v":1,"seq":3,"ts_ms":17231')
    assert bits(queried(tmp_path, NOW_MS)) == bits(folded(read(tmp_path), NOW_MS))


def test_every_fact_of_the_group_is_defined_and_in_the_query() -> None:
    group = next(group for group in load("prod").policy("routing").groups if group.name == "telemetry")
    for fact in group.facts:
        assert re.search(rf"^\|.*`{fact.name}`", PAGE, re.MULTILINE), fact.name
        assert re.search(rf"\bAS {fact.name}\b", block("sql query")), fact.name


def test_the_file_that_is_shown_can_be_read_and_every_field_of_it_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "eu-1.jsonl"
    path.write_text(block("json lines"), encoding="utf-8")
    telemetry = load_samples(path)
    assert (telemetry.header.source, telemetry.count, list(telemetry.samples)) == ("eu-1", 3, ["BTCUSDT", "ETHUSDT"])
    fields: list[Any] = [*msgspec.structs.fields(Header), *msgspec.structs.fields(Sample)]
    for name in ["symbol", *(field.name for field in fields)]:
        assert re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE), name
