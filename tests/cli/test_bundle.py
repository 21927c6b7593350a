"""`sluice bundle`: build, verify and inspect, with exit codes that scripts can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.harness import sluice
from tests.reload.homes import PROFILE, VALUES, make_home, values
from tests.reload.signing import KEY, OTHER, private_pem, private_raw, public_pem

TIME = ("--time", "2024-08-08")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a home and keys."""
    make_home(tmp_path / "home")
    (tmp_path / "signing.pem").write_bytes(private_pem(KEY))
    (tmp_path / "public.pem").write_bytes(public_pem(KEY))
    (tmp_path / "other.pem").write_bytes(public_pem(OTHER))
    return tmp_path


def bundle(desk: Path, *arguments: str, **how: object) -> tuple[int, str, str]:
    result = sluice("bundle", *arguments, "--home", "home", cwd=desk, **how)  # type: ignore[arg-type]
    return result.exit_code, result.stdout, result.stderr


def built(desk: Path, *arguments: str) -> bytes:
    code, _, told = bundle(desk, "build", PROFILE, "-o", "live.json", "--key", "signing.pem", *TIME, *arguments)
    assert code == 0, told
    return (desk / "live.json").read_bytes()


def test_a_bundle_is_built_verified_and_shown(desk: Path) -> None:
    data = built(desk)
    code, said, _ = bundle(desk, "verify", "live.json", "-p", PROFILE, "--public-key", "public.pem")
    assert code == 0
    assert ", sequence 1723075200: signed by the key " in said
    code, said, _ = bundle(desk, "inspect", "live.json")
    assert code == 0
    assert "time      2024-08-08 00:00:00 UTC" in said.splitlines()
    assert "it says: `sluice bundle verify` tells" in said, "nothing was verified here"
    assert f"  {VALUES}" in said.splitlines()
    assert bundle(desk, "inspect", "live.json", VALUES)[1] == values()
    assert built(desk) == data


def test_json_has_everything(desk: Path) -> None:
    built(desk, "--sequence", "7", "--author", "Ada")
    for command in (("inspect", "live.json"), ("verify", "live.json")):
        code, said, _ = bundle(desk, *command, "--json")
        assert code == 0
        told = json.loads(said)
        assert (told["sequence"], told["provenance"]["author"]) == (7, "Ada")
    assert json.loads(bundle(desk, "inspect", "live.json", VALUES, "--json")[1])["text"] == values()


def test_a_key_may_stand_in_the_environment(desk: Path) -> None:
    arguments = ("build", PROFILE, "-o", "live.json", *TIME)
    code, said, _ = bundle(desk, *arguments, env={"SLUICE_SIGNING_KEY": private_raw(KEY).decode()})
    assert code == 0
    assert "signed    by the key" in said
    data = (desk / "live.json").read_bytes()
    assert bundle(desk, "verify", "live.json", env={"SLUICE_PUBLIC_KEY": public_pem(KEY).decode()})[0] == 0
    assert built(desk) == data
    assert b"PRIVATE" not in data
    assert private_raw(KEY) not in data


def test_without_a_key_it_is_not_signed_and_says_so(desk: Path) -> None:
    code, said, _ = bundle(desk, "build", PROFILE, "-o", "live.json", *TIME)
    assert code == 0
    assert "signed    no" in said.splitlines()
    assert "no public key says by whom" in bundle(desk, "verify", "live.json")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--public-key", "other.pem"), "which is not trusted here"),
        (("-p", "prod"), "it is of the profile `live`, not of `prod`"),
    ],
)
def test_what_is_refused_has_exit_code_1_and_says_what_helps(desk: Path, arguments: tuple[str, ...], said: str) -> None:
    built(desk)
    code, _, told = bundle(desk, "verify", "live.json", *arguments)
    assert code == 1
    assert said in told
    assert "help: " in told
    code, shown, _ = bundle(desk, "verify", "live.json", *arguments, "--json")
    assert code == 1
    assert said in json.loads(shown)["error"]


def test_a_changed_bundle_is_refused(desk: Path) -> None:
    data = built(desk)
    (desk / "live.json").write_bytes(data.replace(b"low_bps: 10", b"low_bps: 11"))
    for arguments in ((), ("--public-key", "public.pem")):
        code, _, told = bundle(desk, "verify", "live.json", *arguments)
        assert code == 1
        assert "help: fetch it again" in told


def test_rules_that_do_not_load_make_no_bundle(desk: Path) -> None:
    (desk / "home" / VALUES).write_text("profile: live\n")
    code, _, told = bundle(desk, "build", PROFILE, "-o", "live.json", *TIME)
    assert code == 1
    assert "profile.abstract" in told
    assert not (desk / "live.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "nobody", "-o", "x.json", *TIME), "there is no profile `nobody`"),
        (("build", PROFILE, "-o", "x.json", *TIME, "--key", "public.pem"), "holds no private Ed25519 key"),
        (("build", PROFILE, "-o", "x.json", *TIME, "--key", "none.pem"), "cannot be read"),
        (("build", PROFILE, "-o", "home", *TIME), "is a directory"),
    ],
)
def test_what_was_asked_for_wrongly_has_exit_code_2(desk: Path, arguments: tuple[str, ...], said: str) -> None:
    code, _, told = bundle(desk, *arguments)
    assert code == 2
    assert said in told


def test_a_build_without_a_time_says_how_to_give_one(desk: Path) -> None:
    code, _, told = bundle(desk, "build", PROFILE, "-o", "x.json", env={"SOURCE_DATE_EPOCH": None})
    assert code == 1
    assert "SOURCE_DATE_EPOCH" in told
    assert bundle(desk, "build", PROFILE, "-o", "x.json", env={"SOURCE_DATE_EPOCH": "5"})[0] == 0


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_a_file_that_is_none_is_refused(desk: Path, command: str) -> None:
    (desk / "x.json").write_bytes(b"\0\1")
    assert "this is no bundle" in bundle(desk, command, "x.json")[2]
    assert bundle(desk, command, "none.json")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "nowhere/live.json"), "there is no folder `nowhere`"),
        (("-o", "live.json", "--sequence", str(10**23)), "is not in the range"),
    ],
)
def test_a_bundle_that_has_no_place_is_not_built(desk: Path, arguments: tuple[str, ...], told: str) -> None:
    code, _, said = bundle(desk, "build", PROFILE, *arguments, *TIME)
    assert (code, told in said) == (2, True)
    assert not (desk / "nowhere").exists()
