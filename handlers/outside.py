"""The way to addresses that others name (URLs in answers, in webhooks, in settings): it never leads into our own network.

A name is resolved once, each of its addresses is looked at, and the connection goes to just those: there is no second
resolution that could answer otherwise. Redirects are not followed, proxies of the environment are not used, and no
cookie is kept.

    OutsideError
    ├── RefusedUrlError    we do not go there, now or later
    └── UnreachableError   nothing came of it: a broken connection, a name that is not known, no answer in time
"""

import ipaddress
import socket
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

CONNECT_S: Final = 5.0
SILENCE_S: Final = 20.0  # between two pieces of an answer
CONNECTIONS_MAX: Final = 64

_DENIED_4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",        # this network
            "10.0.0.0/8",       # private
            "100.64.0.0/10",    # shared by carriers; clouds keep their metadata there too
            "127.0.0.0/8",      # loopback
            "169.254.0.0/16",   # link-local: the metadata of most clouds
            "172.16.0.0/12",    # private
            "192.0.0.0/24",     # protocols
            "192.0.2.0/24",     # documentation
            "192.88.99.0/24",   # 6to4 relays
            "192.168.0.0/16",   # private
            "198.18.0.0/15",    # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",   # documentation
            "224.0.0.0/4",      # multicast
            "240.0.0.0/4",      # reserved, broadcast
        ),
    )
)  # fmt: skip
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")
_DENIED_6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",      # protocols: Teredo, ORCHID …
            "2001:db8::/32",  # documentation
            "2002::/16",      # 6to4: may hold any IPv4 address
            "3fff::/20",      # documentation
        ),
    )
)  # fmt: skip
"""Within 2000::/3. What lies outside of it (loopback, unique local, link-local, mapped, NAT64, SRv6) is denied as a whole."""


class OutsideError(Exception):
    """It was not fetched. The text names no address and no secret."""


class RefusedUrlError(OutsideError):
    """The URL leads where we do not go. `why` is a word of a closed vocabulary."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnreachableError(OutsideError):
    """Try again later. `sent`: whether a part of the request may have left."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


def is_outside(address: str) -> bool:
    """Whether an IP address is somebody else's, on the public Internet.

    The standard library's `is_global` and `is_private` both miss some: shared address space, NAT64, 6to4, multicast.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_outside(str(ip.ipv4_mapped))
        return ip in _GLOBAL_6 and not any(ip in network for network in _DENIED_6)
    return not any(ip in network for network in _DENIED_4)


class Outside:
    """An HTTP client for URLs that others name."""

    def __init__(self, session: aiohttp.ClientSession, trusted: frozenset[URL]) -> None:
        self._session = session
        self._trusted = trusted

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, trusted: frozenset[str] = frozenset(), resolver: AbstractResolver | None = None
    ) -> "AsyncIterator[Outside]":
        """A client for as long as the block lasts.

        Args:
            trusted: origins that the operator named, e.g. `https://graph.facebook.com`: their addresses are not looked
                at. One with http:// counts only if it is this machine's own (the emulator).
            resolver: asks the names; the system's by default.
        """
        origins = frozenset(
            origin
            for origin in (URL(url).origin() for url in trusted)
            if origin.scheme == "https" or _is_this_machine(origin)
        )
        connector = aiohttp.TCPConnector(
            resolver=_Guard(resolver or DefaultResolver(), origins), limit=CONNECTIONS_MAX
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield cls(session, origins)

    @asynccontextmanager
    async def request(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
        url: str,
        *,
        hosts: tuple[str, ...] = (),
        headers: Mapping[str, str],
        data: AsyncIterable[bytes] | bytes | None = None,
        within_s: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, its body unread; errors while the body is read are told apart as well.

        Args:
            hosts: the only hosts allowed, besides trusted origins: names, or `*.example.com` for all below one.
                Empty: any.
            within_s: for everything, the body included.

        Raises:
            RefusedUrlError, UnreachableError: see the module.
        """
        target = self._checked(url, hosts)
        timeout = aiohttp.ClientTimeout(total=within_s, connect=CONNECT_S, sock_read=SILENCE_S)
        try:
            async with self._session.request(
                method, target, headers=headers, data=data, timeout=timeout, allow_redirects=False
            ) as response:
                if 300 <= response.status < 400:
                    raise RefusedUrlError("redirect")
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UnreachableError(type(error).__name__, sent=False) from None
        except aiohttp.InvalidURL:
            raise RefusedUrlError("unreadable_url") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(type(error).__name__, sent=True) from None

    def _checked(self, url: str, hosts: tuple[str, ...]) -> URL:
        try:
            target = URL(url)
            origin = target.origin()
        except ValueError:
            raise RefusedUrlError("unreadable_url") from None
        if target.user is not None or target.password is not None:
            raise RefusedUrlError("credentials")
        if origin in self._trusted:
            return target
        if target.scheme != "https":
            raise RefusedUrlError("no_https")
        if target.port != 443:
            raise RefusedUrlError("other_port")
        host = (target.host or "").rstrip(".").lower()
        if _is_address(host):
            raise RefusedUrlError("address_as_host")
        if hosts and not any(_is_host(host, allowed) for allowed in hosts):
            raise RefusedUrlError("other_host")
        return target


class _Guard(AbstractResolver):
    """Resolves names, and refuses those that lead inside: with one address of ours a name is not somebody else's."""

    def __init__(self, resolver: AbstractResolver, trusted: frozenset[URL]) -> None:
        self._resolver = resolver
        self._trusted = {(origin.host, origin.port) for origin in trusted}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        trusted = (host, port) in self._trusted
        if not trusted and not all(is_outside(result["host"]) for result in found):
            raise RefusedUrlError("inside_address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _is_host(host: str, allowed: str) -> bool:
    if allowed.startswith("*."):
        return host.endswith(allowed[1:])
    return host == allowed


def _is_address(host: str) -> bool:
    # The last label of a name is never a number (RFC 3696): this also catches 127.1, 0x7f.1 and 2130706433.
    last = host.rpartition(".")[2]
    return ":" in host or not last or last.isdigit() or last.startswith("0x")


def _is_this_machine(origin: URL) -> bool:
    host = origin.host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
