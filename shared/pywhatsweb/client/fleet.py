"""`connect`, and the client that it gives."""

from __future__ import annotations

import contextlib
import ssl as tls_module
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pywhatsweb.client import board, control, law, people
from pywhatsweb.client.bulk import Bulk, Campaign
from pywhatsweb.client.bulk_rows import Row
from pywhatsweb.client.channels import Channels
from pywhatsweb.client.connection import Link, opened
from pywhatsweb.client.consents import Consents
from pywhatsweb.client.deadletters import DeadLetters
from pywhatsweb.client.durables import DurableStream
from pywhatsweb.client.inboxes import Inboxes
from pywhatsweb.client.labels import Labels
from pywhatsweb.client.media import MediaFiles
from pywhatsweb.client.outcomes import Outcomes
from pywhatsweb.client.publishing import Publisher, publishing
from pywhatsweb.client.sending import Handle, SessionClient
from pywhatsweb.client.streams import EventStream, Gap
from pywhatsweb.client.templates import Templates
from pywhatsweb.client.webhooks import Webhooks
from pywhatsweb.contracts import codec, commands, subjects
from pywhatsweb.contracts import control as contract
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb.contracts.usage_data import Usage, UsageGet
from pywhatsweb.errors import ContractError, ErrorCode

DEADLINE_S: Final = 15.0
IN_FLIGHT: Final = 256


class FleetClient:
    """A tenant's connection to the fleet. Made by `connect`; belongs to one event loop."""

    def __init__(self, link: Link, tenant: TenantId, publisher: Publisher, deadline: float) -> None:
        self.tenant = tenant
        self._link = link
        self._publisher = publisher
        self._deadline = deadline
        self._asker = control.Asker(link, tenant)
        self.sessions: control.Sessions = control.Sessions(self._asker)
        self.inboxes: Inboxes = Inboxes(self._asker)
        self.messages: control.MessageRecords = control.MessageRecords(self._asker)
        self.chats: board.Chats = board.Chats(self._asker)
        self.attendants: board.Attendants = board.Attendants(self._asker)
        self.policy: board.BoardPolicy = board.BoardPolicy(self._asker)
        self.contacts: people.Contacts = people.Contacts(self._asker)
        self.consents: Consents = Consents(self._asker)
        self.groups: people.Groups = people.Groups(self._asker)
        self.channels: Channels = Channels(self._asker)
        self.labels: Labels = Labels(self._asker)
        self.profiles: people.Profiles = people.Profiles(self._asker)
        self.calls: people.Calls = people.Calls(self._asker)
        self.media: MediaFiles = MediaFiles(self._asker)
        self.data: law.PersonalData = law.PersonalData(self._asker)
        self.retention: law.Retention = law.Retention(self._asker)
        self.audit: law.AuditTrail = law.AuditTrail(self._asker)
        self.deadletters: DeadLetters = DeadLetters(self._asker)
        self.consumers: control.Consumers = control.Consumers(self._asker)
        self.webhooks: Webhooks = Webhooks(self._asker)
        self.templates: Templates = Templates(self._asker)
        self.analytics: control.Analytics = control.Analytics(self._asker)
        self.outcomes: Outcomes = Outcomes(link, tenant, self.messages)

    @property
    def connected(self) -> bool:
        """Whether the broker is there now; when it is not, the client connects again by itself."""
        return self._link.connected

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and came back."""
        return self._link.reconnects

    async def health(self) -> d.Health:
        """Whether the fleet works for this tenant (``health.get``)."""
        return await self._asker.ask("health.get", d.Nothing(), d.Health)

    async def usage(self, *, since: str | None = None, until: str | None = None) -> Usage:
        """What was used from one day to another (UTC, ``2026-11-22``), and what may be; without either, today."""
        return await self._asker.ask("usage.get", UsageGet(since=since, until=until), Usage)

    async def ask(self, verb: str, args: d.Args, timeout: float | None = None) -> Any:
        """Any verb of `contracts.control.VERBS`, with its Structs: for those that have no method of their own."""
        known = contract.VERBS.get(verb)
        if known is None:
            raise ContractError(ErrorCode.E_UNKNOWN_VERB)
        return await self._asker.ask(verb, args, known.result, timeout)

    async def ping(self, timeout: float = 5.0) -> None:
        """A round trip to the broker. Raises BrokerError."""
        await self._link.flush(timeout)

    def session(self, session_id: str) -> SessionClient:
        """A session by its name, or an inbox, for sending; it need not exist yet. Raises ContractError."""
        if not subjects.valid_addressee(session_id):
            raise ContractError(ErrorCode.E_INVALID_SESSION_ID)
        return SessionClient(self, session_id)

    def bulk(self, campaign: Campaign, rows: Sequence[Row], journal: Path) -> Bulk:
        """A template to many people, by the rows of `read_rows`; `journal` is a file that keeps where it stands."""
        return Bulk(self, campaign, rows, journal)

    def handle(self, session_id: str, command_id: str) -> Handle:
        """A command that was sent before, perhaps by another process: to await its outcome."""
        return Handle(self, session_id, command_id)

    def events(
        self,
        *,
        types: Collection[str] | None = None,
        sessions: Collection[str] | None = None,
        buffer: int = 4096,
        on_gap: Callable[[Gap], None] | None = None,
        raise_gaps: bool = False,
    ) -> EventStream:
        """Events from now on, all or only of these types and sessions.

        A lost connection loses the events of that time: it is noted in `gaps`, told to `on_gap`, and with
        `raise_gaps` raised as EventGapError. What must not be missed is read with `durable`.
        """
        return EventStream(
            self._link,
            self.tenant,
            types=types,
            sessions=sessions,
            buffer=buffer,
            on_gap=on_gap,
            raise_gaps=raise_gaps,
        )

    @contextlib.asynccontextmanager
    async def durable(
        self,
        name: str,
        *,
        types: Collection[str] | None = None,
        sessions: Collection[str] | None = None,
        start: Literal["new", "all"] | int = "new",
        batch: int = 64,
        ack_wait: float = 60.0,
    ) -> AsyncIterator[DurableStream]:
        """Events with a place that is kept: after a restart, `name` goes on where it was.

        `start` counts the first time only: from now on, from the oldest that is kept, or from a stream sequence.
        Several readers of one name share the events. Raises RequestError (limits, names), NotSupportedError.
        """
        info = await self.consumers.create(
            name,
            types=None if types is None else sorted(types),
            sessions=None if sessions is None else sorted(sessions),
            start="sequence" if isinstance(start, int) else start,
            sequence=start if isinstance(start, int) else None,
            ack_wait_s=max(1, round(ack_wait)),
        )
        async with DurableStream(self._link, info, batch) as stream:
            yield stream

    async def publish(
        self, session_id: str, verb: str, command: commands.AnyCommand, deadline: float | None = None
    ) -> Handle:
        """What `SessionClient.send` does with a command that has its id."""
        raw = codec.encode(command)
        commands.parse(verb, raw)  # refused here with its code, instead of by the dispatcher later
        command_id = command.id or ""
        subject = subjects.command(self.tenant, SessionId(session_id), verb)
        published_at = self.outcomes.now()
        within = self._deadline if deadline is None else deadline
        ack = await self._publisher.publish(subject, raw, command_id, within)
        return Handle(
            self,
            session_id,
            command_id,
            sequence=ack.sequence,
            duplicate=ack.duplicate,
            published_at=published_at,
        )


@contextlib.asynccontextmanager
async def connect(
    url: str | Sequence[str],
    *,
    user: str | None = None,
    password: str | None = None,
    creds: str | Path | None = None,
    tenant: str | None = None,
    tls: tls_module.SSLContext | None = None,
    name: str = "pywhatsweb",
    timeout: float = 5.0,
    deadline: float = DEADLINE_S,
    in_flight: int = IN_FLIGHT,
) -> AsyncIterator[FleetClient]:
    """A client for as long as the block lasts.

    `url` is one server or several of a cluster; `tenant` is the user's name by default. `deadline` bounds a command's
    way into JetStream; at most `in_flight` commands are on their way, further ones wait. Raises AuthenticationError,
    BrokerError, or ContractError(E_INVALID_TENANT_ID). Once connected, lost connections are ridden out.
    """
    named = tenant or user
    if named is None or not subjects.valid_name(named):
        raise ContractError(ErrorCode.E_INVALID_TENANT_ID)
    servers = [url] if isinstance(url, str) else list(url)
    servers = [each.strip() for given in servers for each in given.split(",")]
    async with contextlib.AsyncExitStack() as stack:
        link = await stack.enter_async_context(
            opened(servers, user=user, password=password, creds=creds, tls=tls, name=name, timeout=timeout)
        )
        publisher = await stack.enter_async_context(publishing(link, in_flight=in_flight))
        fleet = FleetClient(link, TenantId(named), publisher, deadline)
        await stack.enter_async_context(fleet.outcomes.running())
        yield fleet
