"""``channel.*``: find, make, follow, mute and leave WhatsApp's channels.

What is posted in those that a session follows comes as `post` events. In one that its account owns, `SessionClient`'s
`send_text`, `send_image`, `send_poll` … with ``to`` its id post, `edit` puts another text in a post's place, and
`delete_message` takes one back.
"""

from __future__ import annotations

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import channel_data as ch
from pywhatsweb.contracts import live_data as lv


class Channels(Part):
    """Of a session that works. `channel` is its id, its link, or the link's code."""

    async def get(self, session_id: str, channel: str) -> ch.Channel:
        """RequestError(E_CHANNEL_NOT_FOUND) when there is none."""
        return await self._ask(
            "channel.get", ch.ChannelRef(session_id=session_id, channel=channel), ch.Channel
        )

    async def create(self, session_id: str, name: str, description: str = "") -> ch.Channel:
        """The session's account owns it."""
        args = ch.ChannelCreate(session_id=session_id, name=name, description=description)
        return await self._ask("channel.create", args, ch.Channel)

    async def follow(self, session_id: str, channel: str) -> None:
        """Its posts come as `post` events from now on."""
        await self._ask("channel.follow", ch.ChannelRef(session_id=session_id, channel=channel), lv.Acted)

    async def unfollow(self, session_id: str, channel: str) -> None:
        await self._ask("channel.unfollow", ch.ChannelRef(session_id=session_id, channel=channel), lv.Acted)

    async def mute(self, session_id: str, channel: str, *, muted: bool = True) -> None:
        """The account's phones ring no more for it; posts come all the same."""
        args = ch.ChannelMute(session_id=session_id, channel=channel, muted=muted)
        await self._ask("channel.mute", args, lv.Acted)

    async def delete(self, session_id: str, channel: str) -> None:
        """For everybody. RequestError(E_NOT_CHANNEL_ADMIN) when the account does not own it."""
        await self._ask("channel.delete", ch.ChannelRef(session_id=session_id, channel=channel), lv.Acted)
