"""A template to many people who agreed to it: checked, paced, resumed after any crash, and nobody twice.

A row's command id is made of the campaign's name and the row, and the fleet never sends one id twice. So a campaign
that was cut off anywhere goes on by being run again: what the fleet knows is awaited, what it does not know is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from pywhatsweb.client.bulk_check import problems
from pywhatsweb.client.bulk_journal import Journal, opened
from pywhatsweb.client.bulk_results import (
    AGAIN,
    STOPS,
    RowResult,
    cancelled,
    code_of,
    is_spent,
    of_status,
)
from pywhatsweb.client.bulk_rows import Row
from pywhatsweb.contracts import commands as c
from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.contracts.template_data import TemplateInfo
from pywhatsweb.errors import (
    BrokerError,
    ContractError,
    DeadlineError,
    ErrorBody,
    ErrorCode,
    MessageError,
    PyWhatsWebError,
    RequestError,
    get_retryable_errors,
)

if TYPE_CHECKING:
    from pywhatsweb.client.fleet import FleetClient

T = TypeVar("T")
WINDOW: Final = 64
"""Rows that are under way at once, at most."""
AHEAD_S: Final = 30.0
"""How long before its time a row is given to the fleet, with its `send_at`."""
_CHECKED_FOR_S: Final = 60.0
_AT_ONCE: Final = 200
_LOOK_S: Final = 30.0
_REMEMBERED_MS: Final = 6 * 86_400_000
"""The fleet remembers commands for seven days: what was begun longer ago and is not known may have been sent."""
_PAUSE_S: Final = 5.0
_STOP_S: Final = 15.0

_AWAY: Final = frozenset(get_retryable_errors())

Progress = Callable[[int, int], None]
"""How many rows have come to their end, of how many."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """`purpose`: only who consented to it is written to. Without it `basis` says, in words for the audit trail, on
    what else the campaign rests. `per_minute`: rows a minute; None: as fast as the session's own pacing lets them.
    """

    name: str
    session_id: str
    template: str
    language: str
    purpose: str | None = None
    basis: str | None = None
    per_minute: float | None = None
    by: str | None = None


class Bulk:
    """One campaign and its rows. Made by `FleetClient.bulk`."""

    def __init__(self, fleet: FleetClient, campaign: Campaign, rows: Sequence[Row], journal: Path) -> None:
        if not 0 < len(campaign.name) <= 64 or (campaign.purpose is None) == (campaign.basis is None):
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"reason": "a name, and a purpose or a basis"})
        self._fleet = fleet
        self._session = fleet.session(campaign.session_id)
        self.campaign = campaign
        self.rows = rows
        self._path = journal
        self.results: dict[int, RowResult] = {}
        self.stopped: ErrorCode | None = None
        """Why the last run ended before its time."""
        self._stopping = asyncio.Event()
        self._checked: dict[int, float] = {}
        self._open: dict[int, str] = {}
        """Of the rows that are under way: the ids of their commands."""
        self._failure: BaseException | None = None

    # Looking.

    async def check(self) -> dict[int, ErrorCode]:
        """Why rows cannot be sent, by their numbers. Raises RequestError when the template is not there."""
        return await self._check(self.rows, await self._template())

    async def _template(self) -> TemplateInfo:
        return await self._fleet.templates.get(self.campaign.template, self.campaign.language)

    async def _check(self, rows: Sequence[Row], template: TemplateInfo) -> dict[int, ErrorCode]:
        found = await problems(self._fleet, rows, template, self.campaign.purpose)
        self._checked |= dict.fromkeys((row.number for row in rows), time.monotonic())
        return found

    # Sending.

    def stop(self) -> None:
        """Gives nothing more to the fleet, takes back what is not sent yet, and ends the run. The next goes on."""
        self._stopping.set()

    async def run(self, progress: Progress | None = None) -> bool:
        """Sends what was not sent yet; whether every row came to its end (else `stopped` or `stop` says why).

        Raises ContractError (E_CANCELLED, or the journal is of another campaign or in use), RequestError, BrokerError.
        """
        template = await self._template()
        with opened(self._path, self._digest()) as journal:
            self.results = journal.results
            if journal.cancelled:
                raise ContractError(ErrorCode.E_CANCELLED, {"campaign": self.campaign.name})
            journal.look_again()
            rows = [row for row in self.rows if row.number not in journal.results]
            self._leave_out(rows, await self._check(self.rows, template), journal)
            waiting = [row for row in rows if row.number not in journal.results]
            if waiting:
                await self._declare(len(waiting))
            await self._send(journal, template, waiting, progress or (lambda _done, _all: None))
            return len(journal.results) == len(self.rows)

    async def cancel(self) -> None:
        """Ends the campaign for good: takes back what is not sent yet; what was never begun ends as cancelled.

        What waits in the queue of a session that is away is taken back when the session is there again: such a row's
        result is ``accepted`` with E_CANCELLED.
        """
        with opened(self._path, self._digest()) as journal:
            journal.cancel()
            self.results = journal.results
            under_way: list[tuple[Row, str, Status]] = []
            for row in [row for row in self.rows if row.number not in journal.results]:
                command_id, known = await self._last(row) if row.number in journal.begun else ("", None)
                if known is None:
                    journal.end(cancelled(row))
                else:
                    under_way.append((row, command_id, known))
                    if not known.status.settled:
                        await self._session.cancel(command_id)
            await asyncio.gather(*(self._see_out(*one, journal) for one in under_way))

    async def _see_out(self, row: Row, command_id: str, known: Status, journal: Journal) -> None:
        if not known.status.settled:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    known = await self._end(command_id) or known
        if known.status.settled:
            journal.end(of_status(row, command_id, known))
        else:
            journal.end(cancelled(row, known.status, command_id))

    async def _declare(self, people: int) -> None:
        of = self.campaign
        await self._fleet.consents.declare(of.name, people, purpose=of.purpose, basis=of.basis, by=of.by)

    async def _send(
        self, journal: Journal, template: TemplateInfo, rows: Sequence[Row], progress: Progress
    ) -> None:
        room = asyncio.Semaphore(WINDOW)
        started, gap = time.time(), 60.0 / self.campaign.per_minute if self.campaign.per_minute else 0.0
        progress(len(journal.results), len(self.rows))
        tasks: set[asyncio.Task[None]] = set()
        turn = 0
        try:
            for start in range(0, len(rows), _AT_ONCE):
                some = await self._still_sound(rows[start : start + _AT_ONCE], journal, template)
                for row in some:
                    at = started + turn * gap
                    turn += 1
                    if not await self._turn(at, room):
                        return
                    task = asyncio.create_task(self._one(row, journal, template, at, room))
                    tasks.add(task)
                    task.add_done_callback(lambda done: self._done(done, tasks))
                    progress(len(journal.results), len(self.rows))
                journal.sync()
            while tasks and not self._stopping.is_set():
                await asyncio.wait(tasks, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                progress(len(journal.results), len(self.rows))
        finally:
            await self._settle(tasks)
            progress(len(journal.results), len(self.rows))

    def _done(self, task: asyncio.Task[None], tasks: set[asyncio.Task[None]]) -> None:
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._stopping.set()

    async def _settle(self, tasks: set[asyncio.Task[None]]) -> None:
        """Takes back what is under way and waits for a moment; what is still open then is for the next run."""
        for command_id in [*self._open.values()] if self._stopping.is_set() else []:
            with contextlib.suppress(PyWhatsWebError):
                await self._session.cancel(command_id)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        if self._failure is not None:
            raise self._failure

    async def _still_sound(self, rows: Sequence[Row], journal: Journal, template: TemplateInfo) -> list[Row]:
        """Those who may still be written to: in a long campaign people change their minds."""
        now = time.monotonic()
        if all(now - self._checked.get(row.number, -_CHECKED_FOR_S) < _CHECKED_FOR_S for row in rows):
            return [*rows]
        self._leave_out(rows, await self._check(rows, template), journal)
        return [row for row in rows if row.number not in journal.results]

    @staticmethod
    def _leave_out(rows: Sequence[Row], found: Mapping[int, ErrorCode], journal: Journal) -> None:
        for row in rows:
            if row.number in found and row.number not in journal.begun:
                journal.end(RowResult(row=row.number, status="invalid", code=found[row.number].wire))

    async def _turn(self, at: float, room: asyncio.Semaphore) -> bool:
        """Waits until a row may be given to the fleet; False: the run is to end."""
        stopped = asyncio.ensure_future(self._stopping.wait())
        free = asyncio.ensure_future(room.acquire())
        try:
            await asyncio.wait((stopped, free), return_when=asyncio.FIRST_COMPLETED)
            early = at - AHEAD_S - time.time()
            if early > 0:
                await asyncio.wait((stopped,), timeout=early)
            if not self._stopping.is_set():
                return True
            if free.done() and not free.cancelled():
                room.release()
            return False
        finally:
            stopped.cancel()
            free.cancel()

    async def _one(
        self, row: Row, journal: Journal, template: TemplateInfo, at: float, room: asyncio.Semaphore
    ) -> None:
        try:
            result = await self._deliver(row, journal, template, at)
            if result is not None:
                journal.end(result)
        finally:
            room.release()

    async def _deliver(
        self, row: Row, journal: Journal, template: TemplateInfo, at: float
    ) -> RowResult | None:
        """What the row came to; None: it waits for the next run."""
        for attempt in itertools.count():
            command_id = _command_id(self.campaign, row, attempt)
            known = await self._known(command_id)
            ours = known is None
            if known is None:
                if self._stopping.is_set():
                    return None
                if _now_ms() - journal.begun.get(row.number, _now_ms()) > _REMEMBERED_MS:
                    return RowResult(row=row.number, status="unknown", command_id=command_id)
                journal.begin(row.number, _now_ms())
                await self._publish(row, template, command_id, at)
            if known is None or not known.status.settled:
                self._open[row.number] = command_id
                known = await self._end(command_id)
                del self._open[row.number]
            if known is None:
                return None
            if not is_spent(known):
                return of_status(row, command_id, known)
            code = code_of(known)
            if ours and code in STOPS:
                self.stopped = self.stopped or code
                self._stopping.set()
            if self._stopping.is_set():
                return None
            if ours and code in AGAIN and known.error is not None:
                wait_ms = known.error.details.get("retry_after_ms")
                await self._rest(wait_ms / 1000 if isinstance(wait_ms, int) else _PAUSE_S)
        raise AssertionError("unreachable: attempts do not end")

    async def _last(self, row: Row) -> tuple[str, Status | None]:
        """The command that stands for a row now, and what is known of it."""
        for attempt in itertools.count():
            command_id = _command_id(self.campaign, row, attempt)
            known = await self._known(command_id)
            if known is None or not is_spent(known):
                return command_id, known
        raise AssertionError("unreachable: attempts do not end")

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _publish(self, row: Row, template: TemplateInfo, command_id: str, at: float) -> None:
        values = {name: row.variables[name] for name in template.variables if name in row.variables}
        wish = i.Template(name=template.name, language=i.Language(code=template.language), variables=values)
        when = datetime.fromtimestamp(at, UTC) if at - time.time() > 1 else None
        command = c.SendTemplate(
            id=command_id,
            to=row.to,
            template=wish,
            send_at=when,
            purpose="marketing",
            metadata={"campaign": self.campaign.name, "row": row.number},
        )
        await self._patiently(lambda: self._session.send(command))

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """Again and again while the fleet is away: the same id is never sent twice. Raises when the run ends."""
        while True:
            try:
                return await act()
            except (BrokerError, RequestError) as error:
                away = isinstance(error, BrokerError) or error.code in _AWAY
                if not away or self._stopping.is_set():
                    raise
            await self._rest(1.0)

    async def _known(self, command_id: str) -> Status | None:
        """What the fleet has on record; None: nothing."""
        ask = partial(self._fleet.messages.status, command_id, session_id=self.campaign.session_id)
        try:
            return (await self._patiently(ask)).status
        except RequestError as error:
            if error.code is ErrorCode.E_COMMAND_NOT_FOUND:
                return None
            raise

    async def _end(self, command_id: str) -> Status | None:
        """What a command of the fleet's came to; None: the run ends first."""
        handle = self._fleet.handle(self.campaign.session_id, command_id)
        while True:
            try:
                told = await handle.outcome("sent", timeout=_LOOK_S)
            except MessageError as error:
                if error.code is not ErrorCode.E_DUPLICATE_ID:
                    body = ErrorBody(code=error.code.wire, details=error.details)
                    return Status(status=MessageStatus(error.details["status"]), error=body)
                await self._rest(1.0)  # the first command of that id is what counts: the record has it
            except DeadlineError:
                pass
            else:
                return Status(status=told.status, message_id=told.message_id, error=told.error)
            known = await self._known(command_id)
            if known is not None and known.status.settled:
                return known
            if self._stopping.is_set():
                return None

    def _digest(self) -> str:
        of = self.campaign
        rows = hashlib.sha256()
        for row in self.rows:
            rows.update(msgspec.json.encode([row.number, row.to, sorted(row.variables.items())]))
        said = [of.name, of.session_id, of.template, of.language, of.purpose, of.basis, rows.hexdigest()]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def _command_id(campaign: Campaign, row: Row, attempt: int) -> str:
    digest = hashlib.sha256(msgspec.json.encode([campaign.name, row.number, attempt])).hexdigest()
    return f"bulk_{digest[:32]}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
