"""What is wanted of sessions: read, compare, set. The owner of a session does it; here it is only written down.

Plain functions of the request's arguments; they return a result of `contracts.control_data` or raise SessionError.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from pywhatsweb import phone
from pywhatsweb.contracts import capabilities, events, streams, subjects
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.contracts.statuses import SessionStatus
from pywhatsweb.errors import ErrorCode, SessionError, error_struct
from pywhatsweb_fleet.dispatcher import qr
from pywhatsweb_fleet.dispatcher.directory import Directory, decode_session
from pywhatsweb_fleet.dispatcher.engines import Engines
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, Bus
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.registry import NowRecord, PairingRecord, SessionRecord

_TRIES = 10
"""Of a compare-and-set; each lost one means that somebody else's was done."""
_PAGE = 500


class Known(NamedTuple):
    """``record`` None: there is none (any more). ``revision``: what a write has to expect."""

    revision: int
    record: SessionRecord | None


class Sessions:
    """The bucket of sessions and the owners' records, together."""

    def __init__(
        self, bus: Bus, directory: Directory, known: Engines, engine: str, engines: tuple[str, ...]
    ) -> None:
        self._bus = bus
        self._directory = directory
        self._known_engines = known
        self._engine = engine
        self._engines = engines

    async def start(self, tenant: Tenant, args: d.SessionStart) -> d.SessionInfo:
        if tenant.record.suspended:
            raise SessionError(ErrorCode.E_TENANT_SUSPENDED)
        if args.engine is not None and args.engine not in self._engines:
            raise SessionError(ErrorCode.E_ENGINE_UNAVAILABLE, {"path": "$.engine"})
        pairing = PairingRecord(method=args.pairing)
        if args.phone_number is not None:
            number = phone.normalize_phone_number(args.phone_number, tenant.record.region)
            pairing = PairingRecord(method=args.pairing, phone_number=number)
        now = await self._now(tenant, args.session_id)

        async def change(known: SessionRecord | None) -> SessionRecord:
            if known is None:
                await self._check_limit(tenant)
                return _created(args, pairing, args.engine or self._engine)
            return _started(known, args, pairing, now)

        record = await self._change(tenant, args.session_id, change)
        return _info(args.session_id, record, await self._now(tenant, args.session_id))

    async def stop(self, tenant: Tenant, args: d.SessionRef) -> d.SessionInfo:
        return await self._want(tenant, args.session_id, lambda r: _wanting(r, "stopped"))

    async def restart(self, tenant: Tenant, args: d.SessionRef) -> d.SessionInfo:
        if tenant.record.suspended:
            raise SessionError(ErrorCode.E_TENANT_SUSPENDED)
        return await self._want(tenant, args.session_id, _restarted)

    async def logout(self, tenant: Tenant, args: d.SessionRef) -> d.SessionInfo:
        return await self._want(tenant, args.session_id, lambda r: _wanting(r, "logging_out"))

    async def delete(self, tenant: Tenant, args: d.SessionRef) -> d.SessionInfo:
        return await self._want(
            tenant, args.session_id, lambda r: _changed(r, wanted="deleting", generation=r.generation + 1)
        )

    async def status(self, tenant: Tenant, args: d.SessionRef) -> d.SessionInfo:
        record = await self._record(tenant, args.session_id)
        info = _info(args.session_id, record, await self._now(tenant, args.session_id))
        return msgspec.structs.replace(info, queued=await self._queued(tenant, args.session_id))

    async def list(self, tenant: Tenant, args: d.SessionList) -> d.Sessions:
        entries = await self._directory.session_bucket.all(f"{tenant.id}.*")
        states = await self._states(tenant)
        found = []
        for entry in sorted(entries):
            session = entry.key.partition(".")[2]
            record = decode_session(entry)
            if record is None:
                continue
            if args.active is None or args.active == (record.wanted == "running"):
                found.append(_info(session, record, states.get(session)))
        return d.Sessions(sessions=found)

    async def qr(self, tenant: Tenant, args: d.SessionRef) -> d.SessionQr:
        await self._record(tenant, args.session_id)
        now = await self._now(tenant, args.session_id)
        code = now.qr if now is not None and now.status == SessionStatus.SCAN_QR_CODE else None
        if code is None or (code.expires_at and code.expires_at <= _ms()):
            raise SessionError(ErrorCode.E_QR_NOT_AVAILABLE)
        return d.SessionQr(
            code=code.code,
            # On a thread: to draw takes tens of milliseconds, in which every command would wait.
            image=await asyncio.to_thread(qr.png_data_url, code.code),
            terminal=await asyncio.to_thread(qr.terminal_text, code.code),
            expires_at=events.timestamp(code.expires_at),
            attempt=max(1, code.attempt),
        )

    async def capabilities(self, tenant: Tenant, args: d.SessionRef) -> d.SessionCapabilities:
        engine = (await self._record(tenant, args.session_id)).engine
        await self._known_engines.refresh()
        declared = self._known_engines.declared.get(engine)
        if declared is None:
            raise SessionError(ErrorCode.E_ENGINE_UNAVAILABLE, {"engine": engine})
        return d.SessionCapabilities(
            session_id=args.session_id,
            engine=engine,
            version=self._known_engines.versions.get(engine),
            kinds=sorted(declared & capabilities.KINDS),
            verbs=sorted(declared & capabilities.VERBS),
            features=sorted(declared & capabilities.FEATURES),
            live=sorted(declared & capabilities.LIVE),
            posts=sorted(declared & capabilities.POSTS),
        )

    async def count_by_status(self, tenant: Tenant) -> dict[str, int]:
        counts: dict[str, int] = {}
        for now in (await self._states(tenant)).values():
            counts[now.status] = counts.get(now.status, 0) + 1
        return counts

    async def _record(self, tenant: Tenant, session: str) -> SessionRecord:
        known = await self._known(tenant, session)
        if known.record is None:
            raise SessionError(ErrorCode.E_SESSION_NOT_FOUND)
        return known.record

    async def _known(self, tenant: Tenant, session: str) -> Known:
        entry = await self._directory.session_bucket.newest(f"{tenant.id}.{session}")
        if entry is None:
            return Known(0, None)
        return Known(entry.revision, decode_session(entry))

    async def _want(
        self, tenant: Tenant, session: str, wish: Callable[[SessionRecord], SessionRecord]
    ) -> d.SessionInfo:
        async def change(known: SessionRecord | None) -> SessionRecord:
            if known is None:
                raise SessionError(ErrorCode.E_SESSION_NOT_FOUND)
            return wish(known)

        record = await self._change(tenant, session, change)
        return _info(session, record, await self._now(tenant, session))

    async def _change(
        self, tenant: Tenant, session: str, change: Callable[[SessionRecord | None], Any]
    ) -> SessionRecord:
        """The record after ``change``, written only if it differs and nobody else wrote in between."""
        key = f"{tenant.id}.{session}"
        for _ in range(_TRIES):
            known = await self._known(tenant, session)
            wanted: SessionRecord = await change(known.record)
            if wanted == known.record:
                return wanted
            try:
                revision = await self._directory.session_bucket.put(
                    key, registry.encode(wanted), expected=known.revision
                )
            except ApiError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise
                continue
            self._directory.learn(key, revision, wanted)
            return wanted
        raise SessionError(ErrorCode.E_CONFLICT)

    async def _check_limit(self, tenant: Tenant) -> None:
        limit = tenant.record.sessions
        if limit and len(await self._directory.session_bucket.all(f"{tenant.id}.*")) >= limit:
            raise SessionError(ErrorCode.E_SESSION_LIMIT, {"limit": limit})

    async def _now(self, tenant: Tenant, session: str) -> NowRecord | None:
        stored = await self._bus.last(
            streams.events_name(tenant.id), subjects.now(tenant.id, SessionId(session))
        )
        return _decode_now(stored.data) if stored is not None else None

    async def _states(self, tenant: Tenant) -> dict[str, NowRecord]:
        states: dict[str, NowRecord] = {}
        sequence = 1
        async with reading(self._bus) as reader:
            while True:
                stream, subject = streams.events_name(tenant.id), subjects.all_now(tenant.id)
                page = await reader.batch(stream, subject, sequence, limit=_PAGE)
                for stored in page:
                    parsed, now = subjects.parse_session(stored.subject), _decode_now(stored.data)
                    if parsed is not None and now is not None:
                        states[parsed[1]] = now
                if len(page) < _PAGE:
                    return states
                sequence = page[-1].sequence + 1

    async def _queued(self, tenant: Tenant, session: str) -> int:
        subject = subjects.out(tenant.id, SessionId(session))
        info = await self._bus.api(
            f"STREAM.INFO.{streams.outbox_name(tenant.id)}", {"subjects_filter": subject}
        )
        return int((info["state"].get("subjects") or {}).get(subject, 0))


def _ms() -> int:
    return time.time_ns() // 1_000_000


def _decode_now(raw: bytes) -> NowRecord | None:
    try:
        return registry.decode_now(raw)
    except msgspec.MsgspecError:
        return None


def _changed(record: SessionRecord, **fields: Any) -> SessionRecord:
    return msgspec.structs.replace(record, updated_at=_ms(), **fields)


def _wanting(record: SessionRecord, wanted: registry.Wanted) -> SessionRecord:
    """Stop and log out, which change nothing when it is so already. What is being deleted stays so."""
    if record.wanted == "deleting":
        raise SessionError(ErrorCode.E_SESSION_NOT_FOUND)
    if record.wanted == wanted or (wanted == "stopped" and record.wanted == "logging_out"):
        return record
    return _changed(record, wanted=wanted)


def _restarted(record: SessionRecord) -> SessionRecord:
    if record.wanted == "deleting":
        raise SessionError(ErrorCode.E_SESSION_NOT_FOUND)
    return _changed(record, wanted="running", generation=record.generation + 1)


def _created(args: d.SessionStart, pairing: PairingRecord, engine: str) -> SessionRecord:
    now = _ms()
    return SessionRecord(
        engine=engine,
        pairing=pairing,
        settings=_settings(args),
        proxy=args.proxy,
        metadata=args.metadata,
        created_at=now,
        updated_at=now,
    )


def _started(
    known: SessionRecord, args: d.SessionStart, pairing: PairingRecord, now: NowRecord | None
) -> SessionRecord:
    """What a start makes of a known session: nothing when it runs and is asked for as it is."""
    if known.wanted in ("deleting", "logging_out"):
        raise SessionError(ErrorCode.E_CONFLICT, {"path": "$.session_id"})
    if args.engine is not None and args.engine != known.engine:
        # Credentials belong to an engine's library: another one needs a new session.
        raise SessionError(ErrorCode.E_SESSION_ALREADY_EXISTS, {"path": "$.engine"})
    wanted = msgspec.structs.replace(
        known,
        wanted="running",
        pairing=pairing,
        settings=_settings(args) if args.settings is not None else known.settings,
        proxy=args.proxy if args.proxy is not None else known.proxy,
        metadata=args.metadata or known.metadata,
    )
    ended = now is not None and now.status in SessionStatus.__members__ and SessionStatus(now.status).final
    if wanted == known and not ended:
        return known
    return _changed(wanted, generation=known.generation + 1)


def _settings(args: d.SessionStart) -> dict[str, Any]:
    return msgspec.to_builtins(args.settings) if args.settings is not None else {}


def _info(session: str, record: SessionRecord, now: NowRecord | None) -> d.SessionInfo:
    idle = SessionStatus.STARTING if record.wanted == "running" else SessionStatus.STOPPED
    status = SessionStatus.__members__.get(now.status, idle) if now is not None else idle
    return d.SessionInfo(
        session_id=session,
        status=status,
        desired="running" if record.wanted == "running" else "stopped",
        reason=now.reason if now is not None else None,
        error=error_struct(ErrorCode.from_wire(now.error)) if now is not None and now.error else None,
        phone_number=now.phone_number if now is not None else None,
        lid=now.lid if now is not None else None,
        name=now.name if now is not None else None,
        engine=record.engine,
        worker=now.worker if now is not None else None,
        epoch=now.epoch if now is not None else 0,
        since=events.timestamp(now.since) if now is not None and now.since else None,
        metadata=record.metadata,
        settings=msgspec.convert(record.settings, d.SessionSettings) if record.settings else None,
    )
