"""What `sluice run` says before and after a session: over what it runs and what of that is made up, what came of it.

In: a session that is about to run, and in the end an `Attended`. Out: pages of text, or plain data. What is shown
meanwhile is in `run_views`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from engine.market.choice import iso
from engine.printing import counted, print_wrapped, printable
from engine.reload.pages import gate_line
from engine.routing.effectiveness import WINDOW_S
from engine.routing.evidence.report import report_json
from engine.routing.evidence.report_pages import print_report
from engine.routing.sessions.attend import Attended
from engine.routing.sessions.source import MarketSource
from engine.routing.sessions.start import GENERATED, JOURNAL, NONE, SIGNALS, Running, SessionOptions
from engine.venues.remote import RemoteVenue

_LABEL_CELLS = 10
_MOST_NOTES, _MOST_SYMBOLS = 6, 12
_NUMBERS = re.compile(r"[0-9][0-9.:-]*")


# --- before ----------------------------------------------------------------------------------------------------------


def print_head(console: Console, options: SessionOptions, market: MarketSource | None, running: Running) -> None:
    """What the session runs over; `market` is None where it is a venue's in another process."""
    _print_labelled(console, "profile", f"{running.book.profile}, rulebook {running.book.version}")
    for number, line in enumerate(_market(market, running)):
        _print_labelled(console, "" if number else "market", line)
    for number, line in enumerate(_venue(options, running)):
        _print_labelled(console, "" if number else "venue", line)
    _print_labelled(console, "intents", _intents(options, running))
    _print_labelled(console, "telemetry", _telemetry(options, running))
    _print_labelled(console, "assumed", _assumed(options))
    if options.reload is not None and running.reloading is not None:
        origin = running.reloading.in_force.origin.name
        _print_labelled(console, "reload", f"from {origin}; gate {gate_line(options.reload.gate)}")
    notes = _folded(_notes(options, market, running))
    for number, note in enumerate(notes[:_MOST_NOTES]):
        _print_labelled(console, "" if number else "notes", note)
    if len(notes) > _MOST_NOTES:
        _print_labelled(console, "", f"… and {len(notes) - _MOST_NOTES} more (--json has all)")
    console.print()


def _market(market: MarketSource | None, running: Running) -> list[str]:
    venue = running.desk.venue
    if market is None:
        source = f"{venue.welcome.market}, " if isinstance(venue, RemoteVenue) else ""
        return [f"{source}as the venue has it: {_some(running.rules)}"]
    feed = market.feed
    first = next(iter(feed), None)
    span = ""
    if first is not None:
        lasts = "" if market.ends_ms is None else f", {_lasting(market.ends_ms - first.ts_ms)}"
        span = f"; {iso(first.ts_ms)} UTC{lasts}"
    files = _files(market)
    return [f"{feed.source}: {_some(feed.symbols)}{span}", *([files] if files else [])]


def _some(symbols: Iterable[str]) -> str:
    """Symbols, the first of them by name where there are many."""
    names = list(symbols)
    more = f" and {len(names) - _MOST_SYMBOLS} more" if len(names) > _MOST_SYMBOLS else ""
    return f"{', '.join(names[:_MOST_SYMBOLS])}{more}"


def _lasting(duration_ms: int) -> str:
    """A length of time, to the second.

    >>> _lasting(345_000), _lasting(7_260_000)
    ('5 min 45 s', '2 h 1 min 0 s')
    """
    minutes, seconds = divmod(round(max(duration_ms, 0) / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {seconds} s" if hours else f"{minutes} min {seconds} s"


def _files(market: MarketSource) -> str:
    paths = list(dict.fromkeys(path for of in market.files.symbols for path in (*of.quotes, *of.trades)))
    if len(paths) < 2:
        return f"from {paths[0]}" if paths else ""
    return f"from {len(paths)} files in {os.path.commonpath(paths)}"


def _venue(options: SessionOptions, running: Running) -> list[str]:
    venue = running.desk.venue
    if isinstance(venue, RemoteVenue):
        lines = [f"{venue.name}, a process of its own; {_conditions(venue.settings)}"]
        if running.resumed:
            lines.append(f"going on from {running.resumed:,} events of the journal")
        return lines
    lines = [f"paper; {_conditions(msgspec.to_builtins(options.paper))}"]
    faults = options.paper.faults
    made = [
        f"{kind}.{name} {likelihood:g}"
        for kind, of in (("place", faults.place), ("cancel", faults.cancel), ("query", faults.query))
        for name, likelihood in of.items()
    ]
    made += [f"fill.{name} {likelihood:g}" for name, likelihood in faults.fill.items()]
    return [*lines, f"faults made to happen: {', '.join(made)}"] if made else lines


def _conditions(settings: Mapping[str, Any]) -> str:
    """Fees, latency and queue of a paper venue, as its settings have them."""
    names = ("maker_fee_bps", "taker_fee_bps", "uplink_ms", "downlink_ms", "queue")
    maker, taker, there, back, queue = (settings.get(name, "?") for name in names)
    return f"fees {maker} bps maker, {taker} bps taker; {there} ms there, {back} ms back; {queue} queue"


def _intents(options: SessionOptions, running: Running) -> str:
    if options.intents == SIGNALS:
        return f"made up: {running.intents}, one every {options.shape.every_s:g} s for each symbol"
    return running.intents


def _telemetry(options: SessionOptions, running: Running) -> str:
    if running.resumed:
        return "that of the journal"
    if options.telemetry == GENERATED:
        return f"made up: {running.telemetry}, a week of maker attempts; --telemetry none starts cold"
    if options.telemetry == NONE:
        return "none, a cold start: a tier that needs telemetry rests nothing until some was measured"
    return running.telemetry


def _assumed(options: SessionOptions) -> str:
    risk = "risk as the intents say" if options.risk_mode is None else f"risk {options.risk_mode}"
    return f"{risk}; NAV {options.shape.nav_usd:,.0f} USD, leverage {options.shape.leverage:g}"


def _notes(options: SessionOptions, market: MarketSource | None, running: Running) -> list[str]:
    notes = list(running.notes)
    if market is not None and options.telemetry not in (GENERATED, NONE) and not options.redate:
        first = next(iter(market.feed), None)
        held = [sample.ts_ms for of in running.desk.around.imports.values() for sample in of.samples]
        if first is not None and held and not any(first.ts_ms - WINDOW_S * 1000 < at <= first.ts_ms for at in held):
            notes.insert(0, "no imported sample lies in the 7 days before this market; --redate moves them there")
    return notes


def _folded(notes: Sequence[str]) -> list[str]:
    """Notes on several symbols that differ in numbers alone are one, that of the first.

    >>> _folded(["A: tick 0.1", "B: no trades", "C: tick 0.5"])
    ['A: tick 0.1 (C likewise, with its own numbers)', 'B: no trades']
    """
    alike: dict[str, list[str]] = {}
    for note in notes:
        symbol, colon, text = note.partition(": ")
        key = _NUMBERS.sub("#", text) if colon and " " not in symbol else note
        alike.setdefault(key, []).append(note)
    folded = []
    for first, *others in alike.values():
        symbols = ", ".join(note.partition(": ")[0] for note in others)
        folded.append(f"{first} ({symbols} likewise, with its own numbers)" if others else first)
    return folded


def _print_labelled(console: Console, label: str, text: str) -> None:
    line = Text.assemble((f"{label:<{_LABEL_CELLS}}", "bold"), printable(text))
    print_wrapped(console, line, hanging=_LABEL_CELLS)


# --- after -----------------------------------------------------------------------------------------------------------

_ENDED = {"market_ended": "the market is over", "limit_quotes": "as many quotes as asked for"}


def print_end(console: Console, options: SessionOptions, attended: Attended, default_logs: Path) -> None:
    """What came of it, and where to look further; `default_logs` is where commands look by themselves."""
    ending = attended.ending
    print_wrapped(console, Text(_went(attended), "bold"), hanging=2)
    if ending.left_open:
        left = f"{counted(ending.left_open, 'intent')} left open: orders may rest at the venue"
        print_wrapped(console, Text(left, "red"), hanging=2)
    if attended.running.lost:
        print_wrapped(console, Text(f"the journal ends early: {attended.running.lost}", "red"), hanging=2)
    if attended.running.desk.files.trouble:
        print_wrapped(console, Text(f"files are behind the journal: {attended.running.desk.files.trouble}", "red"))
    console.print()
    print_report(console, attended.report)
    console.print()
    told = f"{options.logs / JOURNAL}: {attended.running.journal.last_seq:,} events"
    console.print(Text.assemble(("journal".ljust(_LABEL_CELLS), "bold"), printable(told)), soft_wrap=True)
    commands = _further(attended, _logs_argument(options.logs, default_logs))
    width = max(len(command) for command, _ in commands)
    for number, (command, answer) in enumerate(commands):
        line = Text.assemble(
            ("" if number else "further").ljust(_LABEL_CELLS), f"{command:<{width}}  ", (answer, "dim")
        )
        line.stylize("bold", 0, _LABEL_CELLS)
        if cell_len(line.plain) > console.width:
            line = line[: _LABEL_CELLS + len(command)]
        console.print(line, soft_wrap=True)


def _went(attended: Attended) -> str:
    ending, rate = attended.ending, attended.events_per_s
    why = "stopped at once" if attended.cut_short else _ENDED.get(ending.reason, ending.reason.replace("_", " "))
    seen = f"{ending.quotes.total():,} quotes and {ending.trades.total():,} trades"
    return f"{why}: {seen} in {attended.elapsed_s:.1f} s{f' ({rate:,.0f} a second)' if rate else ''}"


def _further(attended: Attended, logs: str) -> list[tuple[str, str]]:
    """Commands that look into the journal."""
    report = attended.report
    symbol = next(iter(attended.running.rules), "SYMBOL")
    examples = [("sluice health", "how each symbol is routed now"), ("sluice report --html report.html", "this report")]
    if report.received:
        examples.insert(0, (f"sluice why {shlex.quote(symbol)}", "what stood against resting, and its cost"))
        intent_id = attended.example or "ID"
        examples.insert(0, (f"sluice journal --intent {shlex.quote(intent_id)}", "an intent's whole story"))
    return [(f"{command}{logs}", answer) for command, answer in examples]


def run_json(options: SessionOptions, market: MarketSource | None, attended: Attended) -> dict[str, Any]:
    """The same as plain data."""
    running, ending = attended.running, attended.ending
    files = () if market is None else market.files.symbols
    return {
        "profile": running.book.profile,
        "rulebook": running.book.version,
        "market": {
            "source": running.desk.venue.name if market is None else market.feed.source,
            "symbols": list(running.rules),
            "files": {of.symbol: [str(path) for path in (*of.quotes, *of.trades, *of.bars)] for of in files},
            "first_ms": ending.first_ms,
            "last_ms": None if ending.first_ms is None else ending.last_ms,
            "quotes": dict(ending.quotes),
            "trades": dict(ending.trades),
        },
        "intents": running.intents,
        "telemetry": running.telemetry,
        "resumed": running.resumed,
        "notes": _notes(options, market, running),
        "ended": ending.reason,
        "signal": attended.signal,
        "left_open": ending.left_open,
        "elapsed_s": round(attended.elapsed_s, 3),
        "events_per_s": None if attended.events_per_s is None else round(attended.events_per_s),
        "journal": {"folder": str(options.logs / JOURNAL), "events": running.journal.last_seq},
        "report": report_json(attended.report),
    }


def _logs_argument(logs: Path, default: Path) -> str:
    """What a command needs to find a folder of logs: nothing where it would look there anyway."""
    return "" if logs == default else f" --logs {shlex.quote(str(logs))}"
