"""A million sessions on paper, played through: tenants into cells, sessions onto workers, and what fails.

    PYTHONPATH=shared:services:. python tests/benchmarks/million.py [--sessions 1000000] [--cell 20000] [--worker 250]

Decisions are the fleet's own (`placement.to_take`), each worker's taken from what all saw a second before, as it is
when nobody leads; whoever is second at a session is refused by the broker, and counted. A second of the simulated time
is one look of each worker: at most 64 sessions taken a look, 20 links opened a second, a dead worker seen after 6 s.
All tenants are put into cells; of the cells, which know nothing of one another, the fullest (``--played``) are played
through. Tenants are as uneven as in life: a few have thousands of sessions.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections import Counter
from hashlib import blake2b
from typing import NamedTuple

from pywhatsweb_fleet.session_worker import placement
from pywhatsweb_fleet.session_worker.placement import SessionKey

SEEN_DEAD_S = 6
"""Five seconds until its key in the workers' bucket ends, and a look."""
TAKEN_A_LOOK = 64
LINKS_A_SECOND = 20
HEADROOM = 0.8
"""Of a cell's size that is given to tenants: the rest is for their growth."""


class Cell:
    """A broker's cluster with its database and workers: nothing in it knows of another cell."""

    def __init__(self, name: str, sessions: list[SessionKey], workers: int) -> None:
        self.name = name
        self.sessions = sessions
        self.owner: dict[SessionKey, str] = {}
        self.alive = [f"{name}-w{number}" for number in range(workers)]
        self.refused = 0
        self.slowest_look_s = 0.0

    def fail(self, count: int, chance: random.Random) -> int:
        """So many workers die; the sessions that are free then."""
        dead = set(chance.sample(self.alive, count))
        self.alive = [worker for worker in self.alive if worker not in dead]
        before = len(self.owner)
        self.owner = {session: worker for session, worker in self.owner.items() if worker not in dead}
        return before - len(self.owner)

    def look(self, chance: random.Random) -> Counter[str]:
        """One second: who took how many."""
        free = [session for session in self.sessions if session not in self.owner]
        loads = Counter(self.owner.values())
        taken: Counter[str] = Counter()
        for worker in chance.sample(self.alive, len(self.alive)):
            began = time.process_time()
            wished = placement.to_take(
                free, loads[worker], worker, self.alive, len(self.sessions), most=TAKEN_A_LOOK
            )
            self.slowest_look_s = max(self.slowest_look_s, time.process_time() - began)
            for session in wished:
                if session in self.owner:
                    self.refused += 1
                else:
                    self.owner[session] = worker
                    taken[worker] += 1
        return taken

    def settle(self, chance: random.Random) -> tuple[int, int]:
        """Seconds until every session has an owner, and until its link is open."""
        seconds = connected = 0
        queued: Counter[str] = Counter()
        while len(self.owner) < len(self.sessions):
            for worker, count in self.look(chance).items():
                queued[worker] = max(queued[worker], seconds * LINKS_A_SECOND) + count
                connected = max(connected, math.ceil(queued[worker] / LINKS_A_SECOND))
            seconds += 1
            assert seconds < 600, "placement does not come to rest"
        return seconds, connected

    def imbalance(self) -> float:
        """The fullest worker's sessions over the fair share."""
        loads = Counter(self.owner.values())
        return max(loads.values()) / (len(self.sessions) / len(self.alive))


def tenants_of(total: int, cell: int, chance: random.Random) -> dict[str, int]:
    """Sizes, Pareto's, that sum up to ``total``; none above half a cell (a larger one is split by its owner)."""
    found: dict[str, int] = {}
    left = total
    while left:
        size = min(left, cell // 2, int(chance.paretovariate(0.9)))
        found[f"t{len(found)}"] = size
        left -= size
    return found


def cells_for(sizes: dict[str, int], names: list[str], cell: int) -> dict[str, str]:
    """Each tenant's cell: the best by rendezvous hashing that has room; the large ones choose first."""
    loads: Counter[str] = Counter()
    chosen: dict[str, str] = {}
    for tenant, size in sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])):
        ranked = sorted(names, key=lambda name: blake2b(f"{name}|{tenant}".encode()).digest(), reverse=True)
        home = next(name for name in ranked if loads[name] + size <= cell)
        loads[home] += size
        chosen[tenant] = home
    return chosen


class Figures(NamedTuple):
    """Of one event, over the cells played: sessions moved, seconds, fullest worker, refused takes of all; the processor
    time of the slowest look."""

    what: str
    moved: int
    owned_s: int
    open_s: int
    imbalance: float
    refused: float
    look_ms: float


def event(what: str, cells: list[Cell], moved: int, chance: random.Random, seen_after: int) -> Figures:
    for cell in cells:
        cell.refused, cell.slowest_look_s = 0, 0.0
    took = [cell.settle(chance) for cell in cells]
    refused = sum(cell.refused for cell in cells)
    return Figures(
        what,
        moved,
        seen_after + max(owned for owned, _ in took),
        seen_after + max(opened for _, opened in took),
        max(cell.imbalance() for cell in cells),
        refused / max(1, moved + refused),
        1000 * max(cell.slowest_look_s for cell in cells),
    )


def measure(sessions: int, of_cell: int, of_worker: int, played: int, seed: int = 1) -> list[Figures]:
    """Everything that is told; raises AssertionError when a session is left without an owner or has two."""
    chance = random.Random(seed)
    sizes = tenants_of(sessions, of_cell, chance)
    usable = round(of_cell * HEADROOM)
    names = [f"c{number}" for number in range(math.ceil(sessions / usable) + 1)]
    homes = cells_for(sizes, names, usable)
    members: dict[str, list[SessionKey]] = {name: [] for name in names}
    for tenant, home in homes.items():
        members[home] += [(tenant, f"s{number}") for number in range(sizes[tenant])]
    cells = [Cell(name, keys, math.ceil(of_cell / of_worker)) for name, keys in members.items() if keys]
    cells.sort(key=lambda cell: len(cell.sessions), reverse=True)
    fullest = len(cells[0].sessions)
    print(
        f"{sessions:,} sessions of {len(sizes):,} tenants in {len(cells)} cells (fullest {fullest:,}), "
        f"{sum(len(cell.alive) for cell in cells):,} workers"
    )
    cells = cells[:played]
    told = [event("everything starts", cells, sum(len(cell.sessions) for cell in cells), chance, 0)]
    moved = sum(cell.fail(1, chance) for cell in cells)
    told.append(event("a worker of every cell dies", cells, moved, chance, SEEN_DEAD_S))
    moved = sum(cell.fail(len(cell.alive) // 3, chance) for cell in cells)
    told.append(event("a zone, a third of all workers, dies", cells, moved, chance, SEEN_DEAD_S))
    ill = cells[0]
    ill.owner.clear()
    told.append(event("a cell's broker is back after an outage", [ill], len(ill.sessions), chance, 0))
    more = [*names, f"c{len(names)}"]
    away = sum(
        sizes[tenant] for tenant, home in cells_for(sizes, more, usable).items() if home != homes[tenant]
    )
    print(
        f"one cell more: {away / sessions:.1%} of the sessions would have another home (1/{len(more)} is the least)"
    )
    for cell in cells:
        assert len(cell.owner) == len(cell.sessions), cell.name
    return told


def show(told: list[Figures]) -> None:
    for one in told:
        print(
            f"{one.what:42} {one.moved:>9,} moved  owned after {one.owned_s:>3} s  linked after {one.open_s:>3} s  "
            f"fullest worker {one.imbalance:.2f}  refused {one.refused:.1%}  slowest look {one.look_ms:.0f} ms"
        )
    print("median slowest look", f"{statistics.median(one.look_ms for one in told):.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--cell", type=int, default=20_000)
    parser.add_argument("--worker", type=int, default=250)
    parser.add_argument("--played", type=int, default=6)
    given = parser.parse_args()
    show(measure(given.sessions, given.cell, given.worker, given.played))


if __name__ == "__main__":
    main()
