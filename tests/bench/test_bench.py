"""The benchmarks' own logic on few inputs: everyone decides alike, differences are found, a missed reach fails."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bench import decide
from bench import load as load_bench
from bench._generated import POLICY, PROFILE, write_home
from bench._handwritten import natural, tuned_refusing
from bench._inputs import routing_facts
from bench._measure import Contender, Reach, Report, run, side_by_side
from bench._peers import STEPS, VETOES, Cleaned, Peer, cel_source, installed_peers, rounded, zen_graph, zen_source
from engine import load

FEW = 200


@pytest.fixture(scope="module")
def ours() -> decide.Compiled:
    return decide.Compiled()


def test_inputs_are_the_same_every_time_and_visit_every_tier_and_both_routes(ours: decide.Compiled) -> None:
    assert repr(routing_facts(FEW)) == repr(routing_facts(FEW))
    decided = [ours.book.decide("routing", facts) for facts in routing_facts(1000)]
    assert {decision["quality"] for decision in decided} == {"broken", "degraded", "ok", "good"}
    assert {decision["atr_regime"] for decision in decided} == {"quiet", "normal", "hot", "panic"}
    makers = sum(decision["route"] == "maker" for decision in decided)
    assert 200 < makers < 600
    assert len({veto for decision in decided for veto in decision.vetoes}) == 12


def test_everyone_decides_alike(ours: decide.Compiled) -> None:
    inputs = routing_facts(FEW)
    decide.check_ours(ours, inputs, [ours.decide(facts) for facts in inputs])


def test_one_different_value_is_found(ours: decide.Compiled) -> None:
    expected = [ours.decide(facts) for facts in routing_facts(3)]
    values, vetoes = expected[1]
    other = [expected[0], (values | {"offset_bps": 0.25}, vetoes), expected[2]]
    with pytest.raises(decide.Unequal, match=r"somebody decides input 1 differently: offset_bps 0\.25, not"):
        decide.same("somebody", expected, other)


def test_one_different_veto_is_found(ours: decide.Compiled) -> None:
    expected = [ours.decide(facts) for facts in routing_facts(1)]
    with pytest.raises(decide.Unequal, match="vetoes"):
        decide.same("somebody", expected, [(expected[0][0], ("hard_gates.nobody",))])


def test_the_refusing_hand_written_function_refuses_a_typo() -> None:
    facts = routing_facts(1)[0]
    natural(facts | {"markets": {}})
    with pytest.raises(KeyError, match="markets"):
        tuned_refusing(facts | {"markets": {}})


def test_installed_peers_decide_as_the_compiled_policy_does(
    ours: decide.Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quick(contenders: Iterable[Contender], **_: int) -> Any:
        return side_by_side(list(contenders), rounds=1, batch=2)

    monkeypatch.setattr(decide, "side_by_side", quick)
    report = Report("decide")
    inputs = [rounded(facts) for facts in routing_facts(FEW)]
    decide.report_quality(report, ours, inputs, rounds=1)
    decide.report_peers(report, ours, inputs, rounds=1)
    assert "quality by durable-rules / observed" in [figure.name for figure in report.figures]
    if any(True for _ in installed_peers()):
        assert "fastest peer behind Python / verdict" in [figure.name for figure in report.figures]
    assert report.notes


def test_a_peer_that_decides_differently_is_not_timed(ours: decide.Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(facts: Cleaned) -> decide.Answer:
        return {"quality": "good", "facts": len(facts)}, ()

    monkeypatch.setattr(decide, "installed_peers", lambda: [Peer("wrong", wrong, lambda answer: answer)])
    with pytest.raises(decide.Unequal, match="wrong prepared decides input 0 differently"):
        decide.report_peers(Report("decide"), ours, routing_facts(2), rounds=1)


def test_every_step_and_veto_is_printed_for_peers() -> None:
    for name in STEPS:
        assert f"{name} = " in zen_source()
        assert f".map({name}, " in cel_source()
    for name in VETOES:
        assert name in zen_source()
        assert name in cel_source()
        assert name in json.dumps(zen_graph())


@pytest.mark.parametrize(("value", "code"), [(0.49, 0), (0.5, 0), (0.51, 1), (float("nan"), 1)])
def test_check_fails_where_a_reach_is_missed(value: float, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def measure() -> Report:
        report = Report("some")
        report.add("ours / theirs", value, "x", Reach("<=", 0.5))
        report.add("theirs", 7.0, "us")
        return report

    assert run("Some.", measure, []) == 0
    assert run("Some.", measure, ["--check"]) == code
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["figures"]["ours / theirs"]["met"] is (code == 0)
    assert said["figures"]["ours / theirs"]["reach"] == "<= 0.5"
    assert "reach" not in said["figures"]["theirs"]


def test_a_reach_from_below() -> None:
    assert Reach(">=", 15).met_by(15.0)
    assert not Reach(">=", 15).met_by(14.9)


def test_contenders_get_the_same_inputs() -> None:
    seen: dict[str, list[int]] = {"a": [], "b": []}
    contenders = [Contender(name, seen[name].append, range(10)) for name in seen]
    times = side_by_side(contenders, rounds=3, batch=4)
    assert seen["a"] == seen["b"]
    assert [len(rounds) for rounds in times.rounds.values()] == [3, 3]


@pytest.mark.parametrize("rules", [50, 200])
def test_a_generated_home_loads_and_decides(tmp_path: Path, rules: int) -> None:
    book = load(PROFILE, write_home(tmp_path, rules))
    assert sum(len(step.rules) for step in book.policy(POLICY).steps) == rules
    facts: dict[str, Any] = {"now": 10.0, "venue_0": {"observed_at": 10.0, "slippage_bps_0": 30.0}}
    assert book.decide(POLICY, facts)["tier_0"] == "degraded"


def test_a_generated_home_of_no_whole_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no multiple of 50"):
        write_home(tmp_path, 120)


def test_load_reports_every_figure() -> None:
    report = load_bench.measure(processes=1, sizes=(50, 100))
    names = [figure.name for figure in report.figures]
    assert "load prod" in names
    assert "prod loaded" in names
    assert all(figure.value > 0 for figure in report.figures)
