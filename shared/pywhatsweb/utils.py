"""0.5's utilities: phone numbers, session ids, times."""

from __future__ import annotations

import os
import re
import secrets
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pywhatsweb.contracts.subjects import valid_name
from pywhatsweb.phone import (
    format_phone_for_display,
    get_phone_info,
    normalize_phone_number,
    validate_phone_number,
)

__all__ = [
    "format_phone_for_display",
    "format_timestamp",
    "generate_session_id",
    "get_current_timezone",
    "get_phone_info",
    "normalize_phone_number",
    "validate_phone_number",
    "validate_session_id",
]

DEFAULT_TIMEZONE = "America/Sao_Paulo"
_NOT_A_NAME = re.compile(r"[^a-z0-9_-]+")


def generate_session_id(prefix: str = "session", tenant_id: str | None = None) -> str:
    """``session_tenant_123_1703000000_abc12345``: unique, and a valid session name.

    What cannot stand in a name becomes ``_``; long parts are cut.
    """
    parts = [_NOT_A_NAME.sub("_", part.lower())[:20].strip("_-") for part in (prefix, tenant_id or "")]
    parts = [part for part in parts if part] or ["session"]
    return "_".join([*parts, str(int(time.time())), secrets.token_hex(4)])


def validate_session_id(session_id: str) -> bool:
    """1 to 63 of a-z, 0-9, ``_`` and ``-``, beginning with a letter or digit."""
    return valid_name(session_id)


def get_current_timezone() -> str:
    """The machine's zone by its IANA name (TZ, /etc/timezone, /etc/localtime); America/Sao_Paulo when unknown."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        try:
            named = Path("/etc/timezone").read_text().strip()
        except OSError:
            named = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    try:
        ZoneInfo(named)
    except (ValueError, OSError, KeyError):
        return DEFAULT_TIMEZONE
    return named


def format_timestamp(when: datetime, timezone: str | None = None) -> str:
    """``2024-12-19 10:30:00 -03`` in the zone; a naive `when` is of this machine's zone."""
    return when.astimezone(ZoneInfo(timezone or get_current_timezone())).strftime("%Y-%m-%d %H:%M:%S %Z")
