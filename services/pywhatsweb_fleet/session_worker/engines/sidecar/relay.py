"""What a sidecar says, into our log: bounded, and without numbers, keys or ids."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

LONGEST_LINE = 2000
"""Characters of a line that are kept."""

_DIGITS = re.compile(r"\d{7,}")
_BLOB = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning"}


def masked(text: str) -> str:
    """Long runs of digits, and of base64 or hex, become ``#``; a path without digits or capitals stays."""
    return _DIGITS.sub("#", _BLOB.sub(_mask_blob, text[:LONGEST_LINE]))


def _mask_blob(match: re.Match[str]) -> str:
    found = match[0]
    return "#" if any(c.isdigit() or c.isupper() for c in found) else found


def masked_value(value: Any, depth: int = 3) -> Any:
    """The same through maps and lists; what lies deeper is left out."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 10_000_000 else "#"
    if isinstance(value, bytes) or depth == 0:
        return "#"
    if isinstance(value, Mapping):
        return {str(k)[:40]: masked_value(v, depth - 1) for k, v in list(value.items())[:40]}
    if isinstance(value, list | tuple):
        return [masked_value(v, depth - 1) for v in value[:40]]
    return "#"


def log_said(
    log: structlog.stdlib.BoundLogger, level: str, event: str, fields: Mapping[str, Any] | None, **more: Any
) -> None:
    """Logs what the sidecar reported, under its own level."""
    said = {"sidecar_" + key: value for key, value in masked_value(fields or {}).items()}
    getattr(log, _LEVELS.get(level, "error"))("sidecar_" + masked(event)[:80], **said, **more)


async def relay_lines(stream: asyncio.StreamReader, log: structlog.stdlib.BoundLogger, name: str) -> None:
    """Logs each line of a sidecar's output until it ends; a line without end is cut, not kept."""
    rest = b""
    while chunk := await stream.read(64 * 1024):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: 4 * LONGEST_LINE]
        for line in lines:
            _log_line(line, log, name)
    if rest:
        _log_line(rest, log, name)


def _log_line(line: bytes, log: structlog.stdlib.BoundLogger, name: str) -> None:
    if not line.strip():
        return
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        record = None
    if isinstance(record, dict) and isinstance(record.get("event"), str):
        level, event = str(record.pop("level", "info")), str(record.pop("event"))
        log_said(log, level, event, record, stream=name)
    else:
        log.warning("sidecar_output", stream=name, line=masked(line.decode(errors="replace")))
