"""HTML as values: elements whose text is escaped, and the marks, numbers and lines that all pages share.

In: text, numbers, None. Out: `Markup`, which is not escaped again. Whatever a journal or a file says is text here and
never markup, and characters that would turn or hide what stands beside them are replaced. What is not known is `–`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from engine.language.findings import Span
from engine.printing import lasting, printable

Child: TypeAlias = "str | Markup | int | Iterable[Child] | None"

UNKNOWN: Final = "–"
"""Stands where nobody knows."""

_MOST_ASKED: Final = 120
"""Characters of what somebody asked for that are said again."""

_VOID: Final = frozenset({"br", "hr", "input", "path", "circle"})

_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "ok": ("good", "✓"),
    "good": ("good", "✓"),
    "closed": ("good", "✓"),
    "proven": ("good", "✓"),
    "accepted": ("good", "✓"),
    "maker": ("maker", "◆"),
    "taker": ("taker", "▶"),
    "none": ("bad", "✕"),
    "warn": ("warn", "▲"),
    "warning": ("warn", "▲"),
    "degraded": ("warn", "▲"),
    "half_open": ("warn", "◐"),
    "undecided": ("warn", "?"),
    "stale": ("warn", "◷"),
    "absent": ("warn", "∅"),
    "invalid": ("bad", "✖"),
    "critical": ("bad", "✖"),
    "error": ("bad", "✖"),
    "broken": ("bad", "✖"),
    "open": ("bad", "✖"),
    "refuted": ("bad", "✖"),
    "refused": ("bad", "✖"),
}
"""How a word of the shipped policies looks: a kind of colour, and a sign, since colour is never the only one."""


def tag(name: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element. `class_` is its class, `data_x` its `data-x`; an attribute of None or False is left out.

    >>> tag("a", "<b>", href="/?a=1&b=2", class_="x")
    Markup('<a href="/?a=1&amp;b=2" class="x">&lt;b&gt;</a>')
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        if value is True
        else f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")  # noqa: S704 - a name of ours, and attributes that were escaped
    return Markup(f"<{name}{written}>{join(children)}</{name}>")  # noqa: S704 - the same


def join(children: Iterable[Child], between: str = "") -> Markup:
    """Elements and texts after each other."""
    return escape(between).join(_child(child) for child in children)


def _child(child: Child) -> Markup:
    match child:
        case None:
            return Markup("")
        case Markup():
            return child
        case str() | int():
            return escape(_plain(child))
    return join(child)


def _plain(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else str(value)


# --- numbers and times -----------------------------------------------------------------------------------------------


def number(value: float | None, unit: str = "", digits: int = 1) -> str:
    """A number with its unit, and up to two more digits where it takes them to tell it from 0.

    >>> number(1234.56, "ms", 0), number(None, "bps"), number(-0.04), number(-1e-9)
    ('1,235 ms', '–', '-0.04', '0.0')
    """
    if value is None:
        return UNKNOWN
    digits = next((each for each in range(digits, digits + 3) if round(value, each)), digits)
    rounded = round(value, digits) + 0.0  # no -0.0
    return f"{rounded:,.{digits}f} {unit}".rstrip()


def percent(ratio: float | None) -> str:
    """A ratio as a percentage, with as many digits as it takes to see it.

    >>> percent(0.5), percent(0.004), percent(-0.00004), percent(None)
    ('50 %', '0.4 %', '-0.004 %', '–')
    """
    if ratio is None:
        return UNKNOWN
    share = ratio * 100
    return number(share, "%", 0 if abs(share) >= 10 or share == 0 else 1)


def yes_no(value: bool | None) -> str:
    """A flag in words."""
    return UNKNOWN if value is None else "yes" if value else "no"


def age(seconds: float | None) -> str:
    """How long ago something was."""
    return UNKNOWN if seconds is None else lasting(seconds)


def clock(ts_ms: float, *, dated: bool = False) -> str:
    """A moment in UTC."""
    at = datetime.fromtimestamp(ts_ms / 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}" if dated else f"{at:%H:%M:%S}.{int(ts_ms) % 1000:03}"


# --- marks -----------------------------------------------------------------------------------------------------------


def mark(state: str | None, text: str | None = None) -> Markup:
    """A word with its sign: `✖ critical`; plain for a word that the shipped policies do not use."""
    if state is None:
        return tag("span", text or UNKNOWN, class_="mark unknown")
    kind, sign = _STATES.get(state, ("plain", ""))
    shown = [tag("i", sign, aria_hidden="true"), " "] if sign else []
    return tag("span", *shown, text or state, class_=f"mark {kind}")


def without_route(reason: str, route: str | None) -> str:
    """A reason beside a route that is shown already.

    >>> without_route("taker: hard_gates.reduce_only", "taker")
    'hard_gates.reduce_only'
    """
    return reason.removeprefix(f"{route}: ")


def soft(*children: Child) -> Markup:
    """What matters less."""
    return tag("span", *children, class_="soft")


def sparkline(values: Sequence[float | None], what: str, shown: Sequence[str]) -> Markup | None:
    """A line over a window, broken where nothing was known; None for fewer than two points.

    `shown` are the lowest, the highest and the last value in words: a line has no axis, so they are its text.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    wide = high - low or 1.0
    across = 60 / (len(values) - 1)
    path, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{place * across:.3g} {15 - 13 * (value - low) / wide if high > low else 8:.3g}")
        pen = "L"
    label = f"{what} over the window: {shown[0]} to {shown[1]}, last {shown[2]}"
    line = tag("path", d="".join(path))
    return tag("svg", tag("title", label), line, class_="spark", viewBox="0 0 60 17", role="img", aria_label=label)


def name(text: str) -> Markup:
    """A name of the documents, which may be broken after each of its parts.

    >>> name("gates.too_wide")
    Markup('gates.<wbr>too_<wbr>wide')
    """
    return join(re.split(r"(?<=[._/])", text), Markup("<wbr>"))


# --- blocks ----------------------------------------------------------------------------------------------------------


def section(title: str, *children: Child, note: Child = None, id_: str | None = None) -> Markup:
    """A part of a page under a heading."""
    head = tag("h2", title, " ", tag("small", note) if note is not None else None)
    return tag("section", head, *children, class_="card", id_=id_)


def table(
    heads: Sequence[Child], rows: Iterable[Child], *, class_: str = "", body_id: str | None = None, caption: str = ""
) -> Markup:
    """A table; on a narrow screen each row becomes a card (`cell` names what stands in it)."""
    top = tag("thead", tag("tr", [tag("th", head, scope="col") for head in heads]))
    said = tag("caption", caption) if caption else None
    return tag("table", said, top, tag("tbody", rows, id_=body_id), class_=f"rows {class_}".strip())


def cell(label: str, *children: Child, class_: str | None = None) -> Markup:
    """A cell, with the name of its column for screens on which there are none."""
    return tag("td", *children, data_label=label, class_=class_)


def row(*cells: Child, id_: str | None = None, class_: str | None = None) -> Markup:
    """A row of cells."""
    return tag("tr", *cells, id_=id_, class_=class_)


def nothing_of(kind: str, asked: str, instead: str) -> Markup:
    """Says that an address asks for what there is not, and what is shown instead.

    >>> nothing_of("policy", "nope", "routing is shown")
    Markup('<p class="notice"><i aria-hidden="true">▲ </i>There is no policy `nope`: routing is shown.</p>')
    """
    said = f"There is no {kind} `{asked[:_MOST_ASKED]}`: {instead}."
    return tag("p", tag("i", "▲ ", aria_hidden="true"), said, class_="notice")


def facts_list(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they stand for."""
    return tag("dl", [[tag("dt", name), tag("dd", value)] for name, value in pairs])


def empty(text: str) -> Markup:
    """What stands where there is nothing to show, and why."""
    return tag("p", text, class_="empty")


def address(path: str, **query: str | int | None) -> str:
    """An address on this server; what a journal says is one value in it, whatever it holds.

    >>> address("/decisions", symbol="A&B", route=None)
    '/decisions?symbol=A%26B'
    """
    given = {key: value for key, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, safe='/')}" if given else path


def file_link(span: Span | str) -> Markup:
    """Where something stands, as a link into the editor."""
    at = span if isinstance(span, str) else f"{span.file}:{span.line}"
    file, _, line = at.rpartition(":")
    return tag("a", name(at), href=address("/rules/edit", file=file, line=line), class_="at")


def decision_link(decision_id: str, text: Child = None, *, label: str | None = None) -> Markup:
    """A link to a decision; `label` is its name for those who only hear it."""
    shown = text if text is not None else decision_id[:12]
    return tag("a", shown, href=f"/decisions/{quote(decision_id, safe='')}", aria_label=label)
