"""How routing went over the last 7 days: the facts of the group `telemetry`, as a view over journal events.

In: `Outcome`s of the router, and `Imported` samples measured elsewhere. Out: for a symbol and a moment, the facts by
the names of `policies/facts.yaml`. docs/telemetry.md defines every metric, and gives the same as a query over the
journal's files, which a test holds to the last bit.

A sample is one maker attempt: an entry that was at least partly sent to rest. Exits are left out, or closing a position
would look like a failure of makers; so are entries that were only ever sent to take, which say nothing about makers.
A metric is missing, never 0, as long as nothing was measured for it.

A sample counts while it is younger than the window: from its own time on, which for imported ones may lie ahead, and
until the window has passed, whichever file of the journal it stands in. Everything that is kept is a count, an exact
sum of decimals or a sorted list, and nothing depends on the order of arrival. So a view that has been running for
months says bit for bit what one says that has just been folded from the journal.

Sorted lists are `sortedcontainers`: with 2,000 samples of a symbol, adding one, removing one and reading four quantiles
takes 2.4 µs, with a million 9 µs. A plain list kept sorted with `bisect` takes 0.9 µs and 107 µs.
"""

from __future__ import annotations

import math
from bisect import insort_right
from collections.abc import Iterable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from operator import attrgetter
from typing import Any

import msgspec
from sortedcontainers import SortedList

from engine.journal.events import Imported, Outcome
from engine.language.findings import SluiceError
from engine.routing.views import Handlers, View

WINDOW_S = 7 * 86_400
"""How far back the shipped telemetry looks."""

_SLIPPAGE = {"slippage_p25_bps": 25, "slippage_p50_bps": 50, "slippage_p75_bps": 75, "slippage_p95_bps": 95}
_ACK = {"ack_latency_p50_ms": 50, "ack_latency_p95_ms": 95}

# Sums must not depend on the order of what is added and taken away, so nothing is ever rounded.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)

_BEFORE_ALL = -(1 << 62)
_AFTER_ALL = 1 << 62


class TelemetryError(SluiceError):
    """Telemetry cannot be used: where, what, and how to fix it."""

    def __init__(self, message: str, help: str, place: str = "") -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{place}: {message}\n  {help}" if place else f"{message}\n  {help}")
        self.message = message
        self.help = help
        self.place = place
        """`file:line`, the file alone where all of it is meant, or empty."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One maker attempt. Quantities are in the base asset."""

    ts_ms: int
    """When the intent ended; milliseconds since 1970 UTC."""
    attempted: Decimal
    """Quantity sent to rest, each part of it once however often it was repriced."""
    filled: Decimal
    """Of that, what was executed while it rested."""
    fallback: bool
    """Whether some of it ended as taker."""
    submissions: int
    """Maker orders sent."""
    post_only_rejects: int
    """Of these, how many were refused because they would have taken."""
    slippage_bps: float | None = None
    """Price of all that was executed, taker parts included, against the mid at arrival; positive is cost, for buys and
    sells alike. None where nothing was executed or there was no mid."""
    ack_ms: tuple[int, ...] = ()
    """Submit to acknowledgement, of each maker order where it was measured."""

    def __post_init__(self) -> None:
        """Refuse what no attempt can have been.

        Raises:
            ValueError: with what is wrong.

        """
        if not (self.attempted.is_finite() and self.filled.is_finite()):
            raise ValueError("a quantity is not finite")
        if self.attempted <= 0:
            raise ValueError(f"`attempted` is {self.attempted:.9g}: without a quantity there was no attempt")
        if not 0 <= self.filled <= self.attempted:
            raise ValueError(f"`filled` is {self.filled:.9g}, of {self.attempted:.9g} attempted")
        if not 0 <= self.post_only_rejects <= self.submissions:
            raise ValueError(f"`post_only_rejects` is {self.post_only_rejects}, of {self.submissions} submissions")
        if self.slippage_bps is not None and not math.isfinite(self.slippage_bps):
            raise ValueError("`slippage_bps` is not finite")
        if self.ack_ms and min(self.ack_ms) < 0:
            raise ValueError(f"`ack_ms` holds {min(self.ack_ms)}: nothing is acknowledged before it is sent")


def sample_of(outcome: Outcome) -> Sample | None:
    """What an outcome says of makers; None for an exit, and where nothing was sent to rest.

    A ratio never exceeds 1: what a venue executes beyond the attempt, or refuses beyond the orders sent, is cut off. A
    latency below 0 comes from clocks that disagree, and is no measurement.
    """
    attempted = outcome.attempted
    if outcome.is_exit or attempted <= 0:
        return None
    filled = outcome.maker_filled
    return Sample(
        ts_ms=outcome.ts_ms,
        attempted=attempted,
        filled=min(attempted, filled),
        fallback=outcome.fallback,
        submissions=outcome.submissions,
        post_only_rejects=min(outcome.post_only_rejects, outcome.submissions),
        slippage_bps=_slippage_bps(outcome),
        ack_ms=tuple([ack for ack in outcome.ack_ms if ack >= 0]),
    )


def _slippage_bps(outcome: Outcome) -> float | None:
    mid, filled = outcome.arrival_mid, outcome.filled
    if mid is None or mid <= 0.0 or filled <= 0:
        return None
    above = (outcome.cost_usd / float(filled) - mid) / mid * 10_000.0
    return above if outcome.side == "buy" else -above


class Effectiveness(View):
    """Telemetry by symbol. Feed it the events of a journal in their order, or of several journals in any order.

    Seeing an `Imported` that holds what is no sample raises `TelemetryError`.

    Time is what callers say it is. A moment before one asked about earlier is answered too, save that samples are
    forgotten for good once somebody asked, or an outcome of the symbol came, a whole window after them.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self.imports: set[tuple[str, str]] = set()
        """Symbol and source of every import seen. The same import again counts once."""
        self._window_ms = round(window_s * 1000)
        self._symbols: dict[str, _Window] = {}
        self.handlers: Handlers = {Outcome: self._ended, Imported: self._imported}

    @property
    def symbols(self) -> list[str]:
        """Every symbol that a sample was ever seen of, in order."""
        return sorted(self._symbols)

    def facts(self, symbol: str, now_ms: int) -> dict[str, float]:
        """The group `telemetry` of a symbol at a moment.

        `observed_at` (the moment, in seconds) and `sample_count` are always there. A metric nothing was measured for is
        left out together with the count of its samples.
        """
        window = self._symbols.get(symbol)
        if window is None:
            return {"observed_at": now_ms / 1000, "sample_count": 0.0}
        return {"observed_at": now_ms / 1000, **window.facts(now_ms)}

    def samples(self, symbol: str, now_ms: int) -> list[Sample]:
        """The samples behind the facts of a symbol at a moment, in order of time."""
        window = self._symbols.get(symbol)
        return [] if window is None else window.samples(now_ms)

    def newest_ms(self, symbol: str, now_ms: int) -> int | None:
        """When the last maker attempt ended that counts at a moment; None where none does."""
        window = self._symbols.get(symbol)
        return None if window is None else window.newest_ms(now_ms)

    def _ended(self, event: Outcome) -> None:
        sample = sample_of(event)
        if sample is not None:
            window = self._window(event.symbol)
            window.add(sample)
            window.forget(event.ts_ms - self._window_ms)

    def _imported(self, event: Imported) -> None:
        identity = (event.symbol, event.source)
        if identity in self.imports:
            return
        try:
            samples = msgspec.convert(event.samples, list[Sample])
        except msgspec.ValidationError as error:
            raise TelemetryError(
                f"an import of {event.symbol} from {event.source} holds what is no sample: {error}",
                "the line was not written by `sluice telemetry import`: take it out of the journal and import again",
                f"event {event.seq}",
            ) from None
        self.imports.add(identity)
        window = self._window(event.symbol)
        for sample in samples:
            window.add(sample)
        window.forget(event.ts_ms - self._window_ms)

    def _window(self, symbol: str) -> _Window:
        window = self._symbols.get(symbol)
        if window is None:
            window = self._symbols[symbol] = _Window(self._window_ms)
        return window


class _Window:
    """The samples of one symbol, and sums over those of them that count at a moment.

    Samples are kept in order of time: those before `_gone` are forgotten, those from there to `_due` count and are in
    the sums, the rest have yet to come. A plain list does, since they come nearly in that order, and leave in it.
    """

    __slots__ = (
        "_acks",
        "_at_ms",
        "_attempted",
        "_due",
        "_facts",
        "_fallbacks",
        "_filled",
        "_gone",
        "_rejects",
        "_samples",
        "_since_ms",
        "_slippages",
        "_submissions",
        "_until_ms",
        "_window_ms",
    )

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._samples: list[Sample] = []
        self._gone = 0
        self._due = 0
        self._at_ms = _BEFORE_ALL  # the moment that `_due` is of
        self._attempted = Decimal(0)
        self._filled = Decimal(0)
        self._fallbacks = 0
        self._submissions = 0
        self._rejects = 0
        self._slippages = SortedList()
        self._acks = SortedList()
        # Facts hold from `_since_ms` on and before `_until_ms`; None where the sums have changed.
        self._facts: dict[str, float] | None = None
        self._since_ms = self._until_ms = _BEFORE_ALL

    def add(self, sample: Sample) -> None:
        """Take a sample."""
        samples, ts_ms = self._samples, sample.ts_ms
        if not samples or samples[-1].ts_ms <= ts_ms:
            samples.append(sample)
        else:
            insort_right(samples, sample, lo=self._gone, key=attrgetter("ts_ms"))
        if ts_ms <= self._at_ms:
            self._due += 1
            self._count((sample,))
        elif ts_ms < self._until_ms:
            self._until_ms = ts_ms

    def forget(self, before_ms: int) -> None:
        """Let go of the samples up to a moment, that one included."""
        samples, gone = self._samples, self._gone
        while gone < len(samples) and samples[gone].ts_ms <= before_ms:
            if gone < self._due:
                self._uncount(samples[gone])
            gone += 1
        self._gone, self._due = gone, max(gone, self._due)
        if 8 * gone > len(samples):  # so that to forget one moves seven others at most
            del samples[:gone]
            self._due -= gone
            self._gone = 0

    def facts(self, now_ms: int) -> dict[str, float]:
        """The facts at a moment, but for the time of observation. Not to be changed: it is handed out again."""
        facts = self._facts
        if facts is None or not self._since_ms <= now_ms < self._until_ms:
            self._move(now_ms)
            facts = self._facts = self._computed()
        return facts

    def samples(self, now_ms: int) -> list[Sample]:
        """The samples that count at a moment."""
        self.facts(now_ms)
        return self._samples[self._gone : self._due]

    def newest_ms(self, now_ms: int) -> int | None:
        """The time of the last sample that counts at a moment."""
        self.facts(now_ms)
        return self._samples[self._due - 1].ts_ms if self._due > self._gone else None

    def _move(self, now_ms: int) -> None:
        """Let the sums be those of a moment."""
        self.forget(now_ms - self._window_ms)
        samples, gone = self._samples, self._gone
        due = self._due
        while due < len(samples) and samples[due].ts_ms <= now_ms:
            due += 1
        self._count(samples[self._due : due])
        while due > gone and samples[due - 1].ts_ms > now_ms:  # time went back
            due -= 1
            self._uncount(samples[due])
        self._due, self._at_ms = due, now_ms
        self._since_ms = samples[due - 1].ts_ms if due > gone else _BEFORE_ALL
        comes_ms = samples[due].ts_ms if due < len(samples) else _AFTER_ALL
        leaves_ms = samples[gone].ts_ms + self._window_ms if due > gone else _AFTER_ALL
        self._until_ms = min(comes_ms, leaves_ms)

    def _count(self, samples: Iterable[Sample]) -> None:
        slippages: list[float] = []
        acks: list[int] = []
        for sample in samples:
            self._attempted = _EXACT.add(self._attempted, sample.attempted)
            self._filled = _EXACT.add(self._filled, sample.filled)
            self._fallbacks += sample.fallback
            self._submissions += sample.submissions
            self._rejects += sample.post_only_rejects
            if sample.slippage_bps is not None:
                slippages.append(sample.slippage_bps + 0.0)  # -0.0 and 0.0 are equal: which is first must not show
            acks += sample.ack_ms
        self._slippages.update(slippages)
        self._acks.update(acks)
        self._facts = None

    def _uncount(self, sample: Sample) -> None:
        self._attempted = _EXACT.subtract(self._attempted, sample.attempted)
        self._filled = _EXACT.subtract(self._filled, sample.filled)
        self._fallbacks -= sample.fallback
        self._submissions -= sample.submissions
        self._rejects -= sample.post_only_rejects
        if sample.slippage_bps is not None:
            self._slippages.remove(sample.slippage_bps)
        for ack in sample.ack_ms:
            self._acks.remove(ack)
        self._facts = None

    def _computed(self) -> dict[str, float]:
        count = self._due - self._gone
        attempts = float(count)
        facts = {"sample_count": attempts}
        if count:
            facts["maker_fill_ratio"] = float(self._filled) / float(self._attempted)
            facts["maker_fill_samples"] = attempts
            facts["fallback_ratio"] = self._fallbacks / count
            facts["fallback_samples"] = attempts
        if self._submissions:
            facts["post_only_reject_ratio"] = self._rejects / self._submissions
            facts["post_only_reject_samples"] = float(self._submissions)
        if self._slippages:
            for name, percent in _SLIPPAGE.items():
                facts[name] = nearest_rank(self._slippages, percent)
            facts["slippage_samples"] = float(len(self._slippages))
        if self._acks:
            for name, percent in _ACK.items():
                facts[name] = float(nearest_rank(self._acks, percent))
            facts["ack_latency_samples"] = float(len(self._acks))
        return facts


def nearest_rank(ordered: Any, percent: int) -> float:
    """The nearest-rank quantile of numbers in ascending order: the least that `percent` of them do not exceed.

    >>> nearest_rank([1.0, 2.0, 3.0, 4.0], 50), nearest_rank([1.0, 2.0, 3.0, 4.0], 51)
    (2.0, 3.0)
    """
    value: float = ordered[-(-len(ordered) * percent // 100) - 1]
    return value
