"""Every canned question, of rules that have the loose end and of rules that have not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import z3

from engine.analysis.proofs import Question
from engine.analysis.proofs.asking import Asker, Proven, Undecided
from engine.analysis.proofs.lint import Lint, Loose, lint
from engine.analysis.proofs.prove import sides_of
from engine.backends.interpreter import NoValueError
from engine.backends.solver.space import Side
from engine.backends.solver.terms import Bit
from engine.book import Book
from engine.language.model import Policy
from engine.language.rulebook import Rulebook
from tests.analysis.proofs.homes import home, rulebook_of

FIRST = """
ruleset: s
hit: first
sets: {level: {type: choice, of: [bad, fair, good], ordered: true}}
unknown: skip
rules:
"""
VETO = "ruleset: s\nhit: veto\nsets: {open: {type: flag}}\nunknown: skip\nrules:\n"
EACH = (
    "ruleset: s\nhit: each\nsets: {out: {type: number, min: -100, max: 100}}\nstart: {out: 0}\nunknown: skip\nrules:\n"
)


def asked(rulebook: Rulebook, timeout_s: float = 10.0) -> Lint:
    return lint({name: sides_of(rulebook, policy) for name, policy in rulebook.policies.items()}, timeout_s)


def ends(*rules: str, **more: str) -> list[tuple[str, str, str]]:
    """What is loose: what it is, of which part, and the text."""
    found = asked(rulebook_of(home(*rules, **more)))
    assert found.undecided == ()
    return [(loose.what, loose.part, loose.text) for loose in found.loose]


def first(*rules: str) -> str:
    return FIRST + "".join(f"  - {{{rule}}}\n" for rule in rules) + "  - {id: last, set: {level: fair}}\n"


LOOSE = {
    "a tier behind a wider one": (
        first("id: a, when: x > <1>, set: {level: bad}", "id: b, when: x > <2>, set: {level: good}"),
        [("dead", "s.b", "")],
    ),
    "a tier that two others leave nothing": (
        first(
            "id: a, when: x > <1>, set: {level: bad}",
            "id: b, when: x <= <1>, set: {level: good}",
            "id: c, when: x == <1>, set: {level: fair}",
        ),
        [("dead", "s.c", "")],
    ),
    "a condition out of range": (VETO + "  - {id: a, when: x > <10>}\n  - {id: b, when: f}\n", [("dead", "s.a", "")]),
    "a tier inside the next": (
        first("id: a, when: x > <2>, set: {level: bad}", "id: b, when: x > <1>, set: {level: bad}"),
        [("redundant", "s.a", "")],
    ),
    "a rule that changes nothing": (
        VETO + "  - {id: a, when: x > <1>}\n  - {id: b, when: x > <1> and y > 0}\n",
        [("redundant", "s.b", "")],
    ),
    "a leaf that is always true": (
        first("id: a, when: x is missing, set: {level: bad}", "id: b, when: x >= <-10> and f, set: {level: good}"),
        [("always_true", "s.b", "x >= $n0")],
    ),
    "a leaf that is never true": (
        VETO + "  - {id: a, when: {any: [x > <1>, x < <-10>]}}\n",
        [("never_true", "s.a", "x < $n1")],
    ),
    "a part of a leaf that is never true": (
        VETO + "  - {id: a, when: x > <1> or x < <-10>}\n",
        [("never_true", "s.a", "x < $n1")],
    ),
    "a leaf that the rules before it decide": (
        first("id: a, when: x > <1>, set: {level: bad}", "id: b, when: x <= <1> and y > <1>, set: {level: good}"),
        [],
    ),
    "a clamp that never binds": (
        EACH + "  - {id: a, when: f, add: {out: <3>}}\n  - {id: b, at_most: {out: <5>}}\n",
        [("clamp_idle", "s.b", "at_most: out: $n1")],
    ),
    "a clamp that always binds": (
        EACH + "  - {id: a, when: f, add: {out: <3>}}\n  - {id: b, at_most: {out: <-5>}}\n",
        [("redundant", "s.a", ""), ("clamp_always", "s.b", "at_most: out: $n1")],
    ),
}


@pytest.mark.parametrize("name", LOOSE)
def test_a_loose_end_is_found(name: str) -> None:
    rules, wanted = LOOSE[name]
    found = ends(rules)
    assert [end for end in found if end[0] != "param_idle"] == wanted


TIGHT = {
    "tiers": first("id: a, when: x > <2>, set: {level: bad}", "id: b, when: x > <1>, set: {level: good}"),
    "vetoes": VETO + "  - {id: a, when: x > <1>}\n  - {id: b, when: y > <1> or venue == 'far'}\n",
    "clamps": EACH + "  - {id: a, when: f, add: {out: <3>}}\n  - {id: b, at_most: {out: <2>}}\n",
    "a rule for what is missing": VETO + "  - {id: a, when: x > <1>}\n  - {id: b, when: x < y, unknown: match}\n",
}


@pytest.mark.parametrize("name", TIGHT)
def test_rules_that_are_all_needed_have_none(name: str) -> None:
    assert ends(TIGHT[name]) == []


def test_a_dead_rule_names_those_that_leave_nothing_for_it_and_no_others() -> None:
    rules = first(
        "id: z, when: f, set: {level: good}",
        "id: a, when: x > <1>, set: {level: bad}",
        "id: b, when: x <= <1>, set: {level: good}",
        "id: c, when: x == <1>, set: {level: fair}",
    )
    (dead,) = (loose for loose in asked(rulebook_of(home(rules))).loose if loose.what == "dead")
    assert dead.because == ("s.b",)
    never = VETO + "  - {id: a, when: x > <10>}\n  - {id: b, when: f}\n"
    (dead,) = (loose for loose in asked(rulebook_of(home(never))).loose if loose.what == "dead")
    assert dead.because == ()


def test_a_loose_end_stands_where_it_is_written() -> None:
    rules = VETO + "  - id: a\n    when:\n      any:\n        - x > <1>\n        - f or x < <-10>\n"
    rulebook = rulebook_of(home(rules))
    (loose,) = (loose for loose in asked(rulebook).loose if loose.what == "never_true")
    span = loose.span
    line = rulebook.sources[span.file].text.splitlines()[span.line - 1]
    assert line[span.column - 1 :].startswith("x < $n1")


# What it takes to be loose -------------------------------------------------------------------------------------------


def test_a_rule_that_a_flag_turns_off_is_not_dead() -> None:
    params = "params:\n  on: {type: flag}\n"
    rules = VETO + "  - {id: a, when: $on and x > <1>}\n  - {id: b, when: not $on and y > <1>}\n" + params
    assert ends(rules, values="  s.on: false\n") == []
    assert ends(rules, values="  s.on: true\n") == []


def test_a_flag_that_turns_nothing_is_idle() -> None:
    params = "params:\n  on: {type: flag}\n"
    rules = VETO + "  - {id: a, when: ($on or not $on) and x > <1>}\n" + params
    assert ("param_idle", "s.on", "") in ends(rules, values="  s.on: false\n")


def test_a_parameter_that_matters_nowhere_in_its_range_is_idle() -> None:
    params = "params:\n  much: {type: number, min: 20, max: 30}\n"
    rules = VETO + "  - {id: a, when: x > $much or f}\n" + params
    assert ("param_idle", "s.much", "") in ends(rules, values="  s.much: 25\n")


def test_a_parameter_that_matters_between_the_ends_of_its_range_is_not_idle() -> None:
    """Neither -1000 nor 1000 nor the value itself lies beside a 5."""
    params = "params:\n  mark: {type: number, min: -1000, max: 1000}\n"
    rules = VETO + "  - {id: a, when: x == $mark}\n  - {id: b, when: f}\n" + params
    found = ends(rules, values="  s.mark: 500\n")
    assert ("param_idle", "s.mark", "") not in found
    assert ("dead", "s.a", "") in found


DEAD = "  - {id: a, when: x > 5 and x < 1, add: {out: $step}}\n"
STEP = "params:\n  step: {type: number, min: 0, max: 3}\n"


def test_of_a_parameter_that_only_a_dead_rule_reads_the_rule_is_the_finding() -> None:
    dead = DEAD.replace("5", "<5>").replace("1,", "<1>,")
    for more in ("", ", expect: unreachable, why: a net"):
        rules = EACH + dead.replace("}}", f"}}{more}}}") + "  - {id: b, when: f, add: {out: <3>}}\n" + STEP
        found = ends(rules, values="  s.step: 1\n")
        assert found == ([] if more else [("dead", "s.a", "")])


def test_of_a_parameter_that_a_dead_rule_and_another_read_it_is_asked() -> None:
    dead = DEAD.replace("5", "<5>").replace("1,", "<1>,")
    rules = EACH + dead + "  - {id: b, when: f or $step >= <0>, add: {out: <3>}}\n" + STEP
    assert ("param_idle", "s.step", "") in ends(rules, values="  s.step: 1\n")


@pytest.mark.parametrize("kind", ["parameters", "conditions"])
def test_what_a_dead_rule_alone_reads_is_never_undecided(kind: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that finds out what is dead, and cannot say anything else."""
    rulebook = rulebook_of(home(VETO + "  - {id: a, when: x > <5> and x < <1>}\n"))

    asked_before = Asker.model
    asked: list[tuple[Bit, ...]] = []

    def gives_up(*_: object) -> Undecided:
        return Undecided("it took too long")

    def says_what_fires(self: Asker, *bits: Bit) -> z3.ModelRef | Proven | Undecided:
        """All parts together are the first question, and whether the rule fires is the second."""
        asked.append(bits)
        return asked_before(self, *bits) if len(asked) == 2 else gives_up()

    monkeypatch.setattr(Asker, "model", says_what_fires)
    monkeypatch.setattr(Asker, "under", gives_up)
    found = lint({"p": sides_of(rulebook, rulebook.policies["p"])}, 10.0, only=["dead", kind])
    assert [loose.what for loose in found.loose] == ["dead"]
    assert found.undecided == ()
    assert len(asked) == 2


def test_the_conditions_of_a_rule_that_fires_for_other_symbols_alone_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For most symbols `x > 10` is never true where it is looked at; for AAA, `x > -1000` always is."""
    groups = "symbols:\n  thin:\n    of: [AAA]\n    values:\n      s.n0: {value: -1000, why: thin}\n"
    narrow = "id: a, when: {all: [x > <10>, y > <0>]}, set: {level: bad}"
    rules = first("id: none, when: x is missing, set: {level: good}", narrow)
    asked_before = Asker.model
    explored: list[object] = []

    def not_together(self: Asker, *bits: Bit) -> z3.ModelRef | Proven | Undecided:
        """All parts of each subject together are too much."""
        if self in explored or len(explored) == 2:
            return asked_before(self, *bits)
        explored.append(self)
        return Undecided("it took too long")

    monkeypatch.setattr(Asker, "model", not_together)
    rulebook = rulebook_of(home(rules, profile=groups))
    found = lint({"p": sides_of(rulebook, rulebook.policies["p"])}, 10.0, only=["dead", "conditions"])
    assert len(explored) == 2
    assert (found.loose, found.undecided) == ((), ())


def test_a_part_is_loose_only_if_it_is_so_for_all_symbols() -> None:
    groups = "symbols:\n  thin:\n    of: [AAA]\n    values:\n      s.n0: {value: 5, why: thin}\n"
    rules = VETO + "  - {id: a, when: x > <10>}\n  - {id: b, when: f}\n"
    assert ("dead", "s.a", "") in ends(rules)
    assert ends(rules, profile=groups) == []


def test_a_part_is_loose_only_if_it_is_so_in_every_policy_that_runs_it() -> None:
    """`a` is needed where nothing stands before it, and adds nothing in the policy whose decision does not read it."""
    second = "ruleset: t\nhit: veto\nsets: {shut: {type: flag}}\nrules:\n  - {id: c, when: f, unknown: skip}\n"
    documents = home(VETO + "  - {id: a, when: x > <1>}\n", second, decides="shut")
    assert ("redundant", "s.a", "") in [
        (loose.what, loose.part, loose.text) for loose in asked(rulebook_of(documents)).loose
    ]
    documents["policies/q.yaml"] = "policy: q\nreads: [g]\nsteps: [s]\ndecides: [open]\n"
    documents["profiles/main.yaml"] = documents["profiles/main.yaml"].replace("[p]", "[p, q]")
    assert asked(rulebook_of(documents)).loose == ()


def test_a_disabled_rule_is_not_asked_about() -> None:
    rules = VETO + "  - {id: a, when: x > <10>}\n  - {id: b, when: f}\n"
    assert ends(rules, profile="disable:\n  - {rule: s.a, why: not here}\n") == []


# What a rule says of itself ------------------------------------------------------------------------------------------


def test_a_dead_rule_that_says_so_is_fine_and_one_that_is_not_dead_is_told() -> None:
    dead = VETO + "  - {id: a, when: x > <10>, expect: unreachable, why: a net}\n  - {id: b, when: f}\n"
    assert [end for end in ends(dead) if end[0] != "param_idle"] == []
    alive = dead.replace("<10>", "<9>")
    (end,) = asked(rulebook_of(home(alive))).loose
    assert (end.what, end.part) == ("reachable", "s.a")
    (facts,) = end.shown_by
    assert Book(rulebook_of(home(alive)), "interpreter").decide("p", facts).vetoes == ("s.a",)


def test_a_rule_that_only_a_flag_keeps_from_its_input_is_reachable() -> None:
    params = "params:\n  on: {type: flag}\n"
    rules = (
        VETO + "  - {id: a, when: $on and x > <9>, expect: unreachable, why: a net}\n  - {id: b, when: f}\n" + params
    )
    (end,) = asked(rulebook_of(home(rules, values="  s.on: false\n"))).loose
    assert (end.what, end.part, end.shown_by) == ("reachable", "s.a", ())


def test_a_rule_that_no_double_reaches_is_neither_unreachable_nor_reachable() -> None:
    rules = VETO + "  - {id: a, when: x > <0.1> and x < <0.10000000000000002>, expect: unreachable, why: a net}\n"
    found = asked(rulebook_of(home(rules + "  - {id: b, when: f}\n")))
    assert [loose for loose in found.loose if loose.what != "param_idle"] == []
    assert "whether `s.a` is reached" in found.undecided


def test_a_rule_that_adds_a_reason_alone_is_fine_if_it_says_so_and_told_if_it_does_more() -> None:
    rules = VETO + "  - {id: a, when: x > <1>}\n  - {id: b, when: x > <1> and y > 0, expect: reason, why: why not}\n"
    assert ends(rules) == []
    more = rules.replace("x > <1> and y > 0", "y > 0")
    assert ends(more) == [("needed", "s.b", "")]


def test_a_rule_that_no_double_needs_is_not_said_to_be_needed() -> None:
    rules = VETO + "  - {id: a, when: x > <1> and x < <1.0000000000000002>, expect: reason, why: why not}\n"
    found = asked(rulebook_of(home(rules + "  - {id: b, when: f}\n")))
    assert "needed" not in [loose.what for loose in found.loose]
    assert "whether `s.a` is needed" in found.undecided


def test_relations_of_choices_and_texts_hold_of_every_input_that_is_tried() -> None:
    rules = (
        VETO + "  - {id: a, when: tier < high and worst == high}\n  - {id: b, when: worst == low and venue != place}\n"
    )
    documents = home(rules)
    facts = documents["policies/facts.yaml"].replace("relations: [", "relations: [worst <= tier, venue == place, ")
    worst = "      worst: {type: choice, of: [low, middle, high], ordered: true}\n"
    documents["policies/facts.yaml"] = facts.replace("      kind:", f"{worst}      kind:")
    dead = [loose.part for loose in asked(rulebook_of(documents)).loose if loose.what == "dead"]
    assert dead == ["s.a", "s.b"]


# Totality, and what cannot be said -----------------------------------------------------------------------------------


def changed(rulebook: Rulebook, policy: Policy) -> dict[str, list[Side]]:
    return {"p": [Side(rulebook, policy, rulebook.bindings[()])]}


def test_a_step_that_leaves_an_input_without_a_value_is_partial() -> None:
    """No loaded policy does: here a rule is taken away afterwards."""
    rulebook = rulebook_of(home(first("id: a, when: x > <1>, set: {level: bad}")))
    policy = rulebook.policies["p"]
    (step,) = policy.steps
    broken = replace(policy, steps=(replace(step, rules=step.rules[:1]),))
    found = lint(changed(rulebook, broken), 10.0)
    (end,) = (loose for loose in found.loose if loose.what == "partial")
    assert (end.part, end.text) == ("s", "p")
    with pytest.raises(NoValueError):
        Book(replace(rulebook, policies={"p": broken}), "interpreter").decide("p", end.shown_by[0])


HARD = """
ruleset: s
hit: veto
sets: {open: {type: flag}}
unknown: skip
rules:
  - {id: a, when: x * x * y + y * y * x * x * x == <7> and x * y * y * y - x * x == <3> and small * x * y > <2>}
  - {id: b, when: f}
"""


def test_what_the_solver_cannot_say_in_time_is_undecided_and_not_loose() -> None:
    found = asked(rulebook_of(home(HARD)), timeout_s=0.001)
    assert not any(loose.part == "s.a" and loose.what == "dead" for loose in found.loose)
    assert found.undecided


def test_questions_are_counted() -> None:
    few = asked(rulebook_of(home(VETO + "  - {id: a, when: f}\n"))).asked
    more = asked(rulebook_of(home(VETO + "  - {id: a, when: f}\n  - {id: b, when: e}\n"))).asked
    assert 0 < few < more


def test_loose_ends_stand_in_the_order_of_files() -> None:
    rules = VETO + "  - {id: a, when: x > <10>}\n  - {id: b, when: y > <10>}\n  - {id: c, when: f}\n"
    spans = [loose.span for loose in asked(rulebook_of(home(rules))).loose]
    assert spans == sorted(spans)
    assert isinstance(asked(rulebook_of(home(rules))).loose[0], Loose)
