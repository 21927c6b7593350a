"""Text within Markdown: as code, or as it is."""

from __future__ import annotations

from engine.printing import printable

_SPECIAL = "\\`*_{}[]<>#|~$"


def code(text: str) -> str:
    """Text as code, which nothing in it can end, nor the cell of a table that it stands in."""
    if not text:
        return ""
    text = printable(" ".join(text.split())).replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def plain(text: str) -> str:
    """Text as it is: nothing in it is taken for Markdown, or for the name of somebody to notify."""
    text = printable(" ".join(text.split()))
    return "".join(f"\\{each}" if each in _SPECIAL else each for each in text).replace("@", "&#64;")
