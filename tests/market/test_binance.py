from contextlib import suppress
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Bar, Event, MarketDataError, MarketError, Quote, Trade, binance, rows
from engine.market.binance import layout_of
from engine.market.events import MINUTE_MS
from engine.market.files import read_bars, read_events, read_quotes, read_trades, recognise
from tests.market.samples import (
    AGGREGATES_HEADER,
    BARS_HEADER,
    QUOTES_HEADER,
    START_MS,
    TRADES_HEADER,
    bar_row,
    quote_row,
    write,
    write_bytes,
)

QUOTE = Quote("BTCUSDT", START_MS, 61_800.2, 61_800.3, 2.507, 2.51)
QUOTE_ROW = f"5123107839020,61800.20,2.507,61800.30,2.510,{START_MS},{START_MS + 3}"
TRADE = Trade("BTCUSDT", START_MS, 61_800.3, 0.006, is_buyer_maker=True)
TRADE_ROW = f"5266583935,61800.30,0.006,370.80180,{START_MS},true"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".zip"])
@pytest.mark.parametrize("header", [[QUOTES_HEADER], []])
def test_quotes_with_and_without_header(tmp_path: Path, suffix: str, header: list[str]) -> None:
    path = write(tmp_path / f"BTCUSDT-bookTicker-2024-08-08{suffix}", *header, QUOTE_ROW)
    assert list(read_quotes(path)) == [QUOTE]


@pytest.mark.parametrize("header", [[TRADES_HEADER], []])
def test_trades_with_and_without_header(tmp_path: Path, header: list[str]) -> None:
    path = write(tmp_path / "BTCUSDT-trades-2024-08-08.csv", *header, TRADE_ROW)
    assert list(read_trades(path)) == [TRADE]


@pytest.mark.parametrize("header", [[AGGREGATES_HEADER], []])
def test_aggregate_trades_with_and_without_header(tmp_path: Path, header: list[str]) -> None:
    row = f"171927517,61800.30,0.006,551530707,551530709,{START_MS},true"
    path = write(tmp_path / "BTCUSDT-aggTrades-2024-08-08.csv", *header, row)
    assert list(read_trades(path)) == [TRADE]


@pytest.mark.parametrize("header", [[BARS_HEADER], []])
def test_klines_with_and_without_header(tmp_path: Path, header: list[str]) -> None:
    row = f"{START_MS},9.924,9.93,9.91,9.915,37763,{START_MS + 59_999},374493.579,931,18576,184234.25,0"
    path = write(tmp_path / "AVAXUSDT-1m-2024-08-08.csv", *header, row)
    assert list(read_bars(path)) == [Bar("AVAXUSDT", START_MS, 9.924, 9.93, 9.91, 9.915, 37_763.0, START_MS + 59_999)]


def test_spot_archives_have_one_more_flag_and_may_count_microseconds(tmp_path: Path) -> None:
    trades = write(tmp_path / "BTCUSDT-trades-2025-01-02.csv", f"1,61800.30,0.006,370.8,{START_MS}123,True,True")
    aggregates = write(tmp_path / "BTCUSDT-aggTrades-2025-01-02.csv", f"1,61800.30,0.006,5,6,{START_MS}123,True,True")
    assert list(read_trades(trades)) == [TRADE]
    assert list(read_trades(aggregates)) == [TRADE]


def test_a_header_may_order_columns_its_own_way(tmp_path: Path) -> None:
    path = write(tmp_path / "BTCUSDT-trades-x.csv", "isBuyerMaker,time,qty,price", f"true,{START_MS},0.006,61800.3")
    assert list(read_trades(path, "BTCUSDT")) == [TRADE]


def test_a_file_of_a_header_alone_holds_nothing(tmp_path: Path) -> None:
    assert list(read_quotes(write(tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv", QUOTES_HEADER))) == []


def test_the_symbol_comes_from_the_name_unless_given(tmp_path: Path) -> None:
    path = write(tmp_path / "quotes.csv", QUOTE_ROW)
    assert next(read_quotes(path, "ETHUSDT")).symbol == "ETHUSDT"
    with pytest.raises(MarketDataError, match=r"quotes\.csv: the name does not say which symbol"):
        next(read_quotes(path))


@pytest.mark.parametrize(("bid", "ask"), [("101.0", "99.0"), ("100.0", "100.0"), ("0", "100.0"), ("100.0", "0.00")])
def test_crossed_locked_and_empty_books_are_passed_on(tmp_path: Path, bid: str, ask: str) -> None:
    path = write(tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv", quote_row(START_MS, bid, ask))
    assert [(quote.bid, quote.ask) for quote in read_quotes(path)] == [(float(bid), float(ask))]


def test_equal_times_are_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv", *[quote_row(START_MS)] * 3)
    assert len(list(read_quotes(path))) == 3


@pytest.mark.parametrize(
    ("row", "message", "help_text"),
    [
        (f"7,99.0,1.0,101.0,2.0,{START_MS}", "6 columns where the file has 7", "torn"),
        (quote_row(START_MS) + ",1", "8 columns where the file has 7", "torn"),
        (quote_row(START_MS, bid="abc"), "`abc` is not a number", "restore"),
        (quote_row(START_MS, bid=""), "`` is not a number", "restore"),
        (quote_row(START_MS, bid="9_9.0"), "`9_9.0` is not a number", "restore"),
        (quote_row(START_MS, bid="\x1b[1m"), r"`\\x1b\[1m` is not a number", "restore"),
        (quote_row(START_MS, bid="nan"), "bid is `nan`", "from 0 to 1e"),
        (quote_row(START_MS, ask="inf"), "ask is `inf`", "from 0 to 1e"),
        (quote_row(START_MS, bid="-1"), "bid is `-1`", "from 0 to 1e"),
        (quote_row(START_MS, ask="-1"), "ask is `-1`", "from 0 to 1e"),
        (quote_row(START_MS).replace("1.0,1", "-1.0,1"), "bid_qty is `-1.0`", "from 0 to 1e"),
        (quote_row(START_MS).replace(",2.0", ",nan"), "ask_qty is `nan`", "from 0 to 1e"),
        (quote_row(START_MS, ask="1e300"), "ask is `1e300`", "from 0 to 1e"),
        (quote_row(START_MS - 5), f"time {START_MS - 5} goes back by 5 ms", "sort"),
        (quote_row(START_MS // 1000), "is not in milliseconds since 1970", "convert"),
        (quote_row(START_MS * 1000), "is not in milliseconds since 1970", "convert"),
        (quote_row(START_MS).replace(str(START_MS), f"{START_MS}.5"), "whole milliseconds", ""),
    ],
)
def test_a_broken_quote_says_where_what_and_what_to_do(tmp_path: Path, row: str, message: str, help_text: str) -> None:
    path = write(tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv", QUOTES_HEADER, quote_row(START_MS), row)
    quotes = read_quotes(path)
    next(quotes)
    with pytest.raises(MarketDataError, match=message) as caught:
        next(quotes)
    assert caught.value.line == 3
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}:3: ")
    assert help_text in caught.value.help


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (TRADE_ROW.replace("true", "yes"), "is_buyer_maker is `yes`"),
        (TRADE_ROW.replace("61800.30", "0"), "a trade at price 0"),
        (TRADE_ROW.replace("0.006", "-0.006"), "qty is `-0.006`"),
        (TRADE_ROW + ",1,2", "8 columns where the file has 6"),
    ],
)
def test_a_broken_trade(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "BTCUSDT-trades-2024-08-08.csv", TRADES_HEADER, row)
    with pytest.raises(MarketDataError, match=f":2: {message}"):
        list(read_trades(path))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([bar_row(0, low=90.0, high=110.0, close=120.0)], ":2: low, open, close and high contradict"),
        ([bar_row(0, low=0.0)], ":2: low, open, close and high contradict"),
        ([bar_row(0).replace(",5.0,", ",nan,")], ":2: volume is `nan`"),
        ([bar_row(0), bar_row(0)], ":3: time .* goes back by 60000 ms"),
        ([bar_row(0).replace(str(START_MS + 59_999), str(START_MS))], ":2: the bar closes before it opens"),
    ],
)
def test_a_broken_bar(tmp_path: Path, rows: list[str], message: str) -> None:
    path = write(tmp_path / "BTCUSDT-1m-2024-08.csv", BARS_HEADER, *rows)
    with pytest.raises(MarketDataError, match=message):
        list(read_bars(path))


def test_a_file_of_another_kind_is_named_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "BTCUSDT-trades-2024-08-08.csv", TRADES_HEADER, TRADE_ROW)
    with pytest.raises(MarketDataError, match="holds trades, not quotes"):
        next(read_quotes(path))


@pytest.mark.parametrize("line", ["a,b,c", "1,2,3", "1,2,3,4,5,6,7,8,9,10,11,true"])
def test_an_unknown_layout(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "BTCUSDT-trades-2024-08-08.csv", line)
    with pytest.raises(MarketDataError, match="columns that are no layout known here"):
        layout_of(path)


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"\xff\n", 3, "bytes that are not ASCII text"),
        (b"61_800,1,1,1,1,1,1\n", 3, "`61_800` is not a number"),
        (b"\n1,99.0", 4, "2 columns where the file has 7"),
    ],
)
def test_a_line_that_cannot_be_split_is_named_and_those_before_it_are_read(
    tmp_path: Path, content: bytes, line: int, message: str
) -> None:
    path = write(tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv", QUOTES_HEADER, quote_row(START_MS))
    path.write_bytes(path.read_bytes() + content)
    quotes = read_quotes(path)
    assert next(quotes).ts_ms == START_MS
    with pytest.raises(MarketDataError, match=message) as caught:
        next(quotes)
    assert caught.value.line == line


def test_a_row_of_trades_that_repeats_the_one_above_is_the_same_print(tmp_path: Path) -> None:
    other = TRADE_ROW.replace("5266583935", "5266583936")
    path = write(tmp_path / "BTCUSDT-trades-2024-08-08.csv", TRADES_HEADER, TRADE_ROW, TRADE_ROW, other, other)
    assert list(read_trades(path)) == [TRADE, TRADE]


def test_a_torn_row_and_one_that_makes_up_for_it_do_not_pass_as_two(tmp_path: Path) -> None:
    path = write(
        tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv",
        f"7,99.0,1.0,101.0,2.0,{START_MS}",
        f"7,7,99.0,1.0,101.0,2.0,{START_MS},{START_MS}",
    )
    with pytest.raises(MarketDataError, match="no layout known here"):
        read_quotes(path)
    path = write(path, QUOTES_HEADER, *path.read_text().split())
    with pytest.raises(MarketDataError, match=":2: 6 columns where the file has 7"):
        list(read_quotes(path))


CONTENTS = {
    "A-bookTicker-1": "\n".join([QUOTES_HEADER, *(quote_row(START_MS + step) for step in range(5))]),
    "A-trades-1": f"{TRADES_HEADER}\n{TRADE_ROW}\n{TRADE_ROW}",
    "A-1m-1": "\n".join([BARS_HEADER, *(bar_row(minute) for minute in range(5))]),
}


@given(
    name=st.sampled_from(sorted(CONTENTS)),
    suffix=st.sampled_from([".csv", ".csv.gz", ".zip"]),
    at=st.floats(0, 1),
    length=st.integers(0, 30),
    inserted=st.binary(max_size=5) | st.text("0123456789,.\n-_einf \r", max_size=5).map(str.encode),
    compressed_too=st.booleans(),
)
def test_damaged_files_raise_nothing_but_market_errors(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    suffix: str,
    at: float,
    length: int,
    inserted: bytes,
    compressed_too: bool,
) -> None:
    def damaged(content: bytes) -> bytes:
        place = int(at * len(content))
        return content[:place] + inserted + content[place + length :]

    content = CONTENTS[name].encode()
    path = write_bytes(
        tmp_path_factory.getbasetemp() / f"{name}{suffix}", content if compressed_too else damaged(content)
    )
    if compressed_too:
        path.write_bytes(damaged(path.read_bytes()))
    with suppress(MarketError):
        list(read_events(recognise(path)))


def read_until_fault(path: Path) -> tuple[list[Event], str]:
    """The events of a file and the fault that ended them."""
    events: list[Event] = []
    try:
        events.extend(event for event in read_events(recognise(path)))
    except MarketError as fault:
        return events, str(fault)
    return events, ""


@given(
    name=st.sampled_from(["A-bookTicker-1", "A-trades-1"]),
    at=st.floats(0, 1),
    length=st.integers(0, 3),
    inserted=st.text("0123456789,.\n-_einf \r", max_size=3).map(str.encode),
    block_bytes=st.sampled_from([1 << 16, 150]),
)
def test_rows_read_at_once_are_those_read_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: float, length: int, inserted: bytes, block_bytes: int
) -> None:
    content = CONTENTS[name].encode()
    place = int(at * len(content))
    damaged = content[:place] + inserted + content[place + length :]
    path = write_bytes(tmp_path_factory.getbasetemp() / f"{name}.csv", damaged)
    with mock.patch.object(rows, "_BLOCK_BYTES", block_bytes):
        at_once = read_until_fault(path)
    with mock.patch.object(binance._Reader, "at_once", return_value=None):
        assert read_until_fault(path) == at_once


def test_order_and_repetitions_are_seen_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 80)  # a row or two
    times = [START_MS + step for step in (0, 1, 2, 3, 2)]
    path = write(tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv", *(quote_row(ts_ms) for ts_ms in times))
    with pytest.raises(MarketDataError, match=r":5: time \d+ goes back by 1 ms"):
        list(read_quotes(path))
    path = write(tmp_path / "BTCUSDT-trades-2024-08-08.csv", TRADES_HEADER, *[TRADE_ROW] * 9)
    assert list(read_trades(path)) == [TRADE]


def test_the_last_bars_before_a_time_are_read_without_those_well_before(tmp_path: Path) -> None:
    rows = [bar_row(minute) for minute in range(5_000)]
    path = write(tmp_path / "BTCUSDT-1m-2024-08.csv", BARS_HEADER, "torn", *rows, "torn")
    for before_ms in (START_MS + 4_000 * MINUTE_MS, START_MS + 4_000 * MINUTE_MS + 17):
        bars = binance.last_bars(path, "BTCUSDT", before_ms, 600)
        assert [(bar.open_time_ms - START_MS) // MINUTE_MS for bar in bars] == list(range(3_400, 4_000))
    whole = write(tmp_path / "BTCUSDT-1m-2024-09.csv", BARS_HEADER, *rows)
    assert binance.last_bars(whole, "BTCUSDT", START_MS, 10) == []
    assert len(binance.last_bars(whole, "BTCUSDT", None, 9_999)) == 5_000
    assert binance.last_bars(whole, "BTCUSDT", None, 2)[-1].open_time_ms == START_MS + 4_999 * MINUTE_MS


def test_the_last_bars_are_named_where_they_are_broken(tmp_path: Path) -> None:
    path = write(tmp_path / "BTCUSDT-1m-2024-08.csv", BARS_HEADER, bar_row(0), bar_row(1, low=0.0))
    with pytest.raises(MarketDataError, match=":3: low, open, close and high contradict"):
        binance.last_bars(path, "BTCUSDT", None, 5)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("um/bookTicker/BTCUSDT-bookTicker-2024-08-08.csv.gz", 66_089),
        ("um/bookTicker/KEEPUSDT-bookTicker-2021-07-22.csv.gz", 75),
        ("cm/bookTicker/ETHUSD_PERP-bookTicker-2024-08-08.csv.gz", 35_563),
        ("um/trades/ETHUSDT-trades-2024-08-08.csv.gz", 14_076),
        ("cm/trades/BTCUSD_PERP-trades-2024-08-08.csv.gz", 5_235),
        ("um/aggTrades/APEUSDT-aggTrades-2024-10-18.zip", 45_342),
        ("um/klines/1h/BTCUSDT-1h-2024-10-28.zip", 24),
        ("um/klines/1m/ALGOUSDT-1m-2026-02-04_2026-02-07.csv.gz", 5_760),
    ],
)
def test_recorded_files_are_read_whole(data_dir: Path, name: str, rows: int) -> None:
    file = recognise(data_dir / "binance_vision" / name)
    assert sum(1 for _ in read_events(file)) == rows
    assert file.symbol == file.path.name.partition("-")[0]
