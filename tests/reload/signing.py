"""Keys for tests: made anew for each process, in every form that is read."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """PKCS#8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_raw(key: Ed25519PrivateKey) -> bytes:
    """Base64 of the 32 bytes."""
    return base64.b64encode(key.private_bytes_raw())


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_raw(key: Ed25519PrivateKey) -> bytes:
    """Base64 of the 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw())
