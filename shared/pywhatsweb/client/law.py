"""What the law asks for, in the control plane: a person's data out or erased, how long things are kept, the trail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pywhatsweb.client.control import Asker
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.errors import DeadlineError, ErrorCode, RequestError

_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 2.0


async def _looks(timeout: float) -> AsyncIterator[None]:
    """A turn now, and then every while until the time is over."""
    until = asyncio.get_running_loop().time() + timeout
    pause = _FIRST_PAUSE_S
    while True:
        yield
        if asyncio.get_running_loop().time() > until:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LAST_PAUSE_S)


class PersonalData:
    """``data.*``, for the LGPD's and the GDPR's rights of access and erasure.

    Both are works of a while: `export` and `erase` begin one and wait for it; asked again they find the one under way.
    """

    def __init__(self, asker: Asker) -> None:
        self._ask = asker.ask

    async def export(
        self, phone_number: str | None = None, *, actor: str | None = None, timeout: float = 600.0
    ) -> ld.Export:
        """A person's data, or all of the tenant's without `phone_number`, ready for `download`.

        Raises DeadlineError after `timeout` seconds (the export goes on: `export_status`), RequestError if it failed.
        """
        args = ld.DataExport(phone_number=phone_number, actor=actor)
        found = await self._ask("data.export", args, ld.Export, 60.0)
        async for _ in _looks(timeout):
            if found.state == "failed":
                raise RequestError(ErrorCode.from_wire(found.error or ""), {"id": found.id})
            if found.state == "done":
                return found
            found = await self.export_status(found.id)
        raise DeadlineError(ErrorCode.E_TIMEOUT, {"id": found.id})

    async def export_status(self, export_id: str) -> ld.Export:
        """RequestError(E_EXPORT_NOT_FOUND) when it is past its time, or never was."""
        return await self._ask("data.export_status", ld.ExportRef(id=export_id), ld.Export)

    async def download(self, export_id: str) -> AsyncIterator[bytes]:
        """The ZIP of an export, part by part: ``async for part in fleet.data.download(id)``."""
        offset = 0
        while True:
            args = ld.DataDownload(id=export_id, offset=offset)
            part = await self._ask("data.download", args, ld.ExportPart, 60.0)
            yield part.data
            offset += len(part.data)
            if not part.data or offset >= part.size:
                return

    async def erase(
        self, phone_number: str, *, reason: str, actor: str, timeout: float = 600.0
    ) -> ld.ErasureReceipt:
        """Erases a person, by number or ``lid:…``; the receipt.

        Raises DeadlineError after `timeout` seconds: the erasure goes on (`erase_status`).
        """
        args = ld.DataErase(phone_number=phone_number, reason=reason, actor=actor)
        found = await self._ask("data.erase", args, ld.ErasureReceipt, 60.0)
        async for _ in _looks(timeout):
            if found.state == "done":
                return found
            found = await self.erase_status(found.id)
        raise DeadlineError(ErrorCode.E_TIMEOUT, {"id": found.id})

    async def erase_status(self, erasure_id: str) -> ld.ErasureReceipt:
        """RequestError(E_ERASURE_NOT_FOUND)."""
        return await self._ask("data.erase_status", ld.ErasureRef(id=erasure_id), ld.ErasureReceipt)


class Retention:
    """``retention.*``: how many days things are kept, by kind."""

    def __init__(self, asker: Asker) -> None:
        self._ask = asker.ask

    async def get(self) -> ld.RetentionInfo:
        return await self._ask("retention.get", d.Nothing(), ld.RetentionInfo)

    async def set(
        self, kind: ld.RetentionKind, days: int | None, *, actor: str | None = None
    ) -> ld.RetentionInfo:
        """None: the usual period again."""
        args = ld.RetentionSet(kind=kind, days=days, actor=actor)
        return await self._ask("retention.set", args, ld.RetentionInfo)


class AuditTrail:
    """``audit.*``"""

    def __init__(self, asker: Asker) -> None:
        self._ask = asker.ask

    async def list(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ld.Audit:
        """Who did what, newest first; times are ISO-8601 in UTC."""
        args = ld.AuditList(action=action, actor=actor, since=since, until=until, limit=limit, cursor=cursor)
        return await self._ask("audit.list", args, ld.Audit)

    async def verify(self) -> ld.AuditVerdict:
        """Whether the trail is as it was written, and where not."""
        return await self._ask("audit.verify", ld.AuditVerify(), ld.AuditVerdict, 120.0)
