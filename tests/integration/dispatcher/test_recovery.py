"""A command that comes back minutes after its first delivery is not queued twice."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.dispatcher.dispatching import Dispatching
from pywhatsweb_fleet.dispatcher.reading import Raw
from pywhatsweb_fleet.storage import templates
from pywhatsweb_fleet.storage.store import Store, open_store
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, parts, text
from tests.support.fleet import platform


class Redelivery:
    """Dispatches one message of long ago, as often as asked."""

    def __init__(self, user: User, dispatching: Dispatching, store: Store) -> None:
        self.user = user
        self.store = store
        self._dispatching = dispatching
        self.body(text(id="c1"))

    def body(self, command: dict[str, Any]) -> None:
        body = msgspec.msgpack.encode(command)
        self._raw = Raw("wa.cmd.acme.s1.send", 7, int(time.time() * 1000) - 600_000, {}, body)

    async def deliver(self) -> None:
        async def fresh() -> bool:
            return True

        dispatch = await self._dispatching.handle([self._raw])
        await (await dispatch(fresh))


@pytest.fixture
async def redelivery(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Redelivery]:
    """On streams whose dedupe window is over at once."""
    store = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    await store.migrate()
    async with platform(nats_server.url, "acme") as (bus, [tenant]):
        await tenant.wish("s1")
        name = streams.outbox_name(tenant.name)
        config = (await bus.api(f"STREAM.INFO.{name}"))["config"]
        await bus.api(f"STREAM.UPDATE.{name}", {**config, "duplicate_window": 100_000_000})
        async with parts(bus, store) as deps:
            yield Redelivery(User(tenant), Dispatching(tenant.name, deps), store)
    await store.close()


async def window_over(user: User) -> None:
    """JetStream has forgotten the dedupe ids of the outbox."""
    bus = user.tenant.bus

    async def forgotten() -> bool:
        subject = subjects.out(user.tenant.name, SessionId("probe"))
        answer = await bus.request(subject, b"", headers={"Nats-Msg-Id": "probe"})
        return not msgspec.json.decode(answer.data).get("duplicate")

    assert await forgotten()
    await wait_until(forgotten, 3, message="the window is over", interval=0.05)


async def test_what_still_waits_is_not_queued_again(redelivery: Redelivery) -> None:
    """It is found in its queue."""
    user = redelivery.user
    await redelivery.deliver()
    await window_over(user)
    await redelivery.deliver()
    assert len(await user.outbox()) == 1
    await user.told("c1", "accepted")


async def test_what_was_sent_is_not_queued_again(redelivery: Redelivery) -> None:
    """It has left its queue, and an event says what became of it."""
    user = redelivery.user
    await redelivery.deliver()
    (event,) = await user.told("c1", "accepted")
    sent = {**event, "id": "other", "data": {**event["data"], "status": "sent"}}
    subject = subjects.event_ingest(user.tenant.name, SessionId("s1"), "status", event["data"]["chat"]["key"])
    await user.tenant.bus.request(subject, msgspec.msgpack.encode(sent), headers={"Nats-Msg-Id": "other"})
    await user.tenant.bus.purge(streams.outbox_name(user.tenant.name), "wa.out.acme.s1")
    await window_over(user)
    await redelivery.deliver()
    assert await user.outbox() == []


async def test_what_was_claimed_but_not_queued_is_queued(redelivery: Redelivery) -> None:
    """Neither in its queue nor told of: the crash came before."""
    user = redelivery.user
    await redelivery.deliver()
    await window_over(user)
    await user.tenant.bus.purge(streams.outbox_name(user.tenant.name), "wa.out.acme.s1")
    await redelivery.deliver()
    assert len(await user.outbox()) == 1


async def test_what_was_queued_stays_so_though_its_template_is_gone(redelivery: Redelivery) -> None:
    """It cannot be rendered again, and need not be; what was never queued ends with the reason."""
    user, store = redelivery.user, redelivery.store
    row = templates.TemplateRow("acme", "aviso", "pt_BR", 1, '{"body": "oi"}', 1, None)
    await store.transact(templates.put, row)
    command = {"id": "c1", "to": "+5511999990001", "type": "template"}
    redelivery.body({**command, "template": {"name": "aviso", "language": {"code": "pt_BR"}}})
    await redelivery.deliver()
    await store.transact(templates.delete, "acme", "aviso", None)
    await redelivery.deliver()
    (waiting,) = await user.outbox()
    assert msgspec.msgpack.decode(waiting.data)["text"] == {"body": "oi"}
    await user.told("c1", "accepted")
    await user.tenant.bus.purge(streams.outbox_name(user.tenant.name), "wa.out.acme.s1")
    await redelivery.deliver()
    (_, rejected) = await user.told("c1", "accepted", "rejected")
    assert rejected["data"]["error"]["code"] == "E_TEMPLATE_NOT_FOUND"
