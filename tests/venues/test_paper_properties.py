"""What holds for the paper venue in any market, for any orders, with any faults."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.market import Event, Quote, Trade
from engine.venues.faults import Faults, FillFault, RequestFault
from engine.venues.messages import Accepted, Cancel, Fill, Message, Place, Query, Rejected, Request, Unknown
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.paper_book import Queue
from engine.venues.wire import TrueOrder
from tests.venues.paper_cases import RULES

_Step: TypeAlias = tuple[int, "Event | Request"]
"""Something that happens so many milliseconds after the step before it."""

prices = st.integers(996, 1004)  # in ticks of 0.1
quantities = st.integers(0, 6)
waits = st.integers(0, 12)


def _quote(bid: int, ask: int, bid_qty: int, ask_qty: int) -> Quote:
    return Quote("AB", 0, bid / 10, ask / 10, float(bid_qty), float(ask_qty))


def _place(number: int, side: str, qty: int, kind: str, price: int, reduce_only: bool) -> Place:
    limit = None if kind == "market" else Decimal(price) / 10
    return Place(f"o{number}", "AB", side, Decimal(qty), kind, limit, reduce_only)  # type: ignore[arg-type]  # drawn


quotes = st.builds(_quote, prices | st.just(0), prices | st.just(0), quantities, quantities)
trades = st.builds(
    Trade, st.just("AB"), st.just(0), prices.map(lambda ticks: ticks / 10), quantities.map(float),
    st.sampled_from([True, False, None]),
)  # fmt: skip
places = st.builds(
    _place,
    st.integers(0, 9),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 8),
    st.sampled_from(["post_only", "post_only", "ioc", "market"]),
    prices,
    st.booleans(),
)
cancels = st.builds(Cancel, st.integers(0, 9).map(lambda number: f"o{number}"), st.just("AB"))
queries = st.builds(Query, st.integers(0, 9).map(lambda number: f"o{number}"), st.just("AB"))


def _scenes(steps: st.SearchStrategy[Event | Request]) -> st.SearchStrategy[list[_Step]]:
    """Scenes that begin with a book to trade in."""
    rest = st.lists(st.tuples(waits, steps), min_size=5, max_size=60)
    return rest.map(lambda drawn: [(0, _quote(1000, 1001, 3, 3)), *drawn])


scenes = _scenes(quotes | trades | trades | places | places | cancels | queries)


def _faults(each: float, event: float) -> Faults:
    return Faults(
        place=dict.fromkeys(_PLACE_FAULTS, each),
        cancel=dict.fromkeys(_CANCEL_FAULTS, each),
        query=dict.fromkeys(_QUERY_FAULTS, each),
        fill=dict.fromkeys(_FILL_FAULTS, event),
        timeout_ms=40,
        retry_after_ms=30,
        late_ms=25,
        duplicate_ms=5,
        disorder_ms=15,
    )


_PLACE_FAULTS: tuple[RequestFault, ...] = (
    "timeout", "unknown", "unavailable", "overloaded", "overloaded_done", "out_of_order"
)  # fmt: skip
_CANCEL_FAULTS: tuple[RequestFault, ...] = ("timeout", "unknown", "internal_error", "overloaded_done", "rate_limit")
_QUERY_FAULTS: tuple[RequestFault, ...] = ("timeout", "not_found", "out_of_order")
_FILL_FAULTS: tuple[FillFault, ...] = ("late", "duplicate", "lost")

chances = st.sampled_from([0.0, 0.1, 0.15])
ways = st.builds(
    PaperSettings,
    seed=st.integers(0, 5),
    uplink_ms=st.integers(0, 8),
    downlink_ms=st.integers(0, 8),
    jitter_ms=st.sampled_from([0, 0, 4]),
    queue=st.sampled_from(["pessimistic", "optimistic"]),
    depth=st.sampled_from(["touch", "assumed"]),
    post_only_reject=st.sampled_from(["code", "expired", "open_then_expired"]),
    faults=st.builds(_faults, chances, chances),
)


@dataclass
class Played:
    """A scene after it was played."""

    venue: PaperVenue
    heard: list[Message]
    printed: list[tuple[Decimal, list[Fill]]]
    """The quantity of each print, and the fills that it gave as the venue counts them."""


def play(scene: Sequence[_Step], way: PaperSettings, listen_every: int = 1) -> Played:
    """Play a scene; what is heard is taken before each step, or before every so many."""
    venue = PaperVenue({"AB": RULES}, way)
    heard: list[Message] = []
    printed: list[tuple[Decimal, list[Fill]]] = []
    now_ms = 0
    for number, (wait_ms, step) in enumerate(scene):
        now_ms += wait_ms
        if number % listen_every == 0:
            heard += venue.receive(now_ms)
        match step:
            case Trade():
                before = _maker_fills(venue)
                venue.see(Trade("AB", now_ms, step.price, step.qty, step.is_buyer_maker))
                printed.append((Decimal(step.qty), _maker_fills(venue)[len(before) :]))
            case Quote():
                venue.see(Quote("AB", now_ms, step.bid, step.ask, step.bid_qty, step.ask_qty))
            case Place() | Cancel() | Query():
                venue.send(step, now_ms)
            case _:
                raise AssertionError(step)
    while (due_ms := venue.next_ms()) is not None:
        heard += venue.receive(max(now_ms, due_ms))
    return Played(venue, heard, printed)


def _maker_fills(venue: PaperVenue) -> list[Fill]:
    """In the order of their trade ids, which is that of time."""
    fills = [fill for order in venue.orders() for fill in order.fills if fill.is_maker]
    return sorted(fills, key=lambda fill: int(fill.trade_id.rpartition("-")[2]))


@given(scenes, ways)
@settings(max_examples=150)
def test_orders_are_never_overfilled_and_their_fills_add_up(scene: list[_Step], way: PaperSettings) -> None:
    for order in play(scene, way).venue.orders():
        assert order.filled == sum(fill.qty for fill in order.fills) <= order.qty
        assert (order.status == "filled") == (order.filled == order.qty)
        assert all(fill.qty > 0 for fill in order.fills)


@given(scenes, ways)
@settings(max_examples=120)
def test_nothing_is_filled_outside_its_limit(scene: list[_Step], way: PaperSettings) -> None:
    for order in play(scene, way).venue.orders():
        for fill in order.fills:
            assert fill.price > 0
            if order.price is not None:
                assert fill.price <= order.price if order.side == "buy" else fill.price >= order.price
            assert fill.is_maker == (order.kind == "post_only")
            assert fill.price == order.price or not fill.is_maker


@given(scenes, ways)
@settings(max_examples=150)
def test_the_quantity_of_a_print_is_used_once(scene: list[_Step], way: PaperSettings) -> None:
    for qty, fills in play(scene, way).printed:
        assert sum(fill.qty for fill in fills) <= qty


@given(scenes, ways)
@settings(max_examples=120)
def test_positions_are_the_sum_of_the_fills_and_reducing_never_turns_them(
    scene: list[_Step], way: PaperSettings
) -> None:
    venue = play(scene, way).venue
    position = Decimal(0)
    fills = [(fill, order) for order in venue.orders() for fill in order.fills]
    for fill, order in sorted(fills, key=lambda pair: int(pair[0].trade_id.rpartition("-")[2])):
        change = fill.qty if fill.side == "buy" else -fill.qty
        if order.reduce_only:
            assert position * change < 0
            assert abs(change) <= abs(position)
        position += change
    assert venue.positions().get("AB", Decimal(0)) == position


@given(scenes, ways)
@settings(max_examples=100)
def test_the_same_inputs_give_the_same_messages(scene: list[_Step], way: PaperSettings) -> None:
    assert play(scene, way).heard == play(scene, way).heard


@given(scenes, ways, st.integers(2, 9))
@settings(max_examples=150)
def test_listening_less_often_changes_nothing(scene: list[_Step], way: PaperSettings, listen_every: int) -> None:
    assert play(scene, way).heard == play(scene, way, listen_every).heard


@given(scenes, ways)
@settings(max_examples=120)
def test_every_request_has_one_answer(scene: list[_Step], way: PaperSettings) -> None:
    asked: dict[tuple[str, str], int] = defaultdict(int)
    for _, step in scene:
        if isinstance(step, Place | Cancel | Query):
            asked[step.client_id, type(step).__name__.lower()] += 1
    for message in play(scene, way).heard:
        if isinstance(message, Accepted | Rejected | Unknown):
            asked[message.client_id, message.asked] -= 1
    assert not any(asked.values())


@given(scenes, ways)
@settings(max_examples=120)
def test_what_answers_and_fills_say_is_true(scene: list[_Step], way: PaperSettings) -> None:
    played = play(scene, way)
    true_fills = {fill for order in played.venue.orders() for fill in order.fills}
    most: dict[str, Decimal] = defaultdict(Decimal)
    for order in played.venue.orders():
        most[order.client_id] = max(most[order.client_id], order.filled)
    for message in played.heard:
        match message:
            case Fill():
                assert message in true_fills
            case Accepted() if message.asked != "place":
                assert message.filled <= most[message.client_id]
            case _:
                pass


@given(scenes, ways)
@settings(max_examples=150)
def test_without_lost_events_all_fills_are_heard(scene: list[_Step], way: PaperSettings) -> None:
    way = replace(way, faults=replace(way.faults, fill={"late": 0.3, "duplicate": 0.3}))
    played = play(scene, way)
    heard = {message for message in played.heard if isinstance(message, Fill)}
    assert heard == {fill for order in played.venue.orders() for fill in order.fills}


post_only = st.builds(
    _place,
    st.integers(0, 9),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 8),
    st.just("post_only"),
    prices,
    st.just(value=False),
)
resting = _scenes(quotes | trades | trades | trades | post_only | post_only | cancels)


@given(resting, ways)
@settings(max_examples=250)
@example(  # an order whose queue is unknown, then known
    [
        (0, _quote(1000, 1001, 5, 5)),
        (1, _place(1, "buy", 3, "post_only", 998, reduce_only=False)),
        (12, Trade("AB", 0, 99.8, 4.0, is_buyer_maker=True)),
        (1, _quote(998, 1001, 2, 5)),
        (1, Trade("AB", 0, 99.8, 4.0, is_buyer_maker=True)),
    ],
    PaperSettings(uplink_ms=0),
)
def test_the_optimistic_bound_fills_at_least_what_the_pessimistic_does(scene: list[_Step], way: PaperSettings) -> None:
    # Each order on its own id: an id that is free with one bound and taken with the other would compare two orders.
    scene = [
        (wait_ms, _renamed(step, number) if isinstance(step, Place) else step)
        for number, (wait_ms, step) in enumerate(scene)
    ]
    way = replace(way, faults=Faults())
    pessimistic, optimistic = (_filled(play(scene, replace(way, queue=queue)).venue.orders()) for queue in _BOUNDS)
    assert pessimistic.keys() == optimistic.keys()
    assert all(pessimistic[client_id] <= optimistic[client_id] for client_id in pessimistic)


_BOUNDS: tuple[Queue, Queue] = ("pessimistic", "optimistic")


def _renamed(step: Place, number: int) -> Place:
    return Place(f"o{number}", step.symbol, step.side, step.qty, step.kind, step.price, step.reduce_only)


def _filled(orders: Sequence[TrueOrder]) -> dict[str, Decimal]:
    return {order.client_id: order.filled for order in orders}


@given(scenes, ways)
@settings(max_examples=120)
def test_what_is_visible_is_taken_once(scene: list[_Step], way: PaperSettings) -> None:
    """Between two changes of a side of the touch, own orders take no more than it shows."""
    way = replace(way, depth="touch", uplink_ms=0, jitter_ms=0, faults=Faults())
    venue = PaperVenue({"AB": RULES}, way)
    left = {"buy": Decimal(0), "sell": Decimal(0)}
    shown = {"buy": (0.0, 0.0), "sell": (0.0, 0.0)}
    now_ms, counted = 0, 0
    for wait_ms, step in scene:
        now_ms += 1 + wait_ms
        venue.receive(now_ms)
        match step:
            case Quote():
                for side, touch in (("buy", (step.ask, step.ask_qty)), ("sell", (step.bid, step.bid_qty))):
                    if touch != shown[side]:
                        shown[side], left[side] = touch, Decimal(touch[1])
                venue.see(Quote("AB", now_ms, step.bid, step.ask, step.bid_qty, step.ask_qty))
            case Place() | Cancel() | Query():
                venue.send(step, now_ms)
                venue.receive(now_ms + 1)
            case _:
                continue
        taken = [fill for order in venue.orders() for fill in order.fills if not fill.is_maker]
        for fill in taken[counted:]:
            left[fill.side] -= fill.qty
        counted = len(taken)
        assert min(left.values()) >= 0
