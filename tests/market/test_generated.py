from collections import Counter, defaultdict
from dataclasses import replace
from itertools import islice, pairwise

import pytest

from engine.market import AtrRatio, Event, Feed, MarketShape, MinuteBars, Quote, TopOfBook, Trade, generated_feed
from engine.market.book import mid_of, spread_bps_of
from engine.market.generated import REGIMES, SYMBOLS

SHAPE = MarketShape()


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(generated_feed(SHAPE))


def regimes(feed: Feed) -> dict[str, Counter[str]]:
    """For each symbol how many closed minutes lay in each regime, by ATR(50) / ATR(500) of bars from mids."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    atrs = {symbol: AtrRatio(50, 500) for symbol in feed.symbols}
    bars = {symbol: MinuteBars(symbol, 1) for symbol in feed.symbols}
    for symbol, atr in atrs.items():
        atr.warm_up(feed.warm_up[symbol].bars)
    for event in feed:
        mid = mid_of(event) if isinstance(event, Quote) else None
        for bar in bars[event.symbol].add(event.ts_ms, mid) if mid is not None else ():
            atrs[event.symbol].add(bar)
            ratio = atrs[event.symbol].ratio
            assert ratio is not None
            bounds = [("quiet", 0.5), ("normal", 1.5), ("hot", 2.5), ("panic", float("inf"))]
            seen[event.symbol][next(name for name, bound in bounds if ratio < bound)] += 1
    return seen


def test_the_same_seed_gives_the_same_market(events: list[Event]) -> None:
    assert list(generated_feed(SHAPE)) == events


def test_another_seed_gives_another_market(events: list[Event]) -> None:
    assert list(islice(generated_feed(replace(SHAPE, seed=8)), 100)) != events[:100]


def test_a_symbol_does_not_depend_on_the_others(events: list[Event]) -> None:
    alone = generated_feed(replace(SHAPE, symbols=SYMBOLS[:1]))
    assert list(alone) == [event for event in events if event.symbol == SYMBOLS[0].symbol]


def test_events_are_in_order_with_at_least_100_000_quotes(events: list[Event]) -> None:
    assert all((before.ts_ms, before.rank) <= (after.ts_ms, after.rank) for before, after in pairwise(events))
    counts = Counter(type(event) for event in events)
    assert counts[Quote] >= 100_000
    assert counts[Trade] >= 20_000


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_every_regime_is_visited(seed: int) -> None:
    seen = regimes(generated_feed(replace(SHAPE, seed=seed)))
    minutes = sum(seen.values(), Counter[str]())
    assert all(minutes[name] >= 10 for name in ("quiet", "normal", "hot", "panic")), minutes
    assert all(len(of_symbol) >= 2 for of_symbol in seen.values()), seen


def test_a_market_without_an_end_goes_on_where_another_stops(events: list[Event]) -> None:
    endless = iter(generated_feed(replace(SHAPE, duration_s=None)))
    assert list(islice(endless, len(events))) == events
    assert next(endless).ts_ms >= SHAPE.start_ms + 2_700_000


def test_the_thin_symbol_shows_little_at_its_touch(events: list[Event]) -> None:
    shown: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if isinstance(event, Quote):
            shown[event.symbol].append(event.bid * event.bid_qty)
    means = {symbol: sum(of_symbol) / len(of_symbol) for symbol, of_symbol in shown.items()}
    assert means["AKROUSDT"] < 2_000
    assert min(mean for symbol, mean in means.items() if symbol != "AKROUSDT") > 20 * means["AKROUSDT"]


def test_books_are_never_crossed_and_the_thin_one_is_at_times_wider_than_12_bps(events: list[Event]) -> None:
    spreads: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if isinstance(event, Quote):
            spread_bps = spread_bps_of(event)
            assert spread_bps is not None
            spreads[event.symbol].append(spread_bps)
    assert all(min(of_symbol) > 0 for of_symbol in spreads.values())
    thin = spreads["AKROUSDT"]
    assert 0.1 < sum(spread_bps > 12 for spread_bps in thin) / len(thin) < 0.5
    assert max(spreads["BTCUSDT"]) < 12


def test_trades_hit_the_touch_of_the_quote_before_them_for_no_more_than_is_there(events: list[Event]) -> None:
    books = defaultdict[str, TopOfBook](TopOfBook)
    for event in events:
        if isinstance(event, Quote):
            books[event.symbol].update(event)
        elif isinstance(event, Trade):
            last = books[event.symbol].quote
            assert last is not None
            price, qty = (last.bid, last.bid_qty) if event.is_buyer_maker else (last.ask, last.ask_qty)
            assert event.price == price
            assert 0 < event.qty <= qty


def test_the_feed_goes_silent_for_some_seconds(events: list[Event]) -> None:
    silences = [after.ts_ms - before.ts_ms for before, after in pairwise(events)]
    assert sum(silence > 6_900 for silence in silences) == 2_700 // SHAPE.gap_every_s


def test_after_a_silence_nobody_trades_at_the_old_book(events: list[Event]) -> None:
    for of in SYMBOLS:
        own = [event for event in events if event.symbol == of.symbol]
        assert all(isinstance(after, Quote) for before, after in pairwise(own) if after.ts_ms - before.ts_ms > 6_900)


@pytest.mark.parametrize(("jumps_per_hour", "fewest", "most"), [(1e-9, 0, 0), (120.0, 60, 180)])
def test_prices_jump_as_often_as_asked(jumps_per_hour: float, fewest: int, most: int) -> None:
    calm = replace(SHAPE, symbols=SYMBOLS[:1], regime_s=10_000, duration_s=3600, jumps_per_hour=jumps_per_hour)
    quotes = [event for event in generated_feed(calm) if isinstance(event, Quote)]
    steps_bps = [abs(after.bid / before.bid - 1) * 1e4 for before, after in pairwise(quotes)]
    jump_bps = calm.jump_minutes * REGIMES[0].volatility * SYMBOLS[0].volatility_bps
    widening_bps = SYMBOLS[0].thin_spread_ticks / 2 / SYMBOLS[0].ticks_per_unit / SYMBOLS[0].start_price * 1e4
    assert widening_bps < jump_bps / 2
    assert fewest <= sum(step_bps > jump_bps / 2 for step_bps in steps_bps) <= most


def test_symbols_of_equal_shape_go_their_own_ways() -> None:
    twins = tuple(replace(SYMBOLS[0], symbol=symbol) for symbol in ("A", "B"))
    times = defaultdict[str, list[int]](list)
    for event in islice(generated_feed(replace(SHAPE, symbols=twins)), 1_000):
        times[event.symbol].append(event.ts_ms)
    assert times["A"][:50] != times["B"][:50]


def test_bars_before_the_start_lead_up_to_the_first_quote(events: list[Event]) -> None:
    feed = generated_feed(SHAPE)
    for symbol in feed.symbols:
        bars = feed.warm_up[symbol].bars
        assert len(bars) == SHAPE.warm_up_bars
        assert bars[-1].ts_ms == SHAPE.start_ms
        assert all(after.open_time_ms == before.close_time_ms + 1 for before, after in pairwise(bars))
        first = next(event for event in events if isinstance(event, Quote) and event.symbol == symbol)
        assert mid_of(first) == pytest.approx(bars[-1].close, rel=0.005)


def test_prices_and_quantities_lie_on_the_steps_of_the_symbol(events: list[Event]) -> None:
    shapes = {of.symbol: of for of in SYMBOLS}
    for event in events[:2_000]:
        if isinstance(event, Quote):
            of = shapes[event.symbol]
            assert event.bid == round(event.bid * of.ticks_per_unit) / of.ticks_per_unit
            assert event.ask_qty == round(event.ask_qty * of.lots_per_unit) / of.lots_per_unit
