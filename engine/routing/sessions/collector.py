"""The garbage collector, kept out of the way while a session runs.

Python looks through its objects now and then for those that only refer to each other. A router makes none (a test
counts them), and holds a rulebook and a week of effectiveness that never become garbage: rounds through all that take
tens of milliseconds, in the middle of an order. So there are no rounds while a session is busy, and one over what is
new whenever it has nothing to do, for whoever extends the router and does make such objects.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_collector() -> Iterator[None]:
    """No rounds by themselves; as it was before afterwards."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def collect_while_idle() -> None:
    """A round over what came since the last one."""
    gc.collect(0)


def collect_what_was_replaced() -> None:
    """A round over everything since the session began, after a change: the parts of a rulebook refer to each other."""
    gc.collect()
