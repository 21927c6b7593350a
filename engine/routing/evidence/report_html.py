"""A report as one HTML page that needs nothing else: styles and charts are in it, and it loads nothing from anywhere.

In: a report. Out: the text of the page. It follows the reader's light or dark mode, and is laid out anew down to the
width of a phone; tables wider than the screen scroll by themselves. Every text of the journal is escaped, and a policy
in the page's head forbids it to load or run anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from engine.printing import printable
from engine.routing.evidence import report_text as words
from engine.routing.evidence.charts import STYLE, Bar, Line, bar_chart, key, line_chart
from engine.routing.evidence.costs import PARTS
from engine.routing.evidence.report import (
    DIMENSIONS,
    WAYS,
    Figures,
    Report,
    VetoCost,
    Way,
    by_cost,
    horizons,
    saving_over_time,
)

_MOST_VETOES = 8
_MOST_ROWS = 200
_SHOWN_SAVINGS: tuple[Way, ...] = ("router", "maker_then_taker")
"""Ways whose saving is drawn over time: always maker leaves so much unfilled that its saving is another thing."""
_PART_NAMES = ("delay", "spread and impact", "fees", "opportunity")
_MOST_TIME_TICKS = 4
_TIME_STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400)

_PAGE_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b1f24; --soft: #57606a; --line: #dde1e6;
  --s0: #1f6feb; --s1: #bc4c00; --s2: #0f766e; --s3: #8250df;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1116; --card: #171b22; --text: #e6e9ee; --soft: #9aa4b2; --line: #2d333c;
    --s0: #58a6ff; --s1: #f0883e; --s2: #2dd4bf; --s3: #c297ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 20px 16px 40px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 16px; margin: 0 0 8px; }
p { margin: 4px 0; }
.soft { color: var(--soft); overflow-wrap: anywhere; }
section p.soft { font-size: 13px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 16px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 16px 0; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
section { margin-top: 16px; min-width: 0; }
.grid > section { margin-top: 0; }
.tile b { display: block; font-size: 21px; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile small { font-size: 13px; font-weight: 500; }
.tile span { color: var(--soft); font-size: 13px; }
.legend { list-style: none; margin: 8px 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 16px;
  color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 0 4px 14px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { padding-left: 0; text-align: left; position: sticky; left: 0;
  background: var(--card); }
ul.notes { margin: 0; padding-left: 18px; color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
""".strip()


def report_html(report: Report) -> str:
    """The page; of a report without intents, one that says so."""
    figures = report.figures()
    empty = words.empty_text(report)
    body = [_head(report, figures, empty)]
    if empty is None:
        body += [_tiles(figures), _charts(report, figures), _tables(report, figures)]
        body.append(_section("What the numbers mean", _list(words.notes(report, figures))))
    if report.sessions:
        body.append(_section("Sessions", _list(words.session_lines(report))))
    return _page("".join(body))


def _page(body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Sluice: what routing cost</title>\n<style>\n{_PAGE_STYLE}\n{STYLE}\n</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


# --- parts -----------------------------------------------------------------------------------------------------------


def _head(report: Report, figures: Figures, empty: str | None) -> str:
    title = "What routing cost" if empty is not None else _sentence(words.headline(figures))
    lines = [f"<h1>{_text(title)}</h1>", f'<p class="soft">{_text(words.period_text(report))}</p>']
    if report.received or report.refused:
        lines.append(f'<p class="soft">Intents: {_text(words.intents_line(report))}</p>')
    if empty is not None:
        lines.append(f"<p>{_text(empty)}</p>")
    return f"<header>{''.join(lines)}</header>"


def _sentence(text: str) -> str:
    return f"Routing by rules {text}" if text.startswith(("saved", "cost")) else text.capitalize()


def _tiles(figures: Figures) -> str:
    router, everything = figures.ways["router"], figures.all
    saving = router.saving
    error = "" if saving.error_bps is None else f"± {saving.error_bps:.2f}"
    tiles = [
        (words.bps_text(saving.bps), error, "bps saved against always taker"),
        (words.usd_text(saving.usd if saving.intents else None), "", "USD saved against always taker"),
        (f"{saving.intents:,}", "", f"intents compared, of {everything.amounts.intents:,}"),
        (words.bps_text(everything.cost.total_bps), "", "bps cost of all intents"),
        (words.share_text(everything.amounts.maker_share), "", "of the filled value as maker"),
        (words.share_text(everything.fallback_ratio), "", "of maker attempts fell back"),
    ]
    shown = "".join(
        f'<div class="tile"><b>{_text(value)} <small>{_text(beside)}</small></b><span>{_text(label)}</span></div>'
        for value, beside, label in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _charts(report: Report, figures: Figures) -> str:
    charts = [_saving_chart(figures), _cost_chart(figures), _markout_chart(report), _veto_chart(figures)]
    return f'<div class="grid">{"".join(charts)}</div>'


def _saving_chart(figures: Figures) -> str:
    title = "Saved against always taker, USD"
    points = saving_over_time(figures)
    if not points:
        return _section(title, _nothing("No intent can be compared."))
    lines = [
        Line(words.WAY_NAMES[way], [(float(arrival_ms), saved[way]) for arrival_ms, saved in points])
        for way in _SHOWN_SAVINGS
    ]
    last = points[-1][1]
    legend = [
        (number, f"{words.WAY_NAMES[way]}: {words.usd_text(last[way])}") for number, way in enumerate(_SHOWN_SAVINGS)
    ]
    chart = line_chart(title, lines, _time_ticks(points[0][0], points[-1][0]), "USD")
    return _section(title, chart + _legend(legend, line=True))


def _time_ticks(first_ms: int, last_ms: int) -> list[tuple[float, str]]:
    """Whole seconds, minutes, hours or days between two moments; the first moment itself where none lies there."""
    span_s = (last_ms - first_ms) / 1000
    step_s = next((step for step in _TIME_STEPS_S if span_s / step < _MOST_TIME_TICKS), None)
    if step_s is None:
        step_s = 86_400 * math.ceil(span_s / 86_400 / (_MOST_TIME_TICKS - 1))
    step_ms = step_s * 1000
    form = "%Y-%m-%d" if step_s >= 86_400 else "%m-%d %H:%M" if span_s > 86_400 else "%H:%M"
    if step_s < 60:
        form = "%H:%M:%S"
    moments = range(first_ms + -first_ms % step_ms, last_ms + 1, step_ms) or [first_ms]
    return [(float(moment), _clock(moment, form)) for moment in moments]


def _clock(ts_ms: int, form: str) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime(form)


def _cost_chart(figures: Figures) -> str:
    title = "What each way cost, bps"
    bars = []
    for way in WAYS:
        compared = figures.ways[way]
        if compared.cost.complete:
            parts = [(name, compared.cost.part_bps(part) or 0.0) for part, name in zip(PARTS, _PART_NAMES, strict=True)]
            filled = words.share_text(compared.amounts.fill_share)
            name = f"{words.WAY_NAMES[way]}, {filled} filled"
            bars.append(Bar(name, parts, words.bps_text(compared.cost.total_bps)))
    if not bars:
        return _section(title, _nothing("No intent can be compared."))
    return _section(title, bar_chart(title, bars, "bps") + _legend(list(enumerate(_PART_NAMES)), line=False))


def _markout_chart(report: Report) -> str:
    title = "Markouts after a fill, bps"
    known = horizons(report)
    lines, legend = [], []
    for role, of_role in report.markouts.items():
        points = [
            (float(place), bps)
            for place, horizon_s in enumerate(known)
            if horizon_s in of_role and (bps := of_role[horizon_s].bps) is not None
        ]
        lines.append(Line(f"{role} fills", points, dots=True))
        if points:
            legend.append((len(lines) - 1, f"{role} fills"))
    if not legend:
        return _section(title, _nothing("No fill was followed for long enough."))
    ticks = [(float(place), words.seconds_text(horizon_s)) for place, horizon_s in enumerate(known)]
    chart = line_chart(title, lines, ticks, "bps")
    return _section(title, chart + _legend(legend, line=True) + _nothing("Positive is cost: the mid moved against us."))


def _veto_chart(figures: Figures) -> str:
    title = "What taker routes cost, by the veto that came first, USD"
    known = [(rule, veto) for rule, veto in by_cost(figures.vetoes) if veto.cost.total_usd is not None]
    if not known:
        return _section(title, _nothing("No veto sent an intent to the taker side."))
    bars = [_veto_bar(rule, veto) for rule, veto in known[:_MOST_VETOES]]
    more = len(known) - len(bars)
    rest = _nothing(f"and {more} more in the table below") if more else ""
    return _section(title, bar_chart(title, bars, "USD") + rest)


def _veto_bar(rule: str, veto: VetoCost) -> Bar:
    usd = veto.cost.total_usd or 0.0
    value = f"{words.usd_text(usd)} USD, {words.bps_text(veto.cost.total_bps)} bps"
    return Bar(printable(rule.rpartition(".")[2]), [("cost", usd)], value)


def _tables(report: Report, figures: Figures) -> str:
    compared = figures.ways["router"].cost.complete
    tables = [(f"Four ways to route the same {compared:,} intents, bps", words.way_rows(figures, wide=True))]
    tables += [(f"By {dimension}, bps", words.group_rows(figures, dimension, wide=True)) for dimension in DIMENSIONS]
    tables += [
        ("Markouts, bps", words.markout_rows(report)),
        (
            "Vetoes, with the cost of the taker routes they came first in",
            words.veto_rows(by_cost(figures.vetoes), wide=True),
        ),
    ]
    return "".join(_section(title, _table(rows)) for title, rows in tables if rows)


# --- pieces ----------------------------------------------------------------------------------------------------------


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{content}</section>"


def _nothing(text: str) -> str:
    return f'<p class="soft">{_text(text)}</p>'


def _legend(items: Sequence[tuple[int, str]], *, line: bool) -> str:
    shown = "".join(f"<li>{key(number, line=line)} {_text(name)}</li>" for number, name in items)
    return f'<ul class="legend">{shown}</ul>'


def _list(lines: Sequence[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{_text(line)}</li>" for line in lines)}</ul>'


def _table(rows: Sequence[words.Row]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows[1 : _MOST_ROWS + 1])
    more = len(rows) - 1 - _MOST_ROWS
    rest = _nothing(f"and {more:,} more") if more > 0 else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}'


def _text(text: str) -> str:
    return escape(printable(text))
