"""How many commands a day a tenant, and each of its sessions, may bring, and to how many people for the first time.

The counts are in the database and grow in the transaction that claims the commands (`claims`): restarts, takeovers and
repeats change nothing about them. They are read before each batch, and only where there is a limit of a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from pywhatsweb.contracts import ids
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.storage import usage
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.registry import TenantRecord

_LIMITS: Final = (
    "commands_per_day",
    "session_commands_per_day",
    "new_contacts_per_day",
    "session_new_contacts_per_day",
)


class Firsts(NamedTuple):
    """What is written for the first time: chats that are new to the tenant, and pairs of a session and a chat that is
    new to it. Each only where there is a limit."""

    chats: set[str]
    pairs: set[tuple[str, str]]


class Allowances:
    """Made with the database; keeps nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def refuse(self, tenant: Tenant, jobs: Sequence[Job], now_ms: int) -> Firsts:
        """Refuses what is beyond the day's allowance; what of the rest is written for the first time.

        Raises StorageUnavailable.
        """
        record = tenant.record
        open_jobs = [job for job in jobs if job.refusal is None]
        if not open_jobs or not any(getattr(record, name) for name in _LIMITS):
            return Firsts(set(), set())
        counts = await self._store.read(usage.of_day, tenant.id, usage.day_of(now_ms))
        day = _Day(
            record, counts, await self._strangers(tenant, open_jobs), left_ms=usage.left_of_day_ms(now_ms)
        )
        for job in open_jobs:
            day.admit(job)
        return day.met

    async def _strangers(self, tenant: Tenant, jobs: Sequence[Job]) -> Firsts:
        people = {
            (job.session, job.chat_key): usage.Person(
                job.chat_key, job.recipient[3:] if job.recipient.startswith("pn:") else None
            )
            for job in jobs
            if job.recipient.startswith(("pn:", "lid:"))
        }
        found = Firsts(set(), set())
        if tenant.record.new_contacts_per_day:
            named = list({person.chat: person for person in people.values()}.values())
            found.chats.update(await self._store.read(usage.strangers, tenant.id, named, _key_of_lid(tenant)))
        if tenant.record.session_new_contacts_per_day:
            pairs = [(session, person) for (session, _), person in people.items()]
            found.pairs.update(
                await self._store.read(usage.strangers_to, tenant.id, pairs, _key_of_lid(tenant))
            )
        return found


def _key_of_lid(tenant: Tenant) -> Callable[[str], str]:
    return lambda lid: ids.chat_key(tenant.key, lid=lid)


class _Day:
    """The counts as they will be after the jobs that were admitted so far."""

    def __init__(
        self, record: TenantRecord, counts: dict[tuple[str, str], int], strangers: Firsts, *, left_ms: int
    ) -> None:
        self._record = record
        self._strangers = strangers
        self._left_ms = left_ms
        self.met = Firsts(set(), set())
        self._commands = sum(count for (_, what), count in counts.items() if what == usage.COMMANDS)
        self._new = sum(count for (_, what), count in counts.items() if what == usage.NEW_CONTACTS)
        self._sessions = _of_sessions(counts, usage.COMMANDS)
        self._new_to = _of_sessions(counts, usage.SESSION_NEW_CONTACTS)

    def admit(self, job: Job) -> None:
        """Refuses the job or counts it."""
        own, pair = self._sessions[job.session], (job.session, job.chat_key)
        first = job.chat_key in self._strangers.chats and job.chat_key not in self.met.chats
        first_of_session = pair in self._strangers.pairs and pair not in self.met.pairs
        for name, used, limit in (
            ("commands_per_day", self._commands, self._record.commands_per_day),
            ("session_commands_per_day", own, self._record.session_commands_per_day),
            ("new_contacts_per_day", self._new if first else -1, self._record.new_contacts_per_day),
            (
                "session_new_contacts_per_day",
                self._new_to[job.session] if first_of_session else -1,
                self._record.session_new_contacts_per_day,
            ),
        ):
            if limit and used >= limit:
                details = {"quota": name, "limit": limit, "retry_after_ms": self._left_ms}
                job.refuse(ErrorCode.E_QUOTA_EXCEEDED, details)
                return
        self._commands += 1
        self._sessions[job.session] += 1
        if first:
            self._new += 1
            self.met.chats.add(job.chat_key)
        if first_of_session:
            self._new_to[job.session] += 1
            self.met.pairs.add(pair)


def _of_sessions(counts: Mapping[tuple[str, str], int], wanted: str) -> Counter[str]:
    return Counter({session: count for (session, what), count in counts.items() if what == wanted})
