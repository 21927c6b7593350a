"""Raw recordings of Binance's WebSocket: one combined-stream message a line, several symbols and streams in one file.

Two forms of line, by what the recorder put before the message:

    1723161255088169167 {"stream":"btcusdt@bookTicker","data":{…}}      its clock in nanoseconds
    1626916403.8469708: {"stream":"bchusd_perp@bookTicker","data":{…}}  its clock in seconds

In: paths that follow each other in time. Out: blocks of events in order. Streams that are read: `bookTicker` (quotes),
`trade` or `aggTrade` (trades; of a symbol that has both, whichever comes first: they are the same prints) and closed
one-minute klines (bars). Other streams, and lines that are answers to commands, are left out, and so are trades that
are no prints of the market (`X` other than `MARKET`: insurance fund, liquidation by counterparty).

An event has the venue's time (`T`, when it happened there). The recorder's clock, which may be a second off, is used
where the venue gives none: `bookTicker` of spot.

Order: one stream of one symbol is in order, or the recording is refused at the line. Streams among each other are not:
they lag by some 100 ms in the recordings at hand, and by up to `MOST_LAG_MS` here. A message with the id of one of the
last thousands of its stream is a repetition, as after a reconnect, and left out.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from engine.market.blocks import LARGEST_NUMBER
from engine.market.errors import MarketDataError, late_row, shown
from engine.market.events import Bar, Event, Quote, Trade
from engine.market.rows import Chunk, read_chunks

MOST_LAG_MS = 10_000
"""How far a stream may lag behind the others of its recording."""

_EARLIEST_MS, _LATEST_MS = 10**11, 10**14
_REMEMBERED_IDS = 4096
_LEAST_PENDING = 4096  # events to sort at once; they are sorted already but for the lag

_LINE = re.compile(rb"(\d{19}) |(\d{10}(?:\.\d*)?): ")
_STREAM = re.compile(rb'"stream": ?"([^"@]*)@(\w+)')
_BEGINS = b'{"stream":"'
_KINDS = {b"bookTicker": "quotes", b"trade": "trades", b"aggTrade": "trades", b"kline_1m": "bars"}


def message_blocks(
    paths: Sequence[Path], symbols: Collection[str] | None = None, *, bars: bool = True
) -> Iterator[list[Event]]:
    """The events of recordings that follow each other, of these symbols or of all, in order of time, rank and symbol.

    Raises `MarketDataError`, after what is before the fault has been handed out.
    """
    return _Recording(symbols, bars=bars).blocks(paths)


def is_recording(path: Path) -> bool:
    """Whether the first line of a file looks like one of a raw recording. Raises `MarketDataError`."""
    first = next(read_chunks(path), None)
    return first is not None and _LINE.match(first.text) is not None


def first_ms(path: Path) -> int | None:
    """The time of a recording's first event, in the order of its lines; None where there is none."""
    recording = _Recording(None, bars=False)
    for chunk in read_chunks(path):
        for event in recording.events(path, chunk):
            return event.ts_ms
    return None


def contents(path: Path) -> Mapping[str, frozenset[str]]:
    """What a recording has of each symbol: `quotes`, `trades`, `bars`. It is searched to its end, quickly.

    Raises `MarketDataError`, but for what is wrong with single messages.
    """
    streams = {found for chunk in read_chunks(path) for found in set(_STREAM.findall(chunk.text))}
    names = sorted({symbol for symbol, stream in streams if stream in _KINDS})
    return {
        _symbol(name): frozenset(_KINDS[stream] for symbol, stream in streams if symbol == name and stream in _KINDS)
        for name in names
    }


# --- messages --------------------------------------------------------------------------------------------------------


class _Named(msgspec.Struct):
    stream: str = ""


class _BookTicker(msgspec.Struct, gc=False):
    u: int
    b: float
    B: float
    a: float
    A: float
    T: int | None = None


class _Print(msgspec.Struct, gc=False):
    T: int
    p: float
    q: float
    m: bool
    t: int | None = None
    a: int | None = None
    X: str = "MARKET"


class _Candle(msgspec.Struct, gc=False):
    t: int
    T: int
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    v: float
    x: bool


class _Kline(msgspec.Struct, gc=False):
    k: _Candle


class _BookTickerMessage(msgspec.Struct, gc=False):
    data: _BookTicker


class _PrintMessage(msgspec.Struct, gc=False):
    data: _Print


class _KlineMessage(msgspec.Struct, gc=False):
    data: _Kline


# Not strict: the venue writes numbers as text.
_BOOK_TICKER = msgspec.json.Decoder(_BookTickerMessage, strict=False)
_PRINT = msgspec.json.Decoder(_PrintMessage, strict=False)
_KLINE = msgspec.json.Decoder(_KlineMessage, strict=False)
_NAMED = msgspec.json.Decoder(_Named)


class _Stream(ABC):
    """One stream of one symbol, and what was last seen of it."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last_ms = _EARLIEST_MS
        self._last_id = -1
        self._ids: deque[int] = deque(maxlen=_REMEMBERED_IDS)

    @abstractmethod
    def event(self, message: bytes, line: bytes) -> Event | None:
        """The event of a message, None for one to be left out; `msgspec.DecodeError` or `ValueError` for a bad one."""

    def repeats(self, number: int) -> bool:
        """Whether a message with this id has been seen; remembers it."""
        if number <= self._last_id and number in self._ids:
            return True
        self._last_id = number
        self._ids.append(number)
        return False


class _BookTickers(_Stream):
    def event(self, message: bytes, line: bytes) -> Quote | None:
        data = _BOOK_TICKER.decode(message).data
        if self.repeats(data.u):
            return None
        _check(data.b, data.B, data.a, data.A)
        ts_ms = _recorded_ms(line) if data.T is None else data.T
        return Quote(self.symbol, ts_ms, data.b, data.a, data.B, data.A)


class _Prints(_Stream):
    def event(self, message: bytes, line: bytes) -> Trade | None:  # noqa: ARG002 - prints have the venue's time
        data = _PRINT.decode(message).data
        number = data.a if data.t is None else data.t
        if data.X != "MARKET" or (number is not None and self.repeats(number)):
            return None
        _check(data.p, data.q)
        if data.p == 0.0:
            raise ValueError("a trade at price 0")
        return Trade(self.symbol, data.T, data.p, data.q, data.m)


class _Klines(_Stream):
    def event(self, message: bytes, line: bytes) -> Bar | None:  # noqa: ARG002 - klines have the venue's time
        candle = _KLINE.decode(message).data.k
        if not candle.x or self.repeats(candle.t):
            return None
        _check(candle.o, candle.h, candle.l, candle.c, candle.v)
        if not 0.0 < candle.l <= min(candle.o, candle.c) <= max(candle.o, candle.c) <= candle.h:
            raise ValueError("low, open, close and high contradict each other")
        if candle.t >= candle.T:
            raise ValueError("the bar closes before it opens")
        return Bar(self.symbol, candle.t, candle.o, candle.h, candle.l, candle.c, candle.v, candle.T)


_READERS: Mapping[bytes, type[_Stream]] = {
    b"bookTicker": _BookTickers,
    b"trade": _Prints,
    b"aggTrade": _Prints,
    b"kline_1m": _Klines,
}


def _recorded_ms(line: bytes) -> int:
    """The recorder's clock; `ValueError` where the line does not begin with it."""
    begins = _LINE.match(line)
    if begins is None:
        raise ValueError("the line does not begin with a recorder's time, and the message has none")
    nanoseconds, seconds = begins.groups()
    return int(nanoseconds) // 1_000_000 if nanoseconds else round(float(seconds) * 1000)


def _check(*numbers: float) -> None:
    for number in numbers:
        if not 0.0 <= number < LARGEST_NUMBER:
            raise ValueError(f"`{number}` is no price or quantity")


# --- recordings ------------------------------------------------------------------------------------------------------


class _Recording:
    """One pass over recordings."""

    def __init__(self, symbols: Collection[str] | None, *, bars: bool) -> None:
        self._wanted = None if symbols is None else set(symbols)
        self._bars = bars
        self._streams: dict[bytes, _Stream | None] = {}  # by full name; None for one to be left out
        self._prints: set[str] = set()  # symbols whose trades come from a stream seen before
        self._pending: list[Event] = []
        self._latest_ms = 0
        self._delivered_ms = 0  # all events up to here are out

    def blocks(self, paths: Sequence[Path]) -> Iterator[list[Event]]:
        """The events of the files in order."""
        enough = _LEAST_PENDING
        try:
            for path in paths:
                for chunk in read_chunks(path):
                    self._pending.extend(self.events(path, chunk))
                    if len(self._pending) >= enough:
                        yield from self._ripe(self._latest_ms - MOST_LAG_MS)
                        enough = max(_LEAST_PENDING, 2 * len(self._pending))
        except MarketDataError:
            yield from self._ripe(self._latest_ms)
            raise
        yield from self._ripe(self._latest_ms)

    def _ripe(self, until_ms: int) -> Iterator[list[Event]]:
        """Hand out the events up to a time that no later line may go back behind."""
        pending = self._pending
        pending.sort(key=_order)
        count = len(pending)
        while count and pending[count - 1].ts_ms > until_ms:
            count -= 1
        block = pending[:count]
        del pending[:count]
        if block:
            self._delivered_ms = block[-1].ts_ms
            yield block

    def events(self, path: Path, chunk: Chunk) -> Iterator[Event]:
        """The events of some lines in the order of the lines. Raises `MarketDataError`."""
        streams = self._streams
        for number, line in enumerate(chunk.text.split(b"\n"), chunk.first_line):
            at = line.find(_BEGINS)
            name, message = line[at + len(_BEGINS) : line.find(b'"', at + len(_BEGINS))], line[at:]
            if at < 0:
                if not line:
                    continue
                name, message = _named(path, number, line)
            stream = streams[name] if name in streams else self._new(name)
            if stream is None:
                continue
            try:
                event = stream.event(message, line)
            except msgspec.DecodeError as error:
                raise _torn(path, number, error) from error
            except ValueError as error:
                raise MarketDataError(path, number, str(error), "restore the message, or remove the line") from None
            if event is not None:
                self._check_time(path, number, event.ts_ms, stream.last_ms)
                stream.last_ms = event.ts_ms
                yield event

    def _new(self, name: bytes) -> _Stream | None:
        """What reads a stream that was not seen before; None for one to be left out."""
        lower, _, kind = name.partition(b"@")
        symbol = _symbol(lower)
        reader = _READERS.get(kind)
        if self._wanted is not None and symbol not in self._wanted:
            reader = None
        if reader is _Klines and not self._bars:
            reader = None
        if reader is _Prints:
            if symbol in self._prints:
                reader = None
            self._prints.add(symbol)
        stream = self._streams[name] = None if reader is None else reader(symbol)
        return stream

    def _check_time(self, path: Path, number: int, ts_ms: int, last_ms: int) -> None:
        """Raise unless a time may follow in its stream, and among the others; remember it."""
        if not _EARLIEST_MS <= ts_ms < _LATEST_MS:
            raise MarketDataError(
                path, number, f"time {ts_ms} is not in milliseconds since 1970", "record the venue's time as it is"
            )
        if ts_ms < last_ms:
            raise late_row(path, number, ts_ms, last_ms)
        if ts_ms <= self._delivered_ms:
            raise MarketDataError(
                path,
                number,
                f"time {ts_ms} lags {self._latest_ms - ts_ms} ms behind the other streams",
                f"more than {MOST_LAG_MS} ms is no order: record streams apart, or sort the lines",
            )
        self._latest_ms = max(self._latest_ms, ts_ms)


def _symbol(lower: bytes) -> str:
    return lower.decode(errors="replace").upper()


def _named(path: Path, number: int, line: bytes) -> tuple[bytes, bytes]:
    """The stream and the message of a line that is written in another way; no stream for an answer to a command."""
    begins = _LINE.match(line)
    if begins is None:
        raise MarketDataError(
            path,
            number,
            f"`{shown(line.decode(errors='replace'))}` does not begin with a recorder's time",
            "expected `<ns> {…}` or `<s>: {…}`",
        )
    message = line[begins.end() :]
    try:
        return _NAMED.decode(message).stream.encode(), message
    except msgspec.DecodeError as error:
        raise _torn(path, number, error) from error


def _torn(path: Path, number: int, error: Exception) -> MarketDataError:
    reason = shown(str(error), 100)
    return MarketDataError(path, number, f"no message of a stream: {reason}", "the line is torn or edited: remove it")


def _order(event: Event) -> tuple[int, int, str]:
    return event.ts_ms, event.rank, event.symbol
