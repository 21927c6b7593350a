"""Facts from files: a JSON object, JSON lines, CSV or Parquet become facts objects, each with the place it came from.

Tables name facts by column: `telemetry.fallback_ratio`, `telemetry.observed_at`, `now`, `symbol`, `intent_id`,
`decisions.admission.admit`. An empty CSV cell and a Parquet NULL are absent. A CSV cell becomes what its column is
declared to be; where it cannot, it goes on as text, and the border calls it invalid. Rows are read as they are asked
for, so a file may be larger than memory (a single JSON object may not).
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from engine.analysis.request import RequestError
from engine.backends.facts import DECISIONS, FactsError
from engine.language.rulebook import Rulebook
from engine.language.spelling import did_you_mean
from engine.language.types import FlagType, NumberType, Type

Format = Literal["json", "csv", "parquet"]

_SUFFIXES: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
_MOMENT: dict[str, Type | None] = {"now": NumberType("s", 0, 0), "symbol": None, "intent_id": None}
_BATCH = 1024
_MOST_CELL = 1 << 20

csv.field_size_limit(_MOST_CELL)


@dataclass(frozen=True, slots=True)
class Row:
    """One facts object and its place (`facts.jsonl:3`)."""

    place: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that gives no decision: what is wrong with it, and what helps."""

    place: str
    message: str
    help: str = ""


def read_facts(source: str, stdin: IO[bytes], rulebook: Rulebook) -> Iterator[Row | BadRow]:
    """The facts objects in a file, or in `stdin` where the source is `-`.

    The format follows the name, and the first bytes where the name does not tell.

    Raises:
        RequestError: if the file cannot be read, is no table of facts, or needs an extra that is not installed.
        FactsError: for a column that names no fact.

    """
    name = "<stdin>" if source == "-" else source
    with ExitStack() as stack:
        try:
            stream = stdin if source == "-" else stack.enter_context(Path(source).open("rb"))
            first, skipped = stream.readline(), 0
            while first and not first.strip():
                first, skipped = stream.readline(), skipped + 1
            kind = _format(name, first)
            lines = chain([first], stream)
            if kind == "parquet":
                path = source if source != "-" else stack.enter_context(_spooled(lines)).name
                yield from _parquet(path, name, rulebook)
            elif kind == "csv":
                yield from _csv(lines, name, rulebook, skipped)
            else:
                yield from _json(lines, name, skipped)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"`{name}` cannot be read: {reason}"
            raise RequestError(message, "name a file with facts, or `-` for stdin") from error


def _format(name: str, first: bytes) -> Format:
    if first.startswith(b"PAR1"):
        return "parquet"
    known = _SUFFIXES.get(Path(name).suffix.lower())
    if known is not None:
        return known
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise RequestError(f"`{name}` is empty", "facts are JSON objects, or a CSV or Parquet table")
    return "json" if start[:1] in b"{[" else "csv"


def _spooled(lines: Iterable[bytes]) -> Any:
    """What came through a pipe as a file, which Parquet needs: its index stands at the end."""
    file = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115 - the caller's stack closes it
    file.writelines(lines)
    file.flush()
    return file


def _json(lines: Iterator[bytes], name: str, skipped: int) -> Iterator[Row | BadRow]:
    """One object over any number of lines, or one object a line; `skipped` blank ones went before."""
    first = next(lines, b"")
    found = _parsed(first, f"{name}:{skipped + 1}")
    if not isinstance(found, Row) and not _closed(first):
        whole = b"".join(chain([b"\n" * skipped, first], lines))
        if not whole.strip():
            raise RequestError(f"`{name}` is empty", "facts are JSON objects, or a CSV or Parquet table")
        yield _parsed(whole, name)
        return
    yield found
    for number, line in enumerate(lines, skipped + 2):
        if line.strip():
            yield _parsed(line, f"{name}:{number}")


def _closed(line: bytes) -> bool:
    """True for a line that is an object of its own, sound or not."""
    stripped = line.strip()
    return stripped.startswith(b"{") and stripped.endswith(b"}") and stripped.count(b"{") <= stripped.count(b"}")


def _parsed(data: bytes, place: str) -> Row | BadRow:
    try:
        found = json.loads(data.rstrip().decode("utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        return BadRow(place, f"byte {error.start + 1} is not UTF-8")
    except json.JSONDecodeError as error:
        if ":" in place and place.rpartition(":")[2].isdigit():
            place = f"{place}:{error.colno}"
        else:
            place = f"{place}:{error.lineno}:{error.colno}"
        return BadRow(place, f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}")
    except _TwiceError as error:
        return BadRow(place, f"`{error}` is given twice", "keep one of them")
    except RecursionError:
        return BadRow(place, "nested too deep")
    except ValueError:
        return BadRow(place, "a number has more digits than any fact can")
    if not isinstance(found, dict):
        kind = {list: "a list", str: "a text", type(None): "null", bool: "a flag"}.get(type(found), "a number")
        return BadRow(place, f"facts are an object, not {kind}", "write one object, or one a line")
    return Row(place, found)


class _TwiceError(Exception):
    """A key that an object gives twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _TwiceError(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]  # add returns None, which is false
    return found


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a column's values go in a facts object, and what they are declared to be (None: text)."""

    path: tuple[str, ...]
    type: Type | None


def _csv(lines: Iterator[bytes], name: str, rulebook: Rulebook, skipped: int) -> Iterator[Row | BadRow]:
    texts = _Texts(lines)
    reader = csv.reader(texts, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise RequestError(
            f"{name}:{skipped + 1}: this is not CSV: {error}", "the first line names the columns"
        ) from error
    if not header:
        raise RequestError(f"`{name}` is empty", "the first line names the columns")
    columns = _columns([cell.strip() for cell in header], rulebook)
    while True:
        start = skipped + reader.line_num + 1
        texts.broken = False
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield BadRow(f"{name}:{start}", f"this is not CSV: {error}")
            continue
        if cells is None:
            return
        if not cells:
            continue
        if texts.broken:
            yield BadRow(f"{name}:{start}", "this is not UTF-8")
        elif len(cells) != len(columns):
            yield BadRow(f"{name}:{start}", f"{len(cells)} cells under {len(columns)} columns")
        else:
            values = (_cell(cell, column.type) for cell, column in zip(cells, columns, strict=True))
            yield Row(f"{name}:{start}", _assembled(columns, values))


class _Texts(Iterator[str]):
    """Lines as text; `broken` is set where bytes were not UTF-8."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._encoding = "utf-8-sig"
        self.broken = False

    def __next__(self) -> str:
        line, encoding = next(self._lines), self._encoding
        self._encoding = "utf-8"
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            self.broken = True
            return line.decode(encoding, "replace")


def _cell(text: str, kind: Type | None) -> Any:
    text = text.strip()
    if not text:
        return None
    match kind:
        case NumberType():
            return _number(text)
        case FlagType():
            return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _number(text: str) -> float | int | str:
    """The number a text gives; an integer stays one, so that one no double can hold is not rounded silently."""
    if "_" in text or len(text) > 400:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _parquet(path: str, name: str, rulebook: Rulebook) -> Iterator[Row | BadRow]:
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError:
        message = f"`{name}` is Parquet, and reading that needs the extra `replay`"
        raise RequestError(message, "pip install 'sluice-router[replay]'") from None
    # A path is a pattern to DuckDB: what has a meaning in it is put in brackets, where it has none.
    escaped = "".join(f"[{character}]" if character in "*?[" else character for character in path)
    with duckdb.connect() as connection:
        try:
            found = connection.execute("SELECT * FROM read_parquet(?)", [escaped])
            columns = _columns([str(item[0]) for item in found.description or ()], rulebook)
            number = 0
            while batch := found.fetchmany(_BATCH):
                for cells in batch:
                    number += 1
                    values = (_plain(cell) for cell in cells)
                    yield Row(f"{name}:{number}", _assembled(columns, values))
        except duckdb.Error as error:
            raise RequestError(f"`{name}` cannot be read as Parquet", str(error).splitlines()[0]) from error


def _plain(cell: Any) -> Any:
    """Timestamps as seconds since 1970 (UTC where they name no zone), decimals as the number they write."""
    if isinstance(cell, datetime):
        return (cell if cell.tzinfo else cell.replace(tzinfo=UTC)).timestamp()
    return _number(str(cell)) if isinstance(cell, Decimal) else cell


def _columns(names: Sequence[str], rulebook: Rulebook) -> list[_Column]:
    types = _types(rulebook)
    columns: list[_Column] = []
    for number, name in enumerate(names):
        if name not in types:
            message = f"column {number + 1}, `{name}`, names no fact" if name else f"column {number + 1} has no name"
            raise FactsError(message, did_you_mean(name, types, "columns are named `group.fact`, `now`, `symbol`"))
        if name in names[:number]:
            raise FactsError(f"the column `{name}` is given twice", "keep one of them")
        parts = name.split(".")
        columns.append(_Column(tuple(parts), types[name]))
    if "now" not in names:
        raise FactsError("there is no column `now`", "seconds since 1970: deciding reads no clock of its own")
    return columns


def _types(rulebook: Rulebook) -> dict[str, Type | None]:
    """Every column there may be, with its type."""
    types = dict(_MOMENT)
    read = [group for policy in rulebook.policies.values() for group in policy.groups]
    for group in [*rulebook.groups.values(), *read]:
        types[f"{group.name}.observed_at"] = _MOMENT["now"]
        types |= {f"{group.name}.{fact.name}": fact.type for fact in group.facts}
    for policy in rulebook.policies.values():
        decided = policy.types()
        types |= {f"{DECISIONS}.{policy.name}.{name}": decided[name] for name in policy.decides}
    return types


def _assembled(columns: Sequence[_Column], values: Iterable[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for column, value in zip(columns, values, strict=True):
        if value is None:
            continue
        *groups, name = column.path
        holder = facts
        for group in groups:
            holder = holder.setdefault(group, {})
        holder[name] = value
    return facts
