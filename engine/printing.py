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
_STEP_CELLS = 79
LEAST_ROOM = 20
"""Cells that a text gets however narrow the screen is."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "rule"), counted(2, "policy", "policies")
    ('1 rule', '2 policies')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def plainly(value: object) -> str:
    """A decided value for a person, in full; None is a decision that is not there.

    >>> plainly(None), plainly(True), plainly(0.5)
    ('nothing', 'true', '0.5')
    """
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


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
    """A line on standard error that says how far a long question has got: on a terminal, and only after a while."""

    def __init__(self, doing: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._doing = doing
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._shown = False

    def __call__(self, step: str, done: int, total: int) -> None:
        """Say what comes next; with the last step done the line goes away."""
        if not self._stream.isatty() or self._clock() - self._started < _PATIENCE_S:
            return
        if done < total or self._shown:
            text = f"{self._doing} {done + 1} of {total}: {printable(step)}" if done < total else ""
            self._stream.write(f"\r{text[:_STEP_CELLS]}\x1b[K")
            self._stream.flush()
        self._shown = done < total
