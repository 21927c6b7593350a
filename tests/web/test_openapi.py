"""The OpenAPI document: sound, complete, and about the rulebook in force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from engine.home import shipped_home
from engine.journal.events import Decided
from engine.language.types import ChoiceType, NumberType
from engine.routing.evidence.rulebooks import Rulebooks
from engine.web.kept import decision_id_of
from engine.web.openapi import document
from engine.web.problems import KINDS
from tests.routing.written import BTC, NOW_MS, intent_facts, shipped, sound
from tests.web.test_api import FACTS
from tests.web.world import BEARER, Client, a_session, a_web, asking


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return json.loads(json.dumps(document(shipped("testnet").rulebook)))  # type: ignore[no-any-return]


def references(held: Any) -> Iterator[str]:
    if isinstance(held, dict):
        if isinstance(held.get("$ref"), str):
            yield held["$ref"]
        for inner in held.values():
            yield from references(inner)
    elif isinstance(held, list):
        for inner in held:
            yield from references(inner)


def validator(made: dict[str, Any], name: str) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource("urn:api", Resource.opaque(made))
    return Draft202012Validator({"$ref": f"urn:api#/components/schemas/{name}"}, registry=registry)


def test_every_schema_is_sound_and_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    schemas = made["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert {each.removeprefix("#/components/schemas/") for each in references(made)} <= schemas.keys()
    names = [
        operation["operationId"]
        for path in made["paths"].values()
        for key, operation in path.items()
        if key != "parameters"
    ]
    assert len(names) == len(set(names))


def test_every_route_of_the_api_is_described(made: dict[str, Any], tmp_path: Path) -> None:
    routes = set(a_web(tmp_path).api.routes()) - {"/v1/{rest:path}", "/v1/openapi.json", "/metrics"}
    assert set(made["paths"]) == {path.replace(":path}", "}") for path in routes}


def test_facts_have_the_types_units_and_ranges_of_the_vocabulary(made: dict[str, Any]) -> None:
    schemas = made["components"]["schemas"]
    for group in shipped("testnet").rulebook.groups.values():
        described = schemas[f"Facts_{group.name}"]["properties"]
        assert set(described) == {"observed_at", *(fact.name for fact in group.facts)}
        for fact in group.facts:
            schema = described[fact.name]
            match fact.type:
                case NumberType(unit=unit, min=low, max=high):
                    assert (schema["minimum"], schema["maximum"], schema.get("x-unit", "")) == (low, high, unit)
                case ChoiceType(of=of):
                    assert schema["enum"] == [*of, None]


def test_sound_facts_fit_and_undeclared_ones_do_not(made: dict[str, Any]) -> None:
    request = validator(made, "DecideRequest")
    assert request.is_valid({"policy": "routing", "facts": FACTS})
    assert not request.is_valid({"policy": "routin", "facts": FACTS})
    assert not request.is_valid({"policy": "routing", "facts": {**FACTS, "markte": {}}})
    assert not request.is_valid({"policy": "routing", "facts": {**FACTS, "market": {"spread_bps": 1e9}}})


@pytest.mark.parametrize("policy", shipped("testnet").policies)
def test_every_record_fits_its_schema(made: dict[str, Any], policy: str) -> None:
    book = shipped("testnet")
    record = book.decide(policy, {"now": NOW_MS / 1000, "symbol": BTC, "intent": intent_facts(), **sound()}).record()
    assert validator(made, f"Record_{policy}").is_valid(record)
    assert validator(made, "DecisionRecord").is_valid(record)
    assert not validator(made, f"Record_{policy}").is_valid({**record, "policy": "another"})
    others = [name for name in book.policies if name != policy]
    assert not any(validator(made, f"Record_{name}").is_valid(record) for name in others)


def test_what_is_answered_fits_what_is_described(tmp_path: Path) -> None:
    def fits(client: Client, path: str, name: str) -> None:
        described = client.get("/v1/openapi.json").json()
        answer = client.get(path)
        assert (answer.status_code == 200) == (name != "Problem")
        assert list(validator(described, name).iter_errors(answer.json())) == []

    Rulebooks(tmp_path).load(shipped_home(), "prod")
    decided = next(event for event in a_session() if isinstance(event, Decided))
    with asking(a_web(tmp_path, a_session()), headers=BEARER) as client:
        for path, name in (
            (f"/v1/decisions/{decision_id_of(decided)}", "DecisionReply"),
            ("/v1/health", "HealthReply"),
            ("/v1/intents/entry-1", "IntentReply"),
            ("/v1/rulebook", "RulebookReply"),
            ("/readyz", "Ready"),
            ("/livez", "Alive"),
            ("/v1/nothing", "Problem"),
        ):
            fits(client, path, name)


def test_every_kind_of_problem_is_named_where_it_can_come(made: dict[str, Any]) -> None:
    text = json.dumps(made["paths"])
    assert {name for name in KINDS if f"urn:sluice:problem:{name}`" in text} == set(KINDS)
