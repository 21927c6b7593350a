"""Market data: feeds of quotes, trades and bars, recorded or generated, and what is computed from them.

A recorded market: `recorded_feed(market_files([], data_dir()), warm_up_bars=501)`, or of the files and folders that
somebody named, `market_files(paths, None, Choice(("BTCUSDT",), parse_time("2024-08-08T23:55"), None))`; a generated
one: `generated_feed(MarketShape())`. Both are a `Feed`: iterate it for the events (`async for` as well, `paced` at a
multiple of the market's time), and before that give `feed.warm_up[symbol].bars` to an `AtrRatio`. `TopOfBook` keeps the
last quote, `MinuteBars` turns mids or prints into bars.
"""

from engine.market.atr import AtrRatio
from engine.market.bars import MinuteBars
from engine.market.book import TopOfBook
from engine.market.choice import Choice, parse_time
from engine.market.discover import data_dir, market_files
from engine.market.errors import MarketDataError, MarketError, MissingExtraError
from engine.market.events import Bar, Event, Quote, Trade
from engine.market.feed import Feed
from engine.market.files import MarketFile, read_bars, read_events, read_quotes, read_trades, recognise
from engine.market.generated import MarketShape, SymbolShape, generated_feed
from engine.market.merge import merge
from engine.market.pace import paced
from engine.market.recorded import recorded_feed
from engine.market.recordings import MarketFiles, SymbolFiles
from engine.market.warmup import WarmUp, warm_up_for

__all__ = [
    "AtrRatio",
    "Bar",
    "Choice",
    "Event",
    "Feed",
    "MarketDataError",
    "MarketError",
    "MarketFile",
    "MarketFiles",
    "MarketShape",
    "MinuteBars",
    "MissingExtraError",
    "Quote",
    "SymbolFiles",
    "SymbolShape",
    "TopOfBook",
    "Trade",
    "WarmUp",
    "data_dir",
    "generated_feed",
    "market_files",
    "merge",
    "paced",
    "parse_time",
    "read_bars",
    "read_events",
    "read_quotes",
    "read_trades",
    "recognise",
    "recorded_feed",
    "warm_up_for",
]
