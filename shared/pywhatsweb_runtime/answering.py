"""A service's part of the control plane: NATS micro service endpoints on ``wa.ctl.*.<noun>.<verb>``.

The tenant is the subject's third token, which the broker vouches for (ARCHITECTURE §4.9), never a field of the body.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import nats.errors
import nats.micro
import structlog
from nats.micro.request import Request

from pywhatsweb import __version__
from pywhatsweb.contracts import codec, control, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import ErrorCode, PyWhatsWebError, RequestError
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_MAX_REQUEST_BYTES = 64 * 1024
_AT_ONCE = 32
_STOP_BOUND_S = 5.0
_MAX_TOLD = 128


class Asker(NamedTuple):
    """For the audit trail, as the request's headers tell: ``Pww-Actor``, ``Pww-Address``, ``X-Correlation-Id``."""

    actor: str = "tenant"
    address: str | None = None
    correlation_id: str | None = None


def asker_of(headers: Mapping[str, str]) -> Asker:
    """What is not told, or is longer than the trail keeps, is left out."""
    found = {name: headers.get(name) for name in ("Pww-Actor", "Pww-Address", "X-Correlation-Id")}
    actor, address, correlation = (
        value if value and len(value) <= _MAX_TOLD else None for value in found.values()
    )
    return Asker(actor or "tenant", address, correlation)


class Asked(NamedTuple):
    """A request: which tenant asks, the verb's arguments, and who it was."""

    tenant: TenantId
    record: TenantRecord
    args: Any
    by: Asker = Asker()


Answer = Callable[[Asked], Awaitable[Any]]
"""To the result's Struct. Raises PyWhatsWebError for what the asker is to know."""
FindTenant = Callable[[str], Awaitable[TenantRecord | None]]
Refusals = Mapping[type[Exception], ErrorCode]
"""What else an answer may raise, and what the asker is told then."""


class _Answering:
    def __init__(
        self,
        answers: Mapping[str, Answer],
        find: FindTenant,
        refusals: Refusals,
        max_request_bytes: int,
        at_once: int,
    ) -> None:
        self._answers = answers
        self._max_request_bytes = max_request_bytes
        self._find = find
        self._refusals: Refusals = {
            BrokerUnavailable: ErrorCode.E_BROKER_UNAVAILABLE,
            ApiError: ErrorCode.E_BROKER_UNAVAILABLE,
            **refusals,
        }
        self._room = asyncio.Semaphore(at_once)
        self.running: set[asyncio.Task[None]] = set()

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
        except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets an answer
            code = next((code for kind, code in self._refusals.items() if isinstance(error, kind)), None)
            if code is None:
                # No traceback: its values are people's.
                log.error("a question failed", verb=verb, error=type(error).__name__)  # noqa: TRY400
            body = control.failure(code or ErrorCode.E_INTERNAL, None, form)
        with contextlib.suppress(nats.errors.Error):
            await request.respond(body)

    async def _answer(self, verb: str, request: Request) -> Any:
        parsed = subjects.parse_control(request.subject)
        record = await self._find(parsed[0]) if parsed is not None else None
        if parsed is None or record is None:
            raise RequestError(ErrorCode.E_TENANT_NOT_FOUND)
        if len(request.data) > self._max_request_bytes:
            raise RequestError(ErrorCode.E_BODY_TOO_LARGE, {"limit": self._max_request_bytes})
        args = control.parse(verb, request.data)
        return await self._answers[verb](
            Asked(TenantId(parsed[0]), record, args, asker_of(request.headers or {}))
        )


@contextlib.asynccontextmanager
async def answering(
    bus: Bus,
    name: str,
    description: str,
    answers: Mapping[str, Answer],
    *,
    find: FindTenant,
    refusals: Refusals,
    max_request_bytes: int = _MAX_REQUEST_BYTES,
    at_once: int = _AT_ONCE,
) -> AsyncIterator[None]:
    """Answers ``answers`` as ``pww-<name>`` while the block lasts; at its end what was begun is answered still."""
    served = _Answering(answers, find, refusals, max_request_bytes, at_once)
    service = await nats.micro.add_service(
        bus.client,
        name=f"pww-{name}",
        version=__version__,
        description=description,
        queue_group=name,
    )
    try:
        for verb in answers:
            await service.add_endpoint(
                name=verb.replace(".", "-"),
                subject=f"{subjects.ALL_CONTROL}.{verb}",
                handler=served.endpoint(verb),
            )
        await bus.heard()
        yield
    finally:
        with contextlib.suppress(nats.errors.Error):
            await service.stop()
        if served.running:
            await asyncio.wait(served.running, timeout=_STOP_BOUND_S)
