"""From a message on a commands stream to a `Job`: decoded, checked and addressed, or refused with a code.

Everything here depends on the message and the tenant alone, so a redelivery reads the same.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pywhatsweb import phone
from pywhatsweb.contracts import capabilities, codec, commands, deadletters, ids, places, subjects
from pywhatsweb.contracts.codec import Form
from pywhatsweb.contracts.event_data import Chat
from pywhatsweb.contracts.ids import ChatKey, CommandId, SessionId, TenantId, WhatsAppMessageId
from pywhatsweb.contracts.interactive import Template
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.registry import TenantRecord

SCHEDULE_AHEAD_MS = 366 * 86_400_000
"""How far ahead ``send_at`` may lie."""
CLOCK_SKEW_MS = 5_000
"""A ``send_at`` so little before the broker's time of arrival counts as now: publishers' clocks differ."""

_FOR_INBOXES = ("send", "cancel")


class Raw(NamedTuple):
    """A message as the stream has it."""

    subject: str
    sequence: int
    stored_ms: int
    """The broker's time when it took the message: the same at every delivery."""
    headers: Mapping[str, str]
    body: bytes
    deliveries: int = 1


class Tenant(NamedTuple):
    id: TenantId
    record: TenantRecord

    @property
    def key(self) -> ids.TenantKey:
        return ids.TenantKey(self.record.key)

    @property
    def form(self) -> Form:
        return self.record.events


class Job:
    """A command on its way through the dispatcher."""

    __slots__ = (
        "body", "causation_id", "chat", "chat_key", "command_id", "correlation_id", "details", "digest",
        "expires_ms", "fingerprint", "inbox", "marketing", "message_id", "metadata", "needs", "origin", "raw",
        "readable", "recipient", "redelivered", "refusal", "send_at_ms", "session", "target", "target_id",
        "template", "unrendered", "verb",
    )  # fmt: skip

    def __init__(self, raw: Raw, session: SessionId, verb: str, *, origin: str = "") -> None:
        self.raw = raw
        self.origin = origin
        """Keeps event ids apart that are made from sequences of different streams."""
        self.session = session
        """`subjects.NO_SESSION` when the subject names none that could be; an inbox's name until `place` is called."""
        self.inbox = session if subjects.valid_inbox(session) else ""
        """Where it was sent to, when that is an inbox."""
        self.verb = verb
        self.body = raw.body
        self.command_id = CommandId("")
        self.digest = ""
        self.message_id = WhatsAppMessageId("")
        self.fingerprint = ""
        self.correlation_id: str | None = None
        causation_id = raw.headers.get(deadletters.CAUSATION)
        self.causation_id = causation_id if _is_line(causation_id or "") else None
        """The command or event that it came of, if its publisher names one."""
        self.metadata: dict[str, Any] = {}
        self.needs: tuple[str, ...] = ()
        """What the session's engine has to be capable of."""
        self.recipient = ""
        self.chat: Chat | None = None
        self.chat_key: ChatKey = subjects.NO_CHAT
        self.send_at_ms = 0
        """0: at once."""
        self.expires_ms = 0
        """0: never."""
        self.marketing = False
        """Whether its purpose is one that nobody who opted out is written to for."""
        self.target = ""
        """Of a cancel: the digest of what it cancels, and its id."""
        self.target_id = ""
        self.template: Template | None = None
        """What it names instead of saying it; `templates` puts that into `body`."""
        self.unrendered: ContractError | None = None
        self.readable = False
        """Whether it is a command at all, so that its id can be claimed."""
        self.redelivered = False
        """Whether an earlier delivery claimed it, and perhaps did more."""
        self.refusal: ErrorCode | None = None
        self.details: dict[str, Any] = {}

    @property
    def traceparent(self) -> str:
        """Of the publisher's trace; empty: it named none."""
        return tracing.known(self.raw.headers.get(tracing.HEADER))

    def place(self, tenant: Tenant, session: str) -> None:
        """The inbox's session that it goes to."""
        self.session = SessionId(session)
        self.digest = ids.command_digest(tenant.key, self.session, self.command_id)
        self.message_id = ids.whatsapp_message_id(tenant.key, self.session, self.command_id)
        if self.target:
            self.target = ids.command_digest(tenant.key, self.session, CommandId(self.target_id))

    def refuse(self, code: ErrorCode, details: Mapping[str, Any] | None = None) -> None:
        self.refusal = code
        self.details = dict(details or {})


class _Names(msgspec.Struct):
    """What a publisher needs back even when the rest of its body cannot be read."""

    id: Any = None
    correlation_id: Any = None


def read(tenant: Tenant, raw: Raw) -> Job:
    """Never raises for what a publisher can send: then `Job.refusal` is set."""
    parts = subjects.parse_command(raw.subject)
    named = parts is not None and subjects.valid_addressee(parts.session)
    session = SessionId(parts.session) if parts is not None and named else subjects.NO_SESSION
    job = Job(raw, session, parts.verb if parts is not None else "")
    try:
        if len(raw.body) > tenant.record.limits.body_bytes:
            raise ContractError(ErrorCode.E_BODY_TOO_LARGE, {"limit": tenant.record.limits.body_bytes})
        if not named:
            raise ContractError(ErrorCode.E_INVALID_SESSION_ID)
        command = commands.parse(job.verb, raw.body)
        _identify(job, tenant, command.id, command.correlation_id)
        _address(job, tenant, command)
        if job.inbox:
            _check_inbox(job)
        job.readable = True
    except ContractError as error:
        _identify_refused(job, tenant)
        job.refuse(error.code, error.details)
    return job


def unreadable(tenant: Tenant, raw: Raw) -> Job:
    """The refused job for a message that `read` failed on."""
    job = Job(raw, subjects.NO_SESSION, "")
    _name(job, tenant, None)
    job.refuse(ErrorCode.E_INTERNAL)
    return job


def _identify(job: Job, tenant: Tenant, given: str | None, correlation_id: str | None) -> None:
    headers = job.raw.headers
    command_id = given if given is not None else headers.get("Nats-Msg-Id") or None
    if command_id is not None and not _is_id(command_id):
        raise ContractError(ErrorCode.E_INVALID_COMMAND_ID, {"path": "$.id", "limit": commands.MAX_ID})
    correlation_id = correlation_id if correlation_id is not None else headers.get("X-Correlation-Id") or None
    if correlation_id is not None and not _is_line(correlation_id):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.correlation_id", "limit": commands.MAX_ID})
    job.correlation_id = correlation_id
    _name(job, tenant, command_id)


def _name(job: Job, tenant: Tenant, command_id: str | None) -> None:
    job.command_id = CommandId(command_id) if command_id is not None else _made_id(tenant, job.raw)
    job.digest = ids.command_digest(tenant.key, job.session, job.command_id)


def _identify_refused(job: Job, tenant: Tenant) -> None:
    """The ids of a body that is refused, as far as they can be told."""
    names = _Names()
    if len(job.raw.body) <= tenant.record.limits.body_bytes:
        try:
            names = codec.decode(job.raw.body, _Names)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            names = _Names()
    found = [names.id, job.raw.headers.get("Nats-Msg-Id")]
    _name(job, tenant, next((name for name in found if isinstance(name, str) and _is_id(name)), None))
    correlations = [names.correlation_id, job.raw.headers.get("X-Correlation-Id")]
    job.correlation_id = next((c for c in correlations if isinstance(c, str) and _is_line(c)), None)


def _is_id(value: str) -> bool:
    """Ids travel as header values, so they are printable ASCII without spaces."""
    return 0 < len(value) <= commands.MAX_ID and value.isascii() and value.isprintable() and " " not in value


def _is_line(value: str) -> bool:
    return (
        0 < len(value) <= commands.MAX_ID
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
    )


def _made_id(tenant: Tenant, raw: Raw) -> CommandId:
    """The id of a command that came without one: the same at each delivery of the same message."""
    text = f"made\x1f{raw.subject}\x1f{raw.sequence}\x1f{raw.stored_ms}"
    return CommandId("cmd_" + hmac.digest(tenant.key, text.encode(), hashlib.sha256).hex()[:24])


def _address(job: Job, tenant: Tenant, command: commands.AnyCommand) -> None:
    job.metadata = command.metadata
    job.needs = capabilities.needs(job.verb, command)
    job.fingerprint = commands.fingerprint(command)
    job.message_id = ids.whatsapp_message_id(tenant.key, job.session, job.command_id)
    if command.expires_at is not None:
        job.expires_ms = max(1, _ms(command.expires_at))
    to = getattr(command, "to", None)
    if to is not None:
        recipient = _recipient(to, tenant.record.region)
        names = {recipient.kind: recipient.value}
        job.recipient = f"{recipient.kind}:{recipient.value}"
        job.chat_key = ids.chat_key(tenant.key, **names)
        job.chat = Chat(key=job.chat_key, **names)
    for reader in getattr(command, "audience", None) or ():
        if phone.parse_recipient(reader, tenant.record.region).kind == "group":
            raise ContractError(ErrorCode.E_INVALID_RECIPIENT, {"path": "$.audience"})
    if isinstance(command, commands.Forward) and command.from_ is not None:
        phone.parse_recipient(command.from_, tenant.record.region)
    if isinstance(command, commands.Cancel):
        job.target_id = command.command_id
        job.target = ids.command_digest(tenant.key, job.session, CommandId(command.command_id))
    if isinstance(command, commands.SendTemplate):
        job.template = command.template
    if isinstance(command, commands.SendCommand):
        job.marketing = command.purpose == "marketing"
        if command.send_at is not None:
            _schedule(job, _ms(command.send_at))


def _recipient(to: str, region: str | None) -> phone.Recipient:
    """Raises ContractError(E_INVALID_PHONE)."""
    place = places.place_of(to)
    return phone.Recipient("group", place.id) if place is not None else phone.parse_recipient(to, region)


def _schedule(job: Job, send_at_ms: int) -> None:
    # Measured from the broker's time stamp, not from now: a command that waited for us was in time when it came.
    if send_at_ms < job.raw.stored_ms - CLOCK_SKEW_MS:
        raise ContractError(ErrorCode.E_SEND_AT_PAST, {"path": "$.send_at"})
    if send_at_ms > job.raw.stored_ms + SCHEDULE_AHEAD_MS:
        raise ContractError(ErrorCode.E_SEND_AT_TOO_FAR, {"path": "$.send_at"})
    job.send_at_ms = send_at_ms


def _check_inbox(job: Job) -> None:
    """What refers to a message goes to the session that has it; and a group knows its member."""
    if job.verb not in _FOR_INBOXES:
        raise ContractError(ErrorCode.E_INBOX_COMMAND, {"verb": job.verb})
    if job.verb == "send" and not job.recipient.startswith(("pn:", "lid:")):
        raise ContractError(ErrorCode.E_INBOX_COMMAND, {"path": "$.to", "reason": "not a person"})


def _ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)
