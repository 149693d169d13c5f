"""Who asks, and what it may do: an API key in a header or a token made from one, a short-lived ticket where a header
cannot be set, or the cookie of somebody who signed in to the dashboard. Tokens, tickets and cookies are JWTs."""

from __future__ import annotations

import base64
import binascii
import hmac
import sys
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.subjects import valid_addressee, valid_name
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker.keys import PREFIX, Scope, now_ms
from pywhatsweb_fleet.gateway.keys import Keys, Known
from pywhatsweb_fleet.gateway.limits import Buckets
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.users import SCOPES, User, Users

TICKET_S: Final = 60
MAX_TICKET_S: Final = 300
TOKEN_S: Final = 900
MAX_TOKEN_S: Final = 3600
_MAX_CREDENTIAL: Final = 2048
_JWT_HEAD: Final = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
SUBPROTOCOL: Final = "pww.v1"
_KEY_PROTOCOL: Final = "pww.key."
COOKIE: Final = "pww_dashboard"
COOKIE_S: Final = 12 * 3600


class Narrowed(msgspec.Struct, frozen=True):
    """What a token leaves of its key's rights; None: all."""

    scopes: frozenset[Scope] | None = None
    sessions: frozenset[str] | None = None


class Principal(msgspec.Struct, frozen=True):
    """Who asks."""

    tenant: TenantId
    key_id: str
    scopes: frozenset[Scope]
    sessions: frozenset[str] | None
    """The only ones that it may touch; None: all."""
    user: str | None = None
    """Who signed in to the dashboard; None: a program with a key."""
    since: int = 0
    """When, in milliseconds since 1970."""
    address: str | None = None
    """Where the request came from."""
    correlation_id: str | None = None
    """What its sender calls the matter."""
    narrowed: Narrowed = Narrowed()
    until: int = 0
    """When the token that it came with ends (seconds since 1970), and all that is made with it; 0: it was none."""

    @property
    def actor(self) -> str:
        """As the audit trail calls it: a login, or ``key:<id>``, which no login can be."""
        return self.user or f"key:{self.key_id}"

    def may(self, scope: Scope) -> bool:
        """``manage`` covers ``board``."""
        return scope in self.scopes or (scope == "board" and "manage" in self.scopes)

    def need(self, scope: Scope) -> None:
        """Raises GatewayError(E_FORBIDDEN)."""
        if not self.may(scope):
            raise GatewayError(ErrorCode.E_FORBIDDEN, {"scope": scope})

    def session(self, name: str) -> str:
        """`name`, when it may name a session and this key may touch it."""
        if not valid_name(name):
            raise GatewayError(ErrorCode.E_INVALID_SESSION_ID)
        return self._own(name)

    def addressee(self, name: str) -> str:
        """A session or an inbox; a key that is bound to sessions sends to an inbox only where it names that."""
        if not valid_addressee(name):
            raise GatewayError(ErrorCode.E_INVALID_SESSION_ID)
        return self._own(name)

    def _own(self, name: str) -> str:
        if self.sessions is not None and name not in self.sessions:
            raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "this key is bound to other sessions"})
        return name

    def narrow(self, to: Narrowed) -> Principal:
        """With what both allow."""
        scopes = self.scopes if to.scopes is None else frozenset(s for s in to.scopes if self.may(s))
        sessions = self.sessions
        if to.sessions is not None:
            sessions = to.sessions if sessions is None else sessions & to.sessions
        return msgspec.structs.replace(self, scopes=scopes, sessions=sessions, narrowed=to)


class _Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    sub: str
    kid: str
    exp: int
    use: str
    usr: str = ""
    iat: int = 0
    """Milliseconds since 1970."""
    scp: frozenset[Scope] | None = None
    ses: frozenset[str] | None = None
    til: int = 0


def principal(known: Known) -> Principal:
    sessions = None if known.record.sessions is None else frozenset(known.record.sessions)
    return Principal(known.tenant, known.id, frozenset(known.record.scopes), sessions)


def of_user(user: User, since: int) -> Principal:
    return Principal(
        user.tenant, f"user.{user.tenant}.{user.login}", SCOPES[user.record.role], None, user.login, since
    )


class Door:
    """Lets in or refuses; counts what it refuses, by address."""

    def __init__(self, keys: Keys, users: Users, by_key: Buckets, by_address: Buckets) -> None:
        self._keys = keys
        self._users = users
        self._by_key = by_key
        self._by_address = by_address

    async def enter(self, headers: Mapping[str, str], address: str, *, changes: bool = True) -> Principal:
        """By a key, or by the dashboard's cookie; with the cookie, what ``changes`` something needs its token too.

        Raises GatewayError: E_AUTHENTICATION_FAILED, E_FORBIDDEN or E_RATE_LIMITED.
        """
        key = bearer(headers)
        cookie = cookie_in(headers) if key is None else None
        if cookie is None:
            return await self._enter(key, address)
        if changes and not hmac.compare_digest(headers.get("x-csrf-token", ""), self.csrf(cookie)):
            raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "X-CSRF-Token is missing or wrong"})
        return await self._by_jwt(cookie, "dashboard", address)

    async def enter_stream(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        address: str,
        offered: tuple[str, ...] = (),
    ) -> Principal:
        """As `enter`, and by a subprotocol ``pww.key.<key>`` or a ``ticket`` in the query (never a key there)."""
        ticket = query.get("ticket")
        if ticket is not None:
            return await self._by_jwt(ticket, "stream", address)
        key = bearer(headers)
        if key is None and (cookie := cookie_in(headers)) is not None:
            return await self._by_jwt(cookie, "dashboard", address)
        if key is None:
            key = next((p.removeprefix(_KEY_PROTOCOL) for p in offered if p.startswith(_KEY_PROTOCOL)), None)
        return await self._enter(key, address)

    async def _enter(self, key: str | None, address: str) -> Principal:
        self._bound(self._by_address.empty(self._nameless(address)))
        known = None
        if key is not None and key.startswith(_JWT_HEAD):
            return await self._by_jwt(key, "api", address)
        if key is not None and key.startswith(PREFIX) and len(key) <= _MAX_CREDENTIAL:
            known = await self._keys.verify(key)
        if known is None:
            raise self._refused(address)
        if known.tenant in self._keys.suspended:
            raise GatewayError(ErrorCode.E_TENANT_SUSPENDED)
        self._bound(self._by_key.take(known.id))
        return principal(known)

    async def sign_in(self, user: str, password: str, tenant: str, address: str) -> Principal:
        """By a login and its password. Raises as `enter`."""
        self._bound(self._by_address.empty(self._nameless(address)))
        found = await self._users.sign_in(tenant, user, password)
        if found is None:
            raise self._refused(address)
        return of_user(found, now_ms())

    async def enter_by(self, credential: str, address: str) -> Principal:
        """By a key, or by a ticket, which is short-lived and so may stand in a link. Raises as `enter`."""
        if credential.startswith(PREFIX):
            return await self._enter(credential, address)
        return await self._by_jwt(credential, "stream", address)

    def issue(self, who: Principal, seconds: int) -> tuple[str, int]:
        """A ticket with the rights of the key at the time of its use, and when it ends (seconds since 1970)."""
        return self._sign(who, seconds, "stream")

    def token(self, who: Principal, seconds: int, to: Narrowed) -> tuple[str, int]:
        """What opens everything that a key does, with at most its rights, and when it ends (seconds since 1970)."""
        return self._sign(msgspec.structs.replace(who, narrowed=to), seconds, "api")

    def cookie(self, who: Principal, seconds: int) -> tuple[str, int]:
        """What a browser brings with each request, and when it ends (seconds since 1970)."""
        return self._sign(who, seconds, "dashboard")

    def csrf(self, cookie: str) -> str:
        """What a page of ours knows beside the cookie, and another site's does not."""
        return _b64(self._signature("csrf." + cookie))

    async def _by_jwt(self, text: str, use: str, address: str) -> Principal:
        self._bound(self._by_address.empty(self._nameless(address)))
        claims = self._claims(text, use, address)
        who = await self._of(claims)
        if who is None:
            raise self._refused(address)
        self._bound(self._by_key.take(who.key_id))
        until = claims.exp if use == "api" else claims.til
        return msgspec.structs.replace(who.narrow(Narrowed(claims.scp, claims.ses)), until=until)

    async def _of(self, claims: _Claims) -> Principal | None:
        """With the rights of this moment; None when the key or the login is no longer good."""
        if claims.usr:
            user = await self._users.get(claims.sub, claims.usr)
            return None if user is None or user.record.changed_at > claims.iat else of_user(user, claims.iat)
        known = self._keys.get(claims.kid)
        return None if known is None or known.tenant != claims.sub else principal(known)

    def _sign(self, who: Principal, seconds: int, use: str) -> tuple[str, int]:
        ends = min(int(time.time()) + seconds, who.until or sys.maxsize)
        claims = _Claims(
            sub=who.tenant, kid=who.key_id, exp=ends, use=use, usr=who.user or "", iat=who.since or now_ms(),
            scp=who.narrowed.scopes, ses=who.narrowed.sessions, til=who.until,
        )  # fmt: skip
        signed = f"{_JWT_HEAD}.{_b64(msgspec.json.encode(claims))}"
        return f"{signed}.{_b64(self._signature(signed))}", ends

    def _claims(self, ticket: str, use: str, address: str) -> _Claims:
        head, _, rest = ticket.partition(".")
        body, _, signature = rest.partition(".")
        claims = None
        if len(ticket) <= _MAX_CREDENTIAL and head == _JWT_HEAD and ticket.isascii():
            given = _unb64(signature)
            if given is not None and hmac.compare_digest(given, self._signature(f"{head}.{body}")):
                claims = msgspec.json.decode(_unb64(body) or b"", type=_Claims)
        if claims is None or claims.use != use or claims.exp <= time.time():
            raise self._refused(address)
        return claims

    async def still(self, who: Principal) -> bool:
        """Whether the key, token or login that opened a stream is still good."""
        if who.until and who.until <= time.time():
            return False
        if who.user is None:
            return self._keys.get(who.key_id) is not None
        user = await self._users.get(who.tenant, who.user)
        return user is not None and user.record.changed_at <= who.since

    def _signature(self, signed: str) -> bytes:
        return hmac.digest(self._keys.signing, signed.encode(), "sha256")

    def _refused(self, address: str) -> GatewayError:
        self._by_address.take(self._nameless(address))
        return GatewayError(ErrorCode.E_AUTHENTICATION_FAILED)

    def _nameless(self, address: str) -> str:
        """What the bound on refusals calls an address: replicas share it, and nobody else reads an address in it."""
        return self._signature("address." + address).hex()[:24]

    @staticmethod
    def _bound(missing_s: float) -> None:
        if missing_s > 0:
            raise GatewayError(ErrorCode.E_RATE_LIMITED, {"retry_after_ms": int(missing_s * 1000) + 1})


def bearer(headers: Mapping[str, str]) -> str | None:
    """The credential of ``Authorization: Bearer`` or ``X-Api-Key``."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key") or None


def cookie_in(headers: Mapping[str, str]) -> str | None:
    """The dashboard's."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
