"""When a recording is over, as far as that can be known without a replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.market import Choice, market_files
from engine.market.ends import ends_ms
from tests.market.samples import QUOTES_HEADER, START_MS, TRADES_HEADER, quote_row, write


def quotes(folder: Path, *after_ms: int, symbol: str = "BTCUSDT", suffix: str = ".csv") -> Path:
    rows = [quote_row(START_MS + after) for after in after_ms]
    return write(folder / f"{symbol}-bookTicker-2024-08-08{suffix}", QUOTES_HEADER, *rows)


def trades(folder: Path, *after_ms: int) -> Path:
    rows = [f"{number},100.0,1.0,100.0,{START_MS + after},true" for number, after in enumerate(after_ms)]
    return write(folder / "BTCUSDT-trades-2024-08-08.csv", TRADES_HEADER, *rows)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".zip"])
def test_it_is_the_last_row_of_all_files(tmp_path: Path, suffix: str) -> None:
    files = [quotes(tmp_path, 0, 500, 900, suffix=suffix), trades(tmp_path, 100, 1_200)]
    assert ends_ms(market_files(files, None)) == START_MS + 1_200


def test_a_last_row_without_a_line_break_counts(tmp_path: Path) -> None:
    path = quotes(tmp_path, 0, 500, 900)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert ends_ms(market_files([path], None)) == START_MS + 900


def test_or_the_end_of_the_span_if_that_is_earlier(tmp_path: Path) -> None:
    path = quotes(tmp_path, 0, 500, 900)
    assert ends_ms(market_files([path], None, Choice(to_ms=START_MS + 600))) == START_MS + 600
    assert ends_ms(market_files([path], None, Choice(to_ms=START_MS + 5_000))) == START_MS + 900


def test_a_file_that_is_damaged_at_its_end_says_nothing(tmp_path: Path) -> None:
    path = quotes(tmp_path, 0, 500)
    with path.open("a") as stream:
        stream.write("garbage\n")
    assert ends_ms(market_files([path], None)) is None


def test_files_too_large_to_unpack_for_it_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.market.ends._MOST_BYTES", 10)
    assert ends_ms(market_files([quotes(tmp_path, 0, 500)], None)) is None


def test_recordings(data_dir: Path) -> None:
    both = market_files((), data_dir, Choice(("BTCUSDT", "ETHUSDT")))
    assert ends_ms(both) == 1_723_161_601_054
    parquet = data_dir / "minute_quotes"
    minutes = market_files([parquet / "binance-um_ADAUSDT_20221213_quotebars.parquet"], None)
    assert ends_ms(minutes) == 1_670_975_940_000
    raw = data_dir / "binance_raw_ws" / "usdm_btcusdt_20240808_bookTicker_trade.jsonl.gz"
    assert ends_ms(market_files([raw], None)) is None
