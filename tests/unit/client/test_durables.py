"""A durable reader that stops in the midst of a batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pywhatsweb.client.durables import DurableStream


class Link:
    """A broker that is still sending a pull's messages when the reader stops."""

    connected = True

    def __init__(self, coming: int) -> None:
        self.on_reconnect: list[Any] = []
        self.wire = SimpleNamespace(new_inbox=lambda: "_INBOX.x", publish=self._ask)
        self.coming = [self._message(number) for number in range(1, coming + 1)]
        self.given_back: list[str] = []
        self._on_message: Any = None

    @staticmethod
    def _message(number: int) -> Any:
        reply = f"$JS.ACK.WA_EVT_acme.crm.1.{number}.{number}.1.0"
        return SimpleNamespace(data=b"{}", headers=None, reply=reply, subject="wa.evt.acme.s1.message.c")

    async def _ask(self, *_: Any, **__: Any) -> None:
        """A pull."""

    async def subscribe(self, _subject: str, on_message: Any) -> str:
        self._on_message = on_message
        return "its inbox"

    async def unsubscribe(self, _subscription: str) -> None:
        self._on_message = None

    async def flush(self, _timeout: float) -> None:
        if self._on_message is not None and self.coming:
            await self._on_message(self.coming.pop(0))

    async def publish(self, subject: str, body: bytes) -> None:
        assert body == b"-NAK"
        self.given_back.append(subject.split(".")[5])


async def test_what_is_on_its_way_when_a_reader_stops_is_given_back() -> None:
    """It went to an inbox that was no more, and came behind younger events, when its acknowledgement was overdue."""
    link: Any = Link(coming=3)
    info: Any = SimpleNamespace(stream="WA_EVT_acme", durable="crm")
    stream = await DurableStream(link, info, batch=4).open()
    await stream._pull()
    await stream.close()
    assert link.given_back == ["1", "2", "3"]
