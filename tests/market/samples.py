"""Short ways to write events, and rows and files in Binance's layouts, for the tests of the market."""

import gzip
import zipfile
from collections.abc import Sequence
from pathlib import Path

from engine.market import Bar, Quote, Trade
from engine.market.events import MINUTE_MS

START_MS = 1_723_161_240_000
"""2024-08-08 23:54:00 UTC, a whole minute."""

QUOTES_HEADER = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
TRADES_HEADER = "id,price,qty,quote_qty,time,is_buyer_maker"
AGGREGATES_HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
BARS_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def quote(ts_ms: int, bid: float = 99.0, ask: float = 101.0, symbol: str = "BTCUSDT") -> Quote:
    return Quote(symbol, ts_ms, bid, ask, 1.0, 2.0)


def trade(ts_ms: int, price: float = 100.0, symbol: str = "BTCUSDT") -> Trade:
    return Trade(symbol, ts_ms, price, 1.0, is_buyer_maker=False)


def bar(minute: int, low: float, high: float, close: float, symbol: str = "BTCUSDT") -> Bar:
    """The bar that opens `minute` minutes after `START_MS`, at its low."""
    open_ms = START_MS + minute * MINUTE_MS
    return Bar(symbol, open_ms, low, high, low, close, 1.0, open_ms + MINUTE_MS - 1)


def flat_bar(minute: int, price: float = 100.0, symbol: str = "BTCUSDT") -> Bar:
    return bar(minute, price, price, price, symbol)


def quote_row(ts_ms: int, bid: str = "99.0", ask: str = "101.0") -> str:
    return f"7,{bid},1.0,{ask},2.0,{ts_ms},{ts_ms + 1}"


def bar_row(minute: int, low: float = 90.0, high: float = 110.0, close: float = 100.0) -> str:
    open_ms = START_MS + minute * MINUTE_MS
    return f"{open_ms},{low},{high},{low},{close},5.0,{open_ms + MINUTE_MS - 1},0,1,0,0,0"


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    """Write lines to a file, compressed as its suffix says."""
    return write_bytes(path, "".join(line + end for line in lines).encode())


def write_bytes(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(content))
    elif path.name.endswith(".zip"):
        write_archive(path, [(f"{path.stem}.csv", content)])
    else:
        path.write_bytes(content)
    return path


def write_archive(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path
