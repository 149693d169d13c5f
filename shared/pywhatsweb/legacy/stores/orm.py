"""Documents in a Django project's own models, or in those of the app ``pywhatsweb.django``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from pywhatsweb.errors import ErrorCode, StorageError
from pywhatsweb.legacy.stores.base import Counts, Document, DocumentStore, Kind, needed, plain, unavailable

_KEYS: Final[dict[Kind, str]] = {
    "message": "message_id", "contact": "phone", "chat": "chat_id", "event": "trace_id",
}  # fmt: skip
_NEEDED: Final[dict[Kind, frozenset[str]]] = {
    "message": frozenset(("message_id", "content", "sender", "recipient")),
    "contact": frozenset(("phone",)),
    "chat": frozenset(("chat_id", "status")),
    "event": frozenset(("trace_id", "session_id", "event_type", "timestamp")),
}
_DATES: Final = ("timestamp", "last_seen", "last_message_at", "assigned_at", "completed_at")
_OWN: Final = {"id", "created_at", "updated_at"}
"""A model that has them sets them itself."""
_DEFAULTS: Final[dict[Kind, str]] = {
    "message": "Message", "contact": "Contact", "chat": "Chat", "event": "Event",
}  # fmt: skip


class DjangoORMStore(DocumentStore):
    """Needs the extra ``django``. With ``pywhatsweb.django`` in INSTALLED_APPS it keeps all in that app's models.

    `set_models` names a project's own instead. They may derive from ``pywhatsweb.django.abstract``; of others the
    fields with 0.5's names are filled, and what they have no field for is lost.
    """

    def __init__(self) -> None:
        needed("django", "django")
        self._db = needed("django.db", "django")
        self._time = needed("django.utils.timezone", "django")
        self._models: dict[str, Any] = {}

    def set_models(  # noqa: PLR0917 - 0.5's
        self,
        session_model: Any = None,
        message_model: Any = None,
        contact_model: Any = None,
        group_model: Any = None,
        chat_model: Any = None,
        event_model: Any = None,
    ) -> None:
        """Where each is kept; what is not named stays as it is. `group_model` takes the contacts that are groups.

        Raises StorageError(E_CONFIG_INVALID) for a model that lacks a field without which it cannot be read again.
        """
        given = {
            "session": session_model, "message": message_model, "contact": contact_model, "group": group_model,
            "chat": chat_model, "event": event_model,
        }  # fmt: skip
        for name, model in given.items():
            kind: Any = "contact" if name == "group" else name
            if model is None:
                continue
            if missing := sorted(_NEEDED.get(kind, frozenset(("session_id",))) - _fields(model).keys()):
                reason = f"{name}_model has no field {missing[0]}"
                raise StorageError(ErrorCode.E_CONFIG_INVALID, {"reason": reason})
            self._models[name] = model

    def _put(self, document: Document) -> None:
        with self._told():
            self._write(document)

    def _write(self, document: Document) -> None:
        model = self._model_of(document)
        values = self._values(model, document)
        model.objects.update_or_create(**{_KEYS[document.kind]: document.key}, defaults=values)
        for other in self._homes(document.kind):
            if other is not model:
                other.objects.filter(phone=document.key).delete()

    def _add(self, document: Document) -> dict[str, Any]:
        with self._told():
            model = self._model_of(document)
            row, _ = model.objects.get_or_create(
                **{_KEYS[document.kind]: document.key}, defaults=self._values(model, document)
            )
            return _read(document.kind, row)

    def _one(self, kind: Kind, key: str) -> dict[str, Any] | None:
        with self._told():
            for model in self._homes(kind):
                row = model.objects.filter(**{_KEYS[kind]: key}).first()
                if row is not None:
                    return _read(kind, row)
        return None

    def _messages(self, person: str, limit: int | None) -> list[dict[str, Any]]:
        with self._told():
            (model,) = self._homes("message")
            order = next((name for name in ("timestamp", "created_at") if name in _fields(model)), "pk")
            rows = self._said_by(model, person).order_by("-" + order, "-pk")
            return [_read("message", row) for row in rows[:limit]][::-1]

    def _chats(self, status: str) -> list[dict[str, Any]]:
        with self._told():
            (model,) = self._homes("chat")
            return [_read("chat", row) for row in model.objects.filter(status=status).order_by("pk")]

    def _events(self) -> list[dict[str, Any]]:
        with self._told():
            (model,) = self._homes("event")
            return [_read("event", row) for row in model.objects.order_by("timestamp", "pk")]

    def _forget(self, person: str, tell: Callable[[Counts], Document]) -> Counts:
        with self._told():
            (messages,) = self._homes("message")
            (chats,) = self._homes("chat")
            counts = {
                "messages": _delete(self._said_by(messages, person)),
                "contacts": sum(
                    _delete(model.objects.filter(phone=person)) for model in self._homes("contact")
                ),
                "chats": _delete(chats.objects.filter(chat_id=person)),
            }
            self._write(tell(counts))
        return counts

    def _said_by(self, model: Any, person: str) -> Any:
        return model.objects.filter(self._db.models.Q(sender=person) | self._db.models.Q(recipient=person))

    def _values(self, model: Any, document: Document) -> dict[str, Any]:
        fields = _fields(model)
        values = {name: self._fit(each) for name, each in _flat(document).items() if name in fields}
        if "document" in fields:
            values["document"] = document.data
        session = fields.get("session")
        if document.kind == "message" and session is not None and session.is_relation:
            said_in = (document.data.get("metadata") or {}).get("session_id") or "default"
            values["session"], _ = session.related_model.objects.get_or_create(session_id=str(said_in))
        return values

    def _fit(self, value: Any) -> Any:
        """A project with USE_TZ off keeps times without a zone, in its own."""
        naive = not needed("django.conf", "django").settings.USE_TZ
        if naive and isinstance(value, datetime) and value.tzinfo is not None:
            return self._time.make_naive(value)
        return value

    def _model_of(self, document: Document) -> Any:
        homes = self._homes(document.kind)
        is_group = document.kind == "contact" and document.data.get("is_group")
        return homes[-1] if is_group else homes[0]

    def _homes(self, kind: Kind) -> list[Any]:
        """The models that may have such a document: for contacts also that of groups, when there is one."""
        found = [self._models.get(kind) or self._default(kind)]
        if kind == "contact" and "group" in self._models:
            found.append(self._models["group"])
        return found

    def _default(self, kind: Kind) -> Any:
        apps = needed("django.apps", "django").apps
        try:
            return apps.get_model("pywhatsweb", _DEFAULTS[kind])
        except LookupError:
            reason = f"call set_models({kind}_model=…), or put pywhatsweb.django into INSTALLED_APPS"
            raise StorageError(ErrorCode.E_CONFIG_INVALID, {"reason": reason}) from None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """All or nothing."""
        try:
            with self._db.transaction.atomic():
                yield
        except self._db.Error as error:
            raise unavailable(error) from None


def _fields(model: Any) -> dict[str, Any]:
    return {field.name: field for field in model._meta.get_fields()}  # noqa: SLF001 - Django's public name for it


def _flat(document: Document) -> dict[str, Any]:
    """A document's values under the names of 0.5's fields."""
    values = {name: each for name, each in document.data.items() if name not in _OWN}
    values[_KEYS[document.kind]] = document.key
    for side in ("sender", "recipient"):
        if side in values:
            values[side] = values[side]["phone"]
    for name in _DATES:
        if isinstance(values.get(name), str):
            values[name] = datetime.fromisoformat(values[name])
    if document.kind != "event" and "timestamp" in values:
        values["timestamp"] = document.at
    return values


def _read(kind: Kind, row: Any) -> dict[str, Any]:
    fields = _fields(type(row))
    if "document" in fields:
        return dict(row.document)
    values = {
        name: getattr(row, name) for name, field in fields.items() if not field.is_relation and name != "id"
    }
    if kind == "message":
        values["id"] = values.pop("message_id")
        for side in ("sender", "recipient"):
            values[side] = {"phone": values[side]}
    found: dict[str, Any] = plain({name: each for name, each in values.items() if each is not None})
    return found


def _delete(rows: Any) -> int:
    """How many, without what the database deletes along."""
    count = int(rows.count())
    rows.delete()
    return count
