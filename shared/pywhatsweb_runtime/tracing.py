"""A command's way as one trace: W3C's ``traceparent`` in NATS headers, spans to an OpenTelemetry collector.

Without `set_up` (``PWW_TRACES_URL`` unset) nothing is measured, the library is not even imported, and a publisher's own
``traceparent`` is handed on untouched, to the events of its command, so that traces of programs on both sides meet.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

HEADER: Final = "traceparent"
_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("pww_traceparent", default="")
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_tracer: Tracer | None = None
_provider: TracerProvider | None = None


class TracingError(Exception):
    """Traces are wanted and cannot be made; the message is a sentence for the operator."""


def set_up(service: str, url: str | None, share: float = 1.0) -> None:
    """Sends spans to ``url`` (OTLP over HTTP) from now on: of every trace that its publisher samples, and ``share`` of
    those that begin here. Once a process. Raises TracingError."""
    if not url:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError:
        raise TracingError("PWW_TRACES_URL is set, but pywhatsweb[tracing] is not installed.") from None
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), sampler=ParentBasedTraceIdRatio(share)
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    global _provider, _tracer
    _provider, _tracer = provider, provider.get_tracer("pywhatsweb")


def tear_down() -> None:
    """Sends what is not sent yet, and ends what `set_up` began."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()


def exporting() -> bool:
    """Whether spans go anywhere."""
    return _tracer is not None


def known(traceparent: str | None) -> str:
    """``traceparent`` as a publisher wrote it; empty when it is none."""
    return traceparent if traceparent is not None and _FORM.fullmatch(traceparent) else ""


def current() -> str:
    """Of the span that this task is in; empty outside of any trace."""
    return _current.get()


class span:  # noqa: N801 - used as a function
    """A span for as long as the block lasts, under ``parent``; gives its own ``traceparent``.

    ``began``: seconds since 1970, when it began before the block. Attributes: names and ids, never numbers or texts.
    """

    __slots__ = ("_attributes", "_began", "_name", "_parent", "_span", "_token")

    def __init__(
        self, name: str, parent: str, attributes: Mapping[str, str] = _NONE, *, began: float | None = None
    ) -> None:
        self._name = name
        self._parent = parent
        self._began = began
        self._attributes = attributes
        self._span: Span | None = None
        self._token: Token[str] | None = None

    def __enter__(self) -> str:
        told = self._parent
        if _tracer is not None:
            began = None if self._began is None else int(self._began * 1e9)
            self._span = _tracer.start_span(
                self._name, _context(self._parent), attributes=self._attributes, start_time=began
            )
            at = self._span.get_span_context()
            told = f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"
        if told:
            self._token = _current.set(told)
        return told

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if self._span is not None:
            if kind is not None:
                self._span.set_attribute("error.type", kind.__name__)
            self._span.end()


def following(
    name: str, parent: str, attributes: Mapping[str, str] = _NONE
) -> contextlib.AbstractContextManager[object]:
    """`span`, of what only continues a trace: without ``parent`` there is none."""
    return span(name, parent, attributes) if parent else contextlib.nullcontext()


def _context(parent: str) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: parent}, Context())
