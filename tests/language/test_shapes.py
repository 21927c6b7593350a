"""The JSON Schemas for editors say of a document's shape what the loader says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from engine.language.findings import Findings
from engine.language.nodes import Source, compose
from engine.language.shapes import DOCUMENT_KINDS, check_shape, json_schema

ROOT = Path(__file__).resolve().parents[2]
RULES = "ruleset: s\nhit: veto\nsets: {out: {type: flag}}\n"
PROFILE = "profile: main\n"
POLICY = "policy: p\nreads: [market]\nsteps: [s]\ndecides: [out]\n"
FACTS = "groups: {market: {facts: {x: {type: number, min: 0, max: 1}}}}\n"
EVENTS = "events: {ping: {}}\n"
WINDOW = "event: ping, measure: count, window_s: 60"

SAMPLES = [
    ("ruleset", RULES + "rules: [{id: a, when: x > 0}]", True),
    ("ruleset", RULES + "rules: [{id: a, when: true, why: because}]", True),
    ("ruleset", RULES + "rules: [{id: a, when: {all: [f, {any: [g]}]}}]", True),
    ("ruleset", RULES + "rules: [{id: a, set: {out: 1, other: true}}]", True),
    ("ruleset", RULES + "rules: []", False),
    ("ruleset", RULES, False),
    ("ruleset", RULES + "rules: [a]", False),
    ("ruleset", RULES + "rules: [{id: a-b}]", False),
    ("ruleset", RULES + "rules: [{id: a, unknown: ignore}]", False),
    ("ruleset", RULES + "rules: [{id: a, expect: unreachable, why: x}]", True),
    ("ruleset", RULES + "rules: [{id: a, expect: nothing, why: x}]", False),
    ("ruleset", RULES + "rules: [{id: a, set: {}}]", False),
    ("ruleset", RULES + "rules: [{id: a, set: {out: [1]}}]", False),
    ("ruleset", RULES + "rules: [{id: a, when: [f]}]", False),
    ("ruleset", RULES + "rules: [{id: a}]\nzebra: 1", False),
    ("ruleset", RULES.replace("veto", "all") + "rules: [{id: a}]", False),
    ("ruleset", RULES.replace("flag", "int") + "rules: [{id: a}]", False),
    ("ruleset", RULES.replace("type: flag", "doc: x") + "rules: [{id: a}]", False),
    (
        "ruleset",
        RULES + "rules: [{id: a}]\nrequires: [$a > $b]\nparams: {a: {type: number, min: 0, max: 1, unit: bps}}",
        True,
    ),
    ("ruleset", RULES + "rules: [{id: a}]\nparams: {a: {type: number, min: 0, max: 1, unit: pct}}", False),
    ("ruleset", RULES + "rules: [{id: a}]\nparams: {a: {type: choice, of: []}}", False),
    ("profile", PROFILE + "values: {a.b: 1, a.c: true, a.d: {value: x, why: y}}", True),
    ("profile", PROFILE + "values: {a.b: {why: y}}", False),
    ("profile", PROFILE + "values: {a.b: {value: 1, because: y}}", False),
    ("profile", PROFILE + "values: {a.b: [1]}", False),
    ("profile", PROFILE + "symbols: {thin: {of: [A, B], values: {a.b: {value: 1, why: y}}}}", True),
    ("profile", PROFILE + "symbols: {thin: {of: []}}", False),
    ("profile", PROFILE + "symbols: {thin: [A]}", False),
    ("profile", PROFILE + "disable: [{rule: a.b, why: y}]", True),
    ("profile", PROFILE + "disable: [{why: y}]", False),
    ("profile", PROFILE + "diverges: [{against: b, decision: p.x, from: 1, to: true, why: y}]", True),
    ("profile", PROFILE + "diverges: [{against: b, decision: p.x}]", True),
    ("profile", PROFILE + "diverges: [{against: b}]", False),
    ("profile", PROFILE + "diverges: [{against: b-c, decision: p.x}]", False),
    ("profile", PROFILE + "diverges: [{against: b, decision: p.x, into: a}]", False),
    ("profile", PROFILE + "diverges: [{against: b, decision: p.x, from: [a]}]", False),
    ("profile", PROFILE + "diverges: {against: b, decision: p.x}", False),
    ("policy", POLICY, True),
    ("policy", POLICY + "invariants: [{id: a, claim: x > 0}]", True),
    ("policy", POLICY + "invariants: [{id: a}]", False),
    ("policy", POLICY + "invariants: [{id: a, claim: x > 0, monotone: {of: a, in: b, moves: rises}}]", False),
    ("policy", POLICY + "invariants: [{id: a, monotone: {of: a, in: b, moves: up}}]", False),
    ("policy", POLICY + "invariants: [{id: a, at_least_as_strict: {profile: a, than: b}}]", False),
    ("policy", POLICY + "invariants: [{id: a, bounded: {of: a, min: 0, max: $s.b}}]", True),
    ("policy", POLICY + "invariants: [{id: a, bounded: {of: a, max: 1}}]", True),
    ("policy", POLICY + "invariants: [{id: a, bounded: {min: 1}}]", False),
    ("policy", POLICY + "invariants: [{id: a, bounded: {of: [a], min: 1}}]", False),
    ("policy", POLICY + "invariants: [{id: a, unchanged_when: {of: a, in: b, when: true}}]", True),
    ("policy", POLICY + "invariants: [{id: a, unchanged_when: {of: [a, c], in: [b], when: f > 0}}]", True),
    ("policy", POLICY + "invariants: [{id: a, unchanged_when: {of: a, in: b}}]", False),
    ("policy", POLICY + "invariants: [{id: a, unchanged_when: {of: [], in: b, when: true}}]", False),
    ("policy", POLICY + "invariants: [{id: a, unchanged_when: {of: '', in: b, when: true}}]", False),
    ("policy", POLICY + "invariants: [{id: a, fail_closed: {when: f, missing: [b, {decisions: c}]}}]", True),
    ("policy", POLICY + "invariants: [{id: a, fail_closed: {when: f, missing: [b], unless: g}}]", True),
    ("policy", POLICY + "invariants: [{id: a, fail_closed: {when: f, missing: b}}]", False),
    ("policy", POLICY + "invariants: [{id: a, fail_closed: {missing: [b]}}]", False),
    ("policy", POLICY + "invariants: [{id: a, fail_closed: {when: f, missing: []}}]", False),
    ("policy", POLICY.replace("[market]", "[]"), False),
    ("policy", POLICY.replace("[market]", "market"), False),
    ("vocabulary", FACTS, True),
    ("vocabulary", FACTS + "relations: [a <= b]\nmax_ahead_s: $a", True),
    ("vocabulary", "groups: {}", False),
    ("vocabulary", "groups: {market: {facts: {}}}", False),
    ("vocabulary", "groups: {market: {doc: x}}", False),
    ("windows", EVENTS + f"windows: {{a: {{{WINDOW}, per: [symbol, venue]}}}}", True),
    ("windows", EVENTS + f"windows: {{a: {{{WINDOW}, per: [symbol], filter: x > 0, of: x, doc: y}}}}", True),
    ("windows", "events: {ping: {fields: {x: {type: flag}}}}\n" + f"windows: {{a: {{{WINDOW}, per: [venue]}}}}", True),
    ("windows", EVENTS, False),
    ("windows", f"windows: {{a: {{{WINDOW}, per: [venue]}}}}", False),
    ("windows", EVENTS + f"windows: {{a: {{{WINDOW}}}}}", False),
    ("windows", EVENTS + f"windows: {{a: {{{WINDOW}, per: []}}}}", False),
    ("windows", EVENTS + f"windows: {{a: {{{WINDOW}, per: venue}}}}", False),
    ("windows", EVENTS + "windows: {a: {event: ping, measure: mean, window_s: 60, per: [venue]}}", False),
    ("windows", EVENTS + "windows: {a: {event: p-g, measure: count, window_s: 60, per: [venue]}}", False),
    ("windows", EVENTS + "windows: {a: {measure: count, window_s: 60, per: [venue]}}", False),
    ("windows", "events: {ping: {fields: {}}}\n" + f"windows: {{a: {{{WINDOW}, per: [venue]}}}}", False),
    ("windows", "events: {ping: {fields: {x: {type: int}}}}\n" + f"windows: {{a: {{{WINDOW}, per: [venue]}}}}", False),
]


@pytest.mark.parametrize(
    ("kind", "text", "sound"), SAMPLES, ids=[f"{kind}-{place}" for place, (kind, _, _) in enumerate(SAMPLES)]
)
def test_schema_and_loader_agree(kind: str, text: str, *, sound: bool) -> None:
    findings = Findings()
    node = compose(Source.of("f.yaml", text), findings)
    assert node is not None
    assert check_shape(kind, node, findings) is sound, list(findings)
    assert bool(list(findings)) is not sound
    assert valid(kind, text) is sound


def valid(kind: str, text: str) -> bool:
    document: Any = yaml.safe_load(text)
    return bool(jsonschema.Draft202012Validator(json_schema(kind)).is_valid(document))


@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
def test_schemas_are_schemas(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))
    json.dumps(json_schema(kind))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *(("ruleset", path) for path in sorted((ROOT / "rules").glob("*.yaml"))),
        *(("profile", path) for path in sorted((ROOT / "profiles").glob("*.yaml"))),
        *(
            ({"facts": "vocabulary", "windows": "windows"}.get(path.stem, "policy"), path)
            for path in sorted((ROOT / "policies").glob("*.yaml"))
        ),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_shipped_documents_fit(kind: str, path: Path) -> None:
    assert valid(kind, path.read_text(encoding="utf-8"))
