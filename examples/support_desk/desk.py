"""A support desk in a terminal: whoever waited longest is taken first, answered, and done.

    python examples/support_desk/desk.py ana [SESSION [TENANT]]

Commands: an empty line takes the next customer, a text answers, `done` ends the conversation, Ctrl-D leaves. Several
attendants may run it at once: the fleet says who has whom.
"""

import asyncio
import contextlib
import sys
import uuid

from pywhatsweb import FleetClient, PyWhatsWebError, connect_local
from pywhatsweb.contracts.control_data import ChatInfo
from pywhatsweb.contracts.events import MessageEvent
from pywhatsweb.contracts.statuses import Origin


class Desk:
    """One attendant's."""

    def __init__(self, fleet: FleetClient, attendant: str, session: str | None) -> None:
        self._fleet = fleet
        self._me = attendant
        self._session = session
        self._chat: ChatInfo | None = None

    async def obey(self, line: str) -> None:
        if not line:
            await self._next()
        elif self._chat is None:
            print("Nobody is here: an empty line takes the next customer.")
        elif line == "done":
            await self._fleet.chats.done(
                chat=self._chat.chat.key, session_id=self._chat.session_id, by=self._me
            )
            print("Done.")
            self._chat = None
        else:
            to = self._chat.chat.pn or f"lid:{self._chat.chat.lid}"
            await self._fleet.session(self._chat.session_id).send_text(
                to, line, id=f"desk-{uuid.uuid4().hex}"
            )

    async def _next(self) -> None:
        waiting = (await self._fleet.chats.list(status="new", session_id=self._session)).chats
        if not waiting:
            print("Nobody waits.")
            return
        first = min(waiting, key=lambda chat: chat.last_message_at or "")
        key, session = first.chat.key, first.session_id
        await self._fleet.chats.assign(chat=key, session_id=session, owner_id=self._me, by=self._me)
        self._chat = first
        print(f"You have {first.name or first.chat.pn}:")
        page = await self._fleet.chats.messages(chat=key, session_id=session, limit=10)
        for message in reversed(page.messages):
            print(
                "  you:" if message.from_self else "  they:", getattr(message.content, "body", message.type)
            )

    async def listen(self) -> None:
        """Shows what one's own customer writes."""
        async with self._fleet.events(types=["message"]) as events:
            async for event in events:
                if not isinstance(event, MessageEvent) or event.data.origin is not Origin.INBOUND:
                    continue
                if self._chat is not None and event.data.chat.key == self._chat.chat.key:
                    print("  they:", getattr(event.data.content, "body", event.data.type))


async def main(attendant: str, session: str | None = None, tenant: str = "demo") -> None:
    async with connect_local(tenant) as fleet:
        desk = Desk(fleet, attendant, session)
        listening = asyncio.create_task(desk.listen())
        print("An empty line takes the next customer.")
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                await desk.obey(line.strip())
            except PyWhatsWebError as error:
                print("refused:", error.code.wire)
        listening.cancel()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:4]))
