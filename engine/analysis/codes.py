"""What the codes of findings mean: the sections of docs/findings.md, by code.

In: the page that came with this installation. Out: each section as text.
"""

from __future__ import annotations

import re
from functools import cache

from engine.analysis.request import RequestError
from engine.home import shipped_home
from engine.language.spelling import did_you_mean

_SECTION = re.compile(r"^### `([a-z_.]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


@cache
def sections() -> dict[str, str]:
    """Every code with its section, in the order of the page."""
    page = (shipped_home() / "docs" / "findings.md").read_text(encoding="utf-8")
    return {code: text.strip() for code, text in _SECTION.findall(page)}


def section(code: str) -> str:
    """What the page says of a code.

    Raises:
        RequestError: for a code that is none.

    """
    found = sections().get(code)
    if found is None:
        listed = "`sluice findings` lists them"
        raise RequestError(f"no finding has the code `{code}`", did_you_mean(code, sections(), listed))
    return found


def first_sentence(text: str) -> str:
    r"""The first line of a section: one sentence stands on each.

    >>> first_sentence("A folder is not there.\n\nAvoid it.")
    'A folder is not there.'
    """
    return text.partition("\n")[0]
