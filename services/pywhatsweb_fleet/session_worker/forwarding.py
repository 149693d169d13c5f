"""What a `forward` sends: the message as the record has it, its file by the stored one, its last edit in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from pywhatsweb.contracts import commands
from pywhatsweb.errors import ContractError, MediaError
from pywhatsweb_fleet.session_worker.attaching import KINDS as FILES
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines.port import EngineError
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.lane import Interrupted
from pywhatsweb_fleet.storage import conversation
from pywhatsweb_fleet.storage.conversation import MessageRow
from pywhatsweb_fleet.storage.faults import StorageUnavailable

log = structlog.get_logger(__name__)

_KINDS: Final = commands.SEND_TYPES.keys() - {"interactive", "reaction", "template"}
"""What can be forwarded; the others mean something in their own chat only."""
_NOT_COPIED: Final = ("id", "link", "data", "mentions")
_LOOKS, _PAUSE_S = 8, 0.5
"""The record follows the events: a message that came a moment ago may not be in it yet."""


class Forwarding:
    """Of one session."""

    def __init__(self, deps: Deps, events: FencedEvents) -> None:
        self._deps = deps
        self._events = events

    async def resolve(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body of a send for that of a `forward`.

        Raises EngineError (E_MESSAGE_NOT_FOUND, E_UNSUPPORTED_TYPE, E_MEDIA_NOT_FOUND), and Interrupted while the
        database is away.
        """
        try:
            row = await self._row(body)
            said = await self._last_words(row)
            kind = str(said.get("type"))
            content = said.get(kind)
            if (
                kind not in _KINDS
                or content is None
                or (isinstance(content, dict) and content.get("view_once"))
            ):
                raise EngineError("E_UNSUPPORTED_TYPE", f"a message of type {kind} is not forwarded")
            if isinstance(content, dict):
                content = {name: value for name, value in content.items() if name not in _NOT_COPIED}
            if kind in FILES:
                content["id"] = await self._file(row, said)
        except StorageUnavailable as error:
            log.warning("a forward waits for the database", session=self._events.session, error=error.code)
            raise Interrupted(error.code) from error
        return {**body, "type": kind, kind: content}

    async def _row(self, body: Mapping[str, Any]) -> MessageRow:
        message_id = str(body["message_id"])
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(_PAUSE_S)
            rows = await self._deps.store.read(conversation.by_ids, self._events.tenant, [message_id])
            mine = [row for row in rows if row.kind == "message" and row.session == self._events.session]
            chosen = _of_chat(mine, self._chat(body))
            if chosen is not None:
                return chosen
        raise EngineError("E_MESSAGE_NOT_FOUND", "the record has no such message")

    def _chat(self, body: Mapping[str, Any]) -> str | None:
        if body.get("from") is None:
            return None
        from pywhatsweb import phone  # megabytes that a worker else does without

        try:
            who = phone.parse_recipient(str(body["from"]))
        except ContractError:
            return None
        chat = self._events.chat({who.kind: who.value})
        return chat.key if chat is not None else None

    async def _last_words(self, row: MessageRow) -> dict[str, Any]:
        """Its content after its edits. Raises EngineError for one that was taken back."""
        said: dict[str, Any] = msgspec.json.decode(row.content)
        for later in await self._deps.store.read(conversation.about, self._events.tenant, [row.message_id]):
            if later.chat != row.chat or later.session != row.session:
                continue
            if later.kind == "delete":
                raise EngineError("E_MESSAGE_NOT_FOUND", "the message was deleted")
            if later.kind == "edit":
                said = _edited(said, msgspec.json.decode(later.content))
        return said

    async def _file(self, row: MessageRow, said: Mapping[str, Any]) -> str:
        known = (said.get("media") or {}).get("id")
        if known:
            return str(known)
        if self._deps.shelf is None:
            raise EngineError("E_MEDIA_STORE_UNAVAILABLE", "this worker has no place for files")
        try:
            held = await self._deps.shelf.library.of_message(self._events.tenant, row.session, row.message_id)
        except MediaError as error:
            raise EngineError(error.code.wire) from None
        return held.reference.media_id


def _of_chat(rows: Sequence[MessageRow], chat: str | None) -> MessageRow | None:
    """The one of the chat that is named; of another only when there is no doubt (a person has several addresses)."""
    named = next((row for row in rows if row.chat == chat), None)
    return named or (rows[0] if len({row.chat for row in rows}) == 1 else None)


def _edited(said: dict[str, Any], edit: Mapping[str, Any]) -> dict[str, Any]:
    """A text is replaced; of a file only the caption is."""
    kind = str(said.get("type"))
    if kind != edit.get("type"):
        return said
    new = edit.get(kind) or {}
    if kind == "text":
        return {**said, "text": new}
    return {**said, kind: {**said[kind], "caption": new.get("caption")}}
