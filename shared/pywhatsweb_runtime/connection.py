"""nats-py's client with what it lacks: a write that never waits, order over a reconnect, fast headers, sinks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import nats
from nats.aio.client import Client

from pywhatsweb_runtime import headers
from pywhatsweb_runtime.parsing import Sink, SinkParser

_FLUSH_BOUND_S: Final = 1


class Repeated(bytes):
    """A protocol command that its author sends again after a reconnect: see `Connection.take_back`."""


class Connection(Client):
    """One a process; made by `bus.connect`."""

    _parse_header_lines = staticmethod(headers.parse)

    def __init__(self) -> None:
        super().__init__()
        self._sinks: dict[int, Sink] = {}
        self._ps = SinkParser(self, self._sinks)

    @contextlib.asynccontextmanager
    async def sinking(self, subject: str, sink: Sink) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """A subscription whose messages go to ``sink`` from where the socket is read, while the block lasts.

        Gives what ends it earlier: when that returns, all that the broker had sent has come to the sink.
        """
        subscription = await self.subscribe(subject, pending_msgs_limit=-1, pending_bytes_limit=-1)
        self._sinks[subscription._id] = sink  # noqa: SLF001 - nats-py has no other name for it

        async def end() -> None:
            await subscription.unsubscribe()
            await self.flush(_FLUSH_BOUND_S)

        try:
            yield end
        finally:
            self._sinks.pop(subscription._id, None)  # noqa: SLF001
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    @property
    def in_cluster(self) -> bool:
        """Whether the server that it is connected to is a cluster's."""
        return bool(self._server_info.get("cluster"))

    def write(self, command: bytes) -> None:
        """Hands over a whole protocol command; it goes out with others in one write, or after a reconnect."""
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        self._pending.append(command)
        self._pending_data_size += len(command)
        flushes = self._flush_queue
        if flushes is not None and self.is_connected and flushes.empty():
            flushes.put_nowait(asyncio.get_running_loop().create_future())

    def take_back(self) -> None:
        """Drops what is `Repeated` and waits to be sent.

        nats-py sends it as the first thing after a reconnect, ahead of what was lost with the old socket.
        """
        self._pending = [command for command in self._pending if not isinstance(command, Repeated)]
        self._pending_data_size = sum(map(len, self._pending))

    async def _process_headers(self, raw: bytes) -> dict[str, str] | None:
        """nats-py stops reading the connection for good when a publisher's header block does not parse."""
        try:
            found: dict[str, str] | None = await super()._process_headers(raw)
        except (ValueError, IndexError):  # `NATS/1.0 <not a status>`, or the first line alone
            return None
        return found

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """What the parser did not give to a sink itself: a message that came in parts."""
        if (sink := self._sinks.get(sid)) is not None:
            sink(subject, reply, headers or b"", data)
        else:
            await super()._process_msg(sid, subject, reply, data, headers)
