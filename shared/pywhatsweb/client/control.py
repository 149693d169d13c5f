"""The control plane, typed: every verb of `contracts.control.VERBS` as a method."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Sequence
from typing import Final, Literal, TypeVar

from pywhatsweb.client.connection import Link, NobodyAnswers
from pywhatsweb.contracts import codec, control, live, subjects
from pywhatsweb.contracts import consumer_data as cd
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import record_data as r
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.statuses import Origin
from pywhatsweb.errors import BrokerError, ErrorCode, NotSupportedError

R = TypeVar("R")

ASK_S: Final = 10.0
_PAUSE_S: Final = 0.1
_PATIENCE_S: Final = 1.5
"""A service that is restarted is away for a moment; one that is away longer is not part of the fleet."""


class Asker:
    """Asks the control plane for a tenant."""

    def __init__(self, link: Link, tenant: TenantId, timeout: float = ASK_S) -> None:
        self._link = link
        self._tenant = tenant
        self._timeout = timeout

    async def ask(self, verb: str, args: d.Args, result: type[R], timeout: float | None = None) -> R:
        """The data of the answer to ``noun.verb``.

        Raises ContractError (the arguments), RequestError (the fleet refuses, with its code), DeadlineError,
        NotSupportedError (no service of this fleet answers this verb) or BrokerError.
        """
        raw = codec.encode(args)
        control.parse(verb, raw)
        within = timeout or (live.ASK_S if verb in live.VERBS else self._timeout)
        until = asyncio.get_running_loop().time() + min(within, _PATIENCE_S)
        subject = self._subject(verb)
        while True:
            try:
                answer = await self._link.request(subject, raw, timeout=within)
            except NobodyAnswers:
                if asyncio.get_running_loop().time() > until:
                    raise await self._nobody(verb) from None
                await asyncio.sleep(_PAUSE_S)
            else:
                return control.read_reply(answer.data, result)

    def _subject(self, verb: str) -> str:
        noun, _, name = verb.partition(".")
        return subjects.control(self._tenant, noun, name)

    async def _nobody(self, verb: str) -> NotSupportedError | BrokerError:
        """Whether only this verb is missing, or everything."""
        try:
            await self._link.request(self._subject("health.get"), b"{}", timeout=2.0)
        except (NobodyAnswers, BrokerError):
            return BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": "no service of the fleet answers"})
        return NotSupportedError(
            ErrorCode.E_NOT_IMPLEMENTED, {"verb": verb, "reason": "no service of this fleet answers it"}
        )


class Part:
    """A noun of the control plane."""

    def __init__(self, asker: Asker) -> None:
        self._ask = asker.ask


class Sessions(Part):
    """``session.*``"""

    async def start(
        self,
        session_id: str,
        *,
        engine: d.Engine | None = None,
        phone_number: str | None = None,
        pairing: Literal["qr", "code"] = "qr",
        proxy: str | None = None,
        metadata: dict[str, str | int | float | bool | None] | None = None,
        settings: d.SessionSettings | None = None,
    ) -> d.SessionInfo:
        """Creates the session if it is new, and starts it. `phone_number` is needed for pairing ``code``."""
        args = d.SessionStart(
            session_id=session_id,
            engine=engine,
            phone_number=phone_number,
            pairing=pairing,
            proxy=proxy,
            metadata=metadata or {},
            settings=settings,
        )
        return await self._ask("session.start", args, d.SessionInfo)

    async def stop(self, session_id: str) -> d.SessionInfo:
        """Disconnects; the device stays linked."""
        return await self._ask("session.stop", d.SessionRef(session_id=session_id), d.SessionInfo)

    async def restart(self, session_id: str) -> d.SessionInfo:
        return await self._ask("session.restart", d.SessionRef(session_id=session_id), d.SessionInfo)

    async def logout(self, session_id: str) -> d.SessionInfo:
        """Unlinks the device at WhatsApp and stops."""
        return await self._ask("session.logout", d.SessionRef(session_id=session_id), d.SessionInfo)

    async def delete(self, session_id: str) -> d.SessionInfo:
        """Logs out, then forgets the session and its credentials."""
        return await self._ask("session.delete", d.SessionRef(session_id=session_id), d.SessionInfo)

    async def status(self, session_id: str) -> d.SessionInfo:
        return await self._ask("session.status", d.SessionRef(session_id=session_id), d.SessionInfo)

    async def capabilities(self, session_id: str) -> d.SessionCapabilities:
        """What the session's engine can send and do; E_ENGINE_UNAVAILABLE while no worker runs it."""
        args = d.SessionRef(session_id=session_id)
        return await self._ask("session.capabilities", args, d.SessionCapabilities)

    async def list(self, *, active: bool | None = None) -> builtins.list[d.SessionInfo]:
        """`active`: only those that are to run, or only the others."""
        return (await self._ask("session.list", d.SessionList(active=active), d.Sessions)).sessions

    async def qr(self, session_id: str) -> d.SessionQr:
        """The present code, raw, as a PNG data URL and for a terminal. RequestError(E_QR_NOT_AVAILABLE)."""
        return await self._ask("session.qr", d.SessionRef(session_id=session_id), d.SessionQr)


class MessageRecords(Part):
    """``message.*``"""

    async def status(self, command_id: str, *, session_id: str | None = None) -> d.MessageStatusInfo:
        """RequestError(E_COMMAND_NOT_FOUND) when the fleet has not seen the command."""
        args = d.MessageStatusArgs(id=command_id, session_id=session_id)
        return await self._ask("message.status", args, d.MessageStatusInfo)

    async def get(self, message_id: str, *, session_id: str | None = None) -> d.StoredMessage:
        """A message of the record by its id at WhatsApp. RequestError(E_MESSAGE_NOT_FOUND)."""
        args = r.MessageGet(id=message_id, session_id=session_id)
        return await self._ask("message.get", args, d.StoredMessage)

    async def search(
        self,
        query: str,
        *,
        session_id: str | None = None,
        to: str | None = None,
        chat: str | None = None,
        origin: Origin | str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> d.Messages:
        """Messages with all the words of `query` (words, ``"a phrase"``, ``begin*``), the newest first.

        A page may be short and have a cursor all the same. ContractError(E_INVALID_FIELD) when no word is in `query`.
        """
        args = r.MessageSearch(
            query=query, session_id=session_id, to=to, chat=chat, origin=Origin(origin) if origin else None,
            since=since, until=until, limit=limit, cursor=cursor,
        )  # fmt: skip
        return await self._ask("message.search", args, d.Messages)


class Analytics(Part):
    """``analytics.*``: over at most 366 days, ``until`` not within; times are ISO-8601."""

    async def counts(
        self, since: str, until: str, *, session_id: str | None = None, zone: str | None = None
    ) -> r.Counts:
        """Messages by day of the `zone` (the tenant's board policy says which when absent) and session."""
        args = r.AnalyticsCounts(since=since, until=until, session_id=session_id, zone=zone)
        return await self._ask("analytics.counts", args, r.Counts)

    async def responses(self, since: str, until: str, *, session_id: str | None = None) -> r.Responses:
        """How long contacts waited for an answer: median and 90th percentile, in all and by session."""
        args = r.AnalyticsResponses(since=since, until=until, session_id=session_id)
        return await self._ask("analytics.responses", args, r.Responses)


class Consumers(Part):
    """``consumer.*``: durable readers of events, for `FleetClient.durable`."""

    async def create(
        self,
        name: str,
        *,
        types: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        start: Literal["new", "all", "sequence"] = "new",
        sequence: int | None = None,
        ack_wait_s: int = 60,
        max_unacknowledged: int = 1024,
        idle_s: int = cd.IDLE_SECONDS,
    ) -> cd.ConsumerInfo:
        """Makes it, or finds the one of this name; `start` counts only when it is new."""
        args = cd.ConsumerCreate(
            name=name,
            types=None if types is None else [*types],
            sessions=None if sessions is None else [*sessions],
            start=start,
            sequence=sequence,
            ack_wait_s=ack_wait_s,
            max_unacknowledged=max_unacknowledged,
            idle_s=idle_s,
        )
        return await self._ask("consumer.create", args, cd.ConsumerInfo)

    async def delete(self, name: str) -> cd.ConsumerInfo:
        """Forgets it and its place. RequestError(E_CONSUMER_NOT_FOUND)."""
        return await self._ask("consumer.delete", cd.ConsumerRef(name=name), cd.ConsumerInfo)

    async def list(self) -> builtins.list[cd.ConsumerInfo]:
        return (await self._ask("consumer.list", d.Nothing(), cd.Consumers)).consumers
