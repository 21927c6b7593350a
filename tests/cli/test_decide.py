"""`sluice decide` and `sluice explain`: every kind of facts in, pages and records out, bad rows named."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.harness import HOME, sluice

TAKER = json.loads((HOME / "taker.json").read_text())
MAKER = json.loads((HOME / "maker.json").read_text())


def facts_file(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def records(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_one_object_gives_a_summary_and_json_the_record() -> None:
    result = sluice("decide", "-p", "live", "taker.json")
    assert result.exit_code == 0
    assert result.output.startswith("taker: gates.spread_too_wide (")
    assert "rules/gates.yaml:13" in result.output
    (record,) = records(sluice("decide", "-p", "live", "taker.json", "--json").output)
    assert record["decided"] == {"tier": "ok", "offset_bps": 3.25, "gates_open": False, "route": "taker"}


def test_a_record_decides_again_to_itself() -> None:
    (record,) = records(sluice("decide", "-p", "live", "gaps.json", "--json").output)
    again = {"now": record["now"], "symbol": record["symbol"], **record["facts"]}  # type: ignore[dict-item]  # read from JSON
    (second,) = records(sluice("decide", "-p", "live", "-", "--json", stdin=json.dumps(again).encode()).output)
    assert second["decided"] == record["decided"]
    assert second["reason"] == record["reason"]


def test_both_backends_print_the_same() -> None:
    for name in ("taker.json", "maker.json", "gaps.json", "several.csv"):
        one, other = (
            sluice("decide", "-p", "live", "--json", "--backend", backend, name).output
            for backend in ("compiled", "interpreter")
        )
        assert one == other != ""


def test_an_object_may_take_several_lines_and_come_from_standard_input() -> None:
    pretty = json.dumps(MAKER, indent=2).encode()
    for data in (pretty, b"\n\n" + pretty, b"\xef\xbb\xbf" + pretty, json.dumps(MAKER).encode()):
        result = sluice("decide", "-p", "live", "-", stdin=data)
        assert result.output.startswith("maker: no veto"), result.output


def test_json_lines_are_decided_one_by_one_and_bad_ones_are_named(tmp_path: Path) -> None:
    lines = [
        json.dumps(TAKER),
        '{"now": 1, "markt": {}}',
        "",
        '{"now": 1',
        "[1]",
        '{"now": 1, "now": 2}',
        '{"symbol": "BTCUSDT"}',
        json.dumps(MAKER),
    ]
    path = facts_file(tmp_path, "facts.jsonl", "\n".join(lines))
    result = sluice("decide", "-p", "live", path)
    assert result.exit_code == 1
    shown = result.stdout.splitlines()
    assert [line.split("  ")[:2] for line in shown] == [[f"{path}:1", "BTCUSDT"], [f"{path}:8", "DOGEUSDT"]]
    assert result.stderr.splitlines() == [
        f"{path}:2: there is no fact group `markt` (did you mean `market`?)",
        f"{path}:4:10: this is not JSON: expecting ',' delimiter",
        f"{path}:5: facts are an object, not a list (write one object, or one a line)",
        f"{path}:6: `now` is given twice (keep one of them)",
        f"{path}:7: `now` is missing (seconds since 1970: deciding reads no clock of its own)",
    ]
    result = sluice("decide", "-p", "live", path, "--json")
    assert result.exit_code == 1
    assert [record["symbol"] for record in records(result.stdout)] == ["BTCUSDT", "DOGEUSDT"]


def test_a_bad_line_at_the_top_spoils_no_other() -> None:
    data = b'{"now": nonsense}\n' + json.dumps(MAKER).encode() + b"\n"
    result = sluice("decide", "-p", "live", "-", stdin=data)
    assert result.exit_code == 1
    assert "<stdin>:1:9: this is not JSON" in result.stderr
    assert result.stdout.startswith("<stdin>:2  DOGEUSDT  maker")


def test_a_table_decides_as_the_objects_it_stands_for() -> None:
    found = records(sluice("decide", "-p", "live", "several.csv", "--json").output)
    assert [record["decided"]["route"] for record in found] == ["maker", "maker", "taker", "taker"]  # type: ignore[index]  # read from JSON
    assert found[2]["facts"] == {}, "empty cells are absent"
    assert found[3]["facts"] == {
        "intent": {"maker_requested": {"missing": "invalid", "got": "'maybe'"}},
        "market": {"spread_bps": {"missing": "invalid", "got": "nan"}, "venue": "near"},
        "telemetry": {"observed_at": 990.0, "sample_count": 0.0},
    }


def test_csv_lines_that_do_not_fit_are_named(tmp_path: Path) -> None:
    text = b'now,symbol,market.venue\n1,A,"x\ny"\n2,B\n3,\xff,z\n4,D,w\n5,"a"b,c\n6,F,\n'
    path = facts_file(tmp_path, "facts.csv", text)
    result = sluice("decide", "-p", "live", path, "--json")
    assert result.exit_code == 1
    assert [record["now"] for record in records(result.stdout)] == [1, 4, 6]
    assert result.stderr.splitlines() == [
        f"{path}:4: 2 cells under 3 columns",
        f"{path}:5: this is not UTF-8",
        f"{path}:7: this is not CSV: ',' expected after '\"'",
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("now,telemetry.fallbak_ratio", "did you mean `telemetry.fallback_ratio`?"),
        ("now,telemetry", "column 2, `telemetry`, names no fact"),
        ("now,now", "the column `now` is given twice"),
        ("symbol,market.venue", "there is no column `now`"),
        ("now,", "column 2 has no name"),
    ],
)
def test_a_column_nobody_declares_is_refused(tmp_path: Path, header: str, message: str) -> None:
    result = sluice("decide", "-p", "live", facts_file(tmp_path, "facts.csv", f"{header}\n1,2\n"))
    assert result.exit_code == 2
    assert message in result.output


def test_cells_become_what_their_column_is_declared_to_be(tmp_path: Path) -> None:
    text = "now,market.spread_bps,market.venue,intent.maker_requested\n 1e3 ,1_0,12,True\n1000,9007199254740993,,1\n"
    found = records(sluice("decide", "-p", "live", facts_file(tmp_path, "facts.csv", text), "--json").output)
    assert found[0]["facts"] == {
        "intent": {"maker_requested": True},
        "market": {"spread_bps": {"missing": "invalid", "got": "'1_0'"}, "venue": "12"},
    }
    assert found[1]["facts"] == {
        "intent": {"maker_requested": {"missing": "invalid", "got": "'1'"}},
        "market": {"spread_bps": {"missing": "invalid", "got": "9007199254740993"}},
    }


needs_duckdb = pytest.mark.skipif(importlib.util.find_spec("duckdb") is None, reason="the extra `replay` is not there")


def parquet(path: Path) -> str:
    import duckdb

    query = """
        SELECT * FROM (VALUES
            (1000.0::DOUBLE, 'BTCUSDT', TIMESTAMP '1970-01-01 00:16:30', 50, 0.3::DECIMAL(3, 2), true, 3.5::FLOAT),
            (1000.0::DOUBLE, NULL, NULL, NULL, NULL, NULL, 'nan'::FLOAT)
        ) AS facts("now", "symbol", "telemetry.observed_at", "telemetry.sample_count", "telemetry.fallback_ratio",
                   "intent.maker_requested", "market.spread_bps")
    """
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return str(path)


@needs_duckdb
@pytest.mark.parametrize("name", ["facts.parquet", "a[1]*?.parquet", "unnamed"])
def test_parquet_by_name_by_content_and_through_a_pipe(tmp_path: Path, name: str) -> None:
    plain = parquet(tmp_path / "made.parquet")
    target = tmp_path / name
    shutil.copy(plain, target)
    result = sluice("decide", "-p", "live", str(target), "--json")
    assert result.exit_code == 0, result.output
    found = records(result.output)
    assert [record["symbol"] for record in found] == ["BTCUSDT", None]
    assert found[0]["facts"] == {
        "intent": {"maker_requested": True},
        "market": {"spread_bps": 3.5},
        "telemetry": {"observed_at": 990.0, "sample_count": 50.0, "fallback_ratio": 0.3},
    }
    assert found[1]["facts"] == {"market": {"spread_bps": {"missing": "invalid", "got": "nan"}}}
    assert sluice("decide", "-p", "live", "-", "--json", stdin=target.read_bytes()).output == result.output


def test_parquet_without_its_extra_says_which_and_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = sluice("decide", "-p", "live", facts_file(tmp_path, "facts.parquet", b"PAR1"))
    assert result.exit_code == 2
    assert "needs the extra `replay`" in result.output
    assert "pip install 'sluice-router[replay]'" in result.output


@pytest.mark.parametrize("name", ["facts.json", "facts.jsonl", "facts.csv", "facts.parquet", "facts"])
@pytest.mark.parametrize("data", [b"", b"\n", b"\x00\xff" * 50, b"[" * 100_000, b'{"now":' * 20_000, b"1" * 5000, b'"'])
def test_no_junk_makes_a_traceback(tmp_path: Path, name: str, data: bytes) -> None:
    path = facts_file(tmp_path, name, data)
    for command in ("decide", "explain"):
        result = sluice(command, "-p", "live", path)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")


def test_control_characters_of_facts_do_not_reach_the_terminal() -> None:
    facts = {**TAKER, "symbol": "\x1b[2J\u202e", "market": {"spread_bps": 1, "venue": "far\x1b]0;x\x07"}}
    for command in ("decide", "explain"):
        output = sluice(command, "-p", "live", "-", stdin=json.dumps(facts).encode()).output
        assert not set(output) & {"\x1b", "\x07", "\u202e"}


@pytest.mark.parametrize("command", ["decide", "explain"])
def test_what_is_asked_for_and_not_there_is_usage(command: str) -> None:
    for arguments, message in (
        (("-p", "liv", "taker.json"), "did you mean `live`?"),
        (("-p", "live", "--policy", "rooting", "taker.json"), "did you mean `routing`?"),
        (("-p", "live", "nothing.json"), "no such file"),
        (("-p", "live", "."), "is a directory"),
        (("-p", "live"), "Missing argument"),
        (("taker.json",), "Missing option"),
    ):
        result = sluice(command, *arguments)
        assert result.exit_code == 2
        assert message in result.output


def test_errors_under_json_are_json() -> None:
    result = sluice("decide", "-p", "liv", "taker.json", "--json")
    assert json.loads(result.stdout) == {"error": "there is no profile `liv`", "help": "did you mean `live`?"}
    result = sluice("decide", "-p", "base", "taker.json", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"][0]["code"] == "profile.abstract"


# --- explain ------------------------------------------------------------------------------------------


def test_explain_as_json_has_every_step_rule_and_leaf() -> None:
    found = json.loads(sluice("explain", "-p", "live", "gaps.json", "--json").output)
    assert [step["ruleset"] for step in found["steps"]] == ["tier", "offset", "gates", "route"]
    verdicts = {rule["rule"]: rule["verdict"] for step in found["steps"] for rule in step["rules"]}
    assert verdicts == {
        "tier.unproven": "matched",
        "tier.bad": "not reached",
        "tier.good": "not reached",
        "tier.otherwise": "not reached",
        "offset.falling_back": "unknown, skipped",
        "offset.bounds": "matched",
        "gates.not_requested": "unknown, matched",
        "gates.spread_too_wide": "not matched",
        "gates.tier_not_good": "matched",
        "gates.closed": "unknown, skipped",
        "route.maker": "not matched",
        "route.taker": "matched",
    }
    wide = found["steps"][2]["rules"][1]["when"]
    assert wide["truth"] == "false"
    assert [item.get("truth") for item in wide["all"]] == ["false", "unknown"]
    assert wide["all"][1]["any"][0]["saw"] == {"spread_bps": {"missing": "absent"}, "$max_spread_bps": 12.0}
    assert {"fact": "intent.maker_requested", "missing": "invalid", "got": "'yes'"} in found["missing"]
    assert {"fact": "telemetry.sample_count", "missing": "stale"} in found["missing"]


def test_explain_and_decide_tell_the_same_decision() -> None:
    (record,) = records(sluice("decide", "-p", "live", "taker.json", "--json").output)
    explained = json.loads(sluice("explain", "-p", "live", "taker.json", "--json").output)
    assert explained["decision"] == record
    sets = {name: value for step in explained["steps"] for name, value in step["sets"].items()}
    assert record["decided"].items() <= sets.items()  # type: ignore[attr-defined]  # read from JSON


def test_explain_heads_each_of_several_rows_with_its_place() -> None:
    lines = sluice("explain", "-p", "live", "several.csv").output.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("several.csv:")]
    assert [lines[number] for number in heads] == [f"several.csv:{row}" for row in (2, 3, 4, 5)]
    assert all(lines[number + 1].startswith(("maker: ", "taker: ")) for number in heads)
    assert "\n".join(lines).count("route (first): route = ") == 4
    rows = [json.loads(line) for line in sluice("explain", "-p", "live", "several.csv", "--json").output.splitlines()]
    assert [row["row"] for row in rows] == [2, 3, 4, 5]
    assert "row" not in json.loads(sluice("explain", "-p", "live", "taker.json", "--json").output)


def test_explain_says_where_each_rule_stands() -> None:
    output = sluice("explain", "-p", "live", "taker.json", columns=160).output
    for line in ("not matched  closed: venue near == 'closed'  rules/gates.yaml:25", "(always)  rules/route.yaml:11"):
        assert line in output
