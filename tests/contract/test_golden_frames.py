"""The golden frames of the sidecar protocol: written as before, read whole, rewritten byte for byte."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pywhatsweb_fleet.session_worker.engines.sidecar import messages
from pywhatsweb_fleet.session_worker.engines.sidecar.frames import FrameDecoder, UnknownFrame
from tests.contract.make_golden_frames import FOLDER, FROM_SIDECAR, frames

FILES = sorted(FOLDER.glob("*.frame"), key=lambda path: path.name)


def test_the_maker_writes_what_is_there() -> None:
    """The files are today's encoding: a change of bytes is a change of the protocol."""
    assert {path.name: path.read_bytes() for path in FILES} == frames()


def test_every_frame_type_has_a_file() -> None:
    """Both directions."""
    there = {tuple(path.name.split(".")[:2]) for path in FILES}
    for side, union in (("worker", messages.Sent), ("sidecar", messages.Received)):
        for kind in union.__args__:
            assert (side, kind.__struct_config__.tag) in there


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_frame_is_rewritten_to_equal_bytes(path: Path) -> None:
    """No information of a frame is lost on the way through plain values."""
    data = path.read_bytes()
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert msgspec.msgpack.encode(msgspec.msgpack.decode(data[4:])) == data[4:]


@pytest.mark.parametrize("name", FROM_SIDECAR)
def test_what_a_sidecar_sends_is_understood_whole(name: str) -> None:
    """Each field arrives under its name and with its value."""
    ((frame, _),) = FrameDecoder().feed((FOLDER / f"sidecar.{name}.frame").read_bytes())
    assert not isinstance(frame, UnknownFrame)
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(frame))
    for field, value in FROM_SIDECAR[name].items():
        assert read[field] == value, field
