"""The platform's control plane: ``wa.ops.<noun>.<verb>``, which no tenant's account has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.msg import Msg

from pywhatsweb.contracts import codec, control, platform_data, subjects
from pywhatsweb.errors import ErrorCode, PyWhatsWebError, RequestError
from pywhatsweb_fleet.broker.process import BrokerRefused
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus

log = structlog.get_logger(__name__)

Answer = Callable[[Any], Awaitable[Any]]
_MAX_REQUEST_BYTES: Final = 64 * 1024
_AT_ONCE: Final = 16
_STOP_BOUND_S: Final = 5.0
_REFUSALS: Final = (
    (StorageUnavailable, ErrorCode.E_STORAGE_UNAVAILABLE),
    (BrokerUnavailable, ErrorCode.E_BROKER_UNAVAILABLE),
    (BrokerRefused, ErrorCode.E_BROKER_UNAVAILABLE),
    (ApiError, ErrorCode.E_BROKER_UNAVAILABLE),
)


async def respond(answers: Mapping[str, Answer], message: Msg) -> None:
    """Answers one request, whatever it is."""
    form: codec.Form = codec.form_of(message.data) if message.data else "json"
    verb = ".".join(message.subject.split(".")[2:])
    try:
        if len(message.data) > _MAX_REQUEST_BYTES:
            raise RequestError(ErrorCode.E_BODY_TOO_LARGE, {"limit": _MAX_REQUEST_BYTES})
        args = platform_data.parse(verb, message.data)
        body = control.success(await answers[verb](args), form)
    except PyWhatsWebError as error:
        body = control.failure(error.code, error.details, form)
    except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets an answer
        code = next((code for kind, code in _REFUSALS if isinstance(error, kind)), ErrorCode.E_INTERNAL)
        # Its words may quote a configuration, and so a password.
        log.error("a request failed", verb=verb, error=type(error).__name__)  # noqa: TRY400
        body = control.failure(code, None, form)
    with contextlib.suppress(nats.errors.Error, ValueError):  # ValueError: published, not asked
        await message.respond(body)


@contextlib.asynccontextmanager
async def answering(bus: Bus, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
    """Answers while the block lasts; at its end what was begun is answered still."""
    running: set[asyncio.Task[None]] = set()
    room = asyncio.Semaphore(_AT_ONCE)

    def done(task: asyncio.Task[None]) -> None:
        running.discard(task)
        room.release()

    async def on_request(message: Msg) -> None:
        await room.acquire()
        task = asyncio.create_task(respond(answers, message))
        running.add(task)
        task.add_done_callback(done)

    subscription = await bus.client.subscribe(subjects.ALL_OPERATIONS, queue="tenancy", cb=on_request)
    try:
        await bus.heard()
        yield
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
        if running:
            await asyncio.wait(running, timeout=_STOP_BOUND_S)
