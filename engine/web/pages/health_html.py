"""Health as HTML: a summary of all symbols, and a row each, from one snapshot and nothing else.

In: the last snapshot with its age, and the trend of each symbol. Out: parts of the page by their ids. What the health
policy warns of is marked in its column, in the colour of the word that the policy has for the symbol, and in words with
the rule that says it; figures that the rules no longer see stand in parentheses; ages are as of the snapshot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from markupsafe import Markup

from engine.printing import counted
from engine.routing.evidence.contract import BreakerView, SymbolExecution, SymbolHealth, Warned
from engine.routing.evidence.health import is_stale
from engine.routing.evidence.words import trial_of
from engine.routing.known import VENUE
from engine.web.live import HealthNow, Point
from engine.web.pages.head_html import PAUSED, by_rule
from engine.web.pages.markup import (
    UNKNOWN,
    Child,
    address,
    age,
    cell,
    decision_link,
    empty,
    file_link,
    join,
    mark,
    name,
    number,
    percent,
    row,
    soft,
    sparkline,
    table,
    tag,
    without_route,
    yes_no,
)
from engine.web.pauses import Move

SINCE, SUMMARY, ROWS = "health-since", "health-summary", "health-rows"

_COLUMNS: Final = (
    "symbol",
    "status",
    "maker fill",
    "fallback",
    "slippage p50 / p95",
    "ack",
    "quality",
    "bias / offset",
    "maker first",
    "spread / regime",
    "breaker",
    "last decision",
    "ages",
)

_COLUMN_OF_FLAG: Final[Mapping[str, str]] = {
    "high_fallback": "fallback",
    "high_slippage": "slippage p50 / p95",
    "slow_acks": "ack",
    "telemetry_stale": "maker fill",
    "breaker_open": "breaker",
    "risk_stale": "ages",
}
"""Where the warnings of the shipped health policy belong; others stand under the status alone."""

_WORST_FIRST: Final = ("critical", "warn", None, "ok")
_WORST_TIER_FIRST: Final = ("broken", "degraded", "ok", "good")

_MOST_MOVED: Final = 5
"""Breakers that moved since the snapshot and are named."""
_WENT: Final[Mapping[str, str]] = {"open": "opened", "closed": "closed"}

_MOST_CAUSES: Final = 2
"""Named beside the status of all symbols."""

_OF_THE_ACCOUNT: Final = ("drawdown", "risk_stale")
"""Warnings of the shipped health policy that are the same for every symbol."""


def since_html(moved: Mapping[str, Move], now_s: float | None) -> Markup:
    """What happened since the snapshot, which its figures do not know of: breakers that moved, the latest first.

    `now_s` is the time of the last event.
    """
    told = [_moved(scope, move, now_s) for scope, move in islice(moved.items(), _MOST_MOVED)]
    if len(moved) > _MOST_MOVED:
        told.append(tag("li", f"and {counted(len(moved) - _MOST_MOVED, 'more breaker')}"))
    shown = None
    if told:
        sign = tag("i", "▲ ", aria_hidden="true")
        head = "since this snapshot, so that its figures do not say so yet:"
        shown = tag("div", tag("p", sign, tag("b", head)), tag("ul", told), class_="notice")
    return tag("div", shown, id_=SINCE)


def _moved(scope: str, move: Move, now_s: float | None) -> Markup:
    ago = "" if now_s is None else f" {age(max(0.0, now_s - move.ts_ms / 1000))} ago"
    went = _WENT.get(move.state, f"went {move.state.replace('_', ' ')}")
    waits = "; makers wait" if move.pauses else ""
    return tag("li", f"the breaker of {_whose(scope)} {went}{ago}, by ", *by_rule(move), waits)


def _whose(scope: str) -> str:
    return "the venue" if scope == VENUE else scope


def summary_html(health: HealthNow) -> Markup:
    """The summary row: all symbols together."""
    summary, risk = health.router_health.summary, health.risk
    may_rest, gated = _may_rest(health)
    kept = [f"maker first in {summary.maker_first}", f"{summary.makers_paused} paused"]
    kept += [f"{gated} gated"] if gated else []
    counts, tiers = _counts(summary.statuses, _WORST_FIRST), _counts(summary.qualities, _WORST_TIER_FIRST)
    tiles: list[tuple[str, Child, str]] = [
        ("status", mark(summary.status), _and(_worst_causes(health), counts or f"{summary.symbols} symbols")),
        ("maker fill", percent(summary.maker_fill_rate), f"{number(summary.sample_count, digits=0)} attempts"),
        ("fallback", percent(summary.fallback_rate), "of all attempts"),
        ("slippage p95", number(summary.slippage_p95, "bps"), "of the worst symbol"),
        ("ack latency", number(summary.ack_latency_ms, "ms", 0), "median, slowest symbol"),
        ("makers may rest", f"{may_rest} of {summary.symbols}", ", ".join(kept)),
        ("quality", tiers or UNKNOWN, "symbols by tier"),
        (
            "not fresh",
            mark("stale", str(len(summary.stale))) if summary.stale else "0",
            ", ".join(summary.stale[:3]) or "book and telemetry are fresh",
        ),
        ("risk mode", risk.risk_mode or UNKNOWN, f"drawdown today {percent(risk.drawdown_today)}"),
        ("net asset value", number(health.nav.nav_usd, "USD", 0), f"cash {_money(health)}"),
    ]
    kind = _kind(summary.status)
    red = {"risk mode": _warned_of_the_account(health)}
    shown = [
        tag(
            "div",
            tag("dt", label),
            tag("dd", tag("b", value), tag("small", beside), [_by_rule(each, kind) for each in red.get(label, ())]),
            class_=f"tile {kind}" if red.get(label) else "tile",
        )
        for label, value, beside in tiles
    ]
    return tag("dl", shown, class_="tiles", id_=SUMMARY)


def _and(*told: str) -> str:
    return "; ".join(filter(None, told))


def _worst_causes(health: HealthNow) -> str:
    """What the symbols of the worst status are warned of: what their status rests on first, then the most frequent."""
    worst = [line for line in health.router_health.symbols if line.status == health.router_health.summary.status]
    ranked: Counter[tuple[bool, str]] = Counter(
        (not _is_cause(warned, line), warned.flag) for line in worst for warned in line.warnings
    )
    ordered = sorted(ranked, key=lambda each: (each[0], -ranked[each]))
    return ", ".join(dict.fromkeys(flag.replace("_", " ") for _, flag in ordered[:_MOST_CAUSES]))


def _is_cause(warned: Warned, line: SymbolHealth) -> bool:
    """Whether the reason of the status names a warning."""
    return re.search(rf"\b{re.escape(warned.flag)}\b", line.reason) is not None


def _may_rest(health: HealthNow) -> tuple[int, int]:
    """Symbols whose orders may rest now, and those that a gate alone keeps from it, whatever an intent says."""
    lines = health.router_health.symbols
    gated = [bool(line.vetoes) for line in lines if line.maker_first is True and line.maker_paused is False]
    return len(gated) - sum(gated), sum(gated)


def _kind(status: str | None) -> str:
    """How what is warned of looks: as the word that the policy has for it all."""
    return "warned" if status == "warn" else "bad"


def _counts(held: Mapping[str, int], first: Sequence[str | None]) -> str:
    """How many there are of each, the worst first; words that the shipped policies do not use come last."""
    order = {word: place for place, word in enumerate(first)}
    ordered = sorted(held.items(), key=lambda each: order.get(each[0], len(order)))
    return ", ".join(f"{count:,} {word}" for word, count in ordered if count)


def _warned_of_the_account(health: HealthNow) -> list[Warned]:
    """Warnings that no symbol can help, each once."""
    found = {
        warned.flag: warned
        for line in health.router_health.symbols
        for warned in line.warnings
        if warned.flag in _OF_THE_ACCOUNT
    }
    return list(found.values())


def _by_rule(warned: Warned, kind: str) -> Markup:
    """The sign of a warning, and the rule that says it."""
    return tag(
        "small", tag("i", "▲ " if kind == "warned" else "✖ ", aria_hidden="true"), name(warned.rule), class_="rule"
    )


def _money(health: HealthNow) -> str:
    cash = health.nav.cash_usd
    return UNKNOWN if cash is None else f"{cash:,.0f} USD"


def table_html(rows: Mapping[str, Markup]) -> Markup:
    """The table of all symbols."""
    body = table(_COLUMNS, rows.values(), class_="health", caption="Every symbol, worst first; ages as of the snapshot")
    shown: Markup = body if rows else empty("No symbol fits.")
    return tag("div", shown, id_=ROWS, class_="wide")


def rows_html(
    health: HealthNow, trend: Callable[[str], Sequence[Point]], wanted: str = "", most: int | None = None
) -> dict[str, Markup]:
    """A row for each symbol whose name holds `wanted`, worst first and at most so many, by the id of the row."""
    executions = {each.symbol: each for each in health.execution_health.symbols}
    fitting = sorted((line for line in health.router_health.symbols if wanted.upper() in line.symbol), key=_order)
    return {
        row_id(line.symbol): row_html(line, executions.get(line.symbol), trend(line.symbol)) for line in fitting[:most]
    }


def row_id(symbol: str) -> str:
    """The id of a symbol's row."""
    return f"h-{symbol}"


def _order(line: SymbolHealth) -> tuple[int, str]:
    place = _WORST_FIRST.index(line.status) if line.status in _WORST_FIRST else 0
    return place, line.symbol


def row_html(line: SymbolHealth, execution: SymbolExecution | None, trend: Sequence[Point]) -> Markup:
    """One symbol."""
    flagged = {_COLUMN_OF_FLAG[warned.flag]: warned for warned in line.warnings if warned.flag in _COLUMN_OF_FLAG}
    kind = _kind(line.status)
    measured = not is_stale(line, "telemetry")
    volatility = None if execution is None else execution.vol
    spread = None if volatility is None else volatility.spread_bps
    regime = None if volatility is None else volatility.atr_regime

    def shown(column: str, *content: Child) -> Markup:
        warned = flagged.get(column)
        if warned is None:
            return cell(column, *content)
        return cell(column, *content, _by_rule(warned, kind), class_=kind)

    def seen(text: str) -> Child:
        return text if measured or text == UNKNOWN else soft(f"({text})")

    return row(
        tag(
            "th",
            tag("a", line.symbol, href=address("/decisions", symbol=line.symbol)),
            _brief(line, kind),
            scope="row",
            data_label="symbol",
        ),
        cell("status", mark(line.status), _warnings(line, kind), class_="status"),
        shown(
            "maker fill",
            seen(percent(line.maker_fill_rate)),
            _spark([point.maker_fill_rate for point in trend], "maker fill", percent),
            tag("small", number(line.sample_count, "attempts", 0), class_="count"),
        ),
        shown(
            "fallback",
            seen(percent(line.fallback_rate)),
            _spark([point.fallback_rate for point in trend], "fallback", percent),
        ),
        shown(
            "slippage p50 / p95",
            seen(f"{number(line.slippage_p50)} / {number(line.slippage_p95, 'bps')}"),
            _spark([point.slippage_p95 for point in trend], "slippage p95", _bps),
        ),
        shown(
            "ack",
            seen(number(line.ack_latency_ms, "ms", 0)),
            _spark([point.ack_latency_ms for point in trend], "ack latency", _ms),
        ),
        cell("quality", mark(line.quality)),
        cell(
            "bias / offset",
            f"{number(line.bias, digits=2)} ",
            (line.taker_bias or UNKNOWN).replace("_", " "),
            tag("small", number(line.offset_bps, "bps")),
        ),
        cell("maker first", yes_no(line.maker_first), *_standing(line)),
        cell(
            "spread / regime",
            soft(f"({_bps(spread)})") if is_stale(line, "market") and spread is not None else _bps(spread),
            tag("small", regime or UNKNOWN),
        ),
        shown("breaker", _breakers(line)),
        cell("last decision", _last(line), _gates(line), class_="last"),
        shown("ages", _ages(line)),
        id_=row_id(line.symbol),
    )


def _brief(line: SymbolHealth, kind: str) -> Markup:
    """The row in a few words, which folds out the rest where a row is a card on a narrow screen."""
    flags = ", ".join(warned.flag.replace("_", " ") for warned in line.warnings)
    is_said = any(warned.flag == "breaker_open" for warned in line.warnings)
    open_ = [] if is_said else [each for each in line.breakers if each.state != "closed"]
    figures = f"fill {percent(line.maker_fill_rate)}, fallback {percent(line.fallback_rate)}"
    said = [
        mark(line.status),
        tag("span", flags, class_=f"mark {'warn' if kind == 'warned' else kind}") if flags else None,
        soft(f"({figures})") if is_stale(line, "telemetry") else figures,
        *[
            mark(_state(each.state, line), f"breaker {each.state.replace('_', ' ')}{_trial(each)}")
            for each in open_[:1]
        ],
    ]
    shown = join([tag("span", each) for each in said if each is not None], " ")
    return tag("details", tag("summary", shown), id_=f"more-{line.symbol}", class_="more")


def _bps(value: float | None) -> str:
    return number(value, "bps")


def _ms(value: float | None) -> str:
    return number(value, "ms", 0)


def _spark(values: Sequence[float | None], what: str, show: Callable[[float | None], str]) -> Markup | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return sparkline(values, what, (show(min(known)), show(max(known)), show(known[-1])))


def _warnings(line: SymbolHealth, kind: str) -> Child:
    """Each warning with its rule, what it saw and where it stands; the reason of the status where none is raised."""
    if not line.warnings:
        return tag("small", line.reason) if line.status != "ok" and line.reason else None
    ordered = sorted(line.warnings, key=lambda warned: not _is_cause(warned, line))
    return tag("ul", [tag("li", _warned(warned, line)) for warned in ordered], class_=f"warnings {kind}")


def _warned(warned: Warned, line: SymbolHealth) -> Child:
    where = tag("small", name(warned.reason), " ", file_link(warned.at))
    return [tag("b", warned.flag.replace("_", " ")), " ", _waiting(warned, line), where]


def _waiting(warned: Warned, line: SymbolHealth) -> Markup | None:
    """In words, where a warning rests on the fact that makers wait: which breaker makes them, and by which rule."""
    if not re.search(rf"\b{PAUSED}\b", warned.reason):
        return None
    told = [
        f"the breaker of {_whose(each.scope)} has been "
        f"{each.state.replace('_', ' ')} for {age(each.in_state_s)}{_trial(each)}, by {each.rule or UNKNOWN}"
        for each in line.breakers
        if each.pauses is True
    ]
    return tag("span", f"makers wait: {' and '.join(told) or 'no breaker was decided on yet'} ")


def _standing(line: SymbolHealth) -> Sequence[Child]:
    """How many gates no intent could lift."""
    return [tag("small", f"but {counted(len(line.vetoes), 'gate')}")] if line.vetoes else []


def _gates(line: SymbolHealth) -> Markup | None:
    """Gates that no intent could lift."""
    return tag("small", "vetoes any: ", join(map(name, line.vetoes), ", "), class_="rule") if line.vetoes else None


def _breakers(line: SymbolHealth) -> Child:
    if not line.breakers:
        return UNKNOWN
    return [
        [
            mark(_state(each.state, line), each.state.replace("_", " ")),
            tag("small", f"{each.scope}, {age(each.in_state_s)}{_trial(each)}"),
        ]
        for each in line.breakers
        if each.state != "closed" or each.scope == line.symbol
    ] or mark("closed")


def _trial(breaker: BreakerView) -> str:
    trial = trial_of(breaker.state, waits=breaker.pauses)
    return trial and f", {trial}"


def _state(state: str, line: SymbolHealth) -> str:
    """An open breaker is as bad as the policy says that it is."""
    return "warn" if state == "open" and line.status == "warn" else state


def _last(line: SymbolHealth) -> Child:
    last = line.last_route_decision
    if last is None:
        return soft("none yet")
    what = "" if last.event == "decision" else f" by {last.event.replace('_', ' ')}"
    return [
        mark(last.route),
        what,
        " ",
        soft(f"{age(last.age_s)} before, "),
        decision_link(last.decision_id, "why", label=f"why {line.symbol} was routed so"),
        tag("small", name(without_route(last.reason, last.route)), class_="reason"),
    ]


def _ages(line: SymbolHealth) -> Child:
    listed = [
        tag("li", mark("stale", f"{group} {held.state}") if held.state != "fresh" else group, " ", age(held.age_s))
        for group, held in line.ages.items()
        if held.age_s is not None or held.state != "fresh"
    ]
    return tag("ul", listed, class_="ages")
