"""A small home for tests of reloading, and ways to change it."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "policies/facts.yaml": """\
params:
  max_age_s: {type: number, unit: s, min: 0, max: 600}
groups:
  market:
    max_age_s: $max_age_s
    facts:
      spread_bps: {type: number, unit: bps, min: 0, max: 20000}
""",
    "policies/routing.yaml": """\
policy: routing
reads: [market]
steps: [tier, offset]
decides: [tier, offset_bps]
reason: [tier]
""",
    "rules/tier.yaml": """\
ruleset: tier
hit: first
sets:
  tier: {type: choice, of: [low, high], ordered: true}
unknown: skip
params:
  low_bps: {type: number, unit: bps, min: 0, max: 100}
rules:
  - id: wide
    when: spread_bps > $low_bps
    set: {tier: low}
  - id: otherwise
    set: {tier: high}
""",
    "rules/offset.yaml": """\
ruleset: offset
hit: each
sets:
  offset_bps: {type: number, unit: bps, min: 0, max: 100}
params:
  base_bps: {type: number, unit: bps, min: 0, max: 10}
start: {offset_bps: $base_bps}
rules:
  - id: low_tier
    when: tier == low
    add: {offset_bps: 1}
""",
    "profiles/live.yaml": """\
profile: live
policies: [routing]
values:
  facts.max_age_s: 60
  tier.low_bps: 10
  offset.base_bps: 2
""",
}
"""Every file of the home, by name."""

PROFILE = "live"
VALUES = "profiles/live.yaml"


def make_home(folder: Path) -> Path:
    """Write the home into a folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def values(low_bps: float = 10, base_bps: float = 2) -> str:
    """The text of the profile with other numbers."""
    text = FILES[VALUES].replace("low_bps: 10", f"low_bps: {low_bps!r}")
    return text.replace("base_bps: 2", f"base_bps: {base_bps!r}")


def facts(spread_bps: float = 14.0, now: float = 100.0) -> dict[str, object]:
    """A facts object that the policy decides on."""
    return {
        "now": now,
        "symbol": "BTCUSDT",
        "intent_id": "one",
        "market": {"observed_at": now, "spread_bps": spread_bps},
    }
