"""Writes the golden frames of the sidecar protocol: one file a frame type and direction, length prefix included.

Run it after PROTOCOL.md gained a field, and read the difference: a changed byte of an old file breaks the other side.

    PYTHONPATH=shared:services:. python -m tests.contract.make_golden_frames

``worker.*`` are encoded by this side's own Structs, ``sidecar.*`` as Node writes them (no nil for what is undefined).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb_fleet.session_worker.engines.port import Pairing, Recipient
from pywhatsweb_fleet.session_worker.engines.sidecar.frames import FrameEncoder
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import (
    Act,
    Blob,
    Close,
    Committed,
    Config,
    HelloWorker,
    Keys,
    Lease,
    Open,
    Sent,
    Shutdown,
)

FOLDER = Path(__file__).with_name("golden") / "frames"
_WHERE: dict[str, Any] = {"session": "acme/s1", "incarnation": 412}
_WAMID = "3EB0A1B2C3D4E5F60718293A"
_AT = 1_795_348_800_123
_TO = "+5511999990001"

FROM_WORKER: dict[str, Sent] = {
    "hello": HelloWorker(
        worker="w1",
        config=Config(
            whatsapp_url="ws://127.0.0.1:8000/ws/chat",
            whatsapp_root_key="ab" * 32,
            log_level="info",
            credit=64,
        ),
    ),
    "lease": Lease(valid_ms=4000),
    "shutdown": Shutdown(),
    "open": Open(
        **_WHERE,
        engine="baileys",
        creds=None,
        pairing=Pairing(method="code", phone_number=_TO),
        settings={"browser": ["Ubuntu", "Chrome", "22.04"], "mark_online": False},
    ),
    "open.creds": Open(**_WHERE, engine="baileys", creds=bytes(range(200)), pairing=Pairing(), settings={}),
    "close": Close(**_WHERE, how="handover"),
    "act": Act(
        **_WHERE,
        ref=7,
        action="send",
        id=_WAMID,
        content={"type": "text", "text": {"body": "Olá, mundo! 👋"}},
        to=Recipient(pn=_TO),
        context={"message_id": "3A00", "from_self": False},
        typing_ms=1500,
    ),
    "act.media": Act(
        **_WHERE,
        ref=70_000,
        action="send",
        id=_WAMID,
        content={"type": "image", "image": {"data": b"\xff\xd8" + bytes(300), "caption": "Foto"}},
        to=Recipient(group="120363000000000001"),
    ),
    "committed": Committed(**_WHERE, unit=300),
    "keys": Keys(**_WHERE, ref=3, rows=[("551199.0", b"\x00\x01\xff")]),
    "keys.failed": Keys(**_WHERE, ref=4, code="E_STORAGE_UNAVAILABLE"),
    "blob": Blob(**_WHERE, ref=5, data=b"\xff\xd8" + bytes(64)),
    "blob.taken": Blob(**_WHERE, ref=6),
    "blob.failed": Blob(**_WHERE, ref=7, code="E_MEDIA_NOT_FOUND"),
}

_PERSON = {"pn": _TO, "lid": "123456789012345", "name": "Zoë 🦜"}
FROM_SIDECAR: dict[str, dict[str, Any]] = {
    "hello": {
        "protocol": 1,
        "pid": 4242,
        "node": "v24.19.0",
        "engines": {"baileys": {"version": "7.0.0-rc14", "capabilities": ["text", "image"]}},
    },
    "fatal": {"code": "E_SIDECAR_PROTOCOL", "message": "this sidecar speaks protocol 1"},
    "log": {"level": "warn", "event": "retry_asked", "session": "acme/s1", "fields": {"count": 2}},
    "stats": {
        "rss": 180_355_072,
        "heap": 60_000_000,
        "loop_lag_ms": 12,
        "sessions": {"acme/s1": {"held_frames": 0, "uncommitted": 2, "last_frame_at": _AT}},
    },
    "state.connecting": {**_WHERE, "state": "connecting"},
    "state.qr": {
        **_WHERE,
        "state": "qr",
        "code": "https://wa.me/settings/linked_devices#2@a,b,c,d,1",
        "expires_at": _AT,
        "attempt": 1,
    },
    "state.pairing_code": {**_WHERE, "state": "pairing_code", "code": "ABCD1234", "expires_at": _AT},
    "state.open": {**_WHERE, "state": "open", "me": _PERSON},
    "state.closed": {
        **_WHERE,
        "state": "closed",
        "reason": "restart_required",
        "code": 515,
        "detail": "",
        "retry": True,
        "retry_at_once": True,
    },
    "result": {**_WHERE, "ref": 7, "ok": True, "message_id": _WAMID, "at": _AT},
    "result.failed": {
        **_WHERE,
        "ref": 8,
        "ok": False,
        "code": "E_WHATSAPP_REJECTED",
        "detail": "500",
        "uncertain": False,
    },
    "event": {
        **_WHERE,
        "unit": 1,
        "kind": "message",
        "data": {
            "id": "3A00",
            "chat": {"pn": _TO, "lid": "123456789012345", "group": None},
            "from": _PERSON,
            "from_self": False,
            "type": "text",
            "text": {"body": "Oi"},
            "sent_at": _AT,
            "offline": False,
            "history": False,
        },
    },
    "event.loose": {**_WHERE, "unit": 0, "kind": "presence", "data": {"chat": _PERSON, "state": "composing"}},
    "keys_set": {
        **_WHERE,
        "unit": 2,
        "creds": b"\x01" * 40,
        "rows": [["session", "551199.0", b"\x00\x01"], ["pre-key", "12", None]],
    },
    "keys_get": {**_WHERE, "ref": 3, "kind": "session", "ids": ["551199.0", "551198.0"]},
    "blob_get": {**_WHERE, "ref": 5, "act": 7, "offset": 262_144, "length": 262_144},
    "blob_put": {**_WHERE, "ref": 6, "act": 8, "data": b"\xff\xd8" + bytes(64)},
}


def frames() -> dict[str, bytes]:
    """File name to bytes."""
    encoder = FrameEncoder()
    made: dict[str, bytes] = {}
    for name, frame in FROM_WORKER.items():
        encoder.add(frame)
        made[f"worker.{name}.frame"] = bytes(encoder.take())
    for name, fields in FROM_SIDECAR.items():
        body = msgspec.msgpack.encode({"type": name.partition(".")[0], **fields})
        made[f"sidecar.{name}.frame"] = struct.pack(">I", len(body)) + body
    return made


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in frames().items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
