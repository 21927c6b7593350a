r"""One line of a journal and the event that it says.

In: an event. Out: its line, without the newline; and back. Every line that is written can be read: what JSON cannot say
is refused before it is written.

    {"type":"probe","v":1,"seq":7,"ts_ms":1723161240000,"intent_id":"i-1","symbol":"BTCUSDT"}

Within a version of the schema fields may be added with a default. So a reader passes over fields that it does not know,
and takes the default for those that a line lacks. Anything else is a new version, which older readers refuse.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, get_args

import msgspec
from msgspec import inspect

from engine.journal.events import VERSION, Event

HEAD = re.compile(rb'\{"type":"([a-z_]+)","v":%d,"seq":(\d{1,18}),' % VERSION)
"""How a line of this version begins as it is written here: the type and the seq, without decoding the rest."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class BadLineError(ValueError):
    """A line says no event: `message` says why, `help` what to do, `is_torn` whether it is not even JSON."""

    def __init__(self, message: str, help: str, *, is_torn: bool) -> None:  # noqa: A002 - findings call it help as well
        super().__init__(message)
        self.message = message
        self.help = help
        self.is_torn = is_torn


def encode(event: Event) -> bytes:
    """The line of an event, without the newline.

    Raises `ValueError` or `TypeError` where JSON cannot say it: a number that must be there and is NaN or infinite, a
    text with a lone surrogate, a value of a type that JSON lacks.
    """
    line = _encode(event)
    kind = type(event)
    if kind in _WITH_RAW:
        line = line.replace(b"\n", b" ")  # JSON has it between tokens alone
    if kind in _WITH_NUMBERS and b"null" in line:
        _decode(line)  # NaN and infinity are written as null, which is no number
    return line


def decode(line: bytes) -> Event:
    """The event of a line, with or without its newline. Raises `BadLineError`."""
    try:
        event: Event = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _why(line, error) from error
    if event.v != VERSION:
        raise _other_version(event.v)
    return event


def is_json(line: bytes) -> bool:
    """Whether a line is JSON at all: what is not was torn, by a crash or by the disk."""
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    except RecursionError:
        return True  # too deep to tell, so it is left alone
    return True


def seq_in(line: bytes) -> int:
    """The seq of a line, of whatever version and whatever else it says; 0 where it has none."""
    head = HEAD.match(line)
    if head is not None:
        return int(head[2])
    seq = _said(line).get("seq")
    return seq if isinstance(seq, int) else 0


def later_version(line: bytes) -> BadLineError | None:
    """What to say of a line that is of a later version of the schema than this; None where it is not."""
    version = _said(line).get("v")
    return _other_version(version) if isinstance(version, int) and version > VERSION else None


def tags_of(types: Collection[type[Event]]) -> frozenset[bytes]:
    """What stands as `type` in the lines of these events, in bytes."""
    return frozenset(str(cls.__struct_config__.tag).encode() for cls in types)


def _why(line: bytes, error: Exception) -> BadLineError:
    """What to say of a line that cannot be decoded."""
    if isinstance(error, RecursionError):
        return BadLineError("is nested too deep", _MEND, is_torn=False)
    if not is_json(line):
        return BadLineError("is no JSON", _MEND, is_torn=True)
    text = str(error)
    return later_version(line) or BadLineError(f"is no event: {text[:1].lower()}{text[1:]}", _MEND, is_torn=False)


def _other_version(version: int) -> BadLineError:
    return BadLineError(
        f"is of schema version {version}, and this is {VERSION}",
        "read it with the version of Sluice that wrote it, or a later one",
        is_torn=False,
    )


_MEND = "no journal is written so: take the line out of the file, and keep it beside"


def _said(line: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _leaves(kind: inspect.Type, *, may_be_null: bool = False) -> Iterator[tuple[inspect.Type, bool]]:
    """The types that a type is made of at last, each with whether null may stand in its place."""
    match kind:
        case inspect.UnionType():
            for inner in kind.types:
                yield from _leaves(inner, may_be_null=may_be_null or kind.includes_none)
        case inspect.DictType():
            yield from _leaves(kind.value_type)
        case inspect.ListType():
            yield from _leaves(kind.item_type)
        case inspect.TupleType():
            for inner in kind.item_types:
                yield from _leaves(inner)
        case inspect.StructType():
            for field in kind.fields:
                yield from _leaves(field.type)
        case _:
            yield kind, may_be_null


_LEAVES: dict[type[Event], list[tuple[inspect.Type, bool]]] = {
    cls: list(_leaves(inspect.type_info(cls))) for cls in get_args(Event)
}
_WITH_RAW = frozenset(
    cls for cls, leaves in _LEAVES.items() if any(isinstance(leaf, inspect.RawType) for leaf, _ in leaves)
)
_WITH_NUMBERS = frozenset(
    cls
    for cls, leaves in _LEAVES.items()
    if any(isinstance(leaf, inspect.FloatType) and not may_be_null for leaf, may_be_null in leaves)
)
