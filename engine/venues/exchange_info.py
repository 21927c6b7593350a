"""The rules of symbols from the venue's own list: Binance's USD-M exchangeInfo, plain or gzip.

In: the answer of `GET /fapi/v1/exchangeInfo` in a file, as it came. Out: `SymbolRules` by symbol. Those that no longer
trade are among them, for a recording may be of a time when they did; those that do not trade yet (PENDING_TRADING) are
left out, and some of them have a tick of 0. Tick, step, quantities and least notional come from the filters
PRICE_FILTER, LOT_SIZE and MIN_NOTIONAL; the tighter largest quantity of orders at the market (MARKET_LOT_SIZE) is not
kept.

A file that cannot be used is a `MarketDataError`: which file, what is wrong with it, what to do.

For symbols that no list has, `market_rules` looks at the market itself and assumes: the tick and step are the powers of
ten that its prices and quantities are multiples of, the least notional is 5 USD. What was assumed is said in a note.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import msgspec

from engine.market import Event, MarketDataError, Quote, Trade
from engine.venues.rules import SymbolRules

ASSUMED_MIN_NOTIONAL = Decimal(5)
"""USD. What most symbols have in both lists known here, of 2021 and of 2026; BTCUSDT has had 5 and 100."""

ASSUMED_MAX_QTY = Decimal(10) ** 9

_FINEST_DECIMALS = 8
"""Binance knows no finer ones; what lies behind them in a double is noise of a calculation."""

_HELP = "give the answer of https://fapi.binance.com/fapi/v1/exchangeInfo as it came, plain or as .gz"


class _Filter(msgspec.Struct, rename={"kind": "filterType", "tick": "tickSize", "step": "stepSize"}):
    """The fields of all filters that are read; each filter has its own of them."""

    kind: str
    tick: Decimal | None = None
    step: Decimal | None = None
    min_qty: Decimal | None = msgspec.field(default=None, name="minQty")
    max_qty: Decimal | None = msgspec.field(default=None, name="maxQty")
    notional: Decimal | None = None


class _Symbol(msgspec.Struct):
    symbol: str
    filters: list[_Filter]
    status: str = ""


class _Info(msgspec.Struct):
    symbols: list[_Symbol]


def read_exchange_info(path: Path) -> dict[str, SymbolRules]:
    """The rules of the symbols in the file, in the file's order. Raises `MarketDataError`."""
    try:
        info = msgspec.json.decode(_content(path), type=_Info)
    except msgspec.ValidationError as error:
        raise MarketDataError(path, None, f"is no exchangeInfo: {_lowered(error)}", _HELP) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MarketDataError(path, None, f"is not JSON: {_lowered(error)}", _HELP) from None
    if not info.symbols:
        raise MarketDataError(path, None, "lists no symbols", _HELP)
    return {of.symbol: _rules(path, of) for of in info.symbols if of.status != "PENDING_TRADING"}


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    except FileNotFoundError:
        raise MarketDataError(path, None, "no such file", "check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise MarketDataError(path, None, "the compressed file is damaged", "fetch the file again") from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise MarketDataError(path, None, f"cannot be read: {reason}", "check the path and its permissions") from None


def _rules(path: Path, of: _Symbol) -> SymbolRules:
    filters = {each.kind: each for each in of.filters}
    price, lot, notional = (filters.get(kind, _Filter(kind)) for kind in ("PRICE_FILTER", "LOT_SIZE", "MIN_NOTIONAL"))

    def read(number: Decimal | None, where: str, *, positive: bool = True) -> Decimal:
        if number is None:
            raise MarketDataError(path, None, f"`{of.symbol}` has no {where}", _HELP)
        if not number.is_finite() or number < 0 or (positive and number == 0):
            raise MarketDataError(path, None, f"`{of.symbol}` has a {where} of {number}, which cannot be", _HELP)
        return number

    return SymbolRules(
        symbol=of.symbol,
        tick=read(price.tick, "PRICE_FILTER tickSize"),
        step=read(lot.step, "LOT_SIZE stepSize"),
        min_qty=read(lot.min_qty, "LOT_SIZE minQty", positive=False),
        max_qty=read(lot.max_qty, "LOT_SIZE maxQty"),
        min_notional=read(notional.notional, "MIN_NOTIONAL notional", positive=False),
    )


def _lowered(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]


# --- symbols that no list has ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarketRules:
    """The rules of the symbols of a market."""

    rules: dict[str, SymbolRules]
    notes: tuple[str, ...]
    """What was assumed, one line for each symbol it was assumed of."""


def market_rules(
    symbols: Sequence[str], events: Iterable[Event], known: Mapping[str, SymbolRules], most_events: int = 200_000
) -> MarketRules:
    """The rules of `symbols`: those known, and for the others what their first events let assume.

    Reads up to `most_events` of the market, none where every symbol is known. A symbol without a single price among
    them is left out, and the note says so.
    """
    unknown = [symbol for symbol in symbols if symbol not in known]
    prices: dict[str, set[float]] = {symbol: set() for symbol in unknown}
    quantities: dict[str, set[float]] = {symbol: set() for symbol in unknown}
    for event in islice(events, most_events) if unknown else ():
        if event.symbol in prices:
            match event:
                case Quote():
                    prices[event.symbol].update((event.bid, event.ask))
                    quantities[event.symbol].update((event.bid_qty, event.ask_qty))
                case Trade():
                    prices[event.symbol].add(event.price)
                    quantities[event.symbol].add(event.qty)
                case _:
                    pass
    rules = {symbol: known[symbol] for symbol in symbols if symbol in known}
    notes: list[str] = []
    for symbol in unknown:
        if not any(prices[symbol]):
            notes.append(f"{symbol}: no exchange info and no price to assume rules from, so no orders")
            continue
        of = rules[symbol] = assumed_rules(symbol, prices[symbol], quantities[symbol])
        notes.append(
            f"{symbol}: no exchange info; assumed from its market: tick {of.tick:f}, step {of.step:f},"
            f" least notional {of.min_notional:f}"
        )
    return MarketRules(rules, tuple(notes))


def assumed_rules(symbol: str, prices: Iterable[float], quantities: Iterable[float]) -> SymbolRules:
    """Rules under which everything seen could have been ordered: the finest decimal place seen is the tick, or step.

    >>> assumed_rules("AKROUSDT", [0.0173, 0.01731], [1200.0, 35.0])
    SymbolRules(symbol='AKROUSDT', tick=Decimal('0.00001'), step=Decimal('1'), min_qty=Decimal('1'), ...)
    """
    tick, step = _finest(prices), _finest(quantities)
    return SymbolRules(symbol, tick, step, step, ASSUMED_MAX_QTY, ASSUMED_MIN_NOTIONAL)


def _finest(numbers: Iterable[float]) -> Decimal:
    """The power of ten, at most 1 and at least 1e-8, of which all numbers are multiples."""
    decimals = 0
    for number in numbers:
        text = f"{number:.{_FINEST_DECIMALS}f}".rstrip("0")
        decimals = max(decimals, len(text) - text.index(".") - 1)
    return Decimal(1).scaleb(-decimals)
