"""What rules that fired come to: a command or an event, written in the transaction of what they answer to.

Their ids are the same however often they are published, so a crash between the two repeats nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events, ids
from pywhatsweb.contracts.ids import TenantId, TenantKey
from pywhatsweb.contracts.rule_data import COMMAND_PREFIX, AlertAction, SendTemplateAction, WebhookAction
from pywhatsweb_fleet.kanban.board import Card, Fired
from pywhatsweb_fleet.storage import audit, kanban, people
from pywhatsweb_fleet.storage.kanban import ActionRow

_json = msgspec.json.Encoder().encode
_MINUTE_MS = 60_000


class Where(NamedTuple):
    """A chat's place on a tenant's board."""

    tenant: TenantId
    key: TenantKey
    session: str
    chat: str


def put_out(conn: Connection, where: Where, fired: Fired) -> None:
    """Puts what a rule does beyond the card where the outbox finds it, and on record."""
    name = f"{fired.rule.id}.{fired.occasion}"
    made = _made(conn, where, fired, name)
    if made is not None:
        kind, body, webhook = made
        # A joined card's answer goes through the inbox, which knows the person's session.
        session = (fired.card.inbox or where.session) if kind == "send" else where.session
        row = ActionRow(
            where.tenant, where.chat, session, name, fired.at, kind, webhook, _json(body).decode()
        )
        kanban.put_action(conn, row)
    detail = {
        "session": where.session,
        "rule": fired.rule.id,
        "trigger": fired.trigger,
        "do": str(fired.rule.do.__struct_config__.tag),
    }
    audit.append(
        conn,
        audit.Entry(where.tenant, fired.at, "system", "chat.rule", where.chat, detail=_json(detail).decode()),
    )


def _made(conn: Connection, where: Where, fired: Fired, name: str) -> tuple[str, Any, str] | None:
    match fired.rule.do:
        case SendTemplateAction() as action:
            return "send", _command(conn, where, fired, name, action), ""
        case AlertAction() as action:
            told = {"message": action.message, "severity": action.severity}
            return "alert", _alert(where, fired, name, told), ""
        case WebhookAction() as action:
            told = {"message": action.message} if action.message else {}
            return "alert", _alert(where, fired, name, told), action.webhook_id
    return None


def _command(
    conn: Connection, where: Where, fired: Fired, name: str, action: SendTemplateAction
) -> dict[str, Any]:
    card = fired.card
    words = {"{name}": _name(conn, where, card), "{owner}": card.owner or "", "{session}": where.session}
    values = dict(action.variables)
    for key, value in values.items():
        for word, meaning in words.items():
            value = value.replace(word, meaning)  # noqa: PLW2901 - one after another
        values[key] = value
    command_id = ids.stable_event_id(where.key, "rule", where.session, where.chat, name)
    return {
        "id": f"{COMMAND_PREFIX}{command_id}",
        "to": card.chat.group or card.chat.pn or f"lid:{card.chat.lid}",
        "type": "template",
        "template": {
            "name": action.template,
            "language": {"code": action.language},
            "variables": values,
        },
        "expires_at": events.timestamp(fired.at + round(action.within_minutes * _MINUTE_MS)),
        "metadata": {"rule": fired.rule.id},
    }


def _name(conn: Connection, where: Where, card: Card) -> str:
    if card.chat.group:
        return ""
    known = people.get(conn, where.tenant, pn=card.chat.pn, lid=card.chat.lid)
    return (known.name if known is not None else None) or ""


def _alert(where: Where, fired: Fired, name: str, told: dict[str, Any]) -> events.AlertEvent:
    card = fired.card
    details = {
        "rule": fired.rule.id,
        "trigger": fired.trigger,
        **told,
        "status": card.status.value,
        "owner_id": card.owner,
        "reason": card.reason,
        "tags": list(card.tags),
    }
    return events.AlertEvent(
        id=ids.stable_event_id(where.key, "alert", where.session, where.chat, name),
        tenant_id=where.tenant,
        session_id=where.session,
        timestamp=events.timestamp(fired.at),
        data=d.Alert(kind="rule", chat=card.chat, details=details),
    )
