"""Framing: split anywhere, oversized, garbage, unknown; encoding in place."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_fleet.session_worker.engines.sidecar.frames import (
    MAX_FRAME,
    FrameDecoder,
    FrameEncoder,
    FrameError,
    FrameTooLarge,
    UnknownFrame,
    Unsendable,
    check_sendable,
)
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import Act, Committed, Event, Keys, KeysSet

EVENTS = st.builds(
    Event,
    session=st.text(max_size=20),
    incarnation=st.integers(0, 2**53),
    unit=st.integers(0, 2**32),
    kind=st.sampled_from(["message", "status"]),
    data=st.dictionaries(
        st.text(max_size=5), st.text() | st.binary(max_size=300) | st.integers(-(2**63), 2**63)
    ),
)
KEYS = st.builds(
    KeysSet,
    session=st.text(max_size=20),
    incarnation=st.integers(0, 9),
    unit=st.integers(1, 9),
    creds=st.none() | st.binary(max_size=500),
    rows=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5), st.none() | st.binary(max_size=100))),
)


def framed(value: Any) -> bytes:
    body = msgspec.msgpack.encode(value)
    return struct.pack(">I", len(body)) + body


def read_all(chunks: Iterable[bytes]) -> list[Any]:
    decoder = FrameDecoder()
    return [frame for chunk in chunks for frame, _ in decoder.feed(chunk)]


@given(st.lists(EVENTS | KEYS, max_size=6), st.data())
def test_a_stream_is_read_wherever_it_is_split(frames: list[Any], data: st.DataObject) -> None:
    """Any cuts, empty chunks included, give the same frames."""
    stream = b"".join(map(framed, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read_all(chunks) == frames


@given(EVENTS)
def test_a_stream_is_read_byte_by_byte(frame: Event) -> None:
    """The worst split."""
    stream = framed(frame) * 2
    assert read_all(stream[i : i + 1] for i in range(len(stream))) == [frame, frame]


def test_a_large_frame_is_read_in_chunks() -> None:
    """Just below the limit, as the socket brings it."""
    event = Event(session="s", incarnation=1, unit=1, kind="message", data={"bin": b"x" * (MAX_FRAME - 200)})
    stream = framed(event) * 2
    assert read_all(stream[i : i + 65_536] for i in range(0, len(stream), 65_536)) == [event, event]


@given(st.integers(MAX_FRAME + 1, 2**32 - 1) | st.just(0), st.booleans())
def test_a_length_out_of_range_ends_the_stream(length: int, split: bool) -> None:
    """Before anything of its body arrived."""
    header = struct.pack(">I", length)
    with pytest.raises(FrameError):
        read_all([header[:2], header[2:]] if split else [header])


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_an_error_or_ignored_but_nothing_else(body: bytes) -> None:
    """No body of any bytes raises another exception or passes for a frame that it is not."""
    try:
        frames = read_all([struct.pack(">I", len(body)) + body])
    except FrameError:
        return
    assert all(isinstance(frame, UnknownFrame) for frame in frames)


@pytest.mark.parametrize(
    "body", [b"\xc1", b"\x92\x01\x02", b"\xa4text", b"\x81\xa4type", b"\x91" * 5000 + b"\xc0"]
)
def test_what_is_no_map_ends_the_stream(body: bytes) -> None:
    """Not MessagePack, cut short, no map, nested without end."""
    with pytest.raises(FrameError):
        read_all([struct.pack(">I", len(body)) + body])


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "dance"},
        {"no": "type"},
        {"type": "event", "session": 1},
        {"type": "result", "ref": "x"},
        {1: 2},
    ],
)
def test_a_frame_that_is_not_understood_is_skipped(frame: dict[Any, Any]) -> None:
    """Another version's frame, or fields that do not fit: the next one is read."""
    good = Event(session="s", incarnation=1, unit=1, kind="message", data={})
    first, second = read_all([framed(frame) + framed(good)])
    assert isinstance(first, UnknownFrame)
    assert second == good


def test_frames_are_gathered_in_one_buffer() -> None:
    """Two frames, one write; the buffer is given away."""
    encoder = FrameEncoder()
    frames = [Committed(session="s", incarnation=1, unit=n) for n in (1, 2)]
    for frame in frames:
        encoder.add(frame)
    assert bytes(encoder.take()) == b"".join(map(framed, frames))
    assert len(encoder) == 0


def test_nil_and_absent_are_what_the_protocol_says() -> None:
    """An act leaves out what is not set; keys tell a failure by its code alone."""
    encoder = FrameEncoder()
    encoder.add(Act(session="s", incarnation=1, ref=1, action="send", id="I", content={}))
    encoder.add(Keys(session="s", incarnation=1, ref=1, code="E_STORAGE_UNAVAILABLE"))
    data = bytes(encoder.take())
    size = struct.unpack(">I", data[:4])[0]
    act = msgspec.msgpack.decode(data[4 : 4 + size])
    assert set(act) == {"type", "session", "incarnation", "ref", "action", "id", "content"}
    assert set(msgspec.msgpack.decode(data[8 + size :])) == {"type", "session", "incarnation", "ref", "code"}


def test_what_cannot_be_encoded_leaves_nothing_behind() -> None:
    """A refused frame must not shift the ones around it."""
    encoder = FrameEncoder()
    good = Committed(session="s", incarnation=1, unit=1)
    encoder.add(good)

    def act(content: dict[str, Any]) -> Act:
        return Act(session="s", incarnation=1, ref=1, action="send", id="I", content=content)

    for bad in ({"x": object()}, {"x": "\ud800"}, {"x": 2**70}):
        with pytest.raises(Unsendable):
            encoder.add(act(bad))
    with pytest.raises(FrameTooLarge):
        encoder.add(act({"x": b"x" * MAX_FRAME}))
    encoder.add(good)
    assert bytes(encoder.take()) == framed(good) * 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda k: k != "__proto__"), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8).filter(lambda k: k != "__proto__"), JSON))
def test_plain_content_is_sendable(content: dict[str, Any]) -> None:
    """Whatever a command's content can be passes."""
    check_sendable(content)
