"""Telemetry in a file, to start a session from what was measured elsewhere: JSON lines, as docs/telemetry.md has them.

Export: from a journal to a file with every sample that counts at a moment. Import: from such a file, whoever wrote it,
to `Imported` events for a journal. The first line says whose samples these are and when they were taken down,
each further line is one sample:

    {"type":"telemetry","v":1,"source":"eu-1","exported_ms":1723161600000,"window_s":604800.0,"rulebook":"4f1c…"}
    {"symbol":"BTCUSDT","ts_ms":1723111200000,"attempted":"0.5","filled":"0.5","fallback":false,"submissions":1,…}

A file is taken whole or not at all. What is wrong in it is a `TelemetryError` with the line.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from engine.journal.events import Imported, Outcome, RulebookLoaded, SessionStarted
from engine.journal.reader import read, tail
from engine.routing.effectiveness import WINDOW_S, Effectiveness, Sample, TelemetryError

VERSION = 1
"""Of the format."""

MADE_UP = "generated"
"""Stands in the source of samples that nobody measured."""

Samples: TypeAlias = Mapping[str, Sequence[Sample]]
"""By symbol, in order of time."""

_FORMAT = "docs/telemetry.md describes the format"
_MOST_QTY = Decimal(10) ** 12  # as the vocabulary has it
_MOST_DIGITS = 18  # behind the point; the query of docs/telemetry.md reads as many
_LONGEST_LINE = 1 << 20


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line."""

    type: Literal["telemetry"] = "telemetry"
    v: int = VERSION
    source: str
    """Whose samples these are, for people."""
    exported_ms: int
    """The moment they were taken down, in the time of the samples."""
    window_s: float = WINDOW_S
    """How far back from there they reach."""
    rulebook: str | None = None
    """The version that decided last; None where there was none."""


class _Line(Sample, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """Any further line."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a file holds."""

    header: Header
    samples: Samples
    digest: str
    """SHA-256 of the file, in hexadecimal."""

    @property
    def name(self) -> str:
        """The source, and which file of it: the name to import it under."""
        return f"{self.header.source} ({self.digest[:12]})"

    @property
    def count(self) -> int:
        """Samples in all."""
        return sum(len(held) for held in self.samples.values())


def load_samples(path: Path) -> Telemetry:
    """Read a file, every line of it checked.

    Raises:
        TelemetryError: with the first line that cannot be used.

    """
    digest = hashlib.sha256()
    lines = _lines(path)
    number, line = next(lines, (1, b""))
    header = _header(line, f"{path}:{number}")
    digest.update(line)
    samples: dict[str, list[Sample]] = {}
    for number, line in lines:
        digest.update(line)
        if line.strip():
            sample = _sample(line, header, f"{path}:{number}")
            samples.setdefault(sample.symbol, []).append(msgspec.convert(sample, Sample, from_attributes=True))
    for held in samples.values():
        held.sort(key=attrgetter("ts_ms"))
    return Telemetry(header, samples, digest.hexdigest())


def redated(samples: Samples, newest_ms: int) -> tuple[Samples, int]:
    """Move all samples by one shift, so that the newest of them lies at a given moment.

    For replays of another day than the one that was measured. Out: the samples moved, and the shift in milliseconds.
    """
    newest = max((sample.ts_ms for held in samples.values() for sample in held), default=newest_ms)
    shift_ms = newest_ms - newest
    moved = {
        symbol: [msgspec.structs.replace(sample, ts_ms=sample.ts_ms + shift_ms) for sample in held]
        for symbol, held in samples.items()
    }
    return moved, shift_ms


def imported(samples: Samples, name: str, ts_ms: int, shift_ms: int = 0) -> Iterator[Imported]:
    """The events of an import at a moment: one a symbol.

    An import of a `name` counts once for a symbol, however often it is repeated (see `Effectiveness.imports`).
    """
    for symbol, held in sorted(samples.items()):
        yield Imported(
            ts_ms=ts_ms,
            symbol=symbol,
            source=name,
            samples=msgspec.json.decode(msgspec.json.encode(held)),  # as it will be read again
            shifted_ms=shift_ms,
        )


def export(folder: Path, path: Path, *, source: str, now_ms: int | None = None) -> Header:
    """Write every sample of a journal that counts at a moment, imported ones included. Out: the header written.

    `folder` is the journal's, `source` says whose samples these are. `now_ms` is the moment; what the journal says of
    later ones is left out, and without it the journal's last event is the moment. The file is there whole or not at
    all.

    Raises:
        TelemetryError: for an empty journal, and for a file that cannot be written.
        JournalError: for a journal that cannot be read.

    """
    if now_ms is None:
        last = tail(folder, 1)
        if not last:
            raise TelemetryError("there is no journal here, so no telemetry to export", "run a session", str(folder))
        now_ms = last[0].ts_ms
    view = Effectiveness()
    rulebook: str | None = None
    for event in read(folder, types=(SessionStarted, RulebookLoaded, Imported, Outcome)):
        if event.ts_ms > now_ms:
            continue
        view.see(event)
        if isinstance(event, SessionStarted | RulebookLoaded):
            rulebook = event.rulebook
    # What was made up must not pass as measured because it went through a file.
    made_up = sorted({name for _, name in view.imports if MADE_UP in name})
    told = source if not made_up else f"{source}, with samples of {'; '.join(made_up)}"
    header = Header(source=told, exported_ms=now_ms, rulebook=rulebook)
    _write(path, (header, *_sample_lines(view, now_ms)))
    return header


def _sample_lines(view: Effectiveness, now_ms: int) -> Iterator[_Line]:
    for symbol in view.symbols:
        for sample in view.samples(symbol, now_ms):
            yield _Line(symbol=symbol, **msgspec.structs.asdict(sample))


def _write(path: Path, lines: Iterable[msgspec.Struct]) -> None:
    encode = msgspec.json.Encoder().encode
    beside = path.parent / f"{path.name}.{os.getpid()}.tmp"
    try:
        with beside.open("wb") as file:
            for line in lines:
                file.write(encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise TelemetryError(f"cannot be written: {_reason(error)}", "choose another file", str(path)) from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line with its 1-based number, line break included."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise TelemetryError("the line is too long for a sample", _FORMAT, f"{path}:{number}")
                yield number, line
    except OSError as error:
        raise TelemetryError(f"cannot be read: {_reason(error)}", "name a telemetry file", str(path)) from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _header(line: bytes, place: str) -> Header:
    if not line.strip():
        raise TelemetryError(
            "the first line has to be the header of a telemetry file, and is empty",
            f"`sluice telemetry export` writes such files; {_FORMAT}",
            place,
        )
    named = _decoded(line, dict[str, Any], place)
    if named.get("type") != "telemetry":
        raise TelemetryError(
            'the first line is no header: it has to hold `"type": "telemetry"`',
            f"`sluice telemetry export` writes such files; {_FORMAT}",
            place,
        )
    version = named.get("v", VERSION)
    if isinstance(version, int) and version != VERSION:
        raise TelemetryError(
            f"the format is of version {version}, and this Sluice reads version {VERSION}",
            "export it again, or use the Sluice that wrote it",
            place,
        )
    header: Header = _decoded(line, Header, place)
    if header.window_s <= 0:
        raise TelemetryError(f"`window_s` is {header.window_s:g}", "it says how far back the samples reach", place)
    return header


def _sample(line: bytes, header: Header, place: str) -> _Line:
    sample: _Line = _decoded(line, _Line, place)
    if not sample.symbol:
        raise TelemetryError("`symbol` is empty", _FORMAT, place)
    for name, qty in (("attempted", sample.attempted), ("filled", sample.filled)):
        exponent = qty.as_tuple().exponent
        assert isinstance(exponent, int), "a sample's quantities are finite"
        if qty > _MOST_QTY or exponent < -_MOST_DIGITS:
            raise TelemetryError(
                f"`{name}` is {qty:.9g}",
                f"quantities are at most {_MOST_QTY}, with at most {_MOST_DIGITS} digits behind the point",
                place,
            )
    age_ms = header.exported_ms - sample.ts_ms
    if age_ms < 0:
        raise TelemetryError(
            f"`ts_ms` is {_moment(sample.ts_ms)}, after the export at {_moment(header.exported_ms)}",
            "a sample from the future would stay fresh: correct its time, or that of the export",
            place,
        )
    if age_ms >= header.window_s * 1000:
        raise TelemetryError(
            f"`ts_ms` is {_moment(sample.ts_ms)}, more than {header.window_s:g} s before the export at "
            f"{_moment(header.exported_ms)}",
            "times are milliseconds since 1970 UTC; leave out what lies before the window of the header (`window_s`)",
            place,
        )
    return sample


_MILLISECONDS = "times are whole milliseconds since 1970 UTC, without quotes"
_HELP = {"ts_ms": _MILLISECONDS, "exported_ms": _MILLISECONDS}
"""By the name of a field."""

# What msgspec calls the types of JSON, for people who write JSON.
_WORDS = {
    "`int`": "a whole number",
    "`float`": "a number",
    "`str`": "a text",
    "`bool`": "true or false",
    "`null`": "null",
    "`array`": "a list",
    "`object`": "an object",
    "`decimal`": "a decimal",
}


def _decoded(line: bytes, kind: Any, place: str) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except RecursionError:
        raise TelemetryError("is nested too deep", _FORMAT, place) from None
    except UnicodeDecodeError:
        raise TelemetryError("is no UTF-8", "save the file as UTF-8", place) from None
    except msgspec.DecodeError as error:  # a ValidationError is one
        what, _, where = str(error).partition(" - at `$")
        where = where.strip("`.")
        for word, plain in _WORDS.items():
            what = what.replace(word, plain)
        if not what.startswith("JSON"):
            what = what[:1].lower() + what[1:]
        raise TelemetryError(f"`{where}`: {what}" if where else what, _HELP.get(where, _FORMAT), place) from None


def _moment(ts_ms: int) -> str:
    """A time for people; the bare number where it is no date.

    >>> _moment(1_723_161_600_000)
    '1723161600000 (2024-08-09 00:00:00 UTC)'
    """
    try:
        moment = datetime.fromtimestamp(ts_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(ts_ms)
    return f"{ts_ms} ({moment:%Y-%m-%d %H:%M:%S} UTC)"
