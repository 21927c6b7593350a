"""The behavioural half of a diff as Markdown: a section for each decision, a paragraph for each transition."""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.analysis.diff.factors import factored
from engine.analysis.diff.markdown_text import code, plain
from engine.analysis.diff.transition_pages import (
    MOST_SHOWN,
    apart,
    is_unexpected,
    listed,
    notes,
    open_ends,
    role,
    summary,
    told,
    weight_text,
)
from engine.analysis.diff.transitions import Behaviour, Transition


def behaviour_lines(found: Behaviour, *, witnesses: bool = True, marked: bool = False) -> Iterator[str]:
    """The lines of it, without a heading of its own.

    `witnesses` adds an input of each transition, folded; `marked` says of each if it is unexpected.
    """
    yield f"{plain(summary(found))}."
    for policy, decision, transitions in found.decisions():
        yield from ("", f"### {code(f'{policy}.{decision}')}")
        for transition in told(transitions):
            yield ""
            yield from _transition(transition, witnesses=witnesses, weighed=found.history is not None, marked=marked)
    for line in notes(found):
        yield from ("", f"**Note:** {plain(line)}")


def _transition(transition: Transition, *, witnesses: bool, weighed: bool, marked: bool) -> Iterator[str]:
    text = transition.text
    head = " → ".join(code(each) for each in text.split(" -> ")) if transition.direction is None else plain(text)
    yield f"**{head}** for {plain(transition.scope.text)}"
    yield ""
    if transition.undecided:
        yield f"- undecided: {plain(transition.undecided)}"
        return
    if transition.expected is not None:
        yield f"- expected: {plain(transition.expected.why)}"
    elif marked and is_unexpected(transition):
        yield "- **unexpected**: no entry of `diverges` covers it"
    numbers = transition.numbers
    if numbers is not None and numbers.text:
        yield f"- from: {_arrowed(numbers.text)}"
    yield from _where(transition)
    yield from _through(transition)
    if weighed:
        yield f"- seen: {plain(weight_text(transition))}"
    if witnesses and transition.witness is not None and not transition.like:
        yield from ("", "<details><summary>an input of it</summary>", "", "```json")
        yield json.dumps(transition.witness.facts, ensure_ascii=False)
        yield "```"
        yield ""
        yield from (f"- {code(name)}: {plain(ends.replace('->', '→'))}" for name, ends in apart(transition))
        yield from ("", "</details>")


def _where(transition: Transition) -> Iterator[str]:
    if transition.like:
        yield f"- where: as {code(_arrowed(transition.like))}"
        return
    found = factored(transition.regions)
    if found.common or not found.choices:
        yield f"- where: {_conditions(listed(found.common)) if transition.regions else 'not found'}"
    for at, choice in enumerate(found.choices):
        yield "- and one of:" if found.common or at else "- where one of:"
        yield from (f"  - {_conditions(listed(conditions))}" for conditions in choice[:MOST_SHOWN])
        if len(choice) > MOST_SHOWN:
            yield f"  - {len(choice) - MOST_SHOWN} more, which JSON lists"
    yield from (f"- {plain(line)}" for line in open_ends(transition))


def _arrowed(text: str) -> str:
    return text.replace("->", "→")


def _conditions(texts: list[str]) -> str:
    return ", ".join(code(text.removeprefix("(").removesuffix(")") if text[0] == "(" else text) for text in texts)


def _through(transition: Transition) -> Iterator[str]:
    if not transition.blended:
        yield "- through: the rules differ too much to try one change at a time"
    for each in transition.responsible:
        yield f"- through: {code(_arrowed(each.change.text))}, {role(each)}"
