"""The words of a report that its two pages share: numbers with signs and units, the headline, rows of tables, notes.

In: a report and its figures. Out: plain text, one line each; whoever shows it escapes and lays it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from engine.printing import counted
from engine.routing.evidence.costs import PARTS, CostTotals, Saving
from engine.routing.evidence.report import (
    DIMENSIONS,
    WAYS,
    Amounts,
    Compared,
    Figures,
    Group,
    Report,
    VetoCost,
    Way,
    horizons,
    missing_markouts,
    queue_statement,
    utc,
)

NONE = "-"
"""What is missing; never 0."""

DEFINITIONS = (
    "Costs are bps of target × mid at arrival; positive is cost, for buys and sells alike.",
    "Delay, spread (with impact), fees, and opportunity (the mid's move on what was not filled) make up the total.",
    "Always taker crosses at arrival. Maker then taker rests at the touch for a while, then crosses the rest.",
    "Always maker rests at the touch to the end. All have venues of their own, with the router's latency and fees.",
    "What is not filled is measured at one moment for all four ways, and pays neither spread nor fees.",
    "So a way that fills little looks cheap: read its cost beside its share filled.",
    "± is one standard error as if intents were independent; those that overlap in time are not: it is a lower bound.",
)
"""What a reader has to know of the numbers."""

WAY_NAMES: Mapping[Way, str] = {
    "router": "router",
    "taker": "always taker",
    "maker_then_taker": "maker then taker",
    "maker": "always maker",
}

Row: TypeAlias = list[str]


# --- numbers ---------------------------------------------------------------------------------------------------------


def bps_text(value: float | None) -> str:
    """Basis points, with two digits and a sign.

    >>> bps_text(1.234), bps_text(-0.0004), bps_text(None)
    ('+1.23', '0.00', '-')
    """
    if value is None:
        return NONE
    rounded = round(value, 2)
    return f"{rounded:+.2f}" if rounded else "0.00"


def usd_text(value: float | None) -> str:
    """US dollars: with cents up to a thousand, whole ones above.

    >>> usd_text(12.345), usd_text(-12345.6), usd_text(None)
    ('12.35', '-12,346', '-')
    """
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{round(value, 2) + 0.0:,.2f}"


def share_text(value: float | None) -> str:
    """A share in per cent.

    >>> share_text(0.1234), share_text(1.0), share_text(None)
    ('12.3%', '100%', '-')
    """
    if value is None:
        return NONE
    return f"{value:.0%}" if value in (0.0, 1.0) else f"{value:.1%}"


def seconds_text(value: float) -> str:
    """A horizon.

    >>> seconds_text(1.0), seconds_text(0.5), seconds_text(300)
    ('1 s', '0.5 s', '300 s')
    """
    return f"{value:g} s"


# --- tables: a column is its heading and what it shows ---------------------------------------------------------------

_PART_HEADINGS = {"delay": "delay", "spread_impact": "spread", "fees": "fees", "opportunity": "opport."}


def _cost_columns(cost: CostTotals) -> list[tuple[str, str]]:
    parts = [(_PART_HEADINGS[part], bps_text(cost.part_bps(part))) for part in PARTS]
    return [*parts, ("total", bps_text(cost.total_bps))]


def _amount_columns(amounts: Amounts) -> list[tuple[str, str]]:
    return [("filled", share_text(amounts.fill_share)), ("maker", share_text(amounts.maker_share))]


def _saving_columns(saving: Saving) -> list[tuple[str, str]]:
    return [
        ("saved", bps_text(saving.bps)),
        ("±", NONE if saving.error_bps is None else f"{saving.error_bps:.2f}"),
        ("saved USD", usd_text(saving.usd if saving.intents else None)),
    ]


def _split(rows: Mapping[str, list[tuple[str, str]]], first: str) -> list[Row]:
    """Rows of one table, its headings in front; empty without rows."""
    headings = [heading for heading, _ in next(iter(rows.values()), [])]
    return [[first, *headings], *([name, *(cell for _, cell in cells)] for name, cells in rows.items())] if rows else []


def way_rows(figures: Figures, *, wide: bool) -> list[Row]:
    """The router beside the baselines, on the intents that all of them are known for; empty where there are none."""
    if not figures.ways["router"].cost.complete:
        return []

    def cells(compared: Compared) -> list[tuple[str, str]]:
        saved = _saving_columns(compared.saving)
        extra = [*saved, ("cost USD", usd_text(compared.cost.total_usd))] if wide else saved[:1]
        return [*_amount_columns(compared.amounts), *_cost_columns(compared.cost), *extra]

    return _split({WAY_NAMES[way]: cells(figures.ways[way]) for way in WAYS}, "way")


def group_rows(figures: Figures, dimension: str, *, wide: bool) -> list[Row]:
    """The groups of one dimension, by name."""

    def cells(group: Group) -> list[tuple[str, str]]:
        columns = [
            ("intents", f"{group.amounts.intents:,}"),
            *_amount_columns(group.amounts),
            ("fallback" if wide else "fallb.", share_text(group.fallback_ratio)),
            *_cost_columns(group.cost),
        ]
        if wide:
            columns += [
                *_saving_columns(group.saving),
                ("cost USD", usd_text(group.cost.total_usd)),
                ("left out", f"{group.cost.incomplete:,}"),
            ]
        return columns

    groups = {named: figures.groups[named] for named in DIMENSIONS if named == dimension}
    return _split({name: cells(group) for of in groups.values() for name, group in sorted(of.items())}, dimension)


def veto_rows(vetoes: list[tuple[str, VetoCost]], *, wide: bool, name: Callable[[str], str] = str) -> list[Row]:
    """Vetoes with the cost of the taker routes they came first in."""

    def cells(veto: VetoCost) -> list[tuple[str, str]]:
        resting = veto.against_resting
        columns = [
            ("vetoes", f"{veto.vetoes:,}"),
            ("taker routes" if wide else "routes", f"{veto.taker_routes:,}"),
            ("bps", bps_text(veto.cost.total_bps)),
            ("USD", usd_text(veto.cost.total_usd)),
            ("resting saves" if wide else "resting", bps_text(resting.bps)),
        ]
        return [*columns, ("USD saved", usd_text(resting.usd if resting.intents else None))] if wide else columns

    return _split({name(rule): cells(veto) for rule, veto in vetoes}, "veto rule")


def markout_rows(report: Report) -> list[Row]:
    """Markouts of maker and taker fills by horizon; below them, where some have none, how many that is at each."""
    rows: dict[str, list[tuple[str, str]]] = {}
    known = horizons(report)
    for role, of_role in report.markouts.items():
        if not report.fills[role].fills and not of_role:
            continue
        means = {horizon_s: of_role[horizon_s].bps if horizon_s in of_role else None for horizon_s in known}
        missing = {horizon_s: missing_markouts(report, role, horizon_s) for horizon_s in known}
        rows[role] = [
            ("fills", f"{report.fills[role].fills:,}"),
            *((seconds_text(horizon_s), NONE if bps is None else bps_text(bps)) for horizon_s, bps in means.items()),
        ]
        if any(missing.values()):
            of_horizons = [(seconds_text(horizon_s), f"{count:,}") for horizon_s, count in missing.items()]
            rows[f"{role}, missing"] = [("fills", ""), *of_horizons]
    return _split(rows, "fills as")


# --- lines -----------------------------------------------------------------------------------------------------------


def period_text(report: Report) -> str:
    """From when to when."""
    return "no events" if report.first_ms is None else f"{utc(report.first_ms)} to {utc(report.last_ms)}"


def session_lines(report: Report) -> list[str]:
    """The sessions, one line each."""
    lines = []
    for session in report.sessions:
        ended = "did not end in order" if session.ended_ms is None else f"ended {utc(session.ended_ms)}"
        rulebooks = ", ".join(dict.fromkeys(session.rulebooks))
        lines.append(
            f"{session.profile} at {session.venue}, {'resumed' if session.resumed else 'started'} "
            f"{utc(session.started_ms)}, {ended}; rulebook {rulebooks}; {session.market}"
        )
    return lines


def intents_line(report: Report) -> str:
    """What became of everything that came."""
    parts = [f"{report.received:,} received"]
    if report.refused:
        codes = ", ".join(f"{code} {times:,}" for code, times in report.refused.most_common())
        parts.append(f"{report.refused.total():,} not taken ({codes})")
    parts += [f"{report.left['refused']:,} refused", f"{report.left['too_small']:,} too small"]
    parts += [f"{times:,} routed {route}" for route, times in sorted(report.routed.items())]
    if report.open:
        parts.append(f"{report.open:,} still open")
    return ", ".join(parts)


def headline(figures: Figures) -> str:
    """What routing by rules saved against always taker, in a line."""
    saving = figures.ways["router"].saving
    if saving.bps is None:
        return "no intent can be compared with always taker"
    error = "" if saving.error_bps is None else f" ± {saving.error_bps:.2f}"
    on = f"{usd_text(saving.notional_usd)} USD of {counted(saving.intents, 'intent')}"
    if saving.usd < 0:
        lost = bps_text(-saving.bps).lstrip("+")
        return f"cost {lost}{error} bps more than always taker: {usd_text(-saving.usd)} USD on {on}"
    saved = bps_text(saving.bps).lstrip("+")
    return f"saved {saved}{error} bps against always taker: {usd_text(saving.usd)} USD on {on}"


def notes(report: Report, figures: Figures) -> list[str]:
    """What was left out, and what the numbers mean."""
    lines = [f"queue: {queue_statement(report)}"]
    if figures.all.cost.incomplete:
        missing = ", ".join(f"{part} {times:,}" for part, times in sorted(figures.all.cost.missing.items()))
        lines.append(
            f"{counted(figures.all.cost.incomplete, 'intent')} without a known cost, left out of all costs: "
            f"a mid was missing ({missing})"
        )
    if figures.not_compared:
        lines.append(
            f"{counted(figures.not_compared, 'intent')} not compared: of one way or another the cost is not known"
        )
    if figures.without_baselines:
        lines.append(f"{counted(figures.without_baselines, 'intent')} not compared: no baselines in these days")
    return [*lines, *DEFINITIONS, *_times_lines(report)]


def _times_lines(report: Report) -> list[str]:
    """The times of the baselines, each pair once."""
    times = dict.fromkeys((session.timeout_s, session.horizon_s) for session in report.sessions)
    return [
        f"Maker then taker rests {seconds_text(timeout_s)} at most; an end is {seconds_text(horizon_s)} after arrival "
        "or later, unless the strategy ends the intent sooner."
        for timeout_s, horizon_s in times
        if timeout_s is not None and horizon_s is not None
    ]


def empty_text(report: Report) -> str | None:
    """Why there is nothing to show; None where there is something."""
    if report.first_ms is None:
        return "The journal holds no events of these days."
    if not report.received:
        return "No intent came in these days, so there is no cost to report."
    if not report.routed:
        return "No intent was admitted in these days, so there is no cost to report."
    return None
