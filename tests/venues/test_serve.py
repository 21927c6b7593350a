"""The paper venue as a process: it says where it listens, outlives whoever trades on it, and stops in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from engine.market import MarketShape, Quote, generated_feed
from engine.venues.errors import AddressError
from engine.venues.messages import Accepted, Fill, Place, Query
from engine.venues.remote import RemoteVenue, read_truth
from engine.venues.serve import ServeOptions, serve
from tests.venues.sockets import finish

ROOT = Path(__file__).resolve().parents[2]

VENUE = """
import sys
from pathlib import Path
from engine.market import MarketShape, generated_feed
from engine.venues.serve import ServeOptions, serve
from engine.venues.server import Pace
options = ServeOptions(
    as_json="--json" in sys.argv,
    exchange_info=Path(sys.argv[1]) if sys.argv[1:] and sys.argv[1] != "--json" else None,
    pace=Pace(idle_speed=100.0),
)
raise SystemExit(serve(generated_feed(MarketShape(duration_s=30)), options, lambda line: print(line, flush=True)))
"""

ROUTER = """
import asyncio, sys
from decimal import Decimal
from engine.venues.messages import Place
from engine.venues.remote import RemoteVenue

async def trade():
    venue = await RemoteVenue.connect("127.0.0.1", int(sys.argv[1]))
    venue.send(Place("victim-1", "BTCUSDT", "buy", Decimal("0.010"), "post_only", Decimal(50_000), False), 0)
    while True:
        await venue.wait(None)
        while venue.poll() is not None:
            pass
        for message in venue.receive(venue.now_ms()):
            print(message, flush=True)

asyncio.run(trade())
"""


@asynccontextmanager
async def python(script: str, *arguments: str) -> AsyncIterator[Process]:
    """A process that runs a script; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().rstrip("\n")


async def port_of(process: Process) -> int:
    """Where a venue listens, once it does."""
    line = await line_of(process)
    assert line.startswith("listening on 127.0.0.1:"), line
    return int(line.rpartition(":")[2])


async def stop(process: Process, by: signal.Signals) -> list[str]:
    """The lines that a process prints to its end, which comes in order and without complaint."""
    process.send_signal(by)
    out, err = await process.communicate()
    assert err == b""
    assert process.returncode == 0
    return out.decode().splitlines()


async def trade(port: int) -> None:
    """Buy something at the market, and leave an order behind."""
    venue = await RemoteVenue.connect("127.0.0.1", port)
    assert venue.name == "paper"
    assert list(venue.rules) == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "AKROUSDT"]
    assert all(len(history.bars) == 501 for history in venue.histories.values())
    assert venue.settings["queue"] == "pessimistic"
    async for event in venue.market():
        if isinstance(event, Quote) and event.symbol == "BTCUSDT":
            break
    venue.send(Place("a-1", "BTCUSDT", "buy", Decimal("0.010"), "market", None, False), 0)
    venue.send(Place("a-2", "BTCUSDT", "sell", Decimal("0.020"), "post_only", Decimal(90_000), False), 0)
    heard: list[object] = []
    while len(heard) < 3:
        await venue.wait(None)
        while venue.poll() is not None:
            pass
        heard.extend(venue.receive(venue.now_ms()))
    assert [type(message) for message in heard[:2]] == [Accepted, Fill]
    assert isinstance(heard[2], Accepted)
    assert heard[2].status == "open"
    await venue.close()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_venue_that_is_stopped_says_what_is_open(by: signal.Signals) -> None:
    async def work() -> None:
        async with python(VENUE) as process:
            port = await port_of(process)
            await trade(port)
            lines = await stop(process, by)
            assert lines[0] == "market: generated, seed 7, 4 symbols: BTCUSDT, ETHUSDT, SOLUSDT, AKROUSDT"
            assert lines[-3].startswith("stopped at 2024-01-01 00:0")
            assert lines[-3].endswith("1 open order, 1 position")
            assert lines[-2:] == ["  a-2: sell 0.020 BTCUSDT at 90000, 0.000 filled", "  BTCUSDT 0.010"]

    finish(work())


def test_in_json_every_line_is_a_value(tmp_path: Path) -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ]
    info = tmp_path / "exchangeInfo.json"
    info.write_text(json.dumps({"symbols": [{"symbol": "BTCUSDT", "filters": filters, "status": "TRADING"}]}))

    async def work() -> None:
        async with python(VENUE, str(info), "--json") as process:
            listening = json.loads(await line_of(process))["listening"]
            assert listening["host"] == "127.0.0.1"
            venue = await RemoteVenue.connect("127.0.0.1", listening["port"])
            assert venue.rules["BTCUSDT"].min_notional == 100
            assert venue.rules["ETHUSDT"].min_notional == 5, "assumed"
            await venue.close()
            await trade(listening["port"])
            (line,) = await stop(process, signal.SIGTERM)
            stopped = json.loads(line)["stopped"]
            assert stopped["positions"] == {"BTCUSDT": "0.010"}
            assert [order["client_id"] for order in stopped["open_orders"]] == ["a-2"]

    finish(work())


def test_a_router_that_is_killed_leaves_its_orders_and_the_venue_behind() -> None:
    async def work() -> None:
        async with python(VENUE) as process:
            port = await port_of(process)
            async with python(ROUTER, str(port)) as router:
                assert "status='open'" in await line_of(router)
                router.kill()
                await router.wait()
            truth = await read_truth("127.0.0.1", port)
            assert [(order.client_id, order.status) for order in truth.orders.values()] == [("victim-1", "open")]
            venue = await RemoteVenue.connect("127.0.0.1", port)
            assert venue.welcome.now_ms >= truth.now_ms
            venue.send(Query("victim-1", "BTCUSDT"), 0)
            while venue.next_ms() is None:
                await venue.wait(None)
                while venue.poll() is not None:
                    pass
            (answer,) = venue.receive(venue.now_ms())
            assert isinstance(answer, Accepted)
            assert answer.status == "open"
            await venue.close()
            await stop(process, signal.SIGTERM)

    finish(work())


def test_a_venue_goes_on_when_nobody_reads_its_lines() -> None:
    async def work() -> None:
        async with python(VENUE) as process:
            port = await port_of(process)
            assert process.stdout is not None
            process.stdout._transport.close()  # type: ignore[attr-defined] # there is no public way to hang up
            venue = await RemoteVenue.connect("127.0.0.1", port)
            async for _ in venue.market():
                pass
            await venue.close()
            assert (await read_truth("127.0.0.1", port)).orders == {}

    finish(work())


def test_an_address_where_nothing_can_listen_is_an_error_that_says_so() -> None:
    feed = generated_feed(MarketShape(duration_s=5))

    async def work() -> None:
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(AddressError, match=f"cannot listen on 127.0.0.1:{port}: address already in use") as caught:
            await asyncio.to_thread(serve, feed, ServeOptions(port=port), print)
        assert "0 for one that is free" in caught.value.help
        taken.close()

    finish(work())
