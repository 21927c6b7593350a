"""What is wrong with the change of rules, in a line on every page: a refused file would else show on one page alone.

In: the status of the session that watches the files. Out: the line with its link, empty where all is well.
"""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from engine.reload.status import Attempt, Status
from engine.web.pages.markup import join, tag

TROUBLE: Final = "rules-trouble"
_MOST: Final = 160
"""Characters of a trouble that are shown; the page of rules has all of it."""


def trouble_html(status: Status | None) -> Markup:
    """The line."""
    told = troubles(status)
    if not told:
        return tag("div", id_=TROUBLE)
    sign = tag("i", "▲", aria_hidden="true")
    said = tag("b", sign, " rules: ", told[0])
    more = join([f"; {each}" for each in told[1:]])
    return tag("div", tag("p", said, more, ". ", tag("a", "See Rules", href="/rules"), class_="trouble"), id_=TROUBLE)


def troubles(status: Status | None) -> list[str]:
    """What is wrong, the worst first."""
    if status is None:
        return []
    told = []
    if status.attempt is not None and status.attempt.verdict == "refused":
        told.append(f"the last change was refused: {_shown(_first(status.attempt))}")
    if status.ended_ms is None:
        if status.last_good:
            told.append("the last good rulebook stands in for what was refused")
        told += [f"{what}: {_shown(why)}" for what, why in _noticed(status) if why]
    return told


def _first(attempt: Attempt) -> str:
    """The first finding with its place, or what the attempt says of itself."""
    if not attempt.findings:
        return attempt.line
    first = attempt.findings[0]
    return f"{first.place}: {first.message}" if first.place else first.message


def _noticed(status: Status) -> list[tuple[str, str]]:
    gone = status.unavailable
    return [
        ("there are none to be had", "" if gone is None else gone.what),
        ("changes are noticed late or not at all", status.watching),
        ("not all is on disk", status.unwritten),
    ]


def _shown(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]} …"
