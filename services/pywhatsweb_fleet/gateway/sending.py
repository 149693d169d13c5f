"""A command into the tenant's stream, and what is answered: JetStream has it, or how it ended."""

from __future__ import annotations

from typing import Final

import msgspec

from pywhatsweb.contracts import commands, subjects
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.ids import CommandId, SessionId, new_command_id
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ContractError, ErrorCode, MessageError
from pywhatsweb_fleet.gateway.outcomes import UNSENT
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.routes import Call
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.batching import PubAck

WAITS: Final = {
    name.value: name for name in (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ)
}
WAIT_S: Final = 30.0
MAX_WAIT_S: Final = 60.0
ENDS: Final = {MessageStatus.EXPIRED: ErrorCode.E_EXPIRED, MessageStatus.CANCELLED: ErrorCode.E_CANCELLED}


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """JetStream has the command. `duplicate`: it had one of this id already, and nothing was added.

    `message_id`: under which a send command goes to WhatsApp. With ``?wait=…`` also how far it came: `status`.
    """

    id: str
    session_id: str
    stream: str
    sequence: int
    duplicate: bool = False
    status: str = MessageStatus.ACCEPTED.value
    message_id: str | None = None


def identified(body: bytes, verb: str, header: str | None) -> tuple[CommandId, commands.AnyCommand]:
    """The command and the id that it is published under. Raises ContractError."""
    command = commands.parse(verb, body)
    if header is not None and command.id is not None and header != command.id:
        raise ContractError(
            ErrorCode.E_INVALID_COMMAND_ID,
            {"path": "$.id", "reason": "the header Idempotency-Key is another"},
        )
    given = command.id if command.id is not None else header
    if given is None:
        return new_command_id(), command
    if not (
        0 < len(given) <= commands.MAX_ID and given.isascii() and given.isprintable() and " " not in given
    ):
        raise ContractError(ErrorCode.E_INVALID_COMMAND_ID, {"path": "$.id", "limit": commands.MAX_ID})
    return CommandId(given), command


async def send(
    call: Call, session: str, verb: str, body: bytes | None = None, *, wait: str | None = None
) -> tuple[int, Accepted]:
    """Publishes the request's body (or `body`) as ``<verb>``; the HTTP status and the answer. `wait`: unless the query
    says for what.

    Raises ContractError, GatewayError, ApiError, BrokerUnavailable, and MessageError when it was waited for and ended
    otherwise than sent.
    """
    call.who.need("send")
    raw = call.body if body is None else body
    command_id, _ = identified(raw, verb, call.headers.get("idempotency-key"))
    message_id = call.deps.keys.message_id(call.who.tenant, session, command_id) if verb == "send" else None
    wait = call.query.get("wait", wait)
    if wait is None:
        ack = await publish(call, session, verb, raw, command_id)
        return 202, _accepted(command_id, session, ack, message_id)
    wanted = WAITS.get(wait)
    if wanted is None:
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "?wait", "allowed": sorted(WAITS)})
    seconds = call.seconds("timeout", WAIT_S, MAX_WAIT_S)
    outcomes, tenant = call.deps.outcomes, call.who.tenant
    async with outcomes.following(tenant, session, command_id) as waiter:
        ack = await publish(call, session, verb, raw, command_id)
        status = await outcomes.wait(
            waiter, tenant, session, command_id, wanted=wanted, seconds=seconds, ask_first=ack.duplicate
        )
    if status is None:
        return 202, _accepted(command_id, session, ack, message_id)
    if status.status in UNSENT:
        raise _unsent(command_id, status)
    done = status.status is not MessageStatus.UNKNOWN and status.status.rank >= wanted.rank
    return (200 if done else 202), _accepted(command_id, session, ack, message_id, status)


async def publish(call: Call, session: str, verb: str, body: bytes, command_id: CommandId) -> PubAck:
    """JetStream's answer. The body travels as it came; ids that it lacks stand in the headers."""
    headers: dict[str, str] = {"Nats-Msg-Id": command_id}
    if call.correlation_id is not None:
        headers["X-Correlation-Id"] = call.correlation_id
    parent = tracing.known(call.headers.get(tracing.HEADER))
    names = {"tenant": call.who.tenant, "session": session, "command": command_id}
    with tracing.span(f"publish {verb}", parent, names) as trace:
        if trace:
            headers[tracing.HEADER] = trace
        return await call.deps.publisher.publish(
            subjects.command(call.who.tenant, SessionId(session), verb), body, headers
        )


def _accepted(
    command_id: str, session: str, ack: PubAck, message_id: str | None, status: Status | None = None
) -> Accepted:
    return Accepted(
        id=command_id,
        session_id=session,
        stream=ack.stream,
        sequence=ack.seq,
        duplicate=ack.duplicate or (status is not None and status.duplicate),
        status=(status.status if status is not None else MessageStatus.ACCEPTED).value,
        message_id=(status.message_id if status is not None else None) or message_id,
    )


def _unsent(command_id: str, status: Status) -> MessageError:
    error = status.error
    code = (
        ErrorCode.from_wire(error.code)
        if error is not None
        else ENDS.get(status.status, ErrorCode.E_INTERNAL)
    )
    details = dict(error.details) if error is not None else {}
    return MessageError(code, {**details, "id": command_id, "status": status.status.value})
