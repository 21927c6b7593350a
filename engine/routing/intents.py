"""What strategies send, as lines of JSON: intents, cancels of them, and facts that only they or the risk desk know.

In: bytes, text or objects from anywhere. Out: a `Request`, or a `Refusal` that says what is wrong with it; nothing that
arrives raises. Only what a router needs to handle an intent at all is looked at here: an id, a symbol, and that each
field is of its kind. Whether a quantity, a price or a side makes sense is for the policy `admission`.

One line an object: `{"intent_id": "a-1", "symbol": "BTCUSDT", "side": "buy", "qty": 0.01, "order_type": "market",
"maker_requested": true, "maker_price": 60000.1, "maker_qty": 0.01, "reduce_only": false, "ts": 1700000000.0,
"expires_s": 600}`; `ts` is when it is to arrive (absent: at once). `{"type": "cancel", "intent_id": "a-1"}` takes one
back, `{"type": "given", "group": "risk", "facts": {…}, "symbol": "BTCUSDT"}` hands in facts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from engine.language.spelling import did_you_mean

FACTS = ("side", "qty", "price", "order_type", "maker_requested", "maker_price", "maker_qty", "reduce_only")
"""The facts of the group `intent`."""

GIVEN_GROUPS = ("account", "risk", "signal")
"""Groups that may be handed in from outside; the others are measured."""

_INTENT_KEYS = frozenset({"type", "intent_id", "symbol", "ts", "expires_s", *FACTS})
_CANCEL_KEYS = frozenset({"type", "intent_id", "ts", "reason"})
_GIVEN_KEYS = frozenset({"type", "group", "facts", "symbol", "ts"})
LONGEST_ID = 200
LONGEST_EXPIRY_S = 30 * 86_400.0
_NUMBERS = frozenset({"qty", "price", "maker_price", "maker_qty"})
_FLAGS = frozenset({"maker_requested", "reduce_only"})
CHOICES = {"side": ["buy", "sell"], "order_type": ["market", "limit"]}
_ACCOUNT_FACTS = frozenset({"nav_usd", "leverage", "drawdown_today"})
"""What others may know better of the account; exposure is measured, since it changes with every fill."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A wish to trade."""

    intent_id: str
    symbol: str
    facts: dict[str, Any]
    ts_ms: int | None = None
    """When it is to arrive; None: at once."""
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """A wish taken back."""

    intent_id: str
    reason: str
    ts_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GivenFacts:
    """Facts from outside; None: nothing is known any more."""

    group: str
    facts: dict[str, Any] | None
    symbol: str | None
    ts_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that is none of these."""

    code: str
    reason: str
    received: str
    intent_id: str | None = None
    ts_ms: int | None = None


Request: TypeAlias = Intent | CancelIntent | GivenFacts | Refusal


def read_request(raw: bytes | str | Mapping[str, Any], most_shown: int) -> Request:
    """Read one line, or one object. `most_shown` characters of what is refused are kept."""
    try:
        held = raw if isinstance(raw, Mapping) else _parse(raw)
        return _read(held)
    except _RefusedError as error:
        return Refusal("malformed", error.reason, shown(raw, most_shown), _id_of(error.held), error.ts_ms)


def shown(raw: object, most: int) -> str:
    """What arrived, as a journal may hold it."""
    if isinstance(raw, bytes):
        text = raw.decode("utf-8", "backslashreplace")
    elif isinstance(raw, str):
        text = raw.encode("utf-8", "backslashreplace").decode()
    else:
        try:
            text = msgspec.json.encode(raw).decode()
        except Exception:  # noqa: BLE001 - a mapping of somebody's own may hold anything
            text = type(raw).__name__
    return text if len(text) <= most else text[: most - 1] + "…"


class _RefusedError(Exception):
    def __init__(self, reason: str, held: object = None, ts_ms: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.held = held
        self.ts_ms = ts_ms


def _parse(raw: bytes | str) -> Mapping[str, Any]:
    try:
        held = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _RefusedError(f"no JSON: {error}") from error
    if not isinstance(held, dict):
        raise _RefusedError(f"an object is expected, not {type(held).__name__}")
    return held


def _read(held: Mapping[str, Any]) -> Request:
    kind = held.get("type", "intent")
    ts_ms = _time(held)
    match kind:
        case "intent":
            _check_keys(held, _INTENT_KEYS, ts_ms)
            return _intent(held, ts_ms)
        case "cancel":
            _check_keys(held, _CANCEL_KEYS, ts_ms)
            reason = "cancelled" if held.get("reason") is None else _text(held, "reason", ts_ms)
            return CancelIntent(_text(held, "intent_id", ts_ms), reason, ts_ms)
        case "given":
            _check_keys(held, _GIVEN_KEYS, ts_ms)
            return _given(held, ts_ms)
    raise _RefusedError("`type` is intent, cancel or given", held, ts_ms)


def _intent(held: Mapping[str, Any], ts_ms: int | None) -> Intent:
    intent_id, symbol = _text(held, "intent_id", ts_ms), _text(held, "symbol", ts_ms)
    expires_s = held.get("expires_s")
    if expires_s is not None and not (_is_number(expires_s) and 0.0 < expires_s <= LONGEST_EXPIRY_S):
        raise _RefusedError(f"`expires_s` is a number of seconds from 0 to {LONGEST_EXPIRY_S:.0f}", held, ts_ms)
    # What is wrong with a fact is left in place: admission takes it for missing and says which rule refused it. What
    # the journal could not write again (a NaN) is left out, which is the same to a rule.
    facts = {name: held[name] for name in FACTS if held.get(name) is not None and _is_plain(held[name])}
    for name, value in facts.items():
        if name in _NUMBERS:
            if not _is_number(value):
                raise _RefusedError(f"`{name}` is no number", held, ts_ms)
            facts[name] = float(value)
        elif name in _FLAGS:
            if not isinstance(value, bool):
                raise _RefusedError(f"`{name}` is no flag", held, ts_ms)
        elif value not in CHOICES[name]:
            raise _RefusedError(f"`{name}` is one of {', '.join(CHOICES[name])}", held, ts_ms)
    return Intent(intent_id, symbol, facts, ts_ms, None if expires_s is None else float(expires_s))


def _given(held: Mapping[str, Any], ts_ms: int | None) -> GivenFacts:
    group, facts, symbol = held.get("group"), held.get("facts"), held.get("symbol")
    if group not in GIVEN_GROUPS:
        raise _RefusedError(f"`group` is one of {', '.join(GIVEN_GROUPS)}", held, ts_ms)
    if facts is not None and not isinstance(facts, dict):
        raise _RefusedError("`facts` is an object, or null", held, ts_ms)
    if facts is not None and not _is_json(facts):
        raise _RefusedError("`facts` cannot be written as JSON", held, ts_ms)
    if group == "account" and facts is not None and not facts.keys() <= _ACCOUNT_FACTS:
        raise _RefusedError(f"of the account, {', '.join(sorted(_ACCOUNT_FACTS))} can be given", held, ts_ms)
    if symbol is not None and not isinstance(symbol, str):
        raise _RefusedError("`symbol` is text", held, ts_ms)
    return GivenFacts(group, facts, symbol, ts_ms)


def _check_keys(held: Mapping[str, Any], known: frozenset[str], ts_ms: int | None) -> None:
    for key in held:
        if key not in known:
            hint = did_you_mean(str(key), sorted(known)) or f"known are {', '.join(sorted(known))}"
            raise _RefusedError(f"nothing is called `{key}` here: {hint}", held, ts_ms)


def _text(held: Mapping[str, Any], name: str, ts_ms: int | None) -> str:
    value = held.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID or not value.isprintable():
        raise _RefusedError(f"`{name}` is a text of 1 to {LONGEST_ID} printable characters", held, ts_ms)
    return value


def _time(held: Mapping[str, Any]) -> int | None:
    ts = held.get("ts")
    if ts is None:
        return None
    if not isinstance(ts, int | float) or not _is_number(ts) or not 0.0 <= ts < 1e11:
        raise _RefusedError("`ts` is a number of seconds since 1970", held)
    return round(ts * 1000)


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _is_json(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except Exception:  # noqa: BLE001 - a mapping of somebody's own may hold anything
        return False
    return True


def _is_plain(value: object) -> bool:
    return not (isinstance(value, float) and not math.isfinite(value))


def _id_of(held: object) -> str | None:
    given = held.get("intent_id") if isinstance(held, Mapping) else None
    return given if isinstance(given, str) and 0 < len(given) <= LONGEST_ID and given.isprintable() else None
