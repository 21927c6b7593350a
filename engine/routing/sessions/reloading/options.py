"""How a session reloads: what keeps a change out, where changes come from, and how patient it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.analysis.proofs import QUESTION_TIMEOUT_S
from engine.language.findings import Finding, Severity, Span
from engine.language.load import Files
from engine.reload.errors import ReloadError
from engine.reload.last_good import NO_BUNDLE, LastGood
from engine.reload.pipeline import Gate
from engine.reload.remote import Arrived, Failed, Remote
from engine.reload.watch import WatchSettings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WHOLE = Span(".", 1, 1, 1, 2)
"""Where a finding is that is about no file."""


@dataclass(frozen=True, slots=True)
class ReloadOptions:
    """How a session reloads."""

    gate: Gate = "proofs"
    """What keeps a change out."""
    address: str | None = None
    """Where bundles come from; None: the home is watched."""
    keys: Sequence[Ed25519PublicKey] = ()
    """With any, bundles must be signed by one of them."""
    fetched: FirstBundle | None = None
    """What the address gave before the session began (`fetch_first`)."""
    past: int = 500
    """Decisions of the journal that a change is tried on."""
    watch: WatchSettings = field(default_factory=WatchSettings)
    look_s: float = 0.1
    """How often it is looked whether somebody asks something."""
    proof_timeout_s: float = QUESTION_TIMEOUT_S
    """For one question to the solver."""

    @property
    def asked_keys(self) -> Sequence[Ed25519PublicKey]:
        """Keys of which one has to have signed what decides; empty where nobody asks for that, as of a home."""
        return self.keys if self.address is not None else ()


@dataclass(frozen=True, slots=True)
class FirstBundle:
    """What came of the first poll of an address."""

    remote: Remote
    polled: Arrived | None
    trouble: ReloadError | None

    @property
    def files(self) -> Files:
        """The files of the bundle; where none came, none with the finding that says why."""
        if self.polled is not None:
            return self.polled.verified.files
        told = getattr(self.trouble, "message", "nothing came")
        help_text = getattr(self.trouble, "help", "")
        return Files({}, (Finding(NO_BUNDLE, Severity.ERROR, WHOLE, told, help_text),))


async def fetch_first(reload: ReloadOptions, profile: str, logs: Path) -> ReloadOptions:
    """Ask the address of bundles for the first one, if there is an address.

    Raises:
        ReloadError: for an address that cannot be used at all.

    """
    if reload.address is None:
        return reload
    remote = Remote(reload.address, profile, LastGood(logs), keys=reload.keys)
    polled = await remote.poll()
    trouble = polled.error if isinstance(polled, Failed) else None
    arrived = polled if isinstance(polled, Arrived) else None
    return replace(reload, fetched=FirstBundle(remote, arrived, trouble))
