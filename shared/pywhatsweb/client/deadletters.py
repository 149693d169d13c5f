"""``deadletter.*``: commands and events that were set aside, typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import deadletter_data as dl

Kind = Literal["command", "event"]


class DeadLetters(Part):
    """``deadletter.*``"""

    async def list(
        self,
        *,
        session_id: str | None = None,
        kind: Kind | None = None,
        code: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> dl.DeadLetters:
        """Oldest first; a page may be short and have a cursor still. `each` goes through all pages."""
        args = dl.DeadLetterList(session_id=session_id, kind=kind, code=code, limit=limit, cursor=cursor)
        return await self._ask("deadletter.list", args, dl.DeadLetters)

    async def each(
        self, *, session_id: str | None = None, kind: Kind | None = None, code: str | None = None
    ) -> AsyncIterator[dl.DeadLetterInfo]:
        """Those that were there when it began, oldest first."""
        cursor: str | None = None
        while True:
            page = await self.list(session_id=session_id, kind=kind, code=code, limit=200, cursor=cursor)
            for letter in page.deadletters:
                yield letter
            if (cursor := page.cursor) is None:
                return

    async def show(self, deadletter_id: str) -> dl.DeadLetterDetail:
        """One, with what it holds. RequestError(E_DEADLETTER_NOT_FOUND)."""
        return await self._ask("deadletter.show", dl.DeadLetterRef(id=deadletter_id), dl.DeadLetterDetail)

    async def redrive(
        self,
        deadletter_id: str | None = None,
        *,
        all: bool = False,  # noqa: A002 - the contract's name
        session_id: str | None = None,
        kind: Kind | None = None,
        code: str | None = None,
        by: str | None = None,
    ) -> int:
        """Puts one back, or all that the filters leave; how many. Twice is once.

        RequestError(E_QUEUE_FULL) when the tenant's commands stream is full: what is left can be put back later.
        """
        count, cursor = 0, None
        while True:
            args = dl.DeadLetterRedrive(
                id=deadletter_id, all=all, session_id=session_id, kind=kind, code=code, by=by, cursor=cursor
            )
            done = await self._ask("deadletter.redrive", args, dl.Redriven)
            count, cursor = count + done.count, done.cursor
            if cursor is None:
                return count

    async def drop(
        self,
        deadletter_id: str | None = None,
        *,
        all: bool = False,  # noqa: A002 - the contract's name
        session_id: str | None = None,
        kind: Kind | None = None,
        code: str | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Removes one for good, or all that the filters leave; how many. The audit trail keeps it."""
        count, cursor = 0, None
        while True:
            args = dl.DeadLetterDrop(
                id=deadletter_id,
                all=all,
                session_id=session_id,
                kind=kind,
                code=code,
                by=by,
                reason=reason,
                cursor=cursor,
            )
            done = await self._ask("deadletter.drop", args, dl.Dropped)
            count, cursor = count + done.count, done.cursor
            if cursor is None:
                return count
