"""The paper venue beyond its cases: time, determinism, what can be asked of it, settings."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
import pytest

from engine.market import Bar, Quote, Trade
from engine.venues.faults import Faults, Script
from engine.venues.messages import Accepted, Cancel, Fill, Kind, Message, Place, Query, Rejected, Side, Unknown
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.paper_book import ASSUMED_LEVELS
from engine.venues.server import ServedVenue
from engine.venues.venue import EmbeddedVenue
from tests.venues.paper_cases import RULES

BOOK = Quote("AB", 0, 100.0, 100.1, 5.0, 7.0)
AT_ONCE = PaperSettings(uplink_ms=0, downlink_ms=0)


def venue_of(settings: PaperSettings = AT_ONCE, positions: Mapping[str, Decimal] | None = None) -> PaperVenue:
    venue = PaperVenue({"AB": RULES}, settings, positions)
    venue.see(BOOK)
    return venue


def place(client_id: str, kind: Kind = "post_only", price: str | None = "100.0", side: Side = "buy") -> Place:
    return Place(client_id, "AB", side, Decimal(3), kind, None if price is None else Decimal(price), reduce_only=False)


def hear(venue: PaperVenue) -> list[Message]:
    """Everything that is still to be heard, without another event of the market."""
    heard: list[Message] = []
    while (due_ms := venue.next_ms()) is not None:
        heard += venue.receive(due_ms)
    return heard


def test_it_is_a_venue_that_can_be_embedded_and_served() -> None:
    embedded: EmbeddedVenue = venue_of()
    served: ServedVenue = venue_of()
    assert embedded.name == served.name == "paper"


def test_nothing_is_due_while_nothing_is_on_its_way() -> None:
    venue = venue_of()
    assert venue.next_ms() is None
    assert list(venue.receive(1000)) == []


def test_a_request_is_answered_without_another_event() -> None:
    venue = venue_of(PaperSettings(uplink_ms=10, downlink_ms=20))
    venue.send(place("a"), 5)
    assert venue.next_ms() == 35
    assert list(venue.receive(34)) == []
    assert venue.receive(35) == [Accepted(15, "a", "place", "open", Decimal(0))]
    assert venue.next_ms() is None


def test_without_latency_an_answer_is_there_one_millisecond_later() -> None:
    # Another event of the same millisecond may still come, and it counts before the order.
    venue = venue_of()
    venue.send(place("a"), 5)
    assert list(venue.receive(5)) == []
    venue.see(Quote("AB", 5, 99.8, 99.9, 5.0, 7.0))
    assert venue.next_ms() == 6
    [answer] = venue.receive(6)
    assert isinstance(answer, Rejected)
    assert (answer.ts_ms, answer.code) == (5, -5022)


def test_times_in_messages_say_when_things_happened() -> None:
    venue = venue_of(PaperSettings(uplink_ms=10, downlink_ms=20, faults=Faults(timeout_ms=500, scripts=TIMED_OUT)))
    venue.send(place("a"), 5)
    venue.see(Trade("AB", 40, 99.0, 1.0, is_buyer_maker=True))
    venue.send(Cancel("a", "AB"), 50)
    assert [message.ts_ms for message in hear(venue)] == [15, 40, 550]


TIMED_OUT = {"a": Script(cancel=("timeout",))}


def test_what_is_heard_does_not_depend_on_how_often_one_listens() -> None:
    def play(often: bool) -> list[Message]:
        venue = venue_of(PaperSettings(uplink_ms=3, downlink_ms=4, faults=Faults(timeout_ms=9, scripts=TIMED_OUT)))
        heard: list[Message] = []
        for ms in range(100):
            if ms == 10:
                venue.send(place("a"), ms)
            if ms == 20:
                venue.send(Cancel("a", "AB"), ms)
                venue.send(place("b"), ms)
            if ms == 22:
                venue.send(Query("a", "AB"), ms)
            if ms == 40:
                venue.see(Trade("AB", ms, 99.0, 2.0, is_buyer_maker=True))
            if often:
                heard += venue.receive(ms)
        return heard + hear(venue)

    assert play(often=True) == play(often=False)
    assert len(play(often=True)) == 5


def test_messages_due_together_come_in_the_order_they_arose_however_one_listens() -> None:
    def play(often: bool) -> list[str]:
        faults = Faults(timeout_ms=3, scripts={"a": Script(place=("timeout",))})
        venue = venue_of(PaperSettings(uplink_ms=0, downlink_ms=5, faults=faults))
        venue.send(place("b"), 10)
        if often:
            venue.receive(11)
        venue.send(place("a"), 12)
        return [message.client_id for message in venue.receive(15)]

    assert play(often=True) == play(often=False) == ["b", "a"]


def test_a_symbol_without_rules_is_unknown() -> None:
    venue = venue_of()
    venue.see(Quote("XY", 1, 1.0, 2.0, 3.0, 4.0))
    venue.send(msgspec.structs.replace(place("a"), symbol="XY"), 5)
    venue.send(Cancel("a", "XY"), 5)
    venue.send(Query("a", "XY"), 5)
    assert [message.code for message in hear(venue) if isinstance(message, Rejected)] == [-1121, -1121, -1121]


def test_an_order_is_found_by_its_symbol_and_id() -> None:
    venue = PaperVenue({"AB": RULES, "CD": RULES}, AT_ONCE)
    venue.see(BOOK)
    venue.send(place("a"), 5)
    venue.send(Cancel("a", "CD"), 6)
    venue.send(Query("a", "CD"), 6)
    assert [message.code for message in hear(venue) if isinstance(message, Rejected)] == [-2011, -2013]


def test_bars_say_nothing_to_a_venue() -> None:
    venue = venue_of()
    venue.send(place("a"), 5)
    venue.see(Bar("AB", 0, 90.0, 90.0, 90.0, 90.0, 100.0, 59_999))
    assert hear(venue) == [Accepted(5, "a", "place", "open", Decimal(0))]


def test_quantities_of_the_market_that_are_no_whole_steps_count_against_the_order() -> None:
    venue = venue_of()
    venue.see(Quote("AB", 1, 100.0, 100.1, 4.2, 7.9))
    venue.send(place("a"), 5)
    venue.send(Place("b", "AB", "buy", Decimal(9), "ioc", Decimal("100.1"), reduce_only=False), 5)
    hear(venue)
    assert venue.queue_ahead("a") == 5
    venue.see(Trade("AB", 9, 99.0, 2.9, is_buyer_maker=True))
    orders = {order.client_id: order for order in venue.orders()}
    assert orders["a"].filled == 2
    assert orders["b"].filled == 7


def test_every_trade_has_an_id_of_its_own() -> None:
    venue = venue_of()
    for number in range(3):
        venue.send(place(f"a{number}", "ioc", "100.1"), 5)
    hear(venue)
    ids = [fill.trade_id for order in venue.orders() for fill in order.fills]
    assert len(ids) == len(set(ids)) == 3


def test_levels_that_are_assumed_end() -> None:
    venue = venue_of()
    venue.see(Quote("AB", 1, 100.0, 100.1, 5.0, 2.0))
    venue.send(Place("a", "AB", "buy", Decimal(1000), "market", None, reduce_only=False), 5)
    hear(venue)
    order = venue.truth("a")
    assert order is not None
    assert order.status == "expired"
    assert order.filled == 2 * ASSUMED_LEVELS
    assert order.fills[-1].price == Decimal("100.1") + (ASSUMED_LEVELS - 1) * Decimal("0.1")


def test_the_truth_of_an_order() -> None:
    venue = venue_of()
    venue.send(place("a"), 5)
    venue.send(place("b", price="99.0"), 6)
    assert venue.truth("a") is None
    hear(venue)
    venue.see(Trade("AB", 20, 100.0, 6.0, is_buyer_maker=True))
    order = venue.truth("a")
    assert order is not None
    assert (order.symbol, order.side, order.kind, order.price) == ("AB", "buy", "post_only", Decimal("100.0"))
    assert (order.status, order.qty, order.filled) == ("open", Decimal(3), Decimal(1))
    assert [fill.qty for fill in order.fills] == [1]
    assert [each.client_id for each in venue.open_orders()] == ["a", "b"]
    assert venue.positions() == {"AB": 1}


def test_the_queue_ahead_is_known_where_it_can_be_seen() -> None:
    venue = venue_of()
    venue.send(place("a"), 5)
    venue.send(place("b", price="99.0"), 6)
    hear(venue)
    assert [venue.queue_ahead(client_id) for client_id in ("a", "b", "c")] == [5, None, None]
    venue.see(Trade("AB", 20, 100.0, 2.0, is_buyer_maker=True))
    venue.see(Quote("AB", 20, 99.0, 99.1, 4.0, 7.0))
    assert [venue.queue_ahead(client_id) for client_id in ("a", "b")] == [3, 4]
    venue.send(Cancel("a", "AB"), 30)
    hear(venue)
    assert venue.queue_ahead("a") is None


def test_positions_of_the_start_can_be_reduced() -> None:
    venue = venue_of(positions={"AB": Decimal(-2)})
    assert venue.positions() == {"AB": -2}
    venue.send(Place("a", "AB", "buy", Decimal(3), "market", None, reduce_only=True), 5)
    hear(venue)
    assert venue.positions() == {}


def test_a_position_needs_rules() -> None:
    with pytest.raises(ValueError, match="a position in XY, for which there are no rules"):
        PaperVenue({"AB": RULES}, AT_ONCE, {"XY": Decimal(1)})


def test_jitter_keeps_within_its_bound_and_lets_answers_overtake() -> None:
    venue = venue_of(PaperSettings(uplink_ms=10, downlink_ms=20, jitter_ms=5))
    for number in range(200):
        venue.send(place(f"a{number}"), 5)
    heard: list[tuple[int, str]] = []
    while (due_ms := venue.next_ms()) is not None:
        heard += ((due_ms, message.client_id) for message in venue.receive(due_ms))
    times = [due_ms for due_ms, _ in heard]
    assert {35, 45} <= set(times) <= set(range(35, 46))
    assert [client_id for _, client_id in heard] != [f"a{number}" for number in range(200)]


def test_the_event_of_a_fill_has_jitter_of_its_own() -> None:
    taken_ms: set[int] = set()
    for number in range(40):
        venue = venue_of(PaperSettings(uplink_ms=0, downlink_ms=20, jitter_ms=3))
        venue.send(place(f"a{number}"), 5)
        while venue.next_ms() is not None:
            venue.receive(50)
        venue.see(Trade("AB", 100, 99.0, 1.0, is_buyer_maker=True))
        taken_ms.add((venue.next_ms() or 0) - 100)
    assert taken_ms == {20, 21, 22, 23}


def test_quotes_are_looked_at_only_while_they_matter_to_an_order() -> None:
    venue = venue_of()

    def is_watching() -> bool:
        return venue._books["AB"].is_watching

    assert not is_watching()
    venue.send(place("a"), 5)
    venue.send(place("b", price="99.0"), 5)
    hear(venue)
    assert is_watching()  # the queue of b is unknown
    venue.send(Cancel("b", "AB"), 10)
    hear(venue)
    assert not is_watching()
    venue.send(place("c", "ioc", "100.1"), 20)
    hear(venue)
    assert is_watching()  # until the ask changes
    venue.see(Quote("AB", 30, 100.0, 100.1, 5.0, 8.0))
    assert not is_watching()


def test_an_order_has_the_same_fate_whatever_else_is_ordered() -> None:
    faults = Faults(
        place={"timeout": 0.2, "unknown": 0.2, "unavailable": 0.2},
        cancel={"timeout": 0.3},
        query={"out_of_order": 0.3},
        fill={"lost": 0.3, "late": 0.3},
    )

    def heard_of(client_id: str, others: int) -> list[Message]:
        venue = venue_of(PaperSettings(jitter_ms=7, faults=faults))
        for number in range(others):
            venue.send(place(f"other{number}", price="99.0"), 1)
        venue.send(place(client_id), 5)
        venue.send(Query(client_id, "AB"), 200)
        venue.see(Trade("AB", 300, 99.5, 1.0, is_buyer_maker=True))
        venue.send(Cancel(client_id, "AB"), 400)
        return [_without_trade_id(message) for message in hear(venue) if message.client_id == client_id]

    for number in range(50):
        assert heard_of(f"a{number}", 0) == heard_of(f"a{number}", 3)


def _without_trade_id(message: Message) -> Message:
    return msgspec.structs.replace(message, trade_id="") if isinstance(message, Fill) else message


def test_a_repeated_query_has_a_fate_of_its_own() -> None:
    venue = venue_of(PaperSettings(uplink_ms=0, downlink_ms=0, faults=Faults(query={"unknown": 0.5})))
    venue.send(place("a"), 5)
    for number in range(20):
        venue.send(Query("a", "AB"), 100 + number)
    answers = [type(message) for message in hear(venue)]
    assert answers.count(Unknown) + answers.count(Accepted) == 21
    assert 4 <= answers.count(Unknown) <= 16


@pytest.mark.parametrize(
    "make",
    [
        lambda: PaperSettings(uplink_ms=-1),
        lambda: PaperSettings(downlink_ms=-1),
        lambda: PaperSettings(jitter_ms=-1),
    ],
)
def test_latencies_are_not_negative(make: Callable[[], PaperSettings]) -> None:
    with pytest.raises(ValueError, match="latencies must not be negative"):
        make()


def test_settings_can_be_written_down_and_read_again() -> None:
    settings = PaperSettings(
        maker_fee_bps=Decimal("-0.5"), faults=Faults(place={"timeout": 0.1}, scripts={"a": Script(fill=(None, "lost"))})
    )
    written = msgspec.json.encode(settings)
    assert msgspec.json.decode(written, type=PaperSettings) == settings
