"""Room for what takes seconds is bounded, and given back."""

from __future__ import annotations

import pytest

from engine.web.pages.site import FullError, Room


def test_there_is_room_for_so_many_and_it_is_given_back() -> None:
    room = Room(1)
    with room.take(), pytest.raises(FullError, match="try again"), room.take():
        pass
    with pytest.raises(ZeroDivisionError), room.take():
        raise ZeroDivisionError
    with room.take():
        pass
