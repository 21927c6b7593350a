"""`sluice show`, `schema` and `init`."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from engine.home import shipped_home
from tests.cli.harness import HOME, sluice

KINDS = ("vocabulary", "policy", "ruleset", "profile", "windows", "journal")
SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schema"


def shown(*arguments: str) -> dict[str, object]:
    result = sluice("show", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.output)
    return found


def layers(name: str, *arguments: str) -> list[tuple[object, ...]]:
    values = shown(*arguments)["values"]
    assert isinstance(values, list)
    (value,) = (value for value in values if value["name"] == name)
    return [tuple(layer[key] for key in ("profile", "group", "value", "state", "at")) for layer in value["layers"]]


def test_a_value_shows_every_place_that_gives_it_and_which_is_in_force() -> None:
    name = "gates.max_spread_bps"
    base = ("base", None, "12")
    assert layers(name, "-p", "live", "--values") == [
        (*base, "in force", "profiles/base.yaml:13"),
        ("live", "thin", "25", "in force for its group", "profiles/live.yaml:11"),
    ]
    assert layers(name, "-p", "live", "--values", "--symbol", "DOGEUSDT") == [
        (*base, "overridden", "profiles/base.yaml:13"),
        ("live", "thin", "25", "in force", "profiles/live.yaml:11"),
    ]
    assert layers(name, "-p", "live", name, "--symbol", "BTCUSDT") == [(*base, "in force", "profiles/base.yaml:13")]
    assert layers("offset.step_bps", "-p", "live", "--values") == [
        ("base", None, "1", "overridden", "profiles/base.yaml:10"),
        ("live", None, "1.5", "in force", "profiles/live.yaml:5"),
    ]


def test_every_name_of_the_shipped_profiles_can_be_shown() -> None:
    for profile in ("prod", "testnet"):
        listed = shown("--home", str(shipped_home()), "-p", profile)
        names = [view["name"] for key in ("policies", "rulesets") for view in listed[key]]  # type: ignore[attr-defined]  # read from JSON
        rules = [f"{view['name']}.{rule}" for view in listed["rulesets"] for rule in view["rules"][:1]]  # type: ignore[attr-defined]  # read from JSON
        for name in {*names[::4], *rules[::4]}:
            assert sluice("show", "--home", str(shipped_home()), "-p", profile, name).exit_code == 0, name


def test_a_rule_shows_its_condition_as_nested() -> None:
    rule = shown("-p", "live", "gates.spread_too_wide")["rule"]
    assert isinstance(rule, dict)
    assert rule["when"]["kind"] == "all"
    assert [item["text"] for item in rule["when"]["items"][1]["items"]] == [
        "spread_bps > $max_spread_bps",
        "venue == 'far'",
    ]
    assert rule["on_unknown"] == "skip"


def test_a_policy_says_what_it_promises() -> None:
    policy = shown("-p", "live", "routing")["policy"]
    assert isinstance(policy, dict)
    assert policy["invariants"][0] == {
        "id": "maker_implies_good",
        "says": "route == maker implies tier == good",
        "profiles": ["live"],
        "at": "policies/routing.yaml:8",
    }
    assert policy["invariants"][2]["says"] == "0 <= offset_bps <= $offset.most_bps"
    assert policy["invariants"][2]["profiles"] is None


def test_differences_that_are_meant_are_listed_with_their_why() -> None:
    assert shown("-p", "live")["diverges"] == []
    listed = shown("-p", "trial")["diverges"]
    assert isinstance(listed, list)
    first, *_, last = listed
    assert first == {
        "against": "live",
        "decision": "routing.route",
        "before": "taker",
        "after": "maker",
        "why": "tier ok may rest here",
        "at": "profiles/trial.yaml:9",
    }
    assert (last["decision"], last["before"], last["after"]) == ("routing.offset_bps", None, None)


def test_a_rule_that_is_meant_to_do_nothing_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(HOME, home)
    rules = home / "rules/gates.yaml"
    added = "  - {id: %s, when: venue is missing, unknown: skip, expect: %s, why: to see}\n"
    rules.write_text(rules.read_text() + added % ("a", "unreachable") + added % ("b", "reason"))
    for rule, expect, meaning in (
        ("a", "unreachable", "no input reaches it"),
        ("b", "reason", "all it adds is a reason of its own"),
    ):
        asked = ("--home", str(home), "-p", "live", f"gates.{rule}")
        assert shown(*asked)["rule"]["expect"] == expect  # type: ignore[index]  # read from JSON
        assert f"expect    {expect}: {meaning}" in sluice("show", *asked).output
    assert shown("-p", "live", "gates.closed")["rule"]["expect"] is None  # type: ignore[index]  # read from JSON


def test_windows_show_what_they_count_and_the_values_they_read() -> None:
    asked = ("--home", str(shipped_home()), "-p", "prod")
    listed = shown(*asked)["windows"]
    assert isinstance(listed, list)
    assert [view["name"] for view in listed] == [
        "post_only_rejects_60s",
        "slow_acks_60s",
        "fallbacks_in_a_row",
        "probes_last_hour",
    ]
    assert shown(*asked, "windows")["windows"] == listed
    found = shown(*asked, "slow_acks_60s")
    assert found["windows"] == [view for view in listed if view["name"] == "slow_acks_60s"]
    assert isinstance(found["values"], list)
    assert [value["name"] for value in found["values"]] == ["quality.degraded_ack_ms"]
    page = " ".join(sluice("show", *asked, "windows").output.split())
    assert "count of ack over 60 s where latency_ms >= $quality.degraded_ack_ms, per symbol and venue" in page
    assert "in a row of maker_attempt where fallback, per symbol and venue" in page
    assert "post_only_rejects_60s count of post_only_reject over 60 s" in " ".join(
        sluice("show", *asked).output.split()
    )
    assert "did you mean `slow_acks_60s`?" in sluice("show", *asked, "slow_ack_60s").output


def test_a_disabled_rule_says_where_and_why() -> None:
    result = sluice("show", "-p", "trial", "gates.closed")
    assert result.exit_code == 2
    assert "disabled at profiles/trial.yaml:7" in result.output
    assert "the trial venue never closes" in result.output


def test_the_generated_python_is_python_for_the_symbol_asked() -> None:
    plain = sluice("show", "-p", "live", "--python").output
    compile(plain, "routing", "exec")
    thin = sluice("show", "-p", "live", "--python", "--symbol", "DOGEUSDT").output
    assert "12.0" in plain
    assert "25.0" in thin
    assert json.loads(sluice("show", "-p", "live", "--python", "--json").output)["python"].strip() == plain.strip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "live", "gate"), "did you mean"),
        (("-p", "live", "gates.spread_too_wid"), "did you mean `gates.spread_too_wide`?"),
        (("-p", "live", "zebra"), "without a name lists"),
        (("-p", "live", "--python", "gates"), "--python goes with"),
        (("-p", "live", "--python", "--policy", "zebra"), "runs no policy `zebra`"),
        (
            (
                "-p",
                "lives",
            ),
            "did you mean `live`?",
        ),
    ],
)
def test_what_is_not_there_is_usage(arguments: tuple[str, ...], message: str) -> None:
    result = sluice("show", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


# --- schema ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_in_docs_is_current(kind: str, tmp_path: Path) -> None:
    assert sluice("schema", "--write", str(tmp_path)).exit_code == 0
    reviewed = (SCHEMAS / f"{kind}.json").read_text(encoding="utf-8")
    assert (tmp_path / f"{kind}.json").read_text(encoding="utf-8") == reviewed, "run: sluice schema --write docs/schema"
    assert json.loads(sluice("schema", kind).output) == json.loads(reviewed)
    assert json.loads(sluice("schema").output)[kind] == json.loads(reviewed)
    jsonschema.Draft202012Validator.check_schema(json.loads(reviewed))


def kind_of(path: Path) -> str:
    by_folder = {"policies": "policy", "rules": "ruleset", "profiles": "profile"}
    return {"facts.yaml": "vocabulary", "windows.yaml": "windows"}.get(path.name, by_folder[path.parent.name])


def documents(home: Path) -> list[Path]:
    return sorted(path for folder in ("policies", "rules", "profiles") for path in (home / folder).glob("*.yaml"))


def test_shipped_documents_name_their_schema_and_validate_as_an_editor_reads_them() -> None:
    for path in documents(shipped_home()):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# yaml-language-server: $schema=../docs/schema/{kind_of(path)}.json\n"), path
    for path in [*documents(shipped_home()), *documents(HOME)]:
        schema = json.loads((SCHEMAS / f"{kind_of(path)}.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("ruleset", {"ruleset": "x", "hit": "frist", "sets": {"y": {"type": "flag"}}, "rules": [{"id": "z"}]}),
        (
            "ruleset",
            {"ruleset": "x", "hit": "first", "sets": {"y": {"type": "flag"}}, "rules": [{"id": "z", "wen": "a"}]},
        ),
        ("policy", {"policy": "x", "reads": ["a"], "steps": [], "decides": ["b"]}),
        ("profile", {"profile": "x", "values": {"a.b": {"why": "no value"}}}),
        ("vocabulary", {"groups": {"g": {"facts": {"f": {"type": "numbr"}}}}}),
        ("windows", {"events": {"e": {}}, "windows": {"f": {"event": "e", "measure": "count", "per": ["desk"]}}}),
    ],
)
def test_a_document_of_the_wrong_shape_does_not_validate(kind: str, document: object) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(document))


def test_a_schema_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = sluice("schema", "policy", "--write", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "cannot be written" in result.output
    assert (tmp_path / "file").read_text() == "in the way"


# --- init ------------------------------------------------------------------------------------------


def test_init_makes_a_workspace_once(tmp_path: Path) -> None:
    result = sluice("init", "my desk", "--json", cwd=tmp_path)
    assert result.exit_code == 0
    written = json.loads(result.output)["written"]
    assert len([name for name in written if name.endswith(".yaml")]) == len(documents(tmp_path / "my desk")) > 40
    assert [Path(name).name for name in written if name.endswith(".json")] == sorted(
        path.name for path in SCHEMAS.glob("*.json")
    )
    result = sluice("init", "my desk", cwd=tmp_path)
    assert result.exit_code == 2
    assert "already there" in result.output
    assert "sluice check --home 'new desk'" in sluice("init", "new desk", cwd=tmp_path).output
