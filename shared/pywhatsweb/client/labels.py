"""The labels of a WhatsApp Business account, on its chats and messages."""

from __future__ import annotations

import builtins

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import label_data as lb
from pywhatsweb.contracts import live_data as lv


class Labels(Part):
    """``label.*``, of a session that is WORKING. Events `label` tell each change, the phone's too.

    RequestError(E_LABEL_NOT_FOUND) for a label that is not there.
    """

    async def list(self, session_id: str) -> builtins.list[lb.Label]:
        return (await self._ask("label.list", d.SessionRef(session_id=session_id), lb.Labels)).labels

    async def create(self, session_id: str, name: str, *, color: int | None = None) -> lb.Label:
        """`color`: one of WhatsApp's twenty, from 0."""
        args = lb.LabelPut(session_id=session_id, name=name, color=color)
        return await self._ask("label.put", args, lb.Label)

    async def change(
        self, session_id: str, label_id: str, *, name: str | None = None, color: int | None = None
    ) -> lb.Label:
        """What is not named stays."""
        args = lb.LabelPut(session_id=session_id, label_id=label_id, name=name, color=color)
        return await self._ask("label.put", args, lb.Label)

    async def delete(self, session_id: str, label_id: str) -> None:
        await self._ask("label.delete", lb.LabelRef(session_id=session_id, label_id=label_id), lv.Acted)

    async def add(self, session_id: str, label_id: str, to: str, *, message_id: str | None = None) -> None:
        """To a chat, or to one message of it."""
        await self._attach("label.add", session_id, label_id, to, message_id)

    async def remove(self, session_id: str, label_id: str, to: str, *, message_id: str | None = None) -> None:
        """From a chat, or from one message of it."""
        await self._attach("label.remove", session_id, label_id, to, message_id)

    async def _attach(
        self, verb: str, session_id: str, label_id: str, to: str, message_id: str | None
    ) -> None:
        args = lb.LabelAttach(session_id=session_id, label_id=label_id, to=to, message_id=message_id)
        await self._ask(verb, args, lv.Acted)
