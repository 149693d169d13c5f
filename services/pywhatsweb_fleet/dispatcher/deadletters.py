"""``deadletter.*``: what was set aside, listed, put back or given up.

Putting back is publishing, then removing the letter. Who dies in between leaves a letter that can be put back again: a
command's new id is made from the letter's, so it is claimed once (for as long as ids are remembered), and an event
keeps its id. Everything is bounded: a request looks through so many letters, and tells where to go on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from pywhatsweb.contracts import codec, deadletters, events, streams, subjects
from pywhatsweb.contracts import deadletter_data as dl
from pywhatsweb.contracts.deadletters import Letter
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.ids import ChatKey, SessionId
from pywhatsweb.errors import ContractError, ErrorCode, RequestError, error_struct
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_fleet.storage.audit import Entry
from pywhatsweb_runtime.bus import QUEUE_FULL, ApiError, Stored
from pywhatsweb_runtime.direct import reading

log = structlog.get_logger(__name__)

_PAGE: Final = 64
_PAGE_BYTES: Final = 4 * 2**20
_LOOKED_AT: Final = 2000
"""Letters that one request looks through, whatever its filters leave of them."""
_TIME_FIELDS: Final = ("send_at",)
"""Of a command: its time had come before it was set aside."""

Filtered = dl.DeadLetterList | dl.DeadLetterChoice


class _Found(NamedTuple):
    stored: Stored
    letter: Letter


class _Place(NamedTuple):
    """Where a list goes on, and the last sequence that it was about at its beginning."""

    sequence: int
    end: int

    def __str__(self) -> str:
        return f"{self.sequence}-{self.end}"


class DeadLetters:
    """Handlers of requests; the stream is the record."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def list(self, tenant: Tenant, args: dl.DeadLetterList) -> dl.DeadLetters:
        found, cursor, state = await self._page(tenant, args)
        return dl.DeadLetters(
            deadletters=[_info(each.letter) for each in found],
            cursor=cursor,
            total=int(state["messages"]),
            bytes=int(state["bytes"]),
            max_bytes=tenant.record.limits.deadletter_bytes,
        )

    async def show(self, tenant: Tenant, args: dl.DeadLetterRef) -> dl.DeadLetterDetail:
        """Raises RequestError(E_DEADLETTER_NOT_FOUND)."""
        stored, letter = await self._one(tenant, args.id)
        body = _readable(stored.data)
        error = error_struct(ErrorCode.from_wire(letter.code))
        return dl.DeadLetterDetail(
            **msgspec.structs.asdict(_info(letter)),
            body=body,
            raw=stored.data if body is None else None,
            message=error.message,
            action=error.action,
            retryable=error.retryable,
        )

    async def redrive(self, tenant: Tenant, args: dl.DeadLetterRedrive) -> dl.Redriven:
        found, cursor = await self._chosen(tenant, args)
        if found:
            await self._note(tenant, "deadletter.redrive", args, found)
        done: deque[dl.RedrivenLetter] = deque()
        for each in found:
            try:
                done.append(await self._put_back(tenant, each))
            except ApiError as error:
                if error.code != QUEUE_FULL:
                    raise
                # What was put back is: the others lie where they lay.
                raise RequestError(ErrorCode.E_QUEUE_FULL, {"count": len(done)}) from None
        return dl.Redriven(count=len(done), cursor=cursor, letters=[*done])

    async def drop(self, tenant: Tenant, args: dl.DeadLetterDrop) -> dl.Dropped:
        """On record before it is done: a letter may be dropped twice, but never in silence."""
        found, cursor = await self._chosen(tenant, args)
        if found:
            await self._note(tenant, "deadletter.drop", args, found, args.reason)
        for each in found:
            await self._remove(tenant, each)
        return dl.Dropped(count=len(found), cursor=cursor)

    # Finding.

    async def _one(self, tenant: Tenant, letter: str) -> _Found:
        subject = subjects.deadletter(tenant.id, "*", "*", "*", letter)
        stored = await self._deps.bus.last(streams.deadletters_name(tenant.id), subject)
        found = _read(stored) if stored is not None else None
        if stored is None or found is None:
            raise RequestError(ErrorCode.E_DEADLETTER_NOT_FOUND)
        return _Found(stored, found)

    async def _chosen(self, tenant: Tenant, args: dl.DeadLetterChoice) -> tuple[Sequence[_Found], str | None]:
        if args.id is not None:
            one = await self._one(tenant, args.id)
            if not _fits(one.letter, args):
                raise RequestError(ErrorCode.E_DEADLETTER_NOT_FOUND)
            return [one], None
        found, cursor, _ = await self._page(tenant, args)
        return found, cursor

    async def _page(
        self, tenant: Tenant, args: Filtered
    ) -> tuple[Sequence[_Found], str | None, dict[str, Any]]:
        """At most ``args.limit`` letters, the cursor to go on from, and the stream's state."""
        stream = streams.deadletters_name(tenant.id)
        state: dict[str, Any] = (await self._deps.bus.api(f"STREAM.INFO.{stream}"))["state"]
        place = _place(args.cursor) or _Place(1, int(state["last_seq"]))
        subject = subjects.deadletter(tenant.id, args.session_id or "*", args.kind or "*", "*", "*")
        found: deque[_Found] = deque()
        at, looked = place.sequence, 0
        async with reading(self._deps.bus) as reader:
            while at <= place.end and looked < _LOOKED_AT:
                ask = {"batch": _PAGE, "max_bytes": _PAGE_BYTES, "seq": at, "next_by_subj": subject}
                page = await reader.ask(stream, ask)
                if not page:
                    return found, None, state
                for stored in page:
                    if stored.sequence > place.end:
                        return found, None, state
                    at, looked = stored.sequence + 1, looked + 1
                    letter = _read(stored)
                    if letter is not None and _fits(letter, args):
                        found.append(_Found(stored, letter))
                    if len(found) == args.limit:
                        return found, _go_on(at, place), state
        return found, _go_on(at, place), state

    # Doing.

    async def _put_back(self, tenant: Tenant, found: _Found) -> dl.RedrivenLetter:
        command = found.letter.kind == deadletters.COMMAND
        publication = _command(found) if command else _event(tenant, found)
        await self._deps.publisher.publish(*publication)
        await self._remove(tenant, found)
        return dl.RedrivenLetter(id=found.letter.id, command_id=found.letter.redriven_id if command else None)

    async def _remove(self, tenant: Tenant, found: _Found) -> None:
        """Not one that was set aside again since it was read: that is a newer one of the same subject."""
        stored = found.stored
        await self._deps.bus.purge(
            streams.deadletters_name(tenant.id), stored.subject, below=stored.sequence + 1
        )

    async def _note(
        self,
        tenant: Tenant,
        action: str,
        args: dl.DeadLetterChoice,
        found: Sequence[_Found],
        reason: str | None = None,
    ) -> None:
        detail = {"letters": [[each.letter.id, each.letter.code] for each in found]}
        await self._deps.claims.note(
            Entry(
                tenant=tenant.id,
                at=time.time_ns() // 1_000_000,
                actor=args.by or "api",
                action=action,
                target=args.id,
                reason=reason,
                detail=msgspec.json.encode(detail).decode(),
            )
        )


def _place(cursor: str | None) -> _Place | None:
    if cursor is None:
        return None
    at, _, end = cursor.partition("-")
    if not (at.isascii() and at.isdigit() and end.isascii() and end.isdigit() and len(cursor) < 40):
        raise ContractError(ErrorCode.E_INVALID_CURSOR)
    return _Place(int(at), int(end))


def _fits(letter: Letter, args: Filtered) -> bool:
    """Whether the filters leave it: a key that is bound to a session reaches no other's by its id either."""
    return (
        args.session_id in (None, letter.session)
        and args.kind in (None, letter.kind)
        and args.code in (None, letter.code)
    )


def _go_on(at: int, place: _Place) -> str | None:
    return str(place._replace(sequence=at)) if at <= place.end else None


def _read(stored: Stored) -> Letter | None:
    """None for what no service of ours has written."""
    try:
        return deadletters.from_headers(stored.subject, stored.headers)
    except (KeyError, ValueError):
        log.error("a dead letter is not of our making; it is left out", sequence=stored.sequence)  # noqa: TRY400
        return None


def _info(letter: Letter) -> dl.DeadLetterInfo:
    return dl.DeadLetterInfo(
        id=letter.id,
        kind=letter.kind,
        session_id=letter.session,
        code=letter.code,
        attempts=letter.attempts,
        received_at=timestamp(letter.at),
        subject=letter.subject,
        command_id=letter.command_id or None,
        chat=letter.chat if letter.chat != subjects.NO_CHAT else None,
        reader=letter.reader or None,
        reason=letter.reason or None,
    )


def _map(body: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = codec.decode(body, dict[str, Any])
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    return found


def _readable(body: bytes) -> dict[str, Any] | None:
    """A body as data that both forms can say; None: its bytes have to do."""
    found = _map(body)
    try:
        msgspec.json.encode(found)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return found


def _command(found: _Found) -> tuple[str, bytes, dict[str, str]]:
    """The command under its new id. A body that nobody can read is put back as it is, for a version that can."""
    letter, body = found.letter, found.stored.data
    headers = {"Nats-Msg-Id": letter.redriven_id, deadletters.REDRIVEN: letter.id}
    if letter.command_id:
        headers[deadletters.CAUSATION] = letter.command_id
    fields = _map(body)
    if fields is not None:
        for name in _TIME_FIELDS:
            fields.pop(name, None)
        body = codec.encode({**fields, "id": letter.redriven_id}, codec.form_of(body))
    headers["Content-Type"] = codec.CONTENT_TYPES[codec.form_of(body)]
    return letter.subject, body, headers


def _event(tenant: Tenant, found: _Found) -> tuple[str, bytes, dict[str, str]]:
    """The event as it was, under its own id: whoever has seen it knows it by that."""
    letter, body = found.letter, found.stored.data
    parsed = subjects.parse_event(letter.subject)
    if parsed is None or parsed.tenant != tenant.id:
        raise RequestError(ErrorCode.E_CONFLICT, {"reason": "its subject is not an event's"})
    try:
        headers = events.headers(codec.decode(body, events.AnyEvent), codec.form_of(body))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        headers = {"Content-Type": codec.CONTENT_TYPES[codec.form_of(body)]}
    headers |= {
        "Nats-Msg-Id": letter.redriven_id,
        "Nats-TTL": f"{tenant.record.limits.replay_seconds}s",
        deadletters.REDRIVEN: letter.id,
    }
    target = subjects.event_ingest(tenant.id, SessionId(parsed.session), parsed.kind, ChatKey(parsed.chat))
    return target, body, headers


Answers = dict[str, Callable[[Tenant, Any], Awaitable[Any]]]


def answers(deps: Deps) -> Answers:
    served = DeadLetters(deps)
    return {
        "deadletter.list": served.list,
        "deadletter.show": served.show,
        "deadletter.redrive": served.redrive,
        "deadletter.drop": served.drop,
    }
