"""Market data: feeds of quotes, trades and bars, recorded or generated, and what is computed from them.

A recorded market: `recorded_feed(market_files([], data_dir()), warm_up_bars=501)`; a generated one:
`generated_feed(MarketShape())`. Both are a `Feed`: iterate it for the events, and before that give
`feed.warm_up[symbol].bars` to an `AtrRatio`. `TopOfBook` keeps the last quote, `MinuteBars` turns mids or prints into
bars.
"""

from engine.market.atr import AtrRatio
from engine.market.bars import MinuteBars
from engine.market.book import TopOfBook
from engine.market.discover import MarketFiles, SymbolFiles, data_dir, market_files
from engine.market.errors import MarketDataError, MarketError, MissingExtraError
from engine.market.events import Bar, Event, Quote, Trade
from engine.market.feed import Feed, recorded_feed
from engine.market.files import MarketFile, read_bars, read_events, read_quotes, read_trades, recognise
from engine.market.generated import MarketShape, SymbolShape, generated_feed
from engine.market.merge import merge
from engine.market.warmup import WarmUp, warm_up_for

__all__ = [
    "AtrRatio",
    "Bar",
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
    "read_bars",
    "read_events",
    "read_quotes",
    "read_trades",
    "recognise",
    "recorded_feed",
    "warm_up_for",
]
