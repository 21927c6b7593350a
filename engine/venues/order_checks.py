"""What a venue refuses before it looks at its book: an order that does not keep to the rules of its symbol.

In: an order and the rules of its symbol. Out: the refusal with Binance's code and text, or None. Source: the error
codes of Binance's USD-M futures documentation, and the recorded error answers for -4003, -4164 and their texts.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from engine.venues.messages import Place
from engine.venues.rules import SymbolRules


class Refusal(NamedTuple):
    """A venue's code and text."""

    code: int
    text: str


UNKNOWN_SYMBOL = Refusal(-1121, "Invalid symbol.")
DUPLICATE_ID = Refusal(-4116, "clientOrderId is duplicated.")
UNKNOWN_ON_CANCEL = Refusal(-2011, "Unknown order sent.")
UNKNOWN_ON_QUERY = Refusal(-2013, "Order does not exist.")
WOULD_TAKE = Refusal(
    -5022,
    "Due to the order could not be executed as maker, the Post Only order will be rejected."
    " The order will not be recorded in the order history",
)
NOTHING_TO_REDUCE = Refusal(-2022, "ReduceOnly Order is rejected.")
REDUCED_ALREADY = Refusal(-4118, "ReduceOnly Order Failed. Please check your existing position and open orders.")
"""Binance counts open reduce-only orders against the position (xLydianSoftware/Qubx issue 386)."""

_BAD_ID = Refusal(-4015, "Client order id is not valid.")
_BAD_NUMBER = Refusal(-1100, "Illegal characters found in a parameter.")
_NO_QTY = Refusal(-4003, "Quantity less than or equal to zero.")
_BAD_STEP = Refusal(-1111, "Precision is over the maximum defined for this asset.")
_QTY_TOO_SMALL = Refusal(-4004, "Quantity less than min quantity.")
_QTY_TOO_LARGE = Refusal(-4005, "Quantity greater than max quantity.")
_NO_PRICE = Refusal(-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed.")
_NEEDLESS_PRICE = Refusal(-1106, "Parameter 'price' sent when not required.")
_PRICE_TOO_SMALL = Refusal(-4001, "Price less than 0.")
_BAD_TICK = Refusal(-4014, "Price not increased by tick size.")

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")

_LARGEST = Decimal("1e18")
"""Above it nothing is traded; a division by a tick then stays within 28 digits."""


def violation(order: Place, rules: SymbolRules, touch: float) -> Refusal | None:
    """What the rules have against an order; `touch` values one at the market, 0 where there is no book."""
    if not _CLIENT_ID.fullmatch(order.client_id):
        return _BAD_ID
    return _of_qty(order.qty, rules) or _of_price(order, rules) or _of_notional(order, rules, touch)


def _of_qty(qty: Decimal, rules: SymbolRules) -> Refusal | None:
    if not qty.is_finite():
        return _BAD_NUMBER
    if qty <= 0:
        return _NO_QTY
    if qty > rules.max_qty or qty > _LARGEST:
        return _QTY_TOO_LARGE
    if qty % rules.step:
        return _BAD_STEP
    return _QTY_TOO_SMALL if qty < rules.min_qty else None


def _of_price(order: Place, rules: SymbolRules) -> Refusal | None:
    price = order.price
    if order.kind == "market":
        return None if price is None else _NEEDLESS_PRICE
    if price is None:
        return _NO_PRICE
    if not price.is_finite() or price > _LARGEST:
        return _BAD_NUMBER
    if price <= 0:
        return _PRICE_TOO_SMALL
    return _BAD_TICK if price % rules.tick else None


def _of_notional(order: Place, rules: SymbolRules, touch: float) -> Refusal | None:
    if order.reduce_only:
        return None
    price = order.price if order.price is not None else Decimal(repr(touch))
    if price == 0 or price * order.qty >= rules.min_notional:
        return None
    return Refusal(
        -4164, f"Order's notional must be no smaller than {rules.min_notional:f} (unless you choose reduce only)."
    )
