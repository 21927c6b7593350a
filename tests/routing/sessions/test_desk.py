"""What a desk does with time: it looks at breakers, says the risk state, takes snapshots, and writes files behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.journal.events import (
    BaselineDone,
    BreakerMoved,
    Event,
    Given,
    IntentReceived,
    Outcome,
    SessionEnded,
    Snapshot,
)
from engine.journal.reader import read, verify
from engine.journal.writer import NEVER, Journal
from engine.market import Quote
from engine.routing.evidence.files import ROUTER_HEALTH
from engine.routing.facts import SymbolFacts
from engine.routing.intents import GivenFacts, Intent
from engine.routing.sessions.desk import NEVER_MS, Desk, Surroundings
from engine.routing.sessions.generated_samples import generated_samples
from engine.routing.shape import SessionShape
from engine.routing.telemetry import imported
from engine.venues.paper import PaperSettings, PaperVenue
from tests.journal.disks import FullDisk
from tests.routing.markets import START_MS, SYMBOL, made_up, run, shipped
from tests.routing.scene import RULES

RISK = {"risk_mode": "normal", "halted": False, "symbol_disabled": False}
MARKET_BUY = {"side": "buy", "qty": 0.01, "order_type": "market", "maker_requested": False, "reduce_only": False}

E = TypeVar("E", bound=Event)


class Clock:
    """Real time, as a test wants it to go by."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Hand:
    """A desk that is led by hand; real time stands still."""

    def __init__(self, folder: Path, *, resumes: bool = False, now_ms: int = START_MS, **journal: Any) -> None:
        self.clock = Clock()
        self.folder = folder
        self.now_ms = now_ms
        self.journal = Journal(folder / "journal", fsync=NEVER, **journal)
        self.venue = PaperVenue(RULES, PaperSettings())
        symbols = {symbol: SymbolFacts(symbol, SessionShape()) for symbol in (SYMBOL, "ETHUSDT")}
        around = Surroundings(folder, RULES, symbols, 3.0, risk=RISK, clock=self.clock)
        self.desk = Desk(shipped("prod"), self.journal, self.venue, around)
        if resumes:
            self.desk.resume(read(folder / "journal"))
        self.desk.account.cash = Decimal(1_000_000)
        self.desk.account.begin_day()
        self.desk.start(now_ms)

    def quote(self, symbol: str = SYMBOL) -> None:
        quote = Quote(symbol, self.now_ms, 60000.0, 60000.1, 5.0, 5.0)
        self.venue.see(quote)
        self.desk.see(quote)
        self.desk.settle()

    def go(self, until_ms: int, every_ms: int = 1_000) -> None:
        """Let the market go by, one symbol of it."""
        for ms in range(self.now_ms, START_MS + until_ms + 1, every_ms):
            self.now_ms = ms
            self.desk.hear(ms)
            self.quote()

    def send(self, intent_id: str, **facts: Any) -> None:
        intent = Intent(intent_id, SYMBOL, {**MARKET_BUY, **facts})
        self.desk.router.on_request(intent, self.now_ms)
        self.desk.settle()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in read(self.journal.folder) if isinstance(event, kind)]

    def after_s(self, kind: type[Event]) -> list[float]:
        """When events of a kind happened, in seconds from the start."""
        return [(event.ts_ms - START_MS) / 1000 for event in self.of(kind)]

    def health_lines(self) -> int:
        path = self.folder / ROUTER_HEALTH
        return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    led = Hand(tmp_path)
    yield led
    led.journal.close()


def test_the_risk_state_is_said_at_first_and_again_and_snapshots_begin_when_there_is_something_to_see(
    hand: Hand,
) -> None:
    hand.go(1_300_000, every_ms=5_000)
    assert hand.after_s(Snapshot) == [5.0 + 60.0 * number for number in range(22)]
    assert hand.after_s(Given) == [0.0, 600.0, 1200.0]
    assert {event.group for event in hand.of(Given)} == {"risk"}


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_halt_that_somebody_said_is_not_lifted_by_what_the_session_assumes(
    tmp_path: Path, *, is_restarted: bool
) -> None:
    """Neither by saying its own state again, nor by starting again."""
    hand = Hand(tmp_path)
    hand.go(1_000)
    hand.desk.router.on_request(GivenFacts("risk", {**RISK, "halted": True}, None), hand.now_ms)
    hand.desk.settle()
    if is_restarted:
        hand.journal.close()
        hand = Hand(tmp_path, resumes=True, now_ms=hand.now_ms)
    hand.go(1_300_000, every_ms=5_000)
    hand.send("stopped")
    assert [outcome.result for outcome in hand.of(Outcome)] == ["unfilled"]
    assert "entry_gates.halted" in hand.of(Outcome)[0].reason
    said = [event for event in hand.of(Given) if event.group == "risk"]
    assert [event.assumed for event in said] == [True, False]

    hand.desk.router.on_request(GivenFacts("risk", None, None), hand.now_ms)  # taken back
    hand.go(2_000_000, every_ms=5_000)
    hand.send("goes")
    hand.go(2_010_000)
    assert hand.of(Outcome)[-1].result == "filled"
    hand.journal.close()


def test_a_feed_that_has_forgotten_a_symbol_opens_its_breaker_though_nobody_asks(hand: Hand) -> None:
    hand.quote("ETHUSDT")
    hand.go(20_000)
    moved = [(event.scope, event.was, event.state, event.ts_ms - START_MS) for event in hand.of(BreakerMoved)]
    assert moved == [("ETHUSDT", "closed", "open", 10_000)]


def test_time_alone_is_nothing_to_come_back_for(hand: Hand) -> None:
    hand.go(3_000)
    assert hand.desk.next_ms() == NEVER_MS
    hand.send("a")
    assert hand.desk.next_ms() == hand.now_ms + 50


def test_files_are_written_once_a_second_of_real_time_however_fast_the_market_goes(hand: Hand) -> None:
    """Each write is five fsyncs: with one for every snapshot they took most of the replay of a day."""
    hand.go(600_000, every_ms=5_000)
    assert len(hand.of(Snapshot)) == 10
    assert hand.health_lines() == 0
    hand.clock.now_s += 0.9
    hand.go(605_000)
    assert hand.health_lines() == 0
    hand.clock.now_s += 0.2
    hand.go(610_000)
    assert hand.health_lines() == 11
    hand.go(670_000, every_ms=5_000)
    assert hand.health_lines() == 11
    hand.desk.close(hand.now_ms)
    assert hand.health_lines() == len(hand.of(Snapshot)) == 13


def test_files_never_say_more_than_the_journal(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    hand.quote("ETHUSDT")  # of which no more is heard, so that a tick has something to say
    written: list[int] = []
    monkeypatch.setattr(hand.desk.files, "flush", lambda: written.append(hand.journal.waiting_bytes))
    for ms in range(0, 300_000, 5_000):
        hand.clock.now_s += 2.0
        hand.send(f"i-{ms}")
        hand.go(ms, every_ms=5_000)
    assert set(written) == {0}
    assert len(written) > 50


def test_each_intent_that_is_routed_is_compared_with_each_simple_way(tmp_path: Path) -> None:
    ran = run(made_up("BTCUSDT"), tmp_path, shape=SessionShape(every_s=2.0), telemetry="generated", baselines=True)
    outcomes = {event.intent_id: event for event in ran.of(Outcome)}
    routed = {intent_id for intent_id, outcome in outcomes.items() if outcome.route != "none"}
    done = ran.of(BaselineDone)
    assert Counter(event.intent_id for event in done) == dict.fromkeys(routed, 3)
    assert len(routed) > 50
    assert {event.baseline for event in done} == {"taker", "maker", "maker_then_taker"}
    assert all(event.target == outcomes[event.intent_id].target for event in done)


def test_a_desk_that_closes_ends_its_measurements_and_takes_a_last_snapshot(tmp_path: Path) -> None:
    ran = run(made_up("BTCUSDT"), tmp_path, shape=SessionShape(every_s=2.0, limit_quotes=500), telemetry="generated")
    *_, last_but_one, last = ran.events
    assert isinstance(last_but_one, Snapshot)
    assert isinstance(last, SessionEnded)
    assert last_but_one.ts_ms == last.ts_ms == ran.ending.last_ms
    assert ran.of(IntentReceived)


@pytest.mark.parametrize("limit_bytes", [64 << 20, 40_000], ids=["held in memory", "more than is held"])
def test_on_a_full_disk_what_rests_is_taken_back_and_nothing_is_sent_until_there_is_room(
    tmp_path: Path, limit_bytes: int
) -> None:
    disk = FullDisk(1 << 30)
    hand = Hand(tmp_path, disk=disk, limit_bytes=limit_bytes)
    hand.desk.router.emit(next(imported(generated_samples(7, [SYMBOL], START_MS), "made up", START_MS)))
    hand.go(1_000)
    for number in range(50):
        hand.send(f"rests {number}", maker_requested=True, maker_price=59000.0, maker_qty=0.01)
    hand.go(2_000)
    assert len(hand.venue.open_orders()) == 50

    disk.room = 0
    hand.send("not sent")
    hand.send("not taken")
    hand.go(120_000)
    assert {order.status for order in hand.venue.orders()} == {"cancelled"}
    assert len(hand.venue.orders()) == 50
    assert not hand.desk.router.ledger.works
    assert bool(hand.desk.router.lost) is (limit_bytes == 40_000)

    disk.room = 1 << 30
    hand.clock.now_s += 2.0
    hand.go(130_000)
    hand.send("sent")
    hand.go(131_000)
    assert hand.venue.orders()[-1].status == "filled"
    hand.journal.close()
    # No seq is missing, since what was lost never had one: the journal has to say it itself.
    said = [error.message for error in verify(hand.journal.folder)]
    assert ["events never reached it: nothing could be written" in each for each in said] == [True] * (
        limit_bytes == 40_000
    )
    assert hand.of(Outcome)[-1].intent_id == "sent"
