"""A user's program, for the type checkers: `mypy --strict` finds nothing in it."""

# ruff: noqa: T201 - a user's program prints

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from pywhatsweb import Handle, MessageError, Outcome, WhatsWebManager, connect
from pywhatsweb.contracts.commands import SendText
from pywhatsweb.contracts.content import Text
from pywhatsweb.contracts.control_data import SessionInfo
from pywhatsweb.contracts.events import MessageEvent, StatusEvent
from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb.contracts.rule_data import Rule, SendTemplateAction
from pywhatsweb.contracts.statuses import MessageStatus

greet = Rule(id="greet", on=["opened"], do=SendTemplateAction(template="ola", language="pt_BR"))


async def program() -> None:
    async with connect("nats://127.0.0.1:4222", user="demo", password="secret") as fleet:
        info: SessionInfo = await fleet.session("s1").start(pairing="code", phone_number="+5511999999999")
        print(info.status.legacy, info.queued)
        handle: Handle = await fleet.session("s1").send_text(
            "+5511999990001",
            "Olá!",
            id="order-1042",
            send_at=datetime.now(UTC) + timedelta(hours=1),
            priority="high",
            metadata={"order": 1042},
        )
        await fleet.session("s1").send(SendText(to="+5511999990001", text=Text(body="Oi")))
        try:
            outcome: Outcome = await handle.outcome("delivered", timeout=60)
        except MessageError as error:
            print(error.code.wire, error.details)
        else:
            status: MessageStatus = outcome.status
            print(status.rank, outcome.message_id)
        async for event in fleet.events(types=["message", "status"]):
            if isinstance(event, MessageEvent):
                name: str | None = event.data.from_.name
                print(name, event.data.content)
            elif isinstance(event, StatusEvent):
                print(event.data.command_id, event.data.status)
        async with fleet.durable("crm", start=412) as stream:
            async for event in stream:
                print(event.session_id, stream.sequence)
        card = await fleet.chats.take("+5511999990001", by="ana", version=3)
        print(card.priority, card.due, (await fleet.chats.tag(chat=card.chat.key, add=["vip"])).tags)
        policy: Policy = (await fleet.policy.get()).policy
        await fleet.policy.set(msgspec.structs.replace(policy, rules=[greet]), by="chefe")
        print([one.open for one in await fleet.attendants.list()])
        await fleet.templates.put("ola", "pt_BR", "Olá, {{nome}}!")
        await fleet.session("s1").send_template("+5511999990001", "ola", variables={"nome": "Ana"})
        page = await fleet.chats.messages("+5511999990001", limit=10)
        print([message.id for message in page.messages], page.cursor)


def as_before() -> None:
    with WhatsWebManager(sidecar_type="python") as manager:
        session = manager.create_session("s1", tenant_id="demo")

        @session.on("message")
        def on_message(data: dict[str, object]) -> None:
            print(data["body"])

        session.on("ready", on_message)
        session.start()
        message_id: str = session.send_text("5511999999999", "Olá!")
        print(
            message_id,
            session.get_status().value,
            [each.session_id for each in manager.get_active_sessions()],
        )
        on_message({"body": "decorators keep a function's type"})


if __name__ == "__main__":
    asyncio.run(program())
