"""Which sessions a worker takes and gives: pure functions over what it sees of the fleet.

Each worker decides for itself. A fair share is the sessions divided by the workers, rounded up, so together they take
all; of the free ones each prefers those that rank it highest (rendezvous hashing), so that two workers seldom reach
for the same one, and a wrong guess costs one refused compare-and-set.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection
from hashlib import blake2b

SessionKey = tuple[str, str]

_CLOSER = 4
"""Of how many times what one takes the exact rank is asked: fewer, and workers reach for the same ones more often."""


def _score(worker: str, session: SessionKey) -> bytes:
    return blake2b(f"{worker}|{session[0]}|{session[1]}".encode(), digest_size=8).digest()


def fair_share(sessions: int, workers: int) -> int:
    """How many of ``sessions`` one of ``workers`` (itself counted) should have."""
    return math.ceil(sessions / max(1, workers))


def to_take(
    free: Collection[SessionKey], mine: int, me: str, workers: Collection[str], wanted: int, *, most: int
) -> list[SessionKey]:
    """At most ``most`` of ``free`` for ``me`` to take now; those that rank me first come first.

    ``wanted``: how many sessions need an owner in all. ``workers``: those that take sessions, me among them.
    """
    room = min(most, fair_share(wanted, len(workers)) - mine)
    if room <= 0 or not free:
        return []
    if len(workers) == 1:
        return sorted(free)[:room]
    if len(free) > _CLOSER * room:
        # Those that I score highest: to rank a whole cell's sessions among 80 workers would take seconds.
        free = heapq.nlargest(_CLOSER * room, free, key=lambda session: _score(me, session))
    ranked = []
    for session in free:
        own = _score(me, session)
        ranked.append((sum(_score(other, session) > own for other in workers if other != me), session))
    ranked.sort()
    return [session for _, session in ranked[:room]]


def to_give(mine: Collection[SessionKey], me: str, loads: dict[str, int], wanted: int) -> list[SessionKey]:
    """Which of my sessions to hand over because others have fewer: none while I am within the fair share.

    ``loads``: sessions by worker, me among them. The last ones by my own rank go first.
    """
    excess = len(mine) - fair_share(wanted, len(loads))
    under = sum(
        max(0, fair_share(wanted, len(loads)) - load) for worker, load in loads.items() if worker != me
    )
    count = min(excess, under)
    if count <= 0:
        return []
    return sorted(mine, key=lambda session: _score(me, session))[:count]
