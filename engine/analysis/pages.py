"""Decisions, explanations and rulebooks as pages of text: what `decide`, `explain` and `show` print for people.

Words carry the meaning and colours repeat it, so a page reads the same without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from engine.analysis.explain import ConditionLook, Explanation, LeafLook, RuleLook, StepLook
from engine.analysis.show import (
    ConditionView,
    DivergenceView,
    NameView,
    Overview,
    PolicyView,
    RuleView,
    SetView,
    Shown,
    StepView,
    ValueView,
    WindowView,
)
from engine.backends.decision import Decision, show_value
from engine.language.printer import print_number
from engine.language.types import Value
from engine.printing import counted, print_wrapped, printable

_STYLES = {
    "matched": "bold green",
    "unknown, matched": "bold yellow",
    "unknown, skipped": "yellow",
    "not matched": "",
    "not reached": "dim",
    "true": "green",
    "false": "",
    "unknown": "yellow",
}
_MOST_NAME = 40
"""A column of names never takes more cells than this."""


def print_decision(console: Console, decision: Decision) -> None:
    """One decision: the reason, the decided values, the vetoes with their places."""
    record = decision.record()
    print_wrapped(console, Text(printable(decision.reason), "bold"), hanging=2)
    console.print()
    width = min(max((len(name) for name in decision.values), default=0), _MOST_NAME)
    for name, value in decision.values.items():
        console.print(Text.assemble("  ", f"{name:<{width}}  ", (_value(value), "bold")), soft_wrap=True)
    _print_firings(console, "vetoes", record["vetoes"])
    _print_firings(console, "rules that matched", record["fired"])
    console.print()
    moment = decision.moment
    symbol = f" for {printable(moment.symbol)}" if moment.symbol else ""
    rulebook = f"{record['profile']} {decision.rulebook}"
    foot = f"{decision.policy}{symbol} at {print_number(moment.now)}; {rulebook}; {record['decision_id']}"
    print_wrapped(console, Text(foot, "dim"), hanging=2)


def _print_firings(console: Console, title: str, firings: Sequence[dict[str, Any]]) -> None:
    if not firings:
        return
    console.print()
    console.print(Text(title))
    width = min(max(len(firing["rule"]) for firing in firings), _MOST_NAME)
    for firing in firings:
        print_wrapped(console, Text.assemble(f"  {firing['rule']:<{width}}", (f"  {firing['at']}", "dim")))
        for leaf in firing["leaves"]:
            print_wrapped(console, Text(f"    {printable(_looked(leaf))}"), hanging=6)


def _looked(leaf: dict[str, Any]) -> str:
    """A leaf of a record: as written, then what it saw."""
    saw = [f"{name} {_saw(value)}" for name, value in leaf["saw"].items()]
    written = " ".join(leaf["when"].split())
    return f"{written}: {', '.join(saw)}" if saw else written


def _saw(value: Any) -> str:
    return f"({value['missing']})" if isinstance(value, dict) else _value(value)


def print_decision_line(console: Console, place: str, decision: Decision, *, table: bool) -> None:
    """One decision as a line: place, symbol, reason; in a table the reason is cut at the edge of the screen."""
    symbol = printable(decision.moment.symbol or "-")
    reason = printable(decision.reason)
    if not table:
        console.print(Text(f"{printable(place)}  {symbol}  {reason}"), soft_wrap=True)
        return
    head = f"{place.rpartition(':')[2]:>7}  {set_cell_size(symbol, 12)}  "
    room = max(console.width - cell_len(head), 20)
    if cell_len(reason) > room:
        reason = f"{set_cell_size(reason, room - 3).rstrip()}..."
    console.print(Text(head + reason), soft_wrap=True)


def print_decision_head(console: Console) -> None:
    """The headings above such lines."""
    console.print(Text(f"{'row':>7}  {'symbol':<12}  reason", "bold"), soft_wrap=True)


def _value(value: Value) -> str:
    return printable(print_number(value) if isinstance(value, float) else show_value(value))


# --- explain ---------------------------------------------------------------------------------------------------------


def print_explanation(console: Console, explanation: Explanation, place: str = "") -> None:
    """The whole trace as a tree; under the place its facts come from, where there are several."""
    if place:
        console.print(Text(printable(place), "bold"))
    decision = explanation.decision
    tree = Tree(Text(printable(decision.reason), "bold"), guide_style="dim")
    if explanation.missing:
        branch = tree.add(Text.assemble(("missing", "bold"), f": {counted(len(explanation.missing), 'fact')}"))
        gaps: dict[tuple[str, str], list[str]] = {}
        for gap in explanation.missing:
            group, _, name = gap.fact.rpartition(".")
            shown = f"{name} (got {printable(gap.got)})" if gap.got else name
            gaps.setdefault((group, gap.cause), []).append(shown)
        for (group, cause), names in gaps.items():
            branch.add(Text.assemble((f"{cause:<7}", "yellow"), f"  {group}: {', '.join(names)}"))
    for step in explanation.steps:
        _add_step(tree, step)
    console.print(tree)


def _add_step(tree: Tree, step: StepLook) -> None:
    sets = ", ".join(f"{name} = {_value(value)}" for name, value in step.sets.items())
    branch = tree.add(Text.assemble((step.ruleset, "bold"), f" ({step.hit}): ", (sets, "bold")))
    if step.start:
        starts = ", ".join(f"{name} = {_value(value)}" for name, value in step.start.items())
        branch.add(Text(f"{'start':<11}  {starts}"))
    for rule in step.rules:
        _add_rule(branch, rule)


def _add_rule(branch: Tree, rule: RuleLook) -> None:
    text = Text.assemble((f"{rule.verdict:<11}", _STYLES[rule.verdict]), f"  {rule.rule.partition('.')[2]}")
    condition = rule.condition
    if condition is None:
        text.append("  (always)")
    elif isinstance(condition, LeafLook):
        text.append(f": {printable(condition.shown)}")
    text.append(f"  {rule.at}", "dim")
    if rule.verdict == "not reached":
        branch.add(text, style="dim")
        return
    node = branch.add(text)
    if condition is not None and not isinstance(condition, LeafLook):
        _add_condition(node, condition)
    for effect in rule.effects:
        written = "" if effect.expression == _value(effect.value) else f" ({effect.expression})"
        node.add(Text.assemble(f"{effect.kind} {effect.name} ", (_value(effect.value), "bold"), written))


def _add_condition(node: Tree, look: ConditionLook) -> None:
    mark = (f"{look.truth:<7}  ", _STYLES.get(look.truth, ""))
    if isinstance(look, LeafLook):
        node.add(Text.assemble(mark, printable(look.shown), (" <- triggered" if look.triggered else "", "bold")))
        return
    branch = node.add(Text.assemble(mark, f"{look.kind} of"))
    for item in look.items:
        _add_condition(branch, item)


# --- show ------------------------------------------------------------------------------------------------------------


def print_overview(console: Console, view: Overview) -> None:
    """Policies, rule sets and windows, a line or two each."""
    console.print(Text.assemble((view.profile, "bold"), f"  {view.version}"))
    _print_title(console, "policies")
    for policy in view.policies:
        text = f"{_first_sentence(policy.doc)} ({counted(len(policy.steps), 'step')})"
        _print_entry(console, policy.name, text, _width(view.policies))
    _print_title(console, "rule sets")
    for ruleset in view.rulesets:
        sets = ", ".join(item.name for item in ruleset.sets)
        text = f"{ruleset.hit}, {counted(len(ruleset.rules), 'rule')}: sets {sets}"
        _print_entry(console, ruleset.name, text, _width(view.rulesets))
    if view.windows:
        _print_title(console, "windows")
        for window in view.windows:
            _print_entry(console, window.name, _counted_how(window), _width(view.windows))
    if view.disabled:
        _print_title(console, "disabled rules")
        for name, why in view.disabled.items():
            _print_entry(console, name, why, min(max(len(name) for name in view.disabled), _MOST_NAME))
    if view.symbols:
        _print_title(console, "symbol groups")
        for name, members in view.symbols.items():
            _print_entry(console, name, ", ".join(members), max(len(name) for name in view.symbols))
    if view.diverges:
        _print_title(console, "meant differences from other profiles")
    for item in view.diverges:
        head = Text.assemble(f"  from {item.against}: {_transition(item)}", (f"  {item.at}", "dim"))
        print_wrapped(console, head, hanging=4)
        print_wrapped(console, Text(f"    why: {printable(item.why)}"), hanging=6)


def _transition(item: DivergenceView) -> str:
    """A difference in words: `routing.tier low -> middle`; of a number, its name alone."""
    if item.before is None and item.after is None:
        return item.decision
    before, after = ("any" if value is None else _value(value) for value in (item.before, item.after))
    return f"{item.decision} {before} -> {after}"


def print_shown(console: Console, view: Shown) -> None:
    """Whatever was asked for by name."""
    head = f"  {view.version}"
    if view.symbol is not None:
        head += f"  {printable(view.symbol)}: {' + '.join(view.groups) or 'in no symbol group'}"
    console.print(Text.assemble((view.profile, "bold"), head), soft_wrap=True)
    if view.policy is not None:
        _print_policy(console, view.policy)
    if view.ruleset is not None:
        _print_set(console, view.ruleset)
    if view.rule is not None:
        _print_rule(console, view.rule)
    for window in view.windows or ():
        _print_window(console, window)
    if view.values is not None:
        _print_values(console, view.values)


def _print_policy(console: Console, view: PolicyView) -> None:
    _print_title(console, f"policy {view.name}", view.at)
    _print_paragraph(console, view.doc)
    _print_entry(console, "reads", ", ".join(view.reads), 10)
    _print_entry(console, "decides", ", ".join(view.decides), 10)
    _print_title(console, "steps")
    for number, step in enumerate(view.steps, 1):
        _print_step(console, number, step)
    if view.invariants:
        _print_title(console, "invariants")
    for invariant in view.invariants:
        limits = f"  in {', '.join(invariant.profiles)}" if invariant.profiles is not None else ""
        head = Text.assemble("  ", (invariant.id, "bold"), limits, (f"  {invariant.at}", "dim"))
        print_wrapped(console, head, hanging=4)
        print_wrapped(console, Text(f"    {printable(invariant.says)}"), hanging=6)


def _print_step(console: Console, number: int, step: StepView) -> None:
    kind = f"  {step.hit}, {counted(step.rules, 'rule')}"
    head = Text.assemble(f"{number:>3}. ", (step.ruleset, "bold"), kind, (f"  {step.at}", "dim"))
    print_wrapped(console, head, hanging=5)
    _print_under(console, "sets", ", ".join(_named(item) for item in step.sets))
    _print_under(console, "reads", ", ".join((*step.decisions, *step.facts)))


def _print_under(console: Console, label: str, text: str) -> None:
    if text:
        print_wrapped(console, Text(f"     {label:<6} {text}"), hanging=12)


def _named(item: NameView) -> str:
    return f"{item.name} ({item.type})"


def _print_set(console: Console, view: SetView) -> None:
    _print_title(console, f"rule set {view.name}", view.at)
    _print_paragraph(console, view.doc)
    _print_entry(console, "hit", view.hit, 8)
    _print_entry(console, "sets", ", ".join(_named(item) for item in view.sets), 8)
    _print_entry(console, "rules", ", ".join(view.rules), 8)
    if view.disabled:
        _print_entry(console, "disabled", ", ".join(view.disabled), 8)
    _print_entry(console, "run by", ", ".join(view.policies), 8)
    if view.values:
        _print_values(console, view.values)


def _print_rule(console: Console, view: RuleView) -> None:
    _print_title(console, f"rule {view.name}", view.at)
    _print_paragraph(console, view.why)
    _print_entry(console, "hit", view.hit, 8)
    lines = list(_condition_lines(view.when)) if view.when is not None else ["always"]
    for number, line in enumerate(lines):
        _print_entry(console, "when" if number == 0 else "", line, 8)
    if view.on_unknown is not None:
        meaning = "matches" if view.on_unknown == "match" else "does not match"
        _print_entry(console, "unknown", f"{view.on_unknown}: a condition that is unknown {meaning}", 8)
    for effect in view.effects:
        _print_entry(console, effect.kind, f"{effect.name}: {effect.expression}", 8)
    if view.hit == "veto":
        _print_entry(console, "effect", "to match is to veto", 8)
    if view.expect is not None:
        meant = {"unreachable": "no input reaches it", "reason": "all it adds is a reason of its own"}[view.expect]
        _print_entry(console, "expect", f"{view.expect}: {meant}", 8)
    if view.values:
        _print_values(console, view.values)


def _print_window(console: Console, view: WindowView) -> None:
    _print_title(console, f"window {view.name}", view.at)
    _print_paragraph(console, view.doc)
    _print_entry(console, "gives", view.type, 8)
    _print_entry(console, "counts", _counted_how(view), 8)


def _counted_how(view: WindowView) -> str:
    """A window in words: `count of ack over 60 s where latency_ms > $quality.slow_ms, per symbol and venue`."""
    measured = {"sum": f"sum of {view.of} of", "in_a_row": "in a row of"}.get(view.measure, f"{view.measure} of")
    over = f" over {view.length}" if view.length is not None else ""
    where = f" where {view.filter}" if view.filter is not None else ""
    return f"{measured} {view.event}{over}{where}, per {' and '.join(view.per)}"


def _condition_lines(view: ConditionView, indent: str = "") -> Iterator[str]:
    if view.kind == "leaf":
        yield f"{indent}{view.text}"
        return
    yield f"{indent}{view.kind}:"
    for item in view.items:
        yield from _condition_lines(item, f"{indent}  ")


def _print_values(console: Console, values: Sequence[ValueView]) -> None:
    """Values by rule set: what is in force with its range and place, then every other place that gives one."""
    owner = None
    for view in values:
        held, _, name = view.name.partition(".")
        if held != owner:
            owner = held
            _print_title(console, f"values of {owner}")
            mine = [other for other in values if other.name.startswith(f"{owner}.")]
            width = min(max(len(other.name) - len(owner) - 1 for other in mine), _MOST_NAME)
            amounts = min(max(len(_amount(other)) for other in mine), _MOST_NAME)
        head = Text.assemble(f"  {name:<{width}}  ", (f"{_amount(view):<{amounts}}", "bold"), f"  {view.type}")
        print_wrapped(console, head, hanging=width + 4)
        if view.doc:
            print_wrapped(console, Text(f"      {view.doc}", "italic"), hanging=6)
        for layer in view.layers:
            group = f" for {layer.group}" if layer.group else ""
            line = Text.assemble(
                f"      {layer.state}: ", (layer.value, "bold"), f" by {layer.profile}{group}", (f"  {layer.at}", "dim")
            )
            print_wrapped(console, line, hanging=8)
            if layer.why:
                print_wrapped(console, Text(f"        why: {printable(layer.why)}"), hanging=8)


def _amount(view: ValueView) -> str:
    unit = f" {view.unit}" if view.unit else ""
    return f"{_value(view.value)}{unit}"


def _width(views: Sequence[PolicyView] | Sequence[SetView] | Sequence[WindowView]) -> int:
    return min(max((len(view.name) for view in views), default=0), _MOST_NAME)


def _print_title(console: Console, title: str, at: str = "") -> None:
    console.print()
    console.print(Text.assemble((title, "bold"), (f"  {at}" if at else "", "dim")), soft_wrap=True)


def _print_paragraph(console: Console, text: str) -> None:
    if text:
        print_wrapped(console, Text(f"  {printable(text)}"), hanging=2)


def _print_entry(console: Console, name: str, text: str, width: int) -> None:
    print_wrapped(console, Text(f"  {name:<{width}}  {printable(text)}"), hanging=width + 4)


def _first_sentence(doc: str) -> str:
    return doc.partition(". ")[0].rstrip(".")
