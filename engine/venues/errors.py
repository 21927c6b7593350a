"""What can be wrong around a venue on a socket: the errors this package raises on purpose."""

from __future__ import annotations

import os


class VenueError(Exception):
    """Base: `message` says what is wrong, `help` what to do about it."""

    def __init__(self, message: str, help: str) -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{message}\n  {help}")
        self.message = message
        self.help = help


class ConnectError(VenueError):
    """No connection to a venue."""


class AddressError(VenueError):
    """A venue cannot listen where it was told to."""


def reason_of(error: OSError) -> str:
    """Why the system refused, in its own words; asyncio's text repeats the address."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()
