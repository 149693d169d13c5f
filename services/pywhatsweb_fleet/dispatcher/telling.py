"""The second half of a batch: each command's outcome, told once its command is where it belongs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pywhatsweb.contracts import queued as queue
from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher import handlers, outcomes
from pywhatsweb_fleet.dispatcher.allowances import Allowances
from pywhatsweb_fleet.dispatcher.claims import Claims
from pywhatsweb_fleet.dispatcher.directory import Directory
from pywhatsweb_fleet.dispatcher.engines import Engines
from pywhatsweb_fleet.dispatcher.holds import ColdHolds
from pywhatsweb_fleet.dispatcher.inboxes import Inboxes
from pywhatsweb_fleet.dispatcher.intake import Settled
from pywhatsweb_fleet.dispatcher.outcomes import Outcome
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.dispatcher.templates import Templates
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.bus import MESSAGE_TOO_LARGE, QUEUE_FULL, WRONG_LAST_SEQUENCE, ApiError, Bus
from pywhatsweb_runtime.deadletters import Publication
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import PubAck, Publisher


class Deps(NamedTuple):
    """What dispatching needs of the process."""

    bus: Bus
    publisher: Publisher
    directory: Directory
    claims: Claims
    metrics: Metrics
    holds: ColdHolds
    allowances: Allowances
    engines: Engines
    templates: Templates
    inboxes: Inboxes


class Step(NamedTuple):
    """A job, and either its outcome or the acknowledgement of its place in a queue."""

    job: Job
    outcome: Outcome | None
    stored: asyncio.Future[PubAck] | None = None
    beside: tuple[Publication, ...] = ()
    """Told with it: what it did to another command."""
    told: asyncio.Future[PubAck] | None = None
    """Of its `accepted`, when that was told before it was queued."""


async def announce(deps: Deps, tenant: Tenant, job: Job) -> asyncio.Future[PubAck]:
    """Tells `accepted` of a job whose queue is sure to take it: on the wire before the job is, so before `sent`."""
    letter = outcomes.of_job(tenant, job, Outcome(MessageStatus.ACCEPTED, message_id=job.message_id))
    return await deps.publisher.submit(*letter)


async def enqueue(deps: Deps, tenant: Tenant, job: Job, told: asyncio.Future[PubAck] | None = None) -> Step:
    """Puts a job into its session's queue; what becomes of that is for `tell`."""
    names = {"tenant": tenant.id, "session": job.session, "command": job.command_id}
    with tracing.span("dispatch", job.traceparent, names, began=job.raw.stored_ms / 1000) as trace:
        headers = queue.to_headers(handlers.queued(job, time.time_ns() // 1_000_000, trace))
        stored = await deps.publisher.submit(subjects.out(tenant.id, job.session), job.body, headers)
    return Step(job, None, stored, told=told)


async def tell(deps: Deps, tenant: Tenant, steps: Sequence[Step], arrived: MessageStatus) -> Settled:
    """Publishes the outcomes, ``arrived`` for what came into its queue; gives when all of them are stored.

    In the order of the steps, and each as soon as it is known.
    """
    telling = _Telling(deps, tenant)
    full: list[Step] = []
    for step in steps:
        outcome = step.outcome
        if step.stored is not None:
            if not await _is_stored(step.job, step.stored):
                full.append(step)
                continue
            outcome = Outcome(arrived, message_id=step.job.message_id)
            waited = time.time() - step.job.raw.stored_ms / 1000
            deps.metrics.command_wait.observe(max(0.0, waited))
        if outcome is not None:
            await telling.say(step, outcome)
    if full:
        await deps.claims.refuse(tenant, [step.job for step in full])
        for step in full:
            await telling.say(step, outcomes.refusal(step.job))
    telling.count()
    return telling.all_stored()


async def _is_stored(job: Job, stored: asyncio.Future[PubAck]) -> bool:
    """Whether the queue took it; if not, the job is refused now."""
    try:
        await stored
    except ApiError as error:
        if error.code == QUEUE_FULL:
            job.refuse(ErrorCode.E_QUEUE_FULL)
        elif error.code == MESSAGE_TOO_LARGE:
            job.refuse(ErrorCode.E_BODY_TOO_LARGE)
        elif error.code != WRONG_LAST_SEQUENCE:
            raise
        # A schedule expects to be the first of its subject: one that is there already was made by an earlier delivery.
        return error.code == WRONG_LAST_SEQUENCE
    return True


class _Telling:
    """The outcomes of one batch."""

    def __init__(self, deps: Deps, tenant: Tenant) -> None:
        self._deps = deps
        self._tenant = tenant
        self._submitted: list[asyncio.Future[PubAck]] = []
        self._counts: Counter[tuple[str, str]] = Counter()

    async def say(self, step: Step, outcome: Outcome) -> None:
        letters = list(step.beside)
        if step.told is not None and outcome.status is MessageStatus.ACCEPTED:
            self._submitted.append(step.told)
        else:
            letters.insert(0, outcomes.of_job(self._tenant, step.job, outcome))
        if outcomes.is_set_aside(step.job, outcome):
            letters += outcomes.dead_letter(self._tenant, step.job, outcome)
        for letter in letters:
            self._submitted.append(await self._deps.publisher.submit(*letter))
        label = "duplicate" if outcome.duplicate else str(outcome.status)
        self._counts[label, outcome.error.code if outcome.error is not None else ""] += 1

    def count(self) -> None:
        """Once a batch: finding a metric's labels costs as much as anything else here."""
        metrics = self._deps.metrics
        tenant = metrics.tenant(self._tenant.id)
        for (label, code), number in self._counts.items():
            metrics.commands.labels(label, code, tenant).inc(number)

    async def all_stored(self) -> None:
        await asyncio.gather(
            *self._submitted
        )  # in a loop, all that fail after the first would be complained about
