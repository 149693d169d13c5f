"""nats-server's configuration as text: the same input gives the same bytes.

Every tenant is an account of its own. The platform's account exports subjects whose third token is pinned to the
importing account's name, so a tenant can reach its own commands, events and control subjects and nobody else's;
permissions alone would not do (a reply subject is a publication too: docs/adr/0008). A tenant imports them under the
same names: documents and code are the same on both sides of the border.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import msgspec

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.subjects import valid_name
from pywhatsweb_fleet.broker.rights import SERVICES, answers, own_inbox
from pywhatsweb_fleet.broker.secrets import Secrets, TenantSecrets, UserRights

MAX_PAYLOAD = 8 * 2**20
"""Bytes. Well above what a command may have, so that the dispatcher can refuse a large one with its code; the broker
itself would cut the connection. More than this it warns about."""

PLATFORM = "PLATFORM"
SYSTEM = "SYS"
"""Account names in capitals: a tenant's name has none, so the two cannot meet."""


CONNECTIONS = 100
"""Of one tenant at once, unless its quota says otherwise."""
SUBSCRIPTIONS = 2000
"""Of one connection of a tenant's."""
CHANGES_NOTHING = (
    "*.status", "*.list", "*.get", "*.qr", "*.messages", "*.card", "*.history", "*.show", "message.search",
    "analytics.*",
)  # fmt: skip
"""Control requests, ``<noun>.<verb>``, that a reader may make."""


class Permissions(NamedTuple):
    """Subjects to publish to, to subscribe to, and those of the former that are taken out again."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    denied: tuple[str, ...] = ()


class Tls(msgspec.Struct, frozen=True):
    """Files in PEM: the server's certificate, with what leads up to its authority, and its key."""

    cert: Path
    key: Path


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can choose."""

    store_dir: Path
    port: int
    host: str = "127.0.0.1"
    max_file: int = 64 * 2**30
    """Bytes that all streams together may reserve."""
    max_memory: int = 256 * 2**20
    monitor_port: int | None = None
    """nats-server's own HTTP pages, on the same host; off by default, since they name accounts and subjects."""
    encryption_key: str | None = None
    """Streams are encrypted on disk under it when given."""
    tls: Tls | None = None
    """Clients must speak TLS when given."""


def tenant_imports(tenant: str) -> tuple[list[str], list[str]]:
    """The services and the streams that an account of the tenant imports from the platform."""
    events = streams.events_name(TenantId(tenant))
    services = [
        f"wa.cmd.{tenant}.>",
        f"wa.ctl.{tenant}.>",
        f"$JS.API.CONSUMER.MSG.NEXT.{events}.*",
        f"$JS.ACK.{events}.>",
    ]
    return services, [f"wa.evt.{tenant}.>"]


def render(config: BrokerConfig, secrets: Secrets) -> str:
    """The configuration file. It holds passwords in the clear: write it with mode 0600.

    They are random and 256 bits long, so a hash in the file would protect nothing that the file's mode does not.
    """
    lines = [
        *render_server(config),
        f"system_account: {SYSTEM}",
        "accounts {",
        f"  {SYSTEM} {{ users: [ {_user(secrets.system.user, secrets.system.password)} ] }}",
        *_platform(secrets),
    ]
    for name in sorted(secrets.tenants):
        lines += _tenant(name, secrets)
    lines.append("}")
    return "\n".join(lines) + "\n"


def render_server(config: BrokerConfig) -> list[str]:
    """What does not depend on who may come in."""
    lines = [
        "# Written by pww at every start: changes here are lost.",
        f"host: {_text(config.host)}",
        f"port: {config.port}",
        'server_name: "pywhatsweb"',
        f"max_payload: {MAX_PAYLOAD}",
        "# An open connection that does not say who it is gets no longer than this.",
        "authorization { timeout: 5 }" if config.tls is None else "",
        "jetstream {",
        f"  store_dir: {_text(str(config.store_dir))}",
        f"  max_memory_store: {config.max_memory}",
        f"  max_file_store: {config.max_file}",
        "  # By default JetStream acknowledges before it flushes; what it acknowledged must outlive a power cut.",
        "  sync_interval: always",
        "  # 2.15 would stop at 1000 consumers a stream.",
        "  limits { default_max_consumers: -1 }",
    ]
    if config.encryption_key is not None:
        lines += ["  cipher: aes", f"  key: {_text(config.encryption_key)}"]
    lines.append("}")
    if config.tls is not None:
        lines += [
            "tls {",
            f"  cert_file: {_text(str(config.tls.cert))}",
            f"  key_file: {_text(str(config.tls.key))}",
            "  timeout: 5",
            "}",
        ]
    if config.monitor_port is not None:
        lines.append(f"http: {_text(f'{config.host}:{config.monitor_port}')}")
    return [line for line in lines if line]


def _platform(secrets: Secrets) -> list[str]:
    lines = [
        f"  {PLATFORM} {{",
        "    jetstream: enabled",
        "    users: [",
        f"      {_user(secrets.platform.user, secrets.platform.password)}",
        *(
            f"      {_user(user.user, user.password, _permissions(service_rights(name)))}"
            for name, user in sorted(secrets.services.items())
        ),
        "    ]",
        "    exports: [",
        '      { service: "wa.cmd.*.>", account_token_position: 3 }',
        '      { service: "wa.ctl.*.>", account_token_position: 3 }',
        '      { stream: "wa.evt.*.>", account_token_position: 3 }',
    ]
    for name in sorted(secrets.tenants):
        # A position cannot pin a part of a token, so these two go to one account by name.
        _, _, pull, ack = tenant_imports(name)[0]
        only = f"accounts: [ {_text(name)} ]"
        lines += [
            f"      {{ service: {_text(pull)}, response_type: stream, {only} }}",
            f"      {{ service: {_text(ack)}, {only} }}",
        ]
    return [*lines, "    ]", "  }"]


def service_rights(name: str) -> Permissions:
    """A service's permissions. A name that an older version knew has none."""
    found = SERVICES.get(name)
    if found is None:
        return Permissions(("-",), ("-",), (">",))
    own = own_inbox(name)
    return Permissions((*found.publish, own, *answers(name)), (*found.subscribe, own), found.denied)


def _tenant(name: str, secrets: Secrets) -> list[str]:
    if not valid_name(name):
        raise ValueError("a tenant's name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter or digit")
    tenant = secrets.tenants[name]
    services, events = tenant_imports(name)
    users = [] if tenant.suspended else _users(name, tenant)
    return [
        f"  {_text(name)} {{",
        f"    users: [ {', '.join(users)} ]",
        f"    limits {{ max_connections: {tenant.connections or CONNECTIONS}, max_subscriptions: {SUBSCRIPTIONS} }}",
        "    imports: [",
        *(
            f"      {{ {kind}: {{ account: {PLATFORM}, subject: {_text(subject)} }} }}"
            for kind, subjects in (("service", services), ("stream", events))
            for subject in subjects
        ),
        "    ]",
        "  }",
    ]


def _users(name: str, tenant: TenantSecrets) -> list[str]:
    full = _user(tenant.user, tenant.password, _permissions(user_rights(name)))
    return [
        full,
        *(
            _user(f"{name}.{own}", user.password, _permissions(user_rights(name, user.rights, user.sessions)))
            for own, user in sorted(tenant.users.items())
        ),
    ]


def user_rights(
    name: str, rights: UserRights = "full", sessions: tuple[str, ...] | None = None
) -> Permissions:
    """What a user of a tenant's may do: within what the tenant's account imports, and never more.

    ``publish``: commands and control requests, but no events. ``read``: events, and control requests that change
    nothing. With ``sessions``, commands and events of these alone, and no control requests: those name their session in
    the body, which the broker does not see.
    """
    tenant, events = TenantId(name), streams.events_name(TenantId(name))
    of = [f"{session}." for session in sessions] if sessions is not None else [""]
    commands = [f"wa.cmd.{tenant}.{session}>" for session in of]
    heard = [f"wa.evt.{tenant}.{session}>" for session in of]
    pull = [f"$JS.API.CONSUMER.MSG.NEXT.{events}.*", f"$JS.ACK.{events}.>"]
    control = (
        [f"wa.ctl.{tenant}.>"] if rights != "read" else [f"wa.ctl.{tenant}.{v}" for v in CHANGES_NOTHING]
    )
    if sessions is not None:
        control, pull = [], []
    inbox = "_INBOX.>"
    publish = {
        "full": [*commands, *control, *pull],
        "publish": [*commands, *control],
        "read": [*control, *pull],
    }[rights]
    # A wildcard stands for a whole token, so the fleet's own durables have to be taken out by name: what a tenant
    # acknowledged there would never reach the record.
    denied = [subject for reader in streams.EVENT_READERS for subject in _reader(name, reader)]
    return Permissions((*publish, inbox), (inbox,) if rights == "publish" else (*heard, inbox), tuple(denied))


def _reader(name: str, durable: str) -> tuple[str, str]:
    events = streams.events_name(TenantId(name))
    return f"$JS.API.CONSUMER.MSG.NEXT.{events}.{durable}", f"$JS.ACK.{events}.{durable}.>"


def _permissions(found: Permissions) -> str:
    def texts(subjects: tuple[str, ...]) -> str:
        return f"[ {', '.join(_text(subject) for subject in subjects)} ]"

    publish = f"{{ allow: {texts(found.publish)}, deny: {texts(found.denied)} }}"
    return f"{{ publish: {publish}, subscribe: {{ allow: {texts(found.subscribe)} }} }}"


def _user(name: str, password: str, permissions: str | None = None) -> str:
    extra = "" if permissions is None else f", permissions: {permissions}"
    return f"{{ user: {_text(name)}, password: {_text(password)}{extra} }}"


def _text(value: str) -> str:
    """A quoted string: the format's escapes are JSON's, and what is quoted is never read as a number or a variable."""
    if not value.isprintable():
        raise ValueError("a value of the broker's configuration holds a control character")
    return json.dumps(value, ensure_ascii=False)
