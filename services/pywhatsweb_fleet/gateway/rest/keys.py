"""API keys, tokens and tickets: made, rotated with an overlap, revoked, listed with their last use."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from pywhatsweb.contracts import events
from pywhatsweb.contracts.control_data import Args, Name
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker.keys import ALL_SCOPES, Scope, now_ms
from pywhatsweb_fleet.gateway.auth import MAX_TICKET_S, MAX_TOKEN_S, TICKET_S, TOKEN_S, Narrowed
from pywhatsweb_fleet.gateway.keys import MAX_OVERLAP_S, Known
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.routes import Answer, Call, Route

DAY_S = 86_400


class KeyCreate(Args, frozen=True, kw_only=True):
    """A key can give another no right that it has not itself. `expires_in_s`: null for ever."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(ALL_SCOPES))]
    sessions: Annotated[list[Name], Meta(min_length=1, max_length=256)] | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=3650 * DAY_S)] | None = None


class KeyRotate(Args, frozen=True, kw_only=True):
    """The old key works for `overlap_s` seconds more."""

    overlap_s: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_S)] = DAY_S


class KeyInfo(Struct, frozen=True, kw_only=True):
    """`id` names a key and does not open anything. `last_used_at` is a minute exact."""

    id: str
    name: str
    scopes: list[Scope]
    sessions: list[str] | None = None
    created_at: str | None = None
    expires_at: str | None = None
    last_used_at: str | None = None
    expired: bool = False


class NewKey(KeyInfo, frozen=True, kw_only=True):
    """`key` is shown once, and kept nowhere."""

    key: str


class KeyList(Struct, frozen=True, kw_only=True):
    keys: list[KeyInfo]


class TicketAsk(Args, frozen=True, kw_only=True):
    ttl_s: Annotated[int, Meta(ge=1, le=MAX_TICKET_S)] = TICKET_S


class Ticket(Struct, frozen=True, kw_only=True):
    """Opens ``/v1/events`` and ``/v1/ws`` as ``?ticket=…`` until it ends, with the rights of its key."""

    ticket: str
    expires_at: str


class TokenAsk(Args, frozen=True, kw_only=True):
    """`scopes` and `sessions`: fewer than the key has; null: as many."""

    ttl_s: Annotated[int, Meta(ge=1, le=MAX_TOKEN_S)] = TOKEN_S
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(ALL_SCOPES))] | None = None
    sessions: Annotated[list[Name], Meta(min_length=1, max_length=16)] | None = None


class Token(Struct, frozen=True, kw_only=True):
    """A JWT that goes as ``Authorization: Bearer`` in the key's stead; it ends early when the key does."""

    token: str
    expires_at: str


def _info(known: Known, used: int | None = None) -> dict[str, Any]:
    record = known.record
    return {
        "id": known.id,
        "name": record.name,
        "scopes": list(record.scopes),
        "sessions": None if record.sessions is None else list(record.sessions),
        "created_at": _time(record.created_at),
        "expires_at": _time(record.expires_at),
        "last_used_at": _time(used),
        "expired": not known.alive(),
    }


def _time(milliseconds: int | None) -> str | None:
    return events.timestamp(milliseconds) if milliseconds else None


def _unbound(call: Call) -> None:
    if call.who.sessions is not None:
        raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "this key is bound to sessions"})


async def list_(call: Call) -> Answer:
    _unbound(call)
    used = await call.deps.keys.last_used(call.who.tenant)
    found = [KeyInfo(**_info(known, used.get(known.id))) for known in call.deps.keys.of(call.who.tenant)]
    return Answer(KeyList(keys=found))


async def create(call: Call) -> Answer:
    _unbound(call)
    args: KeyCreate = call.decode(KeyCreate)
    for scope in args.scopes:
        call.who.need(scope)
    key, made = await call.deps.keys.create(
        call.who.tenant,
        name=args.name,
        scopes=tuple(scope for scope in ALL_SCOPES if scope in args.scopes),
        sessions=None if args.sessions is None else tuple(dict.fromkeys(args.sessions)),
        expires_at=0 if args.expires_in_s is None else now_ms() + args.expires_in_s * 1000,
    )
    return Answer(NewKey(key=key, **_info(made)), status=201)


async def rotate(call: Call) -> Answer:
    _unbound(call)
    args: KeyRotate = call.decode(KeyRotate)
    key, made = await call.deps.keys.rotate(call.who.tenant, call.path["key_id"], args.overlap_s)
    return Answer(NewKey(key=key, **_info(made)), status=201)


async def revoke(call: Call) -> Answer:
    _unbound(call)
    await call.deps.keys.revoke(call.who.tenant, call.path["key_id"])
    return Answer({"id": call.path["key_id"], "revoked": True})


async def ticket(call: Call) -> Answer:
    args: TicketAsk = call.decode(TicketAsk)
    made, ends = call.deps.door.issue(call.who, args.ttl_s)
    return Answer(Ticket(ticket=made, expires_at=events.timestamp(ends * 1000)), status=201)


async def token(call: Call) -> Answer:
    args: TokenAsk = call.decode(TokenAsk)
    for scope in args.scopes or ():
        call.who.need(scope)
    for session in args.sessions or ():
        call.who.session(session)
    held = call.who.narrowed
    to = Narrowed(
        held.scopes if args.scopes is None else frozenset(args.scopes),
        held.sessions if args.sessions is None else frozenset(args.sessions),
    )
    made, ends = call.deps.door.token(call.who, args.ttl_s, to)
    return Answer(Token(token=made, expires_at=events.timestamp(ends * 1000)), status=201)


_ONE = "/v1/keys/{key_id}"
ROUTES = (
    Route("GET", "/v1/keys", list_, "The tenant's API keys", "keys", "admin", None, KeyList),
    Route("POST", "/v1/keys", create, "Make an API key", "keys", "admin", KeyCreate, NewKey, 201),
    Route(
        "POST", f"{_ONE}/rotate", rotate, "Make a key's successor; the old one ends after the overlap", "keys",
        "admin", KeyRotate, NewKey, 201,
    ),
    Route("DELETE", _ONE, revoke, "End a key at once", "keys", "admin"),
    Route(
        "POST", "/v1/tickets", ticket, "A short-lived ticket for an event stream's address", "keys", "read",
        TicketAsk, Ticket, 201,
    ),
    Route(
        "POST", "/v1/tokens", token, "A short-lived token (JWT) with a key's rights, or fewer", "keys", None,
        TokenAsk, Token, 201,
    ),
)  # fmt: skip
