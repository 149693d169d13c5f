"""Contacts and the identity map, on both databases."""

import asyncio
import itertools
import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from pywhatsweb_fleet.storage import people
from pywhatsweb_fleet.storage.people import Known, Sighting
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.tables import contacts, identities, metadata

PNS = [None, "+551", "+552", "+553"]
LIDS = [None, "11", "12", "13"]
SIGHTINGS = st.builds(
    Sighting,
    tenant=st.sampled_from(["acme", "other"]),
    pn=st.sampled_from(PNS),
    lid=st.sampled_from(LIDS),
    name=st.sampled_from([None, "Ana", "Bia", "Caio"]),
    at=st.integers(min_value=1, max_value=4),
)


def everything(conn: Connection) -> list[object]:
    """All that can be asked of people, and the rows themselves."""
    answers: list[object] = []
    for tenant in ("acme", "other"):
        answers.append(people.page(conn, tenant, "", 100))
        answers.extend(people.get(conn, tenant, pn=pn) for pn in PNS[1:])
        answers.extend(people.get(conn, tenant, lid=lid) for lid in LIDS[1:])
    rows = [conn.execute(table.select()) for table in (identities, contacts)]
    return [*answers, *(sorted(tuple(row) for row in found) for found in rows)]


@settings(max_examples=150, deadline=None)
@given(
    sightings=st.lists(SIGHTINGS, max_size=8),
    seed=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(0, 8), max_size=3),
)
def test_any_order_and_batching_gives_the_same(
    sightings: list[Sighting], seed: random.Random, cuts: list[int]
) -> None:
    """Sightings in another order, in other batches and partly again: the same people."""
    other = sightings + sightings[:2]
    seed.shuffle(other)
    results = []
    for batches in ([sightings], _cut(other, cuts)):
        engine = create_engine("sqlite://")
        with engine.connect() as conn:
            metadata.create_all(conn)
            for batch in batches:
                people.observe(conn, batch)
            results.append(everything(conn))
        engine.dispose()
    assert results[0] == results[1]


def _cut(sightings: list[Sighting], cuts: list[int]) -> list[list[Sighting]]:
    edges = [0, *sorted(cuts), len(sightings)]
    return [sightings[first:last] for first, last in itertools.pairwise(edges)]


async def test_both_databases_agree(store: Store, tmp_path: Path) -> None:
    """The same sightings give the same answers on either."""
    seed = random.Random(7)
    sightings = [
        Sighting(
            "acme",
            seed.choice(PNS),
            seed.choice(LIDS),
            seed.choice([None, "Ana", "Bia"]),
            seed.randrange(1, 9),
        )
        for _ in range(200)
    ]
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        metadata.create_all(conn)
        people.observe(conn, sightings)
        expected = everything(conn)
    engine.dispose()
    await asyncio.gather(
        *(store.transact(people.observe, sightings[at : at + 20]) for at in range(0, 200, 20))
    )
    assert await store.read(everything) == expected


async def test_a_person_seen_under_each_address_is_one(store: Store) -> None:
    """Until a sighting names both, two people are listed; from then on one, with the newest name."""
    apart = [Sighting("acme", "+551", None, "By number", 5), Sighting("acme", None, "11", "By LID", 3)]
    await store.transact(people.observe, apart)
    assert len(await store.read(people.page, "acme", "", 10)) == 2
    assert await store.read(people.get, "acme", lid="11") == Known(None, "11", "By LID", 3, "lid:11")
    await store.transact(people.observe, [Sighting("acme", "+551", "11", None, 4)])
    one = Known("+551", "11", "By number", 5, "lid:11")
    assert await store.read(people.page, "acme", "", 10) == [one]
    assert await store.read(people.get, "acme", pn="+551") == one
    assert await store.read(people.get, "other", pn="+551") is None
    assert await store.read(people.names_of, "acme", ["lid:11", "pn:+552"]) == {"lid:11": "By LID"}


async def test_people_come_in_pages(store: Store) -> None:
    """Every one once, in order."""
    await store.transact(
        people.observe, [Sighting("acme", f"+55{n:03}", None, f"n{n}", 1) for n in range(25)]
    )
    seen: list[str | None] = []
    after = ""
    while batch := await store.read(people.page, "acme", after, 10):
        seen += [person.pn for person in batch]
        after = batch[-1].address
    assert seen == [f"+55{n:03}" for n in range(25)]
