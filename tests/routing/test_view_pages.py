"""What people read of health, vetoes and the journal: pages at two widths, kept as files whose diffs are reviewed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from engine.routing.evidence.contract import RouterHealth
from engine.routing.evidence.costs import PARTS, CostTotals
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.files import ContractFiles
from engine.routing.evidence.health_pages import one_symbol, print_health
from engine.routing.evidence.state_files import read_state, state_age_s
from engine.routing.evidence.story_pages import print_events
from engine.routing.evidence.why import why
from engine.routing.evidence.why_pages import print_why
from tests.routing.evidence.test_story import long_journal
from tests.routing.view_pages import CASES, GOLDEN, WIDTHS, console, golden_file, page, troubled, vetoed
from tests.routing.written import BTC, NOW_MS, Written, order, route, shipped


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", CASES)
def test_a_page_is_as_reviewed(name: str, columns: int) -> None:
    reviewed = golden_file(name, columns).read_text(encoding="utf-8")
    assert page(name, columns) == reviewed, "if this is meant: python -m tests.routing.update_views, and read the diff"


def test_every_golden_file_has_a_case() -> None:
    assert set(GOLDEN.glob("*.txt")) == {golden_file(name, columns) for name in CASES for columns in WIDTHS}


@pytest.mark.parametrize("columns", [80, 100, 139, 140, 160])
@pytest.mark.parametrize("name", CASES)
def test_pages_keep_to_the_width(name: str, columns: int) -> None:
    lines = page(name, columns).splitlines()
    assert max(map(len, lines)) <= columns


def test_stale_data_look_stale_without_colours() -> None:
    text = page("health", 80)
    assert "17 min STALE" in text
    assert "(0.62)" in text
    assert "figures in parentheses are" in text
    assert "STALE" in page("health_stale", 80)


def _health(age_s: float | None, **breaker: object) -> str:
    """The page of all symbols at 80 columns; `breaker` says what is otherwise about the one that moved."""
    health = msgspec.json.decode(troubled().snapshot(NOW_MS).views["router_health"], type=RouterHealth)
    symbols = [
        replace(
            line,
            breakers=[replace(held, **breaker) if held.state == "open" and breaker else held for held in line.breakers],
        )
        for line in health.symbols
    ]
    stream = io.StringIO()
    print_health(console(80, stream), replace(health, symbols=symbols, per_symbol=symbols), age_s)
    return stream.getvalue()


def test_a_page_says_how_old_its_snapshot_is_and_that_its_ages_are_as_of_that() -> None:
    text = " ".join(_health(12.0).split())
    assert "11:40:00 UTC, written 12 s ago tick 1" in text
    assert "ages are as of the snapshot" in text
    assert "how old that was at the snapshot" in text
    assert "renews" not in text


def test_a_snapshot_that_nobody_renews_looks_stale_as_a_whole() -> None:
    text = " ".join(_health(7200.0).split())
    assert "written 2.0 h ago, STALE" in text
    assert "no session renews it: by now all of it is 2.0 h older than it says" in text


def test_the_age_of_a_snapshot_is_that_of_its_file(tmp_path: Path) -> None:
    assert state_age_s(tmp_path, lambda: 1_000.0) is None
    path = tmp_path / "state" / "router_health.json"
    path.parent.mkdir()
    path.touch()
    os.utime(path, (940.0, 940.0))
    assert state_age_s(tmp_path, lambda: 1_000.0) == 60.0
    assert state_age_s(tmp_path, lambda: 900.0) == 0.0, "a clock that was set back"


@pytest.mark.parametrize("columns", [66, 80])
def test_no_number_of_a_long_day_is_cut_where_vetoes_are_counted(columns: int) -> None:
    answer = why(vetoed().events, BTC, book_of=lambda *_: shipped("prod"))
    for number, look in enumerate(answer.ranked):
        look.rule = f"hard_gates.maker_qty_above_admitted_{number}"
        look.vetoed, look.alone = 1_234_567, 1_034_567
        look.cost = CostTotals(1, 1e10, dict.fromkeys(PARTS, -12_345_678.9 / len(PARTS)))
    stream = io.StringIO()
    print_why(console(columns, stream), answer)
    table = stream.getvalue().partition("veto rule")[2]
    for shown in ("1,234,567", "1,034,567", "-12.35", "-12,345,678.90"):
        assert shown in table
    assert max(map(len, stream.getvalue().splitlines())) <= columns


def test_a_half_open_breaker_says_whether_makers_wait_for_its_trial() -> None:
    """The gate that keeps them out is called `breaker_open`."""
    waiting = " ".join(_health(12.0, state="half_open", pauses=True).split())
    assert "half open 12 s, its trial on the way" in waiting
    assert "makers wait for it as if it were open" in waiting
    assert "half open 12 s, a trial may go" in " ".join(_health(12.0, state="half_open", pauses=False).split())


def test_stale_data_are_red_as_well() -> None:
    stream = io.StringIO()
    colours = Console(file=stream, width=160, force_terminal=True, color_system="standard", _environ={"COLUMNS": "160"})
    made = troubled().snapshot(NOW_MS).views["router_health"]
    print_health(colours, msgspec.json.decode(made, type=RouterHealth))
    assert "\x1b[31m17 min STALE\x1b[0m" in stream.getvalue()


def test_lines_of_a_journal_are_whole_where_nobody_looks() -> None:
    stream = io.StringIO()
    print_events(Console(file=stream, width=80, color_system=None, _environ={}), long_journal().events)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(long_journal().events), "one line an event"
    assert not any(line.endswith("...") for line in lines)
    assert any(len(line) > 120 for line in lines)


def test_earlier_events_name_the_orders_of_later_ones() -> None:
    journal = long_journal()
    stream = io.StringIO()
    page = Console(file=stream, width=200, color_system=None, _environ={})
    print_events(page, journal.events[-20:], before=journal.events[:-20])
    assert "order 2 filled 0.3" in stream.getvalue()
    assert "0.5 so far" in stream.getvalue()


def test_text_of_others_cannot_steer_the_screen() -> None:
    journal = Written()
    route(journal, "a-\x1b[2J\n1", side="buy")
    order(journal, "a-\x1b[2J\n1", why="\x1b[31mred\x07")
    stream = io.StringIO()
    print_events(Console(file=stream, width=200, color_system=None, _environ={}), journal.events)
    assert "\x1b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == len(journal.events)


def test_a_symbol_that_is_not_there_is_said_with_the_nearest(tmp_path: Path) -> None:
    made = msgspec.structs.replace(troubled().snapshot(NOW_MS), seq=1)
    files = ContractFiles(tmp_path, 1)
    files.see(made)
    files.flush()
    state = read_state(tmp_path)
    assert one_symbol(state, "BTCUSDT").symbol == "BTCUSDT"
    with pytest.raises(ViewError, match="no symbol `BTCUSD`") as raised:
        one_symbol(state, "BTCUSD")
    assert "`BTCUSDT`" in raised.value.help
