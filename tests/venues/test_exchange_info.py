"""Rules of symbols out of exchangeInfo files, and out of a market where there are none."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.market import Bar, Event, MarketDataError, Quote, Trade
from engine.venues.exchange_info import assumed_rules, market_rules, read_exchange_info
from engine.venues.rules import SymbolRules

FILTERS: list[dict[str, Any]] = [
    {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "9"},
    {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.002", "maxQty": "1000"},
    {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.001", "minQty": "0.003", "maxQty": "120"},
    {"filterType": "MAX_NUM_ORDERS", "limit": 200},
    {"filterType": "MIN_NOTIONAL", "notional": "100"},
    {"filterType": "POSITION_RISK_CONTROL"},
]

RULES = SymbolRules("AB", Decimal("0.1"), Decimal("0.001"), Decimal("0.002"), Decimal(1000), Decimal(100))


def info(filters: list[dict[str, Any]], symbol: str = "AB") -> bytes:
    return json.dumps({"timezone": "UTC", "symbols": [{"symbol": symbol, "filters": filters}]}).encode()


def with_filter(kind: str, **fields: str | None) -> list[dict[str, Any]]:
    """The filters, with fields of one changed, or left out where they are None."""
    changed = [{**each, **fields} if each["filterType"] == kind else each for each in FILTERS]
    return [{name: value for name, value in each.items() if value is not None} for each in changed]


@pytest.mark.parametrize("name", ["info.json", "info.json.gz"])
def test_rules_come_from_the_filters(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(info(FILTERS)) if name.endswith(".gz") else info(FILTERS))
    assert read_exchange_info(path) == {"AB": RULES}


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (FILTERS[1:], "`AB` has no PRICE_FILTER tickSize"),
        (FILTERS[:-2], "`AB` has no MIN_NOTIONAL notional"),
        (with_filter("LOT_SIZE", stepSize=None), "`AB` has no LOT_SIZE stepSize"),
        (with_filter("LOT_SIZE", stepSize="0"), "`AB` has a LOT_SIZE stepSize of 0, which cannot be"),
        (with_filter("PRICE_FILTER", tickSize="-0.1"), "`AB` has a PRICE_FILTER tickSize of -0.1, which cannot be"),
        (with_filter("MIN_NOTIONAL", notional="NaN"), "`AB` has a MIN_NOTIONAL notional of NaN, which cannot be"),
        (with_filter("LOT_SIZE", maxQty="many"), "is no exchangeInfo: invalid decimal string"),
    ],
)
def test_a_symbol_whose_rules_cannot_be_read_is_named(
    tmp_path: Path, filters: list[dict[str, Any]], message: str
) -> None:
    path = tmp_path / "info.json"
    path.write_bytes(info(filters))
    with pytest.raises(MarketDataError) as caught:
        read_exchange_info(path)
    assert caught.value.message.startswith(message)
    assert caught.value.path == path
    assert "exchangeInfo as it came" in caught.value.help


def test_a_symbol_that_does_not_trade_yet_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "info.json"
    pending = {"symbol": "CD", "status": "PENDING_TRADING", "filters": with_filter("PRICE_FILTER", tickSize="0")}
    trading = {"symbol": "AB", "status": "TRADING", "filters": FILTERS}
    path.write_text(json.dumps({"symbols": [pending, trading]}))
    assert read_exchange_info(path) == {"AB": RULES}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("info.json", b"", "is not JSON: input data was truncated"),
        ("info.json", b"\xff\xfe", "is not JSON: "),
        ("info.json", b'{"a":' * 100_000, "is not JSON: "),
        ("info.json", b"[]", "is no exchangeInfo: expected `object`, got `array`"),
        ("info.json", b"{}", "is no exchangeInfo: object missing required field `symbols`"),
        ("info.json", b'{"symbols": []}', "lists no symbols"),
        (
            "info.json",
            b'{"symbols": [{"symbol": "AB"}]}',
            "is no exchangeInfo: object missing required field `filters`",
        ),
        ("info.json.gz", info(FILTERS), "the compressed file is damaged"),
        ("info.json.gz", gzip.compress(info(FILTERS))[:-9], "the compressed file is damaged"),
    ],
)
def test_a_file_that_is_no_exchange_info_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MarketDataError) as caught:
        read_exchange_info(path)
    assert caught.value.message.startswith(message)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="no such file"):
        read_exchange_info(tmp_path / "none.json")
    with pytest.raises(MarketDataError, match="cannot be read: is a directory"):
        read_exchange_info(tmp_path)


def test_the_recorded_lists_can_be_read(data_dir: Path) -> None:
    older = read_exchange_info(data_dir / "exchange_info" / "binance_usdm_exchangeInfo_20210721.json")
    newer = read_exchange_info(data_dir / "exchange_info" / "binance_usdm_exchangeInfo_20260331.json.gz")
    assert (len(older), len(newer)) == (121, 652)  # without those that do not trade yet
    assert older["AKROUSDT"] == SymbolRules(
        "AKROUSDT", Decimal("0.00001"), Decimal(1), Decimal(1), Decimal(10_000_000), Decimal(5)
    )
    assert newer["BTCUSDT"] == SymbolRules(
        "BTCUSDT", Decimal("0.10"), Decimal("0.0001"), Decimal("0.0001"), Decimal(1000), Decimal(100)
    )
    assert "币安人生USDT" in newer


@pytest.mark.parametrize(
    ("prices", "quantities", "tick", "step"),
    [
        ([61805.7, 61806.0], [0.001, 12.5], "0.1", "0.001"),
        ([111000.0, 111001.0], [0.00012], "1", "0.00001"),
        ([0.00001234], [1200.0, 100.0], "0.00000001", "1"),
        ([0.1 + 0.2], [3.0], "0.1", "1"),  # 0.30000000000000004: noise of a calculation
        ([1.00000000049], [1e18], "1", "1"),  # finer than any venue is
        ([], [], "1", "1"),
    ],
)
def test_rules_are_assumed_from_the_finest_decimal_place(
    prices: list[float], quantities: list[float], tick: str, step: str
) -> None:
    rules = assumed_rules("AB", prices, quantities)
    assert rules == SymbolRules("AB", Decimal(tick), Decimal(step), Decimal(step), Decimal(10) ** 9, Decimal(5))


def test_a_market_has_the_rules_that_are_known_and_assumed_ones_for_the_rest() -> None:
    events: list[Event] = [
        Quote("XY", 1, 1.25, 1.5, 10.0, 2.5),
        Bar("XY", 0, 0.001, 0.001, 0.001, 0.001, 0.001, 59_999),
        Trade("XY", 60_000, 1.375, 0.125, is_buyer_maker=None),
        Quote("CD", 60_000, 0.0, 0.0, 0.0, 0.0),
        Quote("AB", 60_000, 0.00001, 0.00002, 1.0, 1.0),
    ]
    market = market_rules(["AB", "CD", "XY"], events, {"AB": RULES, "EF": RULES})
    assert market.rules == {"AB": RULES, "XY": assumed_rules("XY", [1.375], [0.125])}
    assert market.notes == (
        "CD: no exchange info and no price to assume rules from, so no orders",
        "XY: no exchange info; assumed from its market: tick 0.001, step 0.001, least notional 5",
    )


def test_only_the_beginning_of_a_market_is_read_and_nothing_where_all_is_known() -> None:
    def endless() -> Any:
        ms = 0
        while True:
            ms += 1
            yield Quote("XY", ms, 1.5, 1.6, 1.0, 1.0)

    events = endless()
    assert market_rules(["AB"], events, {"AB": RULES}).notes == ()
    assert market_rules(["XY"], events, {}, most_events=10).rules["XY"].tick == Decimal("0.1")
    assert next(events).ts_ms == 11
