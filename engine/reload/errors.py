"""What reloading refuses on purpose: every error says what is wrong and what helps.

A leaf, so that whoever shows errors need not import what makes them (signatures and remote addresses need extras).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.language.findings import SluiceError


class ReloadError(SluiceError):
    """Something was asked for that is not there or cannot be had."""

    def __init__(self, message: str, help: str = "") -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{message} ({help})" if help else message)
        self.message = message
        self.help = help


class MissingExtraError(ReloadError):
    """A package is not there that only some hosts need."""


@contextmanager
def extra_live(needed_for: str) -> Iterator[None]:
    """Around imports of what the extra `live` brings.

    Raises:
        MissingExtraError: where it is not installed.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{needed_for} need the extra `live`, which is not installed", "pip install 'sluice-router[live]'"
        ) from error


class KeyFormatError(ReloadError):
    """A key is not there, or is none. The text never holds any of it."""


class BundleError(ReloadError):
    """A bundle cannot be used; the subclasses say why."""


class UnreadableBundleError(BundleError):
    """The file cannot be had at all."""


class TooLargeError(BundleError):
    """More bytes or files than a bundle may have."""


class MalformedError(BundleError):
    """It is no bundle, or not written the one way that bundles are written."""


class ContentError(BundleError):
    """The files are not those that its manifest names, or make another rulebook."""


class UnsignedError(BundleError):
    """A signature is required and there is none."""


class SignatureError(BundleError):
    """The signature is by a key that is not trusted, or does not fit what it signs."""


class ReplayedError(BundleError):
    """It is older than what ran before."""
