"""Repeats of what WhatsApp tells again after JetStream has forgotten that it had it.

JetStream drops an event whose id it saw within its dedupe window. A stanza that was stored but not acknowledged before
everything died is told again whenever the session is back, perhaps days later. Nothing is stored before it was sent,
so for an event younger than the window the window suffices, and that is every event of a live session: no cost. For
an older one the chat's events since it was sent are read from the stream, which is few, and its id is looked for.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import UTC, datetime

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import ChatKey
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.fenced import FencedEvents

_FRESH_S = streams.DEDUPE_WINDOW_S * 3 / 4
"""Younger than this by WhatsApp's clock: surely within the window. The rest is for clocks that differ."""
_EARLIER_S = 60
_PAGE = 1000
_KEEP_S = 30.0
_MOST_CHATS = 64


class _Read:
    __slots__ = ("at", "ids", "since")

    def __init__(self, since: float, ids: set[str]) -> None:
        self.since = since
        self.ids = ids
        self.at = time.monotonic()


class Repeats:
    """Of one session. A backlog of one chat is read once."""

    def __init__(self, deps: Deps, events: FencedEvents) -> None:
        self._deps = deps
        self._events = events
        self._read: OrderedDict[str, _Read] = OrderedDict()

    async def has(self, kind: str, chat: str | None, event_id: str, sent_at_ms: int) -> bool:
        """Whether the stream has this event already. Raises BrokerUnavailable or ApiError."""
        since = sent_at_ms / 1000
        if not since or time.time() - since < _FRESH_S:
            return False
        return await self.holds(kind, chat, event_id, since)

    async def holds(self, kind: str, chat: str | None, event_id: str, since: float) -> bool:
        """The same, however young it is. ``since``: it was not stored before, in seconds since 1970."""
        subject = subjects.event(
            self._events.tenant, self._events.session, kind, ChatKey(chat) if chat else subjects.NO_CHAT
        )
        read = self._read.get(subject)
        if read is None or read.since > since or time.monotonic() - read.at > _KEEP_S:
            read = _Read(since, await self._ids(subject, since - _EARLIER_S))
            self._read[subject] = read
            if len(self._read) > _MOST_CHATS:
                self._read.popitem(last=False)
        return event_id in read.ids

    async def _ids(self, subject: str, since: float) -> set[str]:
        stream = streams.events_name(self._events.tenant)
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body: dict[str, object] = {"batch": _PAGE, "next_by_subj": subject, "start_time": start}
        ids: set[str] = set()
        while True:
            found = await self._deps.reader.ask(stream, body)
            ids.update(stored.headers.get("Nats-Msg-Id", "") for stored in found)
            if len(found) < _PAGE:
                return ids
            body = {"batch": _PAGE, "next_by_subj": subject, "seq": found[-1].sequence + 1}
