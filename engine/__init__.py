"""Sluice: for every order, maker or taker, at which offset, and why.

>>> from engine import load
>>> book = load("prod")
>>> decision = book.decide("routing", {"now": 1700000000.0, "symbol": "BTCUSDT"})
>>> decision.route
'taker'
"""

from engine.backends.decision import Decision
from engine.backends.facts import FactsError
from engine.book import Book, load
from engine.language.evaluate import Missing
from engine.language.findings import Finding, LoadError, Related, Severity, SluiceError, Span
from engine.language.rulebook import Rulebook

__all__ = [
    "Book",
    "Decision",
    "FactsError",
    "Finding",
    "LoadError",
    "Missing",
    "Related",
    "Rulebook",
    "Severity",
    "SluiceError",
    "Span",
    "load",
]
