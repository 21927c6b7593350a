"""How long a saved file takes to decide, what a swap costs those who decide meanwhile, and whether memory stays flat.

One reload: a number or a comment of one file is saved beside it and renamed; watchfiles tells of it (reported apart:
from the save to the change, with the default quiet time); from that change on the home is read until it is settled,
loaded, checked, compiled, tried on 200 past decisions, kept on disk and swapped in, and decides. Proofs are left out,
and then measured on their own: of the shipped profiles a value is saved that none of them had before, so that every
invariant is asked again, with everything else warm.
The collector is quiet, as in a session; what it takes to collect afterwards is reported.
The reach is for the processor time of the process, as in the other benchmarks; the clock on the wall stands beside it.

Swaps: every reload of a small profile is swapped into a session's desk by an asyncio loop, while that loop and two
threads decide as fast as they can, each intent by its two policies. A swap's latency is the time of `Deciders.use`, on
the wall: once it returns, whoever asks gets the new book. All that the session does then (`Desk.adopt`: views,
breakers, a line in the journal) is reported apart. It has no reach: two threads that never wait take the interpreter's
lock for 5 ms each time that a write lets it go.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copytree
from unittest.mock import patch

import msgspec

from bench import _numbered
from bench._generated import POLICY, PROFILE, write_home
from bench._measure import Reach, Report, run
from bench.router import RULES, START_MS, SYMBOL, started
from engine.analysis.proofs import QUESTION_TIMEOUT_S
from engine.book import Book
from engine.home import HOME_FOLDERS, shipped_home
from engine.journal.events import RulebookLoaded
from engine.journal.writer import NEVER, Journal
from engine.language.load import Files, read_files
from engine.language.nodes import Source
from engine.reload.dry_run import PastDecision
from engine.reload.pipeline import Accepted, Pipeline, Stage
from engine.reload.proving import prover
from engine.reload.read import read_home
from engine.reload.watch import Watch
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.facts import SymbolFacts
from engine.routing.sessions.collector import quiet_collector
from engine.routing.sessions.desk import Desk, Surroundings
from engine.routing.shape import SessionShape
from engine.venues.paper import PaperSettings, PaperVenue

_PAST = 200
_WARM = 5
"""Reloads before those that count."""
_NOISE = 0.1
"""A first part of swaps that memory is not counted in: it fills caches."""


@dataclass(frozen=True)
class Case:
    """A home whose files are saved one at a time."""

    name: str
    home: Path
    profile: str
    policy: str
    edits: tuple[tuple[str, str, str], ...]
    """(file, a text in it, what it becomes; `{}` is the number of the reload)."""


@dataclass
class Reloads:
    """What was measured of one home, in milliseconds."""

    cold: float = 0.0
    noticed: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    collected: list[float] = field(default_factory=list)
    stages: dict[Stage | str, list[float]] = field(default_factory=dict)


def cases(folder: Path, rules: int) -> list[Case]:
    """The shipped home and one of so many rules, copied to where they can be written."""
    return [
        Case("shipped", _shipped(folder / "shipped"), "prod", "routing", (_SPREAD, _COMMENT)),
        Case(
            f"{rules:,} rules",
            write_home(folder / "large", rules),
            PROFILE,
            POLICY,
            (
                (f"profiles/{PROFILE}.yaml", "tier_0.slippage_0: 20", "tier_0.slippage_0: 20.{}"),
                ("rules/tier_0.yaml", "\n", "\n# {}\n"),
            ),
        ),
    ]


def proven_cases(folder: Path) -> list[Case]:
    """The shipped profiles, each in a home of its own."""
    return [
        Case(f"shipped {profile}, proofs included", _shipped(folder / profile), profile, "routing", (_SPREAD,))
        for profile in ("prod", "testnet")
    ]


def _shipped(home: Path) -> Path:
    for name in HOME_FOLDERS:
        copytree(shipped_home() / name, home / name)
    return home


def past_decisions(book: Book, policy: str) -> list[PastDecision]:
    """Decisions without a fact: they cost what every decision costs."""
    made = []
    for number in range(_PAST):
        facts = {"now": 1_700_000_000.0 + number, "symbol": "BTCUSDT"}
        decision = book.decide(policy, facts)
        made.append(PastDecision(decision.decision_id, policy, facts, decision.values))
    return made


async def reloads(case: Case, logs: Path, count: int, *, proves: bool = False) -> Reloads:
    """Save, notice, reload and swap, `count` times after a few that do not count; with the proofs if asked for."""
    found = Reloads()
    store = Rulebooks(logs)
    past: list[PastDecision] = []
    pipeline = Pipeline(case.profile, past=lambda: past, keep=store.keep)
    texts = {name: (case.home / name).read_text(encoding="utf-8") for name, _, _ in case.edits}
    start = time.process_time()
    files = read_files(case.home)
    first = pipeline.consider(files, None)
    found.cold = (time.process_time() - start) * 1000
    assert isinstance(first, Accepted), first
    past += past_decisions(first.book, case.policy)
    proofs = logs / "proofs" if proves else None
    with quiet_collector():  # as a session has it
        await _reload(case, found, pipeline, first, texts, count, proofs)
    return found


async def _reload(
    case: Case,
    found: Reloads,
    pipeline: Pipeline,
    first: Accepted,
    texts: dict[str, str],
    count: int,
    proofs: Path | None,
) -> None:
    active = first.book
    async with Watch(case.home) as watch:
        for number in range(-_WARM, count):
            name, old, new = case.edits[number % len(case.edits)]
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0.01)  # watchfiles is at work
            beside = case.home / name.replace(".yaml", ".new")
            beside.write_text(texts[name].replace(old, new.format(1 + number + _WARM), 1), encoding="utf-8")
            saved = time.monotonic()
            beside.replace(case.home / name)
            change = await waiting
            wall, busy = time.perf_counter(), time.process_time()
            reading = read_home(case.home)
            read = time.perf_counter() - wall
            prove = prover(reading.files, QUESTION_TIMEOUT_S, proofs) if proofs is not None else None
            verdict = replace(pipeline, prove=prove).consider(reading.files, active)
            assert isinstance(verdict, Accepted), verdict
            assert proofs is None or (verdict.proofs is not None and verdict.proofs.passed)
            active = verdict.book  # what a session does beside that is measured with the swaps
            active.decide(case.policy, {"now": 1.0, "symbol": SYMBOL})
            wall, busy = time.perf_counter() - wall, time.process_time() - busy
            start = time.perf_counter()
            gc.collect()
            if number >= 0:
                found.collected.append((time.perf_counter() - start) * 1000)
                found.noticed.append((change.at - saved) * 1000)
                found.busy.append(busy * 1000)
                found.wall.append(wall * 1000)
                for stage, taken in ({"read": read * 1000} | dict(verdict.timings_ms)).items():
                    found.stages.setdefault(stage, []).append(taken)


@dataclass
class Swapped:
    """What came of swaps under load."""

    latencies_us: list[float] = field(default_factory=list)
    adopted_us: list[float] = field(default_factory=list)
    mixed: int = 0
    lost: int = 0
    decisions: int = 0
    seconds: float = 0.0
    grown_mib: float = 0.0
    """Resident memory at the end over that after a tenth of the swaps."""


def swaps(folder: Path, count: int) -> Swapped:
    """Reload and swap under the decisions of two threads and a loop."""
    found = Swapped()
    files = read_files(_numbered.write_home(folder / "home"))
    pipeline = Pipeline(_numbered.PROFILE)
    first = pipeline.consider(files, None)
    assert isinstance(first, Accepted)
    desk = _desk(first.book, folder / "logs")
    done, begun, ended = threading.Event(), [0, 0, 0], [0, 0, 0]

    def decide(who: int) -> None:
        begun[who] += 1
        chain = desk.router.deciders.of(SYMBOL)
        made = chain.decide(START_MS, SYMBOL, "bench", _numbered.KNOWN)
        # Three values of the decision, and both records, are of the book that was taken.
        number = _numbered.number_of(made.admission.decided, made.routing.decided)
        versions = {msgspec.json.decode(each.record)["rulebook"] for each in (made.admission, made.routing)}
        found.mixed += number is None or versions != {chain.book.version}
        ended[who] += 1

    use = desk.router.deciders.use

    def timed(book: Book) -> None:
        start = time.perf_counter()
        use(book)
        found.latencies_us.append((time.perf_counter() - start) * 1e6)

    def work(who: int) -> None:
        while not done.is_set():
            decide(who)

    async def loop() -> None:
        async def go_on() -> None:
            while not done.is_set():
                decide(2)
                await asyncio.sleep(0)

        deciding = asyncio.ensure_future(go_on())
        for number in range(count):
            changed = Source.of(_numbered.VALUES, _numbered.values(number + 1))
            candidate = Files({**files.sources, _numbered.VALUES: changed}, ())
            verdict = await asyncio.to_thread(pipeline.consider, candidate, desk.book)
            assert isinstance(verdict, Accepted), verdict
            loaded = _loaded(verdict.book)
            start = time.perf_counter()
            desk.adopt(verdict.book, loaded)
            found.adopted_us.append((time.perf_counter() - start) * 1e6)
            if number == int(count * _NOISE):
                gc.collect()
                found.grown_mib = -resident_mib()
        done.set()
        await deciding

    threads = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        with patch.object(desk.router.deciders, "use", timed):
            asyncio.run(loop())
    finally:
        done.set()
        for thread in threads:
            thread.join()
    found.seconds = time.perf_counter() - start
    gc.collect()
    found.grown_mib += resident_mib()
    found.decisions, found.lost = sum(ended), sum(begun) - sum(ended)
    desk.journal.close()
    assert desk.book.decide("routing", {"now": 1.0, "symbol": SYMBOL}).values["routed_by"] == count
    return found


def _desk(book: Book, logs: Path) -> Desk:
    """A session's desk, which has begun."""
    journal = Journal(logs / "journal", fsync=NEVER, checkpoint=lambda ts_ms: desk.checkpoint(ts_ms))  # noqa: PLW0108
    symbols = {SYMBOL: SymbolFacts(SYMBOL, SessionShape())}
    desk = Desk(book, journal, PaperVenue(RULES, PaperSettings()), Surroundings(logs, RULES, symbols, 3.0))
    desk.router.emit(started(book))
    desk.start(START_MS)
    return desk


def _loaded(book: Book) -> RulebookLoaded:
    sources = book.rulebook.sources_digest
    return RulebookLoaded(ts_ms=0, profile=book.profile, rulebook=book.version, sources=sources, how="files")


def resident_mib() -> float:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


_SPREAD = ("profiles/base.yaml", "hard_gates.max_spread_bps: 12", "hard_gates.max_spread_bps: 12.{}")
_COMMENT = ("rules/offset.yaml", "\n", "\n# {}\n")
_REACHES = {"shipped": Reach("<=", 60), "1,000 rules": Reach("<=", 150)}
_COLD, _PROVEN = Reach("<=", 1000), Reach("<=", 1000)


def measure(count: int = 300, proven: int = 50, swapped: int = 10_000, rules: int = 1000) -> Report:
    """Reload each home `count` times, with proofs `proven` times, and swap `swapped` times."""
    report = Report("reload")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for case in cases(folder, rules):
            found = asyncio.run(reloads(case, folder / f"logs {case.name}", count))
            report.add(f"{case.name}: cold, kept on disk", found.cold, "ms", None if case.name == "shipped" else _COLD)
            report.add(f"{case.name}: change to active, p50", statistics.median(found.busy), "ms")
            report.add(f"{case.name}: change to active, p99", quantile(found.busy, 0.99), "ms", _REACHES.get(case.name))
            report.add(f"{case.name}: the same on the wall, p99", quantile(found.wall, 0.99), "ms")
            report.add(f"{case.name}: collecting garbage afterwards, p50", statistics.median(found.collected), "ms")
            report.add(f"{case.name}: save to change, p50", statistics.median(found.noticed), "ms")
            report.add(f"{case.name}: save to change, p99", quantile(found.noticed, 0.99), "ms")
            stages = ", ".join(f"{name} {statistics.median(each):.1f}" for name, each in found.stages.items())
            report.note(f"{case.name}: median of the stages on the wall, ms: {stages}")
        for case in proven_cases(folder):
            found = asyncio.run(reloads(case, folder / f"logs {case.name}", proven, proves=True))
            report.add(f"{case.name}: change to active, p50", statistics.median(found.busy), "ms")
            report.add(f"{case.name}: change to active, p99", quantile(found.busy, 0.99), "ms", _PROVEN)
            report.add(f"{case.name}: the same on the wall, p99", quantile(found.wall, 0.99), "ms")
        small = swaps(folder / "swaps", swapped)
    report.add("swap under load, p50", quantile(small.latencies_us, 0.5), "us")
    report.add("swap under load, p99.9", quantile(small.latencies_us, 0.999) / 1000, "ms", Reach("<=", 5))
    report.add("all of a session's swap, p50", quantile(small.adopted_us, 0.5) / 1000, "ms")
    report.add("all of a session's swap, p99.9", quantile(small.adopted_us, 0.999) / 1000, "ms")
    report.add("decisions under a mixed version", small.mixed, "", Reach("<=", 0))
    report.add("decisions lost", small.lost, "", Reach("<=", 0))
    report.add("memory grown", abs(small.grown_mib), "MiB", Reach("<=", 10))
    report.note(
        f"{swapped:,} reloads, swapped in under the decisions of {small.decisions:,} intents: {small.seconds:.0f} s"
    )
    return report


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
