"""Any event there can be, from its type: whoever adds a field or an event adds it here as well, without a word."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from engine.journal.events import Event
from tests.journal.samples import DAY, at

EVENTS: tuple[type[Event], ...] = get_args(Event)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
"""Lone surrogates cannot be written as UTF-8."""

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXTS
"""What stands where anything may stand, such as facts."""

VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
RAWS = OBJECTS.map(lambda held: msgspec.Raw(msgspec.json.encode(held)))
MOMENTS = st.integers(at(DAY), at(DAY + 3))


def events(*types: type[Event]) -> st.SearchStrategy[Any]:
    """Events of these types, or of all, not numbered yet."""
    return st.one_of([_BY_TYPE[cls] for cls in types or EVENTS])


def _structs(cls: type) -> st.SearchStrategy[Any]:
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    fields = {field.name: _values(field.type) for field in kind.fields if field.name not in ("v", "seq", "ts_ms")}
    return st.builds(cls, ts_ms=MOMENTS, **fields)


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(-(2**63), 2**63 - 1)
        case inspect.FloatType():
            return FLOATS
        case inspect.DecimalType():
            return DECIMALS
        case inspect.StrType():
            return TEXTS
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.RawType():
            return RAWS
        case inspect.AnyType():
            return VALUES
        case inspect.UnionType():
            return st.one_of([_values(inner) for inner in kind.types])
        case inspect.ListType():
            return st.lists(_values(kind.item_type), max_size=3)
        case inspect.TupleType():
            return st.tuples(*(_values(inner) for inner in kind.item_types))
        case inspect.DictType():
            return st.dictionaries(_values(kind.key_type), _values(kind.value_type), max_size=3)
        case inspect.StructType():
            return _structs(kind.cls)
        case _:
            raise NotImplementedError(f"say here how a {type(kind).__name__} is drawn")


_BY_TYPE = {cls: _structs(cls) for cls in EVENTS}
