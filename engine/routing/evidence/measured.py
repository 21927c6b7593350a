"""What became of one intent that was routed, and what that cost: the one meaning of it that reports, `sluice why` and
pages share.

In: its outcome and its baselines, in any order. Out: its shortfall. What was not filled is measured at the end that all
ways of routing the intent share, as soon as a baseline tells of that; until then at the outcome's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.journal.events import BaselineDone, Outcome
from engine.routing.evidence.baselines import BASELINES
from engine.routing.evidence.costs import Shortfall, shortfall


@dataclass(slots=True)
class Measured:
    """The end of one intent, as far as the journal has told of it."""

    outcome: Outcome | None = None
    baselines: dict[str, BaselineDone] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether everything is there that is ever said of an intent."""
        return self.outcome is not None and len(self.baselines) == len(BASELINES)

    @property
    def end_mid(self) -> float | None:
        """The mid at the end that all ways share; None where there are no baselines to share it with."""
        done = next(iter(self.baselines.values()), None)
        return None if done is None else done.end_mid

    @property
    def cost(self) -> Shortfall | None:
        """What it cost; None while it has not ended, and where nothing was to be traded in the end."""
        return None if self.outcome is None or not was_traded(self.outcome) else shortfall(self.outcome, self.end_mid)


def was_traded(outcome: Outcome) -> bool:
    """Whether something was to be traded; an intent that is decided on again may be refused then."""
    return outcome.route != "none" and bool(outcome.target)
