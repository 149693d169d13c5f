"""Bringing a running broker's accounts in line with the secrets: tenants and users that came, changed or went.

Two ways: `ConfigAccounts` writes the configuration and has it read again; `OperatorAccounts` pushes signed tokens. Both
leave everybody alone whom the change does not concern, and both may be done again after a crash: what is there already
changes nothing.
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec

from pywhatsweb_fleet.broker import process as broker
from pywhatsweb_fleet.broker import tenants
from pywhatsweb_fleet.broker.config import BrokerConfig
from pywhatsweb_fleet.broker.operator import Operator
from pywhatsweb_fleet.broker.process import BrokerRefused
from pywhatsweb_fleet.broker.secrets import Secrets
from pywhatsweb_runtime.bus import BrokerSettings, Bus

_LISTEN_S: Final = 0.5
_RELOAD_S: Final = 60.0
"""A thousand tenants on a busy machine."""


class Reload(Protocol):
    async def __call__(self, *, again: bool = False) -> None:
        """Has the broker read its configuration; ``again``: right after a call, by the same servers.

        Raises BrokerRefused.
        """


class Accounts(Protocol):
    """The accounts of one broker, or of one cluster."""

    async def apply(self, before: Secrets, after: Secrets) -> None:
        """Makes the broker know ``after``; who is new can come in when it returns.

        Raises BrokerRefused or BrokerUnavailable; the change may then have happened or not, and may be tried again.
        """

    async def restore(self, secrets: Secrets) -> None:
        """As `apply`, when it is not known what the broker has: whoever changed it may have been killed. Raises so."""


class ConfigAccounts:
    """Of a broker at ``where`` whose configuration lies in ``directory``; ``bus`` is the platform's."""

    def __init__(
        self, directory: Path, config: BrokerConfig, bus: Bus, where: BrokerSettings, *, reload: Reload
    ) -> None:
        self._directory = directory
        self._config = config
        self._bus = bus
        self._where = where
        self._reload = reload
        self._pending = directory / "reload.pending"
        """There while the broker may not have read what was written."""

    async def restore(self, secrets: Secrets) -> None:
        if not self._pending.exists() and broker.is_written(self._directory, self._config, secrets):
            return  # a reload of a thousand tenants takes seconds
        self._pending.touch()
        await broker.write_config(self._directory, self._config, secrets)
        await self._reload()
        await self._reload(again=True)  # as `tenants.admit`: imports of services come with the second
        self._pending.unlink(missing_ok=True)

    async def apply(self, before: Secrets, after: Secrets) -> None:
        self._pending.touch()
        await broker.write_config(self._directory, self._config, after)
        await self._reload()
        new = [after.tenants[name] for name in sorted(after.tenants.keys() - before.tenants.keys())]
        if new := [tenant for tenant in new if not tenant.suspended]:
            await tenants.admit(self._bus, self._where, new, partial(self._reload, again=True))
        self._pending.unlink(missing_ok=True)


class OperatorAccounts:
    """Of a broker in operator mode; ``system`` is connected as the system account's user."""

    def __init__(self, system: Bus) -> None:
        self._system = system

    async def restore(self, secrets: Secrets) -> None:
        operator = Operator(secrets)
        await operator.push(self._system, sorted(secrets.tenants), platform=True)
        if unknown := await operator.unknown(self._system):
            await operator.remove(self._system, unknown)

    async def apply(self, before: Secrets, after: Secrets) -> None:
        old, new = Operator(before), Operator(after)
        gone = [
            old.account_id(name)
            for name, tenant in before.tenants.items()
            if name not in after.tenants or after.tenants[name].account != tenant.account
        ]
        changed = [name for name, tenant in after.tenants.items() if before.tenants.get(name) != tenant]
        platform = (before.platform, before.services) != (after.platform, after.services)
        if gone:
            await new.remove(self._system, gone)
        await new.push(self._system, sorted(changed), platform=platform)


def by_signal(process: asyncio.subprocess.Process) -> Reload:
    """Has our own child read its configuration again."""

    async def reload(*, again: bool = False) -> None:  # noqa: ARG001 - there is one server
        process.send_signal(signal.SIGHUP)

    return reload


class _Server(msgspec.Struct):
    id: str


class _Answer(msgspec.Struct):
    server: _Server


def by_system(system: Bus) -> Reload:
    """Has every server of the cluster read its configuration again; ``system`` is the system account's user."""

    servers: list[str] = []

    async def reload(*, again: bool = False) -> None:
        if not again or not servers:
            servers[:] = sorted(await find())
        if not servers:
            raise BrokerRefused("no server of the broker answers the system's user")
        for server in servers:
            answer = await system.request(f"$SYS.REQ.SERVER.{server}.RELOAD", deadline=_RELOAD_S)
            if error := msgspec.json.decode(answer.data).get("error"):
                raise BrokerRefused(f"a server does not take its configuration: {error.get('description')}")

    async def find() -> set[str]:
        """Nobody knows how many there are: whoever answers within a moment."""
        found: set[str] = set()
        subscription = await system.client.subscribe(inbox := system.client.new_inbox())
        await system.client.publish("$SYS.REQ.SERVER.PING", b"", reply=inbox)
        until = asyncio.get_running_loop().time() + _LISTEN_S
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                message = await subscription.next_msg(left)
            except TimeoutError:
                break
            found.add(msgspec.json.decode(message.data, type=_Answer).server.id)
        await subscription.unsubscribe()
        return found

    return reload
