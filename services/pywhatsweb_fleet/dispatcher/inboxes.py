"""A tenant's inboxes: kept by ``inbox.*``, and put in the place of the session that commands name (docs/adr/0023).

A command to an inbox is given to one of its sessions before it is looked at further: from there on it is a command of
that session's. Nothing else knows of inboxes, and tenants without them pay nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Connection

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import inbox_data as ib
from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.contracts.statuses import SessionStatus
from pywhatsweb.errors import ErrorCode, RequestError, SessionError
from pywhatsweb_fleet.dispatcher.directory import Directory
from pywhatsweb_fleet.dispatcher.holds import ColdHolds
from pywhatsweb_fleet.dispatcher.presence import Presence
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.storage import audit, inbox_choices, inboxes, kanban
from pywhatsweb_fleet.storage.inbox_terms import Chosen, Refused, Standing, Wanted
from pywhatsweb_fleet.storage.inboxes import InboxRow
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import Bus

log = structlog.get_logger(__name__)

COUNTED_FOR_S: Final = 10.0
"""How long a count of an inbox's people is good enough to spread new ones by."""
_DAY_MS: Final = 86_400_000
_PASSING: Final = (SessionStatus.STARTING, SessionStatus.RECONNECTING)
_to_json = msgspec.json.Encoder().encode


class Inboxes:
    """``keep_ms``: how long commands are remembered."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        directory: Directory,
        holds: ColdHolds,
        presence: Presence,
        *,
        keep_ms: int,
    ) -> None:
        self._store = store
        self._bus = bus
        self._directory = directory
        self._holds = holds
        self._presence = presence
        self._keep_ms = keep_ms + _DAY_MS
        """Longer than their idempotency records, which are found by what is kept here."""
        self._counts: dict[tuple[str, str], tuple[float, Counter[str]]] = {}

    # Commands.

    async def place(self, tenant: Tenant, jobs: Sequence[Job]) -> None:
        """Gives each command to an inbox to one of its sessions, or refuses it.

        Raises StorageUnavailable, BrokerUnavailable or ApiError.
        """
        sent = [job for job in jobs if job.inbox and job.refusal is None]
        if not sent:
            return
        if tenant.record.suspended:
            for job in sent:
                job.refuse(ErrorCode.E_TENANT_SUSPENDED)
                job.readable = False
            return
        settings = await self._store.read(inboxes.named, tenant.id, {job.inbox for job in sent})
        await self._learn(tenant, {name for row in settings.values() for name in row.sessions})
        now = time.time_ns() // 1_000_000
        chosen = await self._store.transact(
            _choose,
            tenant,
            [self._wanted(job, now) for job in sent],
            settings,
            lambda session: self._standing(tenant, session, now),
            self._counted(tenant),
            now,
        )
        self._note(tenant, chosen)
        for job, where in zip(sent, chosen.where, strict=True):
            if isinstance(where, Refused):
                job.refuse(where.code, where.details)
                # Who sends to nobody cannot fill the database.
                job.readable = where.code is not ErrorCode.E_INBOX_NOT_FOUND
            else:
                job.place(tenant, where)

    def _wanted(self, job: Job, now: int) -> Wanted:
        due_at = max(now, job.send_at_ms)
        return Wanted(
            job.inbox, job.command_id, job.raw.sequence, job.recipient, job.chat_key, due_at, due_at + self._keep_ms,
            job.target_id,
        )  # fmt: skip

    async def _learn(self, tenant: Tenant, sessions: Collection[str]) -> None:
        """How the sessions are; from their owners' own words while not all of them were heard yet."""
        await self._directory.refresh(tenant.id, sessions)
        if self._holds.complete:
            return
        for session in sessions:
            subject = subjects.now(tenant.id, SessionId(session))
            stored = await self._bus.last(streams.events_name(tenant.id), subject)
            if stored is not None:
                self._holds.learn(subject, stored.data)

    def _standing(self, tenant: Tenant, session: str, now: int) -> Standing:
        record = self._directory.session(tenant.id, session)
        if record is None or record.wanted == "deleting":
            return Standing(exists=False)
        state = self._presence.of(tenant.id, session, record)
        wanted = record.wanted == "running"
        works = wanted and state.works and not state.down
        since = state.since if state.down else state.changed or record.updated_at
        return Standing(
            exists=True,
            works=works,
            passing=wanted and not state.ended and state.status in _PASSING,
            banned=state.status == SessionStatus.BANNED,
            away_ms=0 if works else now - since,
            held_until=self._holds.until(tenant.id, session),
        )

    def _counted(self, tenant: Tenant) -> dict[str, Counter[str]]:
        """Of the tenant's inboxes whose people were counted a moment ago."""
        now = time.monotonic()
        self._counts = {key: kept for key, kept in self._counts.items() if kept[0] > now}
        return {inbox: counts for (of, inbox), (_, counts) in self._counts.items() if of == tenant.id}

    def _note(self, tenant: Tenant, chosen: Chosen) -> None:
        until = time.monotonic() + COUNTED_FOR_S
        for inbox, counts in chosen.counts.items():
            kept = self._counts.get((tenant.id, inbox), (until, counts))
            self._counts[tenant.id, inbox] = (kept[0], counts)
        for move in chosen.moves:
            log.info(
                "a contact goes on with another session",
                tenant=tenant.id, inbox=move.inbox, before=move.before, after=move.after, reason=move.why,
            )  # fmt: skip

    # What is asked.

    def answers(self) -> dict[str, Callable[[Tenant, Any], Awaitable[Any]]]:
        return {
            "inbox.set": self.set,
            "inbox.get": self.get,
            "inbox.list": self.list,
            "inbox.delete": self.delete,
        }

    async def set(self, tenant: Tenant, args: ib.InboxSet) -> ib.InboxInfo:
        """E_SESSION_NOT_FOUND for one that there is not, E_QUOTA_EXCEEDED when there are too many inboxes."""
        await self._directory.refresh(tenant.id, args.sessions)
        for at, session in enumerate(args.sessions):
            record = self._directory.session(tenant.id, session)
            if record is None or record.wanted == "deleting":
                raise SessionError(
                    ErrorCode.E_SESSION_NOT_FOUND, {"path": f"$.sessions[{at}]", "session_id": session}
                )
        row = InboxRow(
            tenant.id, args.inbox_id, tuple(args.sessions), args.spread, args.failover, args.cooldown_s,
            time.time_ns() // 1_000_000, args.by,
        )  # fmt: skip
        return await self._store.transact(_set, row)

    async def get(self, tenant: Tenant, args: ib.InboxRef) -> ib.InboxInfo:
        """E_INBOX_NOT_FOUND."""
        return await self._store.read(_get, tenant.id, args.inbox_id)

    async def list(self, tenant: Tenant, _args: d.Nothing) -> ib.Inboxes:
        return await self._store.read(_list, tenant.id)

    async def delete(self, tenant: Tenant, args: ib.InboxDelete) -> ib.InboxDeleted:
        """E_INBOX_NOT_FOUND."""
        return await self._store.transact(_delete, tenant.id, args)


def _choose(  # noqa: PLR0917 - called through Store.transact, by position
    conn: Connection,
    tenant: Tenant,
    wanted: Sequence[Wanted],
    settings: Mapping[str, InboxRow],
    standing: Callable[[str], Standing],
    counts: Mapping[str, Counter[str]],
    now: int,
) -> Chosen:
    """`inbox_choices.choose`; the moves are on record in the audit trail."""
    limit = tenant.record.session_new_contacts_per_day
    chosen = inbox_choices.choose(conn, tenant.id, tenant.key, wanted, settings, standing, counts, now, limit)
    for move in chosen.moves:
        detail = {"inbox_id": move.inbox, "from": move.before, "to": move.after, "why": move.why}
        entry = audit.Entry(
            tenant.id, now, "system", "inbox.move", move.chat, detail=_to_json(detail).decode()
        )
        audit.append(conn, entry)
    return chosen


def _set(conn: Connection, row: InboxRow) -> ib.InboxInfo:
    known = inboxes.every(conn, row.tenant)
    if len(known) >= ib.MAX_INBOXES and all(one.inbox != row.inbox for one in known):
        raise RequestError(ErrorCode.E_QUOTA_EXCEEDED, {"quota": "inboxes", "limit": ib.MAX_INBOXES})
    _look_at_cards(conn, row.tenant)
    inboxes.put(conn, row)
    detail = {
        "sessions": row.sessions, "spread": row.spread, "failover": row.failover, "cooldown_s": row.cooldown_s
    }  # fmt: skip
    _audit(conn, row.tenant, "inbox.set", row.changed_by, row.inbox, detail)
    return _info(conn, row)


def _get(conn: Connection, tenant: str, inbox: str) -> ib.InboxInfo:
    row = inboxes.named(conn, tenant, {inbox}).get(inbox)
    if row is None:
        raise RequestError(ErrorCode.E_INBOX_NOT_FOUND)
    return _info(conn, row)


def _list(conn: Connection, tenant: str) -> ib.Inboxes:
    return ib.Inboxes(inboxes=[_info(conn, row) for row in inboxes.every(conn, tenant)])


def _delete(conn: Connection, tenant: str, args: ib.InboxDelete) -> ib.InboxDeleted:
    if not inboxes.delete(conn, tenant, args.inbox_id):
        raise RequestError(ErrorCode.E_INBOX_NOT_FOUND)
    _look_at_cards(conn, tenant)
    _audit(conn, tenant, "inbox.delete", args.by, args.inbox_id, {})
    return ib.InboxDeleted(inbox_id=args.inbox_id)


def _look_at_cards(conn: Connection, tenant: str) -> None:
    """The board may join other sessions' cards from now on (`Policy.cards`)."""
    kanban.lock(conn, tenant)
    kanban.look_at_joined(conn, tenant, time.time_ns() // 1_000_000)


def _audit(  # noqa: PLR0917 - one line of a trail
    conn: Connection, tenant: str, what: str, by: str | None, inbox: str, detail: Mapping[str, Any]
) -> None:
    now = time.time_ns() // 1_000_000
    entry = audit.Entry(tenant, now, by or "tenant", what, inbox, detail=_to_json(detail).decode())
    audit.append(conn, entry)


def _info(conn: Connection, row: InboxRow) -> ib.InboxInfo:
    return ib.InboxInfo(
        inbox_id=row.inbox, sessions=[*row.sessions], spread=row.spread, failover=row.failover,
        cooldown_s=row.cooldown_s, contacts=inboxes.people(conn, row.tenant, row.inbox),
        changed_at=timestamp(row.changed_at), changed_by=row.changed_by,
    )  # fmt: skip
