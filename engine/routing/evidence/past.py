"""What was decided on in the past, out of a journal: facts of each decision, and what came of the intent.

In: the folder of a journal, a logs folder that has one, or one day's file. Out: a `PastDecision` for each decision that
holds its facts, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from engine.journal.events import Decided, Event, Outcome
from engine.journal.folder import DayFile, day_files
from engine.journal.reader import read, read_file
from engine.routing.evidence.costs import shortfall

_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl(\.gz)?", re.ASCII)
_TYPES = (Decided, Outcome)


@dataclass(frozen=True, slots=True)
class IntentCost:
    """What an intent cost, all of which is known: implementation shortfall, positive is cost."""

    intent_id: str
    usd: float
    notional_usd: float


@dataclass(frozen=True, slots=True)
class PastDecision:
    """A decision of a journal: what it was decided on, and what came of its intent where that is known."""

    policy: str | None
    facts: Mapping[str, Any]
    cost: IntentCost | None


class _Record(msgspec.Struct):
    """What of a decision's record is needed to decide again."""

    now: float
    symbol: str | None
    intent_id: str | None
    facts: dict[str, Any] | None = None


def is_journal(path: Path) -> bool:
    """Whether a path is a journal's folder, a folder with one, or a day of one."""
    return _DAY.fullmatch(path.name) is not None if path.is_file() else _folder(path) is not None


def past_decisions(path: Path) -> Iterator[PastDecision]:
    """The decisions of a journal. It is read twice: outcomes stand behind the decisions that led to them.

    Raises:
        JournalError: for a line that says no event, and a file that cannot be read.

    """
    costs = {
        event.intent_id: cost
        for event in _events(path)
        if isinstance(event, Outcome) and (cost := _cost(event)) is not None
    }
    for event in _events(path):
        if isinstance(event, Decided):
            held = msgspec.json.decode(event.record, type=_Record)
            if held.facts is not None:  # without, it refers to groups of facts by their ids
                facts = {"now": held.now, "symbol": held.symbol, "intent_id": held.intent_id, **held.facts}
                yield PastDecision(event.policy, facts, costs.get(event.intent_id) if event.intent_id else None)


def _cost(done: Outcome) -> IntentCost | None:
    cost = shortfall(done)
    if cost.missing or cost.total_usd is None or cost.notional_usd is None:
        return None
    return IntentCost(done.intent_id, cost.total_usd, cost.notional_usd)


def _events(path: Path) -> Iterable[Event]:
    if path.is_file():
        match = _DAY.fullmatch(path.name)
        assert match is not None
        return read_file(DayFile(date.fromisoformat(match[1]), path, match[2] is not None), types=_TYPES)
    folder = _folder(path)
    assert folder is not None
    return read(folder, types=_TYPES)


def _folder(path: Path) -> Path | None:
    """The folder of the journal: the one given, or `journal/` or `logs/journal/` in it."""
    candidates = (path, path / "journal", path / "logs" / "journal")
    return next((each for each in candidates if day_files(each, archived=True)), None)
