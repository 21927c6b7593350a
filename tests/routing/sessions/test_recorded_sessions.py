"""Sessions over recorded markets, run to their end: every decision keeps its promises, and nothing is doubled.

Two Binance futures on 2024-08-08, quote by quote; four perpetuals of Hyperliquid, a thin one among them; and a day of
ADAUSDT, of which minutes are all that was recorded. Each on both profiles, cold and started with telemetry that an
earlier session exported. What the journal says is compared with the books of the venue.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from engine.journal.events import Decided, Event, Heard, IntentReceived, OrderPlanned, Outcome, Routed
from engine.journal.reader import read, verify
from engine.language.model import AtLeastAsStrict
from engine.routing.orders import OVER
from engine.routing.sessions.source import open_market
from engine.routing.sessions.start import GENERATED, JOURNAL, NONE, SessionOptions, open_embedded
from engine.routing.shape import SessionShape
from engine.routing.telemetry import export
from engine.venues.paper import PaperVenue
from engine.venues.wire import TrueOrder
from tests.conftest import ROOT
from tests.shipped import books, claims

PROFILES = ("prod", "testnet")
LEAST_RESTING = 100
"""Orders that the started sessions rest together: with fewer, hardly anything is seen of how they are worked."""

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Recording:
    """A recorded market, and how often it is traded."""

    files: tuple[str, ...]
    few_s: float
    """Mean time between two intents of a symbol where a session is to be over in seconds."""
    many_s: float
    exchange_info: str | None = None
    """Of a time whose ticks are those of the recording; without it, rules are assumed from the market."""


RECORDINGS = {
    "binance": Recording(
        (
            "binance_vision/um/bookTicker/BTCUSDT-bookTicker-2024-08-08.csv.gz",
            "binance_vision/um/trades/BTCUSDT-trades-2024-08-08.csv.gz",
            "klines_1m/binance-um_BTCUSDT_202505.parquet",
            "binance_vision/um/bookTicker/ETHUSDT-bookTicker-2024-08-08.csv.gz",
            "binance_vision/um/trades/ETHUSDT-trades-2024-08-08.csv.gz",
            "klines_1m/binance-um_ETHUSDT_202505.parquet",
        ),
        few_s=2.0,
        many_s=0.5,
        exchange_info="exchange_info/binance_usdm_exchangeInfo_20260331.json.gz",
    ),
    "hyperliquid": Recording(
        tuple(
            f"quotes_trades/hyperliquid_{symbol}_20250904_{kind}.parquet"
            for symbol in ("BTC", "ETH", "SOL", "WLFI")
            for kind in ("quotes", "trades")
        ),
        few_s=12.0,
        many_s=2.0,
    ),
    "ada": Recording(
        tuple(f"minute_quotes/binance-um_ADAUSDT_20221213_{kind}.parquet" for kind in ("quotebars", "tradebars")),
        few_s=300.0,
        many_s=20.0,
        exchange_info="exchange_info/binance_usdm_exchangeInfo_20210721.json",
    ),
}


@dataclass(frozen=True)
class Ran:
    """A session that has ended: its journal, and the orders as the venue has them."""

    profile: str
    journal: Path
    events: list[Event]
    orders: list[TrueOrder]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def resting(self) -> int:
        """Orders that the venue took in to rest."""
        return sum(order.kind == "post_only" for order in self.orders)

    @property
    def lines(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.journal.glob("*.jsonl"))}


@dataclass(frozen=True)
class Market:
    """One recording to run sessions over; each gets a folder of its own."""

    data: Path
    folder: Path
    recording: Recording

    def run(
        self, name: str, profile: str, every_s: float, *, telemetry: str = NONE, limit_quotes: int | None = None
    ) -> Ran:
        shape = SessionShape(every_s=every_s, limit_quotes=limit_quotes)
        info = self.recording.exchange_info
        options = SessionOptions(
            profile=profile,
            home=ROOT,
            logs=self.folder / name,
            shape=shape,
            exchange_info=None if info is None else self.data / info,
            telemetry=telemetry,
            redate=True,
        )
        source = open_market(shape, [self.data / file for file in self.recording.files])
        running = open_embedded(options, source)
        ending = asyncio.run(running.run())
        venue = running.desk.venue
        assert isinstance(venue, PaperVenue)
        assert (ending.reason, ending.left_open) == ("market_ended" if limit_quotes is None else "limit_quotes", 0)
        assert venue.open_orders() == []
        held = {symbol: qty for symbol, qty in running.desk.account.positions.items() if qty}
        assert held == venue.positions()
        journal = self.folder / name / JOURNAL
        return Ran(profile, journal, list(read(journal)), venue.orders())

    def telemetry(self) -> str:
        """What a session exports that began with made-up telemetry, and has added to it."""
        path = self.folder / "telemetry.jsonl"
        if not path.exists():
            earlier = self.run("earlier", "testnet", self.recording.few_s, telemetry=GENERATED, limit_quotes=100)
            header = export(earlier.journal, path, source="an earlier session")
            assert header.rulebook == books.book("testnet", "compiled").version
        return str(path)


def market(data_dir: Path, tmp_path: Path, name: str) -> Market:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    return Market(data_dir, folder, RECORDINGS[name])


# --- what holds for every session ------------------------------------------------------------------------------------


def check(ran: Ran) -> None:
    check_order(ran)
    check_exposure(ran)
    check_promises(ran)


def check_order(ran: Ran) -> None:
    """The journal is whole, and each intent has a beginning, a decision, and one end."""
    assert verify(ran.journal) == []
    assert [event.seq for event in ran.events] == list(range(1, len(ran.events) + 1))
    received = [event.intent_id for event in ran.of(IntentReceived)]
    assert len(set(received)) == len(received) > 0
    assert [event.intent_id for event in ran.of(Routed) if event.event == "decision"] == received
    assert sorted(outcome.intent_id for outcome in ran.of(Outcome)) == sorted(received)
    assert all(outcome.reason for outcome in ran.of(Outcome))


def check_exposure(ran: Ran) -> None:
    """No order on top of one that may still be executed, and at the end the journal says what the venue says."""
    truth = {order.client_id: order for order in ran.orders}
    assert len(truth) == len(ran.orders), "an id was used twice"
    targets = {event.intent_id: event.target for event in ran.of(Routed) if event.event == "decision"}
    planned: dict[str, list[OrderPlanned]] = defaultdict(list)
    state: dict[str, str] = {}
    for event in ran.events:
        if isinstance(event, Heard):
            state[event.message.client_id] = event.state
        elif isinstance(event, OrderPlanned):
            before = planned[event.intent_id]
            assert all(state[other.client_id] in OVER for other in before), "an earlier order may still be executed"
            assert event.qty <= targets[event.intent_id] - sum(_executed(other, truth) for other in before)
            before.append(event)
    assert truth.keys() <= {order.client_id for orders in planned.values() for order in orders}
    for outcome in ran.of(Outcome):
        executed = sum((_executed(order, truth) for order in planned[outcome.intent_id]), Decimal(0))
        assert executed == outcome.filled <= outcome.target == targets[outcome.intent_id]


def _executed(order: OrderPlanned, truth: dict[str, TrueOrder]) -> Decimal:
    found = truth.get(order.client_id)
    return Decimal(0) if found is None else found.filled


def check_promises(ran: Ran) -> None:
    """Each decision, made again by the interpreter, is the one that was written, and keeps every promise."""
    book = books.book(ran.profile, "interpreter")
    others = {profile: books.book(profile, "interpreter") for profile in PROFILES}
    decided = Counter[str]()
    for event in ran.of(Decided):
        facts = facts_of(event)
        decision = book.decide(event.policy, facts)
        assert decision.json().encode() == bytes(event.record)
        policy = book.rulebook.policies[event.policy]
        assert claims.broken(book, policy, decision, facts) == []
        for invariant in policy.invariants:
            if isinstance(invariant, AtLeastAsStrict) and invariant.profile == ran.profile:
                assert not claims.looser(book, others[invariant.than], invariant, facts)
        decided[event.policy] += 1
    intents = len(ran.of(IntentReceived))
    assert (decided["admission"], decided["routing"]) == (intents, intents)


def facts_of(event: Decided) -> dict[str, Any]:
    """What a decision was made on, as it is journaled."""
    record = msgspec.json.decode(event.record)
    return {**{name: record[name] for name in ("now", "symbol", "intent_id")}, **record["facts"]}


# --- the sessions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "profile"), [("binance", "prod"), ("hyperliquid", "testnet"), ("ada", "prod")])
def test_a_cold_session_runs_to_its_end_and_keeps_every_promise(
    data_dir: Path, tmp_path: Path, name: str, profile: str
) -> None:
    """A cold prod rests nothing: its only way to telemetry is an import."""
    held = market(data_dir, tmp_path, name)
    ran = held.run("cold", profile, held.recording.few_s)
    check(ran)
    assert bool(ran.resting) is (profile == "testnet")


def test_started_sessions_rest_orders_and_keep_every_promise(data_dir: Path, tmp_path: Path) -> None:
    resting = 0
    for name, profile in (("binance", "testnet"), ("hyperliquid", "prod")):
        held = market(data_dir, tmp_path, name)
        ran = held.run("started", profile, held.recording.few_s, telemetry=held.telemetry())
        check(ran)
        resting += ran.resting
    assert resting >= LEAST_RESTING


def test_the_same_session_writes_the_same_journal(data_dir: Path, tmp_path: Path) -> None:
    """Whatever else lies in the folders: in the second, an earlier session is moved out of the way first."""
    held = market(data_dir, tmp_path, "hyperliquid")
    telemetry = held.telemetry()
    first = held.run("first", "prod", 12.0, telemetry=telemetry, limit_quotes=5_000)
    held.run("second", "testnet", 60.0, limit_quotes=1_000)
    second = held.run("second", "prod", 12.0, telemetry=telemetry, limit_quotes=5_000)
    assert first.resting
    assert first.lines == second.lines


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_all_sessions_at_length(data_dir: Path, tmp_path: Path) -> None:
    """Every recording on every profile, cold and started, each twice."""
    resting = Counter[str]()
    for name in RECORDINGS:
        held = market(data_dir, tmp_path, name)
        telemetry = held.telemetry()
        for profile in PROFILES:
            for start, with_telemetry in (("cold", NONE), ("started", telemetry)):
                label = f"{profile}-{start}"
                ran = held.run(label, profile, held.recording.many_s, telemetry=with_telemetry)
                again = held.run(f"{label}-again", profile, held.recording.many_s, telemetry=with_telemetry)
                assert ran.lines == again.lines, (name, label)
                check(ran)
                resting[label] += ran.resting
    assert resting["prod-cold"] == 0
    assert resting["prod-started"] + resting["testnet-started"] >= LEAST_RESTING
