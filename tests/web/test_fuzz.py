"""The API under requests made up from its own description, sound and unsound ones: no defect, and answers as described.

What is unsound about a *value* of a fact is no error: it is missing then, with a cause, and the decision says so. So
the check that unsound requests are refused is for the other routes. There the pattern of names is not part of it: it
says what names look like, and any printable text is taken, for which patterns have no word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection
from schemathesis.specs.openapi.schemas import OpenApiSchema

from engine.home import shipped_home
from engine.routing.evidence.rulebooks import Rulebooks
from engine.routing.sessions.inbox import Inbox
from engine.web.access import Access
from engine.web.limits import Limits
from engine.web.openapi import document
from tests.routing.written import shipped
from tests.web.world import BEARER, TOKEN, a_session, a_web, write

OPEN = Access(is_loopback=True, names=frozenset({"testserver"}), token=TOKEN)
FREE = Limits(
    requests_per_s=1e9, requests_burst=1e9, intents_per_s=1e9, intents_burst=1e9, failures_per_s=1e9, failures_burst=1e9
)
_FACTS_ARE_TAKEN_AS_THEY_COME = {"/v1/decide"}

ROUTES = sorted(
    (path, method)
    for path, operations in document(shipped("prod").rulebook)["paths"].items()
    for method in operations
    if method != "parameters"
)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> OpenApiSchema:
    logs = tmp_path_factory.mktemp("logs")
    Rulebooks(logs).load(shipped_home(), "prod")
    events = a_session()
    write(Path(logs) / "journal", events)
    web = a_web(logs, events, access=OPEN, limits=FREE, inbox=Inbox(most=10**9))
    return schemathesis.openapi.from_asgi("/v1/openapi.json", web.application)


def check(case: schemathesis.Case[Any]) -> None:
    excluded = [negative_data_rejection] if case.path in _FACTS_ARE_TAKEN_AS_THEY_COME else []
    try:
        case.call_and_validate(headers=BEARER, excluded_checks=excluded)  # type: ignore[arg-type]  # of another context
    except FailureGroup as failures:
        meant = [each for each in failures.exceptions if "violates `pattern`" not in each.message]
        if meant:
            raise FailureGroup(meant) from None


each_route = pytest.mark.parametrize(("path", "method"), ROUTES)


def draw(data: st.DataObject, described: OpenApiSchema, path: str, method: str) -> schemathesis.Case[Any]:
    mode = data.draw(st.sampled_from(GenerationMode))
    case: schemathesis.Case[Any] = data.draw(described[path][method.upper()].as_strategy(generation_mode=mode))
    return case


@each_route
@settings(max_examples=15)
@given(data=st.data())
def test_any_request_is_answered_as_described(
    described: OpenApiSchema, path: str, method: str, data: st.DataObject
) -> None:
    check(draw(data, described, path, method))


@pytest.mark.slow
@each_route
@settings(max_examples=2000)
@given(data=st.data())
def test_many_more_requests_are_answered_as_described(
    described: OpenApiSchema, path: str, method: str, data: st.DataObject
) -> None:
    check(draw(data, described, path, method))
