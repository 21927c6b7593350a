"""What a view of the journal cannot give: the one error that files, stories and kept rulebooks raise on purpose."""

from __future__ import annotations

from engine.language.findings import SluiceError


class ViewError(SluiceError):
    """Something was asked for that is not there or cannot be had: what is wrong, and what helps."""

    def __init__(self, message: str, help: str) -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{message} ({help})" if help else message)
        self.message = message
        self.help = help
