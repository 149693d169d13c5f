"""Which rows of a campaign cannot be sent, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pywhatsweb.client.bulk_rows import Row
from pywhatsweb.contracts.consent_data import CheckedConsent
from pywhatsweb.contracts.template_data import TemplateInfo
from pywhatsweb.errors import ErrorCode

if TYPE_CHECKING:
    from pywhatsweb.client.fleet import FleetClient

_AT_ONCE: Final = 200


async def problems(
    fleet: FleetClient, rows: Sequence[Row], template: TemplateInfo, purpose: str | None
) -> dict[int, ErrorCode]:
    """By the rows' numbers. `purpose`: what people must have agreed to. Of a person's rows the first one counts."""
    found = {row.number: row.problem for row in rows if row.problem is not None}
    needed = {name for name in template.variables if name not in template.defaults}
    seen: set[str] = set()
    sound = [row for row in rows if row.problem is None]
    for start in range(0, len(sound), _AT_ONCE):
        some = sound[start : start + _AT_ONCE]
        people = await fleet.consents.check([row.to for row in some], purpose=purpose)
        for row, person in zip(some, people, strict=True):
            problem = _of_person(person, seen, asked=purpose is not None)
            if problem is None and not needed <= row.variables.keys():
                problem = ErrorCode.E_TEMPLATE_VARIABLE
            if problem is not None:
                found[row.number] = problem
    return found


def _of_person(person: CheckedConsent, seen: set[str], *, asked: bool) -> ErrorCode | None:
    if person.error is not None or person.key is None:
        return ErrorCode.from_wire(person.error or ErrorCode.E_INVALID_PHONE.wire)
    if person.key in seen:
        return ErrorCode.E_DUPLICATE_RECIPIENT
    seen.add(person.key)
    if person.opted_out:
        return ErrorCode.E_CONTACT_OPTED_OUT
    return ErrorCode.E_CONSENT_MISSING if asked and person.consented_at is None else None
