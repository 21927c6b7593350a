"""Limits: how often, how much, how deep, how slowly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.web.limits import (
    Buckets,
    FullError,
    Limits,
    Room,
    client_of,
    read_body,
    refuse_deep,
    refuse_doubled,
    refuse_often,
)
from engine.web.problems import ProblemError
from tests.web.world import Clock

_STEPS = st.lists(st.floats(0, 5, allow_subnormal=False), min_size=1, max_size=60)


@given(_STEPS, st.floats(0.1, 10), st.floats(1, 20))
def test_in_no_span_of_time_more_is_let_through_than_the_burst_and_the_rate(
    steps: list[float], per_s: float, burst: float
) -> None:
    clock = Clock(0.0)
    buckets = Buckets(per_s, burst, clock, 10)
    taken: list[float] = []
    for step in steps:
        clock.now_s += step
        if not buckets.take("a"):
            taken.append(clock.now_s)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + per_s * (taken[last] - taken[first]) + 1e-6


@given(st.floats(0.1, 10), st.floats(1, 5))
def test_whoever_waits_as_long_as_told_is_let_through(per_s: float, burst: float) -> None:
    clock = Clock(0.0)
    buckets = Buckets(per_s, burst, clock, 10)
    while not (wait_s := buckets.take("a")):
        pass
    assert buckets.is_empty("a")
    clock.now_s += wait_s + 1e-9
    assert not buckets.take("a")


def test_clients_are_told_apart_and_only_so_many() -> None:
    buckets = Buckets(1, 1, Clock(), 2)
    assert [bool(buckets.take(client)) for client in ("a", "b", "a", "b")] == [False, False, True, True]
    buckets.take("c")
    assert len(buckets) == 2
    assert not buckets.take("a")  # it was quiet longest, and is new again


def test_a_problem_says_how_long_to_wait() -> None:
    refuse_often(0.0)
    with pytest.raises(ProblemError) as raised:
        refuse_often(1.2)
    assert (raised.value.status, raised.value.headers) == (429, {"Retry-After": "2"})


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a:b", "a:b"),
    ],
)
def test_who_holds_a_whole_network_counts_once(host: str, client: str) -> None:
    assert client_of(host) == client


_JSON = st.recursive(
    st.none() | st.text('[]{}"\\x', max_size=6),
    lambda held: st.lists(held, max_size=3) | st.dictionaries(st.text('[{]"', max_size=4), held, max_size=3),
)


def depth_of(held: Any) -> int:
    if isinstance(held, dict):
        return 1 + max(map(depth_of, held.values()), default=0)
    return 1 + max(map(depth_of, held), default=0) if isinstance(held, list) else 0


@given(_JSON, st.integers(0, 6))
@example([[[]]], 2)
def test_json_is_refused_if_and_only_if_it_is_deeper_than_allowed(held: Any, most: int) -> None:
    body = json.dumps(held).encode()
    if depth_of(held) <= most:
        refuse_deep(body, most)
    else:
        with pytest.raises(ProblemError) as raised:
            refuse_deep(body, most)
        assert raised.value.status == 413


@given(st.binary(max_size=200))
def test_anything_at_all_can_be_looked_at(body: bytes) -> None:
    try:
        refuse_deep(body, 3)
    except ProblemError as error:
        assert error.name == "too-large"  # noqa: PT017 - or nothing is raised


class Pairs(list[Any]):
    """An object as its text has it, a name twice if it does."""


_NAMES = st.text('ab:"\\', max_size=2)
_PAIRS = st.recursive(
    st.integers(0, 9) | _NAMES,
    lambda held: st.lists(held, max_size=3) | st.lists(st.tuples(_NAMES, held), max_size=4).map(Pairs),
)


def written_out(held: Any) -> str:
    if isinstance(held, Pairs):
        return "{" + " , ".join(f"{json.dumps(name)} :{written_out(value)}" for name, value in held) + "}"
    if isinstance(held, list):
        return "[" + ",".join(map(written_out, held)) + "]"
    return json.dumps(held)


def is_doubled(held: Any) -> bool:
    if isinstance(held, Pairs):
        names = [name for name, _ in held]
        return len(set(names)) < len(names) or any(is_doubled(value) for _, value in held)
    return isinstance(held, list) and any(map(is_doubled, held))


@given(_PAIRS)
@example(Pairs([("a:", 1), ("a", 2), ("a", 3)]))
def test_json_is_refused_if_and_only_if_an_object_says_a_name_twice(held: Any) -> None:
    body = written_out(held).encode()
    try:
        refuse_doubled(body, json.loads(body))
    except ProblemError as error:
        assert (error.status, is_doubled(held)) == (422, True)  # noqa: PT017 - or nothing is raised
    else:
        assert not is_doubled(held)


class Sent:
    """A request whose content comes in parts; after the last one nothing ever comes."""

    def __init__(self, parts: Iterable[bytes], *, ends: bool = True) -> None:
        listed = list(parts)
        self.messages = [
            {"type": "http.request", "body": part, "more_body": not (ends and number == len(listed))}
            for number, part in enumerate(listed, 1)
        ]

    async def __call__(self) -> dict[str, Any]:
        if self.messages:
            return self.messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError


def read(parts: Iterable[bytes], *, announced: int | None = None, ends: bool = True, **limits: Any) -> bytes:
    headers = {} if announced is None else {b"content-length": str(announced).encode()}
    return asyncio.run(read_body(headers, Sent(parts, ends=ends), Limits(**limits)))


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8))
def test_a_content_is_put_together_up_to_its_limit(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    if len(whole) <= 20:
        assert read(parts, body_bytes=20) == whole
    else:
        with pytest.raises(ProblemError) as raised:
            read(parts, body_bytes=20)
        assert raised.value.status == 413


def test_a_content_is_refused_by_what_is_announced_and_by_what_comes() -> None:
    for parts, announced in (([], 21), ([b"x" * 21], None), ([b"x" * 21], 3), ([b"x" * 15, b"x" * 15], 0)):
        with pytest.raises(ProblemError) as raised:
            read(parts, announced=announced, body_bytes=20)
        assert raised.value.status == 413


@pytest.mark.parametrize("parts", [[], [b"a"], [b"a", b"b"]])
def test_who_never_sends_the_rest_is_not_waited_for(parts: list[bytes]) -> None:
    with pytest.raises(ProblemError) as raised:
        read(parts, ends=False, body_within_s=0.001)
    assert raised.value.status == 408


def test_who_goes_away_is_answered_with_a_problem_that_nobody_sees() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ProblemError) as raised:
        asyncio.run(read_body({}, gone, Limits()))
    assert raised.value.name == "malformed"


def test_there_is_room_for_so_many_and_it_is_given_back() -> None:
    room = Room(1)
    with room.take(), pytest.raises(FullError, match="try again"), room.take():
        pass
    with pytest.raises(ZeroDivisionError), room.take():
        raise ZeroDivisionError
    with room.take():
        pass
