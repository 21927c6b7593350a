"""The gate: hosts, other sites, tokens, sessions, how often; and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.routing.sessions.inbox import Inbox
from engine.web.access import Access
from engine.web.guard import COOKIE, Application
from engine.web.limits import Limits
from engine.web.logs import ConsoleFormatter, JsonFormatter
from engine.web.server import Web
from tests.web.world import BEARER, OFF_LOOPBACK, TOKEN, Client, Clock, a_session, a_web, asking, problem

INTENT = {"intent_id": "a-1", "symbol": "BTCUSDT"}
DECIDE = {"policy": "routing", "facts": {"now": 1.0}}
READS = ("/v1/health", "/v1/rulebook", "/v1/openapi.json", "/metrics", "/nothing", "/v1/nothing")


# --- hosts and other sites -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:7070"])
@pytest.mark.parametrize("path", ["/livez", "/v1/rulebook", "/login", "/nothing"])
def test_a_name_that_is_none_of_ours_is_not_answered(tmp_path: Path, host: str, path: str) -> None:
    with asking(a_web(tmp_path)) as client:
        answer = client.get(path, headers={"Host": host, **BEARER})
        assert (answer.status_code, problem(answer)) == (421, "wrong-host")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "null"},
        {"Origin": "http://localhost:7070.evil.example"},
        {"Origin": "file://localhost:7070"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_another_site_makes_a_browser_send_changes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    inbox = Inbox()
    with asking(a_web(tmp_path, inbox=inbox), headers=BEARER) as client:
        for path, content in (("/v1/intents", INTENT), ("/v1/decide", DECIDE)):
            answer = client.post(path, json=content, headers=headers)
            assert (answer.status_code, problem(answer)) == (403, "cross-site")
        assert len(inbox) == 0


_ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Origin": "http://evil.example"},
]


@pytest.mark.parametrize("headers", _ELSEWHERE)
def test_a_page_of_another_site_cannot_even_make_it_work(tmp_path: Path, headers: dict[str, str]) -> None:
    with asking(a_web(tmp_path, a_session())) as client:
        for path in (*READS, f"/v1/decisions/{'0' * 24}", "/livez"):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, problem(answer)) == (403, "cross-site")


def test_a_link_on_another_site_leads_here(tmp_path: Path) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    with asking(a_web(tmp_path)) as client:
        assert client.get("/v1/rulebook", headers=followed).status_code == 200
        assert client.post("/v1/decide", json=DECIDE, headers=followed).status_code == 403


def test_whatever_stands_behind_the_gate_hands_nothing_to_other_sites(tmp_path: Path) -> None:
    async def generous(_: Any, __: Any, send: Any) -> None:
        headers = [(b"access-control-allow-origin", b"*"), (b"access-control-allow-credentials", b"true")]
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"x-mine", b"1")]})
        await send({"type": "http.response.body", "body": b""})

    web = a_web(tmp_path)
    web.guard.app = generous
    with asking(web) as client:
        held = client.get("/page").headers
        assert "x-mine" in held
        assert not [name for name in held if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["Host", "Authorization", "Origin", "Content-Type", "Sec-Fetch-Site"])
def test_what_decides_is_said_once(tmp_path: Path, name: str) -> None:
    twice = [(name, "localhost:7070"), (name, "localhost:7070")]
    with asking(a_web(tmp_path)) as client:
        answer = client.get("/livez", headers=twice)
        assert (answer.status_code, problem(answer)) == (400, "malformed")
        assert name.lower() in answer.json()["detail"]
        assert client.get("/livez", headers=[("Accept", "a/b"), ("Accept", "c/d")]).status_code == 200


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_who_comes_by_way_of_a_proxy_is_not_on_this_machine(tmp_path: Path, name: str) -> None:
    with asking(a_web(tmp_path, a_session()), headers={name: "10.0.0.7"}) as client:
        for path in READS:
            answer = client.get(path)
            assert (answer.status_code, problem(answer)) == (401, "token-required")
        assert client.get("/v1/health", headers=BEARER).status_code == 200
        assert client.get("/livez").status_code == 200


def pages(content_type: bytes = b"text/html; charset=utf-8") -> Application:
    """Pages that answer GET with the status that their path says, and take no other method."""

    async def page(scope: Any, _: Any, send: Any) -> None:
        status = int(scope["path"].rpartition("/")[2]) if scope["method"] == "GET" else 405
        kind = content_type if status >= 400 else b"text/html"
        headers = [(b"content-type", kind), (b"content-length", b"9"), (b"allow", b"GET")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"<h1>no</h"})

    return page


def test_a_page_that_says_an_error_is_for_browsers_and_programs_are_told_a_problem(tmp_path: Path) -> None:
    web = a_web(tmp_path)
    web.guard.app = pages()
    with asking(web) as client:
        for status, name in ((404, "not-found"), (405, "method-not-allowed"), (500, "defect")):
            answer = client.get(f"/{status}")
            assert (answer.status_code, problem(answer)) == (status, name)
            assert client.get(f"/{status}", headers={"Accept": "text/html"}).text == "<h1>no</h"
            assert client.request("HEAD", f"/{status}").headers["content-type"] == "application/problem+json"
        assert client.get("/405").headers["allow"] == "GET, HEAD, OPTIONS"
        assert client.get("/200").text == "<h1>no</h"


def test_an_error_in_words_of_a_framework_becomes_a_problem_for_everybody(tmp_path: Path) -> None:
    web = a_web(tmp_path)
    web.guard.app = pages(b"application/json")
    with asking(web) as client:
        for accept in ("*/*", "text/html"):
            for status, name in ((404, "not-found"), (405, "method-not-allowed"), (422, "refused"), (500, "defect")):
                answer = client.get(f"/_nicegui/{status}", headers={"Accept": accept})
                assert (answer.status_code, problem(answer)) == (status, name)


@pytest.mark.parametrize("path", ["/200", "/_nicegui/200"])
def test_a_page_that_knows_get_alone_answers_head_and_says_its_methods(tmp_path: Path, path: str) -> None:
    web = a_web(tmp_path)
    web.guard.app = pages(b"application/json")
    with asking(web) as client:
        head = client.request("HEAD", path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "9")
        options = client.request("OPTIONS", path)
        assert (options.status_code, options.content, options.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
        assert "content-type" not in options.headers
        for method in ("POST", "PUT", "DELETE", "TRACE"):
            refused = client.request(method, path)
            assert (refused.status_code, problem(refused)) == (405, "method-not-allowed")
            assert refused.headers["allow"] == "GET, HEAD, OPTIONS"


def test_the_wire_of_open_pages_is_left_alone(tmp_path: Path) -> None:
    web = a_web(tmp_path)
    web.guard.app = pages(b"text/plain")
    with asking(web) as client:
        answer = client.request("HEAD", "/_nicegui_ws/200")
        assert (answer.status_code, answer.headers["content-type"]) == (405, "text/plain")


@pytest.mark.parametrize(("path", "allow"), [("/login", "GET, HEAD, OPTIONS, POST"), ("/logout", "OPTIONS, POST")])
def test_the_pages_to_log_in_and_out_say_their_methods(tmp_path: Path, path: str, allow: str) -> None:
    with asking(a_web(tmp_path)) as client:
        options, put = client.request("OPTIONS", path), client.request("PUT", path)
        assert (options.status_code, options.headers["allow"]) == (204, allow)
        assert (put.status_code, problem(put), put.headers["allow"]) == (405, "method-not-allowed", allow)


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://localhost:7070", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_its_own_pages_and_programs_may_ask(tmp_path: Path, headers: dict[str, str]) -> None:
    with asking(a_web(tmp_path, inbox=Inbox()), headers=BEARER) as client:
        assert client.post("/v1/intents", json=INTENT, headers=headers).status_code == 202


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_on_this_machine_reading_needs_no_token_and_writing_does(tmp_path: Path) -> None:
    inbox = Inbox()
    with asking(a_web(tmp_path, a_session(), inbox=inbox)) as client:
        assert [client.get(path).status_code for path in READS] == [200, 200, 200, 200, 404, 404]
        assert client.post("/v1/decide", json=DECIDE).status_code == 200
        answer = client.post("/v1/intents", json=INTENT)
        assert (answer.status_code, problem(answer)) == (401, "token-required")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert len(inbox) == 0
        assert client.post("/v1/intents", json=INTENT, headers=BEARER).status_code == 202


def test_without_a_token_nothing_can_be_written(tmp_path: Path) -> None:
    inbox = Inbox()
    with asking(a_web(tmp_path, inbox=inbox, access=Access(is_loopback=True))) as client:
        for headers in ({}, BEARER, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
            answer = client.post("/v1/intents", json=INTENT, headers=headers)
            assert (answer.status_code, problem(answer)) == (403, "writes-disabled")
    assert len(inbox) == 0


def test_where_others_reach_it_everything_but_probes_needs_the_token(tmp_path: Path) -> None:
    with asking(a_web(tmp_path, a_session(), access=OFF_LOOPBACK, inbox=Inbox())) as client:
        for path in READS:
            answer = client.get(path)
            assert (answer.status_code, problem(answer)) == (401, "token-required")
        for path, content in (("/v1/decide", DECIDE), ("/v1/intents", INTENT)):
            assert client.post(path, json=content).status_code == 401
            assert client.post(path, json=content, headers=BEARER).status_code in (200, 202)
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/login")] == [200, 200, 200]
        assert client.get("/v1/health", headers=BEARER).status_code == 200
        assert client.get("/v1/health", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "header", [f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}"]
)
def test_anything_but_the_token_is_not_the_token(tmp_path: Path, header: str) -> None:
    with asking(a_web(tmp_path, access=OFF_LOOPBACK)) as client:
        assert client.get("/metrics", headers={"Authorization": header}).status_code == 401


def test_who_guesses_has_to_wait_even_with_the_right_one_and_others_need_not(tmp_path: Path) -> None:
    clock = Clock()
    web = a_web(tmp_path, access=OFF_LOOPBACK, clock=clock, limits=Limits(failures_per_s=0.1, failures_burst=3))
    with asking(web) as client, asking(web, address="10.0.0.9") as other:
        wrong = {"Authorization": "Bearer wrong"}
        assert [client.get("/metrics", headers=wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
        answer = client.get("/metrics", headers=BEARER)
        assert (answer.status_code, problem(answer), answer.headers["retry-after"]) == (429, "rate-limited", "10")
        assert other.get("/metrics", headers=BEARER).status_code == 200
        clock.now_s += 10
        assert client.get("/metrics", headers=BEARER).status_code == 200


def test_on_this_machine_one_program_that_guesses_does_not_keep_the_others_out(tmp_path: Path) -> None:
    web = a_web(tmp_path, clock=Clock(), limits=Limits(failures_per_s=0.1, failures_burst=3), inbox=Inbox())
    with asking(web) as client:
        wrong = {"Authorization": "Bearer wrong"}
        answers = [client.post("/v1/intents", json=INTENT, headers=wrong).status_code for _ in range(4)]
        assert answers == [401, 401, 401, 429]
        assert client.post("/v1/intents", json=INTENT, headers=BEARER).status_code == 202


def test_a_client_that_asks_too_often_has_to_wait(tmp_path: Path) -> None:
    clock = Clock()
    web = a_web(tmp_path, clock=clock, limits=Limits(requests_per_s=1, requests_burst=2))
    with asking(web) as client, asking(web, address="::1") as other:
        assert [client.get("/livez").status_code for _ in range(3)] == [200, 200, 429]
        assert other.get("/livez").status_code == 200
        clock.now_s += 1
        assert client.get("/livez").status_code == 200


# --- sessions of browsers --------------------------------------------------------------------------------------------


def log_in(client: Client, token: str = TOKEN, **headers: str) -> Any:
    return client.post("/login", data={"token": token}, headers={"Origin": "http://localhost:7070", **headers})


def test_a_browser_is_shown_where_to_log_in_and_then_may_read(tmp_path: Path) -> None:
    clock = Clock()
    with asking(a_web(tmp_path, a_session(), access=OFF_LOOPBACK, clock=clock)) as client:
        sent = client.get("/", headers={"Accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        page = client.get("/login").text
        assert 'type="password"' in page
        assert "http" not in page.replace("http-equiv", "")  # nothing is fetched from anywhere
        entered = log_in(client)
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        assert client.get("/v1/health").status_code == 200
        clock.now_s += 43_200
        assert client.get("/v1/health").status_code == 401


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("/decisions?route=taker&symbol=A%2FB", "/decisions?route=taker&symbol=A%2FB"),
        ("/rules/set/quality", "/rules/set/quality"),
        ("/", "/"),
    ],
)
def test_what_was_asked_for_is_shown_after_the_login(tmp_path: Path, asked: str, shown: str) -> None:
    with asking(a_web(tmp_path, a_session(), access=OFF_LOOPBACK)) as client:
        sent = client.get(asked, headers={"Accept": "text/html"})
        entered = client.post(sent.headers["location"], data={"token": TOKEN})
        assert (entered.status_code, entered.headers["location"]) == (303, shown)


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/a b", "", "/\n"]
)
def test_a_login_leads_to_no_other_server(tmp_path: Path, elsewhere: str) -> None:
    with asking(a_web(tmp_path, a_session(), access=OFF_LOOPBACK)) as client:
        entered = client.post("/login", params={"next": elsewhere}, data={"token": TOKEN})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")


def test_a_session_never_writes(tmp_path: Path) -> None:
    inbox = Inbox()
    with asking(a_web(tmp_path, access=OFF_LOOPBACK, inbox=inbox)) as client:
        log_in(client)
        answer = client.post("/v1/intents", json=INTENT, headers={"Origin": "http://localhost:7070"})
        assert (answer.status_code, problem(answer)) == (401, "token-required")
    assert len(inbox) == 0


def test_logging_out_ends_the_session_for_whoever_holds_its_cookie(tmp_path: Path) -> None:
    with asking(a_web(tmp_path, a_session(), access=OFF_LOOPBACK)) as client:
        held = log_in(client).headers["set-cookie"].split(";")[0]
        assert client.get("/v1/health", headers={"Cookie": held}).status_code == 200
        assert client.post("/logout", headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.post("/logout").status_code == 303
        assert client.get("/v1/health", headers={"Cookie": held}).status_code == 401


def test_a_wrong_token_and_a_login_from_another_site_give_no_session(tmp_path: Path) -> None:
    with asking(a_web(tmp_path, access=OFF_LOOPBACK)) as client:
        wrong = log_in(client, "<script>wrong</script>")
        assert wrong.status_code == 401
        assert "<script>" not in wrong.text
        assert COOKIE not in wrong.headers.get("set-cookie", "")
        assert log_in(client, Origin="http://evil.example").status_code == 403
        assert client.get("/metrics").status_code == 401


@pytest.mark.parametrize(
    "cookie", [f"{COOKIE}=guess", COOKIE, "=;=;", "a" * 4000, f'{COOKIE}="', "\xff\xfe", f"x{COOKIE}={{}}"]
)
def test_a_cookie_of_somebody_elses_making_is_no_session(tmp_path: Path, cookie: str) -> None:
    with asking(a_web(tmp_path, access=OFF_LOOPBACK)) as client:
        assert client.get("/metrics", headers={"Cookie": cookie.encode("latin-1")}).status_code == 401


@pytest.mark.parametrize(
    "other", ['a=b; {"x"}=1', "x:y=1", 'a="b; c d=1', "a=\xe9b", "=;;", "a", f"not_{COOKIE}=1", f"a={COOKIE}=1"]
)
def test_a_session_is_found_whatever_other_cookies_there_are(tmp_path: Path, other: str) -> None:
    web = a_web(tmp_path, access=OFF_LOOPBACK)
    with asking(web) as client:
        own = f"{COOKIE}={web.guard.sessions.begin()}"
        for cookie in (f"{other}; {own}", f"{own};{other}"):
            assert client.get("/metrics", headers={"Cookie": cookie.encode("latin-1")}).status_code == 200


@pytest.mark.parametrize("form", [b"&" * 10, b"a=1&" * 20 + b"token=" + TOKEN.encode()])
def test_a_form_with_more_than_a_token_is_no_login(tmp_path: Path, form: bytes) -> None:
    with asking(a_web(tmp_path)) as client:
        answer = client.post("/login", content=form)
        assert (answer.status_code, problem(answer)) == (400, "malformed")


def test_other_methods_of_the_login_are_not_allowed(tmp_path: Path) -> None:
    with asking(a_web(tmp_path)) as client:
        for method, path in (("PUT", "/login"), ("GET", "/logout")):
            assert problem(client.request(method, path)) == "method-not-allowed"


# --- web sockets -----------------------------------------------------------------------------------------------------


def connect(web: Web, **headers: str) -> str:
    """Open a web socket as a browser does; the code that it is closed with."""
    return str(talk(web, [], **headers)[0].get("code"))


def talk(web: Web, said: Sequence[str], *, extensions: Any = None, **headers: str) -> list[dict[str, Any]]:
    """Open a web socket, say something, and leave; what is sent back."""
    sent: list[dict[str, Any]] = []
    coming: Iterator[dict[str, Any]] = iter(
        [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": text} for text in said),
            {"type": "websocket.disconnect", "code": 1000},
        ]
    )

    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return next(coming)

        async def send(message: Any) -> None:
            sent.append(message)

        named = {"host": "localhost:7070", **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope = {
            "type": "websocket",
            "path": "/_nicegui_ws/socket.io",
            "raw_path": b"/_nicegui_ws/socket.io",
            "query_string": b"",
            "scheme": "ws",
            "client": ("127.0.0.1", 1),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "app": web.app,
            "extensions": extensions or {},
        }
        await web.guard(scope, receive, send)

    asyncio.run(run())
    return sent


def test_a_refused_web_socket_is_told_why_where_the_server_can(tmp_path: Path) -> None:
    sent = talk(a_web(tmp_path), [], extensions={"websocket.http.response": {}}, origin="http://evil.example")
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == 403
    assert json.loads(sent[1]["body"])["type"] == "urn:sluice:problem:cross-site"


def test_a_web_socket_ends_with_the_session_that_opened_it(tmp_path: Path) -> None:
    web, heard = a_web(tmp_path, access=OFF_LOOPBACK), []

    async def page(_: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            heard.append(message["type"].removeprefix("websocket."))
            if heard[-1] == "disconnect":
                return
            if message.get("text") == "log out":
                web.guard.sessions.end(held)
            await send({"type": "websocket.send", "text": "more"})

    web.guard.app = page
    said = ["hello", "log out", "more?"]
    held = web.guard.sessions.begin()
    sent = talk(web, said, cookie=f"{COOKIE}={held}")
    assert heard == ["connect", "receive", "receive", "disconnect"]
    assert [message["type"] for message in sent][-1] == "websocket.close"
    assert sent[-1]["code"] == 1008
    heard.clear()
    talk(web, said, authorization=f"Bearer {TOKEN}")  # who has shown the token itself has no session that ends
    assert heard == ["connect", *["receive"] * 3, "disconnect"]


def test_a_page_that_does_not_know_yet_that_its_web_socket_has_ended_is_heard_no_longer(tmp_path: Path) -> None:
    web = a_web(tmp_path, access=OFF_LOOPBACK)

    held = web.guard.sessions.begin()

    async def page(_: Any, receive: Any, send: Any) -> None:
        web.guard.sessions.end(held)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        await send({"type": "websocket.send", "text": "late"})

    web.guard.app = page
    sent = talk(web, ["hello"], cookie=f"{COOKIE}={held}")
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_a_web_socket_passes_the_same_gate(tmp_path: Path) -> None:
    passed, refused = "1000", "1008"  # where no page is mounted, the application itself closes with 1000
    local, away = a_web(tmp_path), a_web(tmp_path, access=OFF_LOOPBACK)
    assert connect(local, origin="http://localhost:7070") == passed
    assert connect(local, origin="http://evil.example") == refused
    assert connect(local, host="evil.example", origin="http://evil.example") == refused
    assert connect(away, origin="http://localhost:7070") == refused
    session = away.guard.sessions.begin()
    assert connect(away, origin="http://localhost:7070", cookie=f"{COOKIE}={session}") == passed
    assert connect(away, origin="http://evil.example", cookie=f"{COOKIE}={session}") == refused


# --- what every answer carries ---------------------------------------------------------------------------------------


def test_every_answer_keeps_browsers_from_guessing_framing_and_caching(tmp_path: Path) -> None:
    with asking(a_web(tmp_path)) as client:
        for path in ("/v1/rulebook", "/nothing", "/login", "/metrics"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "server" not in headers
            assert not [name for name in headers if name.startswith("access-control")]
        assert client.get("/v1/rulebook").headers["cache-control"] == "no-store"


def test_a_request_has_the_id_it_came_with_or_one_of_ours(tmp_path: Path) -> None:
    with asking(a_web(tmp_path)) as client:
        assert client.get("/livez", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
        ours = {
            client.get("/livez", headers={"X-Request-ID": wrong}).headers["x-request-id"]
            for wrong in ("", "a b", "x" * 65)
        }
        assert len(ours) == 3
        assert all(len(each) == 16 for each in ours)


def test_no_token_no_cookie_and_no_query_is_ever_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG, "engine"),
        asking(a_web(tmp_path, access=OFF_LOOPBACK, inbox=Inbox())) as client,
    ):
        log_in(client, "wrong-token-of-mine")
        session = log_in(client).headers["set-cookie"].partition("=")[2].partition(";")[0]
        client.get(f"/v1/health?token={TOKEN}")
        client.post("/v1/intents", json=INTENT, headers=BEARER)
        client.get("/nothing", headers={"Authorization": "Bearer wrong-token-of-mine"})
        client.get("/metrics", headers={"Host": "evil.example", **BEARER})
    assert len(caplog.records) >= 6
    for formatter in (JsonFormatter(), ConsoleFormatter()):
        text = "\n".join(formatter.format(record) for record in caplog.records)
        for secret in (TOKEN, session, "wrong-token-of-mine"):
            assert secret not in text


def test_a_log_is_not_filled_by_who_wants_it_to_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    web = a_web(tmp_path, inbox=Inbox(), limits=Limits(lines_per_s=1, lines_burst=3))
    with caplog.at_level(logging.INFO, "engine"), asking(web) as client, asking(web, address="10.0.0.9") as other:
        for _ in range(10):
            client.get("/v1/nothing")
        connect(web, origin="http://evil.example")
        assert len(caplog.records) == 3
        other.get("/v1/nothing")
        client.post("/v1/intents", json=INTENT, headers=BEARER)  # what is done is always said
        assert len(caplog.records) == 5


@pytest.mark.parametrize("path", ["/page", "/v1/health"])
def test_whatever_fails_is_a_defect_and_fills_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Behind the gate, and in the API."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if path == "/v1/health":
            await web.app(scope, receive, send)
        raise RuntimeError("a secret of the server")

    def failing(_: object) -> None:
        raise RuntimeError("a secret of the server")

    web = a_web(tmp_path, limits=Limits(lines_per_s=1, lines_burst=3))
    web.guard.app = broken
    monkeypatch.setattr(type(web.live), "health", property(failing))
    with caplog.at_level(logging.INFO), asking(web) as client:
        for _ in range(10):
            answer = client.get(path)
            assert (answer.status_code, problem(answer)) == (500, "defect")
            assert answer.headers["x-frame-options"] == "DENY"
            assert "secret" not in answer.text
    told = [record for record in caplog.records if record.exc_info]
    assert len(told) == len([record for record in caplog.records if record.name.startswith("engine")]) == 3
    assert {vars(record)["status"] for record in told} == {500}


def test_what_fails_in_the_middle_of_an_answer_is_logged_as_what_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[str] = []

    async def broken(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half of it")

    async def sending(message: Any) -> None:
        sent.append(message["type"])

    web = a_web(tmp_path)
    web.guard.app = broken
    scope = {"type": "http", "method": "GET", "path": "/page", "headers": [(b"host", b"localhost")]}
    asyncio.run(web.guard(scope, sending, sending))  # type: ignore[arg-type]  # nothing is received
    assert sent == ["http.response.start"]
    (record,) = [record for record in caplog.records if record.name == "engine.web.guard"]
    assert (vars(record)["status"], "half of it" in caplog.text) == (500, True)


def test_a_line_of_the_log_says_which_intent_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "engine"), asking(a_web(tmp_path, inbox=Inbox()), headers=BEARER) as client:
        client.get("/v1/rulebook")  # of no note
        answer = client.post("/v1/intents", json=INTENT)
    (record,) = [vars(record) for record in caplog.records if record.name == "engine.web.guard"]
    assert (record["intent_id"], record["symbol"], record["status"]) == ("a-1", "BTCUSDT", 202)
    assert record["request_id"] == answer.headers["x-request-id"]


def test_requests_are_counted_by_their_route_and_never_by_what_a_path_says(tmp_path: Path) -> None:
    web = a_web(tmp_path)
    with asking(web) as client:
        for path in ("/v1/decisions/one", "/v1/decisions/two", "/v1/else", "/page/of/mine", "/livez"):
            client.get(path)
        client.request("BREW", "/livez")
        text = client.get("/metrics").text
    counted = {line for line in text.splitlines() if line.startswith("sluice_http_requests_total")}
    assert counted == {
        'sluice_http_requests_total{method="GET",route="/v1/decisions/{decision_id}",status="422"} 2.0',
        'sluice_http_requests_total{method="GET",route="other",status="404"} 1.0',
        'sluice_http_requests_total{method="GET",route="pages",status="404"} 1.0',
        'sluice_http_requests_total{method="GET",route="/livez",status="200"} 1.0',
        'sluice_http_requests_total{method="OTHER",route="/livez",status="405"} 1.0',
    }
