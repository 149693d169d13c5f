"""Exports: a person's data, or all of a tenant's, as a ZIP of JSON and media among the tenant's stored files.

Begun by a request and carried on by whichever replica is there; one that is killed begins anew. Rows are read by their
keys in batches, files in pieces, and the ZIP goes to the object store as it is made, sealed: memory does not grow with
what is exported. Of a person it holds the rows that are theirs, not those of others that mention them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Connection, LargeBinary, Table
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.errors import ErrorCode, MediaError, RequestError
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import ObjectsUnavailable
from pywhatsweb_fleet.persistence import sweeping
from pywhatsweb_fleet.persistence.duties import Duty
from pywhatsweb_fleet.persistence.person import Person, resolve, subject_digest
from pywhatsweb_fleet.persistence.queries import Asker
from pywhatsweb_fleet.persistence.zipping import Zip
from pywhatsweb_fleet.storage import audit, law
from pywhatsweb_fleet.storage.faults import KeyMissing, StorageUnavailable, Unsealable
from pywhatsweb_fleet.storage.law import ExportRow
from pywhatsweb_fleet.storage.media import Reference
from pywhatsweb_fleet.storage.statements import query
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Asked
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

KEPT_MS: Final = 3 * 86_400_000
"""How long an export can be fetched."""
_MOST_BYTES: Final = 2**40
_AT_ONCE: Final = 500
_LOOK_EVERY_S: Final = 2.0
_SECRET: Final = frozenset(
    ("credentials", "data_keys", "fences", "erasure_jobs", "exports", "webhooks", "duties", "audit_bases")
)
"""Tables of keys, counters and the fleet's own work: nobody's data."""

FindTenant = Callable[[str], Awaitable[TenantRecord | None]]
_json = msgspec.json.Encoder().encode


class Work(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where an export stands; once it is done nothing of it names the person."""

    person: Person | None = None
    progress: float = 0.0
    counts: dict[str, int] = {}
    media_id: str | None = None
    size: int | None = None
    sha256: str | None = None
    error: str | None = None


_work = msgspec.json.Decoder(Work).decode


class Exports:
    """Answers ``data.export``, ``data.export_status`` and ``data.download``, and does the work."""

    def __init__(self, store: Store, library: Library, find: FindTenant) -> None:
        self._store = store
        self._library = library
        self._find = find
        self._asked = asyncio.Event()

    # Asking.

    async def export(self, asked: Asked) -> ld.Export:
        who = Asker(asked.tenant, TenantKey(asked.record.key), asked.record.region)
        row = await self._store.transact(_begin, who, asked.args)
        self._asked.set()
        return _told(row)

    async def export_status(self, asked: Asked) -> ld.Export:
        return _told(await self._row(asked.tenant, asked.args.id))

    async def download(self, asked: Asked) -> ld.ExportPart:
        args: ld.DataDownload = asked.args
        work = _work((await self._row(asked.tenant, args.id)).work)
        if work.media_id is None:
            raise RequestError(ErrorCode.E_EXPORT_NOT_READY)
        held = await self._library.find(asked.tenant, work.media_id)
        data = await self._library.content(asked.tenant, held.object, args.offset, args.length)
        return ld.ExportPart(id=args.id, size=held.object.size, offset=args.offset, data=data)

    async def _row(self, tenant: str, export_id: str) -> ExportRow:
        row = await self._store.read(law.export, tenant, export_id)
        if row is None or row.expires_at <= _now():
            raise RequestError(ErrorCode.E_EXPORT_NOT_FOUND)
        return row

    # Working.

    async def keep(self, duty: Duty) -> None:
        """Makes what waits, one at a time in the whole fleet, and removes what is past its time."""
        while True:
            try:
                past = await self._store.read(law.exports_past, _now())
                waiting = await self._store.read(law.exports_waiting)
                if (past or waiting) and await duty.hold():
                    for row in past:
                        await self._forget(row)
                    for row in waiting:
                        await duty.while_held(self._make(row))
            except (StorageUnavailable, ObjectsUnavailable, SQLAlchemyError) as error:
                log.warning("exports wait", problem=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the record goes on, and the export is tried again
                log.error("an export failed; it is tried again", error=type(error).__name__)  # noqa: TRY400
            self._asked.clear()
            try:
                await asyncio.wait_for(self._asked.wait(), _LOOK_EVERY_S)
            except TimeoutError:
                continue

    async def drop_of(self, tenant: str, subject: str) -> int:
        """Removes the exports that hold a person's data; how many."""
        rows = await self._store.read(law.exports_of, tenant, subject)
        for row in rows:
            await self._forget(row)
        return len(rows)

    async def _forget(self, row: ExportRow) -> None:
        media_id = _work(row.work).media_id
        if media_id is not None:
            await self._library.forget(row.tenant, media_ids=[media_id])
        await self._store.transact(law.forget_export, row.tenant, row.export_id)

    async def _make(self, row: ExportRow) -> None:
        record = await self._find(row.tenant)
        if record is None:
            return
        work = _work(row.work)
        reference = Reference(
            media_id="exp_" + secrets.token_hex(12), sha256="", origin="upload", mime_type="application/zip",
            filename="export.zip", expires_at=_now() + KEPT_MS,
        )  # fmt: skip
        try:
            held, _ = await self._library.put(
                row.tenant, self._zip(row, work), reference=reference, most=_MOST_BYTES
            )
        except KeyMissing:
            log.warning("an export waits for a master key", tenant=row.tenant, export=row.export_id)
            return
        except (MediaError, Unsealable) as error:
            log.error("an export failed", tenant=row.tenant, export=row.export_id, error=type(error).__name__)  # noqa: TRY400
            code = error.code.wire if isinstance(error, MediaError) else error.code
            await self._save(row, "failed", Work(error=code))
            return
        done = Work(
            progress=1.0,
            counts=work.counts,
            media_id=held.reference.media_id,
            size=held.object.size,
            sha256=held.object.sha256,
        )
        if not await self._store.transact(_finish, _with(row, "done", done), work.counts):
            await self._library.forget(row.tenant, media_ids=[held.reference.media_id])  # erased meanwhile

    async def _save(self, row: ExportRow, state: str, work: Work) -> None:
        await self._store.transact(law.save_export, _with(row, state, work))

    async def _zip(self, row: ExportRow, work: Work) -> AsyncIterator[bytes]:
        """The archive's bytes; counts and progress are noted on the way."""
        made = Zip()
        tables = [table for table in sweeping.every_table() if table.name not in _SECRET]
        counts: Counter[str] = Counter()
        for number, table in enumerate(tables):
            batches = self._rows(table, row.tenant, work.person, counts)
            async for piece in made.rows(f"{table.name}.json", batches):
                yield piece
            work.progress = (number + 1) / (len(tables) + 1)
            await self._save(row, "waiting", work)
        after: tuple[int, str] | None = None
        chats = work.person.keys if work.person is not None else ()
        while page := await self._library.page(row.tenant, chats=chats, after=after, limit=100):
            for held in page:
                after = (held.reference.created_at, held.reference.media_id)
                if held.reference.media_id.startswith("exp_"):
                    continue
                counts["media"] += 1
                name = f"media/{held.reference.media_id}{_suffix(held.reference.filename)}"
                async for piece in made.file(name, self._library.read(row.tenant, held.object)):
                    yield piece
        work.counts = dict(counts)
        about = {"id": row.export_id, "tenant": row.tenant, "made_at": timestamp(), "counts": work.counts}
        if work.person is not None:
            about["person"] = {"phone_numbers": work.person.pns, "lids": work.person.lids}
        yield made.document("export.json", about)
        yield made.end()

    async def _rows(
        self, table: Table, tenant: str, person: Person | None, counts: Counter[str]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        after: tuple[Any, ...] | None = None
        while True:
            found, after = await self._store.read(_page, table, tenant, person, after)
            counts[table.name] += len(found)
            yield found
            if after is None:
                return


def _begin(conn: Connection, who: Asker, args: ld.DataExport) -> ExportRow:
    person = resolve(conn, who, args.phone_number) if args.phone_number is not None else None
    subject = subject_digest(who, person) if person is not None else None
    for row in law.exports_waiting(conn):
        if row.tenant == who.id and row.subject == subject:
            return row
    now = _now()
    work = _json(Work(person=person)).decode()
    row = ExportRow(
        who.id,
        "exp_" + secrets.token_hex(12),
        subject,
        args.actor or "-",
        "waiting",
        now,
        now + KEPT_MS,
        work,
    )
    law.add_export(conn, row)
    entry = audit.Entry(
        who.id, now, row.actor, "data.export", subject, None, args.address, args.correlation_id,
        _json({"id": row.export_id}).decode(),
    )  # fmt: skip
    audit.append(conn, entry)
    return row


def _finish(conn: Connection, row: ExportRow, counts: dict[str, int]) -> bool:
    sweeping.securely(conn)
    row = row._replace(expires_at=_now() + KEPT_MS)
    if not law.save_export(conn, row):
        return False
    detail = _json({"id": row.export_id, "counts": counts}).decode()
    audit.append(
        conn, audit.Entry(row.tenant, _now(), row.actor, "data.exported", row.subject, detail=detail)
    )
    return True


def _page(
    conn: Connection, table: Table, tenant: str, person: Person | None, after: tuple[Any, ...] | None
) -> tuple[list[dict[str, Any]], tuple[Any, ...] | None]:
    """The next rows of a table as JSON objects, and the key to go on after (None: the end)."""
    if person is not None:
        if table.name in sweeping.KEPT and table.name not in sweeping.SHOWN:
            return [], None
        found = sweeping.look(conn, table, tenant, person, after)
        return [_shown(table, values) for values in found.gone], found.last
    key = [column.name for column in table.primary_key if column.name != "tenant"]
    names = table.c.keys()
    where = "" if after is None else f" AND ({', '.join(key)}) > ({', '.join('?' * len(key))})"
    order = f" ORDER BY {', '.join(key)}" if key else ""
    sql = f"SELECT {', '.join(names)} FROM {table.name} WHERE tenant = ?{where}{order} LIMIT ?"  # noqa: S608
    rows = [dict(zip(names, row, strict=True)) for row in query(conn, sql, tenant, *(after or ()), _AT_ONCE)]
    last = tuple(rows[-1][name] for name in key) if key and len(rows) == _AT_ONCE else None
    return [_shown(table, values) for values in rows], last


_JSON_COLUMNS: Final = frozenset(("content", "data", "card", "detail", "event", "receipt", "policy"))


def _shown(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    """Without what is sealed; JSON in a column as JSON."""
    shown: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(table.c[name].type, LargeBinary):
            continue
        if name in _JSON_COLUMNS and isinstance(value, str):
            try:
                shown[name] = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(value)))
            except msgspec.DecodeError:
                shown[name] = value
        else:
            shown[name] = value
    return shown


def _suffix(filename: str | None) -> str:
    """A file's ending, where it is a plain one."""
    ending = (filename or "").rpartition(".")[2] if "." in (filename or "") else ""
    return f".{ending.lower()}" if ending.isascii() and ending.isalnum() and len(ending) <= 8 else ""


def _told(row: ExportRow) -> ld.Export:
    work = _work(row.work)
    state = "running" if row.state == "waiting" and work.progress else row.state
    return ld.Export(
        id=row.export_id,
        state=state,
        progress=round(work.progress, 3),
        requested_at=timestamp(row.requested_at),
        expires_at=timestamp(row.expires_at),
        size=work.size,
        sha256=work.sha256,
        counts=work.counts,
        error=work.error,
        media_id=work.media_id,
    )


def _with(row: ExportRow, state: str, work: Work) -> ExportRow:
    return row._replace(state=state, work=_json(work).decode())


def _now() -> int:
    return time.time_ns() // 1_000_000
