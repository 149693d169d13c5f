"""A broker with accounts as `pww up` runs it, a scripted fleet on its platform side, and clients of a tenant."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from pywhatsweb.client import FleetClient, connect
from pywhatsweb.contracts import codec, control, events, streams, subjects
from pywhatsweb.contracts import consumer_data as cd
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId, new_event_id
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker import process, secrets, tenants
from pywhatsweb_fleet.broker.config import BrokerConfig
from pywhatsweb_runtime.bus import ApiError, BrokerSettings, Bus
from pywhatsweb_runtime.bus import connect as connect_platform

ACME = TenantId("acme")


class Scripted:
    """The fleet's side, doing only what a test tells it."""

    def __init__(self, bus: Bus, url: str, found: secrets.Secrets) -> None:
        self.bus = bus
        self.url = url
        self.secrets = found
        self.asked: list[tuple[str, Any]] = []

    def client(
        self, tenant: str = "acme", **options: Any
    ) -> contextlib.AbstractAsyncContextManager[FleetClient]:
        user = self.secrets.tenants[tenant]
        return connect(self.url, user=user.user, password=user.password, **options)

    async def answer(self, verb: str, reply: Callable[[Any], Any]) -> None:
        """`reply` makes the data, or is an ErrorCode to fail with."""

        async def on_request(message: Msg) -> None:
            args = control.parse(verb, message.data)
            self.asked.append((verb, args))
            found = reply(args)
            if isinstance(found, Awaitable):
                found = await found
            raw = control.failure(found) if isinstance(found, ErrorCode) else control.success(found)
            await message.respond(raw)

        await self.bus.client.subscribe(f"wa.ctl.*.{verb}", cb=on_request)
        await self.bus.client.flush()

    async def tell(
        self, kind: str, data: dict[str, Any], *, session: str = "s1", chat: str = "-", tenant: str = "acme"
    ) -> int:
        """Publishes an event as a worker does; its stream sequence."""
        envelope = {
            "event": kind,
            "id": new_event_id(),
            "tenant_id": tenant,
            "session_id": session,
            "timestamp": events.timestamp(),
            "data": data,
        }
        event: events.AnyEvent = codec.decode(codec.encode(envelope), events.AnyEvent)
        subject = subjects.event_ingest(TenantId(tenant), SessionId(session), kind, ChatKey(chat))
        answer = await self.bus.request(subject, codec.encode(event), headers=events.headers(event))
        found: dict[str, Any] = codec.decode(answer.data, dict[str, Any])
        assert "seq" in found, found
        return int(found["seq"])

    async def tell_status(
        self, command_id: str, status: str, code: str | None = None, *, session: str = "s1", **more: Any
    ) -> int:
        error = None if code is None else {"code": code}
        data = {"command_id": command_id, "status": status, "error": error, **more}
        return await self.tell("status", data, session=session)

    async def commands(self, tenant: str = "acme") -> list[str]:
        """The Nats-Msg-Ids in the tenant's stream of commands."""
        info = await self.bus.client.jetstream().stream_info(streams.commands_name(TenantId(tenant)))
        found = []
        for sequence in range(1, info.state.last_seq + 1):
            message = await self.bus.client.jetstream().get_msg(
                streams.commands_name(TenantId(tenant)), sequence
            )
            found.append((message.headers or {})["Nats-Msg-Id"])
        return found

    async def make_consumer(self, args: cd.ConsumerCreate) -> cd.ConsumerInfo:
        """What ``consumer.create`` does, in its simplest form."""
        stream = streams.events_name(ACME)
        durable = cd.PREFIX + args.name
        config = {
            "durable_name": durable,
            "ack_policy": "explicit",
            "ack_wait": args.ack_wait_s * 10**9,
            "filter_subject": f"wa.evt.{ACME}.>",
            "deliver_policy": "by_start_sequence" if args.sequence else args.start,
            **({"opt_start_seq": args.sequence} if args.sequence else {}),
        }
        with contextlib.suppress(ApiError):  # it is there
            await self.bus.api(f"CONSUMER.INFO.{stream}.{durable}", {})
            return cd.ConsumerInfo(name=args.name, stream=stream, durable=durable)
        await self.bus.api(f"CONSUMER.CREATE.{stream}.{durable}", {"stream_name": stream, "config": config})
        return cd.ConsumerInfo(name=args.name, stream=stream, durable=durable)


class Broker:
    """One that can be frozen and killed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.secrets = secrets.load_or_make(directory, ["acme", "rival"])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.config = BrokerConfig(store_dir=directory / "store", port=port)
        self.url = f"nats://127.0.0.1:{port}"
        self._stack = contextlib.AsyncExitStack()
        self.pid = 0

    async def start(self) -> None:
        process_ = await self._stack.enter_async_context(
            process.running(self.directory, self.config, self.secrets)
        )
        self.pid = getattr(process_, "pid", 0)

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        await self._stack.aclose()

    async def restart(self) -> None:
        """After a kill, on the same store and port."""
        with contextlib.suppress(Exception):
            await self._stack.aclose()
        self._stack = contextlib.AsyncExitStack()
        await self.start()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    found = Broker(tmp_path)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def fleet(broker: Broker) -> AsyncIterator[Scripted]:
    user = broker.secrets.platform
    settings = BrokerSettings(nats_url=broker.url, nats_user=user.user, nats_password=user.password)
    async with connect_platform(settings, name="scripted") as bus:
        await tenants.ensure_all(bus, broker.secrets.tenants)
        yield Scripted(bus, broker.url, broker.secrets)
        await asyncio.sleep(0)
