"""How fast the compiled routing policy decides, beside hand-written functions, the interpreter and other rule engines.

All decide the same 10,000 facts objects (`_inputs.py`), and none is timed before it gave the decided values and veto
ids of the compiled policy for every one of them. What each is given and gives:

- `verdict`: values and vetoes alone, `book.verdict("routing", facts)` on facts as they arrive.
- `observed`: the same from groups that `observe` took in before, as in a host whose groups arrive at different times.
- `decision`: `book.decide("routing", facts)`, which could give its reasons, then its `.values` and `.vetoes`.
- `record of groups`: the whole decision with reasons as a line of JSON, from groups taken in before, to whose ids it
  refers: what a live host writes, which journals each group once, when it arrives.
- `record by name`: the same through `Book.decide_observed`, which looks for the policy and its groups by name.
- `record with facts`: the same with every fact in it, from facts as they arrive:
  `book.decide("routing", facts).json()`.
- `interpreter`: the other backend, the definition, as `decision`.
- `natural`, `tuned`, `tuned_refusing`, `tuned_limit`: written by hand (`_handwritten.py` says what each leaves out).
- Peers, those that are installed (`make bench` installs them all): see `_peers.py`. They give no reasons. From facts
  as they arrive, beside `verdict`: the whole policy in the peer's own language (`+ own border`: zen alone can, and this
  is what the reach is on), or with a border by hand in Python before them (`+ border`): then half of the work is no
  peer's. From cleaned facts (`prepared`), doing the logic alone, beside `observed`.

Figures are microseconds a decision and ratios; a ratio is the median over rounds in which all ran on the same inputs.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench._handwritten import (
    DECIDED,
    Tuned,
    known,
    natural,
    prepared,
    tuned,
    tuned_limit,
    tuned_refusing,
    veto_ids,
)
from bench._inputs import COUNT, Facts, routing_facts
from bench._measure import Contender, Reach, Report, run, side_by_side
from bench._peers import (
    READ,
    Cleaned,
    Peer,
    absent_peers,
    behind_a_border,
    durable_quality,
    for_zen,
    installed_peers,
    installed_whole_peers,
    rounded,
)
from engine import Book, load
from engine.backends.compiled import CompiledPolicy, Verdict
from engine.backends.compiled import Observed as Group
from engine.backends.decision import Decision
from engine.backends.generate import direct_name, generate_direct
from engine.home import shipped_home
from engine.language.evaluate import Missing
from engine.language.rulebook import Rulebook

POLICY = "routing"
QUALITY = "quality"
_ROUNDS = 100
_BATCH = 100
_EXAMPLES = 1000
_SLOW_BATCH = 10

Answer = tuple[dict[str, Any], tuple[str, ...]]
"""The decided values by name, and the ids of the vetoes, in order."""


Observed = tuple[Callable[..., Verdict], tuple[Any, ...]]
"""The function of a symbol's policy, and its arguments: the time and what `observe` made of each group."""

Groups = tuple[CompiledPolicy, tuple[float, str | None, tuple[Group, ...], str | None]]
"""A symbol's policy, and what it decides on: the time, the symbol, the groups taken in before, and the intent's id."""

Named = tuple[str, float, str | None, dict[str, Group], str | None]
"""What `Book.decide_observed` takes: the policy, the time, the symbol, groups by name, and the intent's id."""

Call = tuple[Callable[[float, Facts], object], float, Facts]
"""A function, the time and the facts to call it with."""

_OF_ONE_KIND = ("decision_id", "facts", "groups")
"""What records of the two forms do not share."""


class Unequal(Exception):  # noqa: N818 - it says what it is
    """A contender decides differently, so its time means nothing."""


def same(name: str, expected: Iterable[Answer], answers: Iterable[Answer]) -> None:
    """Check a contender's answers against the compiled policy's.

    Raises:
        Unequal: with the first input that was decided differently.

    """
    for number, (right, got) in enumerate(zip(expected, answers, strict=True)):
        if right != got:
            raise Unequal(f"{name} decides input {number} differently: {_difference(right, got)}")


def _difference(right: Answer, got: Answer) -> str:
    values = [
        f"{key} {got[0].get(key)!r}, not {value!r}" for key, value in right[0].items() if got[0].get(key) != value
    ]
    vetoes = [] if right[1] == got[1] else [f"vetoes {list(got[1])}, not {list(right[1])}"]
    return "; ".join([*values, *vetoes]) or "it answers more than was asked"


class Compiled:
    """The compiled backend in its three uses, and the interpreter."""

    def __init__(self, profile: str = "prod") -> None:
        self.book: Book = load(profile).warm()
        self.interpreter = Book(self.book.rulebook, "interpreter")

    def decide(self, facts: Facts) -> Answer:
        """Values and vetoes of a decision that could give its reasons, from facts as they arrive."""
        decision = self.book.decide(POLICY, facts)
        return decision.values, decision.vetoes

    def verdict(self, facts: Facts) -> Verdict:
        """Values and vetoes alone, from facts as they arrive."""
        return self.book.verdict(POLICY, facts)

    def groups(self, facts: Facts) -> Groups:
        """Take every group in, ahead of deciding."""
        policy = self.book.compiled.policy(POLICY, facts["symbol"])
        taken = []
        for group in policy.policy.groups:
            holder, _, name = group.name.rpartition(".")
            held = facts.get(holder) or {} if holder else facts
            taken.append(self.book.observe(group.name, held.get(name)))
        return policy, (facts["now"], facts["symbol"], tuple(taken), facts["intent_id"])

    def observe(self, facts: Facts) -> Observed:
        """Take every group in, ahead of deciding, and keep the values alone."""
        policy, (now, _, groups, _) = self.groups(facts)
        return policy.observed, (now, *(group.values for group in groups))

    @staticmethod
    def decide_observed(observed: Observed) -> Verdict:
        """Values and vetoes alone, from groups taken in before."""
        decide, arguments = observed
        return decide(*arguments)

    @staticmethod
    def record_of_groups(groups: Groups) -> str:
        """The whole decision as a line of JSON that refers to groups taken in before."""
        policy, arguments = groups
        return policy.decide_observed(*arguments).json()

    @staticmethod
    def by_name(groups: Groups) -> Named:
        """The same groups as `Book.decide_observed` takes them."""
        policy, (now, symbol, taken, intent_id) = groups
        names = (group.name for group in policy.policy.groups)
        return POLICY, now, symbol, dict(zip(names, taken, strict=True)), intent_id

    def record_by_name(self, named: Named) -> str:
        """The same line of JSON through the front door, which looks for the policy and its groups by name."""
        return self.book.decide_observed(*named).json()

    @staticmethod
    def decide_groups(groups: Groups) -> Decision:
        """The decision behind `record_of_groups`, no line of it written."""
        policy, arguments = groups
        return policy.decide_observed(*arguments)

    def record_with_facts(self, facts: Facts) -> str:
        """The whole decision as a line of JSON that holds its facts."""
        return self.book.decide(POLICY, facts).json()

    def interpret(self, facts: Facts) -> Answer:
        """Values and vetoes by the interpreter."""
        decision = self.interpreter.decide(POLICY, facts)
        return decision.values, decision.vetoes


def check_ours(ours: Compiled, inputs: list[Facts], expected: list[Answer]) -> None:
    """Check every use of the compiled backend and every hand-written function on all inputs."""
    same("verdict", expected, (_from_verdict(ours.verdict(facts)) for facts in inputs))
    same("observed", expected, (_from_verdict(ours.decide_observed(ours.observe(facts))) for facts in inputs))
    same("interpreter", expected, (_check_records(ours, facts) for facts in inputs))
    same("natural", expected, (_from_natural(natural(facts)) for facts in inputs))
    for name, function in (("tuned", tuned), ("tuned_refusing", tuned_refusing)):
        same(name, expected, (_from_tuned(function(facts)) for facts in inputs))
    same("tuned_limit", expected, (_from_tuned(_limit(prepared(facts))) for facts in inputs))


def _from_verdict(verdict: Verdict) -> Answer:
    return {name: getattr(verdict, name) for name in DECIDED}, verdict.vetoes


def _check_records(ours: Compiled, facts: Facts) -> Answer:
    """Check both kinds of record, reasons and all, against the interpreter's, whose values and vetoes are returned."""
    decision = ours.interpreter.decide(POLICY, facts)
    text, groups = decision.json(), ours.groups(facts)
    if ours.record_with_facts(facts) != text:
        raise Unequal(f"the record with facts of {facts['intent_id']} is not the interpreter's")
    of_groups = ours.record_of_groups(groups)
    if ours.record_by_name(ours.by_name(groups)) != of_groups:
        raise Unequal(f"the record by name of {facts['intent_id']} is not the record of groups")
    right, record = json.loads(text), json.loads(of_groups)
    refers = {name: group["id"] for name, group in record["groups"].items()}
    if _alike(record) != _alike(right) or refers != _ids(groups):
        raise Unequal(f"the record of groups of {facts['intent_id']} is not the interpreter's")
    return decision.values, decision.vetoes


def _alike(record: dict[str, Any]) -> dict[str, Any]:
    """What records of both kinds hold: what was decided, every rule that fired, and the reasons."""
    return {key: value for key, value in record.items() if key not in _OF_ONE_KIND}


def _ids(groups: Groups) -> dict[str, str]:
    """The ids of the groups taken in, by name: of those that hold anything."""
    policy, (_, _, taken, _) = groups
    return {group.name: held.id for group, held in zip(policy.policy.groups, taken, strict=True) if held.ref}


def _from_natural(decided: dict[str, Any]) -> Answer:
    return {name: decided[name] for name in DECIDED}, tuple(decided["vetoes"])


def _limit(values: tuple[Any, ...]) -> Tuned:
    decided, mask = tuned_limit(*values)
    return decided, veto_ids[mask]


def _from_tuned(decided: Tuned) -> Answer:
    values, vetoes = decided
    return dict(zip(DECIDED, values, strict=True)), vetoes


def measure(count: int = COUNT, rounds: int = _ROUNDS) -> Report:
    """Check everyone, then time everyone."""
    report = Report("decide")
    inputs = routing_facts(count)
    ours = Compiled()
    expected = [ours.decide(facts) for facts in inputs]
    check_ours(ours, inputs, expected)
    report.note(f"all of ours and the hand-written functions agree on {len(inputs)} inputs")
    report_ours(report, ours, inputs, rounds)
    rounded_inputs = [rounded(facts) for facts in inputs]
    report_quality(report, ours, rounded_inputs, rounds)
    report_peers(report, ours, rounded_inputs, rounds)
    return report


def report_ours(report: Report, ours: Compiled, inputs: list[Facts], rounds: int) -> None:
    """Time the compiled backend and the hand-written functions, then the interpreter beside the compiled backend."""
    decision = Contender("decision", ours.decide, inputs)
    groups = [ours.groups(facts) for facts in inputs]
    times = side_by_side(
        [
            Contender("verdict", ours.verdict, inputs),
            decision,
            Contender("observed", ours.decide_observed, [ours.observe(facts) for facts in inputs]),
            Contender("record of groups", ours.record_of_groups, groups),
            Contender("record by name", ours.record_by_name, [ours.by_name(one) for one in groups]),
            Contender("record with facts", ours.record_with_facts, inputs),
            Contender("natural", natural, inputs),
            Contender("tuned", tuned, inputs),
            Contender("tuned_refusing", tuned_refusing, inputs),
            Contender("tuned_limit", _limit, [prepared(facts) for facts in inputs]),
        ],
        rounds=rounds,
        batch=_BATCH,
    )
    for name in times.rounds:
        report.add(f"{name}_us", times.micros(name), "us")
    slow = side_by_side(
        [decision, Contender("interpreter", ours.interpret, inputs)], rounds=max(rounds // 2, 1), batch=_SLOW_BATCH
    )
    report.add("interpreter_us", slow.micros("interpreter"), "us")
    report.add("verdict / natural", times.ratio("verdict", "natural"), "x", Reach("<=", 0.5))
    report.add("verdict / tuned", times.ratio("verdict", "tuned"), "x", Reach("<=", 1.3))
    report.add("verdict / tuned_refusing", times.ratio("verdict", "tuned_refusing"), "x")
    report.add("observed / natural", times.ratio("observed", "natural"), "x", Reach("<=", 0.3))
    report.add("observed / tuned_limit", times.ratio("observed", "tuned_limit"), "x")
    report.add("record of groups / natural", times.ratio("record of groups", "natural"), "x", Reach("<=", 2.0))
    report.add("record by name / natural", times.ratio("record by name", "natural"), "x")
    report.add("record with facts / natural", times.ratio("record with facts", "natural"), "x")
    report.add("decision / natural", times.ratio("decision", "natural"), "x")
    report.add("interpreter / decision", slow.ratio("interpreter", "decision"), "x")
    explain_ours(report, ours, inputs, groups, max(rounds // 2, 1))


def explain_ours(report: Report, ours: Compiled, inputs: list[Facts], groups: list[Groups], rounds: int) -> None:
    """Say of each reach of ours that is missed what the figure is made of."""
    missed = {figure.name for figure in report.missed}
    if missed & {"verdict / natural", "verdict / tuned"}:
        text = _verdict_parts(ours, inputs, rounds)
        report.explain("verdict / natural", text)
        report.explain("verdict / tuned", text)
    if "observed / natural" in missed:
        contenders = [
            Contender("observed", ours.decide_observed, [ours.observe(facts) for facts in inputs]),
            Contender("limit", _limit, [prepared(facts) for facts in inputs]),
            Contender("natural", natural, inputs),
        ]
        times = side_by_side(contenders, rounds=rounds, batch=_BATCH)
        share = times.ratio("limit", "natural")
        report.explain(
            "observed / natural", f"deciding alone, by hand and on bare arguments, is {share:.2f} of natural"
        )
    if "record of groups / natural" in missed:
        contenders = [
            Contender("record", ours.record_of_groups, groups),
            Contender("decision", ours.decide_groups, groups),
            Contender("natural", natural, inputs),
        ]
        times = side_by_side(contenders, rounds=rounds, batch=_BATCH)
        texts = [ours.record_of_groups(one) for one in groups[:_EXAMPLES]]
        rules = statistics.mean(text.count('"rule":') for text in texts)
        text = (
            f"deciding alone takes {times.ratio('decision', 'natural'):.2f}; the rest writes {rules:.0f} rules that"
            f" fired, with the values of their leaves, in {statistics.mean(map(len, texts)):.0f} characters"
        )
        report.explain("record of groups / natural", text)


_PARTS: dict[str, tuple[str, str]] = {
    "a struct with names instead of a tuple": (r"return verdict\(", "return ("),
    "asking whether each group is a dict": (r"if raw\.__class__ is not dict: raise KeyError", "pass"),
    "making sure that a flag is one": (r"if not \(\((\w+) is True or \1 is False\)\):\n.*", "pass"),
    "rules": (r"(?s)\n    # .*", "\n    return None"),
}
"""What the generated function does and `tuned` does not, and how to cut it out of the source."""


def _verdict_parts(ours: Compiled, inputs: list[Facts], rounds: int) -> str:
    """What the time that `verdict` takes beyond `tuned` goes to: measured by cutting one part out at a time."""
    contenders = [
        Contender("verdict", ours.verdict, inputs),
        Contender("tuned", tuned, inputs),
        Contender("limit", _limit, [prepared(facts) for facts in inputs]),
        Contender("whole", _call, _cut(ours, inputs, "$^", "")),
        *(Contender(name, _call, _cut(ours, inputs, *part)) for name, part in _PARTS.items()),
    ]
    times = side_by_side(contenders, rounds=rounds, batch=_BATCH)
    base = times.micros("tuned")
    costs = {"finding the function of policy and symbol": times.micros("verdict") - times.micros("whole")}
    costs |= {name: times.micros("whole") - times.micros(name) for name in _PARTS}
    rules = costs.pop("rules") - costs["a struct with names instead of a tuple"] - times.micros("limit")
    costs["asking rules one by one in the rulebook's order"] = rules
    costs["the rest"] = times.micros("verdict") - base - sum(costs.values())
    parts = ", ".join(f"{name} {cost / base:+.2f}" for name, cost in costs.items())
    return f"what it takes beyond `tuned`, in times of `tuned`: {parts}"


def _cut(ours: Compiled, inputs: list[Facts], pattern: str, replacement: str) -> list[Call]:
    """Calls of the function behind `verdict`, a part of its source replaced."""
    made: dict[object, Any] = {}
    calls: list[Call] = []
    for facts in inputs:
        policy = ours.book.compiled.policy(POLICY, facts["symbol"])
        if policy.direct not in made:
            source = generate_direct(policy.rulebook, policy.policy, policy.binding)
            names = dict(policy.direct.__globals__)
            exec(re.sub(pattern, replacement, source), names)  # noqa: S102 - our own text
            made[policy.direct] = names[direct_name(policy.policy)]
        calls.append((made[policy.direct], facts["now"], facts))
    return calls


def _call(call: Call) -> object:
    function, now, facts = call
    return function(now, facts)


def report_peers(report: Report, ours: Compiled, inputs: list[Facts], rounds: int) -> None:
    """Check and time whatever other engines are installed: the whole policy from facts objects, and prepared facts."""
    decisions = [ours.book.decide(POLICY, facts) for facts in inputs]
    expected = [_to_nine_places((decision.values, decision.vetoes)) for decision in decisions]
    cleaned = [_cleaned(decision) for decision in decisions]
    made_for_zen = [for_zen(facts) for facts in inputs]
    kinds: tuple[tuple[str, Callable[[], Iterable[Peer]], Sequence[Any], str], ...] = (
        (" prepared", installed_peers, cleaned, "observed"),
        (" + border", lambda: map(behind_a_border, installed_peers()), inputs, "verdict"),
        (" + own border", installed_whole_peers, made_for_zen, "verdict"),
    )
    names = []
    for suffix, peers, given, _ in kinds:
        for peer in peers():
            answers = (_to_nine_places(peer.read(peer.decide(facts))) for facts in given)
            same(f"{peer.name}{suffix}", expected, answers)
            names.append(f"{peer.name}{suffix}")
    if absent := absent_peers():
        report.note(f"not installed: {', '.join(absent)}")
    if not names:
        return
    report.note(f"{', '.join(names)} agree on the same inputs, rounded to six decimals")
    bases = {
        "observed": Contender("observed", ours.decide_observed, [ours.observe(facts) for facts in inputs]),
        "verdict": Contender("verdict", ours.verdict, inputs),
    }
    ratios: dict[str, dict[str, float]] = {suffix: {} for suffix, *_ in kinds}
    for suffix, peers, given, base in kinds:
        for peer in peers():  # made anew: CLIPS slows down the longer an environment lives
            name = f"{peer.name}{suffix}"
            contenders = [bases[base], Contender(name, peer.decide, given)]
            times = side_by_side(contenders, rounds=max(rounds // 4, 1), batch=_BATCH)
            report.add(f"{name}_us", times.micros(name), "us")
            report.add(f"{name} / {base}", times.ratio(name, base), "x")
            ratios[suffix][name] = times.ratio(name, base)
    alone, mixed, whole = (min(of, key=of.__getitem__, default="") for of in ratios.values())
    if whole:
        report.add("fastest peer, whole policy / verdict", ratios[" + own border"][whole], "x", Reach(">=", 15))
    report.add("fastest peer behind Python / verdict", ratios[" + border"][mixed], "x")
    report.add("fastest peer prepared / observed", ratios[" prepared"][alone], "x")
    report.note(
        f"the fastest peers: {whole or 'none'} on the whole policy, {mixed} behind Python, {alone} on cleaned facts"
    )
    fastest = next(peer for peer in installed_peers() if alone == f"{peer.name} prepared")
    contenders = [bases["verdict"], Contender("border", known, inputs), Contender("logic", fastest.decide, cleaned)]
    times = side_by_side(contenders, rounds=max(rounds // 4, 1), batch=_BATCH)
    border, logic = times.ratio("border", "verdict"), times.ratio("logic", "verdict")
    report.note(
        f"in times of `verdict`, {fastest.name}'s logic alone takes {logic:.1f} and a border by hand in Python"
        f" {border:.1f}"
    )


def report_quality(report: Report, ours: Compiled, inputs: list[Facts], rounds: int) -> None:
    """Check and time the quality tier alone: durable-rules beside a compiled policy of that one rule set."""
    cleaned = [_cleaned(ours.book.decide(POLICY, facts)) for facts in inputs]
    durable = durable_quality()
    with tempfile.TemporaryDirectory() as folder:
        book = load(QUALITY, _quality_home(Path(folder), ours.book.rulebook))
    policy, group = book.compiled.policy(QUALITY), "telemetry"
    observed = [(policy.observed, (facts["now"], book.observe(group, facts.get(group)).values)) for facts in inputs]
    expected = [({QUALITY: ours.book.decide(POLICY, facts)[QUALITY]}, ()) for facts in inputs]
    same("the quality policy", expected, (({QUALITY: ours.decide_observed(one).quality}, ()) for one in observed))
    same("durable-rules", expected, (({QUALITY: durable(facts)}, ()) for facts in cleaned))
    contenders = [Contender("observed", ours.decide_observed, observed), Contender("durable", durable, cleaned)]
    times = side_by_side(contenders, rounds=max(rounds // 4, 1), batch=_BATCH)
    report.add("quality by durable-rules_us", times.micros("durable"), "us")
    report.add("quality observed_us", times.micros("observed"), "us")
    report.add("quality by durable-rules / observed", times.ratio("durable", "observed"), "x")


def _quality_home(home: Path, rulebook: Rulebook) -> Path:
    """A home whose only policy is the shipped set of quality tiers, with the numbers of the profile."""
    shipped = shipped_home()
    for file in (f"rules/{QUALITY}.yaml", "policies/facts.yaml"):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shipped / file, home / file)
    named = [f"policy: {QUALITY}", "doc: The tier.", "reads: [telemetry]"]
    named += [f"{key}: [{QUALITY}]" for key in ("steps", "decides", "reason")]
    (home / "policies" / f"{QUALITY}.yaml").write_text("\n".join(named) + "\n")
    values = [
        f"  {name}: {value:g}"
        for name, value in rulebook.binding_of(None).values.items()
        if isinstance(value, float) and name.partition(".")[0] in ("facts", QUALITY)
    ]
    lines = [f"profile: {QUALITY}", "doc: The numbers of prod.", f"policies: [{QUALITY}]", "values:", *values]
    (home / "profiles").mkdir()
    (home / "profiles" / f"{QUALITY}.yaml").write_text("\n".join(lines) + "\n")
    return home


def _cleaned(decision: Decision) -> Cleaned:
    names = decision.seen.names()
    return {name: None if isinstance(names[name], Missing) else names[name] for name in READ}


def _to_nine_places(answer: Answer) -> Answer:
    values, vetoes = answer
    return {name: round(value, 9) if isinstance(value, float) else value for name, value in values.items()}, vetoes


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
