"""What a publisher can do on purpose: nothing that anybody else notices."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import NatsServer, running_nats_server, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform

HEADERS = [
    b"NATS/1.0 \xff\xff\xff\r\n\r\n",
    b"NATS/1.0 423 Nats-Wrong-Pin-Id\r\n\r\n",
    b"NATS/1.0 100 \xff\xfe\r\nX: \xff\r\n\r\n",
    b"NATS/1.0\r\nStatus: 409\r\nNats-Pin-Id: evil\r\nNats-Pending-Messages: x\r\n\r\n",
    b"NATS/1.0\r\n\xff\xfe: x\r\n\r\n",
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0",
    b"not a header block\r\n\r\n",
]


async def publish_raw(server: NatsServer, subject: str, header: bytes, body: bytes, reply: str = "") -> None:
    """A message whose header block is as given: no client library is in the way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    names = f"{subject} {reply}".strip().encode()
    sizes = b"%d %d" % (len(header), len(header) + len(body))
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n')
    writer.write(b"HPUB " + names + b" " + sizes + b"\r\n" + header + body + b"\r\nPING\r\n")
    assert await reader.readline() == b"PONG\r\n"
    writer.close()


async def test_broken_headers_stop_nobody(nats_server: NatsServer, tmp_path: Path) -> None:
    """On commands and on requests: the command has its outcome, and the next ones theirs, at once."""
    async with (
        platform(nats_server.url, "acme") as (_, [tenant]),
        dispatcher(nats_server.url, tmp_path),
    ):
        await tenant.wish("s1")
        user = User(tenant)
        for at, header in enumerate(HEADERS):
            await publish_raw(nats_server, "wa.ctl.acme.session.list", header, b"{}", "some.reply")
            await publish_raw(nats_server, "wa.ctl.acme.session.list", header, b"{}")
            await publish_raw(
                nats_server, "wa.cmd.acme.s1.send", header, msgspec.msgpack.encode(text(id=f"b{at}"))
            )
            await user.publish(text(id=f"g{at}"))
            await user.told(f"g{at}", "accepted", timeout=3)
            await user.told(f"b{at}", "accepted", timeout=3)
        assert (await user.ask("session.list"))["ok"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "id",
    "to",
    "type",
    "text",
    "image",
    "send_at",
    "expires_at",
    "metadata",
    "typing",
    "context",
    "command_id",
]
BODIES = st.binary(max_size=200) | st.dictionaries(st.sampled_from(FIELDS), VALUES).map(
    lambda fields: msgspec.msgpack.encode({**text(), **fields})
)
VERBS = st.sampled_from(
    [
        "send",
        "edit",
        "delete",
        "forward",
        "react",
        "read",
        "presence",
        "cancel",
        "pin",
        "vote",
        "disappearing",
        "x.y",
    ]
)
COMMANDS = st.lists(
    st.tuples(st.sampled_from(["s1", "s2", "Bad", "none"]), VERBS, BODIES, st.binary(max_size=30)),
    min_size=20,
    max_size=60,
)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(COMMANDS)
def test_whatever_is_published_ends_in_one_outcome(commands: list[tuple[str, str, bytes, bytes]]) -> None:
    """Any bytes under any verb with any header: one status event each, and the service is well."""
    asyncio.run(_each_ends(commands))


async def _each_ends(commands: list[tuple[str, str, bytes, bytes]]) -> None:
    with TemporaryDirectory() as name, running_nats_server(Path(name) / "nats") as server:
        async with (
            platform(server.url, "acme") as (_, [tenant]),
            dispatcher(server.url, Path(name)),
        ):
            await tenant.wish("s1")
            await tenant.wish("s2", wanted="stopped")
            user = User(tenant)
            for at, (session, verb, body, noise) in enumerate(commands):
                header = b"NATS/1.0\r\nNats-Msg-Id: m%d\r\nX-Correlation-Id: " % at
                header += noise.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\r\n"
                await publish_raw(server, f"wa.cmd.acme.{session}.{verb}", header, body)
            await user.publish(text(id="last"))
            await wait_until(lambda: tenant.statuses("last"), 10, message="the last one is told")
            outcomes = tenant.of("status")
            assert len(outcomes) == len(commands) + 1
            assert {e["data"]["status"] for e in outcomes} <= {"accepted", "rejected", "expired"}
            codes = {e["data"]["error"]["code"] for e in outcomes if e["data"]["error"]}
            assert "E_INTERNAL" not in codes


@pytest.mark.parametrize("verb", ["session.start", "session.list", "message.status", "session.qr"])
async def test_whatever_is_asked_is_answered(nats_server: NatsServer, tmp_path: Path, verb: str) -> None:
    """Bytes of any kind get an answer with a code of the catalogue, never E_INTERNAL."""
    async with (
        platform(nats_server.url, "acme") as (bus, _),
        dispatcher(nats_server.url, tmp_path),
    ):
        bodies = [
            b"\x00",
            b"\xc1",
            b"[]",
            b'{"session_id":',
            b'{"session_id": 5, "id": {}}',
            b"{" + b" " * 70_000 + b"}",
        ]
        for body in [*bodies, msgspec.msgpack.encode({"session_id": "x" * 1000, "id": "y" * 1000})]:
            answer = await bus.request(f"wa.ctl.acme.{verb}", body)
            form = msgspec.json if body[:1] == b"{" else msgspec.msgpack
            reply = form.decode(answer.data)
            assert reply["ok"] or reply["error"]["code"] not in ("E_INTERNAL", ""), (body[:20], reply)
