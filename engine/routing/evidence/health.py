"""Health: what the router is and does at one moment, symbol by symbol, as one `Snapshot` event.

In: events of the journal (what happened), and at a tick the groups of facts known of each symbol. Out: a `Snapshot`
whose views are the files of `engine.routing.evidence.contract`, all of the same tick and moment. Nothing here writes.

What is healthy is said by the policy `health`. How orders would be routed now is said by the policy `routing`, decided
for the snapshot on current facts and without an intent: tier, bias, maker first and offset depend on none. The vetoes
shown are those that no intent could lift. `suggest` and `sizing` are decided beside it. A policy that the profile does
not run leaves nulls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from engine.backends.decision import Decision, explain_firing, explain_leaf, reason
from engine.backends.facts import DECISIONS, limit, read_group, untimely
from engine.backends.outcome import Firing
from engine.book import Book
from engine.journal.events import Event, Snapshot
from engine.language import model
from engine.language.evaluate import Known, Missing
from engine.language.model import Policy, walk
from engine.language.types import ChoiceType, FlagType, Value
from engine.routing.breakers import HALF_OPEN
from engine.routing.evidence.contract import (
    BreakerView,
    ExecutionHealth,
    Freshness,
    Nav,
    Observed,
    PolicyView,
    Position,
    Positions,
    Risk,
    RiskPart,
    RouterHealth,
    RouterPart,
    SizingPart,
    Suggested,
    Summary,
    SymbolExecution,
    SymbolHealth,
    SymbolRisk,
    VolPart,
    Warned,
)
from engine.routing.evidence.recent import Recent
from engine.routing.handing import Handing
from engine.routing.known import KnownFacts
from engine.routing.views import View

HEALTH, ROUTING, SUGGEST, SIZING = "health", "routing", "suggest", "sizing"
"""The policies decided for a snapshot."""

INTENT = "intent"
"""The group that a snapshot has none of."""

_NOT_OBSERVED: Final = Observed(age_s=None, state="absent")


class Holdings(Protocol):
    """What is held, to the last digit."""

    @property
    def positions(self) -> Mapping[str, Decimal]:
        """By symbol; short is negative."""

    @property
    def cash(self) -> Decimal:
        """In the quote asset."""

    @property
    def fees(self) -> Decimal:
        """Paid so far."""


class Health(View):
    """The health of a router. Seeing folds events, `snapshot` looks.

    Raises:
        FactsError: from `snapshot`, where a group of facts is none of the vocabulary.

    """

    def __init__(self, book: Book, symbols: Sequence[str], known: KnownFacts, holdings: Holdings | None = None) -> None:
        self.recent = Recent()
        self.handlers = self.recent.handlers
        self._symbols = tuple(symbols)
        self._known = known
        self._holdings = holdings
        self.use(book)

    def use(self, book: Book) -> None:
        """Decide by another rulebook from here on."""
        self._book = book
        self._handing = Handing(book)

    def begin(self, ts_ms: int) -> None:
        """Counts count from here on."""
        self.recent.begin(ts_ms)

    def see(self, event: Event) -> None:
        """Take the next event."""
        self.recent.see(event)

    def snapshot(self, now_ms: int) -> Snapshot:
        """Everything at one moment. The tick is the one after the last snapshot seen."""
        looks = [self._look(symbol, now_ms) for symbol in self._symbols]
        tick, ts = self.recent.tick + 1, now_ms / 1000
        router, execution = [look.router_health() for look in looks], [look.execution_health() for look in looks]
        views = {
            "nav": self._nav(looks, ts, tick),
            "positions": self._positions(looks, ts, tick),
            "risk": _risk(looks, ts, tick),
            "execution_health": ExecutionHealth(updated_ts=ts, tick=tick, symbols=execution),
            "router_health": RouterHealth(
                updated_ts=ts,
                tick=tick,
                profile=self._book.profile,
                rulebook=self._book.version,
                summary=summary_of(router, self._values_of(HEALTH, "status"), self._values_of(ROUTING, "quality")),
                symbols=router,
            ),
        }
        raw = {name: msgspec.Raw(msgspec.json.encode(view)) for name, view in views.items()}
        return Snapshot(ts_ms=now_ms, tick=tick, views=raw)

    def symbol(self, symbol: str, now_ms: int) -> tuple[SymbolHealth, SymbolExecution]:
        """One symbol at a moment: its line of the snapshot, and its execution health."""
        look = self._look(symbol, now_ms)
        return look.router_health(), look.execution_health()

    def _look(self, symbol: str, now_ms: int) -> _Look:
        known = self._known.groups(symbol, now_ms)
        decided = {
            name: _Made(self._book, self._book.decide(name, self._handing.to(name, now_ms, symbol, known)))
            for name in (HEALTH, ROUTING, SUGGEST, SIZING)
            if name in self._book.policies
        }
        return _Look(self._book, symbol, now_ms, known, decided, self.recent)

    def _values_of(self, policy: str, name: str) -> tuple[str, ...]:
        """The values that a decision can have, in declared order; none where no such choice is decided."""
        if policy not in self._book.policies:
            return ()
        kind = self._book.policy(policy).types().get(name)
        return kind.of if isinstance(kind, ChoiceType) else ()

    def _nav(self, looks: Iterable[_Look], ts: float, tick: int) -> Nav:
        newest = min(looks, key=lambda look: _order_of_age(look.age("account")), default=None)
        held = self._holdings
        return Nav(
            updated_ts=ts,
            tick=tick,
            nav_usd=None if newest is None else newest.number("account", "nav_usd"),
            drawdown_today=None if newest is None else newest.number("account", "drawdown_today"),
            portfolio_notional_usd=None if newest is None else newest.number("account", "portfolio_notional_usd"),
            cash_usd=None if held is None else held.cash,
            fees_usd=None if held is None else held.fees,
            account=_NOT_OBSERVED if newest is None else newest.age("account"),
        )

    def _positions(self, looks: Sequence[_Look], ts: float, tick: int) -> Positions:
        exact = None if self._holdings is None else self._holdings.positions
        rows = {look.symbol: look for look in looks}
        held = dict.fromkeys([*rows, *(() if exact is None else (symbol for symbol, qty in exact.items() if qty))])
        return Positions(
            updated_ts=ts,
            tick=tick,
            positions=[
                Position(
                    symbol=symbol,
                    qty=_quantity(exact, symbol, rows.get(symbol)),
                    notional_usd=rows[symbol].number("account", "symbol_notional_usd") if symbol in rows else None,
                )
                for symbol in held
            ],
        )


def summary_of(symbols: Sequence[SymbolHealth], statuses: Sequence[str], tiers: Sequence[str]) -> Summary:
    """All symbols together. `statuses` are the possible ones, best first; `tiers` those of `quality`."""
    fresh = [each for each in symbols if not is_stale(each, "telemetry")]
    counts = [each.sample_count for each in fresh if each.sample_count is not None]
    known = [each.status for each in symbols if each.status is not None]
    return Summary(
        symbols=len(symbols),
        status=max(known, key=_rank(statuses), default=None),
        statuses=_counted(known, statuses),
        qualities=_counted((each.quality for each in symbols if each.quality is not None), tiers),
        maker_first=sum(each.maker_first is True for each in symbols),
        makers_paused=sum(each.maker_paused is not False for each in symbols),
        sample_count=sum(counts) if counts else None,
        maker_fill_rate=_weighted((each.maker_fill_rate, each.sample_count) for each in fresh),
        fallback_rate=_weighted((each.fallback_rate, each.sample_count) for each in fresh),
        slippage_p95=_most(each.slippage_p95 for each in fresh),
        ack_latency_ms=_most(each.ack_latency_ms for each in fresh),
        stale=[each.symbol for each in symbols if is_stale(each, "market") or is_stale(each, "telemetry")],
    )


def is_stale(health: SymbolHealth, group: str) -> bool:
    """Whether a group behind a line is not fresh; one that the vocabulary does not have ages never."""
    return group in health.ages and health.ages[group].state != "fresh"


class _Made:
    """A decision, with what is worked out of it but once: that takes longer than to decide."""

    def __init__(self, book: Book, decision: Decision) -> None:
        self.policy = book.policy(decision.policy)
        self.values = decision.values
        self._binding = book.rulebook.binding_of(decision.moment.symbol)
        self._seen, self._outcome = decision.seen, decision.outcome
        self._names: dict[str, Known] = {**self._seen.names(), **self._outcome.values}
        self._told = self._seen.told()
        self.reason = reason(self.policy, self._binding, self._seen, self._outcome)
        self.fired, self.vetoes = self._outcome.fired, self._outcome.vetoes

    def explain(self, firing: Firing) -> str:
        """A rule that matched, with what it saw, or why it is there where it saw nothing."""
        if not firing.leaves:
            return f"{firing.rule.full_id} ({firing.rule.why})"
        return explain_firing(firing, self._names, self._binding, self._told)

    def saw(self, firing: Firing) -> str:
        """What a rule that matched saw."""
        leaves = firing.rule.leaves()
        return ", ".join(explain_leaf(leaves[index], self._names, self._binding, self._told) for index in firing.leaves)


class _Look:
    """What is known of one symbol at one moment, and what was decided on it."""

    def __init__(
        self,
        book: Book,
        symbol: str,
        now_ms: int,
        known: Mapping[str, Mapping[str, Any] | None],
        decided: Mapping[str, _Made],
        recent: Recent,
    ) -> None:
        self.symbol = symbol
        self._book = book
        self._now_ms = now_ms
        self._decided = decided
        self._recent = recent
        self._ages: dict[str, Observed] = {}
        self._values: dict[str, dict[str, Value]] = {}
        for group in book.rulebook.groups.values():
            self._ages[group.name], self._values[group.name] = self._read(group, known.get(group.name))
        self._policy = self._policy_view()
        self._warnings = self._raised()
        self._standing = self._standing_vetoes()

    def _read(self, group: model.Group, raw: Mapping[str, Any] | None) -> tuple[Observed, dict[str, Value]]:
        """How old a group is, and its values: those of a stale one too, since they are known; no invalid ones."""
        if not raw:
            return _NOT_OBSERVED, {}
        binding = self._book.rulebook.binding_of(self.symbol)
        now = self._now_ms / 1000
        at, held = read_group(group, raw)
        ahead = limit(binding, self._book.rulebook.max_ahead)
        cause = untimely(now, at, limit(binding, group.max_age), ahead)
        values = {name: value for name, value in held.items() if isinstance(value, bool | float | str)}
        state: Freshness = "fresh"
        if cause is Missing.STALE:
            state = "stale"
        elif cause is Missing.INVALID or not values:
            state, values = "invalid", {}
        return Observed(age_s=None if at is None else now - at, state=state), values

    def age(self, group: str) -> Observed:
        """How old a group is."""
        return self._ages.get(group, _NOT_OBSERVED)

    def number(self, group: str, fact: str) -> float | None:
        """A fact that is a number."""
        return _number(self._values.get(group, {}).get(fact))

    def flag(self, group: str, fact: str) -> bool | None:
        """A fact that is a flag."""
        return _flag(self._values.get(group, {}).get(fact))

    def text(self, group: str, fact: str) -> str | None:
        """A fact that is a choice."""
        return _text(self._values.get(group, {}).get(fact))

    def count(self, group: str, fact: str) -> int | None:
        """A fact that is a count."""
        value = self.number(group, fact)
        return None if value is None else int(value)

    def value(self, policy: str, name: str) -> Value | None:
        """A decided value; None where the policy is not run, or decides no such name."""
        decision = self._decided.get(policy)
        return None if decision is None else decision.values.get(name)

    def router_health(self) -> SymbolHealth:
        """The symbol's line of the snapshot."""
        policy = self._policy
        return SymbolHealth(
            symbol=self.symbol,
            updated_ts=self._now_ms / 1000,
            status=_text(self.value(HEALTH, "status")),
            reason=self._reason(HEALTH),
            warnings=self._warnings,
            maker_fill_rate=self.number("telemetry", "maker_fill_ratio"),
            fallback_rate=self.number("telemetry", "fallback_ratio"),
            slippage_p50=self.number("telemetry", "slippage_p50_bps"),
            slippage_p95=self.number("telemetry", "slippage_p95_bps"),
            ack_latency_ms=self.number("telemetry", "ack_latency_p50_ms"),
            ack_latency_p95_ms=self.number("telemetry", "ack_latency_p95_ms"),
            sample_count=self.count("telemetry", "sample_count"),
            maker_first=policy.maker_first,
            taker_bias=policy.taker_bias,
            bias=policy.bias,
            quality=policy.quality,
            offset_bps=policy.offset_bps,
            policy=policy,
            vetoes=self._standing,
            maker_paused=self.flag("windows", "maker_paused"),
            breakers=self._breakers(),
            last_route_decision=self._recent.last_route(self.symbol, self._now_ms),
            ages={name: self._ages[name] for name, group in self._book.rulebook.groups.items() if group.max_age},
        )

    def execution_health(self) -> SymbolExecution:
        """The symbol's execution health."""
        policy = self._policy
        return SymbolExecution(
            symbol=self.symbol,
            updated_ts=self._now_ms / 1000,
            router=RouterPart(
                status=_text(self.value(HEALTH, "status")),
                reason=self._reason(HEALTH),
                warnings=self._warnings,
                policy=policy,
                vetoes=self._standing,
                maker_offset_bps=policy.offset_bps,
                last_route_decision=self._recent.last_route(self.symbol, self._now_ms),
                maker_fill_rate=self.number("telemetry", "maker_fill_ratio"),
                fallback_rate=self.number("telemetry", "fallback_ratio"),
                post_only_reject_rate=self.number("telemetry", "post_only_reject_ratio"),
                slippage_p25=self.number("telemetry", "slippage_p25_bps"),
                slippage_p50=self.number("telemetry", "slippage_p50_bps"),
                slippage_p75=self.number("telemetry", "slippage_p75_bps"),
                slippage_p95=self.number("telemetry", "slippage_p95_bps"),
                ack_latency_ms=self.number("telemetry", "ack_latency_p50_ms"),
                ack_latency_p95_ms=self.number("telemetry", "ack_latency_p95_ms"),
                sample_count=self.count("telemetry", "sample_count"),
                maker_paused=self.flag("windows", "maker_paused"),
                breakers=self._breakers(),
                counts=self._recent.counts(self.symbol),
                suggested=self._suggested(),
                tuned=self._recent.tuned(self.symbol),
                telemetry=self.age("telemetry"),
            ),
            risk=RiskPart(
                risk_mode=self.text("risk", "risk_mode"),
                halted=self.flag("risk", "halted"),
                symbol_disabled=self.flag("risk", "symbol_disabled"),
                drawdown_today=self.number("account", "drawdown_today"),
                nav_usd=self.number("account", "nav_usd"),
                symbol_notional_usd=self.number("account", "symbol_notional_usd"),
                portfolio_notional_usd=self.number("account", "portfolio_notional_usd"),
                position_qty=self.number("account", "position_qty"),
                risk=self.age("risk"),
                account=self.age("account"),
            ),
            vol=VolPart(
                atr_regime=_text(self.value(ROUTING, "atr_regime")),
                atr_ratio=self.number("bars", "atr_ratio"),
                atr_short=self.number("bars", "atr_short"),
                atr_long=self.number("bars", "atr_long"),
                spread_bps=self.number("market", "spread_bps"),
                mid=self.number("market", "mid"),
                market=self.age("market"),
                bars=self.age("bars"),
            ),
            sizing=SizingPart(
                size_factor=_number(self.value(SIZING, "size_factor")),
                reason=self._reason(SIZING),
            ),
            errors=self._recent.errors(self.symbol, self._now_ms),
        )

    def symbol_risk(self) -> SymbolRisk:
        """The symbol's line of the risk state."""
        return SymbolRisk(
            symbol=self.symbol,
            risk_mode=self.text("risk", "risk_mode"),
            halted=self.flag("risk", "halted"),
            symbol_disabled=self.flag("risk", "symbol_disabled"),
            maker_paused=self.flag("windows", "maker_paused"),
            state=self.age("risk").state,
        )

    def _breakers(self) -> list[BreakerView]:
        """The breakers that guard it. Whether makers wait for a trial changes while the state stays, so no move says.

        Where makers wait and no other breaker makes them, they wait for the trial of one that is half open.
        """
        held, paused = self._recent.breakers(self.symbol, self._now_ms), self.flag("windows", "maker_paused")
        others = any(each.pauses for each in held if each.state != HALF_OPEN)
        if paused is None or others:
            return held
        return [msgspec.structs.replace(each, pauses=paused) if each.state == HALF_OPEN else each for each in held]

    def _policy_view(self) -> PolicyView:
        return PolicyView(
            maker_first=_flag(self.value(ROUTING, "maker_first")),
            taker_bias=_text(self.value(ROUTING, "taker_bias")),
            bias=_number(self.value(ROUTING, "bias")),
            quality=_text(self.value(ROUTING, "quality")),
            offset_bps=_number(self.value(ROUTING, "offset_bps")),
            reason=self._policy_reason(),
        )

    def _reason(self, policy: str) -> str:
        made = self._decided.get(policy)
        return "" if made is None else made.reason

    def _policy_reason(self) -> str:
        """What made tier, regime and stance: the rule of each `first` set before the gates, and what it saw."""
        made = self._decided.get(ROUTING)
        if made is None:
            return ""
        before: list[str] = []
        for step in made.policy.steps:
            if step.hit == "veto":
                break
            if step.hit == "first":
                before.append(step.ruleset)
        return "; ".join(made.explain(firing) for firing in made.fired if firing.rule.ruleset in before)

    def _standing_vetoes(self) -> list[str]:
        """The vetoes that no intent could lift: those of rules that read nothing of one."""
        made = self._decided.get(ROUTING)
        if made is None:
            return []
        return [firing.rule.full_id for firing in made.vetoes if not _asks_the_intent(firing.rule)]

    def _raised(self) -> list[Warned]:
        """The flags of `health` that are up, each with the rule that raised it."""
        made = self._decided.get(HEALTH)
        if made is None:
            return []
        by_flag = {effect.name: firing for firing in made.fired for effect in firing.rule.effects}
        return [_warned(name, made, by_flag.get(name)) for name in _flags(made.policy) if made.values[name] is True]

    def _suggested(self) -> Suggested | None:
        if SUGGEST not in self._decided:
            return None
        return Suggested(
            router_regime=_text(self.value(SUGGEST, "router_regime")),
            suggested_bias_delta=_number(self.value(SUGGEST, "suggested_bias_delta")),
            suggested_offset_delta_bps=_number(self.value(SUGGEST, "suggested_offset_delta_bps")),
            reason=self._reason(SUGGEST),
        )


def _risk(looks: Sequence[_Look], ts: float, tick: int) -> Risk:
    rows = [look.symbol_risk() for look in looks]
    oldest = max(looks, key=lambda look: _order_of_age(look.age("risk")), default=None)
    return Risk(
        updated_ts=ts,
        tick=tick,
        risk_mode=_text(_agreed(row.risk_mode for row in rows)),
        halted=_flag(_agreed(row.halted for row in rows)),
        drawdown_today=_number(_agreed(look.number("account", "drawdown_today") for look in looks)),
        risk=_NOT_OBSERVED if oldest is None else oldest.age("risk"),
        symbols=rows,
    )


def _warned(flag: str, made: _Made, firing: Firing | None) -> Warned:
    if firing is None:  # up from the start, by no rule
        return Warned(flag=flag, rule="", at="", reason="")
    rule = firing.rule
    at = f"{rule.span.file}:{rule.span.line}"
    return Warned(flag=flag, rule=rule.full_id, at=at, reason=made.saw(firing) or rule.why)


def _asks_the_intent(rule: model.Rule) -> bool:
    return any(
        isinstance(part, model.FactRef) and (part.group == INTENT or part.group.startswith(f"{DECISIONS}."))
        for leaf in rule.leaves()
        for part in walk(leaf.written.expression)
    )


def _flags(policy: Policy) -> list[str]:
    types = policy.types()
    return [name for name in policy.decides if isinstance(types[name], FlagType)]


def _quantity(exact: Mapping[str, Decimal] | None, symbol: str, look: _Look | None) -> Decimal | None:
    if exact is not None:
        return exact.get(symbol, Decimal(0))
    qty = None if look is None else look.number("account", "position_qty")
    return None if qty is None else Decimal(repr(qty))


def _order_of_age(observed: Observed) -> tuple[bool, float]:
    """Newest first; what was never observed comes last."""
    return observed.age_s is None, observed.age_s or 0.0


def _agreed(values: Iterable[Value | None]) -> Value | None:
    """What all say; None where they differ, or nobody says anything."""
    said = set(values)
    return said.pop() if len(said) == 1 else None


def _rank(order: Sequence[str]) -> Any:
    return lambda value: order.index(value) if value in order else -1


def _counted(values: Iterable[str], order: Sequence[str]) -> dict[str, int]:
    counts = Counter(values)
    return {name: counts[name] for name in (*order, *sorted(counts.keys() - set(order)))}


def _weighted(values: Iterable[tuple[float | None, int | None]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _number(value: Value | None) -> float | None:
    return value if isinstance(value, float) else None


def _flag(value: Value | None) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Value | None) -> str | None:
    return value if isinstance(value, str) else None
