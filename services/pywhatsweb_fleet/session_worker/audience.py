"""Who may see a status: whom the command names, else the people of the session's chats, but nobody who opted out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.contracts.places import MAX_AUDIENCE, STATUS
from pywhatsweb.contracts.queued import Queued
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines.port import Engine, EngineError
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.lane import Interrupted
from pywhatsweb_fleet.storage import boards, optouts
from pywhatsweb_fleet.storage.faults import StorageUnavailable

log = structlog.get_logger(__name__)

READER_S: Final = 0.1
"""Seconds that a reader may take: each needs a ciphertext of their own, and at the first time a session."""
_RECIPIENT: Final = f"group:{STATUS}"
_CHOOSING: Final = "status_audience"


class Audience:
    """Of one session's statuses; of an engine that lets nobody choose it is whom the phone's settings name."""

    def __init__(self, deps: Deps, events: FencedEvents, engine: Engine) -> None:
        self._deps = deps
        self._events = events
        self._engine = engine

    async def resolve(self, queued: Queued, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body with `audience` as an engine takes it; as it is for what is no status, or has none to choose.

        A deletion that names nobody stays so: the engine knows to whom the status went. Raises
        EngineError(E_EMPTY_AUDIENCE), and Interrupted while the database is away.
        """
        if queued.recipient != _RECIPIENT or (queued.verb == "delete" and not body.get("audience")):
            return body
        if (known := self._engine.capabilities) and _CHOOSING not in known:
            return body
        named = [_address(str(who), self._events.region) for who in body.get("audience") or ()]
        try:
            readers = await self._deps.store.read(
                _readers, self._events.tenant, self._events.key, self._events.session, named
            )
        except StorageUnavailable as error:
            log.warning("a status waits for the database", session=self._events.session, error=error.code)
            raise Interrupted(error.code) from error
        if not readers:
            raise EngineError("E_EMPTY_AUDIENCE")
        return {**body, "audience": [_engines(reader) for reader in readers]}


def patience_s(queued: Queued, body: Mapping[str, Any]) -> float:
    """How much longer than a message a status may take."""
    if queued.recipient != _RECIPIENT:
        return 0.0
    return READER_S * (len(body.get("audience") or ()) or MAX_AUDIENCE)


def _address(who: str, region: str) -> str:
    from pywhatsweb import phone  # megabytes that a worker else does without

    found = phone.parse_recipient(who, region)
    return f"{found.kind}:{found.value}"


def _engines(address: str) -> dict[str, str]:
    kind, _, value = address.partition(":")
    return {kind: value}


def _readers(conn: Connection, tenant: str, key: TenantKey, session: str, named: Sequence[str]) -> list[str]:
    readers = [*dict.fromkeys(named)] or _partners(conn, tenant, session)
    wishes = {optouts.Wish(reader, session, marketing=True): reader for reader in readers}
    out = {wishes[wish] for wish in optouts.blocked(conn, tenant, key, [*wishes], now=0)}
    return [reader for reader in readers if reader not in out]


def _partners(conn: Connection, tenant: str, session: str) -> list[str]:
    """The people of the session's chats, the latest first."""
    rows = boards.page(conn, tenant, session=session, limit=MAX_AUDIENCE)
    found = (f"pn:{row.pn}" if row.pn else f"lid:{row.lid}" for row in rows if row.pn or row.lid)
    return [*dict.fromkeys(found)]
