"""Who asks, and what it may do: API keys in a header, a short-lived ticket where a header cannot be set, or the cookie
of somebody who signed in to the dashboard."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.subjects import valid_name
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker.keys import PREFIX, Scope, now_ms
from pywhatsweb_fleet.gateway.keys import Keys, Known
from pywhatsweb_fleet.gateway.limits import Buckets
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.users import SCOPES, User, Users

TICKET_S: Final = 60
MAX_TICKET_S: Final = 300
_MAX_CREDENTIAL: Final = 2048
_JWT_HEAD: Final = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
SUBPROTOCOL: Final = "pww.v1"
_KEY_PROTOCOL: Final = "pww.key."
COOKIE: Final = "pww_dashboard"
COOKIE_S: Final = 12 * 3600


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

    def need(self, scope: Scope) -> None:
        """``manage`` covers ``board``."""
        if scope not in self.scopes and not (scope == "board" and "manage" in self.scopes):
            raise GatewayError(ErrorCode.E_FORBIDDEN, {"scope": scope})

    def session(self, name: str) -> str:
        """`name`, when it may name a session and this key may touch it."""
        if not valid_name(name):
            raise GatewayError(ErrorCode.E_INVALID_SESSION_ID)
        if self.sessions is not None and name not in self.sessions:
            raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "this key is bound to other sessions"})
        return name


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    kid: str
    exp: int
    use: str
    usr: str = ""
    iat: int = 0
    """Milliseconds since 1970."""


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
        return await self._signed_in(cookie, address)

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
            self._bound(self._by_address.empty(address))
            return self._ticket(ticket, address)
        key = bearer(headers)
        if key is None and (cookie := cookie_in(headers)) is not None:
            return await self._signed_in(cookie, address)
        if key is None:
            key = next((p.removeprefix(_KEY_PROTOCOL) for p in offered if p.startswith(_KEY_PROTOCOL)), None)
        return await self._enter(key, address)

    async def _enter(self, key: str | None, address: str) -> Principal:
        self._bound(self._by_address.empty(address))
        known = None
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
        self._bound(self._by_address.empty(address))
        found = await self._users.sign_in(tenant, user, password)
        if found is None:
            raise self._refused(address)
        return of_user(found, now_ms())

    async def enter_by(self, credential: str, address: str) -> Principal:
        """By a key, or by a ticket, which is short-lived and so may stand in a link. Raises as `enter`."""
        if credential.startswith(PREFIX):
            return await self._enter(credential, address)
        self._bound(self._by_address.empty(address))
        return self._ticket(credential, address)

    def issue(self, who: Principal, seconds: int) -> tuple[str, int]:
        """A ticket with the rights of the key at the time of its use, and when it ends (seconds since 1970)."""
        return self._sign(who, seconds, "stream")

    def cookie(self, who: Principal, seconds: int) -> tuple[str, int]:
        """What a browser brings with each request, and when it ends (seconds since 1970)."""
        return self._sign(who, seconds, "dashboard")

    def csrf(self, cookie: str) -> str:
        """What a page of ours knows beside the cookie, and another site's does not."""
        return _b64(self._signature("csrf." + cookie))

    async def _signed_in(self, cookie: str, address: str) -> Principal:
        self._bound(self._by_address.empty(address))
        claims = self._claims(cookie, "dashboard", address)
        if not claims.usr:
            return self._by_kid(claims, address)
        user = await self._users.get(claims.sub, claims.usr)
        if user is None or user.record.changed_at > claims.iat:
            raise self._refused(address)
        who = of_user(user, claims.iat)
        self._bound(self._by_key.take(who.key_id))
        return who

    def _sign(self, who: Principal, seconds: int, use: str) -> tuple[str, int]:
        ends = int(time.time()) + seconds
        claims = _Claims(
            sub=who.tenant, kid=who.key_id, exp=ends, use=use, usr=who.user or "", iat=who.since or now_ms()
        )
        signed = f"{_JWT_HEAD}.{_b64(msgspec.json.encode(claims))}"
        return f"{signed}.{_b64(self._signature(signed))}", ends

    def _ticket(self, ticket: str, address: str) -> Principal:
        return self._by_kid(self._claims(ticket, "stream", address), address)

    def _by_kid(self, claims: _Claims, address: str) -> Principal:
        known = self._keys.get(claims.kid)
        if known is None or known.tenant != claims.sub:
            raise self._refused(address)
        self._bound(self._by_key.take(known.id))
        return principal(known)

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
        """Whether the key or the login that opened a stream is still good."""
        if who.user is None:
            return self._keys.get(who.key_id) is not None
        user = await self._users.get(who.tenant, who.user)
        return user is not None and user.record.changed_at <= who.since

    def _signature(self, signed: str) -> bytes:
        return hmac.digest(self._keys.signing, signed.encode(), "sha256")

    def _refused(self, address: str) -> GatewayError:
        self._by_address.take(address)
        return GatewayError(ErrorCode.E_AUTHENTICATION_FAILED)

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
