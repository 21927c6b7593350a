import pytest

from engine.market import TopOfBook
from tests.market.samples import START_MS, quote


def test_before_the_first_quote_there_is_nothing() -> None:
    book = TopOfBook()
    assert (book.quote, book.mid, book.spread_bps, book.observed_at) == (None, None, None, None)


def test_mid_spread_and_time_of_the_last_quote() -> None:
    book = TopOfBook()
    book.update(quote(START_MS, 90.0, 91.0))
    book.update(quote(START_MS + 500, 99.0, 101.0))
    assert book.mid == 100.0
    assert book.spread_bps == pytest.approx(200.0)
    assert book.observed_at == START_MS / 1000 + 0.5


@pytest.mark.parametrize(("bid", "ask", "spread_bps"), [(101.0, 99.0, -200.0), (100.0, 100.0, 0.0)])
def test_crossed_and_locked_books_are_shown_as_they_are(bid: float, ask: float, spread_bps: float) -> None:
    book = TopOfBook()
    book.update(quote(START_MS, bid, ask))
    assert book.spread_bps == pytest.approx(spread_bps)


@pytest.mark.parametrize(("bid", "ask"), [(0.0, 100.0), (100.0, 0.0), (0.0, 0.0)])
def test_an_empty_side_leaves_no_mid(bid: float, ask: float) -> None:
    book = TopOfBook()
    book.update(quote(START_MS, bid, ask))
    assert (book.mid, book.spread_bps) == (None, None)
    assert book.observed_at is not None
