"""The OpenAPI document against a running gateway: requests made from its schemas, right ones and wrong ones.

An answer is a fault when it is a server's error, or none that the document has.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

CHECKS = (
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)
ENDLESS = ("/v1/events", "/v1/ws")
"""Streams: their answers have no end."""


@schemathesis.serializer("application/msgpack")
def _packed(_context: Any, value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        return json.dumps(
            value
        ).encode()  # MessagePack has no such number; the gateway looks at the first byte


class Told(NamedTuple):
    statuses: Counter[int]
    faults: dict[str, str]
    """By operation: what was wrong."""


def fuzz(url: str, key: str, *, examples: int, without: Iterable[str] = ()) -> Told:
    """Right and wrong requests to each operation, as many of both as ``examples``; the same ones each time."""
    document = requests.get(f"{url}/openapi.json", timeout=30).json()
    told = Told(Counter(), {})
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # an Err fails the test, as it should
        if operation.path not in (*ENDLESS, *without):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _try(operation, mode, url, session, examples, told)
    return told


def _try(  # noqa: PLR0917 - what one run needs
    operation: Any, mode: GenerationMode, url: str, session: requests.Session, examples: int, told: Told
) -> None:
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        for name in ("X-Tenant-Id", "Cookie"):  # else nearly everything ends at the door
            (case.headers or {}).pop(name, None)
        # Nothing is sent here, so whoever waits for that waits in vain.
        case.query = {**(case.query or {}), "timeout": "0.1"}
        answer = case.call(base_url=url, session=session)
        told.statuses[answer.status_code] += 1
        if answer.status_code == 501 and answer.json()["code"] == "E_NOT_IMPLEMENTED":
            return  # no service of this fleet answers the verb, and that is what it says
        try:
            case.validate_response(answer, checks=list(CHECKS))
        except FailureGroup as group:
            words = "; ".join(f"{type(one).__name__}: {one}" for one in group.exceptions)
            told.faults.setdefault(operation.label, f"{words} {answer.text[:300]} for {case.body!r:.300}")

    try:
        run()
    except Unsatisfiable:
        return  # nothing about it can be wrong: it takes nothing
