"""The cold-contact hold: what a session does after WhatsApp limited its reaching out (463).

WhatsApp answers 463 when an account writes to too many people who never wrote to it, and insisting gets the account
banned. So for a while the session's sends to chats in which nothing was ever said end at once with the same code,
without WhatsApp being asked; all other chats go on. The end of the hold stands in the session's `NowRecord`, where the
dispatcher sees it and where the next owner finds it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import ChatKey
from pywhatsweb.contracts.queued import Queued
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.outcomes import error_of
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable

log = structlog.get_logger(__name__)

_REMEMBERED = 2000


class ColdHold:
    """Of one session. ``until`` in milliseconds since 1970; 0: no hold."""

    def __init__(self, deps: Deps, events: FencedEvents) -> None:
        self.until = 0
        self.changed: Callable[[], Awaitable[object]] | None = None
        """Called when a hold begins, to tell the session's state."""
        self._deps = deps
        self._events = events
        self._known: OrderedDict[str, None] = OrderedDict()

    @property
    def active(self) -> bool:
        return self.until > time.time() * 1000

    def talked(self, chat: str) -> None:
        """A message of this chat came in, or was taken by WhatsApp."""
        self._known[chat] = None
        self._known.move_to_end(chat)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def begin(self) -> None:
        """WhatsApp said 463. A hold that lasts already is not made longer by what it holds itself."""
        if self.active or self._deps.settings.cold_hold_s <= 0:
            return
        self.until = int((time.time() + self._deps.settings.cold_hold_s) * 1000)
        log.warning("reach-out limited: cold contacts are held", session=self._events.session)
        alert = d.Alert(
            kind="reachout_limited",
            error=error_of("E_WHATSAPP_REACHOUT_LIMITED"),
            details={"held_until": self.until},
        )
        await self._events.submit("alert", alert)
        if self.changed is not None:
            await self.changed()

    async def holds(self, queued: Queued) -> bool:
        """Whether this send must not be tried now. A broker that does not answer decides for holding."""
        if not self.active or queued.recipient.startswith("group:") or queued.chat in self._known:
            return False
        subject = subjects.event(self._events.tenant, self._events.session, "message", ChatKey(queued.chat))
        try:
            said = await self._deps.bus.last(streams.events_name(self._events.tenant), subject)
        except (ApiError, BrokerUnavailable):
            return True
        if said is not None:
            self.talked(queued.chat)
        return said is None
