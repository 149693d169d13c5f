"""Arguments and result of ``usage.get``: what a tenant used, and what it may use."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from msgspec import Meta

from pywhatsweb.contracts.control_data import Args, Result
from pywhatsweb.errors import ContractError, ErrorCode

MAX_DAYS = 366
DayText = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
"""A day of UTC, ISO 8601."""

_EPOCH = date(1970, 1, 1)


class UsageGet(Args, frozen=True, kw_only=True):
    """Both days included; `until` null: today; `since` null: that day alone."""

    since: DayText | None = None
    until: DayText | None = None


class Day(Result, frozen=True, kw_only=True):
    """`counts`: commands accepted and refused, new_contacts, session_new_contacts (of the sessions together;
    counted while there is a limit), messages sent and received."""

    day: str
    counts: dict[str, int]


class Usage(Result, frozen=True, kw_only=True):
    """`now`: what is in use at this moment. `limits`: 0 where there is none. Days without use are left out."""

    days: list[Day]
    now: dict[str, int]
    limits: dict[str, float]


def day_number(text: str) -> int:
    """Days since 1970. Raises ContractError(E_INVALID_TIMESTAMP)."""
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise ContractError(ErrorCode.E_INVALID_TIMESTAMP, {"path": "$.since"}) from None


def day_text(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


def check_usage(args: UsageGet) -> None:
    """What the types cannot say. Raises ContractError."""
    days = [day_number(text) for text in (args.since, args.until) if text is not None]
    if len(days) == 2 and not 0 <= days[1] - days[0] < MAX_DAYS:
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.since", "limit": MAX_DAYS})
