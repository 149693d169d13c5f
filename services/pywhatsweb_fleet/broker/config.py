"""nats-server's configuration as text: the same input gives the same bytes.

Every tenant is an account of its own. The platform's account exports subjects whose third token is pinned to the
importing account's name, so a tenant can reach its own commands, events and control subjects and nobody else's;
permissions alone would not do (a reply subject is a publication too: docs/adr/0008). A tenant imports them under the
same names: documents and code are the same on both sides of the border.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.subjects import valid_name
from pywhatsweb_fleet.broker.secrets import Secrets

MAX_PAYLOAD = 8 * 2**20
"""Bytes. Well above what a command may have, so that the dispatcher can refuse a large one with its code; the broker
itself would cut the connection. More than this it warns about."""

PLATFORM = "PLATFORM"
SYSTEM = "SYS"
"""Account names in capitals: a tenant's name has none, so the two cannot meet."""


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
        "# Written by pww at every start: changes here are lost.",
        f"host: {_text(config.host)}",
        f"port: {config.port}",
        'server_name: "pywhatsweb"',
        f"max_payload: {MAX_PAYLOAD}",
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
    if config.monitor_port is not None:
        lines.append(f"http: {_text(f'{config.host}:{config.monitor_port}')}")
    lines += [
        f"system_account: {SYSTEM}",
        "accounts {",
        f"  {SYSTEM} {{ users: [ {_user(secrets.system.user, secrets.system.password)} ] }}",
        *_platform(secrets),
    ]
    for name in sorted(secrets.tenants):
        lines += _tenant(name, secrets)
    lines.append("}")
    return "\n".join(lines) + "\n"


def _platform(secrets: Secrets) -> list[str]:
    lines = [
        f"  {PLATFORM} {{",
        "    jetstream: enabled",
        f"    users: [ {_user(secrets.platform.user, secrets.platform.password)} ]",
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


def _tenant(name: str, secrets: Secrets) -> list[str]:
    if not valid_name(name):
        raise ValueError("a tenant's name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter or digit")
    tenant = secrets.tenants[name]
    services, events = tenant_imports(name)
    publish = ", ".join(_text(subject) for subject in [*services, "_INBOX.>"])
    subscribe = ", ".join(_text(subject) for subject in [*events, "_INBOX.>"])
    # A wildcard stands for a whole token, so the fleet's own durables have to be taken out by name: what a tenant
    # acknowledged there would never reach the record.
    denied = ", ".join(
        _text(subject) for reader in streams.EVENT_READERS for subject in _reader(name, reader)
    )
    may_publish = f"{{ allow: [ {publish} ], deny: [ {denied} ] }}"
    permissions = f"{{ publish: {may_publish}, subscribe: {{ allow: [ {subscribe} ] }} }}"
    return [
        f"  {_text(name)} {{",
        f"    users: [ {_user(tenant.user, tenant.password, permissions)} ]",
        "    imports: [",
        *(
            f"      {{ {kind}: {{ account: {PLATFORM}, subject: {_text(subject)} }} }}"
            for kind, subjects in (("service", services), ("stream", events))
            for subject in subjects
        ),
        "    ]",
        "  }",
    ]


def _reader(name: str, durable: str) -> tuple[str, str]:
    events = streams.events_name(TenantId(name))
    return f"$JS.API.CONSUMER.MSG.NEXT.{events}.{durable}", f"$JS.ACK.{events}.{durable}.>"


def _user(name: str, password: str, permissions: str | None = None) -> str:
    extra = "" if permissions is None else f", permissions: {permissions}"
    return f"{{ user: {_text(name)}, password: {_text(password)}{extra} }}"


def _text(value: str) -> str:
    """A quoted string: the format's escapes are JSON's, and what is quoted is never read as a number or a variable."""
    if not value.isprintable():
        raise ValueError("a value of the broker's configuration holds a control character")
    return json.dumps(value, ensure_ascii=False)
