from itertools import pairwise
from pathlib import Path

import pytest

from engine.market import AtrRatio, MarketDataError, market_files, recorded_feed
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


def test_the_recorded_market_is_in_order_and_warmed_up(data_dir: Path) -> None:
    feed = recorded_feed(market_files([], data_dir), warm_up_bars=501)
    events = list(feed)
    assert len(events) > 150_000
    assert all((before.ts_ms, before.rank) <= (after.ts_ms, after.rank) for before, after in pairwise(events))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        atr = AtrRatio(50, 500)
        atr.warm_up(feed.warm_up[symbol].bars)
        assert atr.ratio is not None
        assert atr.observed_at == 1_723_161_240.0
