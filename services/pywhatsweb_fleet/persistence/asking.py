"""Who asks, which chats are meant, and where a list goes on."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import ids
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.contracts.places import place_of
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb.phone import brazil_candidates, parse_recipient
from pywhatsweb_fleet.storage import people

T = TypeVar("T")


class Asker(NamedTuple):
    """The tenant of the request's subject."""

    id: str
    key: TenantKey
    region: str


def to_cursor(position: Sequence[Any] | str | int) -> str:
    """A place in a list, opaque to the caller."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(position)).decode().rstrip("=")


def from_cursor(cursor: str | None, kind: type[T]) -> T | None:
    """Raises ContractError(E_INVALID_CURSOR) for one that is not of this list."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True)
        return msgspec.msgpack.decode(raw, type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise ContractError(ErrorCode.E_INVALID_CURSOR) from None


def chat_keys(conn: Connection, who: Asker, to: str) -> Sequence[str]:
    """Every key under which the chat with somebody may be: by number (Brazil's two forms) and by LID. A place that is
    posted to has one."""
    if (place := place_of(to)) is not None:
        return [ids.chat_key(who.key, group=place.id)]
    recipient = parse_recipient(to, who.region)
    if recipient.kind == "group":
        return [ids.chat_key(who.key, group=recipient.value)]
    if recipient.kind == "lid":
        number = people.number_of(conn, who.id, recipient.value)
        numbers, lids = ([number] if number else []), [recipient.value]
    else:
        numbers = list(brazil_candidates(recipient.value))
        lids = [lid for number in numbers if (lid := people.lid_of(conn, who.id, number))]
    return [ids.chat_key(who.key, pn=number) for number in numbers] + [
        ids.chat_key(who.key, lid=lid) for lid in lids
    ]
