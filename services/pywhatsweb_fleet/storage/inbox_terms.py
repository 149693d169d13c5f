"""What is asked and answered when an inbox's commands are given to its sessions (`inbox_choices`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from pywhatsweb.errors import ErrorCode


class Wanted(NamedTuple):
    """A command to an inbox. ``target``: the id of the command that it cancels; else it is for ``address``.

    ``seq``: in the commands stream; ``due_at``, ``expires``: milliseconds since 1970.
    """

    inbox: str
    command_id: str
    seq: int
    address: str
    chat: str
    due_at: int
    expires: int
    target: str = ""

    @property
    def id(self) -> tuple[str, str]:
        return self.inbox, self.command_id


class Standing(NamedTuple):
    """How a session is. ``passing``: it is not WORKING, but on its way there by itself; ``away_ms``: for how long."""

    exists: bool
    works: bool = False
    passing: bool = False
    banned: bool = False
    away_ms: int = 0
    held_until: int = 0
    """Until when it must not write to anybody new; 0: it may."""


class Refused(NamedTuple):
    code: ErrorCode
    details: Mapping[str, Any] = {}


class Move(NamedTuple):
    """A person goes on with another session; ``chat`` is one of their keys."""

    inbox: str
    chat: str
    before: str
    after: str
    why: str


class Chosen(NamedTuple):
    """``where``: for each of the wanted, in their order, a session or why none."""

    where: list[str | Refused]
    moves: list[Move]
    counts: dict[str, Counter[str]]
    """How many people each session of an inbox has by now, where that was asked."""
