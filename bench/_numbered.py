"""A home that a session can run and whose decisions say by which version they were made, three times over.

Each version has a number. An intent is decided by two policies, and three rule sets of these say the number, each from
a value of its own: a decision that two versions had a part in has two numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROFILE = "numbered"
VALUES = f"profiles/{PROFILE}.yaml"
"""The file that holds the numbers."""

KNOWN = {"intent": {"side": "buy", "qty": 1.0}}
"""What is known of an intent, by group."""

_FILES = {
    "policies/facts.yaml": """\
doc: What a strategy wants.
groups:
  intent:
    doc: What the strategy wants to trade.
    facts:
      side: {type: choice, of: [buy, sell], doc: direction}
      qty: {type: number, unit: qty, min: -1000000, max: 1000000, doc: quantity asked for}
""",
    "policies/admission.yaml": """\
policy: admission
doc: Everything is admitted.
reads: [intent]
steps: [admit]
decides: [admit, admitted_qty, admitted_by]
""",
    "policies/routing.yaml": """\
policy: routing
doc: Everything crosses.
reads: [intent]
steps: [way, guard]
decides: [route, offset_bps, routed_by, protection_bps, guarded_by]
""",
    "policies/working.yaml": """\
policy: working
doc: Nothing rests.
reads: [intent]
steps: [rest]
decides: [action, cross_reduce_only]
""",
    "rules/admit.yaml": """\
ruleset: admit
doc: All of it.
hit: first
sets:
  admit: {type: flag, doc: it may be sent}
  admitted_qty: {type: number, unit: qty, min: 0, max: 1000000, doc: how much of it}
  admitted_by: {type: number, unit: count, min: 0, max: 1000000, doc: the number of this version}
params:
  number: {type: number, unit: count, min: 0, max: 1000000, doc: the number of this version}
rules:
  - id: sound
    when: qty is known and qty > 0
    set: {admit: true, admitted_qty: "max(0, qty)", admitted_by: $number}
  - id: unsound
    set: {admit: false, admitted_qty: 0, admitted_by: $number}
""",
    "rules/way.yaml": """\
ruleset: way
doc: Across the spread.
hit: first
sets:
  route: {type: choice, of: [maker, taker], doc: how it is sent}
  offset_bps: {type: number, unit: bps, min: 0, max: 100, doc: behind the touch}
  routed_by: {type: number, unit: count, min: 0, max: 1000000, doc: the number of this version}
params:
  number: {type: number, unit: count, min: 0, max: 1000000, doc: the number of this version}
rules:
  - id: cross
    set: {route: taker, offset_bps: 1, routed_by: $number}
""",
    "rules/guard.yaml": """\
ruleset: guard
doc: Not far through the touch.
hit: first
sets:
  protection_bps: {type: number, unit: bps, min: 0, max: 100, doc: through the touch}
  guarded_by: {type: number, unit: count, min: 0, max: 1000000, doc: the number of this version}
params:
  number: {type: number, unit: count, min: 0, max: 1000000, doc: the number of this version}
rules:
  - id: always
    set: {protection_bps: 1, guarded_by: $number}
""",
    "rules/rest.yaml": """\
ruleset: rest
doc: Nothing rests.
hit: first
sets:
  action: {type: choice, of: [keep, reprice, cross, cancel], doc: what is done with a resting order}
  cross_reduce_only: {type: flag, doc: what crosses may only reduce}
rules:
  - id: always
    set: {action: cancel, cross_reduce_only: false}
""",
}


def write_home(home: Path, number: int = 0) -> Path:
    """Write the home of a version."""
    for name, text in {**_FILES, VALUES: values(number)}.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return home


def values(number: int) -> str:
    """The text of `VALUES` for a version: nothing else differs between two of them."""
    return f"""\
profile: {PROFILE}
doc: Version {number}.
policies: [admission, routing, working]
values:
  admit.number: {number}
  way.number: {number}
  guard.number: {number}
"""


def number_of(admitted: Mapping[str, Any], routed: Mapping[str, Any]) -> int | None:
    """The number of the version that decided all of an intent; None if several did."""
    said = {admitted["admitted_by"], routed["routed_by"], routed["guarded_by"]}
    return int(said.pop()) if len(said) == 1 else None
