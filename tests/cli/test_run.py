"""`sluice run`: what it runs over, what it says before and after, where it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.journal.events import Outcome, SessionStarted
from engine.journal.reader import read, verify
from engine.reload.last_good import GoodRulebook, LastGood
from engine.routing.evidence.rulebooks import Rulebooks
from tests.cli.conftest import Played
from tests.cli.harness import HOME, sluice
from tests.routing.sessions.test_source import recording

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--generated", "--symbols", "BTCUSDT", "--limit-quotes", "2000")


def run(*arguments: str, logs: Path, columns: int | None = 80, **how: Any) -> Any:
    return sluice("run", *arguments, "--logs", str(logs), cwd=ROOT, columns=columns, **how)


def summary(*arguments: str, logs: Path, **how: Any) -> dict[str, Any]:
    result = run(*arguments, "--json", logs=logs, **how)
    assert result.exit_code == 0, result.stderr
    held: dict[str, Any] = json.loads(result.stdout)
    return held


@pytest.mark.parametrize("columns", [80, 160])
def test_a_page_says_what_is_made_up_and_keeps_to_the_width(columns: int, tmp_path: Path) -> None:
    result = run(*SHORT, "-p", "testnet", logs=tmp_path, columns=columns)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    lines = result.stdout.splitlines()
    further = next(number for number, line in enumerate(lines) if line.startswith("journal "))
    assert max(len(line.rstrip()) for line in lines[:further]) <= columns, "commands stay whole, to be copied"
    text = " ".join(result.stdout.split())
    for part in (
        "profile testnet, rulebook ",
        "market generated, seed 7: BTCUSDT; 2024-01-01 00:00:00 UTC, 20 min 0 s",
        "fees 2 bps maker, 5 bps taker; 25 ms there, 25 ms back; pessimistic queue",
        "intents made up: signals of seed 7, one every 2 s for each symbol",
        "telemetry made up: generated, seed 7",
        "assumed risk normal; NAV 1,000,000 USD, leverage 3",
        "this market is made up",
        "BTCUSDT: no exchange info; assumed from its market: tick 0.1",
        "the first intent of each kind",
        "as many quotes as asked for: 2,000 quotes",
        "four ways to route the same",
        "maker_gates.quality_not_good" if columns == 160 else "quality_not_good",
        f"sluice why BTCUSDT --logs {tmp_path}",
    ):
        assert part in text or part.startswith(("maker_gates", "quality")), part


def test_json_is_one_object_and_the_same_for_the_same_seed(played: Played, tmp_path: Path) -> None:
    said = played.said
    assert (said["profile"], said["ended"], said["left_open"], said["signal"]) == ("testnet", "limit_quotes", 0, None)
    assert sum(said["market"]["quotes"].values()) == 5000
    assert said["report"]["intents"]["routed"]["maker"] > 0
    assert said["report"]["compared"]["intents"] > 0
    events = list(read(played.logs / "journal"))
    assert said["journal"]["events"] == len(events)
    arguments = ("--generated", "--symbols", "BTCUSDT,ETHUSDT", "--limit-quotes", "5000", "-p", "testnet")
    again = summary(*arguments, logs=tmp_path / "logs")
    assert again["report"] == said["report"]
    ours = (played.logs / "journal" / "2024-01-01.jsonl").read_bytes()
    assert (tmp_path / "logs" / "journal" / "2024-01-01.jsonl").read_bytes() == ours


def test_recordings_are_run_to_their_end_and_orders_rest(data_dir: Path, tmp_path: Path) -> None:
    said = summary(logs=tmp_path, env={"SLUICE_DATA": str(data_dir)})
    market = said["market"]
    assert market["source"] == "recorded"
    assert market["symbols"] == ["BTCUSDT", "ETHUSDT"], "those of the latest day"
    assert sum(market["quotes"].values()) > 100_000
    assert (said["ended"], said["left_open"]) == ("market_ended", 0)
    assert said["report"]["intents"]["routed"]["maker"] > 10
    assert said["telemetry"] == "generated, seed 7"
    assert verify(tmp_path / "journal") == []


def test_a_span_and_symbols_of_a_recording(data_dir: Path, tmp_path: Path) -> None:
    chosen = ("--feed", str(data_dir / "binance_vision" / "um"), "--symbols", "ETHUSDT")
    said = summary(*chosen, "--from", "2024-08-08T23:55", "--to", "2024-08-08T23:56", logs=tmp_path)
    assert said["market"]["symbols"] == ["ETHUSDT"]
    assert said["market"]["first_ms"] >= 1_723_161_300_000
    assert (
        max(event.arrival_ms for event in read(tmp_path / "journal") if isinstance(event, Outcome)) < 1_723_161_360_000
    )


def test_named_files_are_run_over(tmp_path: Path) -> None:
    path = recording(tmp_path)
    for arguments in ((str(path),), ("--feed", str(path)), ("--feed", str(tmp_path))):
        said = summary(*arguments, "--every", "0.2", logs=tmp_path / "logs")
        assert said["market"]["quotes"] == {"BTCUSDT": 50}
        assert said["market"]["files"] == {"BTCUSDT": [str(path)]}


def test_intents_come_from_a_file_and_what_is_wrong_with_them_is_journaled(tmp_path: Path) -> None:
    good = {"symbol": "BTCUSDT", "side": "buy", "qty": 0.01, "order_type": "market", "maker_requested": False}
    lines = [
        json.dumps({"intent_id": "a", "reduce_only": False, **good}),
        json.dumps({"intent_id": "a", "reduce_only": False, **good}),
        json.dumps({"intent_id": "b", **good, "symbol": "NOPE"}),
        '{"intent_id": "c", "symbol": "BTCUSDT", "qty": NaN}',
        "\ufffd",
        json.dumps({"intent_id": "d", "reduce_only": False, **good, "qty": -1}),
    ]
    intents = tmp_path / "intents.jsonl"
    intents.write_text("\n".join(lines))
    said = summary(*SHORT, "--intents", str(intents), logs=tmp_path / "logs")
    assert said["report"]["intents"]["refused"] == {"duplicate_id": 1, "malformed": 2, "unknown_symbol": 1}
    assert said["report"]["intents"]["received"] == 2
    result = run(*SHORT, "--intents", str(intents), "--verbose", logs=tmp_path / "logs")
    assert "refused" in result.stdout
    assert "duplicate id: an in" in result.stdout


def test_verbose_has_a_line_for_each_intent(tmp_path: Path) -> None:
    result = run(*SHORT, "--verbose", logs=tmp_path, columns=None)
    ended = [event for event in read(tmp_path / "journal") if isinstance(event, Outcome)]
    assert len(ended) > 20
    for event in ended:
        (line,) = (
            line for line in result.stdout.splitlines() if f" {event.intent_id} " in line and " BTCUSDT " in line
        )
        assert event.route in line


def test_telemetry_none_is_a_cold_start(tmp_path: Path) -> None:
    said = summary(*SHORT, "--telemetry", "none", logs=tmp_path)
    assert "maker" not in said["report"]["intents"]["routed"]
    assert said["telemetry"].startswith("none")


def test_telemetry_of_a_file_has_to_be_moved_to_the_day_of_a_replay(played: Played, tmp_path: Path) -> None:
    exported = tmp_path / "telemetry.jsonl"
    assert played("telemetry", "export", str(exported)).exit_code == 0
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    for line in lines:
        line["ts_ms" if "ts_ms" in line else "exported_ms"] += 365 * 86_400_000
    exported.write_text("\n".join(map(json.dumps, lines)))
    arguments = (*SHORT, "--telemetry", str(exported))
    said = summary(*arguments, logs=tmp_path / "logs")
    assert said["notes"][0].startswith("no imported sample lies in the 7 days before this market; --redate")
    assert "maker" not in said["report"]["intents"]["routed"]
    moved = summary(*arguments, "--redate", logs=tmp_path / "logs")
    assert not any("--redate" in note for note in moved["notes"])
    assert moved["report"]["intents"]["routed"]["maker"] > 0


def test_faults_and_queue_reach_the_venue(tmp_path: Path) -> None:
    faults = ("--faults", "fill.duplicate=1,place.timeout=0.2", "--queue", "optimistic")
    result = run(*SHORT, *faults, logs=tmp_path)
    text = " ".join(result.stdout.split())
    assert "faults made to happen: place.timeout 0.2, fill.duplicate 1" in text
    assert "optimistic queue" in text
    errors = sluice("journal", "--type", "order_error", "--logs", str(tmp_path), "--json")
    assert '"unknown_outcome"' in errors.stdout
    assert verify(tmp_path / "journal") == []


def test_a_number_changed_in_yaml_changes_decisions(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    assert sluice("init", str(workspace)).exit_code == 0
    arguments = ("--generated", "--limit-quotes", "4000", "--home", str(workspace))

    def vetoes() -> tuple[str, int]:
        result = sluice("run", *arguments, "--json", cwd=tmp_path)
        said = json.loads(result.stdout)
        veto = said["report"]["vetoes"].get("hard_gates.spread_too_wide", {"vetoes": 0})
        return said["rulebook"], veto["vetoes"]

    before = vetoes()
    base = workspace / "profiles" / "base.yaml"
    text = base.read_text()
    assert "hard_gates.max_spread_bps: 12" in text
    base.write_text(text.replace("hard_gates.max_spread_bps: 12", "hard_gates.max_spread_bps: 3"))
    after = vetoes()
    assert after[0] != before[0]
    assert after[1] > 2 * before[1]
    assert (workspace / "logs" / "journal").is_dir(), "a session writes to logs/ in its home"
    assert not (tmp_path / "logs").exists()


def test_a_second_run_keeps_the_first_as_earlier(tmp_path: Path) -> None:
    summary(*SHORT, logs=tmp_path)
    summary(*SHORT, "--seed", "8", logs=tmp_path)
    (started,) = (event for event in read(tmp_path / "journal") if isinstance(event, SessionStarted))
    assert started.settings["shape"]["seed"] == 8
    (earlier,) = (event for event in read(tmp_path / "earlier" / "journal") if isinstance(event, SessionStarted))
    assert earlier.settings["shape"]["seed"] == 7


def torn(folder: Path) -> Path:
    path = recording(folder)
    lines = path.read_text().splitlines(keepends=True)
    lines[30] = "1,2,x\n"
    path.write_text("".join(lines))
    return path


def test_a_broken_market_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = torn(tmp_path)
    result = run(str(path), "--every", "0.2", logs=tmp_path / "logs")
    assert result.exit_code == 1
    assert f"error: {path}:31: 3 columns where the file has 7" in result.stderr
    told = run(str(path), "--json", logs=tmp_path / "logs")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["error"].startswith(f"{path}:31: ")


def test_what_cannot_be_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "telemetry.jsonl").write_text("{}")
    for arguments, code, says in (
        ((str(tmp_path / "notes.txt"),), 1, "no market data"),
        ((str(tmp_path / "nowhere.csv"),), 2, "does not exist"),
        (("--feed", str(tmp_path / "empty")), 1, "empty"),
        (("--generated", "--feed", str(tmp_path)), 2, "exclude each other"),
        (("--every", "0"), 2, "--every"),
        (("-p", "prd", "--generated"), 2, "did you mean `prod`"),
        (("--generated", "--symbols", "BTCUSD"), 2, "did you mean `BTCUSDT`"),
        (("--symbols", "A,,B"), 2, "names no symbol somewhere"),
        (("--generated", "--from", "2024-01-01"), 2, "by its seed"),
        (("--from", "yesterday"), 2, "`yesterday` is no time"),
        (("--from", "2024-01-02", "--to", "2024-01-01"), 2, "nothing lies between"),
        (("--faults", "place=0.1"), 2, "`place` in `place=0.1` is none of"),
        (("--fsync", "often"), 2, "no fsync policy"),
        (("--venue", "here"), 2, "no address"),
        (("--venue", "127.0.0.1:1", "--generated"), 2, "--generated does not go with --venue"),
        (("--venue", "127.0.0.1:1"), 2, "no venue at 127.0.0.1:1"),
        (("--generated", "--intents", str(tmp_path / "nowhere")), 2, "no file of intents"),
        (("--generated", "--telemetry", str(tmp_path / "telemetry.jsonl")), 1, "telemetry.jsonl:1"),
        (("--generated", "--home", str(HOME), "-p", "live"), 1, "runs no policy `admission`"),
    ):
        result = run(*arguments, logs=tmp_path / "logs")
        assert result.exit_code == code, (arguments, result.output)
        assert says in " ".join(result.stderr.split()), arguments
        assert "Traceback" not in result.output
    assert not (tmp_path / "logs" / "journal").exists() or not list((tmp_path / "logs" / "journal").glob("*.jsonl"))


def test_where_a_profile_is_away_what_ran_last_stands_in(tmp_path: Path) -> None:
    home, logs = tmp_path / "home", tmp_path / "logs"
    assert sluice("init", str(home)).exit_code == 0
    arguments = (*SHORT, "--home", str(home), "--reload-gate", "findings", "--reload")
    kept = Rulebooks(logs).load(home, "prod").rulebook
    good = GoodRulebook(version=kept.version, sources=kept.sources_digest, at_ms=1)
    (home / "profiles" / "prod.yaml").unlink()
    never_ran = run(*arguments, logs=logs)
    assert (never_ran.exit_code, "there is no profile `prod`" in never_ran.stderr) == (2, True)
    LastGood(logs).remember("prod", good)
    assert summary(*arguments, logs=logs)["rulebook"] == kept.version
