"""Arguments and results of ``inbox.*``: several sessions under one name, ``@support``, that commands are sent to.

The dispatcher gives each person one of the inbox's sessions with the first command, and keeps to it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from pywhatsweb.contracts.control_data import Args, Name, Result, Who
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.errors import ContractError, ErrorCode

MAX_INBOXES: Final = 100
"""Of a tenant."""
MAX_SESSIONS: Final = 50

InboxName = Annotated[str, Meta(pattern=r"^@[a-z0-9][a-z0-9_-]{0,61}$")]
"""No session can have it: sessions' names begin with a letter or a digit."""
Spread = Literal["least_contacts", "first_working"]
Failover = Literal["never", "banned", "stopped"]


class InboxSet(Args, frozen=True, kw_only=True):
    """Makes an inbox, or replaces its settings; people stay with the sessions that they have.

    `spread`: whom somebody new is given to: of the sessions that work, the one with the fewest people, or the first.
    `failover`: when people go on with another session: never, once theirs is banned, or also once it has not worked for
    `cooldown_s` seconds. Whatever it says, they do when theirs is deleted or no longer in the list.
    """

    inbox_id: InboxName
    sessions: Annotated[list[Name], Meta(min_length=1, max_length=MAX_SESSIONS)]
    spread: Spread = "least_contacts"
    failover: Failover = "banned"
    cooldown_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 600
    by: Who | None = None


class InboxRef(Args, frozen=True, kw_only=True):
    inbox_id: InboxName


class InboxDelete(InboxRef, frozen=True, kw_only=True):
    """Forgets too who belongs to which of its sessions."""

    by: Who | None = None


class InboxInfo(Result, frozen=True, kw_only=True):
    """`contacts`: how many people each session has, former ones included."""

    inbox_id: str
    sessions: list[str]
    spread: Spread
    failover: Failover
    cooldown_s: int
    contacts: dict[str, int]
    changed_at: Timestamp
    changed_by: str | None = None


class Inboxes(Result, frozen=True, kw_only=True):
    """By name."""

    inboxes: list[InboxInfo]


class InboxDeleted(Result, frozen=True, kw_only=True):
    inbox_id: str


def check_set(args: InboxSet) -> None:
    """Raises ContractError for a session that is named twice."""
    if len(set(args.sessions)) != len(args.sessions):
        raise ContractError(
            ErrorCode.E_INVALID_FIELD, {"path": "$.sessions", "reason": "a session stands twice"}
        )
