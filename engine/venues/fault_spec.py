"""Faults of a paper venue, as a command line has them.

In: texts such as `place.timeout=0.01,fill.duplicate=0.05,late_ms=500`. Out: `Faults`. On the left of a likelihood is
what it happens to (`place`, `cancel`, `query`, `fill`) and which fault (`faults` lists them); waits are in
milliseconds, under the names that `Faults` has for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, get_args

from engine.venues.faults import Faults, FillFault, RequestFault

_FAULTS_OF: dict[str, Sequence[str]] = {
    "place": get_args(RequestFault),
    "cancel": get_args(RequestFault),
    "query": get_args(RequestFault),
    "fill": get_args(FillFault),
}
_WAITS = tuple(field.name for field in fields(Faults) if field.name.endswith("_ms"))


def parse_faults(texts: Iterable[str]) -> Faults:
    """The faults of some texts, each with commas between its parts; a later part goes over an earlier one.

    Raises `ValueError` with a sentence that says which part cannot be read and what could stand there.

    >>> parse_faults(["place.timeout=0.01,fill.late=1", "late_ms=500"]).fill
    {'late': 1.0}
    """
    likelihoods: dict[str, dict[str, float]] = {kind: {} for kind in _FAULTS_OF}
    waits: dict[str, int] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, number = part.partition("=")
        kind, dot, fault = name.partition(".")
        if not equals:
            raise ValueError(f"`{part}` is no fault: write `place.timeout=0.01`, or a wait as `late_ms=500`")
        if not dot:
            wait = _one_of(name, _WAITS, part)
            waits[wait] = _wait_ms(number, part)
        else:
            kind = _one_of(kind, tuple(_FAULTS_OF), part)
            fault = _one_of(fault, _FAULTS_OF[kind], part)
            likelihoods[kind][fault] = _likelihood(number, part)
    typed: dict[str, Any] = {**likelihoods, **waits}
    return Faults(**typed)


def _one_of(name: str, known: Sequence[str], part: str) -> str:
    if name not in known:
        raise ValueError(f"`{name}` in `{part}` is none of {', '.join(known)}")
    return name


def _likelihood(text: str, part: str) -> float:
    try:
        likelihood = float(text)
    except ValueError:
        likelihood = -1.0
    if not 0.0 <= likelihood <= 1.0:
        raise ValueError(f"`{text}` in `{part}` is no likelihood from 0 to 1")
    return likelihood


def _wait_ms(text: str, part: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"`{text}` in `{part}` is no whole number of milliseconds")
    return int(text)
