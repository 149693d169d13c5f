"""A program's own store, as 0.5 offered: an interface, and JSON files. The fleet keeps its own record besides."""

from __future__ import annotations

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pywhatsweb.errors import ErrorCode, NotSupportedError, StorageError
from pywhatsweb.legacy.enums import KanbanStatus
from pywhatsweb.legacy.models import Chat, Contact, Message, SessionEvent

T = TypeVar("T")


class BaseStore(ABC):
    @abstractmethod
    def save_message(self, message: Message) -> None: ...

    @abstractmethod
    def get_chat_messages(self, chat_id: str, limit: int = 50) -> list[Message]: ...

    @abstractmethod
    def save_contact(self, contact: Contact) -> None: ...

    @abstractmethod
    def get_contact(self, phone: str) -> Contact | None: ...

    @abstractmethod
    def save_chat(self, chat: Chat) -> None: ...

    @abstractmethod
    def get_chat(self, chat_id: str) -> Chat | None: ...


class FileSystemStore(BaseStore):
    """JSON files below `base_dir`, mode 0700: for one process, and for amounts that fit into memory.

    Each write replaces a whole file at once, so one that is cut off leaves the old one. Raises StorageError.
    """

    def __init__(self, base_dir: str | Path = "./whatsapp_data") -> None:
        self.base_dir = Path(base_dir)
        self._lock = threading.RLock()

    def save_message(self, message: Message) -> None:
        """In the sender's chat, or the recipient's for one that the sender did not begin."""
        for chat_id in {message.sender.phone, message.recipient.phone}:
            self._change(
                self._messages(chat_id), lambda found: found.__setitem__(message.id, _plain(message))
            )

    def get_chat_messages(self, chat_id: str, limit: int = 50) -> list[Message]:
        """The latest ones, oldest first."""
        found = [_made(each, Message) for each in self._read(self._messages(chat_id)).values()]
        return sorted(found, key=lambda message: message.timestamp)[-limit:]

    def save_contact(self, contact: Contact) -> None:
        self._change(
            "contacts/contacts.json", lambda found: found.__setitem__(contact.phone, _plain(contact))
        )

    def get_contact(self, phone: str) -> Contact | None:
        return self._one("contacts/contacts.json", phone, Contact)

    def save_chat(self, chat: Chat) -> None:
        self._change("chats/chats.json", lambda found: found.__setitem__(chat.chat_id, _plain(chat)))

    def get_chat(self, chat_id: str) -> Chat | None:
        return self._one("chats/chats.json", chat_id, Chat)

    def get_or_create_chat(self, chat_id: str) -> Chat:
        with self._lock:
            found = self.get_chat(chat_id)
            if found is None:
                found = Chat(chat_id=chat_id)
                self.save_chat(found)
            return found

    def get_chats_by_status(self, status: KanbanStatus) -> list[Chat]:
        found = [_made(each, Chat) for each in self._read("chats/chats.json").values()]
        return [chat for chat in found if chat.status == status]

    def save_event(self, event: SessionEvent) -> None:
        self._change("events/events.json", lambda found: found.__setitem__(event.trace_id, _plain(event)))

    def get_audit_log(
        self, user_id: str | None = None, start_date: str | None = None, end_date: str | None = None
    ) -> list[SessionEvent]:
        """Dates as ``YYYY-MM-DD``, both included; oldest first."""
        found = [_made(each, SessionEvent) for each in self._read("events/events.json").values()]

        def fits(event: SessionEvent) -> bool:
            day = event.timestamp.date().isoformat()
            return (
                (user_id is None or event.user_id == user_id)
                and (start_date is None or day >= start_date)
                and (end_date is None or day <= end_date)
            )

        return sorted(filter(fits, found), key=lambda event: event.timestamp)

    def export_user_data(self, phone_number: str) -> dict[str, Any]:
        """Everything here about a number, as plain data. The fleet's own record: `client`'s ``data.export``."""
        return {
            "phone_number": phone_number,
            "contact": self._read("contacts/contacts.json").get(phone_number),
            "chat": self._read("chats/chats.json").get(phone_number),
            "messages": list(self._read(self._messages(phone_number)).values()),
        }

    def delete_user_data(self, phone_number: str, reason: str, audit_user: str) -> dict[str, int]:
        """Erases it here, and keeps an event that says who and why; how much. The fleet's: ``data.erase``."""
        with self._lock:
            held = self.export_user_data(phone_number)
            counts = {
                "messages": len(held["messages"]),
                "contacts": int(held["contact"] is not None),
                "chats": int(held["chat"] is not None),
            }
            for path in self.base_dir.glob("messages/*.json"):
                name = str(path.relative_to(self.base_dir))
                self._change(name, lambda found: _without(found, phone_number))
            for name in ("contacts/contacts.json", "chats/chats.json"):
                self._change(name, lambda found: found.pop(phone_number, None))
            (self.base_dir / self._messages(phone_number)).unlink(missing_ok=True)
            data = {"reason": reason, "counts": counts}
            self.save_event(SessionEvent("-", "data_erased", data, user_id=audit_user))
        return counts

    @staticmethod
    def _messages(chat_id: str) -> str:
        safe = "".join(each if each.isalnum() else "_" for each in chat_id)
        return f"messages/chat_{safe}.json"

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.base_dir / name).read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": type(error).__name__}) from None
        return found if isinstance(found, dict) else {}

    def _change(self, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        path = self.base_dir / name
        with self._lock:
            found = self._read(name)
            change(found)
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                new = path.with_suffix(".new")
                with open(new, "w", opener=lambda file, flags: os.open(file, flags, 0o600)) as output:
                    json.dump(found, output, ensure_ascii=False, indent=1)
                new.replace(path)
            except OSError as error:
                raise StorageError(
                    ErrorCode.E_STORAGE_UNAVAILABLE, {"reason": type(error).__name__}
                ) from None

    def _one(self, name: str, key: str, kind: type[T]) -> T | None:
        found = self._read(name).get(key)
        return None if found is None else _made(found, kind)


class DjangoORMStore(BaseStore):
    """The Django project in `examples/` keeps its own models; this store is not part of this version yet."""

    def __init__(self) -> None:
        reason = (
            "Django's store is not offered by this version: use FileSystemStore, or the fleet's own record"
        )
        raise NotSupportedError(ErrorCode.E_NOT_IMPLEMENTED, {"reason": reason})

    def save_message(self, message: Message) -> None:
        raise NotImplementedError

    def get_chat_messages(self, chat_id: str, limit: int = 50) -> list[Message]:
        raise NotImplementedError

    def save_contact(self, contact: Contact) -> None:
        raise NotImplementedError

    def get_contact(self, phone: str) -> Contact | None:
        raise NotImplementedError

    def save_chat(self, chat: Chat) -> None:
        raise NotImplementedError

    def get_chat(self, chat_id: str) -> Chat | None:
        raise NotImplementedError

    def set_models(self, **models: Any) -> None:
        raise NotImplementedError


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)


def _made(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": type(error).__name__}) from None


def _without(found: dict[str, Any], phone: str) -> None:
    for key in [key for key, each in found.items() if phone in _people(each)]:
        del found[key]


def _people(message: dict[str, Any]) -> set[Any]:
    return {message.get(side, {}).get("phone") for side in ("sender", "recipient")}
