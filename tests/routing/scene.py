"""A router at a paper venue, in a market that a test writes line by line."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, TypeVar

from engine import load
from engine.book import Book
from engine.journal.events import Event, OrderPlanned, Outcome, Routed
from engine.journal.lines import encode
from engine.market import Quote, Trade
from engine.routing.account import Account
from engine.routing.facts import SymbolFacts
from engine.routing.intents import CancelIntent, GivenFacts, Intent
from engine.routing.known import Known
from engine.routing.router import Router
from engine.routing.shape import RouterShape, SessionShape
from engine.venues.faults import Faults, Script
from engine.venues.messages import Fill, Message, Request
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.rules import SymbolRules

SYMBOL = "BTCUSDT"
RULES = {SYMBOL: SymbolRules(SYMBOL, Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(1000), Decimal(100))}
START_MS = 1_723_161_600_000
GOOD = {
    "maker_fill_ratio": 0.9,
    "maker_fill_samples": 200.0,
    "fallback_ratio": 0.1,
    "fallback_samples": 200.0,
    "slippage_p50_bps": 1.5,
    "slippage_p95_bps": 2.0,
    "slippage_samples": 200.0,
    "ack_latency_p50_ms": 60.0,
    "ack_latency_p95_ms": 90.0,
    "ack_latency_samples": 200.0,
    "sample_count": 200.0,
}
BOOKS: dict[str, Book] = {}

E = TypeVar("E", bound=Event)


class MemoryJournal:
    """A journal that a test can look into, and fill up."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_full = False
        self.commits = 0

    @property
    def is_writable(self) -> bool:
        return not self.is_full

    def add(self, event: Event) -> Event:
        encode(event)  # what cannot be written must not get this far
        self.events.append(event)
        return event

    def commit(self) -> bool:
        self.commits += 1
        return not self.is_full


class Sources:
    """Telemetry, windows, breakers and tuning as a test wants them."""

    def __init__(self, telemetry: Mapping[str, Any]) -> None:
        self.telemetry = telemetry
        self.paused = False

    def facts(self, _: str, now_ms: int | None = None) -> Mapping[str, Any] | None:
        return None if now_ms is None else {"observed_at": now_ms / 1000, **self.telemetry}

    def decide(self, *_: object) -> None:
        return None

    def pauses(self, _: str) -> bool:
        return self.paused


class Counts:
    """Windows in which nothing happened."""

    def facts(self, _: str, __: int) -> Mapping[str, float]:
        return {"post_only_rejects_60s": 0.0, "fallbacks_in_a_row": 0.0, "slow_acks_60s": 0.0, "probes_last_hour": 0.0}


class SpyVenue(PaperVenue):
    """A paper venue that remembers what it was sent and what it said."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.sent: list[tuple[int, Request | Literal["set_clock"]]] = []
        self.said: list[Message] = []

    def send(self, request: Request, now_ms: int) -> None:
        self.sent.append((now_ms, request))
        super().send(request, now_ms)

    def set_clock(self, now_ms: int) -> None:
        self.sent.append((now_ms, "set_clock"))
        super().set_clock(now_ms)


class Scene:
    """What a test plays: quotes and prints, intents, time."""

    def __init__(
        self,
        profile: str = "prod",
        *,
        scripts: Mapping[str, Script] | None = None,
        telemetry: Mapping[str, Any] | None = None,
        shape: RouterShape | None = None,
        **settings: Any,
    ) -> None:
        book = BOOKS.get(profile)
        if book is None:
            book = BOOKS[profile] = load(profile).warm()
        faults = Faults(scripts=scripts or {})
        chosen = {"uplink_ms": 10, "downlink_ms": 10, **settings}
        self.now_ms = START_MS
        self.journal = MemoryJournal()
        self.venue = SpyVenue(RULES, PaperSettings(faults=faults, **chosen))
        self.sources = Sources(GOOD if telemetry is None else telemetry)
        self.symbols = {SYMBOL: SymbolFacts(SYMBOL, SessionShape())}
        self.account = Account(3.0)
        self.account.cash = Decimal(1_000_000)
        known = Known(self.symbols, self.account, self.sources, Counts(), self.sources, NoTuning())
        self.router = Router(book, self.journal, self.venue, RULES, known, self.sources, shape or RouterShape())
        self.sent = 0
        self.account._day_nav = 1_000_000.0
        self.given("risk", risk_mode="normal", halted=False, symbol_disabled=False)
        self.quote(60000.0, 60000.1)

    # --- what happens ------------------------------------------------------------------------------------------------

    def quote(self, bid: float, ask: float, qty: float = 5.0) -> None:
        """The book from now on."""
        quote = Quote(SYMBOL, self.now_ms, bid, ask, qty, qty)
        self.venue.see(quote)
        self.router.on_quote(quote)
        self.router.commit()

    def trade(self, price: float, qty: float, *, seller: bool) -> None:
        """A print; `seller`: the aggressor sold."""
        trade = Trade(SYMBOL, self.now_ms, price, qty, seller)
        self.venue.see(trade)
        self.router.on_trade(trade)
        self.router.commit()

    def wait(self, ms: int) -> None:
        """Time goes on; the book is said again each second, as feeds do."""
        until_ms = self.now_ms + ms
        next_quote_ms = self.now_ms + 1_000
        while True:
            due = [at for at in (self.router.next_ms(), self.venue.next_ms(), next_quote_ms) if at is not None]
            at_ms = max(min(due), self.now_ms)
            if at_ms > until_ms:
                break
            self.now_ms = at_ms
            self._deliver()
            if at_ms == next_quote_ms:
                next_quote_ms += 1_000
                held = self.symbols[SYMBOL].book.quote
                assert held is not None
                self.quote(held.bid, held.ask, held.bid_qty)
        self.now_ms = until_ms
        self._deliver()

    def _deliver(self) -> None:
        for message in self.venue.receive(self.now_ms):
            self.venue.said.append(message)
            self.router.on_message(message, self.now_ms)
            self.router.commit()
        self.router.on_time(self.now_ms)
        self.router.commit()

    def send(self, side: str = "buy", qty: float = 0.01, **more: Any) -> str:
        """An intent that asks to rest at the touch; returns its id."""
        held = self.symbols[SYMBOL].book.quote
        assert held is not None
        self.sent += 1
        facts = {
            "side": side,
            "qty": qty,
            "order_type": "market",
            "maker_requested": True,
            "maker_price": held.bid if side == "buy" else held.ask,
            "maker_qty": qty,
            "reduce_only": False,
            **{name: value for name, value in more.items() if name != "expires_s"},
        }
        facts = {name: value for name, value in facts.items() if value is not None}
        intent_id = f"i-{self.sent}"
        self.router.on_request(Intent(intent_id, SYMBOL, facts, None, more.get("expires_s")), self.now_ms)
        self.router.commit()
        return intent_id

    def cancel(self, intent_id: str) -> None:
        """The strategy takes an intent back."""
        self.router.on_request(CancelIntent(intent_id, "cancelled"), self.now_ms)
        self.router.commit()

    def given(self, group: str, **facts: Any) -> None:
        """Facts from outside."""
        self.router.on_request(GivenFacts(group, facts, None), self.now_ms)
        self.router.commit()

    # --- what came of it ---------------------------------------------------------------------------------------------

    def of(self, kind: type[E]) -> list[E]:
        """The events of a kind."""
        return [event for event in self.journal.events if isinstance(event, kind)]

    @property
    def orders(self) -> list[OrderPlanned]:
        """Every order that was planned."""
        return self.of(OrderPlanned)

    @property
    def routes(self) -> list[Routed]:
        """Every route decision."""
        return self.of(Routed)

    @property
    def outcome(self) -> Outcome:
        """The one outcome there is."""
        (outcome,) = self.of(Outcome)
        return outcome

    @property
    def executed(self) -> Decimal:
        """What the venue executed of the intents, whatever it told."""
        return sum((order.filled for order in self.venue.orders()), Decimal(0))

    @property
    def fills(self) -> list[Fill]:
        """What the venue said of executions."""
        return [message for message in self.venue.said if isinstance(message, Fill)]


class NoTuning:
    """Nothing is tuned."""

    def facts(self, _: str) -> None:
        return None


def client_id(intent_id: str, leg: int) -> str:
    """The client order id of a leg, as the router derives it."""
    import hashlib

    return f"s-{hashlib.sha256(intent_id.encode()).hexdigest()[:24]}-{leg}"
