"""Commands that look into a journal: events, stories, decisions, report, health, why, telemetry, and old days."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from engine.journal.events import Checkpoint, Decided, Event, IntentReceived, OrderPlanned, Outcome
from engine.journal.lines import encode
from engine.journal.reader import read
from tests.cli.conftest import Played
from tests.cli.harness import sluice
from tests.cli.test_run_process import line_with, rest_of, started


def events_of(played: Played) -> Iterator[Event]:
    return read(played.logs / "journal")


def lines(result: Any) -> list[str]:
    assert result.exit_code == 0, result.output
    return str(result.stdout).splitlines()


def objects(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(result)]


# --- the journal -----------------------------------------------------------------------------------------------------


def test_the_last_events_are_shown_one_a_line(played: Played) -> None:
    shown = lines(played("journal", "-n", "5"))
    assert len(shown) == 5
    assert shown[-1].endswith("session ends: limit_quotes")
    assert len(lines(played("journal"))) == 20
    events = list(events_of(played))
    assert len(lines(played("journal", "-n", "0", columns=None))) == len(events)
    assert [event["seq"] for event in objects(played("journal", "--json", "-n", "3"))] == [
        event.seq for event in events[-3:]
    ]


@pytest.mark.parametrize("columns", [80, 160])
def test_lines_keep_to_the_width(columns: int, played: Played) -> None:
    assert max(map(len, lines(played("journal", "-n", "300", columns=columns)))) <= columns


def test_filters_of_symbol_type_time_and_order(played: Played) -> None:
    intents = [event for event in events_of(played) if isinstance(event, IntentReceived)]
    of_eth = [event.intent_id for event in intents if event.symbol == "ETHUSDT"]
    found = objects(played("journal", "-n", "0", "--json", "--symbol", "ETHUSDT", "--type", "intent"))
    assert [event["intent_id"] for event in found] == of_eth
    since = datetime.fromtimestamp(intents[10].ts_ms / 1000, UTC).isoformat()
    until = datetime.fromtimestamp(intents[20].ts_ms / 1000, UTC).isoformat()
    span = ("--since", since, "--until", until)
    found = objects(played("journal", "-n", "0", "--json", "--type", "intent", *span))
    assert [event["intent_id"] for event in found] == [event.intent_id for event in intents[10:20]]
    order = next(event for event in events_of(played) if isinstance(event, OrderPlanned))
    found = objects(played("journal", "-n", "0", "--json", "--order", order.client_id))
    assert found[0]["type"] == "order"
    assert "heard" in {event["type"] for event in found[1:]}
    told = lines(played("journal", "--type", "heard", "--order", order.client_id))
    assert told[0].split()[1] == order.intent_id, "an order is known by an event before those shown"
    assert "order 1 acknowledged" in told[0]


def test_an_intent_s_story_is_whole(played: Played) -> None:
    intent_id = played.said["report"] and next(
        event.intent_id for event in events_of(played) if isinstance(event, Outcome) and event.fallback
    )
    shown = lines(played("journal", "--intent", intent_id))
    assert shown[0].startswith(f"{intent_id}  2024-01-01 ")
    text = " ".join(" ".join(shown).split())
    for part in (
        "intent: ",
        "admission: ",
        "routing: ",
        "order 1 sent: maker",
        "to cross",
        "order 2 sent: taker",
        "filled",
    ):
        assert part in text, part
    story = objects(played("journal", "--intent", intent_id, "--json"))
    assert story[0]["type"] == "intent"
    assert {"decision", "order", "heard", "outcome"} <= {event["type"] for event in story}


def test_what_the_journal_does_not_hold(played: Played, tmp_path: Path) -> None:
    for arguments, says in (
        (("journal", "--intent", "BTCUSDT-00001"), "did you mean `BTCUSDT-0000"),
        (("journal", "--type", "outcom"), "did you mean `outcome`"),
        (("journal", "--intent", "a", "--follow"), "does not go with --intent"),
        (("journal", "--symbol", "A", "check"), "--symbol does not go with `journal check`"),
        (("journal", "-n", "-1"), "-1 is not in the range"),
        (("journal", "--logs", str(tmp_path)), "there is no journal in"),
    ):
        result = sluice(*arguments, *(() if "--logs" in arguments else ("--logs", str(played.logs))))
        if "check" in arguments:
            result = sluice("journal", "--symbol", "A", "--logs", str(played.logs), "check")
        assert result.exit_code == 2, (arguments, result.output)
        assert says in result.stderr, arguments


def test_options_may_stand_before_the_command_of_a_group(played: Played) -> None:
    before = sluice("journal", "--logs", str(played.logs), "--json", "check")
    assert before.exit_code == 0
    assert json.loads(before.stdout)["findings"] == []
    assert lines(sluice("journal", "check", "--logs", str(played.logs))) == [
        f"{played.logs / 'journal'}: nothing is missing"
    ]


def test_follow_shows_what_is_written_until_ctrl_c(played: Played, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(played.logs / "journal", logs / "journal")
    path = logs / "journal" / "2024-01-01.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:-30]))
    with started("journal", "--follow", "-n", "3", "--logs", str(logs), "--json") as process:
        shown = [json.loads(line_with(process, "seq"))["seq"] for _ in range(3)]
        with path.open("ab") as stream:
            stream.write(b"".join(whole[-30:]))
        shown += [json.loads(line_with(process, "seq"))["seq"] for _ in range(30)]
        process.send_signal(signal.SIGINT)
        assert rest_of(process) == ""
    assert process.returncode == 130
    assert shown == list(range(len(whole) - 32, len(whole) + 1))


def test_a_journal_that_lost_lines_is_a_finding(played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    shutil.copytree(played.logs / "journal", folder)
    path = folder / "2024-01-01.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:40], *whole[42:60], b"garbage\n", *whole[61:]]))
    result = sluice("journal", "check", "--logs", str(tmp_path))
    assert result.exit_code == 1
    assert f"{path}:41: seq 41 to 42 missing" in result.stdout
    assert f"{path}:59: " in result.stdout
    told = sluice("journal", "check", "--logs", str(tmp_path), "--json")
    assert [finding["line"] for finding in json.loads(told.stdout)["findings"]] == [41, 59, 60]
    listed = sluice("journal", "-n", "0", "--logs", str(tmp_path))
    assert listed.exit_code == 1
    assert f"error: {path}:59: " in listed.stderr


def test_old_days_are_packed_and_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=age) for age in (42, 39, 1)]
    for seq, day in enumerate(days, 1):
        at_ms = int(datetime.combine(day, datetime.min.time(), UTC).timestamp() * 1000)
        nothing = Checkpoint(
            seq=seq, ts_ms=at_ms, positions={}, cash_usd=Decimal(0), fees_usd=Decimal(0), day_nav_usd=None
        )
        (folder / f"{day}.jsonl").write_bytes(encode(nothing) + b"\n")
    logs = ("--logs", str(tmp_path))
    packed = lines(sluice("journal", "archive", "--older-than", "30", *logs))
    assert [line.split()[0] for line in packed if "bytes packed into" in line] == [str(days[0]), str(days[1])]
    assert len(lines(sluice("journal", *logs))) == 3, "archived days are read like any other"
    dry = lines(sluice("journal", "prune", "--older-than", "40", *logs))
    assert dry == [
        f"would be removed: {folder / 'archive' / f'{days[0]}.jsonl.gz'}",
        "nothing was removed; --yes does it",
    ]
    assert len(lines(sluice("journal", *logs))) == 3
    done = sluice("journal", "prune", "--older-than", "40", "--yes", "--json", *logs)
    assert json.loads(done.stdout) == {"removed": [str(folder / "archive" / f"{days[0]}.jsonl.gz")]}
    assert len(lines(sluice("journal", *logs))) == 2
    assert lines(sluice("journal", "archive", "--older-than", "300", *logs)) == ["no day is more than 300 days old"]
    assert lines(sluice("journal", "prune", "--older-than", "300", *logs)) == [
        "no archived day is more than 300 days old"
    ]


# --- decisions -------------------------------------------------------------------------------------------------------


def test_a_decision_of_the_journal_is_explained_under_its_own_rulebook(played: Played) -> None:
    decided = [event for event in events_of(played) if isinstance(event, Decided) and event.policy == "routing"]
    record = json.loads(bytes(decided[5].record))
    told = json.loads(played("explain", "--decision", record["decision_id"], "--json").stdout)
    assert told["differs"] == []
    assert told["decision"]["decision_id"] == record["decision_id"]
    assert told["decision"]["rulebook"] == record["rulebook"]
    page = " ".join(played("explain", "--decision", record["decision_id"][:12]).stdout.split())
    assert page.startswith(f"{record['decision_id']} {record['symbol']} {record['intent_id']}, 2024-01-01 ")
    assert record["reason"].partition(" (")[0] in page
    admission = next(event for event in events_of(played) if isinstance(event, Decided) and event.policy == "admission")
    decision_id = json.loads(bytes(admission.record))["decision_id"]
    assert played("explain", "--decision", decision_id, "-p", "testnet").exit_code == 0


def test_a_decision_of_the_journal_is_held_against_a_wish(played: Played) -> None:
    routed = [event for event in events_of(played) if isinstance(event, Decided) and event.policy == "routing"]
    records = [json.loads(bytes(event.record)) for event in routed]
    record = next(record for record in records if record["decided"]["route"] == "taker")
    asked = ("explain", "--decision", record["decision_id"], "--why-not", "route=maker")
    shown = json.loads(played(*asked, "--json").stdout)["why_not"]
    assert (shown["wish"], shown["already"]) == ("route == maker", False)
    assert shown["facts"] or "facts" in shown["undecided"]
    page = played(*asked).stdout
    assert "\nwhy not route == maker (it is taker)\n" in page
    if shown["parameters"]:
        assert "with this edit of profiles/testnet.yaml:" in page
        assert shown["edit"][-1] in page


def test_what_cannot_be_explained(played: Played, tmp_path: Path) -> None:
    decided = next(event for event in events_of(played) if isinstance(event, Decided))
    decision_id = json.loads(bytes(decided.record))["decision_id"]
    for arguments, says in (
        (("--decision", "0123456"), "holds no decision"),
        (("--decision", "no-id"), "is no id"),
        (("--decision", decision_id, "-p", "prod"), "under the profile `testnet`, not `prod`"),
        (("--decision", decision_id, "facts.json"), "exclude each other"),
        (("-p", "live"), "Missing argument '[FACTS]'. Only --decision needs neither"),
    ):
        result = played("explain", *arguments)
        assert result.exit_code == 2, arguments
        assert says in result.stderr, arguments
    shutil.copytree(played.logs / "journal", tmp_path / "journal")
    lost = sluice("explain", "--decision", decision_id, "--logs", str(tmp_path))
    assert lost.exit_code == 2
    assert "was not kept" in lost.stderr


# --- report, health, why ---------------------------------------------------------------------------------------------


def test_the_report_is_that_of_the_session(played: Played) -> None:
    assert json.loads(played("report", "--json").stdout) == played.said["report"]
    page = played("report", columns=160).stdout
    assert "four ways to route the same" in page


def test_a_report_of_some_minutes(played: Played) -> None:
    intents = [event for event in events_of(played) if isinstance(event, IntentReceived)]
    until = datetime.fromtimestamp(intents[10].ts_ms / 1000, UTC).isoformat()
    told = json.loads(played("report", "--json", "--until", until).stdout)
    assert told["intents"]["received"] == 10
    assert "The journal holds no events of these days." in played("report", "--since", "2030-01-01").stdout


def test_the_report_as_a_page_of_html(played: Played, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert lines(played("report", "--html", str(page))) == [str(page)]
    HTMLParser().feed(page.read_text(encoding="utf-8"))
    assert "<svg" in page.read_text(encoding="utf-8")
    nowhere = played("report", "--html", str(tmp_path / "no" / "report.html"))
    assert nowhere.exit_code == 2
    assert "no such file or directory" in nowhere.stderr


def test_health_of_all_symbols_and_of_one(played: Played, tmp_path: Path) -> None:
    assert [symbol["symbol"] for symbol in json.loads(played("health", "--json").stdout)["symbols"]] == [
        "BTCUSDT",
        "ETHUSDT",
    ]
    assert "router health" in played("health").stdout
    assert json.loads(played("health", "BTCUSDT", "--json").stdout)["symbol"] == "BTCUSDT"
    assert played("health", "ETHUSDT").stdout.startswith("ETHUSDT  ")
    assert "did you mean `BTCUSDT`" in played("health", "BTCUSD").stderr
    missing = sluice("health", "--logs", str(tmp_path))
    assert missing.exit_code == 2
    assert "`sluice run` writes it" in missing.stderr


def test_why_a_symbol_is_never_maker(played: Played) -> None:
    told = json.loads(played("why", "BTCUSDT", "--json").stdout)
    assert told["intents"] > 5
    page = played("why", "BTCUSDT").stdout
    assert page.startswith("BTCUSDT: ")
    assert "veto rule" in page
    unknown = played("why", "DOGEUSDT")
    assert unknown.exit_code == 2
    assert "there are intents of BTCUSDT, ETHUSDT" in " ".join(unknown.stdout.split())


# --- telemetry -------------------------------------------------------------------------------------------------------


def test_telemetry_goes_from_one_journal_to_another(played: Played, tmp_path: Path) -> None:
    file = tmp_path / "telemetry.jsonl"
    said = json.loads(played("telemetry", "export", str(file), "--source", "here", "--json").stdout)
    assert said["source"] == "here, with samples of generated, seed 7", "what was made up does not pass as measured"
    assert said["file"] == str(file)
    other = ("--logs", str(tmp_path / "other"))
    first = json.loads(sluice("telemetry", "import", str(file), "--json", *other).stdout)
    assert first["source"].startswith("here, with samples of generated, seed 7 (")
    assert first["samples"]["BTCUSDT"] >= 240
    assert lines(sluice("telemetry", "import", str(file), *other))[0].startswith(str(tmp_path / "other" / "journal"))
    again = tmp_path / "again.jsonl"
    assert sluice("telemetry", "export", str(again), *other).exit_code == 0
    assert sorted(again.read_text().splitlines()[1:]) == sorted(file.read_text().splitlines()[1:]), "it counts once"


def test_telemetry_is_not_put_where_no_session_goes_on(played: Played, tmp_path: Path) -> None:
    file = tmp_path / "telemetry.jsonl"
    assert played("telemetry", "export", str(file)).exit_code == 0
    before = (played.logs / "journal" / "2024-01-01.jsonl").read_bytes()
    refused = played("telemetry", "import", str(file))
    assert refused.exit_code == 2
    assert "is of a replay" in refused.stderr
    assert (played.logs / "journal" / "2024-01-01.jsonl").read_bytes() == before
    file.write_text('{"type": "telemetry"}\n')
    broken = sluice("telemetry", "import", str(file), "--logs", str(tmp_path / "other"))
    assert broken.exit_code == 1
    assert f"error: {file}:1: " in broken.stderr
    assert not (tmp_path / "other").exists()
