"""The connection to the broker, and the parts of JetStream's API that the fleet uses.

nats-py lacks batch direct get, purge by subject, ownership's compare-and-set and priority groups, so the raw API
(``$JS.API.…``, JSON) is spoken here. Publishing with acknowledgement is `publisher`, consuming is `puller`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import nats
import structlog
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from pywhatsweb_runtime.connection import Connection
from pywhatsweb_runtime.headers import parse_block

log = structlog.get_logger(__name__)

WRONG_LAST_SEQUENCE = 10071
"""JetStream's answer to a stale compare-and-set or to an event of a fenced-off owner."""
QUEUE_FULL = 10077
"""max_msgs, max_bytes or max_msgs_per_subject reached, under ``discard: new``."""
MESSAGE_TOO_LARGE = 10054
"""The message is above the stream's or the server's limit."""
IN_PROCESS = (10164, 10158)
"""A replicated stream's answer while a message with the same fence, or the same ``Nats-Msg-Id``, is on its way through
the replicas: to be sent again."""
STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
NO_MESSAGE = 10037
_IN_PROCESS_S, _IN_PROCESS_PAUSE_S = 5.0, 0.02
"""How long a conditional write is tried again while others of its subject are on their way."""


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the broker; the fields of the same names in every service's settings."""

    nats_url: str = "nats://127.0.0.1:4222"
    nats_user: str | None = None
    nats_password: str | None = None
    nats_creds: str | None = None
    nats_ca: str | None = None


class ApiError(Exception):
    """JetStream refused. ``code`` is its err_code (10059 …), ``description`` its words."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description


class BrokerUnavailable(Exception):
    """No answer within the time-out; what was asked may or may not have happened."""


class NobodyAnswers(BrokerUnavailable):
    """Nobody listens there: what was asked has certainly not happened."""


class Stored:
    """A message as it lies in a stream. Headers that are given as they came are parsed when asked for."""

    __slots__ = ("_headers", "data", "sequence", "subject")

    def __init__(self, subject: str, sequence: int, data: bytes, headers: dict[str, str] | bytes) -> None:
        self.subject = subject
        self.sequence = sequence
        self.data = data
        self._headers = headers

    @property
    def headers(self) -> dict[str, str]:
        if isinstance(self._headers, bytes):
            self._headers = parse_block(self._headers)
        return self._headers


class Bus:
    """One connection, shared by everything in a process."""

    def __init__(self, client: Connection) -> None:
        self.client = client
        self.on_disconnect: list[Callable[[], None]] = []
        """Called before the connection is made anew."""
        self.on_reconnect: list[Callable[[], Awaitable[None]]] = []

    @property
    def replicated(self) -> bool:
        """Whether the broker is a cluster, whose streams may have replicas."""
        return self.client.in_cluster

    async def api(
        self, call: str, body: dict[str, Any] | None = None, *, deadline: float = 5.0
    ) -> dict[str, Any]:
        """JetStream's answer to ``$JS.API.<call>``. Raises ApiError or BrokerUnavailable."""
        answer = await self.request(
            f"$JS.API.{call}", msgspec.json.encode(body) if body else b"", deadline=deadline
        )
        value: dict[str, Any] = msgspec.json.decode(answer.data)
        if error := value.get("error"):
            raise ApiError(int(error.get("err_code", 0)), str(error.get("description", "")))
        return value

    async def request(
        self, subject: str, data: bytes = b"", *, headers: dict[str, str] | None = None, deadline: float = 5.0
    ) -> Msg:
        """One answer. Raises BrokerUnavailable when there is none in time; NobodyAnswers when nobody listens."""
        try:
            return await self.client.request(subject, data, timeout=deadline, headers=headers)
        except NoRespondersError:
            raise NobodyAnswers(f"nobody answers {_family(subject)}") from None
        except (TimeoutError, nats.errors.Error) as error:
            raise BrokerUnavailable(f"{type(error).__name__} at {_family(subject)}") from error

    async def heard(self) -> None:
        """Returns when the broker has what was sent it: whoever asks from now on finds who subscribed before."""
        with contextlib.suppress(nats.errors.Error):  # it hears of it when it is there again
            await self.client.flush()

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of a subject, from the stream's leader (never a lagging replica)."""
        try:
            value = await self.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
        except ApiError as error:
            if error.code in (NO_MESSAGE, STREAM_NOT_FOUND):
                return None
            raise
        return _stored(value["message"])

    async def first_from(self, stream: str, subject: str, sequence: int = 1) -> Stored | None:
        """The first message of a subject at or after ``sequence``, from the stream's leader."""
        try:
            value = await self.api(f"STREAM.MSG.GET.{stream}", {"next_by_subj": subject, "seq": sequence})
        except ApiError as error:
            if error.code in (NO_MESSAGE, STREAM_NOT_FOUND):
                return None
            raise
        return _stored(value["message"])

    async def compare_and_set(self, subject: str, data: bytes, expected: int, headers: dict[str, str]) -> int:
        """Publishes if the newest message of the subject has the sequence ``expected`` (0: none); its new sequence.

        Raises ApiError(WRONG_LAST_SEQUENCE) when somebody else was first.
        """
        return await self.store(
            subject, data, {**headers, "Nats-Expected-Last-Subject-Sequence": str(expected)}
        )

    async def store(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> int:
        """Publishes into a stream; the message's sequence. Raises ApiError when it refuses, or BrokerUnavailable."""
        until = time.monotonic() + _IN_PROCESS_S
        while True:
            answer = await self.request(subject, data, headers=headers)
            value = msgspec.json.decode(answer.data)
            if not (error := value.get("error")):
                return int(value["seq"])
            refused = ApiError(int(error.get("err_code", 0)), str(error.get("description", "")))
            if refused.code not in IN_PROCESS or time.monotonic() > until:
                raise refused
            await asyncio.sleep(_IN_PROCESS_PAUSE_S)

    async def purge(self, stream: str, subject: str, below: int | None = None) -> int:
        """Removes the messages of a subject (those below a sequence); how many there were."""
        body: dict[str, Any] = {"filter": subject}
        if below is not None:
            body["seq"] = below
        return int((await self.api(f"STREAM.PURGE.{stream}", body, deadline=30.0)).get("purged", 0))


def _stored(message: dict[str, Any]) -> Stored:
    import base64

    headers: dict[str, str] = {}
    for line in base64.b64decode(message.get("hdrs", "")).decode("utf-8", "replace").split("\r\n")[1:]:
        name, separator, value = line.partition(":")
        if separator:
            headers[name.strip()] = value.strip()
    return Stored(message["subject"], message["seq"], base64.b64decode(message.get("data", "")), headers)


def _family(subject: str) -> str:
    """A subject without the names in it, for errors and logs."""
    return ".".join(subject.split(".")[:4])


@contextlib.asynccontextmanager
async def connect(settings: BrokerSettings, *, name: str, inbox_prefix: str = "_INBOX") -> AsyncIterator[Bus]:
    """The broker, for as long as the block lasts; reconnects for ever, with jitter, and tells it in the log."""
    client = Connection()
    bus = Bus(client)

    async def disconnected() -> None:
        for callback in bus.on_disconnect:
            callback()
        if not client.is_closed:
            log.warning("broker disconnected")

    async def reconnected() -> None:
        log.info("broker reconnected")
        for callback in bus.on_reconnect:
            try:
                await callback()
            except Exception:
                log.exception("a reconnect callback failed")

    async def failed(error: Exception) -> None:
        log.warning("broker error", error=type(error).__name__)

    options: dict[str, Any] = {
        "servers": [url.strip() for url in settings.nats_url.split(",")],
        "name": name,
        "inbox_prefix": inbox_prefix,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "ping_interval": 10,
        "max_outstanding_pings": 2,
        "pending_size": 8 * 2**20,
        "disconnected_cb": disconnected,
        "reconnected_cb": reconnected,
        "error_cb": failed,
    }
    if settings.nats_user:
        options |= {"user": settings.nats_user, "password": settings.nats_password}
    if settings.nats_creds:
        options["user_credentials"] = settings.nats_creds
    if settings.nats_ca:
        import ssl

        options["tls"] = ssl.create_default_context(cafile=settings.nats_ca)
    await client.connect(**options)
    try:
        yield bus
    finally:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.flush(2), 2.5)
        with contextlib.suppress(TimeoutError):  # a frozen broker takes nothing and closes nothing
            await asyncio.wait_for(client.close(), 5)
