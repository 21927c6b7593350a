"""Vetoes as HTML: a row a rule, a table of rules and symbols, and the long answer for one symbol."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from engine.printing import counted
from engine.routing.evidence.costs import CostTotals
from engine.routing.evidence.why import Near, VetoLook, Why
from engine.web.pages.markup import (
    UNKNOWN,
    Child,
    address,
    cell,
    clock,
    decision_link,
    empty,
    join,
    name,
    percent,
    row,
    section,
    soft,
    table,
    tag,
)
from engine.web.pages.vetoes import Tally, VetoCount, peak, share

PART = "vetoes"
_MOST_SYMBOLS = 12


def vetoes_html(found: Tally, symbol: str | None, keep: int) -> Markup:
    """Everything that is counted, of at most `keep` decisions."""
    if not found.routed:
        of = f" on {symbol}" if symbol is not None else ""
        return tag("div", empty(f"No decision{of} was made yet."), id_=PART)
    assert found.first_ms is not None
    assert found.last_ms is not None
    window = f"{clock(found.first_ms, dated=True)} to {clock(found.last_ms, dated=True)} UTC"
    parts = [_tiles(found, keep), section("Which rules veto", _rules(found), note=window)]
    if symbol is None:
        parts.append(
            section("Where they veto", _by_symbol(found), note="decisions vetoed, symbols with the most first")
        )
    return tag("div", parts, id_=PART)


def _tiles(found: Tally, keep: int) -> Markup:
    tiles = [
        ("decisions", f"{found.routed:,}", f"the last {keep:,} at most"),
        ("maker", percent(share(found.maker, found.routed)), _cost(found.maker_cost)),
        ("taker", percent(share(found.taker, found.routed)), _cost(found.taker_cost)),
        ("refused", percent(share(found.refused, found.routed)), "by rules of admission"),
        ("too small", percent(share(found.too_small, found.routed)), "admitted, but less than the venue takes"),
    ]
    shown = [
        tag("div", tag("dt", label), tag("dd", tag("b", value), tag("small", beside)), class_="tile")
        for label, value, beside in tiles
    ]
    return tag("dl", shown, class_="tiles")


def _cost(cost: CostTotals) -> str:
    return (
        f"cost {_signed(cost.total_bps)} bps of {counted(cost.complete, 'intent')}" if cost.complete else "cost unknown"
    )


def _signed(value: float | None, digits: int = 2) -> str:
    return UNKNOWN if value is None else f"{value:+,.{digits}f}"


_HEADS = ("rule", "vetoed", "share", "over time", "alone", "cost bps", "cost USD", "cost bps where alone", "last")


def _rules(found: Tally) -> Markup:
    if not found.rules:
        return empty("Nothing was vetoed.")
    body = table(_HEADS, [_rule(count, found) for count in found.ranked], class_="vetoes")
    note = (
        "Cost is implementation shortfall of taker orders whose end is at hand; of several rules each bears it whole."
    )
    return join([tag("div", body, class_="wide"), tag("p", note, class_="soft")])


def _rule(count: VetoCount, found: Tally) -> Markup:
    ratio = share(count.vetoed, found.routed)
    bar = tag("span", tag("i", style=f"width: {100 * (ratio or 0):.1f}%"), class_="meter", aria_hidden="true")
    return row(
        tag(
            "th",
            tag("a", name(count.rule), href=address("/decisions", veto=count.rule)),
            scope="row",
            data_label="rule",
        ),
        cell("vetoed", f"{count.vetoed:,}"),
        cell("share", percent(ratio), bar),
        cell("over time", bars(count.over_time, count.rule)),
        cell("alone", f"{count.alone:,}"),
        cell("cost bps", _signed(count.cost.total_bps)),
        cell("cost USD", _signed(count.cost.total_usd if count.cost.notional_usd else None)),
        cell("cost bps where alone", _signed(count.alone_cost.total_bps)),
        cell("last", decision_link(count.last_decision_id, "open")),
    )


def bars(values: Sequence[int], what: str) -> Markup:
    """Small bars over time."""
    top = peak(values) or 1
    wide = 90 / len(values)
    label = f"{what} over time: at most {peak(values)} in a {len(values)}th of it"
    path = "".join(
        f"M{place * wide:.1f} 22V{22 - 21 * value / top:.1f}h{wide * 0.8:.1f}V22"
        for place, value in enumerate(values)
        if value
    )
    return tag(
        "svg",
        tag("title", label),
        tag("path", d=path or "M0 22"),
        class_="bars",
        viewBox="0 0 90 23",
        role="img",
        aria_label=label,
    )


def _by_symbol(found: Tally) -> Markup:
    symbols = found.symbols(_MOST_SYMBOLS)
    rows = [
        row(
            tag("th", name(count.rule), scope="row", data_label="rule"),
            [cell(symbol, f"{count.symbols[symbol]:,}" if count.symbols[symbol] else soft("0")) for symbol in symbols],
        )
        for count in found.ranked
    ]
    heads: list[Child] = ["rule", *(tag("a", symbol, href=address("/vetoes", symbol=symbol)) for symbol in symbols)]
    return tag("div", table(heads, rows, class_="matrix"), class_="wide")


# --- why a symbol is never maker -------------------------------------------------------------------------------------


def why_html(answer: Why) -> Markup:
    """The long answer for one symbol, from its journal."""
    if not answer.intents:
        return empty(f"No intent of {answer.symbol} was decided on.")
    routes = f"{answer.maker:,} maker, {answer.taker:,} taker, {answer.refused:,} refused"
    head = f"{counted(answer.intents, 'intent')}: {routes}, {counted(answer.probes, 'probe')}"
    return join([tag("p", head), tag("ul", [tag("li", _look(look)) for look in answer.ranked], class_="looks")])


def _look(look: VetoLook) -> Child:
    lines: list[Child] = []
    if look.alone:
        lines.append(f"alone in {look.alone:,}: without it they would have been maker{_saving(look)}")
    else:
        lines.append("never alone: to lift it by itself would have changed nothing")
    for label, counts in (("missing", look.missing), ("behind it", look.behind)):
        if counts:
            lines.append(f"{label}: " + ", ".join(f"{what} {times:,}" for what, times in counts.most_common()))
    if look.nearest is not None:
        lines.append(_near(look.nearest))
    head = [tag("b", look.rule), f" vetoed {look.vetoed:,} ", tag("span", look.at, class_="at")]
    return [*head, tag("ul", [tag("li", line) for line in lines], class_="soft")]


def _saving(look: VetoLook) -> str:
    saving = look.saving
    if saving.bps is None:
        return ""
    would = "saved" if saving.bps >= 0 else "cost another"
    error = "" if saving.error_bps is None else f" ± {saving.error_bps:.2f}"
    return f"; resting first would have {would} {abs(saving.bps):.2f}{error} bps ({saving.intents:,} compared)"


def _near(near: Near) -> Child:
    shown = ", ".join(f"{gap.shown}{'' if gap.away is None else f', {gap.away:.1%} away'}" for gap in near.gaps)
    lacked = "lacked " if near.is_lacking else ""
    at = f"{datetime.fromtimestamp(near.ts, UTC):%Y-%m-%d %H:%M:%S}"
    return [f"nearest to lifting: {lacked}{shown} at {at}, ", decision_link(near.decision_id, "open")]
