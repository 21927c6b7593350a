from pathlib import Path

import pytest

from engine.market import parse_time
from engine.market.names import FileName, days_of, is_market_file, parse_name, venue_of


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
    assert is_market_file(Path("a.jsonl.gz"))
    assert not is_market_file(Path("a.json"))


@pytest.mark.parametrize(
    ("path", "venue"),
    [
        ("um/klines/1m/BTCUSDT-1m-2024-08.zip", "binance-um"),
        ("data/spot/um/BTCUSDT-1m-2024-08.zip", "binance-um"),
        ("cm/trades/BTCUSD_PERP-trades-2024-08-08.csv.gz", "binance-cm"),
        ("um/aster_BTCUSDT_20250924_quotes.parquet", "aster"),
        ("coinm_10symbols_20210722.jsonl.gz", "binance-cm"),
        ("mine.jsonl", ""),
        ("BTCUSDT-trades-2024-08-08.csv", ""),
        ("um", ""),
    ],
)
def test_the_venue_is_in_the_name_or_in_a_folder_above(path: str, venue: str) -> None:
    assert venue_of(Path(path)) == venue


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("BTCUSDT-trades-2024-08-08.csv", ("2024-08-08", "2024-08-09")),
        ("BTCUSDT-1m-2024-02.csv", ("2024-02-01", "2024-03-01")),
        ("BTCUSDT-1m-2026-02-04_2026-02-07.csv.gz", ("2026-02-04", "2026-02-08")),
        ("BTCUSDT-1m-2026-02-30.csv.gz", None),
        ("BTCUSDT-trades-1.csv", None),
        ("BTCUSDT-trades.csv", None),
        ("mine.jsonl", None),
        ("hyperliquid_BTC_20250901-07_windows_quotes.parquet", None),
    ],
)
def test_the_days_of_an_archive_are_in_its_name(name: str, days: tuple[str, str] | None) -> None:
    assert days_of(Path(name)) == (days and (parse_time(days[0]), parse_time(days[1])))
