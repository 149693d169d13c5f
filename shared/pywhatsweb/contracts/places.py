"""Where one posts to whoever follows, instead of writing to somebody: the account's status (stories), and channels.

As a `chat` such a place is told like a group, by its whole id: ``status@broadcast``, ``120363…@newsletter``.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple

from pywhatsweb.errors import ContractError, ErrorCode

MAX_AUDIENCE: Final = 1000
STATUS: Final = "status@broadcast"
_CHANNEL: Final = re.compile(r"[0-9]{10,24}@newsletter")
_NOT_THERE: Final = ("context", "disappear_after")
"""Fields of a send that mean something between people only."""


class Place(NamedTuple):
    """`id` is WhatsApp's address of it."""

    kind: Literal["status", "channel"]
    id: str


def place_of(to: str | None) -> Place | None:
    """The place that a command's `to` names: ``status``, ``status@broadcast`` or ``…@newsletter``; None: a chat."""
    to = (to or "").strip()
    if to in ("status", STATUS):
        return Place("status", STATUS)
    return Place("channel", to) if to.endswith("@newsletter") and _CHANNEL.fullmatch(to) else None


def check(command: Any, content: Any = None) -> None:
    """Refuses fields that do not go with the command's place. Raises ContractError(E_INVALID_FIELD)."""
    place = place_of(getattr(command, "to", None))
    if getattr(command, "audience", None) is not None and (place is None or place.kind != "status"):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.audience"})
    if getattr(content, "background", None) is not None and (place is None or place.kind != "status"):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.text.background"})
    if place is None:
        return
    for name in _NOT_THERE:
        if getattr(command, name, None) is not None:
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": f"$.{name}"})
    if getattr(content, "view_once", False):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.view_once"})
