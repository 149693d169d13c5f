"""Hypothesis strategies for every contract Struct, made from its own types and limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as mi

MAX_ITEMS = 3
MAX_TEXT = 20

_OFFSETS = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=MAX_TEXT)


def _text(kind: mi.StrType) -> st.SearchStrategy[str]:
    low, high = kind.min_length or 0, kind.max_length
    if kind.pattern:
        found = st.from_regex(kind.pattern, fullmatch=kind.pattern.endswith("$"))
        return found.filter(lambda text: len(text) <= min(high or 200, 200))
    top = max(low, MAX_TEXT if high is None else min(high, MAX_TEXT))
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=low, max_size=top)


def _number(kind: mi.IntType | mi.FloatType) -> st.SearchStrategy[Any]:
    if isinstance(kind, mi.IntType):
        return st.integers(
            -(2**63) if kind.ge is None else kind.ge, 2**63 - 1 if kind.le is None else kind.le
        )
    low = kind.ge if kind.ge is not None else kind.gt
    return st.floats(
        low, kind.le, allow_nan=False, allow_infinity=False, exclude_min=kind.gt is not None, width=64
    )


def _sizes(kind: Any) -> tuple[int, int]:
    low = kind.min_length or 0
    return low, max(low, min(kind.max_length or MAX_ITEMS, MAX_ITEMS))


def _binary(kind: mi.BytesType) -> st.SearchStrategy[bytes]:
    low, high = _sizes(kind)
    return st.binary(min_size=low, max_size=high)


def _list(kind: mi.ListType) -> st.SearchStrategy[Any]:
    low, high = _sizes(kind)
    return st.lists(_of(kind.item_type), min_size=low, max_size=high)


def _dict(kind: mi.DictType) -> st.SearchStrategy[Any]:
    low, high = _sizes(kind)
    return st.dictionaries(_of(kind.key_type), _of(kind.value_type), min_size=low, max_size=high)


def _struct(kind: mi.StructType) -> st.SearchStrategy[Any]:
    return of_struct(kind.cls)


_MAKERS: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    mi.StrType: _text,
    mi.IntType: _number,
    mi.FloatType: _number,
    mi.BytesType: _binary,
    mi.ListType: _list,
    mi.DictType: _dict,
    mi.UnionType: lambda kind: st.one_of(*(_of(each) for each in kind.types)),
    mi.StructType: _struct,
    mi.LiteralType: lambda kind: st.sampled_from(kind.values),
    mi.EnumType: lambda kind: st.sampled_from(list(kind.cls)),
    mi.DateTimeType: lambda _: st.builds(lambda when, zone: when.astimezone(zone), _TIMES, _OFFSETS),
    mi.Metadata: lambda kind: _of(kind.type),
    mi.NoneType: lambda _: st.none(),
    mi.BoolType: lambda _: st.booleans(),
    mi.AnyType: lambda _: _SCALARS,
}


def _of(kind: mi.Type) -> st.SearchStrategy[Any]:
    return _MAKERS[type(kind)](kind)


@cache
def of_struct(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Values of the Struct `kind`; fields with a default are sometimes left to it."""
    fields = mi.type_info(kind).fields  # type: ignore[attr-defined]
    needed = {f.name: _of(f.type) for f in fields if f.required}
    others = {f.name: _of(f.type) for f in fields if not f.required}
    return st.fixed_dictionaries(needed, optional=others).map(lambda values: kind(**values))
