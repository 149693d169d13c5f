"""Files out of the fleet, whole or a range of them: in parts, whatever their size. The gateway keeps nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts import media_data as m
from pywhatsweb.contracts.media_data import PART_BYTES
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asgi import Scope, Send
from pywhatsweb_fleet.gateway.asking import ask
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.entering import entered
from pywhatsweb_fleet.gateway.envelope import EXPORTS, FILES, headers_of
from pywhatsweb_fleet.gateway.problems import GatewayError

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)").fullmatch
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


class Span(NamedTuple):
    """Bytes of a file; ``partial`` when a range asked for them."""

    start: int
    end: int
    partial: bool


class Source(NamedTuple):
    """A file as it lies in the fleet."""

    size: int
    mime_type: str
    filename: str
    tag: str
    """Changes when the content does."""
    read: Callable[[int, int], Awaitable[bytes]]
    """Bytes from an offset to an end, at most `PART_BYTES`; they may be fewer."""


async def serve(deps: Deps, scope: Scope, send: Send) -> None:
    """What is wrong before the answer begins is raised."""
    who = await entered(deps, scope, changes=False)
    path = str(scope["path"])
    prefix, find = (FILES, media) if path.startswith(FILES + "/") else (EXPORTS, export)
    name = path.removeprefix(prefix + "/")
    if not _ID(name):
        raise GatewayError(ErrorCode.E_UNKNOWN_VERB)
    await give(await find(deps, who, name), who, headers_of(scope), send)


async def media(deps: Deps, who: Principal, media_id: str) -> Source:
    """Raises GatewayError(E_FORBIDDEN) for the file of a session that the key may not touch."""
    everything = msgspec.structs.replace(who, sessions=None)
    about = await ask(deps.bus, everything, "media.show", m.MediaRef(id=media_id), m.MediaEntry)
    if who.sessions is not None:
        who.session(about.session_id or "-")

    async def read(start: int, end: int) -> bytes:
        args = d.MediaGet(id=media_id, offset=start, length=min(PART_BYTES, end - start))
        return (await ask(deps.bus, everything, "media.get", args, d.MediaPart)).data

    return Source(about.size, about.mime_type, about.filename or about.id, about.sha256, read)


async def export(deps: Deps, who: Principal, export_id: str) -> Source:
    """The ZIP of a ``data.export``. Raises RequestError: E_EXPORT_NOT_FOUND, E_EXPORT_NOT_READY."""
    about = await ask(deps.bus, who, "data.export_status", ld.ExportRef(id=export_id), ld.Export)
    if about.size is None:
        raise GatewayError(ErrorCode.E_EXPORT_NOT_READY)

    async def read(start: int, end: int) -> bytes:
        args = ld.DataDownload(id=export_id, offset=start, length=min(PART_BYTES, end - start))
        return (await ask(deps.bus, who, "data.download", args, ld.ExportPart)).data

    return Source(about.size, "application/zip", f"{about.id}.zip", about.sha256 or about.id, read)


async def give(source: Source, who: Principal, headers: Mapping[str, str], send: Send) -> None:
    """The answer to a GET, with ranges and ETag. One that is cut in the middle ends without its last bytes."""
    etag = f'"{source.tag}"'
    if etag in headers.get("if-none-match", ""):
        await _short(send, 304, who, {"etag": etag})
        return
    span = span_of(headers.get("range"), source.size)
    if span is None:
        await _short(send, 416, who, {"content-range": f"bytes */{source.size}", "content-length": "0"})
        return
    told = {
        "content-type": source.mime_type,
        "content-length": str(span.end - span.start),
        "content-disposition": _disposition(source.filename),
        "accept-ranges": "bytes",
        "etag": etag,
        "cache-control": "private, max-age=86400",
    }
    if span.partial:
        told["content-range"] = f"bytes {span.start}-{span.end - 1}/{source.size}"
    data = await source.read(span.start, span.end) if span.end > span.start else b""
    await start(send, 206 if span.partial else 200, who, told)
    offset = span.start
    while True:
        offset += len(data)
        done = offset >= span.end or not data
        await send({"type": "http.response.body", "body": data, "more_body": not done})
        if done:
            return
        data = await source.read(offset, span.end)


def span_of(text: str | None, size: int) -> Span | None:
    """The bytes that a Range header asks for (RFC 9110 §14): all when it cannot be read, None when there are none."""
    found = _RANGE(text.replace(" ", "")) if text else None
    if found is None or (not found[1] and not found[2]):
        return Span(0, size, partial=False)
    if not found[1]:
        first, end = max(0, size - int(found[2])), size
    else:
        first, end = int(found[1]), min(int(found[2] or size) + 1, size)
    return Span(first, end, partial=True) if first < end else None


def _disposition(name: str) -> str:
    """Never shown in the gateway's own origin: a file may be a page."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _short(send: Send, status: int, who: Principal, headers: Mapping[str, str]) -> None:
    await start(send, status, who, headers)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def start(send: Send, status: int, who: Principal, headers: Mapping[str, str]) -> None:
    """The head of an answer."""
    told: list[tuple[bytes, bytes]] = [
        (name.encode(), _latin(value).encode("latin-1")) for name, value in headers.items()
    ]
    told.append((b"x-tenant-id", who.tenant.encode()))
    message: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": told}
    await send(message)


def _latin(value: str) -> str:
    """A type that a user declared may hold anything."""
    return "".join(char if " " <= char <= "~" else "_" for char in value)
