"""A person out of a tenant's streams: each message that names them is overwritten where it lies.

JetStream's ``STREAM.MSG.DELETE`` fills the message's place in its block with random bytes before it marks it removed;
a purge, a rollup and an age only mark. What was removed in those ways before stays in its block until nothing alive is
left in the block (it is deleted at once then) or less than half of it (it is rewritten then, unless it is the last one,
to which the stream still appends). `roll` makes the last block be rewritten too. So what may outlast an erasure is a
message that had been removed already, in a block most of which is alive: until that is no longer so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from pywhatsweb.contracts import codec, streams, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import ContractError
from pywhatsweb.phone import parse_recipient
from pywhatsweb_fleet.persistence.person import Person
from pywhatsweb_runtime.bus import CONSUMER_NOT_FOUND, NO_MESSAGE, STREAM_NOT_FOUND, ApiError, Bus, Stored
from pywhatsweb_runtime.direct import reading

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 256
_BYTES_AT_ONCE: Final = 4 * 2**20
_DELETES_AT_ONCE: Final = 32
_NOT_FOUND: Final = (NO_MESSAGE, 10043, 10057)
"""What a stream answers for a sequence that is gone already."""
_PAD: Final = bytes(900_000)
_PADS: Final = 10
"""More than the largest block, 8 MiB."""
_LOOK_EVERY_S: Final = 0.25


class Named(NamedTuple):
    """A message that names the person, with the command that it is about, where it is about one."""

    stream: str
    stored: Stored
    session: str | None
    command_id: str | None
    message_id: str | None


def of_tenant(tenant: TenantId) -> dict[str, str]:
    """The tenant's streams, and the subjects in them that can name a person."""
    return {
        streams.commands_name(tenant): ">",
        streams.schedules_name(tenant): ">",
        streams.outbox_name(tenant): ">",
        streams.events_name(tenant): f"wa.evt.{tenant}.>",
        streams.deadletters_name(tenant): ">",
    }


async def last_sequence(bus: Bus, stream: str) -> int:
    """0 for a stream that is not there."""
    try:
        return int((await bus.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"])
    except ApiError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        return 0


async def messages(bus: Bus, stream: str, subject: str, first: int = 1) -> AsyncIterator[list[Stored]]:
    """What is in a stream up to now, in parts of a bounded size."""
    last = await last_sequence(bus, stream)
    sequence = first
    async with reading(bus) as reader:
        while sequence <= last:
            wanted = {
                "batch": _AT_ONCE,
                "max_bytes": _BYTES_AT_ONCE,
                "seq": sequence,
                "next_by_subj": subject,
            }
            found = await reader.ask(stream, wanted, deadline=30.0)
            if not found:
                return
            yield [one for one in found if one.sequence <= last]
            sequence = found[-1].sequence + 1


async def find(bus: Bus, tenant: TenantId, person: Person, region: str) -> AsyncIterator[list[Named]]:
    """Everything that names the person, stream by stream. Raises BrokerUnavailable or ApiError."""
    for stream, subject in of_tenant(tenant).items():
        async for found in messages(bus, stream, subject):
            named = [_named(stream, one) for one in found if names(person, one, region)]
            if named:
                yield named
            await asyncio.sleep(0)


def names(person: Person, stored: Stored, region: str) -> bool:
    """By address or chat in subject, headers or body, or in whatever form a command names its recipient."""
    head = "\n".join((stored.subject, *stored.headers.values()))
    if person.held_by(head.encode()) or person.held_by(stored.data):
        return True
    body = body_of(stored.data)
    audience = body.get("audience")
    written = [body.get("to"), *(audience if isinstance(audience, list) else ())]
    return any(isinstance(to, str) and _is(person, to, region) for to in written)


def _is(person: Person, to: str, region: str) -> bool:
    try:
        return parse_recipient(to, region).value in person.addresses
    except ContractError:
        return False


def body_of(data: bytes) -> dict[str, Any]:
    """The map in a body; empty for one that is none."""
    try:
        value: Any = codec.decode(data, Any)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _named(stream: str, stored: Stored) -> Named:
    body = body_of(stored.data)
    data = body.get("data")
    inner = data if isinstance(data, dict) else {}
    command = stored.headers.get("Pww-Command-Id") or inner.get("command_id")
    if command is None and stored.subject.startswith(("wa.cmd.", "wa.dlq.")):
        command = body.get("id") or stored.headers.get("Nats-Msg-Id")
    parts = stored.subject.split(".")
    return Named(
        stream,
        stored,
        parts[3] if len(parts) > 3 and subjects.valid_name(parts[3]) else None,
        command if isinstance(command, str) else None,
        inner.get("message_id") if isinstance(inner.get("message_id"), str) else None,
    )


async def overwrite(bus: Bus, found: Sequence[Named]) -> Counter[str]:
    """Removes the messages from their streams, securely; how many from which."""
    room = asyncio.Semaphore(_DELETES_AT_ONCE)
    counts: Counter[str] = Counter()

    async def one(named: Named) -> None:
        async with room:
            if await delete(bus, named.stream, named.stored.sequence):
                counts[named.stream] += 1

    await asyncio.gather(*(one(named) for named in found))
    return counts


async def delete(bus: Bus, stream: str, sequence: int, *, erase: bool = True) -> bool:
    """Whether the message was there still."""
    body: dict[str, Any] = {"seq": sequence}
    if not erase:
        body["no_erase"] = True
    try:
        await bus.api(f"STREAM.MSG.DELETE.{stream}", body)
    except ApiError as error:
        if error.code not in _NOT_FOUND and "no message found" not in error.description:
            raise
        return False
    return True


async def roll(bus: Bus, tenant: TenantId, within_s: float = 30.0) -> list[str]:
    """Makes every stream rewrite its last block; the streams of which that cannot be said.

    A stream without padding, that of commands, is waited for until it is empty: then its files are removed.
    """
    undone = []
    for stream in of_tenant(tenant):
        pad = streams.padding(tenant, stream)
        try:
            if pad is not None:
                await _fill_up(bus, stream, pad)
            elif not await _emptied(bus, stream, within_s):
                undone.append(stream)
        except ApiError as error:
            if error.code == STREAM_NOT_FOUND:
                continue
            log.warning("a stream could not be rolled", tenant=tenant, stream=stream, broker_code=error.code)
            undone.append(stream)
    return undone


async def _fill_up(bus: Bus, stream: str, pad: str) -> None:
    sequences = []
    try:
        for _ in range(_PADS):
            answer = msgspec.json.decode((await bus.request(pad, _PAD, deadline=30.0)).data)
            if error := answer.get("error"):
                raise ApiError(int(error.get("err_code", 0)), str(error.get("description", "")))
            sequences.append(int(answer["seq"]))
    finally:
        # From the end: the last one to go lies in the block that is to be rewritten, and makes that happen.
        for sequence in reversed(sequences):
            await delete(bus, stream, sequence, erase=False)
        with contextlib.suppress(ApiError):
            await bus.purge(stream, _stored_as(pad))  # those of an earlier try that was killed


def _stored_as(pad: str) -> str:
    return "wa." + pad.partition(".")[2]


async def _emptied(bus: Bus, stream: str, within_s: float) -> bool:
    return await until(lambda: _is_empty(bus, stream), within_s)


async def _is_empty(bus: Bus, stream: str) -> bool:
    return int((await bus.api(f"STREAM.INFO.{stream}"))["state"]["messages"]) == 0


async def has_read(bus: Bus, stream: str, durable: str, sequence: int) -> bool:
    """Whether a durable is done with everything up to a sequence; one that is not there has nothing to do."""
    try:
        info = await bus.api(f"CONSUMER.INFO.{stream}.{durable}")
    except ApiError as error:
        if error.code in (CONSUMER_NOT_FOUND, STREAM_NOT_FOUND):
            return True
        raise
    if int(info["ack_floor"]["stream_seq"]) >= sequence:
        return True
    behind = int(info["num_ack_pending"]) or int(info["num_pending"])
    return not behind


async def until(condition: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Looks until it holds, or the time is over; whether it does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not await condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True
