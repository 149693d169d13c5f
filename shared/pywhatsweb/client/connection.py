"""The connection to the broker: how it is opened, what it does when it breaks, and requests over it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from pywhatsweb.errors import AuthenticationError, BrokerError, DeadlineError, ErrorCode

log: Final[logging.Logger] = logging.getLogger(__name__)

PING_EVERY_S: Final = 15
"""Two unanswered ones end a connection that looks alive but is not."""
_CLOSE_BOUND_S: Final = 3.0
_PERMISSION = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.IGNORECASE)


class NobodyAnswers(Exception):
    """The broker knows of nobody who takes messages on this subject now."""


class Repeated(bytes):
    """A protocol command that its author sends again after a reconnect (`Wire.take_back`)."""


class Wire(Client):
    """nats-py's client with a write that never waits, and nothing that overtakes after a reconnect."""

    def write(self, command: bytes) -> None:
        """Hands over a whole protocol command; it goes out with others in one write."""
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        self._pending.append(command)
        self._pending_data_size += len(command)
        flushes = self._flush_queue
        if flushes is not None and self.is_connected and flushes.empty():
            flushes.put_nowait(asyncio.get_running_loop().create_future())

    def take_back(self) -> None:
        """Drops what is `Repeated` and unsent: nats-py would send it ahead of what was lost with the old socket."""
        self._pending = [command for command in self._pending if not isinstance(command, Repeated)]
        self._pending_data_size = sum(map(len, self._pending))

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        # nats-py stops reading the connection for good when a header block does not parse.
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except (ValueError, IndexError):
            return None
        return found


class Link:
    """One connection, shared by everything that a `FleetClient` does. Made by `opened`."""

    def __init__(self) -> None:
        self.wire: Wire = Wire()
        self.on_disconnect: list[Callable[[], None]] = []
        self.on_reconnect: list[Callable[[], None]] = []
        self.on_forbidden: list[Callable[[str], None]] = []
        """Called with a subject that this user may not publish to."""
        self.on_overflow: dict[Subscription, Callable[[], None]] = {}
        self.reconnects: int = 0

    @property
    def connected(self) -> bool:
        return bool(self.wire.is_connected)

    async def request(
        self, subject: str, body: bytes, *, timeout: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """One question, one answer. Raises NobodyAnswers, DeadlineError or BrokerError."""
        try:
            return await self.wire.request(subject, body, timeout=timeout, headers=headers)
        except nats.errors.NoRespondersError:
            raise NobodyAnswers from None
        except (nats.errors.TimeoutError, TimeoutError):
            raise DeadlineError(ErrorCode.E_TIMEOUT, {"seconds": timeout}) from None
        except nats.errors.MaxPayloadError:
            raise BrokerError(ErrorCode.E_BODY_TOO_LARGE, {"limit": self.wire.max_payload}) from None
        except nats.errors.Error as error:
            raise BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": type(error).__name__}) from None

    async def subscribe(
        self,
        subject: str,
        on_message: Callable[[Msg], Awaitable[None]],
        *,
        on_overflow: Callable[[], None] | None = None,
        limit: int = 65_536,
    ) -> Subscription:
        """Raises BrokerError. `on_overflow` is called when more than `limit` messages wait to be looked at."""
        try:
            found = await self.wire.subscribe(
                subject, cb=on_message, pending_msgs_limit=limit, pending_bytes_limit=256 * 2**20
            )
        except nats.errors.Error as error:
            raise BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": type(error).__name__}) from None
        if on_overflow is not None:
            self.on_overflow[found] = on_overflow
        return found

    async def unsubscribe(self, subscription: Subscription) -> None:
        self.on_overflow.pop(subscription, None)
        with contextlib.suppress(nats.errors.Error, ValueError):
            await subscription.unsubscribe()

    async def flush(self, timeout: float = 10.0) -> None:
        """Returns when the broker has dealt with everything sent so far. Raises BrokerError."""
        try:
            await self.wire.flush(timeout=timeout)  # type: ignore[arg-type]  # whole seconds by annotation only
        except (nats.errors.Error, TimeoutError) as error:
            raise BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": type(error).__name__}) from None

    async def publish(self, subject: str, body: bytes = b"") -> None:
        """Without an answer; dropped when the connection is away for long."""
        with contextlib.suppress(nats.errors.Error):
            await self.wire.publish(subject, body)

    async def _disconnected(self) -> None:
        if not self.wire.is_closed:
            log.warning("the broker is away; connecting again")
        for call in list(self.on_disconnect):
            call()

    async def _reconnected(self) -> None:
        self.reconnects += 1
        log.info("connected to the broker again")
        for call in list(self.on_reconnect):
            call()

    async def _error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            overflowed = self.on_overflow.get(error.sub)
            if overflowed is not None:
                overflowed()
        elif found := _PERMISSION.search(str(error)):
            log.error("the broker forbids this user a %s", found[1])
            if found[1].lower() == "publish":
                for call in list(self.on_forbidden):
                    call(found[2])
        else:
            log.debug("the connection reports: %s", type(error).__name__)


@contextlib.asynccontextmanager
async def opened(
    servers: Sequence[str],
    *,
    user: str | None,
    password: str | None,
    creds: str | Path | None,
    tls: ssl.SSLContext | None,
    name: str,
    timeout: float,
) -> AsyncIterator[Link]:
    """A connection for as long as the block lasts; once open, it comes back by itself for as long.

    Raises AuthenticationError when the broker refuses the user, BrokerError when there is no broker.
    """
    link = Link()
    options: dict[str, Any] = {
        "servers": list(servers),
        "name": name,
        "connect_timeout": timeout,
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0.25,
        "ping_interval": PING_EVERY_S,
        "error_cb": link._error,  # noqa: SLF001 - made here
        "disconnected_cb": link._disconnected,  # noqa: SLF001
        "reconnected_cb": link._reconnected,  # noqa: SLF001
    }
    if user is not None:
        options |= {"user": user, "password": password}
    if creds is not None:
        options["user_credentials"] = str(creds)
    if tls is not None:
        options["tls"] = tls
    try:
        async with asyncio.timeout(timeout + 1):
            await link.wire.connect(**options)
    except (OSError, TimeoutError, nats.errors.Error) as error:
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            await link.wire.close()
        raise _refused(error) from None
    # A first failure is told at once; later ones are ridden out.
    link.wire.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1}
    try:
        yield link
    finally:
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_BOUND_S):
                await link.wire.close()


def _refused(error: Exception) -> BrokerError | AuthenticationError:
    said = str(error).lower()
    if isinstance(error, nats.errors.AuthorizationError) or "authorization" in said:
        return AuthenticationError(ErrorCode.E_AUTHENTICATION_FAILED)
    return BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": type(error).__name__})
