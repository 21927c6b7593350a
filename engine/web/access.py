"""Who may do what: the token, the hosts this server answers for, and the sessions of browsers.

In: the address it listens at, a token from a file or the environment. Out: an `Access`, which the guard of the server
asks about every request. On a loopback address everybody on the machine may read; on any other address reading needs
the token, and so it does behind a proxy, which lets others reach a loopback address. Writing always needs it, and not
by a cookie, which browsers send along unasked.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from engine.language.findings import SluiceError

TOKEN_VARIABLE = "SLUICE_TOKEN"  # noqa: S105 - a name, not a token
LEAST_TOKEN = 16
"""Characters of a token."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED_BITS = 96
"""How long `::ffff:` is, behind which IPv6 has the addresses of IPv4."""

_LOOPBACK_NAMES = frozenset({"localhost", "localhost.", "ip6-localhost"})


class AccessError(SluiceError):
    """The server must not be opened like that: what is wrong, and what helps."""

    def __init__(self, message: str, help: str) -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{message} ({help})")
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Access:
    """What requests are measured by."""

    is_loopback: bool
    """Whether only programs on this machine reach the server."""
    names: frozenset[str] = frozenset()
    """Host names it answers for, beside `localhost` and addresses, in lower case."""
    token: str | None = field(default=None, repr=False)

    @property
    def reading_needs_token(self) -> bool:
        """Whether nothing is shown without the token."""
        return not self.is_loopback

    def is_token(self, given: str | bytes) -> bool:
        """Whether this is the token; takes as long for a wrong one as for the right one."""
        if self.token is None:
            return False
        text = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
        return hmac.compare_digest(hashlib.sha256(text).digest(), hashlib.sha256(self.token.encode()).digest())

    def answers_for(self, host: str) -> bool:
        """Whether this is a host by which the server may be called.

        A name that somebody else made point at this machine (DNS rebinding) is none; an address cannot be made to.
        """
        name = host_name(host)
        return name in _LOOPBACK_NAMES or name in self.names or _is_address(name)


def access_to(
    host: str,
    token_file: Path | None,
    environment: Mapping[str, str],
    names: tuple[str, ...] = (),
    proxies: tuple[str, ...] = (),
) -> Access:
    """Who may use a server at an address. A file of a token comes before the environment.

    A name that it is called by beside `localhost`, and a proxy in front of it, both say that others reach it.

    Raises:
        AccessError: for a token that cannot be read or is too short, an address that others reach without one, and a
            proxy that is no address.

    """
    if not host.strip():
        raise AccessError("the address to listen at is empty", "127.0.0.1 is this machine alone")
    networks(proxies)
    reached_by = [*(name for name in (host, *names) if not is_loopback(name)), *proxies]
    loopback = not reached_by
    token = _token(token_file, environment)
    if token is None and not loopback:
        raise AccessError(
            f"others reach {host}{'' if reached_by[0] == host else f' by {reached_by[0]}'}, so a token is needed",
            f"write one to a file and name it with --token-file, or set {TOKEN_VARIABLE}",
        )
    given = () if _is_address(host) else (host,)
    return Access(loopback, frozenset(name.lower() for name in (*given, *names)), token)


def networks(proxies: Iterable[str]) -> tuple[Network, ...]:
    """Where proxies are, each an address or a network of them; of IPv4 as that, however it is written.

    >>> networks(["10.0.0.1", "10.1.0.0/16"])
    (IPv4Network('10.0.0.1/32'), IPv4Network('10.1.0.0/16'))

    Raises:
        AccessError: for what is neither.

    """
    found = []
    for proxy in proxies:
        try:
            found.append(_unmapped(ipaddress.ip_network(proxy)))
        except ValueError:
            raise AccessError(
                f"`{proxy}` is no address of a proxy", "give an address, or a network as 10.0.0.0/24"
            ) from None
    return tuple(found)


def lies_in(host: str, held: Iterable[Network]) -> bool:
    """Whether an address lies in one of these networks, one of IPv4 that comes through a socket of IPv6 too.

    >>> lies_in("::ffff:10.0.0.1", networks(["10.0.0.0/8"]))
    True
    """
    try:
        network = _unmapped(ipaddress.ip_network(host))
    except ValueError:
        return False
    return any(network.network_address in other for other in held)


def both_ways(held: Iterable[Network]) -> list[str]:
    """Networks as a server is told of them that compares addresses as they come: those of IPv4 as IPv6 has them, too.

    >>> both_ways(networks(["10.0.0.0/8", "::1"]))
    ['10.0.0.0/8', '::ffff:10.0.0.0/104', '::1/128']
    """
    told = []
    for network in held:
        told.append(str(network))
        if network.version == 4:
            told.append(f"::ffff:{network.network_address}/{_MAPPED_BITS + network.prefixlen}")
    return told


def _unmapped(network: Network) -> Network:
    """A network of IPv4 that is written as one of IPv6 (`::ffff:10.0.0.0/104`) as what it is; any other as it is."""
    if network.version == 4 or network.prefixlen < _MAPPED_BITS or network.network_address.ipv4_mapped is None:
        return network
    return ipaddress.IPv4Network((int(network.network_address.ipv4_mapped), network.prefixlen - _MAPPED_BITS))


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a `Host`, without its port, in lower case.

    >>> host_name("LocalHost:8080"), host_name("[::1]:80"), host_name("10.0.0.1")
    ('localhost', '::1', '10.0.0.1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    if file is None:
        token, place = environment.get(TOKEN_VARIABLE, "").strip(), f"`{TOKEN_VARIABLE}`"
        if not token:
            return None
    else:
        place = f"`{file}`"
        try:
            token = file.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise AccessError(f"{place} is no text", _MAKE_ONE) from None
        except OSError as error:
            raise AccessError(f"{place}: {(error.strerror or str(error)).lower()}", _MAKE_ONE) from None
    if len(token) < LEAST_TOKEN:
        raise AccessError(f"the token in {place} has fewer than {LEAST_TOKEN} characters", _MAKE_ONE)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise AccessError(f"the token in {place} holds blanks or other than ASCII characters", _MAKE_ONE)
    return token


_MAKE_ONE = "`openssl rand -hex 32 > FILE` makes one"


class Sessions:
    """Browsers that have shown the token: each holds a random id in a cookie, which lets it read and nothing else.

    In memory alone, so a restart ends them all. Bounded: of more than `most` the oldest ends.
    """

    def __init__(self, clock: Callable[[], float], *, lasts_s: float = 43_200.0, most: int = 256) -> None:
        self._clock = clock
        self.lasts_s = lasts_s
        self._most = most
        self._ends_s: dict[bytes, float] = {}
        """By digest of the id: a look-up by a digest tells nothing of the ids that are near."""

    def begin(self) -> str:
        """A new session's id."""
        made = secrets.token_urlsafe(32)
        self._ends_s[_digest(made)] = self._clock() + self.lasts_s
        if len(self._ends_s) > self._most:
            del self._ends_s[next(iter(self._ends_s))]
        return made

    def is_open(self, session_id: str) -> bool:
        """Whether somebody holds this id rightly."""
        ends_s = self._ends_s.get(_digest(session_id))
        return ends_s is not None and self._clock() < ends_s

    def end(self, session_id: str) -> None:
        """Forget it."""
        self._ends_s.pop(_digest(session_id), None)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
