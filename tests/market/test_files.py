from pathlib import Path

import pytest

from engine.market import MarketDataError, MarketFile, read_events, recognise
from tests.market.samples import BARS_HEADER, QUOTES_HEADER, START_MS, TRADES_HEADER, bar_row, quote_row, write


@pytest.mark.parametrize(
    ("header", "row", "kind"),
    [
        (QUOTES_HEADER, quote_row(START_MS), "quotes"),
        (TRADES_HEADER, f"1,100.0,1.0,100.0,{START_MS},true", "trades"),
        (BARS_HEADER, bar_row(0), "bars"),
    ],
)
def test_a_file_is_recognised_by_its_content(tmp_path: Path, header: str, row: str, kind: str) -> None:
    path = write(tmp_path / "whatever.csv", header, row)
    file = recognise(path, "BTCUSDT")
    assert file == MarketFile(path, file.kind, "BTCUSDT")
    assert file.kind == kind
    (event,) = read_events(file)
    assert event.symbol == "BTCUSDT"


def test_the_name_is_needed_only_for_the_symbol(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="the name does not say which symbol"):
        recognise(write(tmp_path / "whatever.csv", QUOTES_HEADER))
