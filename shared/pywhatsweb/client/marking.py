"""How a session's account sees its chats and messages: archived, muted, pinned, unread, starred. Nobody else hears."""

from __future__ import annotations

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts import marking_data as md
from pywhatsweb.contracts.control_data import Args


class ChatMarks(Part):
    """Of a session that is WORKING; `to` is a person or a group. Events `chat_setting` and `mark` tell each change."""

    async def archive(self, session_id: str, to: str, *, archived: bool = True) -> None:
        await self._mark("chat.archive", md.ChatArchive(session_id=session_id, to=to, archived=archived))

    async def mute(self, session_id: str, to: str, *, until: str | None = None, muted: bool = True) -> None:
        """`until`: ISO-8601 with its zone; for good when absent."""
        await self._mark("chat.mute", md.ChatMute(session_id=session_id, to=to, until=until, muted=muted))

    async def pin(self, session_id: str, to: str, *, pinned: bool = True) -> None:
        """At the top of the account's list of chats."""
        await self._mark("chat.pin", md.ChatPin(session_id=session_id, to=to, pinned=pinned))

    async def mark_unread(self, session_id: str, to: str, *, unread: bool = True) -> None:
        """The contact hears nothing of it; read receipts are `mark_read`'s."""
        await self._mark("chat.mark", md.ChatUnread(session_id=session_id, to=to, unread=unread))

    async def star(
        self,
        session_id: str,
        to: str,
        message_id: str,
        *,
        starred: bool = True,
        from_self: bool | None = None,
        author: str | None = None,
    ) -> None:
        """RequestError(E_MESSAGE_NOT_FOUND) for one that the record has not, unless `from_self` says whose it is."""
        args = md.MessageStar(
            session_id=session_id, to=to, message_id=message_id, starred=starred, from_self=from_self, author=author
        )  # fmt: skip
        await self._mark("message.star", args)

    async def _mark(self, verb: str, args: Args) -> None:
        await self._ask(verb, args, lv.Acted)
