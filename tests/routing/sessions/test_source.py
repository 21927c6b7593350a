"""Which market a session runs over."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.market import Choice, MarketDataError, MarketError
from engine.routing.sessions.source import open_market
from engine.routing.shape import SessionShape
from tests.market.samples import QUOTES_HEADER, quote_row, write

SHAPE = SessionShape(generated_s=60.0)
FIRST_MS = 1_723_161_256_000


def recording(folder: Path, symbol: str = "BTCUSDT", day: str = "2024-08-08", first_ms: int = FIRST_MS) -> Path:
    rows = [quote_row(first_ms + number * 100, "100.0", "100.1") for number in range(50)]
    return write(folder / f"{symbol}-bookTicker-{day}.csv", QUOTES_HEADER, *rows)


def test_named_files_come_first(tmp_path: Path) -> None:
    market = open_market(SHAPE, [recording(tmp_path)], environment={"SLUICE_DATA": "/nowhere"})
    assert market.is_recorded
    assert market.feed.symbols == ("BTCUSDT",)
    assert market.bars_of("BTCUSDT") == "mids", "there are no prints"
    assert any("no trades" in note for note in market.notes)
    assert market.ends_ms == FIRST_MS + 4900


def test_then_a_folder_that_was_named_or_is_in_the_environment(tmp_path: Path) -> None:
    recording(tmp_path)
    assert open_market(SHAPE, folder=tmp_path).is_recorded
    assert open_market(SHAPE, environment={"SLUICE_DATA": str(tmp_path)}).is_recorded


def test_a_named_folder_must_hold_something(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="no bookTicker recording"):
        open_market(SHAPE, folder=tmp_path)
    with pytest.raises(MarketDataError, match="no bookTicker recording"):
        open_market(SHAPE, environment={"SLUICE_DATA": str(tmp_path)})
    with pytest.raises(MarketDataError, match="names no folder"):
        open_market(SHAPE, environment={"SLUICE_DATA": str(tmp_path / "nowhere")})


def test_without_recordings_the_market_is_generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("engine.routing.sessions.source.data_dir", lambda _: None)
    market = open_market(SHAPE, environment={})
    assert not market.is_recorded
    assert market.feed.source == "generated, seed 7"
    assert market.bars_of("BTCUSDT") == "prints"
    monkeypatch.setattr("engine.routing.sessions.source.data_dir", lambda _: tmp_path)
    assert "holds no bookTicker recording" in open_market(SHAPE, environment={}).notes[0]


def test_of_several_days_only_the_latest_is_taken_unless_somebody_asks(tmp_path: Path) -> None:
    recording(tmp_path, "BTCUSDT")
    recording(tmp_path, "ETHUSDT")
    recording(tmp_path, "AKROUSDT", "2021-07-22", FIRST_MS - 1113 * 86_400_000)
    environment = {"SLUICE_DATA": str(tmp_path)}
    market = open_market(SHAPE, environment=environment)
    assert market.feed.symbols == ("BTCUSDT", "ETHUSDT")
    assert [note for note in market.notes if "AKROUSDT" in note] == [
        "recorded on other days, so left out: AKROUSDT; --symbols takes them"
    ]
    asked = open_market(SHAPE, environment=environment, choice=Choice(("AKROUSDT", "BTCUSDT")))
    assert set(asked.feed.symbols) == {"AKROUSDT", "BTCUSDT"}
    assert set(open_market(SHAPE, folder=tmp_path).feed.symbols) == {"AKROUSDT", "BTCUSDT", "ETHUSDT"}


def test_what_was_chosen_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording(tmp_path)
    monkeypatch.setattr("engine.routing.sessions.source.data_dir", lambda _: tmp_path)
    with pytest.raises(MarketError, match="has no symbol `BTCUSD`") as caught:
        open_market(SHAPE, environment={}, choice=Choice(("BTCUSDT", "BTCUSD")))
    assert "did you mean `BTCUSDT`" in caught.value.help
    with pytest.raises(MarketDataError, match="no bookTicker recording of DOGEUSDT"):
        open_market(SHAPE, environment={}, choice=Choice(("DOGEUSDT",)))
    with pytest.raises(MarketDataError, match="no bookTicker recording from 2030"):
        open_market(SHAPE, environment={}, choice=Choice(from_ms=1_893_456_000_000))


def test_generated_can_be_asked_for(tmp_path: Path) -> None:
    recording(tmp_path)
    assert not open_market(SHAPE, generated=True, environment={"SLUICE_DATA": str(tmp_path)}).is_recorded


def test_of_a_generated_market_symbols_can_be_chosen_and_no_span() -> None:
    assert open_market(SHAPE, generated=True, choice=Choice(("ETHUSDT",))).feed.symbols == ("ETHUSDT",)
    with pytest.raises(MarketError, match="the generated market has no symbol `XRPUSDT`"):
        open_market(SHAPE, generated=True, choice=Choice(("XRPUSDT",)))
    with pytest.raises(MarketError, match="by its seed"):
        open_market(SHAPE, generated=True, choice=Choice(to_ms=FIRST_MS))


def test_a_generated_market_lasts_as_long_as_the_shape_says() -> None:
    market = open_market(SHAPE, generated=True)
    times = [event.ts_ms for event in market.feed]
    assert market.ends_ms is not None
    assert 59_000 < times[-1] - times[0] < 60_000
    assert 0 < market.ends_ms - times[-1] < 1_000
    assert open_market(SessionShape(generated_s=None), generated=True).ends_ms is None


def test_the_seed_is_the_market_s_too() -> None:
    first = next(iter(open_market(SessionShape(seed=1), generated=True).feed))
    other = next(iter(open_market(SessionShape(seed=2), generated=True).feed))
    assert first != other


def test_enough_bars_are_asked_for() -> None:
    market = open_market(SHAPE, generated=True)
    assert {len(warm.bars) for warm in market.feed.warm_up.values()} == {501}
