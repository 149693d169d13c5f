"""Arguments and results of ``channel.*``: WhatsApp's channels (newsletters), as a session's account sees them.

What is posted in those it follows comes as `post` events; a command with ``to`` its id posts in one that it owns.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pywhatsweb.contracts.control_data import Result, SessionRef
from pywhatsweb.contracts.event_data import Timestamp

ChannelName = Annotated[str, Meta(min_length=1, max_length=100)]
ChannelAbout = Annotated[str, Meta(max_length=2048)]
ChannelWhich = Annotated[
    str, Meta(min_length=1, max_length=128, description="its id (…@newsletter), its link, or the link's code")
]


class ChannelRef(SessionRef, frozen=True, kw_only=True):
    channel: ChannelWhich


class ChannelCreate(SessionRef, frozen=True, kw_only=True):
    """The session's account owns it."""

    name: ChannelName
    description: ChannelAbout = ""


class ChannelMute(ChannelRef, frozen=True, kw_only=True):
    """False: not muted any more. Only for one that the account follows."""

    muted: bool = True


class Channel(Result, frozen=True, kw_only=True):
    """A channel as WhatsApp tells it now.

    `role`: owner, admin, subscriber (it follows) or guest, of the session's account; `link` shows it to anybody.
    """

    channel: str
    name: str | None = None
    description: str | None = None
    link: str | None = None
    subscribers: int = 0
    verified: bool = False
    created_at: Timestamp | None = None
    role: str | None = None
    muted: bool = False
