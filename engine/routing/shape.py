"""The numbers of a session: how facts are measured, how often intents come, how long the router waits, from which seed.

None of them is a threshold. What a measured value means is said by rules, and their numbers stand in `profiles/`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionShape:
    """A session's numbers; the defaults are those of `sluice run`."""

    seed: int = 7
    """Everything that is generated comes from it: the same seed over the same market gives the same decisions."""
    every_s: float = 2.0
    """Mean time between two intents of a symbol; single waits are half to one and a half of it."""
    asleep_after_s: float = 10.0
    """A symbol that its feed has not mentioned for so long gets no intents until the feed mentions it again."""
    limit_quotes: int | None = None
    """The session ends after so many quotes; None for all of them."""
    generated_s: float | None = 1200.0
    """How long a generated market lasts; None for one without an end. Its regimes change every 900 s."""

    atr_short_bars: int = 50
    """Closed one-minute bars behind `atr_short`. With the next it defines `atr_ratio` = ATR(50) / ATR(500)."""
    atr_long_bars: int = 500
    """Closed one-minute bars behind `atr_long`."""
    max_flat_minutes: int = 10
    """Minutes without a price that count as a quiet market; beyond them it counts as unseen, and ATR starts anew.

    A fifth of the short window: unseen minutes taken for calm lower `atr_short` by a fifth at most, while starting anew
    costs a thin symbol, whose prints are often minutes apart, 500 minutes without any ATR.
    """
    nav_usd: float = 1_000_000.0
    """Net asset value at the start; sizes of generated intents go with it."""
    leverage: float = 3.0
    """The leverage set at the paper venue, for every symbol."""

    @property
    def warm_up_bars(self) -> int:
        """Bars wanted before the first quote: a full long window, and one whose close the first true range needs."""
        return self.atr_long_bars + 1


@dataclass(frozen=True, slots=True)
class RouterShape:
    """How long a router waits, and how often it asks. Times are in milliseconds of the market."""

    look_every_ms: int = 100
    """An order that rests is looked at when the mid moves, but no more often than this."""
    look_at_least_ms: int = 1_000
    """And at least this often, since ages grow without quotes."""
    answer_within_ms: int = 5_000
    """A request that is not answered by then has an unknown outcome."""
    query_every_ms: int = 2_000
    """Between two queries of one order."""
    absent_after: int = 5
    """Queries in a row that find no such order, and silence meanwhile, before it counts as never placed.

    The venue's own advice for -2013: one query that finds nothing proves nothing, since they are answered from copies.
    """
    trades_within_ms: int = 500
    """How long after the end of an order its trades may still come by themselves."""
    ask_for_trades: int = 5
    """Answers without the missing trades of an order that is over, before these are given up as unaccounted."""
    back_off_ms: tuple[int, ...] = (200, 400, 800)
    """Waits before a request is made again that the venue said it had not executed; then it counts as refused."""
    cross_attempts: int = 3
    """Orders sent at most to cross one rest: what the book shows may be less than it, and comes back."""
    cross_again_ms: int = 250
    """Between two of them."""
    cancel_again_ms: int = 200
    """Between two cancels of one order: a refusal may come at once, and again at once."""
    gate_ms: int = 1_000
    """How long nothing is sent after a rate limit that names no time."""
    tick_every_ms: int = 5_000
    """Breakers and autotune are looked at this often, though no intent asks."""
    snapshot_every_ms: int = 60_000
    """Between two snapshots of health, positions and net asset value."""
    risk_every_ms: int = 600_000
    """How often a session that is told a risk state says it again."""
    close_within_ms: int = 60_000
    """How long a session that ends waits for its orders to be gone."""
    most_shown: int = 400
    """Characters of a refused intent that are written down."""
