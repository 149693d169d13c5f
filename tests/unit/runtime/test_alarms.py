"""Conditions that are told once when they begin and once when they are over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_runtime import alarms
from pywhatsweb_runtime.alarms import Reading

_KEYS = st.tuples(
    st.sampled_from(["lag", "session_down"]), st.sampled_from(["", "s1"]), st.sampled_from(["", "x"])
)
_ROUNDS = st.lists(st.dictionaries(_KEYS, st.sampled_from([True, False, None]), max_size=4), max_size=30)


@given(_ROUNDS)
def test_begin_and_end_take_turns(rounds: list[dict[tuple[str, str, str], bool | None]]) -> None:
    """Of each condition, whatever is read: a beginning first, then in turns, each with the beginning's time."""
    standing: dict[str, int] = {}
    told: dict[str, list[tuple[bool, int]]] = {}
    for now, values in enumerate(rounds):
        readings = [Reading(kind, bad, {}, session, about) for (kind, session, about), bad in values.items()]
        found = alarms.changes(standing, readings, now)
        for change in found:
            told.setdefault(change.reading.key, []).append((change.over, change.since))
        standing = alarms.after(standing, found)
        assert (
            {reading.key for reading in readings if reading.bad}
            <= standing.keys()
            <= {r.key for r in readings}
        )
    for steps in told.values():
        assert [over for over, _ in steps] == [bool(number % 2) for number in range(len(steps))]
        assert all(begun == over for (_, begun), (_, over) in zip(steps[::2], steps[1::2], strict=False))


@given(st.floats(0, 100), st.floats(0.1, 100))
def test_what_hovers_about_its_limit_is_told_once(value: float, limit: float) -> None:
    """Beyond the limit it is bad, a fifth below it good, in between neither; a limit of 0 is none."""
    bad = alarms.beyond(value, limit)
    assert bad is (True if value > limit else False if value < alarms.RELIEF * limit else None)
    assert alarms.beyond(value, 0) is False
