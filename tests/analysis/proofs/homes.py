"""Small homes for questions about rules, written in few lines.

A rule set is its YAML; `<2.5>` in it is a parameter with that value (numbers in rules have names), declared from -1000
to 1000. Everything else has defaults: see `FACTS`, and the profile `main` that runs the policy `p`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

import yaml

from engine.language.load import Files, Workspace
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook

FACTS = """
params:
  max_age_s: {type: number, unit: s, min: 0, max: 1000}
  max_ahead_s: {type: number, unit: s, min: 0, max: 100}
max_ahead_s: $max_ahead_s
groups:
  g:
    facts:
      x: {type: number, min: -10, max: 10}
      y: {type: number, min: -10, max: 10}
      small: {type: number, min: 1, max: 2}
      huge: {type: number, min: -1e308, max: 1e308}
      f: {type: flag}
      e: {type: flag}
      tier: {type: choice, of: [low, middle, high], ordered: true}
      kind: {type: choice, of: [round, square]}
      venue: {type: text}
      place: {type: text}
  aged:
    max_age_s: $max_age_s
    facts:
      a: {type: number, min: 0, max: 10}
      b: {type: number, min: 0, max: 10}
      c: {type: number, min: 0, max: 10}
relations: [a <= b, b <= c]
"""
PROFILE = """
profile: main
policies: [p]
values:
  facts.max_age_s: 60
  facts.max_ahead_s: 5
"""
NUMBER = re.compile(r"<(-?[0-9.e+-]+)>")
DECLARED = "{type: number, min: -1000, max: 1000}"

GATES = """
ruleset: gates
hit: veto
sets: {open: {type: flag}}
unknown: skip
rules:
  - {id: far, when: x > <5>}
  - {id: round, when: kind == round}
"""
"""A gate that two rules close."""
ROUTE = """
ruleset: route
hit: first
sets: {way: {type: choice, of: [maker, taker], ordered: true}}
rules:
  - {id: closed, when: not open, set: {way: taker}}
  - {id: otherwise, set: {way: maker}}
"""
"""A way that the gate decides."""


def home(
    *rulesets: str,
    invariants: str = "",
    reads: str = "[g, aged]",
    decides: str = "",
    values: str = "",
    profile: str = "",
    **files: str,
) -> dict[str, str]:
    """The documents of a home. `values` are lines under the profile's `values`, `profile` what follows them.

    `files` are further ones, `profiles__other="..."` for `profiles/other.yaml`.
    """
    documents: dict[str, str] = {"policies/facts.yaml": FACTS}
    numbers = ""
    steps: list[str] = []
    names: list[str] = []
    for text in rulesets:
        written, more = _with_parameters(text)
        read = yaml.safe_load(re.sub(r"\$\w+", "0", written))
        steps.append(read["ruleset"])
        names += read["sets"]
        numbers += more
        documents[f"rules/{read['ruleset']}.yaml"] = written
    said = f"invariants:\n{invariants}" if invariants else ""
    documents["policies/p.yaml"] = (
        f"policy: p\nreads: {reads}\nsteps: [{', '.join(steps)}]\ndecides: [{decides or ', '.join(names)}]\n{said}"
    )
    documents["profiles/main.yaml"] = f"{PROFILE}{numbers}{values}{profile}"
    return documents | {name.replace("__", "/") + ".yaml": text for name, text in files.items()}


def _with_parameters(text: str) -> tuple[str, str]:
    """A rule set with its numbers named, and the lines that give their values."""
    name = yaml.safe_load(NUMBER.sub("0", re.sub(r"\$\w+", "0", text)))["ruleset"]
    held: dict[str, str] = {}
    written = NUMBER.sub(lambda found: f"$n{held.setdefault(found[1], str(len(held)))}", text)
    if held:
        lines = "".join(f"  n{number}: {DECLARED}\n" for number in held.values())
        written = (
            written.replace("params:\n", f"params:\n{lines}")
            if "params:\n" in written
            else f"{written}params:\n{lines}"
        )
    return written, "".join(f"  {name}.n{number}: {value}\n" for value, number in held.items())


def rulebooks_of(documents: Mapping[str, str]) -> Callable[[str], Rulebook]:
    """Where profiles of a home come from."""
    sources = {name: Source.of(name, text) for name, text in documents.items()}
    return cache(Workspace(Files(sources, ())).rulebook)


def rulebook_of(documents: Mapping[str, str], profile: str = "main") -> Rulebook:
    """A profile of a home."""
    return rulebooks_of(documents)(profile)
