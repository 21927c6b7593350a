"""Charts as inline SVG: lines, and bars in parts. No script, no fonts, no addresses; colours come from the page.

In: numbers with their names. Out: an `<svg>` element as text, whose parts carry the classes `s0`, `s1`, … for series
and `axis`, `grid`, `zero`, `total` for the rest; `STYLE` says how they look in light and dark. Every text is escaped.

Drawn by hand rather than by matplotlib: an SVG of that has its colours and letter shapes fixed, so that it follows no
dark mode, and it would be the heaviest thing that is installed. A drawing here is 420 units wide, so that its letters
can be read on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 32
_LINES_HEIGHT = 240
_BAR_HEIGHT, _BAR_ROW = 16, 44
_TICKS = 5

STYLE = """
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
svg.chart text { font: 12px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg.chart text.name, svg.chart text.value { fill: var(--text); paint-order: stroke; stroke: var(--card);
  stroke-width: 4px; }
svg.chart text.value { font-weight: 600; }
svg.chart .grid { stroke: var(--line); stroke-width: 1; }
svg.chart .zero { stroke: var(--soft); stroke-width: 1; }
svg.chart .total { stroke: var(--text); stroke-width: 2.5; }
svg.chart path.line, svg.key path.line { fill: none; stroke-width: 2.25; stroke-linejoin: round; }
svg.key { width: 26px; height: 12px; vertical-align: middle; } svg.key.box { width: 14px; }
path.s0, circle.s0 { stroke: var(--s0); } rect.s0, circle.s0 { fill: var(--s0); }
path.s1, circle.s1 { stroke: var(--s1); } rect.s1, circle.s1 { fill: var(--s1); }
path.s2, circle.s2 { stroke: var(--s2); } rect.s2, circle.s2 { fill: var(--s2); }
path.s3, circle.s3 { stroke: var(--s3); } rect.s3, circle.s3 { fill: var(--s3); }
path.s1 { stroke-dasharray: 7 4; } path.s2 { stroke-dasharray: 2 3; }
@media (max-width: 480px) { svg.chart text { font-size: 15px; } }
""".strip()
"""How charts look; the page sets --card, --text, --soft, --line and --s0 to --s3. Lines differ by dashes as well."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: points by growing x."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False
    """Whether each point is marked, and says its value."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: parts that are stacked away from 0 on either side, and what stands above them."""

    name: str
    parts: Sequence[tuple[str, float]]
    """Their names and values; the class of a part is its place among them."""
    value: str
    """What it comes to, in words."""


def line_chart(title: str, lines: Sequence[Line], x_ticks: Sequence[tuple[float, str]], unit: str) -> str:
    """Lines over one axis; `x_ticks` are places and their labels."""
    points = [point for line in lines for point in line.points]
    xs = [x for x, _ in points] + [x for x, _ in x_ticks]
    across = _Scale(min(xs), max(xs), _LEFT, WIDTH - _RIGHT)
    ticks = nice_ticks(min(0.0, *(y for _, y in points)), max(0.0, *(y for _, y in points)))
    down = _Scale(ticks[0], ticks[-1], _LINES_HEIGHT - _BOTTOM, _TOP)
    parts = [_grid_line(down(tick), tick, ticks) for tick in ticks]
    for x, label in x_ticks:
        parts.append(_text(across(x), _LINES_HEIGHT - _BOTTOM + 21, label, _anchor(across(x))))
    for number, line in enumerate(lines):
        if not line.points:
            continue
        places = [(across(x), down(y)) for x, y in line.points]
        path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in places)
        parts.append(f'<path class="line s{number}" d="{path}"><title>{escape(line.name)}</title></path>')
        if line.dots:
            parts += [
                f'<circle class="s{number}" cx="{_n(x)}" cy="{_n(y)}" r="3.5">'
                f"<title>{escape(f'{line.name}: {value:+.2f} {unit}')}</title></circle>"
                for (x, y), (_, value) in zip(places, line.points, strict=True)
            ]
    return _svg(title, _LINES_HEIGHT, parts)


def bar_chart(title: str, bars: Sequence[Bar], unit: str) -> str:
    """Bars below each other, positive parts to the right of 0 and negative ones to the left, their sum as a mark."""
    ends = [end for bar in bars for end in (_sum(bar, -1), _sum(bar, 1))]
    ticks = nice_ticks(min(0.0, *ends), max(0.0, *ends))
    across = _Scale(ticks[0], ticks[-1], _RIGHT, WIDTH - _RIGHT)
    height = _TOP + _BAR_ROW * len(bars) + _BOTTOM
    bottom = height - _BOTTOM
    parts = []
    for tick in ticks:
        x, kind = across(tick), "zero" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{_n(x)}" x2="{_n(x)}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 21, tick_text(tick, ticks), _anchor(x)))
    for row, bar in enumerate(bars):
        top = _TOP + row * _BAR_ROW
        parts += [_text(_RIGHT, top + 13, bar.name, "start", "name")]
        parts += [_text(WIDTH - _RIGHT, top + 13, bar.value, "end", "value")]
        parts += _stack(bar, across, top + 20, unit)
    return _svg(title, height, parts)


def key(number: int, *, line: bool) -> str:
    """What a series looks like, for a legend."""
    if line:
        stroke = f'<path class="line s{number}" d="M1 6L25 6"/>'
        return f'<svg class="key" viewBox="0 0 26 12" aria-hidden="true">{stroke}</svg>'
    box = f'<rect class="s{number}" width="14" height="12"/>'
    return f'<svg class="key box" viewBox="0 0 14 12" aria-hidden="true">{box}</svg>'


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers that reach from `low` or below to `high` or above, 0 among them if it lies between.

    >>> nice_ticks(-0.62, 5.45), nice_ticks(0, 0)
    ([-2.0, 0.0, 2.0, 4.0, 6.0], [0.0, 1.0])
    """
    if not high > low:
        return [0.0, 1.0] if low == 0 else [low, low + 1.0]
    rough = (high - low) / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def tick_text(tick: float, ticks: Sequence[float]) -> str:
    """A tick with as many digits as tell it from its neighbours.

    >>> [tick_text(tick, [0.0, 0.25, 0.5]) for tick in (0.0, 0.25)], tick_text(1500.0, [0.0, 1500.0])
    (['0', '0.25'], '1,500')
    """
    if tick == 0:
        return "0"
    apart = ticks[1] - ticks[0]
    digits = next((digits for digits in range(9) if abs(round(apart, digits) - apart) < apart * 1e-6), 9)
    return f"{tick:,.{digits}f}"


class _Scale:
    """Values to places, linearly."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._start = low, start
        self._slope = (end - start) / (high - low) if high > low else 0.0

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) * self._slope


def _stack(bar: Bar, across: _Scale, top: float, unit: str) -> Iterable[str]:
    ends = {1: 0.0, -1: 0.0}
    for number, (name, value) in enumerate(bar.parts):
        side = 1 if value >= 0 else -1
        start, ends[side] = ends[side], ends[side] + value
        left, right = sorted((across(start), across(ends[side])))
        tip = escape(f"{name}: {value:+.2f} {unit}")
        yield (
            f'<rect class="s{number}" x="{_n(left)}" y="{top}" width="{_n(right - left)}" height="{_BAR_HEIGHT}">'
            f"<title>{tip}</title></rect>"
        )
    if len(bar.parts) > 1:
        x = _n(across(sum(value for _, value in bar.parts)))
        yield f'<line class="total" x1="{x}" x2="{x}" y1="{top - 3}" y2="{top + _BAR_HEIGHT + 3}"/>'


def _sum(bar: Bar, side: int) -> float:
    return sum(value for _, value in bar.parts if value * side > 0)


def _grid_line(y: float, tick: float, ticks: Sequence[float]) -> str:
    kind = "zero" if tick == 0 else "grid"
    line = f'<line class="{kind}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{_n(y)}" y2="{_n(y)}"/>'
    return line + _text(_LEFT - 6, y + 4, tick_text(tick, ticks), "end")


def _anchor(x: float) -> str:
    """Which end of a label stands at its place, so that none leaves the drawing."""
    return "start" if x < _LEFT else "end" if x > WIDTH - _LEFT else "middle"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "axis") -> str:
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {_n(height)}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _n(value: float) -> str:
    """A place with one digit, which is finer than anything that is seen."""
    return f"{value:.1f}".removesuffix(".0")
