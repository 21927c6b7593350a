"""Whatever is handed in as facts, a decision is made or a FactsError says what is wrong; both backends see the same."""

from __future__ import annotations

import collections
import enum
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Book, FactsError, Missing, load
from engine.backends.facts import Gap
from tests.language.test_fuzz_load import SMALL


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, Book]:
    home = tmp_path_factory.mktemp("home")
    for name, data in SMALL.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_bytes(data)
    return load("live", home), load("live", home, backend="interpreter")


class Silent:
    """Refuses to be looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]  # not hashable either

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")


class WrongRepr:
    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]  # on purpose


class BrokenFloat(float):
    def __float__(self) -> float:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        return "\ud800\n"


class BrokenInt(int):
    def __float__(self) -> float:
        raise RuntimeError


class BrokenText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = str.__hash__


class Side(str, enum.Enum):  # noqa: UP042 - the older form, whose str() is not its value
    BUY = "buy"
    UP = "up"


class Quantity(float):
    """A number with a class of its own."""


class Rows(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __init__(self, held: Mapping[str, Any]) -> None:
        self.held = held

    def __getitem__(self, key: str) -> Any:
        return self.held[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


class Broken(Rows):
    def __getitem__(self, key: str) -> Any:
        raise OSError(key)


class Endless(Rows):
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError


class Counter(dict[str, Any]):
    """A dict that makes up what it lacks."""

    def __missing__(self, key: str) -> Any:
        raise RuntimeError(key)


def nested(depth: int) -> list[Any]:
    held: list[Any] = []
    for _ in range(depth):
        held = [held]
    return held


SELF: list[Any] = []
SELF.append(SELF)

ODD = st.sampled_from(
    [
        Silent(), WrongRepr(), BrokenFloat(3.0), BrokenInt(3), BrokenText("buy"), Side.BUY, Side.UP, Quantity(2.5),
        object(), type,
        SELF, nested(3_000), Decimal(3), Decimal("NaN"), Decimal("sNaN"), Fraction(1, 2), Fraction(3), 1j, b"buy",
        bytearray(b"x"),
        10**400, -(10**5000), 2**53 + 1, 2**53, 0, 1, True, False, math.nan, math.inf, -math.inf, -0.0, 5e-324,
        1.7976931348623157e308,
        np.float64(2.5), np.float32(0.1), np.float16(2), np.longdouble(2), np.longdouble("1e4000"), np.int64(7),
        np.uint64(2**64 - 1),
        np.bool_(True), np.str_("buy"), np.bytes_(b"x"), np.array(5.0), np.array([5.0]), np.array("buy"),
        np.datetime64("NaT"),
        np.datetime64("2020-01-01"), np.ma.masked, np.void(b"x"), np.float64("nan"), np.complex128(1), np.object_(None),
        range(3), iter(()), {"missing": "stale"}, {1, 2}, (), ..., NotImplemented, "\ud800", "here", "", "1", "NaN",
        "a\nb", "ü", "x" * 9_999,
    ]
)  # fmt: skip
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["buy", "sell", "here", "low"])
)
VALUES = st.one_of(
    PLAIN,
    ODD,
    st.floats(0, 20_000),
    st.decimals(),
    st.fractions(),
    st.lists(PLAIN, max_size=2),
    st.dictionaries(st.text(max_size=2), PLAIN),
)
WRAPPED = st.sampled_from(
    [dict, dict, dict, dict, Rows, Broken, Endless, Counter, MappingProxyType, collections.OrderedDict, list]
)
STRANGE: st.SearchStrategy[Any] = st.sampled_from(
    ["", "bids", "Market", "now ", "observed_at", "\ud800", "a\nb", 1, None, 2.5, ("a",), b"bid", True, frozenset()]
)


def objects(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mappings, most with known names alone, some of an odd class."""
    fixed = st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))
    some = st.one_of(fixed, fixed, fixed, st.dictionaries(st.sampled_from(names) | STRANGE, values, max_size=4))
    return st.builds(lambda wrap, held: wrap(held), WRAPPED, some)


TIMES = st.one_of(st.just(100.0), st.just(100), st.floats(90, 110), VALUES)
GROUPS = {
    "market": objects(["observed_at", "bid", "ask", "spread_bps"], TIMES | VALUES),
    "intent": objects(["observed_at", "side", "urgent", "venue"], VALUES),
}
DECISIONS = st.fixed_dictionaries(
    {}, optional={"route": objects(["tier", "open", "offset_bps"], VALUES), "size": VALUES, "nobody": VALUES}
)
FACTS = st.one_of(
    st.builds(
        lambda wrap, held: wrap(held),
        WRAPPED,
        st.fixed_dictionaries(
            {"now": st.just(100.0) | TIMES},
            optional={
                "symbol": st.just("DOGE") | VALUES,
                "intent_id": st.text(max_size=3) | VALUES,
                "market": GROUPS["market"] | VALUES,
                "intent": GROUPS["intent"] | VALUES,
                "decisions": DECISIONS | VALUES,
            },
        ),
    ),
    st.dictionaries(STRANGE | st.sampled_from(["now", "market", "symbol"]), VALUES, max_size=3),
    VALUES,
)


def decided(book: Book, policy: str, facts: Any) -> tuple[str, str]:
    try:
        decision = book.decide(policy, facts)
        return decision.json(), decision.reason
    except FactsError as error:
        return "refused", f"{error.message} / {error.help}"


def verdict(book: Book, policy: str, facts: Any) -> tuple[Any, ...]:
    try:
        made = book.verdict(policy, facts)
    except FactsError as error:
        return ("refused", f"{error.message} / {error.help}")
    return msgspec.structs.astuple(made)


def check(books: tuple[Book, Book], facts: Any) -> None:
    compiled, interpreter = books
    for policy in ("route", "size"):
        made = decided(interpreter, policy, facts)
        assert made[1].isprintable()
        again = decided(compiled, policy, facts)
        assert again == made or again[0] == made[0] == "refused"  # of two wrong names either may be named
        direct = verdict(compiled, policy, facts)
        if made[0] != "refused":  # a verdict does not look for undeclared names beside complete facts
            decision = interpreter.decide(policy, facts)
            assert direct == (*decision.values.values(), decision.vetoes)


@settings(max_examples=700)
@given(FACTS)
def test_any_facts_are_decided_or_refused(books: tuple[Book, Book], facts: Any) -> None:
    check(books, facts)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=35_000)
@given(FACTS)
def test_any_facts_at_length(books: tuple[Book, Book], facts: Any) -> None:
    check(books, facts)


@pytest.mark.parametrize(
    ("name", "raw", "seen"),
    [
        ("bid", np.float64(2.5), 2.5),
        ("bid", np.float16(2), 2.0),
        ("bid", np.int64(7), 7.0),
        ("bid", np.array(5.0), 5.0),
        ("bid", Quantity(2.5), 2.5),
        ("bid", 3, 3.0),
        ("bid", 2**53, Missing.INVALID),  # a double, and out of range
        ("bid", True, Missing.INVALID),
        ("bid", "3", Missing.INVALID),
        ("bid", Decimal(3), Missing.INVALID),
        ("bid", Fraction(3), Missing.INVALID),
        ("bid", BrokenFloat(3.0), Missing.INVALID),
        ("bid", math.nan, Missing.INVALID),
        ("bid", None, Missing.ABSENT),
        ("urgent", np.bool_(True), True),
        ("urgent", 1, Missing.INVALID),
        ("urgent", "true", Missing.INVALID),
        ("side", Side.BUY, "buy"),
        ("side", np.str_("sell"), "sell"),
        ("side", Side.UP, Missing.INVALID),
        ("side", BrokenText("buy"), "buy"),
        ("venue", "ü", "ü"),
        ("venue", "\ud800", Missing.INVALID),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_a_raw_value_becomes(books: tuple[Book, Book], name: str, raw: Any, seen: Any) -> None:
    group = "market" if name == "bid" else "intent"
    facts = {"now": 100.0, group: {"observed_at": 100.0, name: raw}}
    for book in books:
        value = book.decide("route", facts).seen.values[group][name]
        assert (value.cause if isinstance(value, Gap) else value) == seen
        assert type(value) in (float, bool, str, Gap)
