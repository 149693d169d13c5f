"""Limits of what one may send: declared beside the field, kept by `check`, shown in the schemas.

They are not enforced at decoding, because message events share these Structs: other people's clients keep no limits,
and a caption that is too long must not stop a message from coming in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import Meta
from msgspec import inspect as mi

from pywhatsweb.errors import ContractError, ErrorCode

Check = Callable[[Any, str], None]


def text(low: int = 0, high: int | None = None, pattern: str | None = None) -> Meta:
    """`low` to `high` characters; `pattern` is searched for."""
    return _meta(minLength=low or None, maxLength=high, pattern=pattern)


def items(low: int, high: int) -> Meta:
    """`low` to `high` of them."""
    return _meta(minItems=low or None, maxItems=high)


def number(low: float, high: float) -> Meta:
    """`low` to `high`, both included."""
    return _meta(minimum=low, maximum=high)


def binary(high: int) -> Meta:
    """Up to `high` bytes; the schema counts their base64."""
    return _meta(maxLength=(high + 2) // 3 * 4)


def _meta(**schema: Any) -> Meta:
    return Meta(extra_json_schema={key: value for key, value in schema.items() if value is not None})


def refused(path: str, limit: Any, *, too_little: bool = False) -> ContractError:
    """The error for a value at `path` that is beyond `limit`, under the code that fits the place."""
    field = path.rpartition(".")[2]
    if path == "$.id":
        code = ErrorCode.E_INVALID_COMMAND_ID
    elif path.startswith("$.poll"):
        code = ErrorCode.E_INVALID_POLL
    elif path.startswith("$.interactive"):
        code = ErrorCode.E_INVALID_INTERACTIVE
    elif path.startswith("$.template"):
        code = ErrorCode.E_INVALID_TEMPLATE
    elif too_little:
        code = ErrorCode.E_EMPTY_TEXT if path == "$.text.body" else ErrorCode.E_INVALID_FIELD
    else:
        code = _TOO_MUCH.get(field, ErrorCode.E_INVALID_FIELD)
    return ContractError(code, {"path": path, "limit": limit})


_TOO_MUCH = {
    "body": ErrorCode.E_TEXT_TOO_LONG,
    "caption": ErrorCode.E_CAPTION_TOO_LONG,
    "data": ErrorCode.E_MEDIA_TOO_LARGE,
}


def check(value: msgspec.Struct | list[Any], path: str) -> None:
    """Raises ContractError for the first field of `value`, at any depth, that is beyond its limit."""
    if isinstance(value, list):
        for at, each in enumerate(value):
            check(each, f"{path}[{at}]")
        return
    checker = _struct(type(value))
    if checker is not None:
        checker(value, path)


@cache
def _struct(kind: type) -> Check | None:
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)  # noqa: S101 - for the type checker
    found = [(f.name, f.encode_name, _of(f.type)) for f in info.fields]
    fields = [(name, encoded, checker) for name, encoded, checker in found if checker is not None]

    def checked(value: Any, path: str) -> None:
        for name, encoded, checker in fields:
            inner = getattr(value, name)
            if inner is not None:
                checker(inner, f"{path}.{encoded}")

    return checked if fields else None


def _of(kind: mi.Type) -> Check | None:
    """What checks a value of `kind`, or None where nothing is limited."""
    if isinstance(kind, mi.Metadata):
        own, inner = _rule(kind.type, kind.extra_json_schema or {}), _of(kind.type)
        return _both(own, inner) if own and inner else own or inner
    if isinstance(kind, mi.StructType):
        return _struct(kind.cls)
    if isinstance(kind, mi.ListType):
        each = _of(kind.item_type)
        return None if each is None else _each(each)
    if isinstance(kind, mi.UnionType):
        return _union(kind)
    return None


def _both(first: Check, second: Check) -> Check:
    def checked(value: Any, path: str) -> None:
        first(value, path)
        second(value, path)

    return checked


def _each(checker: Check) -> Check:
    def checked(values: list[Any], path: str) -> None:
        for at, value in enumerate(values):
            checker(value, f"{path}[{at}]")

    return checked


def _union(kind: mi.UnionType) -> Check | None:
    structs = {each.cls: _struct(each.cls) for each in kind.types if isinstance(each, mi.StructType)}
    others = [found for each in kind.types if not isinstance(each, mi.StructType) and (found := _of(each))]
    if not structs:
        return others[0] if others else None

    def checked(value: Any, path: str) -> None:
        checker = structs.get(type(value))
        if checker is not None:
            checker(value, path)

    return checked


def _rule(kind: mi.Type, schema: dict[str, Any]) -> Check | None:
    """The check for one field's own limits."""
    if isinstance(kind, mi.FloatType | mi.IntType) and "minimum" in schema:
        return _between(schema["minimum"], schema["maximum"])
    if isinstance(kind, mi.BytesType) and "maxLength" in schema:
        return _sized(0, schema["maxLength"] // 4 * 3)
    low = schema.get("minLength", schema.get("minItems", 0))
    high = schema.get("maxLength", schema.get("maxItems"))
    sized = _sized(low, high) if low or high is not None else None
    matching = _matching(schema["pattern"]) if "pattern" in schema else None
    return _both(sized, matching) if sized and matching else sized or matching


def _sized(low: int, high: int | None) -> Check:
    def checked(value: Any, path: str) -> None:
        size = len(value)
        if size < low:
            raise refused(path, low, too_little=True)
        if high is not None and size > high:
            raise refused(path, high)

    return checked


def _between(low: float, high: float) -> Check:
    def checked(value: float, path: str) -> None:
        if not low <= value <= high:
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": path, "limit": [low, high]})

    return checked


def _matching(pattern: str) -> Check:
    search = re.compile(pattern).search

    def checked(value: str, path: str) -> None:
        if search(value) is None:
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": path, "pattern": pattern})

    return checked
