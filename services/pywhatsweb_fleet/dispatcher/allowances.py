"""How many commands a day a tenant, and each of its sessions, may bring, and to how many people for the first time.

The counts are in the database and grow in the transaction that claims the commands (`claims`): restarts, takeovers and
repeats change nothing about them. They are read before each batch, and only where there is a limit of a day.
"""

from __future__ import annotations

from collections.abc import Sequence

from pywhatsweb.contracts import ids
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.storage import usage
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.registry import TenantRecord


class Allowances:
    """Made with the database; keeps nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def refuse(self, tenant: Tenant, jobs: Sequence[Job], now_ms: int) -> set[str]:
        """Refuses what is beyond the day's allowance; the chats that are written to for the first time.

        Raises StorageUnavailable.
        """
        record = tenant.record
        open_jobs = [job for job in jobs if job.refusal is None]
        if not open_jobs or not (
            record.commands_per_day or record.session_commands_per_day or record.new_contacts_per_day
        ):
            return set()
        counts = await self._store.read(usage.of_day, tenant.id, usage.day_of(now_ms))
        strangers = await self._strangers(tenant, open_jobs) if record.new_contacts_per_day else set()
        day = _Day(record, counts, usage.left_of_day_ms(now_ms))
        return {job.chat_key for job in open_jobs if day.admit(job, stranger=job.chat_key in strangers)}

    async def _strangers(self, tenant: Tenant, jobs: Sequence[Job]) -> set[str]:
        people = {
            job.chat_key: usage.Person(
                job.chat_key, job.recipient[3:] if job.recipient.startswith("pn:") else None
            )
            for job in jobs
            if job.recipient.startswith(("pn:", "lid:"))
        }
        return await self._store.read(
            usage.strangers, tenant.id, list(people.values()), lambda lid: ids.chat_key(tenant.key, lid=lid)
        )


class _Day:
    """The counts as they will be after the jobs that were admitted so far."""

    def __init__(self, record: TenantRecord, counts: dict[tuple[str, str], int], left_ms: int) -> None:
        self._record = record
        self._left_ms = left_ms
        self._commands = sum(count for (_, what), count in counts.items() if what == usage.COMMANDS)
        self._new = sum(count for (_, what), count in counts.items() if what == usage.NEW_CONTACTS)
        self._sessions = {
            session: count for (session, what), count in counts.items() if what == usage.COMMANDS
        }
        self._met: set[str] = set()

    def admit(self, job: Job, *, stranger: bool) -> bool:
        """Refuses the job or counts it; whether it is the first one to a person."""
        own = self._sessions.get(job.session, 0)
        first = stranger and job.chat_key not in self._met
        for name, used, limit in (
            ("commands_per_day", self._commands, self._record.commands_per_day),
            ("session_commands_per_day", own, self._record.session_commands_per_day),
            ("new_contacts_per_day", self._new if first else -1, self._record.new_contacts_per_day),
        ):
            if limit and used >= limit:
                details = {"quota": name, "limit": limit, "retry_after_ms": self._left_ms}
                job.refuse(ErrorCode.E_QUOTA_EXCEEDED, details)
                return False
        self._commands += 1
        self._sessions[job.session] = own + 1
        if first:
            self._new += 1
            self._met.add(job.chat_key)
        return first
