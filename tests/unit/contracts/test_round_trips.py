"""Every Struct of the contracts survives both forms, whatever it holds."""

from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pywhatsweb.contracts import codec, commands, control, events
from tests.unit.contracts.strategies import of_struct

FORMS: tuple[codec.Form, ...] = ("msgpack", "json")
CONTROL = sorted(
    {kind for verb in control.VERBS.values() for kind in verb[:2]}, key=lambda kind: kind.__name__
)
quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def _survives(value: Any, kind: Any) -> None:
    for form in FORMS:
        raw = codec.encode(value, form)
        assert codec.form_of(raw) == form
        assert codec.decode(raw, kind) == value


@pytest.mark.parametrize("kind", commands.SEND_TYPES.values(), ids=commands.SEND_TYPES)
@quick
@given(data=st.data())
def test_send_commands(kind: Any, data: st.DataObject):
    """A send command is itself again, found by its type."""
    _survives(data.draw(of_struct(kind)), commands.Send)


@pytest.mark.parametrize("kind", get_args(commands.Other), ids=lambda kind: kind.__name__)
@quick
@given(data=st.data())
def test_other_commands(kind: Any, data: st.DataObject):
    """So is every other command."""
    _survives(data.draw(of_struct(kind)), kind)


@pytest.mark.parametrize("kind", events.EVENT_TYPES.values(), ids=events.EVENT_TYPES)
@quick
@given(data=st.data())
def test_events(kind: Any, data: st.DataObject):
    """An event is itself again, found by its tag."""
    _survives(data.draw(of_struct(kind)), events.AnyEvent)


@pytest.mark.parametrize("kind", CONTROL, ids=lambda kind: kind.__name__)
@quick
@given(data=st.data())
def test_control(kind: Any, data: st.DataObject):
    """So are arguments and results of the control plane."""
    _survives(data.draw(of_struct(kind)), kind)
