"""What the server does beside answering: it follows the session's rulebook, proves it, and counts reloads."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.book import Book, load
from engine.home import HOME_FOLDERS, shipped_home
from engine.journal.events import Event, SessionEnded
from engine.reload.status import Attempt, Status, write_status
from engine.routing.evidence.rulebooks import Rulebooks
from engine.web.proving import counted, prove
from engine.web.reloads import Reloads
from engine.web.server import Listening, Web
from tests.cli.harness import HOME
from tests.routing.written import Written, shipped, started
from tests.web.world import BEARER, ListedSource, a_session, a_web


def another(tmp_path: Path) -> tuple[Path, Book]:
    """A home with one number changed, and its rulebook."""
    home = tmp_path / "home"
    for folder in HOME_FOLDERS:
        shutil.copytree(shipped_home() / folder, home / folder)
    base = home / "profiles" / "base.yaml"
    text = base.read_text(encoding="utf-8")
    changed = text.replace("quality.min_samples: 20", "quality.min_samples: 21")
    assert changed != text
    base.write_text(changed, encoding="utf-8")
    return home, load("prod", home)


def begun(book: Book, **changes: Any) -> list[Event]:
    made = msgspec.structs.replace(started(), rulebook=book.version, sources=book.rulebook.sources_digest, **changes)
    return [Written().add(made)]


def living(web: Web, until: Callable[[], bool], *, most: int = 200) -> bool:
    """Let a server live until something is so; whether it became so."""
    web.settings = replace(web.settings, look_every_s=0.001, poll_every_s=0.001)

    async def run() -> bool:
        async with web._lifespan(web.app):
            for _ in range(most):
                await asyncio.sleep(0.005)
                if until():
                    return True
        return False

    return asyncio.run(run())


def test_it_decides_by_what_the_session_decides_by(tmp_path: Path) -> None:
    home, book = another(tmp_path)
    Rulebooks(tmp_path).load(home, "prod")
    web = a_web(tmp_path, begun(book))
    assert web.live.book.version == shipped("prod").version != book.version
    assert living(web, lambda: web.live.book.version == book.version)
    assert web.live.book.backend == "compiled"


@pytest.mark.parametrize("why_not", ["not kept", "ended", "another profile", "of this process"])
def test_what_nobody_decides_by_or_can_be_shown_changes_nothing(tmp_path: Path, why_not: str) -> None:
    home, book = another(tmp_path)
    if why_not != "not kept":
        Rulebooks(tmp_path).load(home, "prod")
    events = begun(book, **({"profile": "testnet"} if why_not == "another profile" else {}))
    if why_not == "ended":
        events.append(SessionEnded(ts_ms=events[0].ts_ms, seq=2, reason="market_ended"))
    web = a_web(tmp_path, events)
    web._follows = why_not != "of this process"
    assert not living(web, lambda: web.live.book.version == book.version, most=20)


def test_events_are_followed_as_long_as_it_lives(tmp_path: Path) -> None:
    source = ListedSource()
    web = a_web(tmp_path, source=source)
    source.events.extend(a_session())
    assert living(web, lambda: web.live.health is not None)


@pytest.mark.parametrize(("peer", "asks"), [("::ffff:127.0.0.1", "10.0.0.7"), ("::ffff:127.0.0.2", "::ffff:127.0.0.2")])
def test_the_word_of_a_proxy_is_taken_through_a_socket_of_ipv6_too(tmp_path: Path, peer: str, asks: str) -> None:
    seen: list[str] = []

    async def page(scope: Any, _: Any, __: Any) -> None:
        seen.append(scope["client"][0])

    web = a_web(tmp_path)
    web.guard.app = page
    web.settings = replace(web.settings, port=0, proxies=("127.0.0.1",))
    listening = Listening(web)
    listening._socket.close()
    config = listening._server.config
    config.load()
    headers = {"Host": "localhost", "X-Forwarded-For": "10.0.0.7", **BEARER}
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/page",
        "client": (peer, 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(config.loaded_app(scope, None, None))
    assert seen == [asks]


def proved(book: Book, home: Path) -> Any:
    return asyncio.run(prove(book, home))


def test_invariants_are_proved_of_the_rulebook_that_is_asked_for_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    book = load("live", HOME)
    proofs = proved(book, HOME)
    wanted = {(name, item.id) for name, policy in book.rulebook.policies.items() for item in policy.invariants}
    assert {(proof.policy, proof.id) for proof in proofs} <= wanted
    assert len(proofs) == sum(counted(proofs).values()) > 0
    assert proved(shipped("prod"), HOME) is None  # there is no such profile
    assert proved(load("trial", HOME), shipped_home()) is None


def test_without_a_solver_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.web.proving.find_spec", lambda _: None)
    assert proved(shipped("prod"), shipped_home()) is None


def test_proofs_are_shown_with_the_rulebook_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.web import server
    from engine.web.proving import Proof

    asked: list[tuple[str, Path]] = []

    async def proving(book: Book, home: Path) -> list[Proof]:
        asked.append((book.profile, home))
        return [Proof(policy="routing", id="strict", text="…", at="policies/routing.yaml:9", status="proven", why="")]

    monkeypatch.setattr(server, "prove", proving)
    web = a_web(tmp_path)
    web._proves = shipped_home()
    assert living(web, lambda: b'sluice_proofs{state="proven"} 1.0' in web.metrics.text("")[0])
    assert asked == [("prod", shipped_home())]
    Rulebooks(tmp_path).load(shipped_home(), "testnet")
    web.live.use(shipped("testnet"))
    assert living(web, lambda: asked[-1][0] == "testnet")
    assert asked[-1][1].parent.parent == tmp_path / "rulebooks"  # the files that it was loaded from


def test_proofs_are_never_shown_of_another_rulebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds to prove one: by then another may be in force."""
    from engine.web import server
    from engine.web.proving import Proof

    web, shown = a_web(tmp_path), list[Any]()

    async def proving(book: Book, _: Path) -> list[Proof]:
        if not shown:
            shown.append(web.live.proofs)
            web.live.use(shipped("testnet"))
        else:
            await asyncio.sleep(0)
            shown.append(web.live.proofs)
        return [Proof(policy="routing", id=book.profile, text="", at="", status="refuted", why="")]

    monkeypatch.setattr(server, "prove", proving)
    web._proves = shipped_home()
    assert living(web, lambda: web.live.proofs is not None)
    assert shown == [None, None]
    assert [proof.id for proof in web.live.proofs or ()] == ["testnet"]
    web.live.use(shipped("prod"))
    assert web.live.proofs is None
    assert "sluice_proofs{" not in web.metrics.text("")[0].decode()


@pytest.mark.parametrize("fails", ["prove", "look", "compiled"])
def test_what_fails_beside_the_server_is_said_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    from engine.web import server

    home, book = another(tmp_path)
    Rulebooks(tmp_path).load(home, "prod")
    web, tried = a_web(tmp_path, begun(book)), list[str]()
    web._proves = shipped_home()

    async def nothing_proved(*_: Any) -> None:
        return None

    monkeypatch.setattr(server, "prove", nothing_proved)

    def broken(*_: Any) -> Any:
        tried.append(fails)
        web._asked = None  # as if another rulebook were in force each time
        raise OSError(24, "Too many open files")

    holder = {"prove": server, "look": web.reloads, "compiled": web.live.kept}[fails]
    monkeypatch.setattr(holder, fails, broken)
    assert living(web, lambda: len(tried) >= 3)
    assert len([record for record in caplog.records if record.name == "engine.web.server"]) == 1


def status(at_ms: int | None, verdict: str = "accepted") -> Status:
    attempt = None if at_ms is None else Attempt(at_ms=at_ms, verdict=verdict, line="said")
    return Status(
        profile="prod", version="v", sources="s", generation=0, since_ms=0, process=1, origin=".", attempt=attempt
    )


def test_each_verdict_on_a_change_is_told_once_and_old_ones_never(tmp_path: Path) -> None:
    reloads = Reloads(tmp_path)
    assert (reloads.look(), reloads.status) == (None, None)
    (tmp_path / "reload").mkdir()
    write_status(tmp_path, status(1))
    fresh = Reloads(tmp_path)
    assert (reloads.look(), fresh.look()) == ("accepted", None)
    write_status(tmp_path, status(2, "refused"))
    assert [reloads.look(), reloads.look(), fresh.look()] == ["refused", None, "refused"]
    (tmp_path / "reload" / "status.json").write_text("{")
    assert reloads.look() is None
    assert reloads.status is not None


def test_reloads_are_counted_while_it_lives(tmp_path: Path) -> None:
    (tmp_path / "reload").mkdir()
    web = a_web(tmp_path)

    def refused() -> bool:
        write_status(tmp_path, status(7, "refused"))
        return b'sluice_rulebook_reloads_total{result="refused"} 1.0' in web.metrics.text("")[0]

    assert living(web, refused)


def test_polls_of_an_address_are_counted_as_the_session_says(tmp_path: Path) -> None:
    (tmp_path / "reload").mkdir()
    web = a_web(tmp_path)

    def polled() -> bool:
        write_status(tmp_path, msgspec.structs.replace(status(7, "refused"), polls={"failed": 3}))
        text = web.metrics.text("")[0]
        return b'polls_total{result="failed"} 3.0' in text and b'polls_total{result="new"} 0.0' in text

    assert living(web, polled)
