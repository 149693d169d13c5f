"""The sequencer: each sequence once, in order, however it is delivered."""

from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_fleet.dispatcher.ordering import Sequencer


def test_holds_what_is_ahead_of_a_gap() -> None:
    """What comes before its turn waits; the missing one releases it."""
    order: Sequencer[str] = Sequencer()
    order.begin(5)
    assert order.offer(7, "seven")
    assert order.offer(6, "six")
    assert order.take(10) == []
    assert order.stuck
    order.offer(5, "five")
    assert order.take(2) == ["five", "six"]
    assert not order.stuck
    assert order.take(2) == ["seven"]


def test_nothing_is_taken_before_the_beginning_is_known() -> None:
    """The first message says nothing of what came before it."""
    order: Sequencer[int] = Sequencer()
    order.offer(9, 9)
    assert order.take(1) == []
    assert order.stuck
    order.begin(9)
    assert order.take(1) == [9]


def test_a_repeat_of_what_was_taken_is_told() -> None:
    """An old sequence is refused; one that is held is replaced by its newer delivery."""
    order: Sequencer[str] = Sequencer()
    order.begin(1)
    order.offer(1, "first delivery")
    order.offer(1, "second delivery")
    assert order.take(5) == ["second delivery"]
    assert not order.offer(1, "third delivery")


def test_a_beginning_never_goes_back() -> None:
    """What others acknowledged is dropped; a lower floor changes nothing."""
    order: Sequencer[int] = Sequencer()
    order.begin(1)
    for sequence in (3, 4, 6):
        order.offer(sequence, sequence)
    order.begin(4)
    assert order.take(5) == [4]
    order.begin(2)
    assert order.next == 5
    assert len(order) == 1


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[set[int], list[int], list[int]]:
    """Stored sequences (with gaps), and an order of deliveries in which each comes at least once."""
    stored = draw(st.sets(st.integers(1, 60), min_size=1))
    arrivals = draw(st.permutations(sorted(stored)))
    repeats = draw(st.lists(st.sampled_from(sorted(stored)), max_size=40))
    cuts = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    mixed = list(arrivals)
    for repeat in repeats:
        mixed.insert(draw(st.integers(0, len(mixed))), repeat)
    return stored, mixed, cuts


@given(deliveries())
def test_any_redelivery_order_is_handled_once_and_in_order(
    case: tuple[set[int], list[int], list[int]],
) -> None:
    """Whatever the shuffle, the repeats and the gaps: every stored sequence once, ascending."""
    stored, arrivals, limits = case
    order: Sequencer[int] = Sequencer()
    order.begin(1)
    handled: list[int] = []
    for at, sequence in enumerate(arrivals):
        order.offer(sequence, sequence)
        handled += order.take(limits[at % len(limits)])
        if order.stuck and order.next is not None and order.next not in stored:
            # What the intake learns from the broker: the next sequence that there is.
            order.begin(min(present for present in stored if present >= order.next))
        assert len(order) <= len(stored)
    while batch := order.take(3):
        handled += batch
    while order.stuck and order.next is not None:
        order.begin(min(present for present in stored if present >= order.next))
        while batch := order.take(3):
            handled += batch
    assert handled == sorted(stored)
