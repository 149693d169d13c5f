"""Who takes and gives which sessions: each worker decides alone, and together they come to rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_fleet.session_worker.placement import SessionKey, fair_share, to_give, to_take

COUNTS = st.tuples(st.integers(1, 60), st.integers(1, 7))


def names(count: int) -> list[SessionKey]:
    return [("acme", f"s{number}") for number in range(count)]


@given(COUNTS)
def test_together_they_take_all_within_their_shares(counts: tuple[int, int]) -> None:
    """Free sessions of a dead worker: taken whole, whoever comes first, and nobody takes more than a fair share."""
    sessions, workers = names(counts[0]), [f"w{number}" for number in range(counts[1])]
    owned: dict[str, set[SessionKey]] = {worker: set() for worker in workers}
    free = set(sessions)
    for worker in workers:
        taken = to_take(free, 0, worker, workers, len(sessions), most=1000)
        assert len(taken) == len(set(taken)) <= fair_share(len(sessions), len(workers))
        owned[worker] |= set(taken)
        free -= set(taken)
    assert not free


@given(COUNTS, st.data())
def test_giving_comes_to_rest(counts: tuple[int, int], data: st.DataObject) -> None:
    """From any distribution, moving one at a time: nobody is above its share, and no session moved twice in vain."""
    sessions, workers = names(counts[0]), [f"w{number}" for number in range(counts[1])]
    owned: dict[str, set[SessionKey]] = {worker: set() for worker in workers}
    for session in sessions:
        owned[data.draw(st.sampled_from(workers))].add(session)
    share = fair_share(len(sessions), len(workers))
    excess = sum(max(0, len(mine) - share) for mine in owned.values())
    moves = 0
    while True:
        loads = {worker: len(mine) for worker, mine in owned.items()}
        giving = [(w, to_give(mine, w, loads, len(sessions))[:1]) for w, mine in owned.items()]
        chosen = next(((worker, given_[0]) for worker, given_ in giving if given_), None)
        if chosen is None:
            break
        worker, session = chosen
        owned[worker].discard(session)
        others = [other for other in workers if other != worker and len(owned[other]) < share]
        taker = next(
            other
            for other in others
            if to_take([session], len(owned[other]), other, workers, len(sessions), most=1)
        )
        owned[taker].add(session)
        moves += 1
        assert moves <= len(sessions)
    assert max(len(mine) for mine in owned.values()) <= share
    assert moves == excess
