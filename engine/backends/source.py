"""Generated text becomes a function: the one place where Sluice runs text of its own making."""

from __future__ import annotations

from typing import Any


def function_from(source: str, name: str, shown: str, namespace: dict[str, Any]) -> Any:
    """The function `name` that a source defines. `namespace` is what it may use, `shown` its file name in a traceback.

    Every name and value in a source was checked when the documents were read: names are identifiers, texts are quoted.
    """
    exec(compile(source, f"<{shown}>", "exec"), namespace)  # noqa: S102 - our own text
    return namespace[name]
