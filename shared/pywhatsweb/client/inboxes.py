"""``inbox.*``: several sessions under one name, which commands are sent to with ``fleet.session("@support")``."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import inbox_data as ib


class Inboxes(Part):
    """A tenant's inboxes; their names begin with ``@``. RequestError(E_INBOX_NOT_FOUND) for one that is not there."""

    async def set(
        self,
        inbox_id: str,
        sessions: Sequence[str],
        *,
        spread: ib.Spread = "least_contacts",
        failover: ib.Failover = "banned",
        cooldown_s: int = 600,
        by: str | None = None,
    ) -> ib.InboxInfo:
        """Makes it, or replaces its settings; people stay with the sessions that they have.

        `failover`: when they go on with another: never, once theirs is ``banned``, or also once it is ``stopped``, or
        not there, for `cooldown_s` seconds. RequestError(E_SESSION_NOT_FOUND) for a session that there is not.
        """
        args = ib.InboxSet(
            inbox_id=inbox_id,
            sessions=[*sessions],
            spread=spread,
            failover=failover,
            cooldown_s=cooldown_s,
            by=by,
        )
        return await self._ask("inbox.set", args, ib.InboxInfo)

    async def get(self, inbox_id: str) -> ib.InboxInfo:
        """With how many people each session has."""
        return await self._ask("inbox.get", ib.InboxRef(inbox_id=inbox_id), ib.InboxInfo)

    async def list(self) -> builtins.list[ib.InboxInfo]:
        return (await self._ask("inbox.list", d.Nothing(), ib.Inboxes)).inboxes

    async def delete(self, inbox_id: str, *, by: str | None = None) -> ib.InboxDeleted:
        """Forgets too who belongs to which session."""
        return await self._ask("inbox.delete", ib.InboxDelete(inbox_id=inbox_id, by=by), ib.InboxDeleted)
