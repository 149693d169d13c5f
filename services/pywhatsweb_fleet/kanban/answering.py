"""The board's part of the control plane: moves of cards, attendants, and the tenant's policy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.kanban import moves
from pywhatsweb_fleet.kanban.moves import Asker
from pywhatsweb_fleet.kanban.outbox import Outbox
from pywhatsweb_fleet.kanban.recording import Moved
from pywhatsweb_fleet.kanban.timers import Timers
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime import answering as control_plane
from pywhatsweb_runtime.answering import Answer, Asked
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.tenants import Tenants

MOVES: dict[str, Callable[..., Any]] = {
    f"chat.{verb}": partial(moves.chat_move, verb=verb)
    for verb in ("assign", "take", "release", "done", "reopen", "tag", "note", "snooze")
}
CHANGES: dict[str, Callable[..., Any]] = {
    "attendant.set": moves.attendant_set,
    "policy.set": moves.policy_set,
}
QUESTIONS: dict[str, Callable[..., Any]] = {
    "chat.card": moves.chat_card,
    "chat.history": moves.chat_history,
    "attendant.list": moves.attendant_list,
    "policy.get": moves.policy_get,
}
_REFUSALS = {Moved: ErrorCode.E_CONFLICT, StorageUnavailable: ErrorCode.E_STORAGE_UNAVAILABLE}


def _asker(asked: Asked) -> Asker:
    return Asker(asked.tenant, TenantKey(asked.record.key), asked.record.region)


def _question(store: Store, act: Callable[..., Any]) -> Answer:
    async def answer(asked: Asked) -> Any:
        return await store.read(act, _asker(asked), asked.args)

    return answer


def _change(store: Store, timers: Timers, act: Callable[..., Any]) -> Answer:
    async def answer(asked: Asked) -> Any:
        changed = await store.transact(act, _asker(asked), asked.args)
        timers.ring()
        return changed

    return answer


def _move(store: Store, outbox: Outbox, act: Callable[..., Any]) -> Answer:
    async def answer(asked: Asked) -> Any:
        moved = await store.transact(act, _asker(asked), asked.args)
        await outbox.flush(asked.tenant)
        return moved

    return answer


def answering(
    bus: Bus, store: Store, tenants: Tenants, outbox: Outbox, timers: Timers
) -> AbstractAsyncContextManager[None]:
    """Answers while the block lasts; at its end what was begun is answered still."""
    answers = {
        **{verb: _move(store, outbox, act) for verb, act in MOVES.items()},
        **{verb: _change(store, timers, act) for verb, act in CHANGES.items()},
        **{verb: _question(store, act) for verb, act in QUESTIONS.items()},
    }
    return control_plane.answering(
        bus, "kanban", "The Kanban board", answers, find=tenants.find, refusals=_REFUSALS
    )
