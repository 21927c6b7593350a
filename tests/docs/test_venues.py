"""docs/venues.md: its tables are those of the code, and every card names cases that exist.

After a change that is meant, `python -m tests.docs.test_venues` in the repository writes its generated parts anew.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import get_args

import pytest

from engine.venues import faults, messages, order_checks, paper, wire
from engine.venues.fault_spec import parse_faults
from engine.venues.paper import PaperSettings
from engine.venues.paper_book import ASSUMED_LEVELS, Depth, Queue
from engine.venues.venue import EmbeddedVenue, Venue
from tests.docs.pages import documented, table, with_generated
from tests.docs.test_contract import is_known
from tests.docs.test_language import ROOT

PATH = ROOT / "docs/venues.md"
PAGE = PATH.read_text(encoding="utf-8")
COMMAND = "python -m tests.docs.test_venues"

ELSEWHERE = {
    "taker_fee_bps": "The same of what took.",
    "post_only_reject": "What becomes of a post-only order that would take: `code` refuses it and records nothing, "
    "`expired` accepts it as that, `open_then_expired` accepts it as open, and an update says that it expired.",
    "faults": "What goes wrong, below.",
}
"""Settings that say nothing of themselves, since their types or the one before them do."""


# --- the generated parts ----------------------------------------------------------------------------------------------


def generated() -> dict[str, str]:
    """The generated parts of the page, by name."""
    return {"requests": requests(), "settings": settings(), "faults": fault_tables(), "frames": frames()}


def requests() -> str:
    """A row for each request."""
    rows = [
        f"| `{kind.__name__}` | {_first_line(kind)} | {', '.join(f'`{name}`' for name in kind.__struct_fields__)} |"
        for kind in (messages.Place, messages.Cancel, messages.Query)
    ]
    return "\n".join(["| Request | Meaning | Fields |", "|---|---|---|", *rows, ""])


def settings() -> str:
    """A row for each setting of the paper venue, with what its docstrings say."""
    made = PaperSettings()
    texts = {name: text or ELSEWHERE[name] for name, text in documented(paper, "PaperSettings").items()}
    rows = [f"| `{name}` | {_written(getattr(made, name))} | {text} |" for name, text in texts.items()]
    return "\n".join(["| Setting | Default | Meaning |", "|---|---|---|", *rows, ""])


def fault_tables() -> str:
    """The table of the module's docstring, and what may happen to fills."""
    table = re.search(r"(?:^\|[^\n]*\|\n)+", str(faults.__doc__), re.MULTILINE)
    assert table is not None
    fills = [
        "An event of a fill (`fill.…`) can be `late` by `late_ms`, a `duplicate` after `duplicate_ms`, or `lost`,",
        "so that only a query finds it.",
    ]
    return f"{table[0]}\n{' '.join(fills)}\n"


def frames() -> str:
    """A row for each frame, by who sends it."""
    rows = [
        f"| {sender} | `{kind.__struct_config__.tag}` | {_first_line(kind)} |"
        for sender, union in (("client", wire.ClientFrame), ("venue", wire.VenueFrame))
        for kind in get_args(union)
    ]
    return "\n".join(["| From | Frame | Meaning |", "|---|---|---|", *rows, ""])


def _first_line(kind: type) -> str:
    return str(kind.__doc__).splitlines()[0]


def _written(value: object) -> str:
    match value:
        case faults.Faults():
            return "none"
        case int() | Decimal():
            return f"{value}"
        case str():
            return f"`{value}`"
    raise NotImplementedError(f"say here how {value!r} is written")


def test_the_generated_parts_are_current() -> None:
    assert with_generated(PAGE, generated(), COMMAND) == PAGE, f"run: {COMMAND}"


# --- what is written by hand ------------------------------------------------------------------------------------------


def test_the_members_of_the_protocol_are_those_of_the_code() -> None:
    below = PAGE.partition("## The protocol\n")[2]
    described = set(re.findall(r"^\| `(\w+)[`(]", below.partition("<!--")[0], re.MULTILINE))
    members = {name for name in vars(Venue) if not name.startswith("_")}
    assert described == members
    assert {name for name in vars(EmbeddedVenue) if not name.startswith("_")} - members == {"see"}
    assert "`see(event)`" in below


def test_every_refusal_of_the_venue_has_its_code() -> None:
    text = (ROOT / "engine/venues/order_checks.py").read_text(encoding="utf-8")
    used = {*map(int, re.findall(r"Refusal\(\s*(-\d+)", text))}
    assert order_checks.WOULD_TAKE.code in used
    stated = [int(code) for row in table(PAGE, "What it refuses") for code in re.findall(r"-\d+", row[0])]
    assert len(stated) == len(set(stated))
    assert set(stated) == used


def test_every_way_to_refuse_a_post_only_order_is_explained() -> None:
    assert [way for way in get_args(paper.PostOnlyReject) if f"`{way}`" not in ELSEWHERE["post_only_reject"]] == []


def test_both_bounds_and_both_depths_are_explained() -> None:
    text = PAGE.partition("### What it assumes\n")[2].partition("### Settings")[0]
    assert [name for name in (*get_args(Queue), *get_args(Depth)) if f"`{name}`" not in text] == []
    assert f"{ASSUMED_LEVELS} at most" in text


def test_the_faults_shown_can_be_asked_for_and_every_wait_is_named() -> None:
    (shown,) = re.findall(r"`--faults ([^`]+)`", PAGE)
    assert parse_faults([shown]).happen
    text = PAGE.partition("### Faults\n")[2].partition("\n## ")[0]
    waits = [name for name in documented(faults, "Faults") if name.endswith("_ms")]
    assert [name for name in waits if f"`{name}`" not in text] == []
    kinds = (*get_args(faults.RequestFault), *get_args(faults.FillFault))
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []


def test_every_card_is_played_for_the_paper_venue() -> None:
    cards = table(PAGE, "Another venue")
    assert [card[0] for card in cards] == [str(number) for number in range(1, len(cards) + 1)]
    for _, *said, held in cards:
        assert all(said)
        ids = re.findall(r"`([^`]+)`", held)
        assert ids
        assert [id_ for id_ in ids if not is_known(id_)] == []


@pytest.mark.parametrize("version", [wire.VERSION])
def test_the_version_of_the_frames_is_the_present_one(version: int) -> None:
    assert f"`engine/venues/wire.py`, version {version})" in PAGE


if __name__ == "__main__":
    PATH.write_text(with_generated(PAGE, generated(), COMMAND), encoding="utf-8")
