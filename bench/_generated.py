"""Homes of any size that look like real ones: what `load.py` loads, and tests may.

Rule sets of 50 rules take turns: a tier of telemetry (`first`), an offset that steps add up to (`each`), gates (`veto`).
Every three of them share a fact group. Each set has twelve parameters, which the profile binds; each rule an id, a
condition of one to three leaves, and a reason why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

RULES_A_SET = 50
PROFILE = "generated"
POLICY = "generated"

_PARAMETERS = 12
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
            yield f"      {name}_{group}: {{type: number, unit: {unit}, min: {low}, max: {high}, doc: as measured there}}"


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
        for number in range(_PARAMETERS):
            yield f"  {made.name}.{made.parameter(number)}: {made.value(number)}"


class _Set:
    """One rule set."""

    def __init__(self, number: int) -> None:
        self.group = number // 3
        self.hit = ("first", "each", "veto")[number % 3]
        self.name = f"{('tier', 'offset', 'gates')[number % 3]}_{self.group}"
        self.result = f"{self.name}_open" if self.hit == "veto" else f"{self.name}_bps" if self.hit == "each" else self.name

    def parameter(self, number: int) -> str:
        return f"{'step' if self.hit == 'each' else 'limit'}_{number}_bps"

    def value(self, number: int) -> str:
        return f"{number / 10 - 0.5:g}" if self.hit == "each" else f"{60 - number}"

    def document(self) -> Iterator[str]:
        yield f"ruleset: {self.name}"
        yield f"doc: What venue {self.group} is good for, by its telemetry."
        yield f"hit: {self.hit}"
        yield "sets:"
        match self.hit:
            case "first":
                yield f"  {self.result}: {{type: choice, of: [broken, degraded, ok, good], ordered: true, doc: the tier}}"
                yield "unknown: skip"
            case "each":
                yield f"  {self.result}: {{type: number, unit: bps, min: 0, max: 1000, doc: how far behind the touch}}"
                yield f"start: {{{self.result}: 2}}"
                yield "unknown: skip"
            case _:
                yield f"  {self.result}: {{type: flag, doc: nothing objects}}"
        yield "params:"
        for number in range(_PARAMETERS):
            yield f"  {self.parameter(number)}: {{type: number, unit: bps, min: -10000, max: 10000, doc: a line drawn in bps}}"
        yield "rules:"
        for number in range(RULES_A_SET):
            yield from self._rule(number)

    def _rule(self, number: int) -> Iterator[str]:
        last = number == RULES_A_SET - 1
        yield f"  - id: rule_{number}"
        match self.hit:
            case "first":
                if not last:
                    yield "    when:"
                    yield f"      {'any' if number % 2 else 'all'}:"
                    yield f"        - slippage_bps_{self.group} >= {self._line(number)}"
                    yield f"        - fallback_ratio_{self.group} >= {0.99 - number / 100:.2f}"
                    yield f"        - latency_ms_{self.group} >= {3000 - 40 * number} or sample_count_{self.group} < {60 - number}"
                yield f"    set: {{{self.result}: {('broken', 'degraded', 'ok', 'good')[number * 4 // RULES_A_SET]}}}"
            case "each":
                yield f"    when: tier_{self.group} == {('broken', 'degraded', 'ok', 'good')[number % 4]}" + (
                    f" and fill_ratio_{self.group} > {number / 100:.2f}"
                )
                yield f"    add: {{{self.result}: {self._line(number)}}}"
            case _:
                yield "    when:"
                yield "      any:"
                yield f"        - spread_bps_{self.group} > {self._line(number)}"
                yield f"        - tier_{self.group} <= degraded and offset_{self.group}_bps > {number + 1}"
                if number % 5 == 0:
                    yield f"        - fill_ratio_{self.group} is missing and latency_ms_{self.group} >= {500 + number}"
        yield f"    why: line {number} of what experience with venue {self.group} has taught"

    def _line(self, number: int) -> str:
        return f"${self.parameter(number)}" if number < _PARAMETERS else f"{60 - number}" if self.hit != "each" else "0.25"
