"""From a market to decisions: facts per symbol, the chain of policies, and sessions over recorded or generated input.

`Session(book, open_market(shape), shape)` is a run; iterate it for one `Step` an intent. `SymbolFacts` and `Chain` are
its two halves, what is known and what is decided on it; neither knows what a rule means.
"""

from engine.routing.chain import Chain, Routed
from engine.routing.facts import SymbolFacts
from engine.routing.session import Session, Step
from engine.routing.shape import SessionShape
from engine.routing.source import MarketSource, open_market
from engine.routing.tally import Tally
from engine.routing.watch import Report, watch

__all__ = [
    "Chain",
    "MarketSource",
    "Report",
    "Routed",
    "Session",
    "SessionShape",
    "Step",
    "SymbolFacts",
    "Tally",
    "open_market",
    "watch",
]
