"""Bytes to a contract's Struct, every refusal named by a code of the catalogue.

msgspec's messages may quote the value that was wrong, so none is passed on: `details` has the path, the limit
and names of types only (a body holds phone numbers and texts, an error is logged and kept).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from pywhatsweb.contracts import codec, limits
from pywhatsweb.errors import ContractError, ErrorCode

_PATH = re.compile(r" - at `([^`]*)`$| - at `(key)` in `([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `([A-Za-z_]+)`")
_LENGTH = re.compile(r"^Expected `(\w+)` of length (<=|>=|<|>) (\d+)")
_RANGE = re.compile(r"^Expected `(\w+)` (<=|>=|<|>) (-?[\d.]+)")
_TYPES = re.compile(r"^Expected `([\w |]+)`, got `([\w |]+)`")
_TIME = re.compile(r"^(Invalid RFC3339|Expected `datetime` with|Invalid MessagePack timestamp)")


def decode(raw: bytes, kind: Any, max_bytes: int | None = None) -> Any:
    """``raw`` as ``kind`` (a Struct or a tagged union), in either form.

    Raises ContractError: E_BODY_TOO_LARGE, E_MALFORMED_BODY, or what `refusal` says.
    """
    if max_bytes is not None and len(raw) > max_bytes:
        raise ContractError(ErrorCode.E_BODY_TOO_LARGE, {"limit": max_bytes})
    try:
        return codec.decode(raw, kind)
    except msgspec.ValidationError as error:
        refused = refusal(str(error))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        refused = ContractError(ErrorCode.E_MALFORMED_BODY)
    # Outside of the handler: neither the cause nor the traceback may carry the body.
    raise refused


def decoder(kind: Any) -> Callable[[bytes], Any]:
    """`decode` for one ``kind``, for those who decode many."""
    msgpack, json = msgspec.msgpack.Decoder(kind).decode, msgspec.json.Decoder(kind).decode

    def one(raw: bytes) -> Any:
        try:
            return json(raw) if codec.form_of(raw) == "json" else msgpack(raw)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            pass
        return decode(raw, kind)  # says what is wrong

    return one


def refusal(message: str) -> ContractError:
    """The error for msgspec's `message`: E_MISSING_FIELD, E_UNSUPPORTED_TYPE, E_INVALID_FIELD, …"""
    at = _PATH.search(message)
    path = "$" if at is None else (at[1] or f"{at[3]}[key]")
    details: dict[str, Any] = {"path": path}
    field = path.rpartition(".")[2]
    if missing := _MISSING.match(message):
        return ContractError(ErrorCode.E_MISSING_FIELD, {**details, "field": missing[1]})
    if message.startswith("Invalid value") and field in ("type", "event"):
        return ContractError(ErrorCode.E_UNSUPPORTED_TYPE, details)
    if length := _LENGTH.match(message):
        return limits.refused(path, int(length[3]), too_little=length[2] == ">=")
    if ranged := _RANGE.match(message):
        return ContractError(ErrorCode.E_INVALID_FIELD, {**details, "limit": ranged[2] + ranged[3]})
    if types := _TYPES.match(message):
        if path == "$":  # Not a map: plain text, for one, reads as a MessagePack integer.
            return ContractError(ErrorCode.E_MALFORMED_BODY)
        return ContractError(ErrorCode.E_INVALID_FIELD, {**details, "expected": types[1], "got": types[2]})
    if _TIME.match(message):
        return ContractError(ErrorCode.E_INVALID_TIMESTAMP, details)
    return ContractError(ErrorCode.E_INVALID_FIELD, details)
