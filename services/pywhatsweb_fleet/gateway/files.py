"""``POST /v1/media`` takes a file as its body: in parts, whatever its size.

The gateway keeps nothing: parts go to the fleet's ``media.*`` as the client library does it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from pywhatsweb.contracts import codec
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import media_data as m
from pywhatsweb.contracts.media_data import PART_BYTES
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway import forms
from pywhatsweb_fleet.gateway.asgi import Receive, Scope, Send
from pywhatsweb_fleet.gateway.asking import ask
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.downloads import start
from pywhatsweb_fleet.gateway.entering import entered
from pywhatsweb_fleet.gateway.envelope import cloud_upload, headers_of
from pywhatsweb_fleet.gateway.problems import GatewayError

_FILENAME: Final = re.compile(r"filename\*=UTF-8''([^;]+)|filename=\"?([^\";]+)\"?", re.IGNORECASE).search


async def serve(deps: Deps, scope: Scope, receive: Receive, send: Send) -> None:
    """What is wrong before the answer begins is raised."""
    headers = headers_of(scope)
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    who = await entered(deps, scope, changes=True)
    if (form := cloud_upload(scope["path"])) is not None:
        who.session(form[1])
        async with forms.file_of(headers, receive) as file:
            begin = _begin(file.size, file.mime_type, file.filename, {})
            info = await keep(deps, who, begin, file.parts())
        await _answer(send, who, headers, {"id": info.id}, 200)
        return
    length = headers.get("content-length", "")
    if not length.isdecimal():
        raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "Content-Length"})
    begin = _begin(int(length), _type_of(headers), _name_of(headers, query), query)
    info = await keep(deps, who, begin, _parts(receive), query.get("sha256"))
    await _answer(send, who, headers, info, 201)


def _begin(size: int, mime_type: str | None, filename: str | None, query: Mapping[str, str]) -> m.MediaBegin:
    fields = {"size": size, "mime_type": mime_type, "filename": filename}
    if "kind" in query:
        fields["kind"] = query["kind"]
    try:
        return msgspec.convert(fields, m.MediaBegin)
    except msgspec.ValidationError:
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "?kind or the file's name"}) from None


async def keep(
    deps: Deps, who: Principal, begin: m.MediaBegin, parts: AsyncIterator[bytes], sha256: str | None = None
) -> d.MediaInfo:
    """Stores a file from its parts (`PART_BYTES` each, the last as it is); what is cut leaves nothing."""
    upload = await ask(deps.bus, who, "media.begin", begin, m.MediaUpload)
    try:
        offset = 0
        async for part in parts:
            args = m.MediaUploadPart(upload_id=upload.upload_id, offset=offset, data=part)
            await ask(deps.bus, who, "media.part", args, m.MediaUpload)
            offset += len(part)
        finish = m.MediaFinish(upload_id=upload.upload_id, sha256=sha256)
        return await ask(deps.bus, who, "media.finish", finish, d.MediaInfo)
    except BaseException:
        with contextlib.suppress(Exception):
            await ask(
                deps.bus, who, "media.abort", m.MediaUploadRef(upload_id=upload.upload_id), m.MediaUpload
            )
        raise


async def _answer(send: Send, who: Principal, headers: Mapping[str, str], told: Any, status: int) -> None:
    form: codec.Form = "msgpack" if "msgpack" in headers.get("accept", "") else "json"
    body = codec.encode(told, form)
    kind = {"content-type": codec.CONTENT_TYPES[form], "content-length": str(len(body))}
    await start(send, status, who, kind)
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
