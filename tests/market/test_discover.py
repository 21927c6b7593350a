from pathlib import Path

import pytest

from engine.market import Choice, MarketDataError, MarketFiles, SymbolFiles, market_files, parquet, parse_time
from engine.market import data_dir as find_data_dir
from tests.market.samples import BARS_HEADER, QUOTES_HEADER, START_MS, TRADES_HEADER, bar_row, quote_row, write

TRADE_ROW = f"1,100.0,1.0,100.0,{START_MS},true"


def write_quotes(folder: Path, symbol: str = "BTCUSDT", span: str = "2024-08-08", ts_ms: int = START_MS) -> Path:
    return write(folder / f"{symbol}-bookTicker-{span}.csv", QUOTES_HEADER, quote_row(ts_ms))


def write_trades(folder: Path, symbol: str = "BTCUSDT", span: str = "2024-08-08", word: str = "trades") -> Path:
    return write(folder / f"{symbol}-{word}-{span}.csv", TRADES_HEADER, TRADE_ROW)


def write_bars(folder: Path, minute: int, symbol: str = "BTCUSDT", interval: str = "1m") -> Path:
    return write(folder / f"{symbol}-{interval}-m{minute}.csv".replace("-m", "-0"), BARS_HEADER, bar_row(minute))


def test_named_files_are_grouped_by_symbol_whatever_their_order(tmp_path: Path) -> None:
    bitcoin, ether = write_quotes(tmp_path), write_quotes(tmp_path, "ETHUSDT")
    trades, bars = write_trades(tmp_path), write_bars(tmp_path, -1)
    found = market_files([ether, bars, trades, bitcoin], None)
    assert found.symbols == (
        SymbolFiles("BTCUSDT", (bitcoin,), (trades,), (bars,)),
        SymbolFiles("ETHUSDT", (ether,)),
    )
    assert found.notes == (
        "ETHUSDT: no trades",
        "ETHUSDT: no one-minute bars, ATR is missing until enough minutes have passed",
    )


def test_named_files_of_several_days_come_in_order_of_time(tmp_path: Path) -> None:
    later = write_quotes(tmp_path, span="2024-01-01", ts_ms=START_MS + 1)
    earlier = write_quotes(tmp_path, span="2024-12-31")
    assert market_files([later, earlier, later], None).symbols[0].quotes == (earlier, later)


@pytest.mark.parametrize(("minute", "other_day"), [(-1, False), (0, True), (-2, True), (-500, True)])
def test_bars_that_leave_out_the_minute_before_are_of_another_day(tmp_path: Path, minute: int, other_day: bool) -> None:
    found = market_files([write_quotes(tmp_path), write_bars(tmp_path, minute)], None)
    assert found.symbols[0].bars_from_another_day is other_day


def test_bars_alone_make_no_market(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="only bars of BTCUSDT"):
        market_files([write_bars(tmp_path, -1)], None)


def test_bars_of_an_hour_are_refused(tmp_path: Path) -> None:
    hour = write(
        tmp_path / "BTCUSDT-1h-2024-08-08.csv", BARS_HEADER, f"{START_MS},1,1,1,1,1,{START_MS + 3_599_999},1,1,1,1,0"
    )
    with pytest.raises(MarketDataError, match="not one minute long"):
        market_files([write_quotes(tmp_path), hour], None)


def test_a_named_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="holds no rows"):
        market_files([write(tmp_path / "BTCUSDT-bookTicker-1.csv", QUOTES_HEADER)], None)


def test_a_file_of_another_kind_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="no market data by its suffix"):
        market_files([write(tmp_path / "notes.txt", "buy low")], None)
    with pytest.raises(MarketDataError, match="no such file or folder"):
        market_files([tmp_path / "nowhere"], None)


def test_nothing_named_and_no_folder_is_no_market() -> None:
    assert market_files([], None) == MarketFiles()


def test_a_folder_gives_the_latest_recording_and_what_goes_with_it(tmp_path: Path) -> None:
    write_quotes(tmp_path / "um", span="2024-08-07")
    write_trades(tmp_path / "um", span="2024-08-07")
    quotes = write_quotes(tmp_path / "um")
    write_trades(tmp_path / "um", word="aggTrades")
    trades = write_trades(tmp_path / "um")
    write_bars(tmp_path / "um", -9)
    fitting = write_bars(tmp_path / "um", -1)
    write_bars(tmp_path / "um", -5)
    assert market_files([], tmp_path).symbols == (SymbolFiles("BTCUSDT", (quotes,), (trades,), (fitting,)),)


def test_aggregate_trades_serve_where_there_are_no_trades(tmp_path: Path) -> None:
    write_quotes(tmp_path)
    aggregates = write_trades(tmp_path, word="aggTrades")
    assert market_files([], tmp_path).symbols[0].trades == (aggregates,)


def test_a_folder_without_quotes_holds_no_market_and_other_markets_are_left_alone(tmp_path: Path) -> None:
    write_trades(tmp_path / "um")
    write_quotes(tmp_path / "cm", "BTCUSD_PERP")
    (tmp_path / "um" / "README.txt").write_text("what lies about is no matter")
    assert market_files([], tmp_path) == MarketFiles()


def test_the_recorded_folder_gives_two_deep_books_and_four_thin_ones(data_dir: Path) -> None:
    found = market_files([], data_dir)
    assert [of.symbol for of in found.symbols] == ["AKROUSDT", "BTCUSDT", "CTKUSDT", "ETHUSDT", "KEEPUSDT", "SUSHIUSDT"]
    by_symbol = {of.symbol: of for of in found.symbols}
    assert by_symbol["BTCUSDT"].bars == (data_dir / "klines_1m" / "binance-um_BTCUSDT_202505.parquet",)
    assert by_symbol["BTCUSDT"].bars_from_another_day
    assert [path.name for path in by_symbol["ETHUSDT"].trades] == ["ETHUSDT-trades-2024-08-08.csv.gz"]
    assert [path.name for path in by_symbol["CTKUSDT"].trades] == ["CTKUSDT-aggTrades-2021-07-22.csv.gz"]
    assert not by_symbol["CTKUSDT"].bars


def test_a_choice_narrows_what_a_folder_gives(tmp_path: Path) -> None:
    write_quotes(tmp_path, span="2024-08-01")
    latest = write_quotes(tmp_path)
    write_quotes(tmp_path, "ETHUSDT")
    assert [of.symbol for of in market_files([], tmp_path, Choice(("BTCUSDT",))).symbols] == ["BTCUSDT"]
    before = Choice(to_ms=parse_time("2024-08-03"))
    assert [of.quotes[0].name for of in market_files([], tmp_path, before).symbols] == [
        "BTCUSDT-bookTicker-2024-08-01.csv"
    ]
    after = market_files([], tmp_path, Choice(from_ms=parse_time("2024-08-05")))
    assert after.symbols[0].quotes == (latest,)


def test_bars_of_days_in_a_row_are_taken_together(tmp_path: Path) -> None:
    midnight = -(23 * 60 + 54)  # in minutes from the recording's first
    write_quotes(tmp_path)
    days = [
        write(tmp_path / f"BTCUSDT-1m-2024-08-0{day}.csv", BARS_HEADER, *(bar_row(minute) for minute in minutes))
        for day, minutes in (
            (5, range(midnight - 3 * 1_440, midnight - 3 * 1_440 + 60)),
            (7, range(midnight - 60, midnight)),
            (8, range(midnight, 0)),
        )
    ]
    assert market_files([], tmp_path).symbols[0].bars == (days[1], days[2])


def test_without_duckdb_the_note_says_what_would_give_bars(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "is_readable", lambda: False)
    found = market_files([], data_dir)
    assert not any(of.bars for of in found.symbols)
    assert any("BTCUSDT" in note and "sluice-router[replay]" in note for note in found.notes)


def test_the_data_folder_is_the_one_the_environment_names(tmp_path: Path) -> None:
    assert find_data_dir({"SLUICE_DATA": str(tmp_path)}) == tmp_path


def test_a_slip_in_the_environment_is_no_absence(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="SLUICE_DATA names no folder"):
        find_data_dir({"SLUICE_DATA": str(tmp_path / "nowhere")})


def test_without_the_variable_it_lies_beside_the_checkout_or_nowhere() -> None:
    folder = find_data_dir({})
    assert folder is None or folder.parts[-2:] == ("shared", "data")
