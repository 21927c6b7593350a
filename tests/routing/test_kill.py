"""A router that is killed loses nothing that was acknowledged, and sends nothing twice.

A paper venue runs as a process of its own. A router process works 2,000 intents there and is killed with SIGKILL at
random moments, each time started again on the same journal. In the end the journal and the venue are compared to the
last fill. Moments are not times but places in the journal (`killed`), and the market goes on only as far as the router
has taken it: so it does not matter how busy the machine is.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from engine.journal.events import Event, Heard, IntentReceived, OrderPlanned, Outcome, Routed, SessionStarted
from engine.journal.reader import read, verify
from engine.routing.account import Account
from engine.routing.evidence.files import LINE_FILES, ROUTE_DECISIONS, ROUTER_METRICS
from engine.venues.messages import Fill
from engine.venues.remote import Truth, read_truth
from tests.conftest import ROOT
from tests.routing.killed import MOMENTS

INTENTS = 2_000
MARKET_START_S = 1_704_067_200.0
EVERY_S = 0.1
COMMAND = (sys.executable, str(ROOT / "cli.py"))
FAULTS = (
    "place.timeout=0.02,place.unknown=0.02,cancel.timeout=0.02,query.timeout=0.02,"
    "fill.duplicate=0.05,fill.late=0.05,fill.lost=0.02"
)


@contextmanager
def paper_venue(log: Path) -> Iterator[int]:
    """A venue with faults, and its port."""
    command = [*COMMAND, "paper", "--generated", "--seed", "11", "--port", "0", "--faults", FAULTS]
    command += ["--idle-speed", "0.2"]  # of real time, while no router is there
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            assert line.startswith("listening on "), line
            yield int(line.rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def write_intents(path: Path) -> None:
    rng = Random(5)
    with path.open("w") as stream:
        for number in range(INTENTS):
            side = rng.choice(("buy", "sell"))
            line = {
                "intent_id": f"k-{number:05}",
                "symbol": rng.choice(("BTCUSDT", "ETHUSDT")),
                "ts": MARKET_START_S + 20 + number * EVERY_S,
                "side": side,
                "qty": round(rng.uniform(0.005, 0.05), 3),
                "order_type": "market",
                "maker_requested": True,
                "maker_price": 1e6 if side == "buy" else 0.1,
                "reduce_only": False,
                "expires_s": rng.choice((5, 60, None)),
            }
            line["maker_qty"] = line["qty"]
            stream.write(json.dumps(line) + "\n")


class Router:
    """Router processes, one after the other, on one journal."""

    def __init__(self, port: int, intents: Path, logs: Path) -> None:
        self.logs = logs
        self._arguments = ["run", "-p", "testnet", "--venue", f"127.0.0.1:{port}", "--intents", str(intents)]
        self._arguments += ["--logs", str(logs), "--telemetry", "generated", "--end-with-intents", "--nav", "10000000"]

    def run_until(self, moment: str, written: int) -> None:
        """Run one that is killed once it has written so many bytes, and a moment has come."""
        killed = [sys.executable, "-m", "tests.routing.killed", moment, str(written), *self._arguments]
        code, errors = self._finish(killed)
        assert code == -signal.SIGKILL, f"it ended before it was killed: {errors}"

    def run(self) -> None:
        """Run one to its end."""
        code, errors = self._finish([*COMMAND, *self._arguments])
        assert code == 0, errors

    def _finish(self, command: Sequence[str]) -> tuple[int, str]:
        """The return code, and what was said of errors."""
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=240, check=False)
        return ended.returncode, ended.stderr.decode()


def compare(events: Sequence[Event], truth: Truth) -> None:
    """Journal and venue, to the last fill."""
    planned = {event.client_id: event for event in events if isinstance(event, OrderPlanned)}
    assert len(planned) == sum(isinstance(event, OrderPlanned) for event in events), "an id was used twice"
    assert truth.twice == ()
    assert set(truth.orders) <= set(planned), "the venue has an order that the journal does not know"

    heard: dict[str, dict[str, Fill]] = defaultdict(dict)
    for event in events:
        if isinstance(event, Heard) and isinstance(event.message, Fill) and not event.again:
            fills = heard[event.message.client_id]
            assert event.message.trade_id not in fills, "a fill counts twice"
            fills[event.message.trade_id] = event.message
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for client_id, order in truth.orders.items():
        assert order.status != "open", "an order was left behind"
        assert set(heard[client_id]) == {fill.trade_id for fill in order.fills}
        executed[planned[client_id].intent_id] += order.filled

    received = [event.intent_id for event in events if isinstance(event, IntentReceived)]
    assert len(received) == len(set(received)) == INTENTS
    outcomes = [event for event in events if isinstance(event, Outcome)]
    assert sorted(outcome.intent_id for outcome in outcomes) == sorted(received)
    for outcome in outcomes:
        assert outcome.filled == executed[outcome.intent_id] <= outcome.target

    account = Account(1.0)
    for event in events:
        account.see(event)
    assert {symbol: qty for symbol, qty in account.positions.items() if qty} == truth.positions


def compare_files(events: Sequence[Event], logs: Path) -> None:
    """The views under logs/ lack nothing, whenever the router was killed."""
    seqs = {path: [json.loads(line)["seq"] for line in (logs / path).read_bytes().splitlines()] for path in LINE_FILES}
    assert seqs[ROUTE_DECISIONS] == [event.seq for event in events if isinstance(event, Routed)]
    assert seqs[ROUTER_METRICS] == [event.seq for event in events if isinstance(event, Outcome)]


def kill_and_compare(folder: Path, kills: int, bytes_between: int) -> None:
    rng = Random(kills)
    intents = folder / "intents.jsonl"
    write_intents(intents)
    with paper_venue(folder / "venue.log") as port:
        router = Router(port, intents, folder / "logs")
        for _ in range(kills):
            router.run_until(rng.choice(MOMENTS), rng.randrange(1, bytes_between))
        router.run()
        truth = asyncio.run(read_truth("127.0.0.1", port))
    journal = router.logs / "journal"
    events = list(read(journal))
    assert verify(journal) == []
    assert sum(isinstance(event, SessionStarted) for event in events) > kills / 2
    compare(events, truth)
    compare_files(events, router.logs)
    routes = Counter(event.route for event in events if isinstance(event, Outcome))
    assert routes["maker"] >= INTENTS / 20
    assert routes["taker"] >= INTENTS / 20


def test_ten_kills(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, 10, 1_500_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_kills(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, 200, 120_000)
