"""How a session is put together: what was chosen, the files it writes to, and what has to be there before it runs.

In: options and a market, or the address of a paper venue. Out: a `Running` session, ready to be run once. Nothing is
written before everything that can be wrong with the options has been looked at.

The journal of a session over a recorded or generated market is its own: the venue ends with the session, so nothing
could be taken up again. What an earlier one left in the folder is moved to `earlier/`. A session with a venue in
another process goes on where the last one ended.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, get_args

import msgspec

from engine.backends.decision import to_json
from engine.book import Book
from engine.home import find_cache
from engine.journal.disk import LOCK, Lock
from engine.journal.errors import JournalError, JournalUnwritableError
from engine.journal.events import BaselineDone, Checkpoint, Decided, Event, SessionStarted
from engine.journal.reader import read
from engine.journal.writer import NEVER, FsyncPolicy, Journal
from engine.language.findings import LoadError, SluiceError
from engine.language.load import Files
from engine.market import paced
from engine.reload.dry_run import recent_decisions
from engine.reload.errors import ReloadError
from engine.reload.history import RELOADS, History, good_before
from engine.reload.kept_bundles import Trust
from engine.reload.last_good import GoodRulebook, LastGood, StartedOn, cold_start
from engine.reload.pipeline import Pipeline
from engine.reload.proving import prover
from engine.reload.read import Signature, read_home
from engine.routing.chain import Chain
from engine.routing.effectiveness import Sample
from engine.routing.evidence.baselines import Baselines, BaselineShape
from engine.routing.evidence.files import LINE_FILES
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.evidence.state_files import STATE
from engine.routing.facts import SymbolFacts
from engine.routing.sessions.collector import quiet_collector
from engine.routing.sessions.desk import Desk, Imports, Surroundings, unfit
from engine.routing.sessions.generated_samples import generated_samples
from engine.routing.sessions.inbox import Inbox
from engine.routing.sessions.reloading.beside import Reloading
from engine.routing.sessions.reloading.options import ReloadOptions
from engine.routing.sessions.session import NOT_TAKEN, Embedded, Ending, Remote, Stop
from engine.routing.sessions.source import MarketSource
from engine.routing.sessions.standard_input import StandardInput
from engine.routing.sessions.strategy import Arriving, IntentSource, Lines, Signals, lines_of
from engine.routing.shape import RouterShape, SessionShape
from engine.routing.telemetry import MADE_UP, load_samples
from engine.venues.exchange_info import market_rules, read_exchange_info
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.remote import RemoteVenue
from engine.venues.rules import SymbolRules

_log = logging.getLogger(__name__)

JOURNAL = "journal"
EARLIER = "earlier"

_WRITTEN = sorted({JOURNAL, STATE.name, *(path.parts[0] for path in LINE_FILES)})
"""What a session writes in its folder, but for the rulebooks it used: those are kept for all."""

_MOST_BEHIND_MS = 5_000
"""A router may have been ahead of what its venue has said so far, but not by much."""

PAPER = "paper"
"""The setting that only a session with a venue of its own has."""

SIGNALS, STANDARD_INPUT = "signals", "-"
"""Intents of the strategy that is made up, and from standard input; anything else names a file."""

GENERATED, NONE = "generated", "none"
"""Telemetry that is made up, and none; anything else names a file."""


class StartError(SluiceError):
    """A session cannot start: what is wrong, and what helps."""

    def __init__(self, message: str, help: str) -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{message} ({help})")
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What was chosen; the defaults are those of `sluice run`."""

    profile: str
    home: Path
    logs: Path
    shape: SessionShape = field(default_factory=SessionShape)
    router: RouterShape = field(default_factory=RouterShape)
    paper: PaperSettings = field(default_factory=PaperSettings)
    exchange_info: Path | None = None
    intents: str = SIGNALS
    telemetry: str = NONE
    redate: bool = False
    """Move samples of a file to just before each symbol's first event: for replays of another day."""
    risk_mode: str | None = "normal"
    """The risk state that is assumed; None where intents come with one."""
    fsync: FsyncPolicy = NEVER
    speed: float | None = None
    """Multiple of real time; None for as fast as it goes."""
    baselines: bool = True
    inbox: Inbox | None = None
    """Intents that are handed in while it runs; None where none can be."""
    reload: ReloadOptions | None = None
    """How other rulebooks come in while it runs; None where none can."""
    end_with_intents: bool = False
    """End once nobody wants to trade any more and every intent has ended, though the market goes on."""


@dataclass(slots=True)
class Running:
    """A session that can be run, once."""

    book: Book
    desk: Desk
    journal: Journal
    rules: Mapping[str, SymbolRules]
    notes: tuple[str, ...]
    """What a reader of results should know, one line each."""
    stop: Stop
    intents: str
    """Where they come from, for people."""
    telemetry: str
    """The same of telemetry."""
    drive: Callable[[], Awaitable[Ending]]
    resumed: int = 0
    """Events that an earlier session left, and that this one goes on from."""
    so_far: Ending = field(default_factory=Ending)
    """How far it has come; `run` gives the same at the end."""

    reloading: Reloading | None = None
    """Lets other rulebooks in, beside the session."""

    lost: str = ""
    """What could not be written down to the end; empty where all was."""

    inbox: Inbox | None = None
    """Intents that are handed in while it runs; None where none can be."""

    async def run(self) -> Ending:
        """Run to the end, and close the journal."""
        try:
            with quiet_collector():
                return await self._drive()
        finally:
            self._close()

    def _close(self) -> None:
        """Close the journal. What was handed in and not taken is written down, whatever ended the session."""
        inbox = Inbox() if self.inbox is None else self.inbox
        try:
            left = inbox.leave()
            if self.desk.has_begun:
                for request, place in left:
                    self.desk.router.on_left_over(request, place, NOT_TAKEN)
        finally:
            try:
                self.journal.close()
                inbox.settle(is_written=True)
            except JournalUnwritableError as error:
                self.lost = f"{error.message}: {error.help}"  # said beside what did happen, not instead of it
            finally:
                inbox.abandon()

    async def _drive(self) -> Ending:
        if self.reloading is None:
            return await self.drive()
        beside = asyncio.create_task(self.reloading.run())
        try:
            return await self.drive()
        finally:
            beside.cancel()
            await asyncio.to_thread(self.reloading.stop_proving)
            (ended,) = await asyncio.gather(beside, return_exceptions=True)
            if isinstance(ended, Exception) and not isinstance(ended, asyncio.CancelledError):
                _log.error("reloading broke down: %r", ended)


def open_embedded(
    options: SessionOptions,
    market: MarketSource,
    *,
    watchers: Sequence[Callable[[Event], None]] = (),
    progress: Callable[[int], None] | None = None,
    standard_input: StandardInput | None = None,
) -> Running:
    """A session over a market, with a paper venue of its own.

    Raises:
        LoadError: for a rulebook that does not load.
        StartError: for options that cannot be followed.
        MarketError: for an exchangeInfo that cannot be used.
        TelemetryError: for a telemetry file that cannot be used.
        JournalError: for a folder that cannot be written to.

    """
    feed, shape = market.feed, options.shape
    found = market_rules(feed.symbols, feed, _known_rules(options))
    imports, telemetry = _imports(options, feed.symbols)
    symbols = {
        symbol: SymbolFacts(symbol, shape, bars_of=market.bars_of(symbol), warm_up=feed.warm_up[symbol].bars)
        for symbol in feed.symbols
    }
    baselines = None
    if options.baselines:
        quiet = replace(options.paper, faults=PaperSettings().faults)
        baselines = Baselines(lambda rules: PaperVenue(rules, quiet), found.rules, options.router)
    _check_intents(options)
    opened = _open_book(options)
    book = opened.book
    _make_way(options.logs)
    stop = Stop()
    with ExitStack() as undo:
        journal = _open_journal(options, lambda ts_ms: desk.checkpoint(ts_ms))  # noqa: PLW0108 - there is no desk yet
        undo.callback(journal.close)
        venue = PaperVenue(found.rules, options.paper)
        around = _around(options, found.rules, symbols, baselines, watchers, imports)
        desk = Desk(book, journal, venue, around)
        intents = _all_intents(options, desk, _waiting_for(standard_input or StandardInput()))
        settings = _settings(options, {PAPER: msgspec.to_builtins(options.paper), "baselines": asdict(BaselineShape())})
        started = _started(book, venue.name, feed.source, shape, settings)
        session = Embedded(
            desk,
            intents,
            started,
            limit_quotes=shape.limit_quotes,
            end_with_intents=options.end_with_intents,
            stop=stop,
            progress=progress,
            breathes=options.reload is not None,
            inbox=options.inbox,
        )
        undo.pop_all()
    rest = None if options.inbox is None else session.rest
    return Running(
        book,
        desk,
        journal,
        found.rules,
        (*market.notes, *found.notes),
        stop,
        intents.name,
        telemetry,
        lambda: session.run(paced(feed, options.speed, rest=rest), venue),
        so_far=session.ending,
        reloading=_reloading(options, desk, opened),
        inbox=options.inbox,
    )


async def open_remote(
    options: SessionOptions,
    host: str,
    port: int,
    *,
    watchers: Sequence[Callable[[Event], None]] = (),
    progress: Callable[[int], None] | None = None,
    standard_input: StandardInput | None = None,
) -> Running:
    """A session with a paper venue in another process, going on from what the journal says.

    Raises:
        ConnectError: where nothing answers.
        LoadError, StartError, TelemetryError, JournalError: as `open_embedded` does.

    """
    _check_intents(options)
    refuse_replay(options.logs / JOURNAL)
    stop = Stop()
    bad: list[JournalError] = []
    async with AsyncExitStack() as undo:
        venue = await RemoteVenue.connect(host, port)
        undo.push_async_callback(venue.close)
        rules = venue.rules
        imports, telemetry = _imports(options, rules)
        symbols = {symbol: _facts_of(venue, symbol, options.shape) for symbol in rules}
        opened = await asyncio.to_thread(_open_book, options)  # the venue goes on talking
        book = opened.book
        journal = _open_journal(options, lambda ts_ms: desk.checkpoint(ts_ms))  # noqa: PLW0108 - there is no desk yet
        undo.callback(journal.close)
        past = journal.last_seq
        around = _around(options, rules, symbols, None, watchers, imports)
        desk = Desk(book, journal, venue, around)
        desk.resume(read(journal.folder, types=_RESUMED, on_bad=bad.append))
        _refuse_earlier_market(options, venue.now_ms(), desk.router.now_ms)
        intents = _all_intents(options, desk, _as_they_come(standard_input or StandardInput()))
        settings = _settings(options, {"venue_settings": dict(venue.settings)})
        resumed = desk.account.has_started  # a journal may hold imported telemetry alone
        started = _started(book, venue.name, venue.welcome.market, options.shape, settings, resumed=resumed)
        session = Remote(
            desk,
            intents,
            started,
            limit_quotes=options.shape.limit_quotes,
            end_with_intents=options.end_with_intents,
            stop=stop,
            progress=progress,
            inbox=options.inbox,
        )
        undo.pop_all()

    async def run() -> Ending:
        try:
            return await session.run(venue)
        finally:
            await venue.close()

    # A line that a power loss made unreadable must not keep the router from finding out what its orders became.
    notes = tuple(f"passed over in the journal: {error}" for error in bad)
    return Running(
        book,
        desk,
        journal,
        rules,
        notes,
        stop,
        intents.name,
        telemetry,
        run,
        past,
        session.ending,
        reloading=_reloading(options, desk, opened),
        inbox=options.inbox,
    )


_RESUMED = tuple(kind for kind in get_args(Event) if kind not in (Decided, BaselineDone))
"""What a state is made of: all but the records of decisions, most of a journal by size, and what is only compared."""


def refuse_replay(folder: Path) -> None:
    """Raise `StartError` for the journal of a replay, whose venue has ended with it."""
    started = read(folder, types=(SessionStarted,), on_bad=lambda _: None) if folder.is_dir() else ()
    if any(isinstance(event, SessionStarted) and PAPER in event.settings for event in started):
        raise StartError(
            f"`{folder}` is of a replay, which cannot be gone on with", "choose another folder with --logs"
        )


def _open_journal(options: SessionOptions, checkpoint: Callable[[int], Checkpoint]) -> Journal:
    return Journal(options.logs / JOURNAL, fsync=options.fsync, checkpoint=checkpoint)


def _refuse_earlier_market(options: SessionOptions, venue_ms: int, journal_ms: int) -> None:
    """Time does not go back: a venue whose market has begun anew is another venue."""
    if venue_ms + _MOST_BEHIND_MS < journal_ms:
        raise StartError(
            f"the venue's market is {(journal_ms - venue_ms) / 1000:.0f} s before the end of `{options.logs}`",
            "it was started again: choose another folder with --logs",
        )


def _facts_of(venue: RemoteVenue, symbol: str, shape: SessionShape) -> SymbolFacts:
    """A symbol with what the venue has seen of it: bars from before, and the book as it stands."""
    history = venue.histories.get(symbol)
    if history is None:
        return SymbolFacts(symbol, shape)
    facts = SymbolFacts(symbol, shape, bars_of=history.bars_of, warm_up=history.bars)
    if history.quote is not None:
        facts.see_quote(history.quote)
    return facts


def _around(
    options: SessionOptions,
    rules: Mapping[str, SymbolRules],
    symbols: Mapping[str, SymbolFacts],
    baselines: Baselines | None,
    watchers: Sequence[Callable[[Event], None]],
    imports: Mapping[str, Imports],
) -> Surroundings:
    risk = None
    if options.risk_mode is not None:
        risk = {"risk_mode": options.risk_mode, "halted": False, "symbol_disabled": False}
    return Surroundings(
        logs=options.logs,
        rules=rules,
        symbols=symbols,
        leverage=options.shape.leverage,
        shape=options.router,
        risk=risk,
        baselines=baselines,
        watchers=watchers if options.inbox is None else (*watchers, options.inbox.see),
        imports=imports,
    )


def _started(
    book: Book, venue: str, market: str, shape: SessionShape, settings: dict[str, Any], *, resumed: bool = False
) -> SessionStarted:
    return SessionStarted(
        ts_ms=0,
        profile=book.profile,
        rulebook=book.version,
        sources=book.rulebook.sources_digest,
        venue=venue,
        market=market,
        nav_usd=shape.nav_usd,
        settings=settings,
        resumed=resumed,
    )


def _settings(options: SessionOptions, more: dict[str, Any]) -> dict[str, Any]:
    """What was chosen, as plain data; what differs between two runs of the same session is left out."""
    chosen = {
        "shape": asdict(options.shape),
        "router": asdict(options.router),
        "intents": options.intents,
        "telemetry": options.telemetry,
        "redate": options.redate,
        "risk_mode": options.risk_mode,
        **({RELOADS: options.reload.gate} if options.reload is not None else {}),
        **more,
    }
    plain: dict[str, Any] = msgspec.json.decode(to_json(chosen))
    return plain


@dataclass(frozen=True, slots=True)
class _Opened:
    """The rulebook to begin with, and what it came of where other ones may come in later."""

    book: Book
    store: Rulebooks
    """Which has kept it: of the next one it writes only what is different."""
    started: StartedOn | None = None
    seen: Signature | None = None
    """How the home stood when it was read."""


def _open_book(options: SessionOptions) -> _Opened:
    """The rulebook to begin with; where other ones may come in, the last good one if the files are broken.

    Raises:
        LoadError: for files that do not load, and for a rulebook that cannot run a session.
        MissingPolicyError: for a profile that does not run all of the chain.
        ColdStartError: for files that are refused, where no rulebook that ran before can stand in for them.

    """
    store = Rulebooks(options.logs)
    if options.reload is None:
        book = store.load(options.home, options.profile)
        Chain(book)
        if found := list(unfit(book)):
            raise LoadError(found)
        return _Opened(book, store)
    fetched, seen = options.reload.fetched, None
    if fetched is None:
        reading = read_home(options.home)
        files, seen = reading.files, reading.signature
    else:
        files = fetched.files
    remembered, vouch = LastGood(options.logs), _vouch(options)
    pipeline_of = partial(_pipeline, options, store)
    started = cold_start(files, pipeline_of, remembered, store, vouch=vouch, earlier=lambda: _earlier(options))
    return _Opened(started.book, store, started, seen)


def _vouch(options: SessionOptions) -> Callable[[GoodRulebook], None]:
    """What sees that a rulebook may stand in for what is refused: where bundles must be signed, that its bundle is."""
    trust = Trust(options.logs, options.profile, () if options.reload is None else options.reload.asked_keys)
    return lambda good: trust.refuse_unsigned(good.version, good.sources, whose=f"the last good one ({good.version})")


def _earlier(options: SessionOptions) -> list[GoodRulebook]:
    """What was good before what ran last, the latest first; nothing where nobody knows."""
    try:
        return good_before(History(options.logs).entries(options.profile))
    except ReloadError:
        return []


def _pipeline(options: SessionOptions, store: Rulebooks, files: Files) -> Pipeline:
    """What a change goes through before it decides."""
    reload = options.reload or ReloadOptions()
    journal = options.logs / JOURNAL
    prove = prover(files, reload.proof_timeout_s, find_cache() / "proofs") if reload.gate == "proofs" else None
    return Pipeline(
        options.profile,
        reload.gate,
        prove,
        fit=unfit,
        past=lambda: recent_decisions(journal, reload.past),
        keep=store.keep,
    )


def _reloading(options: SessionOptions, desk: Desk, opened: _Opened) -> Reloading | None:
    if options.reload is None:
        return None
    pipeline = _pipeline(options, opened.store, Files({}, ()))
    return Reloading(
        desk, options.reload, options.home, pipeline, opened.store, started=opened.started, seen=opened.seen
    )


def _known_rules(options: SessionOptions) -> Mapping[str, SymbolRules]:
    return {} if options.exchange_info is None else read_exchange_info(options.exchange_info)


def _check_intents(options: SessionOptions) -> None:
    if options.intents not in (SIGNALS, STANDARD_INPUT) and not Path(options.intents).is_file():
        raise StartError(
            f"there is no file of intents `{options.intents}`", "name one, or `signals`, or `-` for standard input"
        )


_FromStandardInput: TypeAlias = Callable[[str, int, Collection[str]], IntentSource]
"""Takes a name, how much of what is refused is shown, and the ids of intents that were taken before."""


def _waiting_for(stream: StandardInput) -> _FromStandardInput:
    """In the time of a recorded market nothing goes on before the next line is known."""
    return lambda name, most_shown, taken: Lines(name, stream, most_shown, taken)


def _as_they_come(stream: StandardInput) -> _FromStandardInput:
    """A venue in another process does not wait for a line."""
    return lambda name, most_shown, taken: Arriving(name, stream.arrived, most_shown, taken)


def _all_intents(options: SessionOptions, desk: Desk, from_standard_input: _FromStandardInput) -> IntentSource:
    """The intents of the source that was chosen, and those that are handed in."""
    source = _intents(options, desk, from_standard_input)
    return source if options.inbox is None else options.inbox.beside(source)


def _intents(options: SessionOptions, desk: Desk, from_standard_input: _FromStandardInput) -> IntentSource:
    taken = frozenset(desk.router.ledger.known)
    if options.intents == SIGNALS:
        positions = desk.account.positions
        return Signals(desk.around.symbols, lambda symbol: float(positions.get(symbol, 0)), options.shape, taken)
    most_shown = options.router.most_shown
    if options.intents == STANDARD_INPUT:
        return from_standard_input("standard input", most_shown, taken)
    return Lines(options.intents, lines_of(Path(options.intents)), most_shown, taken)


def _imports(options: SessionOptions, symbols: Sequence[str] | Mapping[str, Any]) -> tuple[dict[str, Imports], str]:
    """What is imported for each symbol when it is first seen, and where it comes from, for people."""
    if options.telemetry == NONE:
        return {}, "none: nothing was measured before"
    if options.telemetry == GENERATED:
        seed = options.shape.seed
        samples = generated_samples(seed, symbols, 0)
        name = f"{MADE_UP}, seed {seed}"
        return {symbol: Imports(name, held, redate=True) for symbol, held in samples.items()}, name
    loaded = load_samples(Path(options.telemetry))
    held: Mapping[str, Sequence[Sample]] = loaded.samples
    return {
        symbol: Imports(loaded.name, list(held[symbol]), redate=options.redate) for symbol in symbols if symbol in held
    }, f"{loaded.name}: {loaded.count} samples"


def _make_way(logs: Path) -> None:
    """Move what an earlier replay wrote out of the way; refuse to touch the journal of anything else."""
    folder = logs / JOURNAL
    if not folder.is_dir() or not any(folder.glob("*.jsonl*")):
        return
    first = next(iter(read(folder, types=(SessionStarted,))), None)
    if not isinstance(first, SessionStarted) or PAPER not in first.settings:
        raise StartError(f"`{folder}` holds a journal that is no replay's", "choose another folder with --logs")
    lock = Lock(folder, LOCK, "written")  # a session that is still at work must not lose its journal
    try:
        earlier = logs / EARLIER
        shutil.rmtree(earlier, ignore_errors=True)
        earlier.mkdir(parents=True)
        for name in _WRITTEN:
            if (logs / name).exists():
                (logs / name).rename(earlier / name)
    finally:
        lock.release()
