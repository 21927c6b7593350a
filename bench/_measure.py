"""Measuring side by side, and saying what came of it: a table, a line of JSON, and the exit code of `--check`.

Machines are noisy, so contenders are never timed one after the other. A round gives each of them the same inputs, in an
order that is drawn anew for every round; a ratio is the median of the rounds' ratios, a time the median of the rounds'.
All meet the same caches: before a contender is timed its inputs are read once, as by whoever has just made them, and it
decides as many others. Without the first, whoever follows a neighbour with inputs of the same form would find them
warm; with a rehearsal on the inputs that are timed, the processor would know every branch that is taken.
The clock is the processor time of this process (all its threads): what others do meanwhile does not count.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from time import process_time
from typing import Any, Literal

Timed = Callable[[Any], object]
"""One decision: the contender's own form of an input in, anything out."""


@dataclass(frozen=True)
class Contender:
    """Something that decides, and the inputs as it wants them: the same ones for all, in the same order."""

    name: str
    decide: Timed
    inputs: Sequence[Any]


@dataclass(frozen=True)
class Times:
    """Microseconds a decision, by contender and round."""

    rounds: Mapping[str, tuple[float, ...]]

    def micros(self, name: str) -> float:
        """The median time of a contender."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str, base: str) -> float:
        """How many times as long as the base a contender takes: the median of the rounds' ratios."""
        pairs = zip(self.rounds[name], self.rounds[base], strict=True)
        return statistics.median(mine / its for mine, its in pairs)


def side_by_side(contenders: Sequence[Contender], *, rounds: int, batch: int) -> Times:
    """Time all contenders over the same `batch` inputs a round, walking through the inputs round by round."""
    taken: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    shuffled, order = Random(0), list(contenders)
    gc.collect()
    gc.freeze()  # the inputs are no garbage, and a live host does not hold ten thousand of them
    try:
        for number in range(-1, rounds):  # the first round warms up
            shuffled.shuffle(order)
            for contender in order:
                start = max(number, 0) * batch
                inputs = _slice(contender.inputs, start, batch)
                _touch(inputs)
                _seconds(contender.decide, _slice(contender.inputs, start + len(contender.inputs) // 2, batch))
                elapsed = _seconds(contender.decide, inputs)
                if number >= 0:
                    taken[contender.name].append(elapsed / len(inputs) * 1e6)
    finally:
        gc.unfreeze()
    return Times({name: tuple(times) for name, times in taken.items()})


def _slice(inputs: Sequence[Any], start: int, count: int) -> list[Any]:
    return [inputs[(start + number) % len(inputs)] for number in range(count)]


def _touch(held: Any) -> None:
    """Read every value once."""
    if isinstance(held, dict):
        for inner in held.values():
            _touch(inner)
    elif isinstance(held, (list, tuple)):
        for inner in held:
            _touch(inner)
    else:
        hash(held)


def _seconds(decide: Timed, inputs: list[Any]) -> float:
    start = process_time()
    for one in inputs:
        decide(one)
    return process_time() - start


@dataclass(frozen=True)
class Reach:
    """What a figure has to be."""

    sense: Literal["<=", ">="]
    limit: float

    def __str__(self) -> str:
        return f"{self.sense} {self.limit:g}"

    def met_by(self, value: float) -> bool:
        """Whether a figure is good enough (NaN never is)."""
        return value <= self.limit if self.sense == "<=" else value >= self.limit


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    reach: Reach | None = None

    @property
    def missed(self) -> bool:
        """Whether it has a reach and is not good enough."""
        return self.reach is not None and not self.reach.met_by(self.value)


@dataclass
class Report:
    """The figures of one benchmark, in the order they are shown."""

    bench: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, reach: Reach | None = None) -> None:
        """Add a figure."""
        self.figures.append(Figure(name, value, unit, reach))

    def note(self, text: str) -> None:
        """Add a line of text under the table."""
        self.notes.append(text)

    def explain(self, name: str, text: str) -> None:
        """Add a line that says what a figure is made of, if it misses its reach."""
        if any(figure.name == name for figure in self.missed):
            self.note(f"{name}: {text}")

    @property
    def missed(self) -> list[Figure]:
        """The figures that miss their reach."""
        return [figure for figure in self.figures if figure.missed]

    def table(self) -> str:
        """The figures for a person."""
        rows = [("figure", "value", "unit", "reach", "")]
        for figure in self.figures:
            verdict = "" if figure.reach is None else "missed" if figure.missed else "met"
            rows.append((figure.name, _shown(figure.value), figure.unit, str(figure.reach or ""), verdict))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = [
            f"{name:<{widths[0]}}  {value:>{widths[1]}}  {unit:<{widths[2]}}  {reach:<{widths[3]}}  {verdict}".rstrip()
            for name, value, unit, reach, verdict in rows
        ]
        return "\n".join([*lines, *self.notes])

    def json(self) -> str:
        """Every figure with its reach, as one line."""
        figures = {
            figure.name: {"value": round(figure.value, 4), "unit": figure.unit}
            | ({} if figure.reach is None else {"reach": str(figure.reach), "met": not figure.missed})
            for figure in self.figures
        }
        return json.dumps({"bench": self.bench, "figures": figures, "notes": self.notes})


def _shown(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def run(description: str, measure: Callable[[], Report], arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and the line of JSON; with `--check` the exit code is 1 if a reach is missed."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure misses its reach")
    wanted = parser.parse_args(arguments)
    report = measure()
    print(report.table())
    print(report.json())
    return int(wanted.check and bool(report.missed))
