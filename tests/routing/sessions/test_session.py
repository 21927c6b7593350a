"""Sessions over a market of their own: what an intent may see, how they end, and that the same seed does the same."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.home import shipped_home
from engine.journal.disk import LOCK, Lock
from engine.journal.errors import JournalError
from engine.journal.events import Decided, IntentReceived, OrderPlanned, Outcome, Routed, SessionEnded, SessionStarted
from engine.journal.events import Event as JournalEvent
from engine.journal.reader import read, verify
from engine.journal.writer import NEVER, Journal
from engine.market import Event, Quote
from engine.routing.chain import MissingPolicyError
from engine.routing.evidence.rulebooks import Rulebooks, decide_again
from engine.routing.sessions.start import EARLIER, JOURNAL, Running, StartError, open_embedded
from engine.routing.shape import SessionShape
from tests.routing.markets import START_MS, Ran, hand_made, made_up, options, quote, run, trade

OFTEN = SessionShape(every_s=0.5)
SHORT = SessionShape(every_s=0.5, limit_quotes=2500)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A started session in which orders rest and cross."""
    return run(made_up("BTCUSDT", "ETHUSDT"), tmp_path_factory.mktemp("logs"), shape=SHORT, telemetry="generated")


def test_the_same_seed_writes_the_same_journal(generated: Ran, tmp_path: Path) -> None:
    market = made_up("BTCUSDT", "ETHUSDT")
    again = run(market, tmp_path / "again", shape=SHORT, telemetry="generated")
    assert again.lines == generated.lines
    other = run(market, tmp_path / "other", shape=replace(SHORT, seed=8), telemetry="generated")
    assert other.lines != generated.lines


def test_a_journal_is_whole_and_every_intent_has_an_end(generated: Ran) -> None:
    assert verify(generated.logs / JOURNAL) == []
    events = generated.events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.ts_ms for event in events] == sorted(event.ts_ms for event in events)
    received, ended = generated.of(IntentReceived), generated.of(Outcome)
    assert Counter(event.intent_id for event in received) == Counter(event.intent_id for event in ended)
    assert len(received) > 50
    routes = Counter(event.route for event in generated.of(Routed))
    assert routes["maker"]
    assert routes["taker"]
    assert generated.ending.left_open == 0


def test_the_clock_is_the_market_s_and_nothing_is_seen_before_its_time(generated: Ran) -> None:
    quotes: dict[str, list[Quote]] = {}
    for event in made_up("BTCUSDT", "ETHUSDT").feed:
        if isinstance(event, Quote):
            quotes.setdefault(event.symbol, []).append(event)
    records = generated.records("routing")
    for record in records[::7]:
        seen, held = record["facts"]["market"], quotes[record["symbol"]]
        last = held[bisect_right(held, record["now"] * 1000, key=lambda quote: quote.ts_ms) - 1]
        assert seen["observed_at"] == last.ts_ms / 1000
        assert (seen["bid"], seen["ask"]) == (last.bid, last.ask)


def test_a_decision_of_the_journal_can_be_made_again(generated: Ran) -> None:
    rulebooks = Rulebooks(generated.logs)
    for event in generated.of(Decided)[::61]:
        assert decide_again(event, rulebooks).differs == ()


def test_what_admission_decided_is_what_routing_was_told(generated: Ran) -> None:
    admitted = {record["intent_id"]: record["decided"] for record in generated.records("admission")}
    for record in generated.records("routing"):
        assert record["facts"]["decisions"]["admission"]["admit"] == admitted[record["intent_id"]]["admit"]


def test_an_intent_sees_the_events_of_its_own_millisecond(tmp_path: Path) -> None:
    def quotes() -> Iterator[Event]:
        yield from (quote(at, 99.0 + at * 1e-6, 100.0 + at * 1e-6) for at in range(2_000))

    records = run(hand_made(quotes()), tmp_path, shape=SessionShape(every_s=0.05)).records("routing")
    assert records
    for record in records:
        assert record["facts"]["market"]["bid"] == 99.0 + (record["now"] * 1000 - START_MS) * 1e-6


def test_a_silent_symbol_sleeps_and_wakes_with_its_feed(tmp_path: Path) -> None:
    noise = [quote(at, 9.9, 10.1, "ETHUSDT") for at in range(0, 200_000, 1_000)]
    spoken = [quote(0, 99.0, 100.0), quote(100_000, 99.0, 100.0)]
    events = sorted(noise + spoken, key=lambda event: event.ts_ms)
    received = run(hand_made(events), tmp_path, shape=OFTEN).of(IntentReceived)
    at = [event.ts_ms - START_MS for event in received if event.symbol == "BTCUSDT"]
    assert any(2_000 < moment <= 10_000 for moment in at), "for a while it goes on, against a stale book"
    assert not any(10_000 < moment <= 100_000 for moment in at)
    assert any(100_000 < moment <= 110_000 for moment in at)


def test_in_a_market_of_trades_alone_nothing_rests_and_only_what_names_a_price_is_sent(tmp_path: Path) -> None:
    ran = run(hand_made(trade(at, 100.0) for at in range(0, 20_000, 100)), tmp_path, shape=OFTEN)
    routed = ran.of(Routed)
    assert all("hard_gates.book_missing" in event.vetoes for event in routed if event.route != "none")
    sent = {event.intent_id for event in ran.of(OrderPlanned)}
    priced = {event.intent_id for event in ran.of(IntentReceived) if "price" in event.intent}
    assert sent
    assert sent <= priced
    assert all(event.route == "none" for event in routed if event.intent_id not in sent)


def test_a_book_that_never_has_both_sides_gets_no_intents(tmp_path: Path) -> None:
    assert not run(hand_made(quote(at, 0.0, 100.0) for at in range(0, 20_000, 100)), tmp_path).of(IntentReceived)


def test_a_market_without_events_writes_nothing(tmp_path: Path) -> None:
    ran = run(hand_made(()), tmp_path)
    assert ran.ending.first_ms is None
    assert ran.events == []


def test_limit_quotes_counts_quotes(tmp_path: Path) -> None:
    ran = run(made_up("BTCUSDT"), tmp_path, shape=SessionShape(limit_quotes=777))
    assert ran.ending.quotes.total() == 777
    assert ran.of(SessionEnded)[0].reason == "limit_quotes"


class StopsAtRest:
    """Stops its session when the first order is about to rest."""

    def __init__(self) -> None:
        self.running: Running | None = None
        self.intent_id = ""

    def see(self, event: JournalEvent) -> None:
        assert self.running is not None
        if isinstance(event, OrderPlanned) and event.role == "maker" and not self.intent_id:
            self.intent_id = event.intent_id
            self.running.stop("enough")


def test_a_session_that_is_stopped_cancels_what_rests_and_ends_every_intent(tmp_path: Path) -> None:
    watcher = StopsAtRest()
    given = options(tmp_path, shape=OFTEN, telemetry="generated")
    running = watcher.running = open_embedded(given, made_up("BTCUSDT"), watchers=(watcher.see,))
    ran = Ran(running, asyncio.run(running.run()), tmp_path)
    assert ran.of(SessionEnded)[0].reason == ran.ending.reason == "enough"
    (outcome,) = (event for event in ran.of(Outcome) if event.intent_id == watcher.intent_id)
    assert outcome.reason == "session_ended"
    assert {event.intent_id for event in ran.of(IntentReceived)} == {event.intent_id for event in ran.of(Outcome)}
    assert ran.ending.left_open == 0


def test_a_profile_without_the_chain_is_refused_and_holds_nothing_back(tmp_path: Path) -> None:
    home = Path(__file__).resolve().parents[2] / "cli" / "home"
    market = made_up("BTCUSDT")
    with pytest.raises(MissingPolicyError, match="admission"):
        open_embedded(replace(options(tmp_path, "live"), home=home), market)
    assert run(market, tmp_path, shape=SHORT).ending.reason == "limit_quotes", "the journal was let go of"


def test_an_earlier_replay_makes_way_and_its_rulebooks_stay(tmp_path: Path) -> None:
    market = made_up("BTCUSDT")
    first = run(market, tmp_path, shape=SessionShape(limit_quotes=200))
    lines = first.lines
    run(market, tmp_path, shape=SessionShape(limit_quotes=300))
    assert [path.read_bytes() for path in (tmp_path / EARLIER / JOURNAL).glob("*.jsonl")] == lines
    (started,) = read(tmp_path / JOURNAL, types=(SessionStarted,))
    assert isinstance(started, SessionStarted)
    assert Rulebooks(tmp_path).find(started.rulebook, started.sources, "prod") is not None
    assert not (tmp_path / EARLIER / "rulebooks").exists()


def test_a_journal_that_is_no_replay_s_is_left_alone(tmp_path: Path) -> None:
    live = SessionStarted(ts_ms=START_MS, profile="prod", rulebook="r", sources="s", venue="v", market="m", nav_usd=1.0)
    with Journal(tmp_path / JOURNAL, fsync=NEVER) as journal:
        journal.add(live)
    before = {path.name: path.read_bytes() for path in (tmp_path / JOURNAL).glob("*.jsonl")}
    with pytest.raises(StartError, match="no replay's"):
        open_embedded(options(tmp_path), made_up("BTCUSDT"))
    assert {path.name: path.read_bytes() for path in (tmp_path / JOURNAL).glob("*.jsonl")} == before


def test_a_session_that_is_at_work_keeps_its_journal(tmp_path: Path) -> None:
    market = made_up("BTCUSDT")
    run(market, tmp_path, shape=SessionShape(limit_quotes=200))
    lock = Lock(tmp_path / JOURNAL, LOCK, "written")
    try:
        with pytest.raises(JournalError, match="is being written"):
            open_embedded(options(tmp_path), market)
    finally:
        lock.release()
    assert not (tmp_path / EARLIER).exists()


def test_intents_of_a_file_end_a_session_that_is_to_end_with_them(tmp_path: Path) -> None:
    intents = tmp_path / "intents.jsonl"
    intents.write_text(
        '{"intent_id": "a", "symbol": "BTCUSDT", "side": "buy", "qty": 0.01, "order_type": "market", '
        '"maker_requested": false, "reduce_only": false}\n'
    )
    ran = run(made_up("BTCUSDT"), tmp_path / "logs", intents=str(intents), end_with_intents=True)
    assert [event.result for event in ran.of(Outcome)] == ["filled"]
    assert ran.ending.quotes.total() < 1000


def test_options_that_name_nothing_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no file of intents"):
        open_embedded(options(tmp_path, intents=str(tmp_path / "nowhere")), made_up("BTCUSDT"))
    assert not list(tmp_path.iterdir())
    assert shipped_home().is_dir()
