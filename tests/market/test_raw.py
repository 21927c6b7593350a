import gzip
import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from engine.market import Bar, Event, MarketDataError, Quote, Trade, merge, raw, read_events, read_quotes, read_trades
from engine.market.files import recognise
from tests.market.samples import START_MS, write

NAME = "usdm_mine.jsonl"


def line(stream: str, data: dict[str, Any], recorded_ms: int = START_MS) -> str:
    """One line of a recording, with the recorder's time in nanoseconds."""
    return f"{recorded_ms}000000 " + json.dumps({"stream": stream, "data": data}, separators=(",", ":"))


def in_seconds(recorded: str) -> str:
    """A line in its other form, with the recorder's time in seconds."""
    nanoseconds, _, message = recorded.partition(" ")
    return f"{int(nanoseconds) / 1e9}: {message}"


def book(
    update: int, after_ms: int | None, bid: str = "99.0", symbol: str = "BTCUSDT", recorded_ms: int = START_MS
) -> str:
    times = {} if after_ms is None else {"T": START_MS + after_ms, "E": START_MS + after_ms + 3}
    data = {"u": update, "s": symbol, "b": bid, "B": "1.0", "a": "101.0", "A": "2.0", **times}
    return line(f"{symbol.lower()}@bookTicker", data, recorded_ms)


def printed(number: int, after_ms: int, stream: str = "trade", recorded_ms: int = START_MS, **more: str) -> str:
    identity = {"t" if stream == "trade" else "a": number}
    times = {"E": START_MS + after_ms + 1, "T": START_MS + after_ms}
    data = {"e": stream, **times, "s": "BTCUSDT", **identity, "p": "100.5", "q": "0.5", "m": True, **more}
    return line(f"btcusdt@{stream}", data, recorded_ms)


def kline(closed: bool, close: str = "11") -> str:
    candle = {"t": START_MS, "T": START_MS + 59_999, "s": "BTCUSDT", "i": "1m"}
    prices = {"o": "10", "h": "12", "l": "9", "c": close, "v": "5", "x": closed}
    return line("btcusdt@kline_1m", {"e": "kline", "E": START_MS + 60_001, "s": "BTCUSDT", "k": {**candle, **prices}})


def read(folder: Path, *lines: str) -> list[Event]:
    return list(read_events(recognise(write(folder / NAME, *lines))))


def quote(after_ms: int, bid: float = 99.0, symbol: str = "BTCUSDT") -> Quote:
    return Quote(symbol, START_MS + after_ms, bid, 101.0, 1.0, 2.0)


def trade(after_ms: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade(symbol, START_MS + after_ms, 100.5, 0.5, is_buyer_maker=True)


def test_both_forms_of_line_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, book(1, 10), printed(7, 20)) == [quote(10), trade(20)]
    assert read(tmp_path, in_seconds(book(1, 10)), in_seconds(printed(7, 20))) == [quote(10), trade(20)]


def test_a_file_of_both_suffixes(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl.gz", book(1, 10))
    assert list(read_events(recognise(path))) == [quote(10)]


def test_streams_that_lag_each_other_are_put_in_order_and_trades_come_before_quotes(tmp_path: Path) -> None:
    lines = [book(1, 120), book(2, 150), printed(7, 100), printed(8, 150), book(3, 150, symbol="AXSUSDT")]
    assert read(tmp_path, *lines) == [
        trade(100),
        quote(120),
        trade(150),
        quote(150, symbol="AXSUSDT"),
        quote(150),
    ]


def test_the_venue_s_time_counts_and_the_recorder_s_only_where_there_is_no_other(tmp_path: Path) -> None:
    behind_ms = START_MS - 1_267
    lines = [book(1, 10, recorded_ms=behind_ms), printed(7, 20, recorded_ms=behind_ms)]
    assert read(tmp_path, *lines) == [quote(10), trade(20)]
    spot = [book(1, None, recorded_ms=START_MS + 5), in_seconds(book(2, None, recorded_ms=START_MS + 6))]
    assert read(tmp_path, *spot) == [quote(5), quote(6)]


def test_what_is_no_market_data_is_left_out(tmp_path: Path) -> None:
    others = [
        f"{START_MS}000000 " + '{"result":null,"id":1}',
        line("btcusdt@depth", {"e": "depthUpdate", "b": [["1", "2"]], "a": []}),
        line("btcusdt@kline_5m", {"e": "kline"}),
        printed(6, 10, X="INSURANCE_FUND", p="0"),
    ]
    assert read(tmp_path, *others, printed(7, 20)) == [trade(20)]


def test_only_closed_klines_are_bars(tmp_path: Path) -> None:
    bar = Bar("BTCUSDT", START_MS, 10.0, 12.0, 9.0, 11.0, 5.0, START_MS + 59_999)
    lines = [kline(closed=False, close="10"), kline(closed=True), kline(closed=True), book(1, 60_000)]
    assert read(tmp_path, *lines) == [bar, quote(60_000)]


def test_a_message_that_comes_again_after_a_reconnect_is_left_out(tmp_path: Path) -> None:
    lines = [book(1, 10), book(2, 20), printed(7, 20), book(1, 10), book(2, 20), printed(7, 20), book(3, 30)]
    assert read(tmp_path, *lines) == [quote(10), trade(20), quote(20), quote(30)]


@pytest.mark.parametrize("streams", [("trade", "aggTrade"), ("aggTrade", "trade")])
def test_the_same_prints_in_two_streams_are_read_once(tmp_path: Path, streams: tuple[str, str]) -> None:
    assert read(tmp_path, *(printed(7, 20, stream) for stream in streams), printed(8, 30, streams[0])) == [
        trade(20),
        trade(30),
    ]


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (book(3, 19), f":3: time {START_MS + 19} goes back by 1 ms"),
        (book(3, 30)[:-9], ":3: no message of a stream"),
        (f"{START_MS}000000 " + '{"str', ":3: no message of a stream"),
        ("torn", ":3: `torn` does not begin with a recorder's time"),
        (book(3, 30, bid="nan"), ":3: `nan` is no price or quantity"),
        (book(3, 30, bid="-1"), ":3: `-1.0` is no price or quantity"),
        (book(3, 30, bid="x"), ":3: no message of a stream"),
        (book(3, 30).replace('"u":3,', ""), ":3: no message of a stream"),
        (printed(7, 30, p="0"), ":3: a trade at price 0"),
        (kline(closed=True).replace('"h":"12"', '"h":"10"'), ":3: low, open, close and high contradict"),
        (printed(7, 30).replace(f'"T":{START_MS + 30}', '"T":1723161256'), ":3: time .* is not in milliseconds"),
    ],
)
def test_a_broken_line_is_named_and_those_before_it_are_read(tmp_path: Path, last: str, message: str) -> None:
    events = read_events(recognise(write(tmp_path / NAME, book(1, 10), book(2, 20), last)))
    assert [next(events), next(events)] == [quote(10), quote(20)]
    with pytest.raises(MarketDataError, match=message):
        next(events)


def test_a_stream_that_lags_too_far_is_named(tmp_path: Path) -> None:
    ahead = [book(number, number * 10) for number in range(raw._LEAST_PENDING + 500)]
    with pytest.raises(MarketDataError, match=rf":{len(ahead) + 1}: time .* lags \d+ ms behind the other streams"):
        read(tmp_path, *ahead, printed(7, 5))


def test_a_truncated_file_delivers_what_is_whole(tmp_path: Path) -> None:
    lines = "".join(book(number, number) + "\n" for number in range(5_000)).encode()
    path = tmp_path / "mine.jsonl.gz"
    path.write_bytes(gzip.compress(lines)[:-3_000])
    delivered: list[Event] = []
    with pytest.raises(MarketDataError, match="the compressed file is truncated") as caught:
        delivered.extend(chain.from_iterable(raw.message_blocks([path])))
    assert len(delivered) > 1_000
    assert caught.value.line == len(delivered) + 1


def test_files_that_follow_each_other_may_overlap_by_the_lag_of_their_streams(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", book(1, 10), book(2, 30))
    second = write(tmp_path / "b.jsonl", printed(7, 20), book(3, 40))
    assert list(chain.from_iterable(raw.message_blocks([first, second]))) == [
        quote(10),
        trade(20),
        quote(30),
        quote(40),
    ]


def test_a_recording_says_what_it_holds_of_each_symbol(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, book(1, 10, symbol="ETHUSDT"), printed(7, 5), kline(closed=False))
    assert raw.contents(path) == {"BTCUSDT": {"trades", "bars"}, "ETHUSDT": {"quotes"}}
    assert raw.first_ms(path) == START_MS + 10


def test_a_message_may_be_written_in_another_order_and_with_blanks(tmp_path: Path) -> None:
    data = json.loads(book(1, 10).partition(" ")[2])["data"]
    other = f"{START_MS}000000 " + json.dumps({"data": data, "stream": "btcusdt@bookTicker"})
    assert read(tmp_path, other) == [quote(10)]


def test_one_symbol_out_of_several(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, book(1, 10, symbol="ETHUSDT"), printed(7, 20), book(2, 30))
    assert list(read_events(recognise(path, "BTCUSDT"))) == [trade(20), quote(30)]


def test_lines_of_another_kind_are_no_recording(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="no raw message of a stream"):
        recognise(write(tmp_path / "errors.jsonl", '{"code": -1021}'))


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_recorded_messages_are_what_the_archive_has_of_them(data_dir: Path, symbol: str) -> None:
    archive = data_dir / "binance_vision" / "um"
    messages = data_dir / "binance_raw_ws" / f"usdm_{symbol.lower()}_20240808_bookTicker_trade.jsonl.gz"
    quotes = read_quotes(archive / "bookTicker" / f"{symbol}-bookTicker-2024-08-08.csv.gz")
    trades = read_trades(archive / "trades" / f"{symbol}-trades-2024-08-08.csv.gz")
    assert list(read_events(recognise(messages))) == list(merge(quotes, trades))
