"""The answer to "why is this symbol never maker" as a page: one veto rule after the other, most frequent first."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.printing import counted, print_wrapped, printable
from engine.routing.evidence.costs import CostTotals, Saving
from engine.routing.evidence.why import Near, VetoLook, Why

_INDENT = 4
_ROOMY = 100
"""From so many cells on, for wider gaps between columns."""


def print_why(console: Console, answer: Why) -> None:
    """The whole answer."""
    _print_head(console, answer)
    if not answer.intents:
        return
    _print_routes(console, answer)
    if answer.refusals:
        told = ", ".join(f"{rule} {times:,}" for rule, times in answer.refusals.most_common())
        _print_text(console, f"refused by admission {answer.refused:,}: {told}")
    if not answer.vetoes:
        _print_text(console, "nothing was vetoed")
        return
    console.print()
    console.print(_table(answer, gap=2 if console.width >= _ROOMY else 1))
    for look in answer.ranked:
        _print_look(console, look)


def _print_head(console: Console, answer: Why) -> None:
    since = answer.since_ms if answer.since_ms is not None else answer.first_ms
    until = answer.until_ms if answer.until_ms is not None else answer.last_ms
    window = f"  {_at(since)} to {_at(until)} UTC" if since is not None and until is not None else ""
    how = "never maker" if not answer.maker else f"maker in {_percent(answer.maker, answer.routed)}"
    title = f"{printable(answer.symbol)}: {how}" if answer.routed else printable(answer.symbol)
    print_wrapped(console, Text.assemble((title, "bold"), window))
    if not answer.intents:
        others = ", ".join(sorted(answer.symbols))
        known = f"; there are intents of {others}" if others else ""
        _print_text(console, f"no intent of {answer.symbol} was decided on in this window{known}")


def _print_routes(console: Console, answer: Why) -> None:
    probes = f" ({counted(answer.probes, 'probe')})" if answer.probes else ""
    routes = f"{counted(answer.intents, 'intent')}: {answer.maker:,} maker{probes}, {answer.taker:,} taker"
    _print_text(console, f"{routes}, {answer.refused:,} refused, {answer.too_small:,} too small")
    for name, cost in (("taker", answer.taker_cost), ("maker", answer.maker_cost)):
        if cost.complete:
            _print_text(console, f"{name} cost {_cost(cost)} on {_usd(cost.notional_usd)} arrived")


def _table(answer: Why, gap: int) -> Table:
    """Where there is no room for all of it a rule's name is folded, and no number."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    table.add_column("veto rule", overflow="fold")
    for name in ("vetoed", "share", "alone", "cost bps", "cost USD"):
        table.add_column(name, justify="right", no_wrap=True)
    for look in answer.ranked:
        bps, usd = look.cost.total_bps, look.cost.total_usd
        table.add_row(
            printable(look.rule),
            f"{look.vetoed:,}",
            _percent(look.vetoed, answer.routed),
            f"{look.alone:,}",
            "-" if bps is None else f"{bps:+.2f}",
            "-" if usd is None else f"{usd:+,.2f}",
        )
    return table


def _print_look(console: Console, look: VetoLook) -> None:
    """What else is known of a rule."""
    console.print()
    print_wrapped(console, Text.assemble((printable(look.rule), "bold"), (f"  {look.at}" if look.at else "", "dim")))
    if look.alone:
        saving = _saving(look.saving)
        cost = f", at {_cost(look.alone_cost)}" if look.alone_cost.complete else ""
        _print_under(console, f"alone in {look.alone:,}{cost}: without it they would have been maker{saving}")
    else:
        _print_under(console, "never alone: to lift it by itself would have changed nothing")
    _print_counted(console, "missing", look.missing)
    _print_counted(console, "behind it", look.behind)
    if look.nearest is not None:
        _print_under(console, f"nearest to lifting: {_near(look.nearest, look.rule)}")
    if look.last_decision_id:
        _print_under(console, f"last decision {look.last_decision_id}")


def _near(near: Near, rule: str) -> str:
    shown = ", ".join(f"{gap.shown}{_away(gap.away)}" for gap in near.gaps)
    whose = "" if near.rule == rule else f" ({near.rule})"
    at = f"{datetime.fromtimestamp(near.ts, UTC):%Y-%m-%d %H:%M:%S}"
    return f"{'lacked ' if near.is_lacking else ''}{shown}{whose}, in decision {near.decision_id} at {at}"


def _away(share: float | None) -> str:
    if share is None:
        return ""
    return f", {share:.1%} away" if share else ", at the bound"


def _print_counted(console: Console, label: str, counts: Counter[str]) -> None:
    if counts:
        _print_under(console, f"{label}: " + ", ".join(f"{name} {times:,}" for name, times in counts.most_common()))


def _saving(saving: Saving) -> str:
    if saving.bps is None:
        return ""
    error = "" if saving.error_bps is None else f" ± {saving.error_bps:.2f}"
    would = "saved" if saving.bps >= 0 else "cost"
    more = "" if saving.bps >= 0 else " more"
    return f"; resting first would have {would} {abs(saving.bps):.2f}{error} bps{more} ({saving.intents:,} compared)"


def _cost(cost: CostTotals) -> str:
    bps, usd = cost.total_bps, cost.total_usd
    assert usd is not None
    return f"{_usd(usd)}" if bps is None else f"{bps:+.2f} bps ({_usd(usd)})"


def _usd(usd: float) -> str:
    return f"{usd:,.2f} USD"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _at(ts_ms: int) -> str:
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _print_text(console: Console, text: str) -> None:
    print_wrapped(console, Text(printable(text)), hanging=2)


def _print_under(console: Console, text: str) -> None:
    print_wrapped(console, Text(f"{'':<{_INDENT - 2}}{printable(text)}"), hanging=_INDENT)
