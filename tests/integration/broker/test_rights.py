"""What a service may not do: each of their users tries, at a broker as `pww up` runs it, in both modes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from pywhatsweb.contracts import subjects
from pywhatsweb_fleet.broker import keys
from pywhatsweb_fleet.broker.rights import SERVICES
from pywhatsweb_runtime.bus import Bus, connect
from tests.integration.broker.conftest import Broker
from tests.support import wait_until

SECURITY = Path(__file__).parents[3] / "docs" / "SECURITY.md"

NOBODY = [
    "$SYS.REQ.SERVER.PING",
    "$JS.API.ACCOUNT.PURGE.x",
    "$JS.API.STREAM.SNAPSHOT.WA_EVT_acme",
    "$JS.API.STREAM.RESTORE.WA_EVT_acme",
    "wa.evt.acme.s1.message.-",
]
"""What no service may publish to."""

ANSWERERS = set(SERVICES) - {"gateway", "session_worker"}
PUBLISHERS = {
    "_INBOX.somebody.else": ANSWERERS,
    "_R_.somebody": ANSWERERS,
    "wa.cmd.acme.s1.send": {"gateway", "dispatcher", "kanban"},
    "wa.out.acme.s1": {"dispatcher"},
    "wa.ask.acme.s1": {"dispatcher"},
    "_INBOX_dispatcher.x": ANSWERERS | {"session_worker"},
    "wai.own.acme.s1": {"session_worker"},
    "wai.now.acme.s1": {"session_worker"},
    "wa.ctl.acme.data.erase": {"gateway"},
    "wa.ops.tenant.delete": set[str](),
    "$KV.WA_TENANTS.acme": {"tenancy"},
    "$KV.WA_KEYS.key.acme.x": {"gateway", "tenancy"},
    "$KV.WA_WORKERS.w-1": {"session_worker"},
    "$KV.WA_SESSIONS.acme.s1": {"dispatcher", "session_worker", "tenancy"},
    "$JS.API.STREAM.DELETE.WA_EVT_acme": {"tenancy"},
    "$JS.API.STREAM.MSG.GET.KV_WA_KEYS": {"gateway", "tenancy"},
    "$JS.API.DIRECT.GET.KV_WA_KEYS": {"gateway", "tenancy"},
    "$JS.API.STREAM.MSG.DELETE.WA_EVT_acme": {"persistence"},
    "$JS.API.STREAM.MSG.DELETE.KV_WA_KEYS": set[str](),
    "$JS.API.CONSUMER.CREATE.KV_WA_KEYS.spy": set[str](),
    "$JS.API.CONSUMER.CREATE.WA_EVT_acme.spy": {"dispatcher"},
    "$JS.API.CONSUMER.DELETE.WA_EVT_acme.persistence": {"dispatcher"},
    "$JS.API.CONSUMER.MSG.NEXT.WA_EVT_acme.persistence": {"persistence"},
    "$JS.API.CONSUMER.MSG.NEXT.WA_CMD_acme.dispatcher": {"dispatcher"},
    "$JS.ACK.WA_EVT_acme.persistence.1.1.1.1.0": {"persistence"},
    "$JS.ACK.WA_CMD_acme.dispatcher.1.1.1.1.0": {"dispatcher"},
}
"""Who may publish to each of these; everybody else tries and is refused."""

LISTENERS = {
    ">": set[str](),
    "_INBOX.>": set[str](),
    "$SYS.>": set[str](),
    "$JS.API.>": set[str](),
    "wa.cmd.>": set[str](),
    "wa.out.>": set[str](),
    "wa.evt.>": {"gateway", "kanban", "webhooks"},
    "wa.wake.acme.s1": {"session_worker"},
    "wa.own.*.*": {"session_worker"},
    "wa.ops.*.*": {"tenancy"},
    "$KV.WA_KEYS.>": {"gateway"},
    "_INBOX_gateway.>": {"gateway"},
    "_INBOX_dispatcher.>": {"dispatcher"},
}


class Refusals:
    """What the broker refused one connection."""

    def __init__(self) -> None:
        self._said: list[str] = []

    async def on_error(self, error: Exception) -> None:
        self._said.append(str(error))

    async def of(self, client: Client) -> set[str]:
        """All of them, once the broker has dealt with everything before."""
        await client.flush()
        found = (re.search(r' to "([^"]+)"', said) for said in self._said)
        return {match[1] for match in found if match is not None}


async def _user(broker: Broker, name: str, refusals: Refusals) -> Client:
    settings = broker.service_settings(name)
    options = (
        {"user_credentials": settings.nats_creds}
        if settings.nats_creds
        else {"user": settings.nats_user, "password": settings.nats_password}
    )
    client: Client = await nats.connect(broker.url, error_cb=refusals.on_error, **options)
    return client


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_can_do_no_more_than_its_work(name: str, broker: Broker, platform: Bus) -> None:
    """What it tries beyond its rights is refused by the broker; what is its own is not."""
    await keys.ensure_bucket(platform)
    refusals = Refusals()
    client = await _user(broker, name, refusals)
    try:
        for subject in (*NOBODY, *PUBLISHERS):
            await client.publish(subject, b"")
        for subject in LISTENERS:
            await client.subscribe(subject)
        expected = {subject.lower() for subject in NOBODY}
        expected |= {subject.lower() for subject, who in PUBLISHERS.items() if name not in who}
        expected |= {subject.lower() for subject, who in LISTENERS.items() if name not in who}

        async def all_told() -> bool:
            return len(await refusals.of(client)) >= len(expected)

        await wait_until(all_told, 10)
        assert {found.lower() for found in await refusals.of(client)} == expected
    finally:
        await client.close()


async def test_an_answer_is_heard_by_its_asker_alone(broker: Broker) -> None:
    """Each service listens under its own prefix; an answer may be given to whoever asked."""
    gateway = connect(
        broker.service_settings("gateway"), name="gateway", inbox_prefix=subjects.inbox("gateway")
    )
    kanban = connect(broker.service_settings("kanban"), name="kanban", inbox_prefix=subjects.inbox("kanban"))
    async with gateway as asking, kanban as answering:

        async def answer(message: Msg) -> None:
            await message.respond(b"yes")

        await answering.client.subscribe("wa.ctl.*.policy.get", cb=answer)
        await answering.client.flush()
        assert (await asking.request("wa.ctl.acme.policy.get")).data == b"yes"


def test_the_document_has_the_rights_that_are_given() -> None:
    """The table of docs/SECURITY.md is `rights.SERVICES`; run this file to print it anew."""
    assert table() in SECURITY.read_text()


def table() -> str:
    rows = ["| service | publishes to | subscribes to | what for |", "|---|---|---|---|"]
    for name, rights in SERVICES.items():
        cells = (" ".join(f"`{subject}`" for subject in some) for some in (rights.publish, rights.subscribe))
        rows.append(f"| {name} | {' | '.join(cells)} | {rights.why} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
