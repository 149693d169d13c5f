"""The golden bytes: read and rewritten byte for byte, here and in sidecar-node/test/contract."""

import pytest

from pywhatsweb.contracts import codec, commands, events
from tests.contract import make_golden

FILES = make_golden.files()


@pytest.mark.parametrize("name", FILES)
def test_rewritten(name: str):
    """A file reads as its Struct, and the Struct writes the file."""
    raw = (make_golden.FOLDER / name).read_bytes()
    form = codec.form_of(raw)
    value = codec.decode(raw, make_golden.kind_of(name))
    assert make_golden.canonical(value, form) == raw
    assert codec.decode(codec.encode(value, form), make_golden.kind_of(name)) == value


def test_files_are_the_samples():
    """make_golden was run: neither a stale file nor a missing one."""
    found = {path.name: path.read_bytes() for path in make_golden.FOLDER.iterdir() if path.is_file()}
    assert found == FILES


def test_every_type_has_a_file():
    """A new command or event type comes with its golden bytes."""
    needed = {f"send.{kind}" for kind in commands.SEND_TYPES} | set(commands.COMMANDS) - {"send"}
    needed |= {f"event.{kind}" for kind in events.EVENT_TYPES}
    assert needed <= set(make_golden.samples())


@pytest.mark.parametrize("name", make_golden.COMMANDS)
def test_commands_pass_the_checks(name: str):
    """The examples are good commands."""
    for suffix in make_golden.SUFFIXES.values():
        raw = (make_golden.FOLDER / (name + suffix)).read_bytes()
        assert commands.parse(name.partition(".")[0], raw) == make_golden.samples()[name]
