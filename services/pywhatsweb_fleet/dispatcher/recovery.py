"""Whether a command that comes back long after its first delivery was queued then.

Within JetStream's dedupe window nobody needs to know: it is queued again and the stream drops it. Beyond the window
(the dispatcher died between queue and acknowledgement, and was away for minutes) the streams themselves tell: a
command leaves its queue only after an event of what became of it is stored.
"""

from __future__ import annotations

import time

import msgspec

from pywhatsweb.contracts import codec, streams, subjects
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.direct import Reader, reading

SURE_FOR_MS = streams.DEDUPE_WINDOW_S * 1000 // 2
"""A command that reached the broker so recently is still in the dedupe window of its queue."""
_PAGE = 256


class _Told(msgspec.Struct):
    command_id: str | None = None
    status: str = ""


class _Event(msgspec.Struct):
    data: _Told


async def was_queued(bus: Bus, tenant: Tenant, job: Job) -> bool:
    """Whether the command is in its queue, or has been taken out of it.

    False within the window, where that is all one: unless it cannot be queued again.
    """
    if job.unrendered is None and time.time_ns() // 1_000_000 - job.raw.stored_ms < SURE_FOR_MS:
        return False
    schedule = subjects.schedule(tenant.id, job.session, job.digest)
    if job.unrendered is not None and await bus.last(streams.schedules_name(tenant.id), schedule) is not None:
        return True
    async with reading(bus) as reader:
        return await _waits(reader, tenant, job) or await _was_told_of(reader, tenant, job)


async def _waits(reader: Reader, tenant: Tenant, job: Job) -> bool:
    stream, subject = streams.outbox_name(tenant.id), subjects.out(tenant.id, job.session)
    sequence = 1
    while page := await reader.batch(stream, subject, sequence, limit=_PAGE):
        if any(stored.headers.get("Nats-Msg-Id") == job.digest for stored in page):
            return True
        sequence = page[-1].sequence + 1
    return False


async def _was_told_of(reader: Reader, tenant: Tenant, job: Job) -> bool:
    """Whether an event says more of it than that it was accepted."""
    stream = streams.events_name(tenant.id)
    subject = subjects.event(tenant.id, job.session, "status", job.chat_key)
    sequence = 1
    while page := await reader.batch(stream, subject, sequence, limit=_PAGE):
        for stored in page:
            try:
                event: _Event = codec.decode(stored.data, _Event)
            except (msgspec.MsgspecError, ValueError):
                continue
            if event.data.command_id == job.command_id and event.data.status != MessageStatus.ACCEPTED:
                return True
        sequence = page[-1].sequence + 1
    return False
