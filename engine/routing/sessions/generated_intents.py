"""Intents of a strategy for one symbol, made up from a seed: what it wants to trade, and when.

In: a seed, a symbol, and at each moment the book and the position. Out: the wait to the next intent, and `intent`
groups. Most want to be executed at whatever the market gives and ask to rest at the touch first; some name a limit a
little beyond the market, some are exits, some leave out a price or a quantity, some are too large for any account of
that size, and some so small that they would serve as probes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class IntentMix:
    """How often which kind of intent comes (shares of 1), and how large they are."""

    exits: float = 0.15
    """Reduce-only; half of them for the whole position."""
    not_resting: float = 0.05
    """Does not ask to rest."""
    without_price: float = 0.02
    """Asks to rest, and says no price to rest at."""
    without_qty: float = 0.02
    """Asks to rest, and gives no quantity to rest, or 0."""
    limits: float = 0.1
    """Names a limit price, up to `limit_beyond_bps` through the market."""
    limit_beyond_bps: float = 5.0
    too_large: float = 0.02
    """Worth 20 to 40 % of the account."""
    small: float = 0.2
    """Worth 20 to 95 USD."""
    usual_nav_share: float = 0.003
    """Median value of the others as a share of the account."""


class GeneratedIntents:
    """The intents of one symbol."""

    def __init__(self, seed: int, symbol: str, every_s: float, nav_usd: float, mix: IntentMix | None = None) -> None:
        self._rng = Random(f"{seed}/{symbol}/intents")
        self._every_ms = every_s * 1000
        self._nav_usd = nav_usd
        self._mix = mix or IntentMix()

    def wait_ms(self) -> int:
        """Time to the next intent in milliseconds, at least one."""
        return max(1, round(self._every_ms * self._rng.uniform(0.5, 1.5)))

    def intent(self, bid: float, ask: float, position_qty: float) -> dict[str, Any]:
        """The next `intent` group, against the last known touch and the position (short is negative)."""
        rng, mix = self._rng, self._mix
        kind, half = rng.random(), rng.random() < 0.5
        beyond = 1 + rng.uniform(0.0, mix.limit_beyond_bps) / 1e4
        is_limit = rng.random() < mix.limits
        side = rng.choice(("buy", "sell"))
        qty = self._qty((bid + ask) / 2)
        if exits := kind < mix.exits and position_qty != 0.0:
            side = "sell" if position_qty > 0.0 else "buy"
            qty = abs(position_qty) if half else abs(position_qty) / 2
        intent = {
            "side": side,
            "qty": qty,
            "order_type": "limit" if is_limit else "market",
            "maker_requested": True,
            "maker_price": bid if side == "buy" else ask,
            "maker_qty": qty,
            "reduce_only": exits,
        }
        if is_limit:
            intent["price"] = float(f"{ask * beyond if side == 'buy' else bid / beyond:.10g}")
        kind -= mix.exits
        if 0.0 <= kind < mix.not_resting:
            intent["maker_requested"] = False
            del intent["maker_price"], intent["maker_qty"]
        kind -= mix.not_resting
        if 0.0 <= kind < mix.without_price:
            del intent["maker_price"]
        kind -= mix.without_price
        if 0.0 <= kind < mix.without_qty:
            if half:
                del intent["maker_qty"]
            else:
                intent["maker_qty"] = 0.0
        return intent

    def _qty(self, price: float) -> float:
        rng, mix = self._rng, self._mix
        size, spread = rng.random(), rng.gauss(0.0, 0.7)
        if size < mix.too_large:
            usd = self._nav_usd * rng.uniform(0.2, 0.4)
        elif size < mix.too_large + mix.small:
            usd = rng.uniform(20.0, 95.0)
        else:
            usd = self._nav_usd * mix.usual_nav_share * math.exp(spread)
        return float(f"{usd / price:.4g}")
