"""Health as pages of text: all symbols in a table, or one symbol with everything that is known of it.

What is stale says so in words: its age stands beside it, and figures that the rules no longer see stand in parentheses.
Colours repeat that. A page has two kinds of age: those in it are as of its snapshot, in the time of the market. How
long ago that was written is in real time, and a snapshot that nobody renews is stale as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.language.spelling import did_you_mean
from engine.printing import ago, counted, lasting, print_wrapped, printable
from engine.routing.breakers import HALF_OPEN
from engine.routing.evidence.contract import (
    BreakerView,
    LastRoute,
    Observed,
    PolicyView,
    RouterHealth,
    RouterPart,
    SymbolExecution,
    SymbolHealth,
    Warned,
)
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.health import is_stale
from engine.routing.evidence.state_files import State
from engine.routing.evidence.words import trial_of
from engine.routing.shape import RouterShape

_STYLES = {
    "ok": "green",
    "good": "green",
    "warn": "yellow",
    "degraded": "yellow",
    "half_open": "yellow",
    "critical": "red",
    "broken": "red",
    "open": "red",
}
"""Of values that the shipped policies decide; others are plain."""
_WIDE = 140
"""From so many cells on a symbol fits on one line."""
_LABEL_CELLS = 14
_OLD_S = 3 * RouterShape().snapshot_every_ms / 1000
"""A snapshot that was written longer ago is not renewed any more, unless the market goes slower than real time."""
_LEFT = frozenset({"symbol", "status", "tier", "bias", "first", "breaker"})
_SHOWN_GROUPS = ("market", "bars", "telemetry", "account", "risk")
"""Groups whose age is told, where the vocabulary has them."""


def print_health(console: Console, health: RouterHealth, age_s: float | None = None) -> None:
    """All symbols. `age_s`: how long ago the snapshot was written, in real time; None: that is not told."""
    _print_head(console, health, health.summary.status, age_s)
    _print_summary(console, health)
    routed = [["symbol", "status", "tier", "bias", "offset", "first", "breaker"], *map(_routed_row, health.symbols)]
    went = [["symbol", "fill", "fallback", "p50", "p95", "ack", "attempts"], *map(_went_row, health.symbols)]
    if console.width >= _WIDE:
        joined = [left + right[1:] for left, right in zip(routed, went, strict=True)]
        _print_table(console, "how orders are routed now, and how that went in 7 days", joined, health)
    else:
        _print_table(console, "how orders are routed now", routed, health)
        _print_table(console, "how that went in 7 days", went, health)
    groups = [name for name in _SHOWN_GROUPS if any(name in line.ages for line in health.symbols)]
    ages = [
        ["symbol", *groups],
        *([line.symbol, *(_cell(line.ages[name]) for name in groups)] for line in health.symbols),
    ]
    _print_table(console, "how old that was at the snapshot", ages, health)
    console.print()
    _print_legend(console, health)
    _print_lists(console, health)


def print_execution(
    console: Console, health: RouterHealth, symbol: SymbolExecution, age_s: float | None = None
) -> None:
    """One symbol, whole. `age_s` as for `print_health`."""
    router = symbol.router
    _print_head(console, health, router.status, age_s, symbol.symbol)
    _print_labelled(console, "status", router.reason or "the profile runs no policy `health`")
    for number, warning in enumerate(router.warnings):
        _print_labelled(console, "warnings" if number == 0 else "", _warned(warning), "yellow")
    console.print()
    _print_policy(console, router)
    console.print()
    _print_telemetry(console, router)
    console.print()
    _print_state(console, symbol)
    console.print()
    _print_errors(console, symbol)


def one_symbol(state: State, symbol: str) -> SymbolExecution:
    """The execution health of a symbol.

    Raises:
        ViewError: where there is no such symbol, with the nearest name.

    """
    held = {each.symbol: each for each in state.execution_health.symbols}
    if symbol not in held:
        raise ViewError(f"there is no symbol `{symbol}`", did_you_mean(symbol, held, f"there are {', '.join(held)}"))
    return held[symbol]


# --- the table -------------------------------------------------------------------------------------------------------


def _print_head(
    console: Console, health: RouterHealth, status: str | None, age_s: float | None, symbol: str = ""
) -> None:
    at = datetime.fromtimestamp(health.updated_ts, UTC)
    head = Text(printable(symbol) if symbol else "router health", "bold")
    head.append("  ")
    head.append((status or "no status").upper(), _STYLES.get(status or "", ""))
    head.append(f"  {at:%Y-%m-%d %H:%M:%S} UTC", "not bold")
    is_old = age_s is not None and age_s > _OLD_S
    if age_s is not None:
        head.append(f", written {ago(age_s)}", "not bold red" if is_old else "not bold")
    if is_old:
        head.append(", STALE", "red")
    print_wrapped(console, head)
    print_wrapped(
        console, Text(f"tick {health.tick}; {health.profile} {health.rulebook}; ages are as of the snapshot", "dim")
    )
    if is_old and age_s is not None:
        text = f"no session renews it: by now all of it is {lasting(age_s)} older than it says"
        print_wrapped(console, Text(text, "red"))


def _print_summary(console: Console, health: RouterHealth) -> None:
    summary = health.summary
    parts = [counted(summary.symbols, "symbol")]
    parts += [f"{number:,} {name}" for name, number in summary.statuses.items() if number]
    tiers = ", ".join(f"{number:,} {name}" for name, number in summary.qualities.items() if number)
    text = f"{', '.join(parts)}; tiers: {tiers or 'none'}; maker first in {summary.maker_first}"
    if summary.makers_paused:
        text += f"; makers paused in {summary.makers_paused}"
    if summary.sample_count is None:
        text += "; nothing measured"
    else:
        text += f"; {counted(summary.sample_count, 'maker attempt')}"
        text += f", fill {_decimal(summary.maker_fill_rate)}, fallback {_decimal(summary.fallback_rate)}"
    print_wrapped(console, Text(text), hanging=2)


def _routed_row(line: SymbolHealth) -> list[str]:
    bias = "-" if line.bias is None else f"{line.bias:.2f}"
    return [
        printable(line.symbol),
        line.status or "-",
        line.quality or "-",
        f"{bias} {line.taker_bias or ''}".rstrip(),
        _decimal(line.offset_bps),
        _yes(line.maker_first),
        _breaker(line.breakers, paused=line.maker_paused),
    ]


def _went_row(line: SymbolHealth) -> list[str]:
    figures = [
        _decimal(line.maker_fill_rate),
        _decimal(line.fallback_rate),
        _decimal(line.slippage_p50),
        _decimal(line.slippage_p95),
        _whole(line.ack_latency_ms),
        _whole(line.sample_count),
    ]
    if is_stale(line, "telemetry"):
        figures = [figure if figure == "-" else f"({figure})" for figure in figures]
    return [printable(line.symbol), *figures]


def _print_table(console: Console, title: str, rows: Sequence[Sequence[str]], health: RouterHealth) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in rows[0]:
        table.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold")
    for row, line in zip(rows[1:], health.symbols, strict=True):
        table.add_row(*(Text(cell, _style(name, cell, line)) for name, cell in zip(rows[0], row, strict=True)))
    console.print()
    console.print(Text(title, "dim"))
    console.print(table)


def _style(column: str, cell: str, line: SymbolHealth) -> str:
    if column in line.ages:
        return "red" if is_stale(line, column) else ""
    if column == "breaker":
        return "" if line.maker_paused is False else "red"
    return "red" if cell.startswith("(") else _STYLES.get(cell, "")


def _print_legend(console: Console, health: RouterHealth) -> None:
    units = "offset, p50 and p95 (slippage) in bps, ack in ms; "
    stale = any(is_stale(line, "telemetry") and line.sample_count is not None for line in health.symbols)
    old = "figures in parentheses are stale: the rules do not see them; " if stale else ""
    tried = any(held.state == HALF_OPEN and held.pauses for line in health.symbols for held in line.breakers)
    trial = "half open, its trial on the way: makers wait for it as if it were open; " if tried else ""
    print_wrapped(console, Text(f"{units}{old}{trial}- is not known", "dim"), hanging=2)


def _print_lists(console: Console, health: RouterHealth) -> None:
    width = max((len(line.symbol) for line in health.symbols), default=0)
    _print_listed(
        console,
        "warnings",
        width,
        [(line.symbol, _warned(warning)) for line in health.symbols for warning in line.warnings],
    )
    _print_listed(
        console,
        "no order rests now, whatever its intent",
        width,
        [(line.symbol, ", ".join(line.vetoes)) for line in health.symbols if line.vetoes],
    )
    _print_listed(
        console,
        "last decisions",
        width,
        [
            (line.symbol, "none" if last is None else f"{ago(last.age_s)}: {_last(last)}")
            for line in health.symbols
            for last in (line.last_route_decision,)
        ],
    )


def _print_listed(console: Console, title: str, width: int, lines: Sequence[tuple[str, str]]) -> None:
    if not lines:
        return
    console.print()
    console.print(Text(title, "dim"))
    for name, text in lines:
        print_wrapped(console, Text(f"{printable(name):<{width}}  {printable(text)}"), hanging=width + 2)


# --- one symbol ------------------------------------------------------------------------------------------------------


def _print_policy(console: Console, router: RouterPart) -> None:
    policy = router.policy
    _print_labelled(console, "policy", _policy(policy))
    _print_labelled(console, "", policy.reason)
    against = ", ".join(router.vetoes) or "nothing; what is routed as taker is so for what its intent says"
    _print_labelled(console, "against maker", against)
    last = router.last_route_decision
    if last is None:
        _print_labelled(console, "last decision", "none")
    else:
        seen = (
            f"intent {last.intent_id}, spread {_decimal(last.spread_bps)} bps, offset {_decimal(last.offset_bps)} bps"
        )
        _print_labelled(console, "last decision", f"{ago(last.age_s)}: {_last(last)}")
        _print_labelled(console, "", f"{seen}, decision {last.decision_id}")
    for number, breaker in enumerate(router.breakers):
        _print_labelled(console, "breakers" if number == 0 else "", _told(breaker), _STYLES.get(breaker.state, ""))
    if router.maker_paused is None:
        _print_labelled(console, "", "nobody knows whether makers are paused", "red")


def _print_telemetry(console: Console, router: RouterPart) -> None:
    style = "" if router.telemetry.state == "fresh" else "red"
    attempts = "nothing measured" if router.sample_count is None else counted(router.sample_count, "maker attempt")
    _print_labelled(console, "telemetry", f"{attempts} in 7 days, observed {_age(router.telemetry)}", style)
    rates = (
        f"fill {_decimal(router.maker_fill_rate)}, fallback {_decimal(router.fallback_rate)}, "
        f"post-only rejects {_decimal(router.post_only_reject_rate)}"
    )
    slippage = (router.slippage_p25, router.slippage_p50, router.slippage_p75, router.slippage_p95)
    quantiles = ", ".join(f"p{name} {_decimal(value)}" for name, value in zip((25, 50, 75, 95), slippage, strict=True))
    acks = f"p50 {_whole(router.ack_latency_ms)}, p95 {_whole(router.ack_latency_p95_ms)}"
    for text in (rates, f"slippage in bps: {quantiles}", f"acknowledgement in ms: {acks}"):
        _print_labelled(console, "", text, style)
    counts = router.counts
    since = (
        "" if counts.since_ts is None else f"since {datetime.fromtimestamp(counts.since_ts, UTC):%Y-%m-%d %H:%M:%S}: "
    )
    done = (
        f"{since}routed {counts.routed_maker:,} maker ({counted(counts.probes, 'probe')}), "
        f"{counts.routed_taker:,} taker; refused {counts.refused:,}, too small {counts.too_small:,}; "
        f"{counted(counts.fallbacks, 'fallback')}, "
        f"{counted(counts.submit_failures, 'failed submit')}, {counted(counts.send_failures, 'failed send')}, "
        f"{counted(counts.post_only_rejects, 'post-only reject')}; "
        f"filled {counts.filled:,}, in part {counts.partly_filled:,}, not at all {counts.unfilled:,}"
    )
    _print_labelled(console, "done", done)
    if router.suggested is not None:
        said = router.suggested
        text = f"bias {_signed(said.suggested_bias_delta)}, offset {_signed(said.suggested_offset_delta_bps)} bps"
        _print_labelled(console, "suggested", f"{text}; {said.reason}")
    if router.tuned is not None:
        tuned = router.tuned
        text = f"bias {_signed(tuned.bias_delta)}, offset {_signed(tuned.offset_delta_bps)} bps"
        text += "" if tuned.maker_first is None else f", maker first {_yes(tuned.maker_first)}"
        since = "" if tuned.ts is None else f", since {datetime.fromtimestamp(tuned.ts, UTC):%Y-%m-%d %H:%M:%S}"
        _print_labelled(console, "tuned", f"{text}{since}")


def _print_state(console: Console, symbol: SymbolExecution) -> None:
    risk, vol, sizing = symbol.risk, symbol.vol, symbol.sizing
    desk = f"mode {risk.risk_mode or '-'}, halted {_yes(risk.halted)}, symbol disabled {_yes(risk.symbol_disabled)}"
    _print_observed(console, "risk", desk, risk.risk)
    account = (
        f"NAV {_usd(risk.nav_usd)}, drawdown {_percent(risk.drawdown_today)}, position {_quantity(risk.position_qty)}, "
        f"exposure {_usd(risk.symbol_notional_usd)} of {_usd(risk.portfolio_notional_usd)} in all"
    )
    _print_observed(console, "account", account, risk.account)
    book = f"mid {_quantity(vol.mid)}, spread {_decimal(vol.spread_bps)} bps"
    _print_observed(console, "book", book, vol.market)
    bars = f"regime {vol.atr_regime or '-'}, ATR ratio {_decimal(vol.atr_ratio)}"
    _print_observed(console, "volatility", bars, vol.bars)
    factor = "-" if sizing.size_factor is None else f"{sizing.size_factor:g}"
    reason = sizing.reason.partition(": ")[2]
    _print_labelled(console, "size factor", f"{factor}; {reason}" if reason else factor)


def _print_errors(console: Console, symbol: SymbolExecution) -> None:
    errors = symbol.errors
    kinds = ", ".join(f"{name} {number:,}" for name, number in errors.by_error.items())
    _print_labelled(console, "errors", f"{errors.count:,}: {kinds}" if errors.count else "none")
    last = errors.last
    if last is not None:
        code = f" {last.code}" if last.code else ""
        text = f"last {ago(last.age_s)}: {last.error}{code}, {last.text}; order {last.client_id}"
        _print_labelled(console, "", text)


def _print_observed(console: Console, label: str, text: str, observed: Observed) -> None:
    style = "" if observed.state == "fresh" else "red"
    _print_labelled(console, label, f"{text}; observed {_age(observed)}", style)


def _print_labelled(console: Console, label: str, text: str, style: str = "") -> None:
    if text:
        line = Text.assemble((f"{label:<{_LABEL_CELLS}}", "bold"), (printable(text), style))
        print_wrapped(console, line, hanging=_LABEL_CELLS)


# --- words -----------------------------------------------------------------------------------------------------------


def _cell(observed: Observed) -> str:
    """An age in a table."""
    if observed.age_s is None:
        return "never" if observed.state == "absent" else observed.state.upper()
    age = lasting(max(observed.age_s, 0.0))
    return age if observed.state == "fresh" else f"{age} {observed.state.upper()}"


def _age(observed: Observed) -> str:
    if observed.age_s is None:
        return "never" if observed.state == "absent" else observed.state.upper()
    age = lasting(max(observed.age_s, 0.0))
    return f"{age} ago" if observed.state == "fresh" else f"{age} ago, {observed.state.upper()}"


def _policy(policy: PolicyView) -> str:
    bias = "-" if policy.bias is None else f"{policy.bias:.2f}"
    return (
        f"tier {policy.quality or '-'}, bias {bias} ({policy.taker_bias or '-'}), "
        f"maker first {_yes(policy.maker_first)}, offset {_decimal(policy.offset_bps)} bps"
    )


def _last(last: LastRoute) -> str:
    kind = "" if last.event == "decision" else f"{last.event.replace('_', ' ')}, "
    return f"{kind}{last.reason}"


def _told(breaker: BreakerView) -> str:
    state = f"{breaker.scope} {breaker.state.replace('_', ' ')}"
    if breaker.rule or not breaker.reason:
        state += f" for {lasting(breaker.in_state_s)}"
    trial = trial_of(breaker.state, waits=breaker.pauses)
    if trial:
        state += f", {trial}{', so makers wait' if breaker.pauses else ''}"
    return f"{state}, {breaker.reason}" if breaker.reason else state


def _breaker(breakers: Sequence[BreakerView], *, paused: bool | None) -> str:
    """The breaker that is furthest from closed, in short."""
    worst = next((held for held in breakers if held.pauses), None)
    worst = worst or next((held for held in breakers if held.state != "closed"), None)
    if worst is None:
        return {True: "paused", False: "closed", None: "not known"}[paused]
    scope = "venue " if worst.scope == "venue" else ""
    trial = trial_of(worst.state, waits=worst.pauses)
    return f"{scope}{worst.state.replace('_', ' ')} {lasting(worst.in_state_s)}{trial and f', {trial}'}"


def _warned(warning: Warned) -> str:
    place = f"  {warning.rule} {warning.at}" if warning.rule else ""
    return f"{warning.flag.replace('_', ' ')}: {warning.reason}{place}" if warning.reason else warning.flag


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "-"}[value]


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.6g}"


def _usd(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} USD"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _quantity(value: float | None) -> str:
    return "-" if value is None else f"{value:.10g}"
