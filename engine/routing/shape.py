"""The numbers of a session: how facts are measured, how often intents come, and from which seed.

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
    """Net asset value of the generated account; sizes of generated intents and positions go with it."""

    @property
    def warm_up_bars(self) -> int:
        """Bars wanted before the first quote: a full long window, and one whose close the first true range needs."""
        return self.atr_long_bars + 1
