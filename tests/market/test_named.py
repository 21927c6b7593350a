from pathlib import Path

import duckdb
import pytest

from engine.market import Choice, MarketDataError, MarketError, MarketFiles, market_files, parse_time, recorded_feed
from tests.market.samples import BARS_HEADER, QUOTES_HEADER, START_MS, TRADES_HEADER, bar_row, quote_row, write


def quotes(folder: Path, symbol: str = "BTCUSDT", span: str = "2024-08-08", ts_ms: int = START_MS) -> Path:
    return write(folder / f"{symbol}-bookTicker-{span}.csv", QUOTES_HEADER, quote_row(ts_ms), quote_row(ts_ms + 9))


def trades(
    folder: Path, symbol: str = "BTCUSDT", span: str = "2024-08-08", word: str = "trades", after_ms: int = 5
) -> Path:
    row = f"1,100.0,1.0,100.0,{START_MS + after_ms},true"
    return write(folder / f"{symbol}-{word}-{span}.csv", TRADES_HEADER, row)


def bars(folder: Path, symbol: str = "BTCUSDT", span: str = "2024-08", interval: str = "1m") -> Path:
    return write(folder / f"{symbol}-{interval}-{span}.csv", BARS_HEADER, bar_row(-1))


def messages(folder: Path, symbol: str = "BTCUSDT", name: str = "usdm_mine.jsonl", after_ms: int = 0) -> Path:
    data = f'"s":"{symbol}","u":1,"b":"99","B":"1","a":"101","A":"1","T":{START_MS + after_ms}'
    line = f'{START_MS}000000 {{"stream":"{symbol.lower()}@bookTicker","data":{{{data}}}}}'
    return write(folder / name, line)


def parquet(path: Path, times: list[int]) -> Path:
    """Quotes at these times, in milliseconds after the start."""
    select = (
        f"SELECT {START_MS} + unnest({times})::BIGINT AS ts_ms, 0::BIGINT AS recv_ts_ms, "
        "99.0 AS bid_px, 1.0 AS bid_qty, 101.0 AS ask_px, 1.0 AS ask_qty"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def named(market: MarketFiles) -> dict[str, tuple[list[str], list[str], list[str]]]:
    """The names of each symbol's quotes, trades and bars."""
    return {
        of.symbol: ([p.name for p in of.quotes], [p.name for p in of.trades], [p.name for p in of.bars])
        for of in market.symbols
    }


def test_a_named_folder_gives_what_lies_below_it(tmp_path: Path) -> None:
    quotes(tmp_path / "a" / "um"), trades(tmp_path / "a" / "um"), bars(tmp_path / "b")
    quotes(tmp_path / "a" / "cm", "BTCUSD_PERP")
    write(tmp_path / "a" / "README.csv", "what lies about is no matter")
    write(tmp_path / "a" / "errors.jsonl", '{"code": -1021}'), write(tmp_path / "a" / "empty.jsonl")
    bars(tmp_path / "b", interval="1h"), bars(tmp_path / "b", "SOLUSDT")
    assert named(market_files([tmp_path], None)) == {
        "BTCUSDT": (
            ["BTCUSDT-bookTicker-2024-08-08.csv"],
            ["BTCUSDT-trades-2024-08-08.csv"],
            ["BTCUSDT-1m-2024-08.csv"],
        ),
        "BTCUSD_PERP": (["BTCUSD_PERP-bookTicker-2024-08-08.csv"], [], []),
    }


def test_files_and_folders_go_together_and_a_file_counts_once(tmp_path: Path) -> None:
    path = quotes(tmp_path / "q")
    trades(tmp_path / "t")
    market = market_files([path, tmp_path / "q", tmp_path / "t", path], None)
    assert named(market) == {"BTCUSDT": ([path.name], ["BTCUSDT-trades-2024-08-08.csv"], [])}


def test_symbols_that_were_not_asked_for_are_left_out(tmp_path: Path) -> None:
    quotes(tmp_path), quotes(tmp_path, "ETHUSDT"), messages(tmp_path, "SOLUSDT")
    assert list(named(market_files([tmp_path], None, Choice(("ETHUSDT", "SOLUSDT"))))) == ["ETHUSDT", "SOLUSDT"]


def test_a_symbol_that_was_asked_for_and_is_not_there_is_named(tmp_path: Path) -> None:
    quotes(tmp_path), bars(tmp_path, "DOGEUSDT")
    with pytest.raises(MarketDataError, match=rf"{tmp_path}: no quotes or trades of DOGEUSDT\n"):
        market_files([tmp_path], None, Choice(("BTCUSDT", "DOGEUSDT")))


def test_a_folder_without_quotes_or_trades_is_refused(tmp_path: Path) -> None:
    bars(tmp_path)
    with pytest.raises(MarketDataError, match="no quotes or trades"):
        market_files([tmp_path], None)


def test_files_outside_the_span_are_left_out(tmp_path: Path) -> None:
    quotes(tmp_path, span="2024-01-01", ts_ms=START_MS - 200 * 86_400_000)
    quotes(tmp_path)
    quotes(tmp_path, span="2024-12-24", ts_ms=START_MS + 100 * 86_400_000)
    parquet(tmp_path / "binance-um_BTCUSDT_20240101_quotes.parquet", [-9_000_000_000])
    on_the_day = Choice(from_ms=parse_time("2024-08-08"), to_ms=parse_time("2024-08-09"))
    assert named(market_files([tmp_path], None, on_the_day))["BTCUSDT"][0] == ["BTCUSDT-bookTicker-2024-08-08.csv"]
    with pytest.raises(MarketDataError, match="no quotes or trades to 2020-01-01 00:00:00"):
        market_files([tmp_path], None, Choice(to_ms=parse_time("2020-01-01")))


def test_two_venues_of_a_symbol_are_not_mixed(tmp_path: Path) -> None:
    parquet(tmp_path / "aster_BTCUSDT_20240808_quotes.parquet", [0])
    parquet(tmp_path / "binance-um_BTCUSDT_20240809_quotes.parquet", [90_000_000])
    expected = (
        r"BTCUSDT is recorded from several venues: aster \(aster_BTCUSDT_20240808_quotes.parquet\), "
        r"binance-um \(binance-um_BTCUSDT_20240809_quotes.parquet\)\n  recordings are not mixed"
    )
    with pytest.raises(MarketError, match=expected):
        market_files([tmp_path], None)
    narrow = Choice(from_ms=START_MS + 80_000_000)
    assert named(market_files([tmp_path], None, narrow))["BTCUSDT"][0] == ["binance-um_BTCUSDT_20240809_quotes.parquet"]


def test_two_layouts_of_a_symbol_are_not_mixed(tmp_path: Path) -> None:
    quotes(tmp_path), messages(tmp_path)
    with pytest.raises(MarketError, match=r"BTCUSDT is recorded in several layouts: messages \(.*\), rows \(.*\)"):
        market_files([tmp_path], None)


def test_files_whose_times_overlap_are_not_mixed(tmp_path: Path) -> None:
    first = parquet(tmp_path / "hl_BTC_20240808_quotes.parquet", [0, 10])
    second = parquet(tmp_path / "hl_BTC_20240808-09_quotes.parquet", [5, 20])
    with pytest.raises(MarketError, match=f"{first} and {second} both hold quotes of BTC, and their times overlap"):
        market_files([tmp_path], None)
    assert len(market_files([tmp_path], None, Choice(from_ms=START_MS + 15)).symbols[0].quotes) == 1
    one, two = quotes(tmp_path / "a", "ETHUSDT"), quotes(tmp_path / "b", "ETHUSDT")
    with pytest.raises(MarketError, match="both hold quotes of ETHUSDT"):
        market_files([one, two], None)


def test_files_that_enclose_each_other_s_gaps_follow_each_other_in_the_span(tmp_path: Path) -> None:
    parquet(tmp_path / "hl_BTC_20240801-09_quotes.parquet", [-50, 40])
    parquet(tmp_path / "hl_BTC_20240808_quotes.parquet", [0, 10])
    market = market_files([tmp_path], None, Choice(from_ms=START_MS - 5))
    assert [event.ts_ms - START_MS for event in recorded_feed(market, 0)] == [0, 10, 40]


def test_trades_are_preferred_to_aggregate_trades_of_the_same_days_in_a_folder(tmp_path: Path) -> None:
    quotes(tmp_path)
    single, aggregate = trades(tmp_path), trades(tmp_path, word="aggTrades")
    later = trades(tmp_path, word="aggTrades", span="2024-08-09", after_ms=9)
    market = market_files([tmp_path], None)
    assert named(market)["BTCUSDT"][1] == [single.name, later.name]
    assert f"BTCUSDT: {aggregate.name} left out, there are trades of the same days" in market.notes
    with pytest.raises(MarketError, match="both hold trades"):
        market_files([tmp_path, aggregate], None)


def test_warm_up_bars_in_a_folder_are_of_the_same_venue(tmp_path: Path) -> None:
    quotes(tmp_path / "um")
    bars(tmp_path / "spot")
    assert not market_files([tmp_path], None).symbols[0].bars
    mine = bars(tmp_path / "um", span="2024-07")
    assert market_files([tmp_path], None).symbols[0].bars == (mine,)
    given = tmp_path / "spot" / "BTCUSDT-1m-2024-08.csv"
    market = market_files([tmp_path / "um", given], None)
    assert market.symbols[0].bars == (given,)
    assert f"BTCUSDT: the bars in {given.name} are of binance-spot, not of binance-um" in market.notes


def test_a_symbol_of_messages_has_the_same_files_for_quotes_and_trades_as_far_as_it_has_them(tmp_path: Path) -> None:
    later, first = messages(tmp_path, name="b.jsonl", after_ms=99), messages(tmp_path, name="z.jsonl")
    (of,) = market_files([tmp_path], None).symbols
    assert (of.layout, of.quotes, of.trades) == ("messages", (first, later), ())


def test_a_symbol_of_which_messages_have_only_klines_is_no_market(tmp_path: Path) -> None:
    path = messages(tmp_path)
    candle = '"t":1,"T":2,"o":"1","h":"1","l":"1","c":"1","v":"1","x":false'
    line = f'{START_MS}000000 {{"stream":"ethusdt@kline_1m","data":{{"k":{{{candle}}}}}}}'
    path.write_text(f"{path.read_text()}{line}\n")
    assert list(named(market_files([path], None))) == ["BTCUSDT"]
    with pytest.raises(MarketDataError, match="no quotes or trades of ETHUSDT"):
        market_files([path], None, Choice(("ETHUSDT",)))


def test_a_file_in_a_folder_that_is_broken_is_named(tmp_path: Path) -> None:
    quotes(tmp_path)
    path = write(tmp_path / "ETHUSDT-bookTicker-2024-08-08.csv", QUOTES_HEADER, "torn")
    with pytest.raises(MarketDataError, match=f"{path}:2: 1 columns where the file has 7"):
        market_files([tmp_path], None)
    path.write_text(QUOTES_HEADER)
    assert list(named(market_files([tmp_path], None))) == ["BTCUSDT"], "nothing in it is no fault of a folder"


def test_the_four_symbols_of_one_venue_run_together(data_dir: Path) -> None:
    files = sorted((data_dir / "quotes_trades").glob("hyperliquid_*_20250904_*"))
    feed = recorded_feed(market_files(files, None), 501)
    assert feed.symbols == ("BTC", "ETH", "SOL", "WLFI")
    assert sum(1 for _ in feed) == 4 * 3_785 + 6_645 + 6_837 + 4_397 + 2_525


@pytest.mark.parametrize(
    ("folder", "symbols", "message"),
    [
        ("quotes_trades", ("BTCUSDT",), "from several venues: aster .* binance-um"),
        ("quotes_trades", ("BTC",), "20250901-07_windows_quotes.parquet .* 20250904_quotes.parquet .* overlap"),
        (".", ("BTCUSDT",), "in several layouts: messages .* rows"),
    ],
)
def test_recordings_that_do_not_belong_together_are_told_apart(
    data_dir: Path, folder: str, symbols: tuple[str, ...], message: str
) -> None:
    with pytest.raises(MarketError, match=message.replace(" .* ", ".*")):
        market_files([data_dir / folder], None, Choice(symbols))
