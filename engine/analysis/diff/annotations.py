"""A diff as workflow commands of GitHub Actions: a notice at each changed line of B."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.analysis.diff.changes import Given, Spot
from engine.analysis.diff.renames import steps_of
from engine.analysis.diff.report import Diff, headline, named, places, sections, whys
from engine.analysis.diff.transition_pages import notes, through, weight_text, where
from engine.analysis.diff.transitions import Behaviour, Transition
from engine.analysis.report import annotation, openable
from engine.language.findings import Span


def github(diff: Diff, *, with_whys: bool = False) -> str:
    """One line a difference; one line where there is none."""
    found = "".join(f"{line}\n" for line in _notices(diff, with_whys=with_whys))
    return found or f"::notice title=sluice diff::{headline(diff)}\n"


def _notices(diff: Diff, *, with_whys: bool) -> Iterator[str]:
    for change in diff.structure.values:
        before, after = (given.text if given is not None else "not declared" for given in (change.a, change.b))
        yield _notice(diff, f"value {named(change)}", f"{before} -> {after}", change.a, change.b)
    for _, changes in sections(diff.structure, with_whys=with_whys):
        for each in changes:
            title = f"{each.topic} {named(each)}"
            if not each.parts:
                yield _notice(diff, title, _became(each.kind, each.a, each.b), each.a, each.b)
            for part in each.parts:
                yield _notice(diff, title, f"{part.what}: {_became(part.kind, part.a, part.b)}", part.a, part.b)
    if diff.decided is not None:
        yield from _decisions(diff, diff.decided)


def _decisions(diff: Diff, found: Behaviour) -> Iterator[str]:
    """One line a transition, at the first change that makes it: a warning where no entry says that it is meant."""
    for each in found.transitions:
        title = f"{each.policy}.{each.decision} {each.text}"
        lines = [f"for {each.scope.text}"]
        if each.undecided:
            lines.append(f"undecided: {each.undecided}")
        else:
            lines += [_labelled(label, texts) for label, texts in where(each)]
        lines += [f"through: {text}" for text in through(each)]
        if each.expected is not None:
            lines.append(f"expected: {each.expected.why}")
        if found.history is not None:
            lines.append(f"seen: {weight_text(each)}")
        span = _responsible(diff, each)
        command = "warning" if each.expected is None else "notice"
        yield annotation(command, openable(span.file, diff.b.asked.home), span, title, "\n".join(lines))
    for note in notes(found):
        span = _top(diff, None)
        yield annotation("warning", openable(span.file, diff.b.asked.home), span, "sluice diff", note)


def _labelled(label: str, texts: Sequence[str]) -> str:
    return f"{label.strip()}: {' and '.join(texts)}" if label else " and ".join(texts)


def _responsible(diff: Diff, transition: Transition) -> Span:
    """Where B says what makes a transition: the first value or rule of all that do; else the top of its profile."""
    rules = {rule.full_id: rule.span for step in steps_of(diff.b.rulebook).values() for rule in step.rules}
    values = diff.b.rulebook.binding_of(next(iter(transition.scope.symbols), None)).origins
    for each in transition.responsible:
        if each.change.name in values:
            return values[each.change.name].span
        if each.change.name in rules:
            return rules[each.change.name]
    return _top(diff, None)


def _became(kind: str, a: Spot | None, b: Spot | None) -> str:
    if a is not None and b is not None:
        return f"{a.text} -> {b.text}" if a.text != b.text else kind
    spot = a or b
    return f"{kind}: {spot.text}" if spot is not None else kind


def _notice(diff: Diff, title: str, text: str, a: Spot | Given | None, b: Spot | Given | None) -> str:
    was = [f"was at {places(a.span, None)}"] if a is not None and (b is None or a.span != b.span) else []
    span = b.span if b is not None else _top(diff, a.span if a is not None else None)
    body = "\n".join([text, *whys(diff, a, b), *was])
    return annotation("notice", openable(span.file, diff.b.asked.home), span, title, body)


def _top(diff: Diff, was: Span | None) -> Span:
    """The first line of the file of B that something was removed from; of its profile, where that file is gone."""
    rulebook = diff.b.rulebook
    file = was.file if was is not None and was.file in rulebook.sources else f"profiles/{rulebook.profile}.yaml"
    return Span(file, 1, 1, 1, 2)
