"""One event as one webhook's receiver gets it: rendered in its format, signed and posted."""

from __future__ import annotations

import time
from typing import Any

import structlog

from pywhatsweb.contracts import events
from pywhatsweb.contracts.decoding import decode
from pywhatsweb.errors import ContractError
from pywhatsweb_fleet.webhooks import signing
from pywhatsweb_fleet.webhooks.configuring import Config, Secrets
from pywhatsweb_fleet.webhooks.deps import Deps
from pywhatsweb_fleet.webhooks.formats import render
from pywhatsweb_fleet.webhooks.lanes import Item
from pywhatsweb_fleet.webhooks.posting import Answer
from pywhatsweb_runtime import tracing

log = structlog.get_logger(__name__)


class Delivery:
    """To one webhook of a tenant."""

    def __init__(self, deps: Deps, tenant: str, webhook: str, config: Config, secrets: Secrets) -> None:
        self._deps = deps
        self._tenant = tenant
        self._webhook = webhook
        self._config = config
        self._secrets = secrets

    async def post(self, item: Item, data: bytes) -> Answer | None:
        """None: there is nothing to be posted. The format has no such event, it does not decode, or it is of a phone's
        history, which nobody asked for."""
        try:
            event: Any = decode(data, events.AnyEvent)
        except (ContractError, ValueError):
            log.warning("an event does not decode", tenant=self._tenant, at=item.sequence)
            return None
        item.event_id = event.id
        if isinstance(event, events.MessageEvent) and event.data.history and not self._config.history:
            return None
        own_number = None
        if self._config.format != "pywhatsweb":
            own_number = await self._deps.own_number(self._tenant, item.session)
            event = self._deps.named(event)
        body = render(event, data, self._config.format, own_number)
        if body is None:
            return None
        seconds = int(time.time())
        headers = {
            **self._secrets.headers,
            **body.headers,
            **signing.headers(
                self._secrets.counting(seconds), event.id, seconds, body.data, self._config.format
            ),
        }
        names = {"tenant": self._tenant, "webhook": self._webhook, "event": item.kind}
        with tracing.following("webhook", item.trace, names):
            if trace := tracing.current():
                headers[tracing.HEADER] = trace
            answer = await self._deps.poster.post(self._config.url, body.data, headers)
        self._deps.posts.labels("ok" if answer.ok else "failed").inc()
        return answer
