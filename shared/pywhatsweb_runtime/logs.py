"""structlog, set up once in ``__main__``: JSON or console lines on standard error, without what must not be logged.

Never in a log: key material, message text, phone numbers. Callers do not pass them; `redact` is the second line of
defence: it drops fields by name, and masks long runs of digits and of base64 or hex in every string.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal, cast

import structlog

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

_SECRET_FIELDS = frozenset(
    (
        *("password", "secret", "token", "api_key", "key", "creds", "credentials", "authorization", "cookie"),
        *("qr", "pairing_code", "text", "body", "caption", "payload", "data", "content"),
        *("number", "phone", "phone_number", "to", "pn", "lid"),
    )
)
_FILE_BYTES = 5 * 2**20
_DIGITS = re.compile(r"(?<![\w.])\+?\d{8,}(?!\w)")
_BLOB = re.compile(r"(?<![\w/.-])(?=[A-Za-z0-9+/_-]*\d)[A-Za-z0-9+/_-]{40,}={0,2}")


_about: ContextVar[Mapping[str, str]] = ContextVar("pww_about", default=MappingProxyType({}))


def mask(text: str) -> str:
    """``text`` without what looks like a phone number or key material."""
    return _BLOB.sub("<masked>", _DIGITS.sub("<masked>", text))


class about:  # noqa: N801 - used as a function
    """Adds ``fields`` (those that are not empty) to every line of this task while the block lasts.

    structlog's own way takes 25 µs; this is on the path of every command.
    """

    __slots__ = ("_fields", "_token")

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _about.set(self._fields)

    def __exit__(self, *_: object) -> None:
        _about.reset(self._token)


def _tell_about(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in _about.get().items():
        if value:
            event.setdefault(name, value)
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name in _SECRET_FIELDS:
            event[name] = "<redacted>"
        elif isinstance(value, bytes):
            event[name] = f"<{len(value)} bytes>"
        elif isinstance(value, str) and name not in ("timestamp", "level"):
            event[name] = mask(value)
    return event


def level() -> LogLevel:
    """The least that is told now."""
    return cast("LogLevel", logging.getLevelName(logging.getLogger().level).lower())


def change_level(to: LogLevel) -> None:
    """From now on."""
    logging.getLogger().setLevel(to.upper())
    structlog.get_logger(__name__).warning("the log tells another level from now on", least=to)


class _File(logging.handlers.RotatingFileHandler):
    """A disk that is full costs lines, and nothing else: standard error has them."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        pass


def set_up(
    service: str, *, form: LogFormat = "console", level: LogLevel = "info", path: str | None = None
) -> None:
    """Configures structlog, and the standard library's logging through it, for this process.

    ``path``: a file that gets each line as JSON too.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _tell_about,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handlers: list[tuple[logging.Handler, Any]] = [(logging.StreamHandler(sys.stderr), last)]
    if path is not None:
        file = _File(path, maxBytes=_FILE_BYTES, backupCount=1, encoding="utf-8", delay=True)
        handlers.append((file, structlog.processors.JSONRenderer()))
    for handler, renderer in handlers:
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                foreign_pre_chain=shared,
            )
        )
    root = logging.getLogger()
    root.handlers[:] = [handler for handler, _ in handlers]
    root.setLevel(level.upper())
    for noisy in ("nats", "asyncio", "httpx", "httpcore", "sqlalchemy", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.contextvars.bind_contextvars(service=service)
