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
from engine.web.pages.vetoes import Tally, VetoCount, peak, ranked, share

PART = "vetoes"
_MOST_SYMBOLS = 12


def vetoes_html(found: Tally, symbol: str | None, *, is_cut: bool) -> Markup:
    """Everything that is counted. `is_cut` says that the journal holds more before that."""
    if not found.decisions:
        of = f" on {symbol}" if symbol is not None else ""
        lately = " among the last ones, and what was before is not counted here" if is_cut else " yet"
        return tag("div", empty(f"No decision{of} was made{lately}."), id_=PART)
    assert found.first_ms is not None
    assert found.last_ms is not None
    window = f"{clock(found.first_ms, dated=True)} to {clock(found.last_ms, dated=True)} UTC"
    parts = [_tiles(found, is_cut=is_cut), section("Which rules veto", _rules(found), note=window)]
    if found.refusing:
        parts.append(section("Which rules refuse", _refusing(found), note="intents that admission left, never routed"))
    if symbol is None and found.rules:
        parts.append(
            section("Where they veto", _by_symbol(found), note="decisions vetoed, symbols with the most first")
        )
    return tag("div", parts, id_=PART)


def _tiles(found: Tally, *, is_cut: bool) -> Markup:
    assert found.first_ms is not None
    of_all, of_routed = f"of {found.decisions:,} decisions", f"of {found.routed:,} routed"
    reach = f"since {clock(found.first_ms, dated=True)}; more were made before" if is_cut else "all that were made"
    tiles = [
        ("decisions", f"{found.decisions:,}", reach),
        ("maker", percent(share(found.maker, found.routed)), f"{of_routed}; {_cost(found.maker_cost, found.maker)}"),
        ("taker", percent(share(found.taker, found.routed)), f"{of_routed}; {_cost(found.taker_cost, found.taker)}"),
        ("refused", percent(share(found.refused, found.decisions)), f"{of_all}, by rules of admission"),
        ("too small", percent(share(found.too_small, found.decisions)), f"{of_all}: admitted, and less than is taken"),
    ]
    shown = [
        tag("div", tag("dt", label), tag("dd", tag("b", value), tag("small", beside)), class_="tile")
        for label, value, beside in tiles
    ]
    return tag("dl", shown, class_="tiles")


def _cost(cost: CostTotals, of: int) -> str:
    if not cost.complete:
        return "cost unknown"
    over = counted(of, "intent") if cost.complete == of else f"{cost.complete:,} of {counted(of, 'intent')}"
    return f"cost {_signed(cost.total_bps)} bps over {over}"


def _signed(value: float | None, digits: int = 2) -> str:
    return UNKNOWN if value is None else f"{value:+,.{digits}f}"


_HEADS = (
    *("rule", "vetoed", "share of routed", "over time", "alone"),
    *("cost bps", "cost USD", "cost of", "cost bps where alone", "last"),
)


def _rules(found: Tally) -> Markup:
    if not found.rules:
        return empty("Nothing was vetoed.")
    body = table(_HEADS, [_rule(count, found) for count in ranked(found.rules)], class_="vetoes")
    note = (
        "Cost is implementation shortfall of taker orders that have ended; of several rules each bears it whole, as in "
        "sluice why. In sluice report the first one alone does."
    )
    return join([tag("div", body, class_="wide"), tag("p", note, class_="soft")])


def _rule(count: VetoCount, found: Tally) -> Markup:
    return row(
        _named(count),
        cell("vetoed", f"{count.vetoed:,}"),
        _share("share of routed", count.vetoed, found.routed),
        cell("over time", bars(count.over_time, count.rule)),
        cell("alone", f"{count.alone:,}"),
        cell("cost bps", _signed(count.cost.total_bps)),
        cell("cost USD", _signed(count.cost.total_usd if count.cost.notional_usd else None)),
        cell("cost of", counted(count.cost.complete, "intent")),
        cell("cost bps where alone", _signed(count.alone_cost.total_bps)),
        _last(count),
    )


_REFUSING_HEADS = ("rule", "refused", "share of decisions", "over time", "last")


def _refusing(found: Tally) -> Markup:
    rows = [
        row(
            _named(count),
            cell("refused", f"{count.vetoed:,}"),
            _share("share of decisions", count.vetoed, found.decisions),
            cell("over time", bars(count.over_time, count.rule)),
            _last(count),
        )
        for count in ranked(found.refusing)
    ]
    return tag("div", table(_REFUSING_HEADS, rows, class_="vetoes"), class_="wide")


def _named(count: VetoCount) -> Markup:
    link = tag("a", name(count.rule), href=address("/decisions", veto=count.rule))
    return tag("th", link, scope="row", data_label="rule")


def _share(label: str, part: int, whole: int) -> Markup:
    ratio = share(part, whole)
    bar = tag("span", tag("i", style=f"width: {100 * (ratio or 0):.1f}%"), class_="meter", aria_hidden="true")
    return cell(label, percent(ratio), bar)


def _last(count: VetoCount) -> Markup:
    return cell("last", decision_link(count.last_decision_id, "open", label=f"open the last decision by {count.rule}"))


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
        for count in ranked(found.rules)
    ]
    heads: list[Child] = ["rule", *(tag("a", symbol, href=address("/vetoes", symbol=symbol)) for symbol in symbols)]
    return tag("div", table(heads, rows, class_="matrix"), class_="wide")


# --- why a symbol is never maker -------------------------------------------------------------------------------------


def why_html(answer: Why) -> Markup:
    """The long answer for one symbol, from its journal."""
    if not answer.intents:
        return empty(f"No intent of {answer.symbol} was decided on.")
    left = f"{answer.refused:,} refused, {answer.too_small:,} too small"
    routes = f"{answer.maker:,} maker, {answer.taker:,} taker, {left}"
    assert answer.first_ms is not None
    since = clock(answer.first_ms, dated=True)
    head = f"{counted(answer.intents, 'intent')} since {since} UTC: {routes}, {counted(answer.probes, 'probe')}"
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
    return [
        f"nearest to lifting: {lacked}{shown} at {at}, ",
        decision_link(near.decision_id, "open", label=f"open the decision of {at}"),
    ]
