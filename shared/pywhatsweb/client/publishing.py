"""Commands into the tenant's stream: each is answered, sent again under the same id, or fails at its deadline.

What is unacknowledged after a reconnect or a silence is sent again in the order of the calls, under the same
``Nats-Msg-Id``, so the stream drops what it already has and keeps that order.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import msgspec
import nats.errors
from nats.aio.msg import Msg

from pywhatsweb.client.connection import Link, Repeated
from pywhatsweb.client.tracing import traceparent
from pywhatsweb.errors import AuthenticationError, BrokerError, DeadlineError, ErrorCode, PyWhatsWebError

log: Final[logging.Logger] = logging.getLogger(__name__)

RESEND_AFTER_S: Final = 2.0
_LAST_PAUSE_S: Final = 8.0
_CHECK_EVERY_S: Final = 0.2
NOBODY_S: Final = 5.0
"""How long "nobody takes this subject" is borne: a stream that is restarted is away for a moment."""
_STREAM_FULL: Final = frozenset((10077, 10047, 10023))
_TOO_LARGE: Final = 10054
_HEADER: Final = "NATS/1.0\r\nNats-Msg-Id: {}\r\n{}\r\n"


class PubAck(NamedTuple):
    sequence: int
    duplicate: bool


class _Error(msgspec.Struct):
    code: int = 500
    err_code: int = 0


class _Answer(msgspec.Struct):
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class _Publication:
    """One command on its way."""

    __slots__ = ("command", "deadline", "future", "nobody_since", "pause", "sent_at", "subject")

    def __init__(
        self, subject: str, command: Repeated, future: asyncio.Future[PubAck], deadline: float
    ) -> None:
        self.subject = subject
        self.command = command
        self.future = future
        self.deadline = deadline
        self.sent_at = 0.0
        self.pause = RESEND_AFTER_S
        self.nobody_since: float | None = None


class Publisher:
    """Made by `publishing`."""

    def __init__(self, link: Link, in_flight: int) -> None:
        self._link = link
        self._room = asyncio.Semaphore(in_flight)
        self._pending: dict[str, _Publication] = {}
        """By token, in the order of the calls."""
        self._count = itertools.count(1)
        self._prefix = f"{link.wire.new_inbox()}."
        self._skip = len(self._prefix)
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._closed = False

    async def publish(self, subject: str, body: bytes, command_id: str, deadline_s: float) -> PubAck:
        """Returns when JetStream has it; waits for room first, and both within `deadline_s` seconds.

        Raises DeadlineError (it may be stored or not: publish it again under the same id), BrokerError
        (E_QUEUE_FULL, E_BODY_TOO_LARGE, E_BROKER_UNAVAILABLE) or AuthenticationError (E_FORBIDDEN).
        """
        deadline = self._loop.time() + deadline_s
        if self._room.locked():
            await self._wait_for_room(deadline_s)
        else:
            await self._room.acquire()
        token = str(next(self._count))
        try:
            if self._closed:
                raise BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": "closed"})
            trace = traceparent()
            head = _HEADER.format(command_id, f"traceparent: {trace}\r\n" if trace else "").encode()
            size = len(head) + len(body)
            if size > self._link.wire.max_payload:
                # The broker would cut the connection.
                raise BrokerError(ErrorCode.E_BODY_TOO_LARGE, {"limit": self._link.wire.max_payload})
            first = f"HPUB {subject} {self._prefix}{token} {len(head)} {size}\r\n".encode()
            command = Repeated(b"".join((first, head, body, b"\r\n")))
            publication = _Publication(subject, command, self._loop.create_future(), deadline)
            self._pending[token] = publication
            self._send(publication)
            return await publication.future
        finally:
            self._pending.pop(token, None)
            self._room.release()

    async def _wait_for_room(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError:
            raise DeadlineError(ErrorCode.E_TIMEOUT, {"seconds": seconds}) from None

    def _send(self, publication: _Publication) -> None:
        if not self._open:
            return  # sent in its turn after the reconnect
        publication.sent_at = self._loop.time()
        try:
            self._link.wire.write(publication.command)
        except nats.errors.Error:
            self._fail(publication, BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": "closed"}))

    async def _on_answer(self, answer: Msg) -> None:
        publication = self._pending.get(answer.subject[self._skip :])
        if publication is None or publication.future.done():
            return
        if not answer.data:  # a status in the headers: 503, nobody takes the subject
            now = self._loop.time()
            publication.nobody_since = publication.nobody_since or now
            publication.pause = _CHECK_EVERY_S
            return
        try:
            found = _decode(answer.data)
        except msgspec.DecodeError:
            self._fail(publication, BrokerError(ErrorCode.E_INTERNAL, {"reason": "not a PubAck"}))
            return
        if found.error is None:
            publication.future.set_result(PubAck(found.seq, found.duplicate))
        elif found.error.code == 503 and found.error.err_code not in _STREAM_FULL:
            publication.pause = _CHECK_EVERY_S  # no leader, no quorum: it may come back
        else:
            self._fail(publication, _refusal(found.error))

    def _fail(self, publication: _Publication, error: PyWhatsWebError) -> None:
        if not publication.future.done():
            publication.future.set_exception(error)

    def _disconnected(self) -> None:
        self._open = False
        self._link.wire.take_back()

    def _reconnected(self) -> None:
        self._open = True
        for publication in list(self._pending.values()):
            if not publication.future.done():
                self._send(publication)

    def _forbidden(self, subject: str) -> None:
        for publication in list(self._pending.values()):
            if publication.subject == subject:
                self._fail(publication, AuthenticationError(ErrorCode.E_FORBIDDEN))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            now = self._loop.time()
            for publication in list(self._pending.values()):
                self._check(publication, now)

    def _check(self, publication: _Publication, now: float) -> None:
        if publication.future.done():
            return
        if publication.nobody_since is not None and now - publication.nobody_since > NOBODY_S:
            reason = {"reason": "no stream takes this tenant's commands"}
            self._fail(publication, BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, reason))
        elif now > publication.deadline:
            away = {} if self._open else {"reason": "not connected"}
            self._fail(publication, DeadlineError(ErrorCode.E_TIMEOUT, away))
        elif self._open and now - publication.sent_at >= publication.pause:
            publication.pause = min(max(publication.pause, 0.5) * 2, _LAST_PAUSE_S)
            self._send(publication)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Publisher]:
        subscription = await self._link.subscribe(self._prefix + "*", self._on_answer)
        self._link.on_disconnect.append(self._disconnected)
        self._link.on_reconnect.append(self._reconnected)
        self._link.on_forbidden.append(self._forbidden)
        watch = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            watch.cancel()
            self._closed = True
            for publication in list(self._pending.values()):
                self._fail(publication, BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": "closed"}))
            self._link.on_disconnect.remove(self._disconnected)
            self._link.on_reconnect.remove(self._reconnected)
            self._link.on_forbidden.remove(self._forbidden)
            await self._link.unsubscribe(subscription)


def _refusal(error: _Error) -> BrokerError:
    if error.err_code in _STREAM_FULL:
        return BrokerError(ErrorCode.E_QUEUE_FULL, {"broker_code": error.err_code})
    if error.err_code == _TOO_LARGE:
        return BrokerError(ErrorCode.E_BODY_TOO_LARGE, {"broker_code": error.err_code})
    details: dict[str, Any] = {"broker_code": error.err_code, "reason": "the broker refuses it"}
    return BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, details)


@contextlib.asynccontextmanager
async def publishing(link: Link, *, in_flight: int) -> AsyncIterator[Publisher]:
    """A `Publisher` for as long as the block lasts."""
    async with Publisher(link, in_flight).running() as publisher:
        yield publisher
