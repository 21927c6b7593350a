"""The routing policy in other rule engines, each as idiomatic and as prepared as it allows.

Each does the policy's logic on facts that were cleaned for it: one flat dict, numbers and flags, None for whatever is
missing. No staleness, ranges, relations or unknown names, and no reasons. What the prod profile switches off (probes,
dropping the reduce-only flag) is left out for all. Whatever can be done once is: expressions are compiled, rules
loaded, contexts made.

The whole policy starts from facts objects as they arrive. There are two ways to it. `behind_a_border` puts a border
written in Python (`known`: the reading code of `natural`) before any of them. For zen, the fastest, there are also
variants whose border is zen's own: freshness of each group, types, ranges and relations, each fact once, as
assignments of the expression or as a node before the tables. Neither refuses unknown names. zen takes no NaN, infinity
or number beyond a decimal's 28 digits, so `for_zen` makes text of these before anything is timed: no number, as they
are for us, and unlike null no absence (a group without `observed_at` may be fresh, one dated NaN is not).

Four of them share one text: `STEPS`, each decided value as an expression in Python's syntax in which a comparison with
something missing is false. It is printed in the peer's own language, with the tests for null that it needs there.

- `zen expression`: all of it as one compiled expression, steps as assignments.
- `zen tables`: a graph of decision tables and one expression node, through `ZenEngine.evaluate` and a static loader.
- `cel`: one program; steps are bound by the `map` macro over a list of one, since CEL knows no assignment.
- `rule-engine`: one rule a step, each result handed to the next; it has no assignment either.
- `json-logic`: one rule a step, as above.
- `clips`: a defrule for each rule, in agenda order by salience; decisions are facts, and the environment is reset for
  each. Results are handed to a Python function by a last rule: reading them back as facts is several times as slow.
- `durable-rules` (`durable_quality`): the quality tier alone, rules of falling priority to which facts are posted. Its
  conditions cannot read what earlier rules of the same event decided, so the rest would be Python and not rules. It is
  told whether `sample_count` is known: with a rule on the absence of a property, `post` was seen never to return.

zen and rule-engine calculate in decimals and keep 16 digits, so peers get facts rounded to six decimals (`rounded`),
and the numbers that come out are compared to nine. Everything else is compared exactly.
"""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench._handwritten import DECIDED, known

Cleaned = dict[str, Any]
"""What is known, by fact; None for what is missing."""

READ = (
    "maker_requested",
    "maker_price",
    "maker_qty",
    "reduce_only",
    "bid",
    "ask",
    "spread_bps",
    "atr_ratio",
    "maker_fill_ratio",
    "fallback_ratio",
    "slippage_p50_bps",
    "slippage_p95_bps",
    "ack_latency_p50_ms",
    "sample_count",
    "tuned_bias_delta",
    "tuned_offset_delta_bps",
    "tuned_maker_first",
    "maker_paused",
    "hourly_expectancy",
    "admitted_qty",
)
"""The facts that the policy rests on in the prod profile."""


@dataclass(frozen=True)
class Peer:
    """Another engine with the policy loaded."""

    name: str
    decide: Callable[[Cleaned], Any]
    """What is timed: cleaned facts in (or a facts object), the engine's own kind of result out."""
    read: Callable[[Any], tuple[dict[str, Any], tuple[str, ...]]]
    """The decided values and veto ids in such a result (not timed)."""


def rounded(facts: dict[str, Any]) -> dict[str, Any]:
    """The same facts with numbers that decimals and doubles hold alike."""
    return {key: _rounded(held) for key, held in facts.items()}


def _rounded(held: Any) -> Any:
    if isinstance(held, dict):
        return {key: _rounded(inner) for key, inner in held.items()}
    return round(held, 6) if isinstance(held, float) else held


def installed_peers() -> Iterator[Peer]:
    """Every peer that is installed, made ready."""
    for module, makers in _MAKERS:
        if importlib.util.find_spec(module):
            for maker in makers:
                yield maker()


def behind_a_border(peer: Peer) -> Peer:
    """The peer on facts objects, with the border in Python before it."""
    decide = peer.decide
    return Peer(peer.name, lambda facts: decide(known(facts)), peer.read)


def installed_whole_peers() -> Iterator[Peer]:
    """Peers whose own language does the border too: they take facts objects (`for_zen`)."""
    if importlib.util.find_spec("zen"):
        yield zen_expression_whole()
        yield zen_tables_whole()


def absent_peers() -> list[str]:
    """The modules of the peers that are not installed."""
    return [module for module, _ in _MAKERS if not importlib.util.find_spec(module)]


# The policy as expressions -------------------------------------------------------------------------------------------

STEPS: dict[str, str] = {
    "quality": (
        "'ok' if sample_count is None or sample_count < 20.0 else"
        " 'broken' if fallback_ratio >= 0.9 or slippage_p95_bps >= 20.0 or ack_latency_p50_ms >= 2500.0 else"
        " 'degraded' if fallback_ratio >= 0.6 or slippage_p95_bps >= 8.0 or ack_latency_p50_ms >= 1500.0 else"
        " 'good' if maker_fill_ratio >= 0.7 and fallback_ratio <= 0.4 and slippage_p95_bps <= 4.0"
        " and ack_latency_p50_ms <= 800.0 else 'ok'"
    ),
    "atr_regime": (
        "'normal' if atr_ratio is None else 'panic' if atr_ratio >= 2.5 else 'hot' if atr_ratio >= 1.5 else"
        " 'quiet' if atr_ratio < 0.5 else 'normal'"
    ),
    "maker_first": (
        "False if quality == 'broken' or quality == 'degraded' and atr_regime == 'panic' or tuned_maker_first == False"
        " else True"
    ),
    "tuned": "quality == 'good' or quality == 'ok'",
    "leaning": (
        "(0.25 if quality == 'good' else 0.5 if quality == 'ok' else 0.75)"
        " + (tuned_bias_delta if tuned and tuned_bias_delta is not None else 0.0)"
    ),
    "bias": "0.0 if leaning < 0.0 else 1.0 if leaning > 1.0 else leaning",
    "taker_bias": "'prefer_maker' if bias <= 0.4 else 'prefer_taker' if bias >= 0.6 else 'balanced'",
    "book_missing": "bid is None or ask is None or spread_bps is None",
    "adapted": (
        "2.0 if book_missing or sample_count is None or spread_bps > 12.0 else 2.0"
        " + (-0.5 if atr_regime == 'quiet' else 0.5 if atr_regime == 'hot' else 1.0 if atr_regime == 'panic' else 0.0)"
        " + (-0.5 if maker_fill_ratio > 0.7 else 0.0)"
        " + (1.0 if fallback_ratio > 0.5 else 0.0)"
        " + (1.5 if fallback_ratio > 0.8 else 0.0)"
        " + (0.8 if slippage_p50_bps > 5.0 else -0.2 if slippage_p50_bps < 1.0 else 0.0)"
        " + (-0.2 if hourly_expectancy > 0.0 else 0.2 if hourly_expectancy < 0.0 else 0.0)"
        " + (tuned_offset_delta_bps if tuned and tuned_offset_delta_bps is not None else 0.0)"
    ),
    "bounded": "0.5 if adapted < 0.5 else 8.0 if adapted > 8.0 else adapted",
    "offset_bps": "6.0 if spread_bps > 6.0 and bounded > 6.0 else bounded",
}
"""Every decided value that is no constant, and what they share, in an order in which each needs only earlier ones."""

VETOES: dict[str, str] = {
    "hard_gates.maker_not_requested": "maker_requested is None or maker_requested == False",
    "hard_gates.policy_disables_maker": "maker_first == False",
    "hard_gates.bias_prefers_taker": "taker_bias == 'prefer_taker'",
    "hard_gates.reduce_only": "reduce_only is None or reduce_only == True",
    "hard_gates.maker_qty_invalid": "maker_qty is None or maker_qty <= 0.0",
    "hard_gates.maker_price_invalid": "maker_price is None",
    "hard_gates.book_missing": "book_missing",
    "hard_gates.spread_too_wide": "spread_bps > 12.0",
    "hard_gates.telemetry_stale": "sample_count is None",
    "hard_gates.breaker_open": "maker_paused is None or maker_paused == True",
    "hard_gates.maker_qty_above_admitted": (
        "maker_qty is not None and (admitted_qty is None or maker_qty > admitted_qty)"
    ),
    "maker_gates.quality_not_good": "quality != 'good'",
}

_FIXED = {"probe": False, "keep_reduce_only": True, "protection_bps": 15.0}
_RESULT = ("quality", "atr_regime", "maker_first", "bias", "taker_bias", "offset_bps")
_NEVER_MISSING = frozenset(STEPS)


@dataclass(frozen=True)
class Dialect:
    """How a language writes what `STEPS` use. Languages with C's ternary only."""

    conjunction: str
    disjunction: str


_WORDS = Dialect("and", "or")
_SIGNS = Dialect("&&", "||")
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def _parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _print(e: ast.expr, dialect: Dialect) -> str:
    """An expression of `STEPS` in a language of text, with the tests for null that it needs."""
    match e:
        case ast.IfExp(test, then, otherwise):
            return f"({_print(test, dialect)} ? {_print(then, dialect)} : {_print(otherwise, dialect)})"
        case ast.BoolOp(op, parts):
            word = dialect.conjunction if isinstance(op, ast.And) else dialect.disjunction
            return "(" + f" {word} ".join(_print(part, dialect) for part in parts) + ")"
        case ast.BinOp(left, ast.Add(), right):
            return f"({_print(left, dialect)} + {_print(right, dialect)})"
        case ast.Compare(left, [ast.Is() | ast.IsNot() as op], _):
            return f"{_print(left, dialect)} {'==' if isinstance(op, ast.Is) else '!='} null"
        case ast.Compare(left, [op], [right]):
            text = f"{_print(left, dialect)} {_COMPARISONS[type(op)]} {_print(right, dialect)}"
            asked = [
                f"{side.id} != null {dialect.conjunction} "
                for side in (left, right)
                if isinstance(side, ast.Name)
                and side.id not in _NEVER_MISSING
                and not isinstance(op, (ast.Eq, ast.NotEq))
            ]
            return f"({''.join(asked)}{text})" if asked else text
        case ast.Constant(bool() as flag):
            return "true" if flag else "false"
        case ast.Constant(str() as word):
            return f'"{word}"'
        case ast.Constant(float() as number):
            return repr(number)
        case ast.UnaryOp(ast.USub(), ast.Constant(float() as number)):
            return f"-{number!r}"
        case ast.Name(name):
            return name
    raise AssertionError(ast.dump(e))


def _veto_list(dialect: Dialect, none: str) -> str:
    parts = [f'({_print(_parse(text), dialect)} ? "{name}" : {none})' for name, text in VETOES.items()]
    return "[" + ", ".join(parts) + "]"


def _complete(decided: dict[str, Any], vetoes: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """With the values that follow from the vetoes, and the fixed ones: for engines that give the others."""
    values = decided | _FIXED | {"maker_allowed": not vetoes, "route": "taker" if vetoes else "maker"}
    return {name: values[name] for name in DECIDED}, vetoes


def _read_object(result: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    return {name: result[name] for name in DECIDED}, tuple(result["vetoes"])


# Expression languages ------------------------------------------------------------------------------------------------


def zen_source() -> str:
    """The policy as one ZEN expression."""
    lines = [f"{name} = {_print(_parse(text), _WORDS)}" for name, text in STEPS.items()]
    lines.append(f"vetoes = filter({_veto_list(_WORDS, 'null')}, # != null)")
    lines.append("maker_allowed = len(vetoes) == 0")
    fields = [*_RESULT, "maker_allowed", "vetoes"]
    result = ", ".join(f"{name}: {name}" for name in fields)
    fixed = 'probe: false, keep_reduce_only: true, protection_bps: 15, route: maker_allowed ? "maker" : "taker"'
    return ";\n".join([*lines, f"{{{result}, {fixed}}}"])


def zen_expression() -> Peer:
    """ZEN, compiled once."""
    import zen  # noqa: PLC0415 - only where it is installed

    return Peer("zen expression", zen.compile_expression(zen_source()).evaluate, _read_object)


def cel_source() -> str:
    """The policy as one CEL expression."""
    fields = [f'"{name}": {name}' for name in (*_RESULT, "vetoes")]
    fields += ['"probe": false', '"keep_reduce_only": true', '"protection_bps": 15.0', '"maker_allowed": vetoes == []']
    text = "{" + ", ".join([*fields, '"route": vetoes == [] ? "maker" : "taker"']) + "}"
    bound = {name: _print(_parse(step), _SIGNS) for name, step in STEPS.items()}
    bound["vetoes"] = _veto_list(_SIGNS, '""') + '.filter(v, v != "")'
    for name, value in reversed(bound.items()):
        text = f"[{value}].map({name}, {text})[0]"
    return text


def cel_program() -> Peer:
    """CEL, compiled once."""
    import cel  # noqa: PLC0415 - only where it is installed

    return Peer("cel", cel.compile(cel_source()).execute, _read_object)


def rule_engine_rules() -> Peer:
    """rule-engine: one rule a step."""
    import rule_engine  # noqa: PLC0415 - only where it is installed

    context = rule_engine.Context()
    steps = {name: rule_engine.Rule(_print(_parse(text), _WORDS), context=context) for name, text in STEPS.items()}
    vetoes = rule_engine.Rule(f"[v for v in {_veto_list(_WORDS, 'null')} if v != null]", context=context)

    def decide(facts: Cleaned) -> Cleaned:
        seen = dict(facts)
        for name, rule in steps.items():
            seen[name] = rule.evaluate(seen)
        seen["vetoes"] = vetoes.evaluate(seen)
        return seen

    def read(seen: Cleaned) -> tuple[dict[str, Any], tuple[str, ...]]:
        decided = {name: seen[name] for name in _RESULT}
        decided |= {name: float(decided[name]) for name in ("bias", "offset_bps")}
        return _complete(decided, tuple(seen["vetoes"]))

    return Peer("rule-engine", decide, read)


# json-logic ----------------------------------------------------------------------------------------------------------


def _logic(e: ast.expr) -> Any:
    """An expression of `STEPS` as JsonLogic, where a comparison with null is false by itself."""
    match e:
        case ast.IfExp(test, then, otherwise):
            rest = _logic(otherwise)
            chained = rest["if"] if isinstance(rest, dict) and "if" in rest else [rest]
            return {"if": [_logic(test), _logic(then), *chained]}
        case ast.BoolOp(op, parts):
            return {"and" if isinstance(op, ast.And) else "or": [_logic(part) for part in parts]}
        case ast.BinOp(left, ast.Add(), right):
            first = _logic(left)
            earlier = first["+"] if isinstance(first, dict) and "+" in first else [first]
            return {"+": [*earlier, _logic(right)]}
        case ast.Compare(left, [ast.Is() | ast.IsNot() as op], _):
            return {"===" if isinstance(op, ast.Is) else "!==": [_logic(left), None]}
        case ast.Compare(left, [op], [right]):
            sign = {"==": "===", "!=": "!=="}.get(_COMPARISONS[type(op)], _COMPARISONS[type(op)])
            return {sign: [_logic(left), _logic(right)]}
        case ast.Constant(value):
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(float() as number)):
            return -number
        case ast.Name(name):
            return {"var": name}
    raise AssertionError(ast.dump(e))


def json_logic_rules() -> Peer:
    """JsonLogic: one rule a step."""
    from json_logic import jsonLogic  # noqa: PLC0415 - only where it is installed

    steps = {name: _logic(_parse(text)) for name, text in STEPS.items()}
    vetoes = {"merge": [{"if": [_logic(_parse(text)), name, []]} for name, text in VETOES.items()]}

    def decide(facts: Cleaned) -> Cleaned:
        seen = dict(facts)
        for name, rule in steps.items():
            seen[name] = jsonLogic(rule, seen)
        seen["vetoes"] = jsonLogic(vetoes, seen)
        return seen

    def read(seen: Cleaned) -> tuple[dict[str, Any], tuple[str, ...]]:
        return _complete({name: seen[name] for name in _RESULT}, tuple(seen["vetoes"]))

    return Peer("json-logic", decide, read)


# zen tables ----------------------------------------------------------------------------------------------------------

_ANY = ""


def _table(
    name: str, inputs: list[str], outputs: list[str], rows: list[list[str]], hit: str = "first"
) -> dict[str, Any]:
    """A decision table: each row holds a cell an input, then one an output."""
    columns = [*(f"i{number}" for number in range(len(inputs))), *(f"o{number}" for number in range(len(outputs)))]
    return {
        "id": name,
        "name": name,
        "type": "decisionTableNode",
        "content": {
            "hitPolicy": hit,
            "passThrough": True,
            "inputs": [
                {"id": f"i{number}", "name": field or "condition"} | ({"field": field} if field else {})
                for number, field in enumerate(inputs)
            ],
            "outputs": [{"id": f"o{number}", "name": field, "field": field} for number, field in enumerate(outputs)],
            "rules": [
                {"_id": f"{name}-{number}"} | dict(zip(columns, row, strict=True)) for number, row in enumerate(rows)
            ],
            "outputPath": "vetoed" if hit == "collect" else None,
        },
    }


def _expressions(name: str, expressions: dict[str, str]) -> dict[str, Any]:
    parts = [{"id": f"{name}-{key}", "key": key, "value": value} for key, value in expressions.items()]
    return {
        "id": name,
        "name": name,
        "type": "expressionNode",
        "content": {"passThrough": True, "expressions": parts},
    }


def _steps_of_a_node(*names: str) -> dict[str, str]:
    """Steps as one expression node's keys: `$.` is how one reads another."""
    return _own_names({name: _print(_parse(STEPS[name]), _WORDS) for name in names})


def _own_names(expressions: dict[str, str]) -> dict[str, str]:
    """Expressions of one node, which read each other by `$.`."""
    own = re.compile(rf"(?<![\w.])({'|'.join(expressions)})\b")
    return {name: own.sub(r"$.\1", text) for name, text in expressions.items()}


def zen_graph(*border: dict[str, Any]) -> dict[str, Any]:
    """The policy as a graph of tables, one for each `first` and `veto` set, and expressions where numbers add up.

    Nodes of a border go first.
    """
    known = "$ != null and $ "
    worse = ["fallback_ratio", "slippage_p95_bps", "ack_latency_p50_ms"]
    quality = [["null", *[_ANY] * 4, '"ok"'], ["< 20", *[_ANY] * 4, '"ok"']]
    for tier, limits in (("broken", ("0.9", "20", "2500")), ("degraded", ("0.6", "8", "1500"))):
        for number, limit in enumerate(limits):
            cells = [_ANY] * 3
            cells[number] = f"{known}>= {limit}"
            quality.append([_ANY, *cells, _ANY, f'"{tier}"'])
    good = [f"{known}<= {limit}" for limit in ("0.4", "4", "800")]
    quality += [[_ANY, *good, f"{known}>= 0.7", '"good"'], [*[_ANY] * 5, '"ok"']]
    regime = [
        ["null", '"normal"'],
        [">= 2.5", '"panic"'],
        [">= 1.5", '"hot"'],
        ["< 0.5", '"quiet"'],
        [_ANY, '"normal"'],
    ]
    stance = [
        ['"broken"', _ANY, _ANY, "false"],
        ['"degraded"', '"panic"', _ANY, "false"],
        [_ANY, _ANY, "false", "false"],
        [_ANY, _ANY, _ANY, "true"],
    ]
    label = [["<= 0.4", '"prefer_maker"'], [">= 0.6", '"prefer_taker"'], [_ANY, '"balanced"']]
    gates = [[_print(_parse(text), _WORDS), f'"{name}"'] for name, text in VETOES.items()]
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", "content": {}},
        *border,
        _table("quality", ["sample_count", *worse, "maker_fill_ratio"], ["quality"], quality),
        _table("regime", ["atr_ratio"], ["atr_regime"], regime),
        _table("stance", ["quality", "atr_regime", "tuned_maker_first"], ["maker_first"], stance),
        _expressions("tuned", _steps_of_a_node("tuned", "leaning", "bias")),
        _table("bias_label", ["bias"], ["taker_bias"], label),
        _expressions("offset", _steps_of_a_node("book_missing", "adapted", "bounded", "offset_bps")),
        _table("gates", [""], ["id"], gates, hit="collect"),
        _expressions(
            "route",
            {
                "vetoes": "map(vetoed, #.id)",
                "maker_allowed": "len(vetoed) == 0",
                "route": '$.maker_allowed ? "maker" : "taker"',
                "probe": "false",
                "keep_reduce_only": "true",
                "protection_bps": "15",
            },
        ),
        {"id": "out", "name": "out", "type": "outputNode", "content": {}},
    ]
    names = [node["id"] for node in nodes]
    edges = [
        {"id": f"{source}-{target}", "type": "edge", "sourceId": source, "targetId": target}
        for source, target in itertools.pairwise(names)
    ]
    return {"nodes": nodes, "edges": edges}


def zen_tables() -> Peer:
    """The graph in an engine with a static loader."""
    return _zen_engine(zen_graph())


def _zen_engine(graph: dict[str, Any]) -> Peer:
    import zen  # noqa: PLC0415 - only where it is installed

    evaluate = zen.ZenEngine({"loader": {"type": "static", "content": {"routing": graph}}}).evaluate

    def read(response: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        return _read_object(response["result"])

    return Peer("zen tables", lambda facts: evaluate("routing", facts), read)


# zen's own border ----------------------------------------------------------------------------------------------------

_FLAG = ""
_PRICE = "[0.000000001..1000000000]"
_QTY = "[-1000000000000..1000000000000]"
_SHARE = "[0..1]"
_BPS = "[-10000..10000]"
_LATENCY_MS = "[0..3600000]"
_BORDER: dict[str, tuple[str, dict[str, str]]] = {
    "intent": (
        _FLAG,
        {"maker_requested": _FLAG, "maker_price": _PRICE, "maker_qty": _QTY, "reduce_only": _FLAG},
    ),
    "market": ("2", {"bid": _PRICE, "ask": _PRICE, "spread_bps": "[0..20000]"}),
    "bars": ("180", {"atr_ratio": "[0..1000000]"}),
    "telemetry": (
        "900",
        {
            "maker_fill_ratio": _SHARE,
            "fallback_ratio": _SHARE,
            "slippage_p50_bps": _BPS,
            "slippage_p95_bps": _BPS,
            "ack_latency_p50_ms": _LATENCY_MS,
            "ack_latency_p95_ms": _LATENCY_MS,
            "sample_count": "[0..1000000000]",
        },
    ),
    "tuning": (
        "",
        {"tuned_bias_delta": "[-1..1]", "tuned_offset_delta_bps": "[-1000..1000]", "tuned_maker_first": _FLAG},
    ),
    "windows": ("", {"maker_paused": _FLAG}),
    "signal": ("3600", {"hourly_expectancy": _BPS}),
    "decisions.admission": ("", {"admitted_qty": "[0..1000000000000]"}),
}
"""By group: how old it may be (s; nothing: any age, and it need not be dated), and its facts' ranges."""
_RELATIONS = (
    ("bid", "ask"),
    ("slippage_p50_bps", "slippage_p95_bps"),
    ("ack_latency_p50_ms", "ack_latency_p95_ms"),
)


def zen_border() -> dict[str, str]:
    """The border in ZEN, as names and expressions, in an order in which each needs only earlier ones."""
    made: dict[str, str] = {}
    low_of = dict(_RELATIONS)
    high_of = {high: low for low, high in _RELATIONS}
    for group, (age, facts) in _BORDER.items():
        at, seen = f"{group}.observed_at", f"{group.replace('.', '_')}_seen"
        dated = f'type({at}) == "number" and now - {at} ' + (f"in [-5..{age}]" if age else ">= -5")
        made[seen] = f"({dated if age else f'{at} == null or {dated}'}) ? {group} : null"
        for fact, within in facts.items():
            value = f"{seen}.{fact}"
            test = f'type({value}) == "number" and {value} in {within}' if within else f'type({value}) == "bool"'
            related = fact in low_of or fact in high_of
            made[f"{fact}_held" if related else fact] = f"{test} ? {value} : null"
    for low, high in _RELATIONS:
        first, second = f"{low}_held", f"{high}_held"
        made[f"{low}_broken"] = f"{first} != null and {second} != null and {first} > {second}"
        made |= {side: f"{low}_broken ? null : {side}_held" for side in (low, high) if side in READ}
    return made


def for_zen(facts: Any) -> Any:
    """The same facts object with text for the numbers that zen refuses to take at all."""
    if isinstance(facts, dict):
        return {key: for_zen(held) for key, held in facts.items()}
    return str(facts) if isinstance(facts, float) and not abs(facts) < _DECIMAL_LIMIT else facts


_DECIMAL_LIMIT = 7.9e28


def zen_expression_whole() -> Peer:
    """ZEN with its own border, compiled once."""
    import zen  # noqa: PLC0415 - only where it is installed

    border = "".join(f"{name} = {text};\n" for name, text in zen_border().items())
    return Peer("zen expression", zen.compile_expression(border + zen_source()).evaluate, _read_object)


def zen_tables_whole() -> Peer:
    """The graph with a node for its own border first, in an engine with a static loader."""
    return _zen_engine(zen_graph(_expressions("border", _own_names(zen_border()))))


# CLIPS ---------------------------------------------------------------------------------------------------------------

_CLIPS = """
(deftemplate seen {slots})
(defglobal ?*vetoes* = (create$))
(deffunction object (?id) (bind ?*vetoes* (create$ ?*vetoes* ?id)) (assert (veto ?id)))
(deffunction at-least (?value ?limit) (and (numberp ?value) (>= ?value ?limit)))
(deffunction at-most (?value ?limit) (and (numberp ?value) (<= ?value ?limit)))
(deffunction above (?value ?limit) (and (numberp ?value) (> ?value ?limit)))
(deffunction below (?value ?limit) (and (numberp ?value) (< ?value ?limit)))

(defrule quality-unproven (declare (salience 95))
  (seen (sample_count ?n&:(or (not (numberp ?n)) (< ?n 20.0))))
  => (assert (quality ok)))
(defrule quality-broken (declare (salience 94))
  (not (quality ?))
  (seen (fallback_ratio ?f) (slippage_p95_bps ?s) (ack_latency_p50_ms ?a))
  (test (or (at-least ?f 0.9) (at-least ?s 20.0) (at-least ?a 2500.0)))
  => (assert (quality broken)))
(defrule quality-degraded (declare (salience 93))
  (not (quality ?))
  (seen (fallback_ratio ?f) (slippage_p95_bps ?s) (ack_latency_p50_ms ?a))
  (test (or (at-least ?f 0.6) (at-least ?s 8.0) (at-least ?a 1500.0)))
  => (assert (quality degraded)))
(defrule quality-good (declare (salience 92))
  (not (quality ?))
  (seen (maker_fill_ratio ?m) (fallback_ratio ?f) (slippage_p95_bps ?s) (ack_latency_p50_ms ?a))
  (test (and (at-least ?m 0.7) (at-most ?f 0.4) (at-most ?s 4.0) (at-most ?a 800.0)))
  => (assert (quality good)))
(defrule quality-otherwise (declare (salience 91))
  (not (quality ?)) => (assert (quality ok)))

(defrule regime (declare (salience 90))
  (seen (atr_ratio ?r))
  => (assert (atr_regime (if (at-least ?r 2.5) then panic else (if (at-least ?r 1.5) then hot else
       (if (below ?r 0.5) then quiet else normal))))))

(defrule stance (declare (salience 80))
  (quality ?q) (atr_regime ?r) (seen (tuned_maker_first ?t) (tuned_bias_delta ?d))
  => (bind ?never (or (eq ?q broken) (and (eq ?q degraded) (eq ?r panic)) (eq ?t FALSE)))
     (assert (maker_first (if ?never then FALSE else TRUE)))
     (bind ?bias (if (eq ?q good) then 0.25 else (if (eq ?q ok) then 0.5 else 0.75)))
     (if (and (numberp ?d) (or (eq ?q good) (eq ?q ok))) then (bind ?bias (max 0.0 (min 1.0 (+ ?bias ?d)))))
     (assert (bias ?bias)))
(defrule bias-label (declare (salience 70))
  (bias ?b)
  => (assert (taker_bias (if (<= ?b 0.4) then prefer_maker else (if (>= ?b 0.6) then prefer_taker else balanced)))))

(defrule offset (declare (salience 60))
  (quality ?q) (atr_regime ?r)
  (seen (bid ?bid) (ask ?ask) (spread_bps ?spread) (sample_count ?n) (maker_fill_ratio ?m) (fallback_ratio ?f)
        (slippage_p50_bps ?s) (hourly_expectancy ?e) (tuned_offset_delta_bps ?d))
  => (bind ?o 2.0)
     (if (and (numberp ?bid) (numberp ?ask) (at-most ?spread 12.0) (numberp ?n)) then
       (switch ?r (case quiet then (bind ?o 1.5)) (case hot then (bind ?o 2.5)) (case panic then (bind ?o 3.0)))
       (if (above ?m 0.7) then (bind ?o (- ?o 0.5)))
       (if (above ?f 0.5) then (bind ?o (+ ?o 1.0)))
       (if (above ?f 0.8) then (bind ?o (+ ?o 1.5)))
       (if (above ?s 5.0) then (bind ?o (+ ?o 0.8)))
       (if (below ?s 1.0) then (bind ?o (- ?o 0.2)))
       (if (above ?e 0.0) then (bind ?o (- ?o 0.2)))
       (if (below ?e 0.0) then (bind ?o (+ ?o 0.2)))
       (if (and (numberp ?d) (or (eq ?q good) (eq ?q ok))) then (bind ?o (+ ?o ?d))))
     (bind ?o (min (max ?o 0.5) 8.0))
     (if (above ?spread 6.0) then (bind ?o (min ?o 6.0)))
     (assert (offset_bps ?o)))

(defrule maker_not_requested (declare (salience 52))
  (seen (maker_requested ~TRUE)) => (object hard_gates.maker_not_requested))
(defrule policy_disables_maker (declare (salience 51))
  (maker_first FALSE) => (object hard_gates.policy_disables_maker))
(defrule bias_prefers_taker (declare (salience 50))
  (taker_bias prefer_taker) => (object hard_gates.bias_prefers_taker))
(defrule reduce_only (declare (salience 49))
  (seen (reduce_only ~FALSE)) => (object hard_gates.reduce_only))
(defrule maker_qty_invalid (declare (salience 48))
  (seen (maker_qty ?q&:(not (above ?q 0.0)))) => (object hard_gates.maker_qty_invalid))
(defrule maker_price_invalid (declare (salience 47))
  (seen (maker_price nil)) => (object hard_gates.maker_price_invalid))
(defrule book_missing (declare (salience 46))
  (seen (bid ?b) (ask ?a) (spread_bps ?s&:(or (eq ?b nil) (eq ?a nil) (eq ?s nil))))
  => (object hard_gates.book_missing))
(defrule spread_too_wide (declare (salience 45))
  (seen (spread_bps ?s&:(above ?s 12.0))) => (object hard_gates.spread_too_wide))
(defrule telemetry_stale (declare (salience 44))
  (seen (sample_count nil)) => (object hard_gates.telemetry_stale))
(defrule breaker_open (declare (salience 43))
  (seen (maker_paused ~FALSE)) => (object hard_gates.breaker_open))
(defrule maker_qty_above_admitted (declare (salience 42))
  (seen (admitted_qty ?a) (maker_qty ?q&:(and (numberp ?q) (or (not (numberp ?a)) (> ?q ?a)))))
  => (object hard_gates.maker_qty_above_admitted))
(defrule quality_not_good (declare (salience 41))
  (quality ~good) => (object maker_gates.quality_not_good))

(defrule taker (declare (salience 31)) (exists (veto ?)) => (assert (maker_allowed FALSE)) (assert (route taker)))
(defrule maker (declare (salience 30)) (not (veto ?)) => (assert (maker_allowed TRUE)) (assert (route maker)))
(defrule answer (declare (salience 10))
  (quality ?q) (atr_regime ?r) (maker_first ?m) (bias ?b) (taker_bias ?t) (offset_bps ?o) (probe ?p)
  (maker_allowed ?a) (route ?w) (keep_reduce_only ?k) (protection_bps ?x)
  => (answer ?q ?r ?m ?b ?t ?o ?p ?a ?w ?k ?x (create$ ?*vetoes*)))
(deffacts fixed (probe FALSE) (keep_reduce_only TRUE) (protection_bps 15.0))
"""


def clips_rules() -> Peer:
    """CLIPS, its constructs loaded once."""
    import clips  # noqa: PLC0415 - only where it is installed

    answers: list[tuple[Any, ...]] = []

    def answer(*values: Any) -> None:
        answers.append(values)

    environment = clips.Environment()
    environment.define_function(answer)
    slots = " ".join(f"(slot {name})" for name in READ)
    for construct in re.split(r"\n(?=\(def)", _CLIPS.replace("{slots}", slots).strip()):
        environment.build(construct)
    assert_seen = environment.find_template("seen").assert_fact
    reset, run = environment.reset, environment.run
    words = {None: clips.Symbol("nil"), True: clips.Symbol("TRUE"), False: clips.Symbol("FALSE")}

    def decide(facts: Cleaned) -> tuple[Any, ...]:
        reset()
        assert_seen(**{name: value if value.__class__ is float else words[value] for name, value in facts.items()})
        run()
        return answers.pop()

    def read(values: tuple[Any, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        decided, vetoes = values[: len(DECIDED)], values[len(DECIDED) :]  # a multifield arrives spread out
        return dict(zip(DECIDED, map(_plain, decided), strict=True)), tuple(map(str, vetoes))

    return Peer("clips", decide, read)


def _plain(value: Any) -> Any:
    """A CLIPS value as Python's: symbols are text."""
    if isinstance(value, str):
        return {"TRUE": True, "FALSE": False}.get(str(value), str(value))
    return value


# durable-rules -------------------------------------------------------------------------------------------------------

_TIER_READS = ("maker_fill_ratio", "fallback_ratio", "slippage_p95_bps", "ack_latency_p50_ms", "sample_count")
_rulesets = itertools.count()


def durable_quality() -> Callable[[Cleaned], str]:
    """The quality tier in durable-rules: cleaned facts in, the tier out. It is a part, so it is no `Peer`."""
    from durable import lang  # noqa: PLC0415 - a C extension that only this one needs

    found: list[str] = []

    def says(tier: str) -> Callable[[Any], None]:
        return lambda _: found.append(tier)

    m, name = lang.m, f"quality_{next(_rulesets)}"  # names are known to the whole process, once
    tiers = (
        ("ok", m.measured == False),  # noqa: E712 - its way of writing a condition
        ("ok", m.sample_count < 20.0),
        ("broken", (m.fallback_ratio >= 0.9) | (m.slippage_p95_bps >= 20.0) | (m.ack_latency_p50_ms >= 2500.0)),
        ("degraded", (m.fallback_ratio >= 0.6) | (m.slippage_p95_bps >= 8.0) | (m.ack_latency_p50_ms >= 1500.0)),
        (
            "good",
            (m.maker_fill_ratio >= 0.7)
            & (m.fallback_ratio <= 0.4)
            & (m.slippage_p95_bps <= 4.0)
            & (m.ack_latency_p50_ms <= 800.0),
        ),
        ("ok", m.asked == True),  # noqa: E712 - as above
    )
    with lang.ruleset(name):
        for priority, (tier, condition) in enumerate(tiers, 1):
            lang.when_all(lang.pri(priority), condition)(says(tier))
    post = lang.post

    def decide(facts: Cleaned) -> str:
        event = {fact: facts[fact] for fact in _TIER_READS if facts[fact] is not None}
        event["asked"] = True
        event["measured"] = facts["sample_count"] is not None
        post(name, event)
        return found.pop()

    return decide


_MAKERS: tuple[tuple[str, tuple[Callable[[], Peer], ...]], ...] = (
    ("zen", (zen_expression, zen_tables)),
    ("cel", (cel_program,)),
    ("clips", (clips_rules,)),
    ("rule_engine", (rule_engine_rules,)),
    ("json_logic", (json_logic_rules,)),
)
