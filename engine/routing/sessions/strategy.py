"""Where intents come from: a file of JSON lines, or a strategy made up from a seed.

In: the time, and for the strategy the market as it goes by. Out: requests that are due, each with the place it came
from. A source says when its next request is due; one that is due "at once" is due as soon as it is asked.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

from engine.market import Event
from engine.routing.facts import SymbolFacts
from engine.routing.intents import GivenFacts, Intent, Request, read_request
from engine.routing.sessions.generated_intents import GeneratedIntents
from engine.routing.shape import SessionShape

_SIGNAL_EVERY_MS = 20_000


class Due(NamedTuple):
    """A request, and where it stands in its file."""

    request: Request
    place: str


class IntentSource(Protocol):
    """Somebody who wants to trade."""

    name: str

    def next_ms(self) -> int | None:
        """When something is due; None while nothing is. 0: at once."""

    def take(self, now_ms: int) -> Sequence[Due]:
        """What is due by now, in order."""

    def see(self, event: Event) -> None:
        """Take the next event of the market."""

    def rest(self) -> Iterable[Due]:
        """What was never due: the market ended before its time."""


class Lines:
    """Requests out of lines, in their order. One that says no time comes with the one before it, or at once.

    Intents whose id is in `taken` are left out: a session that goes on from a journal has them already.
    """

    def __init__(
        self, name: str, lines: Iterable[bytes], most_shown: int, taken: Collection[str] = frozenset()
    ) -> None:
        self.name = name
        self._taken = taken
        self._numbered = enumerate(lines, 1)
        self._most_shown = most_shown
        self._due_ms = 0
        self._next: Due | None = None
        self._read()

    def next_ms(self) -> int | None:
        """When the next line is due."""
        return None if self._next is None else self._due_ms

    def take(self, now_ms: int) -> Sequence[Due]:
        """The lines that are due."""
        due: list[Due] = []
        while self._next is not None and self._due_ms <= now_ms:
            due.append(self._next)
            self._read()
        return due

    def see(self, event: Event) -> None:
        """A file does not look at the market."""

    def rest(self) -> Iterable[Due]:
        """The lines that were never due."""
        while self._next is not None:
            yield self._next
            self._read()

    def _read(self) -> None:
        self._next = None
        for number, line in self._numbered:
            if line.strip():
                request = read_request(line, self._most_shown)
                if isinstance(request, Intent) and request.intent_id in self._taken:
                    continue
                self._next = Due(request, f"{self.name}:{number}")
                if request.ts_ms is not None:
                    self._due_ms = max(self._due_ms, request.ts_ms)
                return


class Arriving:
    """Requests out of lines that come when they come; nobody waits for them. One that says a time waits until then.

    Intents whose id is in `taken` are left out, as by `Lines`.
    """

    def __init__(
        self,
        name: str,
        arrived: Callable[[], Sequence[bytes]],
        most_shown: int,
        taken: Collection[str] = frozenset(),
    ) -> None:
        """`arrived` gives the lines that have come since it was last called."""
        self.name = name
        self._taken = taken
        self._arrived = arrived
        self._most_shown = most_shown
        self._number = 0
        self._held: list[tuple[int, int, Due]] = []

    def next_ms(self) -> int | None:
        """When the first line that waits is due."""
        return self._held[0][0] if self._held else None

    def take(self, now_ms: int) -> Sequence[Due]:
        """What is due of all that has come."""
        for line in self._arrived():
            self._number += 1
            if line.strip():
                request = read_request(line, self._most_shown)
                if isinstance(request, Intent) and request.intent_id in self._taken:
                    continue
                due = Due(request, f"{self.name}:{self._number}")
                heapq.heappush(self._held, (request.ts_ms or 0, self._number, due))
        found: list[Due] = []
        while self._held and self._held[0][0] <= now_ms:
            found.append(heapq.heappop(self._held)[2])
        return found

    def see(self, event: Event) -> None:
        """Lines do not look at the market."""

    def rest(self) -> Iterable[Due]:
        """Nothing: what waits may come again in the next session."""
        return ()


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, one at a time."""
    with path.open("rb") as stream:
        yield from stream


class Signals:
    """A strategy made up from a seed: an intent every few seconds for each symbol, and what it expects of it.

    A symbol that its feed has not mentioned for a while sleeps until the feed mentions it again. Ids in `taken` are not
    used again: a session that goes on from a journal has intents of these names.
    """

    def __init__(
        self,
        symbols: Mapping[str, SymbolFacts],
        position_of: Callable[[str], float],
        shape: SessionShape,
        taken: Collection[str] = frozenset(),
    ) -> None:
        self.name = f"signals of seed {shape.seed}"
        self._symbols = symbols
        self._position_of = position_of
        self._shape = shape
        self._intents = {
            symbol: GeneratedIntents(shape.seed, symbol, shape.every_s, shape.nav_usd) for symbol in symbols
        }
        self._due: list[tuple[int, str]] = []
        self._awake: set[str] = set()
        self._taken = taken
        self._sent = dict.fromkeys(symbols, 0)
        self._slots = dict.fromkeys(symbols, -1)
        self._asleep_after_ms = shape.asleep_after_s * 1000

    def next_ms(self) -> int | None:
        """When the next symbol wants to trade."""
        return self._due[0][0] if self._due else None

    def rest(self) -> Iterable[Due]:
        """Nothing: it wants nothing of a market that is over."""
        return ()

    def see(self, event: Event) -> None:
        """Wake a symbol that is mentioned."""
        symbol = event.symbol
        if symbol not in self._awake and self._symbols[symbol].last_price is not None:
            self._awake.add(symbol)
            heapq.heappush(self._due, (event.ts_ms + self._intents[symbol].wait_ms(), symbol))

    def take(self, now_ms: int) -> Sequence[Due]:
        """The intents that are due, each after what the strategy expects, where that has changed."""
        due: list[Due] = []
        while self._due and self._due[0][0] <= now_ms:
            at_ms, symbol = heapq.heappop(self._due)
            facts = self._symbols[symbol]
            last_ms, price = facts.last_event_ms, facts.last_price
            if price is None or last_ms is None or at_ms - last_ms > self._asleep_after_ms:
                self._awake.discard(symbol)
                continue
            slot = at_ms // _SIGNAL_EVERY_MS
            if slot != self._slots[symbol]:
                self._slots[symbol] = slot
                due.append(Due(GivenFacts("signal", _expectation(self._shape.seed, symbol, slot), symbol), ""))
            quote = facts.book.quote
            bid, ask = (price, price) if quote is None else (quote.bid or price, quote.ask or price)
            intent_id = self._new_id(symbol)
            intent = self._intents[symbol].intent(bid, ask, self._position_of(symbol))
            due.append(Due(Intent(intent_id, symbol, intent), ""))
            heapq.heappush(self._due, (at_ms + self._intents[symbol].wait_ms(), symbol))
        return due

    def _new_id(self, symbol: str) -> str:
        """An id that was not used before."""
        while True:
            self._sent[symbol] += 1
            intent_id = f"{symbol}-{self._sent[symbol]:06}"
            if intent_id not in self._taken:
                return intent_id


def _expectation(seed: int, symbol: str, slot: int) -> dict[str, Any]:
    rng = Random(f"{seed}/{symbol}/signal/{slot}")
    return {
        "hourly_expectancy": rng.gauss(0.5, 2.0),
        "expectancy": rng.gauss(0.5, 4.0),
        "hit_rate": rng.uniform(0.4, 0.6),
        "score": rng.random(),
    }
