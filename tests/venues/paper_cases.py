"""Reads the acceptance cases of the paper venue, and plays them.

A case in `paper_cases.yaml` has a `name`, what stands before it (`settings`, `positions`), what happens (`given`), and
what is to be heard (`heard`), each a text of one line an event, which begins with its millisecond:

    0  quote 100.0 x 5, 100.1 x 7      bid x quantity, ask x quantity
    0  trade 100.0 x 2 sold            or `bought`, or `unclear` where the recording does not say
    5  place a buy 3 post_only 100.0   client id, side, quantity, kind, limit (`-` for none), and `reduce_only`
    9  cancel a
    9  query a

    35 accepted place a open 0         asked, client id, status, cumulative quantity
    35 rejected place a -5022          asked, client id, code, and `retry 5000` where a wait is asked for
    35 unknown place a
    35 fill a 3 @ 100.0 maker 0.06     quantity, price, role, fee
    35 update a filled 3

`heard_optimistic` is what is heard with the optimistic bound, where the case is to be played with both. `orders` is
what the venue then has, one line an order: `a filled 3 of 3`. `holds` is the position after all.

The symbol is AB: tick 0.1, step 1, 1 to 1,000, at least 50 of notional. The way to the venue takes 10 ms, the way back
20 ms, the fees are 2 and 5 bps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from engine.market import Quote, Trade
from engine.venues.messages import Accepted, Cancel, Fill, Message, Place, Query, Rejected, Request, Unknown, Update
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.rules import SymbolRules
from engine.venues.wire import TrueOrder

RULES = SymbolRules("AB", Decimal("0.1"), Decimal(1), Decimal(1), Decimal(1000), Decimal(50))
DEFAULTS = {"uplink_ms": 10, "downlink_ms": 20}

_FIELDS = {"name", "settings", "positions", "given", "heard", "heard_optimistic", "orders", "holds"}
_SOLD = {"sold": True, "bought": False, "unclear": None}


@dataclass(frozen=True)
class Case:
    """One case with one bound."""

    name: str
    settings: PaperSettings
    positions: Mapping[str, Decimal]
    given: Sequence[str]
    heard: Sequence[str]
    orders: Sequence[str] | None
    holds: Decimal | None


@cache
def cases() -> list[Case]:
    """The cases of the file, those with both bounds twice."""
    documents = yaml.safe_load((Path(__file__).parent / "paper_cases.yaml").read_text())
    return [case for document in documents for case in _cases(document)]


def _cases(document: dict[str, Any]) -> Iterator[Case]:
    unknown = set(document) - _FIELDS
    if unknown:
        raise ValueError(f"{document.get('name')}: unknown fields {unknown}")
    for queue, field in (("pessimistic", "heard"), ("optimistic", "heard_optimistic")):
        if field in document:
            settings = {"queue": queue, **DEFAULTS, **document.get("settings", {})}
            yield Case(
                name=f"{document['name']} ({settings['queue']})",
                settings=msgspec.convert(settings, PaperSettings),
                positions={"AB": Decimal(document.get("positions", 0))},
                given=_lines(document["given"]),
                heard=_lines(document[field]),
                orders=_lines(document["orders"]) if "orders" in document else None,
                holds=Decimal(document["holds"]) if "holds" in document else None,
            )


def _lines(text: str | None) -> list[str]:
    return [" ".join(line.split()) for line in (text or "").splitlines() if line.strip()]


def play(case: Case) -> tuple[list[str], PaperVenue]:
    """What is heard in a case, and the venue after it."""
    venue = PaperVenue({"AB": RULES}, case.settings, case.positions)
    heard: list[str] = []
    for line in case.given:
        at_ms, _, rest = line.partition(" ")
        heard += _listen(venue, int(at_ms))
        _do(venue, int(at_ms), rest)
    heard += _listen(venue, None)
    return heard, venue


def _listen(venue: PaperVenue, until_ms: int | None) -> Iterator[str]:
    """What arrives before a moment, or ever, each with the time it was handed out at."""
    while (due_ms := venue.next_ms()) is not None and (until_ms is None or due_ms < until_ms):
        yield from (f"{due_ms} {_text(message)}" for message in venue.receive(due_ms))


def _do(venue: PaperVenue, at_ms: int, text: str) -> None:
    match text.split():
        case ["quote", bid, "x", bid_qty, ask, "x", ask_qty]:
            venue.see(Quote("AB", at_ms, float(bid), float(ask), float(bid_qty.rstrip(",")), float(ask_qty)))
        case ["trade", price, "x", qty, aggressor]:
            venue.see(Trade("AB", at_ms, float(price), float(qty), _SOLD[aggressor]))
        case words:
            venue.send(_request(words), at_ms)


def _request(words: Sequence[str]) -> Request:
    match words:
        case ["place", client_id, "buy" | "sell" as side, qty, "post_only" | "ioc" | "market" as kind, limit, *flags]:
            price = None if limit == "-" else Decimal(limit)
            return Place(client_id, "AB", side, Decimal(qty), kind, price, "reduce_only" in flags)
        case ["cancel", client_id]:
            return Cancel(client_id, "AB")
        case ["query", client_id]:
            return Query(client_id, "AB")
        case _:
            raise ValueError(f"not understood: {' '.join(words)}")


def _text(message: Message) -> str:
    match message:
        case Accepted():
            return f"accepted {message.asked} {message.client_id} {message.status} {message.filled}"
        case Rejected():
            wait = f" retry {message.retry_after_ms}" if message.retry_after_ms else ""
            return f"rejected {message.asked} {message.client_id} {message.code}{wait}"
        case Unknown():
            return f"unknown {message.asked} {message.client_id}"
        case Fill():
            role = "maker" if message.is_maker else "taker"
            fee = message.fee.normalize()
            return f"fill {message.client_id} {message.qty} @ {message.price} {role} {fee:f}"
        case Update():
            return f"update {message.client_id} {message.status} {message.filled}"


def text_of(order: TrueOrder) -> str:
    """An order as a line of `orders`."""
    return f"{order.client_id} {order.status} {order.filled} of {order.qty}"
