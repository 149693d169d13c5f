"""What the account's phone still has of a chat: older messages, asked for a page at a time."""

from __future__ import annotations

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import history_data as hd


class ChatPast(Part):
    """Of a session that is WORKING; what the phone tells comes as `message` events marked `history`."""

    async def fetch_older(
        self,
        session_id: str,
        to: str,
        *,
        count: int = hd.MAX_COUNT,
        before: hd.MessagePoint | None = None,
        wait_s: float = hd.MAX_WAIT_S,
    ) -> hd.HistoryFetched:
        """Asks for `count` messages older than `before` (an earlier answer's `oldest`), or than what the record has.

        RequestError: E_PHONE_SILENT after `wait_s` (a late answer still comes as events), E_MESSAGE_NOT_FOUND when
        nothing of the chat is known to begin at.
        """
        args = hd.HistoryFetch(session_id=session_id, to=to, count=count, before=before, wait_s=wait_s)
        return await self._ask("history.fetch", args, hd.HistoryFetched)
