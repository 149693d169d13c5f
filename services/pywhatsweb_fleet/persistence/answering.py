"""The record's part of the control plane: micro service endpoints on ``wa.ctl.*.…``.

The tenant is the subject's third token, which the broker vouches for (ARCHITECTURE §4.9), never a field of the body.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats.errors
import nats.micro
import structlog
from nats.micro.request import Request

from pywhatsweb import __version__
from pywhatsweb.contracts import codec, control, subjects
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.errors import ErrorCode, PyWhatsWebError, RequestError
from pywhatsweb_fleet.persistence.queries import Asker, Queries
from pywhatsweb_fleet.persistence.tenants import Tenants
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus

log = structlog.get_logger(__name__)

_MAX_REQUEST_BYTES = 64 * 1024
_AT_ONCE = 32
_STOP_BOUND_S = 5.0

Answer = Callable[[Asker, Any], Awaitable[Any]]


class Answering:
    """Made by `answering`."""

    def __init__(self, queries: Queries, tenants: Tenants) -> None:
        self._tenants = tenants
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.running: set[asyncio.Task[None]] = set()
        self.answers: dict[str, Answer] = {
            "chat.list": queries.chat_list,
            "chat.messages": queries.chat_messages,
            "message.search": queries.message_search,
            "analytics.counts": queries.analytics_counts,
            "analytics.responses": queries.analytics_responses,
            "contact.get": queries.contact_get,
            "contact.list": queries.contact_list,
            "audit.list": queries.audit_list,
        }

    def endpoint(self, verb: str) -> Callable[[Request], Awaitable[None]]:
        async def on_request(request: Request) -> None:
            # A task each, so many at once: one slow question must not hold up all tenants.
            await self._room.acquire()
            task = asyncio.create_task(self._respond(verb, request))
            self.running.add(task)
            task.add_done_callback(self._done)

        return on_request

    def _done(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self._room.release()

    async def _respond(self, verb: str, request: Request) -> None:
        form: codec.Form = codec.form_of(request.data) if request.data else "json"
        try:
            body = control.success(await self._answer(verb, request), form)
        except PyWhatsWebError as error:
            body = control.failure(error.code, error.details, form)
        except StorageUnavailable:
            body = control.failure(ErrorCode.E_STORAGE_UNAVAILABLE, None, form)
        except (BrokerUnavailable, ApiError):
            body = control.failure(ErrorCode.E_BROKER_UNAVAILABLE, None, form)
        except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets an answer
            # No traceback: its values are people's.
            log.error("a question failed", verb=verb, error=type(error).__name__)  # noqa: TRY400
            body = control.failure(ErrorCode.E_INTERNAL, None, form)
        with contextlib.suppress(nats.errors.Error):
            await request.respond(body)

    async def _answer(self, verb: str, request: Request) -> Any:
        parsed = subjects.parse_control(request.subject)
        record = await self._tenants.find(parsed[0]) if parsed is not None else None
        if parsed is None or record is None:
            raise RequestError(ErrorCode.E_TENANT_NOT_FOUND)
        if len(request.data) > _MAX_REQUEST_BYTES:
            raise RequestError(ErrorCode.E_BODY_TOO_LARGE, {"limit": _MAX_REQUEST_BYTES})
        asker = Asker(parsed[0], TenantKey(record.key), record.region)
        return await self.answers[verb](asker, control.parse(verb, request.data))


@contextlib.asynccontextmanager
async def answering(bus: Bus, queries: Queries, tenants: Tenants) -> AsyncIterator[None]:
    """Answers while the block lasts; at its end what was begun is answered still."""
    served = Answering(queries, tenants)
    service = await nats.micro.add_service(
        bus.client,
        name="pww-persistence",
        version=__version__,
        description="Questions about the record",
        queue_group="persistence",
    )
    try:
        for verb in served.answers:
            await service.add_endpoint(
                name=verb.replace(".", "-"),
                subject=f"{subjects.ALL_CONTROL}.{verb}",
                handler=served.endpoint(verb),
            )
        yield
    finally:
        with contextlib.suppress(nats.errors.Error):
            await service.stop()
        if served.running:
            await asyncio.wait(served.running, timeout=_STOP_BOUND_S)
