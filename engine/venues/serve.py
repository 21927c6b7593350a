"""The paper venue as a command: opens it on a socket, and runs it until it is told to stop.

In: a market and the options. Out: lines for people, or JSON, and an exit code. The first line is
`listening on 127.0.0.1:PORT`, for scripts that wait for it. SIGINT and SIGTERM stop the venue in order, and what is
open then is printed.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.market import Feed
from engine.printing import counted
from engine.venues.errors import AddressError, reason_of
from engine.venues.exchange_info import market_rules, read_exchange_info
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.server import Offer, Pace, PaperServer
from engine.venues.wire import BarsOf, TrueOrder

FINE, FOUND = 0, 1


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What can be chosen; the defaults are those of `sluice paper`."""

    host: str = "127.0.0.1"
    """Only programs on this machine reach the default."""
    port: int = 0
    """0 takes one that is free."""
    pace: Pace = field(default_factory=Pace)
    venue: PaperSettings = field(default_factory=PaperSettings)
    exchange_info: Path | None = None
    """Binance's exchangeInfo, for the rules of symbols; without it they are assumed from the market."""
    as_json: bool = False


def serve(
    feed: Feed,
    options: ServeOptions,
    say: Callable[[str], object],
    *,
    bars_of: Mapping[str, BarsOf] | None = None,
    notes: Sequence[str] | None = None,
) -> int:
    """Run a paper venue until a signal stops it, and return the exit code: 1 where the market broke off.

    `say` prints a line at once; `bars_of` is `prints` for a symbol left out; `notes` on the market are those of the
    feed unless given. Raises `AddressError` where nothing can listen at the address, `MarketError` for an exchangeInfo
    that cannot be used and a market whose first event cannot be read.
    """
    told = feed.notes if notes is None else notes
    return asyncio.run(_serve(feed, options, bars_of or {}, told, _lasting(say)))


async def _serve(
    feed: Feed,
    options: ServeOptions,
    bars_of: Mapping[str, BarsOf],
    notes: Sequence[str],
    say: Callable[[str], object],
) -> int:
    known = read_exchange_info(options.exchange_info) if options.exchange_info is not None else {}
    found = market_rules(feed.symbols, feed, known)
    venue = PaperVenue(found.rules, options.venue)
    offer = Offer(
        symbols=list(found.rules.values()),
        market=feed.source,
        settings={**msgspec.to_builtins(options.venue), "pace": asdict(options.pace)},
        warm_up={symbol: warm_up.bars for symbol, warm_up in feed.warm_up.items()},
        bars_of=bars_of,
    )

    def tell(text: str) -> None:
        if not options.as_json:
            say(text)

    def on_end(reason: str) -> None:
        tell(f"the market is over at {_utc(server.now_ms)}: {reason}; requests are still answered")

    server = PaperServer(venue, feed, options.pace, offer, on_end=on_end)
    try:
        port = await server.start(options.host, options.port)
    except OSError as error:
        raise AddressError(
            f"cannot listen on {options.host}:{options.port}: {reason_of(error)}",
            "choose another port, 0 for one that is free, or an address of this machine",
        ) from None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    say(_listening(options, port))
    tell(f"market: {feed.source}, {counted(len(found.rules), 'symbol')}: {', '.join(found.rules)}")
    for note in (*notes, *found.notes):
        tell(note)
    await server.run()
    say(_stopped(options, server.now_ms, venue))
    return FINE if server.failure is None else FOUND


def _lasting(say: Callable[[str], object]) -> Callable[[str], object]:
    """The same, but a venue goes on when whoever read its lines has gone."""

    def lasting(text: str) -> None:
        with suppress(OSError):
            say(text)

    return lasting


def _listening(options: ServeOptions, port: int) -> str:
    if options.as_json:
        return json.dumps({"listening": {"host": options.host, "port": port}})
    return f"listening on {options.host}:{port}"


def _stopped(options: ServeOptions, now_ms: int, venue: PaperVenue) -> str:
    """What is open, as text of several lines or as JSON on one."""
    orders, positions = venue.open_orders(), venue.positions()
    if options.as_json:
        stopped: dict[str, Any] = {"now_ms": now_ms, "open_orders": orders, "positions": positions}
        return msgspec.json.encode({"stopped": stopped}).decode()
    return "\n".join(
        [
            f"stopped at {_utc(now_ms)}: {counted(len(orders), 'open order')}, {counted(len(positions), 'position')}",
            *(f"  {_order_line(order)}" for order in orders),
            *(f"  {symbol} {qty:f}" for symbol, qty in positions.items()),
        ]
    )


def _order_line(order: TrueOrder) -> str:
    price = "" if order.price is None else f" at {order.price:f}"
    return f"{order.client_id}: {order.side} {order.qty:f} {order.symbol}{price}, {order.filled:f} filled"


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
