"""Rules on a real broker and either database: what they send and tell, once, through kills and replicas."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb.contracts.rule_data import TARGET_HEADER
from pywhatsweb.errors import RequestError
from pywhatsweb_fleet.storage import kanban
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import Bus, Stored
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.kanban.conftest import Start, Tenant
from tests.integration.persistence.traffic import contact, message, publish
from tests.support import wait_until

CHAT = contact(1)[0].key
GREET: dict[str, Any] = {
    "id": "greet",
    "on": ["opened"],
    "do": {
        "do": "send_template",
        "template": "ola",
        "language": "pt_BR",
        "variables": {"who": "{name}, {session}"},
    },
}
TELL = {"id": "tell", "on": ["done"], "do": {"do": "alert", "message": "closed", "severity": "low"}}
RULES = [GREET, TELL, {"id": "tag", "on": ["opened"], "do": {"do": "add_tags", "tags": ["novo"]}}]
DIES = """
import os, signal, sys
from pywhatsweb_fleet.kanban import outbox
from pywhatsweb_fleet.kanban.__main__ import main
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
{where} = die
sys.exit(main())
"""


async def commands(bus: Bus) -> list[Stored]:
    """What was sent, as the tenant's stream has it."""
    subject = subjects.command(TenantId("acme"), SessionId("s1"), "send")
    async with reading(bus) as reader:
        return await reader.batch(streams.commands_name(TenantId("acme")), subject, 1, limit=100)


async def test_rules_send_tag_and_tell(
    replicas: None, tenant: Tenant, bus: Bus, publisher: Publisher, store: Store
) -> None:
    """Once each, whichever of two replicas sees what happened; the card says what was added."""
    await tenant.ask("policy.set", policy={"rules": RULES})
    assert [rule.id for rule in (await tenant.ask("policy.get")).policy.rules] == ["greet", "tell", "tag"]
    await publish(publisher, message(1, who=1), message(2, who=1))
    await wait_until(lambda: tenant.of("chat", CHAT), 30, message="the chat is opened")
    card = await tenant.ask("chat.done", chat=CHAT, by="ana")
    assert card.tags == ["novo"]
    (alert,) = await wait_until(lambda: tenant.of("alert", CHAT), 30, message="the alert is told")
    assert alert["kind"] == "rule"
    told = {name: alert["details"][name] for name in ("rule", "trigger", "message", "severity", "status")}
    assert told == {
        "rule": "tell",
        "trigger": "done",
        "message": "closed",
        "severity": "low",
        "status": "done",
    }

    async def sent() -> list[Stored]:
        return await commands(bus)

    (one,) = await wait_until(sent, 30, message="the template is sent")
    body = msgspec.json.decode(one.data)
    assert (body["to"], body["type"], body["template"]["name"]) == (contact(1)[0].pn, "template", "ola")
    assert body["template"]["variables"] == {"who": ", s1"}
    assert body["id"] == one.headers["Nats-Msg-Id"]
    assert await store.read(kanban.actions_waiting, "acme", 9) == []


@pytest.mark.parametrize("where", ["outbox.Outbox._act", "outbox.kanban.actions_published"])
async def test_a_kill_around_the_publication_loses_and_repeats_nothing(  # noqa: PLR0917 - fixtures
    where: str, tenant: Tenant, bus: Bus, publisher: Publisher, store: Store, database_url: str, start: Start
) -> None:
    """Before it, the next replica publishes; after it, that one publishes under the same id, which counts once."""
    await store.transact(
        kanban.save_policy,
        "acme",
        kanban.PolicyRow(
            msgspec.json.encode({"rules": [GREET, {**TELL, "on": ["opened"]}]}).decode(), 1, None
        ),
    )
    await publish(publisher, message(1, who=1))
    dying = start(database_url, DIES.format(where=where))
    await wait_until(lambda: dying.poll() is not None, 90, message="the replica died")
    assert len(await store.read(kanban.actions_waiting, "acme", 9)) == 2
    for _ in range(2):
        start(database_url)

    async def emptied() -> bool:
        return not await store.read(kanban.actions_waiting, "acme", 9)

    await wait_until(emptied, 90, message="the next ones publish")
    assert len(await commands(bus)) == 1
    await wait_until(lambda: tenant.of("alert"), 30)
    assert len(tenant.of("alert")) == 1


async def test_a_webhook_is_named_by_the_alert_that_is_for_it(
    service: None, tenant: Tenant, bus: Bus, publisher: Publisher, store: Store
) -> None:
    """It has to be there and to want alerts."""
    call = {"id": "call", "on": ["opened"], "do": {"do": "webhook", "webhook_id": "crm"}}
    with pytest.raises(RequestError) as missing:
        await tenant.ask("policy.set", policy={"rules": [call]})
    assert missing.value.code.wire == "E_WEBHOOK_NOT_FOUND"
    await store.transact(_webhook, '{"url": "https://crm.example/", "types": ["message"]}')
    with pytest.raises(RequestError) as deaf:
        await tenant.ask("policy.set", policy={"rules": [call]})
    assert deaf.value.code.wire == "E_INVALID_FIELD"
    await store.transact(_webhook, '{"url": "https://crm.example/", "types": ["alert"]}')
    await tenant.ask("policy.set", policy={"rules": [call]})
    await publish(publisher, message(1, who=1))
    await wait_until(lambda: tenant.of("alert", CHAT), 30)
    stored = await bus.last(streams.events_name(TenantId("acme")), f"wa.evt.acme.s1.alert.{CHAT}")
    assert stored is not None
    assert stored.headers[TARGET_HEADER] == "crm"


def _webhook(conn: Any, config: str) -> None:
    from pywhatsweb_fleet.storage import webhooks

    webhooks.save(conn, webhooks.Webhook("acme", "crm", 1, config, b"", None, 1, "s", 0, 0, "", 0))
