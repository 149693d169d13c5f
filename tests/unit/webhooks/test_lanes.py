"""Order within a chat, and the circuit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_fleet.webhooks.circuit import OPENS_AFTER, Circuit
from pywhatsweb_fleet.webhooks.lanes import Item, Lanes


def item(sequence: int, chat: str) -> Item:
    return Item(sequence, "", session="s1", kind="message", chat=chat, data=b"")


@given(
    st.lists(st.sampled_from("abc"), max_size=40),
    st.lists(st.tuples(st.booleans(), st.integers(0, 50)), min_size=400, max_size=400),
)
def test_a_chat_is_never_overtaken(chats: list[str], dice: list[tuple[bool, int]]) -> None:
    """Whatever fails however often: each chat's events are dealt with in order, and none is left."""
    lanes = Lanes()
    for sequence, chat in enumerate(chats):
        lanes.add(item(sequence, chat))
    done: list[tuple[str, int]] = []
    now = 0
    for ok, pause in dice:
        now += 10
        lane = lanes.take(now)
        if lane is None:
            continue
        assert lane.busy
        first = lane.items[0]
        if ok:
            lane.items.popleft()
            done.append((first.chat, first.sequence))
        else:
            first.due_at = now + pause
        lanes.again(lane)
    lanes.hurry()
    while (lane := lanes.take(now)) is not None:
        done.extend((one.chat, one.sequence) for one in lane.items)
        lane.items.clear()
        lanes.again(lane)
    assert sorted(sequence for _, sequence in done) == list(range(len(chats)))
    for chat in "abc":
        mine = [sequence for one, sequence in done if one == chat]
        assert mine == sorted(mine)
    assert lanes.next_due is None


def test_what_comes_behind_a_put_aside_event_waits_with_it() -> None:
    lanes = Lanes()
    assert not lanes.add(item(1, "a"))
    lane = lanes.take(0)
    assert lane is not None
    lane.items[0].parked, lane.items[0].due_at = True, 500
    lanes.again(lane)
    assert lanes.add(item(2, "a"))
    assert lanes.take(499) is None
    assert lanes.next_due == 500
    assert lanes.probe() is lane


def test_the_circuit_opens_and_closes() -> None:
    circuit = Circuit(0, 0.0)
    assert [circuit.failed(1.0, 0) for _ in range(OPENS_AFTER)] == [False] * (OPENS_AFTER - 1) + [True]
    assert circuit.open
    assert circuit.not_before == 31.0
    circuit.failed(31.0, 0)
    assert circuit.not_before == 91.0
    for _ in range(40):
        circuit.failed(91.0, 0)
    assert circuit.not_before == 691.0
    assert circuit.succeeded()
    assert not circuit.open
    assert not circuit.succeeded()


def test_retry_after_pauses_a_closed_circuit() -> None:
    circuit = Circuit(0, 0.0)
    assert not circuit.failed(5.0, 60.0)
    assert (circuit.open, circuit.not_before) == (False, 65.0)
