"""Tenants and their users come, change and go while the broker runs; nobody else notices. In both modes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from pywhatsweb_fleet.broker import secrets, tenants
from pywhatsweb_fleet.broker.secrets import Secrets, TenantUser
from pywhatsweb_runtime import provision
from pywhatsweb_runtime.bus import Bus, connect
from tests.integration.broker.conftest import Broker, running
from tests.support import wait_until


def changed(found: Secrets, name: str, **fields: object) -> Secrets:
    """The secrets, with something else about one tenant."""
    tenant = msgspec.structs.replace(found.tenants[name], **fields)
    return msgspec.structs.replace(found, tenants={**found.tenants, name: tenant})


def without(found: Secrets, name: str) -> Secrets:
    kept = {other: tenant for other, tenant in found.tenants.items() if other != name}
    return msgspec.structs.replace(found, tenants=kept)


_LET_IN_S: Final = 6.0


class Bystander:
    """A tenant's program that hears all of its events, while somebody publishes them one after the other."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[int] = []
        self.told = 0
        self.over = False

    async def _on_event(self, message: Msg) -> None:
        self.heard.append(int(message.data))

    async def listen(self) -> None:
        await self.client.subscribe("wa.evt.acme.>", cb=self._on_event)
        await self.client.flush()

    async def talk(self, bus: Bus) -> None:
        while not self.over:
            await bus.request("wai.evt.acme.s1.message.-", b"%d" % self.told)
            self.told += 1
            await asyncio.sleep(0.002)

    async def undisturbed(self) -> None:
        """Everything that was told so far is heard, in order, on the connection that there was from the beginning."""
        told = self.told
        await wait_until(lambda: self.heard and self.heard[-1] >= told - 1, 20)
        first = self.heard[0]  # the broker may still be connecting its import when the very first one comes
        assert self.heard == list(range(first, first + len(self.heard)))
        assert self.client.stats["reconnects"] == 0
        assert self.client.is_connected


@contextlib.asynccontextmanager
async def talking(broker: Broker, bus: Bus) -> AsyncIterator[Bystander]:
    acme = Bystander(await broker.tenant("acme"))
    await acme.listen()
    task = asyncio.create_task(acme.talk(bus))
    try:
        yield acme
    finally:
        acme.over = True  # a cancelled request of nats-py's may go on as if nothing had happened
        await task


@contextlib.asynccontextmanager
async def life(tmp_path: Path, mode: str) -> AsyncIterator[tuple[Broker, Bus]]:
    """A broker and the platform's connection."""
    async with (
        running(tmp_path, mode) as (broker, _),
        connect(broker.platform_settings(), name="platform") as bus,
    ):
        yield broker, bus


async def comes_in(broker: Broker, name: str, user: str | None = None) -> bool:
    """Whether the tenant's user is let in now."""
    return await gets_in(broker, broker.login(name, user))


async def gets_in(broker: Broker, login: dict[str, Any]) -> bool:
    """Whether a login is let in; nats-py may wait for ever when it is refused at a certain moment."""
    client = Client()
    try:
        async with asyncio.timeout(_LET_IN_S):
            await client.connect(
                broker.url, allow_reconnect=False, connect_timeout=2, error_cb=_ignore, **login
            )
            await client.flush(2)
            await client.close()
    except (nats.errors.Error, OSError):
        return False
    return True


async def _ignore(error: Exception) -> None:
    """Expected."""


async def takes(client: Client, name: str, session: str = "s1") -> bool:
    """Whether a command of the client's gets into the tenant's stream."""
    with contextlib.suppress(nats.errors.Error):
        reply = await client.request(f"wa.cmd.{name}.{session}.send", b"{}", timeout=1)
        return f"WA_CMD_{name}".encode() in reply.data
    return False


async def test_a_tenants_whole_life_beside_another(tmp_path: Path, mode: str) -> None:
    """Created, given users, limited, suspended, resumed, deleted and made anew: the other one hears every event."""
    async with life(tmp_path, mode) as (broker, bus), talking(broker, bus) as acme:
        # Created.
        await tenants.ensure(bus, "newcomer")
        new = secrets.new_tenant("newcomer")
        made = msgspec.structs.replace(broker.secrets, tenants={**broker.secrets.tenants, "newcomer": new})
        await broker.change(bus, made)
        newcomer = await broker.tenant("newcomer")
        await wait_until(partial(takes, newcomer, "newcomer"), 10)
        await acme.undisturbed()

        # Changed: another user, who comes in beside the first.
        users = {"crm": TenantUser(password="p" * 43)}
        await broker.change(bus, changed(broker.secrets, "newcomer", users=users))
        crm = await broker.tenant("newcomer", "crm")
        await wait_until(partial(takes, crm, "newcomer"), 10)
        assert newcomer.is_connected
        assert newcomer.stats["reconnects"] == 0

        # The user goes: it is cut off, and the first one is not.
        await broker.change(bus, changed(broker.secrets, "newcomer", users={}))
        await wait_until(lambda: not crm.is_connected, 10)
        await wait_until(partial(takes, newcomer, "newcomer"), 10)
        await acme.undisturbed()

        # Suspended and resumed.
        await broker.change(bus, changed(broker.secrets, "newcomer", suspended=True))
        await wait_until(lambda: not newcomer.is_connected, 10)
        assert not await comes_in(broker, "newcomer")
        await broker.change(bus, changed(broker.secrets, "newcomer", suspended=False))
        await wait_until(lambda: comes_in(broker, "newcomer"), 10)
        await acme.undisturbed()

        # Deleted, and made anew under the same name: the old credentials stay worthless.
        old = broker.login("newcomer")
        kept = tmp_path / "old.creds"
        if "user_credentials" in old:
            kept.write_text(broker.operator.tenant_credentials("newcomer"))
            old = {"user_credentials": str(kept)}
        await broker.change(bus, without(broker.secrets, "newcomer"))
        await provision.drop_tenant(bus, "newcomer")  # type: ignore[arg-type]
        await wait_until(lambda: not newcomer.is_connected, 10)
        await tenants.ensure(bus, "newcomer")
        again = secrets.new_tenant("newcomer")
        await broker.change(
            bus,
            msgspec.structs.replace(broker.secrets, tenants={**broker.secrets.tenants, "newcomer": again}),
        )
        await wait_until(partial(takes, await broker.tenant("newcomer"), "newcomer"), 10)
        assert not await gets_in(broker, old)
        await acme.undisturbed()


async def test_users_have_the_rights_they_were_given(tmp_path: Path, mode: str) -> None:
    """One that may only publish hears nothing; one that may only read sends nothing; one session is no other."""
    async with life(tmp_path, mode) as (broker, bus):

        async def respond(message: Msg) -> None:
            await message.respond(b"answered")

        for verb in ("session.list", "session.delete"):
            await bus.client.subscribe(f"wa.ctl.*.{verb}", cb=respond)
        users = {
            "sender": TenantUser(password="a" * 43, rights="publish"),
            "reader": TenantUser(password="b" * 43, rights="read"),
            "branch": TenantUser(password="c" * 43, sessions=("s1",)),
            "viewer": TenantUser(password="d" * 43, rights="read", sessions=("s1",)),
        }
        await broker.change(bus, changed(broker.secrets, "acme", users=users))
        clients = {name: await broker.tenant("acme", name) for name in users}
        await wait_until(partial(takes, clients["sender"], "acme"), 10)
        may_send = {name: await takes(clients[name], "acme") for name in users}
        assert may_send == {"sender": True, "reader": False, "branch": True, "viewer": False}
        assert not await takes(clients["branch"], "acme", "s2")
        may_ask = {}
        for name, client in clients.items():
            for verb in ("session.list", "session.delete"):
                try:
                    await client.request(f"wa.ctl.acme.{verb}", b"{}", timeout=1)
                    may_ask[name, verb] = True
                except nats.errors.Error:
                    may_ask[name, verb] = False
        assert [asked for asked, answered in may_ask.items() if answered] == [
            ("sender", "session.list"),
            ("sender", "session.delete"),
            ("reader", "session.list"),
        ]
        heard: dict[str, list[str]] = {name: [] for name in users}
        for name, client in clients.items():

            async def hear(message: Msg, name: str = name) -> None:
                heard[name].append(message.subject.split(".")[3])

            for subject in ("wa.evt.acme.>", "wa.evt.acme.s1.>", "wa.evt.rival.>"):
                await client.subscribe(subject, cb=hear)
            await client.flush()
        for session in ("s1", "s2"):
            await bus.request(f"wai.evt.acme.{session}.message.-", b"x")
            await bus.request(f"wai.evt.rival.{session}.message.-", b"x")
        await wait_until(lambda: len(heard["reader"]) == 3 and heard["viewer"] and heard["branch"], 10)
        assert sorted(heard["reader"]) == ["s1", "s1", "s2"]  # two subscriptions match the first
        assert heard == {**heard, "sender": [], "branch": ["s1"], "viewer": ["s1"]}


async def test_connections_have_a_bound(tmp_path: Path, mode: str) -> None:
    """A tenant that opens more than its quota is refused; its first connections and everybody else's stay."""
    async with life(tmp_path, mode) as (broker, bus), talking(broker, bus) as acme:
        await broker.change(bus, changed(broker.secrets, "rival", connections=3))
        first = [await broker.tenant("rival") for _ in range(3)]
        assert not await comes_in(broker, "rival")
        for client in first:
            await wait_until(partial(takes, client, "rival"), 10)
        assert await comes_in(broker, "acme")
        await acme.undisturbed()


async def test_several_tenants_come_at_once(tmp_path: Path, mode: str) -> None:
    """One change of the accounts for all of them, and each is let in when it is done."""
    new = [f"new{number}" for number in range(5)]
    async with life(tmp_path, mode) as (broker, bus), talking(broker, bus) as acme:
        made = {name: secrets.new_tenant(name) for name in new}
        tenants = {**broker.secrets.tenants, **made}
        await broker.change(bus, msgspec.structs.replace(broker.secrets, tenants=tenants))
        assert await asyncio.gather(*(comes_in(broker, name) for name in new)) == [True] * len(new)
        await acme.undisturbed()
