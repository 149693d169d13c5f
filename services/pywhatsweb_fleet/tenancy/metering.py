"""``usage.get``: what a tenant used, day by day, what it uses now, and what it may use; for quotas and for bills."""

from __future__ import annotations

import time
from typing import Final

from pywhatsweb.contracts import streams, usage_data
from pywhatsweb_fleet.storage import usage
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Asked
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.kv import Bucket

_NONE: Final = 0


class Metering:
    """Answers; keeps nothing."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self._bus = bus
        self._store = store
        self._sessions = Bucket(bus, streams.SESSIONS_BUCKET)

    async def get(self, asked: Asked) -> usage_data.Usage:
        args: usage_data.UsageGet = asked.args
        today = usage.day_of(time.time_ns() // 1_000_000)
        last = usage_data.day_number(args.until) if args.until is not None else today
        first = usage_data.day_number(args.since) if args.since is not None else last
        found = await self._store.read(usage.totals, asked.tenant, first, last)
        record = asked.record
        outbox = await self._state(streams.outbox_name(asked.tenant))
        stored = await self._state(streams.events_name(asked.tenant))
        return usage_data.Usage(
            days=[
                usage_data.Day(day=usage_data.day_text(day), counts=_complete(counts))
                for day, counts in sorted(found.items())
            ],
            now={
                "sessions": len(await self._sessions.all(f"{asked.tenant}.*")),
                "queued": outbox.get("messages", _NONE),
                "stored_events": stored.get("messages", _NONE),
                "stored_event_bytes": stored.get("bytes", _NONE),
                "media_bytes": await self._store.read(usage.media_bytes, asked.tenant),
            },
            limits={
                "sessions": record.sessions,
                "commands_per_second": record.commands_per_second,
                "session_commands_per_second": record.session_commands_per_second,
                "commands_per_day": record.commands_per_day,
                "session_commands_per_day": record.session_commands_per_day,
                "new_contacts_per_day": record.new_contacts_per_day,
                "session_new_contacts_per_day": record.session_new_contacts_per_day,
                "queue_messages": record.limits.queue_messages,
                "stored_event_bytes": record.limits.events_bytes,
                "media_bytes": record.media_bytes,
            },
        )

    async def _state(self, stream: str) -> dict[str, int]:
        state: dict[str, int] = (await self._bus.api(f"STREAM.INFO.{stream}"))["state"]
        return state


def _complete(counts: dict[str, int]) -> dict[str, int]:
    return {what: counts.get(what, 0) for what in usage.COUNTED}
