"""The short way of messages to their sinks, beside nats-py's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError

from pywhatsweb_runtime import headers
from pywhatsweb_runtime.parsing import SinkParser

Heard = tuple[int, bytes, bytes, bytes, bytes]


class Client:
    """What a parser needs of its client; keeps what comes."""

    def __init__(self) -> None:
        self.sunk: list[Heard] = []
        self.slow: list[Heard] = []
        self.others: list[str] = []
        sinks = {sid: self._sink(sid) for sid in (7, 70)}
        self.parser = SinkParser(self, sinks)

    def _sink(self, sid: int) -> Any:
        return lambda subject, reply, block, data: self.sunk.append((sid, subject, reply, block, data))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, block: bytes) -> None:
        heard = (sid, bytes(subject), bytes(reply), bytes(block or b""), bytes(data))
        (self.sunk if sid in (7, 70) else self.slow).append(heard)

    async def _process_ping(self) -> None:
        self.others.append("ping")

    async def _process_pong(self) -> None:
        self.others.append("pong")


BLOCKS = st.sampled_from((b"", b"NATS/1.0\r\nA: b\r\n\r\n", b"NATS/1.0 404 No Messages\r\n\r\n"))
MESSAGES = st.tuples(
    st.sampled_from((7, 70, 8)),
    st.sampled_from((b"wa.evt.acme.s1.message.k", b"MSG", b"_INBOX.x")),
    st.sampled_from((b"$JS.ACK.S.C.1.2.3.4.5", b"")),
    BLOCKS,
    st.binary(max_size=40) | st.sampled_from((b"\r\nHMSG a 7 b 1 2\r\n", b"PING\r\n", b"x" * 5000)),
)


def wire(one: Heard | str) -> bytes:
    if isinstance(one, str):
        return one.upper().encode() + b"\r\n"
    sid, subject, reply, block, data = one
    place = b" ".join(part for part in (subject, b"%d" % sid, reply) if part)
    if block:
        return b"HMSG %b %d %d\r\n%b%b\r\n" % (place, len(block), len(block) + len(data), block, data)
    return b"MSG %b %d\r\n%b\r\n" % (place, len(data), data)


@given(
    st.lists(MESSAGES | st.sampled_from(("ping", "pong")), max_size=12),
    st.lists(st.integers(min_value=1, max_value=90), min_size=1, max_size=30),
)
async def test_every_message_arrives_once_however_the_bytes_are_cut(told: list[Any], cuts: list[int]) -> None:
    """In order, to its own receiver, with all of its parts."""
    client = Client()
    raw = b"".join(map(wire, told))
    at = turn = 0
    while at < len(raw):
        size = cuts[turn % len(cuts)]
        await client.parser.parse(raw[at : at + size])
        at, turn = at + size, turn + 1
    messages = [one for one in told if not isinstance(one, str)]
    assert client.sunk == [one for one in messages if one[0] in (7, 70)]
    assert client.slow == [one for one in messages if one[0] == 8]
    assert client.others == [one for one in told if isinstance(one, str)]


@pytest.mark.parametrize("line", [b"HMSG a 7 b x 9\r\n", b"MSG a 7 b -\r\n", b"BOGUS\r\n"])
async def test_what_is_no_protocol_is_refused_as_by_nats_py(line: bytes) -> None:
    """So that the client reconnects rather than hang."""
    client = Client()
    with pytest.raises(ProtocolError):
        await client.parser.parse(wire((7, b"a", b"", b"", b"x")) + line)
    assert len(client.sunk) == 1


def test_a_header_block_has_its_status() -> None:
    """Inline status, words and headers."""
    assert headers.parse_block(b"NATS/1.0 409 Message Size Exceeds\r\nA: b\r\n\r\n") == {
        "Status": "409", "Description": "Message Size Exceeds", "A": "b",
    }  # fmt: skip
    assert headers.parse_block(b"NATS/1.0\r\nA: b\r\n\r\n") == {"A": "b"}
    assert headers.parse_block(b"") == {}
