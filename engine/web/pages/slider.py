"""A slider that a keyboard reaches and a screen reader names."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from engine.web.pages.playing import Reach

_AT_MOST_EVERY_S = 0.05


class Slider(ui.element, component="slider.js"):
    """Calls `slid` with each number that it is moved to, and can be put anywhere without calling it."""

    def __init__(self, label: str, reach: Reach, at: float, slid: Callable[[float], object]) -> None:
        """`label` is its name for who does not see it."""
        super().__init__()
        self._props.update({"label": label, "low": reach.low, "high": reach.high, "step": reach.step, "at": at})
        self._slid = slid
        self.on("slid", lambda event: self._move(event.args), throttle=_AT_MOST_EVERY_S)

    def put(self, at: float) -> None:
        """Move it; what it stands at already is not sent, since somebody may be moving it."""
        if at != self._props["at"]:
            self._props["at"] = at

    def _move(self, at: object) -> None:
        if isinstance(at, int | float):
            number = float(f"{at:.10g}")  # steps add up to 0.30000000000000004
            with self._props.suspend_updates():
                self._props["at"] = number
            self._slid(number)
