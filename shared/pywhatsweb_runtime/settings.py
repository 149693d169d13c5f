"""Settings from the environment: a frozen msgspec Struct a service, read once, in ``__main__``.

The field ``database_url`` is read from ``PWW_DATABASE_URL``; a secret may stand in a file instead, named by
``PWW_DATABASE_URL_FILE`` (trailing white space is dropped). A value is converted to its field's type, so ``PORT=x`` is
an error that names the variable. Values never appear in errors: they may be secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

PREFIX = "PWW_"
T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(Exception):
    """A variable is missing or does not fit; the message is a sentence for the operator."""


def load(kind: type[T], environ: Mapping[str, str]) -> T:
    """``kind`` filled from ``environ``. Raises SettingsError."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = PREFIX + field.name.upper()
        raw = _read(name, environ)
        if raw is None:
            if field.required:
                raise SettingsError(f"{name} is not set (or {name}_FILE, the path of a file that holds it)")
            continue
        try:
            values[field.name] = _convert(raw, field.type)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{name} does not fit: {_kind_of(error)}") from None
    return kind(**values)


def _read(name: str, environ: Mapping[str, str]) -> str | None:
    path = environ.get(name + "_FILE")
    if path:
        if environ.get(name):
            raise SettingsError(f"{name} and {name}_FILE are both set; keep one")
        try:
            return Path(path).read_text("utf-8").rstrip()
        except OSError as error:
            raise SettingsError(f"{name}_FILE names a file that cannot be read ({error.strerror})") from None
    value = environ.get(name)
    return value if value not in (None, "") else None


def _convert(raw: str, kind: Any) -> Any:
    if kind in (dict, list) or getattr(kind, "__origin__", None) in (dict, list, tuple):
        return msgspec.json.decode(raw.encode(), type=kind)
    return msgspec.convert(raw, kind, strict=False)


def _kind_of(error: msgspec.ValidationError) -> str:
    """The error's words without the value it may quote."""
    return str(error).split(" - at `")[0].split(", got")[0].split("'")[0].strip()
