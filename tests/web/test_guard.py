"""The gate: hosts, other sites, tokens, sessions, how often; and what every answer carries."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from engine.routing.sessions.inbox import Inbox
from engine.web.access import Access
from engine.web.guard import COOKIE
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


@pytest.mark.parametrize("cookie", [f"{COOKIE}=guess", COOKIE, "=;=;", "a" * 4000, f'{COOKIE}="', "\xff\xfe"])
def test_a_cookie_of_somebody_elses_making_is_no_session(tmp_path: Path, cookie: str) -> None:
    with asking(a_web(tmp_path, access=OFF_LOOPBACK)) as client:
        assert client.get("/metrics", headers={"Cookie": cookie.encode("latin-1")}).status_code == 401


def test_other_methods_of_the_login_are_not_allowed(tmp_path: Path) -> None:
    with asking(a_web(tmp_path)) as client:
        for method, path in (("PUT", "/login"), ("GET", "/logout")):
            assert problem(client.request(method, path)) == "method-not-allowed"


# --- web sockets -----------------------------------------------------------------------------------------------------


def connect(web: Web, **headers: str) -> str:
    """Open a web socket as a browser does; what becomes of it."""
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

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
        }
        await web.guard(scope, receive, send)

    asyncio.run(run())
    return str(sent[0].get("code"))


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
