"""Signing in to the dashboard, and who may."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from pywhatsweb.contracts import events
from pywhatsweb.contracts.control_data import Args, Name
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.auth import COOKIE, COOKIE_S, Principal, cookie_in
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.routes import Answer, Call, Route
from pywhatsweb_fleet.gateway.users import Role, User

Password = Annotated[str, Meta(min_length=10, max_length=256)]


class SignIn(Args, frozen=True, kw_only=True):
    """By `tenant`, `user` and `password`; or by a `credential`: an API key, or a ticket from ``/v1/tickets``."""

    tenant: Name | None = None
    user: Name | None = None
    password: Annotated[str, Meta(max_length=256)] | None = None
    credential: Annotated[str, Meta(max_length=2048)] | None = None


class Me(Struct, frozen=True, kw_only=True):
    """`csrf` goes as X-CSRF-Token with every request that changes something; null for who came with a key."""

    tenant: str
    user: str | None
    scopes: list[str]
    sessions: list[str] | None
    csrf: str | None
    expires_at: str | None = None
    sandbox: bool = False
    """Whether ``/v1/sandbox`` is there: a local WhatsApp, for who may manage sessions."""


class UserCreate(Args, frozen=True, kw_only=True):
    """`user` signs in with `password`: ten characters or more."""

    user: Name
    password: Password
    role: Role = "attendant"
    name: Annotated[str, Meta(max_length=200)] = ""


class UserChange(Args, frozen=True, kw_only=True):
    """What is left out stays."""

    password: Password | None = None
    role: Role | None = None
    name: Annotated[str, Meta(max_length=200)] | None = None


class OwnPassword(Args, frozen=True, kw_only=True):
    old: Annotated[str, Meta(max_length=256)]
    new: Password


class UserInfo(Struct, frozen=True, kw_only=True):
    user: str
    role: Role
    name: str
    created_at: str


class UserList(Struct, frozen=True, kw_only=True):
    users: list[UserInfo]


def _set_cookie(call: Call, value: str, seconds: int) -> dict[str, str]:
    secure = "; Secure" if call.deps.settings.cookies_secure else ""
    return {"Set-Cookie": f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"}


def _me(call: Call, who: Principal, cookie: str | None, ends: int | None = None) -> Me:
    return Me(
        tenant=who.tenant,
        user=who.user,
        scopes=sorted(who.scopes),
        sessions=None if who.sessions is None else sorted(who.sessions),
        csrf=None if cookie is None else call.deps.door.csrf(cookie),
        expires_at=None if ends is None else events.timestamp(ends * 1000),
        sandbox=call.deps.settings.sandbox_url is not None and who.may("manage"),
    )


def _own_page(call: Call) -> None:
    """No other site's page signs anybody in or out (SameSite keeps cookies from being sent, not from being set)."""
    origin = call.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != call.headers.get("host"):
        raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "another origin's page"})


async def sign_in(call: Call) -> Answer:
    _own_page(call)
    args: SignIn = call.decode(SignIn)
    door = call.deps.door
    if args.credential is not None:
        who = await door.enter_by(args.credential, call.address)
    elif args.tenant is not None and args.user is not None and args.password is not None:
        who = await door.sign_in(args.user, args.password, args.tenant, call.address)
    else:
        raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "password"})
    cookie, ends = door.cookie(who, COOKIE_S)
    return Answer(_me(call, who, cookie, ends), headers=_set_cookie(call, cookie, COOKIE_S))


async def sign_out(call: Call) -> Answer:
    _own_page(call)
    return Answer({"ok": True}, headers=_set_cookie(call, "", 0))


async def me(call: Call) -> Answer:
    return Answer(
        _me(call, call.who, cookie_in(call.headers) if "authorization" not in call.headers else None)
    )


async def own_password(call: Call) -> Answer:
    args: OwnPassword = call.decode(OwnPassword)
    if call.who.user is None:
        raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "a key has no password"})
    await call.deps.door.sign_in(call.who.user, args.old, call.who.tenant, call.address)
    user = await call.deps.users.change(
        call.who.tenant, call.who.user, password=args.new, role=None, name=None
    )
    return Answer(_info(user), headers=_set_cookie(call, "", 0))


def _info(user: User) -> UserInfo:
    record = user.record
    return UserInfo(
        user=user.login, role=record.role, name=record.name, created_at=events.timestamp(record.created_at)
    )


async def list_(call: Call) -> Answer:
    return Answer(UserList(users=[_info(user) for user in await call.deps.users.of(call.who.tenant)]))


async def create(call: Call) -> Answer:
    args: UserCreate = call.decode(UserCreate)
    made = await call.deps.users.create(call.who.tenant, args.user, args.password, args.role, args.name)
    return Answer(_info(made), status=201)


async def change(call: Call) -> Answer:
    args: UserChange = call.decode(UserChange)
    fields: dict[str, Any] = {"password": args.password, "role": args.role, "name": args.name}
    return Answer(_info(await call.deps.users.change(call.who.tenant, call.path["user"], **fields)))


async def remove(call: Call) -> Answer:
    await call.deps.users.remove(call.who.tenant, call.path["user"])
    return Answer({"user": call.path["user"], "removed": True})


_TAG = "dashboard"
_ONE = "/v1/users/{user}"
ROUTES = (
    Route(
        "POST",
        "/v1/signin",
        sign_in,
        "Sign in: sets the dashboard's cookie",
        _TAG,
        None,
        SignIn,
        Me,
        public=True,
    ),
    Route("POST", "/v1/signout", sign_out, "Sign out", _TAG, None, None, None, public=True),
    Route("GET", "/v1/me", me, "Who asks, and what it may do", _TAG, None, None, Me),
    Route(
        "POST",
        "/v1/me/password",
        own_password,
        "Change one's own password",
        _TAG,
        None,
        OwnPassword,
        UserInfo,
    ),
    Route("GET", "/v1/users", list_, "Who may sign in", _TAG, "admin", None, UserList),
    Route("POST", "/v1/users", create, "Let somebody sign in", _TAG, "admin", UserCreate, UserInfo, 201),
    Route("POST", _ONE, change, "Change a password, role or name", _TAG, "admin", UserChange, UserInfo),
    Route("DELETE", _ONE, remove, "Let somebody sign in no longer", _TAG, "admin"),
)
