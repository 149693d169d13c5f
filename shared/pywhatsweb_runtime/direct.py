"""Batch direct gets (ADR-31 of NATS) over one shared inbox: reading a subject's messages without a consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import nats

from pywhatsweb_runtime import headers
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus, Stored

_NO_STATUS: Final = b"NATS/1.0\r\n"


class _Answer:
    __slots__ = ("found", "future")

    def __init__(self, future: asyncio.Future[list[Stored]]) -> None:
        self.found: list[Stored] = []
        self.future = future


class Reader:
    """Made by `reading`; one a process is enough."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._prefix = bus.client.new_inbox() + "."
        self._skip = len(self._prefix)
        self._answers: dict[str, _Answer] = {}
        self._count = 0

    async def batch(
        self, stream: str, subject: str, sequence: int = 1, *, limit: int = 64, deadline: float = 5.0
    ) -> list[Stored]:
        """At most ``limit`` messages of ``subject`` (wildcards allowed) at or after ``sequence``, in stream order.

        Any replica may answer, so on a cluster the newest may be missing. Raises BrokerUnavailable or ApiError.
        """
        return await self.ask(
            stream, {"batch": limit, "seq": sequence, "next_by_subj": subject}, deadline=deadline
        )

    async def ask(self, stream: str, body: dict[str, Any], *, deadline: float = 5.0) -> list[Stored]:
        self._count += 1
        token = str(self._count)
        loop = asyncio.get_running_loop()
        answer = self._answers[token] = _Answer(loop.create_future())
        timer = loop.call_later(deadline, self._expire, token)
        try:
            await self._bus.client.publish(
                f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(body), reply=self._prefix + token
            )
            return await answer.future
        except nats.errors.Error as error:
            raise BrokerUnavailable(f"{type(error).__name__} at a direct get") from error
        finally:
            timer.cancel()
            self._answers.pop(token, None)

    def _expire(self, token: str) -> None:
        answer = self._answers.pop(token, None)
        if answer is not None and not answer.future.done():
            answer.future.set_exception(BrokerUnavailable("no answer to a direct get in time"))

    def _on_message(self, subject: bytes, _reply: bytes, block: bytes, data: bytes) -> None:
        answer = self._answers.get(subject[self._skip :].decode())
        if answer is None or answer.future.done():
            return
        sequence = headers.last(block, b"Nats-Sequence")
        if sequence and block.startswith(_NO_STATUS):
            found = headers.last(block, b"Nats-Subject").decode()
            answer.found.append(Stored(found, int(sequence), data, block))
            return
        told = headers.parse_block(block)
        status = told.get("Status")
        if status in ("204", "404"):  # end of batch; nothing there
            answer.future.set_result(answer.found)
        elif status == "503":
            answer.future.set_exception(BrokerUnavailable("no stream answers"))
        else:
            answer.future.set_exception(ApiError(int(status or 0), told.get("Description", "")))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Reader]:
        """Listens for answers while the block lasts."""
        async with self._bus.client.sinking(self._prefix + "*", self._on_message):
            yield self


@contextlib.asynccontextmanager
async def reading(bus: Bus) -> AsyncIterator[Reader]:
    """A `Reader` for as long as the block lasts."""
    async with Reader(bus).running() as reader:
        yield reader
