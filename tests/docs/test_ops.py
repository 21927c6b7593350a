"""What is shipped for operators: the Grafana dashboard and the alert rules load, and ask for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from engine.web.metrics import Metrics
from tests.docs.test_language import ROOT
from tests.web.test_metrics import metrics_of
from tests.web.world import a_session

OPS = ROOT / "docs" / "ops"
DASHBOARD: dict[str, Any] = json.loads((OPS / "grafana.json").read_text(encoding="utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((OPS / "alerts.yaml").read_text(encoding="utf-8"))
PROMETHEUS_OWN = {"up"}
"""What Prometheus itself knows of whom it asks."""

_FUNCTIONS = {
    *("sum", "max", "min", "rate", "increase", "changes", "topk", "histogram_quantile"),
    *("by", "or", "and", "unless"),
}


def happened(tmp_path: Path) -> Metrics:
    """Metrics of which each has a value: what has not happened yet is made to happen."""
    metrics = metrics_of(tmp_path, a_session())
    metrics.reloaded("accepted")
    assert metrics.live is not None
    metrics.live.prove(metrics.live.book, [])
    metrics.answered("/v1/decide", "POST", 200, 0.001)
    for name in ("errors", "refused", "fallbacks", "swaps"):
        metrics._count[name].labels("x")
    metrics._count["moves"].labels("x", "y")
    metrics._breakers["venue"] = "open"
    return metrics


def samples(tmp_path: Path) -> dict[str, set[str]]:
    """Every sample that there can be, with its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(happened(tmp_path).text("")[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {"instance", "job"}).update(sample.labels)
    return found


def panels() -> Iterator[dict[str, Any]]:
    yield from DASHBOARD["panels"]


def expressions() -> dict[str, str]:
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel.get("targets", ())
    }
    found |= {note["name"]: note["expr"] for note in DASHBOARD["annotations"]["list"]}
    return found | {rule["alert"]: rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]}


def test_every_expression_is_found() -> None:
    assert len(expressions()) > 40


@pytest.mark.parametrize("name", list(expressions()))
def test_an_expression_asks_for_metrics_and_labels_that_there_are(name: str, tmp_path: Path) -> None:
    expression, there = expressions()[name], samples(tmp_path)
    assert not wrong_with(expression, there), expression


def wrong_with(expression: str, there: dict[str, set[str]]) -> list[str]:
    """What is wrong with an expression of PromQL, as far as its brackets, names and labels tell."""
    wrong = [
        f"{pair}: not paired" for pair in ("()", "{}", "[]") if expression.count(pair[0]) != expression.count(pair[1])
    ]
    labels: set[str] = set()
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        labels |= {label.strip() for label in grouped.split(",")}
    bare = re.sub(r"\bby \([^)]*\)", "", expression)
    for name, selected in re.findall(r"([a-z_]+)\{([^}]*)\}", bare):
        chosen = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", selected))
        wrong += [f"{name} has no label {label}" for label in chosen - there.get(name, chosen)]
    bare = re.sub(r'\{[^}]*\}|\[[^\]]*\]|"[^"]*"', "", bare)
    names = set(re.findall(r"\b[a-z_][a-z_0-9]*\b", re.sub(r"\b\d+(\.\d+)?(e\d+)?\b", "", bare))) - _FUNCTIONS
    metrics = names & there.keys()
    wrong += [f"there is no {name}" for name in names - metrics - PROMETHEUS_OWN]
    for label in labels:
        if metrics and not any(label in there[metric] for metric in metrics):
            wrong.append(f"none of {sorted(metrics)} has a label {label}")
    return wrong


def test_a_name_that_nothing_has_is_found(tmp_path: Path) -> None:
    there = samples(tmp_path)
    assert wrong_with("sum(rate(sluice_routes_totl[5m]))", there) == ["there is no sluice_routes_totl"]
    assert wrong_with('sluice_breaker_state{symbol="x"} > 1', there) == ["sluice_breaker_state has no label symbol"]
    assert wrong_with("sum by (symbol) (sluice_nav_usd)", there)
    assert wrong_with("sum(sluice_nav_usd", there)


def test_the_dashboard_has_what_grafana_asks_for() -> None:
    listed = list(panels())
    assert len({panel["id"] for panel in listed}) == len(listed)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in listed)
    assert {panel["type"] for panel in listed} <= {"row", "stat", "timeseries", "table"}
    assert all(panel["description"].endswith(".") and panel["targets"] for panel in listed if panel["type"] != "row")
    taken: set[tuple[int, int]] = set()
    for panel in listed:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    assert "http" not in json.dumps(DASHBOARD).replace("sluice_http", "")  # loads without an internet


def test_an_alert_has_a_severity_and_says_what_to_do() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


def test_a_label_value_that_is_waited_for_is_there_before_it_happens(tmp_path: Path) -> None:
    """`increase` sees nothing in a series that begins at 1."""
    text = metrics_of(tmp_path, ()).text("")[0].decode()
    for expression in expressions().values():
        for name, label, value in re.findall(r'increase\((\w+)\{(\w+)="(\w+)"\}\[\w+\]\) > 0', expression):
            assert f'{name}{{{label}="{value}"}} 0.0' in text
        for name in re.findall(r"increase\((\w+)\[\w+\]\) > 0", expression):
            assert f"\n{name} 0.0" in text


def test_nothing_is_made_up_while_nobody_answers() -> None:
    """A constant that stands in for a figure is shown green for a server that is down."""
    assert not [name for name, expression in expressions().items() if "vector(" in expression]


def test_routes_are_counted_once_an_intent() -> None:
    """A fallback is written as another route of the same intent, and would be one more taker."""
    asked = [
        selected
        for expression in expressions().values()
        for selected in re.findall(r"sluice_routes_total(\{[^}]*\})?", expression)
    ]
    assert len(asked) > 4
    assert all('event="decision"' in selected for selected in asked)


def test_an_alert_on_what_is_counted_looks_at_what_was_added() -> None:
    """A counter stands at what it has until a restart, and an alert on that would never end."""
    for name, expression in expressions().items():
        if name.startswith("Sluice"):
            assert not re.search(r"_total(\{[^}]*\})? *[<>=]", expression), name


@pytest.mark.slow  # not among what has to be there for the others
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_alerts_fire_when_they_are_to_and_not_before() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", OPS / "alerts.test.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow  # not among what has to be there for the others
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_every_expression_of_the_dashboard_can_be_read_by_prometheus(tmp_path: Path) -> None:
    rules = [{"record": f"a:b{number}", "expr": expression} for number, expression in enumerate(expressions().values())]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_label_value_that_is_asked_for_can_be() -> None:
    text = json.dumps(DASHBOARD) + json.dumps(ALERTS)
    for label, known in (
        ("state", {"open", "closed", "half_open", "proven", "refuted", "undecided"}),
        ("route", {"maker", "taker", "none", "/v1/decide", "/v1/health", "/readyz"}),
        ("event", {"decision"}),
        ("result", {"accepted", "refused", "unchanged"}),
        ("error", {"unclear", "unknown_outcome", "rate_limit", "busy", "clock", "events_lost"}),
    ):
        asked = re.findall(rf'\b{label}(?:=~|!~|!=|=)\\"([^"\\]*)\\"', text)
        assert asked, label
        assert {each for value in asked for each in value.split("|")} <= known
