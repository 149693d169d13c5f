"""HTTP to addresses that users name, without becoming their way into our own network (SSRF).

The host is resolved here, each address is checked, and the connection goes to a checked address: there is no second
resolution that could answer otherwise. TLS still verifies the host's name. Redirects are not followed: whoever follows
one asks anew, and is checked anew. Proxies of the environment are not used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpcore

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to addresses; raises OSError."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Blocked(Exception):
    """None of the host's addresses may be reached."""


def networks(text: str) -> tuple[Network, ...]:
    """``10.0.0.0/8, fd00::/8`` as networks. Raises ValueError."""
    return tuple(ipaddress.ip_network(word) for word in text.replace(",", " ").split())


def reachable(address: str, allowed: Iterable[Network] = (), *, public: bool = True) -> bool:
    """Whether it is a ``public`` unicast address, or in one of the ``allowed`` networks.

    IPv6 addresses that stand for an IPv4 one (mapped, NAT64, 6to4, Teredo) count as that one.
    """
    try:
        found: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner(found) if isinstance(found, ipaddress.IPv6Address) else None
    found = inner if inner is not None else found
    if any(found in network for network in allowed if network.version == found.version):
        return True
    return public and found.is_global and not found.is_multicast


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


async def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(
        self,
        allowed: Iterable[Network] = (),
        *,
        resolve: Resolve = resolve,
        connector: httpcore.AsyncNetworkBackend | None = None,
        public: bool = True,
    ) -> None:
        self._allowed = tuple(allowed)
        self._public = public
        self._resolve = resolve
        self._connector = connector or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the host's name does not resolve") from error
        usable = [address for address in addresses if reachable(address, self._allowed, public=self._public)]
        if not usable:
            raise Blocked
        for address in usable[:-1]:
            try:
                return await self._connector.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connector.connect_tcp(usable[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise Blocked

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def pool(
    backend: httpcore.AsyncNetworkBackend,
    *,
    ca: str | None = None,
    connections: int = 200,
    idle_s: float = 30,
) -> httpcore.AsyncConnectionPool:
    """Keep-alive connections through ``backend``, HTTP/1.1; ``ca``: a PEM file to trust beside the system's roots."""
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return httpcore.AsyncConnectionPool(
        ssl_context=context, max_connections=connections, max_keepalive_connections=connections,
        keepalive_expiry=idle_s, network_backend=backend,
    )  # fmt: skip
