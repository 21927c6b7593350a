"""Every market file of the recorded data, read to its end: as many events as its manifest says that it has rows."""

import re
from collections import Counter
from pathlib import Path

from engine.market import Bar, Event, Quote, Trade, recognise
from engine.market.files import event_blocks
from engine.market.kinds import Kind
from engine.market.names import is_market_file

_ROW = re.compile(r"\| `([^`]+)` \|.*?\| ([\d,]+) \| \d{4}-")
EVENTS_A_ROW: dict[Kind, float] = {"quote_bars": 60, "trade_bars": 4}
EVENTS: dict[Kind, set[type[Event]]] = {
    "quotes": {Quote},
    "trades": {Trade},
    "bars": {Bar},
    "quote_bars": {Quote},
    "trade_bars": {Trade},
    "messages": {Quote, Trade, Bar},
}


def test_every_recorded_file_is_read_to_its_end(data_dir: Path) -> None:
    rows = {name: int(count.replace(",", "")) for name, count in _ROW.findall((data_dir / "MANIFEST.md").read_text())}
    found = {
        str(path.relative_to(data_dir)): path
        for path in sorted(data_dir.rglob("*"))
        if is_market_file(path) and path.parent.name != "error_payloads"
    }
    assert set(found) == set(rows)
    kinds: Counter[Kind] = Counter()
    for name, path in found.items():
        file = recognise(path)
        kinds[file.kind] += 1
        count, last = 0, (0, 0)
        for block in event_blocks(file):
            assert {type(event) for event in block} <= EVENTS[file.kind], name
            order = [(event.ts_ms, event.rank) for event in block]
            assert last <= order[0], name
            assert order == sorted(order), name
            last, count = order[-1], count + len(block)
        if file.kind == "messages":  # open klines are left out
            assert rows[name] * 0.9 < count <= rows[name], name
        else:
            assert count == rows[name] * EVENTS_A_ROW.get(file.kind, 1), name
    assert kinds == {"quotes": 24, "trades": 25, "bars": 22, "quote_bars": 3, "trade_bars": 3, "messages": 4}
