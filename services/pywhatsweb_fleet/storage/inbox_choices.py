"""Which of an inbox's sessions a command goes to: decided once, in a transaction, and kept.

Two things are kept. Where a command went (`inbox_commands`) is kept for good: a repeat, a redelivery and another
replica find it, whatever has changed. Who belongs to which session (`inbox_contacts`) may change: somebody whose
session is lost goes on with another one, at their next command, unless one from before may still be queued.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table

from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.storage import inboxes
from pywhatsweb_fleet.storage.inbox_tables import inbox_commands, inbox_contacts
from pywhatsweb_fleet.storage.inbox_terms import Chosen, Move, Refused, Standing, Wanted
from pywhatsweb_fleet.storage.inboxes import InboxRow
from pywhatsweb_fleet.storage.newcomers import Newcomers
from pywhatsweb_fleet.storage.optouts import aliases
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import chats, idempotency

AGAIN_MS: Final = 30_000
"""When to come again with a command that no session may take."""

_UNCLAIMED_MS: Final = 3_600_000
"""What was given to a session is claimed in the next moment, or, after a crash, when it is delivered again."""
_WAITS: Final = (MessageStatus.ACCEPTED.value, MessageStatus.QUEUED.value)


class _Contact(NamedTuple):
    """A row of ``inbox_contacts``, but for its tenant."""

    chat: str
    inbox: str
    person: str
    session: str
    since: int


_Id = tuple[str, str]
_Person = tuple[str, tuple[str, ...]]
"""The inbox, and all keys that the person is known under."""


def choose(  # noqa: PLR0917 - called through Store.transact, by position
    conn: Connection,
    tenant: str,
    key: TenantKey,
    wanted: Sequence[Wanted],
    settings: Mapping[str, InboxRow],
    standing: Callable[[str], Standing],
    counts: Mapping[str, Counter[str]],
    now: int,
    new_contacts: int = 0,
) -> Chosen:
    """Decides where commands go. ``settings``: of those inboxes that there are; ``counts``: of those whose people were
    counted a moment ago; ``new_contacts``: how many people a session may write to for the first time in a day, 0: any
    number."""
    newcomers = Newcomers(conn, tenant, new_contacts, now)
    choosing = _Choosing(
        conn, tenant, settings=settings, standing=standing, counts=counts, newcomers=newcomers, now=now
    )
    return choosing.all(key, wanted)


class _Choosing:
    """One transaction's worth of it."""

    def __init__(
        self,
        conn: Connection,
        tenant: str,
        *,
        settings: Mapping[str, InboxRow],
        standing: Callable[[str], Standing],
        counts: Mapping[str, Counter[str]],
        newcomers: Newcomers,
        now: int,
    ) -> None:
        self._conn = conn
        self._tenant = tenant
        self._settings = settings
        self._standing = standing
        self._newcomers = newcomers
        self._now = now
        self._counts = {inbox: Counter(found) for inbox, found in counts.items()}
        self._moves: list[Move] = []

    def all(self, key: TenantKey, wanted: Sequence[Wanted]) -> Chosen:
        found = self._kept(wanted)
        fresh = [one for one in wanted if one.id not in found]
        for one in fresh:
            if one.inbox not in self._settings and not one.target:
                found[one.id] = Refused(ErrorCode.E_INBOX_NOT_FOUND)
        sends = [one for one in fresh if not one.target and one.id not in found]
        people = self._people(key, sends)
        where = self._sessions(set(people.values()))
        new: dict[_Id, tuple[Wanted, str]] = {}
        for one in sends:
            verdict = where[people[one.id]]
            found.setdefault(one.id, verdict)
            if isinstance(verdict, str):
                new.setdefault(one.id, (one, verdict))
        for one in fresh:
            if one.target and one.id not in found:
                target = found.get((one.inbox, one.target)) or Refused(ErrorCode.E_COMMAND_NOT_FOUND)
                found[one.id] = target if isinstance(target, str) else Refused(ErrorCode.E_COMMAND_NOT_FOUND)
                if isinstance(target, str):
                    new[one.id] = (one, target)
        found.update(self._keep(new))
        return Chosen([found[one.id] for one in wanted], self._moves, self._counts)

    # Where commands went.

    def _kept(self, wanted: Sequence[Wanted]) -> dict[_Id, str | Refused]:
        """Of commands, and of those that are to be cancelled, what was decided before and still counts."""
        seqs: dict[_Id, int] = {}
        for one in wanted:
            seqs.setdefault(one.id, one.seq)
        ids = sorted({*seqs, *((one.inbox, one.target) for one in wanted if one.target)})
        found: dict[_Id, str | Refused] = {}
        for inbox, command_id, session, seq, status, expires in self._stored(ids):
            # What was rejected was not sent (ADR 0007): a later command of the id is given to whom it may be given now.
            open_again = status == "rejected" and seq < seqs.get((inbox, command_id), seq)
            if expires > self._now and not open_again:
                found[inbox, command_id] = session
        # Refused before it was given to any, or on record from before a restore: `claim` tells it as it ended.
        for inbox, command_id, seq, status in self._unplaced([one for one in seqs if one not in found]):
            if status != "rejected" or seq >= seqs[inbox, command_id]:
                found[inbox, command_id] = Refused(ErrorCode.E_SESSION_NOT_READY)
        return found

    def _stored(self, ids: Sequence[_Id]) -> list[tuple[str, str, str, int, str | None, int]]:
        return self._joined(
            inbox_commands,
            ("inbox", "command_id"),
            ids,
            "c.inbox, c.command_id, c.session, c.command_seq, i.status, c.expires_at",
            "LEFT JOIN idempotency i ON i.tenant = c.tenant AND i.session = c.session "
            "AND i.command_id = c.command_id",
        )

    def _unplaced(self, ids: Sequence[_Id]) -> list[tuple[str, str, int, str]]:
        rows = self._joined(
            idempotency,
            ("session", "command_id"),
            ids,
            "c.session, c.command_id, c.command_seq, c.status, c.expires_at",
        )
        return [row[:4] for row in rows if row[4] > self._now]

    def _keep(self, new: Mapping[_Id, tuple[Wanted, str]]) -> dict[_Id, str]:
        """Writes where commands go; of those that somebody else was quicker with, where he sent them."""
        rows = [
            (self._tenant, inbox, command_id, session, one.seq, one.chat, self._now, one.due_at, one.expires)
            for (inbox, command_id), (one, session) in sorted(new.items())
        ]
        names = ("session", "command_seq", "chat", "chosen_at", "due_at", "expires_at")
        changes = ", ".join(f"{name} = excluded.{name}" for name in names)
        written = insert_rows(
            self._conn,
            inbox_commands,
            ("tenant", "inbox", "command_id", *names),
            rows,
            f"(tenant, inbox, command_id) DO UPDATE SET {changes} "
            "WHERE inbox_commands.expires_at <= excluded.chosen_at "
            "OR (inbox_commands.command_seq < excluded.command_seq AND EXISTS (SELECT 1 FROM idempotency i "
            "WHERE i.tenant = inbox_commands.tenant AND i.session = inbox_commands.session "
            "AND i.command_id = inbox_commands.command_id AND i.status = 'rejected'))",
        )
        if written == len(rows):
            return {}
        return {(row[0], row[1]): row[2] for row in self._stored(sorted(new))}

    # Who belongs to which session.

    def _people(self, key: TenantKey, sends: Sequence[Wanted]) -> dict[_Id, _Person]:
        keys = aliases(self._conn, self._tenant, key, {one.address for one in sends}) if sends else {}
        return {one.id: (one.inbox, keys[one.address]) for one in sends}

    def _sessions(self, people: Collection[_Person]) -> dict[_Person, str | Refused]:
        rows = self._rows(people)
        strangers = [person for person in people if not _of(rows, person)]
        known = self._known(strangers)
        bound = {person: _oldest(_of(rows, person)) or known.get(person) for person in people}
        why = {
            person: reason
            for person, one in bound.items()
            if one is not None and (reason := self._lost(self._settings[person[0]], one))
        }
        kept = {person: one.session for person, one in bound.items() if one is not None and person not in why}
        why |= dict.fromkeys(self._newcomers.refused(kept), "quota")
        waiting = self._waiting(
            {person: one for person, one in bound.items() if one is not None and person in why}
        )
        where: dict[_Person, str | Refused] = {}
        put: dict[_Person, _Contact] = {}
        for person in sorted(people):
            inbox, contact = self._settings[person[0]], bound[person]
            if person in why and contact is not None and person not in waiting:
                contact = self._moved(inbox, contact, why[person]) or contact
            if contact is None:
                session = self._pick(inbox)
                if session is None:
                    where[person] = self._nobody(inbox)
                    continue
                contact = _Contact("", inbox.inbox, "", session, self._now)
            put[person] = contact
            where[person] = contact.session
        where.update(self._bind(put, rows))
        return where

    def _lost(self, inbox: InboxRow, contact: _Contact) -> str | None:
        """Why the person should go on with another session, if they should."""
        standing = self._standing(contact.session)
        if not standing.exists or contact.session not in inbox.sessions:
            return "gone"
        if inbox.failover != "never" and standing.banned:
            return "banned"
        away = not standing.works and standing.away_ms >= inbox.cooldown_s * 1000
        return "stopped" if inbox.failover == "stopped" and away else None

    def _waiting(self, lost: Mapping[_Person, _Contact]) -> set[_Person]:
        """Those of whom a command may still be queued with a session that is there: it would be overtaken."""
        pairs = {
            (one, person[0]): person
            for person, contact in lost.items()
            if self._standing(contact.session).exists
            for one in person[1]
        }
        rows = self._joined(
            inbox_commands,
            ("chat", "inbox"),
            sorted(pairs),
            "c.chat, c.inbox, c.session, c.chosen_at, c.due_at, i.status",
            "LEFT JOIN idempotency i ON i.tenant = c.tenant AND i.session = c.session "
            "AND i.command_id = c.command_id",
        )
        return {
            pairs[chat, inbox]
            for chat, inbox, session, chosen_at, due_at, status in rows
            if session == lost[pairs[chat, inbox]].session
            and due_at <= self._now
            and (status in _WAITS or (status is None and chosen_at > self._now - _UNCLAIMED_MS))
        }

    def _moved(self, inbox: InboxRow, contact: _Contact, why: str) -> _Contact | None:
        """With another session that works; None when there is none."""
        session = self._pick(inbox, works=True)
        if session is None or session == contact.session:
            return None
        self._moves.append(Move(inbox.inbox, contact.chat, contact.session, session, why))
        return contact._replace(session=session, since=self._now)

    def _pick(self, inbox: InboxRow, *, works: bool = False) -> str | None:
        """For somebody new to it: a session that works, else (unless it has to) one that is about to again."""
        free = [name for name in inbox.sessions if self._free(name)]
        some = [name for name in free if self._standing(name).works]
        if not some and not works:
            some = [name for name in free if self._standing(name).passing]
        if not some:
            return None
        session = some[0] if inbox.spread == "first_working" else self._with_fewest(inbox.inbox, some)
        self._newcomers.take(session)
        return session

    def _with_fewest(self, inbox: str, sessions: Sequence[str]) -> str:
        if inbox not in self._counts:
            self._counts[inbox] = Counter(inboxes.people(self._conn, self._tenant, inbox))
        counts = self._counts[inbox]
        session = min(sessions, key=lambda name: counts[name])
        counts[session] += 1
        return session

    def _free(self, session: str) -> bool:
        standing = self._standing(session)
        return standing.exists and standing.held_until <= self._now and self._newcomers.fit(session)

    def _nobody(self, inbox: InboxRow) -> Refused:
        """Why somebody new is given to none."""
        ready = [one for one in map(self._standing, inbox.sessions) if one.works or one.passing]
        if any(one.held_until <= self._now for one in ready):
            return Refused(ErrorCode.E_QUOTA_EXCEEDED, self._newcomers.refusal)
        if ready:
            until = min(one.held_until for one in ready)
            details = {"retry_after_ms": until - self._now, "held_until": until}
            return Refused(ErrorCode.E_WHATSAPP_REACHOUT_LIMITED, details)
        return Refused(ErrorCode.E_SESSION_NOT_READY, {"retry_after_ms": AGAIN_MS})

    def _known(self, strangers: Collection[_Person]) -> dict[_Person, _Contact]:
        """Those who were in touch with a session before it was an inbox's: with the last one that it was."""
        rows = self._joined(
            chats,
            ("chat",),
            sorted({(one,) for _, keys in strangers for one in keys}),
            "c.chat, c.session, c.last_at",
        )
        found: dict[_Person, _Contact] = {}
        for person in strangers:
            inbox, keys = person
            last = max(
                (
                    (at, session)
                    for chat, session, at in rows
                    if chat in keys and session in self._settings[inbox].sessions
                ),
                default=None,
            )
            if last is not None:
                found[person] = _Contact(keys[0], inbox, keys[0], last[1], self._now)
        return found

    def _rows(self, people: Collection[_Person]) -> dict[tuple[str, str], _Contact]:
        pairs = sorted({(one, inbox) for inbox, keys in people for one in keys})
        rows = self._joined(
            inbox_contacts, ("chat", "inbox"), pairs, "c.chat, c.inbox, c.person, c.session, c.since"
        )
        return {(row[0], row[1]): _Contact(*row) for row in rows}

    def _bind(
        self, put: Mapping[_Person, _Contact], rows: Mapping[tuple[str, str], _Contact]
    ) -> dict[_Person, str]:
        """Writes who belongs to which session; of people whom somebody else gave to another meanwhile, that one."""
        wanted = {person: _rows_of(person, contact) for person, contact in put.items()}
        new = [one for found in wanted.values() for one in found if (one.chat, one.inbox) not in rows]
        changed = [
            one
            for found in wanted.values()
            for one in found
            if (old := rows.get((one.chat, one.inbox))) is not None and old[:4] != one[:4]
        ]
        written = self._write(new, "DO NOTHING")
        self._change(changed)
        if written == len(new):
            return {}
        return self._give_way({person: found for person, found in wanted.items() if not _of(rows, person)})

    def _give_way(self, mine: Mapping[_Person, list[_Contact]]) -> dict[_Person, str]:
        """New people whom another replica has given to a session, in a transaction beside this one: to that one."""
        rows = self._rows(mine.keys())
        where: dict[_Person, str] = {}
        for person, found in mine.items():
            theirs = [one for one in _of(rows, person) if one not in found]
            first = _oldest(theirs)
            if first is not None:
                where[person] = first.session
                self._change(_rows_of(person, first))
        return where

    def _write(self, contacts: Sequence[_Contact], conflict: str) -> int:
        rows = [(self._tenant, *one) for one in sorted(contacts)]
        columns = ("tenant", *_Contact._fields)
        return insert_rows(self._conn, inbox_contacts, columns, rows, conflict)

    def _change(self, contacts: Sequence[_Contact]) -> None:
        self._write(
            contacts,
            "(tenant, chat, inbox) DO UPDATE SET person = excluded.person, session = excluded.session, "
            "since = excluded.since",
        )

    def _joined(
        self,
        table: Table,
        key: tuple[str, ...],
        keys: Sequence[tuple[str, ...]],
        columns: str,
        more: str = "",
    ) -> list[Any]:
        """Rows ``c`` of a table by the columns behind its tenant."""
        if not keys:
            return []
        source = rows_source(is_postgres(self._conn), table, ("tenant", *key))
        same = " AND ".join(f"c.{name} = batch.{name}" for name in ("tenant", *key))
        sql = f"SELECT {columns} FROM {source} JOIN {table.name} c ON {same} {more}"
        parameters = rows_parameters([(self._tenant, *one) for one in keys])
        return list(self._conn.exec_driver_sql(sql, parameters).fetchall())


def _of(rows: Mapping[tuple[str, str], _Contact], person: _Person) -> list[_Contact]:
    inbox, keys = person
    return [rows[one, inbox] for one in keys if (one, inbox) in rows]


def _oldest(rows: Sequence[_Contact]) -> _Contact | None:
    return min(rows, key=lambda row: (row.since, row.session), default=None)


def _rows_of(person: _Person, contact: _Contact) -> list[_Contact]:
    """A row under each of a person's keys."""
    inbox, keys = person
    return [_Contact(one, inbox, keys[0], contact.session, contact.since) for one in keys]
