"""Health as HTML: what the policy warns of is marked with its rule, what is stale says so, and nothing is made up."""

from __future__ import annotations

import re

import msgspec
import pytest

from engine.routing.evidence.contract import Observed, SymbolHealth, Warned
from engine.web.live import HealthNow, Point, health_of
from engine.web.pages.health_html import row_html, rows_html, since_html, summary_html
from engine.web.pauses import Pauses
from tests.routing.written import BTC, DOGE, NOW_MS
from tests.web.test_pauses import moved
from tests.web.world import a_session

EVENTS = a_session()


@pytest.fixture
def health() -> HealthNow:
    return health_of(EVENTS[-1])  # type: ignore[arg-type]  # the last event is a snapshot


def line(health: HealthNow, symbol: str) -> SymbolHealth:
    return next(each for each in health.router_health.symbols if each.symbol == symbol)


def test_every_symbol_has_a_row_and_the_worst_comes_first(health: HealthNow) -> None:
    rows = rows_html(health, lambda _: ())
    assert list(rows) == [f"h-{DOGE}", f"h-{BTC}"]
    assert line(health, DOGE).status == "critical"
    assert list(rows_html(health, lambda _: (), "btc")) == [f"h-{BTC}"]
    assert len(rows_html(health, lambda _: (), most=1)) == 1


def test_breakers_that_moved_since_the_snapshot_stand_above_its_figures(health: HealthNow) -> None:
    pauses = Pauses()
    at = health.seq
    pauses.see(moved(at + 1, "closed", "open", scope="venue"))
    pauses.see(moved(at + 2, "open", "half_open", rule="breaker.time_is_over"))
    shown = since_html(pauses.after(at), (NOW_MS + 1000 * (at + 13)) / 1000)
    assert "▲ </i><b>since this snapshot" in shown
    venue = shown.index("the breaker of the venue opened 12 s ago, by ")
    assert shown.index("the breaker of BTCUSDT went half open 11 s ago, by ") < venue
    assert "(fallbacks_in_a_row 3 &gt;= open_at_fallbacks 3)" in shown[venue:]
    assert shown.count("; makers wait") == 1
    assert "; makers wait" in shown[venue:]
    many = {f"S{place}": pauses.after(at)["venue"] for place in range(7)}
    assert "and 2 more breakers" in since_html(many, 1.0)


def test_nothing_is_said_where_nothing_moved_since(health: HealthNow) -> None:
    assert since_html({}, health.updated_ts) == '<div id="health-since"></div>'


def test_a_warning_marks_its_column_and_names_its_rule_and_place(health: HealthNow) -> None:
    warned = Warned(
        flag="slow_acks", rule="health_warnings.slow_acks", at="rules/health_warnings.yaml:42", reason="late"
    )
    row = row_html(msgspec.structs.replace(line(health, BTC), warnings=[warned], status="critical"), None, ())
    (marked,) = [cell for cell in row.split("<td ") if 'class="bad"' in cell]
    assert 'data-label="ack"' in marked
    assert "health_<wbr>warnings.<wbr>slow_<wbr>acks" in marked
    assert "✖" in marked
    assert "rules/<wbr>health_<wbr>warnings.<wbr>yaml:42" in row


def test_a_warning_of_another_policy_stands_under_the_status(health: HealthNow) -> None:
    warned = Warned(flag="my_own", rule="mine.my_own", at="rules/mine.yaml:3", reason="because")
    row = row_html(msgspec.structs.replace(line(health, BTC), warnings=[warned]), None, ())
    assert 'class="bad"' not in row
    assert "my own" in row


def test_what_is_warned_of_has_the_colour_of_the_policys_word(health: HealthNow) -> None:
    warned = Warned(flag="breaker_open", rule="health_warnings.breaker_open", at="r.yaml:1", reason="maker_paused")
    (breaker, *_) = line(health, BTC).breakers
    opened = msgspec.structs.replace(breaker, state="open", pauses=True)

    def shown(status: str, column: str = "breaker") -> str:
        held = msgspec.structs.replace(line(health, BTC), warnings=[warned], status=status, breakers=[opened])
        (cell,) = [cell for cell in row_html(held, None, ()).split("<td ") if f'data-label="{column}"' in cell]
        return cell

    assert 'class="warned"' in shown("warn")
    assert "▲</i> open" in shown("warn")
    assert "✖" not in shown("warn")
    assert 'class="bad"' in shown("critical")
    assert "✖</i> open" in shown("critical")
    assert 'class="warnings warned"' in shown("warn", "status")
    assert 'class="warnings bad"' in shown("critical", "status")
    assert "makers wait: the breaker of BTCUSDT has been open for " in shown("warn", "status")


def test_a_half_open_breaker_says_the_same_of_its_trial_in_every_cell(health: HealthNow) -> None:
    warned = Warned(flag="breaker_open", rule="health_warnings.breaker_open", at="r.yaml:1", reason="maker_paused")
    (breaker, *_) = line(health, BTC).breakers

    def shown(*, pauses: bool) -> str:
        tried = msgspec.structs.replace(breaker, state="half_open", in_state_s=12.0, pauses=pauses, rule="r.over")
        held = msgspec.structs.replace(line(health, BTC), warnings=[warned] if pauses else [], breakers=[tried])
        return row_html(held, None, ())

    waiting = shown(pauses=True)
    assert "makers wait: the breaker of BTCUSDT has been half open for 12 s, its trial on the way, by r.over" in waiting
    assert "<small>BTCUSDT, 12 s, its trial on the way</small>" in waiting
    assert "breaker half open, a trial may go" in shown(pauses=False)
    assert "<small>BTCUSDT, 12 s, a trial may go</small>" in shown(pauses=False)


def test_on_a_narrow_screen_a_row_is_a_few_words(health: HealthNow) -> None:
    row = row_html(line(health, DOGE), None, ())
    (brief,) = re.findall(r'<details id="more-DOGEUSDT" class="more">(.*?)</details>', row)
    assert "✖</i> critical" in brief
    assert "risk stale" in brief
    assert "fallback" in brief
    assert "telemetry stale" in brief


def test_the_status_of_all_names_its_cause_and_what_it_rests_on_first(health: HealthNow) -> None:
    assert "</b><small>risk stale, " in summary_html(health)
    row = row_html(line(health, DOGE), None, ())
    assert row.index("<b>risk stale</b>") < row.index("<b>telemetry stale</b>")


def test_only_symbols_that_nothing_keeps_from_resting_are_said_to(health: HealthNow) -> None:
    held = line(health, BTC)
    gated = msgspec.structs.replace(held, vetoes=["hard_gates.book_missing"])
    paused = msgspec.structs.replace(held, maker_paused=True)
    unknown = msgspec.structs.replace(held, maker_paused=None)
    taker = msgspec.structs.replace(held, maker_first=False)
    shown = summary_html(with_symbols(health, [gated, paused, unknown, taker]))
    first = f"maker first in {health.router_health.summary.maker_first}"  # the sums are those of the snapshot
    assert f"<dt>makers may rest</dt><dd><b>0 of 2</b><small>{first}, 1 paused, 1 gated</small>" in shown
    assert f"<b>1 of 2</b><small>{first}, 1 paused</small>" in summary_html(with_symbols(health, [held, paused]))


def test_figures_that_rules_no_longer_see_stand_in_parentheses(health: HealthNow) -> None:
    fresh = line(health, BTC)
    assert "(82 %)" not in row_html(fresh, None, ())
    ages = {**fresh.ages, "telemetry": Observed(age_s=90_000.0, state="stale")}
    row = row_html(msgspec.structs.replace(fresh, ages=ages), None, ())
    assert "(82 %)" in row
    assert "telemetry stale" in row
    assert "25.0 h" in row


def test_what_is_not_known_is_a_dash(health: HealthNow) -> None:
    row = row_html(line(health, DOGE), None, ())
    assert 'data-label="maker fill" class="bad">–' in row
    assert "none yet" in row


def test_lines_show_the_window(health: HealthNow) -> None:
    trend = [Point(float(at), 0.5 + at / 10, None, 1.0, 2.0, 40.0, 0.2, 1.0) for at in range(3)]
    row = row_html(line(health, BTC), None, trend)
    assert "maker fill over the window: 50 % to 70 %, last 70 %" in row
    assert '<small class="count">' in row
    assert "fallback over the window" not in row


def test_gates_that_nothing_lifts_are_counted_and_named(health: HealthNow) -> None:
    vetoes = ["hard_gates.book_missing", "hard_gates.breaker_open"]
    row = row_html(msgspec.structs.replace(line(health, BTC), vetoes=vetoes), None, ())
    assert "but 2 gates" in row
    assert "vetoes any: hard_<wbr>gates.<wbr>book_<wbr>missing, " in row
    assert "vetoes any" not in row_html(msgspec.structs.replace(line(health, BTC), vetoes=[]), None, ())


def test_the_last_decision_links_to_itself(health: HealthNow) -> None:
    last = line(health, BTC).last_route_decision
    assert last is not None
    row = row_html(line(health, BTC), None, ())
    # Read out without its row, "why" alone would be the name of every one of them.
    assert f'href="/decisions/{last.decision_id}" aria-label="why {BTC} was routed so"' in row


def test_a_warning_of_the_account_is_red_in_the_summary_with_its_rule(health: HealthNow) -> None:
    assert 'class="tile bad"' not in summary_html(calm(health))
    warned = Warned(flag="drawdown", rule="health_warnings.drawdown", at="rules/health_warnings.yaml:56", reason="-2 %")
    losing = [msgspec.structs.replace(each, warnings=[warned]) for each in health.router_health.symbols]
    shown = summary_html(with_symbols(health, losing))
    assert shown.count('class="tile bad"') == 1
    assert shown.count("health_<wbr>warnings.<wbr>drawdown") == 1


def calm(health: HealthNow) -> HealthNow:
    return with_symbols(health, [msgspec.structs.replace(each, warnings=[]) for each in health.router_health.symbols])


def with_symbols(health: HealthNow, symbols: list[SymbolHealth]) -> HealthNow:
    return msgspec.structs.replace(health, router_health=msgspec.structs.replace(health.router_health, symbols=symbols))


def test_counts_begin_with_the_worst(health: HealthNow) -> None:
    summary = msgspec.structs.replace(
        health.router_health.summary,
        statuses={"ok": 7, "critical": 0, "warn": 2},
        qualities={"mine": 1, "good": 3, "broken": 4},
    )
    shown = summary_html(
        msgspec.structs.replace(health, router_health=msgspec.structs.replace(health.router_health, summary=summary))
    )
    assert "2 warn, 7 ok" in shown
    assert "4 broken, 3 good, 1 mine" in shown


def test_the_summary_is_that_of_the_snapshot(health: HealthNow) -> None:
    summary = summary_html(health)
    assert "✖</i> critical" in summary
    assert "1 of 2" in summary or "2 of 2" in summary
    assert DOGE in summary
