"""Arguments and results of ``deadletter.*``: what was set aside after its last try, with its reason.

A command comes here when its last try failed although another might not (see `retryable` of the code), or when nobody
can read it; an event when a service of the fleet cannot take it. Letters are kept for 30 days, and while the tenant's
``deadletter_bytes`` hold them: a full store drops its oldest. Lists go from the oldest to the newest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from pywhatsweb.contracts.control_data import Args, Limit, Name, Note, Page, Result, Who
from pywhatsweb.contracts.event_data import Timestamp

LetterId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Code = Annotated[str, Meta(pattern=r"^E_[A-Z0-9_]{1,62}$")]
Kind = Literal["command", "event"]


class DeadLetterList(Page, frozen=True, kw_only=True):
    """A page may be short, even empty, and have a `cursor` still: each looks through so many letters at most."""

    session_id: Name | None = None
    kind: Kind | None = None
    code: Code | None = None


class DeadLetterRef(Args, frozen=True, kw_only=True):
    id: LetterId


class DeadLetterInfo(Result, frozen=True, kw_only=True):
    """`subject` is where it was published; `reader` is the service that could not take an event.

    `session_id` is ``-`` when the subject named none that could be; `chat` is a chat key, or null.
    """

    id: str
    kind: str
    session_id: str
    code: str
    attempts: int
    received_at: Timestamp
    subject: str
    command_id: str | None = None
    chat: str | None = None
    reader: str | None = None
    reason: str | None = None


class DeadLetterDetail(DeadLetterInfo, frozen=True, kw_only=True):
    """`body` as data when it can be read, else its bytes in `raw`. `action` tells what the code asks for."""

    body: dict[str, Any] | None = None
    raw: bytes | None = None
    message: str = ""
    action: str = ""
    retryable: bool = False


class DeadLetters(Result, frozen=True, kw_only=True):
    """`total`, `bytes` and `max_bytes` are of the whole store, whatever was asked for."""

    deadletters: list[DeadLetterInfo]
    cursor: str | None = None
    total: int = 0
    bytes: int = 0
    max_bytes: int = 0


class DeadLetterChoice(Args, frozen=True, kw_only=True):
    """One by `id`, or with `all` every one that the filters leave and that was there at the first request.

    `limit` letters at a time: while the answer has a `cursor`, ask again with it. `by` is who does it, for the record.
    """

    id: LetterId | None = None
    all: bool = False
    session_id: Name | None = None
    kind: Kind | None = None
    code: Code | None = None
    limit: Limit = 100
    cursor: str | None = None
    by: Who | None = None


class DeadLetterRedrive(DeadLetterChoice, frozen=True, kw_only=True):
    """A command is published again under an id made from the letter's, so twice is once; an event as it was."""


class DeadLetterDrop(DeadLetterChoice, frozen=True, kw_only=True):
    """Removes letters for good; the audit trail keeps their ids and codes, and `reason`."""

    reason: Note | None = None


class RedrivenLetter(Result, frozen=True, kw_only=True):
    """`command_id` is the new one, whose status events have the old one as their `causation_id`."""

    id: str
    command_id: str | None = None


class Redriven(Result, frozen=True, kw_only=True):
    count: int
    cursor: str | None = None
    letters: list[RedrivenLetter] = field(default_factory=list)


class Dropped(Result, frozen=True, kw_only=True):
    count: int
    cursor: str | None = None
