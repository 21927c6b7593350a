"""Who may do what: tokens, the hosts that are answered for, and sessions of browsers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.web.access import LEAST_TOKEN, Access, AccessError, Sessions, access_to, is_loopback
from tests.web.world import TOKEN, Clock


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_this_machine_alone_needs_no_token_to_read(host: str) -> None:
    access = access_to(host, None, {})
    assert not access.reading_needs_token
    assert access.token is None
    assert not access.is_token("")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "sluice.example", "127.0.0.1.example"])  # noqa: S104
def test_an_address_that_others_reach_needs_one_and_says_how_to_give_it(host: str) -> None:
    with pytest.raises(AccessError) as raised:
        access_to(host, None, {})
    assert host in raised.value.message
    assert "--token-file" in raised.value.help
    assert access_to(host, None, {"SLUICE_TOKEN": TOKEN}).reading_needs_token


def test_an_address_that_is_empty_is_none() -> None:
    with pytest.raises(AccessError, match="empty"):
        access_to("", None, {"SLUICE_TOKEN": TOKEN})


def test_the_file_comes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"  {TOKEN}\n")
    access = access_to("127.0.0.1", file, {"SLUICE_TOKEN": "another-token-of-sluice"})
    assert access.is_token(TOKEN)
    assert access.is_token(TOKEN.encode())
    assert not access.is_token("another-token-of-sluice")


@pytest.mark.parametrize(
    "held", [b"", b"short", b"x" * (LEAST_TOKEN - 1), b"two words of a token", b"\xff" * 20, "tökentökentöken".encode()]
)
def test_a_token_that_is_none_is_refused(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(held)
    with pytest.raises(AccessError) as raised:
        access_to("127.0.0.1", file, {})
    assert str(file) in raised.value.message
    assert held.decode("latin-1") not in raised.value.message or not held
    with pytest.raises(AccessError, match="no such file"):
        access_to("127.0.0.1", tmp_path / "none", {})


def test_a_token_is_never_shown() -> None:
    assert TOKEN not in repr(Access(is_loopback=True, token=TOKEN))


@given(st.text())
def test_only_the_token_is_the_token(given: str) -> None:
    assert Access(is_loopback=True, token=TOKEN).is_token(given) == (given == TOKEN)


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:7070", "127.0.0.1:1", "[::1]:7070", "10.0.0.7", "desk.example:80"]
)
def test_its_own_names_and_addresses_are_answered_for(host: str) -> None:
    assert access_to("127.0.0.1", None, {"SLUICE_TOKEN": TOKEN}, ("Desk.Example",)).answers_for(host)


@pytest.mark.parametrize("more", [{"names": ("desk.example",)}, {"proxies": ("127.0.0.1",)}, {"names": ("10.0.0.7",)}])
def test_a_name_or_a_proxy_lets_others_reach_this_machine(more: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(AccessError, match="so a token is needed") as raised:
        access_to("127.0.0.1", None, {}, **more)
    assert next(iter(more.values()))[0] in raised.value.message
    assert access_to("127.0.0.1", None, {"SLUICE_TOKEN": TOKEN}, **more).reading_needs_token
    assert not access_to("127.0.0.1", None, {}, names=("localhost", "LOCALHOST", "::1")).reading_needs_token


@pytest.mark.parametrize("proxy", ["", "*", "proxy.example", "10.0.0.0/33", "127.0.0.1,10.0.0.1"])
def test_a_proxy_is_an_address_or_a_network_and_nothing_else(proxy: str) -> None:
    with pytest.raises(AccessError, match="no address of a proxy"):
        access_to("127.0.0.1", None, {"SLUICE_TOKEN": TOKEN}, proxies=(proxy,))


@pytest.mark.parametrize(
    "host", ["", ":80", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "1"]
)
def test_names_that_somebody_else_may_have_made_are_not(host: str) -> None:
    assert not access_to("127.0.0.1", None, {}).answers_for(host)


def test_the_name_that_it_listens_at_is_its_own() -> None:
    access = access_to("desk.example", None, {"SLUICE_TOKEN": TOKEN})
    assert access.answers_for("DESK.example:7070")
    assert not access.answers_for("other.example")
    assert not is_loopback("desk.example")


def test_a_session_lasts_its_time_and_no_longer() -> None:
    clock = Clock()
    sessions = Sessions(clock, lasts_s=60)
    one, other = sessions.begin(), sessions.begin()
    assert one != other
    assert sessions.is_open(one)
    clock.now_s += 60
    assert not sessions.is_open(one)
    assert not sessions.is_open("")


def test_sessions_end_when_asked_and_when_too_many_begin() -> None:
    sessions = Sessions(Clock(), most=3)
    first, *others = [sessions.begin() for _ in range(4)]
    assert not sessions.is_open(first)
    assert all(sessions.is_open(each) for each in others)
    sessions.end(others[0])
    assert [sessions.is_open(each) for each in others] == [False, True, True]
