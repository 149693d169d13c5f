"""``label.*``: the labels of a session's account."""

from __future__ import annotations

from typing import Any

import msgspec

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import label_data as lb
from pywhatsweb.contracts import live_data as lv
from pywhatsweb_fleet.dispatcher.live import Handler, Live
from pywhatsweb_fleet.dispatcher.marks import chat_of
from pywhatsweb_fleet.dispatcher.reading import Tenant


class Labels:
    """Each asks the session's owner. RequestError(E_LABEL_NOT_FOUND) for one that is not there."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def answers(self) -> dict[str, Handler]:
        return {
            "label.list": self.list,
            "label.put": self.put,
            "label.delete": self.delete,
            "label.add": self._attaching("label.add"),
            "label.remove": self._attaching("label.remove"),
        }

    async def list(self, tenant: Tenant, args: d.SessionRef) -> lb.Labels:
        told = await self._live.ask(tenant, args.session_id, "label.list")
        return lb.Labels(session_id=args.session_id, labels=msgspec.convert(told, list[lb.Label]))

    async def put(self, tenant: Tenant, args: lb.LabelPut) -> lb.Label:
        content = {"label_id": args.label_id, "name": args.name, "color": args.color}
        return msgspec.convert(await self._live.ask(tenant, args.session_id, "label.put", content), lb.Label)

    async def delete(self, tenant: Tenant, args: lb.LabelRef) -> lv.Acted:
        await self._live.ask(tenant, args.session_id, "label.delete", {"label_id": args.label_id})
        return lv.Acted(session_id=args.session_id)

    def _attaching(self, verb: str) -> Handler:
        async def attach(tenant: Tenant, args: lb.LabelAttach) -> lv.Acted:
            if args.message_id is not None:
                await self._live.check(tenant, args.session_id, "message_labels")
            content: dict[str, Any] = {"label_id": args.label_id, "message_id": args.message_id}
            await self._live.ask(tenant, args.session_id, verb, content, chat_of(tenant, args.to))
            return lv.Acted(session_id=args.session_id)

        return attach
