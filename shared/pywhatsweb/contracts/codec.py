"""Bytes to Structs and back: MessagePack by default, JSON accepted everywhere.

No header is needed to tell them apart: a MessagePack map never begins with ``{`` (0x7b is the integer 123) and a body
is always a map. White space before a JSON document is allowed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeVar

import msgspec

Form = Literal["msgpack", "json"]
T = TypeVar("T")

CONTENT_TYPES: dict[Form, str] = {"msgpack": "application/msgpack", "json": "application/json"}

_to_msgpack = msgspec.msgpack.Encoder().encode
_to_json = msgspec.json.Encoder().encode


def form_of(raw: bytes) -> Form:
    """The form of a body; an empty one counts as MessagePack (and will not decode)."""
    return "json" if raw[:1] == b"{" or raw.lstrip(b" \t\r\n")[:1] == b"{" else "msgpack"


def encode(value: Any, form: Form = "msgpack") -> bytes:
    return _to_msgpack(value) if form == "msgpack" else _to_json(value)


@lru_cache(maxsize=256)
def _decoders(kind: Any) -> tuple[Any, Any]:
    return msgspec.msgpack.Decoder(kind).decode, msgspec.json.Decoder(kind).decode


def decode(raw: bytes, kind: type[T] | Any) -> T:
    """``raw`` in either form as ``kind``.

    Raises msgspec.DecodeError (not of that form) or msgspec.ValidationError (not of that shape).
    """
    shape: Any = kind
    msgpack, json = _decoders(shape)
    value: T = json(raw) if form_of(raw) == "json" else msgpack(raw)
    return value
