"""Calls that ring, as the session's setting `calls` wants them: refused, and answered with a text.

The text goes past the queue, under an id that follows from the call's: told twice of one call, WhatsApp has one text.
It is a courtesy: lost with its worker, it is not sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from pywhatsweb.contracts import content as c
from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.events import Origin, timestamp
from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, EngineSession, Recipient
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable

log = structlog.get_logger(__name__)

_WITHIN_S = 20.0
_AT_ONCE = 8
"""Callers beyond it ring on: somebody floods the account with calls."""


class Calls:
    """Of one session. ``wanted`` is its setting: ``{"reject": bool, "text": str}``."""

    def __init__(
        self, events: FencedEvents, link: Callable[[], EngineSession | None], wanted: Mapping[str, Any] | None
    ) -> None:
        self.wanted = wanted
        self._events = events
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()

    def rang(self, call: Mapping[str, Any]) -> None:
        """An engine's `call`; only one that begins is answered."""
        if not self.wanted or call.get("state") != "offer" or len(self._tasks) >= _AT_ONCE:
            return
        task = asyncio.create_task(self._answer(call, self.wanted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        who = call.get("from") or {}
        link = self._link()
        chat = self._events.chat({"pn": who.get("pn"), "lid": who.get("lid")})
        if link is None or chat is None:
            return
        to = Recipient(pn=chat.pn) if chat.pn else Recipient(lid=chat.lid)
        try:
            async with asyncio.timeout(_WITHIN_S):
                if wanted.get("reject"):
                    content = {"id": str(call.get("id"))}
                    await link.act(Action("call.reject", "call", to, content))
                if wanted.get("text"):
                    await self._send(link, to, chat, str(call.get("id")), str(wanted["text"]))
        except (EngineError, TimeoutError, BrokerUnavailable, ApiError) as error:
            log.warning("a call was not answered", session=self._events.session, error=type(error).__name__)

    async def _send(self, link: EngineSession, to: Recipient, chat: d.Chat, call: str, text: str) -> None:
        message_id = "3EB0" + self._events.stable_id("call", call)[:18].upper()
        body = {"type": "text", "text": {"body": text}}
        done = await link.act(Action("send", message_id, to, body))
        sent = d.Message(
            id=done.message_id or message_id,
            chat=chat,
            from_=d.Person(),
            origin=Origin.OUTBOUND,
            from_self=True,
            type="text",
            text=c.Text(body=text),
            sent_at=timestamp(done.at),
        )
        event_id = self._events.stable_id("message", chat.key, sent.id, "")
        await self._events.submit("message", sent, chat=chat.key, event_id=event_id)
