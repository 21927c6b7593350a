from pathlib import Path

import pytest

from engine.market.names import FileName, is_market_file, parse_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("BTCUSDT-bookTicker-2024-08-08.csv.gz", FileName("BTCUSDT", "bookTicker", "2024-08-08")),
        ("BTCUSD_PERP-trades-2024-08-08.csv.gz", FileName("BTCUSD_PERP", "trades", "2024-08-08")),
        ("1000PEPEUSDT-aggTrades-2024-10-18.zip", FileName("1000PEPEUSDT", "aggTrades", "2024-10-18")),
        ("AVAXUSDT-1m-2026-02-04_2026-02-07.csv", FileName("AVAXUSDT", "1m", "2026-02-04_2026-02-07")),
        ("BTCUSDT-1h-2024-10-28.zip", FileName("BTCUSDT", "1h", "2024-10-28")),
        ("BTCUSDT-trades.csv", FileName("BTCUSDT", "trades", "")),
        ("binance-um_BTCUSDT_202505.parquet", FileName("BTCUSDT", "", "202505", "binance-um")),
        ("ftx_BTC-PERP_20211231-20220201.parquet", FileName("BTC-PERP", "", "20211231-20220201", "ftx")),
        (
            "standx_BTC-USD_20260106T08-24_quotes.parquet",
            FileName("BTC-USD", "quotes", "20260106T08-24", "standx"),
        ),
        (
            "hyperliquid_BTC_20250901-07_windows_trades.parquet",
            FileName("BTC", "trades", "20250901-07_windows", "hyperliquid"),
        ),
    ],
)
def test_the_parts_of_a_name(name: str, parts: FileName) -> None:
    assert parse_name(Path("any") / name) == parts


@pytest.mark.parametrize("name", ["quotes.csv", "BTCUSDT.csv", "BTCUSDT-depth-2024-08-08.csv", "a_b.parquet"])
def test_a_name_of_no_convention(name: str) -> None:
    assert parse_name(Path(name)) is None


def test_market_files_are_known_by_their_suffix() -> None:
    assert is_market_file(Path("a.csv.gz"))
    assert not is_market_file(Path("a.jsonl.gz"))
