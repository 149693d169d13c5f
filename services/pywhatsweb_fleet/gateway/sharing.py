"""Rate limits of all replicas together, in the bucket WA_RATES: one small write each half second of a busy gateway.

| key in the bucket | value |
|---|---|
| ``<process>`` | `Told`: what a gateway took since it last told, and how full its buckets are |

A request is decided here and at once. So all replicas together let through the limit, and what the others let through
within the last half second; without the broker each keeps to the limit by itself. A replica that starts takes over how
full the others' buckets are, and what it had itself before: nobody gets a fresh bucket by a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec
import structlog

from pywhatsweb.contracts import streams
from pywhatsweb_fleet.broker.keys import now_ms
from pywhatsweb_fleet.gateway.limits import Buckets
from pywhatsweb_runtime import provision
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket, Entry

log = structlog.get_logger(__name__)

RATES_BUCKET: Final = "WA_RATES"
SHARE_EVERY_S: Final = 0.5
_FORGOTTEN_S: Final = 120.0
_MOST: Final = 5_000
"""Names in one message, those first of which most was taken."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """By kind of bucket and name."""

    at: int
    """Milliseconds since 1970."""
    taken: dict[str, dict[str, float]] = {}
    levels: dict[str, dict[str, float]] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Told).decode


class Shared:
    """Made by `sharing`."""

    def __init__(self, bus: Bus, buckets: Mapping[str, Buckets]) -> None:
        self.bucket = Bucket(bus, RATES_BUCKET)
        self._buckets = buckets
        self._replica = secrets.token_hex(8)

    async def take_over(self) -> None:
        for told in filter(None, map(_read, await self.bucket.all())):
            aged_s = (now_ms() - told.at) / 1000
            for kind, buckets in self._buckets.items():
                buckets.lower(told.levels.get(kind, {}), aged_s)

    async def on_told(self, entry: Entry) -> None:
        told = None if entry.key == self._replica else _read(entry)
        if told is not None:
            for kind, buckets in self._buckets.items():
                buckets.take_away(told.taken.get(kind, {}))

    async def tell(self) -> None:
        """What was taken since the last time, if anything was."""
        taken = {kind: _most(buckets.taken()) for kind, buckets in self._buckets.items()}
        if not any(taken.values()):
            return
        levels = {kind: _least(buckets.levels()) for kind, buckets in self._buckets.items()}
        try:
            await self.bucket.put(self._replica, _encode(Told(now_ms(), taken, levels)))
        except (BrokerUnavailable, ApiError) as error:
            log.info("the other gateways were not told what was taken", error=str(error))

    async def tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SHARE_EVERY_S)
            await self.tell()


def _read(entry: Entry) -> Told | None:
    try:
        return None if entry.value is None else _decode(entry.value)
    except msgspec.MsgspecError:
        return None  # of a later version


def _most(taken: dict[str, float]) -> dict[str, float]:
    return dict(sorted(taken.items(), key=lambda pair: -pair[1])[:_MOST])


def _least(levels: dict[str, float]) -> dict[str, float]:
    return dict(sorted(levels.items(), key=lambda pair: pair[1])[:_MOST])


@contextlib.asynccontextmanager
async def sharing(bus: Bus, buckets: Mapping[str, Buckets], replicas: int = 1) -> AsyncIterator[Shared]:
    """Hears the others while the block lasts; `Shared.tell_for_ever` is to run meanwhile."""
    stream = streams.bucket(RATES_BUCKET, replicas, ttl_s=_FORGOTTEN_S, memory=True)
    await provision.ensure_stream(bus, stream)
    shared = Shared(bus, buckets)
    async with shared.bucket.changes(shared.on_told):
        await shared.take_over()
        yield shared
