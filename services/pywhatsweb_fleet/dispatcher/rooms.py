"""Whether a session's queue surely has room: then `accepted` can be told before the worker can tell `sent`.

A queue's depth is bounded from above: what it was when last asked, and everything put in since. Only one replica puts
into a tenant's queues (the pin), so the bound holds; workers only take out.
"""

from __future__ import annotations

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

    async def take(self, tenant: Tenant, session: SessionId) -> bool:
        """Counts one command more; whether it is sure to be taken in. Raises BrokerUnavailable or ApiError."""
        room = tenant.record.limits.queue_messages - _MARGIN
        bound = self._bounds.get(session)
        if bound is None or bound >= room:
            bound = await self._depth(tenant, session)
        if session not in self._bounds and len(self._bounds) >= _MOST_SESSIONS:
            self._bounds.clear()
        self._bounds[session] = bound + 1
        return bound < room

    async def _depth(self, tenant: Tenant, session: SessionId) -> int:
        subject = subjects.out(tenant.id, session)
        answer = await self._bus.api(
            f"STREAM.INFO.{streams.outbox_name(tenant.id)}", {"subjects_filter": subject}
        )
        return int((answer["state"].get("subjects") or {}).get(subject, 0))
