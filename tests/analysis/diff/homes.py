"""A small home with something of every kind in it, and edits of it; repositories to look into."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from engine.language.load import Files, Workspace
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook

GATES, TIER, OFFSET, ROUTING = "rules/gates.yaml", "rules/tier.yaml", "rules/offset.yaml", "policies/routing.yaml"
FACTS, WINDOWS, BASE, LIVE = "policies/facts.yaml", "policies/windows.yaml", "profiles/base.yaml", "profiles/live.yaml"

HOME: Mapping[str, str] = {
    FACTS: """\
params:
  max_ahead_s: {type: number, unit: s, min: 0, max: 60}
  book_max_age_s: {type: number, unit: s, min: 0, max: 600}
max_ahead_s: $max_ahead_s
groups:
  book:
    max_age_s: $book_max_age_s
    facts:
      bid: {type: number, unit: price, min: 0, max: 1000000}
      ask: {type: number, unit: price, min: 0, max: 1000000}
      spread_bps: {type: number, unit: bps, min: 0, max: 20000}
  windows:
    facts:
      slow_acks_60s: {type: number, unit: count, min: 0, max: 100000}
  intent:
    facts:
      urgent: {type: flag}
      side: {type: choice, of: [buy, sell]}
relations: [bid <= ask]
""",
    WINDOWS: """\
params:
  slow_ack_ms: {type: number, unit: ms, min: 0, max: 60000}
events:
  ack:
    fields:
      latency_ms: {type: number, unit: ms, min: 0, max: 600000}
windows:
  slow_acks_60s: {event: ack, filter: latency_ms > $slow_ack_ms, measure: count, window_s: 60, per: [symbol]}
""",
    ROUTING: """\
policy: routing
reads: [book, windows, intent]
steps: [tier, gates, offset, route]
decides: [tier, open, offset_bps, route]
reason: [route, tier]
invariants:
  - id: narrow
    claim: route == maker implies spread_bps is known and spread_bps <= $gates.max_spread_bps
  - {id: closed_is_taker, profiles: [live], claim: not open implies route == taker}
  - {id: wider_is_worse, monotone: {of: tier, in: spread_bps, moves: falls}}
""",
    "policies/size.yaml": """\
policy: size
reads: [{decisions: routing}]
steps: [share]
decides: [share]
""",
    TIER: """\
ruleset: tier
hit: first
sets: {tier: {type: choice, of: [low, middle, high], ordered: true}}
unknown: skip
params:
  low_bps: {type: number, unit: bps, min: 0, max: 100}
  high_bps: {type: number, unit: bps, min: 0, max: 100}
requires: [$high_bps <= $low_bps]
rules:
  - {id: wide, when: spread_bps > $low_bps, set: {tier: low}, why: a wide book moves first}
  - {id: tight, when: spread_bps <= $high_bps, set: {tier: high}}
  - {id: otherwise, set: {tier: middle}}
""",
    GATES: """\
ruleset: gates
hit: veto
sets: {open: {type: flag}}
params:
  max_spread_bps: {type: number, unit: bps, min: 0, max: 100}
  most_slow: {type: number, unit: count, min: 0, max: 1000}
rules:
  - {id: too_wide, when: spread_bps > $max_spread_bps}
  - {id: slow, when: slow_acks_60s >= $most_slow, unknown: skip}
  - id: hurried
    when:
      any:
        - urgent
        - all: [side == sell, tier == low]
    unknown: skip
    why: no time to rest
  - {id: crossed, when: bid >= ask, unknown: skip}
""",
    OFFSET: """\
ruleset: offset
hit: each
sets: {offset_bps: {type: number, unit: bps, min: 0, max: 10}}
start: {offset_bps: $base_bps}
unknown: skip
params:
  base_bps: {type: number, unit: bps, min: 0, max: 10}
  step_bps: {type: number, unit: bps, min: 0, max: 5}
rules:
  - {id: low_tier, when: tier == low, add: {offset_bps: $step_bps}}
  - {id: in_the_spread, when: spread_bps is known, at_most: {offset_bps: spread_bps}}
""",
    "rules/route.yaml": """\
ruleset: route
hit: first
sets: {route: {type: choice, of: [maker, taker]}}
rules:
  - {id: vetoed, when: not open, set: {route: taker}}
  - {id: otherwise, set: {route: maker}}
""",
    "rules/share.yaml": """\
ruleset: share
hit: first
sets: {share: {type: number, unit: ratio, min: 0, max: 1}}
rules:
  - {id: maker, when: route is known and route == maker, set: {share: 1}}
  - {id: otherwise, set: {share: 0}}
""",
    BASE: """\
profile: base
values:
  facts.max_ahead_s: 1
  facts.book_max_age_s: 5
  windows.slow_ack_ms: 1500
  tier.low_bps: 10
  tier.high_bps: 3
  gates.max_spread_bps: 12
  gates.most_slow: 5
  offset.base_bps: 2
  offset.step_bps: 0.5
symbols:
  thin:
    of: [DOGEUSDT, PEPEUSDT]
    values:
      gates.max_spread_bps: {value: 25, why: one tick is already 9 bps}
""",
    LIVE: """\
profile: live
extends: base
policies: [routing, size]
""",
    "profiles/trial.yaml": """\
profile: trial
extends: base
policies: [routing, size]
values:
  tier.low_bps: {value: 20, why: trial books are thin}
disable:
  - {rule: gates.slow, why: the trial venue is always slow}
""",
}
"""The files of a home by their names."""

EDITS: tuple[tuple[str, str, str], ...] = (
    (BASE, "tier.low_bps: 10", "tier.low_bps: 15"),
    (BASE, "gates.max_spread_bps: 12", "gates.max_spread_bps: 10"),
    (BASE, "[DOGEUSDT, PEPEUSDT]", "[DOGEUSDT, SHIBUSDT]"),
    (BASE, "offset.step_bps", "offset.low_step_bps"),
    (
        LIVE,
        "policies:",
        "disable: [{rule: gates.crossed, why: the venue | refuses @them}]\npolicies:",
    ),
    (FACTS, "min: 0, max: 20000", "min: 0, max: 10000"),
    (WINDOWS, "window_s: 60", "window_s: 120"),
    (ROUTING, "reason: [route, tier]", "reason: [tier, route]"),
    (ROUTING, "  - {id: wider_is_worse, monotone: {of: tier, in: spread_bps, moves: falls}}\n", ""),
    (TIER, "requires: [$high_bps <= $low_bps]\n", ""),
    (
        TIER,
        "low_bps: {type: number, unit: bps, min: 0, max: 100}",
        "low_bps: {type: number, unit: bps, min: 0, max: 50}",
    ),
    (TIER, "a wide book moves first", "a wide book moves before it fills"),
    (GATES, "        - urgent\n", "        - urgent or tier == low\n        - bid is missing\n"),
    (
        GATES,
        "  - {id: too_wide, when: spread_bps > $max_spread_bps}\n",
        "  - {id: too_wide, when: spread_bps >= $max_spread_bps, unknown: skip}\n",
    ),
    (OFFSET, "step_bps:", "low_step_bps:"),
    (OFFSET, "$step_bps", "$low_step_bps"),
    (OFFSET, "in_the_spread", "within_the_spread"),
    (
        "rules/route.yaml",
        "  - {id: otherwise",
        "  - {id: hurried, when: urgent, unknown: skip, set: {route: taker}, why: urgent}\n  - {id: otherwise",
    ),
)
"""A text of a file, and what stands there afterwards: something of every kind."""


def edited(*edits: tuple[str, str, str], texts: Mapping[str, str] = HOME) -> dict[str, str]:
    """The home after edits; each must change something."""
    changed = dict(texts)
    for name, old, new in edits:
        assert old in changed[name], (name, old)
        changed[name] = changed[name].replace(old, new, 1)
    return changed


def load(texts: Mapping[str, str], profile: str = "live") -> Rulebook:
    """The rulebook of a profile. Raises LoadError."""
    return Workspace(Files({name: Source.of(name, text) for name, text in texts.items()}, ())).rulebook(profile)


def write(home: Path, texts: Mapping[str, str]) -> Path:
    """Write the files of a home, and take away those it has no more."""
    for path in home.glob("*/*.yaml"):
        path.unlink()
    for name, text in texts.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    return home


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody."""
    who = ("-c", "user.name=A Quant", "-c", "user.email=quant@example.org", "-c", "init.defaultBranch=main")
    run = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def commit(repository: Path, message: str) -> str:
    """Commit everything; the commit's id."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(repository, "rev-parse", "HEAD")


def repository(folder: Path) -> Path:
    """A repository whose first commit is the home."""
    git(write(folder, HOME), "init", "--quiet")
    commit(folder, "the home")
    return folder
