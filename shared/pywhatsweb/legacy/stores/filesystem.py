"""JSON files in 0.5's layout: ``messages/chat_<phone>.json``, ``contacts/``, ``groups/``, ``chats/``, ``events/``."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from pywhatsweb.errors import ErrorCode, StorageError
from pywhatsweb.legacy.stores.base import Counts, Document, DocumentStore, Kind, unavailable

_CONTACTS: Final = "contacts/contacts.json"
_GROUPS: Final = "groups/groups.json"
_FILES: Final[dict[Kind, tuple[str, ...]]] = {
    "contact": (_CONTACTS, _GROUPS),
    "chat": ("chats/chats.json",),
    "event": ("events/events.json",),
}
_KEYS: Final = ("id", "phone", "chat_id", "trace_id")


class FileSystemStore(DocumentStore):
    """JSON files below `base_dir`, mode 0700, for amounts that fit into memory; several processes may share it.

    Each write replaces a whole file at once and is on the disk when it returns, so one that is cut off leaves the old
    file. Writers wait for each other by a lock on ``.lock``, which a process that dies gives up.
    """

    def __init__(self, base_dir: str | Path = "./whatsapp_data") -> None:
        self.base_dir: Path = Path(base_dir)
        self._lock = threading.RLock()

    def _put(self, document: Document) -> None:
        with self._alone():
            self._write(document)

    def _write(self, document: Document) -> None:
        for name in self._places(document):
            self._change(name, lambda found: found.__setitem__(document.key, document.data))
        if document.kind == "contact":
            (other,) = set(_FILES["contact"]) - set(self._places(document))
            self._remove(other, document.key)

    def _add(self, document: Document) -> dict[str, Any]:
        with self._alone():
            present = self._one(document.kind, document.key)
            if present is not None:
                return present
            self._write(document)
            return document.data

    def _one(self, kind: Kind, key: str) -> dict[str, Any] | None:
        for name in _FILES[kind]:
            if (found := self._read(name).get(key)) is not None:
                return _document(found)
        return None

    def _messages(self, person: str, limit: int | None) -> list[dict[str, Any]]:
        found = sorted(self._read(_chat_file(person)).values(), key=lambda each: str(each.get("timestamp")))
        return found if limit is None else found[-limit:]

    def _chats(self, status: str) -> list[dict[str, Any]]:
        return [each for each in self._read(*_FILES["chat"]).values() if each.get("status") == status]

    def _events(self) -> list[dict[str, Any]]:
        return list(self._read(*_FILES["event"]).values())

    def _forget(self, person: str, tell: Callable[[Counts], Document]) -> Counts:
        with self._alone():
            own = _chat_file(person)
            counts = {
                "messages": len(self._read(own)),
                "contacts": sum(person in self._read(name) for name in _FILES["contact"]),
                "chats": int(person in self._read(*_FILES["chat"])),
            }
            # First that it was done: cut off in the middle, it is done again, and nothing is gone unsaid.
            self._write(tell(counts))
            for path in sorted(self.base_dir.glob("messages/chat_*.json")):
                name = str(path.relative_to(self.base_dir))
                keys = [key for key, each in self._read(name).items() if person in _people(each)]
                self._remove(name, *keys)
            for name in (*_FILES["contact"], *_FILES["chat"]):
                self._remove(name, person)
            with contextlib.suppress(FileNotFoundError):
                (self.base_dir / own).unlink()
        return counts

    def _places(self, document: Document) -> tuple[str, ...]:
        if document.kind == "message":
            return tuple(_chat_file(person) for person in document.people)
        if document.kind == "contact":
            return (_GROUPS if document.data.get("is_group") else _CONTACTS,)
        return _FILES[document.kind]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Without another writer, in this process or another."""
        with self._lock:
            try:
                self.base_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = os.open(self.base_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise unavailable(error) from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            except OSError as error:
                raise unavailable(error) from None
            finally:
                os.close(lock)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.base_dir / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unavailable(error) from None
        except ValueError as error:
            raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": type(error).__name__}) from None
        if isinstance(found, list):  # as some write it who make the files themselves
            found = {_key(each): each for each in found}
        if not isinstance(found, dict):
            raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": "not an object"})
        return found

    def _remove(self, name: str, *keys: str) -> None:
        if not set(keys).isdisjoint(self._read(name)):
            self._change(name, lambda found: [found.pop(key, None) for key in keys])

    def _change(self, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Only within `_alone`."""
        path = self.base_dir / name
        found = self._read(name)
        change(found)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(".new")
        with open(
            new, "w", encoding="utf-8", opener=lambda file, flags: os.open(file, flags, 0o600)
        ) as output:
            json.dump(found, output, ensure_ascii=False, indent=1)
            output.flush()
            os.fsync(output.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _chat_file(chat_id: str) -> str:
    """Of a phone its digits alone, as 0.5 has it; of anything else a name that no other chat has."""
    safe = re.sub(r"[^0-9A-Za-z_-]", "_", chat_id)
    if safe != chat_id or len(safe) > 64:
        safe = f"{safe[:64]}-{hashlib.sha256(chat_id.encode()).hexdigest()[:12]}"
    return f"messages/chat_{safe}.json"


def _people(message: Any) -> set[Any]:
    return {(message.get(side) or {}).get("phone") for side in ("sender", "recipient")}


def _key(value: Any) -> str:
    for name in _KEYS:
        if isinstance(value, dict) and isinstance(value.get(name), str):
            return str(value[name])
    raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": "an entry without an id"})


def _document(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": "not an object"})
    return value
