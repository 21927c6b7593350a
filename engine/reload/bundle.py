"""Bundles: a profile and every file of its home in one file, with where it comes from, signed.

A bundle is one JSON document, written in one way only: keys sorted, one space of indentation, UTF-8, a newline at the
end. So the same content gives the same bytes; nothing in it depends on a machine, as the modes, owners and times of an
archive do; no path in it is ever a path on disk before it was looked at; nothing is compressed, so nothing unpacks to
more than it is; and any JSON tool shows it.

    {"bundle": {"format": "sluice-bundle", "v": 1, "profile", "version", "sources", "sequence", "content",
                "provenance"},
     "content": {"policies/facts.yaml": "…", …},
     "signature": {"algorithm": "ed25519", "key", "value"}}

The signature is over all bytes of the document without its last key, behind `_DOMAIN`. What is read is decoded, written
again, and must give the bytes that were read: two readers cannot see two documents in one file. Then the signature is
verified, then the digest of the content, and only then is anything in it parsed as rules, and must give the version.

`sequence` orders the bundles of a profile: one below the highest that ran is refused, however well it is signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from engine.language.findings import Finding, LoadError, Severity, one_line
from engine.language.load import Files, Workspace
from engine.language.nodes import MOST_BYTES, Source
from engine.language.rulebook import LANGUAGE, Rulebook
from engine.language.spelling import did_you_mean
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
from engine.reload.pipeline import Accepted, Gate, Pipeline, ProofAnswer, Prove, Refused
from engine.reload.who import Commit, user

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MOST_BUNDLE_BYTES = 16 * 1024 * 1024
"""A larger file is no bundle: a home of 1,000 rules takes a quarter of one MiB."""

MOST_FILES = 2000

_FORMAT: Literal["sluice-bundle"] = "sluice-bundle"
_DOMAIN = b"sluice bundle 1\n"
"""Stands before what is signed, so that no signature made for something else fits a bundle."""

_NAME = re.compile(r"(?:rules|policies|profiles)/[^\W_][\w.+-]{0,120}\.yaml")
_AGAIN = "fetch it again from where it was built"
_REBUILD = "build it again with `sluice bundle build`"


class Checked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the check of the profile found when the bundle was built; with errors there is no bundle."""

    warnings: int
    notes: int


class Proved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the prover said of the invariants."""

    holds: int
    fails: int
    unknown: int


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a bundle comes from."""

    author: str
    time: int
    """Of the commit, or as given: seconds since 1970 UTC."""
    revision: str | None
    """The git commit that last changed the home; None where it is in no work tree."""
    clean: bool | None
    """Whether the files were as that commit left them."""
    language: int
    check: Checked
    proofs: Proved | None
    """None where nothing was proved."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle is."""

    format: Literal["sluice-bundle"]
    v: Literal[1]
    profile: str
    version: str
    """Of the rulebook: the digest of its meaning."""
    sources: str
    """Digest of the texts of the files that the profile uses."""
    sequence: int
    content: str
    """SHA-256 of the content as it is written, hex."""
    provenance: Provenance


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who vouches for a bundle."""

    algorithm: Literal["ed25519"]
    key: str
    """Which key: the first 16 hex digits of the SHA-256 of the public one."""
    value: str
    """64 bytes in base64."""


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bundle: Manifest
    content: dict[str, str]
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read, and is written as bundles are. Nothing is verified yet."""

    manifest: Manifest
    content: Mapping[str, str]
    """The text of each file."""
    signature: Signature | None
    digest: str
    """SHA-256 of all but the signature, hex: two bundles of one digest are the same."""

    @property
    def signed(self) -> bytes:
        """What a signature is over."""
        return _DOMAIN + _canonical(self._held())

    @property
    def written(self) -> bytes:
        """The bytes that it was read from."""
        signature = {} if self.signature is None else {"signature": msgspec.to_builtins(self.signature)}
        return _canonical({**self._held(), **signature})

    def _held(self) -> dict[str, Any]:
        return {"bundle": msgspec.to_builtins(self.manifest), "content": dict(self.content)}


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle whose every part was verified, and what it holds."""

    bundle: Bundle
    files: Files
    rulebook: Rulebook
    signed_by: str | None
    """The id of the key; None where no key was asked for."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What goes into the provenance of a bundle and its place in the order."""

    author: str
    time_s: int
    sequence: int
    commit: Commit | None = None


def origin_of(
    commit: Commit | None,
    *,
    time_s: int | None = None,
    sequence: int | None = None,
    author: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Origin:
    """Where a bundle comes from: as given, else by SOURCE_DATE_EPOCH, else by the commit; no clock is read.

    The sequence is the time where none is given: a later commit comes after an earlier one.

    Raises:
        BundleError: where nothing says a time.

    """
    if time_s is None:
        epoch = environment.get("SOURCE_DATE_EPOCH", "").strip()
        if epoch and not (epoch.isascii() and epoch.isdigit()):
            raise BundleError("$SOURCE_DATE_EPOCH is no number of seconds", "unset it, or give --time")
        time_s = int(epoch) if epoch else commit.time_s if commit is not None else None
    if time_s is None:
        raise BundleError(
            "nothing says of when this bundle is: the home is in no commit, and builds read no clock",
            "commit the home, give --time, or set SOURCE_DATE_EPOCH",
        )
    clean = commit is not None and commit.is_clean
    return Origin(
        author or (commit.author if commit is not None and clean else user()),
        time_s,
        time_s if sequence is None else sequence,
        commit,
    )


def build(
    files: Files,
    profile: str,
    origin: Origin,
    *,
    key: Ed25519PrivateKey | None = None,
    gate: Gate = "proofs",
    prove: Prove | None = None,
) -> bytes:
    """A bundle of a profile: the same bytes for the same files, origin and key.

    Raises:
        LoadError: with everything that the gate minds, as a reload would be refused for it.
        BundleError: for files that a bundle cannot hold.

    """
    content = {name: source.text for name, source in files.sources.items()}
    for name in content:
        if not _NAME.fullmatch(name):
            raise BundleError(f"`{name}` cannot be in a bundle", "name files with letters, digits, `_`, `.`, `+`, `-`")
    verdict = Pipeline(profile, gate, prove).consider(files, None)
    if isinstance(verdict, Refused):
        raise LoadError(verdict.findings)
    assert isinstance(verdict, Accepted)  # nothing runs, so nothing is unchanged
    rulebook = verdict.book.rulebook
    manifest = Manifest(
        _FORMAT,
        1,
        profile,
        rulebook.version,
        rulebook.sources_digest,
        origin.sequence,
        _content_digest(content),
        _provenance(origin, rulebook.warnings, verdict.proofs),
    )
    unsigned = Bundle(manifest, content, None, "")
    document: dict[str, Any] = {"bundle": msgspec.to_builtins(manifest), "content": content}
    if key is not None:
        value = base64.b64encode(key.sign(unsigned.signed)).decode()
        document["signature"] = {"algorithm": "ed25519", "key": key_id(key.public_key()), "value": value}
    made = _canonical(document)
    if len(made) > MOST_BUNDLE_BYTES or len(content) > MOST_FILES:
        raise TooLargeError(
            f"the bundle would have {len(content)} files and {len(made) // 1024} KiB", "a home holds rules, not data"
        )
    return made


def _provenance(origin: Origin, findings: Sequence[Finding], proofs: ProofAnswer | None) -> Provenance:
    by_severity = [finding.severity for finding in findings]
    commit = origin.commit
    return Provenance(
        origin.author,
        origin.time_s,
        commit.revision if commit is not None else None,
        commit.is_clean if commit is not None else None,
        LANGUAGE,
        Checked(by_severity.count(Severity.WARNING), by_severity.count(Severity.NOTE)),
        None if proofs is None else Proved(proofs.holds, proofs.fails, proofs.unknown),
    )


def read_bundle(path: Path) -> bytes:
    """The bytes of a bundle's file, at most as many as one may have.

    Raises:
        UnreadableBundleError: where there is no such file, or it cannot be read.
        TooLargeError: for a larger one.

    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BUNDLE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = (getattr(error, "strerror", None) or "no such path").lower()
        raise UnreadableBundleError(f"`{path}` cannot be read: {reason}", "name the file of a bundle") from None
    return bounded(data)


def bounded(data: bytes) -> bytes:
    """The bytes, refused where there are more than a bundle may have.

    Raises:
        TooLargeError: if so.

    """
    if len(data) > MOST_BUNDLE_BYTES:
        raise TooLargeError(f"it is larger than {MOST_BUNDLE_BYTES >> 20} MiB", "this is no bundle of Sluice")
    return data


def parse(data: bytes) -> Bundle:
    """A bundle as data, its form looked at and nothing more: for `inspect`, and as the first step of `verify`.

    Raises:
        TooLargeError: for more bytes or files than a bundle may have.
        MalformedError: for anything that is not written as `build` writes it.

    """
    bounded(data)
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = str(error)
        told = told if told[:2].isupper() else told[:1].lower() + told[1:]  # JSON stays JSON
        raise MalformedError(f"this is no bundle: {one_line(told)}", _AGAIN) from None
    if len(document.content) > MOST_FILES:
        raise TooLargeError(f"it holds more than {MOST_FILES} files", "this is no bundle of Sluice")
    held = msgspec.to_builtins(document)
    if document.signature is None:
        held.pop("signature")
    try:
        written = _canonical(held)
    except UnicodeEncodeError:
        written = b""
    if written != data:
        raise MalformedError("it is not written the way bundles are, so it was changed after it was built", _AGAIN)
    for name, text in document.content.items():
        if not _NAME.fullmatch(name):
            raise MalformedError(f"`{one_line(name)}` is no file of a home", _AGAIN)
        if len(text.encode()) > MOST_BYTES:
            raise TooLargeError(f"`{name}` is larger than {MOST_BYTES >> 20} MiB", "this is no bundle of Sluice")
    if document.bundle.sequence < 0:
        raise MalformedError("its sequence is negative", _AGAIN)
    held.pop("signature", None)
    digest = hashlib.sha256(_canonical(held)).hexdigest()
    return Bundle(document.bundle, document.content, document.signature, digest)


def verify(data: bytes, keys: Sequence[Ed25519PublicKey] = (), *, profile: str | None = None) -> Verified:
    """A bundle with every part verified. With `keys` it must be signed by one of them.

    Raises:
        BundleError: the subclass says what is wrong with it.

    """
    bundle = parse(data)
    signed_by = _verify_signature(bundle, keys) if keys else None
    manifest = bundle.manifest
    if _content_digest(bundle.content) != manifest.content:
        raise ContentError("its files are not those it was built from", _AGAIN)
    if profile is not None and manifest.profile != profile:
        raise ContentError(
            f"it is of the profile `{manifest.profile}`, not of `{profile}`", f"build one of `{profile}`"
        )
    files = Files({name: Source.of(name, text) for name, text in bundle.content.items()}, ())
    try:
        rulebook = Workspace(files).rulebook(manifest.profile)
    except LoadError as error:
        first = error.findings[0]
        raise ContentError(f"its rules do not load: {first.span}: {first.message}", _REBUILD) from error
    if (rulebook.version, rulebook.sources_digest) != (manifest.version, manifest.sources):
        made_by = f"language {manifest.provenance.language}, this is {LANGUAGE}"
        raise ContentError(
            f"its rules make {rulebook.version} and not {manifest.version} ({made_by})", f"{_REBUILD} of this release"
        )
    return Verified(bundle, files, rulebook, signed_by)


def _verify_signature(bundle: Bundle, keys: Sequence[Ed25519PublicKey]) -> str:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    signature = bundle.signature
    if signature is None:
        raise UnsignedError("it is not signed, and a public key is configured", "sign it: `sluice bundle build --key`")
    trusted = {key_id(key): key for key in keys}
    if signature.key not in trusted:
        known = ", ".join(trusted)
        raise SignatureError(
            f"it is signed by the key {one_line(signature.key)}, which is not trusted here ({known} is)",
            "sign it with a trusted key, or configure the public key of this one",
        )
    try:
        value = base64.b64decode(signature.value, validate=True)
        # Base64 has spare bits: only one spelling of a signature is taken.
        spelled = base64.b64encode(value).decode() == signature.value
        trusted[signature.key].verify(value if spelled else b"", bundle.signed)
    except (InvalidSignature, binascii.Error, ValueError):
        raise SignatureError("its signature does not fit: something in it was changed", _AGAIN) from None
    return signature.key


def text_of(bundle: Bundle, name: str) -> str:
    """The text of one of its files.

    Raises:
        ReloadError: where it holds none of that name.

    """
    text = bundle.content.get(name)
    if text is None:
        raise ReloadError(f"it holds no file `{name}`", did_you_mean(name, bundle.content, "inspect it without a name"))
    return text


def refuse_replay(bundle: Bundle, highest: int | None, digest: str | None) -> None:
    """Refuse what is older than what ran: `highest` is the sequence recorded, `digest` that of its bundle.

    Raises:
        ReplayedError: for a lower sequence, and for another bundle of the same one.

    """
    sequence = bundle.manifest.sequence
    if highest is None or sequence > highest:
        return
    if sequence < highest:
        raise ReplayedError(
            f"its sequence {sequence} is below {highest}, which ran here before",
            "build it again with a higher --sequence, if going back is meant",
        )
    if bundle.digest != digest:
        raise ReplayedError(
            f"another bundle of the sequence {sequence} ran here before", "build it again with a higher --sequence"
        )


def _canonical(value: Any) -> bytes:
    """The one way a document is written. Raises `UnicodeEncodeError` for text that is none."""
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def _content_digest(content: Mapping[str, str]) -> str:
    return hashlib.sha256(_canonical(dict(content))).hexdigest()
