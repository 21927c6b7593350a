"""What the parser lets pass, every backend can run: the deepest documents and expressions, all at once."""

from __future__ import annotations

import pytest

from tests.backends.strategies import MAX, NOW, Drawn
from tests.backends.test_agreement import check_agreement

VOCABULARY = """
groups:
  g:
    facts:
      x: {type: number, min: -10, max: 10}
      y: {type: number, min: -10, max: 10}
      f: {type: flag}
      e: {type: flag}
"""
PARTS: tuple[dict[str, float | bool], ...] = (
    {},
    {"x": 1.0},
    {"x": 1.0, "y": 2.0, "f": True, "e": False},
    {"x": 1.0, "y": 0.0, "e": True},
    {"f": False},
)

EXPRESSIONS = {
    "quotients": "(x" + " / y" * 55 + ") is known",
    "quotients of quotients": "(" + "x / (" * 40 + "y" + ")" * 40 + ") is known",
    "products": "(x" + " * (y * x)" * 27 + ") is known",
    "minima": "min(x, " * 40 + "y" + ")" * 40 + " > 0",
    "maxima of quotients": "(" + "max(x / y, " * 40 + "y" + ")" * 40 + ") is known",
    "signs": "-" * 40 + "x > 0",
    "absolutes": "abs(-" * 24 + "x" + ")" * 24 + " > 0",
    "negations": "not " * 40 + "f",
    "conjunctions": " and ".join(["f"] * 55),
    "disjunctions": " or ".join(["x > 0"] * 55),
    "implications": " implies ".join(["f", "e"] * 20),
    "alternations": "(" * 25 + "f" + " and x > 0 or not e)" * 25,
    "alternations to the right": "".join("f and (x > 0 or (" for _ in range(15)) + "e" + "))" * 15,
    "equalities": "(" * 40 + "f" + " == e)" * 40,
    "inequalities": "(" * 40 + "f" + " != (x > 0))" * 40,
    "lists": "(" * 40 + "f" + " in [e, x > 0 or f, true])".replace("x > 0 or f", "(x > 0 or f)") * 40,
    "lists turned round": "(" * 40 + "f" + " not in [e, (x > 0 and f)])" * 40,
    "connectives compared": "(" * 24 + "f" + " and (x > 0) == e)" * 24,
}


def rules(expression: str, unknown: str, nesting: int) -> str:
    condition = "{all: [f, {any: [e, " * nesting + f'"{expression}"' + "]}]}" * nesting
    return f"""
ruleset: s
hit: veto
sets: {{out: {{type: flag}}}}
unknown: {unknown}
rules:
- id: r
  when: {condition}
"""


@pytest.mark.parametrize("nesting", [0, 11], ids=["alone", "nested"])
@pytest.mark.parametrize("unknown", ["match", "skip"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_deepest_expressions_run(name: str, unknown: str, nesting: int) -> None:
    files = {
        "policies/facts.yaml": VOCABULARY,
        "policies/p.yaml": "{policy: p, reads: [g], steps: [s], decides: [out]}",
        "profiles/main.yaml": "{profile: main, policies: [p]}",
        "rules/s.yaml": rules(EXPRESSIONS[name], unknown, nesting),
    }
    rulebook = Drawn(files).load()
    for facts in PARTS:
        check_agreement(rulebook, "p", {"now": NOW, "g": facts})


def test_a_value_as_deep_runs_too() -> None:
    text = "max(0, min(1, x" + " / y" * 50 + "))"
    files = {
        "policies/facts.yaml": VOCABULARY,
        "policies/p.yaml": "{policy: p, reads: [g], steps: [s], decides: [out]}",
        "profiles/main.yaml": "{profile: main, policies: [p]}",
        "rules/s.yaml": f"""
ruleset: s
hit: first
sets: {{out: {{type: number, min: {-MAX!r}, max: {MAX!r}}}}}
rules:
- id: a
  when: "({text}) is known"
  set: {{out: "{text}"}}
- id: b
  set: {{out: 0}}
""",
    }
    rulebook = Drawn(files).load()
    for facts in PARTS:
        check_agreement(rulebook, "p", {"now": NOW, "g": facts})
