"""What a venue accepts of a symbol (tick, step, least notional), and rounding to it.

In: doubles, as decisions give them. Out: `Decimal`s that a venue takes: quantities are rounded down, and prices away
from the market (a resting buy down, a resting sell up), so that rounding never costs and never crosses.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from engine.venues.messages import Side


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """The rules of one symbol."""

    symbol: str
    tick: Decimal
    """Prices are multiples of it."""
    step: Decimal
    """Quantities are multiples of it."""
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal
    """Least price × quantity, in the quote asset; orders that only reduce a position are exempt."""

    def round_qty(self, qty: float | Decimal) -> Decimal:
        """Down to the step; 0 where not even one step is left."""
        return _multiple(_decimal(qty), self.step, ROUND_FLOOR)

    def round_price(self, side: Side, price: float | Decimal) -> Decimal:
        """Away from the market: a buy down, a sell up. A crossing order's limit is then no worse than it was."""
        return _multiple(_decimal(price), self.tick, ROUND_FLOOR if side == "buy" else ROUND_CEILING)


def _decimal(number: float | Decimal) -> Decimal:
    """A double as the shortest decimal that reads back as it: 0.1 is 0.1, and not 0.1000000000000000055."""
    return number if isinstance(number, Decimal) else Decimal(repr(number))


def _multiple(number: Decimal, of: Decimal, rounding: str) -> Decimal:
    return (number / of).to_integral_value(rounding=rounding) * of
