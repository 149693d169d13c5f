"""What is asked of a live session: checked here, done by the worker that owns it, told in the contract's words.

Nothing is asked twice: only a question that certainly reached nobody is put again (the session was between owners).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec

from pywhatsweb.contracts import live, streams, subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb.contracts.statuses import SessionStatus
from pywhatsweb.errors import ErrorCode, RequestError, SessionError
from pywhatsweb.phone import parse_recipient
from pywhatsweb_fleet.dispatcher.directory import Directory, decode_session
from pywhatsweb_fleet.dispatcher.engines import Engines
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_runtime import answering as control_plane
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.answering import Answer, Asked, FindTenant
from pywhatsweb_runtime.asking import Ask, ask_owner
from pywhatsweb_runtime.bus import BrokerUnavailable, Bus, NobodyAnswers
from pywhatsweb_runtime.direct import reading

AT_ONCE: Final = 512
"""Questions under way in this replica: they wait for WhatsApp, and cost nothing meanwhile."""
OF_A_TENANT: Final = 64
_GRACE_S: Final = 2.0
_PAUSE_S: Final = 0.1
_PATIENCE_S: Final = 2.0
"""A session that is handed from one worker to another is nobody's for a moment."""
_RETRY_MS: Final = 500
_PAGE: Final = 500

_ENDS: Final = {
    SessionStatus.LOGGED_OUT: ErrorCode.E_SESSION_LOGGED_OUT,
    SessionStatus.REPLACED: ErrorCode.E_SESSION_REPLACED,
    SessionStatus.BANNED: ErrorCode.E_WHATSAPP_BANNED,
    SessionStatus.FAILED: ErrorCode.E_SESSION_FAILED,
    SessionStatus.STOPPED: ErrorCode.E_SESSION_STOPPED,
}


class Live:
    """Asks owners."""

    def __init__(
        self, bus: Bus, directory: Directory, engines: Engines, *, budget_s: float = live.BUDGET_S
    ) -> None:
        self._bus = bus
        self._directory = directory
        self._engines = engines
        self._budget_s = budget_s
        self._under_way: Counter[TenantId] = Counter()

    async def ask(
        self,
        tenant: Tenant,
        session: str,
        verb: str,
        content: dict[str, Any] | None = None,
        to: dict[str, str] | None = None,
    ) -> Any:
        """The engine's data. Raises SessionError or RequestError."""
        await self.check(tenant, session, verb)
        acts = live.acts(verb)
        question = Ask(
            verb=verb, content=content or {}, to=to, budget_ms=round(self._budget_s * 1000), acts=acts
        )
        with self._place(tenant):
            try:
                return await self._put(tenant, session, question)
            except NobodyAnswers:
                raise SessionError(
                    ErrorCode.E_SESSION_NOT_READY, {"reason": "no worker owns it now"}
                ) from None
            except BrokerUnavailable:
                raise RequestError(ErrorCode.E_OUTCOME_UNKNOWN if acts else ErrorCode.E_TIMEOUT) from None

    async def any_working(self, tenant: Tenant, session: str | None) -> str:
        """The session that was named, or one of those that work. Raises SessionError(E_SESSION_NOT_READY)."""
        if session is not None:
            return session
        working = await self._working(tenant)
        if not working:
            raise SessionError(ErrorCode.E_SESSION_NOT_READY, {"reason": "none of the sessions is WORKING"})
        return random.choice(working)

    async def _working(self, tenant: Tenant) -> list[str]:
        found: list[str] = []
        sequence = 1
        async with reading(self._bus) as reader:
            while True:
                page = await reader.batch(
                    streams.events_name(tenant.id), subjects.all_now(tenant.id), sequence, limit=_PAGE
                )
                for stored in page:
                    parsed = subjects.parse_session(stored.subject)
                    if parsed is not None and _status(stored.data) == SessionStatus.WORKING:
                        found.append(parsed[1])
                if len(page) < _PAGE:
                    return found
                sequence = page[-1].sequence + 1

    async def _put(self, tenant: Tenant, session: str, question: Ask) -> Any:
        until = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                return await ask_owner(self._bus, tenant.id, SessionId(session), question, _GRACE_S)
            except NobodyAnswers:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(_PAUSE_S)

    async def check(self, tenant: Tenant, session: str, verb: str) -> None:
        """Raises SessionError, saying why, when the session is not WORKING; RequestError for what its engine cannot."""
        entry = await self._directory.session_bucket.newest(f"{tenant.id}.{session}")
        record = decode_session(entry) if entry is not None else None
        if record is None or record.wanted == "deleting":
            raise SessionError(ErrorCode.E_SESSION_NOT_FOUND)
        await self._check_engine(record.engine, verb)
        if record.wanted != "running":
            raise SessionError(ErrorCode.E_SESSION_STOPPED)
        stored = await self._bus.last(
            streams.events_name(tenant.id), subjects.now(tenant.id, SessionId(session))
        )
        status = _status(stored.data) if stored is not None else SessionStatus.STARTING
        if status != SessionStatus.WORKING:
            raise SessionError(_ENDS.get(status, ErrorCode.E_SESSION_NOT_READY), {"status": status.value})

    async def _check_engine(self, engine: str, verb: str) -> None:
        if self._engines.doubtful(engine, (verb,)):
            await self._engines.refresh()
        if self._engines.lacks(engine, (verb,)) is not None:
            raise RequestError(ErrorCode.E_UNSUPPORTED_TYPE, {"engine": engine, "kind": verb})

    @contextlib.contextmanager
    def _place(self, tenant: Tenant) -> Iterator[None]:
        """One tenant's slow sessions must not use up the room of all."""
        if self._under_way[tenant.id] >= OF_A_TENANT:
            raise RequestError(ErrorCode.E_RATE_LIMITED, {"retry_after_ms": _RETRY_MS})
        self._under_way[tenant.id] += 1
        try:
            yield
        finally:
            self._under_way[tenant.id] -= 1
            if not self._under_way[tenant.id]:
                del self._under_way[tenant.id]


def _status(raw: bytes) -> SessionStatus:
    try:
        told = registry.decode_now(raw).status
    except msgspec.MsgspecError:
        return SessionStatus.STARTING
    return SessionStatus.__members__.get(told, SessionStatus.STARTING)


def recipient(tenant: Tenant, to: str, *, path: str = "$.to") -> dict[str, str]:
    """A person, as an engine's action names them. Raises RequestError(E_INVALID_RECIPIENT) for a group."""
    found = parse_recipient(to, tenant.record.region)
    if found.kind == "group":
        raise RequestError(ErrorCode.E_INVALID_RECIPIENT, {"path": path})
    return {found.kind: found.value}


Handler = Callable[[Tenant, Any], Awaitable[Any]]


def answering(bus: Bus, answers: dict[str, Handler], find: FindTenant) -> AbstractAsyncContextManager[None]:
    """Answers while the block lasts."""

    def answer(handler: Handler) -> Answer:
        async def handle(asked: Asked) -> Any:
            if asked.record.suspended:
                raise RequestError(ErrorCode.E_TENANT_SUSPENDED)
            return await handler(Tenant(asked.tenant, asked.record), asked.args)

        return handle

    return control_plane.answering(
        bus,
        "live",
        "What live sessions are asked",
        {verb: answer(handler) for verb, handler in answers.items()},
        find=find,
        refusals={msgspec.ValidationError: ErrorCode.E_ENGINE_ERROR},
        at_once=AT_ONCE,
    )
