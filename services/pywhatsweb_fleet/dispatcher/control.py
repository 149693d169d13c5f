"""The control plane's door: micro service endpoints on ``wa.ctl.*.…``, one envelope, one catalogue of errors."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import nats.micro
import structlog
from nats.micro.request import Request

from pywhatsweb import __version__
from pywhatsweb.contracts import codec, control, subjects
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.codec import Form
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode, PyWhatsWebError, SessionError, error_struct
from pywhatsweb_fleet.dispatcher import deadletters
from pywhatsweb_fleet.dispatcher.consumers import Consumers
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_fleet.dispatcher.sessions import Sessions
from pywhatsweb_fleet.dispatcher.settings import DispatcherSettings
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_fleet.storage import audit
from pywhatsweb_fleet.storage.conversation import StatusRow
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.idempotency import Record
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable
from pywhatsweb_runtime.health import Health

log = structlog.get_logger(__name__)

SERVICE = "pww-dispatcher"
MAX_REQUEST_BYTES = 64 * 1024
_AT_ONCE = 64
_STOP_BOUND_S = 5.0

_AUDITED = frozenset(f"session.{does}" for does in ("start", "stop", "restart", "logout", "delete"))
"""Verbs whose asker and address (headers ``Pww-Actor``, ``Pww-Address``, ``X-Correlation-Id``) go on record."""

Answer = Callable[[Tenant, Any], Awaitable[Any]]


class Control:
    """Made by `answering`."""

    def __init__(self, deps: Deps, settings: DispatcherSettings, health: Health) -> None:
        self._deps = deps
        self._health = health
        self._sessions = Sessions(
            deps.bus, deps.directory, deps.engines, settings.engine, settings.allowed_engines
        )
        self._consumers = Consumers(deps.bus)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.running: set[asyncio.Task[None]] = set()

    def answers(self) -> dict[str, Answer]:
        sessions = self._sessions
        return {
            "session.start": sessions.start,
            "session.stop": sessions.stop,
            "session.restart": sessions.restart,
            "session.logout": sessions.logout,
            "session.delete": sessions.delete,
            "session.status": sessions.status,
            "session.list": sessions.list,
            "session.qr": sessions.qr,
            "session.capabilities": sessions.capabilities,
            "message.status": self.message_status,
            "consumer.create": self._consumers.create,
            "consumer.delete": self._consumers.delete,
            "consumer.list": self._consumers.list,
            "health.get": self.health_get,
            **deadletters.answers(self._deps),
            **self._deps.templates.answers(),
            **self._deps.inboxes.answers(),
        }

    def endpoint(self, verb: str, answer: Answer) -> Callable[[Request], Awaitable[None]]:
        async def on_request(request: Request) -> None:
            # A task each: an endpoint's requests come one after another, and a slow one must not hold up all tenants.
            await self._room.acquire()
            task = asyncio.create_task(self._respond(verb, answer, request))
            self.running.add(task)
            task.add_done_callback(self._done)

        return on_request

    def _done(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self._room.release()

    async def _respond(self, verb: str, answer: Answer, request: Request) -> None:
        raw = request.data
        form: Form = codec.form_of(raw) if raw else "json"
        try:
            body = control.success(await self._answer(verb, answer, request), form)
        except PyWhatsWebError as error:
            body = control.failure(error.code, error.details, form)
        except BrokerUnavailable:
            body = control.failure(ErrorCode.E_BROKER_UNAVAILABLE, None, form)
        except StorageUnavailable:
            body = control.failure(ErrorCode.E_STORAGE_UNAVAILABLE, None, form)
        except ApiError as error:
            log.warning("the broker refused", verb=verb, code_number=error.code)
            body = control.failure(ErrorCode.E_INTERNAL, None, form)
        except Exception:
            log.exception("a request failed", verb=verb)
            body = control.failure(ErrorCode.E_INTERNAL, None, form)
        limit = self._deps.bus.client.max_payload
        if len(body) > limit:
            body = control.failure(ErrorCode.E_BODY_TOO_LARGE, {"limit": limit}, form)
        with contextlib.suppress(nats.errors.Error, ValueError):  # ValueError: published, not asked
            await request.respond(body)

    async def _answer(self, verb: str, answer: Answer, request: Request) -> Any:
        tenant = await self._tenant(request.subject)
        if len(request.data) > MAX_REQUEST_BYTES:
            raise SessionError(ErrorCode.E_BODY_TOO_LARGE, {"limit": MAX_REQUEST_BYTES})
        args = control.parse(verb, request.data)
        result = await answer(tenant, args)
        if verb in _AUDITED:
            await self._note(verb, tenant, args, request.headers or {})
        return result

    async def _note(self, verb: str, tenant: Tenant, args: d.SessionRef, headers: Mapping[str, str]) -> None:
        """On record: who did what to a session. What was done stays done when the record cannot be written."""
        entry = audit.Entry(
            tenant.id, time.time_ns() // 1_000_000, headers.get("Pww-Actor", "tenant"), verb, args.session_id,
            address=headers.get("Pww-Address"), correlation_id=headers.get("X-Correlation-Id"),
        )  # fmt: skip
        try:
            await self._deps.claims.note(entry)
        except StorageUnavailable:
            log.warning("an act is not on record: the database is away", verb=verb, tenant=tenant.id)

    async def _tenant(self, subject: str) -> Tenant:
        parsed = subjects.parse_control(subject)
        if parsed is None or not subjects.valid_name(parsed[0]):
            raise SessionError(ErrorCode.E_INVALID_TENANT_ID)
        tenants = self._deps.directory.tenants
        if parsed[0] not in tenants:
            await self._deps.directory.sweep_tenants()
            tenants = self._deps.directory.tenants
        tenant = tenants.get(TenantId(parsed[0]))
        if tenant is None:
            raise SessionError(ErrorCode.E_TENANT_NOT_FOUND)
        return tenant

    async def message_status(self, tenant: Tenant, args: d.MessageStatusArgs) -> d.MessageStatusInfo:
        record = await self._deps.claims.lookup(tenant.id, args.id, args.session_id)
        if record is None:
            raise SessionError(ErrorCode.E_COMMAND_NOT_FOUND)
        return d.MessageStatusInfo(
            id=record.command_id,
            session_id=record.session,
            status=_status(record, record.changed_at),
            history=[
                _status(step, step.at or step.recorded_at) for step in await self._deps.claims.history(record)
            ],
        )

    async def health_get(self, tenant: Tenant, _args: d.Nothing) -> d.Health:
        parts = {
            name: d.HealthPart(ok=problem is None, detail=problem)
            for name, problem in ((name, check()) for name, check in self._health.checks.items())
        }
        return d.Health(
            ok=all(part.ok for part in parts.values()),
            version=__version__,
            parts=parts,
            sessions=await self._sessions.count_by_status(tenant),
        )


def _status(row: Record | StatusRow, at: int) -> Status:
    """A step of a command, with its time."""
    return Status(
        command_id=row.command_id,
        message_id=row.message_id or None,
        status=MessageStatus(row.status),
        error=error_struct(ErrorCode.from_wire(row.error)) if row.error else None,
        at=timestamp(at),
    )


@contextlib.asynccontextmanager
async def answering(deps: Deps, settings: DispatcherSettings, health: Health) -> AsyncIterator[str]:
    """Answers while the block lasts, under the service id that it gives; what was begun is answered still."""
    served = Control(deps, settings, health)
    service = await nats.micro.add_service(
        deps.bus.client,
        name=SERVICE,
        version=__version__,
        description="Sessions and commands of the tenants",
        queue_group="dispatcher",
    )
    try:
        for verb, answer in served.answers().items():
            await service.add_endpoint(
                name=verb.replace(".", "-"),
                subject=f"{subjects.ALL_CONTROL}.{verb}",
                handler=served.endpoint(verb, answer),
            )
        yield service.id
    finally:
        with contextlib.suppress(nats.errors.Error):
            await service.stop()
        if served.running:
            await asyncio.wait(served.running, timeout=_STOP_BOUND_S)
