"""``webhook.*``: events posted to HTTP servers."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import webhook_data as w


class Webhooks(Part):
    """A tenant's webhooks. Each method raises RequestError(E_WEBHOOK_NOT_FOUND) for one that is not there."""

    async def create(
        self,
        url: str,
        *,
        webhook_id: str | None = None,
        types: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        format: w.Format = "pywhatsweb",  # noqa: A002 - the field's name
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
        description: str | None = None,
        history: bool = False,
    ) -> w.WebhookInfo:
        """Posts events to `url` from now on; the same `webhook_id` again changes it.

        The secret is in this answer only. `history`: also messages of a phone's history, which may be many and old.
        """
        args = w.WebhookCreate(
            url=url,
            webhook_id=webhook_id,
            types=None if types is None else [*types],
            sessions=None if sessions is None else [*sessions],
            format=format,
            secret=secret,
            headers=dict(headers or {}),
            description=description,
            history=history,
        )
        return await self._ask("webhook.create", args, w.WebhookInfo)

    async def get(self, webhook_id: str) -> w.WebhookInfo:
        return await self._ask("webhook.get", w.WebhookRef(webhook_id=webhook_id), w.WebhookInfo)

    async def list(self) -> builtins.list[w.WebhookInfo]:
        return (await self._ask("webhook.list", d.Nothing(), w.Webhooks)).webhooks

    async def delete(self, webhook_id: str) -> w.WebhookInfo:
        """Forgets it, and what waits for it."""
        return await self._ask("webhook.delete", w.WebhookRef(webhook_id=webhook_id), w.WebhookInfo)

    async def enable(self, webhook_id: str, *, replay: bool = False) -> w.WebhookInfo:
        """From now on, or with ``replay`` from where it stopped, as far as events are kept."""
        args = w.WebhookEnable(webhook_id=webhook_id, replay=replay)
        return await self._ask("webhook.enable", args, w.WebhookInfo)

    async def disable(self, webhook_id: str) -> w.WebhookInfo:
        return await self._ask("webhook.disable", w.WebhookRef(webhook_id=webhook_id), w.WebhookInfo)

    async def rotate(
        self, webhook_id: str, *, overlap_s: int = 86_400, secret: str | None = None
    ) -> w.WebhookInfo:
        """A new secret, in this answer only; for ``overlap_s`` the old one signs too."""
        args = w.WebhookRotate(webhook_id=webhook_id, overlap_s=overlap_s, secret=secret)
        return await self._ask("webhook.rotate", args, w.WebhookInfo)

    async def test(self, webhook_id: str) -> w.WebhookDelivery:
        """Posts a test event now; what the receiver answered."""
        return await self._ask("webhook.test", w.WebhookRef(webhook_id=webhook_id), w.WebhookDelivery, 30.0)

    async def deliveries(self, webhook_id: str, *, failed: bool = False) -> AsyncIterator[w.WebhookDelivery]:
        """The last tries, newest first."""
        cursor: str | None = None
        while True:
            args = w.WebhookLog(webhook_id=webhook_id, failed=failed, limit=200, cursor=cursor)
            page = await self._ask("webhook.deliveries", args, w.WebhookDeliveries)
            for one in page.deliveries:
                yield one
            if (cursor := page.cursor) is None:
                return

    async def deadletters(self, webhook_id: str) -> AsyncIterator[w.WebhookDeadLetter]:
        """Events that were given up, newest first."""
        cursor: str | None = None
        while True:
            args = w.WebhookDead(webhook_id=webhook_id, limit=200, cursor=cursor)
            page = await self._ask("webhook.deadletters", args, w.WebhookDeadLetters)
            for one in page.deadletters:
                yield one
            if (cursor := page.cursor) is None:
                return

    async def redrive(self, webhook_id: str, event_id: str | None = None) -> int:
        """Tries one again, or all that were given up; how many."""
        args = w.WebhookRedrive(webhook_id=webhook_id, event_id=event_id, all=event_id is None)
        return (await self._ask("webhook.redrive", args, w.WebhookRedriven)).count
