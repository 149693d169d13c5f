"""nats-py's client with what it lacks: a write that never waits, order over a reconnect, fast headers."""

from __future__ import annotations

import asyncio

import nats
from nats.aio.client import Client

from pywhatsweb_runtime import headers


class Repeated(bytes):
    """A protocol command that its author sends again after a reconnect: see `Connection.take_back`."""


class Connection(Client):
    """One a process; made by `bus.connect`."""

    _parse_header_lines = staticmethod(headers.parse)

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
