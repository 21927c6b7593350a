"""Signed bundles that decided, kept so that a start without its address can verify them again.

    logs/reload/bundles/<version>.<sources>.json    as it came

Whether a rulebook may stand in for a bundle that is away is for the keys to say that are trusted then: one that was
taken back since vouches for nothing, and files that somebody else kept were never vouched for.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.reload.bundle import Verified, read_bundle, verify
from engine.reload.disk import what_helps, write_whole
from engine.reload.errors import BundleError, ReloadError, UnreadableBundleError
from engine.reload.last_good import RELOAD, GoodRulebook

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_FOLDER = RELOAD / "bundles"
_MOST_KEPT = 20
"""Beside those that a start would take; a rollback rarely goes back further, and a fleet may build several a day."""


class KeptBundles:
    """The bundles of one `logs` folder."""

    def __init__(self, logs: Path) -> None:
        self.folder = logs / _FOLDER

    def keep(self, verified: Verified) -> None:
        """Keep a bundle, if it is signed. Raises `ReloadError` if it cannot be written."""
        if verified.bundle.signature is None:
            return
        rulebook = verified.rulebook
        path = self._place(rulebook.version, rulebook.sources_digest)
        try:
            write_whole(path, verified.bundle.written)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ReloadError(f"`{path}` cannot be written: {reason}", what_helps(error)) from error

    def forget(self, needed: Collection[GoodRulebook]) -> None:
        """Remove the oldest, if there are many; what a start would take stays. A disk that does not let it is left."""
        spared = {self._place(good.version, good.sources) for good in needed}
        with suppress(OSError):
            found = sorted(self.folder.glob("*.json"), key=os.path.getmtime, reverse=True)
            for path in found[_MOST_KEPT:]:
                if path not in spared:
                    path.unlink(missing_ok=True)

    def verify(
        self, version: str, sources: str, profile: str, keys: Sequence[Ed25519PublicKey], *, whose: str = ""
    ) -> Verified:
        """The bundle that a rulebook came in, which one of these keys signed. Errors call the rulebook `whose`.

        Raises:
            ReloadError: if it came in none, or if nobody knows.

        """
        whose = whose or version
        try:
            verified = verify(read_bundle(self._place(version, sources)), keys, profile=profile)
        except UnreadableBundleError:
            why = "came in no signed bundle that is kept here, and a public key is configured"
            raise ReloadError(f"{whose} {why}") from None
        except BundleError as error:
            raise ReloadError(f"{whose} cannot be verified: {error.message}", error.help) from None
        rulebook = verified.rulebook
        if (rulebook.version, rulebook.sources_digest) != (version, sources):
            raise ReloadError(f"the bundle that is kept of {whose} is another one")
        return verified

    def _place(self, version: str, sources: str) -> Path:
        return self.folder / f"{version}.{sources}.json"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether a rulebook may decide that comes in no bundle now: with keys, one that a kept bundle vouches for."""

    logs: Path
    profile: str
    keys: Sequence[Ed25519PublicKey] = ()
    """Of bundles; with none, nobody asks for signatures."""

    def refuse_unsigned(self, version: str, sources: str, *, whose: str = "") -> None:
        """Raise `ReloadError` where bundles must be signed, and none that is kept vouches for a rulebook."""
        if self.keys:
            KeptBundles(self.logs).verify(version, sources, self.profile, self.keys, whose=whose)
