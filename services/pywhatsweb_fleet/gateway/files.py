"""``POST /v1/media`` takes a file as its body, ``GET /v1/media/{id}`` gives one: in parts, whatever its size.

The gateway keeps nothing: parts go to, and come from, the fleet's ``media.*`` as the client library does it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from pywhatsweb.contracts import codec
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import media_data as m
from pywhatsweb.contracts.media_data import PART_BYTES
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asgi import Receive, Scope, Send
from pywhatsweb_fleet.gateway.asking import ask
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.envelope import FILES, address_of, headers_of
from pywhatsweb_fleet.gateway.problems import GatewayError

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)").fullmatch
_FILENAME: Final = re.compile(r"filename\*=UTF-8''([^;]+)|filename=\"?([^\";]+)\"?", re.IGNORECASE).search


class Span(NamedTuple):
    """Bytes of a file; ``partial`` when a range asked for them."""

    start: int
    end: int
    partial: bool


async def serve(deps: Deps, scope: Scope, receive: Receive, send: Send) -> None:
    """What is wrong before the answer begins is raised."""
    headers = headers_of(scope)
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    upload = scope["method"] == "POST"
    who = await deps.door.enter(headers, address_of(scope), changes=upload)
    if headers.get("x-tenant-id", who.tenant) != who.tenant:
        raise GatewayError(ErrorCode.E_TENANT_MISMATCH)
    if upload:
        await _take(deps, who, headers, query, receive, send)
    else:
        await _give(deps, who, scope["path"].removeprefix(FILES + "/"), headers, send)


# -- up ------------------------------------------------------------------------------------------


async def _take(  # noqa: PLR0917 - the parts of one request
    deps: Deps,
    who: Principal,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    receive: Receive,
    send: Send,
) -> None:
    length = headers.get("content-length", "")
    if not length.isdecimal():
        raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "Content-Length"})
    fields = {"size": int(length), "mime_type": _type_of(headers), "filename": _name_of(headers, query)}
    if "kind" in query:
        fields["kind"] = query["kind"]
    try:
        begin = msgspec.convert(fields, m.MediaBegin)
    except msgspec.ValidationError:
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "?kind or the file's name"}) from None
    upload = await ask(deps.bus, who, "media.begin", begin, m.MediaUpload)
    try:
        offset = 0
        async for part in _parts(receive):
            args = m.MediaUploadPart(upload_id=upload.upload_id, offset=offset, data=part)
            await ask(deps.bus, who, "media.part", args, m.MediaUpload)
            offset += len(part)
        finish = m.MediaFinish(upload_id=upload.upload_id, sha256=query.get("sha256"))
        info = await ask(deps.bus, who, "media.finish", finish, d.MediaInfo)
    except BaseException:
        with contextlib.suppress(Exception):
            await ask(
                deps.bus, who, "media.abort", m.MediaUploadRef(upload_id=upload.upload_id), m.MediaUpload
            )
        raise
    form: codec.Form = "msgpack" if "msgpack" in headers.get("accept", "") else "json"
    body = codec.encode(info, form)
    await _start(
        send, 201, who, {"content-type": codec.CONTENT_TYPES[form], "content-length": str(len(body))}
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _type_of(headers: Mapping[str, str]) -> str | None:
    """What a form or a program sends when it knows no type says nothing."""
    kind = headers.get("content-type", "")
    return None if kind.startswith(("application/x-www-form-urlencoded", "multipart/")) else kind or None


def _name_of(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    found = _FILENAME(headers.get("content-disposition", ""))
    name = unquote(found[1]) if found and found[1] else found[2] if found else None
    return query.get("filename") or name


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """The body in parts of 512 KiB, the last as it is. Raises GatewayError when the client goes."""
    waiting = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise GatewayError(ErrorCode.E_MALFORMED_BODY, {"reason": "the body ended too early"})
        waiting += message.get("body", b"")
        more = message.get("more_body", False)
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)


# -- down ----------------------------------------------------------------------------------------


async def _give(deps: Deps, who: Principal, media_id: str, headers: Mapping[str, str], send: Send) -> None:
    about = await _about(deps, who, media_id)
    asker = msgspec.structs.replace(who, sessions=None)  # it may have this one, as was just seen
    etag = f'"{about.sha256}"'
    if etag in headers.get("if-none-match", ""):
        await _start(send, 304, who, {"etag": etag})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    span = span_of(headers.get("range"), about.size)
    if span is None:
        await _start(send, 416, who, {"content-range": f"bytes */{about.size}", "content-length": "0"})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    told = {
        "content-type": about.mime_type,
        "content-length": str(span.end - span.start),
        "content-disposition": _disposition(about.filename or about.id),
        "accept-ranges": "bytes",
        "etag": etag,
        "cache-control": "private, max-age=86400",
    }
    if span.partial:
        told["content-range"] = f"bytes {span.start}-{span.end - 1}/{about.size}"
    first = await _part(deps, asker, media_id, span.start, span.end)
    await _start(send, 206 if span.partial else 200, who, told)
    offset, data = span.start, first
    while True:
        offset += len(data)
        done = offset >= span.end or not data
        await send({"type": "http.response.body", "body": data, "more_body": not done})
        if done:
            return
        data = await _part(deps, asker, media_id, offset, span.end)


async def _about(deps: Deps, who: Principal, media_id: str) -> m.MediaEntry:
    """Raises GatewayError(E_FORBIDDEN) for the file of a session that the key may not touch."""
    args = m.MediaRef(id=media_id)
    everything = msgspec.structs.replace(who, sessions=None)
    about = await ask(deps.bus, everything, "media.show", args, m.MediaEntry)
    if who.sessions is not None:
        who.session(about.session_id or "-")
    return about


async def _part(deps: Deps, who: Principal, media_id: str, start: int, end: int) -> bytes:
    if start >= end:
        return b""
    args = d.MediaGet(id=media_id, offset=start, length=min(PART_BYTES, end - start))
    return (await ask(deps.bus, who, "media.get", args, d.MediaPart)).data


def span_of(text: str | None, size: int) -> Span | None:
    """The bytes that a Range header asks for (RFC 9110 §14): all when it cannot be read, None when there are none."""
    found = _RANGE(text.replace(" ", "")) if text else None
    if found is None or (not found[1] and not found[2]):
        return Span(0, size, partial=False)
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(int(found[2] or size) + 1, size)
    return Span(start, end, partial=True) if start < end else None


def _disposition(name: str) -> str:
    """Never shown in the gateway's own origin: a file may be a page."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _start(send: Send, status: int, who: Principal, headers: Mapping[str, str]) -> None:
    told: list[tuple[bytes, bytes]] = [
        (name.encode(), _latin(value).encode("latin-1")) for name, value in headers.items()
    ]
    told.append((b"x-tenant-id", who.tenant.encode()))
    message: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": told}
    await send(message)


def _latin(value: str) -> str:
    """A type that a user declared may hold anything."""
    return "".join(char if " " <= char <= "~" else "_" for char in value)
