"""Account, risk, tuning, windows and signal of one symbol, made up from a seed.

In: a seed, a symbol, the value of the account. Out: these groups at a moment. Each is drawn anew at the start of every
slot of its own length, from a random stream named after group and slot; so one draw changes no other, and every group
now and then shows what rules have to cope with: a halt, an old snapshot, a spent day, a paused maker.

Two windows are no part of this: how long the feed has been silent and how many probes were granted are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeAlias

_Group: TypeAlias = dict[str, Any]

OLD_SNAPSHOT_S = 7200.0
"""How far back the snapshot of an account or a risk state is dated that stopped being updated."""


class GeneratedState:
    """The generated groups of one symbol, except telemetry; times may only grow."""

    def __init__(self, seed: int, symbol: str, nav_usd: float) -> None:
        self._seed = seed
        self._symbol = symbol
        self._nav_usd = nav_usd
        self._slots: dict[str, tuple[int, _Group | None]] = {}
        self._draws: Mapping[str, tuple[float, Callable[[Random, float, float], _Group | None]]] = {
            "account": (10.0, self._account),
            "risk": (30.0, self._risk),
            "tuning": (45.0, self._tuning),
            "windows": (8.0, self._windows),
            "signal": (20.0, self._signal),
        }

    def groups(self, now: float, mid: float) -> dict[str, _Group]:
        """The groups at a moment in seconds since 1970; one that is absent is left out."""
        current = {name: self._group(name, now, mid) for name in self._draws}
        return {name: group for name, group in current.items() if group is not None}

    def _group(self, name: str, now: float, mid: float) -> _Group | None:
        lasts_s, draw = self._draws[name]
        slot = int(now // lasts_s)
        held = self._slots.get(name)
        if held is None or held[0] != slot:
            rng = Random(f"{self._seed}/{self._symbol}/{name}/{slot}")
            held = self._slots[name] = (slot, draw(rng, slot * lasts_s, mid))
        return held[1]

    def _account(self, rng: Random, since: float, mid: float) -> _Group:
        position_usd = self._nav_usd * rng.gauss(0.0, 0.015)
        position_qty = float(f"{position_usd / mid:.4g}")
        return {
            "observed_at": since - OLD_SNAPSHOT_S if rng.random() < 0.02 else since,
            "nav_usd": self._nav_usd,
            "symbol_notional_usd": abs(position_qty) * mid,
            "portfolio_notional_usd": self._nav_usd * rng.uniform(0.3, 1.2),
            "position_qty": position_qty,
            "leverage": 5.0 if rng.random() < 0.02 else 3.0,
            "drawdown_today": -0.034 if rng.random() < 0.02 else -rng.uniform(0.0, 0.02),
        }

    def _risk(self, rng: Random, since: float, mid: float) -> _Group:
        del mid
        desk = Random(f"{self._seed}/risk/{since}")  # mode and halt are of the whole desk
        return {
            "observed_at": since - OLD_SNAPSHOT_S if desk.random() < 0.02 else since,
            "risk_mode": desk.choices(("normal", "cautious", "defensive"), (85, 12, 3))[0],
            "halted": desk.random() < 0.015,
            "symbol_disabled": rng.random() < 0.02,
        }

    def _tuning(self, rng: Random, since: float, mid: float) -> _Group | None:
        del since, mid
        if rng.random() < 0.4:
            return None  # never tuned
        tuned: _Group = {
            "tuned_bias_delta": rng.choice((-0.1, -0.05, 0.0, 0.05, 0.1)),
            "tuned_offset_delta_bps": rng.choice((-1.0, -0.5, 0.0, 0.5, 1.0)),
        }
        if rng.random() < 0.12:
            tuned["tuned_maker_first"] = rng.random() < 0.4
        return tuned

    def _windows(self, rng: Random, since: float, mid: float) -> _Group:
        del since, mid
        paused = rng.random() < 0.06
        return {
            "post_only_rejects_60s": float(rng.randint(5, 8) if paused else rng.randint(0, 2)),
            "fallbacks_in_a_row": float(rng.randint(0, 2)),
            "slow_acks_60s": float(rng.randint(0, 2)),
            "maker_paused": paused,
        }

    def _signal(self, rng: Random, since: float, mid: float) -> _Group:
        del mid
        return {
            "observed_at": since,
            "hourly_expectancy": rng.gauss(0.5, 2.0),
            "expectancy": rng.gauss(0.5, 4.0),
            "hit_rate": rng.uniform(0.4, 0.6),
            "score": rng.random(),
        }
