"""Bundles from an address: asked with the tag of the last one, verified first, tried again with patience."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from engine.language.load import read_files
from engine.reload import remote as remote_module
from engine.reload.bundle import MOST_BUNDLE_BYTES, Origin, build
from engine.reload.errors import (
    MalformedError,
    ReloadError,
    ReplayedError,
    SignatureError,
    TooLargeError,
    UnreadableBundleError,
    UnsignedError,
)
from engine.reload.last_good import Highest, LastGood
from engine.reload.pipeline import Accepted, Pipeline
from engine.reload.remote import (
    Arrived,
    BusyError,
    Failed,
    Failing,
    Fetched,
    HttpFetch,
    Polled,
    Remote,
    Same,
    Schedule,
    without_password,
)
from tests.reload.homes import PROFILE, VALUES, facts, make_home, values
from tests.reload.rule_server import Serving, rule_server
from tests.reload.signing import KEY, OTHER


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with rule_server(bundle(home, 1)) as serving:
        yield serving


def bundle(home: Path, sequence: int, *, low_bps: float = 10, key: object = KEY) -> bytes:
    (home / VALUES).write_text(values(low_bps))
    return build(read_files(home), PROFILE, Origin("Ada", 1, sequence), key=key)  # type: ignore[arg-type]


def polling(
    address: str, logs: Path, script: Callable[[Remote], Awaitable[None]], *, keys: object = (KEY.public_key(),)
) -> None:
    """Run a script against a remote whose clock stands still."""

    async def run() -> None:
        remote = Remote(address, PROFILE, LastGood(logs), keys=keys, now_ms=lambda: 5_000)  # type: ignore[arg-type]
        try:
            await script(remote)
        finally:
            await remote.aclose()

    asyncio.run(run())


def take(remote: Remote, polled: Polled, *, accepted: bool = True) -> Arrived:
    assert isinstance(polled, Arrived), polled
    remote.taken(polled, accepted=accepted)
    return polled


def test_what_arrives_is_verified_and_goes_through_the_pipeline(server: Serving, tmp_path: Path) -> None:
    async def script(remote: Remote) -> None:
        arrived = take(remote, await remote.poll())
        verdict = Pipeline(PROFILE).consider(arrived.verified.files, None)
        assert isinstance(verdict, Accepted)
        assert verdict.book.decide("routing", facts(14.0)).tier == "low"

    polling(server.address, tmp_path / "logs", script)
    good = LastGood(tmp_path / "logs").of(PROFILE)
    assert good is not None
    assert (good.sequence, good.origin, good.at_ms) == (1, server.address, 5_000)


def test_what_did_not_change_costs_an_answer_without_content(server: Serving, home: Path, tmp_path: Path) -> None:
    async def script(remote: Remote) -> None:
        assert remote.age_s() is None
        take(remote, await remote.poll())
        assert isinstance(await remote.poll(), Same)
        assert remote.age_s() == 0.0
        server.data = bundle(home, 2, low_bps=20)
        assert take(remote, await remote.poll()).verified.bundle.manifest.sequence == 2

    polling(server.address, tmp_path / "logs", script)
    assert server.answered == [200, 304, 200]
    assert server.asked[0] is None
    assert server.asked[1] == server.asked[2] is not None


def test_a_bundle_that_the_pipeline_refused_is_not_fetched_again(server: Serving, tmp_path: Path) -> None:
    async def script(remote: Remote) -> None:
        take(remote, await remote.poll(), accepted=False)
        assert isinstance(await remote.poll(), Same)

    polling(server.address, tmp_path / "logs", script)
    assert LastGood(tmp_path / "logs").of(PROFILE) is None


def _tampered(data: bytes) -> bytes:
    document = json.loads(data)
    document["content"][VALUES] = values(99)
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_tampered, SignatureError),
        (lambda data: data[:100], MalformedError),
        (lambda _: b"<html>not found</html>", MalformedError),
        (lambda _: b"", MalformedError),
        (lambda _: b" " * (MOST_BUNDLE_BYTES + 1), TooLargeError),
    ],
)
def test_what_cannot_be_verified_is_refused_and_asked_for_again(
    server: Serving, home: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], error: type[ReloadError]
) -> None:
    async def script(remote: Remote) -> None:
        take(remote, await remote.poll())
        fine = bundle(home, 2)
        server.data = spoil(fine)
        for failures in (1, 2):
            failed = await remote.poll()
            assert isinstance(failed, Failed)
            assert isinstance(failed.error, error)
            assert failed.failures == failures
        server.data = fine
        take(remote, await remote.poll())

    polling(server.address, tmp_path / "logs", script)


@pytest.mark.parametrize(("key", "error"), [(None, UnsignedError), (OTHER, SignatureError)])
def test_with_a_public_key_a_good_signature_is_required(
    server: Serving, home: Path, tmp_path: Path, key: object, error: type[ReloadError]
) -> None:
    server.data = bundle(home, 1, key=key)

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, error)

    polling(server.address, tmp_path / "logs", script)


def test_an_older_bundle_is_refused_also_after_a_restart(server: Serving, home: Path, tmp_path: Path) -> None:
    old = server.data
    server.data = bundle(home, 2, low_bps=20)

    async def first(remote: Remote) -> None:
        take(remote, await remote.poll())

    async def again(remote: Remote) -> None:
        take(remote, await remote.poll())  # the same bundle after a restart is no replay
        server.data = old
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, ReplayedError)
        server.data = bundle(home, 2, low_bps=30)
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, ReplayedError)

    polling(server.address, tmp_path / "logs", first)
    polling(server.address, tmp_path / "logs", again)
    highest = LastGood(tmp_path / "logs").highest(PROFILE)
    assert isinstance(highest, Highest)
    assert highest.sequence == 2


def test_a_memory_that_cannot_be_read_takes_nothing(server: Serving, tmp_path: Path) -> None:
    remembered = LastGood(tmp_path / "logs")
    remembered.path.parent.mkdir(parents=True)
    remembered.path.write_text("{")

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert "last_good.json" in failed.error.message

    polling(server.address, tmp_path / "logs", script)


@pytest.mark.parametrize("status", [204, 206, 304, 401, 403, 404, 429, 500, 503])
def test_any_other_answer_is_a_failure(server: Serving, tmp_path: Path, status: int) -> None:
    server.status = status

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, UnreadableBundleError)
        assert f"answers {status}" in failed.error.message

    polling(server.address, tmp_path / "logs", script)


def test_a_connection_that_breaks_is_a_failure(server: Serving, tmp_path: Path) -> None:
    server.cut_off = True

    async def script(remote: Remote) -> None:
        assert isinstance(await remote.poll(), Failed)
        server.cut_off = False
        assert isinstance(await remote.poll(), Arrived)

    polling(server.address, tmp_path / "logs", script)


def test_nobody_listening_is_a_failure(tmp_path: Path) -> None:
    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, UnreadableBundleError)

    polling("http://127.0.0.1:1/x.json", tmp_path / "logs", script)


def test_what_unpacks_to_more_than_a_bundle_is_refused(server: Serving, tmp_path: Path) -> None:
    server.data, server.is_compressed = b" " * (4 * MOST_BUNDLE_BYTES), True

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, TooLargeError)

    polling(server.address, tmp_path / "logs", script)


def test_what_never_ends_is_refused(server: Serving, tmp_path: Path) -> None:
    server.is_endless = True

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, TooLargeError)

    polling(server.address, tmp_path / "logs", script)


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "{}"])
def test_a_file_is_an_address_too(home: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / "rules.json"
    path.write_bytes(bundle(home, 1))

    async def script(remote: Remote) -> None:
        take(remote, await remote.poll())
        assert isinstance(await remote.poll(), Same)
        beside = tmp_path / "new"
        beside.write_bytes(bundle(home, 2, low_bps=20))
        beside.replace(path)
        take(remote, await remote.poll())
        path.unlink()
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert "no such file" in failed.error.message

    polling(form.format(path), tmp_path / "logs", script)


def test_other_addresses_of_fsspec_will_do(home: Path, tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/rules.json", bundle(home, 1))

    async def script(remote: Remote) -> None:
        take(remote, await remote.poll())
        assert isinstance(await remote.poll(), Same)

    polling("memory://rules.json", tmp_path / "logs", script)


@pytest.mark.parametrize("address", ["gopher://x/y", "nothing://x"])
def test_an_address_that_nobody_knows_is_said(tmp_path: Path, address: str) -> None:
    with pytest.raises(ReloadError, match="no address that can be polled"):
        Remote(address, PROFILE, LastGood(tmp_path), keys=[KEY.public_key()])


@pytest.mark.parametrize(
    "address",
    ["http://rules.example/x.json", "HTTP://rules.example/x.json", "ftp://rules.example/x", "simplecache::http://x/y"],
)
def test_without_encryption_a_public_key_is_needed(tmp_path: Path, address: str) -> None:
    with pytest.raises(ReloadError, match="not encrypted"):
        Remote(address, PROFILE, LastGood(tmp_path))


@pytest.mark.parametrize(
    ("ways", "is_taken"),
    [(["https"], True), (["https", "https"], True), (["https", "http"], False), (["https", "http", "https"], False)],
)
def test_what_came_by_an_unencrypted_way_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, ways: list[str], *, is_taken: bool
) -> None:
    class Blocks:
        async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
            yield b"{}"

    class Answers:
        """A session of aiohttp, as far as a fetch sees it, whose redirects went these ways."""

        def get(self, *_: object, **__: object) -> contextlib.AbstractAsyncContextManager[object]:
            *history, last = [SimpleNamespace(url=urlsplit(f"{way}://rules.example/x")) for way in ways]
            last.__dict__.update(history=history, status=200, headers={}, content=Blocks())
            return contextlib.nullcontext(last)

    async def session(_: HttpFetch) -> Answers:
        return Answers()

    monkeypatch.setattr(HttpFetch, "_session", session)
    fetch = HttpFetch("https://rules.example/x")
    if is_taken:
        assert asyncio.run(fetch(None)) == Fetched(b"{}", None)
        return
    with pytest.raises(UnreadableBundleError, match="not encrypted"):
        asyncio.run(fetch(None))


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    address = "http://desk:hunter2@127.0.0.1:1/x.json?token=hunter2"

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert "hunter2" not in f"{failed.error}{failed.error.help}{remote.shown}"

    polling(address, tmp_path, script)
    assert without_password("http://[bad") == "an address that is none"
    assert without_password("simplecache::https://desk:hunter2@x/y") == "simplecache::https://x/y"


@pytest.mark.parametrize(
    "leads_to", ["/prod.json?token=hunter%2F2", "gopher://desk:hunter2@x/?token=hunter2", "http://[bad?token=hunter2"]
)
def test_a_token_in_the_text_of_an_error_is_not_shown(server: Serving, tmp_path: Path, leads_to: str) -> None:
    server.status = 302
    server.headers["Location"] = leads_to

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert "hunter" not in str(failed.error)

    polling(f"{server.address}?token=hunter%2F2", tmp_path, script)


# Patience ---------------------------------------------------------------------------------------------------------


def test_waits_grow_with_failures_and_are_drawn() -> None:
    schedule, rng = Schedule(interval_s=30, first_retry_s=1, most_s=300), Random(1)
    for failures, least, most in ((0, 27, 33), (1, 0.5, 1), (2, 1, 2), (5, 8, 16), (20, 150, 300), (10_000, 150, 300)):
        waits = [schedule.wait_s(failures, rng) for _ in range(200)]
        assert least <= min(waits) < max(waits) <= most
        assert max(waits) - min(waits) > (most - least) / 2


def test_a_server_that_asks_for_time_gets_it() -> None:
    schedule, rng = Schedule(), Random(1)
    assert schedule.wait_s(1, rng, retry_after_s=120) == 120
    assert schedule.wait_s(1, rng, retry_after_s=10**9) == 3600


@pytest.mark.parametrize(
    ("told", "rests"),
    [("7", True), ("Fri, 31 Dec 9999 23:59:59 GMT", True), ("soon", False), ("Fri, 31 Dec 9999", False)],
)
def test_a_server_says_for_how_long_or_until_when(server: Serving, tmp_path: Path, told: str, *, rests: bool) -> None:
    server.status = 503
    server.headers["Retry-After"] = told

    async def script(remote: Remote) -> None:
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, BusyError) == rests
        if isinstance(failed.error, BusyError):
            assert failed.error.retry_after_s >= 7

    polling(server.address, tmp_path, script)


def test_a_bundle_that_came_ends_the_patience_with_failures(server: Serving, tmp_path: Path) -> None:
    async def script(remote: Remote) -> None:
        server.status = 503
        for failures in (1, 2):
            failed = await remote.poll()
            assert isinstance(failed, Failed)
            assert failed.failures == failures
        server.status = 200
        take(remote, await remote.poll())
        server.status = 503
        failed = await remote.poll()
        assert isinstance(failed, Failed)
        assert failed.failures == 1

    polling(server.address, tmp_path / "logs", script)


def test_a_server_that_was_asked_before_the_polls_is_not_asked_again_at_once(server: Serving, tmp_path: Path) -> None:
    server.status = 503
    server.headers["Retry-After"] = "77"
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        raise EOFError

    async def run() -> None:
        remote = Remote(server.address, PROFILE, LastGood(tmp_path), keys=[KEY.public_key()], sleep=sleep)
        assert isinstance(await remote.poll(), Failed)
        with pytest.raises(EOFError):
            await anext(aiter(remote.polls()))
        await remote.aclose()

    asyncio.run(run())
    assert (waits, len(server.asked)) == ([77], 1)


def test_polls_go_on_and_tell_what_is_new(server: Serving, home: Path, tmp_path: Path) -> None:
    waits: list[float] = []
    script: list[Callable[[], object]] = [
        lambda: None,
        lambda: setattr(server, "status", 503),
        lambda: server.headers.update({"Retry-After": "77"}),
        lambda: setattr(server, "status", 200),
        lambda: setattr(server, "data", bundle(home, 2)),
    ]

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        if not script:
            raise EOFError
        script.pop(0)()

    async def run() -> list[Polled]:
        remote = Remote(
            server.address, PROFILE, LastGood(tmp_path), keys=[KEY.public_key()], rng=Random(1), sleep=sleep
        )
        told: list[Polled] = []
        with contextlib.suppress(EOFError):
            async for polled in remote.polls():
                told.append(polled)
                if isinstance(polled, Arrived):
                    remote.taken(polled, accepted=True)
        await remote.aclose()
        return told

    told = asyncio.run(run())
    assert [type(polled) for polled in told] == [Arrived, Failed, Failed, Same, Arrived]
    assert [polled.failures for polled in told if isinstance(polled, Failed)] == [1, 2]
    assert len(waits) == 6
    assert 27 <= waits[0] <= 33
    assert 0.5 <= waits[2] <= 1
    assert waits[3] == 77
    assert 27 <= waits[4] <= 33


def test_what_an_address_fails_by_is_known_until_it_answers_again(server: Serving, tmp_path: Path) -> None:
    now_ms, seen = [1_000], list[Failing | None]()
    script: list[Callable[[], object]] = [
        lambda: setattr(server, "status", 500),
        lambda: server.headers.update({"Retry-After": "77"}),
        lambda: setattr(server, "status", 200),
        lambda: None,
    ]

    async def sleep(_: float) -> None:
        seen.append(remotes[0].failing)
        if not script:
            raise EOFError
        script.pop(0)()
        now_ms[0] += 1_000

    remotes: list[Remote] = []

    async def run() -> None:
        given = {"keys": [KEY.public_key()], "now_ms": lambda: now_ms[0], "sleep": sleep}
        remote = Remote(server.address, PROFILE, LastGood(tmp_path), **given)  # type: ignore[arg-type]
        remotes.append(remote)
        with contextlib.suppress(EOFError):
            async for polled in remote.polls():
                if isinstance(polled, Arrived):
                    remote.taken(polled, accepted=True)
        await remote.aclose()

    asyncio.run(run())
    assert [failing and (failing.since_ms, failing.times) for failing in seen] == [
        *(None, (2_000, 1), (2_000, 2), None, None)
    ]
    first, second = (failing for failing in seen if failing is not None)
    assert first.next_ms is not None
    assert 2_500 <= first.next_ms <= 3_000
    assert second.next_ms == 3_000 + 77_000
    assert "answers 500" in first.error.message
    assert remotes[0].results == {"new": 1, "failed": 2, "same": 2}


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("file:///etc/passwd", "gives nothing: it leads to file:///etc/passwd, which is no address of http: or https:"),
        ("/prod.json", "gives nothing: it leads from one address to the next without an end"),
    ],
)
def test_an_address_that_leads_nowhere_says_so(server: Serving, tmp_path: Path, location: str, told: str) -> None:
    server.status = 302
    server.headers["Location"] = location

    async def script(remote: Remote) -> None:
        polled = await remote.poll()
        assert isinstance(polled, Failed)
        assert polled.error.message.endswith(told)

    polling(server.address, tmp_path, script)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "https://127.0.0.1:1/x"])
@pytest.mark.usefixtures("server")
def test_an_address_where_nobody_is_says_so(tmp_path: Path, address: str) -> None:
    async def script(remote: Remote) -> None:
        polled = await remote.poll()
        assert isinstance(polled, Failed)
        assert polled.error.message.endswith("gives nothing: no connection to 127.0.0.1:1: connection refused")

    polling(address, tmp_path, script)


def test_an_address_that_takes_too_long_says_so(
    server: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_module, "_TIMEOUT_S", 0.05)
    server.is_silent = True

    async def script(remote: Remote) -> None:
        polled = await remote.poll()
        assert isinstance(polled, Failed)
        assert polled.error.message.endswith("gives nothing: no whole answer within 0.05 s")

    polling(server.address, tmp_path, script)


def test_an_answer_that_ends_too_early_says_so(server: Serving, tmp_path: Path) -> None:
    server.cut_off = True

    async def script(remote: Remote) -> None:
        polled = await remote.poll()
        assert isinstance(polled, Failed)
        assert polled.error.message.endswith("gives nothing: its answer ends too early, or is not packed as it says")

    polling(server.address, tmp_path, script)
