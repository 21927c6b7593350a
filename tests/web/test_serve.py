"""The server as a process and beside a session: it listens, says who may what, ends in order, and takes intents."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from engine.home import shipped_home
from engine.journal.events import IntentReceived, IntentRefused
from engine.journal.reader import read
from engine.routing.intents import Intent
from engine.routing.sessions.source import open_market
from engine.routing.sessions.standard_input import StandardInput
from engine.routing.sessions.start import SessionOptions, open_embedded
from engine.routing.shape import SessionShape
from engine.web.access import AccessError, access_to
from engine.web.limits import Limits
from engine.web.serve import Beside, ServeOptions
from engine.web.server import Listening, Settings
from tests.cli.harness import sluice
from tests.routing.markets import hand_made, options, quote
from tests.web.world import BEARER, TOKEN, a_session, a_web, write

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`sluice serve` at a free port; the process, and where it answers."""
    process = subprocess.Popen(
        [sys.executable, "cli.py", "serve", "-p", "prod", "--port", "0", "--no-prove", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        match = re.search(r"http://[^\s\"]+", first)
        assert match, first + (process.stderr.read() if process.stderr is not None else "")
        yield process, match[0]
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """What a process that a signal ends has written, but for what was read before."""
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stderr is not None
    process.wait(30)  # a few lines fit into the pipes
    return process.stdout.read(), process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path / "journal", a_session())
    with serving("--logs", str(tmp_path)) as (process, url):
        with httpx.Client(base_url=url) as client:
            assert client.get("/livez").json() == {"status": "alive"}
            while client.get("/readyz").status_code != 200:
                pass
            assert client.get("/v1/health").json()["tick"] == 1
            assert client.get("/nothing?token=of-mine").status_code == 404
        output, errors = ended(process, number)
        assert process.returncode == 0, errors
        assert output.splitlines() == [
            "reading   everybody on this machine",
            "writing   nobody: set --token-file or SLUICE_TOKEN",
            f"journal   {tmp_path / 'journal'}",
        ]
        assert "Traceback" not in errors
        assert "of-mine" not in errors


def test_a_folder_in_which_nobody_wrote_is_named_wherever_somebody_looks(tmp_path: Path) -> None:
    """It may be a mistyped one: the session runs, and nobody watches it."""
    logs = tmp_path / "nowhere"
    with serving("--logs", str(logs)) as (process, url):
        with httpx.Client(base_url=url) as client:
            while client.get("/readyz").status_code != 200:
                pass
            assert client.get("/readyz").json() == {"status": "ready", "journal": "empty"}
            assert "sluice_journal_last_seq 0.0" in client.get("/metrics").text  # which an alert rests on
            assert f"nothing is written in {logs / 'journal'} yet" in client.get("/").text
            write(logs / "journal", a_session())
            while client.get("/readyz").json() != {"status": "ready", "journal": "followed"}:
                pass
        _, errors = ended(process, signal.SIGTERM)
    assert f"no journal is in {logs / 'journal'} yet" in errors


def test_its_log_is_json_where_asked_and_says_what_happens_from_now_on(tmp_path: Path) -> None:
    events = a_session()
    write(tmp_path / "journal", events[:-3])
    with serving("--logs", str(tmp_path), "--json", "--log-format", "json", SLUICE_TOKEN=TOKEN) as (process, url):
        with httpx.Client(base_url=url) as client:
            while client.get("/readyz").status_code != 200:
                pass
            write(tmp_path / "journal", events[-3:])
            while f"sluice_journal_last_seq {events[-1].seq}.0" not in client.get("/metrics").text:
                pass
            assert client.post("/v1/intents", json={}, headers=BEARER).status_code == 422
        _, errors = ended(process, signal.SIGTERM)
    lines = [json.loads(line) for line in errors.splitlines()]
    routes = [line for line in lines if line["logger"] == "engine.routing"]
    assert [line["intent_id"] for line in routes] == ["exit-1"]
    requests = [line for line in lines if line["message"] == "request"]
    assert [(line["path"], line["status"]) for line in requests][-1] == ("/v1/intents", 422)
    assert TOKEN not in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "so a token is needed"),  # noqa: S104 - refused
        (("--token-file", "nowhere"), "no such file"),
        (("--host", ""), "is empty"),
        (("--host", "192.0.2.1", "--token-file", "{token}"), "cannot listen on 192.0.2.1"),
        (("--logs", "{token}"), "is no folder"),
        (("--logs", "{logs}"), "journal` is no folder"),
    ],
)
def test_what_must_not_be_opened_is_refused_with_what_helps(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "journal").write_text("a file")
    given = [each.format(token=tmp_path / "token", logs=tmp_path / "logs") for each in arguments]
    result = sluice("serve", "-p", "prod", "--home", str(shipped_home()), "--port", "0", *given, cwd=tmp_path)
    assert result.exit_code == 2
    assert said in result.output
    assert "help:" in result.output
    assert TOKEN not in result.output


def test_options_of_a_server_go_with_web_alone(tmp_path: Path) -> None:
    result = sluice("run", "--port", "7070", cwd=tmp_path)
    assert result.exit_code == 2
    assert "--port goes with --web alone" in result.output


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web = a_web(tmp_path)
        web.settings = Settings(port=taken.getsockname()[1])
        with pytest.raises(AccessError, match="already in use"):
            Listening(web)


def test_it_listens_on_the_new_loopback_too(tmp_path: Path) -> None:
    web = a_web(tmp_path, access=access_to("::1", None, {}))
    web.settings = Settings(host="::1", port=0)
    listening = Listening(web)
    listening.start()
    try:
        assert listening.url.startswith("http://[::1]:")
        assert httpx.get(f"{listening.url}/livez").status_code == 200
    finally:
        listening.stop()


def test_a_proxy_of_ours_says_who_asks_and_nobody_else_does(tmp_path: Path) -> None:
    """Wrong tokens count for who gives them, and cookies are for TLS alone where the proxy speaks it."""
    forwarded = {"X-Forwarded-For": "192.0.2.1, 192.0.2.7", "X-Forwarded-Proto": "https", "Host": "desk.example"}
    for proxies in ((), ("127.0.0.1",)):
        access = access_to("127.0.0.1", None, {"SLUICE_TOKEN": TOKEN}, ("desk.example",), proxies)
        web = a_web(tmp_path, access=access, limits=Limits(failures_burst=1, failures_per_s=0.001))
        web.settings = Settings(port=0, proxies=proxies, limits=web.settings.limits)
        listening = Listening(web)
        listening.start()
        try:
            with httpx.Client(base_url=listening.url, headers=forwarded) as client:
                entered = client.post("/login", data={"token": TOKEN})
                assert ("Secure" in entered.headers["set-cookie"]) == bool(proxies)
                wrong = {"Authorization": "Bearer wrong"}
                assert [client.get("/metrics", headers=wrong).status_code for _ in range(2)] == [401, 429]
                another = {"X-Forwarded-For": "192.0.2.7, 192.0.2.8", **BEARER}
                assert client.get("/metrics", headers=another).status_code == (200 if proxies else 429)
        finally:
            listening.stop()


def test_what_is_no_http_is_answered_with_a_problem_on_a_socket(tmp_path: Path) -> None:
    web = a_web(tmp_path, limits=Limits(head_within_s=0.05))
    web.settings = replace(web.settings, port=0)
    listening = Listening(web)
    listening.start()
    try:
        address = ("127.0.0.1", int(listening.url.rpartition(":")[2]))
        for sent, status in ((b"\x16\x03\x01\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nHost: lo", b"408")):
            with socket.create_connection(address, 10) as held:
                held.sendall(sent)
                answered = b"".join(iter(lambda held=held: held.recv(4096), b""))  # type: ignore[misc] # a default binds it
            assert answered.startswith(b"HTTP/1.1 " + status)
            assert b"application/problem+json" in answered
        with socket.create_connection(address, 10) as held:
            assert held.recv(1) == b""  # who says nothing is not waited for
    finally:
        listening.stop()


def test_a_session_shows_itself_and_takes_intents_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: posted over a socket, taken by the session in its own thread, journaled, and shown again."""
    monkeypatch.setenv("SLUICE_TOKEN", TOKEN)
    nothing = tmp_path / "none.jsonl"
    nothing.write_text("")
    said: list[str] = []
    options = ServeOptions(home=shipped_home(), logs=tmp_path, port=0, prove=False)
    shape = SessionShape(seed=7, generated_s=60)
    with Beside(options, said.append) as beside:
        session = SessionOptions(
            "testnet",
            shipped_home(),
            tmp_path,
            shape,
            intents=str(nothing),
            baselines=False,
            inbox=beside.inbox,
        )
        market = open_market(shape, (), generated=True)

        async def opening(watchers, progress, standard_input):  # type: ignore[no-untyped-def]  # as `Opening` has it
            return open_embedded(session, market, watchers=watchers, progress=progress, standard_input=standard_input)

        async def run() -> None:
            running = await beside.opening(opening)((), lambda _: None, StandardInput())
            intent = {"intent_id": "api-1", "symbol": "BTCUSDT", "side": "buy", "qty": 0.01, "order_type": "market"}
            async with httpx.AsyncClient(base_url=said[0].removeprefix("listening on "), headers=BEARER) as client:
                loop, handed_in = asyncio.get_running_loop(), asyncio.Event()
                beside.inbox.wakes(lambda: loop.call_soon_threadsafe(handed_in.set))
                posting = asyncio.ensure_future(client.post("/v1/intents", json=intent))
                await handed_in.wait()
                await running.run()
                answer = await posting
                assert (answer.status_code, answer.json()["state"]) == (202, "taken")
                while (await client.get("/v1/health")).status_code != 200:
                    pass
                held = (await client.get("/v1/health")).json()
                assert held["session"]["profile"] == "testnet"
                assert (await client.post("/v1/intents", json={**intent, "intent_id": "api-2"})).status_code == 503

        asyncio.run(run())
    assert said[1:] == ["reading   everybody on this machine", "writing   who has the token"]
    (received,) = read(tmp_path / "journal", types=(IntentReceived,))
    assert isinstance(received, IntentReceived)
    assert received.intent_id == "api-1"


def test_each_intent_that_was_answered_is_in_the_journal_however_slowly_the_market_goes_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the market waits for its next event they are taken; once the session is to end, they are refused."""
    monkeypatch.setenv("SLUICE_TOKEN", TOKEN)
    nothing = tmp_path / "none.jsonl"
    nothing.write_text("")
    said: list[str] = []
    market = hand_made([quote(0, 100.0, 100.01), quote(3_600_000, 100.0, 100.01)])

    async def post(client: httpx.AsyncClient, number: int) -> httpx.Response:
        facts = {"symbol": "BTCUSDT", "side": "buy", "qty": 0.01, "order_type": "market"}
        return await client.post("/v1/intents", json={"intent_id": f"api-{number}", **facts})

    with Beside(ServeOptions(home=shipped_home(), logs=tmp_path, port=0, prove=False), said.append) as beside:
        chosen = options(tmp_path, speed=1.0, intents=str(nothing), inbox=beside.inbox)

        async def opening(watchers, progress, standard_input):  # type: ignore[no-untyped-def]  # as `Opening` has it
            return open_embedded(chosen, market, watchers=watchers, progress=progress, standard_input=standard_input)

        async def run() -> list[httpx.Response]:
            running = await beside.opening(opening)((), lambda _: None, StandardInput())
            async with httpx.AsyncClient(base_url=said[0].removeprefix("listening on "), headers=BEARER) as client:
                going = asyncio.create_task(running.run())
                first = [await post(client, number) for number in range(50)]
                assert not going.done()
                running.stop("interrupted")
                return [*first, *await asyncio.gather(*(post(client, number) for number in range(50, 80)))]

        answers = asyncio.run(run())
    assert [answer.status_code for answer in answers] == [202] * 80
    states = {answer.json()["intent_id"]: answer.json()["state"] for answer in answers}
    assert list(states.values()) == ["taken"] * 50 + ["refused"] * 30
    words: dict[str | None, str] = {}
    for word in read(tmp_path / "journal", types=(IntentReceived, IntentRefused)):
        assert isinstance(word, IntentReceived) or (isinstance(word, IntentRefused) and word.code == "too_late")
        words[word.intent_id] = "taken" if isinstance(word, IntentReceived) else "refused"
    assert words == states


def test_who_waits_when_a_session_never_runs_is_told_so(tmp_path: Path) -> None:
    with Beside(ServeOptions(home=shipped_home(), logs=tmp_path), print) as beside:
        answer = beside.inbox.hand(Intent("a-1", "BTCUSDT", {}))
        assert answer is not None
    assert answer.result() is None


MOUNTED = """
import sys
from pathlib import Path
import httpx
from nicegui import ui
from engine.book import load
from engine.home import shipped_home
from engine.web.access import access_to
from engine.web.server import Listening, Settings, Web
from engine.web.sources import JournalSource

logs = Path(sys.argv[1])
source, access = JournalSource(logs / "journal"), access_to("127.0.0.1", None, {})
web = Web(load("prod", shipped_home()), logs, source, access, Settings(port=0))

@ui.page("/")
def page():
    ui.label("a page of ours")

ui.run_with(web.app)
listening = Listening(web)
listening.start()
with httpx.Client(base_url=listening.url) as client:
    text = client.get("/", headers={"Accept": "text/html"}).text
    assert "a page of ours" in text, text
    outside = [part for part in text.split('"') if part.startswith(("http:", "https:", "//"))]
    assert outside == [], outside
    for path, status in (("/v1/nothing", 404), ("/v1/rulebook", 200), ("/livez", 200)):
        answer = client.get(path)
        assert (answer.status_code, "json" in answer.headers["content-type"]) == (status, True), path
    assert client.get("/v1/decide").status_code == 405
    head, options, put = (client.request(method, "/") for method in ("HEAD", "OPTIONS", "PUT"))
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "text/html; charset=utf-8")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    for answer in (put, client.get("/_nicegui/nothing"), client.get("/_nicegui/0/components/none/x.js")):
        assert answer.headers["content-type"] == "application/problem+json", answer.text
listening.stop()
"""


def test_pages_are_mounted_beside_the_api_and_fetch_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MOUNTED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("engine.analysis.request.find_spec", lambda _: None)
    for arguments in (("serve", "-p", "prod"), ("run", "--web", "--generated")):
        result = sluice(*arguments, "--home", str(shipped_home()), cwd=tmp_path)
        assert result.exit_code == 2
        assert "pip install 'sluice-router[web]'" in result.output
