"""The process's one connection to the fleet, and the one reader of its events.

The reader is durable: what happens while the site is down waits for it. Each message is in the project's own database
before the reader goes on to the next; then every open page is told.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings

from pywhatsweb import Contact, DjangoORMStore, FleetClient, Message, PyWhatsWebError, connect_local
from pywhatsweb.contracts.event_data import Chat, Person
from pywhatsweb.contracts.events import MessageEvent

log = logging.getLogger("desk")

PAGES = "desk"
TYPES = ("message", "status", "chat", "session", "qr")
_AGAIN_S = 2.0


class Line:
    """`fleet` is None while there is none to talk to."""

    def __init__(self) -> None:
        self.fleet: FleetClient | None = None

    async def run(self) -> None:
        """Until cancelled; without a fleet it tries again."""
        while True:
            try:
                async with (
                    connect_local(settings.TENANT) as fleet,
                    fleet.durable("django-support", types=TYPES) as events,
                ):
                    self.fleet = fleet
                    async for event in events:
                        if isinstance(event, MessageEvent):
                            await sync_to_async(keep)(event)
                        told = {"type": "tell", "event": msgspec.to_builtins(event)}
                        await get_channel_layer().group_send(PAGES, told)
            except PyWhatsWebError as error:
                log.warning("no line to the fleet: %s", error.code.wire)
            finally:
                self.fleet = None
            await asyncio.sleep(_AGAIN_S)


line = Line()


def keep(event: MessageEvent) -> None:
    """Puts a message into the models of ``pywhatsweb.django``; once more changes nothing."""
    said = event.data
    chat, person = _address(said.chat), _address(said.from_)
    own, other = Contact(phone=f"session:{event.session_id}"), Contact(phone=chat)
    content = (
        getattr(said.content, "body", None) or getattr(said.content, "caption", None) or f"[{said.type}]"
    )
    DjangoORMStore().save_message(
        Message(
            id=said.id,
            content=content,
            sender=own if said.from_self else Contact(phone=person, name=said.from_.name),
            recipient=other if said.from_self else own,
            metadata={"session_id": event.session_id, "chat": said.chat.key},
        )
    )


def _address(who: Person | Chat) -> str:
    return who.pn or f"lid:{who.lid}"


async def lifespan(
    _scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """ASGI's: the line lives as long as the server."""
    running: asyncio.Task[None] | None = None
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            running = asyncio.create_task(line.run())
        elif running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
