"""Questions about the record: search, and numbers over a span of time."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pywhatsweb.contracts.control_data import Args, Key, Name, Page, Result, Who
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.contracts.kanban_data import Zone
from pywhatsweb.contracts.statuses import Origin
from pywhatsweb.errors import ContractError, ErrorCode

MAX_SPAN_DAYS = 366


class MessageGet(Args, frozen=True, kw_only=True):
    """By its id at WhatsApp; of several (ids are unique within a chat and sender), the newest."""

    id: Who
    session_id: Name | None = None


class MessageSearch(Page, frozen=True, kw_only=True):
    """Messages whose present text or caption has all the words of `query`; those that were deleted are left out.

    Case and marks do not count (``nao`` finds ``não``); ``"a phrase"`` is looked for as such, ``obrig*`` finds what
    begins so. `to` or `chat`: only that chat. `since` and `until` (not within): when it was sent. The newest come
    first, by when they were recorded. A page may be short, or empty, and have a cursor all the same: ask on until there
    is none.
    """

    query: Annotated[str, Meta(min_length=1, max_length=500)]
    session_id: Name | None = None
    to: Who | None = None
    chat: Key | None = None
    origin: Origin | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None


def check_search(args: MessageSearch) -> None:
    """Raises ContractError(E_INVALID_FIELD)."""
    if args.to is not None and args.chat is not None:
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.chat", "reason": "either to or chat"})


class SpanArgs(Args, frozen=True, kw_only=True):
    """`until` is not within, and at most 366 days after `since`."""

    since: Timestamp
    until: Timestamp
    session_id: Name | None = None


class AnalyticsCounts(SpanArgs, frozen=True, kw_only=True):
    """`zone` (IANA) decides when a day begins; that of the tenant's board policy when absent."""

    zone: Zone | None = None


class DayCount(Result, frozen=True, kw_only=True):
    """Messages of a session that were sent on a `day` (``2026-11-22``) of the zone."""

    day: str
    session_id: str
    inbound: int = 0
    outbound: int = 0


class Counts(Result, frozen=True, kw_only=True):
    """Days and sessions without messages are left out."""

    zone: str
    inbound: int
    outbound: int
    days: list[DayCount]


class AnalyticsResponses(SpanArgs, frozen=True, kw_only=True):
    """How long contacts waited: from their first message that was not answered yet to our next one."""


class ResponseTimes(Result, frozen=True, kw_only=True):
    """`waiting`: chats whose last message within the span is theirs. `session_id` null: all together."""

    session_id: str | None = None
    answered: int = 0
    median_s: float | None = None
    p90_s: float | None = None
    waiting: int = 0


class Responses(Result, frozen=True, kw_only=True):
    total: ResponseTimes
    sessions: list[ResponseTimes]
