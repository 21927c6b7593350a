"""Every case in this folder, against every backend: the executable specification of the language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.backends.facts import FactsError
from engine.language.evaluate import Missing
from engine.language.findings import Finding, LoadError
from engine.language.load import load_rulebook
from engine.language.rulebook import Rulebook
from tests.conformance.backends import BACKENDS, Backend, UnsupportedError
from tests.conformance.harness import Answer, Case, bits, cases, missing_in

LANGUAGE = Path(__file__).resolve().parents[2] / "engine" / "language"
CODE = re.compile(r"(?:findings\.add|_refuse)\(\s*\"([a-z]+\.[a-z_]+)\"")
LEAST_CASES = 250

ALL = cases()
DECIDED = [case for case in ALL if case.expectation != "findings"]
REFUSED = [case for case in ALL if case.expectation == "findings"]

_loaded: dict[str, Rulebook] = {}


def load(case: Case, home: Path) -> Rulebook:
    """The rulebook of a case, loaded once for all backends."""
    if case.name not in _loaded:
        _loaded[case.name] = load_rulebook(case.write(home / "home"), case.profile)
    return _loaded[case.name]


def by_name(case: Case) -> str:
    return case.name


def by_backend(backend: Backend) -> str:
    return backend.name


@pytest.mark.parametrize("backend", BACKENDS, ids=by_backend)
@pytest.mark.parametrize("case", DECIDED, ids=by_name)
def test_a_case_is_answered_as_written(case: Case, backend: Backend, tmp_path: Path) -> None:
    rulebook = load(case, tmp_path)
    lacks = backend.lacks(rulebook, case.policy)
    if lacks is not None:
        with pytest.raises(UnsupportedError, match=re.escape(lacks)):
            backend.answer(rulebook, case.policy, case.facts)
        return
    if case.expectation == "facts_error":
        with pytest.raises(FactsError) as refusal:
            backend.answer(rulebook, case.policy, case.facts)
        assert str(refusal.value) == case.fields["facts_error"]
        return
    answer = backend.answer(rulebook, case.policy, case.facts)
    if answer.fired is None:  # it says values and vetoes alone: what else the case speaks of is the definition's
        defined = BACKENDS[0].answer(rulebook, case.policy, case.facts)
        assert answer.vetoes == defined.vetoes
        assert {name: bits(value) for name, value in answer.values.items()} == {
            name: bits(value) for name, value in defined.values.items()
        }
        answer = defined
    match case.expectation:
        case "is":
            check_truth(case, answer)
        case "gives":
            check_value(case, answer)
        case "decides":
            check_decision(case, answer)


def check_truth(case: Case, answer: Answer) -> None:
    """`sure` skips and `maybe` matches when unknown, so the two vetoes tell all three values apart."""
    said = {("s.sure", "s.maybe"): True, (): False, ("s.maybe",): "unknown"}[answer.vetoes or ()]
    assert said == case.fields["is"]
    assert answer.values["out"] is (answer.vetoes == ())


def check_value(case: Case, answer: Answer) -> None:
    wanted = case.fields["gives"]
    if wanted in list(Missing):
        assert answer.fired == ("s.gone",)
        assert missing_in(case.fields["value"], answer) == {wanted}
    elif wanted == "missing":
        assert answer.fired == ("s.gone",)
        assert missing_in(case.fields["value"], answer) == set()
    else:
        assert answer.fired == ("s.known",)
        assert bits(answer.values["out"]) == bits(wanted), answer.values


def check_decision(case: Case, answer: Answer) -> None:
    wanted = case.fields["decides"]
    for name, value in wanted.get("values", {}).items():
        assert bits(answer.values[name]) == bits(value), (name, answer.values)
        assert isinstance(answer.values[name], (bool, str)) == isinstance(value, (bool, str))
    for name in ("vetoes", "fired"):
        if name in wanted:
            assert getattr(answer, name) == tuple(wanted[name])
    for rule, leaves in wanted.get("leaves", {}).items():
        assert answer.leaves is not None
        assert answer.leaves[rule] == tuple(leaves)
    for name, cause in wanted.get("missing", {}).items():
        assert (answer.missing or {}).get(name) == (None if cause == "known" else Missing(cause)), name
    if "reason" in wanted:
        assert answer.reason == wanted["reason"]


@pytest.mark.parametrize("case", [case for case in DECIDED if case.expectation != "facts_error"], ids=by_name)
def test_backends_write_the_same_record(case: Case, tmp_path: Path) -> None:
    rulebook = load(case, tmp_path)
    able = [backend for backend in BACKENDS if backend.lacks(rulebook, case.policy) is None]
    answers = [backend.answer(rulebook, case.policy, case.facts) for backend in able]
    for answer in answers[1:]:
        assert {name: bits(value) for name, value in answer.values.items()} == {
            name: bits(value) for name, value in answers[0].values.items()
        }
    assert len({answer.json for answer in answers if answer.json is not None}) == 1


@pytest.mark.parametrize("case", REFUSED, ids=by_name)
def test_a_case_is_refused_as_written(case: Case, tmp_path: Path) -> None:
    wanted = case.fields["findings"]
    home = case.write(tmp_path / "home")
    if all(finding.get("severity", "error") != "error" for finding in wanted):
        found: tuple[Finding, ...] = load_rulebook(home, case.profile).warnings
    else:
        with pytest.raises(LoadError) as refusal:
            load_rulebook(home, case.profile)
        found = refusal.value.findings
    shown = "\n".join(f"{finding.code} {finding.span} | {finding.message} | {finding.help}" for finding in found)
    assert sorted((finding.code, str(finding.span)) for finding in found) == sorted(
        (finding["code"], place(finding["at"])) for finding in wanted
    ), shown
    assert all(finding.help for finding in found), shown
    for expected in wanted:
        same = [
            finding
            for finding in found
            if finding.code == expected["code"] and str(finding.span) == place(expected["at"])
        ]
        for name in ("message", "help", "severity"):
            if name in expected:
                assert expected[name] in [getattr(finding, name) for finding in same], shown
        if "related" in expected:
            related = [[f"{item.span} {item.message}" for item in finding.related] for finding in same]
            assert expected["related"] in related


def place(at: str) -> str:
    """`line:column` alone is a place in the rule set `s`."""
    return at if at.count(":") > 1 else f"rules/s.yaml:{at}"


def codes() -> set[str]:
    """Every code the language's source can give a finding."""
    found: set[str] = set()
    for path in LANGUAGE.glob("*.py"):
        found |= set(CODE.findall(path.read_text(encoding="utf-8")))
    return found


def test_every_code_has_a_case_that_pins_its_message_and_help() -> None:
    pinned = {
        finding["code"]
        for case in REFUSED
        for finding in case.fields["findings"]
        if "message" in finding and "help" in finding
    }
    assert sorted(codes() - pinned) == []
    assert sorted(pinned - codes()) == []


def test_codes_are_found_wherever_findings_are_made() -> None:
    """A code that the pattern above overlooked would need no case: every call is either found or hands a code on."""
    for path in LANGUAGE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        made = re.findall(r"(?:findings\.add|_refuse)\(", text)
        handed_on = re.findall(r"def _refuse\(|findings\.add\(code, ", text)
        assert len(CODE.findall(text)) == len(made) - len(handed_on), path.name


def test_there_are_enough_cases_and_each_has_a_name_of_its_own() -> None:
    assert len(ALL) >= LEAST_CASES
    assert len({case.name for case in ALL}) == len(ALL)
