"""A session's day's allowance of people whom it writes to for the first time, as an inbox's choice minds it.

What was used is counted where commands are claimed (`usage`); here only those who are being given to a session are
counted on. Without a limit nothing is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from pywhatsweb_fleet.storage import usage

LIMIT_NAME = "session_new_contacts_per_day"


class Newcomers:
    """Of one transaction. ``limit``: of a session and a day (UTC); 0: none."""

    def __init__(self, conn: Connection, tenant: str, limit: int, now: int) -> None:
        self._conn = conn
        self._tenant = tenant
        self._limit = limit
        self._now = now
        self._used: dict[str, int] | None = None

    @property
    def _counts(self) -> dict[str, int]:
        if self._used is None:
            found = usage.of_day(self._conn, self._tenant, usage.day_of(self._now))
            self._used = {
                session: count
                for (session, what), count in found.items()
                if what == usage.SESSION_NEW_CONTACTS
            }
        return self._used

    def fit(self, session: str) -> bool:
        """Whether it may write to one more."""
        return not self._limit or self._counts.get(session, 0) < self._limit

    def take(self, session: str) -> None:
        """Somebody new is given to it."""
        if self._limit:
            self._counts[session] = self._counts.get(session, 0) + 1

    def refused(
        self, sessions: Mapping[tuple[str, tuple[str, ...]], str]
    ) -> list[tuple[str, tuple[str, ...]]]:
        """Those people (an inbox, and all keys of one) who are new to their session, which may write to no more."""
        full = {person: session for person, session in sessions.items() if not self.fit(session)}
        known = usage.met(
            self._conn, self._tenant, {(session, key) for (_, keys), session in full.items() for key in keys}
        )
        return [
            person
            for person, session in full.items()
            if known.isdisjoint((session, key) for key in person[1])
        ]

    @property
    def refusal(self) -> dict[str, Any]:
        """Of an error that tells that no session may."""
        return {"quota": LIMIT_NAME, "limit": self._limit, "retry_after_ms": usage.left_of_day_ms(self._now)}
