"""Streams as the broker writes and reads them whole: JetStream's snapshot and restore, consumers included.

A snapshot is of one moment: sequences, headers, times and places of durables come back as they were. Chunks are
acknowledged one by one, so neither side holds more than a few.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import IO, Any, Final

import msgspec
from nats.aio.msg import Msg

from pywhatsweb_runtime.bus import STREAM_NOT_FOUND, ApiError, BrokerUnavailable, Bus

_CHUNK: Final = 128 * 1024
_PATIENCE_S: Final = 60.0


async def names(bus: Bus) -> list[str]:
    """The streams on disk, by name; what lies in memory is not worth a copy."""
    found: list[tuple[str, str]] = []
    while True:
        page = await bus.api("STREAM.LIST", {"offset": len(found)}, deadline=_PATIENCE_S)
        infos = page.get("streams") or []
        found += [(info["config"]["name"], info["config"]["storage"]) for info in infos]
        if len(found) >= int(page["total"]) or not infos:
            return sorted(name for name, storage in found if storage == "file")


async def save(bus: Bus, stream: str, file: IO[bytes]) -> dict[str, Any]:
    """Writes a stream's snapshot; its ``config`` and ``state``, for `load`. Raises BrokerUnavailable or ApiError."""
    chunks: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = bus.client.new_inbox()
    subscription = await bus.client.subscribe(
        inbox, cb=chunks.put, pending_bytes_limit=-1, pending_msgs_limit=-1
    )
    try:
        wanted = {"deliver_subject": inbox, "chunk_size": _CHUNK}
        about = await bus.api(f"STREAM.SNAPSHOT.{stream}", wanted, deadline=_PATIENCE_S)
        while True:
            try:
                chunk = await asyncio.wait_for(chunks.get(), _PATIENCE_S)
            except TimeoutError:
                raise BrokerUnavailable("a snapshot does not go on") from None
            if not chunk.data:
                _check_end(chunk)
                break
            await asyncio.to_thread(file.write, chunk.data)
            if chunk.reply:
                await bus.client.publish(chunk.reply)
    finally:
        await subscription.unsubscribe()
    return {"config": about["config"], "state": about["state"]}


def _check_end(chunk: Msg) -> None:
    """The last chunk is empty; a status in it other than 204 tells that the snapshot broke."""
    status = (chunk.headers or {}).get("Status", "204")
    if status != "204":
        raise BrokerUnavailable(f"a snapshot broke off ({status})")


async def load(bus: Bus, stream: str, about: dict[str, Any], chunks: AsyncIterator[bytes]) -> None:
    """Makes a stream from its snapshot; it must not be there. Raises BrokerUnavailable or ApiError."""
    answer = await bus.api(f"STREAM.RESTORE.{stream}", about, deadline=_PATIENCE_S)
    subject = answer["deliver_subject"]
    async for chunk in chunks:
        _refused(await bus.request(subject, chunk, deadline=_PATIENCE_S))
    _refused(await bus.request(subject, b"", deadline=_PATIENCE_S * 5))


def _refused(answer: Msg) -> None:
    if answer.data:
        error = msgspec.json.decode(answer.data, type=dict[str, Any]).get("error")
        if error:
            raise ApiError(int(error.get("err_code", 0)), str(error.get("description", "")))


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk


async def remove(bus: Bus, streams: Iterable[str]) -> None:
    for stream in streams:
        try:
            await bus.api(f"STREAM.DELETE.{stream}", deadline=_PATIENCE_S)
        except ApiError as error:
            if error.code != STREAM_NOT_FOUND:
                raise
