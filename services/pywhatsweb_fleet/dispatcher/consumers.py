"""``consumer.*``: durable readers of a tenant's events, which the tenant itself may pull from but not make.

A tenant's durables carry a prefix (`consumer_data.PREFIX`), so the fleet's own ones on the same stream can neither be
named nor counted by it, and each is filtered to events: ownership and present state lie in the same stream.
"""

from __future__ import annotations

from typing import Any, Final

from pywhatsweb.contracts import consumer_data as cd
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import streams
from pywhatsweb.contracts.streams import NS
from pywhatsweb.errors import ErrorCode, SessionError
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_runtime.bus import ApiError, Bus

_CONSUMER_NOT_FOUND: Final = 10014
_STREAM_NOT_FOUND: Final = 10059
_PAGES: Final = 100


class Consumers:
    """Handlers of requests; they keep nothing: JetStream is the record."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def create(self, tenant: Tenant, args: cd.ConsumerCreate) -> cd.ConsumerInfo:
        """Raises SessionError(E_QUOTA_EXCEEDED) beyond `MAX_CONSUMERS`."""
        stream, durable = streams.events_name(tenant.id), cd.PREFIX + args.name
        present = await self._info(stream, durable)
        if present is None and len(await self._own(stream)) >= cd.MAX_CONSUMERS:
            raise SessionError(ErrorCode.E_QUOTA_EXCEEDED, {"limit": cd.MAX_CONSUMERS})
        config = {
            **_config(tenant, durable, args),
            # Where it began is history: JetStream refuses to change it.
            **(_start(args) if present is None else _kept(present)),
        }
        body = {"stream_name": stream, "config": config}
        found = await self._bus.api(f"CONSUMER.CREATE.{stream}.{durable}", body)
        return _told(found)

    async def delete(self, tenant: Tenant, args: cd.ConsumerRef) -> cd.ConsumerInfo:
        stream, durable = streams.events_name(tenant.id), cd.PREFIX + args.name
        present = await self._info(stream, durable)
        if present is None:
            raise SessionError(ErrorCode.E_CONSUMER_NOT_FOUND)
        await self._bus.api(f"CONSUMER.DELETE.{stream}.{durable}")
        return _told(present)

    async def _info(self, stream: str, durable: str) -> dict[str, Any] | None:
        try:
            return await self._bus.api(f"CONSUMER.INFO.{stream}.{durable}")
        except ApiError as error:
            if error.code in (_CONSUMER_NOT_FOUND, _STREAM_NOT_FOUND):
                return None
            raise

    async def _own(self, stream: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        offset = 0
        for _ in range(_PAGES):
            page = await self._bus.api(f"CONSUMER.LIST.{stream}", {"offset": offset})
            consumers: list[dict[str, Any]] = page.get("consumers") or []
            found += [each for each in consumers if each["name"].startswith(cd.PREFIX)]
            offset += len(consumers)
            if not consumers or offset >= int(page.get("total", 0)):
                break
        return found

    async def list(self, tenant: Tenant, _args: d.Nothing) -> cd.Consumers:
        found = await self._own(streams.events_name(tenant.id))
        return cd.Consumers(consumers=[_told(each) for each in found])


def _config(tenant: Tenant, durable: str, args: cd.ConsumerCreate) -> dict[str, Any]:
    return {
        "durable_name": durable,
        "ack_policy": "explicit",
        "ack_wait": args.ack_wait_s * NS,
        "max_ack_pending": args.max_unacknowledged,
        "inactive_threshold": args.idle_s * NS,
        "filter_subjects": [
            f"wa.evt.{tenant.id}.{session}.{kind}.*"
            for session in sorted(set(args.sessions or ["*"]))
            for kind in sorted(set(args.types or ["*"]))
        ],
    }


def _start(args: cd.ConsumerCreate) -> dict[str, Any]:
    if args.start == "sequence":
        return {"deliver_policy": "by_start_sequence", "opt_start_seq": args.sequence}
    return {"deliver_policy": args.start}


def _kept(present: dict[str, Any]) -> dict[str, Any]:
    old = present["config"]
    return {name: old[name] for name in ("deliver_policy", "opt_start_seq") if name in old}


def _told(info: dict[str, Any]) -> cd.ConsumerInfo:
    config = info["config"]
    filters = config.get("filter_subjects") or [config.get("filter_subject", "")]
    parts = [subject.split(".") for subject in filters]
    sessions = {part[3] for part in parts if len(part) == 6} - {"*"}
    types = {part[4] for part in parts if len(part) == 6} - {"*"}
    return cd.ConsumerInfo(
        name=info["name"].removeprefix(cd.PREFIX),
        stream=info["stream_name"],
        durable=info["name"],
        types=sorted(types) or None,
        sessions=sorted(sessions) or None,
        delivered=int(info["delivered"]["stream_seq"]),
        acknowledged=int(info["ack_floor"]["stream_seq"]),
        pending=int(info.get("num_pending", 0)),
        unacknowledged=int(info.get("num_ack_pending", 0)),
        created_at=info.get("created"),
    )
