"""How fast the compiled routing policy decides, beside hand-written functions, the interpreter and other rule engines.

All decide the same 10,000 facts objects (`_inputs.py`), and none is timed before it gave the decided values and veto
ids of the compiled policy for every one of them. What each is given and gives:

- `verdict`: values and vetoes alone, `book.verdict("routing", facts)` on facts as they arrive.
- `observed`: the same from groups that `observe` took in before, as in a host whose groups arrive at different times.
- `decision`: `book.decide("routing", facts)`, which could give its reasons, then its `.values` and `.vetoes`.
- `record`: the whole decision with reasons as a line of JSON, from facts as they arrive.
- `interpreter`: the other backend, the definition, as `decision`.
- `natural`, `tuned`, `tuned_refusing`, `tuned_limit`: written by hand (`_handwritten.py` says what each leaves out).
- Peers, those that are installed (`make bench` installs them all): see `_peers.py`. They only evaluate logic.

Figures are microseconds a decision and ratios; a ratio is the median over rounds in which all ran on the same inputs.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench._handwritten import DECIDED, Tuned, natural, prepared, tuned, tuned_limit, tuned_refusing, veto_ids
from bench._inputs import COUNT, Facts, routing_facts
from bench._measure import Contender, Reach, Report, run, side_by_side
from bench._peers import READ, Cleaned, absent_peers, durable_quality, installed_peers, rounded
from engine import Book, load
from engine.backends.compiled import Verdict
from engine.backends.decision import Decision
from engine.home import shipped_home
from engine.language.evaluate import Missing
from engine.language.rulebook import Rulebook

POLICY = "routing"
QUALITY = "quality"
_ROUNDS = 100
_BATCH = 100
_SLOW_BATCH = 10

Answer = tuple[dict[str, Any], tuple[str, ...]]
"""The decided values by name, and the ids of the vetoes, in order."""


Observed = tuple[Callable[..., Verdict], tuple[Any, ...]]
"""The function of a symbol's policy, and its arguments: the time and what `observe` made of each group."""


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

    def observe(self, facts: Facts) -> Observed:
        """Take every group in, ahead of deciding."""
        policy = self.book.compiled.policy(POLICY, facts["symbol"])
        values = []
        for group in policy.policy.groups:
            holder, _, name = group.name.rpartition(".")
            held = facts.get(holder) or {} if holder else facts
            values.append(self.book.observe(group.name, held.get(name)).values)
        return policy.observed, (facts["now"], *values)

    @staticmethod
    def decide_observed(observed: Observed) -> Verdict:
        """Values and vetoes alone, from groups taken in before."""
        decide, arguments = observed
        return decide(*arguments)

    def record(self, facts: Facts) -> str:
        """The whole decision as a line of JSON."""
        return self.book.decide(POLICY, facts).json()

    def interpret(self, facts: Facts) -> Answer:
        """Values and vetoes by the interpreter."""
        decision = self.interpreter.decide(POLICY, facts)
        return decision.values, decision.vetoes


def check_ours(ours: Compiled, inputs: list[Facts], expected: list[Answer]) -> None:
    """Check every use of the compiled backend and every hand-written function on all inputs."""
    same("verdict", expected, (_from_verdict(ours.verdict(facts)) for facts in inputs))
    same("observed", expected, (_from_verdict(ours.decide_observed(ours.observe(facts))) for facts in inputs))
    same("record", expected, (_from_record(ours.record(facts)) for facts in inputs))
    same("interpreter", expected, map(ours.interpret, inputs))
    same("natural", expected, (_from_natural(natural(facts)) for facts in inputs))
    for name, function in (("tuned", tuned), ("tuned_refusing", tuned_refusing)):
        same(name, expected, (_from_tuned(function(facts)) for facts in inputs))
    same("tuned_limit", expected, (_from_tuned(_limit(prepared(facts))) for facts in inputs))


def _from_verdict(verdict: Verdict) -> Answer:
    return {name: getattr(verdict, name) for name in DECIDED}, verdict.vetoes


def _from_record(text: str) -> Answer:
    record = json.loads(text)
    return record["decided"], tuple(veto["rule"] for veto in record["vetoes"])


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
    times = side_by_side(
        [
            Contender("verdict", ours.verdict, inputs),
            decision,
            Contender("observed", ours.decide_observed, [ours.observe(facts) for facts in inputs]),
            Contender("record", ours.record, inputs),
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
    report.add("record / natural", times.ratio("record", "natural"), "x", Reach("<=", 2.0))
    report.add("decision / natural", times.ratio("decision", "natural"), "x")
    report.add("interpreter / decision", slow.ratio("interpreter", "decision"), "x")


def report_peers(report: Report, ours: Compiled, inputs: list[Facts], rounds: int) -> None:
    """Check and time whatever other engines are installed, on cleaned facts, beside ours on groups taken in before."""
    decisions = [ours.book.decide(POLICY, facts) for facts in inputs]
    expected = [_to_nine_places((decision.values, decision.vetoes)) for decision in decisions]
    cleaned = [_cleaned(decision) for decision in decisions]
    peers = list(installed_peers())
    for peer in peers:
        same(peer.name, expected, (_to_nine_places(peer.read(peer.decide(facts))) for facts in cleaned))
    if absent := absent_peers():
        report.note(f"not installed: {', '.join(absent)}")
    if not peers:
        return
    report.note(f"{', '.join(peer.name for peer in peers)} agree on the same inputs, rounded to six decimals")
    observed = Contender("observed", ours.decide_observed, [ours.observe(facts) for facts in inputs])
    verdict = Contender("verdict", ours.verdict, inputs)
    ratios: dict[str, float] = {}
    for peer in installed_peers():  # made anew: CLIPS slows down the longer an environment lives
        contenders = [observed, verdict, Contender(peer.name, peer.decide, cleaned)]
        times = side_by_side(contenders, rounds=max(rounds // 4, 1), batch=_BATCH)
        report.add(f"{peer.name}_us", times.micros(peer.name), "us")
        report.add(f"{peer.name} / verdict", times.ratio(peer.name, "verdict"), "x")
        ratios[peer.name] = times.ratio(peer.name, "observed")
        report.add(f"{peer.name} / observed", ratios[peer.name], "x")
    fastest = min(ratios, key=ratios.__getitem__)
    report.note(f"the fastest peer is {fastest}")
    report.add("fastest peer / observed", ratios[fastest], "x", Reach(">=", 15))


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
