"""What a program's store offers, and all of it on top of a few operations on documents.

`BaseStore` is 0.5's interface, for stores of one's own. `DocumentStore` is what the stores of this package share; each
of them only says how documents are kept. All raise StorageError: E_STORAGE_UNAVAILABLE when what keeps them cannot be
reached, E_STORAGE_CORRUPT when it holds something else than was put there.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from pywhatsweb.errors import ErrorCode, NotSupportedError, StorageError
from pywhatsweb.legacy.enums import KanbanStatus
from pywhatsweb.legacy.models import Chat, Contact, MediaMessage, Message, SessionEvent

T = TypeVar("T")
Kind = Literal["message", "contact", "chat", "event"]
Counts = dict[str, int]


class BaseStore(ABC):
    """The least that a store does. A later save of the same id, phone or chat replaces the earlier one."""

    @abstractmethod
    def save_message(self, message: Message) -> None: ...

    @abstractmethod
    def get_chat_messages(self, chat_id: str, limit: int = 50) -> list[Message]:
        """The latest messages that somebody of this phone sent or got, oldest first."""

    @abstractmethod
    def save_contact(self, contact: Contact) -> None: ...

    @abstractmethod
    def get_contact(self, phone: str) -> Contact | None: ...

    @abstractmethod
    def save_chat(self, chat: Chat) -> None: ...

    @abstractmethod
    def get_chat(self, chat_id: str) -> Chat | None: ...


class Document(NamedTuple):
    """Something to keep, under its kind and key."""

    kind: Kind
    key: str
    data: dict[str, Any]
    """As JSON has it."""
    at: datetime
    """With a zone; orders messages and events."""
    people: tuple[str, ...] = ()
    """The phones whose it is."""
    label: str | None = None
    """What it is looked for by: a chat's status, an event's user."""


class DocumentStore(BaseStore):
    """Everything that 0.5's stores do. The operations that a store implements may be called by any thread."""

    @abstractmethod
    def _put(self, document: Document) -> None:
        """Keeps it, in the place of an earlier one. Once this returns it survives a crash of the process."""

    @abstractmethod
    def _add(self, document: Document) -> dict[str, Any]:
        """Keeps it unless there is one; what is there then. Of several callers at once, one keeps its own."""

    @abstractmethod
    def _one(self, kind: Kind, key: str) -> dict[str, Any] | None: ...

    @abstractmethod
    def _messages(self, person: str, limit: int | None) -> list[dict[str, Any]]:
        """The latest (None: all) of a person, oldest first."""

    @abstractmethod
    def _chats(self, status: str) -> list[dict[str, Any]]: ...

    @abstractmethod
    def _events(self) -> list[dict[str, Any]]: ...

    @abstractmethod
    def _forget(self, person: str, tell: Callable[[Counts], Document]) -> Counts:
        """Removes a person's messages, contact and chat, and keeps what ``tell`` makes of the counts: both or none."""

    def save_message(self, message: Message) -> None:
        people = tuple(dict.fromkeys((message.sender.phone, message.recipient.phone)))
        self._put(Document("message", message.id, plain(message), aware(message.timestamp), people))

    def get_chat_messages(self, chat_id: str, limit: int = 50) -> list[Message]:
        return [message_of(each) for each in self._messages(chat_id, limit)] if limit > 0 else []

    def save_contact(self, contact: Contact) -> None:
        at = aware(contact.updated_at)
        self._put(Document("contact", contact.phone, plain(contact), at, (contact.phone,)))

    def get_contact(self, phone: str) -> Contact | None:
        found = self._one("contact", phone)
        return None if found is None else made(found, Contact)

    def save_chat(self, chat: Chat) -> None:
        self._put(_chat(chat))

    def get_chat(self, chat_id: str) -> Chat | None:
        found = self._one("chat", chat_id)
        return None if found is None else made(found, Chat)

    def get_or_create_chat(self, chat_id: str) -> Chat:
        """The chat; a new one, with status NEW, is kept at once."""
        return made(self._add(_chat(Chat(chat_id=chat_id))), Chat)

    def get_chats_by_status(self, status: KanbanStatus) -> list[Chat]:
        return [made(each, Chat) for each in self._chats(status.value)]

    def save_event(self, event: SessionEvent) -> None:
        at = aware(event.timestamp)
        self._put(Document("event", event.trace_id, plain(event), at, label=event.user_id))

    def get_audit_log(
        self, user_id: str | None = None, start_date: str | None = None, end_date: str | None = None
    ) -> list[SessionEvent]:
        """Dates as ``YYYY-MM-DD``, both included; oldest first."""
        found = [made(each, SessionEvent) for each in self._events()]

        def fits(event: SessionEvent) -> bool:
            day = event.timestamp.date().isoformat()
            return (
                (user_id is None or event.user_id == user_id)
                and (start_date is None or day >= start_date)
                and (end_date is None or day <= end_date)
            )

        return sorted(filter(fits, found), key=lambda event: aware(event.timestamp))

    def export_user_data(self, phone_number: str) -> dict[str, Any]:
        """Everything here about a number, as plain data. The fleet's own record: `client`'s ``data.export``."""
        return {
            "phone_number": phone_number,
            "contact": self._one("contact", phone_number),
            "chat": self._one("chat", phone_number),
            "messages": self._messages(phone_number, None),
        }

    def delete_user_data(self, phone_number: str, reason: str, audit_user: str) -> Counts:
        """Erases it here, and keeps an event that says who and why; how much. The fleet's: ``data.erase``."""

        def tell(counts: Counts) -> Document:
            data = {"reason": reason, "counts": counts}
            event = SessionEvent("-", "data_erased", data, user_id=audit_user)
            return Document("event", event.trace_id, plain(event), event.timestamp, label=audit_user)

        return self._forget(phone_number, tell)


def _chat(chat: Chat) -> Document:
    return Document(
        "chat", chat.chat_id, plain(chat), aware(chat.updated_at), (chat.chat_id,), chat.status.value
    )


def aware(moment: datetime) -> datetime:
    """A time without a zone is UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def plain(value: Any) -> Any:
    """A model as JSON has it."""
    return msgspec.to_builtins(value, enc_hook=str)


def made(value: Any, kind: type[T]) -> T:
    """The model of what `plain` gave. Raises StorageError(E_STORAGE_CORRUPT)."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": type(error).__name__}) from None


def message_of(value: dict[str, Any]) -> Message:
    return made(value, MediaMessage if "media_path" in value else Message)


def needed(module: str, extra: str) -> Any:
    """An optional dependency. Raises NotSupportedError(E_NOT_IMPLEMENTED) that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        reason = f"{module} is not installed: pip install pywhatsweb[{extra}]"
        raise NotSupportedError(ErrorCode.E_NOT_IMPLEMENTED, {"reason": reason}) from None


def unavailable(error: Exception) -> StorageError:
    """Without the error's words: they may quote what was to be kept."""
    return StorageError(ErrorCode.E_STORAGE_UNAVAILABLE, {"reason": type(error).__name__})
