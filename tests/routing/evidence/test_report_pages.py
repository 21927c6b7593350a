"""The report on a terminal and as a page: it fits, says what is missing, and the page loads nothing and can be read."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from engine.journal.events import Event
from engine.routing.evidence.charts import Bar, Line, bar_chart, line_chart
from engine.routing.evidence.report import Report
from engine.routing.evidence.report_html import report_html
from engine.routing.evidence.report_pages import print_report
from tests.routing.report_journal import arrived, baselines, ended, small, started

HOSTILE = '<script src="https://evil.example/x.js">&\x1b[31m'


def printed(report: Report, width: int) -> str:
    stream = io.StringIO()
    print_report(Console(file=stream, width=width, force_terminal=True, color_system=None, highlight=False), report)
    return stream.getvalue()


def many_symbols() -> list[Event]:
    """Long names, large and negative numbers."""
    events = small()
    for number in range(60):
        symbol, intent_id = f"SYMBOL{number:02}USDT", f"big-{number}"
        events += arrived(intent_id, 50, "taker", symbol=symbol, vetoes=[f"hard_gates.some_longer_rule_{number}"])
        costs = {"symbol": symbol, "target": 1_000_000, "filled": 1_000_000}
        events.append(ended(intent_id, 51, 200.0, taker_veto=f"hard_gates.some_longer_rule_{number}", **costs))
        events += baselines(intent_id, 120, 90.0, 100.0, None, symbol=symbol)
    return events


# --- the terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120, 160])
@pytest.mark.parametrize("events", [small(), many_symbols()], ids=["small", "many symbols"])
def test_every_line_fits(width: int, events: list[Event]) -> None:
    lines = printed(Report.of(events), width).splitlines()
    assert max(len(line) for line in lines) <= width
    assert not any("…" in line for line in lines if not line.startswith("… and")), "and nothing is cut"


def test_a_narrow_page_says_what_matters() -> None:
    page = printed(Report.of(small()), 80)
    assert "saved 0.25 ± 1.44 bps against always taker" in page
    intents = "5 received, 1 not taken (malformed 1), 0 refused, 1 too small, 2 routed maker, 2 routed taker"
    assert intents in " ".join(page.split())
    rows = [line.split() for line in page.splitlines()]
    assert ["router", "100%", "25.0%", "0.00", "+2.50", "0.00", "0.00", "+2.50", "+0.25"] in rows
    assert ["always", "maker", "75.0%", "100%", "0.00", "-0.75", "0.00", "0.00", "-0.75", "+3.50"] in rows
    assert ["taker", "2", "100%", "0%", "-", "0.00", "+3.00", "0.00", "0.00", "+3.00"] in rows
    assert ["quality_not_good", "1", "1", "+4.00", "0.40", "+3.00"] in rows
    assert ["taker", "3", "-3.25", "-", "-", "-"] in rows
    assert ["taker,", "missing", "1", "3", "3", "3"] in rows
    assert "queue: pessimistic" in page


def test_a_wide_page_says_more() -> None:
    page = printed(Report.of(small()), 160)
    rows = [line.split() for line in page.splitlines()]
    assert [
        "router",
        "100%",
        "25.0%",
        "0.00",
        "+2.50",
        "0.00",
        "0.00",
        "+2.50",
        "+0.25",
        "1.44",
        "0.10",
        "1.00",
    ] in rows
    assert ["maker_gates.quality_not_good", "1", "1", "+4.00", "0.40", "+3.00", "0.30"] in rows


def test_a_router_that_costs_more_says_so() -> None:
    events = [*arrived("one", 1, "taker"), ended("one", 2, 100.05), *baselines("one", 60, 100.02, 100.0, None)]
    assert "cost 3.00 bps more than always taker: 0.30 USD on 1,000 USD of 1 intent" in printed(Report.of(events), 120)


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "The journal holds no events of these days."),
        ([started()], "No intent came in these days"),
        ([started(), *arrived("one", 1, "none")], "No intent was admitted in these days"),
    ],
)
def test_a_report_of_nothing_says_so(events: list[Event], says: str) -> None:
    report = Report.of(events)
    page, html = printed(report, 80), report_html(report)
    assert says in page
    assert says in html
    assert "four ways" not in page
    assert "<svg" not in html
    assert "nan" not in page.lower()


def test_long_tables_are_cut_with_a_count() -> None:
    assert "… and 22 more (--json has all)" in printed(Report.of(many_symbols()), 160)


def test_an_incomplete_journal_says_what_is_left_out() -> None:
    events = [*arrived("one", 1, "taker"), ended("one", 2, 100.0, arrival_mid=None)]
    for page in (printed(Report.of(events), 160), report_html(Report.of(events))):
        assert "1 intent without a known cost" in page
        assert "(arrival 1, delay 1)" in page
        assert "1 intent not compared" in page
        assert "no intent can be compared with always taker" in page.lower()


# --- the page --------------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Reads a page: which elements it has, whether they are closed, what it might load, what it says."""

    VOID = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.said = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def test_the_page_loads_nothing() -> None:
    page = report_html(Report.of(many_symbols()))
    outline = Outline(page)
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert not {"script", "link", "img", "iframe", "object", "embed", "use", "image", "base", "a"} & set(outline.tags)
    assert not {"src", "href", "srcset", "style", "data"} & {name for _, name, _ in outline.attributes}
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    policy = [value for tag, name, value in outline.attributes if tag == "meta" and name == "content"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policy


def test_the_page_has_four_charts_and_every_table() -> None:
    outline = Outline(report_html(Report.of(small())))
    charts = [value for tag, name, value in outline.attributes if tag == "svg" and name == "aria-label"]
    assert charts == [
        "Saved against always taker, USD",
        "What each way cost, bps",
        "Markouts after a fill, bps",
        "What taker routes cost, by the veto that came first, USD",
    ]
    assert outline.tags.count("table") == 8
    for text in ("saved 0.25 ± 1.44 bps", "maker_gates.quality_not_good", "always maker, 75.0% filled", "queue: pess"):
        assert text in outline.said


def test_the_page_follows_light_and_dark_and_narrow_screens() -> None:
    page = report_html(Report.of(small()))
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport" content="width=device-width' in page
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    names = set(re.findall(r"--[a-z0-9]+", dark))
    assert names == set(re.findall(r"--[a-z0-9]+", light))
    assert set(re.findall(r"var\((--[a-z0-9]+)\)", page)) <= names


def test_nothing_that_a_journal_says_becomes_markup() -> None:
    events = [
        started(market=HOSTILE, profile=HOSTILE),
        *arrived(HOSTILE, 1, "taker", symbol=HOSTILE, vetoes=[HOSTILE], quality=HOSTILE, regime=HOSTILE),
        ended(HOSTILE, 2, 100.02, symbol=HOSTILE, taker_veto=HOSTILE),
        *baselines(HOSTILE, 60, 100.02, 100.0, 100.0, symbol=HOSTILE),
    ]
    report = Report.of(events)
    page = report_html(report)
    assert "script" not in Outline(page).tags
    assert "\x1b" not in page
    assert "\x1b" not in printed(report, 160)


def test_the_same_report_gives_the_same_page() -> None:
    assert report_html(Report.of(small())) == report_html(Report.of(small()))


# --- charts ----------------------------------------------------------------------------------------------------------


def numbers(svg: str, attribute: str, kind: str) -> list[float]:
    return [float(value) for value in re.findall(rf'<{kind} [^>]*\b{attribute}="([-0-9.]+)"', svg)]


def test_parts_of_a_bar_are_stacked_away_from_zero() -> None:
    svg = bar_chart("costs", [Bar("one", [("a", 1.0), ("b", -2.0), ("c", 1.0)], "0")], "bps")
    lefts, widths = numbers(svg, "x", "rect"), numbers(svg, "width", "rect")
    zero = float(re.findall(r'class="zero" x1="([0-9.]+)"', svg)[0])
    total = float(re.findall(r'class="total" x1="([0-9.]+)"', svg)[0])
    first, negative, second = ((left, left + width) for left, width in zip(lefts, widths, strict=True))
    assert first[0] == pytest.approx(zero, abs=0.1)
    assert second[0] == pytest.approx(first[1], abs=0.1)
    assert negative[1] == pytest.approx(zero, abs=0.1)
    assert total == pytest.approx(zero, abs=0.1)


def test_a_line_rises_with_its_values() -> None:
    svg = line_chart("saved", [Line("router", [(0.0, -1.0), (1.0, 0.0), (2.0, 3.0)], dots=True)], [(0.0, "0 s")], "USD")
    xs, ys = numbers(svg, "cx", "circle"), numbers(svg, "cy", "circle")
    assert xs == sorted(xs)
    assert ys == sorted(ys, reverse=True)
    assert "router: -1.00 USD" in svg


@pytest.mark.parametrize("value", [0.0, 1e-12, 1e12, -1e12])
def test_charts_stand_any_size_of_number(value: float) -> None:
    for svg in (
        line_chart("t", [Line("a", [(0.0, value)])], [(0.0, "x")], "USD"),
        bar_chart("t", [Bar("a", [("a", value)], "x")], "USD"),
    ):
        assert "nan" not in svg
        assert "inf" not in svg
        assert len(svg) < 10_000


def test_names_in_charts_are_escaped() -> None:
    svg = bar_chart(HOSTILE, [Bar(HOSTILE, [(HOSTILE, 1.0)], HOSTILE)], "USD")
    assert "<script" not in svg
