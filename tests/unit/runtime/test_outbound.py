"""Which addresses may be reached."""

from __future__ import annotations

from typing import Any

import httpcore
import pytest

from pywhatsweb_runtime.outbound import Blocked, Guarded, networks, reachable


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0",  # noqa: S104 - an address to refuse
        "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "not an address", "",
    ],
)  # fmt: skip
def test_private_ones_may_not(address: str) -> None:
    assert not reachable(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_ones_may(address: str) -> None:
    assert reachable(address)
    assert not reachable(address, public=False)


def test_what_the_operator_allows() -> None:
    own = networks("10.0.0.0/8, fd00::/8")
    assert reachable("10.9.9.9", own)
    assert reachable("::ffff:10.9.9.9", own)
    assert reachable("fd00::5", own, public=False)
    assert not reachable("192.168.0.1", own)


class Connector(httpcore.AsyncNetworkBackend):
    def __init__(self, dead: str = "") -> None:
        self.asked: list[str] = []
        self._dead = dead

    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        if host == self._dead:
            raise httpcore.ConnectError
        return "a stream"


async def test_a_connection_goes_to_a_checked_address_only() -> None:
    """Private answers are left out, a dead address is passed over, and nothing is resolved twice."""
    resolved: list[str] = []

    async def resolve(host: str, _: int) -> list[str]:
        resolved.append(host)
        return ["10.0.0.1", "8.8.8.8", "1.1.1.1"]

    connector = Connector(dead="8.8.8.8")
    stream: Any = await Guarded(resolve=resolve, connector=connector).connect_tcp("a.example", 443)
    assert stream == "a stream"
    assert (resolved, connector.asked) == (["a.example"], ["8.8.8.8", "1.1.1.1"])


async def test_a_host_with_private_addresses_alone_is_blocked() -> None:
    async def resolve(*_: Any) -> list[str]:
        return ["127.0.0.1", "::1"]

    connector = Connector()
    with pytest.raises(Blocked):
        await Guarded(resolve=resolve, connector=connector).connect_tcp("a.example", 443)
    assert connector.asked == []
