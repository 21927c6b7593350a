"""The gate in front of the server: every request passes it, those for pages and those of their web sockets too.

In: an ASGI application and an `Access`. Out: the same application, reached only by requests that

1. do not come too often from one client,
2. name a host that this server answers for (else a page of another site could reach it by a name of its own, by DNS
   rebinding), and once,
3. do not come from a page of another site (`Origin`, `Sec-Fetch-Site`), unless somebody follows a link there,
4. carry the token where one is needed: to read on an address that others reach, or by way of a proxy, by
   `Authorization` or the cookie of a session; to write always, by `Authorization` alone.

Each answer is counted, logged with its request's id, and carries headers that keep browsers from guessing, framing,
caching and handing it to other sites. Refusals are problem details, those of what stands behind the gate too; a browser
that has no session is shown where to log in, and a web socket ends with its session.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from markupsafe import escape

from engine.web.access import Access, Sessions
from engine.web.limits import Buckets, Limits, client_of, read_body, refuse_often
from engine.web.problems import CONTENT_TYPE, KINDS, ProblemError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Answered: TypeAlias = Callable[[str, str, int, float], None]
"""Takes the pattern of a route, the method, the status, and seconds."""

COOKIE = "sluice_session"
LOGIN, LOGOUT = "/login", "/logout"
_OWN_PATH = re.compile(r"/(?![/\\])[!-~]*")
"""What no browser takes for the address of another server."""
OPEN: Final = frozenset({"/livez", "/readyz", LOGIN, LOGOUT})
"""What is answered without a token: it says nothing that a stranger must not know."""

API = "/v1/"
READING_POSTS: Final = frozenset({"/v1/decide"})
"""Requests that are posted and change nothing."""

_WIRE_OF_PAGES: Final = "/_nicegui_ws/"
"""Where pages that are open talk to the server, in a protocol of their own."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = _SAFE | {"POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"}
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_OF_ONE: Final = {"/v1/decisions/": "/v1/decisions/{decision_id}", "/v1/intents/": "/v1/intents/{intent_id}"}
"""Routes that hold an id, by what they begin with."""
_PATTERNS: Final = frozenset(
    {
        *("/v1/decide", "/v1/intents", "/v1/health", "/v1/rulebook", "/v1/openapi.json"),
        *("/livez", "/readyz", "/metrics", LOGIN, LOGOUT),
    }
)

_POLICY: Final = 1008
"""The code of a web socket that is closed because it is not allowed."""

_CROSS_ORIGIN: Final = b"access-control-"
"""Headers by which answers are handed to pages of other sites begin so: whoever sets one, it is not sent."""

_ONCE: Final = frozenset(
    {
        *(b"host", b"authorization", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"),
        *(b"content-type", b"content-encoding", b"content-length"),
    }
)
"""Headers that decide: who comes with two may mean one for us, and the other for a proxy in front."""

_OF_PROXIES: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")

# Pages bring scripts and styles of their own in the text (NiceGUI), and templates that are compiled (Vue).
_CONTENT_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
    b"base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", _CONTENT_POLICY),
)

_log = logging.getLogger(__name__)


class Guard:
    """The gate. `app` is what stands behind it."""

    def __init__(
        self,
        app: Application,
        access: Access,
        limits: Limits,
        *,
        answered: Answered = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds that never go back."""
        self.app = app
        self.access = access
        self.limits = limits
        self.sessions = Sessions(clock)
        self._answered = answered
        self._clock = clock
        self._requests = Buckets(limits.requests_per_s, limits.requests_burst, clock, limits.clients)
        self.lines = Buckets(limits.lines_per_s, limits.lines_burst, clock, limits.clients)
        """What is logged of each client that is refused: a log must not fill a disk because somebody wants it to."""
        self._failures = Buckets(limits.failures_per_s, limits.failures_burst, clock, limits.clients)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._clock()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        scope["request_id"] = request_id = _request_id(headers)
        scope["plain_headers"] = headers
        status, is_answered = 500, False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status, is_answered
            is_answered = True
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *(held for held in message.get("headers", ()) if not held[0].startswith(_CROSS_ORIGIN)),
                    *_HEADERS,
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            try:
                self._admit(scope, headers)
                if scope["path"] in (LOGIN, LOGOUT):
                    await self._log_in_or_out(scope, headers, receive, sending)
                else:
                    await self.app(_as_pages_know_it(scope), receive, _as_all_is_told(scope, headers, sending))
            except ProblemError as error:
                await self._refuse(scope, headers, error, sending)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered and logged
            status = 500
            scope["failed"] = error
            if not is_answered:
                await answer_problem(sending, nothing_there(500), request_id, with_body=scope["method"] != "HEAD")
        finally:
            self._note(scope, status, self._clock() - began)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        scope["request_id"] = _request_id(headers)
        try:
            self._admit(scope, headers)
        except ProblemError as error:
            if not self.lines.take(_client_of(scope)):
                fields = self._fields(scope) | {"status": error.status}
                _log.warning("web socket refused: %s", error.detail, extra=fields)
            await receive()  # the handshake
            await _refuse_websocket(scope, error, send)
            return
        held = _session_of(headers)
        is_closed = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            if not is_closed:  # whoever works on a page may not know yet
                await send(message)

        async def receiving() -> MutableMapping[str, Any]:
            nonlocal is_closed
            message = await receive()
            if message["type"] == "websocket.receive" and not self._may_go_on(scope, headers, held):
                is_closed = True
                await send({"type": "websocket.close", "code": _POLICY})
                return {"type": "websocket.disconnect", "code": _POLICY, "reason": ""}
            return message

        await self.app(scope, receiving, sending)

    # --- who may pass ------------------------------------------------------------------------------------------------

    def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        client = _client_of(scope)
        refuse_often(self._requests.take(client))
        if len(headers) != len(scope["headers"]):
            _refuse_twice(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not self.access.answers_for(host):
            raise ProblemError(
                "wrong-host", "the request names a host that is none of this server's", "--allow-host NAME adds one"
            )
        method = scope.get("method", "WEBSOCKET")
        if method not in _SAFE or not _is_link(headers):
            _refuse_cross_site(headers, host)
        self._ask_for_token(scope["path"], method, headers, client)

    def _ask_for_token(self, path: str, method: str, headers: dict[bytes, bytes], client: str) -> None:
        writes = method not in _SAFE and path.startswith(API) and path not in READING_POSTS
        if path in OPEN or not (writes or self._reading_needs_token(headers)):
            return
        if writes and self.access.token is None:
            raise ProblemError(
                "writes-disabled", "this server was started without a token", "start it with --token-file FILE"
            )
        if (given := _bearer(headers)) is not None:
            self.check_token(given, client)
        elif writes or not self._has_session(headers):
            raise _token_required()

    def _reading_needs_token(self, headers: dict[bytes, bytes]) -> bool:
        """Who comes by way of a proxy is not on this machine, whatever address the proxy is at."""
        return self.access.reading_needs_token or any(name in headers for name in _OF_PROXIES)

    def _may_go_on(self, scope: Scope, headers: dict[bytes, bytes], held: str | None) -> bool:
        """Whether a web socket is still allowed: who came with a session alone goes when it ends."""
        if not self._reading_needs_token(headers) or _bearer(headers) is not None:
            return True
        allowed = held is not None and self.sessions.is_open(held)
        if not allowed:
            _log.info("web socket ended with its session", extra=self._fields(scope))
        return allowed

    def check_token(self, given: str | bytes, client: str) -> None:
        """Let pass whoever has the token; others may try now and then.

        Raises:
            ProblemError: for a wrong one, and for a client that has given too many wrong ones, right or not. On
                loopback the right one passes all the same: there every program is the same client, and one that
                guesses must not keep the others out.

        """
        is_right = self.access.is_token(given)
        if self._failures.is_empty(client) and not (is_right and self.access.is_loopback):
            refuse_often(self._failures.take(client))
        if not is_right:
            self._failures.take(client)
            raise _token_required()

    def _has_session(self, headers: dict[bytes, bytes]) -> bool:
        held = _session_of(headers)
        return held is not None and self.sessions.is_open(held)

    # --- logging in --------------------------------------------------------------------------------------------------

    async def _log_in_or_out(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        allowed = "OPTIONS, POST" if path == LOGOUT else "GET, HEAD, OPTIONS, POST"
        if method == "OPTIONS":
            await answer(send, 204, b"", "", {"Allow": allowed})
        elif method not in allowed.split(", "):
            raise ProblemError("method-not-allowed", f"{method} is not allowed here", headers={"Allow": allowed})
        elif path == LOGOUT:
            if (held := _session_of(headers)) is not None:
                self.sessions.end(held)
            await _redirect(send, LOGIN, _cookie(scope, "", 0))
        elif method == "POST":
            await self._log_in(scope, headers, receive, send)
        else:
            await _page(send, 200, "", with_body=method == "GET")

    async def _log_in(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        body = (await read_body(headers, receive, self.limits)).decode("utf-8", "replace")
        try:
            form, wanted = parse_qs(body, max_num_fields=8), _wanted(scope)
        except ValueError:
            raise ProblemError("malformed", "the form has more than the token", "send `token=TOKEN` alone") from None
        given = (form.get("token") or [""])[0].strip()
        try:
            self.check_token(given, _client_of(scope))
        except ProblemError as error:
            text = "That is not the token." if error.status == 401 else f"Too many wrong tokens: {error.help}."
            await _page(send, error.status, text)
            return
        await _redirect(send, wanted, _cookie(scope, self.sessions.begin(), int(self.sessions.lasts_s)))

    # --- answers of its own ------------------------------------------------------------------------------------------

    async def _refuse(self, scope: Scope, headers: dict[bytes, bytes], error: ProblemError, send: Send) -> None:
        wants_page = b"text/html" in headers.get(b"accept", b"") and not scope["path"].startswith(API)
        if error.name == "token-required" and wants_page and scope["method"] in ("GET", "HEAD"):
            await _redirect(send, _login_for(scope))
            return
        if wants_page:
            await _problem_page(send, error, with_body=scope["method"] != "HEAD")
            return
        await answer_problem(send, error, scope["request_id"], with_body=scope["method"] != "HEAD")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path, method = scope["path"], scope["method"]
        self._answered(_pattern(path), method if method in _METHODS else "OTHER", status, seconds)
        level = (
            logging.WARNING
            if status >= 500
            else logging.INFO
            if _is_worth_a_line(path, method, status)
            else logging.DEBUG
        )
        if status >= 400 and self.lines.take(_client_of(scope)):
            return
        if _log.isEnabledFor(level):
            fields = self._fields(scope) | {"status": status, "duration_ms": round(seconds * 1000, 3)}
            _log.log(level, "request", extra=fields | scope.get("logged", {}), exc_info=scope.get("failed"))

    def _fields(self, scope: Scope) -> dict[str, Any]:
        return {
            "request_id": scope["request_id"],
            "client": scope["client"][0] if scope.get("client") else None,
            "method": scope.get("method", "WEBSOCKET"),
            "path": scope["path"][:200],
        }


async def answer(
    send: Send,
    status: int,
    body: bytes,
    content_type: str,
    headers: dict[str, str] | None = None,
    *,
    with_body: bool = True,
) -> None:
    """Send an answer whole; nothing of it is to be kept by caches."""
    listed = [(b"cache-control", b"no-store")]
    if status != 204:  # which has no content, and nothing to say of one
        listed += [(b"content-type", content_type.encode("latin-1")), (b"content-length", str(len(body)).encode())]
    if headers:
        listed += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body if with_body else b""})


async def answer_problem(send: Send, error: ProblemError, request_id: str, *, with_body: bool = True) -> None:
    """Send problem details."""
    body = msgspec.json.encode(error.problem(request_id))
    await answer(send, error.status, body, CONTENT_TYPE, dict(error.headers), with_body=with_body)


def _refuse_twice(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a request that says twice what decides."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _ONCE:
            raise ProblemError("malformed", f"the header {name.decode()} comes more than once", "send it once")
        seen.add(name)


def _is_link(headers: dict[bytes, bytes]) -> bool:
    """Whether a browser opens a page because somebody follows a link, which other sites may have."""
    return headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"


async def _refuse_websocket(scope: Scope, error: ProblemError, send: Send) -> None:
    """Refuse a handshake: with problem details where the server can, else with a bare 403."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY})
        return

    async def sending(message: MutableMapping[str, Any]) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await answer_problem(sending, error, scope["request_id"])


def _as_pages_know_it(scope: Scope) -> Scope:
    """The request for what stands behind: pages know GET, and of HEAD they would say that it is not allowed.

    `is_head` says so all the same, to who need not open a page for that.
    """
    path: str = scope["path"]
    is_shown = is_page(path) and not path.startswith(_WIRE_OF_PAGES)
    return {**scope, "method": "GET", "is_head": True} if scope["method"] == "HEAD" and is_shown else scope


def _as_all_is_told(scope: Scope, headers: dict[bytes, bytes], send: Send) -> Send:
    """Sends on what comes of the API and what is mounted beside it, as if all of it were one.

    Errors become problem details, but those that are pages for who asks for pages; a method that is not there becomes
    the methods that are, for who asks which; and HEAD has no content.
    """
    method = scope["method"]
    wants_page = b"text/html" in headers.get(b"accept", b"")
    is_told = False

    async def sending(message: MutableMapping[str, Any]) -> None:
        nonlocal is_told
        if message["type"] == "http.response.start" and message["status"] >= 400:
            answered: dict[bytes, bytes] = dict(message.get("headers", ()))
            kind = answered.get(b"content-type", b"")
            if kind.startswith(b"application/json") or (kind.startswith(b"text/html") and not wants_page):
                is_told = True
                error = nothing_there(message["status"], answered.get(b"allow"))
                if method == "OPTIONS" and error.status == 405:
                    await answer(send, 204, b"", "", dict(error.headers))
                else:
                    await answer_problem(send, error, scope["request_id"], with_body=method != "HEAD")
        elif message["type"] == "http.response.body" and method == "HEAD":
            message["body"] = b""
        if not is_told:
            await send(message)

    return sending


def nothing_there(status: int, allow: bytes | None = None) -> ProblemError:
    """What is said where what is mounted beside the API answers with an error."""
    if status == 405:
        allowed = {"OPTIONS", *(allow or b"GET").decode("latin-1").split(", ")}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        return ProblemError(
            "method-not-allowed", "that is not allowed here", headers={"Allow": ", ".join(sorted(allowed))}
        )
    if status == 422:
        return ProblemError("refused", "what the query says cannot be read")
    if status < 500:
        return ProblemError("not-found", "there is nothing at this path")
    return ProblemError("defect", "the request met a defect of the server", "its log has the trace under this id")


def _refuse_cross_site(headers: dict[bytes, bytes], host: str) -> None:
    """Refuse what a browser sends for another site's page. Programs send neither header, and need the token anyway."""
    origin = headers.get(b"origin")
    if origin is not None and not _is_same(origin.decode("latin-1"), host):
        raise ProblemError("cross-site", "the request comes from a page of another site", "ask from this server's own")
    if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
        raise ProblemError("cross-site", "the request comes from a page of another site", "ask from this server's own")


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin is the host that was asked. The scheme is not compared: a proxy may speak TLS for us.

    >>> _is_same("http://localhost:8080", "LOCALHOST:8080"), _is_same("http://localhost:9", "localhost:8080")
    (True, False)
    >>> _is_same("null", "localhost"), _is_same("https://a.example", "a.example:443")
    (False, True)
    """
    try:
        parts = urlsplit(origin)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        asked = urlsplit(f"//{host}")
        ports = parts.port or default, asked.port or default
    except ValueError:
        return False
    return (
        default is not None and parts.hostname is not None and parts.hostname == asked.hostname and ports[0] == ports[1]
    )


def _client_of(scope: Scope) -> str:
    return client_of(scope["client"][0] if scope.get("client") else None)


def _bearer(headers: dict[bytes, bytes]) -> bytes | None:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    return given.strip() if scheme.lower() == b"bearer" else None


def _session_of(headers: dict[bytes, bytes]) -> str | None:
    """The id of a session, whatever other cookies there are: those of the same host are not all ours."""
    held = None
    for cookie in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = cookie.partition("=")
        if name.strip() == COOKIE:
            held = value.strip()
    return held


def _cookie(scope: Scope, value: str, lasts_s: int) -> str:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}"


def _token_required() -> ProblemError:
    return ProblemError(
        "token-required",
        "the token of this server is missing or wrong",
        "send it as `Authorization: Bearer TOKEN`",
        headers={"WWW-Authenticate": 'Bearer realm="sluice"'},
    )


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return secrets.token_hex(8)


def _pattern(path: str) -> str:
    """The route that a path belongs to: what a path says must not become a label."""
    if path in _PATTERNS:
        return path
    for beginning, pattern in _OF_ONE.items():
        if path.startswith(beginning):
            return pattern
    return "other" if path.startswith(API) else "pages"


def is_page(path: str) -> bool:
    """Whether a path is none of the API's: a page, or a file that pages ask for."""
    return _pattern(path) == "pages"


def _is_worth_a_line(path: str, method: str, status: int) -> bool:
    return status >= 400 or (method not in _SAFE and path not in READING_POSTS and path.startswith((API, "/log")))


def _login_for(scope: Scope) -> str:
    """Where to log in, and what was asked for, which is shown then."""
    query: bytes = scope.get("query_string", b"")
    asked = scope.get("raw_path", scope["path"].encode()) + (b"?" + query if query else b"")
    return LOGIN if asked == b"/" else f"{LOGIN}?next={quote(asked, safe='/')}"


def _wanted(scope: Scope) -> str:
    """What to show after the login: a path of this server, or the first page."""
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=8).get("next", ["/"])[0]
    return asked if _OWN_PATH.fullmatch(asked) else "/"


async def _redirect(send: Send, to: str, cookie: str | None = None) -> None:
    headers = {"Location": to} if cookie is None else {"Location": to, "Set-Cookie": cookie}
    await answer(send, 303, b"", "text/plain", headers)


_PROBLEM_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice: {title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
main {{ max-width: 34rem; margin: 15vh auto; padding: 0 1rem; overflow-wrap: anywhere }}
</style>
<main>
<h1>{title}</h1>
<p role="alert">{detail}</p>
<p>{help}</p>
</main>
</html>
"""


async def _problem_page(send: Send, error: ProblemError, *, with_body: bool) -> None:
    """A problem for a browser that asks for a page."""
    title, detail, help_ = (escape(text) for text in (KINDS[error.name].title, error.detail, error.help))
    body = _PROBLEM_PAGE.format(title=title, detail=detail, help=help_).encode()
    await answer(send, error.status, body, "text/html; charset=utf-8", dict(error.headers), with_body=with_body)


_LOGIN_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice: log in</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
main {{ max-width: 22rem; margin: 15vh auto; padding: 0 1rem }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin-top: .5rem }}
</style>
<main>
<h1>Sluice</h1>
<p>This server is reached by others, so it asks for its token.</p>
<form method="post">
<label>Token <input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Log in</button>
</form>
<p role="alert">{said}</p>
</main>
</html>
"""


async def _page(send: Send, status: int, said: str, *, with_body: bool = True) -> None:
    """The page to log in; `said` is our own text."""
    body = _LOGIN_PAGE.format(said=said).encode()
    await answer(send, status, body, "text/html; charset=utf-8", with_body=with_body)
