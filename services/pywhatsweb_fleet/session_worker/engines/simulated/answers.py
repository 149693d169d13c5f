"""What the simulated WhatsApp answers at once: acts that it does not acknowledge as messages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb_fleet.session_worker.engines.port import Action, Done, EngineError
from pywhatsweb_fleet.session_worker.engines.simulated.settings import SimulatedSettings

_PART = 256 * 1024


def answer_at_once(action: Action, settings: SimulatedSettings) -> Done | EngineError:
    """The outcome of read, presence, check_numbers or media.get, in the form of PROTOCOL.md."""
    data: Any = None
    try:
        if action.action == "check_numbers":
            numbers = map(str, action.content.get("numbers", ()))
            data = [{"number": number, "exists": number not in settings.absent} for number in numbers]
        elif action.action == "media.get":
            data = _file(action)
    except (TypeError, ValueError, OSError) as error:
        return EngineError("E_INVALID_FIELD", f"{action.action}: {type(error).__name__}")
    return Done(action.id, time.time_ns() // 1_000_000, data)


async def carried(action: Action) -> Action:
    """The action as WhatsApp gets it: the file that goes along read to its end, its size and hash in the content."""
    source, digest, offset = action.source, hashlib.sha256(), 0
    assert source is not None  # noqa: S101 - the caller looked
    while offset < source.size:
        part = await source.read(offset, min(_PART, source.size - offset))
        digest.update(part)
        offset += len(part)
    name = str(action.content["type"])
    file = {**action.content[name], "size": offset, "sha256": digest.hexdigest()}
    return msgspec.structs.replace(action, content={**action.content, name: file}, source=None)


def _file(action: Action) -> dict[str, Any]:
    # A simulated file is its own source. A state file, being JSON, gives bytes back as base64.
    source = action.content.get("source", b"")
    try:
        content = base64.b64decode(source, validate=True) if isinstance(source, str) else bytes(source)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    about: dict[str, Any] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path = action.content.get("path")
    if path is None:
        return {**about, "data": content}
    Path(path).write_bytes(content)
    return about
