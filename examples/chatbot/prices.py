"""A chatbot that tells prices, on the async client.

    pww session start bot          # in another terminal, and scan
    python examples/chatbot/prices.py bot

It reads events through a durable reader: while the program is down, messages wait, and are answered at its next start.
An answer's id comes from the question's, so a question that is read twice is answered once.
"""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime, timedelta

from pywhatsweb import FleetClient, PyWhatsWebError, connect_local
from pywhatsweb.contracts.events import MessageEvent
from pywhatsweb.contracts.statuses import Origin

PRICES = {"café": "R$ 9,90", "pão de queijo": "R$ 6,50", "suco": "R$ 12,00"}
MENU = "Olá! Temos:\n" + "\n".join(f"• {name}: {price}" for name, price in PRICES.items())


def answer(text: str) -> str:
    """What the bot says to a text."""
    said = text.lower()
    found = [f"{name.capitalize()}: {price}" for name, price in PRICES.items() if name in said]
    if found:
        return "\n".join(found)
    return MENU if "preço" in said or "menu" in said else "Como posso ajudar? Digite “preço”."


async def reply(fleet: FleetClient, event: MessageEvent) -> None:
    message = event.data
    # Never to ourselves, to groups, or to what lay in the phone's history: an answer must not loop.
    if message.origin is not Origin.INBOUND or message.history or message.chat.group:
        return
    to = message.from_.pn or f"lid:{message.from_.lid}"
    text = getattr(message.content, "body", "") or ""
    await fleet.session(event.session_id).send_text(
        to,
        answer(text),
        id=f"answer-{message.id}",
        reply_to=message.id,
        typing=800,
        # Who asked an hour ago has left: the command ends as `expired` instead.
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )


async def main(session: str, tenant: str = "demo") -> None:
    async with (
        connect_local(tenant) as fleet,
        fleet.durable(f"prices-{session}", types=["message"], sessions=[session]) as events,
    ):
        print(f"Answering in session {session}. Ctrl-C ends it.")
        async for event in events:
            if isinstance(event, MessageEvent):
                try:
                    await reply(fleet, event)
                except PyWhatsWebError as error:
                    print("not answered:", error.code.wire)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:3]))
