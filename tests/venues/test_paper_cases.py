"""Every acceptance case of the paper venue: what is given, what is heard, what the venue then has."""

from decimal import Decimal

import pytest

from tests.venues.paper_cases import Case, cases, play, text_of


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_venue_says_what_the_case_expects(case: Case) -> None:
    heard, venue = play(case)
    assert heard == case.heard
    if case.orders is not None:
        assert [text_of(order) for order in venue.orders()] == case.orders
    if case.holds is not None:
        assert venue.positions().get("AB", Decimal(0)) == case.holds


def test_names_are_used_once() -> None:
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
