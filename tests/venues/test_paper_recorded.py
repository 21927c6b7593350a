"""Ladders of resting orders over the recording of 2024-08-08: what the two bounds of the queue make of them."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from engine.market import Event, Quote, Trade, merge, read_quotes, read_trades
from engine.venues.exchange_info import assumed_rules
from engine.venues.messages import Cancel, Fill, Place, Side
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.paper_book import Queue
from engine.venues.rules import SymbolRules
from engine.venues.wire import TrueOrder

RUNGS = range(5)
QTY = Decimal("0.25")
EVERY_MS = 5_000
"""From one ladder to the next."""
LIFE_MS = 20_000
"""From a ladder to its cancels."""


@cache
def recording(data_dir: Path) -> tuple[Event, ...]:
    folder = data_dir / "binance_vision" / "um"
    return tuple(
        merge(
            read_trades(folder / "trades" / "BTCUSDT-trades-2024-08-08.csv.gz"),
            read_quotes(folder / "bookTicker" / "BTCUSDT-bookTicker-2024-08-08.csv.gz"),
        )
    )


@cache
def rules_of(data_dir: Path) -> SymbolRules:
    trades = [event for event in recording(data_dir) if isinstance(event, Trade)]
    return assumed_rules("BTCUSDT", (each.price for each in trades), (each.qty for each in trades))


def ladder(quote: Quote, rules: SymbolRules, number: int) -> tuple[Place, ...]:
    """Orders at the touch and behind it, on both sides."""
    sides: Sequence[tuple[Side, float, int]] = (("buy", quote.bid, -1), ("sell", quote.ask, 1))
    return tuple(
        Place(
            client_id=f"{side}-{number}-{rung}",
            symbol="BTCUSDT",
            side=side,
            qty=QTY,
            kind="post_only",
            price=Decimal(repr(touch)) + away * rung * rules.tick,
            reduce_only=False,
        )
        for side, touch, away in sides
        for rung in RUNGS
    )


@cache
def played(data_dir: Path, queue: Queue) -> tuple[PaperVenue, dict[int, list[Fill]]]:
    """The venue after the recording, and the fills of each print by its place among the events."""
    rules = rules_of(data_dir)
    venue = PaperVenue({"BTCUSDT": rules}, PaperSettings(queue=queue))
    ladders: list[tuple[int, tuple[Place, ...]]] = []  # when sent, and the orders
    fills: dict[int, list[Fill]] = {}
    for place, event in enumerate(recording(data_dir)):
        now_ms = event.ts_ms
        for fill in venue.receive(now_ms - 1):
            if isinstance(fill, Fill):
                fills.setdefault(fill.ts_ms, []).append(fill)
        while ladders and ladders[0][0] + LIFE_MS <= now_ms:
            for order in ladders.pop(0)[1]:
                venue.send(Cancel(order.client_id, order.symbol), now_ms)
        venue.see(event)
        if isinstance(event, Quote) and (not ladders or now_ms >= ladders[-1][0] + EVERY_MS):
            ladders.append((now_ms, ladder(event, rules, place)))
            for order in ladders[-1][1]:
                venue.send(order, now_ms)
    while (due_ms := venue.next_ms()) is not None:
        venue.receive(due_ms)
    return venue, fills


def orders_of(data_dir: Path, queue: Queue) -> dict[str, TrueOrder]:
    return {order.client_id: order for order in played(data_dir, queue)[0].orders()}


def test_the_rules_are_those_of_the_symbol(data_dir: Path) -> None:
    rules = rules_of(data_dir)
    assert (rules.tick, rules.step) == (Decimal("0.1"), Decimal("0.001"))


def test_both_bounds_see_the_same_orders_and_the_optimistic_one_fills_at_least_as_much(data_dir: Path) -> None:
    pessimistic, optimistic = orders_of(data_dir, "pessimistic"), orders_of(data_dir, "optimistic")
    assert len(pessimistic) > 500
    assert pessimistic.keys() == optimistic.keys()
    assert all(pessimistic[client_id].filled <= optimistic[client_id].filled for client_id in pessimistic)


def test_resting_orders_do_fill_and_the_queue_matters(data_dir: Path) -> None:
    pessimistic, optimistic = (
        sum(order.filled for order in orders_of(data_dir, queue).values()) for queue in ("pessimistic", "optimistic")
    )
    placed = QTY * len(orders_of(data_dir, "pessimistic"))
    assert placed / 4 < pessimistic < Decimal("0.99") * optimistic < placed


@pytest.mark.parametrize("queue", ["pessimistic", "optimistic"])
def test_no_print_fills_more_than_it_was(data_dir: Path, queue: Queue) -> None:
    _, fills = played(data_dir, queue)
    printed: dict[int, Decimal] = {}
    for event in recording(data_dir):
        if isinstance(event, Trade):
            printed[event.ts_ms] = printed.get(event.ts_ms, Decimal(0)) + Decimal(repr(event.qty))
    assert len(fills) > 50
    assert all(sum(fill.qty for fill in of_moment) <= printed[ts_ms] for ts_ms, of_moment in fills.items())


@pytest.mark.parametrize("queue", ["pessimistic", "optimistic"])
def test_every_order_ends_and_its_fills_add_up(data_dir: Path, queue: Queue) -> None:
    for order in orders_of(data_dir, queue).values():
        assert order.filled == sum(fill.qty for fill in order.fills) <= QTY
        assert all(fill.price == order.price and fill.is_maker for fill in order.fills)
        if order.status == "open":  # of the last ladders
            assert order.filled < QTY
        else:
            assert (order.status == "filled") == (order.filled == QTY)
