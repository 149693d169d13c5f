"""``chat.archive``, ``chat.mute``, ``chat.pin``, ``chat.mark``, ``message.star``: how an account sees its chats and
messages. Its devices share it, and nobody else is told; the board knows nothing of it.

What a device changes comes as events: `chat_setting` of a chat, `mark` of a message. As WhatsApp's own apps do, a chat
is archived and read up to its newest message, which the fleet takes from its record.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pywhatsweb.contracts.content import MessageRef
from pywhatsweb.contracts.control_data import SessionRef, Who
from pywhatsweb.contracts.event_data import Timestamp


class ChatMark(SessionRef, frozen=True, kw_only=True):
    """`to`: a person (E.164, national, ``lid:…``) or a group's id."""

    to: Annotated[Who, Meta(description="A person or a group")]


class ChatArchive(ChatMark, frozen=True, kw_only=True):
    archived: bool = True


class ChatMute(ChatMark, frozen=True, kw_only=True):
    """Without `until` it is muted for good."""

    muted: bool = True
    until: Timestamp | None = None


class ChatPin(ChatMark, frozen=True, kw_only=True):
    """At the top of the account's list of chats; WhatsApp allows few."""

    pinned: bool = True


class ChatUnread(ChatMark, frozen=True, kw_only=True):
    """Its dot in the list. Read (`unread` false) tells the contact nothing: the command ``read`` does."""

    unread: bool = True


class MessageStar(ChatMark, frozen=True, kw_only=True):
    """Whose the message is, the record says; `from_self`, and in a group `author`, name it where it has it not."""

    message_id: MessageRef
    starred: bool = True
    from_self: bool | None = None
    author: Who | None = None
