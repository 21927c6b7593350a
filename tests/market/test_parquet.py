import sys
from pathlib import Path

import duckdb
import pytest

from engine.market import (
    Bar,
    MarketDataError,
    MissingExtraError,
    Quote,
    Trade,
    parquet,
    read_bars,
    read_quotes,
    read_trades,
)
from engine.market.events import MINUTE_MS
from engine.market.files import read_events, recognise
from tests.market.samples import START_MS


def written(path: Path, select: str) -> Path:
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def quotes(folder: Path, times: str = f"{START_MS}, {START_MS + 100}", bid: str = "99.0") -> Path:
    columns = f"ts_ms, ts_ms + 7 AS recv_ts_ms, {bid}::DOUBLE AS bid_px, 1 AS bid_qty, 101 AS ask_px, 2 AS ask_qty"
    select = f"SELECT {columns} FROM (SELECT unnest([{times}])::BIGINT AS ts_ms)"  # noqa: S608 - all written here
    return written(folder / "venue_BTC-USD_20240808_quotes.parquet", select)


def test_quotes(tmp_path: Path) -> None:
    assert list(read_quotes(quotes(tmp_path))) == [
        Quote("BTC-USD", START_MS, 99.0, 101.0, 1.0, 2.0),
        Quote("BTC-USD", START_MS + 100, 99.0, 101.0, 1.0, 2.0),
    ]


def test_the_recorders_clock_stands_in_for_a_missing_venue_clock(tmp_path: Path) -> None:
    path = written(
        tmp_path / "venue_BTC_20240808_quotes.parquet",
        f"SELECT NULL::BIGINT AS ts_ms, {START_MS}::BIGINT AS recv_ts_ms, 99.0 AS bid_px, 1.0 AS bid_qty, "
        "101.0 AS ask_px, 2.0 AS ask_qty",
    )
    assert [quote.ts_ms for quote in read_quotes(path)] == [START_MS]


def test_trades_whose_side_is_not_known(tmp_path: Path) -> None:
    path = written(
        tmp_path / "venue_BTC_20240808_trades.parquet",
        f"SELECT {START_MS}::BIGINT AS ts_ms, NULL::BIGINT AS recv_ts_ms, NULL AS trade_id, 100.0 AS px, 0.5 AS qty, "
        "NULL::BOOLEAN AS is_buyer_maker",
    )
    assert list(read_trades(path)) == [Trade("BTC", START_MS, 100.0, 0.5, None)]


def test_bars_last_a_minute(tmp_path: Path) -> None:
    path = written(
        tmp_path / "venue_BTC_202408.parquet",
        f"SELECT {START_MS}::BIGINT AS open_time_ms, 10 AS open, 12 AS high, 9 AS low, 11 AS close, 5 AS volume",
    )
    assert list(read_bars(path)) == [Bar("BTC", START_MS, 10.0, 12.0, 9.0, 11.0, 5.0, START_MS + MINUTE_MS - 1)]


def trades(folder: Path, ids: str) -> Path:
    """As many trades as there are ids, all alike."""
    columns = f"{START_MS}::BIGINT AS ts_ms, 0::BIGINT AS recv_ts_ms, 100.0 AS px, 0.5 AS qty, true AS is_buyer_maker"
    select = f"SELECT {columns}, unnest([{ids}]) AS trade_id"
    return written(folder / "venue_BTC_20240808_trades.parquet", select)


def test_a_trade_with_the_id_of_the_one_above_is_a_repetition(tmp_path: Path) -> None:
    assert len(list(read_trades(trades(tmp_path, "'a', 'a', 'b', 'b', 'a'")))) == 3


def test_equal_trades_without_ids_are_different_ones(tmp_path: Path) -> None:
    assert len(list(read_trades(trades(tmp_path, "NULL, NULL, NULL")))) == 3
    columns = f"{START_MS}::BIGINT AS ts_ms, 0::BIGINT AS recv_ts_ms, 100.0 AS px, 0.5 AS qty, true AS is_buyer_maker"
    without = written(tmp_path / "venue_ETH_20240808_trades.parquet", f"SELECT {columns}, unnest([1, 2, 3])")
    assert len(list(read_trades(without))) == 3


def test_rows_before_a_broken_one_are_read(tmp_path: Path) -> None:
    found = read_quotes(quotes(tmp_path, f"{START_MS}, {START_MS + 1}, {START_MS}"))
    assert [next(found).ts_ms, next(found).ts_ms] == [START_MS, START_MS + 1]
    with pytest.raises(MarketDataError, match=r":3: time \d+ goes back by 1 ms"):
        next(found)


def test_the_last_bars_before_a_time(tmp_path: Path) -> None:
    opens = f"SELECT unnest(range({START_MS}, {START_MS + 100 * MINUTE_MS}, {MINUTE_MS}))::BIGINT AS open_time_ms"
    prices = "10 AS open, 12 AS high, 9 AS low, 11 AS close, 5 AS volume"
    path = written(tmp_path / "venue_BTC_202408.parquet", f"{opens}, {prices}")
    for before_ms in (START_MS + 50 * MINUTE_MS, START_MS + 50 * MINUTE_MS + 17):
        bars = parquet.last_bars(path, "BTC", before_ms, 3)
        assert [(bar.open_time_ms - START_MS) // MINUTE_MS for bar in bars] == [47, 48, 49]
    assert parquet.last_bars(path, "BTC", START_MS + MINUTE_MS - 1, 3) == []
    assert len(parquet.last_bars(path, "BTC", None, 500)) == 100


def test_the_first_and_last_time_of_a_span(tmp_path: Path) -> None:
    path = quotes(tmp_path, f"{START_MS}, {START_MS + 5}, {START_MS + 9}")
    assert parquet.bounds(path, "quotes") == (START_MS, START_MS + 9)
    assert parquet.bounds(path, "quotes", START_MS + 1, START_MS + 9) == (START_MS + 5, START_MS + 5)
    assert parquet.bounds(path, "quotes", START_MS + 10, None) is None


def test_several_files_are_read_side_by_side(tmp_path: Path) -> None:
    streams = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        streams.append(read_quotes(quotes(tmp_path / name)))
    assert [(left.ts_ms, right.ts_ms) for left, right in zip(*streams, strict=True)] == [
        (START_MS, START_MS),
        (START_MS + 100, START_MS + 100),
    ]


def quote_bars(folder: Path, bid_low: str) -> Path:
    sides = ", ".join(
        f"{number} AS {side}_{what}"
        for side, numbers in (("bid", ("99.0", "99.5", bid_low, "99.2")), ("ask", ("101.0", "102.0", "100.0", "101.0")))
        for what, number in zip(("open", "high", "low", "close"), numbers, strict=True)
    )
    return written(
        folder / "venue_BTC_20240808_quotebars.parquet",
        f"SELECT {START_MS}::BIGINT AS open_time_ms, {sides}, 7 AS bid_qty_last, 8 AS ask_qty_last",
    )


def test_quote_bars_are_recognised_and_become_quotes(tmp_path: Path) -> None:
    file = recognise(quote_bars(tmp_path, "98.0"))
    assert file.kind == "quote_bars"
    assert {quote.bid for quote in read_events(file) if isinstance(quote, Quote)} == {99.0, 98.0, 99.5, 99.2}


def test_a_broken_quote_bar_is_named(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match=":1: low, open, close and high contradict"):
        list(parquet.quote_bars(quote_bars(tmp_path, "99.1")))
    with pytest.raises(MarketDataError, match=":1: `nan` is no price"):
        list(parquet.quote_bars(quote_bars(tmp_path, "'nan'::DOUBLE")))


@pytest.mark.parametrize(
    ("times", "bid", "message"),
    [
        (f"{START_MS}, {START_MS - 3}", "99.0", ":2: time .* goes back by 3 ms"),
        (f"{START_MS}, NULL", "99.0", ":2: no time"),
        (f"{START_MS}", "'nan'", ":1: `nan` is no price or quantity"),
        (f"{START_MS}", "-1.0", ":1: `-1.0` is no price or quantity"),
        (f"{START_MS}", "NULL", ":1: a number is missing"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, times: str, bid: str, message: str) -> None:
    with pytest.raises(MarketDataError, match=message):
        list(read_quotes(quotes(tmp_path, times, bid)))


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "venue_BTC_20240808_quotes.parquet"
    path.write_text("ts_ms,bid_px\n")
    with pytest.raises(MarketDataError, match="cannot be read as Parquet"):
        recognise(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="no such file"):
        recognise(tmp_path / "venue_BTC_20240808_quotes.parquet")


def test_columns_of_no_known_layout(tmp_path: Path) -> None:
    path = written(tmp_path / "venue_BTC_20240808_quotebars.parquet", "SELECT 1 AS open_time_ms, 2.0 AS mid_open")
    with pytest.raises(MarketDataError, match="no layout known here"):
        recognise(path)


def test_a_star_in_a_name_is_no_pattern(tmp_path: Path) -> None:
    for name in ("day*", "day1", "day[1]"):
        (tmp_path / name).mkdir()
        quotes(tmp_path / name)
    for name in ("day*", "day[1]"):
        assert len(list(read_quotes(tmp_path / name / "venue_BTC-USD_20240808_quotes.parquet"))) == 2


def test_without_duckdb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = quotes(tmp_path)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sluice-router\[replay\]'"):
        list(read_quotes(path))


@pytest.mark.parametrize(
    ("name", "symbol", "rows"),
    [
        ("quotes_trades/aster_BNBUSDT_20250929_quotes.parquet", "BNBUSDT", 1_315),
        ("quotes_trades/hyperliquid_BTC_20250901-07_windows_quotes.parquet", "BTC", 27_551),
        ("quotes_trades/standx_BTC-USD_20260106T08-24_trades.parquet", "BTC-USD", 102_075),
        ("klines_1m/ftx_BTC-PERP_20211231-20220201.parquet", "BTC-PERP", 45_031),
        ("klines_1m/binance-um_BTCUSDT_202505.parquet", "BTCUSDT", 43_199),
    ],
)
def test_recorded_files_are_read_whole(data_dir: Path, name: str, symbol: str, rows: int) -> None:
    file = recognise(data_dir / name)
    assert file.symbol == symbol
    assert sum(1 for _ in read_events(file)) == rows
