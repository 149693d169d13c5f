"""The record's part of the control plane: questions about chats, messages, people and numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.persistence.consenting import Consenting
from pywhatsweb_fleet.persistence.queries import Asker, Queries
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_runtime import answering as control_plane
from pywhatsweb_runtime.answering import Answer, Asked
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.tenants import Tenants

Query = Callable[[Asker, Any], Awaitable[Any]]


def _answer(query: Query) -> Answer:
    async def answer(asked: Asked) -> Any:
        return await query(Asker(asked.tenant, TenantKey(asked.record.key), asked.record.region), asked.args)

    return answer


def answering(
    bus: Bus, queries: Queries, consenting: Consenting, tenants: Tenants
) -> AbstractAsyncContextManager[None]:
    """Answers while the block lasts; at its end what was begun is answered still."""
    asked: dict[str, Query] = {
        **consenting.answers(),
        "chat.list": queries.chat_list,
        "chat.messages": queries.chat_messages,
        "message.get": queries.message_get,
        "message.search": queries.message_search,
        "analytics.counts": queries.analytics_counts,
        "analytics.responses": queries.analytics_responses,
        "contact.get": queries.contact_get,
        "contact.list": queries.contact_list,
        "audit.list": queries.audit_list,
    }
    return control_plane.answering(
        bus,
        "persistence",
        "Questions about the record",
        {verb: _answer(query) for verb, query in asked.items()},
        find=tenants.find,
        refusals={StorageUnavailable: ErrorCode.E_STORAGE_UNAVAILABLE},
    )
