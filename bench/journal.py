"""What a journal costs: adding an event, committing groups under each fsync policy, and reading it all again.

The events are those of one maker intent, from its arrival to its outcome, over and over: seven lines of which one is a
decision with its record, 420 bytes each on average. Adding and reading are timed by the processor time of this process;
commits by the clock on the wall, since fsync waits for a disk: theirs is the one under the folder for temporary files
(TMPDIR). A rate is the median of the rounds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from bench._measure import Reach, Report, run
from engine.journal import ALWAYS, NEVER, FsyncPolicy, Journal, read
from engine.journal.events import Decided, Event, Heard, IntentReceived, OrderPlanned, Outcome, Routed
from engine.venues.messages import Accepted, Fill

POLICIES = (ALWAYS, FsyncPolicy(10), NEVER)
GROUPS = (1, 10, 100)

_ROUNDS = 5
_START_MS = 1_723_161_240_000
_QTY, _PRICE = Decimal("0.010"), Decimal("60000.10")
_RECORD = msgspec.Raw(
    json.dumps({"decision_id": "47c8bf0e504baf51fe723f45", "policy": "routing", "fired": ["quality.ok"] * 70}).encode()
)


def events_of_an_intent(number: int) -> list[Event]:
    """The seven lines of a maker intent that is filled at once; a millisecond of the market each."""
    ts_ms, intent_id = _START_MS + number, f"entry-{number}"
    client_id = f"{intent_id}-1"
    fill = Fill(ts_ms, client_id, f"t-{number}", "BTCUSDT", "buy", _QTY, _PRICE, Decimal("0.12"), is_maker=True)
    return [
        IntentReceived(
            ts_ms=ts_ms, intent_id=intent_id, symbol="BTCUSDT", intent={"side": "buy", "qty": 0.01}, bid=6e4, ask=6e4
        ),
        Decided(ts_ms=ts_ms, intent_id=intent_id, policy="routing", record=_RECORD),
        Routed(
            ts_ms=ts_ms,
            intent_id=intent_id,
            symbol="BTCUSDT",
            side="buy",
            route="maker",
            reason="maker: no veto",
            vetoes=[],
            decision_id="47c8bf0e504baf51fe723f45",
            target=_QTY,
            is_exit=False,
            offset_bps=2.0,
        ),
        OrderPlanned(
            ts_ms=ts_ms,
            intent_id=intent_id,
            client_id=client_id,
            leg=1,
            role="maker",
            symbol="BTCUSDT",
            side="buy",
            qty=_QTY,
            kind="post_only",
            price=_PRICE,
            reduce_only=False,
            mid=60000.15,
        ),
        Heard(ts_ms=ts_ms, message=Accepted(ts_ms, client_id, "place", "open", Decimal(0)), state="resting"),
        Heard(ts_ms=ts_ms, message=fill, state="filled"),
        Outcome(
            ts_ms=ts_ms,
            intent_id=intent_id,
            symbol="BTCUSDT",
            side="buy",
            is_exit=False,
            route="maker",
            result="filled",
            reason="filled",
            target=_QTY,
            filled=_QTY,
            maker_filled=_QTY,
            cost_usd=600.001,
            fees_usd=0.12,
            arrival_ms=ts_ms,
            arrival_mid=60000.15,
            sent_ms=ts_ms,
            sent_mid=60000.15,
            end_mid=60000.15,
        ),
    ]


def commits_per_second(folder: Path, policy: FsyncPolicy, group: int, events: list[Event]) -> float:
    """Events a second on the wall, added one by one and committed in groups of this size, to the end of the last."""
    with Journal(folder, fsync=policy) as journal:
        start = time.perf_counter()
        for first in range(0, len(events), group):
            for event in events[first : first + group]:
                journal.add(event)
            journal.commit()
        return len(events) / (time.perf_counter() - start)


def measure(intents: int = 4000, rounds: int = _ROUNDS) -> Report:
    """Add, commit and read, in folders of their own."""
    report = Report("journal")
    events = [event for number in range(intents) for event in events_of_an_intent(number)]
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        adding = [_adding(home / f"add-{number}", events) for number in range(rounds)]
        report.add("add an event", statistics.median(adding) / len(events) * 1e6, "us", Reach("<=", 1.5))
        for policy in POLICIES:
            for group in GROUPS:
                some = events if policy != ALWAYS else events[: len(events) * group // 200]
                rates = [
                    commits_per_second(home / f"{policy}-{group}-{number}", policy, group, some)
                    for number in range(rounds)
                ]
                report.add(f"fsync {policy}, groups of {group}", statistics.median(rates), "events/s")
        full = home / f"{NEVER}-100-0"
        cases: list[tuple[str, list[type[Event]] | None, Reach | None]] = [
            ("read all", None, None),
            ("read, heard alone", [Heard], Reach(">=", 300_000)),
            ("read, outcomes alone", [Outcome], Reach(">=", 300_000)),
        ]
        for name, types, reach in cases:
            taken = [_seconds(lambda types=types: _read(full, types)) for _ in range(rounds)]  # type: ignore[misc] # a default binds it
            report.add(name, len(events) / statistics.median(taken), "lines/s", reach)
        size = sum(path.stat().st_size for path in full.glob("*.jsonl")) / len(events)
    report.note(f"{size:.0f} bytes a line; disk: the one under {tempfile.gettempdir()}")
    return report


def _adding(folder: Path, events: list[Event]) -> float:
    """Seconds that adding takes, in groups of ten whose commits are not counted."""
    taken = 0.0
    with Journal(folder, fsync=NEVER) as journal:
        for first in range(0, len(events), 10):
            some = events[first : first + 10]
            start = time.process_time()
            for event in some:
                journal.add(event)
            taken += time.process_time() - start
            journal.commit()
    return taken


def _read(folder: Path, types: list[type[Event]] | None) -> None:
    for _ in read(folder, types=types):
        pass


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
