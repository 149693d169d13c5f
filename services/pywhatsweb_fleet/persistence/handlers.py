"""A batch of events: decode, record, set the poison aside. What returns may be acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from pywhatsweb.contracts import events, subjects
from pywhatsweb.contracts.decoding import decoder
from pywhatsweb.contracts.ids import TenantId, TenantKey
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb_fleet.persistence.recording import Familiar, record
from pywhatsweb_fleet.persistence.rows import Told, rows_of
from pywhatsweb_fleet.storage.group_commit import GroupCommit
from pywhatsweb_runtime import deadletters
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)


_decode: Final = decoder(events.AnyEvent)


class Arrived(NamedTuple):
    """A message of an events stream."""

    subject: str
    data: bytes
    reply: str

    @property
    def sequence(self) -> int:
        """In the stream."""
        # $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.… ; with a domain two tokens more in front.
        return int(self.reply.split(".")[-4])


class Poison(NamedTuple):
    """A message that will never be recorded, and why: a catalogue code and a word on the cause."""

    message: Arrived
    code: str
    reason: str


class Deps(NamedTuple):
    group: GroupCommit
    """Commits what all tenants' batches have to write."""
    publisher: Publisher
    familiar: Familiar
    metrics: Metrics


async def settle(deps: Deps, tenant: TenantId, of: TenantRecord, batch: Sequence[Arrived]) -> None:
    """Records the batch, all or nothing but for its poison, which is in the dead letters when this returns.

    Raises StorageUnavailable, BrokerUnavailable or ApiError: then nothing may be acknowledged, and the same batch can
    be settled again.
    """
    told: list[tuple[Arrived, Told]] = []
    poison: list[Poison] = []
    for message in batch:
        subject = subjects.parse_event(message.subject)
        if subject is None or subject.kind not in events.EVENT_TYPES:
            continue  # of a later version: not ours to judge
        try:
            told.append((message, Told(subject, _decode(message.data))))
        except ContractError as error:
            poison.append(Poison(message, error.code.wire, str(error.details.get("path", "$"))))
    poison += await _record(deps, told, of)
    for one in poison:
        await _set_aside(deps.publisher, tenant, of, one)


async def _record(deps: Deps, told: Sequence[tuple[Arrived, Told]], of: TenantRecord) -> list[Poison]:
    """Records all at once; when something in it cannot be recorded, halves it until that is alone."""
    if not told:
        return []
    try:
        await _commit(deps, [one for _, one in told], of)
    except (DataError, IntegrityError, StatementError, ValueError, OverflowError, TypeError) as error:
        if not _is_ours(error):
            raise
        if len(told) == 1:
            return [Poison(told[0][0], ErrorCode.E_POISON.wire, type(error).__name__)]
    else:
        return []
    half = len(told) // 2
    return [*await _record(deps, told[:half], of), *await _record(deps, told[half:], of)]


def _is_ours(error: Exception) -> bool:
    """Whether a value is at fault. A missing table is a StatementError too, and no event's fault."""
    if isinstance(error, DataError | IntegrityError) or not isinstance(error, StatementError):
        return True
    return isinstance(error.orig, ValueError | OverflowError | TypeError)


async def _commit(deps: Deps, told: Sequence[Told], of: TenantRecord) -> None:
    rows = rows_of(told)
    if rows.heard:
        rows.keys[rows.heard[0].tenant] = TenantKey(of.key)
    rows.sightings = deps.familiar.news(rows.sightings)
    await deps.group.submit_to(told[0].subject.tenant, record, rows, weight=len(told))
    deps.familiar.committed(rows.sightings)


async def _set_aside(publisher: Publisher, tenant: TenantId, of: TenantRecord, poison: Poison) -> None:
    message = poison.message
    letters = deadletters.of_event(
        tenant,
        of,
        reader="persistence",
        subject=message.subject,
        sequence=message.sequence,
        body=message.data,
        code=poison.code,
        reason=poison.reason,
    )
    for letter in letters:
        await publisher.publish(*letter)
    log.warning(
        "an event was set aside", tenant=tenant, reason=poison.reason, error=poison.code, at=message.sequence
    )
