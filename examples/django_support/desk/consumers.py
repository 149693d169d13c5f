"""A browser's socket: what an attendant does goes to the fleet, what happens in the fleet comes to the page."""

from typing import Any

import msgspec
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from desk.line import PAGES, line
from pywhatsweb import FleetClient, PyWhatsWebError

COLUMNS = ("new", "active", "done")


class Act(msgspec.Struct, kw_only=True):
    """What a page may send. `id`: its own, so that a message sent again after a lost connection is sent once."""

    do: str
    session: str = ""
    chat: str = ""
    to: str = ""
    text: str = ""
    id: str = ""


class Desk(AsyncJsonWebsocketConsumer):
    """Signed-in users only."""

    async def connect(self) -> None:
        self.user = self.scope["user"]
        if not self.user.is_authenticated:
            await self.close(code=4401)
            return
        await self.accept()
        await self.channel_layer.group_add(PAGES, self.channel_name)
        await self.receive_json({"do": "look"})

    async def disconnect(self, _code: int) -> None:
        await self.channel_layer.group_discard(PAGES, self.channel_name)

    async def tell(self, message: dict[str, Any]) -> None:
        """An event of the fleet's."""
        await self.send_json(message["event"])

    async def receive_json(self, content: Any, **_more: Any) -> None:
        acts = {
            "look": self.look, "start": self.start, "open": self.open, "send": self.answer,
            "take": self.take, "done": self.done, "reopen": self.reopen,
        }  # fmt: skip
        try:
            act = msgspec.convert(content, Act)
        except msgspec.ValidationError as error:
            await self.send_json({"event": "refused", "message": str(error)})
            return
        if act.do not in acts:
            await self.send_json({"event": "refused", "message": f"nobody knows how to {act.do[:40]!r}"})
        elif line.fleet is None:
            await self.send_json({"event": "refused", "message": "The fleet is away. Is `make up` running?"})
        else:
            try:
                await acts[act.do](line.fleet, act)
            except PyWhatsWebError as error:
                refused = {"event": "refused", "code": error.code.wire, "message": str(error), "id": act.id}
                await self.send_json(refused)

    async def look(self, fleet: FleetClient, _act: Act) -> None:
        """Everything the page shows at its beginning."""
        sessions = await fleet.sessions.list()
        chats = [chat for column in COLUMNS for chat in (await fleet.chats.list(status=column)).chats]
        seen = {"event": "look", "sessions": sessions, "chats": chats}
        await self.send_json(msgspec.to_builtins(seen))

    async def start(self, fleet: FleetClient, act: Act) -> None:
        await fleet.sessions.start(act.session)

    async def open(self, fleet: FleetClient, act: Act) -> None:
        page = await fleet.chats.messages(chat=act.chat, session_id=act.session, limit=50)
        said = {"event": "open", "place": f"{act.session}/{act.chat}", "messages": page.messages[::-1]}
        await self.send_json(msgspec.to_builtins(said))

    async def answer(self, fleet: FleetClient, act: Act) -> None:
        await fleet.session(act.session).send_text(act.to, act.text, id=f"desk-{act.id}")
        await self.take(fleet, act)

    async def take(self, fleet: FleetClient, act: Act) -> None:
        name = self.user.get_username()
        await fleet.chats.assign(chat=act.chat, session_id=act.session, owner_id=name, by=name)

    async def done(self, fleet: FleetClient, act: Act) -> None:
        await fleet.chats.done(chat=act.chat, session_id=act.session, by=self.user.get_username())

    async def reopen(self, fleet: FleetClient, act: Act) -> None:
        await fleet.chats.reopen(chat=act.chat, session_id=act.session, by=self.user.get_username())
