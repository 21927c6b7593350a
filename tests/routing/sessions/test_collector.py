"""The garbage collector stays out of the way, which it may: a session makes no garbage that only it could find."""

from __future__ import annotations

import gc

from engine.routing.sessions.collector import quiet_collector
from tests.routing.scene import Scene


def test_intents_leave_nothing_that_only_refers_to_itself() -> None:
    scene = Scene()
    for _ in range(3):  # everything there is once, and caches filled
        scene.send("buy", 0.01, expires_s=1.0)
        scene.wait(2_000)
    gc.collect()
    gc.disable()
    try:
        for number in range(200):
            scene.send("buy" if number % 2 else "sell", 0.01, expires_s=1.0, maker_requested=number % 3 == 0)
            scene.wait(1_500)
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_it_is_as_it_was_before_afterwards() -> None:
    assert gc.isenabled()
    with quiet_collector():
        assert not gc.isenabled()
        assert gc.get_freeze_count()
    assert gc.isenabled()
    assert not gc.get_freeze_count()
