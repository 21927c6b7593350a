"""The OpenAPI document of the API, made from the rulebook that is in force.

In: a rulebook. Out: an OpenAPI 3.1 document whose schemas are real: the facts of each group with their types, units and
ranges, the decisions of each policy with theirs, and for the rest the types that answers are encoded from.

A fact outside its range is no error of the API: it is a missing fact with the cause `invalid`, and rules say what that
means. So the schema of a request says what is sound, and the server takes any value; names it does not know it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from engine.backends.facts import DECISIONS
from engine.language.model import Fact, Group, Policy
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType, TextType, Type
from engine.routing.intents import CHOICES, LONGEST_EXPIRY_S, LONGEST_ID
from engine.web.problems import CONTENT_TYPE, KINDS, PREFIX, Problem
from engine.web.replies import Alive, DecisionReply, Handed, HealthReply, IntentReply, Ready, RulebookReply

_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_TYPES: Final = (Alive, Ready, Handed, IntentReply, HealthReply, DecisionReply, RulebookReply, Problem)
_ALWAYS: Final = (
    *("malformed", "token-required", "cross-site", "method-not-allowed", "too-slow", "wrong-host", "rate-limited"),
    *("head-too-large", "defect", "overloaded"),
)
"""What any request may be answered with."""

_POSTED: Final = ("too-large", "not-json", "refused")
"""The same for those with a content."""

DECISION_ID: Final = "^[0-9a-f]{24}$"


def document(rulebook: Rulebook) -> dict[str, Any]:
    """The OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": _version(),
            "description": f"Decides by the rulebook {rulebook.version} of the profile {rulebook.profile}.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": {
                **schemas,
                **_requests(rulebook),
                **_records(rulebook.policies.values()),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # Reading needs the token where others reach the server, and not on this machine alone.
        "security": [{}, {"token": []}],
    }


def _version() -> str:
    try:
        return version("sluice-router")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


# --- paths -----------------------------------------------------------------------------------------------------------


def _paths() -> dict[str, Any]:
    decision_id = {
        "name": "decision_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": DECISION_ID},
        "description": "24 hex digits, as every decision, log and page shows it.",
    }
    intent_id = {
        "name": "intent_id",
        "in": "path",
        "required": True,
        "schema": _name(),
        "description": "As it was given with the intent.",
    }
    intent = _get("intent", "What became of one of the last intents.", "IntentReply", ("not-found",))
    health = _get("health", "The canonical snapshot of health.", "HealthReply", ("not-ready",))
    decision = _get(
        "decision",
        "A decision of the journal, with its trace.",
        "DecisionReply",
        ("not-found", "refused", "rate-limited"),
    )
    return {
        "/v1/decide": {"post": _post("decide", "Decide on facts.", 200, "DecideRequest", "DecisionRecord", ())},
        "/v1/intents": {
            "post": {
                **_post(
                    "hand_intent",
                    "Hand an intent to the running session.",
                    202,
                    "IntentRequest",
                    "Handed",
                    ("writes-disabled", "conflict", "no-session", "not-ready"),
                ),
                "description": "Answered once the journal has it. Idempotent by `intent_id`: the same again is "
                "answered the same and handed over once; another content under the same id is a conflict.",
                "security": [{"token": []}],
            }
        },
        "/v1/intents/{intent_id}": {"parameters": [intent_id], "get": intent},
        "/v1/health": {"get": health},
        "/v1/decisions/{decision_id}": {"parameters": [decision_id], "get": decision},
        "/v1/rulebook": {"get": _get("rulebook", "The rulebook that decides here.", "RulebookReply", ())},
        "/livez": {"get": _open(_get("livez", "Whether the process answers.", "Alive", ()))},
        "/readyz": {"get": _open(_get("readyz", "Whether it can do its work.", "Ready", ("not-ready",)))},
    }


def _get(name: str, summary: str, reply: str, problems: tuple[str, ...]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _answer(summary, reply), **_problems((*_ALWAYS, *problems))},
    }


def _post(name: str, summary: str, status: int, content: str, reply: str, problems: tuple[str, ...]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {_JSON: {"schema": _ref(content)}}},
        "responses": {str(status): _answer(summary, reply), **_problems((*_ALWAYS, *_POSTED, *problems))},
    }


def _open(operation: dict[str, Any]) -> dict[str, Any]:
    return {**operation, "security": []}


def _answer(text: str, name: str) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": _ref(name)}}}


def _problems(names: Iterable[str]) -> dict[str, Any]:
    """The problems of an operation, those of one status together."""
    by_status: dict[int, list[str]] = {}
    for name in dict.fromkeys(names):
        by_status.setdefault(KINDS[name].status, []).append(name)
    return {
        str(status): {
            "description": "; ".join(f"{KINDS[name].title} (`{PREFIX}{name}`)" for name in held),
            "content": {CONTENT_TYPE: {"schema": _ref("Problem")}},
        }
        for status, held in sorted(by_status.items())
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


# --- what is asked ---------------------------------------------------------------------------------------------------


def _requests(rulebook: Rulebook) -> dict[str, Any]:
    groups = {group.name: group for group in rulebook.groups.values()}
    others = {
        group.name.removeprefix(f"{DECISIONS}."): group
        for policy in rulebook.policies.values()
        for group in policy.groups
        if group.name.startswith(f"{DECISIONS}.")
    }
    facts: dict[str, Any] = {
        "now": {"type": "number", "description": "Seconds since 1970 UTC: deciding reads no clock of its own."},
        "symbol": {"type": ["string", "null"], "description": "Chooses the values of its symbol groups."},
        "intent_id": {"type": ["string", "null"], "description": "Whose decision it is."},
        **{name: _ref(f"Facts_{name}") for name in groups},
    }
    if others:
        facts[DECISIONS] = {
            "type": ["object", "null"],
            "description": "What other policies decided on the same intent.",
            "properties": {name: _ref(f"Decisions_{name}") for name in others},
            "additionalProperties": False,
        }
    return {
        "DecideRequest": _object(
            {"policy": {"enum": list(rulebook.policies)}, "facts": _ref("Facts")}, ("policy", "facts")
        ),
        "Facts": _object(facts, ("now",)),
        **{f"Facts_{name}": _group(group) for name, group in groups.items()},
        **{f"Decisions_{name}": _group(group) for name, group in others.items()},
        "IntentRequest": _intent(),
    }


def _name() -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": r"^[A-Za-z0-9._:/-]+$"}


def _intent() -> dict[str, Any]:
    """As `engine.routing.intents` reads it. Whether it makes sense is for the policy `admission`."""
    name = _name()
    number, flag = {"type": ["number", "null"]}, {"type": ["boolean", "null"]}
    return _object(
        {
            "type": {"const": "intent"},
            "intent_id": {**name, "description": "Given by the strategy, and never used twice."},
            "symbol": name,
            **{fact: {"enum": [*values, None]} for fact, values in CHOICES.items()},
            **dict.fromkeys(("qty", "price", "maker_price", "maker_qty"), number),
            **dict.fromkeys(("maker_requested", "reduce_only"), flag),
            "expires_s": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": LONGEST_EXPIRY_S},
        },
        ("intent_id", "symbol"),
    )


def _group(group: Group) -> dict[str, Any]:
    observed_at = {"type": ["number", "null"], "description": "Seconds since 1970 UTC."}
    facts = {fact.name: _fact(fact) for fact in group.facts}
    held = _object({"observed_at": observed_at, **facts}, ())
    return {**held, "type": ["object", "null"], "description": " ".join(group.doc.split())}


def _fact(fact: Fact) -> dict[str, Any]:
    described = " ".join(fact.doc.split())
    schema = _schema(fact.type)
    known = {"enum": [*schema["enum"], None]} if "enum" in schema else {**schema, "type": [schema["type"], "null"]}
    return {**known, "description": described} if described else known


def _schema(kind: Type) -> dict[str, Any]:
    match kind:
        case NumberType(unit=unit, min=low, max=high):
            bounds: dict[str, Any] = {"type": "number", "minimum": low, "maximum": high}
            return {**bounds, "x-unit": unit} if unit else bounds
        case FlagType():
            return {"type": "boolean"}
        case ChoiceType(of=of):
            return {"enum": list(of)}
        case TextType():
            return {"type": "string"}


# --- what is decided -------------------------------------------------------------------------------------------------


def _records(policies: Iterable[Policy]) -> dict[str, Any]:
    text, texts = {"type": "string"}, {"type": ["string", "null"]}
    leaf = _object({"when": text, "saw": {"type": "object"}}, ("when", "saw"))
    firing = _object({"rule": text, "at": text, "leaves": {"type": "array", "items": leaf}}, ("rule", "at", "leaves"))
    schemas: dict[str, Any] = {"Firing": {**firing, "description": "A rule that matched, and what it saw."}}
    named = {f"Record_{policy.name}": policy for policy in policies}
    for name, policy in named.items():
        kinds = policy.types()
        decided = {decision: _schema(kinds[decision]) for decision in policy.decides}
        firings = {"type": "array", "items": _ref("Firing")}
        fields: Mapping[str, Any] = {
            "decision_id": {"type": "string", "pattern": DECISION_ID},
            "now": {"type": "number"},
            "policy": {"const": policy.name},
            "profile": text,
            "rulebook": text,
            "sources": text,
            "symbol": texts,
            "intent_id": texts,
            "decided": _object(decided, tuple(decided)),
            "vetoes": firings,
            "fired": firings,
            "reason": {**text, "description": "One line for a person."},
            "facts": {"type": "object", "description": "What it saw; handed in again, it decides the same."},
        }
        schemas[name] = _object(fields, tuple(fields))
    schemas["DecisionRecord"] = {"oneOf": [_ref(name) for name in named]}
    return schemas


def _object(properties: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**made, "required": list(required)} if required else made
