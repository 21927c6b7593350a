"""The kinds of market files, by what a row of them is.

| kind | a row is | read as |
|---|---|---|
| `quotes` | the best bid and ask from a moment on | quotes |
| `trades` | a print, or prints of one order at one price | trades |
| `bars` | open, high, low, close of prints over an interval | bars |
| `quote_bars` | open, high, low, close of bid and of ask over a minute | quotes (`minutes` says how) |
| `trade_bars` | the same as a bar of a minute, recorded beside `quote_bars` | trades (`minutes` says how), or bars |
| `messages` | a message of a venue's WebSocket, several symbols and streams in one file | quotes, trades and bars |
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["quotes", "trades", "bars", "quote_bars", "trade_bars", "messages"]
"""What a file holds."""
