"""Which dispatchers are alive, and which of them a tenant falls to first: rendezvous hashing over their service ids.

The micro service answers pings anyway, so nothing is written for this. It is a wish and no right: the pin of the
durable alone says who serves a tenant. Without it the first replica to start would serve them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

import msgspec
import nats
from nats.aio.msg import Msg

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime.bus import Bus

_LISTEN_S = 0.25


class _Pong(msgspec.Struct):
    id: str


class Replicas:
    """``own``: this one's id in the service ``service``."""

    def __init__(self, bus: Bus, service: str, own: str) -> None:
        self._bus = bus
        self._service = service
        self._own = own
        self._live = frozenset((own,))
        self.settled = False
        """Whether the last two looks found the same replicas."""

    async def look(self) -> None:
        found = {self._own}

        async def on_pong(message: Msg) -> None:
            with contextlib.suppress(msgspec.MsgspecError):
                found.add(msgspec.json.decode(message.data, type=_Pong).id)

        inbox = self._bus.client.new_inbox()
        try:
            subscription = await self._bus.client.subscribe(inbox, cb=on_pong)
            await self._bus.client.publish(f"$SRV.PING.{self._service}", b"", reply=inbox)
            await asyncio.sleep(_LISTEN_S)
            await subscription.unsubscribe()
        except nats.errors.Error:
            self.settled = False
            return
        self.settled = found == self._live
        self._live = frozenset(found)

    def rank(self, tenant: TenantId) -> int:
        """How many live replicas the tenant would rather have than this one."""
        own = _weight(tenant, self._own)
        return sum(_weight(tenant, other) > own for other in self._live)


def _weight(tenant: TenantId, replica: str) -> bytes:
    return hashlib.blake2b(f"{tenant}\x1f{replica}".encode(), digest_size=8).digest()
