"""An element whose parts are replaced as they change: the server builds HTML, the browser puts it in its place.

In: the HTML of the start, and later parts by their ids. Only parts that differ from what was sent are sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nicegui import ui

if TYPE_CHECKING:
    from markupsafe import Markup


class LiveHtml(ui.element, component="live_html.js"):
    """HTML of our own making (`markup`), which is why it is not sanitized."""

    def __init__(self, start: Markup, parts: Mapping[str, Markup] | None = None) -> None:
        """`parts` are those of the start that may be replaced, by id, as they stand in it."""
        super().__init__()
        self._props["start"] = str(start)
        self._sent = dict(parts or {})

    def show(self, parts: Mapping[str, Markup], inside: Mapping[str, Markup] | None = None) -> None:
        """Put each part in the place of the one of its id. `inside` are parts that come with these."""
        changed = {name: str(part) for name, part in parts.items() if self._sent.get(name) != part}
        if changed:
            self._sent.update({**parts, **(inside or {})})
            self.run_method("put", changed)

    def add(self, into: str, rows: Markup, most: int) -> None:
        """Put rows before the others of a part, which then holds at most so many."""
        self.run_method("before", into, str(rows), most)
