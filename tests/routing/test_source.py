"""Which market a session runs over."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.market import MarketDataError
from engine.routing import SessionShape, open_market

SHAPE = SessionShape()
QUOTES = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"


def recording(folder: Path, symbol: str = "BTCUSDT") -> Path:
    path = folder / f"{symbol}-bookTicker-2024-08-08.csv"
    rows = [f"{n},100.0,1,100.1,2,{1_723_161_256_000 + n * 100},{1_723_161_256_001 + n * 100}\n" for n in range(50)]
    path.write_text(QUOTES + "".join(rows))
    return path


def test_named_files_come_first(tmp_path: Path) -> None:
    market = open_market(SHAPE, [recording(tmp_path)], environment={"SLUICE_DATA": "/nowhere"})
    assert market.is_recorded
    assert market.feed.symbols == ("BTCUSDT",)
    assert market.bars_of("BTCUSDT") == "mids", "there are no prints"
    assert any("no trades" in note for note in market.notes)


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
    monkeypatch.setattr("engine.routing.source.data_dir", lambda _: None)
    market = open_market(SHAPE, environment={})
    assert not market.is_recorded
    assert market.feed.source == "generated, seed 7"
    assert market.bars_of("BTCUSDT") == "prints"
    monkeypatch.setattr("engine.routing.source.data_dir", lambda _: tmp_path)
    assert "holds no bookTicker recording" in open_market(SHAPE, environment={}).notes[0]


def test_generated_can_be_asked_for(tmp_path: Path) -> None:
    recording(tmp_path)
    assert not open_market(SHAPE, generated=True, environment={"SLUICE_DATA": str(tmp_path)}).is_recorded


def test_the_seed_is_the_market_s_too() -> None:
    first = next(iter(open_market(SessionShape(seed=1), generated=True).feed))
    other = next(iter(open_market(SessionShape(seed=2), generated=True).feed))
    assert first != other


def test_enough_bars_are_asked_for() -> None:
    market = open_market(SHAPE, generated=True)
    assert {len(warm.bars) for warm in market.feed.warm_up.values()} == {501}
