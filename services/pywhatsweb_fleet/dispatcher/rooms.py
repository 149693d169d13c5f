"""Whether a session's queue surely has room: then `accepted` can be told before the worker can tell `sent`.

A queue's depth is bounded from above: what it was when last asked, and everything put in since. Only one replica puts
into a tenant's queues (the pin), so the bound holds; workers only take out.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_runtime.bus import Bus

_MARGIN: Final = 16
"""What another replica may have put in around a change of the pin."""
_MOST_SESSIONS: Final = 20_000


class Rooms:
    """Of one tenant's sessions."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bounds: dict[SessionId, int] = {}

    async def look(self, tenant: Tenant, jobs: Counter[SessionId]) -> None:
        """Before a batch, when nothing earlier is on its way: asks for those that may run out of room.

        Raises BrokerUnavailable or ApiError.
        """
        if len(self._bounds) + len(jobs) > _MOST_SESSIONS:
            self._bounds.clear()
        for session, count in jobs.items():
            bound = self._bounds.get(session)
            if bound is None or bound + count > self._room(tenant):
                self._bounds[session] = await self._depth(tenant, session)

    def take(self, tenant: Tenant, session: SessionId) -> bool:
        """Counts one command more of a session that was looked at; whether it is sure to be taken in."""
        self._bounds[session] += 1
        return self._bounds[session] <= self._room(tenant)

    def _room(self, tenant: Tenant) -> int:
        return tenant.record.limits.queue_messages - _MARGIN

    async def _depth(self, tenant: Tenant, session: SessionId) -> int:
        subject = subjects.out(tenant.id, session)
        answer = await self._bus.api(
            f"STREAM.INFO.{streams.outbox_name(tenant.id)}", {"subjects_filter": subject}
        )
        return int((answer["state"].get("subjects") or {}).get(subject, 0))
