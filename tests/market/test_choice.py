import time
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Choice, MarketError, Quote, parse_time
from tests.market.samples import START_MS, quote


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("2024-08-08T23:54:00", START_MS),
        ("2024-08-08 23:54", START_MS),
        ("2024-08-08T23:54:00Z", START_MS),
        ("2024-08-09T01:54:00+02:00", START_MS),
        ("2024-08-08T23:54:00.017", START_MS + 17),
        ("2024-08-08", START_MS - (23 * 60 + 54) * 60_000),
    ],
)
def test_times_are_iso_and_utc_unless_they_say_otherwise(
    text: str, ts_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_time(text) == ts_ms
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "yesterday", "1723161240000", "2024-13-01", "08.08.2024"])
def test_what_is_no_time_says_how_to_write_one(text: str) -> None:
    with pytest.raises(MarketError, match=r"is no time\n  write it as `2024-08-08`"):
        parse_time(text)


@pytest.mark.parametrize("length_ms", [0, -1])
def test_a_span_ends_after_it_starts(length_ms: int) -> None:
    with pytest.raises(MarketError, match="nothing lies between 2024-08-08 23:54:00 and"):
        Choice(from_ms=START_MS, to_ms=START_MS + length_ms)


def test_no_symbols_are_all_symbols() -> None:
    assert Choice().has("BTCUSDT")
    assert Choice(("BTCUSDT",)).has("BTCUSDT")
    assert not Choice(("BTCUSDT",)).has("BTCUSD")


def test_a_choice_says_its_span() -> None:
    assert str(Choice(("BTCUSDT",), START_MS, START_MS + 60_000)) == "from 2024-08-08 23:54:00 to 2024-08-08 23:55:00"
    assert str(Choice()) == ""


blocks = st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=5), max_size=5).map(
    lambda shape: list(_split(sorted(chain.from_iterable(shape)), [len(block) for block in shape]))
)


def _split(times: list[int], lengths: list[int]) -> list[list[Quote]]:
    """Quotes at these times, in blocks of these lengths."""
    rest = iter(times)
    return [[quote(next(rest)) for _ in range(length)] for length in lengths]


@given(blocks, st.none() | st.integers(0, 21), st.none() | st.integers(0, 21))
def test_a_cut_keeps_what_is_in_the_span(market: list[list[Quote]], from_ms: int | None, to_ms: int | None) -> None:
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        return
    kept = list(Choice(from_ms=from_ms, to_ms=to_ms).cut(market))
    assert all(kept)
    assert list(chain.from_iterable(kept)) == [
        event
        for event in chain.from_iterable(market)
        if (from_ms is None or event.ts_ms >= from_ms) and (to_ms is None or event.ts_ms < to_ms)
    ]


def test_what_lies_after_the_span_is_not_read() -> None:
    blocks = iter([[quote(1)], [quote(5), quote(9)], [quote(10)]])
    assert [block[0].ts_ms for block in Choice(to_ms=9).cut(blocks)] == [1, 5]
    assert next(blocks)[0].ts_ms == 10
