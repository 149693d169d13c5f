"""A program that traces with OpenTelemetry goes on in the fleet: the span that it is in goes with each command."""

from __future__ import annotations

import sys


def traceparent() -> str:
    """W3C's, of the present span; empty when the program does not trace. Imports nothing."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return ""
    at = api.get_current_span().get_span_context()
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}" if at.is_valid else ""
