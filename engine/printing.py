"""How anything is put on a terminal: paragraphs that wrap, counts with their noun, text that cannot steer the screen.

A leaf: whoever prints may use it.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_PATIENCE_S = 2.0
"""Whatever takes longer says how far it is."""
_LINE_EVERY_S = 10.0
"""Between two lines of it where nobody looks on."""
_STEP_CELLS = 79
LEAST_ROOM = 20
"""Cells that a text gets however narrow the screen is."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "rule"), counted(2000, "policy", "policies")
    ('1 rule', '2,000 policies')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def plainly(value: object) -> str:
    """A decided value for a person, in full; None is a decision that is not there.

    >>> plainly(None), plainly(True), plainly(0.5)
    ('nothing', 'true', '0.5')
    """
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def lasting(seconds: float) -> str:
    """A length of time, in a unit that can be read.

    >>> [lasting(each) for each in (0.25, 12, 700, 8000, 400_000)]
    ['0.2 s', '12 s', '12 min', '2.2 h', '4.6 days']
    """
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    if seconds < 180:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def ago(age_s: float) -> str:
    """An age: how long ago something was, or how far ahead it lies.

    >>> ago(700), ago(-3)
    ('12 min ago', '3 s ahead')
    """
    return f"{lasting(-age_s)} ahead" if age_s < 0 else f"{lasting(age_s)} ago"


def print_wrapped(console: Console, text: Text, *, hanging: int = 4) -> None:
    """One paragraph, its further lines indented; unbroken where nobody said how wide the output is."""
    if not is_measured(console):
        console.print(text, soft_wrap=True)
        return
    if cell_len(text.plain) <= console.width:
        console.print(text, soft_wrap=True)
        return
    first = text.wrap(console, console.width)[0]
    first.rstrip()
    console.print(first, soft_wrap=True)
    done = len(first)
    while text.plain[done : done + 1] == " ":
        done += 1
    for line in text[done:].wrap(console, max(console.width - hanging, LEAST_ROOM)) if done < len(text) else ():
        line.rstrip()
        console.print(Text(" " * hanging) + line, soft_wrap=True)


def print_labelled(console: Console, label: str, text: str, *, indent: int, cells: int) -> None:
    """A line that begins with a dim word: `indent` cells in front of it, and `cells` for the word."""
    shown = Text.assemble(" " * indent, (f"{label:<{cells}}", "dim"), f"  {printable(text)}")
    print_wrapped(console, shown, hanging=indent + cells + 4)


def print_indented(console: Console, cells: int, show: Callable[[Console], None]) -> None:
    """Whatever `show` prints, so many cells to the right; what wraps does so before the edge."""
    width = console.width
    with console.capture() as captured:
        console.width = max(width - cells, LEAST_ROOM)
        show(console)
    console.width = width
    for line in captured.get().splitlines():
        console.print(Text(" " * cells if line else "") + Text.from_ansi(line), soft_wrap=True)


def is_measured(console: Console) -> bool:
    """True where the width is that of a terminal, or was given in COLUMNS."""
    return console.is_terminal or "COLUMNS" in console._environ  # noqa: SLF001 - what the console itself reads


def printable(text: str) -> str:
    r"""The text with every character that would move the cursor or change colours replaced.

    >>> printable("a\tb\x1b[31m") == "a b\N{REPLACEMENT CHARACTER}[31m"
    True
    """
    if text.isprintable():
        return text
    return "".join(
        " " if character == "\t" else "\N{REPLACEMENT CHARACTER}" if _steers(character) else character
        for character in text
    )


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


class Steps:
    """Says on standard error how far a long question has got: `proving prod: 512 of 1,379 questions, 12 s`.

    On a terminal one line that is written anew, after a while, with what comes next; elsewhere (the log of a build) a
    line every ten seconds. Nothing where it is quick.
    """

    def __init__(self, doing: str, of: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._doing = doing
        self._of = of
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._told = self._started
        self._shown = False

    def __call__(self, step: str, done: int, total: int) -> None:
        """Say what comes next; with the last step done the line on a terminal goes away."""
        now = self._clock()
        told = f"{self._doing}: {done:,} of {total:,} {self._of}, {now - self._started:.0f} s"
        if not self._stream.isatty():
            if done < total and now - self._told >= _LINE_EVERY_S:
                self._told = now
                self._stream.write(f"{told}\n")
                self._stream.flush()
            return
        if now - self._started < _PATIENCE_S:
            return
        if done < total or self._shown:
            text = f"{told}: {printable(step)}" if done < total else ""
            self._stream.write(f"\r{text[:_STEP_CELLS]}\x1b[K")
            self._stream.flush()
        self._shown = done < total
