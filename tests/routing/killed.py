"""`sluice`, killed with SIGKILL at a moment that a test names: `python -m tests.routing.killed MOMENT BYTES ARGUMENT…`.

Once the journal has grown by so many bytes it dies: `before` the write that would do that, half way `within` it,
`after` it and so before anything is sent that stands on it, or when the next request was `sent`. Those are the moments
that matter. A moment by the clock hardly ever is one of them, and on a busy machine it may be any.
"""

from __future__ import annotations

import os
import signal
import sys

from cli import main
from engine.journal.disk import Disk
from engine.venues.messages import Request
from engine.venues.remote import RemoteVenue

MOMENTS = ("before", "within", "after", "sent")


def arm(moment: str, written: int) -> None:
    """Die at a moment, once so many bytes are written."""
    left = written
    write, send = Disk.write, RemoteVenue.send

    def write_or_die(disk: Disk, file: int, content: bytes | memoryview, offset: int) -> int:
        nonlocal left
        left -= len(content)
        if left > 0:
            return write(disk, file, content, offset)
        if moment == "before":
            die()
        if moment == "within":
            write(disk, file, content[: len(content) // 2], offset)
            die()
        taken = write(disk, file, content, offset)
        if moment == "after":
            die()
        return taken

    def send_and_die(venue: RemoteVenue, request: Request, now_ms: int) -> None:
        send(venue, request, now_ms)
        if left <= 0:
            die()

    # This process is made for that.
    Disk.write = write_or_die  # type: ignore[method-assign,assignment]
    RemoteVenue.send = send_and_die  # type: ignore[method-assign,assignment]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    moment, written, *arguments = sys.argv[1:]
    arm(moment, int(written))
    sys.argv[1:] = arguments
    main()
