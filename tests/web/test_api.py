"""The API: what each route answers, and that whatever is wrong is a problem with a name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.analysis.explain import explain, explanation_json
from engine.book import Book
from engine.home import shipped_home
from engine.journal.events import DUPLICATE_ID, Decided, IntentReceived, IntentRefused, Outcome
from engine.routing.evidence.costs import shortfall
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.sessions.inbox import Inbox
from engine.web.limits import Limits
from engine.web.replies import RulebookReply
from engine.web.server import Web
from tests.routing.written import BTC, NOW_MS, intent_facts, shipped, sound
from tests.web.test_pauses import moved
from tests.web.world import BEARER, Client, Clock, ListedSource, a_session, a_web, asking, problem, write

FACTS = {"now": NOW_MS / 1000, "symbol": BTC, "intent_id": "i-1", "intent": intent_facts(), **sound()}


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return a_web(tmp_path, a_session())


@pytest.fixture
def client(web: Web) -> Iterator[Client]:
    with asking(web) as made:
        yield made


def test_a_decision_is_the_record_that_the_rulebook_makes(client: Client) -> None:
    answer = client.post("/v1/decide", json={"policy": "routing", "facts": FACTS})
    assert answer.status_code == 200
    assert answer.text == shipped("prod").decide("routing", FACTS).json()


def test_a_wrong_value_is_missing_and_a_wrong_name_is_refused(client: Client) -> None:
    spoiled = {**FACTS, "market": {**(FACTS["market"]), "spread_bps": "wide"}}  # type: ignore[dict-item]
    record = client.post("/v1/decide", json={"policy": "routing", "facts": spoiled}).json()
    assert record["facts"]["market"]["spread_bps"] == {"missing": "invalid", "got": "'wide'"}
    refused = client.post("/v1/decide", json={"policy": "routing", "facts": {**FACTS, "markte": {}}})
    assert (refused.status_code, problem(refused)) == (422, "refused")
    assert "markte" in refused.json()["detail"]
    assert "market" in refused.json()["help"]


@pytest.mark.parametrize(
    ("content", "status", "name"),
    [
        (b"{", 400, "malformed"),
        (b"[1", 400, "malformed"),
        (b'{"policy": 1, ', 400, "malformed"),
        (b"", 400, "malformed"),
        (b'{"policy": "routing\xff", "facts": {}}', 400, "malformed"),
        (b"[]", 422, "refused"),
        (b'{"policy": "routing"}', 422, "refused"),
        (b'{"policy": "routing", "facts": {"now": 1}, "more": 1}', 422, "refused"),
        (b'{"policy": "routin", "facts": {"now": 1}}', 422, "refused"),
        (b'{"policy": "routing", "facts": {}}', 422, "refused"),
        (b'{"policy": "admission", "policy": "routing", "facts": {"now": 1}}', 422, "refused"),
        (b'{"policy": "routing", "facts": {"now": 1, "market": {"bid": 1, "bid" : 2}}}', 422, "refused"),
        (b'{"policy": "routing", "facts": {"now": 1, "symbol": ":", "now": 2}}', 422, "refused"),
        (b'{"policy": "routing", "facts": {"now": NaN}}', 400, "malformed"),
        (b'{"policy": "routing", "facts": {"now": -Infinity}}', 400, "malformed"),
        (b'{"policy": "routing", "facts": {"now": 1, "symbol": "\\ud800"}}', 400, "malformed"),
        (b'{"policy": "routing", "facts": {"now": ' + b"9" * 50_000 + b"}}", 422, "refused"),
        (b'{"policy": "routing", "facts": {"now": 1}} {}', 400, "malformed"),
        (b'\xef\xbb\xbf{"policy": "routing", "facts": {"now": 1}}', 400, "malformed"),
        (b'{"policy": "routing", "facts": {"now": 1e999}}', 422, "refused"),
        (b'{"policy": "routing", "facts": ' + b"[" * 400 + b"]" * 400 + b"}", 413, "too-large"),
        (b'{"policy": "' + b"x" * 70_000 + b'"}', 413, "too-large"),
    ],
)
def test_what_is_wrong_with_a_content_is_said(client: Client, content: bytes, status: int, name: str) -> None:
    answer = client.post("/v1/decide", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, problem(answer)) == (status, name), answer.text


def test_what_is_no_json_is_called_so(client: Client) -> None:
    answer = client.post("/v1/decide", content=b"{x", headers={"Content-Type": "application/json"})
    assert answer.json()["detail"].startswith("the content is no JSON: JSON is malformed: ")


def test_anything_but_json_is_refused_before_it_is_read(client: Client) -> None:
    for headers in (
        {"Content-Type": "text/plain"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        answer = client.post("/v1/decide", content=b'{"policy": "routing", "facts": {"now": 1}}', headers=headers)
        assert (answer.status_code, problem(answer)) == (415, "not-json")
    with_charset = {"Content-Type": "application/json; charset=utf-8"}
    answer = client.post("/v1/decide", content=b'{"policy": "routing", "facts": {"now": 1}}', headers=with_charset)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/", "/v1/decide/", "/v1/decisions/", "/nothing", "/v1/decisions/a/b"]
)
def test_a_path_that_is_not_there_is_a_problem(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, problem(answer)) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/decide", "OPTIONS, POST"),
        ("DELETE", "/v1/health", "GET, HEAD, OPTIONS"),
        ("PUT", "/metrics", "GET, HEAD, OPTIONS"),
        ("BREW", "/livez", "GET, HEAD, OPTIONS"),
    ],
)
def test_another_method_is_told_which_are_allowed(client: Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path, headers=BEARER)
    assert (answer.status_code, problem(answer)) == (405, "method-not-allowed")
    assert answer.headers["allow"] == allowed


def test_head_and_options_carry_no_content(client: Client) -> None:
    got, head = client.get("/livez"), client.request("HEAD", "/livez")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    options = client.request("OPTIONS", "/v1/decide")
    assert (options.status_code, options.content, options.headers["allow"]) == (204, b"", "OPTIONS, POST")
    assert not {"content-length", "content-type"} & set(options.headers)  # RFC 9110, 8.6: of a 204 there is none


def test_health_is_the_last_snapshot_whole_with_its_age(client: Client, web: Web) -> None:
    held = client.get("/v1/health").json()
    made = a_session()[-1]
    assert (held["tick"], held["seq"], held["updated_ts"]) == (1, made.seq, made.ts_ms / 1000)
    views = ("router_health", "execution_health", "nav", "positions", "risk")
    assert {held[name]["tick"] for name in views if name != "router_health"} == {held["router_health"]["tick"]} == {1}
    assert [row["symbol"] for row in held["router_health"]["symbols"]] == ["BTCUSDT", "DOGEUSDT"]
    assert (held["age_s"], held["quiet_s"]) == (0.0, 3.5)
    assert held["session"]["same_rulebook"] is True
    assert web.live.session is not None


def test_health_says_which_breakers_moved_since_its_snapshot(tmp_path: Path) -> None:
    events = a_session()
    source, at = ListedSource(events), events[-1].seq
    web = a_web(tmp_path, source=source)
    with asking(web) as client:
        assert client.get("/v1/health").json()["since"] == []
        source.events.append(moved(at + 1, "closed", "open", scope="venue"))
        web.live.poll()
        held = client.get("/v1/health").json()
    assert [(each["scope"], each["state"], each["rule"], each["seq"]) for each in held["since"]] == [
        ("venue", "open", "breaker.fallbacks", at + 1)
    ]
    assert "fallbacks_in_a_row 3 >= open_at_fallbacks 3" in held["since"][0]["reason"]
    assert (held["since"][0]["ts_ms"], held["seq"]) == (NOW_MS + 1000 * (at + 1), at)
    assert {each["state"] for each in held["router_health"]["symbols"][0]["breakers"]} == {"closed"}


def test_health_says_where_it_is_of_before(tmp_path: Path) -> None:
    """The ages in it are by the last event that was read, so they stay small for ever where nothing can be."""
    source = ListedSource(a_session())
    with asking(a_web(tmp_path, source=source)) as client:
        held = client.get("/v1/health").json()
        assert (held["failure"], held["unread_bytes"]) == (None, 0)
        source.failure = "permission denied"
        source.events.extend(a_session()[:3])
        held = client.get("/v1/health").json()
        assert (held["failure"], held["unread_bytes"]) == ("permission denied", 30)


def test_a_rulebook_is_not_told_with_what_is_known_of_the_one_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To show one takes a fifth of a second, in which another may be put in force."""
    from engine.web import api

    web, show = a_web(tmp_path, a_session()), api._shown

    def shown(book: Book, loaded_ts: float) -> RulebookReply:
        reply = show(book, loaded_ts)
        web.live.use(shipped("testnet"))
        web.live.prove(web.live.book, [])
        return reply

    monkeypatch.setattr(api, "_shown", shown)
    with asking(web) as client:
        held = client.get("/v1/rulebook").json()
    assert (held["profile"], held["session"]["same_rulebook"], held["proofs"]) == ("prod", True, None)


def test_health_without_a_snapshot_is_not_ready(tmp_path: Path) -> None:
    with asking(a_web(tmp_path)) as client:
        answer = client.get("/v1/health")
        assert (answer.status_code, problem(answer)) == (503, "not-ready")


def decision_of(events: list[Any]) -> Decided:
    return next(event for event in events if isinstance(event, Decided) and event.policy == "routing")


@pytest.mark.parametrize("at_hand", [True, False], ids=["at hand", "in the journal alone"])
def test_a_decision_of_the_journal_comes_with_its_trace(tmp_path: Path, at_hand: bool) -> None:
    Rulebooks(tmp_path).load(shipped_home(), "prod")
    events = a_session()
    write(tmp_path / "journal", events)
    event = decision_of(events)
    record = json.loads(bytes(event.record))
    with asking(a_web(tmp_path, events if at_hand else ())) as client:
        held = client.get(f"/v1/decisions/{record['decision_id']}").json()
    assert held["decision"] == record
    assert (held["seq"], held["ts_ms"], held["differs"]) == (event.seq, event.ts_ms, [])
    facts = {"now": record["now"], "symbol": BTC, "intent_id": "entry-1", **record["facts"]}
    explained = explanation_json(explain(shipped("prod"), "routing", facts))
    assert held["steps"] == json.loads(json.dumps(explained["steps"]))


def test_a_decision_that_nobody_made_or_can_make_again_is_a_problem(tmp_path: Path) -> None:
    events = a_session()
    with asking(a_web(tmp_path, events)) as client:
        nobody = client.get(f"/v1/decisions/{'0' * 24}")
        assert (nobody.status_code, problem(nobody)) == (404, "not-found")
        for wrong in ("abc", "0" * 23, "X" * 24, "%2e%2e%2f" + "0" * 24):
            answer = client.get(f"/v1/decisions/{wrong}")
            assert answer.status_code in (404, 422), wrong
            problem(answer)
        decision_id = json.loads(bytes(decision_of(events).record))["decision_id"]
        lost = client.get(f"/v1/decisions/{decision_id}")  # its rulebook was not kept
        assert (lost.status_code, problem(lost)) == (422, "refused")
        assert "was not kept" in lost.json()["detail"]


def test_searches_of_pages_and_of_the_api_are_bounded_together(tmp_path: Path) -> None:
    web = a_web(tmp_path, limits=Limits(searches_at_once=1))
    with asking(web) as client:
        with web.api.searches.take():  # as a page does that looks for another
            assert problem(client.get(f"/v1/decisions/{'0' * 24}")) == "rate-limited"
        assert problem(client.get(f"/v1/decisions/{'0' * 24}")) == "not-found"


def test_searches_at_once_are_bounded(tmp_path: Path) -> None:
    with asking(a_web(tmp_path, limits=Limits(searches_at_once=0))) as client:
        answer = client.get(f"/v1/decisions/{'0' * 24}")
        assert (answer.status_code, problem(answer)) == (429, "rate-limited")
        assert answer.headers["retry-after"] == "1"


def test_the_rulebook_is_shown_with_rules_values_facts_and_where_all_of_it_stands(client: Client) -> None:
    held, book = client.get("/v1/rulebook").json(), shipped("prod")
    assert (held["profile"], held["version"], held["sources"]) == ("prod", book.version, book.rulebook.sources_digest)
    assert [policy["name"] for policy in held["overview"]["policies"]] == list(book.policies)
    rules = {rule["name"]: rule for rule in held["rules"]}
    wanted = {
        rule.full_id for policy in book.rulebook.policies.values() for step in policy.steps for rule in step.rules
    }
    assert rules.keys() == wanted
    assert rules["quality.broken"]["at"].startswith("rules/quality.yaml:")
    assert {value["name"] for value in held["values"]} == set(book.rulebook.declarations)
    assert {group["name"] for group in held["groups"]} == set(book.rulebook.groups)
    assert held["proofs"] is None


def test_another_rulebook_is_shown_and_decides_as_soon_as_it_is_in_force(client: Client, web: Web) -> None:
    before = client.get("/v1/rulebook").json()["version"]
    described = client.get("/v1/openapi.json").json()["info"]["description"]
    web.live.use(shipped("testnet"))
    held = client.get("/v1/rulebook").json()
    assert (held["profile"], held["session"]["same_rulebook"]) == ("testnet", False)
    assert held["version"] != before
    assert client.get("/v1/openapi.json").json()["info"]["description"] != described
    record = client.post("/v1/decide", json={"policy": "routing", "facts": FACTS}).json()
    assert record["profile"] == "testnet"


def test_probes_say_alive_at_once_and_ready_when_the_journal_was_read(tmp_path: Path) -> None:
    web = a_web(tmp_path)
    with asking(web) as client:
        web.live.is_caught_up = False
        assert client.get("/livez").json() == {"status": "alive"}
        answer = client.get("/readyz")
        assert (answer.status_code, problem(answer)) == (503, "not-ready")
        web.live.poll()
        assert client.get("/readyz").json() == {"status": "ready", "journal": "empty"}


def test_who_cannot_know_what_happens_is_not_ready(tmp_path: Path) -> None:
    source = ListedSource(a_session())
    web = a_web(tmp_path, source=source, limits=Limits(unread_bytes=99))
    with asking(web) as client:

        def why() -> str | None:
            answer = client.get("/readyz")
            if answer.status_code == 200:
                return None
            assert (answer.status_code, problem(answer), answer.headers["retry-after"]) == (503, "not-ready", "1")
            return str(answer.json()["detail"])

        assert why() is None
        source.failure = "permission denied"
        assert why() == "the journal cannot be followed: permission denied"
        source.failure = None
        source.events.extend(a_session()[:10])
        assert why() == "more than 99 bytes of the journal are not read yet"
        source.events.pop()
        assert why() is None


def test_what_became_of_an_intent_is_told(tmp_path: Path) -> None:
    source, inbox = ListedSource(a_session()), Inbox()
    web = a_web(tmp_path, source=source, inbox=inbox)
    with asking(web, headers=BEARER) as client:

        def became(intent_id: str) -> dict[str, Any]:
            answer = client.get(f"/v1/intents/{intent_id}")
            assert answer.status_code == 200, answer.text
            return answer.json()  # type: ignore[no-any-return]

        rested = became("entry-1")
        assert (rested["state"], rested["refused"]) == ("ended", None)
        assert [each["route"] for each in rested["routes"]] == ["maker"]
        assert (rested["ended"]["result"], rested["ended"]["filled"]) == ("filled", rested["ended"]["target"])
        assert rested["ended"]["value_usd"] == pytest.approx(float(rested["ended"]["filled"]) * 100, rel=0.01)
        whole = next(event for event in a_session() if isinstance(event, Outcome) and event.intent_id == "entry-1")
        assert (rested["ended"]["cost_usd"], rested["ended"]["cost_bps"]) == (
            shortfall(whole).total_usd,
            shortfall(whole).total_bps,
        )
        assert abs(rested["ended"]["cost_usd"]) < 0.01 * rested["ended"]["value_usd"]
        assert rested["decisions"][-1] == rested["routes"][0]["decision_id"]
        crossed = became("exit-1")
        assert (crossed["state"], crossed["ended"]) == ("working", None)
        assert crossed["routes"][0]["vetoes"][0] == "hard_gates.reduce_only"

        assert client.post("/v1/intents", json={"intent_id": "desk/1", "symbol": BTC}).status_code == 202
        assert became("desk/1") == {
            "intent_id": "desk/1",
            "state": "handed",
            "refused": None,
            "routes": [],
            "ended": None,
            "decisions": [],
        }
        nowhere = IntentRefused(ts_ms=NOW_MS, intent_id="desk/1", code="unknown_symbol", reason="no such", received="")
        again = IntentRefused(ts_ms=NOW_MS, intent_id="exit-1", code=DUPLICATE_ID, reason="taken", received="")
        source.events.extend(replace(event, seq=10**6 + number) for number, event in enumerate((nowhere, again)))
        web.live.poll()
        assert (became("desk/1")["state"], became("desk/1")["refused"]) == ("refused", "no such")
        assert became("exit-1") == crossed

        first, *rest = web.live._now.stories["exit-1"]
        assert isinstance(first, IntentReceived)
        web.live._now.stories["exit-1"] = rest  # it began before what was read
        assert became("exit-1")["state"] == "working"

        web.live._now.stories.clear()  # as if ten thousand came since
        for intent_id in ("nobody", "entry-1"):
            unknown = client.get(f"/v1/intents/{intent_id}")
            assert (unknown.status_code, problem(unknown)) == (404, "not-found")


def test_no_intent_is_taken_before_it_is_known_which_were(tmp_path: Path) -> None:
    inbox, source = Inbox(), ListedSource(a_session(), old=1)
    web = a_web(tmp_path, inbox=inbox)
    web.live.is_caught_up = False
    with asking(web, headers=BEARER) as client:
        intent = {"intent_id": "entry-1", "symbol": BTC}
        answer = client.post("/v1/intents", json=intent)
        assert (answer.status_code, problem(answer), answer.headers["retry-after"]) == (503, "not-ready", "1")
        web.live._source = source
        web.live.poll()
        answer = client.post("/v1/intents", json=intent)
        assert (answer.status_code, problem(answer)) == (409, "conflict")
        again = client.post(
            "/v1/intents",
            content=b'{"intent_id": "n-1", "intent_id": "n-2", "symbol": "BTCUSDT"}',
            headers={"Content-Type": "application/json"},
        )
        assert (again.status_code, problem(again)) == (422, "refused")
    assert len(inbox) == 0


def test_a_defect_is_answered_with_nothing_of_what_it_was(
    client: Client, web: Web, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(type(web.live), "health", property(lambda _: broken()))
    answer = client.get("/v1/health")
    assert (answer.status_code, problem(answer)) == (500, "defect")
    assert "secret" not in answer.text
    assert "a secret of the server" in caplog.text
    assert answer.headers["x-request-id"] in {getattr(record, "request_id", "") for record in caplog.records}


def test_who_asks_for_metrics_all_the_time_keeps_nobody_else_from_being_answered(tmp_path: Path) -> None:
    clock = Clock()
    web = a_web(tmp_path, clock=clock, limits=Limits(metrics_every_s=2.0))
    with asking(web) as client:

        def requests(accept: str) -> list[str]:
            text = client.get("/metrics", headers={"Accept": accept}).text
            return [line for line in text.splitlines() if line.startswith("sluice_http_requests_total")]

        assert requests("*/*") == []
        clock.now_s += 1.5
        assert requests("text/plain") == requests("text/plain; version=1.0.0; escaping=dots") == []
        clock.now_s += 0.5
        assert len(requests("*/*")) == 1


@pytest.mark.parametrize("version", ["a", "", "9", "1.0.0;q=x", "0.0.1;escaping=allow-utf-8", '"'])
def test_a_form_of_metrics_that_nobody_knows_is_one_that_somebody_does(client: Client, version: str) -> None:
    for form in ("application/openmetrics-text", "text/plain"):
        answer = client.get("/metrics", headers={"Accept": f"{form};version={version}"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(form)


def test_metrics_are_given_in_the_form_that_is_asked_for(client: Client) -> None:
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert 'sluice_routes_total{event="decision",profile="prod",route="maker",rule="none"} 1.0' in plain.text
    opened = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")
