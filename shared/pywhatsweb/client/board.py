"""The Kanban board: ``chat.*``, ``attendant.*`` and ``policy.*``."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TypedDict, Unpack

from pywhatsweb.client.control import Part
from pywhatsweb.client.marking import ChatMarks
from pywhatsweb.client.past import ChatPast
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import kanban_data as k
from pywhatsweb.contracts.statuses import KanbanStatus


class ChatOptions(TypedDict, total=False):
    """Which chat."""

    chat: str | None
    """The chat's key, instead of `to`."""
    session_id: str | None
    """Where several sessions know the chat."""


class PageOptions(ChatOptions, total=False):
    limit: int
    """50 unless said, at most 500."""
    cursor: str | None
    """Of the page before."""


class CardOptions(ChatOptions, total=False):
    """What holds for every move of a card."""

    id: str | None
    """The same one moves a card once, however often it is asked."""
    version: int | None
    """Refuse with E_CONFLICT if the card is at another one."""


class MoveOptions(CardOptions, total=False):
    by: str | None
    """Who does it, for the history."""


class Chats(ChatMarks, ChatPast):
    """``chat.*``: on the board a chat is named by exactly one of `to` and `chat` (its key)."""

    async def list(
        self,
        *,
        status: KanbanStatus | str | None = None,
        owner_id: str | None = None,
        session_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> d.Chats:
        """The latest first, a page at a time."""
        wanted = None if status is None else KanbanStatus(status)
        args = d.ChatList(status=wanted, owner_id=owner_id, session_id=session_id, limit=limit, cursor=cursor)
        return await self._ask("chat.list", args, d.Chats)

    async def messages(self, to: str | None = None, **options: Unpack[PageOptions]) -> d.Messages:
        """Newest first, a page at a time."""
        return await self._ask("chat.messages", d.ChatMessages(to=to, **options), d.Messages)

    async def card(self, to: str | None = None, **options: Unpack[ChatOptions]) -> k.CardInfo:
        """Its owner, priority, tags, notes and deadlines."""
        return await self._ask("chat.card", d.ChatRef(to=to, **options), k.CardInfo)

    async def history(self, to: str | None = None, **options: Unpack[PageOptions]) -> k.CardChanges:
        """What happened to the card, newest first, a page at a time."""
        return await self._ask("chat.history", k.ChatHistory(to=to, **options), k.CardChanges)

    # Moves. RequestError: E_CHAT_NOT_FOUND, E_INVALID_TRANSITION, E_CONFLICT.

    async def assign(
        self, to: str | None = None, *, owner_id: str, **options: Unpack[MoveOptions]
    ) -> k.CardInfo:
        """Gives it to an attendant: it becomes active."""
        return await self._move("chat.assign", d.ChatAssign(to=to, owner_id=owner_id, **options))

    async def take(self, to: str | None = None, *, by: str, **options: Unpack[CardOptions]) -> k.CardInfo:
        """`by` takes a chat that nobody has."""
        return await self._move("chat.take", k.ChatTake(to=to, by=by, **options))

    async def release(
        self, to: str | None = None, *, reason: str | None = None, **options: Unpack[MoveOptions]
    ) -> k.CardInfo:
        """Back to the queue."""
        return await self._move("chat.release", k.ChatRelease(to=to, reason=reason, **options))

    async def done(
        self, to: str | None = None, *, reason: str | None = None, **options: Unpack[MoveOptions]
    ) -> k.CardInfo:
        """Closes it."""
        return await self._move("chat.done", d.ChatMove(to=to, reason=reason, **options))

    async def reopen(
        self, to: str | None = None, *, reason: str | None = None, **options: Unpack[MoveOptions]
    ) -> k.CardInfo:
        """Puts a closed one back to new."""
        return await self._move("chat.reopen", d.ChatMove(to=to, reason=reason, **options))

    async def tag(
        self,
        to: str | None = None,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        priority: k.Priority | None = None,
        **options: Unpack[MoveOptions],
    ) -> k.CardInfo:
        """Adds and removes tags, or sets the priority."""
        args = k.ChatTag(to=to, add=[*add], remove=[*remove], priority=priority, **options)
        return await self._move("chat.tag", args)

    async def note(self, to: str | None = None, *, text: str, **options: Unpack[MoveOptions]) -> k.CardInfo:
        """Writes a note on the card."""
        return await self._move("chat.note", k.ChatNote(to=to, text=text, **options))

    async def snooze(
        self, to: str | None = None, *, until: str | None = None, **options: Unpack[MoveOptions]
    ) -> k.CardInfo:
        """Out of sight until a time (ISO-8601 with a zone), or until the customer writes."""
        return await self._move("chat.snooze", k.ChatSnooze(to=to, until=until, **options))

    async def _move(self, verb: str, args: d.ChatRef) -> k.CardInfo:
        return await self._ask(verb, args, k.CardInfo)


class Attendants(Part):
    """``attendant.*``: who answers."""

    async def set(
        self,
        attendant_id: str,
        *,
        name: str | None = None,
        available: bool = True,
        skills: Sequence[str] = (),
        capacity: int | None = None,
        by: str | None = None,
    ) -> k.AttendantInfo:
        """Makes one known, or changes one. Who is not `available` gives all open chats back to the queue."""
        args = k.AttendantSet(
            attendant_id=attendant_id,
            name=name,
            available=available,
            skills=[*skills],
            capacity=capacity,
            by=by,
        )
        return await self._ask("attendant.set", args, k.AttendantInfo)

    async def list(self) -> builtins.list[k.AttendantInfo]:
        """Each with the number of open chats."""
        return (await self._ask("attendant.list", d.Nothing(), k.Attendants)).attendants


class BoardPolicy(Part):
    """``policy.*``: how the tenant's board behaves, its rules included (docs/BOARD.md)."""

    async def get(self) -> k.PolicyInfo:
        return await self._ask("policy.get", d.Nothing(), k.PolicyInfo)

    async def set(self, policy: k.Policy, *, by: str | None = None) -> k.PolicyInfo:
        """The whole policy, from the next decision on; what it leaves out is at its default."""
        return await self._ask("policy.set", k.PolicySet(policy=policy, by=by), k.PolicyInfo)
