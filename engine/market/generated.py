"""A market made up from a seed: for the first run without recordings, and for tests that need every kind of weather.

In: a `MarketShape`. Out: a `Feed` of quotes and trades of several symbols with one-minute bars before it. Nothing here
claims to be realistic; what it promises is variety that a router has to cope with: volatility that goes through quiet,
normal, hot and panic (as ATR(50) / ATR(500) sees it), a thin book whose spread widens, jumps, and a feed that goes
silent for some seconds. The same shape gives the same events, run after run.

Each symbol has its own random stream, so adding a symbol changes no other. The fair price takes a normal step before
every quote, in proportion to the root of the time since the last. A trade hits the touch of the quote before it, and
the quote of the same millisecond shows the book after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random

from engine.market.events import MINUTE_MS, Bar, Event, Quote, Trade
from engine.market.feed import Feed
from engine.market.merge import merge
from engine.market.warmup import WarmUp


@dataclass(frozen=True, slots=True)
class SymbolShape:
    """One symbol: its prices, its book, its pace."""

    symbol: str
    start_price: float
    """In the quote asset."""
    ticks_per_unit: int
    """Price steps in one unit of the quote asset: 100 for a tick of 0.01."""
    lots_per_unit: int
    """Quantity steps in one unit of the base asset."""
    volatility_bps: float
    """Standard deviation of the fair price over a minute of the normal regime, in basis points."""
    spread_ticks: int
    """The usual spread; one quote in four shows a tick more."""
    thin_spread_ticks: int
    """The spread while the book is thin."""
    thin_share: float
    """Share of the time that the book is thin, 0 to 1."""
    touch_qty: float
    """Mean quantity at bid and ask, in the base asset."""
    quotes_per_s: float
    """Mean rate of quotes."""


@dataclass(frozen=True, slots=True)
class Regime:
    """A kind of weather: how wild prices are, as a multiple of a symbol's normal volatility."""

    name: str
    volatility: float


REGIMES = (Regime("quiet", 0.25), Regime("normal", 1.0), Regime("hot", 2.1), Regime("panic", 6.0))
"""One after the other, in a circle. After hours of normal, 50 minutes of each give ATR ratios near 0.3, 1, 1.8, 4."""

SYMBOLS = (
    SymbolShape("BTCUSDT", 60_000.0, 10, 1000, 3.0, 1, 40, 0.02, 4.0, 20.0),
    SymbolShape("ETHUSDT", 2_600.0, 100, 1000, 4.0, 1, 60, 0.02, 60.0, 15.0),
    SymbolShape("SOLUSDT", 145.0, 1000, 100, 6.0, 10, 120, 0.10, 400.0, 8.0),
    SymbolShape("AKROUSDT", 0.01730, 100_000, 1, 12.0, 1, 3, 0.25, 60_000.0, 4.0),
)
"""Two deep books, a middling one, and a thin one whose tick alone is 5.8 bps."""


@dataclass(frozen=True, slots=True)
class MarketShape:
    """A whole generated market."""

    seed: int = 7
    symbols: tuple[SymbolShape, ...] = SYMBOLS
    start_ms: int = 1_704_067_200_000  # 2024-01-01 00:00 UTC
    """Milliseconds since 1970, a whole minute."""
    duration_s: float | None = 2700
    """None for a market without an end."""
    warm_up_bars: int = 600
    """One-minute bars before the start."""
    regime_s: int = 900
    """How long each regime lasts; symbol number i starts in regime number i."""
    thin_episode_s: float = 20.0
    """Mean length of a stretch of thin book."""
    trade_share: float = 0.25
    """Share of quotes that come with a trade."""
    jumps_per_hour: float = 2.0
    """Mean number of jumps for each symbol."""
    jump_minutes: float = 3.0
    """Size of a jump in standard deviations of a minute in the regime at the time."""
    gap_every_s: float = 600.0
    """Time from one silence of the whole feed to the next."""
    gap_s: float = 7.0
    """Length of a silence."""


def generated_feed(shape: MarketShape) -> Feed:
    """The market of a shape."""
    numbered = tuple(enumerate(shape.symbols))
    return Feed(
        source=f"generated, seed {shape.seed}",
        symbols=tuple(of.symbol for of in shape.symbols),
        warm_up={of.symbol: WarmUp(_bars_before(shape, of, number)) for number, of in numbered},
        open_events=lambda: merge(*(_events(shape, of, number) for number, of in numbered)),
        notes=("this market is made up: regimes, thin books, jumps and silences come from the seed",),
    )


_WALK_STEPS = 40  # price steps in a bar before the start; fewer would make those bars smaller than the ones to come
_FIRST_REGIME_BARS = 60  # so many bars before the start already have the first regime's volatility


def _bars_before(shape: MarketShape, of: SymbolShape, number: int) -> tuple[Bar, ...]:
    """The bars that end at the start, the last one closing at the symbol's start price."""
    rng = Random(f"{shape.seed}/{of.symbol}/bars")
    step = of.volatility_bps / 1e4 / math.sqrt(_WALK_STEPS)
    first_regime = _regime(shape, number, 0.0)
    price = 1.0
    walks: list[list[float]] = []
    for minutes_left in range(shape.warm_up_bars, 0, -1):
        wildness = first_regime.volatility if minutes_left <= _FIRST_REGIME_BARS else 1.0
        walk = [price]
        for _ in range(_WALK_STEPS):
            price *= 1.0 + step * wildness * rng.gauss(0.0, 1.0)
            walk.append(price)
        walks.append(walk)
    to_ticks = of.start_price / price * of.ticks_per_unit
    first_open_ms = shape.start_ms - shape.warm_up_bars * MINUTE_MS
    return tuple(
        _bar(of, first_open_ms + index * MINUTE_MS, [max(1, round(price * to_ticks)) for price in walk])
        for index, walk in enumerate(walks)
    )


def _bar(of: SymbolShape, open_ms: int, walk_ticks: Sequence[int]) -> Bar:
    opened, high, low, close = (
        ticks / of.ticks_per_unit for ticks in (walk_ticks[0], max(walk_ticks), min(walk_ticks), walk_ticks[-1])
    )
    travelled = sum(abs(after - before) for before, after in pairwise(walk_ticks))
    return Bar(of.symbol, open_ms, opened, high, low, close, travelled * of.touch_qty, open_ms + MINUTE_MS - 1)


def _events(shape: MarketShape, of: SymbolShape, number: int) -> Iterator[Event]:
    """The quotes and trades of one symbol."""
    rng = Random(f"{shape.seed}/{of.symbol}")
    random, gauss, log, sqrt = rng.random, rng.gauss, math.log, math.sqrt
    sigma = of.volatility_bps / 1e4  # of a minute
    mean_wait_ms, mean_lots = 1000.0 / of.quotes_per_s, of.touch_qty * of.lots_per_unit
    gap_every_ms, gap_ms = shape.gap_every_s * 1000.0, shape.gap_s * 1000.0
    jump = partial(rng.expovariate, shape.jumps_per_hour / 3_600_000)
    book = _Depth(shape, of, rng)
    ends_ms = math.inf if shape.duration_s is None else shape.duration_s * 1000
    elapsed_ms, regime_until_ms, jump_at_ms = 0.0, 0.0, jump()
    fair = of.start_price * of.ticks_per_unit
    last: Quote | None = None
    while True:
        wait_ms = -log(1.0 - random()) * mean_wait_ms
        elapsed_ms += wait_ms
        if elapsed_ms >= ends_ms:
            return
        if elapsed_ms >= regime_until_ms:
            regime_sigma = sigma * _regime(shape, number, elapsed_ms).volatility
            regime_until_ms = (elapsed_ms // (shape.regime_s * 1000) + 1) * shape.regime_s * 1000
        fair *= 1.0 + gauss(0.0, 1.0) * regime_sigma * sqrt(wait_ms / MINUTE_MS)
        if elapsed_ms >= jump_at_ms:
            jump_at_ms += jump()
            fair *= 1.0 + rng.choice((-1.0, 1.0)) * shape.jump_minutes * regime_sigma
        if elapsed_ms % gap_every_ms >= gap_every_ms - gap_ms:
            last = None  # silence: prices go on, nobody hears of it
            continue
        spread = book.spread_ticks(elapsed_ms)
        bid = max(1, int(fair - spread / 2 + 0.5))
        bid_lots, ask_lots = int(-log(1.0 - random()) * mean_lots) + 1, int(-log(1.0 - random()) * mean_lots) + 1
        ts_ms = shape.start_ms + int(elapsed_ms)
        if last is not None and last.ts_ms < ts_ms and random() < shape.trade_share:
            sold = random() < 0.5
            price, most = (last.bid, last.bid_qty) if sold else (last.ask, last.ask_qty)
            lots = min(int(most * of.lots_per_unit + 0.5), int(-log(1.0 - random()) * mean_lots / 4) + 1)
            yield Trade(of.symbol, ts_ms, price, lots / of.lots_per_unit, sold)
        last = Quote(
            of.symbol,
            ts_ms,
            bid / of.ticks_per_unit,
            (bid + spread) / of.ticks_per_unit,
            bid_lots / of.lots_per_unit,
            ask_lots / of.lots_per_unit,
        )
        yield last


class _Depth:
    """Whether the book of a symbol is thin at a time, and so its spread. Times may only grow."""

    def __init__(self, shape: MarketShape, of: SymbolShape, rng: Random) -> None:
        self._of = of
        self._rng = rng
        self._thin = True
        self._until_ms = 0.0
        normal_episode_s = shape.thin_episode_s * (1.0 - of.thin_share) / max(of.thin_share, 1e-9)
        self._mean_episode_ms = {True: shape.thin_episode_s * 1000, False: normal_episode_s * 1000}

    def spread_ticks(self, elapsed_ms: float) -> int:
        while elapsed_ms >= self._until_ms:
            self._thin = not self._thin
            self._until_ms += self._rng.expovariate(1.0) * self._mean_episode_ms[self._thin]
        usual = self._of.thin_spread_ticks if self._thin else self._of.spread_ticks
        return usual + (self._rng.random() < 0.25)


def _regime(shape: MarketShape, number: int, elapsed_ms: float) -> Regime:
    return REGIMES[(number + int(elapsed_ms // (shape.regime_s * 1000))) % len(REGIMES)]
