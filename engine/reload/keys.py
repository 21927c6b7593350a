"""Ed25519 keys for bundles, from a file or an environment variable; nothing of one is stored, logged or shown.

A key is PEM (PKCS#8 for the private one, SubjectPublicKeyInfo for public ones) or the 32 raw bytes in base64. Public
keys may be several, one after the other: while keys change, bundles signed by either are good. The `cryptography`
package (extra `live`) does the arithmetic.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.reload.errors import KeyFormatError, extra_live

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNING_KEY = "SLUICE_SIGNING_KEY"
"""The environment variable that may hold the private key."""

PUBLIC_KEY = "SLUICE_PUBLIC_KEY"
"""The environment variable that may hold public keys. Where there is one, bundles must be signed."""

_MOST_BYTES = 64 * 1024
_RAW_BYTES = 32
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_FORMS = (
    "PEM, or 32 bytes in base64: `openssl genpkey -algorithm ed25519` makes a key, `openssl pkey -pubout` its other"
)


def signing_key(file: Path | None, environment: Mapping[str, str] = os.environ) -> Ed25519PrivateKey | None:
    """The private key of a file, else of the environment; None where neither is given.

    Raises:
        KeyFormatError: for a file that cannot be read, and for what is no private Ed25519 key without a password.

    """
    given = _given(file, environment, SIGNING_KEY)
    return None if given is None or (file is None and not given[0]) else _private(*given)


def public_keys(files: Sequence[Path], environment: Mapping[str, str] = os.environ) -> tuple[Ed25519PublicKey, ...]:
    """The public keys of files, else of the environment; empty where none are given.

    A variable that is there and empty holds no key, and is refused: taken for none, it would switch signatures off.

    Raises:
        KeyFormatError: for a file that cannot be read, and for what is no public Ed25519 key.

    """
    texts = [_given(file, environment, PUBLIC_KEY) for file in files or (None,)]
    return tuple(key for given in texts if given is not None for key in _public(*given))


def key_id(key: Ed25519PublicKey) -> str:
    """By what a signature names its key: 16 hex digits of the digest of its raw bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _given(file: Path | None, environment: Mapping[str, str], variable: str) -> tuple[str, str] | None:
    """The text of a key and where it stands, for people."""
    if file is None:
        text = environment.get(variable)
        return None if text is None else (text.strip(), f"${variable}")
    shown = f"`{file}`"
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "no such path").lower()
        raise KeyFormatError(f"the key {shown} cannot be read: {reason}", "name a file that holds it") from None
    return data.decode("ascii", errors="replace").strip(), shown


def _private(text: str, shown: str) -> Ed25519PrivateKey:
    with extra_live("signatures"):
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    if "-----BEGIN" not in text:
        return Ed25519PrivateKey.from_private_bytes(_raw(text, shown, "private"))
    try:
        key = load_pem_private_key(text.encode("ascii", errors="replace"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        # Without the cause: its text might quote what was read.
        raise KeyFormatError(f"{shown} holds no private Ed25519 key without a password", _FORMS) from None
    return key


def _public(text: str, shown: str) -> list[Ed25519PublicKey]:
    with extra_live("signatures"):
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    if "-----BEGIN" not in text:
        return [Ed25519PublicKey.from_public_bytes(_raw(word, shown, "public")) for word in text.split() or [""]]
    found: list[Ed25519PublicKey] = []
    for block in _PEM.findall(text) or [""]:
        try:
            key = load_pem_public_key(block.encode("ascii", errors="replace"))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFormatError(f"{shown} holds something that is no public Ed25519 key", _FORMS) from None
        found.append(key)
    return found


def _raw(text: str, shown: str, kind: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _RAW_BYTES:
        raise KeyFormatError(f"{shown} holds no {kind} Ed25519 key", _FORMS) from None
    return raw
