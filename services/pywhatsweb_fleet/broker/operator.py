"""Operator mode: the same accounts and rights as `config`, as signed tokens that a broker of any operator's can hold.

Everything is derived from `Secrets`. A user's rights stand in its *account's* token, as the template of a signing key
of its own: they change, and a user ends, by a new token of the account alone, and a user's credentials file never
changes. What a tenant imports is pinned by activation tokens: the platform exports ``wa.cmd.*.>`` to nobody but those
to whom it has signed ``wa.cmd.<their name>.>``, so subjects are the same on both sides, as in `config`, and the
platform's own token does not change when a tenant comes.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import msgspec

from pywhatsweb_fleet.broker.config import (
    CONNECTIONS,
    PLATFORM,
    SUBSCRIPTIONS,
    SYSTEM,
    BrokerConfig,
    Permissions,
    render_server,
    service_rights,
    tenant_imports,
    user_rights,
)
from pywhatsweb_fleet.broker.jwt import UNLIMITED, Key, claims, credentials, derived
from pywhatsweb_fleet.broker.process import BrokerRefused
from pywhatsweb_fleet.broker.secrets import Secrets, TenantSecrets
from pywhatsweb_runtime.bus import BrokerUnavailable, Bus

_EVERYTHING: Final = Permissions((">",), (">",))
_EXPORTS: Final = (
    ("service", "wa.cmd.*.>", "Singleton"),
    ("service", "wa.ctl.*.>", "Singleton"),
    ("service", "$JS.API.CONSUMER.MSG.NEXT.*.*", "Stream"),
    ("service", "$JS.ACK.*.>", "Singleton"),
    ("stream", "wa.evt.*.>", None),
)
_PATIENCE_S: Final = 10.0
_FREE: Final = {"subs": UNLIMITED, "data": UNLIMITED, "payload": UNLIMITED}


class Operator:
    """The tokens of one set of secrets."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._key = derived("operator", secrets.operator, "operator")
        self._platform = derived("account", secrets.operator, "platform")
        self._system = derived("account", secrets.operator, "system")

    # Accounts.

    def account_id(self, tenant: str) -> str:
        return self._account(tenant).public

    def _account(self, tenant: str) -> Key:
        return derived("account", self._secrets.tenants[tenant].account, f"tenant {tenant}")

    def tenant(self, name: str) -> str:
        """The token of a tenant's account."""
        tenant = self._secrets.tenants[name]
        users = [] if tenant.suspended else _users(name, tenant)
        services, streams = tenant_imports(name)
        imports = [self._import(name, "service", subject) for subject in services]
        imports += [self._import(name, "stream", subject) for subject in streams]
        return self._sign(
            self._account(name),
            name,
            limits={"conn": tenant.connections or CONNECTIONS, "subs": SUBSCRIPTIONS},
            imports=imports,
            signers=[_signer(secret, role, rights) for role, secret, rights in users],
        )

    def platform(self) -> str:
        secrets = self._secrets
        exports = [
            {"name": subject, "subject": subject, "type": kind, "token_req": True}
            | ({"response_type": response} if response else {})
            for kind, subject, response in _EXPORTS
        ]
        signers = [_signer(secrets.platform.password, "platform", _EVERYTHING)]
        signers += [
            _signer(user.password, name, service_rights(name))
            for name, user in sorted(secrets.services.items())
        ]
        storage = {
            "mem_storage": UNLIMITED,
            "disk_storage": UNLIMITED,
            "streams": UNLIMITED,
            "consumer": UNLIMITED,
        }
        return self._sign(self._platform, PLATFORM, limits=storage, exports=exports, signers=signers)

    def system(self) -> str:
        signer = _signer(self._secrets.system.password, "system", _EVERYTHING)
        return self._sign(self._system, SYSTEM, signers=[signer])

    def _sign(self, account: Key, name: str, *, limits: dict[str, int] | None = None, **lists: Any) -> str:
        body: dict[str, Any] = {
            "type": "account",
            "version": 2,
            "limits": {
                "subs": UNLIMITED,
                "data": UNLIMITED,
                "payload": UNLIMITED,
                "imports": UNLIMITED,
                "exports": UNLIMITED,
                "wildcards": True,
                "conn": UNLIMITED,
                "leaf": 0,
                **(limits or {}),
            },
            "signing_keys": lists.pop("signers"),
            **lists,
        }
        return self._key.sign({"sub": account.public, "name": name, "nats": body})

    def _import(self, tenant: str, kind: str, subject: str) -> dict[str, Any]:
        token = self._platform.sign(
            {
                "sub": self.account_id(tenant),
                "name": subject,
                "nats": {"type": "activation", "version": 2, "subject": subject, "kind": kind},
            }
        )
        return {
            "name": subject,
            "subject": subject,
            "type": kind,
            "account": self._platform.public,
            "token": token,
        }

    # Users.

    def tenant_credentials(self, tenant: str, user: str | None = None) -> str:
        """The file of a tenant's first user, or of another by its name."""
        found = self._secrets.tenants[tenant]
        secret = found.password if user is None else found.users[user].password
        name = tenant if user is None else f"{tenant}.{user}"
        return _credentials(secret, name, self._account(tenant))

    def service_credentials(self, name: str) -> str:
        return _credentials(self._secrets.services[name].password, name, self._platform)

    def platform_credentials(self) -> str:
        return _credentials(self._secrets.platform.password, "platform", self._platform)

    def system_credentials(self) -> str:
        return _credentials(self._secrets.system.password, "system", self._system)

    # The server.

    def render(self, config: BrokerConfig, resolver_dir: Path) -> str:
        """The server's configuration: no account but the platform's and the system's stands in it."""
        token = self._key.sign(
            {
                "sub": self._key.public,
                "name": "pywhatsweb",
                "nats": {"type": "operator", "version": 2, "system_account": self._system.public},
            }
        )
        preload = {self._system.public: self.system(), self._platform.public: self.platform()}
        lines = [
            *render_server(config),
            f"operator: {token}",
            f"system_account: {self._system.public}",
            "resolver {",
            "  type: full",
            f"  dir: {json.dumps(str(resolver_dir))}",
            "  allow_delete: true",
            '  interval: "2m"',
            "}",
            "resolver_preload {",
            *(f"  {account}: {found}" for account, found in preload.items()),
            "}",
        ]
        return "\n".join(lines) + "\n"

    # What changes while the server runs.

    async def push(self, system: Bus, names: list[str], *, platform: bool = False) -> None:
        """Hands the broker the tokens of these tenants; ``system`` is connected as the system account's user.

        Whoever is not concerned stays connected. Raises BrokerRefused or BrokerUnavailable.
        """
        tokens = [self.platform()] if platform else []
        for token in [*tokens, *(self.tenant(name) for name in names)]:
            await _ask(system, "$SYS.REQ.CLAIMS.UPDATE", token)

    async def unknown(self, system: Bus) -> list[str]:
        """The ids of accounts that the broker has and these secrets do not. Raises as `push`."""
        ours = {self._platform.public, self._system.public, *map(self.account_id, self._secrets.tenants)}
        found = await _ask(system, "$SYS.REQ.CLAIMS.LIST", "")
        return sorted(set(found["data"]) - ours)

    async def remove(self, system: Bus, accounts: list[str]) -> None:
        """Makes the broker forget accounts, by their ids; their connections end. Raises as `push`."""
        token = self._key.sign(
            {
                "sub": self._key.public,
                "name": "delete",
                "nats": {"type": "generic", "version": 2, "accounts": accounts},
            }
        )
        await _ask(system, "$SYS.REQ.CLAIMS.DELETE", token)


async def _ask(system: Bus, subject: str, token: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(await _patiently(system, subject, token.encode()))
    if error := found.get("error"):
        raise BrokerRefused(f"the broker refuses an account's token: {error.get('description', '')}")
    return found


async def _patiently(system: Bus, subject: str, body: bytes) -> bytes:
    """The resolver listens a moment later than the server does."""
    until = asyncio.get_running_loop().time() + _PATIENCE_S
    while True:
        try:
            return (await system.request(subject, body, deadline=2)).data
        except BrokerUnavailable:
            if asyncio.get_running_loop().time() > until:
                raise
        await asyncio.sleep(0.05)


def _users(name: str, tenant: TenantSecrets) -> list[tuple[str, str, Permissions]]:
    return [
        (name, tenant.password, user_rights(name)),
        *(
            (f"{name}.{own}", user.password, user_rights(name, user.rights, user.sessions))
            for own, user in sorted(tenant.users.items())
        ),
    ]


def _signer(secret: str, role: str, rights: Permissions) -> dict[str, Any]:
    publish = {"allow": list(rights.publish), "deny": list(rights.denied)}
    template: dict[str, Any] = {
        "pub": {name: subjects for name, subjects in publish.items() if subjects},
        "sub": {"allow": list(rights.subscribe)} if rights.subscribe else {},
        **_FREE,
    }
    return {
        "kind": "user_scope",
        "key": derived("account", secret, "signer").public,
        "role": role,
        "template": template,
    }


def _credentials(secret: str, name: str, account: Key) -> str:
    """The token of a scoped user says nothing but who it is: its rights are its signer's."""
    user = derived("user", secret, "user")
    token = derived("account", secret, "signer").sign(
        {
            "sub": user.public,
            "name": name,
            "iat": 0,
            "nats": {"type": "user", "version": 2, "issuer_account": account.public},
        }
    )
    return credentials(token, user)


def account_of(credentials_text: str) -> str:
    """The id of the account that a credentials file belongs to."""
    token = credentials_text.split("\n")[1]
    return str(claims(token)["nats"]["issuer_account"])
