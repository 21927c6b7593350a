"""Keys come from files or the environment, in PEM or base64; what is none is refused without showing any of it."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from engine.reload.errors import KeyFormatError
from engine.reload.keys import PUBLIC_KEY, SIGNING_KEY, key_id, public_keys, signing_key
from tests.reload.signing import KEY, OTHER, private_pem, private_raw, public_pem, public_raw


@pytest.mark.parametrize("form", [private_pem, private_raw])
@pytest.mark.parametrize("place", ["file", "environment"])
def test_a_private_key_is_read_in_either_form(tmp_path: Path, form: object, place: str) -> None:
    text = form(KEY)  # type: ignore[operator]
    (tmp_path / "key").write_bytes(text + b"\n")
    given = tmp_path / "key" if place == "file" else None
    found = signing_key(given, {} if given else {SIGNING_KEY: text.decode()})
    assert found is not None
    assert found.private_bytes_raw() == KEY.private_bytes_raw()


@pytest.mark.parametrize("form", [public_pem, public_raw])
@pytest.mark.parametrize("place", ["files", "one file", "environment"])
def test_public_keys_may_be_several(tmp_path: Path, form: object, place: str) -> None:
    texts = [form(key) for key in (KEY, OTHER)]  # type: ignore[operator]
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    (tmp_path / "both").write_bytes(b"\n".join(texts))
    match place:
        case "files":
            found = public_keys(paths, {})
        case "one file":
            found = public_keys([tmp_path / "both"], {})
        case _:
            found = public_keys([], {PUBLIC_KEY: b"\n".join(texts).decode()})
    assert [key_id(key) for key in found] == [key_id(key.public_key()) for key in (KEY, OTHER)]


def test_none_given_is_none() -> None:
    assert signing_key(None, {SIGNING_KEY: " "}) is None
    assert public_keys([], {}) == ()


OTHER_KIND = generate_private_key(SECP256R1())
NO_KEYS = {
    "empty": b"",
    "words": b"secret words",
    "short": private_raw(KEY)[:20],
    "long": private_raw(KEY) * 2,
    "cut": private_pem(KEY)[:90],
    "another kind": OTHER_KIND.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "with a password": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
    "public": public_pem(KEY),
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_private_key_is_refused_and_not_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / "key").write_bytes(NO_KEYS[name])
    with pytest.raises(KeyFormatError) as refused:
        signing_key(tmp_path / "key", {})
    told = "".join(traceback.format_exception(refused.value))
    words = [word for word in NO_KEYS[name].decode(errors="replace").split() if len(word) > 12 and "KEY" not in word]
    assert not [word for word in words if word in told]


@pytest.mark.parametrize(
    "text",
    [b"x", private_pem(KEY), OTHER_KIND.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "key").write_bytes(public_pem(KEY) + text if text.startswith(b"-") else text)
    with pytest.raises(KeyFormatError):
        public_keys([tmp_path / "key"], {})


@pytest.mark.parametrize("held", ["", " \n"])
def test_an_empty_variable_of_public_keys_is_not_no_keys(held: str) -> None:
    with pytest.raises(KeyFormatError, match=f"{PUBLIC_KEY} holds no public"):
        public_keys([], {PUBLIC_KEY: held})


def test_an_empty_file_of_public_keys_is_not_no_keys(tmp_path: Path) -> None:
    """Or a file that was emptied would switch signatures off."""
    (tmp_path / "key").write_bytes(b"")
    with pytest.raises(KeyFormatError):
        public_keys([tmp_path / "key"], {})


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(KeyFormatError, match="cannot be read"):
            signing_key(path, {})
