from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from engine.market import (
    AtrRatio,
    Choice,
    Event,
    Feed,
    MarketDataError,
    MarketError,
    Quote,
    Trade,
    market_files,
    parse_time,
    recorded_feed,
)
from engine.market.events import MINUTE_MS
from tests.market.samples import BARS_HEADER, START_MS, bar_row, quote, quote_row, write


def trade_row(ts_ms: int) -> str:
    return f"1,100.0,1.0,100.0,{ts_ms},true"


def write_market(folder: Path) -> list[Path]:
    return [
        write(folder / "BTCUSDT-bookTicker-1.csv", quote_row(START_MS + 10), quote_row(START_MS + 20)),
        write(folder / "BTCUSDT-trades-1.csv", *(trade_row(START_MS + ms) for ms in (9, 10, 20))),
        write(folder / "BTCUSDT-1m-1.csv", BARS_HEADER, *(bar_row(minute, close=105.0) for minute in range(-5, -1))),
    ]


def test_a_recording_starts_at_its_first_quote(tmp_path: Path) -> None:
    feed = recorded_feed(market_files(write_market(tmp_path), None), warm_up_bars=3)
    assert [(type(event).__name__, event.ts_ms - START_MS) for event in feed] == [
        ("Trade", 10),
        ("Quote", 10),
        ("Trade", 20),
        ("Quote", 20),
    ]


def test_a_feed_can_be_read_again(tmp_path: Path) -> None:
    feed = recorded_feed(market_files(write_market(tmp_path), None), warm_up_bars=3)
    assert list(feed) == list(feed) != []


def test_bars_before_the_recording_join_its_first_mid(tmp_path: Path) -> None:
    feed = recorded_feed(market_files(write_market(tmp_path), None), warm_up_bars=3)
    bars = feed.warm_up["BTCUSDT"].bars
    assert [bar.open_time_ms - START_MS for bar in bars] == [-180_000, -120_000, -60_000]
    assert bars[-1].close == quote(START_MS).bid / 2 + quote(START_MS).ask / 2
    assert feed.notes == (f"BTCUSDT: ATR starts from {feed.warm_up['BTCUSDT']}",)
    assert "another time" in feed.notes[0]


def test_without_quotes_a_recording_starts_at_its_first_trade(tmp_path: Path) -> None:
    feed = recorded_feed(market_files(write_market(tmp_path)[1:], None), warm_up_bars=3)
    assert [event.ts_ms - START_MS for event in feed] == [9, 10, 20]
    assert feed.warm_up["BTCUSDT"].bars[-1].close == 100.0


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "BTCUSDT-bookTicker-1.csv", quote_row(START_MS), quote_row(START_MS + 20))
    second = write(tmp_path / "BTCUSDT-bookTicker-2.csv", quote_row(START_MS + 10))
    feed = recorded_feed(market_files([first, second], None), warm_up_bars=0)
    with pytest.raises(MarketDataError, match=r"BTCUSDT-bookTicker-2\.csv: starts before the file before it ends"):
        list(feed)


def test_a_recording_without_a_single_mid_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "BTCUSDT-bookTicker-1.csv", quote_row(START_MS, bid="0"))
    with pytest.raises(MarketDataError, match="no price of BTCUSDT"):
        recorded_feed(market_files([path], None), warm_up_bars=0)


def is_in_order(events: Sequence[Event]) -> bool:
    return all((before.ts_ms, before.rank) <= (after.ts_ms, after.rank) for before, after in pairwise(events))


def after(feed: Feed) -> list[tuple[str, int]]:
    """The kinds and times of a feed's events."""
    return [(type(event).__name__, event.ts_ms - START_MS) for event in feed]


def test_a_span_cuts_the_events_and_its_end_is_not_in_it(tmp_path: Path) -> None:
    choice = Choice(from_ms=START_MS + 15, to_ms=START_MS + 20)
    write(tmp_path / "BTCUSDT-bookTicker-1.csv", *(quote_row(START_MS + ms) for ms in (0, 14, 15, 19, 20, 30)))
    write(tmp_path / "BTCUSDT-trades-1.csv", *(trade_row(START_MS + ms) for ms in (0, 15, 16, 20)))
    feed = recorded_feed(market_files([tmp_path], None, choice), 0)
    assert after(feed) == [("Trade", 15), ("Quote", 15), ("Trade", 16), ("Quote", 19)]


def test_bars_for_warm_up_are_taken_from_before_the_span(tmp_path: Path) -> None:
    choice = Choice(from_ms=START_MS + 3 * MINUTE_MS)
    write(tmp_path / "BTCUSDT-bookTicker-1.csv", *(quote_row(START_MS + minute * MINUTE_MS) for minute in range(5)))
    write(tmp_path / "BTCUSDT-1m-1.csv", BARS_HEADER, *(bar_row(minute) for minute in range(-9, 6)))
    feed = recorded_feed(market_files([tmp_path], None, choice), 4)
    warm_up = feed.warm_up["BTCUSDT"]
    assert [(bar.open_time_ms - START_MS) // MINUTE_MS for bar in warm_up.bars] == [-1, 0, 1, 2]
    assert not warm_up.is_from_another_day


@pytest.mark.parametrize("with_trades", [True, False])
def test_without_bars_the_recording_s_own_minutes_before_the_span_serve(tmp_path: Path, with_trades: bool) -> None:
    times = [START_MS + second * 1_000 for second in range(0, 600, 10)]
    write(tmp_path / "BTCUSDT-bookTicker-1.csv", *(quote_row(ts_ms, bid="99.0", ask="103.0") for ts_ms in times))
    if with_trades:
        write(tmp_path / "BTCUSDT-trades-1.csv", *(trade_row(ts_ms) for ts_ms in times))
    choice = Choice(from_ms=START_MS + 6 * MINUTE_MS + 30_000)
    feed = recorded_feed(market_files([tmp_path], None, choice), 4)
    bars = feed.warm_up["BTCUSDT"].bars
    assert [(bar.open_time_ms - START_MS) // MINUTE_MS for bar in bars] == [2, 3, 4, 5]
    assert {bar.close for bar in bars} == {100.0 if with_trades else 101.0}
    assert not feed.warm_up["BTCUSDT"].is_from_another_day
    early = recorded_feed(market_files([tmp_path], None, Choice(from_ms=START_MS)), 4)
    assert early.warm_up["BTCUSDT"].bars == ()
    assert any("no one-minute bars" in note for note in early.notes)


def test_bars_of_several_files_are_joined_without_a_hole(tmp_path: Path) -> None:
    quotes = write(tmp_path / "BTCUSDT-bookTicker-1.csv", quote_row(START_MS))
    spans = [range(-20, -12), range(-10, -4), range(-6, 0), range(-9, -7)]
    files = [
        write(tmp_path / f"BTCUSDT-1m-{number}.csv", BARS_HEADER, *(bar_row(minute) for minute in span))
        for number, span in enumerate(spans)
    ]
    bars = recorded_feed(market_files([quotes, *files], None), 15).warm_up["BTCUSDT"].bars
    assert [(bar.open_time_ms - START_MS) // MINUTE_MS for bar in bars] == list(range(-10, 0))
    few = recorded_feed(market_files([quotes, *files], None), 8).warm_up["BTCUSDT"].bars
    assert few == bars[-8:]


def test_a_symbol_with_nothing_in_the_span_is_left_out_and_said(tmp_path: Path) -> None:
    bitcoin = write(tmp_path / "BTCUSDT-bookTicker-1.csv", quote_row(START_MS))
    ether = write(tmp_path / "ETHUSDT-bookTicker-1.csv", quote_row(START_MS + 60_000))
    choice = Choice(from_ms=START_MS + 30_000)
    feed = recorded_feed(market_files([bitcoin, ether], None, choice), 0)
    assert feed.symbols == ("ETHUSDT",)
    assert "BTCUSDT: nothing from 2024-08-08 23:54:30" in feed.notes
    with pytest.raises(MarketError, match="no quotes or trades from 2024-08-08 23:54:30"):
        recorded_feed(market_files([bitcoin], None, choice), 0)


def test_a_fault_in_one_file_comes_after_what_is_before_it(tmp_path: Path) -> None:
    quotes = write(tmp_path / "BTCUSDT-bookTicker-1.csv", quote_row(START_MS), quote_row(START_MS + 9), "torn")
    trades = write(tmp_path / "BTCUSDT-trades-1.csv", *(trade_row(START_MS + ms) for ms in (5, 7, 20)))
    events = iter(recorded_feed(market_files([quotes, trades], None), 0))
    assert [next(events).ts_ms - START_MS for _ in range(4)] == [0, 5, 7, 9]
    with pytest.raises(MarketDataError, match=r"BTCUSDT-bookTicker-1\.csv:3: 1 columns"):
        next(events)


def message(symbol: str, update: int, after_ms: int, bid: str = "99") -> str:
    data = f'"s":"{symbol}","u":{update},"b":"{bid}","B":"1","a":"101","A":"1","T":{START_MS + after_ms}'
    return f'{START_MS}000000 {{"stream":"{symbol.lower()}@bookTicker","data":{{{data}}}}}'


def printed(symbol: str, number: int, after_ms: int) -> str:
    data = f'"s":"{symbol}","t":{number},"p":"100","q":"1","m":true,"T":{START_MS + after_ms}'
    return f'{START_MS}000000 {{"stream":"{symbol.lower()}@trade","data":{{{data}}}}}'


def test_messages_of_several_symbols_start_each_with_its_first_price(tmp_path: Path) -> None:
    lines = [
        printed("BTCUSDT", 1, 1),
        printed("SOLUSDT", 1, 2),
        message("BTCUSDT", 1, 5),
        message("ETHUSDT", 1, 6, bid="0"),
        printed("ETHUSDT", 1, 7),
        message("ETHUSDT", 2, 8),
    ]
    write(tmp_path / "mine.jsonl", *lines, printed("BTCUSDT", 2, 9))
    feed = recorded_feed(market_files([tmp_path], None), 0)
    assert [(event.symbol, type(event).__name__, event.ts_ms - START_MS) for event in feed] == [
        ("SOLUSDT", "Trade", 2),
        ("BTCUSDT", "Quote", 5),
        ("ETHUSDT", "Quote", 8),
        ("BTCUSDT", "Trade", 9),
    ]
    alone = recorded_feed(market_files([tmp_path], None, Choice(("BTCUSDT",), START_MS + 6)), 0)
    assert after(alone) == [("Trade", 9)], "the quote lies before the span"


def test_the_recorded_market_is_in_order_and_warmed_up(data_dir: Path) -> None:
    feed = recorded_feed(market_files([], data_dir), warm_up_bars=501)
    events = list(feed)
    assert len(events) > 150_000
    assert is_in_order(events)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        atr = AtrRatio(50, 500)
        atr.warm_up(feed.warm_up[symbol].bars)
        assert atr.ratio is not None
        assert atr.observed_at == 1_723_161_240.0


def test_a_day_of_minutes_runs_and_warms_up_from_its_own_morning(data_dir: Path) -> None:
    choice = Choice(("ADAUSDT",), parse_time("2022-12-13T12:00"))
    feed = recorded_feed(market_files([data_dir / "minute_quotes"], None, choice), 501)
    events = list(feed)
    assert is_in_order(events)
    assert {type(event) for event in events} == {Quote, Trade}
    warm_up = feed.warm_up["ADAUSDT"]
    assert len(warm_up.bars) == 501
    assert not warm_up.is_from_another_day
    assert warm_up.bars[-1].ts_ms == parse_time("2022-12-13T12:00")


def test_a_dirty_feed_with_a_hole_warms_up_from_its_own_prints(data_dir: Path) -> None:
    choice = Choice(("BTC-USD",), parse_time("2026-01-06T17:00"), parse_time("2026-01-06T17:30"))
    feed = recorded_feed(market_files([data_dir / "quotes_trades"], None, choice), 501)
    events = list(feed)
    assert is_in_order(events)
    assert choice.from_ms is not None
    assert choice.to_ms is not None
    assert choice.from_ms <= events[0].ts_ms <= events[-1].ts_ms < choice.to_ms
    assert any(event.bid == event.ask for event in events if isinstance(event, Quote))
    assert len(feed.warm_up["BTC-USD"].bars) == 501


def test_raw_messages_of_two_symbols_are_one_market_with_the_bars_of_another_folder(data_dir: Path) -> None:
    folders = [data_dir / "binance_raw_ws", data_dir / "klines_1m"]
    choice = Choice(("BTCUSDT", "ETHUSDT"), None, parse_time("2024-08-08T23:54:30"))
    feed = recorded_feed(market_files(folders, None, choice), 501)
    archive = data_dir / "binance_vision" / "um"
    files = [*archive.glob("bookTicker/???USDT-*-2024-08-08*"), *archive.glob("trades/*")]
    assert list(feed) == list(recorded_feed(market_files(files, None, choice), 0))
    assert all(len(warm_up.bars) == 501 for warm_up in feed.warm_up.values())
