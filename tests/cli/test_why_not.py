"""`sluice explain --why-not`: instead of the explanation, in its object, of many rows, and without the solver."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine.analysis import request
from tests.cli.harness import HOME, sluice

WISH = ("--why-not", "route=maker")
MAKER = ("explain", "-p", "live", "maker.json")
TAKER = ("explain", "-p", "live", "taker.json")


def test_the_object_says_the_same_and_both_changes_do_what_they_say(tmp_path: Path) -> None:
    shown = json.loads(sluice(*TAKER, *WISH, "--json").output)["why_not"]
    assert (shown["wish"], shown["already"], shown["undecided"]) == ("route == maker", False, [])
    assert shown["facts"] == [
        {"fact": "market.spread_bps", "before": 14.2, "cause": None, "after": 12.0},
        {"fact": "telemetry.fallback_ratio", "before": 0.6, "cause": None, "after": 0.4},
    ]
    assert [(edit["parameter"], edit["before"], edit["after"], edit["at"]) for edit in shown["parameters"]] == [
        ("gates.max_spread_bps", 12.0, 14.2, "profiles/base.yaml:13"),
        ("gates.trusts_ok", False, True, "profiles/base.yaml:14"),
    ]
    facts = json.loads((HOME / "taker.json").read_text())
    for change in shown["facts"]:
        group, _, name = change["fact"].partition(".")
        facts[group][name] = change["after"]
    home = tmp_path / "home"
    shutil.copytree(HOME, home)
    (home / "changed.json").write_text(json.dumps(facts))
    assert decided(home, "changed.json") == "maker"
    assert decided(home, "taker.json") == "taker"
    profile = home / "profiles/live.yaml"
    edits = "".join(f"{line}\n" for line in shown["edit"][1:])
    profile.write_text(profile.read_text().replace("values:\n", f"values:\n{edits}", 1))
    assert decided(home, "taker.json") == "maker"


def decided(home: Path, facts: str) -> str:
    route = json.loads(sluice("decide", "-p", "live", facts, "--json", cwd=home).output)["decided"]["route"]
    assert isinstance(route, str)
    return route


def test_what_is_so_already_is_said_in_a_line() -> None:
    assert sluice(*MAKER, *WISH).output.endswith("\nroute == maker already holds\n")


@pytest.mark.parametrize("columns", [80, 160])
def test_the_answer_comes_first_and_the_trace_if_it_is_wanted(columns: int) -> None:
    explained = sluice(*TAKER, columns=columns).output
    answer = sluice(*TAKER, *WISH, columns=columns).output
    assert "\nwhy not route == maker (it is taker)\n" in answer
    assert "tier (first)" in explained
    assert "tier (first)" not in answer
    assert sluice(*TAKER, *WISH, "--trace", columns=columns).output == f"{answer}\n{explained}"
    assert max(map(len, answer.splitlines())) <= columns


def test_an_edit_that_breaks_a_promise_says_so_beside_it() -> None:
    shown = json.loads(sluice(*TAKER, *WISH, "--json").output)["why_not"]
    assert (shown["breaks"], shown["unproven"]) == (["routing.maker_implies_good"], [])
    assert "this edit breaks what holds today: routing.maker_implies_good\n" in sluice(*TAKER, *WISH).output


def test_what_is_impossible_is_proven() -> None:
    page = sluice(*TAKER, "--why-not", "offset_bps>90", columns=None).output
    said = " ".join(page.split())
    assert "no change of facts gives it: proven in exact arithmetic for every value, with none going missing" in said
    assert "no change of parameters gives it on these facts: proven in exact arithmetic for all in range" in said


def test_when_time_is_over_nothing_is_called_impossible() -> None:
    page = sluice(*TAKER, *WISH, "--timeout", "0.000001").output
    assert page.count("undecided, there may be a change; time was over (--timeout)") == 2
    assert "proven" not in page
    shown = json.loads(sluice(*TAKER, *WISH, "--timeout", "0.000001", "--json").output)
    assert shown["why_not"]["undecided"] == ["facts", "parameters"]
    assert shown["steps"]


def test_each_of_several_rows_is_answered() -> None:
    rows = sluice("explain", "-p", "live", "several.csv", *WISH, "--json").output.splitlines()
    assert len(rows) > 1
    assert all(json.loads(row)["why_not"]["wish"] == "route == maker" for row in rows)


def test_a_wish_that_is_none_is_refused_before_anything_is_explained() -> None:
    result = sluice(*TAKER, "--why-not", "rout=maker")
    assert result.exit_code == 2
    assert result.output.startswith("error: `routing` sets no `rout`")
    assert "did you mean `route`?" in result.output


def test_without_the_solver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "find_spec", lambda name: None if name == "z3" else find_spec(name))
    result = sluice(*TAKER, *WISH)
    assert result.exit_code == 2
    assert "this needs the extra `prove`" in result.output
    assert "pip install 'sluice-router[prove]'" in result.output
    assert sluice(*TAKER).exit_code == 0
