"""What is asked of a session live (``wa.ask.…``): its owner does it at WhatsApp and answers; nobody else says a word.

A worker that lost a session may not know it yet and still hear its questions. So the stream's leader is asked who owns
it before anything is done, and again nothing is said once it is not ours: two workers never both act (docs/adr/0019).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec
import nats.errors
import structlog

from pywhatsweb.contracts import control
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, EngineSession, Recipient
from pywhatsweb_fleet.session_worker.session import OwnedSession
from pywhatsweb_runtime.asking import Ask, decode
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus

log = structlog.get_logger(__name__)

AT_ONCE = 16
"""Questions of one session under way; WhatsApp limits accounts that ask for much."""
_RETRY_MS = 500

Owned = Callable[[OwnedSession], bool]
Confirm = Callable[[OwnedSession], Awaitable[bool]]
"""Whether the stream's leader has it as ours. Raises BrokerUnavailable or ApiError."""


class Asked:
    """Of one worker. ``owned`` is what it believes itself, at once; ``confirm`` asks the stream."""

    def __init__(self, bus: Bus, owned: Owned, confirm: Confirm) -> None:
        self._bus = bus
        self._owned = owned
        self._confirm = confirm
        self._under_way: Counter[OwnedSession] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def listener(self, session: OwnedSession) -> Callable[[bytes, bytes, bytes, bytes], None]:
        """For the subscription to the session's questions."""

        def asked(_subject: bytes, reply: bytes, _block: bytes, data: bytes) -> None:
            if not reply or not self._owned(session):
                return
            if self._under_way[session] >= AT_ONCE:
                full = control.failure(ErrorCode.E_RATE_LIMITED, {"retry_after_ms": _RETRY_MS})
                self._spawn(self._tell(session, reply, full))
                return
            self._under_way[session] += 1
            self._spawn(self._answer(session, reply, data, time.monotonic()))

        return asked

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, session: OwnedSession, reply: bytes, data: bytes, arrived: float) -> None:
        try:
            body = await self._do(session, decode(data), arrived)
        except msgspec.MsgspecError:
            body = control.failure(ErrorCode.E_INVALID_FIELD)
        except Exception as error:  # noqa: BLE001 - one question must not end the others
            # Not the error's words: they may quote what was asked.
            log.error("a question failed", session=session.key[1], error=type(error).__name__)  # noqa: TRY400
            body = control.failure(ErrorCode.E_INTERNAL)
        finally:
            self._under_way[session] -= 1
            if not self._under_way[session]:
                del self._under_way[session]
        if body is not None:
            await self._tell(session, reply, body)

    async def _tell(self, session: OwnedSession, reply: bytes, body: bytes) -> None:
        if self._owned(session):
            with contextlib.suppress(nats.errors.Error):
                await self._bus.client.publish(reply.decode(), body)

    async def _do(self, session: OwnedSession, ask: Ask, arrived: float) -> bytes | None:
        """The answer; None when it is not ours to give."""
        try:
            if not await self._confirm(session):
                return None
        except (BrokerUnavailable, ApiError):
            return None
        link = session.link
        left = arrived + ask.budget_ms / 1000 - time.monotonic()
        if link is None:
            return control.failure(ErrorCode.E_SESSION_NOT_READY, {"status": session.status.value})
        # What waited too long here was not begun.
        return await _act(link, ask, left) if left > 0 else control.failure(ErrorCode.E_TIMEOUT)


async def _act(link: EngineSession, ask: Ask, left_s: float) -> bytes:
    action = Action(
        action=ask.verb, id="ask", to=Recipient(**ask.to) if ask.to else None, content=ask.content
    )
    try:
        async with asyncio.timeout(left_s):
            done = await link.act(action)
    except TimeoutError:
        return control.failure(ErrorCode.E_OUTCOME_UNKNOWN if ask.acts else ErrorCode.E_TIMEOUT)
    except EngineError as error:
        return _refusal(ask, error)
    return control.success({} if done.data is None else done.data)


def _refusal(ask: Ask, error: EngineError) -> bytes:
    details: dict[str, Any] = {"detail": error.detail} if error.detail else {}
    code = ErrorCode.from_wire(error.code)
    if ask.acts and error.uncertain:
        return control.failure(ErrorCode.E_OUTCOME_UNKNOWN, {"cause": code.wire, **details})
    if code is ErrorCode.E_CONNECTION_LOST:
        code = ErrorCode.E_SESSION_NOT_READY
    elif code is ErrorCode.E_UNSUPPORTED_TYPE:
        details["verb"] = ask.verb
    return control.failure(code, details)
