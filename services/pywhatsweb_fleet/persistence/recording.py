"""Batches of rows, one transaction; every part of it may run again without a trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from pywhatsweb.contracts.statuses import Origin
from pywhatsweb_fleet.persistence.leaving_words import heed
from pywhatsweb_fleet.persistence.rows import Rows
from pywhatsweb_fleet.storage import boards, conversation, idempotency, people, sessions, usage
from pywhatsweb_fleet.storage.conversation import MessageRow
from pywhatsweb_fleet.storage.people import Sighting

_AGAIN_AFTER_MS = 3_600_000
_MOST_KNOWN = 50_000


def record(conn: Connection, batches: Sequence[Rows]) -> list[None]:
    """All of it, for `GroupCommit.submit_to`: several tenants' batches cost as many statements as one.

    The order of the tables is the same everywhere: replicas wait for, never on, one another.
    """
    rows = batches[0]
    if len(batches) > 1:
        rows = Rows()
        for batch in batches:
            rows.add(batch)
    _record(conn, rows)
    return [None] * len(batches)


def _record(conn: Connection, rows: Rows) -> None:
    new = conversation.record_messages(conn, rows.messages.values())
    conversation.record_statuses(conn, rows.statuses.values())
    if rows.happenings:
        sessions.record_happenings(conn, rows.happenings.values())
    if rows.states:
        sessions.record_states(conn, rows.states)
    if rows.groups:
        sessions.record_groups(conn, rows.groups)
    if rows.activities:
        boards.record_activity(conn, rows.activities.values())
    if rows.cards:
        boards.record_cards(conn, rows.cards)
    if rows.activities or rows.cards:
        told = [(one.tenant, one.session, one.chat) for one in rows.activities.values()]
        told += [(one.tenant, one.session, one.chat) for one in rows.cards]
        boards.follow_joined(conn, told)
    if rows.sightings:
        people.observe(conn, rows.sightings)
    if rows.outcomes:
        idempotency.outcome(conn, [step for steps in rows.outcomes.values() for step in steps])
    # Last: all that record a session's messages wait for each other's row of its day until they commit.
    usage.add(conn, filter(None, (_metered(row) for row in new if row.event_id not in rows.history)))
    # And after it, for nearly no batch has one: an entry in the trail waits for the tenant's others.
    if rows.heard:
        heed(conn, rows)


def _metered(row: MessageRow) -> usage.Amount | None:
    """What a message that was recorded for the first time counts as; what was written on a phone as nothing."""
    if row.kind != "message" or (row.origin == Origin.OUTBOUND and row.command_id is None):
        return None
    what = usage.RECEIVED if row.origin == Origin.INBOUND else usage.SENT
    return usage.Amount(row.tenant, usage.day_of(row.recorded_at), row.session, what, 1)


class Familiar:
    """People whose sighting would change nothing: most messages come from somebody who was just seen, unchanged."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None, str | None, str | None], int] = {}

    def news(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """Those worth writing: other than what was committed, or an hour later (so that the newest name wins)."""
        return [
            one
            for one in sightings
            if (at := self._known.get(one[:4])) is None or not at <= one.at < at + _AGAIN_AFTER_MS
        ]

    def committed(self, sightings: Iterable[Sighting]) -> None:
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        for one in sightings:
            self._known[one[:4]] = max(one.at, self._known.get(one[:4], 0))

    def forget(self) -> None:
        self._known.clear()
