"""A fleet's stored files: put, read, hold, drop. Every service that handles files has one, on the same database and
object store.

Bytes are in the object store before any row names them, and are removed after the last row that did is gone
(`storage.media`): nobody ever sees half a file, whoever is killed.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media import kinds, sealed
from pywhatsweb_fleet.media.inspecting import Facts, Inspector
from pywhatsweb_fleet.media.kinds import Limits
from pywhatsweb_fleet.media.objects import NoSuchObject, Objects, ObjectsUnavailable
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.storage import data_keys
from pywhatsweb_fleet.storage import media as table
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.media import Dropped, Held, Object, Reference
from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, place
from pywhatsweb_fleet.storage.store import Store

log = structlog.get_logger(__name__)

_WRITE_BOUND_MS: Final = 6 * 3_600_000
"""Longer than any writing may take: after it, an object that no row adopted is swept."""
_KEYS_KEPT: Final = 256
_DAY_MS: Final = 86_400_000
_SWEEP: Final = 100


class Library:
    """Made once a service. Raises MediaError, ObjectsUnavailable, StorageUnavailable."""

    def __init__(self, store: Store, keyring: Keyring, objects: Objects, settings: MediaSettings) -> None:
        self.limits = Limits.of(settings)
        self._store = store
        self._keyring = keyring
        self._objects = objects
        self._days = settings.media_days
        self._keys: OrderedDict[tuple[str, str], sealed.ObjectKey] = OrderedDict()

    # -- putting ----------------------------------------------------------------------------------

    async def put(
        self,
        tenant: str,
        pieces: AsyncIterable[bytes],
        *,
        reference: Reference,
        most: int | None = None,
        sha256: str | None = None,
        hint: str | None = None,
        strict: bool = True,
    ) -> tuple[Held, Facts]:
        """Stores a file that arrives in pieces, and holds it; what is known of it.

        ``reference`` names who holds it: its hash and type are filled in here (its ``mime_type`` is the declared one,
        empty for none). The same content is kept once a tenant. ``most``: bytes; the largest limit when absent.
        ``sha256``: what the content has to be, else it is E_MEDIA_CORRUPT. ``hint``: the type of what is neither
        declared nor recognised. Not ``strict``: it is kept though its type or its end do not fit.
        """
        inspector = Inspector(
            reference.mime_type or None, most or self.limits.most(None), hint=hint, strict=strict
        )
        key = f"{tenant}/{secrets.token_hex(16)}"
        cipher = await self.cipher(tenant)
        now = _now()
        await self._store.transact(table.intend, tenant, key, now + _WRITE_BOUND_MS)
        try:
            await self._objects.write(
                key, sealed.seal(inspector.passing(pieces), cipher, _place(tenant, key))
            )
            facts = inspector.facts
            if sha256 is not None and facts.sha256 != sha256.lower():
                raise MediaError(ErrorCode.E_MEDIA_CORRUPT, {"sha256": facts.sha256})
            written = Object(facts.sha256, facts.size, kinds.bare(facts.mime_type) or kinds.UNKNOWN, key)
            filled = msgspec.structs.replace(
                reference,
                sha256=facts.sha256,
                mime_type=facts.mime_type,
                created_at=reference.created_at or now,
                expires_at=reference.expires_at or self.expiry(now),
            )
            kept = await self._store.transact(table.hold, tenant, written, filled)
        except BaseException:
            with contextlib.suppress(StorageUnavailable):
                await self._store.transact(table.intend_now, tenant, key, now)
            raise
        if kept.object_key != key:
            await self._store.transact(table.intend_now, tenant, key, now)
            with contextlib.suppress(ObjectsUnavailable):  # then a sweep does it
                await self._remove([(tenant, key)])
        return Held(filled, kept), facts

    def expiry(self, now_ms: int) -> int | None:
        return int(now_ms + self._days * _DAY_MS) if self._days else None

    async def share(self, tenant: str, held: Held, reference: Reference) -> Held | None:
        """Another holder of the same object; None when it went meanwhile."""
        now = _now()
        filled = msgspec.structs.replace(
            reference,
            sha256=held.object.sha256,
            mime_type=reference.mime_type or held.reference.mime_type,
            filename=reference.filename or held.reference.filename,
            created_at=now,
            expires_at=self.expiry(now),
        )
        return await self._store.transact(table.share, tenant, held.reference.media_id, filled)

    # -- finding and reading ----------------------------------------------------------------------

    async def find(self, tenant: str, media_id: str) -> Held:
        """Raises MediaError(E_MEDIA_NOT_FOUND)."""
        return _there(await self._store.read(table.held, tenant, media_id))

    async def of_message(self, tenant: str, session: str, message_id: str) -> Held:
        """Raises MediaError(E_MEDIA_NOT_FOUND)."""
        return _there(await self._store.read(table.of_message, tenant, session, message_id))

    async def page(
        self,
        tenant: str,
        *,
        chats: Sequence[str] = (),
        after: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[Held]:
        """What a tenant, or these of its chats, hold, newest first."""
        return await self._store.read(table.page, tenant, chats=chats, after=after, limit=limit)

    async def read(
        self, tenant: str, found: Object, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """The plain bytes from ``offset``, in pieces of at most 64 KiB. Raises MediaError, Unsealable."""
        left = max(0, found.size - offset)
        wanted = left if length is None else min(length, left)
        if wanted == 0:
            return
        key = await self._key(tenant, found.object_key)
        first, start, end, skip = sealed.span(offset, wanted, found.size)
        pieces = self._objects.read(found.object_key, start, end)
        try:
            async for part in sealed.open_span(
                pieces, key, first=first, skip=skip, length=wanted, size=found.size
            ):
                yield part
        except NoSuchObject:
            raise MediaError(ErrorCode.E_MEDIA_NOT_FOUND) from None

    async def content(self, tenant: str, found: Object, offset: int = 0, length: int | None = None) -> bytes:
        """`read` in one piece."""
        return b"".join([part async for part in self.read(tenant, found, offset, length)])

    async def _key(self, tenant: str, object_key: str) -> sealed.ObjectKey:
        at = (tenant, object_key)
        if (known := self._keys.get(at)) is not None:
            self._keys.move_to_end(at)
            return known
        try:
            header = await self._objects.head(object_key, sealed.HEADER)
        except NoSuchObject:
            raise MediaError(ErrorCode.E_MEDIA_NOT_FOUND) from None
        key = self._keys[at] = sealed.opened(header, await self.cipher(tenant), _place(tenant, object_key))
        if len(self._keys) > _KEYS_KEPT:
            self._keys.popitem(last=False)
        return key

    async def cipher(self, tenant: str) -> Cipher:
        """Of the tenant's media key, which is made when it is first needed. Raises Unsealable."""
        found = await self._store.read(_cipher, self._keyring, tenant, make=False)
        if found is None:
            found = await self._store.transact(_cipher, self._keyring, tenant, make=True)
        assert found is not None  # noqa: S101 - it was just made
        return found

    # -- dropping ---------------------------------------------------------------------------------

    async def forget(
        self,
        tenant: str,
        *,
        media_ids: Sequence[str] = (),
        chats: Sequence[str] = (),
        messages: Sequence[tuple[str, str]] = (),
    ) -> Dropped:
        """Drops what these ids, chats or (session, message id) hold, and removes the objects nobody else does.

        When it returns the bytes are gone from the object store; if that cannot be reached, it raises
        ObjectsUnavailable, the rows are dropped all the same, and a sweep removes the bytes later.
        """
        dropped = await self._store.transact(
            table.drop, tenant, media_ids=media_ids, chats=chats, messages=messages
        )
        await self._remove([(tenant, key) for key in dropped.keys])
        return dropped

    async def sweep(self, now_ms: int | None = None) -> int:
        """Drops what expired and removes what nobody holds; how many objects. For housekeeping."""
        now = _now() if now_ms is None else now_ms
        while await self._store.transact(table.expire, now, _SWEEP) == _SWEEP:
            pass
        count = 0
        while rows := await self._store.read(table.leftovers, now, _SWEEP):
            await self._remove(rows)
            count += len(rows)
        return count

    async def _remove(self, rows: Sequence[tuple[str, str]]) -> None:
        for tenant, key in rows:
            self._keys.pop((tenant, key), None)
            await self._objects.remove(key)
        if rows:
            await self._store.transact(table.swept, rows)


def _there(held: Held | None) -> Held:
    if held is None:
        raise MediaError(ErrorCode.E_MEDIA_NOT_FOUND)
    return held


def _cipher(conn: Connection, keyring: Keyring, tenant: str, *, make: bool) -> Cipher | None:
    at = (tenant, data_keys.MEDIA)
    return data_keys.ciphers(conn, keyring, [at], make=make).get(at)


def _place(tenant: str, object_key: str) -> bytes:
    return place("media", tenant, object_key)


def _now() -> int:
    return time.time_ns() // 1_000_000
