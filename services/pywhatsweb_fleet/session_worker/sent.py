"""What became of the messages that a session sent lately: which command each was, and how far it has come.

Receipts name WhatsApp's message id; statuses name the command. The book is bounded; what fell out of it, or was sent
by an earlier owner, is looked up in the durable record.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pywhatsweb.contracts.events import MessageStatus, may_follow

_MOST = 2000


class Sent(msgspec.Struct):
    """One message. ``last`` None: its command was accepted, nothing was told of the message yet."""

    command_id: str | None
    correlation_id: str | None = None
    last: MessageStatus | None = None
    traceparent: str = ""
    inbox: str | None = None
    _doubtful: frozenset[MessageStatus] = frozenset()
    _telling: asyncio.Future[Any] | None = None
    _tell: Callable[[], Awaitable[Any]] | None = None

    def advance(self, status: MessageStatus) -> bool:
        """Takes the step if it goes forward, or may not have been told; whether it is to be told."""
        if status in self._doubtful:
            self._doubtful -= {status}
            return True
        if not may_follow(self.last, status):
            return False
        self.last = status
        return True

    def owes(self, tell: Callable[[], Awaitable[Any]]) -> None:
        """Its `sent` is to be told, as ``tell`` does."""
        self._telling, self._tell = None, tell

    def tells(self, stored: asyncio.Future[Any], tell: Callable[[], Awaitable[Any]]) -> None:
        """Its `sent` is on the way to the stream; ``tell`` does so again."""
        self._telling, self._tell = stored, tell
        stored.add_done_callback(self._told)

    def _told(self, stored: asyncio.Future[Any]) -> None:
        if stored is self._telling and not _refused(stored):
            self._telling = self._tell = None

    async def told(self) -> None:
        """Waits until its `sent` is stored, which may have to be told anew: what follows it must not overtake it."""
        if self._tell is not None and (self._telling is None or _refused(self._telling)):
            await self._tell()
        if self._telling is not None:
            await asyncio.shield(self._telling)

    def doubt(self, status: MessageStatus) -> None:
        """Nobody knows whether it was told: it counts as taken, and is told when it comes again."""
        self._doubtful |= {status}

    def take_back(self, status: MessageStatus, before: MessageStatus | None) -> None:
        """The step was not told, and nothing came after it."""
        if self.last is status:
            self.last = before


def _refused(stored: asyncio.Future[Any]) -> bool:
    return stored.done() and (stored.cancelled() or stored.exception() is not None)


class SentBook:
    """By WhatsApp's message id, the newest last."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Sent] = OrderedDict()

    def get(self, message_id: str) -> Sent | None:
        return self._entries.get(message_id)

    def put(self, message_id: str, sent: Sent) -> Sent:
        self._entries[message_id] = sent
        self._entries.move_to_end(message_id)
        if len(self._entries) > _MOST:
            self._entries.popitem(last=False)
        return sent
