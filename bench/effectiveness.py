"""How long telemetry takes to rebuild from a journal, how much memory it holds, and what an outcome and a look cost.

A journal of 7 days is written, with a million maker attempts of 500 symbols in it and nothing else, and read in a fresh
process, as by a router that starts. None is timed before every one of them was seen to count.

- `rebuild`: reading the journal's files into the view.
- `first look`: the facts of every symbol after it, once; from then on they are kept up to date.
- `memory`: the most that the process held resident, interpreter and all.
- `update`: an outcome taken in, and the facts of its symbol after it. Outcomes come as fast as before, so that for each
  of them an old one leaves the window.
- `update of one symbol`: the same where all of the outcomes are of one symbol.
- `look`: the facts of a symbol to which nothing has happened since the last look.

The clock is the processor time of the process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random

from bench._measure import Reach, Report, run
from engine.journal.events import Event, Outcome
from engine.journal.reader import read
from engine.journal.writer import NEVER, Journal
from engine.routing.effectiveness import WINDOW_S, Effectiveness

COUNT = 1_000_000
SYMBOLS = 500
_UPDATES = 20_000
_LOOKS = 100_000
_START_MS = 1_722_556_800_000  # 2024-08-02 00:00 UTC
_MID = 100.0
_COMMIT_EVERY = 1000

_CHILD = "import sys; from bench.effectiveness import figures; print(figures(sys.argv[1], *map(int, sys.argv[2:])))"


def outcomes(count: int, symbols: int) -> Iterator[Outcome]:
    """Maker attempts without end, `count` of them a window."""
    rng = Random(0)
    number = 0
    while True:
        qty = Decimal(rng.randrange(1, 100_000)).scaleb(-3)
        rested = qty if rng.random() < 0.6 else (qty * rng.randrange(10)).scaleb(-1)
        rejects = int(rng.random() < 0.05)
        ts_ms = _START_MS + number * WINDOW_S * 1000 // count
        yield Outcome(
            ts_ms=ts_ms,
            intent_id=f"S{number}",
            symbol=f"S{rng.randrange(symbols)}USDT",
            side=rng.choice(("buy", "sell")),
            is_exit=False,
            route="maker",
            result="filled",
            reason="filled",
            target=qty,
            filled=qty,
            maker_filled=rested,
            cost_usd=float(qty) * _MID * (1 + rng.gauss(0.5, 3) / 10_000),
            fees_usd=0.1,
            arrival_ms=ts_ms - 2000,
            arrival_mid=_MID,
            sent_ms=ts_ms - 2000,
            sent_mid=_MID,
            end_mid=_MID,
            attempted=qty,
            fallback=rested < qty,
            submissions=1 + rejects,
            post_only_rejects=rejects,
            ack_ms=[rng.randrange(20, 900) for _ in range(1 + rejects)],
        )
        number += 1


def write(folder: Path, count: int, symbols: int) -> int:
    """Write a window of outcomes as a router does. Out: bytes."""
    with Journal(folder, fsync=NEVER) as journal:
        for number, outcome in enumerate(islice(outcomes(count, symbols), count)):
            journal.add(outcome)
            if number % _COMMIT_EVERY == 0:
                journal.commit()
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


class Uncounted(Exception):  # noqa: N818 - it says what it is
    """Not every outcome counts, so the times mean nothing."""


def figures(folder: str, count: int, symbols: int) -> str:
    """Rebuild, look and update in this process. Out: the figures as JSON."""
    taken: dict[str, float] = {}
    view, taken["rebuild"] = _folded(read(Path(folder)))
    now_ms = _START_MS + WINDOW_S * 1000 - 1
    began = time.process_time()
    counted = sum(view.facts(symbol, now_ms)["sample_count"] for symbol in view.symbols)
    taken["first look"] = time.process_time() - began
    if counted != count or len(view.symbols) != symbols:
        raise Uncounted(f"{counted:g} outcomes of {len(view.symbols)} symbols count, of {count} and {symbols}")
    # Linux gives kilobytes.
    taken["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fresh = list(islice(outcomes(count, symbols), count, count + min(count, _UPDATES)))
    taken["update"] = _update(view, fresh)
    taken["look"] = _look(view, fresh[-1])
    return json.dumps(taken)


def update_of_one_symbol(count: int) -> float:
    """Microseconds for an outcome of a symbol that has all of the others."""
    source = outcomes(count, 1)
    view, _ = _folded(islice(source, count))
    view.facts(view.symbols[0], _START_MS + WINDOW_S * 1000 - 1)
    return _update(view, list(islice(source, min(count, _UPDATES))))


def _folded(events: Iterable[Event]) -> tuple[Effectiveness, float]:
    view = Effectiveness()
    began = time.process_time()
    for event in events:
        view.see(event)
    return view, time.process_time() - began


def _update(view: Effectiveness, fresh: Sequence[Outcome]) -> float:
    """Microseconds an outcome."""
    began = time.process_time()
    for outcome in fresh:
        view.see(outcome)
        view.facts(outcome.symbol, outcome.ts_ms)
    return (time.process_time() - began) / len(fresh) * 1e6


def _look(view: Effectiveness, last: Outcome) -> float:
    """Microseconds a look at the symbol of the last outcome, at its moment."""
    began = time.process_time()
    for _ in range(_LOOKS):
        view.facts(last.symbol, last.ts_ms)
    return (time.process_time() - began) / _LOOKS * 1e6


def measure(count: int = COUNT, symbols: int = SYMBOLS) -> Report:
    """Write a journal, then rebuild from it in a fresh process."""
    report = Report("effectiveness")
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder), count, symbols)
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", _CHILD, folder, str(count), str(symbols)], check=True, capture_output=True, text=True
        )
    taken = json.loads(done.stdout)
    report.add("rebuild", taken["rebuild"], "s", Reach("<=", 30))
    report.add("first look", taken["first look"], "s")
    report.add("memory", taken["memory"], "MiB", Reach("<=", 1024))
    report.add("update", taken["update"], "us", Reach("<=", 50))
    report.add("update of one symbol", update_of_one_symbol(count), "us", Reach("<=", 50))
    report.add("look", taken["look"], "us", Reach("<=", 1))
    report.note(f"{count} outcomes of {symbols} symbols in {size / 2**20:.0f} MiB of journal")
    return report


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
