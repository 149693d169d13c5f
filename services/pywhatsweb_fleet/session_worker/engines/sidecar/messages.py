"""The frames of ``sidecar-node/PROTOCOL.md``, version 1, as Structs: a direction each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pywhatsweb_fleet.session_worker.engines.port import (
    CloseHow,
    CloseReason,
    KeyRow,
    Pairing,
    Person,
    Recipient,
)

PROTOCOL = 1


class _Sent(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """From the worker. Nil fields are written: ``creds`` nil means something."""


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``whatsapp_root_key`` is hex, ``whatsapp_ca`` PEM text, ``credit`` the uncommitted units a session may have.

    ``engines`` are those to load (none named: Baileys); the last three are of webjs.
    """

    whatsapp_url: str | None = None
    whatsapp_root_key: str | None = None
    whatsapp_ca: str | None = None
    log_level: str | None = None
    credit: int = msgspec.field(default=0)
    engines: tuple[str, ...] = ()
    chromium: str | None = None
    profiles: str | None = None
    browser_memory_mb: int | None = None


class HelloWorker(_Sent, frozen=True, tag="hello"):
    worker: str
    config: Config
    protocol: int = PROTOCOL


class Lease(_Sent, frozen=True, tag="lease"):
    valid_ms: int


class Shutdown(_Sent, frozen=True, tag="shutdown"):
    pass


class Open(_Sent, frozen=True, tag="open"):
    session: str
    incarnation: int
    engine: str
    creds: bytes | None
    pairing: Pairing
    settings: Mapping[str, Any]


class Close(_Sent, frozen=True, tag="close"):
    session: str
    incarnation: int
    how: CloseHow


class Act(_Sent, frozen=True, tag="act", omit_defaults=True):
    session: str
    incarnation: int
    ref: int
    action: str
    id: str
    content: Mapping[str, Any]
    to: Recipient | None = None
    context: Mapping[str, Any] | None = None
    typing_ms: int = 0


class Committed(_Sent, frozen=True, tag="committed"):
    session: str
    incarnation: int
    unit: int


class Keys(_Sent, frozen=True, tag="keys", omit_defaults=True):
    """The answer to `KeysGet`: rows, or the ``code`` of what failed."""

    session: str
    incarnation: int
    ref: int
    rows: Sequence[tuple[str, bytes]] | None = None
    code: str | None = None


class Blob(_Sent, frozen=True, tag="blob", omit_defaults=True):
    """The answer to `BlobGet` (the part) and `BlobPut` (nothing: it is taken), or the ``code`` of what failed."""

    session: str
    incarnation: int
    ref: int
    data: bytes | None = None
    code: str | None = None


Sent = HelloWorker | Lease | Shutdown | Open | Close | Act | Committed | Keys | Blob


class _Received(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """From the sidecar. Unknown fields are ignored."""


class EngineAbout(msgspec.Struct, frozen=True):
    version: str = ""
    capabilities: tuple[str, ...] = ()


class HelloSidecar(_Received, frozen=True, tag="hello"):
    protocol: int
    pid: int = 0
    node: str = ""
    engines: dict[str, EngineAbout] = {}


class Fatal(_Received, frozen=True, tag="fatal"):
    code: str
    message: str = ""


class Log(_Received, frozen=True, tag="log"):
    level: str
    event: str
    session: str | None = None
    fields: dict[str, Any] | None = None


class Stats(_Received, frozen=True, tag="stats"):
    """``rss`` and ``heap`` in bytes."""

    rss: int = 0
    heap: int = 0
    loop_lag_ms: float = 0
    sessions: dict[str, dict[str, Any]] = {}


class State(_Received, frozen=True, tag="state"):
    """``code`` is a QR or pairing code, or WhatsApp's number when closed."""

    session: str
    incarnation: int
    state: str
    code: str | int | None = None
    expires_at: int | None = None
    attempt: int | None = None
    me: Person | None = None
    reason: CloseReason | None = None
    detail: str | None = None
    retry: bool = False
    retry_at_once: bool = False


class Result(_Received, frozen=True, tag="result"):
    session: str
    incarnation: int
    ref: int
    ok: bool
    message_id: str | None = None
    at: int | None = None
    code: str | None = None
    detail: str | None = None
    uncertain: bool = False
    data: Any = None


class Event(_Received, frozen=True, tag="event"):
    session: str
    incarnation: int
    unit: int
    kind: str
    data: dict[str, Any]


class KeysSet(_Received, frozen=True, tag="keys_set"):
    session: str
    incarnation: int
    unit: int
    creds: bytes | None = None
    rows: list[KeyRow] = []


class KeysGet(_Received, frozen=True, tag="keys_get"):
    session: str
    incarnation: int
    ref: int
    kind: str
    ids: list[str]


class BlobGet(_Received, frozen=True, tag="blob_get"):
    """Asks for a part of the file that goes with ``act``."""

    session: str
    incarnation: int
    ref: int
    act: int
    offset: int
    length: int


class BlobPut(_Received, frozen=True, tag="blob_put"):
    """The next part of the file that ``act`` asked for."""

    session: str
    incarnation: int
    ref: int
    act: int
    data: bytes


SessionFrame = State | Result | Event | KeysSet | KeysGet | BlobGet | BlobPut
Received = HelloSidecar | Fatal | Log | Stats | SessionFrame
