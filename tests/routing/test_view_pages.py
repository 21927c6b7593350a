"""What people read of health, vetoes and the journal: pages at two widths, kept as files whose diffs are reviewed."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from engine.routing.contract import RouterHealth
from engine.routing.errors import ViewError
from engine.routing.files import ContractFiles
from engine.routing.health_pages import lasting, one_symbol, print_health
from engine.routing.state_files import read_state
from engine.routing.story_pages import print_events
from tests.routing.test_story import long_journal
from tests.routing.view_pages import CASES, GOLDEN, WIDTHS, golden_file, page, troubled
from tests.routing.written import NOW_MS, Written, order, route


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (0.25, "0.2 s"), (9.9, "9.9 s"), (179.0, "179 s"), (180.0, "3 min"), (7200.0, "2.0 h")],
)
def test_ages_are_told_in_a_unit_that_can_be_read(seconds: float, said: str) -> None:
    assert lasting(seconds) == said
