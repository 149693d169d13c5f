"""One trace from the publisher to the receipt: through a real broker, to a collector that speaks OTLP over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider

from pywhatsweb.client.tracing import traceparent
from pywhatsweb_fleet.persistence import app as persistence
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.webhooks import app as webhooks
from pywhatsweb_fleet.webhooks.settings import WebhooksSettings
from pywhatsweb_runtime import tracing
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform, worker, worker_settings
from tests.support.receiver import Receiver, receiving

KEY = secrets.token_hex(32)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def collector() -> AsyncIterator[Receiver]:
    receiver = Receiver("127.0.0.1", 0)
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
def traced(collector: Receiver) -> Iterator[Receiver]:
    tracing.set_up("fleet", collector.url)
    yield collector
    tracing.tear_down()


@pytest.fixture
async def user(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[User]:
    """A tenant with a session that works, and what the headers of its statuses say."""
    settings = worker_settings(nats_server.url, tmp_path, KEY)
    async with (
        platform(nats_server.url, "acme") as (_, [tenant]),
        dispatcher(nats_server.url, tmp_path),
        worker(settings),
    ):
        await tenant.wish("s1", settings={"simulated": {"pair_after_ms": 0}})
        await tenant.working("s1", timeout=60)
        yield User(tenant)


def _all_spans(collector: Receiver) -> list[Span]:
    return [
        span
        for post in collector.posts
        for resource in ExportTraceServiceRequest.FromString(post.body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _spans(collector: Receiver) -> dict[str, Span]:
    return {span.name: span for span in _all_spans(collector)}


@contextlib.asynccontextmanager
async def _readers(url: str, directory: Path) -> AsyncIterator[None]:
    """Persistence and webhooks, on the dispatcher's database."""
    stopping = asyncio.Event()
    common: Any = {
        "nats_url": url,
        "data_dir": str(directory),
        "database_url": f"sqlite:///{directory / 'fleet.db'}",
    }
    ready = [directory / name for name in ("persistence.ready", "webhooks.ready")]
    record = PersistenceSettings(**common, ready_file=str(ready[0]))
    posts = WebhooksSettings(
        **common,
        ready_file=str(ready[1]),
        encryption_key=KEY,
        webhook_networks="127.0.0.0/8",
    )
    tasks = [
        asyncio.ensure_future(persistence.run(record, stopping)),
        asyncio.ensure_future(webhooks.run(posts, stopping)),
    ]
    try:
        await wait_until(
            lambda: all(path.exists() for path in ready) or any(task.done() for task in tasks), 60
        )
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def _send(user: User, command_id: str, headers: dict[str, str] | None) -> dict[str, str]:
    """The ``traceparent`` of each of its statuses, up to `read`."""
    told: dict[str, str] = {}

    async def on_event(message: Msg) -> None:
        status = user.tenant.statuses(command_id)[-1:]
        if status:
            told[status[0]] = (message.headers or {}).get("traceparent", "")

    subject = f"wa.evt.{user.tenant.name}.s1.status.*"
    subscription = await user.tenant.bus.client.subscribe(subject, cb=on_event)
    await user.publish(text(id=command_id), headers=headers)
    await wait_until(lambda: "read" in told, 60, message=f"{command_id} is read")
    await subscription.unsubscribe()
    return told


async def test_one_trace_from_publish_to_receipt(traced: Receiver, user: User) -> None:
    """Dispatcher, worker and receipts are spans of the publisher's trace, each under the one before."""
    told = await _send(user, "c1", {"traceparent": PARENT})
    await asyncio.to_thread(tracing.tear_down)  # which sends what is not sent yet, to this very loop
    spans = _spans(traced)
    assert {"dispatch", "send", "delivered", "read"} <= spans.keys()
    assert {span.trace_id.hex() for span in spans.values()} == {PARENT.split("-")[1]}
    assert spans["dispatch"].parent_span_id.hex() == PARENT.split("-")[2]
    assert spans["send"].parent_span_id == spans["dispatch"].span_id
    assert spans["read"].parent_span_id == spans["send"].span_id
    attributes = {one.key: one.value.string_value for one in spans["send"].attributes}
    assert attributes["session"] == "s1"
    assert "+5511999990001" not in str(spans)
    assert told["sent"].split("-")[2] == spans["send"].span_id.hex()
    assert told["read"].split("-")[2] == spans["read"].span_id.hex()


async def test_the_record_and_posts_are_part_of_the_trace(
    traced: Receiver, user: User, nats_server: NatsServer, tmp_path: Path
) -> None:
    """Each event's way into the record and to a webhook is a span; the receiver is given the trace to go on with."""
    async with receiving() as receiver, _readers(nats_server.url, tmp_path):
        made = await user.ask("webhook.create", url=receiver.url, types=["status"])
        assert made["ok"], made
        await _send(user, "c1", {"traceparent": PARENT})

        def posted() -> dict[str, str]:
            told = {
                post.json["data"]["status"]: post.headers.get("traceparent", "") for post in receiver.accepted
            }
            return told if {"accepted", "sent", "read"} <= told.keys() else {}

        async def recorded() -> bool:
            found = await user.ask("message.status", id="c1")
            return {"sent", "delivered", "read"} <= {step["status"] for step in found["data"]["history"]}

        headers = await wait_until(posted, 60, message="the statuses are posted")
        await wait_until(recorded, 60, interval=0.1, message="the statuses are on record")
        trace = PARENT.split("-")[1]
        assert {header.split("-")[1] for header in headers.values()} == {trace}
    await asyncio.to_thread(tracing.tear_down)
    spans = _all_spans(traced)
    by_name = _spans(traced)
    assert {span.trace_id.hex() for span in spans} == {trace}
    assert by_name["whatsapp"].parent_span_id == by_name["send"].span_id
    parents = {span.parent_span_id for span in spans if span.name == "record"}
    assert {by_name[name].span_id for name in ("send", "delivered", "read")} <= parents
    posts = {span.span_id.hex(): span for span in spans if span.name == "webhook"}
    assert headers["read"].split("-")[2] in posts
    assert posts[headers["read"].split("-")[2]].parent_span_id == by_name["read"].span_id
    assert "+5511999990001" not in str(spans)


async def test_without_a_collector_a_publishers_trace_is_handed_on(user: User) -> None:
    """Its ``traceparent`` comes back with every status; what is none is dropped, and without one there is none."""
    assert set((await _send(user, "c1", {"traceparent": PARENT})).values()) == {PARENT}
    assert set((await _send(user, "c2", {"traceparent": "00-zz-zz-00\tx"})).values()) == {""}
    assert set((await _send(user, "c3", None)).values()) == {""}


def test_a_program_that_traces_is_gone_on_with() -> None:
    """The client's commands bear the span that the program is in; outside of one they bear nothing."""
    assert traceparent() == ""
    with TracerProvider().get_tracer("test").start_as_current_span("order") as span:
        assert f"{span.get_span_context().span_id:016x}" in traceparent()
        assert tracing.known(traceparent())


@pytest.mark.parametrize(
    "wrong", ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", PARENT + "-more", PARENT.upper(), None]
)
def test_what_is_no_traceparent_is_none(wrong: str | None) -> None:
    assert tracing.known(wrong) == ""
