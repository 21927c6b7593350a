"""Faults of a paper venue, as a command line has them."""

from __future__ import annotations

import pytest

from engine.venues.fault_spec import parse_faults
from engine.venues.faults import Faults


def test_nothing_goes_wrong_unless_it_is_said() -> None:
    assert parse_faults([]) == Faults()


def test_likelihoods_and_waits_may_stand_in_one_text_or_in_several() -> None:
    expected = Faults(place={"timeout": 0.01, "unknown": 0.5}, fill={"late": 1.0}, late_ms=500)
    assert parse_faults(["place.timeout=0.01, place.unknown=0.5", "fill.late=1,late_ms=500"]) == expected


def test_a_later_part_goes_over_an_earlier_one() -> None:
    assert parse_faults(["query.ban=1,ban_ms=5", "query.ban=0", "ban_ms=7"]) == Faults(query={"ban": 0.0}, ban_ms=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`` is no fault: write `place.timeout=0.01`"),
        ("place.timeout", "`place.timeout` is no fault"),
        ("place.timeout=", "`` in `place.timeout=` is no likelihood"),
        ("place.timeout=1.01", "`1.01` in `place.timeout=1.01` is no likelihood from 0 to 1"),
        ("place.timeout=nan", "no likelihood"),
        ("place.late=0.1", "`late` in `place.late=0.1` is none of timeout, "),
        ("fill.timeout=0.1", "is none of late, duplicate, lost"),
        ("submit.timeout=0.1", "`submit` in `submit.timeout=0.1` is none of place, cancel, query, fill"),
        ("timeout=0.1", "`timeout` in `timeout=0.1` is none of timeout_ms, "),
        ("late_ms=-1", "`-1` in `late_ms=-1` is no whole number of milliseconds"),
        ("place.timeout=0.6,place.unknown=0.6", "together at most 1"),
    ],
)
def test_what_cannot_be_read_says_what_could_stand_there(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"fault|none of|likelihood|milliseconds") as caught:
        parse_faults([text])
    assert message in str(caught.value)
