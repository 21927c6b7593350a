"""docs/api.md says what the server has: its routes, problems, limits and metrics."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from engine.web import limits
from engine.web.limits import Limits
from engine.web.logs import FIELDS
from engine.web.metrics import MOST_SYMBOLS
from engine.web.problems import KINDS
from engine.web.sources import BACKLOG
from tests.docs.pages import documented, table
from tests.docs.test_language import ROOT
from tests.docs.test_ops import happened
from tests.web.world import a_web

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_routes_are_those_of_the_server(tmp_path: Path) -> None:
    told = [re.fullmatch(r"`(\w+) (\S+)`", row[0]) for row in table(PAGE, "Routes")]
    paths = {match[2]: match[1] for match in told if match}
    routes = {path.replace(":path}", "}"): resource for path, resource in a_web(tmp_path).api.routes().items()}
    assert set(paths) == set(routes) - {"/v1/{rest}"}
    assert all(method in routes[path]._handlers for path, method in paths.items())


def test_problems_are_all_that_can_come() -> None:
    rows = {row[0].strip("`"): int(row[1]) for row in table(PAGE, "Problems")}
    assert rows == {name: kind.status for name, kind in KINDS.items()}


def test_limits_have_their_defaults_and_what_the_code_says_of_them() -> None:
    rows = {row[0].strip("`"): row[1:] for row in table(PAGE, "Limits")}
    said = documented(limits, "Limits")
    assert list(rows) == [field.name for field in dataclasses.fields(Limits)]
    for field in dataclasses.fields(Limits):
        default, text = rows[field.name]
        assert default == f"{field.default:,}".removesuffix(".0"), field.name
        assert text == (said[field.name] or "That many at once."), field.name


def test_metrics_are_listed_with_their_type_labels_and_meaning(tmp_path: Path) -> None:
    rows = {row[0].strip("`"): row[1:] for row in table(PAGE, "Metrics")}
    there = {}
    for family in text_string_to_metric_families(happened(tmp_path).text("")[0].decode()):
        if family.name.startswith("sluice_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
            there[name] = [family.type, ", ".join(f"`{label}`" for label in labels), family.documentation.rstrip(".")]
    assert rows == there
    assert f"first {MOST_SYMBOLS} symbols" in PAGE
    assert f"last {BACKLOG:,} events" in PAGE


def test_the_line_of_a_log_that_is_shown_has_fields_of_ours() -> None:
    (line,) = re.findall(r'^\{"time".*\}$', PAGE, re.MULTILINE)
    assert set(re.findall(r'"(\w+)":', line)) <= {"time", "level", "logger", "message", *FIELDS}
