"""Commands with a ``send_at``: JetStream's message schedules (ADR-51 of NATS), one a subject, and taking them back.

The subject ``wa.sch.<tenant>.<session>.<digest>`` holds the schedule until it fires, and nothing afterwards. To cancel
is to replace it by a tombstone, by compare-and-set: either the schedule fires or the tombstone takes its place, never
both, and a cancel that is delivered again after a crash finds what it did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple

from pywhatsweb.contracts import queued as queue
from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.contracts.queued import Queued
from pywhatsweb_fleet.dispatcher import handlers
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, Bus
from pywhatsweb_runtime.publisher import PubAck, Publisher

_COUNT_FOR_S = 1.0
_TOMBSTONE_TTL_S = 3600
"""Longer than a cancel can wait to be delivered again while the tenant is served at all."""
_CANCELLED = "Pww-Cancelled"
_SCHEDULER = "Nats-Scheduler"
"""The server's header of a fired message: the subject of its schedule."""


class Cancelled(NamedTuple):
    """What was taken back, as the dispatcher had written it."""

    queued: Queued


class Schedules:
    """Of one tenant."""

    def __init__(self, bus: Bus, publisher: Publisher) -> None:
        self._bus = bus
        self._publisher = publisher
        self._count = 0
        self._counted_at = float("-inf")

    async def is_full(self, tenant: Tenant) -> bool:
        """Whether as many commands wait for their time as may. Counted once a second, and on from there."""
        now = time.monotonic()
        if now - self._counted_at > _COUNT_FOR_S:
            info = await self._bus.api(f"STREAM.INFO.{streams.schedules_name(tenant.id)}")
            self._count, self._counted_at = int(info["state"].get("num_subjects", 0)), now
        return self._count >= tenant.record.limits.scheduled_messages

    async def submit(self, tenant: Tenant, job: Job) -> asyncio.Future[PubAck]:
        """Raises WRONG_LAST_SEQUENCE in the future when it is scheduled (or cancelled) already."""
        self._count += 1
        headers = {
            **queue.to_headers(handlers.queued(job, time.time_ns() // 1_000_000)),
            "Nats-Schedule": f"@at {_whole_second(job.send_at_ms)}",
            "Nats-Schedule-Target": subjects.due(tenant.id, job.session, job.verb),
            "Nats-Expected-Last-Subject-Sequence": "0",
        }
        return await self._publisher.submit(
            subjects.schedule(tenant.id, job.session, job.digest), job.body, headers
        )

    async def cancel(self, tenant: Tenant, session: SessionId, digest: str) -> Cancelled | None:
        """Takes a scheduled command back; None when there is none (any more). Doing it again finds the same."""
        stream, subject = streams.schedules_name(tenant.id), subjects.schedule(tenant.id, session, digest)
        while True:
            present = await self._bus.last(stream, subject)
            if present is None:
                return None
            found = read_headers(present.headers, digest)
            if _CANCELLED in present.headers:
                return Cancelled(found)
            headers = {
                **queue.to_headers(found),
                "Nats-Msg-Id": f"cancel-{digest}-{present.sequence}",
                "Nats-Rollup": "sub",
                "Nats-TTL": f"{_TOMBSTONE_TTL_S}s",
                _CANCELLED: "1",
            }
            try:
                await self._bus.compare_and_set(subject, b"", present.sequence, headers)
            except ApiError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise  # else it has just fired, or another cancel was first: look again
            else:
                return Cancelled(found)


def read_headers(headers: Mapping[str, str], digest: str) -> Queued:
    """Raises KeyError or ValueError when they are not a dispatcher's."""
    return queue.from_headers({**headers, "Nats-Msg-Id": digest})


def read_due(headers: Mapping[str, str]) -> Queued | None:
    """What a fired message says; None when it is not a dispatcher's.

    The server keeps our headers except the dedupe id, which stands in the schedule's subject too.
    """
    try:
        return read_headers(headers, headers[_SCHEDULER].rpartition(".")[2])
    except (KeyError, ValueError):
        return None


def _whole_second(ms: int) -> str:
    """Never early: rounded up, since schedules have whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(-(-ms // 1000)))
