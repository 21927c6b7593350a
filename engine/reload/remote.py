"""Bundles from an address, for a fleet: polled, verified before anything in them is loaded, tried again with patience.

    address ──▶ fetch (ETag) ──▶ verify ──▶ not older than what ran? ──▶ Arrived, for the pipeline
                   │ the same: nothing      │ anything wrong: Failed, what runs goes on

`https:` is asked with If-None-Match through fsspec's own session, so what did not change costs one small answer; other
addresses that fsspec knows (`file:`, and those of its plug-ins) are looked at by size, times and ETag, and read when
these change. A bundle that the pipeline refused is not fetched again until it changes; one that could not be verified
is, since the fault may have been the way's.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from engine.language.findings import one_line
from engine.reload.bundle import MOST_BUNDLE_BYTES, Verified, bounded, refuse_replay, verify
from engine.reload.errors import BundleError, ReloadError, UnreadableBundleError, extra_live
from engine.reload.kept_bundles import KeptBundles
from engine.reload.last_good import GoodRulebook, LastGood

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_TIMEOUT_S = 30.0
_NOT_MODIFIED, _FINE = 304, 200
_MOST_RETRY_AFTER_S = 3600.0
_BLOCK_BYTES = 64 * 1024
_UNENCRYPTED = frozenset({"http", "ftp", "webhdfs"})
_ADDRESS = re.compile(r"[\w.+-]+://[^\s'\"<>]+")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an address is asked."""

    interval_s: float = 30.0
    """Between two polls that were answered, give or take a tenth: a fleet must not ask all at once."""
    first_retry_s: float = 1.0
    """After one that was not; doubled each time, and then drawn between half of it and all."""
    most_s: float = 300.0

    def wait_s(self, failures: int, rng: Random, retry_after_s: float = 0.0) -> float:
        """Seconds until the next poll, after so many failures in a row; never before the server wants it."""
        if not failures:
            return self.interval_s * rng.uniform(0.9, 1.1)
        longest = min(self.most_s, self.first_retry_s * 2.0 ** min(failures - 1, 30))
        return max(rng.uniform(longest / 2, longest), min(retry_after_s, _MOST_RETRY_AFTER_S))


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address holds, and the tag by which it is known to be the same."""

    data: bytes
    tag: str | None


class Fetch(Protocol):
    """Asks one address."""

    async def __call__(self, tag: str | None) -> Fetched | None:
        """What is there; None where it still has this tag. Raises `BundleError`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class BusyError(UnreadableBundleError):
    """The server asks to be left alone for a while."""

    def __init__(self, message: str, help: str, retry_after_s: float) -> None:  # noqa: A002 - findings call it help
        super().__init__(message, help)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Arrived:
    """A verified bundle that is not what came last. Say `taken` once the pipeline has decided on it, or `put_off`."""

    verified: Verified
    tag: str | None


@dataclass(frozen=True, slots=True)
class Same:
    """The address has nothing new."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing that can be used came; what runs goes on."""

    error: ReloadError
    failures: int
    """In a row."""


Polled: TypeAlias = Arrived | Same | Failed

PollResult: TypeAlias = Literal["new", "same", "failed"]
"""What came of a poll: a verified bundle, the one that came last, or nothing that can be used."""


@dataclass(frozen=True, slots=True)
class Failing:
    """An address that gives nothing that can be used, since when and how often in a row."""

    error: ReloadError
    since_ms: int
    times: int
    next_ms: int | None = None
    """When it is asked again; None until that is known."""


class Remote:
    """The bundles of one address, for one profile."""

    def __init__(
        self,
        address: str,
        profile: str,
        remembered: LastGood,
        *,
        keys: Sequence[Ed25519PublicKey] = (),
        schedule: Schedule | None = None,
        fetch: Fetch | None = None,
        rng: Random | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Nothing is asked yet. With `keys`, bundles must be signed by one of them.

        Raises:
            ReloadError: for an address that cannot be used, or only with a public key.

        """
        self.shown = without_password(address)
        """The address as it may be logged."""
        if not keys and fetch is None and not _UNENCRYPTED.isdisjoint(_schemes(address)):
            raise ReloadError(
                f"`{self.shown}` is not encrypted, and nothing would show that a bundle was changed on its way",
                "use https:, or sign bundles and give the public key",
            )
        self._profile = profile
        self._remembered = remembered
        self._keys = tuple(keys)
        self._schedule = schedule or Schedule()
        self._fetch = fetch or fetch_from(address)
        self._rng = rng or Random()
        self._now_ms = now_ms
        self._sleep = sleep
        self._tag: str | None = None
        self._digest: str | None = None
        """Of the bundle that came last: one that comes again under another tag is no news."""
        self._failures = 0
        self._retry_after_s = 0.0
        self._was_asked = False
        self.confirmed_ms: int | None = None
        """When the address last answered that it has what came last."""
        self.failing: Failing | None = None
        """What the last poll failed by, and those before it; None where it did not."""
        self.results: Counter[PollResult] = Counter()
        """What came of all polls."""

    async def poll(self) -> Polled:
        """Ask once."""
        self._was_asked = True
        try:
            fetched = await self._fetch(self._tag)
            verified = None if fetched is None else await asyncio.to_thread(self._verify, fetched.data)
        except ReloadError as error:
            self._failures += 1
            self._retry_after_s = error.retry_after_s if isinstance(error, BusyError) else 0.0
            self.results["failed"] += 1
            before = self.failing or Failing(error, self._now_ms(), 0)
            self.failing = replace(before, error=error, times=before.times + 1, next_ms=None)
            return Failed(error, self._failures)
        self._retry_after_s, self.failing = 0.0, None
        if fetched is None or verified is None or verified.bundle.digest == self._digest:
            self._tag = fetched.tag if fetched is not None else self._tag
            self._failures = 0
            self.confirmed_ms = self._now_ms()
            self.results["same"] += 1
            return Same()
        self.results["new"] += 1
        return Arrived(verified, fetched.tag)

    def _verify(self, data: bytes) -> Verified:
        ran = self._remembered.highest(self._profile)
        try:
            verified = verify(data, self._keys, profile=self._profile)
            refuse_replay(verified.bundle, ran.sequence if ran else None, ran.digest if ran else None)
        except BundleError as error:
            raise type(error)(f"the bundle of `{self.shown}` is refused: {error.message}", error.help) from error
        return verified

    def taken(self, arrived: Arrived, *, accepted: bool) -> None:
        """Say what the pipeline made of a bundle; one that runs is remembered, with its sequence.

        Raises:
            ReloadError: where that cannot be written: then an older bundle could come back after a restart, so this
                one is asked for again, as with `put_off`.

        """
        bundle, rulebook = arrived.verified.bundle, arrived.verified.rulebook
        self.confirmed_ms = self._now_ms()
        if accepted:
            good = GoodRulebook(
                version=rulebook.version,
                sources=rulebook.sources_digest,
                at_ms=self.confirmed_ms,
                origin=self.shown,
                sequence=bundle.manifest.sequence,
                digest=bundle.digest,
            )
            kept = KeptBundles(self._remembered.logs)
            try:
                kept.keep(arrived.verified)
                self._remembered.remember(self._profile, good)
            except ReloadError:
                self.put_off()
                raise
            kept.forget(self._remembered.all())
        self._tag, self._digest, self._failures = arrived.tag, bundle.digest, 0

    def put_off(self) -> None:
        """Say that a bundle could not be taken through no fault of its own: it is asked for again, with patience."""
        self._failures += 1

    def age_s(self) -> float | None:
        """Seconds since the address last said that this is what it has; None before it ever did."""
        return None if self.confirmed_ms is None else max(0.0, (self._now_ms() - self.confirmed_ms) / 1000)

    async def polls(self) -> AsyncIterator[Polled]:
        """Poll for ever, waiting in between, also after a poll before these; `Same` is given after failures alone."""
        while True:
            if self._was_asked:
                wait_s = self._schedule.wait_s(self._failures, self._rng, self._retry_after_s)
                if self.failing is not None:
                    self.failing = replace(self.failing, next_ms=self._now_ms() + round(wait_s * 1000))
                await self._sleep(wait_s)
            had_failed = self._failures > 0
            polled = await self.poll()
            if had_failed or not isinstance(polled, Same):
                yield polled

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._fetch.close()


def without_password(address: str) -> str:
    """An address as it may be shown: without user, password and query, which may hold a token.

    >>> without_password("https://desk:secret@rules.example/prod.json?token=1")
    'https://rules.example/prod.json'
    """
    return "::".join(map(_link_without_password, address.split("::")))  # fsspec chains addresses so


def _link_without_password(address: str) -> str:
    try:
        parts = urlsplit(address)
        return one_line(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))
    except ValueError:
        return "an address that is none"


def _without_passwords(text: str) -> str:
    """What an error says, in one line: addresses in it may be spelled otherwise, or be those of redirects."""
    return one_line(_ADDRESS.sub(lambda found: without_password(found[0]), text))


def _schemes(address: str) -> list[str]:
    try:
        return [urlsplit(link).scheme for link in address.split("::")]
    except ValueError:
        return []  # whoever asks it says that it is none


def fetch_from(address: str) -> Fetch:
    """What asks an address, by its scheme.

    Raises:
        ReloadError: for a scheme that fsspec does not know, or whose plug-in is not installed.

    """
    with extra_live("bundles from an address"):
        import fsspec  # noqa: PLC0415

    shown = without_password(address)
    if urlsplit(address).scheme in ("http", "https"):
        return HttpFetch(address)
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
    except (ValueError, ImportError, OSError) as error:
        raise ReloadError(
            f"`{shown}` is no address that can be polled: {_without_passwords(str(error))}",
            "write `https://…` or `file:…`",
        ) from None
    return FileFetch(filesystem, path, shown)


class HttpFetch:
    """An address of http or https, asked with the tag of what came last."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._shown = without_password(address)
        self._filesystem: Any = None

    async def __call__(self, tag: str | None) -> Fetched | None:
        """As `Fetch`."""
        import aiohttp  # noqa: PLC0415 - an extra

        headers = {"If-None-Match": tag} if tag else {}
        try:
            session = await self._session()
            async with session.get(
                self._address, headers=headers, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)
            ) as answer:
                if answer.status == _NOT_MODIFIED and tag:
                    return None
                self._refuse(answer)
                blocks, size = [], 0
                # Block by block: what is compressed on its way must not fill the memory before it is refused.
                async for block in answer.content.iter_chunked(_BLOCK_BYTES):
                    blocks.append(block)
                    size += len(block)
                    if size > MOST_BUNDLE_BYTES:
                        break
                return Fetched(bounded(b"".join(blocks)), answer.headers.get("ETag"))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            told = f"`{self._shown}` gives nothing: {_why_nothing(error)}"
            raise UnreadableBundleError(told, _LATER) from None

    def _refuse(self, answer: Any) -> None:
        if answer.status != _FINE:
            message, rest_s = f"`{self._shown}` answers {answer.status}", _rest_s(answer.headers)
            if rest_s is not None:
                raise BusyError(message, _LATER, rest_s)
            raise UnreadableBundleError(message, _LATER)
        ways = [each.url.scheme for each in (*answer.history, answer)]
        if urlsplit(self._address).scheme == "https" and ways != ["https"] * len(ways):
            raise UnreadableBundleError(
                f"`{self._shown}` leads to an address that is not encrypted", "have it lead to one of https:"
            )

    async def _session(self) -> Any:
        if self._filesystem is None:
            from fsspec.implementations.http import HTTPFileSystem  # noqa: PLC0415 - an extra

            self._filesystem = HTTPFileSystem(
                asynchronous=True,
                loop=asyncio.get_running_loop(),
                client_kwargs={"trust_env": True},
                skip_instance_cache=True,
            )
        return await self._filesystem.set_session()

    async def close(self) -> None:
        """Close its session."""
        if self._filesystem is not None:
            session = await self._filesystem.set_session()
            await session.close()
            self._filesystem = None


def _why_nothing(error: Exception) -> str:
    """What an error of a request says, in words: some say nothing, others only an address."""
    import aiohttp  # noqa: PLC0415 - an extra

    match error:
        case TimeoutError():
            return f"no whole answer within {_TIMEOUT_S:g} s"
        case aiohttp.InvalidUrlRedirectClientError() | aiohttp.NonHttpUrlRedirectClientError():
            return f"it leads to {_without_passwords(str(error))}, which is no address of http: or https:"
        case aiohttp.ClientPayloadError():
            return "its answer ends too early, or is not packed as it says"
        case aiohttp.TooManyRedirects():
            return "it leads from one address to the next without an end"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            reason = getattr(error, "certificate_error", None) or error.os_error
            return f"no encrypted connection to {error.host}: {_without_passwords(str(reason))}"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno or 0
            reason = os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
            return f"no connection to {error.host}:{error.port}: {reason.lower()}"
    return _without_passwords(str(error)) or type(error).__name__


def _rest_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server wants to be left alone, said as such or as a date, which goes by the server's own clock."""
    told = headers.get("Retry-After", "")
    if told.isascii() and told.isdigit():
        return float(told)
    try:
        return (parsedate_to_datetime(told) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (TypeError, ValueError):
        return None


class FileFetch:
    """Any other address that fsspec knows, read in a thread where what stands there looks different."""

    def __init__(self, filesystem: Any, path: str, shown: str) -> None:
        self._filesystem = filesystem
        self._path = path
        self._shown = shown

    async def __call__(self, tag: str | None) -> Fetched | None:
        """As `Fetch`."""
        return await asyncio.to_thread(self._look, tag)

    def _look(self, tag: str | None) -> Fetched | None:
        try:
            self._filesystem.invalidate_cache()
            found = hashlib.sha256(repr(self._filesystem.info(self._path)).encode()).hexdigest()
            if found == tag:
                return None
            with self._filesystem.open(self._path, "rb") as stream:
                return Fetched(bounded(stream.read(MOST_BUNDLE_BYTES + 1)), found)
        except BundleError:
            raise
        except Exception as error:  # noqa: BLE001 - each plug-in has errors of its own
            told = _without_passwords(str(getattr(error, "strerror", None) or error)) or type(error).__name__
            raise UnreadableBundleError(f"`{self._shown}` gives nothing: {told.lower()}", _LATER) from None

    async def close(self) -> None:
        """Nothing is held."""


_LATER = "what runs goes on; it is asked again later"
