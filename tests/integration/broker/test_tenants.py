"""Tenants come while everybody stays connected; the broker's process starts, refuses and stops as it should."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.broker import accounts, process, secrets, tenants
from pywhatsweb_runtime.bus import connect
from tests.integration.broker.conftest import Broker
from tests.support import wait_until


async def test_a_tenant_is_added_while_others_stay_connected(tmp_path: Path) -> None:
    """Its account comes by a reload; its record and streams by the platform; nobody is disconnected."""
    described = Broker(tmp_path)
    async with process.running(tmp_path, described.config, described.secrets) as server:
        async with connect(described.platform_settings(), name="platform") as bus:
            await tenants.ensure_all(bus, described.secrets.tenants)
            acme = await described.tenant("acme")
            lost: list[str] = []

            async def on_lost() -> None:
                lost.append("disconnected")

            acme.options["disconnected_cb"] = on_lost
            described.secrets = secrets.load_or_make(tmp_path, ["newcomer"])
            await process.write_config(tmp_path, described.config, described.secrets)
            await tenants.ensure(bus, "newcomer")
            user = described.secrets.tenants["newcomer"]
            await tenants.admit(bus, described.platform_settings(), [user], accounts.by_signal(server))
            newcomer = await described.tenant("newcomer")
            for client, name in ((newcomer, "newcomer"), (acme, "acme")):
                reply = await client.request(f"wa.cmd.{name}.s1.send", b"{}", timeout=20)
                assert f"WA_CMD_{name}".encode() in reply.data
            assert lost == []
        await described.close()


async def test_a_tenants_key_never_changes(broker: Broker) -> None:
    """Also when several make the tenant at once: what is derived from the key would change with it."""
    async with connect(broker.platform_settings(), name="platform") as bus:
        records = await asyncio.gather(*(tenants.ensure(bus, "third") for _ in range(5)))
        again = await tenants.ensure(bus, "third")
    assert {record.key for record in records} == {again.key}
    assert len(again.key) == 32
    with pytest.raises(ValueError, match="tenant's name"):
        await tenants.ensure(bus, TenantId("A.b"))


async def test_a_configuration_that_does_not_load_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nats-server's own words come with the error, and the file in use stays as it was."""
    described = Broker(tmp_path)
    path = await process.write_config(tmp_path, described.config, described.secrets)
    before = path.read_bytes()
    monkeypatch.setattr(process, "render", lambda *_: "accounts { A { imports: [ { stream: 1 } ] } }")
    with pytest.raises(process.BrokerRefused, match="refuses its configuration"):
        await process.write_config(tmp_path, described.config, described.secrets)
    assert path.read_bytes() == before
    assert not path.with_name("nats.conf.new").exists()


async def test_messages_outlive_a_kill(tmp_path: Path) -> None:
    """What was acknowledged is there after SIGKILL and a new start on the same port."""
    described = Broker(tmp_path)
    async with process.running(tmp_path, described.config, described.secrets) as server:
        async with connect(described.platform_settings(), name="platform") as bus:
            await tenants.ensure_all(bus, described.secrets.tenants)
        acme = await described.tenant("acme")
        for number in range(50):
            await acme.request("wa.cmd.acme.s1.send", b"%d" % number, timeout=20)
        await described.close()
        server.kill()
        await server.wait()
    async with (
        process.running(tmp_path, described.config, described.secrets),
        connect(described.platform_settings(), name="platform") as bus,
    ):
        info = await bus.api("STREAM.INFO.WA_CMD_acme")
        assert info["state"]["messages"] == 50


async def test_a_taken_port_is_told(broker: Broker, tmp_path: Path) -> None:
    """A second server on the port ends at once, with an error that says so."""
    second = await process.spawn(tmp_path / process.CONFIG_FILE)
    await wait_until(lambda: second.returncode is not None, 10)
    with pytest.raises(process.BrokerRefused, match="ended at once"):
        await process.wait_until_up(broker.config.host, broker.config.port, second)
