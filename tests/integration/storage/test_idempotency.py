"""Claims of commands, on both databases."""

from typing import Any

from sqlalchemy import text

from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.storage import idempotency
from pywhatsweb_fleet.storage.idempotency import Claim, Claimed, Outcome, Repeat
from pywhatsweb_fleet.storage.store import Store

DAY = 86_400_000


def a_claim(
    command: str, seq: int, *, digest: str = "d", at: int = 1000, session: str = "s1", **more: Any
) -> Claim:
    """A claim that expires a day later."""
    return Claim("acme", session, command, digest, seq, at, at + DAY, **more)


def step(command: str, status: MessageStatus, **more: Any) -> Outcome:
    """A step of session s1's command."""
    return Outcome("acme", "s1", command, status, 2000, **more)


async def test_the_first_is_claimed_and_a_repeat_learns_its_outcome(store: Store) -> None:
    """A repeat under another sequence gets the first one's status, error, message id and whether the body is equal."""
    assert await store.transact(idempotency.claim, [a_claim("c1", 7, message_id="3EB0")]) == [
        Claimed(message_id="3EB0")
    ]
    await store.transact(idempotency.outcome, [step("c1", MessageStatus.FAILED, error="E_X")])
    verdicts = await store.transact(idempotency.claim, [a_claim("c1", 9), a_claim("c1", 10, digest="other")])
    assert verdicts == [Repeat(7, "failed", "E_X", "3EB0", True), Repeat(7, "failed", "E_X", "3EB0", False)]


async def test_a_redelivery_is_claimed_again(store: Store) -> None:
    """The same sequence is the same command: it says how far it came."""
    await store.transact(idempotency.claim, [a_claim("c1", 7)])
    await store.transact(idempotency.outcome, [step("c1", MessageStatus.QUEUED)])
    assert await store.transact(idempotency.claim, [a_claim("c1", 7)]) == [Claimed(True, "queued")]


async def test_one_batch_may_hold_new_known_and_doubled_ones(store: Store) -> None:
    """Verdicts are in the order of the claims; the first of a doubled key counts; sessions do not share ids."""
    await store.transact(idempotency.claim, [a_claim("old", 1)])
    verdicts = await store.transact(
        idempotency.claim,
        [
            a_claim("new", 2),
            a_claim("old", 3),
            a_claim("new", 4),
            a_claim("new", 5, session="s2"),
            a_claim("new", 2),
        ],
    )
    assert verdicts == [
        Claimed(),
        Repeat(1, "accepted", None, None, True),
        Repeat(2, "accepted", None, None, True),
        Claimed(),
        Claimed(True),
    ]


async def test_new_claims_are_one_statement(store: Store) -> None:
    """500 new claims take one round trip."""
    seen: list[str] = []

    def counted(conn: Any) -> list[Any]:
        from sqlalchemy import event

        listener = lambda *args: seen.append(args[2])  # noqa: E731
        event.listen(conn, "before_cursor_execute", listener)
        try:
            return idempotency.claim(conn, [a_claim(f"c{i}", i) for i in range(500)])
        finally:
            event.remove(conn, "before_cursor_execute", listener)

    assert set(await store.transact(counted)) == {Claimed()}
    assert len(seen) == 1


async def test_an_expired_record_counts_as_none(store: Store) -> None:
    """After its time the id is free again, with nothing left of the first."""
    await store.transact(idempotency.claim, [a_claim("c1", 7, message_id="A")])
    await store.transact(idempotency.outcome, [step("c1", MessageStatus.SENT)])
    again = a_claim("c1", 99, at=1000 + DAY)
    assert await store.transact(idempotency.claim, [again]) == [Claimed()]
    record = await store.read(idempotency.lookup, "acme", "c1")
    assert record is not None
    assert (record.command_seq, record.status, record.message_id) == (99, "accepted", None)


async def test_outcomes_never_go_back(store: Store) -> None:
    """Steps that may not follow are no news, within a batch and across batches."""
    await store.transact(idempotency.claim, [a_claim("c1", 1), a_claim("c2", 2)])
    steps = [
        step("c1", MessageStatus.QUEUED),
        step("c1", MessageStatus.SENT, message_id="M"),
        step("c1", MessageStatus.QUEUED),
        step("c2", MessageStatus.REJECTED, error="E_R"),
        step("c2", MessageStatus.SENT),
        step("nobody", MessageStatus.SENT),
    ]
    assert await store.transact(idempotency.outcome, steps) == [True, True, False, True, False, False]
    later = [
        step("c1", MessageStatus.EXPIRED),
        step("c1", MessageStatus.READ),
        step("c1", MessageStatus.DELIVERED),
    ]
    assert await store.transact(idempotency.outcome, later) == [False, True, False]
    record = await store.read(idempotency.lookup, "acme", "c1", "s1")
    assert record is not None
    assert (record.status, record.message_id) == ("read", "M")


async def test_a_command_is_found_by_its_message(store: Store) -> None:
    """Receipts name message ids; the command behind one is a lookup."""
    await store.transact(idempotency.claim, [a_claim("c1", 1, message_id="M1"), a_claim("c2", 2)])
    found = await store.read(idempotency.by_message, "acme", ["M1", "M2"])
    assert {message: record.command_id for message, record in found.items()} == {"M1": "c1"}
    assert await store.read(idempotency.by_message, "other", ["M1"]) == {}
    assert await store.read(idempotency.lookup, "other", "c1") is None


async def test_expiry_is_bounded(store: Store) -> None:
    """At most the limit goes at once; the living stay."""
    await store.transact(idempotency.claim, [a_claim(f"c{i}", i) for i in range(5)])
    await store.transact(idempotency.claim, [a_claim("young", 9, at=5000)])
    assert await store.transact(idempotency.expire, 1001 + DAY, 3) == 3
    assert await store.transact(idempotency.expire, 1001 + DAY, 3) == 2
    left = await store.read(
        lambda conn: conn.execute(text("SELECT command_id FROM idempotency")).scalars().all()
    )
    assert left == ["young"]


async def test_the_id_of_a_rejected_command_may_be_used_again(store: Store) -> None:
    """A later command takes the place of a rejected one; a redelivery of the rejected one stays rejected."""
    await store.transact(idempotency.claim, [a_claim("c1", 7)])
    await store.transact(idempotency.outcome, [step("c1", MessageStatus.REJECTED, error="E_QUEUE_FULL")])
    redelivered = await store.transact(idempotency.claim, [a_claim("c1", 7)])
    assert redelivered == [Claimed(True, "rejected", "E_QUEUE_FULL")]
    assert await store.transact(idempotency.claim, [a_claim("c1", 9, digest="other")]) == [Claimed()]
    assert await store.transact(idempotency.claim, [a_claim("c1", 9)]) == [Claimed(True)]
