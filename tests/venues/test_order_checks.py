"""What is refused before the book is looked at, and with which code."""

from decimal import Decimal

import pytest

from engine.venues.codes import refusal_of
from engine.venues.messages import Kind, Place, Rejected
from engine.venues.order_checks import violation
from engine.venues.rules import SymbolRules

RULES = SymbolRules("AB", Decimal("0.10"), Decimal("0.001"), Decimal("0.002"), Decimal(100), Decimal(5))

FITTING = [
    ("post_only", "0.100", "100.1"),
    ("ioc", "0.1", "100"),
    ("ioc", "100", "1E+2"),
    ("market", "0.100", None),
    ("post_only", "0.05", "100"),  # exactly the least notional
]

VIOLATIONS = [
    ("post_only", "0", "100.0", -4003),
    ("post_only", "-1", "100.0", -4003),
    ("post_only", "NaN", "100.0", -1100),
    ("post_only", "sNaN", "100.0", -1100),
    ("post_only", "Infinity", "100.0", -1100),
    ("post_only", "0.1001", "100.0", -1111),
    ("post_only", "0.001", "100000.0", -4004),
    ("post_only", "100.001", "100.0", -4005),
    ("post_only", "1e30", "100.0", -4005),
    ("post_only", "1", None, -1102),
    ("ioc", "1", None, -1102),
    ("market", "1", "100.0", -1106),
    ("post_only", "1", "0", -4001),
    ("post_only", "1", "-0.1", -4001),
    ("post_only", "1", "NaN", -1100),
    ("post_only", "1", "1e30", -1100),
    ("post_only", "1", "100.05", -4014),
    ("ioc", "1", "100.000000000000000000000000000001", -4014),
    ("ioc", "0.049", "100.0", -4164),
    ("market", "0.049", None, -4164),
]


def order(kind: Kind, qty: str, price: str | None, *, client_id: str = "a", reduce_only: bool = False) -> Place:
    limit = None if price is None else Decimal(price)
    return Place(client_id, "AB", "buy", Decimal(qty), kind, limit, reduce_only)


@pytest.mark.parametrize(("kind", "qty", "price"), FITTING)
def test_an_order_that_keeps_to_the_rules_passes(kind: Kind, qty: str, price: str | None) -> None:
    assert violation(order(kind, qty, price), RULES, touch=100.0) is None


@pytest.mark.parametrize(("kind", "qty", "price", "code"), VIOLATIONS)
def test_an_order_that_does_not_is_refused_with_the_venues_code(
    kind: Kind, qty: str, price: str | None, code: int
) -> None:
    refusal = violation(order(kind, qty, price), RULES, touch=100.0)
    assert refusal is not None
    assert refusal.code == code
    assert refusal_of(Rejected(0, "a", "place", *refusal)) == "refused"


@pytest.mark.parametrize("client_id", ["", "a" * 37, "a b", "é", "a\n"])
def test_a_client_order_id_has_36_characters_of_a_few_kinds(client_id: str) -> None:
    refusal = violation(order("ioc", "1", "100.0", client_id=client_id), RULES, touch=100.0)
    assert refusal is not None
    assert refusal.code == -4015
    assert violation(order("ioc", "1", "100.0", client_id=".A-Z:/a-z0-9_-"), RULES, touch=100.0) is None


def test_an_order_that_only_reduces_needs_no_notional() -> None:
    assert violation(order("ioc", "0.002", "0.1", reduce_only=True), RULES, touch=100.0) is None


def test_without_a_book_an_order_at_the_market_has_no_notional_to_check() -> None:
    assert violation(order("market", "0.002", None), RULES, touch=0.0) is None


def test_the_refusal_names_the_least_notional() -> None:
    refusal = violation(order("ioc", "0.002", "100.0"), RULES, touch=100.0)
    assert refusal is not None
    assert refusal.text == "Order's notional must be no smaller than 5 (unless you choose reduce only)."
