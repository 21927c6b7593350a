"""The schemas of the contract files: published as they are, and strict enough to notice a field that nobody writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.analysis.schemas import as_file
from engine.routing.evidence.contract import FILES, STATE_FILES, schemas

PUBLISHED = Path(__file__).resolve().parents[3] / "docs" / "schema"

PER_SYMBOL = {
    "symbol",
    "maker_fill_rate",
    "fallback_rate",
    "slippage_p50",
    "slippage_p95",
    "ack_latency_ms",
    "maker_first",
    "taker_bias",
    "bias",
    "quality",
    "offset_bps",
    "policy",
    "updated_ts",
}
"""What ROUTING's contract promises of each symbol; more may stand there."""

POLICY = {"maker_first", "taker_bias", "quality", "reason", "offset_bps"}


@pytest.mark.parametrize("name", FILES)
def test_the_published_schema_is_the_present_one(name: str) -> None:
    published = (PUBLISHED / f"{name}.json").read_text(encoding="utf-8")
    assert published == as_file(schemas()[name]), "run: python -m tests.routing.update_views"


@pytest.mark.parametrize("name", FILES)
def test_every_field_is_asked_for_and_no_other_is_allowed(name: str) -> None:
    schema = schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in schema["$defs"].values():
        assert part["required"] == list(part["properties"])
        assert part["additionalProperties"] is False


def test_the_promised_fields_are_there() -> None:
    parts = schemas()["router_health"]["$defs"]
    assert {"updated_ts", "tick", "summary", "symbols", "per_symbol"} <= set(parts["RouterHealth"]["properties"])
    assert set(parts["SymbolHealth"]["properties"]) >= PER_SYMBOL
    assert set(parts["PolicyView"]["properties"]) >= POLICY
    metrics = schemas()["router_metrics"]["$defs"]
    promised = {"maker_start", "is_maker_final", "used_fallback", "policy", "autotune"}
    assert set(metrics["RouterMetrics"]["properties"]) >= promised | {"ack_latency_ms", "slippage_bps", "fees_usd"}
    assert set(metrics["Autotune"]["properties"]) == {"applied", "before", "after"}
    execution = schemas()["execution_health"]["$defs"]
    assert {"router", "risk", "vol", "sizing", "errors"} <= set(execution["SymbolExecution"]["properties"])
    router = execution["RouterPart"]["properties"]
    assert {"policy", "maker_offset_bps", "last_route_decision", "ack_latency_ms", "counts"} <= set(router)


def test_state_files_say_their_tick() -> None:
    for name in STATE_FILES:
        held = schemas()[name]
        part: dict[str, Any] = held["$defs"][FILES[name].__name__]
        assert {"tick", "updated_ts"} <= set(part["properties"])
