"""The control plane's verbs: arguments and tenant in, a contract's result out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pywhatsweb.contracts import ids, streams, subjects
from pywhatsweb.contracts import webhook_data as w
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ContractError, ErrorCode, RequestError
from pywhatsweb_fleet.storage import audit, webhooks
from pywhatsweb_fleet.storage.webhooks import Parked, Tried, Webhook
from pywhatsweb_fleet.webhooks import signing
from pywhatsweb_fleet.webhooks.circuit import OPENS_AFTER
from pywhatsweb_fleet.webhooks.configuring import Config, Secrets, decode_config, decode_secrets, encode
from pywhatsweb_fleet.webhooks.deps import Deps
from pywhatsweb_fleet.webhooks.formats import render, test_event
from pywhatsweb_runtime.answering import Answer, Asked, Asker

_TOP: Final = 2**62


def _now() -> int:
    return time.time_ns() // 1_000_000


class Handlers:
    """``changed`` is called after each change, so that it counts at once."""

    def __init__(self, deps: Deps, changed: Callable[[], None]) -> None:
        self._deps = deps
        self._changed = changed
        self.answers: dict[str, Answer] = {
            "webhook.create": self.create,
            "webhook.get": self.get,
            "webhook.list": self.list,
            "webhook.delete": self.delete,
            "webhook.enable": self.enable,
            "webhook.disable": self.disable,
            "webhook.rotate": self.rotate,
            "webhook.test": self.test,
            "webhook.deliveries": self.deliveries,
            "webhook.deadletters": self.deadletters,
            "webhook.redrive": self.redrive,
        }

    async def create(self, asked: Asked) -> w.WebhookInfo:
        """E_INVALID_FIELD for a URL that may not be, E_QUOTA_EXCEEDED."""
        args: w.WebhookCreate = asked.args
        settings = self._deps.settings
        if args.url.startswith("http:") and not (settings.webhook_http or settings.webhook_networks):
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.url", "expected": "https"})
        stream, last = await self._stream_end(asked.tenant)
        name = args.webhook_id or "wh-" + ids.new_event_id()[-12:].lower()
        config = Config(
            url=args.url, types=args.types, sessions=args.sessions, format=args.format, description=args.description,
            headers=sorted(args.headers), history=args.history,
        )  # fmt: skip
        secret = await self._deps.store.transact(
            self._create, asked.tenant, name, config, args, (stream, last),
            asked.record.webhooks or w.MAX_WEBHOOKS, asked.by,
        )  # fmt: skip
        self._changed()
        return await self._info(asked.tenant, name, secret)

    def _create(  # noqa: PLR0917 - called through Store.transact, by position
        self, conn: Any, tenant: str, name: str, config: Config, args: w.WebhookCreate, place: tuple[str, int],
        limit: int, by: Asker,
    ) -> str | None:  # fmt: skip
        known = webhooks.find(conn, tenant, name)
        if known is None and len(webhooks.of_tenant(conn, tenant)) >= limit:
            raise RequestError(ErrorCode.E_QUOTA_EXCEEDED, {"quota": "webhooks", "limit": limit})
        secret = args.secret
        if known is None:
            secrets = Secrets(secret=secret or signing.new_secret(), headers=args.headers)
        else:
            secrets = decode_secrets(webhooks.unseal(conn, self._deps.keyring, known))
            secrets = msgspec.structs.replace(secrets, secret=secret or secrets.secret, headers=args.headers)
        self._save(conn, tenant, name, config, secrets, known, place)
        _note(conn, tenant, by, "webhook.create", name)
        return secrets.secret if known is None or secret is not None else None

    def _save(  # noqa: PLR0917
        self, conn: Any, tenant: str, name: str, config: Config, secrets: Secrets, known: Webhook | None,
        place: tuple[str, int] = ("", 0),
    ) -> None:  # fmt: skip
        sealed = webhooks.seal(conn, self._deps.keyring, tenant, name, encode(secrets))
        disabled = known.disabled if known is not None else None
        row = Webhook(tenant, name, 1, encode(config).decode(), sealed, disabled, _now(), *place, 0, "", 0)
        webhooks.save(conn, row)

    async def get(self, asked: Asked) -> w.WebhookInfo:
        """E_WEBHOOK_NOT_FOUND."""
        return await self._info(asked.tenant, asked.args.webhook_id)

    async def list(self, asked: Asked) -> w.Webhooks:
        rows = await self._deps.store.read(webhooks.of_tenant, asked.tenant)
        counts = await self._deps.store.read(webhooks.counts, asked.tenant)
        return w.Webhooks(webhooks=[_told(row, counts) for row in rows])

    async def delete(self, asked: Asked) -> w.WebhookInfo:
        info = await self._info(asked.tenant, asked.args.webhook_id)
        await self._deps.store.transact(_delete, asked.tenant, asked.args.webhook_id, asked.by)
        self._changed()
        return info

    async def disable(self, asked: Asked) -> w.WebhookInfo:
        return await self._switch(asked, "asked", None)

    async def enable(self, asked: Asked) -> w.WebhookInfo:
        place = None if asked.args.replay else await self._stream_end(asked.tenant)
        return await self._switch(asked, None, place)

    async def _switch(
        self, asked: Asked, disabled: str | None, place: tuple[str, int] | None
    ) -> w.WebhookInfo:
        name = asked.args.webhook_id
        await self._deps.store.transact(_switch, asked.tenant, name, disabled, place, asked.by)
        self._changed()
        return await self._info(asked.tenant, name)

    async def rotate(self, asked: Asked) -> w.WebhookInfo:
        args: w.WebhookRotate = asked.args
        secret = args.secret or signing.new_secret()

        def change(conn: Any) -> None:
            row = _found(conn, asked.tenant, args.webhook_id)
            old = decode_secrets(webhooks.unseal(conn, self._deps.keyring, row))
            new = msgspec.structs.replace(
                old, secret=secret, previous=old.secret, previous_until=int(time.time()) + args.overlap_s
            )
            self._save(conn, asked.tenant, row.webhook, decode_config(row.config), new, row)
            _note(conn, asked.tenant, asked.by, "webhook.rotate", row.webhook)

        await self._deps.store.transact(change)
        self._changed()
        return await self._info(asked.tenant, args.webhook_id, secret)

    async def test(self, asked: Asked) -> w.WebhookDelivery:
        """Posts a test event now, whatever the webhook's state, and tells the answer."""
        row = await self._deps.store.read(_found, asked.tenant, asked.args.webhook_id)
        config = decode_config(row.config)
        secrets = decode_secrets(await self._deps.store.transact(webhooks.unseal, self._deps.keyring, row))
        event = test_event(asked.tenant, subjects.NO_SESSION, ids.new_event_id())
        body = render(event, b"", "pywhatsweb", None)
        assert body is not None  # noqa: S101 - our own format knows every event
        seconds = int(time.time())
        signed = signing.headers(secrets.counting(seconds), event.id, seconds, body.data, config.format)
        answer = await self._deps.poster.post(
            config.url, body.data, {**secrets.headers, **body.headers, **signed}
        )
        return w.WebhookDelivery(
            event_id=event.id, type="alert", session_id=event.session_id, at=event.timestamp, attempt=1, ok=answer.ok,
            answer=answer.status, error=answer.error, took_ms=answer.took_ms, excerpt=answer.excerpt,
        )  # fmt: skip

    async def deliveries(self, asked: Asked) -> w.WebhookDeliveries:
        args: w.WebhookLog = asked.args
        await self._deps.store.read(_found, asked.tenant, args.webhook_id)
        rows = await self._deps.store.read(
            webhooks.log,
            asked.tenant,
            args.webhook_id,
            below=_below(args.cursor),
            failed=args.failed,
            limit=args.limit,
        )
        cursor = str(rows[-1].number) if len(rows) == args.limit else None
        return w.WebhookDeliveries(deliveries=[_delivery(row) for row in rows], cursor=cursor)

    async def deadletters(self, asked: Asked) -> w.WebhookDeadLetters:
        args: w.WebhookDead = asked.args
        await self._deps.store.read(_found, asked.tenant, args.webhook_id)
        rows = await self._deps.store.read(
            webhooks.dead, asked.tenant, args.webhook_id, _below(args.cursor), args.limit
        )
        cursor = str(rows[-1].sequence) if len(rows) == args.limit else None
        return w.WebhookDeadLetters(deadletters=[_dead_letter(row) for row in rows], cursor=cursor)

    async def redrive(self, asked: Asked) -> w.WebhookRedriven:
        args: w.WebhookRedrive = asked.args
        await self._deps.store.read(_found, asked.tenant, args.webhook_id)
        count = await self._deps.store.transact(
            webhooks.redrive, asked.tenant, args.webhook_id, args.event_id, _now()
        )
        if args.event_id is not None and count == 0:
            raise RequestError(ErrorCode.E_DEADLETTER_NOT_FOUND)
        self._changed()
        return w.WebhookRedriven(count=count)

    async def _stream_end(self, tenant: str) -> tuple[str, int]:
        """The events stream's time of birth, which tells it from a later one, and its last sequence."""
        info = await self._deps.bus.api(f"STREAM.INFO.{streams.events_name(ids.TenantId(tenant))}")
        return str(info["created"]), int(info["state"]["last_seq"])

    async def _info(self, tenant: str, name: str, secret: str | None = None) -> w.WebhookInfo:
        row = await self._deps.store.read(_found, tenant, name)
        counts = await self._deps.store.read(webhooks.counts, tenant)
        return msgspec.structs.replace(_told(row, counts), secret=secret)


def _found(conn: Any, tenant: str, name: str) -> Webhook:
    row = webhooks.find(conn, tenant, name)
    if row is None:
        raise RequestError(ErrorCode.E_WEBHOOK_NOT_FOUND)
    return row


def _note(conn: Any, tenant: str, by: Asker, what: str, name: str) -> None:
    """On record: who did what to a webhook."""
    audit.append(conn, audit.Entry(tenant, _now(), by.actor, what, name, None, by.address, by.correlation_id))


def _delete(conn: Any, tenant: str, name: str, by: Asker) -> None:
    if webhooks.delete(conn, tenant, name):
        _note(conn, tenant, by, "webhook.delete", name)


def _switch(  # noqa: PLR0917 - called through Store.transact, by position
    conn: Any, tenant: str, name: str, disabled: str | None, place: tuple[str, int] | None, by: Asker
) -> None:
    row = _found(conn, tenant, name)
    if (row.disabled is None) == (disabled is None):
        return
    webhooks.save(conn, row._replace(disabled=disabled))
    if place is not None:
        webhooks.move(conn, tenant, name, *place)
    what = "webhook.enable" if disabled is None else "webhook.disable"
    _note(conn, tenant, by, what, name)


def _told(row: Webhook, counts: dict[tuple[str, bool], int]) -> w.WebhookInfo:
    config = decode_config(row.config)
    if row.disabled is not None:
        state = "disabled"
    elif row.failures:
        state = "open" if row.failures >= OPENS_AFTER else "failing"
    else:
        state = "ok"
    return w.WebhookInfo(
        webhook_id=row.webhook, url=config.url, types=config.types, sessions=config.sessions, format=config.format,
        headers=config.headers, description=config.description, history=config.history,
        state=state, reason=row.disabled,  # type: ignore[arg-type]
        waiting=counts.get((row.webhook, False), 0), dead=counts.get((row.webhook, True), 0),
        created_at=timestamp(row.created_at),
    )  # fmt: skip


def _delivery(row: Tried) -> w.WebhookDelivery:
    return w.WebhookDelivery(
        event_id=row.event_id, type=row.kind, session_id=row.session, at=timestamp(row.at), attempt=row.attempt,
        ok=row.ok, answer=row.answer, error=row.error, took_ms=row.took_ms, excerpt=row.excerpt,
    )  # fmt: skip


def _dead_letter(row: Parked) -> w.WebhookDeadLetter:
    return w.WebhookDeadLetter(
        event_id=row.event_id, type=row.kind, session_id=row.session, first_at=timestamp(row.first_at),
        last_at=timestamp(row.last_at), attempts=row.attempts, answer=row.answer, error=row.error,
    )  # fmt: skip


def _below(cursor: str | None) -> int:
    """Raises ContractError(E_INVALID_CURSOR)."""
    if cursor is None:
        return _TOP
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19:
        raise ContractError(ErrorCode.E_INVALID_CURSOR)
    return int(cursor)
