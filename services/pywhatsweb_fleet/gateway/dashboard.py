"""The dashboard's files: pages, styles and modules as they lie in ``dashboard/``, read once, sent compressed.

Nothing in them comes from another address, and the browser is told to refuse whatever would.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from pywhatsweb_fleet.gateway.asgi import Scope, Send
from pywhatsweb_fleet.gateway.envelope import headers_of

FOLDER: Final = Path(__file__).with_name("dashboard")
PREFIX: Final = "/dashboard/"
_KINDS: Final = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    b"connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)


class File(NamedTuple):
    kind: str
    plain: bytes
    packed: bytes
    tag: str


@cache
def files() -> dict[str, File]:
    """By path below ``/dashboard/``."""
    found = {}
    for path in FOLDER.rglob("*"):
        if path.is_file():
            plain = path.read_bytes()
            guessed = (
                _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            )
            kind = guessed + ("; charset=utf-8" if guessed.startswith("text/") else "")
            tag = '"' + hashlib.sha256(plain).hexdigest()[:20] + '"'
            found[path.relative_to(FOLDER).as_posix()] = File(kind, plain, gzip.compress(plain, 9), tag)
    return found


def serves(path: str) -> bool:
    return path in ("/", "/dashboard") or path.startswith(PREFIX)


async def serve(scope: Scope, send: Send) -> None:
    """A file; every other path below the prefix is the page, whose program knows what to show."""
    if scope["method"] not in ("GET", "HEAD"):
        await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
        return
    if not scope["path"].startswith(PREFIX):
        await _answer(send, 307, [(b"location", PREFIX.encode())], b"")
        return
    name = scope["path"].removeprefix(PREFIX)
    file = files().get(name or "index.html")
    if file is None and "." in name.rpartition("/")[2]:
        await _answer(send, 404, [], b"")
        return
    file = file or files()["index.html"]
    headers = headers_of(scope)
    kept = [
        (b"etag", file.tag.encode()),
        (b"cache-control", b"no-cache"),
        (b"vary", b"accept-encoding"),
        (b"content-security-policy", _POLICY),
    ]
    if headers.get("if-none-match") == file.tag:
        await _answer(send, 304, kept, b"")
        return
    packed = "gzip" in headers.get("accept-encoding", "") and len(file.packed) < len(file.plain)
    kept += [(b"content-type", file.kind.encode()), *([(b"content-encoding", b"gzip")] if packed else [])]
    body = file.packed if packed else file.plain
    await _answer(send, 200, kept, b"" if scope["method"] == "HEAD" else body, len(body))


async def _answer(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes, length: int | None = None
) -> None:
    size = str(len(body) if length is None else length).encode()
    await send(
        {"type": "http.response.start", "status": status, "headers": [*headers, (b"content-length", size)]}
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
