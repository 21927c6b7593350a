"""Why a symbol is never maker: which vetoes stood against it, what they cost, and which was nearest to lifting.

In: the events of a journal, a symbol and a window of time. Out: a `Why`: for each veto rule how many routing decisions
it vetoed and how many it vetoed alone, the shortfall of the taker orders that came of it, and the decision in which it
was nearest to not vetoing, by the values that the rule saw. An intent that admission refused was never routed; those
are counted by their own rules, and apart from those that were admitted and too small for the venue.

Of a veto over a choice (`quality != good`) the rule that made the choice stands behind it. With the rulebooks that
decided at hand, the nearest way out is looked for there as well: what made that rule match, and what the rule that
would have lifted the veto still lacked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from engine.backends.decision import seen_by, setters
from engine.book import Book
from engine.journal.events import BaselineDone, Decided, Event, IntentReceived, Outcome, ProbeGranted, Routed
from engine.language import model
from engine.language.evaluate import Environment, evaluate
from engine.language.model import Leaf, Policy, Rule, Step
from engine.language.types import Value
from engine.routing.chain import ROUTING
from engine.routing.evidence.costs import CostTotals, Saving, Shortfall, shortfall
from engine.routing.evidence.left import is_refused
from engine.routing.evidence.measured import Measured
from engine.routing.evidence.nearness import Gap, gaps

READS: tuple[type[Event], ...] = (IntentReceived, Decided, Routed, ProbeGranted, Outcome, BaselineDone)
"""Types of events that are looked at; others need not be read."""

RESTING = "maker_then_taker"
"""The baseline that says what resting would have cost."""

BookOf: TypeAlias = Callable[[str, str, str], Book | None]
"""The rulebook of a version, of sources and of a profile; None where it was not kept."""


class _Looked(msgspec.Struct):
    when: str
    saw: dict[str, Any]


class _Fired(msgspec.Struct):
    rule: str
    at: str
    leaves: list[_Looked]


class _Record(msgspec.Struct):
    """What of a routing decision's record is looked at."""

    decision_id: str
    now: float
    profile: str
    rulebook: str
    sources: str
    symbol: str | None
    intent_id: str | None
    decided: dict[str, Any]
    vetoes: list[_Fired]
    fired: list[_Fired]
    facts: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """A decision in which a veto was nearest to lifting."""

    gaps: tuple[Gap, ...]
    """What would all have had to be otherwise."""
    rule: str
    """Whose condition it is: the veto's own, that of the rule behind it, or that of the rule that would lift it."""
    is_lacking: bool
    """Whether the gaps are what a rule lacked to match, rather than what made one match."""
    decision_id: str
    ts: float

    @property
    def order(self) -> tuple[bool, float]:
        """Nearest first: of several gaps the widest counts."""
        return max(gap.order for gap in self.gaps)

    @property
    def away(self) -> float | None:
        """The widest gap as a share of its bound; None where a bound is 0."""
        shares = [gap.away for gap in self.gaps]
        return None if None in shares else max(share for share in shares if share is not None)


@dataclass(slots=True)
class VetoLook:
    """One veto rule, over the window."""

    rule: str
    at: str = ""
    vetoed: int = 0
    alone: int = 0
    """Decisions that nothing else vetoed: they would have been maker without this rule."""
    cost: CostTotals = field(default_factory=CostTotals)
    """Of the taker orders that it had a part in."""
    alone_cost: CostTotals = field(default_factory=CostTotals)
    saving: Saving = field(default_factory=Saving)
    """What resting, and crossing after a time, would have saved where it vetoed alone; by the baseline."""
    missing: Counter[str] = field(default_factory=Counter)
    """What it found missing, with the cause."""
    behind: Counter[str] = field(default_factory=Counter)
    """The rules that made the choice it looks at."""
    nearest: Near | None = None
    last_decision_id: str = ""


@dataclass(slots=True)
class Why:
    """The answer for one symbol."""

    symbol: str
    since_ms: int | None
    until_ms: int | None
    intents: int = 0
    """Decided on in the window: routed, refused or too small."""
    maker: int = 0
    taker: int = 0
    refused: int = 0
    """By rules of admission."""
    too_small: int = 0
    """Admitted, but nothing that the venue would take."""
    probes: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    """Intents that admission refused, by each of its vetoes."""
    maker_cost: CostTotals = field(default_factory=CostTotals)
    taker_cost: CostTotals = field(default_factory=CostTotals)
    vetoes: dict[str, VetoLook] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None
    symbols: dict[str, int] = field(default_factory=dict)
    """Intents in the window of every symbol that has any."""

    @property
    def ranked(self) -> list[VetoLook]:
        """Veto rules, most frequent first."""
        return sorted(self.vetoes.values(), key=lambda look: (-look.vetoed, look.rule))

    @property
    def routed(self) -> int:
        """Routing decisions."""
        return self.maker + self.taker

    def as_json(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "symbol": self.symbol,
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "intents": self.intents,
            "maker": self.maker,
            "taker": self.taker,
            "refused": self.refused,
            "too_small": self.too_small,
            "probes": self.probes,
            "refusals": dict(self.refusals.most_common()),
            "maker_cost": self.maker_cost.as_json(),
            "taker_cost": self.taker_cost.as_json(),
            "vetoes": [_veto_json(look, self.routed) for look in self.ranked],
        }


def why(
    events: Iterable[Event],
    symbol: str,
    since_ms: int | None = None,
    until_ms: int | None = None,
    book_of: BookOf = lambda *_: None,
) -> Why:
    """Answer for a symbol. Intents count that were decided on from `since_ms` on and before `until_ms`.

    Later events are read for what became of them. `book_of` finds the rulebooks that decided.
    """
    looking = _Looking(Why(symbol, since_ms, until_ms), book_of)
    for event in events:
        looking.see(event)
    looking.finish()
    return looking.answer


@dataclass(slots=True)
class _Intent(Measured):
    """One intent that was routed in the window."""

    routed: Routed = field(kw_only=True)


class _Looking:
    """One pass over a journal."""

    def __init__(self, answer: Why, book_of: BookOf) -> None:
        self.answer = answer
        self._book_of = book_of
        self._books: dict[tuple[str, str, str], Book | None] = {}
        self._symbols: dict[str, str] = {}
        self._records: dict[str, _Record] = {}
        self._open: dict[str, _Intent] = {}
        self._behinds: dict[tuple[str, str], tuple[_Behind, ...]] = {}
        self._seen: tuple[str, model.Binding, Environment] | None = None
        """Of the last decision that was looked into: its id, the values in force, what its rules saw."""

    def see(self, event: Event) -> None:
        symbol = self.answer.symbol
        match event:
            case IntentReceived():
                if event.symbol == symbol:
                    self._symbols[event.intent_id] = symbol
            case Decided(policy=policy, intent_id=intent_id):
                if policy == ROUTING and intent_id in self._symbols:
                    self._records[str(intent_id)] = msgspec.json.decode(event.record, type=_Record)
            case Routed(event="decision"):
                self._see_routed(event)
            case ProbeGranted():
                self.answer.probes += event.symbol == symbol and self._is_inside(event.ts_ms)
            case Outcome():
                self._see_outcome(event)
            case BaselineDone():
                self._see_baseline(event)

    def finish(self) -> None:
        """Add up those of which not everything was said, as far as it goes."""
        for intent in self._open.values():
            self._add(intent)
        self._open.clear()

    def _is_inside(self, ts_ms: int) -> bool:
        since_ms, until_ms = self.answer.since_ms, self.answer.until_ms
        return (since_ms is None or ts_ms >= since_ms) and (until_ms is None or ts_ms < until_ms)

    def _see_routed(self, routed: Routed) -> None:
        answer = self.answer
        record = self._records.pop(routed.intent_id, None)
        if not self._is_inside(routed.ts_ms):
            return
        answer.symbols[routed.symbol] = answer.symbols.get(routed.symbol, 0) + 1
        if routed.symbol != answer.symbol:
            return
        answer.intents += 1
        answer.first_ms = routed.ts_ms if answer.first_ms is None else answer.first_ms
        answer.last_ms = routed.ts_ms
        if routed.route == "none":
            if is_refused(routed):
                answer.refused += 1
                answer.refusals.update(routed.vetoes)
            else:
                answer.too_small += 1
            return
        self._open[routed.intent_id] = _Intent(routed=routed)
        if routed.route == "maker":
            answer.maker += 1
            return
        answer.taker += 1
        for rule in routed.vetoes:
            look = answer.vetoes.setdefault(rule, VetoLook(rule))
            look.vetoed += 1
            look.alone += len(routed.vetoes) == 1
            look.last_decision_id = routed.decision_id
        if record is not None and record.decision_id == routed.decision_id:
            for fired in record.vetoes:
                self._look_at(fired, record)

    def _see_outcome(self, outcome: Outcome) -> None:
        intent = self._open.get(outcome.intent_id)
        if intent is not None:
            intent.outcome = outcome
            self._settle(outcome.intent_id, intent)

    def _see_baseline(self, baseline: BaselineDone) -> None:
        intent = self._open.get(baseline.intent_id)
        if intent is not None:
            intent.baselines[baseline.baseline] = baseline
            self._settle(baseline.intent_id, intent)

    def _settle(self, intent_id: str, intent: _Intent) -> None:
        if intent.is_complete:
            self._add(intent)
            del self._open[intent_id]

    def _add(self, intent: _Intent) -> None:
        """Add up what an intent cost."""
        cost, routed = intent.cost, intent.routed
        if cost is None:
            return
        if routed.route == "maker":
            self.answer.maker_cost.add(cost)
            return
        self.answer.taker_cost.add(cost)
        for rule in routed.vetoes:
            look = self.answer.vetoes[rule]
            look.cost.add(cost)
            if len(routed.vetoes) == 1:
                look.alone_cost.add(cost)
                _compare(look, cost, intent.baselines.get(RESTING))

    def _look_at(self, fired: _Fired, record: _Record) -> None:
        """What one veto saw, and how near it was."""
        look = self.answer.vetoes.setdefault(fired.rule, VetoLook(fired.rule))
        look.at = fired.at
        for leaf in fired.leaves:
            look.missing.update(
                f"{name} ({value['missing']})" for name, value in leaf.saw.items() if isinstance(value, dict)
            )
        for near in (*_nears(fired, record), *self._nears_behind(fired, record, look)):
            if look.nearest is None or near.order < look.nearest.order:
                look.nearest = near

    def _nears_behind(self, fired: _Fired, record: _Record, look: VetoLook) -> Iterator[Near]:
        """The ways out that lie behind a choice that the veto looks at."""
        book = self._book(record)
        if book is None or record.facts is None:
            return
        for behind in self._behind(book, fired.rule):
            matched = next((other for other in record.fired if other.rule.partition(".")[0] == behind.ruleset), None)
            if matched is None:
                continue
            look.behind[matched.rule] += 1
            yield from _nears(matched, record)
            for rule in behind.lifting(matched.rule):
                lacks = self._lacks(rule, book, record, record.facts)
                if lacks:
                    yield Near(lacks, rule.full_id, is_lacking=True, decision_id=record.decision_id, ts=record.now)

    def _behind(self, book: Book, veto: str) -> tuple[_Behind, ...]:
        """What stands behind a veto, under one rulebook."""
        key = (book.version, veto)
        if key not in self._behinds:
            policy = book.rulebook.policies.get(ROUTING)
            rule = None if policy is None else _rule_of(policy, veto)
            self._behinds[key] = () if policy is None or rule is None else _behind(policy, rule)
        return self._behinds[key]

    def _lacks(self, rule: Rule, book: Book, record: _Record, facts: dict[str, Any]) -> tuple[Gap, ...]:
        """What a rule lacked to match in a decision."""
        if self._seen is None or self._seen[0] != record.decision_id:
            given = {"now": record.now, "symbol": record.symbol, "intent_id": record.intent_id, **facts}
            binding = book.rulebook.binding_of(record.symbol)
            names = {**book.decide(ROUTING, given).seen.names(), **record.decided}
            self._seen = (record.decision_id, binding, Environment(names, binding.values))
        _, binding, env = self._seen
        return _lacking(rule, env, binding)

    def _book(self, record: _Record) -> Book | None:
        key = (record.rulebook, record.sources, record.profile)
        if key not in self._books:
            self._books[key] = self._book_of(*key)
        return self._books[key]


def _compare(look: VetoLook, cost: Shortfall, resting: BaselineDone | None) -> None:
    """What an intent would have cost at rest. Both are measured at the same end."""
    if resting is None:
        return
    rested = shortfall(resting)
    if cost.total_usd is not None and rested.total_usd is not None and cost.notional_usd:
        look.saving.add(cost.total_usd - rested.total_usd, cost.notional_usd)


def _nears(fired: _Fired, record: _Record) -> Iterator[Near]:
    """For each leaf that triggered a rule: how near it was to not triggering."""
    for leaf in fired.leaves:
        for gap in gaps(leaf.when, leaf.saw):
            yield Near((gap,), fired.rule, is_lacking=False, decision_id=record.decision_id, ts=record.now)


def _rule_of(policy: Policy, full_id: str) -> Rule | None:
    return next((rule for step in policy.steps for rule in step.rules if rule.full_id == full_id), None)


class _Behind:
    """A choice that a veto looks at, and the rules that make it."""

    def __init__(self, veto: Rule, name: str, step: Step) -> None:
        self.ruleset = step.ruleset
        self._rules = [rule.full_id for rule in step.rules]
        self._would_lift = [rule for rule in step.rules if _sets_what_passes(rule, veto, name)]

    def lifting(self, matched: str) -> list[Rule]:
        """The rules before the one that matched which would have made a choice that the veto lets pass."""
        before = self._rules[: self._rules.index(matched)] if matched in self._rules else []
        return [rule for rule in self._would_lift if rule.full_id in before]


def _behind(policy: Policy, veto: Rule) -> tuple[_Behind, ...]:
    return tuple(_Behind(veto, name, step) for name, step in setters(policy, veto, range(len(veto.leaves()))))


def _sets_what_passes(rule: Rule, veto: Rule, name: str) -> bool:
    values = [effect.value.expression for effect in rule.effects if effect.name == name]
    return bool(values) and isinstance(values[0], model.Constant) and _passes(veto, name, values[0].value)


def _passes(veto: Rule, name: str, value: Value) -> bool:
    """Whether the veto's comparisons of a choice with a constant are all false for a value of it."""
    compared = [
        part
        for leaf in veto.leaves()
        for part in model.walk(leaf.written.expression)
        if isinstance(part, model.Compare)
        and isinstance(part.left, model.DecisionRef)
        and part.left.name == name
        and isinstance(part.right, model.Constant)
    ]
    env = Environment({name: value}, {})
    return bool(compared) and all(evaluate(part, env) is False for part in compared)


def _lacking(rule: Rule, env: Environment, binding: model.Binding) -> tuple[Gap, ...]:
    """The gaps that kept a rule from matching; none where other things than numbers did, or there are several ways."""
    condition = rule.condition
    items = condition.items if isinstance(condition, model.AllOf) else (condition,)
    found: list[Gap] = []
    for leaf in items:
        if not isinstance(leaf, Leaf) or not _are_known(leaf, env):
            return ()
        if evaluate(leaf.written.expression, env) is True:
            continue
        lacking = _gaps_of(leaf, env, binding)
        if not lacking:
            return ()
        found += lacking
    return tuple(found)


def _are_known(leaf: Leaf, env: Environment) -> bool:
    """Whether a record says all that a leaf reads: what the policy does not hand out stands in none."""
    parts = model.walk(leaf.written.expression)
    return all(part.name in env.names for part in parts if isinstance(part, model.DecisionRef))


def _gaps_of(leaf: Leaf, env: Environment, binding: model.Binding) -> tuple[Gap, ...]:
    written = leaf.written
    return gaps(written.text, seen_by(written.expression, env.names, binding), holding=False)


def _veto_json(look: VetoLook, routed: int) -> dict[str, Any]:
    near = look.nearest
    return {
        "rule": look.rule,
        "at": look.at,
        "vetoed": look.vetoed,
        "share": look.vetoed / routed if routed else None,
        "alone": look.alone,
        "cost": look.cost.as_json(),
        "alone_cost": look.alone_cost.as_json(),
        "resting_would_have_saved": look.saving.as_json(),
        "missing": dict(look.missing.most_common()),
        "behind": dict(look.behind.most_common()),
        "nearest": None if near is None else _near_json(near),
        "last_decision_id": look.last_decision_id,
    }


def _near_json(near: Near) -> dict[str, Any]:
    return {
        "rule": near.rule,
        "is_lacking": near.is_lacking,
        "away": near.away,
        "decision_id": near.decision_id,
        "ts": near.ts,
        "comparisons": [
            {
                "shown": gap.shown,
                "value": gap.value,
                "operator": gap.operator,
                "bound": gap.bound,
                "away": gap.away,
            }
            for gap in near.gaps
        ],
    }
