"""Homes of any size that look like real ones: what `load.py` loads, and tests may.

Rule sets of 50 rules take turns: a tier of telemetry (`first`), an offset that steps add up to (`each`), gates
(`veto`). Every three of them share a fact group. Each set has about fifteen parameters, which the profile binds; each
rule an id, a condition of one to three leaves, and a reason why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

RULES_A_SET = 50
PROFILE = "generated"
POLICY = "generated"

_FACTS = {
    "fill_ratio": ("ratio", 0, 1),
    "fallback_ratio": ("ratio", 0, 1),
    "slippage_bps": ("bps", -10000, 10000),
    "latency_ms": ("ms", 0, 3600000),
    "spread_bps": ("bps", 0, 20000),
    "sample_count": ("count", 0, 1000000000),
}


def write_home(home: Path, rules: int) -> Path:
    """Write a home with one policy of that many rules (a multiple of `RULES_A_SET`) and the profile that runs it."""
    if rules < RULES_A_SET or rules % RULES_A_SET:
        message = f"{rules} rules are no multiple of {RULES_A_SET}"
        raise ValueError(message)
    sets = [_Set(number) for number in range(rules // RULES_A_SET)]
    for folder in ("rules", "policies", "profiles"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for made in sets:
        _write(home / "rules" / f"{made.name}.yaml", made.document())
    _write(home / "policies" / "facts.yaml", _vocabulary(1 + sets[-1].group))
    _write(home / "policies" / f"{POLICY}.yaml", _policy(sets))
    _write(home / "profiles" / f"{PROFILE}.yaml", _profile(sets))
    return home


def _write(path: Path, lines: Iterator[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _vocabulary(groups: int) -> Iterator[str]:
    yield "doc: Telemetry of many venues."
    yield "params:"
    yield "  max_age_s: {type: number, unit: s, min: 0, max: 604800, doc: age at which telemetry is no evidence}"
    yield "groups:"
    for group in range(groups):
        yield f"  venue_{group}:"
        yield f"    doc: How orders went at venue {group}."
        yield "    max_age_s: $max_age_s"
        yield "    facts:"
        for name, (unit, low, high) in _FACTS.items():
            declared = f"type: number, unit: {unit}, min: {low}, max: {high}"
            yield f"      {name}_{group}: {{{declared}, doc: as measured there}}"


def _policy(sets: list[_Set]) -> Iterator[str]:
    yield f"policy: {POLICY}"
    yield "doc: Everything that is known of every venue."
    yield f"reads: [{', '.join(f'venue_{group}' for group in range(1 + sets[-1].group))}]"
    yield "steps:"
    yield from (f"  - {made.name}" for made in sets)
    yield "decides:"
    yield from (f"  - {made.result}" for made in sets)
    yield f"reason: [{sets[0].result}]"


def _profile(sets: list[_Set]) -> Iterator[str]:
    yield f"profile: {PROFILE}"
    yield "doc: Numbers for every venue."
    yield f"policies: [{POLICY}]"
    yield "values:"
    yield "  facts.max_age_s: 900"
    for made in sets:
        yield from (f"  {made.name}.{name}: {value}" for name, _, value in made.parameters())


class _Set:
    """One rule set."""

    def __init__(self, number: int) -> None:
        self.group = number // 3
        self.hit = ("first", "each", "veto")[number % 3]
        self.name = f"{('tier', 'offset', 'gates')[number % 3]}_{self.group}"
        self.result = {"first": self.name, "each": f"{self.name}_bps", "veto": f"{self.name}_open"}[self.hit]

    def parameters(self) -> Iterator[tuple[str, str, str]]:
        """Name, declaration and bound value of each; all are used by some rule."""
        for kind, (declared, values) in _LIMITS[self.hit].items():
            for number, value in enumerate(values):
                yield f"{kind}_{number}", declared, f"{value:g}"

    def document(self) -> Iterator[str]:
        """The lines of its file."""
        yield f"ruleset: {self.name}"
        yield f"doc: What venue {self.group} is good for, by its telemetry."
        yield f"hit: {self.hit}"
        yield "sets:"
        match self.hit:
            case "first":
                yield f"  {self.result}: {{type: choice, of: [{', '.join(_TIERS)}], ordered: true, doc: the tier}}"
                yield "unknown: skip"
            case "each":
                yield f"  {self.result}: {{type: number, unit: bps, min: 0, max: 1000, doc: how far behind the touch}}"
                yield f"start: {{{self.result}: $step_0}}"
                yield "unknown: skip"
            case _:
                yield f"  {self.result}: {{type: flag, doc: nothing objects}}"
        yield "params:"
        for name, declared, _ in self.parameters():
            yield f"  {name}: {{{declared}, doc: a line that somebody drew}}"
        yield "rules:"
        for number in range(RULES_A_SET):
            yield from self._rule(number)

    def _rule(self, number: int) -> Iterator[str]:
        group, tier = self.group, _TIERS[number % len(_TIERS)]
        yield f"  - id: rule_{number}"
        match self.hit:
            case "first":
                if number < RULES_A_SET - 1:
                    yield "    when:"
                    yield f"      {'any' if number % 2 else 'all'}:"
                    yield f"        - slippage_bps_{group} >= $slippage_{number % 5}"
                    yield f"        - fallback_ratio_{group} >= $fallback_{number % 4}"
                    yield f"        - latency_ms_{group} >= $latency_{number % 3}"
                    yield f"        - sample_count_{group} < $samples_{number % 2}"
                yield f"    set: {{{self.result}: {tier}}}"
            case "each":
                yield f"    when: tier_{group} == {tier} and fill_ratio_{group} > $fill_{number % 5}"
                yield f"    add: {{{self.result}: $step_{number % 10}}}"
            case _:
                yield "    when:"
                yield "      any:"
                yield f"        - spread_bps_{group} > $spread_{number % 6}"
                yield f"        - tier_{group} <= {tier} and offset_{group}_bps > $far_{number % 5}"
                if number % 3 == 0:
                    yield f"        - fill_ratio_{group} is missing and latency_ms_{group} >= $latency_{number % 4}"
        yield f"    why: line {number} of what experience with venue {group} has taught"


def write_sums_home(home: Path, rules: int) -> Path:
    """Write a home with one policy of that many rules whose conditions are sums and products of facts.

    One rule set of each hit policy; facts and bounds are drawn, so some rules leave nothing for others.
    """
    if rules % len(_SUM_HITS):
        message = f"{rules} rules are no multiple of {len(_SUM_HITS)}"
        raise ValueError(message)
    for folder in ("rules", "policies", "profiles"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    chance = Random(rules)
    sets = [_SumSet(number, hit, rules // len(_SUM_HITS), chance) for number, hit in enumerate(_SUM_HITS)]
    for made in sets:
        _write(home / "rules" / f"{made.name}.yaml", made.document())
    facts = [f"      x{number}: {{type: number, min: -100, max: 100, doc: a flow}}" for number in range(_FLOWS)]
    head = [
        "doc: Flows that are added up.",
        "params:",
        "  ahead_s: {type: number, unit: s, min: 0, max: 60, doc: slack}",
    ]
    venue = ["max_ahead_s: $ahead_s", "groups:", "  flows:", "    doc: What goes in and out.", "    facts:", *facts]
    state = "      state: {type: choice, of: [calm, busy, wild], doc: how it goes}"
    _write(home / "policies" / "facts.yaml", iter([*head, *venue, state]))
    steps = [f"steps: [{', '.join(made.name for made in sets)}]", f"decides: [{', '.join(made.out for made in sets)}]"]
    policy = [f"policy: {POLICY}", "doc: Everything about flows.", "reads: [flows]", *steps]
    _write(home / "policies" / f"{POLICY}.yaml", iter([*policy, f"reason: [{sets[0].out}]"]))
    values = [f"  {made.name}.{name}: {value}" for made in sets for name, value in made.values.items()]
    profile = [f"profile: {PROFILE}", "doc: Bounds of flows.", f"policies: [{POLICY}]", "values:", "  facts.ahead_s: 5"]
    _write(home / "profiles" / f"{PROFILE}.yaml", iter([*profile, *values]))
    return home


_FLOWS = 8
_SUM_HITS = ("first", "each", "veto")


class _SumSet:
    """One rule set over sums and products."""

    def __init__(self, number: int, hit: str, rules: int, chance: Random) -> None:
        self.name, self.out, self._hit = f"flow_{number}", f"out_{number}", hit
        self.values: dict[str, float] = {}
        self._rules = [line for rule in range(rules) for line in self._rule(rule, rules, chance)]

    def _rule(self, rule: int, rules: int, chance: Random) -> Iterator[str]:
        yield f"  - id: rule_{rule}"
        if not (self._hit == "first" and rule == rules - 1):
            a, b, c = (f"x{number}" for number in chance.sample(range(_FLOWS), 3))
            self.values |= {f"p{rule}": round(chance.uniform(60, 99), 2), f"q{rule}": round(chance.uniform(60, 99), 2)}
            both = f"{a} * {b} > $p{rule} * $q{rule}" if rule % 10 == 9 else f"{a} + {b} > $p{rule}"
            state = chance.choice(["", f" and state == {chance.choice(['calm', 'busy', 'wild'])}"])
            yield f"    when: {both} and {c} < $q{rule}{state}"
        match self._hit:
            case "first":
                yield f"    set: {{{self.out}: {chance.choice(_TIERS)}}}"
            case "each":
                yield f"    add: {{{self.out}: {chance.choice(['1', '-1'])}}}"
        yield f"    why: flow {rule} says so"

    def document(self) -> Iterator[str]:
        """The lines of its file."""
        yield from (f"ruleset: {self.name}", "doc: What flows come to.", f"hit: {self._hit}", "sets:")
        match self._hit:
            case "first":
                yield f"  {self.out}: {{type: choice, of: [{', '.join(_TIERS)}], ordered: true, doc: the tier}}"
                yield "unknown: skip"
            case "each":
                yield f"  {self.out}: {{type: number, min: -100, max: 100, doc: how much}}"
                yield from (f"start: {{{self.out}: 0}}", "unknown: skip")
            case _:
                yield f"  {self.out}: {{type: flag, doc: nothing objects}}"
        yield "params:"
        yield from (f"  {name}: {{type: number, min: 0, max: 100, doc: a bound}}" for name in self.values)
        yield "rules:"
        yield from self._rules


_TIERS = ("broken", "degraded", "ok", "good")
_RATIO = "type: number, unit: ratio, min: 0, max: 1"
_BPS = "type: number, unit: bps, min: -10000, max: 10000"
_MS = "type: number, unit: ms, min: 0, max: 600000"
_LIMITS: dict[str, dict[str, tuple[str, tuple[float, ...]]]] = {
    "first": {
        "slippage": (_BPS, (20, 14, 8, 5, 4)),
        "fallback": (_RATIO, (0.9, 0.75, 0.6, 0.4)),
        "latency": (_MS, (2500, 1500, 800)),
        "samples": ("type: number, unit: count, min: 0, max: 1000000", (20, 50)),
    },
    "each": {
        "fill": (_RATIO, (0.2, 0.35, 0.5, 0.7, 0.9)),
        "step": ("type: number, unit: bps, min: 0, max: 100", (2, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
    },
    "veto": {
        "spread": (_BPS, (6, 8, 10, 12, 18, 25)),
        "far": (_BPS, (8, 10, 15, 20, 40)),
        "latency": (_MS, (2500, 2000, 1500, 800)),
    },
}
"""Parameters by hit policy: what they limit, how they are declared, what they are bound to."""
