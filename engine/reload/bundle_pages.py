"""A bundle for people and for machines: what it is, where it comes from, what it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.printing import counted, printable
from engine.reload.bundle import Bundle, Verified


def bundle_lines(bundle: Bundle, *, is_ours: bool = False) -> list[str]:
    """A bundle as lines of `name  value`; `is_ours` where it was just built, else nobody knows who signed it."""
    manifest, origin = bundle.manifest, bundle.manifest.provenance
    revision = origin.revision or "none"
    if origin.clean is False:
        revision += ", with changes that are not committed"
    proofs = origin.proofs
    proved = "none" if proofs is None else f"{proofs.holds} hold, {proofs.fails} fail, {proofs.unknown} unknown"
    size = sum(len(text.encode()) for text in bundle.content.values())
    rows = {
        "profile": manifest.profile,
        "version": f"{manifest.version} (sources {manifest.sources})",
        "sequence": str(manifest.sequence),
        "revision": revision,
        "author": origin.author,
        "time": _moment(origin.time),
        "check": f"{counted(origin.check.warnings, 'warning')}, {counted(origin.check.notes, 'note')}",
        "proofs": proved,
        "content": f"{counted(len(bundle.content), 'file')}, {size / 1024:.0f} KiB",
        "signed": _signed(bundle, is_ours=is_ours),
    }
    return [f"{name:<9} {printable(value)}" for name, value in rows.items()]


def _signed(bundle: Bundle, *, is_ours: bool) -> str:
    if bundle.signature is None:
        return "no"
    by = f"by the key {bundle.signature.key}"
    return by if is_ours else f"{by}, it says: `sluice bundle verify` tells"


def bundle_json(bundle: Bundle) -> dict[str, Any]:
    """A bundle as a JSON object, files by their size in bytes."""
    return {
        **msgspec.to_builtins(bundle.manifest),
        "files": {name: len(text.encode()) for name, text in bundle.content.items()},
        "signature": msgspec.to_builtins(bundle.signature),
        "digest": bundle.digest,
    }


def verified_line(verified: Verified) -> str:
    """What was verified, in one line."""
    manifest = verified.bundle.manifest
    signed = f"signed by the key {verified.signed_by}" if verified.signed_by else "intact; no public key says by whom"
    return f"{manifest.profile} {manifest.version}, sequence {manifest.sequence}: {signed}"


def _moment(time_s: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{time_s} s"
