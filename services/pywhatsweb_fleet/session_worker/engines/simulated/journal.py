"""What the simulated WhatsApp took and holds, and the file that lets it outlive a killed worker.

The file is append-only JSON Lines, each written to the kernel before its effect is seen, so that it survives
``kill -9`` (not a power cut). Several workers may share it: each reads what the others wrote whenever it opens a
session.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="what", tag="accepted"):
    """WhatsApp took it; a repeated id is noted again. ``at`` in milliseconds, ``epoch`` the incarnation."""

    session: str
    epoch: int
    action: str
    id: str
    to: str | None
    at: int
    type: str | None = None
    content: Mapping[str, Any] | None = None
    writer: str = ""


class Stanza(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="what", tag="inbound"):
    """Something that WhatsApp delivers until it is acknowledged. ``key`` is unique within the session."""

    session: str
    key: str
    kind: str
    data: dict[str, Any]
    writer: str = ""


class Acknowledged(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="what", tag="acked"):
    """The engine acknowledged an inbound stanza: WhatsApp forgets it."""

    session: str
    key: str
    writer: str = ""


class Linked(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="what", tag="linked"):
    """The device that a session's account is linked to; None once it was unlinked, and ``barred`` why."""

    session: str
    device: str | None
    barred: Literal["logged_out", "banned"] | None = None
    writer: str = ""


Record = Accepted | Stanza | Acknowledged | Linked


def as_offline(stanza: Stanza) -> Stanza:
    """The same, delivered late; a copy, since the first one may be on its way still."""
    if "offline" not in stanza.data:
        return stanza
    return msgspec.structs.replace(stanza, data={**stanza.data, "offline": True})


class StateFile:
    """The shared file. Every call is synchronous and short."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._writer = secrets.token_hex(4)
        self._read_to = 0
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Record).decode
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")

    def append(self, record: Record) -> None:
        """In the kernel's hands when it returns. Raises OSError (disk full)."""
        line = self._encode(msgspec.structs.replace(record, writer=self._writer)) + b"\n"
        os.write(self._fd, line)

    def unread(self) -> Iterator[Record]:
        """What others wrote since the last call; a torn or foreign line is passed over."""
        size = os.fstat(self._fd).st_size
        want = 1 << 20
        while self._read_to < size:
            block = os.pread(self._fd, min(size - self._read_to, want), self._read_to)
            end = block.rfind(b"\n") + 1
            if not end:
                if len(block) < want:
                    return
                want *= 2
                continue
            self._read_to += end
            for line in block[:end].splitlines():
                try:
                    record = self._decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if record.writer != self._writer:
                    yield record

    def close(self) -> None:
        os.close(self._fd)
