"""The engine port: what a session worker asks of whatever speaks to WhatsApp, and what it offers in return.

Three parties: an **Engine** (one a worker and a kind, e.g. one sidecar process), an **EngineSession** (one open link
of one WhatsApp account) and its **SessionHost** (the worker's side of that session). Fields and rules are those of
``sidecar-node/PROTOCOL.md``; an engine in Python keeps them without frames.

The durable side is the heart of it. An engine hands `Unit`s to its host, numbered from 1 for each open; the host makes
them durable in that order (an event has JetStream's PubAck before the keys behind it are committed) and then calls
`EngineSession.committed`. Until then an engine acknowledges nothing to WhatsApp that came before the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

CloseHow = Literal["stop", "logout", "handover"]

CloseReason = Literal[
    "stopped",
    "logged_out",
    "banned",
    "timed_out",
    "multidevice_mismatch",
    "connection_lost",
    "replaced",
    "bad_session",
    "unavailable",
    "restart_required",
    "pairing_timeout",
    "certificate_refused",
    "lease_lapsed",
    "proxy_failed",
    "engine_error",
]


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """``pn`` is E.164 with its plus, ``lid`` the digits before ``@lid``. Neither is ever guessed from the other."""

    pn: str | None = None
    lid: str | None = None
    name: str | None = None


class Recipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """Exactly one is set."""

    pn: str | None = None
    lid: str | None = None
    group: str | None = None


class Pairing(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a device without credentials is linked; ``code`` asks for that very pairing code (8 characters)."""

    method: Literal["qr", "code"] = "qr"
    phone_number: str | None = None
    code: str | None = None


class OpenSpec(msgspec.Struct, frozen=True):
    """What opens a session. ``incarnation`` is the ownership epoch; ``creds`` None pairs anew."""

    session: str
    incarnation: int
    creds: bytes | None
    pairing: Pairing
    settings: Mapping[str, Any]


class FileSource(Protocol):
    """A file that goes with an action; read by its engine while it is done, from the beginning, perhaps twice."""

    size: int
    """In bytes."""

    async def read(self, offset: int, length: int) -> bytes:
        """Raises EngineError."""


class FileSink(Protocol):
    """Takes the file that an action asks for."""

    async def write(self, data: bytes) -> None:
        """The next part; returns when there is room for another. Raises EngineError."""


class Action(msgspec.Struct, frozen=True):
    """One thing to do at WhatsApp. ``id`` is the preset message id: the same at every try.

    A send of a file has a ``source``, ``media.get`` a ``sink``.
    """

    action: str
    id: str
    to: Recipient | None
    content: Mapping[str, Any]
    context: Mapping[str, Any] | None = None
    typing_ms: int = 0
    source: FileSource | None = None
    sink: FileSink | None = None


class Done(msgspec.Struct, frozen=True):
    """WhatsApp's own acknowledgement. ``at`` in milliseconds since 1970; ``message_id`` as WhatsApp has it."""

    message_id: str
    at: int
    data: Any = None


class EngineError(Exception):
    """An action did not succeed. ``uncertain``: it may have reached WhatsApp all the same."""

    def __init__(self, code: str, detail: str = "", *, uncertain: bool = False) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.uncertain = uncertain


class StateChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a link stands. ``retry``: it can be opened again with the stored credentials; ``retry_at_once``: now."""

    state: Literal["connecting", "qr", "pairing_code", "open", "closed"]
    code: str | None = None
    expires_at: int | None = None
    attempt: int | None = None
    me: Person | None = None
    reason: CloseReason | None = None
    whatsapp_code: int | None = None
    detail: str | None = None
    retry: bool = False
    retry_at_once: bool = False


KeyRow = tuple[str, str, bytes | None]
"""kind, id, value (None deletes)."""


class EventUnit(NamedTuple):
    """Something that happened and must reach the events stream. ``unit`` 0: may be lost, is never committed."""

    unit: int
    kind: str
    data: Mapping[str, Any]


class KeysUnit(NamedTuple):
    """Credential writes that belong behind the units before them."""

    unit: int
    creds: bytes | None
    rows: Sequence[KeyRow]


class SessionHost(Protocol):
    """The worker's side of a session. Called on the event loop; nothing here blocks, nothing raises."""

    def state(self, change: StateChange) -> None:
        """The link changed; calls come in the order in which it did."""

    def event(self, unit: EventUnit) -> None:
        """Make it durable, in turn. The host bounds what waits; an engine stops reading past its credit."""

    def keys(self, unit: KeysUnit) -> None:
        """Make it durable, in turn: after every unit before it."""

    async def load_keys(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        """Committed values; absent ids are left out. Raises EngineError when the store cannot be read."""


class EngineSession(Protocol):
    """One open link. Every call after `close` raises EngineError("E_CONNECTION_LOST")."""

    async def act(self, action: Action) -> Done:
        """Does it and returns at WhatsApp's acknowledgement.

        Raises EngineError; may take as long as WhatsApp does: the caller sets the time-out. Calls may overlap; what
        reaches WhatsApp keeps the order of the calls.
        """

    def committed(self, unit: int) -> None:
        """Every unit up to and including this one is durable."""

    async def close(self, how: CloseHow) -> None:
        """Ends the link; returns when nothing more will be sent or reported. The second call does nothing."""


class Engine(Protocol):
    """One kind of engine in this worker. Started before, and stopped after, every session it opens."""

    name: str

    @property
    def version(self) -> str:
        """The library's; "" while it is not known."""

    @property
    def capabilities(self) -> Sequence[str]:
        """What it can do, in the names of `contracts.capabilities`; none: it does not say, and is asked anything."""

    async def start(self) -> None:
        """Ready to open sessions, or EngineError("E_ENGINE_UNAVAILABLE") with the reason in words."""

    async def open(self, spec: OpenSpec, host: SessionHost) -> EngineSession:
        """Begins to link and returns at once; how it goes is told by ``host.state``."""

    def lease(self, valid_ms: int) -> None:
        """Ownership holds for so long; when it lapses every link is cut at once, with the reason lease_lapsed."""

    async def stop(self) -> None:
        """Closes every session (as ``stop``) and frees what the engine holds; bounded by 5 s, then by force."""
