"""The report of a journal: every number of a small one computed by hand, and what it makes of journals with holes."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest

from engine.journal.events import Event, RulebookLoaded
from engine.routing.evidence.report import (
    MOST_POINTS,
    NOT_SAID,
    READS,
    WAYS,
    Group,
    Report,
    by_cost,
    missing_markouts,
    queue_statement,
    report_json,
    saving_over_time,
)
from engine.routing.evidence.report_text import markout_rows, notes
from tests.routing.report_journal import arrived, at, baselines, ended, filled, marked, small, started

SMALL = Report.of(small())


def bps(groups: dict[str, Group]) -> dict[str, float | None]:
    return {
        name: None if group.cost.total_bps is None else round(group.cost.total_bps, 9) for name, group in groups.items()
    }


def test_counts_of_what_came() -> None:
    assert SMALL.received == 5
    assert SMALL.refused == {"malformed": 1}
    assert SMALL.left == {"too_small": 1}
    assert SMALL.routed == {"maker": 2, "taker": 2}
    assert SMALL.open == 0
    assert (SMALL.first_ms, SMALL.last_ms) == (at(0), at(200))


def test_costs_by_each_dimension() -> None:
    groups = SMALL.figures().groups
    # -1 and 5 bps as makers, 2 and 4 as takers, each of 1,000 USD.
    assert bps(groups["route"]) == {"maker": 2.0, "taker": 3.0}
    assert bps(groups["tier"]) == {"good": 2.0, "ok": 4.0}
    assert bps(groups["regime"]) == {"normal": pytest.approx(5 / 3), "hot": 5.0}
    assert bps(groups["kind"]) == {"entry": pytest.approx(8 / 3), "exit": 2.0}
    assert bps(groups["symbol"]) == {"BTCUSDT": pytest.approx(8 / 3), "ETHUSDT": 2.0}


def test_shares_and_ratios_of_a_group() -> None:
    makers = SMALL.figures().groups["route"]["maker"]
    assert (makers.attempts, makers.fallbacks, makers.fallback_ratio) == (2, 1, 0.5)
    assert makers.amounts.maker_share == pytest.approx(999.9 / (999.9 + 1000.5))
    assert makers.amounts.fill_share == 1.0
    takers = SMALL.figures().groups["route"]["taker"]
    assert takers.fallback_ratio is None, "nothing was attempted, which is not a ratio of 0"
    assert takers.amounts.maker_share == 0.0


def test_four_ways_on_the_same_intents() -> None:
    ways = SMALL.figures().ways
    assert {way: round(ways[way].cost.total_bps or 0.0, 9) for way in WAYS} == {
        "router": 2.5,  # -1, 5, 2, 4
        "taker": 2.75,  # 3, 2, 2, 4
        "maker_then_taker": 1.25,  # -1, 4, 1, 1
        "maker": -0.75,  # -1, nothing filled in a market that stands still, -1, -1
    }
    assert [ways[way].cost.complete for way in WAYS] == [4] * 4
    assert ways["maker"].amounts.fill_share == 0.75
    assert ways["router"].saving.usd == pytest.approx(0.1)
    assert ways["router"].saving.bps == pytest.approx(0.25)
    assert ways["taker"].saving.usd == 0.0
    # Savings of 4, -3, 0, 0 bps: their mean is 0.25, their standard deviation 2.872, and the error half of that.
    assert ways["router"].saving.error_bps == pytest.approx(2.8722813 / 2)


def test_groups_say_what_they_saved() -> None:
    groups = SMALL.figures().groups["route"]
    assert groups["maker"].saving.usd == pytest.approx(0.1)
    assert groups["taker"].saving.usd == pytest.approx(0.0)


def test_vetoes_count_often_and_cost_once() -> None:
    vetoes = SMALL.figures().vetoes
    assert {rule: (veto.vetoes, veto.taker_routes) for rule, veto in vetoes.items()} == {
        "hard_gates.reduce_only": (2, 1),
        "maker_gates.quality_not_good": (1, 1),
    }
    assert {rule: round(veto.cost.total_usd or 0.0, 9) for rule, veto in vetoes.items()} == {
        "hard_gates.reduce_only": 0.2,
        "maker_gates.quality_not_good": 0.4,
    }
    assert vetoes["maker_gates.quality_not_good"].against_resting.bps == pytest.approx(3.0)
    assert [rule for rule, _ in by_cost(vetoes)] == ["maker_gates.quality_not_good", "hard_gates.reduce_only"]


def test_markouts_weigh_by_notional_and_count_what_is_missing() -> None:
    taker = SMALL.markouts["taker"]
    assert taker[1.0].bps == pytest.approx((-1.0 * 1000 - 4.0 * 3000) / 4000)
    assert SMALL.markouts["maker"][10.0].bps == 3.0
    assert missing_markouts(SMALL, "maker", 1.0) == 0, "a trade reported again is one fill"
    assert [missing_markouts(SMALL, "taker", horizon_s) for horizon_s in (1.0, 10.0)] == [1, 3]
    assert SMALL.fills["taker"].fees_usd == pytest.approx(0.75)


def test_a_table_of_markouts_says_at_which_horizon_they_are_missing() -> None:
    """Also at one that no fill was followed to."""
    assert markout_rows(SMALL)[0] == ["fills as", "fills", "1 s", "10 s", "60 s", "300 s"]
    rows = {row[0]: row[2:] for row in markout_rows(SMALL)[1:]}
    assert rows["taker"] == ["-3.25", "-", "-", "-"]
    assert rows["taker, missing"] == ["1", "3", "3", "3"]
    assert [float(cell) for cell in rows["maker"][:2]] == [2.0, 3.0]
    assert rows["maker, missing"][:2] == ["0", "0"]


def test_saving_over_time_adds_up_in_order_of_arrival() -> None:
    points = saving_over_time(SMALL.figures())
    assert [arrival_ms for arrival_ms, _ in points] == [at(14.5), at(24.5), at(34.5), at(44.5)]
    assert [round(saved["router"], 9) for _, saved in points] == [0.4, 0.1, 0.1, 0.1]
    assert [round(saved["taker"], 9) for _, saved in points] == [0.0] * 4
    assert round(points[-1][1]["maker_then_taker"], 9) == 0.6


def test_saving_over_a_long_time_keeps_its_ends() -> None:
    events: list[Event] = [started()]
    for number in range(1, 1000):
        events += arrived(str(number), number, "taker")
        events.append(ended(str(number), number + 0.5, 100.01))
        events += baselines(str(number), number + 60, taker=100.02, both=100.0, maker=None)
    points = saving_over_time(Report.of(events).figures())
    assert len(points) == MOST_POINTS
    assert (points[0][0], points[-1][0]) == (at(1), at(999))
    assert points[-1][1]["router"] == pytest.approx(99.9)


def test_the_rest_of_every_way_is_measured_at_the_end_they_share() -> None:
    left = ended("one", 5, 100.0, filled=4, end_mid=100.0)
    events = [*arrived("one", 1, "taker"), left, *baselines("one", 60, 100.0, 100.0, None, end_mid=101.0)]
    figures = Report.of(events).figures()
    assert figures.ways["router"].cost.usd["opportunity"] == pytest.approx(6.0)
    assert figures.ways["maker"].cost.usd["opportunity"] == pytest.approx(10.0)
    assert Report.of(events[:-3]).figures().all.cost.usd["opportunity"] == 0.0, "by itself, at its own end"


# --- journals with holes ---------------------------------------------------------------------------------------------


def test_an_intent_without_baselines_counts_and_is_not_compared() -> None:
    report = Report.of([*arrived("one", 1, "taker"), ended("one", 2, 100.02), *baselines("one", 60, 1.0, 1.0, 1.0)[:2]])
    figures = report.figures()
    assert figures.all.cost.total_bps == pytest.approx(2.0)
    assert figures.without_baselines == 1
    assert figures.ways["router"].cost.complete == 0
    assert figures.ways["router"].saving.bps is None
    assert report.figures().all.amounts.intents == 1, "asking changes nothing"


def test_an_intent_with_a_missing_mid_is_counted_and_left_out() -> None:
    events = [*arrived("one", 1, "taker"), ended("one", 2, 100.02, arrival_mid=None)]
    events += baselines("one", 60, 100.0, 100.0, None, arrival_mid=None)
    figures = Report.of(events).figures()
    assert (figures.all.amounts.intents, figures.all.cost.complete, figures.not_compared) == (1, 0, 1)
    assert figures.all.cost.missing == {"arrival": 1, "delay": 1}
    assert figures.all.cost.total_bps is None


def test_baselines_may_come_before_the_outcome() -> None:
    done = baselines("one", 60, 100.03, 100.0, None)
    outcome = ended("one", 60, 100.0)
    first = Report.of([*arrived("one", 1, "maker"), *done, outcome]).figures()
    second = Report.of([*arrived("one", 1, "maker"), outcome, *done]).figures()
    assert first == second
    assert first.ways["router"].cost.complete == 1


def test_days_that_begin_in_the_middle_of_an_intent_say_so() -> None:
    report = Report.of([ended("one", 2, 100.02), *baselines("one", 60, 100.03, 100.0, None)])
    groups = report.figures().groups
    assert list(groups["tier"]) == list(groups["regime"]) == [NOT_SAID]
    assert list(groups["route"]) == ["taker"]
    assert not Report.of(baselines("nobody", 60, 1.0, 1.0, 1.0)).figures().all.amounts.intents


def test_an_open_intent_is_counted_as_open() -> None:
    report = Report.of(arrived("one", 1, "maker"))
    assert report.open == 1
    assert report.figures().all.amounts.intents == 0


def test_what_becomes_of_a_route_later_is_no_second_intent() -> None:
    routed = arrived("one", 1, "maker")
    fallback = msgspec.structs.replace(routed[-1], route="taker", event="fallback")
    report = Report.of([*routed, fallback, ended("one", 2, 100.0, route="maker")])
    assert report.routed == {"maker": 1}
    assert list(report.figures().groups["route"]) == ["maker"]


def test_sessions_tell_their_rulebooks_their_end_and_the_bound_of_their_queue() -> None:
    reload = RulebookLoaded(ts_ms=at(5), profile="prod", rulebook="rulebook-2", sources="s")
    report = Report.of([started(), reload, started(10, settings={"queue": "optimistic"}, resumed=True)])
    assert [session.rulebooks for session in report.sessions] == [["rulebook-1", "rulebook-2"], ["rulebook-1"]]
    assert [session.resumed for session in report.sessions] == [False, True]
    assert report.sessions[0].ended_ms is None
    assert SMALL.sessions[0].ended_ms == at(200)
    assert report.queues == ("pessimistic", "optimistic")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"queue": "pessimistic"}, "pessimistic:"),
        ({"paper": {"queue": "optimistic"}}, "optimistic:"),
        ({}, "does not say"),
        ({"queue": 3}, "does not say"),
    ],
)
def test_the_queue_is_stated(settings: dict[str, object], says: str) -> None:
    assert says in queue_statement(Report.of([started(settings=settings)]))


def test_a_session_tells_the_times_of_its_baselines() -> None:
    settings = {"paper": {"queue": "pessimistic"}, "baselines": {"timeout_s": 30.0, "horizon_s": 60.0}}
    report = Report.of([started(settings=settings), started(settings=settings), started()])
    assert [(each.timeout_s, each.horizon_s) for each in report.sessions] == [(30.0, 60.0)] * 2 + [(None, None)]
    said = [note for note in notes(report, report.figures()) if "30 s" in note]
    assert len(said) == 1
    assert "60 s after arrival" in said[0]


def test_different_queues_are_not_passed_off_as_one() -> None:
    assert "differ" in queue_statement(
        Report.of([started(settings={"queue": one}) for one in ("pessimistic", "optimistic")])
    )


def test_the_types_that_a_report_reads_are_all_it_needs() -> None:
    kept = [event for event in small() if isinstance(event, READS)]
    assert report_json(Report.of(kept)) == report_json(SMALL)


def test_done_intents_are_forgotten() -> None:
    assert not SMALL._intents


# --- as data ---------------------------------------------------------------------------------------------------------


def test_json_holds_every_number() -> None:
    data = json.loads(json.dumps(report_json(SMALL), allow_nan=False))
    assert data["from"] == "2024-08-08T00:00:00Z"
    assert data["queue"]["used"] == ["pessimistic"]
    assert data["intents"] == {
        "received": 5,
        "refused": {"malformed": 1},
        "not_admitted": 1,
        "refused_by_admission": 0,
        "too_small": 1,
        "routed": {"maker": 2, "taker": 2},
        "open": 0,
    }
    assert data["compared"]["ways"]["router"]["saved_against_taker"]["bps"] == pytest.approx(0.25)
    assert data["compared"]["ways"]["maker"]["fill_share"] == 0.75
    assert data["groups"]["tier"]["ok"]["cost"]["bps"]["total"] == pytest.approx(4.0)
    assert data["groups"]["route"]["taker"]["fallback_ratio"] is None
    assert data["markouts"]["taker"] == [
        {"horizon_s": 1.0, "bps": pytest.approx(-3.25), "fills": 2, "missing": 1},
        *({"horizon_s": horizon_s, "bps": None, "fills": 0, "missing": 3} for horizon_s in (10.0, 60.0, 300.0)),
    ]
    assert data["vetoes"]["maker_gates.quality_not_good"]["taker_routes"] == 1
    assert data["saved_against_taker_usd"][-1]["at"] == "2024-08-08T00:00:44Z"


def test_the_parts_of_every_cost_add_up() -> None:
    def costs(value: object) -> list[dict[str, float]]:
        if not isinstance(value, dict):
            return []
        own = [value["usd"]] if isinstance(value.get("usd"), dict) else []
        return [*own, *(cost for inner in value.values() for cost in costs(inner))]

    found = costs(report_json(SMALL))
    assert len(found) > 15
    for cost in found:
        assert cost["total"] == pytest.approx(sum(usd for part, usd in cost.items() if part != "total"))


def test_an_empty_journal_is_data_too() -> None:
    data = report_json(Report.of([]))
    assert (data["from"], data["sessions"], data["all"]["intents"]) == (None, [], 0)
    assert data["compared"]["ways"]["router"]["cost"]["bps"] is None


def test_the_same_journal_gives_the_same_report() -> None:
    assert json.dumps(report_json(Report.of(small()))) == json.dumps(report_json(SMALL))


def test_fills_and_markouts_of_makers_and_takers_stay_apart() -> None:
    report = Report.of([filled("1", 1, is_maker=True), marked("1", 1.0, 5.0, is_maker=True)])
    assert report.fills["maker"].notional_usd == float(Decimal(1000))
    assert report.fills["taker"].fills == 0
    assert not report.markouts["taker"]
