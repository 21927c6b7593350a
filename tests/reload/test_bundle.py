"""A bundle is the same bytes for the same content, and is refused wherever one of them is another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.book import Book
from engine.language.findings import LoadError
from engine.language.load import Files, read_files
from engine.language.nodes import Source
from engine.reload.bundle import (
    MOST_BUNDLE_BYTES,
    MOST_FILES,
    Bundle,
    Origin,
    build,
    origin_of,
    parse,
    read_bundle,
    refuse_replay,
    text_of,
    verify,
)
from engine.reload.bundle_pages import bundle_json, bundle_lines
from engine.reload.errors import (
    BundleError,
    ContentError,
    MalformedError,
    ReloadError,
    ReplayedError,
    SignatureError,
    TooLargeError,
    UnreadableBundleError,
    UnsignedError,
)
from engine.reload.keys import key_id
from engine.reload.pipeline import ProofAnswer
from engine.reload.who import Commit
from tests.reload.homes import FILES, PROFILE, VALUES, facts, make_home, values
from tests.reload.signing import KEY, OTHER

ORIGIN = Origin("Ada <ada@example.org>", 1_700_000_000, 7, Commit("f" * 40, "Ada", 1_700_000_000, is_clean=True))
TRUSTED = [KEY.public_key()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def signed(home: Path) -> bytes:
    return build(read_files(home), PROFILE, ORIGIN, key=KEY)


def written(document: Any) -> bytes:
    """As bundles are written."""
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, signed: bytes) -> None:
    copy = make_home(tmp_path / "elsewhere")
    for name in reversed(list(FILES)):
        (copy / name).chmod(0o600)
    assert build(read_files(copy), PROFILE, ORIGIN, key=KEY) == signed
    (copy / VALUES).write_text(values() + "# a comment\n")
    assert build(read_files(copy), PROFILE, ORIGIN, key=KEY) != signed


def test_a_bundle_decides_as_its_home_does(signed: bytes) -> None:
    verified = verify(signed, TRUSTED, profile=PROFILE)
    assert verified.signed_by == key_id(KEY.public_key())
    assert {name: source.text for name, source in verified.files.sources.items()} == FILES
    assert Book(verified.rulebook).decide("routing", facts(14.0)).tier == "low"


def test_a_bundle_says_where_it_comes_from(signed: bytes) -> None:
    bundle = parse(signed)
    told = bundle_json(bundle)
    assert told["provenance"] == {
        "author": "Ada <ada@example.org>",
        "time": 1_700_000_000,
        "revision": "f" * 40,
        "clean": True,
        "language": 1,
        "check": {"warnings": 0, "notes": 0},
        "proofs": None,
    }
    assert told["files"][VALUES] == len(FILES[VALUES])
    assert "time      2023-11-14 22:13:20 UTC" in bundle_lines(bundle)
    assert text_of(bundle, VALUES) == FILES[VALUES]
    with pytest.raises(ReloadError, match="did you mean"):
        text_of(bundle, "profiles/life.yaml")


def test_results_of_proofs_are_part_of_it(home: Path) -> None:
    made = build(read_files(home), PROFILE, ORIGIN, prove=lambda _: ProofAnswer(3))
    assert bundle_json(parse(made))["provenance"]["proofs"] == {"holds": 3, "fails": 0, "unknown": 0}


def test_what_a_reload_would_refuse_is_not_built(home: Path, tmp_path: Path) -> None:
    with pytest.raises(LoadError):
        build(read_files(home), PROFILE, ORIGIN, prove=lambda _: ProofAnswer(3, fails=1))
    broken = make_home(tmp_path / "home")
    (broken / VALUES).write_text("profile: live\n")
    with pytest.raises(LoadError):
        build(read_files(broken), PROFILE, ORIGIN)


def test_a_name_that_no_bundle_can_hold_is_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    (home / "rules/a b.yaml").write_text("ruleset: x\n")
    with pytest.raises(BundleError, match="cannot be in a bundle"):
        build(read_files(home), PROFILE, ORIGIN)


# Tampering --------------------------------------------------------------------------------------------------------


def _change(path: str, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *way, last = path.split("|")
        for key in way:
            document = document[key]
        document[last] = value

    return change


def _resigned_by_another(document: Any) -> None:
    other = json.loads(build(read_files_of(document), PROFILE, ORIGIN, key=OTHER))
    document["signature"] = other["signature"]


def read_files_of(document: Any) -> Any:
    return verify(written({key: held for key, held in document.items() if key != "signature"})).files


def _spare_bits(document: Any) -> None:
    """Another spelling of the same 64 bytes: the last character has four bits that base64 leaves unused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    value = document["signature"]["value"]
    document["signature"]["value"] = value[:85] + alphabet[alphabet.index(value[85]) + 1] + "=="


PARTS: dict[str, tuple[Callable[[Any], None], type[BundleError]]] = {
    "a rule": (_change("content|rules/tier.yaml", FILES["rules/tier.yaml"].replace("low}", "high}")), SignatureError),
    "a number": (_change(f"content|{VALUES}", values(11)), SignatureError),
    "a comment": (_change(f"content|{VALUES}", values() + "# x\n"), SignatureError),
    "a file more": (_change("content|rules/more.yaml", ""), SignatureError),
    "a file less": (lambda document: document["content"].pop("rules/offset.yaml"), SignatureError),
    "the profile": (_change("bundle|profile", "other"), SignatureError),
    "the version": (_change("bundle|version", "0" * 16), SignatureError),
    "the sources": (_change("bundle|sources", "0" * 16), SignatureError),
    "the sequence": (_change("bundle|sequence", 8), SignatureError),
    "the digest": (_change("bundle|content", "0" * 64), SignatureError),
    "the author": (_change("bundle|provenance|author", "Mallory"), SignatureError),
    "the time": (_change("bundle|provenance|time", 1), SignatureError),
    "the revision": (_change("bundle|provenance|revision", None), SignatureError),
    "the state": (_change("bundle|provenance|clean", False), SignatureError),
    "the check": (_change("bundle|provenance|check|warnings", 1), SignatureError),
    "the proofs": (_change("bundle|provenance|proofs", {"holds": 9, "fails": 0, "unknown": 0}), SignatureError),
    "the language": (_change("bundle|provenance|language", 2), SignatureError),
    "the signature": (_change("signature|value", "A" * 86 + "=="), SignatureError),
    "spare bits": (_spare_bits, SignatureError),
    "no base64": (_change("signature|value", "?"), SignatureError),
    "the key's name": (_change("signature|key", "0" * 16), SignatureError),
    "another's signature": (_resigned_by_another, SignatureError),
    "no signature": (lambda document: document.pop("signature"), UnsignedError),
    "the algorithm": (_change("signature|algorithm", "none"), MalformedError),
    "the form": (_change("bundle|v", 2), MalformedError),
    "a key more": (_change("bundle|extra", 1), MalformedError),
    "a negative sequence": (_change("bundle|sequence", -1), MalformedError),
}


@pytest.mark.parametrize("part", PARTS)
def test_tampering_with_any_part_is_refused(signed: bytes, part: str) -> None:
    tamper, error = PARTS[part]
    document = json.loads(signed)
    tamper(document)
    with pytest.raises(error) as refused:
        verify(written(document), TRUSTED)
    assert refused.value.help


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_bit_can_be_another(place: int, bit: int) -> None:
    data = bytearray(_SIGNED)
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(BundleError):
        verify(bytes(data), TRUSTED)


_IN_MEMORY = Files({name: Source.of(name, text) for name, text in FILES.items()}, ())
_SIGNED = build(_IN_MEMORY, PROFILE, ORIGIN, key=KEY)


@pytest.mark.parametrize(
    "respell",
    [
        lambda data: data[:-1],
        lambda data: data + b" ",
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b'"sequence": 7', b'"sequence": 7, "sequence": 7'),
        lambda data: data.replace(b'"sequence": 7', b'"sequence":7'),
        lambda data: data.replace(b'"ruleset: tier', b'"\\u0072uleset: tier'),
        lambda data: data.replace(b'=="', b'="'),
        lambda data: json.dumps(json.loads(data)).encode(),
    ],
)
def test_another_spelling_is_refused(signed: bytes, respell: Callable[[bytes], bytes]) -> None:
    changed = respell(signed)
    assert changed != signed
    with pytest.raises((MalformedError, SignatureError)):
        verify(changed, TRUSTED)


def test_an_unsigned_bundle_is_intact_or_refused(home: Path) -> None:
    made = build(read_files(home), PROFILE, ORIGIN)
    assert verify(made).signed_by is None
    document = json.loads(made)
    document["content"][VALUES] = values(11)
    with pytest.raises(ContentError, match="not those it was built from"):
        verify(written(document))


def test_rules_of_another_language_make_another_version(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build(read_files(home), PROFILE, ORIGIN)
    monkeypatch.setattr("engine.language.rulebook.LANGUAGE", 2)
    with pytest.raises(ContentError, match="language 1, this is 1"):
        verify(made)


def test_a_bundle_of_another_profile_is_refused(signed: bytes) -> None:
    with pytest.raises(ContentError, match="of the profile `live`, not of `prod`"):
        verify(signed, TRUSTED, profile="prod")


def test_either_of_two_keys_will_do(signed: bytes) -> None:
    verify(signed, [OTHER.public_key(), KEY.public_key()])
    with pytest.raises(SignatureError, match="not trusted"):
        verify(signed, [OTHER.public_key()])


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.yaml", "/etc/x.yaml", "rules/../../x.yaml", "rules/a/b.yaml", "rules/.x.yaml", "x.yaml",
             "rules/x.yml", "rules/x\n.yaml", "rules\\x.yaml", "rules/..yaml"]
)  # fmt: skip
def test_a_path_out_of_the_home_is_refused(signed: bytes, name: str) -> None:
    document = json.loads(signed)
    document["content"][name] = ""
    with pytest.raises(MalformedError, match="no file of a home"):
        parse(written(document))


def test_what_is_too_large_is_refused(signed: bytes, tmp_path: Path) -> None:
    with pytest.raises(TooLargeError):
        parse(b" " * (MOST_BUNDLE_BYTES + 1))
    document = json.loads(signed)
    document["content"] = {f"rules/x{number}.yaml": "" for number in range(MOST_FILES + 1)}
    with pytest.raises(TooLargeError):
        parse(written(document))
    document["content"] = {"rules/x.yaml": " " * (1 << 20) + "a"}
    with pytest.raises(TooLargeError):
        parse(written(document))
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: it takes no room, and reading it whole would
    with pytest.raises(TooLargeError):
        read_bundle(tmp_path / "huge")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.integers(1, 5000).map(lambda n: b"[" * n))
def test_anything_else_is_no_bundle(data: bytes) -> None:
    with pytest.raises(BundleError):
        parse(data)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(UnreadableBundleError, match="cannot be read"):
            read_bundle(path)


def _of(sequence: int, digest: str) -> Bundle:
    bundle = parse(_SIGNED)
    manifest = type(bundle.manifest)(
        **{name: getattr(bundle.manifest, name) for name in bundle.manifest.__struct_fields__} | {"sequence": sequence}
    )
    return Bundle(manifest, {}, None, digest)


def test_an_older_bundle_is_refused_and_the_same_one_is_not() -> None:
    refuse_replay(_of(7, "a"), None, None)
    refuse_replay(_of(7, "a"), 6, "b")
    refuse_replay(_of(7, "a"), 7, "a")
    with pytest.raises(ReplayedError, match="below 8"):
        refuse_replay(_of(7, "a"), 8, "a")
    with pytest.raises(ReplayedError, match="another bundle of the sequence 7"):
        refuse_replay(_of(7, "a"), 7, "b")


# Where it comes from ------------------------------------------------------------------------------------------------

COMMIT = Commit("a" * 40, "Ada <ada@example.org>", 1_600_000_000, is_clean=True)


def test_the_time_is_given_or_of_the_environment_or_of_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "grace")
    environment = {"SOURCE_DATE_EPOCH": "1500000000"}
    assert origin_of(COMMIT, time_s=1, environment=environment).time_s == 1
    assert origin_of(COMMIT, environment=environment).time_s == 1_500_000_000
    found = origin_of(COMMIT, environment={})
    assert (found.time_s, found.sequence, found.author) == (1_600_000_000, 1_600_000_000, COMMIT.author)
    assert origin_of(COMMIT, sequence=3, author="Grace", environment={}) == Origin("Grace", 1_600_000_000, 3, COMMIT)
    assert origin_of(None, time_s=1, environment={}).author == "grace"


def test_without_any_time_nothing_is_built() -> None:
    with pytest.raises(BundleError, match="builds read no clock"):
        origin_of(None, environment={})
    with pytest.raises(BundleError, match="no number of seconds"):
        origin_of(COMMIT, environment={"SOURCE_DATE_EPOCH": "now"})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"<html>", "this is no bundle: JSON is malformed"),
        (b"[1]", "this is no bundle: expected `object`, got `array`"),
    ],
)
def test_what_is_no_bundle_says_why(data: bytes, told: str) -> None:
    with pytest.raises(MalformedError) as refused:
        parse(data)
    assert refused.value.message.startswith(told)
